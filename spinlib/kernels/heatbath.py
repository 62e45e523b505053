"""Heat-bath sweeps of a batch of lattices, each with its own couplings (see `heatbath.cu`)."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from spinlib.kernels.launch import call_host, launch_cuda
from spinlib.kernels.loader import VECTOR_FLAGS
from spinlib.kernels.random import check_seed, state_indices, stream_of
from spinlib.kernels.spectrum import HostKernel

# Columns of the coupling table: the struct `Couplings` of spin.cuh.
COUPLINGS = (
    "exchange",
    "dmi_interfacial",
    "dmi_bulk",
    "anisotropy",
    "field_x",
    "field_y",
    "field_z",
)

# Shared memory one thread block may have, by the GPU's major compute capability.
_SHARED_BYTES = {8: 163 * 1024, 9: 227 * 1024, 10: 227 * 1024}


def heat_bath(
    spins: torch.Tensor,
    couplings: torch.Tensor,
    temperatures: torch.Tensor,
    *,
    seed: int,
    states: Sequence[int] | torch.Tensor,
    first_sweep: int = 0,
    field: torch.Tensor | None = None,
    anisotropy: torch.Tensor | None = None,
    periodic: bool = True,
    over_relaxations: int = 0,
    driver: str = "auto",
    flags: tuple[str, ...] = VECTOR_FLAGS,
) -> None:
    """Sweep `spins` (batch, 3, height, width) in place, once per column of `temperatures`.

    couplings      (batch, 7), columns as in COUPLINGS, energies in the unit of the temperatures
    temperatures   (batch, sweeps)
    states         one index per lattice: which random stream it draws from
    first_sweep    number of the first sweep in that stream
    field          optional extra field, (batch or 1, 3, height, width)
    anisotropy     optional extra anisotropy, (batch or 1, height, width)
    over_relaxations   rotations by half a turn about the local field after each sweep
    driver         on a GPU: "block" keeps each lattice in one multiprocessor's shared memory,
                   "grid" takes any size, "auto" uses the first where it fits
    """
    batch, _, height, width = spins.shape
    _check(spins, couplings, temperatures, field, anisotropy, periodic)
    device, sweeps = spins.device, temperatures.shape[1]
    replicas = _replicas(couplings, states, device)
    temperatures = temperatures.to(device, torch.float32).contiguous()
    field, anisotropy = _map(field, spins), _map(anisotropy, spins)
    anisotropic = anisotropy is not None or bool((replicas[:, 3] != 0).any())
    common = [
        *(spins, replicas, field, np.int64(_stride(field)), anisotropy),
        *(np.int64(_stride(anisotropy)), np.int32(height), np.int32(width), np.int32(periodic)),
        *(np.int32(anisotropic), temperatures, np.int32(sweeps)),
    ]
    key, over = check_seed(seed), np.int32(over_relaxations)
    if device.type != "cuda":
        threads = np.int32(torch.get_num_threads())
        rest = [over, np.uint32(first_sweep), key, np.int32(batch), threads]
        call_host("heatbath.cu", "heat_bath_host", [*common, *rest], flags)
        return
    half = (width + 1) // 2
    shared = 2 * 3 * height * half * 4
    fits = shared <= _SHARED_BYTES.get(torch.cuda.get_device_capability(device)[0], 48 * 1024)
    if driver == "block" or (driver == "auto" and fits):
        block = (half, max(1, min(height, 1024 // half)))
        rest = [over, np.uint32(first_sweep), key]
        launch_cuda(
            "heatbath.cu", "heat_bath_block", (batch,), block, [*common, *rest], device, shared
        )
        return
    grid = (math.ceil(half * height / 256), batch)
    for sweep in range(sweeps):
        number = first_sweep + sweep
        passes = [(False, number)]
        passes += [(True, number * over_relaxations + i) for i in range(over_relaxations)]
        for relax_over, counter in passes:
            for colour in (0, 1):
                rest = [np.int32(sweep), np.int32(colour), np.int32(relax_over)]
                arguments = [*common, *rest, np.uint32(counter), key]
                launch_cuda("heatbath.cu", "heat_bath_colour", grid, (256,), arguments, device)


def heat_bath_with_dipoles(
    spins: torch.Tensor,
    couplings: torch.Tensor,
    temperatures: torch.Tensor,
    strengths: torch.Tensor,
    kernel: HostKernel,
    root: HostKernel,
    *,
    every: int,
    purpose: str,
    seed: int,
    states: Sequence[int] | torch.Tensor,
    first_sweep: int = 0,
    anisotropy: torch.Tensor | None = None,
    periodic: bool = True,
    over_relaxations: int = 0,
) -> None:
    """`heat_bath` on the host, before every `every`-th sweep a field of dipoles drawn anew.

    That is h = d K S + √(d T) R ξ with the strengths d (batch,), K and its root R, and
    white noise ξ of a named `purpose`, the next sweep's number being its draw.
    """
    batch, _, height, width = spins.shape
    _check(spins, couplings, temperatures, None, anisotropy, periodic)
    replicas = _replicas(couplings, states, spins.device)
    strengths = strengths.to(torch.float32).contiguous()
    temperatures = temperatures.to(torch.float32).contiguous()
    anisotropy = _map(anisotropy, spins)
    arguments = [
        *(spins, replicas, strengths, kernel.table, root.table),
        *(np.int32(kernel.rows), np.int32(kernel.columns), np.int32(every), stream_of(purpose)),
        *(anisotropy, np.int64(_stride(anisotropy))),
        *(np.int32(height), np.int32(width), np.int32(periodic)),
        *(temperatures, np.int32(temperatures.shape[1]), np.int32(over_relaxations)),
        *(np.uint32(first_sweep), check_seed(seed), np.int32(batch)),
    ]
    if batch:
        threads = np.int32(torch.get_num_threads())
        call_host("heatbath.cu", "heat_bath_dipolar_host", [*arguments, threads])


def _replicas(couplings, states, device: torch.device) -> torch.Tensor:
    """The table of the struct `Replica`: couplings, and the state's index as an integer."""
    table = torch.empty((len(couplings), 8), dtype=torch.float32, device=device)
    table[:, :7] = couplings
    table.view(torch.int32)[:, 7] = state_indices(states, device).view(torch.int32)
    return table


