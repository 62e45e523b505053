"""What a training has reached after an epoch: named, kept, saved, and taken up again."""

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spinlib.weights import TrainingError, read_tensors, write_tensors

_PIECE = 2**26  # bytes


def _code(package: Path) -> bytes:
    kinds = {".py", ".h", ".cuh", ".cu", ".cpp"}
    return b"".join(p.read_bytes() for p in sorted(package.rglob("*")) if p.suffix in kinds)


# Read once: files that are edited while a process runs are not what it trains with.
_CODE = _code(Path(__file__).parent)


def checkpoint_name(about: Any, *tensors: torch.Tensor) -> str:
    """Name of the checkpoint of a training: a hash of plain values that say what is trained.

    And of the tensors that it starts from: first weights, samples, targets. And of all code of this
    package as it was loaded, as most of it decides about the weights in one way or another: what
    other code has made is not found again.
    """
    digest = hashlib.sha256(json.dumps([about, content_hash(*tensors)], sort_keys=True).encode())
    digest.update(_CODE)
    return digest.hexdigest()[:16]


def checkpoint_path(
    folder: Path | None, about: Any, network: nn.Module, *samples: torch.Tensor
) -> Path | None:
    """Where in a folder, if there is one, the checkpoint of a network's training is kept."""
    if folder is None:
        return None
    name = checkpoint_name(about, *network.state_dict().values(), *samples)
    return folder / f"{name}.safetensors"


def content_hash(*tensors: torch.Tensor) -> str:
    """SHA-256 of shapes, types and numbers of tensors on any device, those of pieces side by side.

    Half a second for 1 GB and core: samples of full size have tens of GB.
    """

    def of(piece: torch.Tensor) -> bytes:
        return hashlib.sha256(piece.numpy()).digest()

    digest = hashlib.sha256()
    with ThreadPoolExecutor() as pool:
        for tensor in tensors:
            digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
            numbers = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
            for part in pool.map(of, numbers.split(_PIECE)):
                digest.update(part)
    return digest.hexdigest()


class State:
    """Network, optimiser, best weights, history; a file of `weights.py` once it is saved."""

    def __init__(
        self,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        settings: dict[str, Any],
        stop: Callable[[list[float]], bool] | None,
    ):
        self.network, self.optimiser, self.settings, self.stop = network, optimiser, settings, stop
        self.history: list[dict[str, float]] = []
        self.best = _copy(network)

    @property
    def epoch(self) -> int:
        return len(self.history)

    @property
    def finished(self) -> bool:
        losses = [row["train loss"] for row in self.history]
        return self.epoch == self.settings["epochs"] or bool(self.stop and self.stop(losses))

    def end_epoch(self, row: dict[str, float]) -> None:
        values = [past["validation loss"] for past in self.history]
        if not values or row["validation loss"] <= min(values):
            self.best = _copy(self.network)
        self.history.append(row)

    def save(self, path: Path) -> None:
        tensors = {f"best.{name}": t for name, t in self.best.items()}
        if not self.finished:  # what only serves to go on is three quarters of the file
            tensors |= {f"network.{name}": t for name, t in self.network.state_dict().items()}
            tensors |= {
                f"optimiser.{number}.{name}": torch.as_tensor(value)
                for number, slot in self.optimiser.state_dict()["state"].items()
                for name, value in slot.items()
            }
        write_tensors(path, tensors, {"settings": self.settings, "history": self.history})

    def load(self, path: Path) -> None:
        tensors, about = read_tensors(path)
        found, wanted = about.get("settings") or {}, json.loads(json.dumps(self.settings))
        names = sorted({*wanted, *found})
        differing = [name for name in names if wanted.get(name) != found.get(name)]
        if differing == ["mixed"]:  # on another kind of device
            if len(about["history"]) < wanted["epochs"]:
                return  # the halves of two ways would make neither: from the beginning
        elif differing:
            raise TrainingError(
                f"The checkpoint {path} belongs to another training: it differs in "
                f"{', '.join(differing)}. Delete it or choose another file."
            )
        parts: dict[str, dict[str, torch.Tensor]] = {"network": {}, "best": {}, "optimiser": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        self.history = about["history"]
        try:
            self.network.load_state_dict(parts["best" if self.finished else "network"])
        except RuntimeError as error:
            raise TrainingError(f"The checkpoint {path} does not fit: {error}.") from None
        if not self.finished:
            moments: dict[int, dict[str, torch.Tensor]] = {}
            for name, tensor in parts["optimiser"].items():
                number, _, slot = name.partition(".")
                moments.setdefault(int(number), {})[slot] = tensor
            groups = self.optimiser.state_dict()["param_groups"]
            self.optimiser.load_state_dict({"state": moments, "param_groups": groups})
            for parameter, slots in self.optimiser.state.items():
                # In the parameter's order of memory, which fused optimisers insist on.
                for name, tensor in slots.items():
                    if tensor.shape == parameter.shape:
                        slots[name] = torch.empty_like(parameter).copy_(tensor)
        device = next(self.network.parameters()).device
        self.best = {name: tensor.to(device) for name, tensor in parts["best"].items()}


def _copy(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
