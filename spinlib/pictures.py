"""Picture files: from a user's own picture to what a network reads.

A picture is (channels, height, width) with row 0 at the bottom, like spins; files that store the
top row first are turned over on reading. Boxes and masks are given as the file is seen on a screen.
"""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from numbers import Integral, Real
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import (
    distance_transform_edt,
    find_objects,
    label,
    maximum_filter1d,
    minimum_filter1d,
)

from spinlib.picture_files import COARSEST_PIXEL, PictureError, decode
from spinlib.similarity import noise_level

__all__ = ["Picture", "PictureError", "bars", "read_picture", "tiles"]

# Grey levels are stretched between these percentiles: up to half a percent of dead or hot pixels
# at either end changes nothing.
PERCENTILES = (0.5, 99.5)
ROUNDED = 1e-3  # by which colours from 0 to 1 may lie beyond
BLANK = 0.01  # share of the pixels that may be of one value, or hold nothing
EMPTY = 0.01  # of the others' magnetisation: less is none
LARGEST = 1e15  # no instrument counts so far; larger numbers are damage and overflow when squared
MOST_MASKED = 0.5  # of the pixels: what is masked is filled in, and soon there is more of that


@dataclass(frozen=True)
class Picture:
    """One picture, ready for `picture.pixels[None]` to be looked at by a network."""

    pixels: torch.Tensor  # (channels, height, width) float32 from 0 to 1, row 0 at the bottom
    pixel_size: float | None  # metres; None: nobody said
    source: str  # the file it came from
    notes: tuple[str, ...] = ()  # what was done on reading, for the reader's eyes
    coarse_colours: str = ""  # what made hues coarser than the pixels, if anything did
    vectors: bool = False  # the channels are (1 + m) / 2, not colours
    masked: tuple[float, float] = (0.0, 0.0)  # share of the pixels, and how deep they lie, pixels


def read_picture(
    path: str | os.PathLike,
    page: int | None = None,
    pixel_size: float | None = None,
    crop: tuple[int, int, int, int] | None = None,
    mask: np.ndarray | None = None,
) -> Picture:
    """Read a picture file; anything wrong with it is a `PictureError` of one sentence.

    `page` picks a picture out of a file with several, `pixel_size` (metres) overrules the file's
    own, `crop` is a box (left, top, right, bottom) in pixels from the top left corner, `mask` is a
    (height, width) array, true on pixels to ignore (scale bar, caption, dead pixels): they do not
    count for the grey scale, and are filled from the nearest pixel that counts. Row 0 of a mask is
    the top one, of an NPY the lowest: turn over a mask that is made from such an array ([::-1]).

    Grey levels are stretched to 0...1 between the 0.5 and 99.5 percentiles. RGB keeps its
    values, since colours carry angles: relative to the full range of 8 or 16 bit, or floats from 0
    to 1. Three components with negative values are a vector field m / M_s, stored as (1 + m) / 2.
    """
    if not isinstance(path, str | os.PathLike):
        raise PictureError(
            f"The picture is a {type(path).__name__}: give the name of a file. (An array needs "
            "none: estimate takes a tensor, as do the networks.)"
        )
    path = Path(path).expanduser()
    if page is not None and not (isinstance(page, Integral) and page >= 0):
        raise PictureError(f"{path} has no page {page!r}: pages count 0, 1, 2, ...")
    sized = isinstance(pixel_size, Real) and 0 < pixel_size <= COARSEST_PIXEL
    if pixel_size is not None and not sized:
        raise PictureError(
            f"{path} cannot have pixels of {pixel_size!r} m: give a positive size in metres, such "
            "as 2e-9."
        )
    decoded = decode(path, page)
    values, notes = decoded.values, list(decoded.notes)
    ignored = _mask(path, mask, values.shape[1:])
    if crop is not None:
        left, top, right, bottom = _box(path, crop, values.shape[1:])
        values, ignored = values[:, top:bottom, left:right], ignored[top:bottom, left:right]
    if min(values.shape[1:]) < 2:
        raise PictureError(
            f"{path} has {values.shape[2]} x {values.shape[1]} pixels, too few to show a texture."
        )
    if ignored.mean() > MOST_MASKED:
        raise PictureError(
            f"{path} is masked on {100 * ignored.mean():.0f} % of what is read, more than half: "
            "crop it to a part that counts."
        )
    values = _checked(path, values, ignored)
    if not decoded.vectors and (values[:, ~ignored] == values[:1, ~ignored]).all():
        values = values[:1]  # a grey picture saved as RGB
    vectors = len(values) == 3 and (decoded.vectors or _look_like_vectors(values[:, ~ignored]))
    pixels, how = _scaled(path, values, decoded.values.dtype, ~ignored, vectors)
    notes.append(how)
    masked = (0.0, 0.0)
    if ignored.any():
        depth, nearest = distance_transform_edt(ignored, return_indices=True)
        masked = float(ignored.mean()), float(depth.max())
        pixels = pixels[:, nearest[0], nearest[1]]
        notes.append(f"{int(ignored.sum())} masked pixels were filled from their neighbours")
    upright = np.ascontiguousarray(pixels[:, ::-1], dtype=np.float32)
    size = decoded.pixel_size if pixel_size is None else float(pixel_size)
    coarse = decoded.coarse_colours if len(pixels) == 3 else ""
    pixels = torch.from_numpy(upright)
    return Picture(pixels, size, str(path), tuple(notes), coarse, vectors, masked)


