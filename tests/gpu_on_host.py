"""The GPU's kernels without a GPU: their source as C++, thread after thread.

What must not depend on the machine, such as which number goes where, can so be tested anywhere. Not
what needs threads at once: shared memory.
"""

import ctypes
import os
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch

from spinlib.kernels import loader

_WORDS = r"""
#include <cmath>
#include <cstring>
#define __CUDACC__
#define __device__
#define __global__
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(threads)
#define __syncthreads()
#define __expf expf
#define __logf logf
#define __sincosf sincosf
struct float2 { float x, y; };
struct float4 { float x, y, z, w; };
struct Index { unsigned x, y, z; };
static Index blockIdx, blockDim, threadIdx;
static float2 make_float2(float x, float y) { return {x, y}; }
static float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static float __int_as_float(int bits) { float x; memcpy(&x, &bits, 4); return x; }
static int __float_as_int(float x) { int bits; memcpy(&bits, &x, 4); return bits; }
static unsigned __umulhi(unsigned a, unsigned b) { return ((unsigned long long)a * b) >> 32; }
static float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static float __fdividef(float a, float b) { return a / b; }
"""

_EACH_THREAD = r"""
extern "C" void {name}_on_host(unsigned wide, unsigned high, unsigned threads, {parameters}) {{
    blockDim = {{threads, 1, 1}};
    for (unsigned y = 0; y < high; ++y)
        for (unsigned x = 0; x < wide; ++x)
            for (unsigned i = 0; i < threads; ++i) {{
                blockIdx = {{x, y, 0}}, threadIdx = {{i, 0, 0}};
                {name}({names});
            }}
}}
"""

_C_TYPES = {np.int32: ctypes.c_int, np.uint32: ctypes.c_uint}
_C_TYPES |= {np.int64: ctypes.c_longlong, np.uint64: ctypes.c_ulonglong}


@cache
def _library(file: str) -> ctypes.CDLL:
    text = _WORDS + loader.source(file).replace("extern __shared__", "__shared__")
    text = text.replace("float shared[];", "float shared[1];")
    functions = r"__global__ void\s+(?:__launch_bounds__\(\d+\)\s+)?(\w+)\(([^)]*)\)"
    for name, parameters in re.findall(functions, text):
        names = ", ".join(re.findall(r"(\w+)(?:,|$)", parameters))
        text += _EACH_THREAD.format(name=name, parameters=parameters, names=names)
    with tempfile.TemporaryDirectory() as folder:
        unit, built = Path(folder, "unit.cpp"), Path(folder, "unit.so")
        unit.write_text(text)
        compiler = os.environ.get("CXX", "g++")
        command = [compiler, "-std=c++17", "-O2", "-shared", "-fPIC", str(unit), "-o", str(built)]
        subprocess.run(command, check=True)
        return ctypes.CDLL(str(built))


class HostLaunch:
    """In place of `spinlib.kernels.launch.Launch`."""

    def __init__(self, file, function, grid, block, arguments, device, shared_bytes=0):
        self.grid, self.block, self.arguments = grid, block, arguments
        self.function = getattr(_library(file), f"{function}_on_host")

    def __call__(self, **others) -> None:
        assert not others.keys() - self.arguments.keys()
        values = []
        for argument in (self.arguments | others).values():
            if argument is None or isinstance(argument, torch.Tensor):
                assert argument is None or argument.is_contiguous()
                address = None if argument is None else argument.data_ptr()
                values.append(ctypes.c_void_p(address))
            else:
                values.append(_C_TYPES[type(argument)](argument.item()))
        self.function(*map(ctypes.c_uint, (*self.grid, *self.block)), *values)
