"""Pictures of one film at many magnifications, and a network that reads a parameter out of them.

    films ──► split by film ──► cuts of several sides ──► averaged to one number of pixels ──► train

Films are m_z (films, height, width), periodic, each with its index in the data set. Sides are in
cells, fields of view in nm. Films are dealt out to training, validation and test before any of them
is cut, and every cut remembers its film.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import mse_loss

from spinlib.dataset import Dataset, split
from spinlib.errors import bootstrap
from spinlib.kernels import random_uniform
from spinlib.microscope import crop, resample
from spinlib.networks.scale_cnn import ScaleCNN
from spinlib.pictures import PictureError, read_picture
from spinlib.regression import one_cycle
from spinlib.training import Batch, Numbers, checkpoint_name, fit

# --- cutting -------------------------------------------------------------------------------------


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
                m_z = _shifted(m_z, random_uniform((2,), **draw, draw=1000 * side + tiling))
            for row, column in product(range(rows), range(columns)):
                piece = crop(m_z, (side, side), (row * side, column * side))
                pictures.append(resample(piece.float(), (pixels, pixels)).half())
                views.append(torch.full((len(piece),), side * films.cell))
                index.append(films.index)
    return Cuts(torch.cat(pictures)[:, None], torch.cat(views), torch.cat(index))


def _shifted(m_z: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Each film moved around its periodic box by two shares of its height and width."""
    size = torch.tensor(m_z.shape[-2:])
    moves = (shares.cpu() * size).long().tolist()
    return torch.stack([film.roll(move, (0, 1)) for film, move in zip(m_z, moves, strict=True)])


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
        moved = _moved(m_z.to(device).float(), row, column)
        # Averages over the pixels of a square in the middle, along y and then along x.
        along_y, along_x = (_overlaps(n, pixels, side).float() for n in (height, width))
        pictures.append((along_y @ moved @ along_x.mT).half())
    views = (sides * films.cell).float().flatten()
    return Cuts(torch.cat(pictures)[:, None], views, films.index.repeat_interleave(count))


