"""Spin textures to start from and to compare with, and the topological charge that counts them.

Every maker returns float32 unit vectors (batch, 3, height, width); batch is 1, and they are on the
CPU, except for `random`. Sites lie at integer x (to the right) and y (upwards).
"""

import math
import operator
from collections.abc import Sequence
from contextlib import suppress

import psutil
import torch

from spinlib.hamiltonian import Boundary, Kind, check_spins
from spinlib.kernels import number_of, random_uniform

SMALLEST = 1.5  # sites, the radius of the smallest skyrmion whose charge is -1 wherever it lies

Size = tuple[int, int]  # height, width


def random(
    size: Size, *, seed: int = 0, states: Sequence[int] = (0,), device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Directions uniform on the sphere, one lattice per state index: infinite temperature."""
    size = _checked_size(size, number_of(states))
    u = random_uniform((2, *size), seed=seed, states=states, purpose="random spins", device=device)
    z = 2 * u[:, 0] - 1
    return _from_angles(z, 2 * math.pi * u[:, 1])


def uniform(size: Size, direction: Sequence[float] = (0.0, 0.0, 1.0)) -> torch.Tensor:
    """All spins along one direction, which need not be normalised."""
    size = _checked_size(size)
    vector = torch.tensor(direction, dtype=torch.float32)
    if vector.shape != (3,):
        raise ValueError(f"A direction has three components, got {tuple(direction)}.")
    if not 0 < vector.norm() < math.inf:
        raise ValueError(f"A direction needs a length, got {tuple(direction)}.")
    return (vector / vector.norm())[None, :, None, None].repeat(1, 1, *size)


def helix(size: Size, periods: tuple[int, int], kind: Kind = "interfacial") -> torch.Tensor:
    """A spiral with so many periods along (x, y) of the box, turning the way D > 0 prefers."""
    if not any(periods):
        raise ValueError("A helix has at least one period along x or y, got (0, 0).")
    x, y = _grid(size)
    wave = (periods[0] / size[1], periods[1] / size[0])
    phase = 2 * math.pi * (wave[0] * x + wave[1] * y)
    return _turned(torch.cos(phase), torch.sin(phase), *wave, kind)[None]


def vortex(size: Size, core: float = 5.0, circulation: int = 1) -> torch.Tensor:
    """An in-plane vortex about the middle of the box, its core (radius in sites) along +z."""
    if not core > 0:
        raise ValueError(f"A vortex core has a radius above zero, got core={core}.")
    if circulation not in (1, -1):
        raise ValueError(f"A vortex turns by circulation=1 or -1, got {circulation}.")
    x, y = _grid(size)
    x, y = x - (size[1] - 1) / 2, y - (size[0] - 1) / 2
    radius = torch.sqrt(x**2 + y**2)
    z = torch.exp(-((radius / core) ** 2))
    return _turned(z, torch.sqrt(1 - z**2) * circulation, -x, -y, "bulk")[None]


def skyrmions(
    size: Size,
    centres: Sequence[tuple[float, float]],
    radius: float,
    kind: Kind = "interfacial",
    periodic: bool = True,
) -> torch.Tensor:
    """Skyrmions at centres (x, y), cores along -z in a background along +z, as D > 0 turns them.

    Around each centre the polar angle goes linearly from π to 0 within `radius` sites, or within
    half the distance to the next centre if that is shorter, so that each skyrmion is whole. With
    periodic edges a skyrmion's own images count as well.
    """
    if not radius > 0:
        raise ValueError(f"Skyrmions have a radius above zero, got {radius}.")
    x, y = _grid(size)

    def away(centre: tuple[float, float], x: torch.Tensor, y: torch.Tensor):
        dx, dy = x - centre[0], y - centre[1]
        if periodic:
            dx, dy = (
                dx - size[1] * torch.round(dx / size[1]),
                dy - size[0] * torch.round(dy / size[0]),
            )
        return torch.sqrt(dx**2 + dy**2), dx, dy

    places = torch.tensor(centres, dtype=torch.float32).reshape(-1, 2)
    outwards = torch.ones_like(x)
    away_x, away_y = torch.zeros_like(x), torch.zeros_like(x)
    for number, centre in enumerate(centres):
        gaps = away(centre, *places.T)[0]
        gaps[number] = min(size) if periodic else math.inf  # to its own image
        own = min(radius, 0.5 * gaps.min().item())
        if own < SMALLEST:
            raise ValueError(
                f"The skyrmion at {centre} would have a radius of {own:.3g} sites: it takes "
                f"{SMALLEST} to be one, so make it larger, and twice that to the next."
            )
        distance, dx, dy = away(centre, x, y)
        inside = distance < own
        outwards = torch.where(inside, distance / own, outwards)
        away_x, away_y = torch.where(inside, dx, away_x), torch.where(inside, dy, away_y)
    angle = math.pi * (1 - outwards)
    # Going outwards the spin turns from -z back to +z, against the sense that leads away from +z.
    return _turned(torch.cos(angle), -torch.sin(angle), away_x, away_y, kind)[None]


def skyrmion_lattice(
    size: Size, across: int, down: int, kind: Kind = "interfacial"
) -> torch.Tensor:
    """A commensurate lattice of `across` × `down` skyrmions, every other row moved by half a step.

    The lattice still has to be relaxed, with `spinlib.anneal.quench`.
    """
    if across < 1 or down < 1:
        raise ValueError(f"A lattice has at least one skyrmion each way, got {across} × {down}.")
    if down % 2:
        raise ValueError(
            f"Rows shifted in turn close on themselves for an even number of rows, not {down}."
        )
    height, width = size
    centres = [
        ((column + 0.25 + 0.5 * (row % 2)) * width / across, (row + 0.5) * height / down)
        for row in range(down)
        for column in range(across)
    ]
    radius = 0.5 * min(width / across, math.hypot(width / across / 2, height / down))
    return skyrmions(size, centres, radius, kind)


def topological_charge(spins: torch.Tensor, boundary: Boundary = "periodic") -> torch.Tensor:
    """Number of times the spins wrap the sphere, (batch,): the solid angles of Berg and Lüscher.

    Each plaquette is two spherical triangles (Nucl. Phys. B 190, 412 (1981),
    doi:10.1016/0550-3213(81)90568-X). With periodic edges the charge is an integer; a skyrmion with
    its core along -z counts -1. Spins count by their directions; where one is missing there is no
    triangle.
    """
    if boundary not in ("periodic", "open"):
        raise ValueError(f"The boundary is periodic or open, got {boundary!r}.")
    check_spins(spins)
    whole = here = torch.nn.functional.normalize(spins.double(), dim=1, eps=1e-300)
    if boundary == "periodic":
        right, up = torch.roll(here, -1, -1), torch.roll(here, -1, -2)
        across = torch.roll(right, -1, -2)
    else:
        here, right = here[..., :-1, :-1], here[..., :-1, 1:]
        up, across = whole[..., 1:, :-1], whole[..., 1:, 1:]
    angles = _solid_angle(here, right, across) + _solid_angle(here, across, up)
    return angles.flatten(1).sum(1) / (4 * math.pi)


def _solid_angle(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """Signed area of the spherical triangle between three unit vectors, in -2π … 2π; of zeros 0."""
    volume = (a * torch.linalg.cross(b, c, dim=1)).sum(1)
    cosines = (a * b).sum(1) + (b * c).sum(1) + (c * a).sum(1)
    occupied = (a.any(1) & b.any(1) & c.any(1)).double()
    return 2 * occupied * torch.atan2(volume, 1 + cosines)


def _checked_size(size: Size, states: int = 1) -> Size:
    """A size in Python's own numbers; refuse what is none, and more than there is memory for."""
    whole = []
    with suppress(TypeError):
        whole = [operator.index(n) for n in size] if isinstance(size, Sequence) else []
    if len(whole) != 2 or min(whole) < 1:
        raise ValueError(f"A size is (height, width) with at least one site each way, got {size}.")
    # Spins, and about as much twice over while they are made: float32 each.
    needed, free = 36 * states * math.prod(whole), psutil.virtual_memory().available
    if needed > free:
        raise ValueError(
            f"{states} states of {size[0]}×{size[1]} sites need about {needed / 1e9:.3g} GB of "
            f"memory, but only {free / 1e9:.3g} GB are free; take fewer at a time, or smaller ones."
        )
    return whole[0], whole[1]


def _grid(size: Size) -> tuple[torch.Tensor, torch.Tensor]:
    size = _checked_size(size)
    y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    return x.float(), y.float()


def _from_angles(z: torch.Tensor, azimuth: torch.Tensor) -> torch.Tensor:
    square = (1 - z**2).clamp(min=1e-12)
    # `sqrt` would be MKL's, which has other last bits on processors of another maker.
    across = square * square.rsqrt()
    return torch.stack((across * torch.cos(azimuth), across * torch.sin(azimuth), z), 1)


def _turned(z: torch.Tensor, across, x, y, kind: Kind) -> torch.Tensor:
    """Spins with component z, and `across` the way +z turns when one walks along (x, y).

    For D > 0 an interfacial DMI turns +z towards the direction of walking (Néel), a bulk DMI
    towards its right hand (Bloch).
    """
    if kind not in ("interfacial", "bulk"):
        raise ValueError(f"The kind of DMI is interfacial or bulk, got {kind!r}.")
    x, y = torch.as_tensor(x) * torch.ones_like(z), torch.as_tensor(y) * torch.ones_like(z)
    length = torch.sqrt(x**2 + y**2).clamp(min=1e-12)
    along = (x / length, y / length) if kind == "interfacial" else (y / length, -x / length)
    spins = torch.stack((across * along[0], across * along[1], z))
    return spins / spins.norm(dim=0).clamp(min=1e-12)
