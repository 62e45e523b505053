"""One film at many magnifications: squares of several sides, all drawn with as many pixels.

    films ──► split by film ──► cuts of several sides ──► averaged to one number of pixels

Films are m_z (films, height, width), periodic, each with its index in the data set. Sides are in
cells, fields of view in nm. Films are dealt out to training, validation and test before any of them
is cut, and every cut remembers its film.
"""

from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from spinlib.dataset import Dataset, split
from spinlib.kernels import random_uniform
from spinlib.optics import crop, resample
from spinlib.symmetry import translate


class Films(NamedTuple):
    """m_z (films, height, width), the index of each film, and the side of a cell in nm."""

    m_z: torch.Tensor
    index: torch.Tensor
    cell: float

    def take(self, part: np.ndarray) -> "Films":
        """The films of one part of a split; `part` counts along the first axis."""
        part = torch.as_tensor(part)
        return Films(self.m_z[part], self.index[part], self.cell)


class Cuts(NamedTuple):
    """Pictures (cuts, 1, pixels, pixels), their fields of view in nm, and the film of each."""

    pictures: torch.Tensor
    views: torch.Tensor
    films: torch.Tensor

    def some(self, count: int, seed: int) -> "Cuts":
        """So many of the cuts, drawn at random without repetition."""
        generator = np.random.Generator(np.random.Philox(seed))
        chosen = torch.from_numpy(np.sort(generator.permutation(len(self.films))[:count]))
        return Cuts(*(entry[chosen] for entry in self))


def load(data: Dataset) -> Films:
    """All films of a data set of `PinnedFilms`, half precision: what a polar microscope sees."""
    m_z = torch.cat([states[:, 2].half() for _, states in data])
    return Films(m_z, torch.arange(len(m_z)), data.recipe.cell)


def split_films(parameters: pd.DataFrame, *, seed: int) -> tuple[np.ndarray, ...]:
    """Films for training, validation and test: 72, 8 and 20 %.

    The paper trains on 80 %; a tenth of that is held back here to choose the weights.
    """
    return split(parameters, (0.72, 0.08, 0.2), by=None, seed=seed)


def cut(
    films: Films,
    sides: Iterable[int],
    pixels: int,
    *,
    per_film: int = 1,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Cuts:
    """Every film cut into squares of these sides that do not overlap, averaged to `pixels`.

    A side that does not divide the film leaves a margin at the top and on the right unused. Where
    this makes less than `per_film` cuts of a side, the film is cut again after random shifts until
    there are as many or more: it is periodic, and as good a film when it is shifted. The pictures
    are made, and stay, on the `device`.
    """
    height, width = films.m_z.shape[-2:]
    whole = films.m_z.to(device)
    draw = {"seed": seed, "states": films.index, "purpose": "shifts before cutting"}
    pictures, views, index = [], [], []
    for side in sides:
        if not 1 <= side <= min(height, width):
            raise ValueError(
                f"A cut of {side} cells is not in films of {height}×{width} cells: choose a side "
                f"from 1 to {min(height, width)}."
            )
        rows, columns = height // side, width // side
        for tiling in range(-(-per_film // (rows * columns))):
            m_z = whole
            if tiling:
                shares = random_uniform((2,), **draw, draw=1000 * side + tiling)
                moves = (shares * torch.tensor([height, width])).long().to(device)
                m_z = _moved(m_z, *moves.T)
            for row, column in product(range(rows), range(columns)):
                piece = crop(m_z, (side, side), (row * side, column * side))
                pictures.append(resample(piece.float(), (pixels, pixels)).half())
                views.append(torch.full((len(piece),), side * films.cell))
                index.append(films.index)
    return Cuts(torch.cat(pictures)[:, None], torch.cat(views), torch.cat(index))


def cut_anywhere(
    films: Films,
    shortest: float,
    longest: float,
    count: int,
    pixels: int,
    *,
    seed: int,
    device: torch.device | str = "cpu",
) -> Cuts:
    """`count` cuts per film, each at a place and of a side of its own, averaged to `pixels`.

    Sides are drawn uniformly in their logarithm from `shortest` to `longest`, in cells and not
    rounded. A periodic film is as good a film when it is shifted, so that a cut may lie anywhere.
    """
    height, width = films.m_z.shape[-2:]
    if not 1 <= shortest <= longest <= min(height, width):
        raise ValueError(
            f"Cuts of {shortest:g} to {longest:g} cells are not in films of {height}×{width}."
        )
    draw = {"seed": seed, "states": films.index, "purpose": "cuts"}
    random = random_uniform((count, 3), **draw).double()
    sides = shortest * (longest / shortest) ** random[..., 0]
    rows, columns = (random[..., 1] * height).long(), (random[..., 2] * width).long()
    pictures = []
    for m_z, *places in zip(films.m_z, sides, rows, columns, strict=True):
        side, row, column = (place.to(device) for place in places)
        copies = m_z.to(device).float().expand(count, height, width)
        moved = _moved(copies, row, column)
        # Averages over the pixels of a square in the middle, along y and then along x.
        along_y, along_x = (_overlaps(n, pixels, side).float() for n in (height, width))
        pictures.append((along_y @ moved @ along_x.mT).half())
    views = (sides * films.cell).float().flatten()
    return Cuts(torch.cat(pictures)[:, None], views, films.index.repeat_interleave(count))


def _moved(m_z: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Periodic films (films, height, width), each moved up and to the right."""
    return translate(m_z[:, None], rows, columns)[:, 0]


def _overlaps(cells: int, pixels: int, sides: torch.Tensor) -> torch.Tensor:
    """Shares of the cells in pixels, (count, pixels, cells), that cover the middle `sides` cells.

    The average of `optics.resample` with its `pixel`, for many widths of a pixel at once.
    """
    width = (sides / pixels)[:, None, None]
    low = (cells - sides[:, None, None]) / 2
    low = low + width * torch.arange(pixels, device=sides.device)[:, None]
    cell = torch.arange(cells, device=sides.device)
    return (torch.minimum(low + width, cell + 1) - torch.maximum(low, cell)).clamp(min=0) / width
