"""Simulated pictures under the conditions of one picture, and the network that learns from them.

Of the picture they know the size of the box and the noise, no more. So pictures of one series share
them: the second finds what was simulated and learnt for the first.
"""

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import mse_loss
from tqdm.auto import tqdm

from spinlib.checkpoints import checkpoint_name
from spinlib.dataset import dataset
from spinlib.estimation import doubts, observation, planning
from spinlib.estimation.conditions import CHANNELS, Conditions
from spinlib.estimation.films import FieldOfView, recipe
from spinlib.estimation.planning import Effort, Plan
from spinlib.files import wait_for_lock
from spinlib.networks.texture_cnn import STEP, WINDOW, TextureCNN
from spinlib.similarity import noise_level
from spinlib.symmetry import Operation, act, point_group
from spinlib.thermal_recipes import NAMES, Ranges
from spinlib.training import Batch, Numbers, fit, one_cycle, seeded
from spinlib.weights import read_tensors, write_tensors

_SHARES = {"simulating": 35, "training": 50, "predicting": 15}  # of the time, percent
_PARTS = ("grid", "drawn", "validation", "held_out", "tested", "again")  # of the simulations
_PART = 0.7  # of a picture's side that a look of the training sees
_QUANTILES = [0.0, doubts.SELDOM, doubts.USUAL, 1.0]  # quantiles of the looks that are kept


class Bar:
    """One progress bar for simulations, training and predictions, in percent of expected time."""

    def __init__(self, shown: bool, networks: int = 1) -> None:
        layout = "{desc}: {percentage:3.0f}% |{bar}| {elapsed}<{remaining}"
        self.bar = tqdm(total=100, disable=not shown, bar_format=layout)
        self.networks, self.network = networks, 0

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *error) -> None:
        self.bar.close()

    def say(self, sentence: str) -> None:
        """A line above the bar, if there is one."""
        if not self.bar.disable:
            self.bar.write(sentence, file=sys.stderr)

    def to(self, stage: str, done: float) -> None:
        """So much of a stage, 0 … 1, is done; all but the last come again for each network."""
        names = list(_SHARES)
        at = sum(_SHARES[name] for name in names[: names.index(stage)])
        at += _SHARES[stage] * min(done, 1.0)
        if stage != names[-1]:
            each = sum(_SHARES[name] for name in names[:-1])
            at = (self.network * each + at) / self.networks
        self.bar.set_description_str(stage, refresh=False)
        self.bar.update(at - self.bar.n)


@dataclass(frozen=True)
class Work:
    """What one call of `estimate` is given.

    The network learns from films of the `simulated` ranges, which go beyond those that are asked
    about, and is calibrated and tested by films of these.
    """

    pixels: torch.Tensor
    conditions: Conditions
    ranges: Ranges
    effort: Effort
    plan: Plan
    seed: int
    root: Path
    device: torch.device | str
    bar: Bar

    @property
    def simulated(self) -> Ranges:
        return planning.with_margin(self.ranges)

    def seed_of(self, part: str, batch: int = 0) -> int:
        """The seed of a batch of states."""
        return 10_000 * self.seed + 100 * _PARTS.index(part) + batch


@dataclass(frozen=True)
class States:
    """Simulated pictures as the network sees them, and the parameters behind them."""

    pictures: torch.Tensor
    parameters: pd.DataFrame


