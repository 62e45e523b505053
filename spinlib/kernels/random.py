"""Random arrays that are pure functions of what they are for (see `random.cu`)."""

import math
import operator
import zlib
from collections.abc import Sequence

import numpy as np
import torch

from spinlib.kernels.launch import call_host, launch_cuda, resolve_device

_KEYS = np.dtype([("low", np.uint32, 10), ("high", np.uint32, 10)])


def random_uniform(
    shape: Sequence[int],
    *,
    seed: int,
    states: Sequence[int] | torch.Tensor,
    purpose: str,
    draw: int = 0,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Uniform numbers in (0, 1], float32 of shape (len(states), *shape).

    `states` are the indices of the states the numbers belong to, `purpose` a name that keeps
    different uses of one seed apart, `draw` a counter for repeated draws (an epoch, say).
    """
    return _fill(shape, seed, states, purpose, draw, device, normal=False)


def random_normal(
    shape: Sequence[int],
    *,
    seed: int,
    states: Sequence[int] | torch.Tensor,
    purpose: str,
    draw: int = 0,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Standard normal numbers, float32 of shape (len(states), *shape); see `random_uniform`."""
    return _fill(shape, seed, states, purpose, draw, device, normal=True)


def number_of(states: Sequence[int] | torch.Tensor) -> int:
    """How many states these are; refuse a count in place of their indices."""
    try:
        return len(states)
    except TypeError:
        raise TypeError(
            f"states are the indices of the spins' random numbers, range(4) say, not {states!r}."
        ) from None


def state_indices(states: Sequence[int] | torch.Tensor, device: torch.device) -> torch.Tensor:
    """State indices as the 32-bit counter words of their random streams."""
    if isinstance(states, torch.Tensor) and states.dtype == torch.uint32:
        return states.to(device).contiguous()  # every such number is one: nothing to wait for
    numbers = torch.as_tensor(states, dtype=torch.int64)
    if numbers.numel() and not (0 <= int(numbers.min()) and int(numbers.max()) < 2**32):
        raise ValueError(
            f"State indices lie in 0 ... 2^32 - 1, got {numbers.min()} to {numbers.max()}."
        )
    return numbers.to(torch.uint32).to(device)


def check_seed(seed: int) -> np.uint64:
    """A seed as the generator's 64-bit key."""
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if not 0 <= number < 2**64:
        raise ValueError(f"A seed is an integer from 0 to 2^64 - 1, got {seed}.")
    return np.uint64(number)


def round_keys(seed: int) -> np.ndarray:
    """The struct `Keys` of philox.cuh, by value an argument of the GPU's kernels."""
    key, rounds = int(check_seed(seed)), np.arange(10, dtype=np.uint64)
    keys = np.empty(1, _KEYS)
    keys["low"] = (key & 0xFFFFFFFF) + rounds * 0x9E3779B9 & 0xFFFFFFFF
    keys["high"] = (key >> 32) + rounds * 0xBB67AE85 & 0xFFFFFFFF
    return keys


def stream_of(purpose: str) -> np.uint32:
    """The counter word of a named purpose; its highest bit is clear of the kernels' own streams."""
    return np.uint32(zlib.crc32(purpose.encode()) | 0x80000000)


def _fill(shape, seed, states, purpose, draw, device, normal) -> torch.Tensor:
    device = resolve_device(device)
    number = number_of(states)
    indices = state_indices(states, device)
    out = torch.empty((number, *shape), dtype=torch.float32, device=device)
    elements = math.prod(shape)
    if not out.numel():
        return out
    arguments = [
        *(out, indices, np.int64(elements), np.uint32(draw), stream_of(purpose), check_seed(seed)),
        np.int32(normal),
    ]
    if device.type == "cuda":
        grid = (math.ceil(elements / 4 / 256), len(indices))
        launch_cuda("random.cu", "fill", grid, (256,), arguments, out.device)
    else:
        threads = np.int32(torch.get_num_threads())
        call_host("random.cu", "fill_host", [*arguments, np.int32(len(indices)), threads])
    return out


def philox_words(
    counters: torch.Tensor, seed: int, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Raw Philox4x32-10 blocks, uint32 (n, 4), for counters uint32 (n, 4) under a 64-bit key."""
    device = torch.device(device)
    counters = counters.to(device).contiguous()
    words = torch.empty_like(counters)
    count = np.int32(len(counters))
    if device.type == "cuda":
        arguments = [counters, words, round_keys(seed), count]
        grid = (math.ceil(len(counters) / 256),)
        launch_cuda("random.cu", "philox_words", grid, (256,), arguments, words.device)
    else:
        call_host("random.cu", "philox_words_host", [counters, words, check_seed(seed), count])
    return words


def philox_lanes(
    sites: torch.Tensor, sweep: int, state: int, stream: int, seed: int
) -> torch.Tensor:
    """The blocks of 256 sites, uint32 (4, 256), as the host's heat bath makes them."""
    words = torch.empty((4, len(sites)), dtype=torch.uint32)
    counters = (np.uint32(n) for n in (sweep, state, stream))
    call_host("random.cu", "philox_lanes_host", [sites, words, *counters, check_seed(seed)])
    return words