def _moved(m_z: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Copies (count, height, width) of a periodic film, moved up and to the right."""
    height, width = m_z.shape
    row = (torch.arange(height, device=m_z.device) - rows[:, None]) % height
    column = (torch.arange(width, device=m_z.device) - columns[:, None]) % width
    return m_z[row[:, :, None], column[:, None, :]]


def _overlaps(cells: int, pixels: int, sides: torch.Tensor) -> torch.Tensor:
    """Shares of the cells in pixels, (count, pixels, cells), that cover the middle `sides` cells.

    The average of `microscope.resample` with its `pixel`, for many widths of a pixel at once.
    """
    width = (sides / pixels)[:, None, None]
    low = (cells - sides[:, None, None]) / 2
    low = low + width * torch.arange(pixels, device=sides.device)[:, None]
    cell = torch.arange(cells, device=sides.device)
    return (torch.minimum(low + width, cell + 1) - torch.maximum(low, cell)).clamp(min=0) / width


# --- training ------------------------------------------------------------------------------------


def learn(
    network: ScaleCNN,
    films: Sequence[Films],
    targets: torch.Tensor,
    cutting: Callable[[Films], Cuts],
    *,
    share: float = 1.0,
    seed: int,
    **settings,
) -> ScaleCNN:
    """Cut films for training and validation and `train` on a share of the cuts of either."""
    training, validation = (cutting(part) for part in films)
    if share < 1:
        training, validation = (
            cuts.some(max(1, round(share * len(cuts.films))), seed)
            for cuts in (training, validation)
        )
    return train(network, training, validation, targets, seed=seed, **settings)[0]


def train(
    network: nn.Module,
    training: Cuts,
    validation: Cuts,
    targets: torch.Tensor,
    *,
    looks: int,
    seed: int,
    batch_size: int = 128,
    learning_rate: float = 2e-3,
    device: torch.device | str = "cpu",
    folder: Path | None = None,
    identity: dict[str, Any] | None = None,
    progress: str = "",
) -> tuple[nn.Module, pd.DataFrame]:
    """Train in place on cuts, in as many epochs as make about `looks` looks at a cut.

    targets    (films,) values of all films of the data set, normalised to 0 … 1
    folder     where a checkpoint is kept, named after the settings and the `identity`

    So all trainings cost the same, however many cuts they have. Each look is at a copy of the cut
    turned by 0, 90, 180 or 270 degrees (the paper's), mirrored or not, and white for black or not:
    m_z looks alike after all of these, as a mirror only changes the sign of bulk DMI, which m_z
    does not show, and nothing distinguishes up from down. Returns the network, and the losses by
    epoch.
    """

    def losses(network: nn.Module, batch: Batch, numbers: Numbers) -> dict[str, torch.Tensor]:
        pictures, views, wanted = batch
        return {"loss": mse_loss(network(pictures, views).float(), wanted)}

    def augment(batch: Batch, numbers: Numbers) -> Batch:
        return turned(batch[0], numbers.uniform((), "turns")), *batch[1:]

    epochs = max(1, round(looks / len(training.films)))
    about = (identity or {}) | {"pixels": network.pixels, "knows_view": network.knows_view}
    checkpoint = None
    if folder is not None:
        settings = [about, epochs, seed, batch_size, learning_rate, *_fingerprint(training)]
        checkpoint = folder / checkpoint_name(settings, ("scales.py", "networks/scale_cnn.py"))
    curve = fit(
        network,
        losses,
        *((c.pictures, c.views, targets[c.films]) for c in (training, validation)),
        epochs=epochs,
        seed=seed,
        batch_size=batch_size,
        learning_rate=learning_rate,
        schedule=one_cycle,
        augment=augment,
        device=device,
        checkpoint=checkpoint,
        identity=about,
        progress=progress,
    )
    return network, curve


def turned(pictures: torch.Tensor, random: torch.Tensor) -> torch.Tensor:
    """Each picture under one of the 16 symmetries of m_z, chosen by its random number in (0, 1)."""
    choice = (random * 16).long().clamp(max=15).to(pictures.device)
    height, width = pictures.shape[-2:]
    if height != width:
        raise ValueError(f"Only square pictures can be turned, these are {height}×{width}.")
    source = _sources(height, pictures.device)[choice // 2][:, None]
    copies = pictures.flatten(2).gather(2, source.expand(-1, pictures.shape[1], -1))
    sign = (1 - 2 * (choice % 2))[:, None, None, None].to(pictures.dtype)
    return copies.view(pictures.shape) * sign


@lru_cache(maxsize=16)
def _sources(side: int, device: torch.device) -> torch.Tensor:
    """The pixel that comes to a pixel, (8, side²), in four turns with and without a mirror."""
    pixels = torch.arange(side**2).view(side, side)
    turns = [torch.rot90(pixels, number, dims=(-1, -2)) for number in range(4)]
    both = [copy.flatten() for turn in turns for copy in (turn, turn.flip(-1))]
    return torch.stack(both).to(device)


def _fingerprint(cuts: Cuts) -> list[float]:
    """Numbers that tell two sets of cuts apart."""
    place = torch.arange(len(cuts.films)) % 1009 + 1
    return [len(cuts.films), *(float((e.double() * place).sum()) for e in (cuts.views, cuts.films))]


@torch.no_grad()
def estimate(
    network: nn.Module, cuts: Cuts, *, device: torch.device | str = "cpu", batch_size: int = 512
) -> np.ndarray:
    """Normalised estimates (cuts,)."""
    network.eval().to(device)
    parts = zip(cuts.pictures.split(batch_size), cuts.views.split(batch_size), strict=True)
    found = [network(p.to(device).float(), v.to(device)).float().cpu() for p, v in parts]
    return torch.cat(found).double().numpy()


# --- how good are the estimates? -----------------------------------------------------------------


@dataclass(frozen=True)
class Score:
    """R² and mean absolute error with standard errors; `draws` are bootstrapped R² (draws,).

    The errors are half the range that holds the middle 68 % of the bootstraps: of few films some
    bootstraps draw hardly more than one, whose R² says nothing and would spoil a variance.
    R² = 1 - Σ (estimate - truth)² / Σ (truth - mean truth)²: 1 is perfect, 0 is no better than
    always the mean, and below is worse than knowing nothing.
    """

    r2: float
    r2_error: float
    mae: float
    mae_error: float
    draws: np.ndarray


def score(truth: np.ndarray, found: np.ndarray, films: np.ndarray, *, seed: int = 0) -> Score:
    """Score of estimates; whole films are drawn again, as cuts of one film err together."""
    films = np.unique(np.asarray(films), return_inverse=True)[1]
    error = np.asarray(found, float) - truth
    columns = (np.ones_like(error), truth, truth**2, error**2, np.abs(error))
    sums = np.stack([np.bincount(films, column) for column in columns], 1)

    def both(chosen: np.ndarray) -> np.ndarray:
        count, total, squares, errors, absolute = chosen.sum(0)
        spread = squares - total**2 / count
        return np.array(
            [1 - errors / spread if spread > 1e-9 * count else -np.inf, absolute / count]
        )

    draws = bootstrap(both, sums, seed=seed)
    r2, mae = both(sums)
    low, high = np.quantile(draws, (0.16, 0.84), axis=0, method="nearest")
    r2_error, mae_error = (high - low) / 2
    return Score(float(r2), float(r2_error), float(mae), float(mae_error), draws[:, 0])


def mismatch(view: float, trained: Sequence[float]) -> float:
    """|log2(view / nearest trained view)|: by how many octaves a scale is new to a network."""
    return float(np.abs(np.log2(view / np.asarray(trained, float))).min())


def half_width(octaves: np.ndarray, r2: np.ndarray) -> float:
    """Mismatch at which R² has fallen to half its value at none, between points by straight lines.

    `octaves` ascend from 0. If R² never falls so far the last one is returned, a lower bound.
    """
    below = np.flatnonzero(r2 < r2[0] / 2)
    if not len(below):
        return float(octaves[-1])
    if (after := below[0]) == 0:
        return 0.0
    x, y = octaves[after - 1 : after + 1], r2[after - 1 : after + 1]
    return float(x[0] + (x[1] - x[0]) * (y[0] - r2[0] / 2) / (y[0] - y[1]))


# --- what there is to see ------------------------------------------------------------------------


def domain_size(films: Films) -> np.ndarray:
    """Area per length of wall in nm, (films,): the width of domains if they were stripes.

    By Cauchy and Crofton: lines across walls of all directions, of length L per area, cross
    2 L / π of them per unit length. Lines along x and along y are counted, with periodic edges.
    """
    crossings = []
    for up in (films.m_z > 0).split(256):
        both = [(up != up.roll(1, axis)).float().mean((-2, -1)) for axis in (-1, -2)]
        crossings.append(sum(both) / 2)
    return (2 / np.pi * films.cell / torch.cat(crossings).double().clamp_min(1e-12)).numpy()


def read_square(
    image: str | Path,
    views: tuple[float, float],
    *,
    pixel_size_nm: float = 0.0,
    field_of_view_nm: float = 0.0,
) -> tuple[torch.Tensor, float]:
    """The central square of a picture file, (1, side, side) from -1 to 1, and its side in nm.

    The picture is grey, black and white being the two directions of m_z. How large it is, is told
    by the side of a pixel or of the square, or, if both are 0, by the file. A square smaller or
    larger than the `views` that a network was trained on is refused.
    """
    for name, value in (("pixel size", pixel_size_nm), ("field of view", field_of_view_nm)):
        if not 0 <= value < np.inf:
            raise PictureError(f"{image} was given a {name} of {value} nm: give a positive number.")
    if pixel_size_nm and field_of_view_nm:
        raise PictureError(
            f"{image} was given both a pixel size ({pixel_size_nm:g} nm) and a field of view "
            f"({field_of_view_nm:g} nm): give one of them."
        )
    picture = read_picture(image, pixel_size=1e-9 * pixel_size_nm if pixel_size_nm else None)
    if len(picture.pixels) != 1:
        raise PictureError(f"{image} is in colour, but m_z is read from grey: save it as grey.")
    side = min(picture.pixels.shape[-2:])
    view = field_of_view_nm
    if not view:
        if picture.pixel_size is None:
            raise PictureError(
                f"{image} does not say how large its pixels are: give pixel_size_nm or "
                "field_of_view_nm."
            )
        view = 1e9 * picture.pixel_size * side
    low, high = views
    # A thousandth more, lest rounding of a pixel size refuses the very ends.
    if not low / 1.001 <= view <= high * 1.001:
        raise PictureError(
            f"{image} shows {view:.4g} nm, but the network was trained on fields of view from "
            f"{low:.4g} to {high:.4g} nm: crop the picture or take it at another magnification."
        )
    return crop(2 * picture.pixels - 1, (side, side)), float(view)


def estimate_picture(
    network: nn.Module, square: torch.Tensor, view: float, *, device: torch.device | str = "cpu"
) -> tuple[float, torch.Tensor]:
    """Normalised estimate from what `read_square` gives, and the picture as the network saw it."""
    seen = resample(square, (network.pixels, network.pixels))[None]
    cuts = Cuts(seen, torch.tensor([view]), torch.zeros(1, dtype=torch.long))
    return float(estimate(network, cuts, device=device)[0]), seen[0]


def pictures_per_second(
    device: torch.device, *, pixels: int = 128, batch_size: int = 128, steps: int | None = None
) -> float:
    """Training throughput of the six-block network, in pictures per second, after a warm-up.

    In `steps` steps of one epoch: 5, and 100 on a GPU, which is quick.
    """
    steps = steps or (5 if device.type == "cpu" else 100)
    count = batch_size * steps
    pictures = random_uniform((1, pixels, pixels), seed=0, states=range(count), purpose="bench")
    cuts = Cuts(2 * pictures - 1, torch.full((count,), 1000.0), torch.arange(count))
    few = Cuts(*(entry[:batch_size] for entry in cuts))
    network = ScaleCNN(pixels)
    settings = {"seed": 0, "batch_size": batch_size, "device": device}
    train(network, few, few, torch.zeros(count), looks=batch_size, **settings)
    start = time.perf_counter()
    train(network, cuts, few, torch.zeros(count), looks=count, **settings)
    return count / (time.perf_counter() - start)
