"""Dipole fields by Fourier transform: the GPU's product, the host's convolution (`spectrum.cu`)."""

import math
from typing import NamedTuple

import numpy as np
import torch

from spinlib.kernels.launch import call_host, launch_cuda

_LANES = 8  # FFT_LANES of fourier.h
_RADICES = (2, 3, 5, 7)


class HostKernel(NamedTuple):
    """The size of the transform and K in the order of `convolution.h`."""

    rows: int
    columns: int
    table: torch.Tensor


def can_transform(size: int) -> bool:
    """Whether the host's own transform takes this many points."""
    for radix in _RADICES:
        while size % radix == 0 and size > radix:
            size //= radix
    return size in _RADICES


def lane_table(quarter: np.ndarray) -> torch.Tensor:
    """K at k_x, k_y >= 0, (4, n_x, n_y), as float32 (n_y / 8, n_x, 4, 8)."""
    components, n_x, n_y = quarter.shape
    blocks = math.ceil(n_y / _LANES)
    table = np.zeros((components, n_x, blocks * _LANES), dtype=np.float32)
    table[:, :, :n_y] = quarter
    table = table.reshape(components, n_x, blocks, _LANES).transpose(2, 1, 0, 3)
    return torch.from_numpy(np.ascontiguousarray(table))


def convolve(spins: torch.Tensor, kernel: HostKernel) -> torch.Tensor:
    """The field K S on the host, of float32 spins (batch, 3, height, width)."""
    spins = spins.contiguous()
    field = torch.empty_like(spins)
    batch, _, height, width = spins.shape
    # Starting a thread costs as much as this much work.
    threads = min(torch.get_num_threads(), math.ceil(spins.numel() / 50_000))
    sizes = (np.int32(n) for n in (height, width, kernel.rows, kernel.columns))
    arguments = [spins, field, *sizes, kernel.table, np.int32(batch), np.int32(threads)]
    if batch:
        call_host("spectrum.cu", "convolve_host", arguments)
    return field


def fourier(values: torch.Tensor, backward: bool = False) -> torch.Tensor:
    """The host's transform of complex64 (n, 8) along n; backward without the factor 1/n."""
    if values.shape[1] != _LANES or not can_transform(len(values)):
        raise ValueError(f"There is no transform of the shape {tuple(values.shape)}.")
    lines = torch.view_as_real(values).transpose(1, 2).contiguous()
    out = torch.empty_like(lines)
    call_host(
        "spectrum.cu", "fourier_host", [lines, out, np.int32(len(values)), np.int32(backward)]
    )
    return torch.view_as_complex(out.transpose(1, 2).contiguous())


def multiply_spectrum(transformed: torch.Tensor, spectrum: torch.Tensor) -> None:
    """On a GPU, multiply complex64 (batch, 3, …) in place by the real K, float32 (4, …)."""
    if spectrum.shape[1:] != transformed.shape[2:] or not transformed.is_contiguous():
        raise ValueError(
            f"A spectrum of shape {tuple(spectrum.shape)} does not fit a transform of shape "
            f"{tuple(transformed.shape)} in memory."
        )
    count = spectrum[0].numel()
    grid = (math.ceil(count / 256), len(transformed))
    arguments = [transformed, spectrum, np.int64(count)]
    launch_cuda("spectrum.cu", "multiply_spectrum", grid, (256,), arguments, transformed.device)