def _map(values: torch.Tensor | None, spins: torch.Tensor) -> torch.Tensor | None:
    return None if values is None else values.to(spins.device, torch.float32).contiguous()


def _stride(values: torch.Tensor | None) -> int:
    return 0 if values is None or len(values) == 1 else values[0].numel()


def _check(spins, couplings, temperatures, field, anisotropy, periodic) -> None:
    batch, components, height, width = spins.shape
    if spins.dtype != torch.float32 or components != 3 or not spins.is_contiguous():
        raise ValueError(
            "Spins are a contiguous float32 tensor (batch, 3, height, width), got "
            f"{spins.dtype} {tuple(spins.shape)}."
        )
    if periodic and (height % 2 or width % 2):
        raise ValueError(
            f"A periodic lattice of {height}×{width} sites cannot be coloured like a checkerboard: "
            "choose an even height and width, or open edges."
        )
    if not torch.isfinite(temperatures).all() or (temperatures < 0).any():
        raise ValueError("Temperatures are finite and not negative.")
    expected = {
        "couplings": (couplings, [(batch, len(COUPLINGS))]),
        "temperatures": (temperatures, [(batch, temperatures.shape[-1])]),
        "field": (field, [(n, 3, height, width) for n in (1, batch)]),
        "anisotropy": (anisotropy, [(n, height, width) for n in (1, batch)]),
    }
    for name, (values, shapes) in expected.items():
        if values is not None and tuple(values.shape) not in shapes:
            raise ValueError(
                f"{name} has shape {tuple(values.shape)} where {shapes[-1]} is needed "
                f"for {batch} lattices of {height}×{width} sites."
            )
