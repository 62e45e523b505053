"""One training loop for all networks: from tensors on a device to the best weights.

Nothing here is drawn from a global generator. What is random about sample i in epoch e depends on
(seed, i, e) and on nothing else, so a training that was killed goes on as if it had not been.
What it has reached is kept by `checkpoints.py`; a GPU's steps are replayed by `cuda_graphs.py`.
"""

import ctypes
import math
import os
import pickle
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from threading import Thread
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm.auto import tqdm

from spinlib.checkpoints import State
from spinlib.cuda_graphs import Graphed, own_stream
from spinlib.files import wait_for_lock
from spinlib.kernels import random_normal, random_uniform, resolve_device
from spinlib.weights import TrainingError, complaints

Batch = tuple[torch.Tensor, ...]

GRAPHED_FROM = 8  # steps in an epoch: a capture takes as long as a step or two
MIXED_ON = ("cuda",)  # devices on which bfloat16 saves time
MIXED_SHARE = 0.75  # of a training's epochs; the rest is for the precision of estimates
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
SECONDS = 10.0  # between checkpoints of a GPU, whose epochs may be shorter than the writing


@dataclass(frozen=True)
class Numbers:
    """Random numbers for the samples of one batch: functions of (seed, sample, epoch, purpose)."""

    seed: int
    samples: torch.Tensor  # indices in the data set; of a type that needs no check on a GPU
    epoch: int
    device: torch.device

    def uniform(self, shape: Sequence[int], purpose: str) -> torch.Tensor:
        """Numbers in (0, 1], shape (samples, *shape)."""
        return self._draw(random_uniform, shape, purpose)

    def normal(self, shape: Sequence[int], purpose: str) -> torch.Tensor:
        """Standard normal numbers, shape (samples, *shape)."""
        return self._draw(random_normal, shape, purpose)

    def _draw(self, source: Callable[..., torch.Tensor], shape, purpose) -> torch.Tensor:
        return source(
            shape,
            seed=self.seed,
            states=self.samples,
            purpose=purpose,
            draw=self.epoch,
            device=self.device,
        )


