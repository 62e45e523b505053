"""Shards on disk: each is there whole, or not there, or known to be damaged.

A store is a folder with one Zarr v3 array (states, *shape), one uncompressed chunk per shard with
Zarr's crc32c checksum, which any Zarr library reads. It is written here, in full view, for three
reasons: a chunk has to appear at once and whole, a missing one must be an error and not fill
values, and the bytes should depend on no library's version. Nothing in a folder is trusted: the
metadata must equal, byte for byte, what their owner would write, and a chunk must have the right
length and checksum. Compression is left out: it shrinks annealed spins 1.2 to 1.35 times (zstd with
shuffle), for a fraction of the speed and chunks that could blow up when read.
"""

import errno
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from spinlib.files import PARTIAL, wait_for_lock, write_whole

STORAGE = {"float16": np.dtype("<f2"), "float32": np.dtype("<f4")}


class DatasetError(RuntimeError):
    """A data set that cannot be made or read; the message says why and what to do."""


@dataclass(frozen=True)
class Store:
    """Where an array (states, *shape) lies on disk, `shard` states to a file."""

    folder: Path
    states: int
    shard: int
    shape: tuple[int, ...]
    storage: str  # a key of STORAGE

    @property
    def shards(self) -> int:
        return -(-self.states // self.shard)

    @property
    def shard_bytes(self) -> int:
        return self.shard * math.prod(self.shape) * STORAGE[self.storage].itemsize + 4

    def members(self, shard: int) -> range:
        """Indices of the states in a shard."""
        return range(shard * self.shard, min((shard + 1) * self.shard, self.states))

    def path(self, shard: int) -> Path:
        return self.folder / ".".join(["c", str(shard), *("0" for _ in self.shape)])

    def encode(self, states: np.ndarray) -> bytes:
        """Return a shard's file: the numbers, padded to a full shard, then their crc32c."""
        block = np.zeros((self.shard, *self.shape), STORAGE[self.storage])
        block[: len(states)] = states
        numbers = block.tobytes()
        return numbers + google_crc32c.value(numbers).to_bytes(4, "little")

    def read(self, shard: int) -> np.ndarray | None:
        """Return a shard as stored, (shard, *shape), or None if it is missing or damaged."""
        path = self.path(shard)
        with self.complaints():
            # The length first: a file of any other length is not worth the memory.
            if not path.exists() or path.stat().st_size != self.shard_bytes:
                return None
            content = path.read_bytes()
        numbers = np.frombuffer(content, np.uint8, count=len(content) - 4)
        if google_crc32c.value(numbers) != int.from_bytes(content[-4:], "little"):
            return None
        return numbers.view(STORAGE[self.storage]).reshape(self.shard, *self.shape)

    def to_be_made(self, shards: Iterable[int] | None = None) -> list[int]:
        """Return those of the shards (all of them by default) that are missing or damaged."""
        shards = range(self.shards) if shards is None else shards
        return [shard for shard in shards if self.read(shard) is None]

    def write(self, path: Path, content: bytes) -> None:
        """Write a file, whole or not at all; its writer holds the folder's lock."""
        with self.complaints():
            write_whole(path, content)

    def zarr_json(self, attributes: dict[str, Any]) -> bytes:
        """Return the metadata of the Zarr v3 array."""
        metadata = {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [self.states, *self.shape],
            "data_type": self.storage,
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": [self.shard, *self.shape]},
            },
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
            "fill_value": "NaN",
            "codecs": [
                {"name": "bytes", "configuration": {"endian": "little"}},
                {"name": "crc32c"},
            ],
            "attributes": attributes,
        }
        return json.dumps(metadata, indent=1).encode()

    def has(self, metadata: dict[str, bytes]) -> bool:
        """Say whether all these files are there; refuse any that are there with other content."""
        there = {self.folder / name: text for name, text in metadata.items()}
        there = {path: text for path, text in there.items() if path.exists()}
        for path, text in there.items():
            if path.stat().st_size != len(text) or path.read_bytes() != text:
                raise DatasetError(
                    f"{path} is not what this recipe writes: it is damaged or comes from "
                    "elsewhere, or the code changed without a new `version` of the recipe. Nothing "
                    "was touched; move the folder away to have the data set made again."
                )
        return len(there) == len(metadata)

    def missing_bytes(self) -> int:
        """Return how much is still to be written; refuse a folder that holds more than files."""
        there = 0
        with self.complaints():
            for entry in os.scandir(self.folder) if self.folder.exists() else ():
                if not entry.is_file(follow_symlinks=False):
                    raise DatasetError(
                        f"{entry.path} is not a plain file, and a data set holds nothing else (a "
                        "link could lead out of it); move the folder away."
                    )
                if entry.name.startswith("c.") and not entry.name.endswith(PARTIAL):
                    there += min(entry.stat(follow_symlinks=False).st_size, self.shard_bytes)
        return self.shards * self.shard_bytes - there

    def free_bytes(self) -> int:
        """Return the room on the folder's disk, whether the folder exists yet or not."""
        parents = (self.folder, *self.folder.absolute().parents)
        return shutil.disk_usage(next(path for path in parents if path.exists())).free

    @contextmanager
    def sole_writer(self) -> Iterator[None]:
        """Hold the folder's lock; the operating system frees it when its holder dies, however."""
        with self.complaints():
            self.folder.mkdir(parents=True, exist_ok=True)
            file = open(self.folder / ".lock", "ab")  # noqa: SIM115 (closed below)
        with file:
            wait_for_lock(file, str(self.folder))
            yield

    @contextmanager
    def complaints(self) -> Iterator[None]:
        """Turn the operating system's errors into sentences."""
        try:
            yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            raise DatasetError(
                f"Cannot use {self.folder}: {error.strerror or error}. "
                + ("Make room" if full else "Make it readable and writable, or give another root")
                + ", then call dataset(recipe) again; finished shards are kept."
            ) from error
