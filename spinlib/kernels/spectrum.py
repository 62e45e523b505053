"""The product in Fourier space that makes a dipole field (see `spectrum.cu`)."""

import math

import numpy as np
import torch

from spinlib.kernels.launch import call_host, launch_cuda


def multiply_spectrum(transformed: torch.Tensor, spectrum: torch.Tensor) -> None:
    """Multiply complex64 (batch, 3, …) in place by the real K, float32 (4, …), of xx, yy, xy, zz.

    `spectrum` may be a slice of the leading entries of every component's plane.
    """
    count = transformed[0, 0].numel()
    fits = spectrum[0].shape == transformed.shape[2:] and spectrum[0].is_contiguous()
    if not (fits and transformed.is_contiguous() and transformed.dtype == torch.complex64):
        raise ValueError(
            f"A spectrum of shape {tuple(spectrum.shape)} does not fit a transform of shape "
            f"{tuple(transformed.shape)} and {transformed.dtype} in memory."
        )
    plane, replicas = spectrum.stride(0), len(transformed)
    arguments = [transformed, spectrum, np.int64(count), np.int64(plane)]
    if transformed.is_cuda:
        grid = (math.ceil(count / 256), replicas)
        launch_cuda("spectrum.cu", "multiply_spectrum", grid, (256,), arguments, transformed.device)
    else:
        # Starting a thread costs as much as this much work.
        threads = min(torch.get_num_threads(), math.ceil(transformed.numel() / 100_000))
        rest = [np.int32(replicas), np.int32(threads)]
        call_host("spectrum.cu", "multiply_spectrum_host", [*arguments, *rest])
