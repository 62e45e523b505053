"""Monte Carlo annealing: a batch of lattices, each with its own Hamiltonian and schedule.

Short-range terms are sampled exactly by the heat bath (`spinlib.kernels`). The dipole field acts on
every site from every other; it is refreshed by FFT before a sweep and held during it, while each
site's action on itself (and on its periodic images) is kept exact, as part of its anisotropy.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch

from spinlib import textures
from spinlib.dipolar import DipoleKernel
from spinlib.hamiltonian import Hamiltonian, field_vector
from spinlib.kernels import heat_bath, random_uniform

# Sweeps handed to the kernel at a time; bounds the latency of a progress bar, nothing else.
_SWEEPS_AT_ONCE = 200


def linear(hot: float, cold: float, sweeps: int) -> torch.Tensor:
    """Temperatures (sweeps,) in equal steps from `hot` to `cold`, both included."""
    return torch.linspace(hot, cold, sweeps)


def exponential(hot: float, cold: float, sweeps: int) -> torch.Tensor:
    """Temperatures (sweeps,) in equal ratios from `hot` to `cold`, both included."""
    return torch.logspace(math.log10(hot), math.log10(cold), sweeps)


def random_rate(
    hot: float, slowest: int, fastest: int, *, seed: int, states: Sequence[int]
) -> torch.Tensor:
    """Schedules (states, slowest): linear to zero within a number of sweeps of each state's own.

    The number lies between `fastest` and `slowest`, uniform in its logarithm; at zero temperature
    the remaining sweeps relax the state.
    """
    u = random_uniform((1,), seed=seed, states=states, purpose="cooling rate")
    length = fastest * (slowest / fastest) ** u
    return (hot * (1 - torch.arange(slowest) / length)).clamp(min=0)


def anneal(
    hamiltonian: Hamiltonian,
    size: tuple[int, int],
    temperatures: torch.Tensor,
    *,
    seed: int = 0,
    states: Sequence[int] = (0,),
    start: torch.Tensor | None = None,
    dipole_every: int = 1,
    over_relaxations: int = 0,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Cool random spins (or `start`) through `temperatures`, (sweeps,) or (batch, sweeps).

    `states` are the indices of the states in their data set: state i is the same whatever other
    states are annealed beside it. Returns spins (batch, 3, height, width).
    """
    spins = (
        textures.random(size, seed=seed, states=states, device=device) if start is None else start
    )
    spins = spins.to(device, torch.float32, copy=True).contiguous()
    sweep(
        *(spins, hamiltonian, temperatures),
        seed=seed,
        states=states,
        dipole_every=dipole_every,
        over_relaxations=over_relaxations,
    )
    return spins


def sweep(
    spins: torch.Tensor,
    hamiltonian: Hamiltonian,
    temperatures: torch.Tensor,
    *,
    seed: int,
    states: Sequence[int],
    first_sweep: int = 0,
    dipole_every: int = 1,
    over_relaxations: int = 0,
) -> None:
    """Heat-bath sweeps of `spins` in place, one per temperature; the dipole field is refreshed
    before every `dipole_every`-th of them."""
    batch, _, height, width = spins.shape
    temperatures = torch.as_tensor(temperatures, dtype=torch.float32, device=spins.device)
    temperatures = temperatures.expand(batch, temperatures.shape[-1])
    couplings, anisotropy = coupling_table(hamiltonian, spins)
    dipolar = _per_state(hamiltonian.dipolar, spins)
    long_ranged = bool((dipolar != 0).any())
    if long_ranged:
        kernel, own = _without_self(hamiltonian.dipoles(height, width, hamiltonian.boundary))
        couplings[:, 3] += dipolar * own
    field = None
    block = dipole_every if long_ranged else _SWEEPS_AT_ONCE
    for first in range(0, temperatures.shape[1], block):
        if long_ranged:
            field = kernel.field(spins).mul_(dipolar[:, None, None, None])
        heat_bath(
            *(spins, couplings, temperatures[:, first : first + block]),
            seed=seed,
            states=states,
            first_sweep=first_sweep + first,
            field=field,
            anisotropy=anisotropy,
            periodic=hamiltonian.boundary == "periodic",
            over_relaxations=over_relaxations,
        )


def quench(
    spins: torch.Tensor,
    hamiltonian: Hamiltonian,
    *,
    torque: float = 1e-4,
    max_sweeps: int = 20_000,
) -> torch.Tensor:
    """Relax to a metastable state by turning each spin along its field, over and over.

    Stops when the largest |S × field| of every state is below `torque` (in the unit of energy);
    warns, with the number of states, if `max_sweeps` do not suffice. Returns new spins.
    """
    spins = spins.to(torch.float32, copy=True).contiguous()
    states = range(len(spins))
    for _ in range(0, max_sweeps, 100):
        residual = hamiltonian.torque(spins)
        if (residual < torque).all():
            return spins
        sweep(spins, hamiltonian, torch.zeros(100), seed=0, states=states)
    residual = hamiltonian.torque(spins)
    left = int((residual >= torque).sum())
    if left:
        warnings.warn(
            f"{left} of {len(spins)} states still have a torque of up to {residual.max():.2g} "
            f"after {max_sweeps} sweeps, above the {torque:.2g} asked for: raise max_sweeps, or "
            "accept.",
            stacklevel=2,
        )
    return spins


def coupling_table(
    hamiltonian: Hamiltonian, spins: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The short-range couplings as the kernels want them: (batch, 7), and the anisotropy map."""
    table = torch.zeros((len(spins), 7), device=spins.device)
    table[:, 0] = _per_state(hamiltonian.exchange, spins)
    column = 1 if hamiltonian.dmi_kind == "interfacial" else 2
    table[:, column] = _per_state(hamiltonian.dmi, spins)
    field = torch.as_tensor(hamiltonian.zeeman, dtype=torch.float32, device=spins.device)
    table[:, 4:] = field_vector(field)
    anisotropy = torch.as_tensor(hamiltonian.anisotropy, dtype=torch.float32, device=spins.device)
    if anisotropy.ndim < 2:
        table[:, 3] = anisotropy
        return table, None
    return table, anisotropy.reshape(-1, *spins.shape[-2:])


def _per_state(value, spins: torch.Tensor) -> torch.Tensor:
    value = torch.as_tensor(value, dtype=torch.float32, device=spins.device)
    if value.ndim > 1 or (value.ndim == 1 and len(value) != len(spins)):
        raise ValueError(
            f"A coupling is one number or one per state: got shape {tuple(value.shape)} for "
            f"{len(spins)} states."
        )
    return value.expand(len(spins))


@lru_cache(maxsize=16)
def _without_self(kernel: DipoleKernel) -> tuple[DipoleKernel, float]:
    """The kernel without a site's action on itself, and the anisotropy that this action is.

    Up to a constant, -½ S·K(0)·S is an anisotropy of ½ (K_zz(0) - K_xx(0)). In a periodic box K(0)
    holds a site's own images as well; what these differ by between x and y, if the box is not
    square, stays in the kernel.
    """
    spins = torch.zeros((3, 3, kernel.height, kernel.width), dtype=torch.float64)
    spins[range(3), range(3), 0, 0] = 1
    xx, yy, normal = kernel.field(spins)[range(3), range(3), 0, 0].tolist()
    in_plane = 0.5 * (xx + yy)
    spectrum = kernel.quarter - np.array([in_plane, in_plane, 0.0, normal])[:, None, None]
    return replace(kernel, quarter=spectrum), 0.5 * (normal - in_plane)
