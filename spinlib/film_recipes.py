"""What study 3 simulates: perpendicular films in SI units, with pinning, and two ways to a state.

Every film has its own saturation M_s, DMI D and dispersion σ of the anisotropy, drawn uniformly
from ranges; the rest is common. `FILMS` holds the two sets of the paper at the three profiles.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
import torch

from spinlib import llg, textures
from spinlib.anneal import anneal, linear
from spinlib.film import Film
from spinlib.kernels import random_normal, random_uniform
from spinlib.recipes import ANY, check

VARIED = {"saturation": "saturation [kA/m]", "dmi": "dmi [mJ/m²]"}


@dataclass(frozen=True)
class PinnedFilms:
    """Study 3: one layer of cells, cooled from `hot` to zero and left there for `quench` sweeps.

    The anisotropy of each cell is K_u (1 + σ n) with n standard normal and independent from cell to
    cell. The heat bath samples the film's own lattice, J = 2 A t and so on (see `Film`).
    """

    version: ClassVar[int] = 6  # random spins are the same on all processors
    states: int
    saturation: tuple[float, float]  # M_s, kA/m: lowest and highest
    dmi: tuple[float, float]  # bulk DMI D, mJ/m²
    anisotropy: float  # K_u, MJ/m³
    exchange: float  # A, pJ/m
    dispersion: tuple[float, float] = (0.05, 0.2)  # σ = ΔK_u / K_u
    cell: float = 4.0  # nm, cubes: also the film's thickness
    size: int = 512  # cells along each side; periodic
    hot: float = 1.0  # temperature at the start in units of J = 2 A t, above the ordering
    sweeps: int = 1500
    quench: int = 50  # sweeps at zero temperature in the end
    dipole_every: int = 4  # sweeps between refreshments of the dipoles' field
    storage: str = "float16"
    shard: int = 16
    seed: int = 0

    def __post_init__(self):
        for name in ("saturation", "dmi", "dispersion"):
            ends = getattr(self, name)
            numbers = type(ends) is tuple and all(type(end) in (int, float) for end in ends)
            if not numbers or len(ends) != 2 or not -1e9 < ends[0] <= ends[1] < 1e9:
                raise ValueError(f"PinnedFilms: {name} is (lowest, highest), not {ends!r}.")
        if self.saturation[0] <= 0 or not 0 <= self.dispersion[0] <= self.dispersion[1] <= 1:
            raise ValueError(
                "PinnedFilms: the saturation is above 0 and the dispersion from 0 to 1, not "
                f"{self.saturation} and {self.dispersion}."
            )
        numbers = {"anisotropy": (-ANY, ANY), "hot": (0.0, ANY)}
        numbers |= dict.fromkeys(("exchange", "cell"), (1e-06, ANY))
        counts = {"sweeps": (1, 10**9), "quench": (0, 10**9), "dipole_every": (1, 10**9)}
        check(self, **counts, **numbers)
        if self.quench >= self.sweeps:
            raise ValueError(
                f"PinnedFilms: a quench of {self.quench} leaves nothing of {self.sweeps} sweeps."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        return 3, self.size, self.size

    @property
    def box(self) -> float:
        """Side of the film in nm."""
        return self.size * self.cell

    def parameters(self) -> pd.DataFrame:
        """M_s, D and σ of each film."""
        draw = {"seed": self.seed, "states": range(self.states), "purpose": "film parameters"}
        unit = random_uniform((3,), **draw).double().numpy().T
        ranges = (self.saturation, self.dmi, self.dispersion)
        values = [low + (high - low) * u for (low, high), u in zip(ranges, unit, strict=True)]
        return pd.DataFrame(dict(zip((*VARIED.values(), "dispersion"), values, strict=True)))

    def film(
        self,
        states: Sequence[int],
        parameters: pd.DataFrame | None = None,
        device: torch.device | str = "cpu",
    ) -> Film:
        """The films of some states, with their maps of the anisotropy on a device."""
        table = (self.parameters() if parameters is None else parameters).iloc[list(states)]
        saturation, dmi, dispersion = (torch.tensor(table[name].to_numpy()) for name in table)
        draw = {"seed": self.seed, "states": states, "purpose": "anisotropy dispersion"}
        noise = random_normal(self.shape[1:], device=device, **draw)
        maps = self.anisotropy * (1 + dispersion[:, None, None].float().to(device) * noise)
        return Film(
            exchange_stiffness=1e-12 * self.exchange,
            saturation=1e3 * saturation,
            dmi=1e-3 * dmi,
            anisotropy=1e6 * maps,
            cell=1e-9 * self.cell,
            thickness=1e-9 * self.cell,
        )

    def simulate(self, states: range, device: torch.device) -> torch.Tensor:
        """Annealed states (len(states), 3, size, size)."""
        return cool(self, states, device=device)


def cool(
    recipe: PinnedFilms,
    states: Sequence[int],
    parameters: pd.DataFrame | None = None,
    *,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Anneal films of the recipe; other `parameters` may be given than those it draws."""
    hamiltonian = recipe.film(states, parameters, device).hamiltonian()
    cooling = linear(recipe.hot * hamiltonian.exchange, 0.0, recipe.sweeps - recipe.quench)
    return anneal(
        *(hamiltonian, recipe.shape[1:], torch.nn.functional.pad(cooling, (0, recipe.quench))),
        seed=recipe.seed,
        states=states,
        dipole_every=recipe.dipole_every,
        device=device,
    )


def relax_from_noise(
    recipe: PinnedFilms,
    states: Sequence[int],
    parameters: pd.DataFrame | None = None,
    *,
    damping: float,
    time: float,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """The other protocol: random spins move by the equation of motion at T = 0 for so many seconds.

    The films, with their maps of the anisotropy, and the random spins at the start are those of
    `cool`.
    """
    start = textures.random(recipe.shape[1:], seed=recipe.seed, states=states, device=device)
    film = recipe.film(states, parameters, device)
    return llg.run(start, film, time=time, damping=damping)


def along(recipe: PinnedFilms, values: Sequence[float], dispersion: float) -> pd.DataFrame:
    """Parameters of films that differ in M_s (kA/m) alone, for `cool` and `relax_from_noise`."""
    table = pd.DataFrame({VARIED["saturation"]: np.asarray(values, float)})
    table[VARIED["dmi"]] = float(recipe.dmi[0])
    return table.assign(dispersion=dispersion)


_SATURATION = PinnedFilms(5_000, (200.0, 700.0), (0.0, 0.0), anisotropy=0.4, exchange=10.0)
_DMI = PinnedFilms(10_000, (1500.0, 1500.0), (0.1, 1.0), anisotropy=1.6, exchange=31.0)

# The laptop's films are a quarter of the paper's area, of the same cells; more are made for the
# DMI, which shows less in a picture.
FILMS = {
    "smoke": {
        "saturation": replace(_SATURATION, states=20, size=128, sweeps=150),
        "dmi": replace(_DMI, states=20, size=128, sweeps=150),
    },
    "laptop": {
        "saturation": replace(_SATURATION, states=240, size=256, sweeps=600),
        "dmi": replace(_DMI, states=640, size=256, sweeps=600),
    },
    "paper": {"saturation": _SATURATION, "dmi": _DMI},
}
