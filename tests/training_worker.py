"""Trains a small network; run by the tests of training, which kill it."""

import sys
import time
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from spinlib.kernels import random_normal
from spinlib.training import fit, seeded

EPOCHS = 6


def losses(network, batch, numbers):
    inputs, targets = batch
    error = nn.functional.mse_loss(network(inputs), targets)
    return {"loss": error, "error": error}


def augment(batch, numbers):
    inputs, targets = batch
    return inputs + 0.1 * numbers.normal(inputs.shape[1:], purpose="jitter"), targets


def train(checkpoint: Path | None, slowly: bool = False, **changes) -> pd.DataFrame:
    """Fit a network with every kind of state: momenta, running statistics, dropout, a schedule."""
    with seeded(2):
        network = nn.Sequential(
            nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1)
        )
    inputs = random_normal((4,), seed=1, states=range(90), purpose="inputs")
    targets = inputs.prod(1, keepdim=True)

    def waiting(network, batch, numbers):
        if slowly:
            time.sleep(0.1)  # so that the kill falls into the middle of an epoch
        return losses(network, batch, numbers)

    settings = {"epochs": EPOCHS, "seed": 5, "batch_size": 16} | changes
    return fit(
        network,
        waiting,
        (inputs[:60], targets[:60]),
        (inputs[60:], targets[60:]),
        augment=augment,
        schedule=lambda share: 1 - 0.9 * share,
        checkpoint=checkpoint,
        **settings,
    )


def arrived(samples: torch.Tensor, folder: Path) -> torch.Tensor:
    """What a worker is given, which no longer lies where it was put for it."""
    assert not list(folder.rglob("*.pt"))
    return samples.clone()


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[2]))
    train(Path(sys.argv[1]), slowly=True)
