"""What is measured on states: local stability, similarity in k-space, lattices that fit, onsets."""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
import torch
from scipy import ndimage
from scipy.optimize import OptimizeWarning, curve_fit

from spinlib import symmetry, textures
from spinlib.anneal import quench
from spinlib.hamiltonian import Hamiltonian
from spinlib.similarity import elongation


def local_correlation(spins: torch.Tensor, hamiltonian: Hamiltonian) -> torch.Tensor:
    """cos θ between each spin and its effective field, (batch, height, width); 1 where stable."""
    field = hamiltonian.field(spins)
    length = (spins.norm(dim=1) * field.norm(dim=1)).clamp_min(1e-12)
    return ((spins * field).sum(1) / length).clamp(-1, 1)


def k_space_mse(spins: torch.Tensor) -> float:
    """How much states differ in the reciprocal space, whatever their position.

    The mean, over all pairs of states and all wave vectors, of (|s_i(k)| - |s_j(k)|)², with s(k) =
    FFT(S_z) / N. The modulus does not see translations, so copies of one lattice give zero.
    """
    if len(spins) < 2:
        raise ValueError(f"Similarity needs at least two states, got {len(spins)}.")
    z = spins[:, 2].double()
    amplitude = torch.fft.fft2(z).abs() / z[0].numel()
    # The mean square difference of a pair is twice the variance.
    return 2 * amplitude.var(0, correction=1).mean().item()


