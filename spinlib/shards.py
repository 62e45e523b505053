"""What a recipe offers, and making its shards: one by one, many at once on a GPU, or by Dask."""

import math
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from spinlib.kernels import resolve_device
from spinlib.store import DatasetError, Store

if TYPE_CHECKING:  # slow to import, and one machine can do without
    import distributed

# What a GPU simulates in one call, which fills it and still fits into most: bytes of float32
# states, and states. A simulation holds about so many copies of them: for an open layer transforms
# of four times its size, and for the equation of motion four torques.
_BYTES_AT_ONCE, _STATES_AT_ONCE, _COPIES = 2**28, 4096, 32


class Recipe(Protocol):
    """What a recipe offers: a frozen dataclass of numbers, strings and tuples of them.

    Raise `version` whenever the same fields come to mean other states. That the class was edited is
    noticed, but not that a function it calls was.
    """

    version: ClassVar[int]
    states: int
    shard: int  # states per shard: what one call simulates and one file holds
    storage: str  # "float16" or "float32"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one state, such as (3, height, width)."""

    def parameters(self) -> pd.DataFrame:
        """One row per state, units in the column names, the same at every call."""

    def simulate(self, states: range, device: torch.device) -> torch.Tensor:
        """Return states (len(states), *shape); each is the same whatever range it comes in."""


def make(
    recipe: Recipe,
    store: Store,
    todo: list[int],
    device: torch.device | str,
    scheduler: str | None,
    progress: bool,
) -> None:
    """Make shards and write each as soon as it is there.

    A GPU makes several in one call, and goes on while a thread writes them.
    """
    if damaged := sum(store.path(shard).exists() for shard in todo):
        tqdm.write(f"{damaged} damaged shard(s) of {store.folder} will be made again.")
    at_once = 0
    if scheduler is None:
        made = ((shard, _shard(recipe, store, shard, device)) for shard in todo)
        at_once = _shards_at_once(store, device)
    else:
        made = _made_by_workers(recipe, store, todo, device, scheduler)
    done = store.states - sum(len(store.members(shard)) for shard in todo)
    name, quiet = type(recipe).__name__, not progress
    try:
        with (
            closing(made),
            tqdm(total=store.states, initial=done, unit="state", desc=name, disable=quiet) as bar,
        ):

            def write(shard: int, content: bytes) -> None:
                nonlocal done
                store.write(store.path(shard), content)
                done += len(store.members(shard))
                bar.update(len(store.members(shard)))

            if at_once:
                _make_in_calls(recipe, store, _calls(todo, at_once), device, write)
            else:
                for shard, content in made:
                    write(shard, content)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"Stopped with {done} of {store.states} states safe in {store.folder}; "
            "call dataset(recipe) again to go on."
        ) from None


def _shard(recipe: Recipe, store: Store, shard: int, device: torch.device | str) -> bytes:
    """Simulate one shard and return the content of its file."""
    return store.encode(_simulated(recipe, store, range(shard, shard + 1), device))


def _simulated(
    recipe: Recipe, store: Store, shards: range, device: torch.device | str
) -> np.ndarray:
    """The states of shards on end, simulated in one call, as they are stored."""
    states = range(store.members(shards[0]).start, store.members(shards[-1]).stop)
    # Chosen here, as a worker may have a GPU where the process that asks has none.
    device = resolve_device(device)
    made = recipe.simulate(states, device).to(getattr(torch, store.storage))
    expected = (len(states), *store.shape)
    if made.shape != expected or not torch.isfinite(made).all():
        which = f"shard {shards[0]}"
        which += f" and those up to {shards[-1]}" if len(shards) > 1 else ""
        raise DatasetError(
            f"{recipe!r} gave states {tuple(made.shape)} for {which}, but they should be "
            f"finite {store.storage} numbers {expected}; the shard was not stored."
        )
    if made.is_cuda:  # into pinned memory, where a copy is many times as fast
        made = torch.empty(made.shape, dtype=made.dtype, pin_memory=True).copy_(made)
    return made.cpu().numpy()


def _shards_at_once(store: Store, device: torch.device | str) -> int:
    """How many shards one call simulates on a GPU; 0 on a CPU, which makes them one by one."""
    device = resolve_device(device)
    if device.type != "cuda":
        return 0
    shard = 4 * store.shard * math.prod(store.shape)
    free, _ = torch.cuda.mem_get_info(device)
    room = min(_BYTES_AT_ONCE, free // 2 // _COPIES) // shard
    return max(1, min(room, _STATES_AT_ONCE // store.shard))


def _calls(shards: list[int], at_once: int) -> list[range]:
    """Shards in ranges of at most so many on end."""
    calls: list[range] = []
    for shard in shards:
        if calls and calls[-1].stop == shard and len(calls[-1]) < at_once:
            calls[-1] = range(calls[-1].start, shard + 1)
        else:
            calls.append(range(shard, shard + 1))
    return calls


def _make_in_calls(
    recipe: Recipe,
    store: Store,
    calls: list[range],
    device: torch.device | str,
    write: Callable[[int, bytes], None],
) -> None:
    """Simulate the shards of each call at once, while a thread writes those of the call before.

    However this ends, what the thread had begun with is written first.
    """

    def keep(shards: range, states: np.ndarray) -> None:
        first = store.members(shards[0]).start
        for shard in shards:
            members = store.members(shard)
            write(shard, store.encode(states[members.start - first : members.stop - first]))

    before: Future | None = None
    with ThreadPoolExecutor(1) as writer:
        for shards in calls:
            states = _simulated(recipe, store, shards, device)
            if before is not None:
                before.result()  # at most two calls' states wait in memory
            before = writer.submit(keep, shards, states)
        if before is not None:
            before.result()


def connect(scheduler: str) -> "distributed.Client":
    """A client of the Dask scheduler at an address."""
    import distributed

    if not re.fullmatch(r"\w+://\S+", scheduler):  # of such a client half would be left behind
        raise DatasetError(
            f"No Dask scheduler answers at {scheduler!r}: it is not tcp://host:8786."
        )
    try:
        return distributed.Client(scheduler, timeout="10s", set_as_default=False)
    except (OSError, ValueError, TypeError) as error:  # TypeError: no certificates for tls://
        raise DatasetError(f"No Dask scheduler answers at {scheduler!r}: {error}.") from error


def _made_by_workers(
    recipe: Recipe,
    store: Store,
    shards: list[int],
    device: torch.device | str,
    scheduler: str,
) -> Iterator[tuple[int, bytes]]:
    """Have the workers of a Dask scheduler make shards; yield them in the order they finish."""
    import distributed

    client = connect(scheduler)
    started, waiting, shard_of = distributed.as_completed(loop=client.loop), iter(shards), {}
    lost = (distributed.KilledWorker, distributed.CancelledError, distributed.comm.CommClosedError)
    with client:
        try:
            while True:
                # Two shards per thread keep all busy; more would pile up in the workers' memory.
                wanted = 2 * max(1, sum(client.nthreads().values())) - len(shard_of)
                for shard in islice(waiting, max(0, wanted)):
                    future = client.submit(_shard, recipe, store, shard, device, pure=False)
                    shard_of[future] = shard
                    started.add(future)
                if not shard_of:
                    return
                future = next(started)
                yield shard_of.pop(future), future.result()
        except lost as error:
            raise DatasetError(
                f"The Dask scheduler at {scheduler} or its workers were lost "
                f"({type(error).__name__}); finished shards are safe, call dataset(recipe) again."
            ) from error
