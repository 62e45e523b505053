"""The thin film as a lattice: SI units in, energies in zeptojoules per cell out."""

import math
import warnings
from dataclasses import dataclass
from functools import partial

import torch

from spinlib.dipolar import demagnetisation
from spinlib.hamiltonian import (
    SHAPES,
    Boundary,
    Hamiltonian,
    Kind,
    Number,
    field_vector,
    real_numbers,
)

VACUUM_PERMEABILITY = 4e-7 * math.pi  # T m/A, to ten digits still the defined value before 2019
BOLTZMANN = 1.380649e-23  # J/K, exact


@dataclass(frozen=True)
class Film:
    """One magnetic layer cut into square cells: a lattice in other units.

    exchange_stiffness    A, J/m                  J = 2 A t
    dmi                   D, J/m²                 D a t
    anisotropy            K_u, J/m³, or a map     K_u a² t
    saturation            M_s, A/m                M_s B a² t;  μ0 M_s² a² t for the dipolar term
    cell, thickness       a and t, m

    Energies come out in zeptojoules (1e-21 J) per cell, which keeps single precision comfortable:
    k_B × 300 K is 4.14 zJ. Values may be numbers or (batch,) tensors.

    The DMI's energy per volume is D m·(∇×m) for the bulk kind and D [(m·∇) m_z - m_z ∇·m] for the
    interfacial one, whose sign other authors choose the other way round: with D > 0 spins in a
    wall point from the side of +z to that of -z.

    Plain cells stretch a helix, by x²/3 of its period along axes and x²/6 along diagonals, with
    x = Da/2A the angle by which neighbours turn, and win too little energy by it. With
    `exact_helix` bonds have an A' and a D' of their own, by which the helix of the continuum's wave
    number D/2A is the lowest, and as low as there, -D²/4A, both on average over the directions in
    which it may run (the mean of cos(x cos θ) is the Bessel function J₀, that of cos θ sin(x cos θ)
    J₁):

        D' J₁(x) - (2A'/a) [1 - J₀(x)] = aD²/8A   and   (2A'/a) J₁(x) = D' [J₀(x) - J₁(x)/x].

    Of single directions the wave numbers still differ by ± x²/12, the energies by less.
    """

    exchange_stiffness: Number
    saturation: Number
    dmi: Number = 0.0
    anisotropy: Number = 0.0
    cell: float = 4e-9
    thickness: float = 1e-9
    dmi_kind: Kind = "bulk"
    boundary: Boundary = "periodic"
    exact_helix: bool = False

    def __post_init__(self):
        for name in ("exchange_stiffness", "saturation", "cell", "thickness", "dmi", "anisotropy"):
            value, wanted = getattr(self, name), "a number or a tensor in SI units"
            if isinstance(value, list | tuple):
                raise ValueError(f"The film's {name} must be {wanted}, got {value!r}.")
            values = real_numbers(f"The film's {name}", value, wanted)
            signed = name in ("dmi", "anisotropy")
            if not (torch.isfinite(values).all() and (signed or (values > 0).all())):
                raise ValueError(
                    f"The film's {name} must be a {'finite' if signed else 'positive'} number in "
                    f"SI units, got {getattr(self, name)}."
                )
            if name in ("cell", "thickness") and values.ndim:
                raise ValueError(f"The film's {name} is one number, got {getattr(self, name)}.")
        if self.exact_helix and self.helix_period() <= 4 * self.cell:
            raise ValueError(
                f"A helix of period {1e9 * self.helix_period():.3g} nm needs more than four cells, "
                f"these are of {1e9 * self.cell:.3g} nm: choose smaller cells, or no exact helix."
            )
        # What Film and Hamiltonian share is refused in the same words.
        Hamiltonian(dmi_kind=self.dmi_kind, boundary=self.boundary)

    def exchange_length(self) -> float:
        """√(2A / μ0 M_s²) in metres, the shortest of all states."""
        stiffness, saturation = _doubles(self.exchange_stiffness, self.saturation)
        return (2 * stiffness / VACUUM_PERMEABILITY).div(saturation**2).sqrt().min().item()

    def helix_period(self) -> float:
        """4πA / |D| in metres, the shortest of all states; infinite without DMI."""
        stiffness, dmi = _doubles(self.exchange_stiffness, self.dmi)
        return (4 * math.pi * stiffness / dmi.abs()).min().item()

    def warn_if_coarse(self) -> None:
        """Warn where the cells are too large for what they have to resolve."""
        nanometres = f"{1e9 * self.cell:.3g} nm"
        if self.cell > self.exchange_length():
            warnings.warn(
                f"Cells of {nanometres} are larger than the exchange length of "
                f"{1e9 * self.exchange_length():.3g} nm: walls and vortices are not resolved; "
                "choose smaller cells.",
                stacklevel=3,
            )
        if 4 * self.cell > self.helix_period():
            warnings.warn(
                f"A helix of period {1e9 * self.helix_period():.3g} nm takes less than four cells "
                f"of {nanometres}: the DMI's textures are not resolved; choose smaller cells.",
                stacklevel=3,
            )

    def hamiltonian(self, field: Number | tuple[float, float, float] = 0.0) -> Hamiltonian:
        """The film as a lattice, in zJ, under a field in tesla (a number: along z).

        Warns if the cells are too large for the exchange length or the helix period.
        """
        self.warn_if_coarse()
        # Large integers would overflow where large floats are infinite.
        area = float(self.cell) * float(self.thickness)
        volume = float(self.cell) * area
        vector = field_vector(real_numbers("field", field, SHAPES["zeeman"]))
        saturation = torch.as_tensor(self.saturation, dtype=torch.float64).reshape(-1, 1)
        stiffness, dmi = (
            self._on_bonds() if self.exact_helix else (self.exchange_stiffness, self.dmi)
        )
        return Hamiltonian(
            exchange=2e21 * stiffness * self.thickness,
            dmi=1e21 * dmi * area,
            anisotropy=1e21 * self.anisotropy * volume,
            zeeman=1e21 * saturation * vector.to(saturation.device) * volume,
            # As a float first: the square of a whole number may not fit into its 32 bits.
            dipolar=1e21 * VACUUM_PERMEABILITY * (1.0 * self.saturation) ** 2 * volume,
            dmi_kind=self.dmi_kind,
            boundary=self.boundary,
            dipoles=partial(demagnetisation, cell=self.cell, thickness=self.thickness),
        )

    def _on_bonds(self) -> tuple[torch.Tensor, torch.Tensor]:
        """A' and D' of bonds whose helices are on average those of the continuum."""
        stiffness, dmi = _doubles(self.exchange_stiffness, self.dmi)
        x = (dmi * self.cell / (2 * stiffness)).abs().clamp_min(1e-3)  # below it all is 1 to 1e-6
        j0, j1 = torch.special.bessel_j0(x), torch.special.bessel_j1(x)
        slope = j0 - j1 / x
        exchange = x**2 / 4 / (j1**2 / slope - (1 - j0))
        return stiffness * exchange, dmi * exchange * j1 / (x * slope)


def _doubles(*values: Number) -> list[torch.Tensor]:
    return [torch.as_tensor(value, dtype=torch.float64) for value in values]


def thermal_energy(kelvin: Number) -> Number:
    """k_B T in zeptojoules, the film's unit of energy."""
    return 1e21 * BOLTZMANN * kelvin
