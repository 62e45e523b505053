"""Handing torch tensors to compiled kernels, on the host and on the GPU."""

import ctypes
import functools
import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from spinlib.kernels.loader import VECTOR_FLAGS, cuda_kernel, host_library

# All kernels but that of whole lattices have the states along a grid's second or third side.
MOST_STATES = 65535

_C_TYPES = {np.int32: ctypes.c_int, np.int64: ctypes.c_longlong}
_C_TYPES |= {np.uint32: ctypes.c_uint, np.uint64: ctypes.c_ulonglong}


def resolve_device(name: torch.device | str) -> torch.device:
    """Return the torch device called `name`; "auto" is the first GPU if there is one."""
    name = str(name)
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise ValueError(f"There is no device {name!r}; use auto, cpu or cuda.")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"This machine has no CUDA device for {name!r}; use device auto or cpu instead."
        )
    return device


def check_arrays(spins: torch.Tensor, **others: tuple[torch.Tensor | None, list]) -> None:
    """Refuse spins that kernels do not take, and arrays of none of the shapes beside them."""
    if spins.dtype != torch.float32 or spins.shape[1] != 3 or not spins.is_contiguous():
        raise ValueError(
            "Spins are a contiguous float32 tensor (batch, 3, height, width), got "
            f"{spins.dtype} {tuple(spins.shape)}."
        )
    batch, _, height, width = spins.shape
    for name, (values, shapes) in others.items():
        if values is not None and tuple(values.shape) not in shapes:
            raise ValueError(
                f"{name} has shape {tuple(values.shape)} where {shapes[-1]} is needed "
                f"for {batch} lattices of {height}×{width} sites."
            )


def stride(values: torch.Tensor | None) -> np.int64:
    """Numbers from one state's map to the next one's; 0 if all share one, or there is none."""
    return np.int64(0 if values is None or len(values) < 2 else values[0].numel())


def threads_for(spins: torch.Tensor) -> np.int32:
    """As many threads as torch uses, but none for so little work that starting them costs more."""
    return np.int32(min(torch.get_num_threads(), math.ceil(spins.numel() / 50_000)))


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


def check_grid(grid: tuple[int, ...]) -> None:
    """Refuse more states than a GPU has rows, or layers, of blocks for them."""
    if max(grid[1:], default=0) > MOST_STATES:
        raise ValueError(
            f"A GPU takes at most {MOST_STATES} states at a time, not {max(grid[1:])}: hand them "
            "over in parts."
        )


class Launch:
    """A `__global__` function made ready for many launches on torch's current stream of `device`.

    `arguments` are named in the order of the function's own; a call replaces some of them. `grid`
    may be changed between calls.
    """

    def __init__(
        self,
        file: str,
        function: str,
        grid: tuple[int, ...],
        block: tuple[int, ...],
        arguments: Mapping,
        device: torch.device,
        shared_bytes: int = 0,
    ) -> None:
        import cupy

        self.grid, self.block, self.device, self.shared_bytes = grid, block, device, shared_bytes
        self._index, self._on = device.index, cupy.cuda.Device
        with self._on(self._index):
            self._kernel = cuda_kernel(file, function)
            if shared_bytes > 48 * 1024:  # more than the default has to be asked for
                self._kernel.max_dynamic_shared_size_bytes = shared_bytes
        self._kept = arguments  # what the pointers point to
        self._values = {name: _cuda_value(value) for name, value in arguments.items()}

    def __call__(self, **others) -> None:
        if 0 in self.grid:  # nothing to do; CuPy would start one block nevertheless
            return
        check_grid(self.grid)
        others = {name: _cuda_value(value) for name, value in others.items()}
        values = tuple((self._values | others).values())
        pointer = torch.cuda.current_stream(self.device).cuda_stream
        with self._on(self._index), _stream(pointer, self._index):
            self._kernel(self.grid, self.block, values, shared_mem=self.shared_bytes)


def launch_cuda(
    file: str,
    function: str,
    grid: tuple[int, ...],
    block: tuple[int, ...],
    arguments: Sequence,
    device: torch.device,
) -> None:
    """Launch a `__global__` function once."""
    Launch(file, function, grid, block, dict(enumerate(arguments)), device)()


def _cuda_value(argument):
    if argument is None or isinstance(argument, torch.Tensor):
        return np.uint64(0 if argument is None else argument.data_ptr())
    return argument


@functools.cache
def _stream(pointer: int, index: int):
    """CuPy's name for one of torch's streams; call it with that device current.

    Kept for ever: CuPy destroys a stream with the object that names it, and this one is torch's.
    """
    import cupy

    return cupy.cuda.Stream.from_external(_Pointer(pointer))


class _Pointer:
    """A stream in the way of the CUDA stream protocol."""

    def __init__(self, pointer: int) -> None:
        self.pointer = pointer

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.pointer