@dataclass(frozen=True)
class Learnt:
    """A network, and what is known of it by the simulations that it was not trained on.

    answers, parameters   what it says about each of them, normalised, and the truth (states, 3); by
                          purpose: validation, held_out, tested
    looks                 numbers of `similarity.look` over all simulations (rows of `_QUANTILES`)
    noise                 of the simulated pictures
    """

    network: TextureCNN
    answers: dict[str, np.ndarray]
    parameters: dict[str, pd.DataFrame]
    looks: pd.DataFrame
    noise: float

    def keep(self, path: Path) -> None:
        """Write everything to a file, whole or not at all."""
        tensors = {f"network.{name}": t for name, t in self.network.state_dict().items()}
        for part, table in self.parameters.items():
            tensors[f"answers.{part}"] = torch.tensor(self.answers[part])
            tensors[f"parameters.{part}"] = torch.tensor(table.to_numpy())
        about = {"network": self.network.settings, "looks": self.looks.to_dict("split")}
        write_tensors(path, tensors, about | {"noise": self.noise})

    @classmethod
    def load(cls, path: Path) -> "Learnt":
        """Read what `keep` wrote."""
        tensors, about = read_tensors(path)
        parts: dict[str, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition(".")
            parts.setdefault(kind, {})[rest] = tensor
        network = TextureCNN(**about["network"])
        network.load_state_dict(parts["network"])
        return cls(
            network,
            {part: answers.numpy() for part, answers in parts["answers"].items()},
            {
                part: pd.DataFrame(rows.numpy(), columns=NAMES)
                for part, rows in parts["parameters"].items()
            },
            pd.DataFrame(**about["looks"]),
            about["noise"],
        )


def learn(work: Work, number: int = 0) -> Learnt:
    """Simulate pictures like the one at hand and train a network on them, or find it done.

    What is learnt is kept under what it depends on, which the picture itself is no part of. The
    bar is told the `number` of the network.
    """
    work.bar.network = number
    noise = _noise(work)
    plan = {
        name: getattr(work.plan, name) for name in ("box", "pixels", "seen", "cells", "clipped")
    }
    about = {"plan": plan, "noise": noise, "seed": work.seed} | {
        name: asdict(getattr(work, name)) for name in ("conditions", "ranges", "effort")
    }
    folder = work.root / "networks" / checkpoint_name(about)
    folder.mkdir(parents=True, exist_ok=True)
    learnt, checkpoint = folder / "learnt.safetensors", folder / "training.safetensors"
    with (folder / ".lock").open("ab") as lock:
        wait_for_lock(lock, str(folder))
        if not learnt.exists():
            sets, looks = _simulate(work, noise)
            network = _train(work, sets.pop("training"), sets["validation"], checkpoint)
            Learnt(
                network,
                {part: read(network, states.pictures, work) for part, states in sets.items()},
                {part: states.parameters[list(NAMES)] for part, states in sets.items()},
                looks,
                noise,
            ).keep(learnt)
        checkpoint.unlink(missing_ok=True)
        return Learnt.load(learnt)


@torch.no_grad()
def read(network: TextureCNN, pictures: torch.Tensor, work: Work) -> np.ndarray:
    """What the network answers to pictures with the pixels that it sees, (pictures, 3)."""
    network.eval().to(work.device, memory_format=torch.channels_last)
    # A few at a time: they may be large, and what a layer makes of them should fit into caches.
    few = (some.to(work.device, torch.float32) for some in pictures.split(4))
    return torch.cat([network(some).cpu() for some in few]).double().numpy()


def _pictures(
    work: Work, films: FieldOfView, copies: bool = False
) -> Iterator[tuple[torch.Tensor, pd.DataFrame, int]]:
    """Noiseless pictures of the films, and their parameters.

    They come a few at a time, with the number of the first: they may have far more pixels than a
    network sees. With `copies` each film is seen as it is and then under every other symmetry it
    has, each time with a blur of its own: films of the same parameters, for the price of a look.
    """
    data = dataset(films, work.root, work.device, progress=False)
    group = (Operation(),)
    if copies:
        group = point_group(films.film(data.parameters).hamiltonian(films.field), films.size)
    for number, operation in enumerate(group):
        for rows, spins in data:
            first = number * films.states + int(rows.index[0])
            draw = {"seed": films.seed, "first": first}
            seen = observation.see(act(spins, operation), work.plan, work.conditions, **draw)
            yield seen, rows, first


def _noise(work: Work) -> float:
    """The picture's noise, to the next of a few levels, so that a series of pictures shares one."""
    asked = work.plan, work.conditions, work.simulated, work.effort
    made = _pictures(work, recipe(*asked, cells=work.plan.cells[0], seed=work.seed_of("grid")))
    apart = -(-(work.effort.values ** len(NAMES)) // 4)  # a few of the grid, not all in memory
    some = torch.cat(
        [
            each[None].clone()  # a view would keep all of its neighbours
            for pictures, _, first in made
            for n, each in enumerate(pictures, first)
            if n % apart == 0
        ]
    )
    noise = observation.matching_noise(some, noise_level(work.pixels), work.conditions)
    return observation.stepped(noise, work.conditions.grey)


def _simulate(work: Work, noise: float) -> tuple[dict[str, States], pd.DataFrame]:
    """Pictures for training, validation, calibration and test; and the span of their looks.

    All but the grid have random parameters. The states of a part are made in batches, with cells
    of two or three sizes in turn, as the picture's film has no cells. Those that calibrate and test
    have finer ones than those trained on, as far as time allows, so that they know that error.
    Training has all copies of its films; elsewhere a film counts once, as errors of copies go
    together.
    """
    effort, plan = work.effort, work.plan
    finer = (plan.between, plan.cells[1], plan.finer)
    counts = {
        "drawn": (effort.drawn, plan.cells),
        "validation": (effort.validation, plan.cells),
        "held_out": (effort.held_out, finer),
        "tested": (effort.tested, finer),
    }
    jobs = [("grid", work.seed_of("grid"), plan.cells[0], 0)]
    for name, (count, cells) in counts.items():
        batches = max(-(-count // planning.BATCH), min(len(cells), count))
        sizes = [count // batches + (batch < count % batches) for batch in range(batches)]
        jobs += [
            (name, work.seed_of(name, batch), cells[batch % len(cells)], size)
            for batch, size in enumerate(sizes)
        ]
    parts: dict[str, list[States]] = {}
    looks = []
    for done, (name, seed, cells, drawn) in enumerate(jobs, start=1):
        part = "training" if name in ("grid", "drawn") else name
        ranges = work.ranges if part in ("held_out", "tested") else work.simulated
        asked = work.plan, work.conditions, ranges, work.effort
        films = recipe(*asked, cells=cells, seed=seed, drawn=drawn)
        draw = {"seed": films.picture_seed}
        for clean, rows, first in _pictures(work, films, copies=part == "training"):
            recorded = observation.record(clean, noise, work.conditions, first=first, **draw)
            pictures = observation.as_seen(recorded, plan, work.conditions)
            # Half precision is finer than any camera, and there are thousands of them.
            parts.setdefault(part, []).append(States(pictures.half(), rows))
            looks.append(observation.look_of(pictures, work.conditions))
        work.bar.to("simulating", done / len(jobs))
    sets = {name: _joined(batches) for name, batches in parts.items()}
    return sets, pd.concat(looks).quantile(_QUANTILES)


def _joined(batches: list[States]) -> States:
    """One set of several, which are given up on the way: at full effort they take gigabytes."""
    parameters = pd.concat([states.parameters for states in batches], ignore_index=True)
    shape = batches[0].pictures.shape[1:]
    pictures = batches[0].pictures.new_empty((len(parameters), *shape))
    start = 0
    while batches:
        part = batches.pop(0).pictures
        pictures[start : start + len(part)] = part
        start += len(part)
    return States(pictures, parameters)


def _train(work: Work, training: States, validation: States, checkpoint: Path) -> TextureCNN:
    """A network trained on parts of pictures, other ones at each look.

    They begin anywhere, as the box is periodic. Of a whole box the network would learn by heart
    what is where; half of it costs half as much, and shows enough windows for their statistics.
    """
    with seeded(work.seed):
        network = TextureCNN(CHANNELS[work.conditions.contrast])
    side = min(work.plan.seen, max(round(_PART * work.plan.seen), WINDOW + 2 * STEP))

    def losses(network: nn.Module, batch: Batch, numbers: Numbers) -> dict[str, torch.Tensor]:
        pictures, wanted = batch
        return {"loss": mse_loss(network(pictures).float(), wanted)}

    def augment(batch: Batch, numbers: Numbers) -> Batch:
        return parts(batch[0], numbers.uniform((2,), "part"), side), batch[1]

    def schedule(share: float) -> float:  # asked before every step, on a GPU as well
        work.bar.to("training", share)
        return one_cycle(share)

    fit(
        *(network, losses),
        *(
            (states.pictures, work.simulated.unit(states.parameters))
            for states in (training, validation)
        ),
        epochs=max(1, round(work.effort.looks / len(training.pictures))),
        seed=work.seed,
        **{"batch_size": 64, "learning_rate": 3e-3, "weight_decay": 1e-2},
        **{"schedule": schedule, "augment": augment},
        device=work.device,
        checkpoint=checkpoint,
        identity=network.settings,
    )
    work.bar.to("training", 1.0)
    return network


def parts(pictures: torch.Tensor, random: torch.Tensor, side: int) -> torch.Tensor:
    """A square part of each periodic picture, begun at a place by two numbers in (0, 1]."""
    height, width = pictures.shape[-2:]
    each, pixels = (torch.arange(size, device=pictures.device) for size in (len(pictures), side))
    rows = (pixels + (random[:, :1] * height).long()) % height
    columns = (pixels + (random[:, 1:] * width).long()) % width
    # Pixel by pixel with its channels, which is how the network reads them.
    places = each[:, None, None], rows[:, :, None], columns[:, None]
    return pictures.permute(0, 2, 3, 1)[places].permute(0, 3, 1, 2)
