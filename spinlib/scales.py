"""A network that reads a parameter out of pictures of many magnifications.

It is trained on the cuts of `cutting`, scored on the cuts of films it has not seen, and asked about
a picture file. Fields of view are in nm.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import mse_loss

from spinlib.checkpoints import checkpoint_path
from spinlib.cutting import Cuts, Films
from spinlib.errors import bootstrap
from spinlib.networks.scale_cnn import ScaleCNN
from spinlib.optics import crop, resample
from spinlib.pictures import (
    PictureError,
    bars,
    blank,
    drawn_over,
    left_blank,
    other_file,
    read_picture,
)
from spinlib.training import Batch, Numbers, fit, one_cycle

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
    network: ScaleCNN,
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
) -> tuple[ScaleCNN, pd.DataFrame]:
    """Train in place on cuts, in as many epochs as make about `looks` looks at a cut.

    targets    (films,) values of all films of the data set, normalised to 0 … 1
    folder     where a checkpoint is kept, named after the settings, the `identity`, the network's
               first weights and all samples

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
    about["views"] = list(network.views)
    samples = [(c.pictures, c.views, targets[c.films]) for c in (training, validation)]
    settings = [about, epochs, seed, batch_size, learning_rate]
    curve = fit(
        network,
        losses,
        *samples,
        epochs=epochs,
        seed=seed,
        batch_size=batch_size,
        learning_rate=learning_rate,
        schedule=one_cycle,
        augment=augment,
        device=device,
        checkpoint=checkpoint_path(folder, settings, network, *samples[0], *samples[1]),
        identity=about,
        progress=progress,
    )
    return network, curve


def turned(pictures: torch.Tensor, random: torch.Tensor) -> torch.Tensor:
    """Each picture under one of the 16 symmetries of m_z, chosen by its random number in (0, 1]."""
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


@torch.no_grad()
def estimate(network: ScaleCNN, cuts: Cuts, *, device: torch.device | str = "cpu") -> np.ndarray:
    """Normalised estimates (cuts,)."""
    network.eval().to(device)
    parts = zip(cuts.pictures.split(512), cuts.views.split(512), strict=True)
    found = [network(p.to(device).float(), v.to(device)).float().cpu() for p, v in parts]
    return torch.cat(found).double().numpy()


# --- how good are the estimates? -----------------------------------------------------------------


@dataclass(frozen=True)
class Score:
    """R² and mean absolute error with standard errors; `draws` are bootstrapped R² (draws,).

    The errors are half the range that holds the middle 68 % of the bootstraps: of few films some
    bootstraps draw hardly more than one, whose R² says nothing and would spoil a variance.
    R² = 1 - Σ w (estimate - truth)² / Σ w (truth - mean truth)²: 1 is perfect, 0 is no better than
    always the mean, and below is worse than knowing nothing.
    """

    r2: float
    r2_error: float
    mae: float
    mae_error: float
    draws: np.ndarray


def score(
    truth: np.ndarray,
    found: np.ndarray,
    films: np.ndarray,
    weights: np.ndarray | float = 1.0,
    *,
    seed: int = 0,
) -> Score:
    """Score of estimates; whole films are drawn again, as cuts of one film err together.

    The `weights` (of each cut, or of all) make scales count alike that have unequal numbers of
    cuts.
    """
    films = np.unique(np.asarray(films), return_inverse=True)[1]
    truth = np.asarray(truth, float)
    error = np.asarray(found, float) - truth
    truth = truth - truth.mean()  # whose squares would hide its spread if that is small
    columns = (np.ones_like(error), truth, truth**2, error**2, np.abs(error))
    sums = np.stack([np.bincount(films, weights * column) for column in columns], 1)

    def both(chosen: np.ndarray) -> np.ndarray:
        count, total, squares, errors, absolute = chosen.sum(0)
        spread = squares - total**2 / count
        r2 = 1 - errors / spread if spread > 1e-9 * count * truth.var() else -np.inf
        return np.array([r2, absolute / count])

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


# --- a picture file ------------------------------------------------------------------------------

FEWEST = 32  # pixels along a side: half of what the smaller networks see


class Square(NamedTuple):
    """Pixels (1, side, side) from -1 to 1, the side in nm, and sentences on what to doubt."""

    pixels: torch.Tensor
    view: float
    doubts: list[str]


def read_square(
    image: str | Path,
    views: tuple[float, float],
    *,
    pixel_size_nm: float = 0.0,
    field_of_view_nm: float = 0.0,
) -> Square:
    """The central square of a picture file, and its side in nm.

    The picture is grey, black and white being the two directions of m_z, or a file of vectors. How
    large it is, is told by the side of a pixel or of the square, or, if both are 0, by the file. A
    square smaller or larger than the `views` that a network was trained on is refused.
    """
    for name, value in (("pixel size", pixel_size_nm), ("field of view", field_of_view_nm)):
        if not 0 <= value < np.inf:
            raise PictureError(f"{image} was given a {name} of {value} nm: give a positive number.")
    if pixel_size_nm and field_of_view_nm:
        raise PictureError(
            f"{image} was given both a pixel size ({pixel_size_nm:g} nm) and a field of view "
            f"({field_of_view_nm:g} nm): give one of them."
        )
    picture = read_picture(image)
    grey = picture.pixels[2:] if picture.vectors else picture.pixels
    if len(grey) != 1:
        raise PictureError(f"{image} is in colour, but m_z is read from grey: save it as grey.")
    side = min(grey.shape[-2:])
    if side < FEWEST:
        raise PictureError(
            f"{image} has {side} pixels across, too few to show a texture: it takes {FEWEST}."
        )
    view = field_of_view_nm or pixel_size_nm * side
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
    said = other_file(picture.pixel_size, view / side, "")
    said += drawn_over(bars(grey)) + left_blank(*blank(grey))
    return Square(crop(2 * grey - 1, (side, side)), float(view), said)


def estimate_picture(
    network: ScaleCNN, square: torch.Tensor, view: float, *, device: torch.device | str = "cpu"
) -> tuple[float, torch.Tensor]:
    """Normalised estimate from what `read_square` gives, and the picture as the network saw it."""
    seen = resample(square, (network.pixels, network.pixels))[None]
    cuts = Cuts(seen, torch.tensor([view]), torch.zeros(1, dtype=torch.long))
    return float(estimate(network, cuts, device=device)[0]), seen[0]