@dataclass(frozen=True)
class Onset:
    """Where a quantity falls to half of its early value, with standard error, and how steeply."""

    position: float
    uncertainty: float
    power: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The fitted share of the early value at x."""
        return 1 / (1 + (np.asarray(x) / self.position) ** self.power)


def fit_onset(x: Sequence[float], y: Sequence[float], early: float) -> Onset | None:
    """Fit y / early = 1 / (1 + (x / x_c)^p) and return x_c; None if no crossing is among the data.

    The uncertainty is that of the least-squares fit in log x, but at least what the grid resolves:
    the spacing at the crossing, seen as a uniform distribution, over √12.
    """
    order = np.argsort(x)
    x, y = np.asarray(x, dtype=float)[order], np.asarray(y, dtype=float)[order] / early
    grid = np.unique(x)
    level = np.array([y[x == point].mean() for point in grid])
    below = np.flatnonzero(level < 0.5)
    if not len(below) or below[0] == 0:
        return None
    low, high = np.log(grid[below[0] - 1]), np.log(grid[below[0]])

    def share(log_x, log_position, log_power):
        exponent = np.exp(log_power) * (log_x - log_position)
        return 1 / (1 + np.exp(np.clip(exponent, -50, 50)))

    resolved = (high - low) / math.sqrt(12)
    try:
        with warnings.catch_warnings():  # too few points for a covariance: the grid decides
            warnings.simplefilter("ignore", OptimizeWarning)
            best, covariance = curve_fit(
                *(share, np.log(x), y),
                p0=((low + high) / 2, 1.0),
                bounds=([low - 2, -2], [high + 2, 3]),
            )
        spread = math.sqrt(covariance[0, 0]) if np.isfinite(covariance[0, 0]) else 0.0
    except RuntimeError:  # no minimum found: the crossing itself is still there
        best, spread = ((low + high) / 2, math.log(4)), 0.0
    position = math.exp(best[0])
    return Onset(position, position * max(spread, resolved), math.exp(best[1]))


def commensurate_lattices(
    size: int,
    counts: Sequence[int],
    hamiltonian: Hamiltonian,
    *,
    candidates: int = 12,
    device: torch.device | str = "cpu",
) -> tuple[pd.DataFrame, torch.Tensor]:
    """All-but-exhaustive list of the skyrmion lattices that fit a periodic square box, relaxed.

    A lattice of n skyrmions is given by rows × across = n and the step by which each row is moved
    against the one below, a multiple of 1/rows of the distance within a row. Of these, for every n
    in `counts`, the `candidates` closest to equilateral triangles (longest shortest distance) are
    relaxed by quenching. Returns a table, best first, and the states in its order.
    """
    rows = []
    for count in counts:
        shapes = []
        for down in (d for d in range(1, count + 1) if count % d == 0):
            across = count // down
            for step in range(down):
                centres = _row_lattice(size, across, down, step)
                shapes.append((_shortest(centres, size), across, down, step, centres))
        shapes.sort(key=lambda shape: -round(shape[0], 6))
        rows += [(count, *shape) for shape in shapes[:candidates]]
    start = torch.cat(
        [
            textures.skyrmions((size, size), centres, distance / 2, kind=hamiltonian.dmi_kind)
            for _, distance, *_, centres in rows
        ]
    )
    if torch.as_tensor(hamiltonian.dmi).max() < 0:
        start = symmetry.reverse_dmi(start)
    if torch.as_tensor(hamiltonian.zeeman).reshape(-1)[-1] < 0:  # along z
        start = -start
    unit = float(torch.as_tensor(hamiltonian.exchange).abs().max())
    states = quench(start.to(device), hamiltonian, torque=1e-4 * unit).cpu()
    table = pd.DataFrame(
        {
            "lattice": [f"{a}×{d}, step {s}/{d}" if s else f"{a}×{d}" for _, _, a, d, s, _ in rows],
            "skyrmions": [row[0] for row in rows],
            "energy per site (J)": hamiltonian.energy_per_site(states).numpy(),
            "topological charge": textures.topological_charge(states).round().int().numpy(),
        }
    )
    table = table.sort_values("energy per site (J)", kind="stable")
    # Mirror images, and rows counted along another axis, are the same lattice: their energies agree
    # to what the quench leaves open.
    above = table.groupby(["skyrmions", "topological charge"])["energy per site (J)"].diff()
    table = table[~(above < 1e-6 * unit)]
    return table.reset_index(drop=True), states[torch.tensor(list(table.index))]


def _row_lattice(size: int, across: int, down: int, step: int) -> list[tuple[float, float]]:
    spacing = size / across
    return [
        ((column + row * step / down) * spacing % size, (row + 0.5) * size / down)
        for row in range(down)
        for column in range(across)
    ]


def _shortest(centres: list[tuple[float, float]], size: int) -> float:
    """Distance from the first centre to the nearest other one, or to an image of itself."""
    first = np.array(centres[0])
    away = np.array(centres)[1:] - first
    away -= size * np.round(away / size)
    return float(min([size, *np.hypot(*away.T)] if len(away) else [size]))


def interstitial_site(centres: Sequence[tuple[float, float]], size: int) -> tuple[float, float]:
    """The point of a periodic box that is farthest from all centres, to one site."""
    points = np.array(list(product(range(size), repeat=2)), dtype=float)
    nearest = np.full(len(points), np.inf)
    for centre in centres:
        away = points - np.array(centre)
        away -= size * np.round(away / size)
        nearest = np.minimum(nearest, np.hypot(*away.T))
    return tuple(points[nearest.argmax()])


@dataclass(frozen=True)
class Barrier:
    """Energy along an interpolation: where it peaks, and how high and wide above the plateaux."""

    peak: int  # number of the step with the highest energy above the line between the ends
    height: float  # J per site, above that line
    width: float  # steps, full width at half that height
    plateau: float  # J per site, mean of both ends


def barrier(energies: Sequence[float]) -> Barrier:
    """Measure the barrier in the energies per site along an interpolation."""
    energies = np.asarray(energies, dtype=float)
    excess = energies - np.linspace(energies[0], energies[-1], len(energies))
    peak = int(excess.argmax())
    above = excess >= excess[peak] / 2
    left, right = peak, peak
    while left > 0 and above[left - 1]:
        left -= 1
    while right < len(excess) - 1 and above[right + 1]:
        right += 1
    # Between steps the half height is crossed on a straight line.
    half = excess[peak] / 2
    start = left - (_crossing(excess[left - 1], excess[left], half) if left > 0 else 0)
    end = right + (
        _crossing(excess[right + 1], excess[right], half) if right + 1 < len(above) else 0
    )
    return Barrier(peak, float(excess[peak]), float(end - start), float(energies[[0, -1]].mean()))


def _crossing(outside: float, inside: float, level: float) -> float:
    """Share of the step from inside to outside at which `level` is crossed."""
    return 0.0 if inside == outside else (inside - level) / (inside - outside)


def skyrmion_shapes(spins: torch.Tensor) -> pd.DataFrame:
    """Area (sites) and elongation of every skyrmion core, the connected regions with S_z < 0.

    Elongation is the ratio of the principal axes of a core's sites: 1 for a disc. Edges are
    periodic. Columns: state, area, elongation.
    """
    rows = []
    for number, inside in enumerate((spins[:, 2] < 0).cpu().numpy()):
        rows += [(number, len(y), elongation(y, x)) for y, x in _cores(inside)]
    return pd.DataFrame(rows, columns=["state", "area", "elongation"])


def skyrmion_centres(spins: torch.Tensor) -> list[tuple[float, float]]:
    """Centres (x, y) of the skyrmions of one periodic state: of the connected cores S_z < 0."""
    (inside,) = (spins[:, 2] < 0).cpu().numpy()
    height, width = inside.shape
    return [(float(x.mean() % width), float(y.mean() % height)) for y, x in _cores(inside)]


def _cores(inside: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The sites y, x of every connected region of a periodic map, beyond its edges if need be."""
    height, width = inside.shape
    labels, _ = ndimage.label(np.tile(inside, (3, 3)))
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        y, x = np.nonzero(labels[box] == label)
        y, x = y + box[0].start, x + box[1].start
        # Of the nine copies count the whole one that starts in the first ninth, or next to it: one
        # that touches the outer edge is cut. Of cores up to nearly two boxes long one is not.
        cut = min(y.min(), x.min()) == 0 or y.max() == 3 * height - 1 or x.max() == 3 * width - 1
        if not cut and y.min() <= height and x.min() <= width:
            yield y, x
