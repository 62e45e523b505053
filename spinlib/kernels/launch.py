"""Handing torch tensors to compiled kernels, on the host and on the GPU."""

import ctypes
from collections.abc import Sequence

import numpy as np
import torch

from spinlib.kernels.loader import VECTOR_FLAGS, cuda_kernel, host_library

_C_TYPES = {np.int32: ctypes.c_int, np.int64: ctypes.c_longlong}
_C_TYPES |= {np.uint32: ctypes.c_uint, np.uint64: ctypes.c_ulonglong}
_C_TYPES |= {np.float32: ctypes.c_float}


def call_host(
    file: str, function: str, arguments: Sequence, flags: tuple[str, ...] = VECTOR_FLAGS
) -> None:
    """Call a host function; tensors go as pointers, NumPy scalars by value, None as null."""
    values = []
    for argument in arguments:
        if argument is None or isinstance(argument, torch.Tensor):
            values.append(ctypes.c_void_p(None if argument is None else argument.data_ptr()))
        else:
            values.append(_C_TYPES[type(argument)](argument.item()))
    call = getattr(host_library(file, flags), function)
    call.restype = None
    call(*values)


def launch_cuda(
    file: str,
    function: str,
    grid: tuple[int, ...],
    block: tuple[int, ...],
    arguments: Sequence,
    device: torch.device,
    shared_bytes: int = 0,
) -> None:
    """Launch a `__global__` function on torch's current stream of `device`."""
    import cupy

    with cupy.cuda.Device(device.index or 0):
        stream = cupy.cuda.ExternalStream(torch.cuda.current_stream(device).cuda_stream)
        kernel = cuda_kernel(file, function)
        if shared_bytes > 48 * 1024:  # more than the default has to be asked for
            kernel.max_dynamic_shared_size_bytes = shared_bytes
        values = tuple(
            np.uint64(0 if a is None else a.data_ptr())
            if a is None or isinstance(a, torch.Tensor)
            else a
            for a in arguments
        )
        with stream:
            kernel(grid, block, values, shared_mem=shared_bytes)
