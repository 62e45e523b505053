"""Networks that read normalised parameters out of spins, trained with or without noise.

The data are spins (states, 3, height, width) and targets (states, parameters), normalised to 0 … 1
over their ranges; the first of them is the DMI, whose range is symmetric about zero.
Noise is that of study 2, S* = normalise(S + η R), drawn anew for every look at a state.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import mse_loss

from spinlib.microscope import vector_noise
from spinlib.symmetry import Operation, random_copies, reverse_dmi
from spinlib.training import Batch, Numbers, fit

NOISIEST = 1.0  # η is uniform between 0 and this in training


def one_cycle(share: float, warm_up: float = 0.3) -> float:
    """Factor of the learning rate: up from 1/25 to 1 along a cosine, and down to 0."""
    if share < warm_up:
        return 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * share / warm_up))
    return 0.5 * (1 + math.cos(math.pi * (share - warm_up) / (1 - warm_up)))


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
    checkpoint: str | Path | None = None,
    progress: str = "",
) -> pd.DataFrame:
    """Train in place on states parts[0], keep the weights that are best on parts[1].

    Every look at a state is at a copy of it under a random symmetry of the `group` and a random
    translation, half of the time with its DMI reversed. With `noisy` training and validation have
    noise of a strength drawn from 0 … 1.
    Returns the losses by epoch, mean squared errors of the normalised parameters.
    """

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

    training, validation = ((spins[part], targets[part]) for part in parts[:2])
    return fit(
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
        checkpoint=checkpoint,
        identity={"noisy": noisy, "symmetries": len(group)},
        progress=progress,
    )


@torch.no_grad()
def estimate(
    network: nn.Module,
    pictures: torch.Tensor,
    *,
    device: torch.device | str = "cpu",
    batch_size: int = 200,
) -> np.ndarray:
    """Normalised parameters (batch, parameters) of pictures (batch, 3, height, width)."""
    network.eval().to(device)
    found = [
        network(part.to(device, torch.float32)).float().cpu() for part in pictures.split(batch_size)
    ]
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
    return np.stack(
        [
            estimate(
                network,
                vector_noise(spins.float(), strength, seed=seed, states=states),
                device=device,
            )
            for strength in strengths
        ]
    )
