"""The two passes of a Landau-Lifshitz-Gilbert stage for a batch of films (see `llg.cu`)."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from spinlib.kernels.heatbath import COUPLINGS
from spinlib.kernels.launch import call_host, check_arrays, launch_cuda, stride, threads_for
from spinlib.kernels.loader import VECTOR_FLAGS
from spinlib.kernels.random import check_seed, state_indices

# Columns of the table: the struct `Film` of llg.cu. The last two are integers.
FILM_COLUMNS = (*COUPLINGS, "dipolar", "precession", "damping", "thermal", "state", "step")


def film_table(
    couplings: torch.Tensor, dipolar: torch.Tensor, states: Sequence[int] | torch.Tensor
) -> torch.Tensor:
    """The table that `torque` reads, (batch, columns): couplings as in COUPLINGS, μ0 M_s in tesla.

    What depends on the integrator is still zero: see `set_columns`.
    """
    shape = (len(couplings), len(FILM_COLUMNS))
    table = torch.zeros(shape, dtype=torch.float32, device=couplings.device)
    table[:, : len(COUPLINGS)] = couplings
    numbers = state_indices(states, couplings.device).view(torch.int32)
    set_columns(table, dipolar=dipolar, state=numbers)
    return table


def set_columns(table: torch.Tensor, **columns: torch.Tensor | float) -> None:
    """Write columns of a film table by name: precession, damping, thermal (tesla), step, …"""
    for name, values in columns.items():
        target = table.view(torch.int32) if name in ("state", "step") else table
        target[:, FILM_COLUMNS.index(name)] = torch.as_tensor(values).to(target)


def count_step(table: torch.Tensor, active: torch.Tensor) -> None:
    """One step more in the column `step` of the films that `active` (batch,) marks."""
    table.view(torch.int32)[:, FILM_COLUMNS.index("step")] += active


def torque(
    spins: torch.Tensor,
    table: torch.Tensor,
    *,
    field: torch.Tensor | None = None,
    anisotropy: torch.Tensor | None = None,
    periodic: bool = True,
    thermal: bool = False,
    seed: int = 0,
    out: torch.Tensor | None = None,
    flags: tuple[str, ...] = VECTOR_FLAGS,
) -> torch.Tensor:
    """dS/d(γt) = -p S × B - q S × (S × B) in tesla, like `spins` (batch, 3, height, width).

    field        field map, like `spins`, which the table's column `dipolar` multiplies
    anisotropy   K_u/M_s in tesla, (batch or 1, height, width), on top of the table's
    thermal      whether to add the thermal field
    """
    batch, _, height, width = spins.shape
    check_arrays(
        spins,
        field=(field, [(batch, 3, height, width)]),
        anisotropy=(anisotropy, [(n, height, width) for n in (1, batch)]),
    )
    for name, map_ in (("field", field), ("anisotropy", anisotropy)):
        if map_ is not None and (map_.dtype != torch.float32 or not map_.is_contiguous()):
            raise ValueError(f"{name} is a contiguous float32 tensor: call .float().contiguous().")
    out = torch.empty_like(spins) if out is None else out
    arguments = [
        *(spins, table, field, anisotropy, stride(anisotropy), np.int32(height), np.int32(width)),
        *(np.int32(periodic), np.int32(thermal), check_seed(seed), out),
    ]
    if spins.is_cuda:
        grid = (math.ceil(width / 64), math.ceil(height / 4), batch)
        launch_cuda("llg.cu", "torque", grid, (64, 4), arguments, spins.device)
    else:
        call_host("llg.cu", "torque_host", [*arguments, np.int32(batch), threads_for(spins)], flags)
    return out


def advance(
    spins: torch.Tensor,
    torques: Sequence[torch.Tensor],
    weights: torch.Tensor,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """(S + Σ_j w_j k_j) / |…| with `weights` (batch, number of torques), at most four.

    Weights that `weight_table` made are taken as they are, without a copy to the GPU.
    """
    batch, _, height, width = spins.shape
    out = torch.empty_like(spins) if out is None else out
    four = weight_table(weights, spins.device)
    sites = np.int32(height * width)
    arguments = [spins, *torques, *[None] * (4 - len(torques)), four, sites, out]
    if spins.is_cuda:
        grid = (math.ceil(height * width / 256), batch)
        launch_cuda("llg.cu", "advance", grid, (256,), arguments, spins.device)
    else:
        call_host("llg.cu", "advance_host", [*arguments, np.int32(batch), threads_for(spins)])
    return out


def weight_table(weights: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Weights (…, number of torques), at most four, as `advance` hands them on: (…, 4)."""
    if weights.shape[-1] == 4:
        return weights.to(device, torch.float32).contiguous()
    four = torch.zeros((*weights.shape[:-1], 4), dtype=torch.float32, device=device)
    four[..., : weights.shape[-1]] = weights
    return four