Losses = Callable[[nn.Module, Batch, Numbers], dict[str, torch.Tensor]]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Make initial weights (or dropout) inside this block a function of `seed` alone.

    torch's layers know only the global generator; it comes out of the block as it went in.
    """
    devices = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed % 2**63)  # callers multiply it
        yield


def fit(
    network: nn.Module,
    losses: Losses,
    train: Batch,
    validation: Batch,
    *,
    epochs: int,
    seed: int,
    batch_size: int = 100,
    learning_rate: float = 1e-3,
    schedule: Callable[[float], float] | None = None,
    weight_decay: float = 0.0,
    descent: Literal["Adam", "SGD"] = "Adam",
    stop: Callable[[list[float]], bool] | None = None,
    augment: Callable[[Batch, Numbers], Batch] | None = None,
    device: torch.device | str = "cpu",
    checkpoint: str | Path | None = None,
    identity: dict[str, Any] | None = None,
    progress: str = "",
) -> pd.DataFrame:
    """Train `network` in place; it ends with the weights of the epoch that validates best.

    train, validation   tensors whose first axis is the sample; they are kept on the device
    losses      gives named losses (means over the batch) of (network, batch, numbers); the one
                called "loss" is minimised
    schedule    factor of the learning rate as a function of the share of the training done, 0 … 1
    descent     Adam, which is AdamW with a weight decay, or plain stochastic gradient descent
    stop        whether to end early, asked after every epoch with the training losses so far
    augment     changes a training batch, drawing from the numbers it is given
    batch_size  largest number of samples in a step; an epoch is split into equal batches
    checkpoint  file that is brought up to date after every epoch, on a GPU at most every ten
                seconds and at the end; if it is there, training goes on from it; if another
                process is at the same one, this one waits for it
    identity    plain values that say what is trained (recipe, β, …); with the settings above they
                must be those of a checkpoint that is found
    progress    name of the progress bar; empty for none

    Returns one row per epoch: train and validation value of every loss. A sample's augmentation and
    noise depend on (seed, sample, epoch) alone, so an interrupted training gives the same curve.

    On a GPU the network computes in bfloat16 at first, but not in the last quarter of the epochs,
    nor ever in validation, nor at all with a `stop`, which may leave no last quarter. Estimates are
    made in single precision (on a GPU that of torch, TF32 in convolutions), by networks that have
    to be at home there: in a uniform domain all pixels are rounded the same way, which a network
    learns to make up for, so that it would answer with an offset where nothing is rounded. The last
    quarter takes twice the memory for what is kept between forward and backward.

    On a GPU steps are replayed from CUDA graphs: neither `losses` nor `augment` may then wait for
    the GPU (`float(tensor)`, masks as indices) or bring numbers from the host.
    """
    device = resolve_device(device)
    if device.type == "cpu":
        keep_memory()
    count = _check(train, validation, batch_size, epochs)
    train, validation = _on(train, device), _on(validation, device)
    network.to(device, memory_format=torch.channels_last)
    optimiser = _optimiser(network, learning_rate, weight_decay, descent, device)
    mixed = int(MIXED_SHARE * epochs) if device.type in MIXED_ON and stop is None else 0
    settings = (identity or {}) | {
        "network": type(network).__name__,
        **{"samples": count, "seed": seed, "epochs": epochs, "batch_size": batch_size},
        **{"learning_rate": learning_rate, "weight_decay": weight_decay},
        **{"descent": descent, "mixed": mixed},
    }
    state = State(network, optimiser, settings, stop)
    steps = -(-count // batch_size)
    totals: dict[str, torch.Tensor] = {}

    def step(samples: torch.Tensor, epoch: int) -> None:
        numbers = Numbers(seed, _counters(samples), epoch, device)
        batch = _take(train, samples)
        if augment:
            batch = augment(batch, numbers)
        with torch.autocast(device.type, torch.bfloat16, enabled=epoch < mixed):
            found = losses(network, _single(batch), numbers)
        optimiser.zero_grad(set_to_none=True)
        found["loss"].backward()
        optimiser.step()
        _add(totals, found, len(samples) / count)

    graphed = device.type == "cuda" and steps >= GRAPHED_FROM
    take = None
    saved = -np.inf
    bar = tqdm(total=epochs, desc=progress, disable=not progress, unit="epoch")
    with _sole_trainer(checkpoint), bar, own_stream(device):
        if checkpoint is not None and Path(checkpoint).exists():
            state.load(Path(checkpoint))
            bar.initial = bar.n = state.epoch
        while not state.finished:
            epoch = state.epoch
            if take is None or epoch == mixed:  # other kernels are to be captured from here on
                take = Graphed(step, optimiser) if graphed else step
            order = torch.from_numpy(_generator(seed, epoch).permutation(count)).to(device)
            network.train()
            for total in totals.values():
                total.zero_()
            with seeded(seed * 100_003 + epoch):
                # Batches of nearly equal size: a leftover of one sample would upset a batch norm.
                for number, samples in enumerate(order.tensor_split(steps)):
                    if schedule:
                        rate = learning_rate * schedule((epoch + number / steps) / epochs)
                        _set_rate(optimiser, rate)
                    take(samples, epoch)
            row = {f"train {name}": total for name, total in _read_off(totals).items()}
            row |= evaluate(network, losses, validation, seed=seed, device=device)
            for part in ("train", "validation"):
                if not np.isfinite(row[f"{part} loss"]):
                    raise TrainingError(
                        f"The {part} loss became {row[f'{part} loss']} in epoch {epoch}: lower the "
                        f"learning rate of {learning_rate:g}, or look for bad samples."
                    )
            state.end_epoch(row)
            due = device.type == "cpu" or time.monotonic() - saved > SECONDS
            if checkpoint is not None and (due or state.finished):
                state.save(Path(checkpoint))
                saved = time.monotonic()
            bar.set_postfix({"loss": row["train loss"], "validation": row["validation loss"]})
            bar.update()
        optimiser.zero_grad(set_to_none=True)  # gradients would keep the memory of the graphs
    network.load_state_dict(state.best)
    network.eval()
    return pd.DataFrame(state.history).rename_axis("epoch")


def one_cycle(share: float) -> float:
    """Factor of the learning rate: up from 1/25 to 1 along a cosine, and down to 0."""
    warm_up = 0.3
    if share < warm_up:
        return 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * share / warm_up))
    return 0.5 * (1 + math.cos(math.pi * (share - warm_up) / (1 - warm_up)))


def side_by_side(
    calls: Sequence[Callable[[], Any]], device: torch.device | str = "cpu", progress: str = ""
) -> list:
    """Results of independent trainings, which share out the cores among them.

    A small network hardly gains by a second core, two networks gain a whole one. Each training has
    a process and one thread of its own, so its numbers are the same on any number of cores. On a
    GPU they run here, one after the other. `calls` are functions of modules, bound to their
    arguments by `functools.partial`.
    """
    bar = tqdm(total=len(calls), desc=progress, disable=not (progress and calls), unit="training")
    if resolve_device(device).type != "cpu" or not calls:
        with bar:
            return [(call(), bar.update())[0] for call in calls]
    workers = min(len(calls), _cores())
    with (
        tempfile.TemporaryDirectory(prefix="spinlib-") as folder,
        # Forked children would inherit torch's threads in the middle of whatever they do.
        ProcessPoolExecutor(
            workers, get_context("spawn"), _start_work, (os.getpid(), folder)
        ) as pool,
        bar,
    ):
        try:
            results: list[Any] = [None] * len(calls)
            running: dict[Future, int] = {}

            def collect(left: int) -> None:
                while len(running) > left:
                    for job in wait(running, return_when=FIRST_COMPLETED).done:
                        results[running.pop(job)] = pickle.loads(job.result())
                        bar.update()

            for number, call in enumerate(calls):
                collect(workers - 1)  # those that wait would only take room
                # A file that the worker maps takes no memory twice. (By themselves tensors would
                # travel through /dev/shm, of which containers have little.)
                path = Path(folder, f"{number}.pt")
                _to_file(call, path)
                running[pool.submit(_of_file, path)] = number
            collect(0)
            return results
        except BrokenProcessPool:
            raise TrainingError(
                "A training's process was ended from outside, as systems do when memory runs out: "
                "free some, or ask for smaller trainings. Those with checkpoints go on from there."
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def keep_memory(buffer: int = 2**30, altogether: int = 2**31 - 1) -> None:
    """Let glibc keep memory that was given back, in buffers of up to so many bytes.

    By itself it returns large buffers, such as torch's, to the system, so that in each step of a
    training all memory is mapped and cleared again, page by page. That took a quarter (`make
    bench`) to two thirds of the time, most for windows of 64 pixels. Other libraries do as they
    like.
    """
    setting = getattr(ctypes.CDLL(None), "mallopt", None)
    if setting:
        # Older versions refuse more than 32 MiB.
        setting(M_MMAP_THRESHOLD, buffer) or setting(M_MMAP_THRESHOLD, 2**25)
        setting(M_TRIM_THRESHOLD, altogether)


def _start_work(parent: int, folder: str) -> None:
    """Use one thread, and end with the parent, which may be killed, or with its folder, which is
    gone once another training has failed: trainings are long."""
    torch.set_num_threads(1)

    def follow() -> None:
        while os.getppid() == parent and os.path.exists(folder):
            time.sleep(1)
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    Thread(target=follow, daemon=True).start()


def _to_file(call: Callable[[], Any], path: Path) -> None:
    try:
        with path.open("wb") as file:
            torch.save(call, file)
    except (OSError, RuntimeError) as error:
        # torch complains of its own position in a file that could not be written.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise TrainingError(
            f"{path.parent} cannot take the samples of a training ({cause.strerror}): set TMPDIR "
            "to a folder with more room."
        ) from None


def _of_file(path: Path) -> bytes:
    call = torch.load(path, mmap=True, weights_only=False)  # written by `side_by_side`
    path.unlink()
    return pickle.dumps(call())


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@torch.no_grad()
def evaluate(
    network: nn.Module,
    losses: Losses,
    samples: Batch,
    *,
    seed: int,
    device: torch.device | str,
) -> dict[str, float]:
    """Return every loss over `samples` as "validation <name>", with the same draws each time."""
    device = resolve_device(device)
    network.eval()
    count = len(samples[0])
    at_once = 500 if device.type == "cpu" else 2000
    totals: dict[str, torch.Tensor] = {}
    for first in range(0, count, at_once):
        indices = torch.arange(first, min(first + at_once, count), device=device)
        # No epoch has this number.
        numbers = Numbers(seed, _counters(indices), 2**32 - 1, device)
        part = _take(samples, indices.to(samples[0].device))
        found = losses(network, _single(_on(part, device)), numbers)
        _add(totals, found, len(indices) / count)
    return {f"validation {name}": total for name, total in _read_off(totals).items()}


def _optimiser(
    network: nn.Module,
    rate: float,
    decay: float,
    descent: Literal["Adam", "SGD"],
    device: torch.device,
) -> torch.optim.Optimizer:
    adam = torch.optim.AdamW if decay else torch.optim.Adam
    kind = torch.optim.SGD if descent == "SGD" else adam
    if device.type == "cuda":  # which reads the rate where it can change between replays
        rate = torch.tensor(rate, dtype=torch.float32, device=device)
    # In one pass over all weights.
    return kind(network.parameters(), lr=rate, weight_decay=decay, fused=True)


def _set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def _counters(samples: torch.Tensor) -> torch.Tensor:
    """Indices as random numbers take them: on a GPU the kernels' own words, 32 bits unsigned."""
    return samples.int().view(torch.uint32) if samples.is_cuda else samples


