"""What domain pictures show: stripe period, domain size, wall profile, texture, and their units.

Pictures are vectors (batch, 3, height, width); lengths are in sites, that is pixels, unless named
otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.optimize import curve_fit

from spinlib.contrast import normalise
from spinlib.errors import bootstrap
from spinlib.hamiltonian import Boundary, check_spins

BOHR_MAGNETON = 9.2740100783e-24  # J/T
VACUUM_PERMEABILITY_4PI = 1e-7  # T m/A: mu0 / 4 pi
MILLI_ELECTRON_VOLT = 1.602176634e-22  # J

USUAL = (0.005, 0.995)  # quantiles of the known pictures between which nothing is strange
# Bounds for contrast, of which the network knows nothing as it sees unit vectors: blur shortens
# vectors in walls and readout noise scatters them, but most of a picture is domains of full length.
CONTRAST = {"vector length": (0.8, 1.1), "length spread": (0.0, 0.15)}
_FIND = (
    2.0  # sites by which m_z is smoothed to find walls; less lets noise sharpen the mean profile
)
_FLAT = 0.02  # variance of m_z below which a picture has no domains whose period could be told
# Nor has it any if its strongest wave is below so many times the scatter of the noise's: of n waves
# of noise the strongest has ln n, 7 to 10, and one picture in a thousand has one above 16.
_STANDS_OUT = 16


def _check_boundary(boundary: str) -> None:
    if boundary not in ("periodic", "open"):
        raise ValueError(f"The boundary is periodic or open, not {boundary!r}.")


# --- stripe period -------------------------------------------------------------------------------


def structure_factor(
    spins: torch.Tensor, boundary: Boundary = "periodic"
) -> tuple[np.ndarray, np.ndarray]:
    """|k| in radians per site, (height, width), and the power of m_z, (batch, height, width).

    The power sums to the variance of m_z. White noise, seen as the mean power beyond the largest
    k along an axis, is taken off. A picture with `open` edges is faded out towards them (Hann).
    """
    check_spins(spins)
    _check_boundary(boundary)
    m_z = spins[:, 2].double().cpu().numpy()
    height, width = m_z.shape[-2:]
    m_z = m_z - m_z.mean((-2, -1), keepdims=True)
    if boundary == "open":
        window = np.outer(*(np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 for n in (height, width)))
        window /= np.sqrt((window**2).mean())
        m_z = (m_z - (m_z * window).mean((-2, -1), keepdims=True) / window.mean()) * window
    power = np.abs(np.fft.fft2(m_z) / (height * width)) ** 2
    k = 2 * np.pi * np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    beyond = k > np.pi  # none in a single row
    noise = power[:, beyond].mean(1) if beyond.any() else np.zeros(len(power))
    return k, power - noise[:, None, None]


def stripe_period(spins: torch.Tensor, boundary: Boundary = "periodic") -> np.ndarray:
    """Mean period of stripe or labyrinth domains in sites, (batch,); NaN where there are none.

    It is 2π over the mean |k| of the structure factor's ring: the power within half of that mean on
    either side of it, which leaves the harmonics out that sharp walls add. With open edges two
    periods are read some 10 % off (of 48 sites as 43.2 across 96², as 52.6 across 192 × 96), three
    2 to 5 %, five or more across the shorter side within 1 or 2 %.
    """
    k, power = structure_factor(spins, boundary)
    ring = np.rint(k * max(k.shape) / (2 * np.pi)).astype(int)
    modes = np.bincount(ring.ravel()).clip(1)  # a narrow picture has none in some rings
    periods = np.full(len(power), np.nan)
    beyond = k > np.pi
    for number, spectrum in enumerate(power):
        noise = spectrum[beyond].std() if beyond.any() else 0.0
        if spectrum.sum() < _FLAT or spectrum.max() < _STANDS_OUT * noise:
            continue
        radial = np.bincount(ring.ravel(), spectrum.ravel()) / modes
        peak = 1 + int(np.argmax(radial[1 : max(k.shape) // 2 + 1]))
        mean = 2 * np.pi * peak / max(k.shape)
        for _ in range(100):
            near = (k > 0.5 * mean) & (k < 1.5 * mean)
            total = spectrum[near].sum()
            if total <= 0:
                break
            mean, before = (spectrum[near] * k[near]).sum() / total, mean
            if abs(mean - before) < 1e-9:
                break
        periods[number] = 2 * np.pi / mean
    return periods


# --- domains of any shape ------------------------------------------------------------------------


def domain_size(m_z: torch.Tensor, cell: float = 1.0) -> np.ndarray:
    """Area per length of wall, (batch,): the width of domains if they were stripes; inf of one.

    m_z     (batch, height, width), periodic
    cell    side of a cell; the result is in its unit

    By Cauchy and Crofton: lines across walls of all directions, of length L per area, cross
    2 L / π of them per unit length. Lines along x and along y are counted, so it is right for walls
    in all directions alike; straight stripes along an axis come out too wide by 4/π, diagonal ones
    too narrow by a tenth.
    """
    if m_z.ndim != 3:
        raise ValueError(f"m_z is (batch, height, width), got {tuple(m_z.shape)}.")
    crossings = []
    for up in (m_z > 0).split(256):
        both = [(up != up.roll(1, axis)).float().mean((-2, -1)) for axis in (-1, -2)]
        crossings.append(sum(both) / 2)
    return (2 / np.pi * cell / torch.cat(crossings).double()).cpu().numpy()


# --- walls ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wall:
    """The mean profile of the walls in a picture, a tanh((x - c) / w) fitted to it, and errors.

    distance, profile   sites from the wall, and mean m_z there, from the black side to the white
    width, centre       w and c in sites; `amplitude` is a, below 1 where noise shortens m_z
    width_error         standard error of w: pieces of wall are drawn again
    crossings           profiles that the mean is made of
    """

    distance: np.ndarray
    profile: np.ndarray
    width: float
    width_error: float
    centre: float
    amplitude: float
    crossings: int


def wall(spins: torch.Tensor, *, reach: int = 6, boundary: Boundary = "periodic") -> Wall:
    """Profile of m_z across the domain walls of one picture (3, height, width), and its fit.

    Walls are the zero lines of m_z (smoothed by two sites to find them and their direction, not to
    measure them). Each place where one passes between two sites gives a profile along its normal,
    by cubic interpolation; a profile that meets another wall or an edge within `reach` is left out.
    """
    if spins.ndim != 3 or len(spins) != 3:
        raise ValueError(f"A picture is (3, height, width), got {tuple(spins.shape)}.")
    if reach < 2:
        raise ValueError(f"The profile of a wall reaches at least 2 sites, not {reach}.")
    _check_boundary(boundary)
    m_z = spins[2].double().cpu().numpy()
    profiles, pieces = _profiles(m_z, reach, boundary)
    if len(profiles) < 3:
        raise ValueError(
            f"The picture has {len(profiles)} places where a wall stands alone for {reach} sites "
            "on either side; a profile needs a few: choose a smaller reach or another picture."
        )
    distance = np.linspace(-reach, reach, 8 * reach + 1)
    profile = profiles.mean(0)
    amplitude, centre, width = _fit(distance, profile)
    # Neighbouring profiles share their sites, so whole pieces of wall are drawn again.
    names, place = np.unique(pieces, return_inverse=True)
    sums = np.zeros((len(names), 1 + profiles.shape[1]))
    np.add.at(sums, place, np.column_stack((np.ones(len(profiles)), profiles)))

    def refit(chosen: np.ndarray) -> float:
        return _fit(distance, chosen[:, 1:].sum(0) / chosen[:, 0].sum())[2]

    error = float(bootstrap(refit, sums).std()) if len(names) > 1 else float("nan")
    return Wall(distance, profile, width, error, centre, amplitude, len(profiles))


def _profiles(m_z: np.ndarray, reach: int, boundary: Boundary) -> tuple[np.ndarray, np.ndarray]:
    """m_z along the normals of its walls, (crossings, samples), and the piece each belongs to."""
    mode = "grid-wrap" if boundary == "periodic" else "mirror"
    smooth = gaussian_filter(m_z, _FIND, mode="wrap" if boundary == "periodic" else "mirror")
    if boundary == "periodic":
        slope = [(np.roll(smooth, -1, axis) - np.roll(smooth, 1, axis)) / 2 for axis in (0, 1)]
    else:
        slope = np.gradient(smooth)
    places, normals = [], []
    for axis in (0, 1):
        after = np.roll(smooth, -1, axis)
        # A wall is met once: along the axis that is nearer to its normal.
        steep = np.abs(slope[axis]) >= np.abs(slope[1 - axis])
        crossed = np.argwhere(((smooth < 0) != (after < 0)) & steep)
        at = tuple(crossed.T)
        share = smooth[at] / (smooth[at] - after[at])
        place = crossed.astype(float)
        place[:, axis] += share
        normal = np.stack([map_coordinates(s, place.T, order=1, mode=mode) for s in slope], 1)
        places.append(place)
        normals.append(normal / np.linalg.norm(normal, axis=1, keepdims=True).clip(1e-12))
    place, normal = np.concatenate(places), np.concatenate(normals)
    if boundary == "open":
        inside = ((place > reach) & (place < np.array(m_z.shape) - 1 - reach)).all(1)
        place, normal = place[inside], normal[inside]
    distance = np.linspace(-reach, reach, 8 * reach + 1)
    line = (place[:, :, None] + normal[:, :, None] * distance).swapaxes(0, 1)
    guide = map_coordinates(smooth, line, order=1, mode=mode)
    alone = (guide[:, distance > 1] > 0).all(1) & (guide[:, distance < -1] < 0).all(1)
    profiles = map_coordinates(m_z, line[:, alone], order=3, mode=mode)
    pieces = (place[alone] // 16).astype(int)
    return profiles, pieces[:, 0] * 10_000 + pieces[:, 1]


def _fit(distance: np.ndarray, profile: np.ndarray) -> tuple[float, float, float]:
    """Amplitude, centre and width of a tanh((x - c) / w)."""

    def wall_of(x, amplitude, centre, width):
        return amplitude * np.tanh((x - centre) / width)

    start = (max(0.1, float(np.abs(profile).max())), 0.0, 2.0)
    bounds = ([0.0, -5.0, 0.1], [2.0, 5.0, 50.0])
    (amplitude, centre, width), _ = curve_fit(wall_of, distance, profile, start, bounds=bounds)
    return float(amplitude), float(centre), float(width)


# --- is a picture like those that were trained on? -----------------------------------------------


def texture(pictures: torch.Tensor, boundary: Boundary = "open") -> pd.DataFrame:
    """Numbers that tell kinds of pictures apart, one row each; vectors as the instrument gave them.

    vector length     median of |S|; 1 if the three components belong to unit vectors
    length spread     mean absolute deviation of |S| from that median, relative to it
    alignment         mean S·S' of neighbouring sites: noise and fineness lower it
    out of plane      mean |m_z|
    net m_z           |mean of m_z|: domains of one colour prevail
    waves per site    1 / stripe period, 0 without stripes
    """
    length = pictures.float().square().sum(1).sqrt().flatten(1)
    middle = length.median(1).values
    spins = normalise(pictures.float())
    right = (spins[..., 1:] * spins[..., :-1]).sum(1).mean((-2, -1))
    up = (spins[..., 1:, :] * spins[..., :-1, :]).sum(1).mean((-2, -1))
    return pd.DataFrame(
        {
            "vector length": middle.cpu().numpy(),
            "length spread": (
                ((length - middle[:, None]).abs().mean(1) / middle.clamp_min(1e-9)).cpu().numpy()
            ),
            "alignment": ((right + up) / 2).cpu().numpy(),
            "out of plane": spins[:, 2].abs().mean((-2, -1)).cpu().numpy(),
            "net m_z": spins[:, 2].mean((-2, -1)).abs().cpu().numpy(),
            "waves per site": np.nan_to_num(1 / stripe_period(spins, boundary)),
        }
    )


def strangeness(found: pd.DataFrame, known: pd.DataFrame) -> list[str]:
    """Sentences that say in what pictures differ from the known ones; none if they do not.

    `found` and `known` are tables of `texture`, the first of the panels of one picture. A number
    counts as strange if its median over the panels lies outside `CONTRAST`, or else outside the
    quantiles `USUAL` of the known ones (which will do for the whole table).
    """
    sentences = []
    for name in found:
        low, high = CONTRAST.get(name) or known[name].quantile(list(USUAL))
        value = found[name].median()
        if not low <= value <= high:
            sentences.append(
                f"The picture's {name} is {value:.3g}, but should lie between {low:.3g} and "
                f"{high:.3g}, as in the pictures that were trained on."
            )
    return sentences


# --- units ---------------------------------------------------------------------------------------


def dipolar_energy(layers: Sequence[tuple[int, float]], lattice_constant: float) -> float:
    """D_L = mu0/4π (Σ d μ)² / a³ in meV, of a stack of layers that act as one.

    `layers` are pairs: how many, d, and the moment μ of their atoms in Bohr magnetons. The lattice
    constant a is in metres.
    """
    moment = BOHR_MAGNETON * sum(count * moment for count, moment in layers)
    return VACUUM_PERMEABILITY_4PI * moment**2 / lattice_constant**3 / MILLI_ELECTRON_VOLT


def wall_width_nm(width: float, pixel_size_nm: float) -> float:
    """Width πw of a wall tanh(x / w) in nanometres."""
    return np.pi * width * pixel_size_nm
