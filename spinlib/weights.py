"""Files of weights: safetensors with JSON in their metadata, written whole or not at all.

No pickle is ever read from a file, so weights from a stranger cannot run anything.
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from spinlib.files import write_whole


class TrainingError(RuntimeError):
    """Weights or a checkpoint that cannot be used, or a training that cannot go on."""


def save_weights(network: nn.Module, path: str | Path, *, half: bool = False, **about) -> Path:
    """Write a network's weights with what belongs to them, as JSON, in the metadata.

    `about` takes plain values: settings of the network, recipe, normalisation, profile, … With
    `half` floating-point weights are stored in 16 bits.
    """
    tensors = dict(network.state_dict())
    if half:
        tensors = {name: _halved(tensor) for name, tensor in tensors.items()}
    return write_tensors(Path(path), tensors, about | {"class": type(network).__name__})


def _halved(tensor: torch.Tensor) -> torch.Tensor:
    """In 16 bits if it is floating-point and its numbers fit into them."""
    fits = tensor.is_floating_point() and not (tensor.abs() > torch.finfo(torch.half).max).any()
    return tensor.half() if fits else tensor


def load_weights(network: nn.Module, path: str | Path) -> dict[str, Any]:
    """Read weights written by `save_weights` into `network`; return what belongs to them."""
    tensors, about = read_tensors(Path(path))
    if about.get("class") != type(network).__name__:
        raise TrainingError(
            f"{path} holds weights of a {about.get('class')}, not of a {type(network).__name__}."
        )
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise TrainingError(f"The weights in {path} do not fit this network: {error}.") from None
    network.eval()
    return about


def read_about(path: str | Path) -> dict[str, Any]:
    """Return what `save_weights` wrote beside the weights, without reading them."""
    return read_tensors(Path(path), tensors=False)[1]


@contextmanager
def complaints(path: Path) -> Iterator[None]:
    """Turn the operating system's errors into sentences."""
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"Cannot write {path}: {error.strerror or error}. Make room or choose another folder, "
            "then train again; what was written before is kept."
        ) from error


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> Path:
    """Write tensors and their JSON so that the file is there whole or not at all."""
    plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    content = save(plain, {"about": json.dumps(about)})
    with complaints(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    return path


def read_tensors(
    path: Path, tensors: bool = True
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors by name, unless they are not wanted, and what stands beside them."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["about"])
            if not isinstance(about, dict):
                raise ValueError("what stands beside the weights is no mapping")
            names = file.keys() if tensors else ()
            return {name: file.get_tensor(name) for name in names}, about
    except (OSError, SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise TrainingError(
            f"{path} is no file of weights that this library wrote: {error}. Take another, or "
            "delete it to train anew."
        ) from None


def plain(x: object) -> object:
    """Turn numbers, arrays, tensors and tables into what JSON holds; not-a-number becomes null."""
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu().numpy()
    if isinstance(x, pd.DataFrame):
        x = x.to_dict("list")
    elif isinstance(x, pd.Series):
        x = x.to_dict()
    elif isinstance(x, np.ndarray | np.generic):
        x = x.tolist()
    if isinstance(x, dict):
        return {str(key): plain(entry) for key, entry in x.items()}
    if isinstance(x, list | tuple):
        return [plain(entry) for entry in x]
    if isinstance(x, float) and not math.isfinite(x):
        return None
    if x is None or isinstance(x, bool | int | float | str):
        return x
    raise TypeError(f"A figure's numbers cannot hold {type(x).__name__}; give a number or array.")
