"""The classical spin Hamiltonian on a square lattice.

    E = - J Σ⟨ij⟩ S_i·S_j - Σ⟨ij⟩ D_ij·(S_i × S_j) - Σ_i B·S_i - K Σ_i S_z² - ½ d Σ_i S_i·h_i

with D_ij = D (ẑ × r̂_ij) for interfacial and D r̂_ij for bulk DMI, and h_i the field of all the
other dipoles at unit strength. Every term offers `energy`, shape (batch,), and `field` = -∂E/∂S,
shaped as the spins (batch, 3, height, width). A vacancy is a zero vector: it takes part in no
term. Parameters are numbers or tensors of shape (batch,), so that one call serves many different
Hamiltonians.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch

from spinlib.dipolar import DipoleKernel, point_dipoles

Number = float | torch.Tensor
Boundary = Literal["periodic", "open"]
Kind = Literal["interfacial", "bulk"]  # of DMI


class Term(Protocol):
    def energy(self, spins: torch.Tensor) -> torch.Tensor: ...

    def field(self, spins: torch.Tensor) -> torch.Tensor: ...


def check_spins(spins: torch.Tensor) -> None:
    """Refuse what does not have the type and the shape of spins."""
    if spins.ndim != 4 or spins.shape[1] != 3 or not spins.is_floating_point():
        raise ValueError(
            "Spins are a floating-point tensor (batch, 3, height, width), got "
            f"{spins.dtype} {tuple(spins.shape)}: a single state needs a batch of one, spins[None]."
        )


def neighbour(spins: torch.Tensor, axis: int, step: int, boundary: Boundary) -> torch.Tensor:
    """The spin one site further along an axis (-1: x, -2: y); beyond an open edge it is zero."""
    shifted = torch.roll(spins, -step, dims=axis)
    if boundary == "open":
        edge = shifted.narrow(axis, -1 if step > 0 else 0, 1)
        edge.zero_()
    return shifted


def _sum_sites(density: torch.Tensor) -> torch.Tensor:
    """Sum over all but the batch, in double precision: lattices have 10⁵ sites, floats 7 digits."""
    return density.flatten(1).sum(1, dtype=torch.float64)


def per_site(value: Number, spins: torch.Tensor) -> torch.Tensor:
    """A number, (batch,) or a map as something that goes with (batch, height, width)."""
    value = torch.as_tensor(value, dtype=spins.dtype, device=spins.device)
    return value.reshape(-1, 1, 1) if value.ndim < 2 else value.reshape(-1, *value.shape[-2:])


@dataclass(frozen=True)
class Exchange:
    """-J Σ⟨ij⟩ S_i·S_j over nearest neighbours."""

    strength: Number
    boundary: Boundary = "periodic"

    def energy(self, spins: torch.Tensor) -> torch.Tensor:
        right = neighbour(spins, -1, 1, self.boundary)
        up = neighbour(spins, -2, 1, self.boundary)
        return _sum_sites(-per_site(self.strength, spins) * (spins * (right + up)).sum(1))

    def field(self, spins: torch.Tensor) -> torch.Tensor:
        around = sum(
            neighbour(spins, axis, step, self.boundary) for axis in (-1, -2) for step in (1, -1)
        )
        return per_site(self.strength, spins).unsqueeze(1) * around


@dataclass(frozen=True)
class DzyaloshinskiiMoriya:
    """-Σ⟨ij⟩ D_ij·(S_i × S_j) with D_ij = D (ẑ × r̂_ij), interfacial, or D r̂_ij, bulk."""

    strength: Number
    kind: Kind = "interfacial"
    boundary: Boundary = "periodic"

    def energy(self, spins: torch.Tensor) -> torch.Tensor:
        right = neighbour(spins, -1, 1, self.boundary)
        up = neighbour(spins, -2, 1, self.boundary)
        x, y, z = spins.unbind(1)
        if self.kind == "interfacial":  # r = x̂ gives D_ij = D ŷ, r = ŷ gives -D x̂
            twist = (z * right[:, 0] - x * right[:, 2]) - (y * up[:, 2] - z * up[:, 1])
        else:
            twist = (y * right[:, 2] - z * right[:, 1]) + (z * up[:, 0] - x * up[:, 2])
        return _sum_sites(-per_site(self.strength, spins) * twist)

    def field(self, spins: torch.Tensor) -> torch.Tensor:
        along_x = neighbour(spins, -1, 1, self.boundary) - neighbour(spins, -1, -1, self.boundary)
        along_y = neighbour(spins, -2, 1, self.boundary) - neighbour(spins, -2, -1, self.boundary)
        (xx, xy, xz), (yx, yy, yz) = along_x.unbind(1), along_y.unbind(1)
        if self.kind == "interfacial":
            curl = (-xz, -yz, xx + yy)
        else:
            curl = (-yz, xz, yx - xy)
        return per_site(self.strength, spins).unsqueeze(1) * torch.stack(curl, 1)


@dataclass(frozen=True)
class Anisotropy:
    """-K Σ S_z²: easy axis along z for K > 0, easy plane for K < 0. K may be a map."""

    strength: Number

    def energy(self, spins: torch.Tensor) -> torch.Tensor:
        return _sum_sites(-per_site(self.strength, spins) * spins[:, 2] ** 2)

    def field(self, spins: torch.Tensor) -> torch.Tensor:
        z = 2 * per_site(self.strength, spins) * spins[:, 2]
        return torch.stack((torch.zeros_like(z), torch.zeros_like(z), z), 1)


@dataclass(frozen=True)
class Zeeman:
    """-Σ B·S: B a number along z, three numbers, or (batch, 3)."""

    strength: Number | tuple[float, float, float]

    def vector(self, spins: torch.Tensor) -> torch.Tensor:
        """B as (1 or batch, 3, 1, 1)."""
        value = torch.as_tensor(self.strength, dtype=spins.dtype, device=spins.device)
        return field_vector(value)[..., None, None]

    def energy(self, spins: torch.Tensor) -> torch.Tensor:
        return _sum_sites(-(self.vector(spins) * spins).sum(1))

    def field(self, spins: torch.Tensor) -> torch.Tensor:
        return self.vector(spins).expand_as(spins)


def field_vector(value: torch.Tensor) -> torch.Tensor:
    """A field given as number, (3,) or (batch, 3) as (1 or batch, 3)."""
    if value.ndim == 0:
        return torch.stack((0 * value, 0 * value, value))[None]
    return value[None] if value.ndim == 1 else value


@dataclass(frozen=True)
class Dipolar:
    """-½ d Σ S·h: h is the field of a dipole kernel at unit strength (see `spinlib.dipolar`)."""

    strength: Number
    kernel: DipoleKernel

    def energy(self, spins: torch.Tensor) -> torch.Tensor:
        return _sum_sites(-0.5 * (spins * self.field(spins)).sum(1))

    def field(self, spins: torch.Tensor) -> torch.Tensor:
        return per_site(self.strength, spins).unsqueeze(1) * self.kernel.field(spins)


_LARGEST = 1e17  # beyond it, squares of fields in single precision may overflow


def real_numbers(name: str, value: object, wanted: str) -> torch.Tensor:
    """A parameter as a float64 tensor; refuse what is no real number or array of them."""
    try:
        tensor = torch.as_tensor(value)
        if tensor.numel() and not tensor.is_complex():
            return tensor.to(torch.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        pass
    raise ValueError(f"{name} must be {wanted}, got {value!r}.")


# Most dimensions that a parameter may have, and what they are.
_DIMENSIONS = {"exchange": 1, "dmi": 1, "anisotropy": 3, "zeeman": 2, "dipolar": 1}
SHAPES = dict.fromkeys(_DIMENSIONS, "a number or one per state, (batch,)") | {
    "anisotropy": "a number, one per state, or a map (height, width) or (batch, height, width)",
    "zeeman": "a number along z, three numbers, or (batch, 3)",
}


@dataclass(frozen=True)
class Hamiltonian:
    """A sum of terms, called by their strengths; all energies in one unit of your choice.

    exchange     J, positive for a ferromagnet
    dmi          D, with `dmi_kind` "interfacial" or "bulk"
    anisotropy   K: a number, (batch,), or a map (height, width) or (batch, height, width)
    zeeman       B: a number along z, three numbers, or (batch, 3)
    dipolar      d, the strength of the dipolar term; `dipoles` makes its kernel from height, width
                 and boundary, by default that of point dipoles on the lattice

    >>> Hamiltonian(exchange=1.0, dmi=0.3, zeeman=0.05)
    E = − 1 Σ S_i·S_j − 0.3 Σ (ẑ×r_ij)·(S_i×S_j) − 0.05 Σ S_z   (periodic)
    """

    exchange: Number = 1.0
    dmi: Number = 0.0
    anisotropy: Number = 0.0
    zeeman: Number | tuple[float, float, float] = 0.0
    dipolar: Number = 0.0
    dmi_kind: Kind = "interfacial"
    boundary: Boundary = "periodic"
    dipoles: Callable[[int, int, Boundary], DipoleKernel] = point_dipoles

    def __post_init__(self):
        for name, value, choices in (
            ("dmi_kind", self.dmi_kind, ("interfacial", "bulk")),
            ("boundary", self.boundary, ("periodic", "open")),
        ):
            if not (isinstance(value, str) and value in choices):
                raise ValueError(f"{name} is one of {' or '.join(choices)}, got {value!r}.")
        if not callable(self.dipoles):
            raise ValueError(f"dipoles is a function that makes a kernel, got {self.dipoles!r}.")
        for name, dimensions in _DIMENSIONS.items():
            value = real_numbers(name, getattr(self, name), SHAPES[name])
            if not (value.abs() < _LARGEST).all():
                raise ValueError(
                    f"{name} must be finite and below {_LARGEST:g}, got {getattr(self, name)}."
                )
            if value.ndim > dimensions or (
                name == "zeeman" and value.ndim and value.shape[-1] != 3
            ):
                raise ValueError(
                    f"{name} has shape {tuple(value.shape)}, but must be {SHAPES[name]}."
                )

    def check(self, spins: torch.Tensor) -> None:
        """Refuse spins of the wrong shape, and parameters made for another batch or size."""
        check_spins(spins)
        batch, _, *size = spins.shape
        for name in _DIMENSIONS:
            shape = tuple(torch.as_tensor(getattr(self, name)).shape)
            per_state = shape[:1] if _counts_states(name, shape) else ()
            on_map = name == "anisotropy" and len(shape) > 1 and list(shape[-2:]) != size
            if on_map or per_state not in ((), (1,), (batch,)):
                raise ValueError(
                    f"{name} has shape {shape}, which does not fit {batch} states of "
                    f"{size[0]}×{size[1]} sites: it must be {SHAPES[name]}."
                )

    def of(self, states: torch.Tensor) -> "Hamiltonian":
        """The Hamiltonian of some states of the batch, given by their indices."""
        values = {name: torch.as_tensor(getattr(self, name)) for name in _DIMENSIONS}
        own = {
            name: value[states.to(value.device)]
            for name, value in values.items()
            if _counts_states(name, value.shape) and len(value) > 1
        }
        return replace(self, **own)

    def terms(self, height: int, width: int) -> list[Term]:
        """The terms that are not zero, for a lattice of this size."""
        terms = [
            Exchange(self.exchange, self.boundary),
            DzyaloshinskiiMoriya(self.dmi, self.dmi_kind, self.boundary),
            Anisotropy(self.anisotropy),
            Zeeman(self.zeeman),
        ]
        if is_nonzero(self.dipolar):  # a kernel is not made in vain
            terms.append(Dipolar(self.dipolar, self.dipoles(height, width, self.boundary)))
        return [term for term in terms if is_nonzero(term.strength)]

    def energy(self, spins: torch.Tensor) -> torch.Tensor:
        """Total energy, (batch,) in float64; differentiable."""
        self.check(spins)
        total = torch.zeros(len(spins), dtype=torch.float64, device=spins.device)
        return sum((term.energy(spins) for term in self.terms(*spins.shape[-2:])), total)

    def energy_per_site(self, spins: torch.Tensor) -> torch.Tensor:
        """Energy divided by the number of occupied sites, (batch,)."""
        return self.energy(spins) / (spins.detach().norm(dim=1) > 0.5).flatten(1).sum(1)

    def field(self, spins: torch.Tensor) -> torch.Tensor:
        """The effective field -∂E/∂S, shaped as the spins."""
        self.check(spins)
        terms = self.terms(*spins.shape[-2:])
        return sum((term.field(spins) for term in terms), torch.zeros_like(spins))

    def torque(self, spins: torch.Tensor) -> torch.Tensor:
        """Largest |S × field| over the sites, (batch,): zero in a metastable state."""
        torque = torch.linalg.cross(spins, self.field(spins), dim=1)
        return torque.norm(dim=1).flatten(1).amax(1)

    def __repr__(self) -> str:
        dmi = "(ẑ×r_ij)" if self.dmi_kind == "interfacial" else "r_ij"
        parts = [
            (self.exchange, "Σ S_i·S_j"),
            (self.dmi, f"Σ {dmi}·(S_i×S_j)"),
            (self.anisotropy, "Σ S_z²"),
            (self.zeeman, "Σ S_z" if torch.as_tensor(self.zeeman).ndim == 0 else "· Σ S"),
            (self.dipolar, "½ Σ S_i·h_i"),
        ]
        text = " ".join(f"{_signed(value)} {sum_}" for value, sum_ in parts if is_nonzero(value))
        return f"E = {text or '0'}   ({self.boundary})".replace("-", "−")


def _counts_states(name: str, shape: tuple[int, ...]) -> bool:
    """Whether the first dimension of a parameter counts states."""
    return len(shape) == 2 if name == "zeeman" else len(shape) in (1, 3)


def is_nonzero(value: Number | tuple) -> bool:
    """Whether a strength is other than zero in any state, at any site."""
    return bool((torch.as_tensor(value) != 0).any())


def _signed(value: Number | tuple) -> str:
    """A strength with the minus sign its term carries: a number, or the range of a tensor."""
    values = torch.as_tensor(value, dtype=torch.float64)
    if values.ndim == 0:
        return f"{'-' if values > 0 else '+'} {abs(values.item()):.6g}"
    if values.shape[-1] == values.numel() == 3:
        return f"- ({', '.join(f'{v:.6g}' for v in values.flatten().tolist())})"
    return f"- [{values.min().item():.6g} … {values.max().item():.6g}]"
