"""Optics: blur, pixels and crops, all linear in the picture.

Blur and pixels are products with a matrix along either axis, so that they are exact for any width
of a pixel and can be differentiated. Arrays are (..., height, width), row 0 at the bottom; lengths
are in cells.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from scipy.special import ive, ndtr

from spinlib.hamiltonian import Boundary


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
        np.add.at(matrix, (rows, _inside(rows + offset, cells, boundary)), weight)
    return matrix


@lru_cache(maxsize=64)
def _pixel_matrix(cells: int, pixels: int, width: float, start: float) -> np.ndarray:
    """(pixels, cells) matrix that averages over area: pixel i covers start + [i, i + 1] * width."""
    low = start + width * np.arange(pixels)[:, None]
    cell = np.arange(cells)[None, :]
    overlap = np.minimum(low + width, cell + 1) - np.maximum(low, cell)
    overlap = np.clip(overlap, 0, None)
    return overlap / overlap.sum(axis=1, keepdims=True)


@lru_cache(maxsize=64)
def _fine_pixel_matrix(
    cells: int, pixels: int, width: float, start: float, sigma: float, boundary: Boundary
) -> np.ndarray:
    """(pixels, cells) matrix that blurs a field constant over each cell, and averages over pixels.

    A weight is the integral of the Gaussian over pixel and cell, a second difference of
    s φ(x/s) + x Φ(x/s), the Gaussian's second integral.
    """
    reach = math.ceil(7 * sigma) + 1
    edges = np.arange(-reach, cells + reach + 1)  # cells beyond the sample, too
    sides = start + width * np.arange(pixels + 1)
    x = (sides[:, None] - edges) / sigma
    twice = sigma * (np.exp(-x * x / 2) / math.sqrt(2 * math.pi) + x * ndtr(x))
    weights = np.diff(np.diff(twice, axis=0), axis=1) / -width
    matrix = np.zeros((pixels, cells))
    columns = _inside(edges[:-1], cells, boundary)
    np.add.at(matrix, (slice(None), columns), weights)
    return matrix / matrix.sum(axis=1, keepdims=True)


def _inside(columns: np.ndarray, cells: int, boundary: Boundary) -> np.ndarray:
    """The cells of the sample that stand for those beyond it: its repetition, or its mirror."""
    if boundary == "open":
        columns = columns % (2 * cells)
        columns = np.minimum(columns, 2 * cells - 1 - columns)
    return columns % cells


def _apply(field: torch.Tensor, rows: np.ndarray, columns: np.ndarray) -> torch.Tensor:
    """rows @ field @ columns^T over the last two axes."""
    rows_, columns_ = (
        torch.as_tensor(m, dtype=field.dtype, device=field.device) for m in (rows, columns)
    )
    return rows_ @ (field @ columns_.T)


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


def blur_and_resample(
    field: torch.Tensor,
    sigma: float,
    shape: tuple[int, int],
    pixel: float,
    boundary: Boundary = "open",
) -> torch.Tensor:
    """A Gaussian blur of standard deviation `sigma` in cells, then `resample`, as one product.

    Pixels finer than cells see the blur of the cells' squares, and not squares of blurred cells.
    From one cell on, cells count as points: there a point is spread by the variance sigma² exactly,
    just below by sigma² + 1/6.
    """
    cells = tuple(field.shape[-2:])
    if sigma == 0 and pixel == 1 and shape == cells:
        return field
    matrices = []
    for n, p in zip(cells, shape, strict=True):
        start = (n - p * pixel) / 2
        if sigma > 1e-6 and pixel < 1 - 1e-9:  # as quotients of lengths are rounded
            matrix = _fine_pixel_matrix(n, p, pixel, start, sigma, boundary)
        else:
            matrix = _pixel_matrix(n, p, pixel, start)
            if sigma:
                matrix = matrix @ _blur_matrix(n, sigma, boundary)
        matrices.append(matrix)
    return _apply(field, *matrices)


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
