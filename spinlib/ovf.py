"""OVF 2.0 files, so that states come from and go to mumax3 and OOMMF.

The files hold one value vector per cell of a rectangular mesh, x running fastest, then y upwards,
then z. Text, 4-byte and 8-byte binary are read and written; OVF 1.0, which differs in byte order
and in a value multiplier, is read.
"""

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from spinlib.files import write_whole

ENCODINGS = ("text", "binary 4", "binary 8")
_METRES = {"m": 1.0, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "nm": 1e-9, "pm": 1e-12}
_MAX_VALUES = 300_000_000  # a hundred million cells of three components
_HEADER_LIMIT = 1 << 20  # bytes; no header is a megabyte long


class OvfError(ValueError):
    """An OVF file that cannot be read or written, in one sentence."""


@dataclass(frozen=True)
class Ovf:
    """The contents of one OVF file."""

    values: np.ndarray  # (layers, components, height, width) float32 or float64; row 0 is lowest y
    cell: tuple[float, float, float]  # sides along x, y, z in metres
    title: str = "m"

    @property
    def spins(self) -> torch.Tensor:
        """Directions of a single layer as (1, 3, height, width) float32; empty cells stay zero."""
        if self.values.shape[:2] != (1, 3):
            layers, components = self.values.shape[:2]
            raise OvfError(
                f"The field {self.title!r} has {layers} layers of {components} components; spins "
                "are one layer of 3: pick a layer out of .values."
            )
        vectors = self.values.astype(np.float64)
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
        return torch.from_numpy(unit.astype(np.float32))


# --- reading -------------------------------------------------------------------------------------


