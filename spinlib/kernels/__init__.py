"""Kernels written once in CUDA C++, run by the GPU or, vectorised, by the host's CPU."""

from spinlib.kernels.heatbath import heat_bath
from spinlib.kernels.launch import resolve_device
from spinlib.kernels.loader import KernelError
from spinlib.kernels.random import number_of, random_normal, random_uniform

__all__ = [
    "KernelError",
    "heat_bath",
    "number_of",
    "random_normal",
    "random_uniform",
    "resolve_device",
]
