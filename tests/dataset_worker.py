"""A cheap recipe with faults built in, importable by the processes that the tests start."""

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import torch

from spinlib.dataset import dataset


@dataclass(frozen=True)
class Noise:
    """Uniform noise in place of physics: state i is Philox keyed by (seed, i)."""

    version: ClassVar[int] = 1
    states: int = 22
    shard: int = 4
    storage: str = "float32"
    seed: int = 0
    size: int = 8
    pause: float = 0.0  # s per shard, so that a kill falls into the middle
    diary: str = ""  # file that gets a line "<pid> <first state>" per simulated shard
    trap: str = ""  # file; whoever finds it removes it and dies on the spot
    gate: str = ""  # file; nothing is simulated while it exists

    @property
    def shape(self) -> tuple[int, ...]:
        return (3, self.size, self.size)

    def parameters(self) -> pd.DataFrame:
        state = np.arange(self.states)
        return pd.DataFrame(
            {"dmi (J)": 0.1 * state, "simulation": state // 3, "kind": ["bulk"] * self.states}
        )

    def simulate(self, states: range, device: torch.device) -> torch.Tensor:
        if self.diary:
            with open(self.diary, "a") as diary:
                diary.write(f"{os.getpid()} {states.start}\n")
        if self.trap and Path(self.trap).exists():
            Path(self.trap).unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.pause)
        while self.gate and Path(self.gate).exists():
            time.sleep(0.01)
        noise = [
            np.random.Generator(np.random.Philox(key=[self.seed, state])).random(
                self.shape, dtype=np.float32
            )
            for state in states
        ]
        return torch.from_numpy(np.stack(noise))


def make(recipe: Noise, root: str, output: str = os.devnull, **options) -> None:
    """Make a data set, what it prints going to a file."""
    with open(output, "w", buffering=1) as sys.stdout:
        dataset(recipe, root, device="cpu", progress=False, **options)


def make_and_die(recipe: Noise, root: str, step: int) -> None:
    """Make a data set up to its `step`-th dealing with the disk, there lose half a file and die."""
    die_at(step)
    make(recipe, root)


def die_at(step: int) -> None:
    """Kill this process at its `step`-th dealing with the disk, half a file written."""
    steps = 0

    def dying(act):
        def stand_in(target, *rest):
            nonlocal steps
            steps += 1
            if steps == step:
                if isinstance(target, int):  # fsync: only half of the file has reached the disk
                    os.ftruncate(target, os.fstat(target).st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            return act(target, *rest)

        return stand_in

    os.fsync, os.replace = dying(os.fsync), dying(os.replace)


def peak_memory(recipe: Noise, root: str, result: str) -> None:
    """Make a data set and write the peak memory of this process, in KiB, to a file."""
    import resource

    make(recipe, root)
    Path(result).write_text(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
