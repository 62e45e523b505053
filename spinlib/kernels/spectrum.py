"""Dipole fields by Fourier transform, around torch's on a GPU (see `spectrum.cu`)."""

import math
from typing import NamedTuple

import numpy as np
import torch

from spinlib.kernels.launch import MOST_STATES, Launch, call_host, threads_for

_LANES = 8  # FFT_LANES of fourier.h
_RADICES = (2, 3, 5, 7)

# Bytes of transforms that a GPU holds at a time; bounds the memory, nothing else.
_WORK_BYTES = 2**30


class HostKernel(NamedTuple):
    """The size of the transform and K in the order of `convolution.h`."""

    rows: int
    columns: int
    table: torch.Tensor


class GpuKernel(NamedTuple):
    """The size of the transform and K, or its root, at k_x >= 0: (rows, columns // 2 + 1, 4)."""

    rows: int
    columns: int
    table: torch.Tensor


class ThermalNoise(NamedTuple):
    """What `GpuConvolution` draws its noise from, one strength, state and schedule per replica."""

    root: GpuKernel
    strengths: torch.Tensor  # (batch,) float32
    temperatures: torch.Tensor  # (batch, sweeps) float32
    states: torch.Tensor  # (batch,) uint32
    purpose: np.uint32
    seed: np.uint64


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
    sizes = (np.int32(n) for n in (height, width, kernel.rows, kernel.columns))
    arguments = [spins, field, *sizes, kernel.table, np.int32(batch), threads_for(spins)]
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


class GpuConvolution:
    """On a GPU, the field K S of float32 spins of one shape, made ready for many calls.

    With `noise` it is d K S + √(d T) R ξ, for strengths d and temperatures T of each state.
    """

    def __init__(
        self, spins: torch.Tensor, kernel: GpuKernel, noise: ThermalNoise | None = None
    ) -> None:
        _, _, *self._size = spins.shape
        self._padded_size = rows, columns = kernel.rows, kernel.columns
        count, device = rows * (columns // 2 + 1), spins.device
        self._states = max(1, min(len(spins), MOST_STATES, _WORK_BYTES // (3 * count * 8)))
        # Zeros around an open layer, kept from call to call.
        self._padded = None
        if self._size != [rows, columns]:
            self._padded = torch.zeros((self._states, 3, rows, columns), device=device)
        self._noisy, function, threads = noise is not None, "multiply_spectrum", count
        arguments = {"k": kernel.table, "count": np.int32(count), "transformed": None}
        if noise is not None:
            function, threads = "draw_dipole_field", rows * ((columns // 2 + 1) // 2 + 1)
            arguments = {
                "k": kernel.table,
                "root": noise.root.table,
                "rows": np.int32(rows),
                "columns": np.int32(columns),
                "strengths": noise.strengths,
                "temperatures": noise.temperatures,
                "sweeps": np.int32(noise.temperatures.shape[1]),
                "states": noise.states,
                "purpose": noise.purpose,
                "seed": noise.seed,
            }
            arguments |= dict.fromkeys(("transformed", "first_replica", "sweep", "draw"))
        self._blocks = math.ceil(threads / 256)
        self._launch = Launch("spectrum.cu", function, (), (256,), arguments, device)

    def __call__(self, spins: torch.Tensor, sweep: int = 0, draw: int = 0) -> torch.Tensor:
        """The field of `spins`; the noise is that number of a draw, T a column of temperatures."""
        spins = spins.contiguous()
        if self._padded is None and 0 < len(spins) <= self._states:
            return self._field(spins, 0, sweep, draw).contiguous()
        height, width = self._size
        field = torch.empty_like(spins)
        for first in range(0, len(spins), self._states):
            some = spins[first : first + self._states]
            if self._padded is not None:
                padded = self._padded[: len(some)]
                padded[..., :height, :width] = some
                some = padded
            back = self._field(some, first, sweep, draw)
            field[first : first + self._states] = back[..., :height, :width]
        return field

    def _field(self, spins: torch.Tensor, first: int, sweep: int, draw: int) -> torch.Tensor:
        transformed = torch.fft.rfft2(spins).contiguous()
        self._launch.grid = (self._blocks, len(spins))
        draws = {}
        if self._noisy:
            draws = {"first_replica": np.int32(first), "sweep": np.int32(sweep)}
            draws["draw"] = np.uint32(draw)
        self._launch(transformed=transformed, **draws)
        # K is divided by the number of sites already.
        return torch.fft.irfft2(transformed, s=self._padded_size, norm="forward")