def _single(batch: Batch) -> Batch:
    """Losses see single precision, however the samples are stored."""
    return tuple(t.float() if t.dtype == torch.float16 else t for t in batch)


def _add(totals: dict[str, torch.Tensor], found: dict[str, torch.Tensor], share: float) -> None:
    """Sum on the device: asking for a number after every step would make a GPU wait."""
    for name, value in found.items():
        value = value.detach().double() * share
        if name in totals:
            totals[name] += value  # in place, where a graph finds it
        else:
            totals[name] = value


def _read_off(totals: dict[str, torch.Tensor]) -> dict[str, float]:
    """The sums as numbers; one look at the device for all of them."""
    return dict(zip(totals, torch.stack(list(totals.values())).tolist(), strict=True))


def _on(batch: Batch, device: torch.device) -> Batch:
    return tuple(tensor.to(device) for tensor in batch)


def _take(batch: Batch, samples: torch.Tensor) -> Batch:
    return tuple(tensor[samples] for tensor in batch)


def _generator(seed: int, epoch: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([seed, epoch], dtype=np.uint64)))


def _check(train: Batch, validation: Batch, batch_size: int, epochs: int) -> int:
    for name, part in (("training", train), ("validation", validation)):
        lengths = {len(tensor) for tensor in part}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(
                f"The {name} tensors need one and the same number of samples, above 0; they have "
                f"{sorted(lengths) or 'none'}."
            )
    if batch_size < 1 or epochs < 1:
        raise ValueError(f"batch_size and epochs are at least 1, got {batch_size} and {epochs}.")
    return len(train[0])


@contextmanager
def _sole_trainer(checkpoint: str | Path | None) -> Iterator[None]:
    """Keep other processes from the checkpoint, and say on an interrupt what is safe."""
    if checkpoint is None:
        yield
        return
    path = Path(checkpoint)
    with complaints(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f".{path.name}.lock").open("ab")
    with lock:
        wait_for_lock(lock, str(path))
        try:
            yield
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"Stopped; the finished epochs (on a GPU, of ten seconds ago) are safe in {path}, "
                "train again to go on."
            ) from None
