"""The microscope: from spins to the pictures a network sees.

The instrument is one chain, the same for every contrast:

    spins -> blur and pixels -> vector noise -> contrast -> detector -> drift

Blur and pixels are linear and act on the magnetisation, because that is what an instrument
averages; the contrast is then drawn from the averaged vectors (length <= 1). All of it is pure,
batched, runs where its tensors are, and can be differentiated up to the counting noise. The parts
are in `optics`, `noise` and `contrast`, which also reads colours back as spins.

Arrays are (batch, 3, height, width) spins and (batch, channels, height, width) pictures, float32,
row 0 at the bottom. Grey and RGB pictures run from 0 to 1, `vector` pictures from -1 to 1.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from spinlib.contrast import (
    colour,
    component,
    in_plane,
    lorentz_defocus,
    magnetic_force,
    perpendicular,
)
from spinlib.hamiltonian import Boundary, check_spins
from spinlib.noise import States, drift, gaussian_noise, poisson_noise, vector_noise
from spinlib.optics import blur_and_resample, crop

# What draws averaged vectors as pictures; four contrasts are not of this form: vectors themselves,
# and those that have settings of their own.
_DRAWN = {"colour": colour, "perpendicular": perpendicular, "in_plane": in_plane}
CONTRASTS = ("vector", *_DRAWN, "component", "lorentz_defocus", "magnetic_force")
_LENGTHS = {"defocus": "lorentz_defocus", "lift": "magnetic_force", "thickness": "magnetic_force"}
_NEEDED = _LENGTHS | {"polar": "component"}

_REACH = 8  # lifts and thicknesses: from farther away a tip feels a mirror as well as the film
LARGEST = 1e6  # of any setting: white is 1, and lengths are compared with the cell's as well
MAX_PIXELS = 100_000_000  # of a picture


def _is_number(value: object) -> bool:
    # Compared, because math.isfinite stumbles over integers beyond all floats.
    return isinstance(value, int | float | np.number) and -math.inf < value < math.inf


def _room(size: tuple[int, int], cell: float, pixel: float) -> tuple[int, int]:
    """How many whole pixels (height, width) a sample of `size` cells has."""
    # The small excess lets a sample of exactly n pixels have n of them in spite of rounding.
    height, width = (int(n * cell / pixel * (1 + 1e-9)) for n in size)
    return height, width


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
    polar: float = 0.0  # component only: degrees from +z to the direction that is white
    azimuth: float = 0.0  # component only: of this direction in the plane, degrees from +x to +y
    defocus: float = 0.0  # lorentz_defocus only: the electron displacement, a length with sign
    lift: float = 0.0  # magnetic_force only: of the tip's pole above the film, a length
    thickness: float = 0.0  # magnetic_force only: of the film, a length
    boundary: Boundary = "open"  # what blur, defocus and the tip meet beyond the edge

    def __post_init__(self) -> None:
        if not (isinstance(self.contrast, str) and self.contrast in CONTRASTS):
            raise ValueError(
                f"There is no contrast {self.contrast!r}; choose one of {', '.join(CONTRASTS)}."
            )
        if not (isinstance(self.boundary, str) and self.boundary in ("open", "periodic")):
            raise ValueError(f"The boundary is 'open' or 'periodic', not {self.boundary!r}.")
        names = ("blur", "noise", "readout", "contrast_drift", "brightness_drift")
        for name in (*names, "lift", "thickness"):
            value = getattr(self, name)
            if not (_is_number(value) and 0 <= value <= LARGEST):
                raise ValueError(
                    f"The microscope's {name} is {value!r}; give a number >= 0, and sensibly small."
                )
        for name in ("pixel_size", "counts"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and 0 < value <= LARGEST):
                raise ValueError(f"The microscope's {name} is {value!r}; give a number > 0.")
        if not (_is_number(self.polar) and 0 <= self.polar <= 180):
            raise ValueError(f"The microscope's polar is {self.polar!r}; give 0 to 180 degrees.")
        if not (_is_number(self.azimuth) and abs(self.azimuth) <= 360):
            raise ValueError(
                f"The microscope's azimuth is {self.azimuth!r}; give -360 to 360 degrees."
            )
        if self.azimuth and self.contrast != "component":
            raise ValueError(
                f"Contrast {self.contrast!r} has no azimuth; only 'component' takes one."
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
        for name, contrast in _NEEDED.items():
            if (self.contrast == contrast) != ((value := getattr(self, name)) != 0):
                raise ValueError(
                    f"Contrast {self.contrast!r} with {name} {value!r}: the contrast {contrast!r} "
                    f"needs a {name} other than 0, and no other contrast takes one."
                )

    def geometry(self, size: tuple[int, int], cell: float) -> tuple[tuple[int, int], float]:
        """Picture shape (height, width) and pixel side for a sample of `size` cells."""
        if not (_is_number(cell) and cell > 0):
            raise ValueError(f"A cell of side {cell!r} cannot be looked at; give a number > 0.")
        for name in ("blur", *_LENGTHS):
            if abs(length := getattr(self, name)) > 1000 * max(size) * cell:
                raise ValueError(
                    f"A {name} of {length:g} is a thousand times larger than the sample of "
                    f"{size[0]}x{size[1]} cells of {cell:g}; give it in the unit of the cell."
                )
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
        largest = _room(size, cell, pixel)
        shape = largest if shape is None else (int(shape[0]), int(shape[1]))
        if min(shape) < 1 or any(p > n for p, n in zip(shape, largest, strict=True)):
            raise ValueError(
                f"A picture of {shape[0]}x{shape[1]} pixels of {pixel:g} does not fit on a sample "
                f"of {size[0]}x{size[1]} cells of {cell:g}: there is room for {largest[0]}x"
                f"{largest[1]} pixels. Choose fewer or smaller pixels."
            )
        high, wide = self._felt(shape, largest, pixel)
        if high * wide > MAX_PIXELS:
            raise ValueError(
                f"A picture of {high}x{wide} pixels has more than {MAX_PIXELS / 1e6:g} "
                f"million: choose larger pixels than a pixel_size of {pixel:g}."
            )
        return shape, pixel

    def _felt(self, shape: tuple[int, int], room: tuple[int, int], pixel: float) -> tuple[int, int]:
        """Pixels that a picture depends on: a tip feels what lies beyond, to all sides alike."""
        if self.contrast != "magnetic_force":
            return shape
        reach = math.ceil(_REACH * (self.lift + self.thickness) / pixel)
        high, wide = (n + 2 * min((m - n) // 2, reach) for n, m in zip(shape, room, strict=True))
        return high, wide

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
        check_spins(spins)
        shape, pixel = self.geometry(tuple(spins.shape[-2:]), cell)
        stream = {"seed": seed, "states": states, "draw": draw}
        vectors, seen = spins, shape  # of which a part is shown in the end
        shape = self._felt(seen, _room(tuple(spins.shape[-2:]), cell, pixel), pixel)
        if self.contrast == "perpendicular" and self.noise == 0:
            vectors = spins[:, 2:]  # spares the optics of two components that nobody sees
        vectors = blur_and_resample(vectors, self.blur / cell, shape, pixel / cell, self.boundary)
        if self.noise:
            vectors = vector_noise(vectors, self.noise, **stream)
        # Opposite edges of a picture meet only if it shows the whole of a periodic sample.
        whole = np.allclose(np.multiply(shape, pixel), np.multiply(spins.shape[-2:], cell))
        pictures = self._develop(vectors, pixel, self.boundary if whole else "open")
        return self._detect(crop(pictures, seen), stream)

    def _develop(self, vectors: torch.Tensor, pixel: float, boundary: Boundary) -> torch.Tensor:
        if self.contrast == "vector":
            return vectors
        if self.contrast == "component":
            return component(vectors, self.polar, self.azimuth)
        if self.contrast == "lorentz_defocus":
            return lorentz_defocus(vectors, self.defocus / pixel, boundary)
        if self.contrast == "magnetic_force":
            return magnetic_force(vectors, self.lift / pixel, self.thickness / pixel, boundary)
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
