"""The microscope: from spins to the pictures a network sees, and from colours back to spins.

The instrument is one chain, the same for every contrast:

    spins -> quarter turns -> blur and pixels -> vector noise -> contrast -> detector -> drift

Blur and pixels are linear and act on the magnetisation, because that is what an instrument
averages; the contrast is then drawn from the averaged vectors (length <= 1). Every function is
pure, batched, runs where its tensors are, and can be differentiated up to the counting noise.

Arrays are (batch, 3, height, width) spins and (batch, channels, height, width) pictures, float32,
row 0 at the bottom. Grey and RGB pictures run from 0 to 1, `vector` pictures from -1 to 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.special import ive

from spinlib.contrast import (
    Boundary,
    colour,
    in_plane,
    lorentz_defocus,
    normalise,
    perpendicular,
)
from spinlib.kernels import random_normal

# What draws averaged vectors as pictures; two contrasts are not of this form: vectors themselves,
# and one that needs a length.
_DRAWN = {"colour": colour, "perpendicular": perpendicular, "in_plane": in_plane}
CONTRASTS = ("vector", *_DRAWN, "lorentz_defocus")


# --- optics: blur, pixels, crops, turns ----------------------------------------------------------


@lru_cache(maxsize=64)
def _blur_matrix(cells: int, sigma: float, boundary: Boundary) -> np.ndarray:
    """(cells, cells) matrix of a Gaussian blur with standard deviation `sigma` in cells.

    The weights exp(-s^2) I_n(s^2) are the discrete analogue of the Gaussian: their variance is
    exactly s^2, also for a blur of less than one cell. An open edge mirrors the picture, so that
    either boundary keeps the mean.
    """
    reach = math.ceil(7 * sigma) + 5
    offsets = np.arange(-reach, reach + 1)
    weights = ive(np.abs(offsets), sigma**2)
    weights /= weights.sum()
    matrix = np.zeros((cells, cells))
    rows = np.arange(cells)
    for offset, weight in zip(offsets, weights, strict=True):
        columns = rows + offset
        if boundary == "open":
            columns %= 2 * cells
            columns = np.minimum(columns, 2 * cells - 1 - columns)
        np.add.at(matrix, (rows, columns % cells), weight)
    return matrix


@lru_cache(maxsize=64)
def _pixel_matrix(cells: int, pixels: int, width: float, start: float) -> np.ndarray:
    """(pixels, cells) matrix that averages over area: pixel i covers start + [i, i + 1] * width."""
    low = start + width * np.arange(pixels)[:, None]
    cell = np.arange(cells)[None, :]
    overlap = np.minimum(low + width, cell + 1) - np.maximum(low, cell)
    overlap = np.clip(overlap, 0, None)
    return overlap / overlap.sum(axis=1, keepdims=True)


def _apply(field: torch.Tensor, rows: np.ndarray, columns: np.ndarray) -> torch.Tensor:
    """rows @ field @ columns^T over the last two axes."""
    rows_, columns_ = (
        torch.as_tensor(m, dtype=field.dtype, device=field.device) for m in (rows, columns)
    )
    return rows_ @ (field @ columns_.T)


def blur(field: torch.Tensor, sigma: float, boundary: Boundary = "open") -> torch.Tensor:
    """Gaussian blur of the last two axes; `sigma` is the standard deviation in cells."""
    if sigma == 0:
        return field
    height, width = field.shape[-2:]
    return _apply(
        field, _blur_matrix(height, sigma, boundary), _blur_matrix(width, sigma, boundary)
    )


def resample(
    field: torch.Tensor, shape: tuple[int, int], pixel: float | None = None
) -> torch.Tensor:
    """Area average of the last two axes to `shape` (height, width) pixels, at any ratio.

    A pixel takes the mean of what lies under it, with fractions of cells, and repeats it if it is
    smaller than a cell. The pixels cover the whole field, whose mean is kept; with `pixel`, their
    side in cells, they cover the middle of it.
    """
    cells = field.shape[-2:]
    widths = [n / p if pixel is None else pixel for n, p in zip(cells, shape, strict=True)]
    return _apply(
        field,
        *(
            _pixel_matrix(n, p, width, (n - p * width) / 2)
            for n, p, width in zip(cells, shape, widths, strict=True)
        ),
    )


def crop(
    field: torch.Tensor, shape: tuple[int, int], corner: tuple[int, int] | None = None
) -> torch.Tensor:
    """Part of `shape` (height, width) whose lowest row and column are `corner`; else centred."""
    height, width = field.shape[-2:]
    bottom, left = corner or ((height - shape[0]) // 2, (width - shape[1]) // 2)
    if min(bottom, left) < 0 or bottom + shape[0] > height or left + shape[1] > width:
        raise ValueError(
            f"A crop of {shape[0]}x{shape[1]} at row {bottom}, column {left} does not lie inside "
            f"a picture of {height}x{width}; choose a smaller crop or another corner."
        )
    return field[..., bottom : bottom + shape[0], left : left + shape[1]]


def rotate(spins: torch.Tensor, quarter_turns: int) -> torch.Tensor:
    """The sample turned counter-clockwise by 90 degree steps: places and vectors turn together."""
    turns = quarter_turns % 4
    x, y, z = torch.rot90(spins, turns, dims=(-1, -2)).unbind(dim=1)
    for _ in range(turns):
        x, y = -y, x
    return torch.stack([x, y, z], dim=1)


# --- noise ---------------------------------------------------------------------------------------
#
# Row i of a batch takes the random numbers of `states[i]` (by default of state i) under `seed`,
# whatever batch the state is in; `draw` counts repeated looks at one state, as epochs do.

States = Sequence[int] | torch.Tensor | None


def _normal(
    pictures: torch.Tensor, shape, purpose: str, seed: int, states: States, draw: int
) -> torch.Tensor:
    """Standard normal numbers (batch, *shape) for a batch of pictures, where the pictures are."""
    states = range(len(pictures)) if states is None else states
    if len(states) != len(pictures):
        raise ValueError(
            f"{len(states)} state indices for {len(pictures)} states; give one index per state."
        )
    return random_normal(
        shape, seed=seed, states=states, purpose=purpose, draw=draw, device=pictures.device
    )


def vector_noise(
    spins: torch.Tensor,
    strength: float | torch.Tensor,
    *,
    seed: int = 0,
    states: States = None,
    draw: int = 0,
) -> torch.Tensor:
    """Noise of study 2: S* = |S| normalise(S + strength R), R a random unit vector per site.

    For unit vectors this is the paper's S* = normalise(S + eta R). Vectors that blur has shortened
    keep their length and vacancies stay empty. `strength` is a number or one per state (batch,).
    """
    drawn = isinstance(strength, torch.Tensor) and strength.is_cuda
    strength = torch.as_tensor(strength, dtype=spins.dtype, device=spins.device)
    # Strengths that were drawn on a GPU are not asked for: training would have to wait for them.
    if not drawn and not bool((strength >= 0).all()):
        raise ValueError(
            f"Vector noise has a strength of 0 or more; {float(strength.min()):g} was given."
        )
    direction = normalise(_normal(spins, spins.shape[1:], "vector noise", seed, states, draw))
    length = spins.square().sum(dim=1, keepdim=True).clamp_min(1e-30).sqrt()
    return length * normalise(spins + strength.reshape(-1, 1, 1, 1) * direction)


def gaussian_noise(
    pictures: torch.Tensor, sigma: float, *, seed: int = 0, states: States = None, draw: int = 0
) -> torch.Tensor:
    """Readout noise: adds normal numbers of standard deviation `sigma` to every channel."""
    noise = _normal(pictures, pictures.shape[1:], "readout noise", seed, states, draw)
    return pictures + sigma * noise


def poisson_noise(
    pictures: torch.Tensor, counts: float, *, seed: int = 0, states: States = None, draw: int = 0
) -> torch.Tensor:
    """Counting noise: Poisson numbers of mean `counts * picture`, divided by `counts`.

    `counts` is the number of quanta in a pixel of brightness 1; brightness below 0 counts none.
    """
    mean = counts * pictures.clamp_min(0)
    normal = _normal(pictures, pictures.shape[1:], "counting noise", seed, states, draw)
    return _poisson(mean, normal) / counts


def _poisson(mean: torch.Tensor, normal: torch.Tensor) -> torch.Tensor:
    """Poisson numbers from standard normal ones, through the inverse distribution function.

    Up to a mean of 12 the distribution is summed until it passes the uniform number Phi(normal).
    Above, the Cornish-Fisher series of the quantile (to third order in 1/sqrt(mean)) is rounded;
    rounding adds a variance of 1/12, which is taken off before.
    """
    z = normal
    root = (mean - 1 / 12).clamp_min(1).sqrt()
    numbers = (mean + root * z + (z * z - 1) / 6 + (z - z**3) / (72 * root)).round().clamp_min(0)
    few = mean < 12
    if bool(few.any()):
        rate, uniform = mean[few].double(), torch.special.ndtr(z[few].double())
        term = torch.exp(-rate)
        total, found = term.clone(), torch.zeros_like(rate)
        # P(N > 60) < 1e-21 for a mean of 12: below the resolution of the uniform number.
        for count in range(1, 61):
            found += uniform > total
            term = term * rate / count
            total += term
        numbers[few] = found.to(numbers.dtype)
    return numbers


def drift(
    pictures: torch.Tensor,
    contrast: float,
    brightness: float,
    *,
    seed: int = 0,
    states: States = None,
    draw: int = 0,
) -> torch.Tensor:
    """Settings that wander from picture to picture: 1/2 + (1 + c)(picture - 1/2) + b.

    c and b are normal numbers of standard deviation `contrast` and `brightness`, one pair per
    picture, common to its channels.
    """
    c, b = _normal(pictures, (2,), "drift", seed, states, draw).unbind(dim=1)
    gain = (1 + contrast * c).reshape(-1, 1, 1, 1)
    return 0.5 + gain * (pictures - 0.5) + (brightness * b).reshape(-1, 1, 1, 1)


# --- the instrument ------------------------------------------------------------------------------


LARGEST = 1e6  # of any setting: white is 1, and lengths are compared with the cell's as well
MAX_PIXELS = 100_000_000  # of a picture


def _is_number(value: object) -> bool:
    # Compared, because math.isfinite stumbles over integers beyond all floats.
    return isinstance(value, int | float | np.number) and -math.inf < value < math.inf


@dataclass(frozen=True)
class Microscope:
    """An instrument: call it with spins and their cell, get pictures.

    >>> see = Microscope("colour", pixel_size=2.34e-9, blur=5e-9, noise=0.05)
    >>> pictures = see(spins, 4e-9, seed=1)

    Lengths are in the unit of `cell`: metres for films, sites (cell 1) for lattices. The field
    of view is centred on the sample and counts `shape` pixels of `pixel_size`; with only one of
    the two given it is as large as the sample allows, and with neither a pixel is a cell. The
    same seed and state give the same noise whatever batch the state is in.
    """

    contrast: str = "colour"
    pixel_size: float | None = None  # side of a pixel
    shape: tuple[int, int] | None = None  # pixels (height, width) of the picture
    blur: float = 0.0  # standard deviation of the Gaussian point spread
    noise: float = 0.0  # strength of the vector noise of study 2, per pixel
    readout: float = 0.0  # standard deviation of the detector's Gaussian noise; white is 1
    counts: float | None = None  # quanta per white pixel for Poisson noise; None: no such noise
    contrast_drift: float = 0.0  # standard deviation of the relative contrast between pictures
    brightness_drift: float = 0.0  # standard deviation of the brightness between pictures
    quarter_turns: int = 0  # the sample turned counter-clockwise by this many right angles
    defocus: float = 0.0  # lorentz_defocus only: the electron displacement, a length with sign
    boundary: Boundary = "open"  # what blur and defocus meet beyond the edge

    def __post_init__(self) -> None:
        if not (isinstance(self.contrast, str) and self.contrast in CONTRASTS):
            raise ValueError(
                f"There is no contrast {self.contrast!r}; choose one of {', '.join(CONTRASTS)}."
            )
        if not (isinstance(self.boundary, str) and self.boundary in ("open", "periodic")):
            raise ValueError(f"The boundary is 'open' or 'periodic', not {self.boundary!r}.")
        for name in ("blur", "noise", "readout", "contrast_drift", "brightness_drift"):
            value = getattr(self, name)
            if not (_is_number(value) and 0 <= value <= LARGEST):
                raise ValueError(
                    f"The microscope's {name} is {value!r}; give a number >= 0, and sensibly small."
                )
        for name in ("pixel_size", "counts"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and 0 < value <= LARGEST):
                raise ValueError(f"The microscope's {name} is {value!r}; give a number > 0.")
        if not (_is_number(self.quarter_turns) and self.quarter_turns == int(self.quarter_turns)):
            raise ValueError(
                f"The microscope's quarter_turns are a whole number, not {self.quarter_turns!r}."
            )
        if not (_is_number(self.defocus) and abs(self.defocus) <= LARGEST):
            raise ValueError(f"The microscope's defocus is a length, not {self.defocus!r}.")
        if self.shape is not None:
            whole = isinstance(self.shape, tuple | list) and len(self.shape) == 2
            if not whole or not all(_is_number(n) and n == int(n) for n in self.shape):
                raise ValueError(
                    f"The microscope's shape is (height, width) in pixels, not {self.shape!r}."
                )
            if min(self.shape) < 1:
                raise ValueError(
                    f"A picture with the shape {self.shape} is empty; give at least (1, 1)."
                )
        if (self.contrast == "lorentz_defocus") != (self.defocus != 0):
            raise ValueError(
                f"Contrast {self.contrast!r} with defocus {self.defocus!r}: the contrast "
                "'lorentz_defocus' needs a defocus other than 0, and no other contrast takes one."
            )

    def geometry(self, size: tuple[int, int], cell: float) -> tuple[tuple[int, int], float]:
        """Picture shape (height, width) and pixel side for a sample of `size` cells."""
        if not (_is_number(cell) and cell > 0):
            raise ValueError(f"A cell of side {cell!r} cannot be looked at; give a number > 0.")
        for name, length in (("blur", self.blur), ("defocus", self.defocus)):
            if abs(length) > 1000 * max(size) * cell:
                raise ValueError(
                    f"A {name} of {length:g} is a thousand times larger than the sample of "
                    f"{size[0]}x{size[1]} cells of {cell:g}; give it in the unit of the cell."
                )
        if self.quarter_turns % 2:
            size = size[::-1]
        shape, pixel = self.shape, self.pixel_size
        if pixel is None:
            pixel = (
                cell
                if shape is None
                else cell * min(n / p for n, p in zip(size, shape, strict=True))
            )
        if not 1e-3 * cell <= pixel <= 2 * max(size) * cell:
            raise ValueError(
                f"A pixel_size of {pixel:g} does not suit {size[0]}x{size[1]} cells of {cell:g}; "
                "give it in the unit of the cell."
            )
        # The small excess lets a sample of exactly n pixels have n of them in spite of rounding.
        largest = tuple(int(n * cell / pixel * (1 + 1e-9)) for n in size)
        shape = largest if shape is None else shape
        if min(shape) < 1 or any(p > n for p, n in zip(shape, largest, strict=True)):
            raise ValueError(
                f"A picture of {shape[0]}x{shape[1]} pixels of {pixel:g} does not fit on a sample "
                f"of {size[0]}x{size[1]} cells of {cell:g}: there is room for {largest[0]}x"
                f"{largest[1]} pixels. Choose fewer or smaller pixels."
            )
        if shape[0] * shape[1] > MAX_PIXELS:
            raise ValueError(
                f"A picture of {shape[0]}x{shape[1]} pixels has more than {MAX_PIXELS / 1e6:g} "
                f"million: choose larger pixels than a pixel_size of {pixel:g}."
            )
        return shape, pixel

    def __call__(
        self,
        spins: torch.Tensor,
        cell: float = 1.0,
        *,
        seed: int = 0,
        states: States = None,
        draw: int = 0,
    ) -> torch.Tensor:
        """Pictures (batch, channels, height, width) of `spins` with cells of side `cell`.

        The noise is a pure function of `seed`, the state's index in `states` (0, 1, ... if not
        given) and `draw`, the count of looks at the same state.
        """
        if spins.ndim != 4 or spins.shape[1] != 3:
            raise ValueError(
                f"Spins are (batch, 3, height, width); these are {tuple(spins.shape)}."
            )
        shape, pixel = self.geometry(tuple(spins.shape[-2:]), cell)
        stream = {"seed": seed, "states": states, "draw": draw}
        vectors = rotate(spins, self.quarter_turns) if self.quarter_turns % 4 else spins
        if self.contrast == "perpendicular" and self.noise == 0:
            vectors = vectors[:, 2:]  # spares the optics of two components that nobody sees
        vectors = self._optics(vectors, shape, pixel / cell, self.blur / cell)
        if self.noise:
            vectors = vector_noise(vectors, self.noise, **stream)
        pictures = self._develop(vectors, self.defocus / pixel)
        return self._detect(pictures, stream)

    def _optics(
        self, field: torch.Tensor, shape: tuple[int, int], pixel: float, sigma: float
    ) -> torch.Tensor:
        """Blur and pixels at once; both lengths in cells."""
        cells = tuple(field.shape[-2:])
        if sigma == 0 and pixel == 1 and shape == cells:
            return field
        matrices = []
        for n, p in zip(cells, shape, strict=True):
            matrix = _pixel_matrix(n, p, pixel, (n - p * pixel) / 2)
            if sigma:
                matrix = matrix @ _blur_matrix(n, sigma, self.boundary)
            matrices.append(matrix)
        return _apply(field, *matrices)

    def _develop(self, vectors: torch.Tensor, displacement: float) -> torch.Tensor:
        if self.contrast == "vector":
            return vectors
        if self.contrast == "lorentz_defocus":
            return lorentz_defocus(vectors, displacement, self.boundary)
        return _DRAWN[self.contrast](vectors)

    def _detect(self, pictures: torch.Tensor, stream: dict) -> torch.Tensor:
        """Noise and drift of the detector, which sees components -1..1 as brightness 0..1."""
        signed = self.contrast == "vector"
        if self.counts or self.readout or self.contrast_drift or self.brightness_drift:
            pictures = (1 + pictures) / 2 if signed else pictures
            if self.counts:
                pictures = poisson_noise(pictures, self.counts, **stream)
            if self.readout:
                pictures = gaussian_noise(pictures, self.readout, **stream)
            if self.contrast_drift or self.brightness_drift:
                pictures = drift(pictures, self.contrast_drift, self.brightness_drift, **stream)
            pictures = 2 * pictures - 1 if signed else pictures
        return pictures
