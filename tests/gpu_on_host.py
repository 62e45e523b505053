"""The GPU's kernels without a GPU: their source as C++, thread after thread.

What must not depend on the machine can so be tested anywhere: which number goes where, what lies in
shared memory, which barriers threads wait at. Not the rounding of the special-function units, what
lies beside an array in the GPU's own memory, or what threads do to each other between two barriers.
"""

import ctypes
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from spinlib.kernels import launch, loader

_DRIVER = r"""
extern "C" const char* {name}_on_host(const unsigned* sizes, unsigned bytes, {parameters}) {{
    kernel = [&] {{ {name}({names}); }};
    return run(sizes, bytes);
}}
"""

_KERNEL = r"__global__ void\s+(?:__launch_bounds__\(\d+\)\s+)?(\w+)\(([^)]*)\)"
_SCALARS = {"int": (np.int32, ctypes.c_int), "uint32": (np.uint32, ctypes.c_uint)}
_SCALARS |= {"long long": (np.int64, ctypes.c_longlong), "uint64": (np.uint64, ctypes.c_ulonglong)}
_SCALARS |= {"float": (np.float32, ctypes.c_float)}
_ARRAYS = {"uint32": torch.uint32, "float2": torch.complex64}  # others are tables of floats


def compiler() -> list[str]:
    """The one that the host's kernels are built with; without it tests are skipped."""
    try:
        return loader._compiler()
    except loader.KernelError as error:
        pytest.skip(str(error))


@cache
def _library(text: str) -> tuple[ctypes.CDLL, dict[str, list[str]]]:
    """The kernels of a `.cu` text, and the types of their parameters."""
    unit, parameters = Path(__file__).with_suffix(".h").read_text(), {}
    unit += text.replace("extern __shared__ float shared[];", "")  # the header has it
    for name, listed in re.findall(_KERNEL, text):
        types, names = zip(*(p.rsplit(maxsplit=1) for p in listed.split(",")), strict=True)
        parameters[name] = [t.strip().removeprefix("const ") for t in types]
        unit += _DRIVER.format(name=name, parameters=listed, names=", ".join(names))
    with tempfile.TemporaryDirectory() as folder:
        file, built = Path(folder, "unit.cpp"), Path(folder, "unit.so")
        file.write_text(unit)
        flags = ("-std=c++17", "-O2", "-shared", "-fPIC")
        subprocess.run([*compiler(), *flags, str(file), "-o", str(built)], check=True)
        return ctypes.CDLL(str(built)), parameters


PROPERTIES = SimpleNamespace(shared_memory_per_block_optin=227 * 1024)  # of an H100


class HostLaunch:
    """In place of `spinlib.kernels.launch.Launch`."""

    def __init__(self, file, function, grid, block, arguments, device, shared_bytes=0):
        self.grid, self.block, self.arguments, self.device = grid, block, arguments, device
        self.name, self.shared_bytes = function, shared_bytes
        library, parameters = _library(loader.source(file))
        self.types, self.function = parameters[function], getattr(library, f"{function}_on_host")
        self.function.restype = ctypes.c_char_p

    def __call__(self, **others) -> None:
        assert not others.keys() - self.arguments.keys()
        if 0 in self.grid:
            return
        launch.check_grid(self.grid)
        given = self.arguments | others
        values = [self._value(*pair) for pair in zip(self.types, given.items(), strict=True)]
        grid, block = ([*map(int, sizes), 1, 1][:3] for sizes in (self.grid, self.block))
        assert min(*grid, *block) > 0, f"{self.name}: {grid}, {block}"
        assert block[0] * block[1] <= 1024 and block[2] == 1 and self.shared_bytes <= 227 * 1024
        tensors = [value for value in given.values() if isinstance(value, torch.Tensor)]
        self.run((ctypes.c_uint * 6)(*grid, *block), values, tensors)

    def run(self, sizes, values, tensors) -> None:
        fault = self.function(sizes, ctypes.c_uint(self.shared_bytes), *values)
        assert fault is None, f"{self.name}: {fault.decode()}"

    def _value(self, wanted, argument):
        name, value = argument
        where = f"{self.name}: {name}, a {wanted},"
        if isinstance(value, np.ndarray):  # a struct by value
            assert value.dtype.fields and value.size == 1, f"{where} is {value.dtype}"
            fields = [("words", ctypes.c_uint * (value.nbytes // 4))]
            return type(wanted, (ctypes.Structure,), {"_fields_": fields}).from_buffer_copy(value)
        if not wanted.endswith("*"):
            dtype, c_type = _SCALARS[wanted]
            assert type(value) is dtype, f"{where} is a {type(value)}"
            return c_type(value.item())
        if value is None:
            return ctypes.c_void_p(None)
        assert value.device.type == self.device.type, f"{where} is on the {value.device}"
        assert value.is_contiguous(), f"{where} is not contiguous"
        assert value.dtype == _ARRAYS.get(wanted[:-1], torch.float32), f"{where} is {value.dtype}"
        return ctypes.c_void_p(self.address(value))

    def address(self, tensor) -> int:
        return tensor.data_ptr()
