"""The E-VAE at work: training along β and γ, and walks through its latent space."""

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from spinlib.checkpoints import checkpoint_name, content_hash
from spinlib.hamiltonian import Hamiltonian
from spinlib.kernels import random_normal
from spinlib.networks.evae import EVAE, EVAELosses, translated
from spinlib.training import fit, seeded


@dataclass(frozen=True)
class Stage:
    """A stretch of a sequential training: so many epochs at these weights of L_KL and L_H."""

    beta: float
    gamma: float = 0.0
    epochs: int = 10


def sweep(
    stages: Sequence[Stage],
    train: torch.Tensor,
    validation: torch.Tensor,
    hamiltonian: Hamiltonian,
    *,
    seed: int,
    start: EVAE | None = None,
    folder: str | Path,
    identity: dict[str, Any] | None = None,
    batch_size: int = 100,
    device: torch.device | str = "cpu",
    progress: str = "",
) -> tuple[pd.DataFrame, list[EVAE]]:
    """Train stage after stage, each from the best weights of the one before.

    A new network is made from `seed` unless `start` is given. Every stage keeps a checkpoint in a
    subfolder of `folder` named after all that decides about it, first weights, states, `identity`
    and this code included: killed in mid sweep, the next call goes on there. Periodic states are
    translated at random, open ones taken as they are.

    Returns one row per stage with the losses at its best epoch, and its network.
    """
    if start is None:
        with seeded(seed):
            network = EVAE(train.shape[-1], boundary=hamiltonian.boundary)
    else:
        network = copy.deepcopy(start)
    train, validation = train.to(device), validation.to(device)  # once for all stages
    history = [(identity or {}) | network.settings | {"batch": batch_size}, repr(hamiltonian)]
    history += [content_hash(*network.state_dict().values(), train, validation)]
    rows, networks = [], []
    for number, stage in enumerate(stages):
        history.append(asdict(stage))
        curve = fit(
            network,
            EVAELosses(hamiltonian, stage.beta, stage.gamma),
            (train,),
            (validation,),
            epochs=stage.epochs,
            # Stages draw different numbers, and so do neighbouring seeds.
            seed=1000 * seed + number,
            batch_size=batch_size,
            augment=translated if hamiltonian.boundary == "periodic" else None,
            device=device,
            checkpoint=Path(folder) / f"{checkpoint_name([seed, *history])}.safetensors",
            identity=asdict(stage),
            progress=f"{progress} β = {stage.beta:g}, γ = {stage.gamma:g}" if progress else "",
        )
        best = curve.loc[curve["validation loss"].idxmin()]
        rows.append({"beta": stage.beta, "gamma": stage.gamma, "epochs": stage.epochs, **best})
        networks.append(copy.deepcopy(network))
    return pd.DataFrame(rows), networks


def generate(network: EVAE, count: int, *, seed: int) -> torch.Tensor:
    """Spins (count, 3, size, size) decoded from standard normal latents."""
    draw = {"seed": seed, "states": range(count), "purpose": "generated states"}
    return decode(network, random_normal((network.latent,), device=_device(network), **draw))


def decode(network: EVAE, latents: torch.Tensor) -> torch.Tensor:
    """Spins decoded from latents (count, latent), as in use: with the norms' running statistics."""
    network.eval()
    latents = latents.to(_device(network))
    with torch.inference_mode():
        return torch.cat([network.decode(part) for part in latents.split(100)])


def encode(network: EVAE, spins: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance, (count, latent) each, of the latents of spins."""
    network.eval()
    device = _device(network)
    with torch.inference_mode():
        parts = [network.encode(part.to(device).float()) for part in spins.split(100)]
    means, log_variances = zip(*parts, strict=True)
    return torch.cat(means), torch.cat(log_variances).exp()


def reconstruct(network: EVAE, spins: torch.Tensor) -> torch.Tensor:
    """Spins decoded from the means that `spins` are encoded into."""
    return decode(network, encode(network, spins)[0])


def invert(
    network: EVAE, targets: torch.Tensor, *, steps: int = 300, rate: float = 0.05
) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents z* whose decoded spins come closest to `targets`, and the distance left.

    Starts at the encoder's means and lets Adam change z alone, its rate falling to zero, against
    L = (1/N) Σ |S_target - S_out|². Returns (count, latent) and L of each target (count,).
    """
    network.eval()
    targets = targets.to(_device(network)).float()
    with torch.no_grad():
        latents = network.encode(targets)[0].clone()
    latents.requires_grad_()
    optimiser = torch.optim.Adam([latents], lr=rate)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = rate * (1 - step / steps)
        distance = (network.decode(latents) - targets).square().sum(1).flatten(1).mean(1)
        (gradient,) = torch.autograd.grad(distance.sum(), latents)
        latents.grad = gradient
        optimiser.step()
    with torch.no_grad():
        distance = (network.decode(latents) - targets).square().sum(1).flatten(1).mean(1)
    return latents.detach(), distance


def interpolate(first: torch.Tensor, last: torch.Tensor, steps: int) -> torch.Tensor:
    """Latents (steps, latent) on the straight line between two, both included."""
    share = torch.linspace(0, 1, steps, device=first.device)[:, None]
    return (1 - share) * first + share * last


def informative_directions(network: EVAE, spins: torch.Tensor, count: int) -> list[int]:
    """The latents that say most about `spins`: largest mean KL divergence, largest first.

    One that says nothing has mean 0 and variance 1 whatever it reads, and divergence 0.
    """
    mean, variance = encode(network, spins)
    divergence = 0.5 * (mean**2 + variance - 1 - variance.log()).mean(0)
    return divergence.argsort(descending=True)[:count].tolist()


def _device(network: EVAE) -> torch.device:
    return next(network.parameters()).device