def _mask(path: Path, mask: np.ndarray | None, shape: tuple[int, int]) -> np.ndarray:
    if mask is None:
        return np.zeros(shape, dtype=bool)
    mask = np.asarray(mask).astype(bool)
    if mask.shape != shape:
        raise PictureError(
            f"{path} has {shape[0]} rows of {shape[1]} pixels and the mask is of shape "
            f"{mask.shape}: give one mask value per pixel of the whole picture."
        )
    return mask


def _box(path: Path, crop, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    edges = tuple(crop) if isinstance(crop, Iterable) else ()
    if len(edges) != 4 or not all(isinstance(edge, Integral) for edge in edges):
        raise PictureError(
            f"{path} needs a crop box (left, top, right, bottom) in whole pixels, not {crop!r}."
        )
    left, top, right, bottom = (int(edge) for edge in edges)
    if not (0 <= left < right <= shape[1] and 0 <= top < bottom <= shape[0]):
        raise PictureError(
            f"{path} has {shape[1]} x {shape[0]} pixels: the crop box (left, top, right, bottom) = "
            f"{(left, top, right, bottom)} does not lie in it."
        )
    return left, top, right, bottom


def _checked(path: Path, values: np.ndarray, ignored: np.ndarray) -> np.ndarray:
    """Values as floats without surprises: finite and not all equal where they count."""
    wide = values.dtype.itemsize > 2 and values.dtype != np.float32
    values = values.astype(np.float64 if wide else np.float32)
    bad = ~(np.abs(values) < LARGEST).all(axis=0) & ~ignored
    if bad.any():
        raise PictureError(
            f"{path} has {int(bad.sum())} pixels that are NaN, infinite or beyond {LARGEST:g}: "
            "crop them away, or give read_picture(path, mask=…), the top row first, instead of the "
            "path (--mask in a shell)."
        )
    counted = values[:, ~ignored]
    values[:, ignored] = counted[:, :1]
    if (counted.min(axis=1) == counted.max(axis=1)).all():
        raise PictureError(f"{path} shows nothing: all its pixels are equal.")
    return values


def _look_like_vectors(values: np.ndarray) -> bool:
    """Whether three channels are components, of which nobody says so.

    Colours may be negative by noise, but are never as far below 0 as above. The vectors of spins
    have one length; those of pure hues lie between 1 and √2, which scatters by a tenth. Pale
    colours scatter less, but only dead pixels of theirs are below 0.
    """
    low, high = values.min(), values.max()
    length = np.linalg.norm(values, axis=0)
    alike = length.std() < 0.05 * length.mean()
    return bool(low < -0.5 * high or (alike and np.percentile(values, PERCENTILES[0]) < -ROUNDED))


def _scaled(
    path: Path, values: np.ndarray, dtype: np.dtype, valid: np.ndarray, vectors: bool
) -> tuple[np.ndarray, str]:
    """Values from 0 to 1, and a note that says how they came there."""
    counted = values[:, valid]
    if vectors:
        lengths = np.linalg.norm(counted, axis=0)
        length = np.percentile(lengths, PERCENTILES[1]) or np.abs(counted).max()
        if (empty := (lengths < EMPTY * length).mean()) > BLANK:
            raise PictureError(
                f"{path} has no magnetisation in {100 * empty:.0f} % of its cells: crop it to the "
                "film, or mask them (mask=… of read_picture, --mask in a shell)."
            )
        scaled = (1 + values / length) / 2
        return np.clip(scaled, 0, 1), f"three components m are (1 + m/{length:.4g})/2"
    if len(values) == 3 and dtype.newbyteorder("=") in (np.uint8, np.uint16):
        return values / np.iinfo(dtype).max, f"colours are fractions of {np.iinfo(dtype).max}"
    if len(values) == 3:
        if dtype.kind != "f" or counted.max() > 1 + ROUNDED:
            raise PictureError(
                f"{path} has colours of type {dtype} up to {counted.max():g}, of which nobody says "
                "what is white: save them as 8 or 16 bit, or as floats from 0 to 1."
            )
        return np.clip(values, 0, 1), "colours were from 0 to 1 already"
    low, high = np.percentile(counted, PERCENTILES)
    if not low < high:
        low, high = counted.min(), counted.max()
    return np.clip((values - low) / (high - low), 0, 1), f"{low:.4g} is black, {high:.4g} is white"


# --- what somebody drew into a picture ------------------------------------------------------------

PURE = 0.06  # by which black and white of a bar may be off, as JPEG leaves them
FILLED = 0.95  # share of its box that a bar fills
THINNEST = 4  # rows of pixels; domains without noise have pure boxes of two or three


def bars(pixels: torch.Tensor) -> list[tuple[int, int, int, int]]:
    """Boxes (left, top, right, bottom) that look like a scale bar, in pixels from the top left.

    Black or white all over with sharp corners, at least three times as wide as high and a tenth of
    the picture (channels, height, width) wide, not at its edges, and not in the midst of a domain
    as black or white. What domains add to it where they touch it is taken off first. They have
    round ends: of 1080 bars of a quarter of the width in pictures of thermal films, with and
    without blur and noise, all but eight are found, and one in 180 such pictures without a bar.
    """
    upright = pixels.float().cpu().numpy()[:, ::-1]
    height, width = upright.shape[1:]
    found = []
    for shade in (0.0, 1.0):
        pure = (np.abs(upright - shade) < PURE).all(0)
        solid = _boxes_within(pure, (THINNEST, max(10, math.ceil(width / 10))))
        for rows, columns in find_objects(label(solid)[0]):
            left, top, right, bottom = columns.start, rows.start, columns.stop, rows.stop
            if not (left and top and right < width and bottom < height):
                continue
            box = solid[rows, columns]
            corners = box[[0, 0, -1, -1], [0, -1, 0, -1]].sum() >= 3  # JPEG may smear one
            sides = pure[rows, [left - 1, right]], pure[[top - 1, bottom], columns]
            around = np.concatenate([side.ravel() for side in sides])
            wide = right - left >= 3 * (bottom - top)
            if wide and corners and box.mean() >= FILLED and around.mean() <= 0.5:
                found.append((left, top, right, bottom))
    return found


FEW_MASKED = 0.03  # share of the pixels
LEAST_NOISE = 0.01


def blank(pixels: torch.Tensor) -> tuple[float, tuple[int, int, int, int]]:
    """Share of a noisy picture's pixels (channels, height, width) in areas of exactly one value.

    They are covered by squares of 4 by 4 such pixels. Also the box of the largest area, as those of
    `bars`. In grey pictures, whose domains a camera may cut off, only rows or columns at an edge
    count that have one value from end to end, and their neighbours. Of a picture without noise
    nothing is said: its domains may have one value all over.
    """
    nothing = 0.0, (0, 0, 0, 0)
    upright = pixels.float().cpu().numpy()[:, ::-1]
    same = np.ones(upright.shape[1:], bool)  # as the next pixel to the right, and the next below
    same[:, :-1] &= (upright[:, :, :-1] == upright[:, :, 1:]).all(0)
    same[:-1] &= (upright[:, :-1] == upright[:, 1:]).all(0)
    if same.mean() > 0.5 or noise_level(pixels[:, :512, :512]) < LEAST_NOISE:
        return nothing
    solid = _boxes_within(same, (3, 3))
    solid[:, 1:] |= solid[:, :-1]  # the last of a row, or of a column, is not as the next one
    solid[1:] |= solid[:-1]
    areas, _ = label(solid)
    if len(pixels) == 1:
        ends = (areas[0], areas[-1], areas[:, 0], areas[:, -1])
        solid = np.isin(areas, [end[0] for end in ends if end[0] and (end == end[0]).all()])
    if not solid.any():
        return nothing
    largest = np.bincount(areas[solid]).argmax()
    rows, columns = find_objects(areas)[largest - 1]
    return float(solid.mean()), (columns.start, rows.start, columns.stop, rows.stop)


def _boxes_within(pure: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """What is covered by boxes (rows, columns) that are pure all over: a binary opening.

    One axis after the other, as the cost of a whole box grows with the cube of the picture's side.
    """
    solid = pure.astype(np.uint8)
    for filtered, even in ((minimum_filter1d, 0), (maximum_filter1d, -1)):
        for axis, size in enumerate(shape):
            origin = even if size % 2 == 0 else 0  # such a box has no middle: back as it came
            solid = filtered(solid, size, axis, mode="constant", origin=origin)
    return solid.astype(bool)


# --- what to doubt about a file -------------------------------------------------------------------

OTHER_PIXEL = 0.02  # of a pixel, by which the file may differ from what is said


def other_file(own_pixel: float | None, pixel: float, coarse_colours: str) -> list[str]:
    """What a file says: its own size of a pixel (m), beside the one given (nm), and its colours."""
    sentences = []
    if own_pixel is not None and abs(1e9 * own_pixel / pixel - 1) > OTHER_PIXEL:
        sentences.append(
            f"The file says that a pixel is {1e9 * own_pixel:.4g} nm, the request says "
            f"{pixel:.4g} nm; the request was believed. All lengths depend on it."
        )
    if coarse_colours:
        sentences.append(
            f"The file is {coarse_colours}: save the picture as PNG or TIFF in full colour, from "
            "the original."
        )
    return sentences


def drawn_over(bars: list[tuple[int, int, int, int]]) -> list[str]:
    """Boxes (left, top, right, bottom) of the picture that look like a scale bar."""
    return [
        f"From column {left} to {right} and row {top} to {bottom} from the top left of what was "
        "read, there is a bar of one shade. If it is a scale bar, it is taken for texture: mask "
        "it (mask=… of read_picture, --mask in a shell) or crop it away, and the words beside it."
        for left, top, right, bottom in bars
    ]


def left_blank(share: float, box: tuple[int, int, int, int]) -> list[str]:
    """A share of the pixels in areas of one value, and the box of the largest; see `blank`."""
    if share <= BLANK:
        return []
    left, top, right, bottom = box
    return [
        f"{100 * share:.0f} % of the pixels lie in areas of exactly one value, where a camera has "
        f"noise; the largest is within columns {left} to {right} and rows {top} to {bottom} from "
        "the top left of what was read. A frame, a caption, the corners of a turned picture, or "
        "domains that are cut off at white or black: it is taken for texture. Crop or mask it."
    ]


def filled_in(share: float, depth: float, period: float) -> list[str]:
    """A masked share of the pixels, as deep as that at most; and a helix period, like the depth."""
    if share <= FEW_MASKED or depth < period / 4:
        return []
    return [
        f"{100 * share:.0f} % of the pixels are masked, in places {2 * depth / period:.1f} helix "
        "periods across. They were filled from the nearest pixel, which makes texture that is "
        "none: crop the picture to a part without such holes."
    ]


# --- tiles ---------------------------------------------------------------------------------------


def tiles(picture: torch.Tensor, size: int, source: str = "The picture") -> torch.Tensor:
    """A picture (channels, height, width) cut into squares (count, channels, size, size).

    They lie side by side, row by row from below; if that leaves a margin, a last one ends at the
    edge, so that every pixel is seen.
    """
    height, width = picture.shape[-2:]
    if min(height, width) < size:
        raise PictureError(
            f"{source} has {width} x {height} pixels, less than one panel of {size} x {size}."
        )
    corners = product(*([*range(0, n - size, size), n - size] for n in (height, width)))
    return torch.stack([picture[:, y : y + size, x : x + size] for y, x in corners])
