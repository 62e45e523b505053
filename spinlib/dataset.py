"""Data sets: a recipe says what, `dataset` makes it once and keeps it on disk.

    recipe ──► parameters, one row per state ──► states, shard by shard ──► root/<Recipe>-<hash>/

A data set is a pure function of its recipe, so all of it can be checked, and made again. A shard
that is missing and one that is damaged are the same case, "to be made"; `dataset(recipe)` makes
just those. Hence there is no journal, nothing to clean up after a kill, and nothing to repair by
hand. What a recipe offers, and how shards are made, here, on a GPU or by workers, is told in
`shards.py`, how they lie on disk in `store.py`.
"""

import ast
import hashlib
import inspect
import json
import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import torch

from spinlib.kernels import resolve_device
from spinlib.shards import Recipe, make
from spinlib.store import STORAGE, DatasetError, Store

_CODE = re.compile(rb',\s*"code": "[0-9a-f]{64}"')  # in a store's metadata


def recipe_json(recipe: Recipe) -> str:
    """Return a recipe as canonical JSON: class, version and fields, sorted.

    Recipes that compare equal (1 and 1.0 do) give the same text.
    """
    if not is_dataclass(recipe) or not type(recipe).__dataclass_params__.frozen:
        raise DatasetError(f"A recipe must be a frozen dataclass, but this is {recipe!r}.")

    kind = type(recipe).__name__
    wanted = [*Recipe.__annotations__, "shape", "parameters", "simulate"]
    if lacking := [name for name in wanted if not hasattr(recipe, name)]:
        raise DatasetError(
            f"{kind} has no {', '.join(lacking)}: a recipe offers what spinlib.shards.Recipe lists."
        )

    def plain(name: str, value: Any) -> Any:
        if type(value) is float and math.isfinite(value):
            return int(value) if value.is_integer() else value
        if type(value) in (int, str, bool):
            return value
        if type(value) is tuple:
            return [plain(name, item) for item in value]
        raise DatasetError(
            f"The recipe's field {name!r} is {value!r}, but a recipe is made of finite numbers, "
            "strings and tuples of them."
        )

    values = {item.name: plain(item.name, getattr(recipe, item.name)) for item in fields(recipe)}
    text = {"class": kind, "version": type(recipe).version, "fields": values}
    return json.dumps(text, sort_keys=True, separators=(",", ":"))


def recipe_hash(recipe: Recipe) -> str:
    """Return the SHA-256 of `recipe_json` in hexadecimal; it names the data set."""
    return hashlib.sha256(recipe_json(recipe).encode()).hexdigest()


def code_hash(kind: type) -> str:
    """Return the SHA-256 of the source of a class and its bases, without comments and docstrings.

    It is empty for a class without a source file, such as one that was typed into a notebook.
    """
    digest = hashlib.sha256()
    bases = [base for base in kind.__mro__ if base.__module__ not in ("builtins", "typing")]
    try:
        for base in bases:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
                    del node.body[0]
            digest.update(ast.unparse(tree).encode())  # as a text, `dump` differs between Pythons
    except (OSError, TypeError, SyntaxError):
        return ""
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Dataset:
    """States on disk with their parameters. Opening it loads no states; `states` does.

    Iterating gives, shard by shard, the rows of the parameters and the states that belong to them.
    """

    recipe: Recipe
    parameters: pd.DataFrame = field(repr=False)
    store: Store = field(repr=False)

    @property
    def folder(self) -> Path:
        return self.store.folder

    def __len__(self) -> int:
        return self.store.states

    def __iter__(self) -> Iterator[tuple[pd.DataFrame, torch.Tensor]]:
        for shard in range(self.store.shards):
            members = self.store.members(shard)
            yield self.parameters.iloc[members], self.states(members)

    def states(
        self, indices: int | slice | Sequence[int] | np.ndarray = slice(None)
    ) -> torch.Tensor:
        """Return the chosen states as a float32 tensor (len(indices), *shape), read from disk."""
        index = np.atleast_1d(np.arange(len(self))[indices])
        states = torch.empty((len(index), *self.store.shape))
        shards = index // self.store.shard
        for shard in np.unique(shards).tolist():
            block = self.store.read(shard)
            if block is None:
                raise DatasetError(
                    f"Shard {shard} of {self.folder} is missing or damaged (its length or checksum "
                    "is wrong); call dataset(recipe) to make it again."
                )
            rows = np.flatnonzero(shards == shard)
            chosen = block[index[rows] - shard * self.store.shard]
            states[rows] = torch.from_numpy(chosen).float()
        return states


def dataset(
    recipe: Recipe,
    root: str | Path = "data",
    device: torch.device | str = "auto",
    scheduler: str | None = None,
    progress: bool = True,
) -> Dataset:
    """Return the data set of a recipe: from disk, or made now, or what is missing of it made now.

    It may be interrupted or killed at any moment; the next call goes on and ends with the bytes of
    an unbroken run (but for films with dipoles on a GPU, whose Fourier transforms may round
    otherwise where fewer states are left to be made at a time; and one begun on a GPU and finished
    on a CPU, or the other way round, has states of either, which nobody notices). Damaged shards
    are made again. If another process is making the same data set, this one waits for it. `device`
    is the GPU by default if there is one. With the address of a Dask `scheduler`
    ("tcp://host:8786") its workers simulate and this process writes, so that the workers have to
    know the recipe's class, but not the disk.
    """
    store = _store(recipe, Path(root))
    missing = store.missing_bytes()
    if missing > 0:
        _refuse_absurd(recipe, store, missing, "cpu" if scheduler else device)
    data = Dataset(recipe, recipe.parameters().reset_index(drop=True), store)
    metadata = {"zarr.json": _zarr_json(recipe, store), "parameters.json": _parameters_json(data)}
    complete, todo = store.has(metadata), store.to_be_made()
    if complete and not todo:
        return data
    with store.sole_writer():
        if not store.has(metadata):
            for name, content in metadata.items():
                store.write(store.folder / name, content)
        make(recipe, store, store.to_be_made(todo), device, scheduler, progress)
    return data


