"""Networks that read normalised parameters out of spins, trained with or without noise.

The data are spins (states, 3, height, width) and targets (states, parameters), normalised to 0 … 1
over their ranges; the first of them is the DMI, whose range is symmetric about zero.
Noise is that of study 2, S* = normalise(S + η R), drawn anew for every look at a state.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import mse_loss

from spinlib.checkpoints import checkpoint_path
from spinlib.claims import true_minus
from spinlib.contrast import normalise
from spinlib.dataset import split
from spinlib.domains import USUAL, strangeness, texture
from spinlib.networks.resnet import resnet18
from spinlib.noise import vector_noise
from spinlib.pictures import PictureError, tiles
from spinlib.recipes import film_parameters
from spinlib.symmetry import Operation, random_copies, reverse_dmi
from spinlib.training import Batch, Numbers, fit, one_cycle
from spinlib.weights import TrainingError, load_weights, read_about, save_weights

TARGETS = ("dmi_N", "anisotropy_N", "dipolar_N")  # λ, K and D, each from 0 to 1 over its range
PRETRAINED = Path(__file__).with_name("pretrained") / "resnet18.safetensors"
NOISIEST = 1.0  # η is uniform between 0 and this in training


def in_units_of_exchange(normalised: np.ndarray) -> np.ndarray:
    """λ, K and D in units of J, (…, 3), from the normalised ones."""
    normalised = np.asarray(normalised, float)
    dmi, anisotropy, dipolar = film_parameters(normalised.reshape(-1, 3)).to_numpy().T
    values = (dmi * dipolar, anisotropy * (2 * math.pi * dipolar), dipolar)
    return np.stack(values, -1).reshape(normalised.shape)


def split_films(parameters: pd.DataFrame, *, seed: int) -> tuple[np.ndarray, ...]:
    """States for training, validation and test.

    With repeats the paper's way: of 20 films with the same parameters 14, 4 and 2. Without, every
    film has parameters of its own, and films are dealt out at 70, 10 and 20 %: of a small data set
    the test needs more.
    """
    if parameters["repeat"].max() == 0:
        return split(parameters, (0.7, 0.1, 0.2), by=None, seed=seed)
    share = parameters["repeat"] / (parameters["repeat"].max() + 1)
    place = np.digitize(share, (0.7 - 1e-9, 0.9 - 1e-9))
    return tuple(np.flatnonzero(place == number) for number in range(3))


def train(
    network: nn.Module,
    spins: torch.Tensor,
    targets: torch.Tensor,
    parts: Sequence[np.ndarray],
    *,
    noisy: bool,
    group: Sequence[Operation],
    epochs: int,
    seed: int,
    device: torch.device | str = "cpu",
    batch_size: int = 50,
    learning_rate: float = 2e-3,
    folder: Path | None = None,
    identity: dict[str, Any] | None = None,
    progress: str = "",
) -> tuple[nn.Module, pd.DataFrame]:
    """Train in place on states parts[0], keep the weights that are best on parts[1].

    folder     where a checkpoint is kept, named after the settings, the `identity`, the network's
               first weights and all samples

    Every look at a state is at a copy of it under a random symmetry of the `group` and a random
    translation, half of the time with its DMI reversed. With `noisy` training and validation have
    noise of a strength drawn from 0 … 1.
    Returns the network, and the losses by epoch, mean squared errors of the normalised parameters.
    """
    training, validation = ((spins[part], targets[part]) for part in parts[:2])
    about = (identity or {}) | {"noisy": noisy, "symmetries": [list(each) for each in group]}
    settings = [about, epochs, seed, batch_size, learning_rate]

    def losses(network: nn.Module, batch: Batch, numbers: Numbers) -> dict[str, torch.Tensor]:
        pictures, wanted = batch
        if noisy:
            strength = NOISIEST * numbers.uniform((), "noise strength")
            pictures = vector_noise(
                pictures, strength, seed=numbers.seed, states=numbers.samples, draw=numbers.epoch
            )
        return {"loss": mse_loss(network(pictures).float(), wanted)}

    def augment(batch: Batch, numbers: Numbers) -> Batch:
        copies = random_copies(
            batch[0].float(), group, seed=numbers.seed, states=numbers.samples, draw=numbers.epoch
        )
        # The turned half of the copies belongs to films of the opposite λ.
        turned = numbers.uniform((), "sign of DMI") < 0.5
        copies = torch.where(turned[:, None, None, None], reverse_dmi(copies), copies)
        dmi = torch.where(turned, 1 - batch[1][:, 0], batch[1][:, 0])
        return copies, torch.cat((dmi[:, None], batch[1][:, 1:]), 1)

    curve = fit(
        network,
        losses,
        training,
        validation,
        epochs=epochs,
        seed=seed,
        batch_size=batch_size,
        learning_rate=learning_rate,
        schedule=one_cycle,
        augment=augment,
        device=device,
        checkpoint=checkpoint_path(folder, settings, network, *training, *validation),
        identity=about,
        progress=progress,
    )
    return network, curve


@dataclass(frozen=True)
class PictureEstimate:
    """What a network says about the panels of a picture.

    normalised   (panels, 3) estimates; `warnings` are sentences that say why not to trust them
    """

    normalised: np.ndarray
    panels: torch.Tensor
    warnings: list[str]

    @property
    def table(self) -> pd.DataFrame:
        """Mean and spread over the panels of λ, K, 2πD in units of J, and of λ/D and K/2πD."""
        dmi, anisotropy, dipolar = in_units_of_exchange(self.normalised).T
        shape = 2 * math.pi * dipolar
        columns = {"λ (J)": dmi, "K (J)": anisotropy, "2πD (J)": shape}
        columns |= {"λ/D": dmi / dipolar, "K/2πD": anisotropy / shape}
        values = pd.DataFrame(columns)
        return pd.DataFrame({"estimate": values.mean(), "spread over panels": values.std()})


def panels(vectors: torch.Tensor, size: int, source: str = "The picture") -> torch.Tensor:
    """A picture of vectors (1, 3, height, width), cut into panels (panels, 3, size, size)."""
    if not isinstance(vectors, torch.Tensor) or vectors.ndim != 4 or vectors.shape[:2] != (1, 3):
        got = tuple(vectors.shape) if hasattr(vectors, "shape") else f"a {type(vectors).__name__}"
        raise PictureError(
            f"A picture of vectors is a tensor (1, 3, height, width), got {got}: "
            "`contrast.vectors_from_colour` makes one of a colour picture."
        )
    if (vectors >= 0).all():  # as colours are: the network would answer to another texture
        raise PictureError(
            f"{source} has no negative components, as colours have none: give vectors from -1 to "
            "1, as `contrast.vectors_from_colour` makes them."
        )
    return tiles(vectors[0], size, source)


def estimate_picture(
    network: nn.Module,
    vectors: torch.Tensor,
    size: int,
    known: pd.DataFrame,
    *,
    device: torch.device | str = "cpu",
) -> PictureEstimate:
    """Estimate from a picture of vectors (1, 3, height, width), cut into panels of `size` pixels.

    `known` are the texture numbers (`domains.texture`) of what the network was trained on: where
    the picture's lie outside, and where estimates leave the trained ranges, it is said in words.
    Vectors are brought to unit length, which is how the network knows them.
    """
    parts = panels(vectors, size)
    warnings = strangeness(texture(parts), known)
    found = estimate(network, normalise(parts), device=device)
    for name, values in zip(("λ/D", "K/2πD", "D"), found.T, strict=True):
        middle = float(np.median(values))
        if not -0.05 <= middle <= 1.05:
            warnings.append(
                f"The estimate of {name} lies at {middle:.2f} of the range that was trained on "
                "(0 to 1): it is an extrapolation."
            )
    return PictureEstimate(found, parts, [true_minus(sentence) for sentence in warnings])


def save_robust(
    network: nn.Module, path: str | Path, *, width: int, size: int, known: pd.DataFrame, **about
) -> Path:
    """Save a trained ResNet18 in half precision, with what `estimate_picture` needs beside it."""
    bounds = known.quantile(list(USUAL))
    return save_weights(
        *(network, path),
        half=True,
        **{"width": width, "size": size, "targets": TARGETS, "textures": bounds.to_dict("list")},
        **about,
    )


def load_robust(path: str | Path = PRETRAINED) -> tuple[nn.Module, int, pd.DataFrame]:
    """The network in a file of `save_robust`, its panels' size, and what textures it knows.

    Without a path, the one that comes with the package, from study 2's laptop profile.
    """
    about = read_about(path)
    if missing := {"width", "size", "textures"} - about.keys():
        raise TrainingError(
            f"{path} holds weights of a {about.get('class')} without its "
            f"{' and '.join(sorted(missing))}: load what `save_robust` wrote."
        )
    network = resnet18(about["width"])
    load_weights(network, path)
    return network, about["size"], pd.DataFrame(about["textures"])


@torch.no_grad()
def estimate(
    network: nn.Module,
    pictures: torch.Tensor,
    *,
    device: torch.device | str = "cpu",
) -> np.ndarray:
    """Normalised parameters (batch, parameters) of pictures (batch, 3, height, width)."""
    network.eval().to(device)
    parts = (part.to(device, torch.float32) for part in pictures.split(200))
    found = [network(part).float().cpu() for part in parts]
    return torch.cat(found).numpy()


def estimates_against_noise(
    network: nn.Module,
    spins: torch.Tensor,
    strengths: Sequence[float],
    *,
    seed: int,
    states: Sequence[int],
    device: torch.device | str = "cpu",
) -> np.ndarray:
    """Estimates (strengths, states, parameters) of the same states under growing noise.

    The noise of a state is the same for every network, and in the same directions at every
    strength, so that curves differ by what the networks do.
    """
    indices, found = torch.as_tensor(states), []
    for part, numbers in zip(spins.split(200), indices.split(200), strict=True):
        part = part.to(device, torch.float32)
        noisy = (vector_noise(part, strength, seed=seed, states=numbers) for strength in strengths)
        found.append([estimate(network, pictures, device=device) for pictures in noisy])
    return np.concatenate(found, axis=1)
