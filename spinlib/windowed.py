"""Networks that read parameters out of the windows of a picture, and average over them.

Pictures are (states, channels, height, width) from 0 to 1, targets (states, outputs) from 0 to 1
over their `Ranges`. Windows begin every `step` pixels. They are views into the pictures, gathered
batch by batch where the pictures are, and never stored: they would be tens of times the pictures.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import mse_loss

from spinlib.checkpoints import checkpoint_path
from spinlib.kernels import resolve_device
from spinlib.training import Batch, Numbers, fit, one_cycle

# What of a training's settings does not name its checkpoint as it is.
_UNNAMED = ("device", "progress", "distort")


class Windows:
    """All windows of some pictures, by number: picture by picture, row by row from below.

    A margin that is smaller than a step belongs to no window.
    """

    def __init__(self, pictures: torch.Tensor, window: int, step: int) -> None:
        if pictures.ndim != 4 or min(pictures.shape[-2:]) < window or step < 1:
            raise ValueError(
                f"Pictures (states, channels, height, width) of {tuple(pictures.shape)} have no "
                f"windows of {window} pixels every {step}."
            )
        self.view = pictures.unfold(2, window, step).unfold(3, window, step)
        self.rows, self.columns = self.view.shape[2:4]

    @property
    def per_picture(self) -> int:
        return self.rows * self.columns

    def __len__(self) -> int:
        return len(self.view) * self.per_picture

    def __getitem__(self, numbers: torch.Tensor) -> torch.Tensor:
        """Windows (len(numbers), channels, window, window), a copy."""
        picture, place = numbers // self.per_picture, numbers % self.per_picture
        return self.view[picture, :, place // self.columns, place % self.columns]

    def picture(self, numbers: torch.Tensor) -> torch.Tensor:
        """The pictures that windows belong to."""
        return numbers // self.per_picture


Pictures = tuple[torch.Tensor, torch.Tensor]  # pictures and their targets
Distortion = Callable[[torch.Tensor, Numbers], torch.Tensor]  # of windows, in training


def train_windows(
    network: nn.Module,
    training: Pictures,
    validation: Pictures,
    *,
    step: int = 8,
    epochs: int,
    seed: int,
    sgd: bool = False,
    batch_size: int = 128,
    learning_rate: float = 2e-3,
    distort: Distortion | None = None,
    schedule: Callable[[float], float] = one_cycle,
    device: torch.device | str = "cpu",
    checkpoint: str | Path | None = None,
    progress: str = "",
) -> pd.DataFrame:
    """Train in place on the windows of the training pictures, each once in an epoch.

    The loss is the mean squared error of the normalised parameters. The weights kept are those of
    the epoch that does best on the windows of the validation pictures.

    AdamW goes through one cycle of the learning rate, or another `schedule`. With `sgd` it is the
    paper's plain stochastic gradient descent at a constant rate, which ends early when the loss
    saturates: when the mean of the last five epochs is not a percent below that of the five before.

    `distort` changes windows on their way into training. With a `checkpoint` a training that was
    interrupted goes on. Returns the losses by epoch.
    """
    device = resolve_device(device)
    sets = []
    for pictures, targets in (training, validation):
        pictures = pictures.to(device, memory_format=torch.channels_last)  # as networks read them
        cut = Windows(pictures, network.window, step)
        sets.append((cut, targets.to(device)))
    (train_cut, train_targets), (validation_cut, validation_targets) = sets

    def look(batch: Batch, numbers: Numbers) -> Batch:
        (chosen,) = batch
        windows = train_cut[chosen]
        if distort:
            windows = distort(windows, numbers)
        return windows, train_targets[train_cut.picture(chosen)]

    def losses(network: nn.Module, batch: Batch, numbers: Numbers) -> dict[str, torch.Tensor]:
        if len(batch) == 1:  # in validation
            (chosen,) = batch
            batch = validation_cut[chosen], validation_targets[validation_cut.picture(chosen)]
        windows, wanted = batch
        return {"loss": mse_loss(network(windows.float()).float(), wanted)}

    about = network.settings | {"step": step, "distortion": _told(distort)}
    train, held_out = ((torch.arange(len(cut)),) for cut in (train_cut, validation_cut))
    today = {"schedule": schedule, "weight_decay": 1e-2}
    return fit(
        *(network, losses, train, held_out),
        epochs=epochs,
        seed=seed,
        batch_size=batch_size,
        learning_rate=learning_rate,
        **({"descent": "SGD", "stop": saturated} if sgd else today),
        augment=look,
        device=device,
        checkpoint=checkpoint,
        identity=about,
        progress=progress,
    )


def learn(
    network: nn.Module,
    training: Pictures,
    validation: Pictures,
    *,
    looks: int,
    seed: int,
    step: int = 8,
    folder: Path | None = None,
    **settings,
) -> tuple[nn.Module, pd.DataFrame]:
    """Train in as many epochs as make about so many looks at a window; the network and its losses.

    So trainings with many windows and with few cost the same. With a `folder` the checkpoint is
    kept there, under a name that says what was trained. The settings are those of `train_windows`.
    """
    epochs = max(1, round(looks / len(Windows(training[0], network.window, step))))
    kept = {name: value for name, value in settings.items() if name not in _UNNAMED}
    kept |= {name: _told(settings.get(name)) for name in ("distort", "schedule")}
    about = [type(network).__name__, network.settings, step, epochs, seed, kept]
    curve = train_windows(
        *(network, training, validation),
        step=step,
        epochs=epochs,
        seed=seed,
        checkpoint=checkpoint_path(folder, about, network, *training, *validation),
        **settings,
    )
    return network, curve


def _told(function: Callable | None) -> str | None:
    """A function by what it does: others, as of a notebook, may have its name."""
    try:
        return function and inspect.getsource(function)
    except (OSError, TypeError):  # nobody can tell: not to be found again
        return repr(function)


def saturated(losses: Sequence[float], epochs: int = 5) -> bool:
    """Whether the mean of the last epochs is no more than a percent below that of those before."""
    if len(losses) < 2 * epochs:
        return False
    return np.mean(losses[-epochs:]) > 0.99 * np.mean(losses[-2 * epochs : -epochs])


def turned(windows: torch.Tensor, numbers: Numbers) -> torch.Tensor:
    """Windows turned by 0, 90, 180 or 270 degrees as if the picture were a photograph.

    Spins are not turned with their places, so that this is the picture of no film: red stays red.
    """
    turns = (4 * numbers.uniform((), "turns")).long().clamp(max=3)
    copies = [torch.rot90(windows, number, dims=(-1, -2)) for number in range(4)]
    return torch.stack(copies)[turns, torch.arange(len(windows), device=turns.device)]


def scaled(windows: torch.Tensor, numbers: Numbers, most: float = 1.5) -> torch.Tensor:
    """Windows magnified by a random factor from 1/most to most, mirrored at the edge if smaller."""
    windows = windows.float()
    factor = most ** (2 * numbers.uniform((), "scale") - 1)
    matrix = torch.zeros((len(windows), 2, 3), device=windows.device)
    matrix[:, 0, 0] = matrix[:, 1, 1] = 1 / factor
    grid = nn.functional.affine_grid(matrix, list(windows.shape), align_corners=False)
    return nn.functional.grid_sample(
        windows, grid, padding_mode="reflection", align_corners=False
    ).clamp(0, 1)


@dataclass(frozen=True)
class WindowEstimates:
    """Normalised estimates (pictures, outputs): mean and standard deviation over the windows."""

    mean: np.ndarray
    spread: np.ndarray


@torch.no_grad()
def estimate_windows(
    network: nn.Module,
    pictures: torch.Tensor,
    *,
    step: int = 8,
    device: torch.device | str = "cpu",
    batch_size: int | None = None,
) -> WindowEstimates:
    """Estimates of pictures (pictures, channels, height, width) of any size from one window on."""
    device = resolve_device(device)
    network.eval().to(device, memory_format=torch.channels_last)
    # On the host few windows at a time: what a layer makes of them should fit into caches.
    batch_size = batch_size or (512 if device.type == "cuda" else 128)
    mean, spread = [], []
    for picture in pictures.split(1):  # one at a time: large pictures may be many
        picture = picture.to(device, torch.float32, memory_format=torch.channels_last)
        cut = Windows(picture, network.window, step)
        parts = torch.arange(len(cut), device=cut.view.device).split(batch_size)
        found = torch.cat([network(cut[part]).float() for part in parts]).double().cpu()
        mean.append(found.mean(0))
        spread.append(found.std(0, correction=0))
    return WindowEstimates(torch.stack(mean).numpy(), torch.stack(spread).numpy())