def split(
    parameters: pd.DataFrame,
    fractions: Sequence[float],
    *,
    by: str | list[str] | None,
    seed: int,
) -> tuple[np.ndarray, ...]:
    """Deal the states into parts, such as training, validation and test, group by group.

    `by` names the column(s) whose equal values make a group (a simulation, a parameter set); no
    group straddles two parts. With None every state is a group of its own. `fractions` count
    groups, rounded to whole ones. Returns the sorted state indices of each part.
    """
    shares = np.asarray(fractions, dtype=float)
    if not (np.all(shares > 0) and shares.sum() <= 1 + 1e-9):
        raise ValueError(f"Fractions must be positive and sum to at most 1, not {fractions}.")
    columns = [by] if isinstance(by, str) else by or []
    if unknown := set(columns) - set(parameters.columns):
        raise ValueError(f"There is no parameter {sorted(unknown)} among {[*parameters]}.")
    group = np.arange(len(parameters))
    if columns:
        group = parameters.groupby(columns, dropna=False).ngroup().to_numpy()
    groups = int(group.max(initial=-1)) + 1
    place = np.random.Generator(np.random.Philox(seed)).permutation(groups)
    edges = np.rint(np.cumsum([0, *shares]) * groups)
    if np.any(np.diff(edges) == 0):
        raise ValueError(f"{groups} group(s) by {by!r} are too few for the fractions {fractions}.")
    part = np.searchsorted(edges, place[group], side="right") - 1
    return tuple(np.flatnonzero(part == number) for number in range(len(shares)))


def _store(recipe: Recipe, root: Path) -> Store:
    """Check a recipe and say where its states belong."""
    name = f"{type(recipe).__name__}-{recipe_hash(recipe)[:16]}"
    for count in ("states", "shard"):
        value = getattr(recipe, count)
        if type(value) is not int or value < 1:
            raise DatasetError(f"A recipe's {count} must be a whole number above 0, not {value!r}.")
    if not isinstance(recipe.storage, str) or recipe.storage not in STORAGE:
        raise DatasetError(
            f"A recipe's storage is {' or '.join(map(repr, STORAGE))}, not {recipe.storage!r}."
        )
    shard = min(recipe.shard, recipe.states)
    return Store(root / name, recipe.states, shard, tuple(recipe.shape), recipe.storage)


def _zarr_json(recipe: Recipe, store: Store) -> bytes:
    """Return the array's metadata; those that are there may lack the hash of the recipe's code."""
    attributes = {"recipe": json.loads(recipe_json(recipe)), "sha256": recipe_hash(recipe)}
    code = code_hash(type(recipe))
    wanted = store.zarr_json(attributes | ({"code": code} if code else {}))
    path = store.folder / "zarr.json"
    with store.complaints():
        there = path.exists() and path.stat().st_size <= len(wanted) + 100
        found = path.read_bytes() if there else b""
    if _CODE.sub(b"", found) != store.zarr_json(attributes):
        return wanted  # not there, or not this recipe's, which is refused elsewhere
    if code and _CODE.search(found) and found != wanted:
        raise DatasetError(
            f"The code of {type(recipe).__name__} has changed since these states were made: raise "
            f"its version if that changes the states, or delete {store.folder}."
        )
    return found


def _refuse_absurd(recipe: Recipe, store: Store, missing: int, device: torch.device | str) -> None:
    """Refuse, before anything is allocated, what the disk or the memory could not hold."""
    # The spins, the field on them and one copy on the way to disk, float32 each.
    work = 12 * store.shard * math.prod(store.shape)
    room = {
        "disk": (missing, store.free_bytes(), "fewer states or another root"),
        "memory": (work, psutil.virtual_memory().available, "fewer states per shard"),
    }
    device = resolve_device(device)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        room["GPU memory"] = (work, free, "fewer states per shard")
    for place, (needed, free, remedy) in room.items():
        if needed > free:
            raise DatasetError(
                f"{recipe!r} needs about {needed / 1e9:.3g} GB of {place}, but only "
                f"{free / 1e9:.3g} GB are free; take {remedy}."
            )


def _parameters_json(data: Dataset) -> bytes:
    """Return the table of parameters as {column: values}."""
    table = data.parameters
    try:
        if len(table) != len(data) or not table.columns.is_unique:
            raise ValueError(f"they are {len(table)} rows under {[*table.columns]}")
        columns = {str(name): table[name].tolist() for name in table}
        return json.dumps(columns, indent=1, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise DatasetError(
            f"The parameters of {data.recipe!r} must be {len(data)} rows of finite numbers and "
            f"strings under distinct names: {error}."
        ) from error