def read_ovf(path: str | os.PathLike) -> Ovf:
    """Read one OVF file; anything wrong with it is an :class:`OvfError` of one sentence."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _parse(file)
    except OSError as error:
        raise OvfError(f"{path} cannot be read: {error.strerror or error}.") from None
    except OvfError as error:
        raise OvfError(f"{path} is not a usable OVF file: {error}") from None


def _parse(file: BinaryIO) -> Ovf:
    content = file.read(_HEADER_LIMIT)
    first = content[:100].split(b"\n")[0].strip().lower().decode("latin-1")
    if first.startswith("# oommf ovf 2"):
        version = 2
    elif first.startswith("# oommf") and "v1" in first and "irregular" not in first:
        version = 1
    elif first.startswith("# oommf") and "v0" in first:
        version = 1  # the draft format 0.0a0 differs from 1.0 only in its first line
    else:
        raise OvfError("its first line is not '# OOMMF OVF 2.0'.")
    header, encoding, start = _read_header(content)
    count = header.get("segment count", "1")
    if count != "1":
        raise OvfError(f"it holds {count!r} segments; files of one segment are read.")
    if header.get("meshtype", "rectangular").lower() != "rectangular":
        raise OvfError(f"its mesh is {header['meshtype']!r}; only a rectangular mesh is read.")

    nodes = [_integer(header, f"{axis}nodes") for axis in "xyz"]
    components = _integer(header, "valuedim") if version == 2 else 3
    total = math.prod(nodes) * components
    if total > _MAX_VALUES:
        raise OvfError(f"it announces {total} values, more than the {_MAX_VALUES} that are read.")
    unit = header.get("meshunit", "m")
    if unit not in _METRES:
        raise OvfError(f"its mesh unit {unit!r} is not one of {', '.join(_METRES)}.")
    cell = tuple(_number(header, f"{axis}stepsize") * _METRES[unit] for axis in "xyz")
    if min(cell) <= 0:
        raise OvfError(f"its cell of {cell[0]:g} x {cell[1]:g} x {cell[2]:g} m is not positive.")

    content += file.read()
    if encoding == "text":
        values = _read_text(content, start, total)
    else:
        values = _read_binary(
            content, start, total, int(encoding[-1]), "<" if version == 2 else ">"
        )
    if version == 1:
        values = values * _number(header, "valuemultiplier", "1")
    values = values.reshape(nodes[2], nodes[1], nodes[0], components).transpose(0, 3, 1, 2)
    return Ovf(np.ascontiguousarray(values), cell, header.get("title", "m"))


def _read_header(content: bytes) -> tuple[dict[str, str], str, int]:
    """Header keys in lower case, the data encoding, where the data begin."""
    header: dict[str, str] = {}
    position = 0
    while True:
        end = content.find(b"\n", position)
        if end < 0:
            raise OvfError("it ends before a 'Begin: Data' line.")
        line = content[position:end].decode("utf-8", "replace").strip()
        position = end + 1
        if not line.startswith("#"):
            if line:
                raise OvfError(f"its header contains the line {line[:40]!r} without a leading '#'.")
            continue
        key, colon, value = line.lstrip("# ").split("##")[0].partition(":")
        key, value = " ".join(key.lower().split()), value.strip()
        if not colon:
            continue
        if key == "begin" and value.lower().startswith("data"):
            encoding = " ".join(value.lower().split()[1:])
            if encoding not in ENCODINGS:
                raise OvfError(f"its data are {value!r}; known are {', '.join(ENCODINGS)}.")
            return header, encoding, position
        if key not in ("begin", "end", "desc"):
            header[key] = value


def _number(header: dict[str, str], key: str, default: str | None = None) -> float:
    text = header.get(key, default)
    if text is None:
        raise OvfError(f"its header has no {key!r}.")
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise OvfError(f"its header says {key} = {text[:40]!r}, which is not a number.")
    return number


def _integer(header: dict[str, str], key: str) -> int:
    number = _number(header, key)
    if number != int(number) or not 1 <= number <= _MAX_VALUES:
        raise OvfError(f"its header says {key} = {header[key][:40]!r}, which is no possible count.")
    return int(number)


def _read_text(content: bytes, start: int, total: int) -> np.ndarray:
    end = content.find(b"\n#", start - 1)
    words = content[start : end if end >= 0 else None].split()
    if len(words) != total:
        raise OvfError(f"its header promises {total} numbers and {len(words)} are there.")
    try:
        return np.array(words, dtype=np.float64)
    except ValueError:
        raise OvfError("its data contain words that are not numbers.") from None


def _read_binary(content: bytes, start: int, total: int, width: int, order: str) -> np.ndarray:
    kind = np.dtype(f"{order}f{width}")
    needed = (total + 1) * width
    if len(content) - start < needed:
        raise OvfError(
            f"it is cut short: {needed} bytes of data are promised and {len(content) - start} left."
        )
    values = np.frombuffer(content, dtype=kind, count=total + 1, offset=start)
    check = {4: 1234567.0, 8: 123456789012345.0}[width]
    if values[0] != check:
        raise OvfError(
            f"its data begin with {values[0]:.9g} instead of the check value {check:.0f}."
        )
    tail = content[start + needed : start + needed + 64].strip().lower()
    if not re.match(rb"#\s*end:\s*data", tail):
        raise OvfError("no 'End: Data' line follows its data.")
    return values[1:].astype(kind.newbyteorder("="))


# --- writing -------------------------------------------------------------------------------------


def write_ovf(
    path: str | os.PathLike,
    values: np.ndarray | torch.Tensor,
    cell: float | tuple[float, float, float],
    *,
    encoding: str = "binary 4",
    title: str = "m",
    units: tuple[str, ...] = (),
) -> None:
    """Write one state as OVF 2.0.

    `values` is one layer (components, height, width) or a stack of layers along z (layers,
    components, height, width): of a batch of spins write `spins[i]`. `cell` is the side of
    cubic cells or the sides along x, y, z, metres. Text keeps every digit of float32 and float64.
    """
    path = Path(path)
    array = (
        values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    )
    array = array[None] if array.ndim == 3 else array
    if array.ndim != 4 or array.dtype.kind not in "fiu" or array.size == 0:
        raise OvfError(
            f"{path} is not written: values are (components, height, width) numbers, these are "
            f"{array.dtype} of shape {tuple(array.shape)}."
        )
    if not np.isfinite(array).all():
        raise OvfError(f"{path} is not written: some values are NaN or infinite.")
    cell = (float(cell),) * 3 if np.ndim(cell) == 0 else tuple(float(side) for side in cell)
    if len(cell) != 3 or not all(math.isfinite(side) and side > 0 for side in cell):
        raise OvfError(f"{path} is not written: a cell of {cell} m has no three positive sides.")
    if encoding == "binary 4" and np.abs(array).max() > np.finfo(np.float32).max:
        raise OvfError(f"{path} is not written: some values need encoding='binary 8' or 'text'.")
    if encoding not in ENCODINGS:
        raise OvfError(f"{path} is not written: {encoding!r} is none of {', '.join(ENCODINGS)}.")

    layers, components, height, width = array.shape
    nodes = (width, height, layers)
    suffixes = "xyz" if components == 3 else [str(i) for i in range(components)]
    labels = [f"{title}_{s}".replace(" ", "_") for s in suffixes]
    units = units or ("1",) * components
    name = {"text": "Text", "binary 4": "Binary 4", "binary 8": "Binary 8"}[encoding]
    lines = ["OOMMF OVF 2.0", "Segment count: 1", "Begin: Segment", "Begin: Header"]
    lines += [f"Title: {title}", "meshtype: rectangular", "meshunit: m"]
    for axis, side, count in zip("xyz", cell, nodes, strict=True):
        lines += [f"{axis}min: 0.0", f"{axis}max: {count * side!r}", f"{axis}base: {side / 2!r}"]
        lines += [f"{axis}nodes: {count}", f"{axis}stepsize: {side!r}"]
    lines += [f"valuedim: {components}", f"valuelabels: {' '.join(labels)}"]
    lines += [f"valueunits: {' '.join(units)}"]
    if any("\n" in line for line in lines):
        raise OvfError(f"{path} is not written: title and units are single lines.")
    lines += ["End: Header", f"Begin: Data {name}"]
    head = "".join(f"# {line}\n" for line in lines).encode()
    tail = f"# End: Data {name}\n# End: Segment\n".encode()

    ordered = array.transpose(0, 2, 3, 1)
    if encoding == "text":
        kept = ordered if array.dtype.kind == "f" else ordered.astype(np.float64)
        rows = (" ".join(str(v) for v in row) for row in kept.reshape(-1, components))
        body = ("\n".join(rows) + "\n").encode()
    else:
        kind, check = {"binary 4": ("<f4", 1234567.0), "binary 8": ("<f8", 123456789012345.0)}[
            encoding
        ]
        body = np.array([check], kind).tobytes() + ordered.astype(kind).tobytes() + b"\n"
    try:
        write_whole(path, head + body + tail)
    except OSError as error:
        raise OvfError(f"{path} cannot be written: {error.strerror or error}.") from None
