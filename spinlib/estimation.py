"""From one picture to A, D and M_s, with intervals, and back: simulations with the estimate.

    picture, conditions, ranges ──► simulations under these conditions ──► network ──► estimate
        ──► calibrated intervals ──► texture, hysteresis loop and volume again, and warnings

One call does it: `estimate`. It goes on where it was stopped, and finds what it did before.
"""

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from spinlib import doubts, observation
from spinlib.answer import Estimate
from spinlib.dataset import dataset
from spinlib.intervals import Intervals, intervals, nearest, share_with_error, typical_error
from spinlib.networks.windowed_cnn import WindowedCNN
from spinlib.notebooks import ROOT
from spinlib.observation import CHANNELS, EFFORT, WINDOW, Conditions, Effort, Plan, helix_period
from spinlib.pictures import Picture, windows
from spinlib.prediction import loops, texture_again
from spinlib.similarity import look, noise_level
from spinlib.store import wait_for_lock
from spinlib.thermal_recipes import NAMES
from spinlib.training import checkpoint_name, seeded
from spinlib.windowed import Ranges, Windows, estimate_windows, train_windows

PERIOD = "4πA/D [nm]"
QUANTITIES = (*NAMES, PERIOD)
STEP = 8  # pixels between windows, as in the paper

_SHARES = {"simulating": 55, "training": 30, "predicting": 15}  # of the time, percent
_BATCH = 33  # states per data set: the progress bar moves with each
_SIMILAR = 30  # held-out states nearest to the estimate: what goes together in their errors?
# Files that decide what comes out: a result that other code made is not found again.
_CODE = tuple(
    f"{name}.py"
    for name in (
        *("estimation", "observation", "prediction", "answer", "intervals", "similarity"),
        *("doubts", "windowed", "networks/windowed_cnn", "thermal_recipes", "hysteresis"),
    )
)


def estimate(
    picture: Picture | torch.Tensor | str | Path,
    conditions: Conditions,
    ranges: Ranges,
    *,
    effort: Effort | str = "laptop",
    seed: int = 1,
    root: str | Path = ROOT / "data",
    device: torch.device | str = "cpu",
    progress: bool = True,
) -> Estimate:
    """Estimate A, D and M_s of the film in a picture, under the conditions it was taken.

    picture     a file, or pixels (channels, height, width) from 0 to 1 with row 0 at the bottom
    conditions  temperature, field, pixel size, thickness, contrast and blur
    ranges      between which values of each parameter to look: only these are simulated
    effort      how much is simulated: smoke, laptop, paper, or an `Effort`
    root        where simulations and results are kept; the call may be killed at any moment, and
                goes on when it is made again; once finished it returns at once

    All windows of the picture count. The intervals are those of pictures as large as the simulated
    box, so for a larger picture they are longer than they need be.

    Bad input is refused before work starts. What is doubtful about the answer is in its `warnings`.
    """
    if isinstance(effort, str):
        if effort not in EFFORT:
            raise ValueError(f"There is no effort {effort!r}; it is one of {', '.join(EFFORT)}.")
        effort = EFFORT[effort]
    pixels = observation.observed(picture, conditions)
    plan = observation.plan(tuple(pixels.shape[-2:]), conditions, ranges, effort)
    about = {
        "conditions": asdict(conditions),
        "ranges": {"low": list(ranges.low), "high": list(ranges.high)},
        "effort": asdict(effort),
        "seed": seed,
        "shape": list(pixels.shape),
        "picture": hashlib.sha256(pixels.contiguous().numpy().tobytes()).hexdigest(),
    }
    folder = Path(root) / "estimates" / checkpoint_name(about, _CODE).removesuffix(".safetensors")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("ab") as lock:
        wait_for_lock(lock, str(folder))
        result = folder / "result.safetensors"
        if result.exists():
            return Estimate.load(result)
        with _Bar(progress) as bar, warnings.catch_warnings():
            # Cells that are too coarse are spoken of in the plan's notes, once.
            warnings.filterwarnings("ignore", "(Cells of|A helix of period)")
            work = _Work(pixels, conditions, ranges, effort, plan, seed, Path(root), device, bar)
            return _answer(work, folder, about).keep(result)


class _Bar:
    """One progress bar for simulations, training and predictions, in percent of expected time."""

    def __init__(self, shown: bool) -> None:
        layout = "{desc}: {percentage:3.0f}% |{bar}| {elapsed}<{remaining}"
        self.bar = tqdm(total=100, disable=not shown, bar_format=layout)

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *error) -> None:
        self.bar.close()

    def to(self, stage: str, done: float) -> None:
        """So much of a stage, 0 … 1, is done."""
        names = list(_SHARES)
        before = sum(_SHARES[name] for name in names[: names.index(stage)])
        self.bar.set_description_str(stage, refresh=False)
        self.bar.update(before + _SHARES[stage] * min(done, 1.0) - self.bar.n)


@dataclass(frozen=True)
class _Work:
    """What one call of `estimate` is given."""

    pixels: torch.Tensor
    conditions: Conditions
    ranges: Ranges
    effort: Effort
    plan: Plan
    seed: int
    root: Path
    device: torch.device | str
    bar: _Bar

    def number(self, part: int, batch: int = 0) -> int:
        """The seed of a batch of states; parts are grid, drawn, validation, held out, tested …"""
        return 10_000 * self.seed + 100 * part + batch


@dataclass(frozen=True)
class _States:
    """Simulated pictures as the network sees them, and the parameters behind them."""

    pictures: torch.Tensor
    parameters: pd.DataFrame


def _answer(work: _Work, folder: Path, about: dict) -> Estimate:
    sets, noise = _simulate(work)
    network = _train(work, sets["training"], sets["validation"], folder / "network.safetensors")

    def read(pictures: torch.Tensor):
        return estimate_windows(network, pictures, step=STEP, device=work.device)

    # The network was trained on single windows, and the mean over windows leans towards the middle
    # of the ranges; a linear map fitted on the validation states straightens it.
    wanted = work.ranges.unit(sets["validation"].parameters).numpy()
    straight = _linear(read(sets["validation"].pictures).mean, wanted)
    scaled = {
        name: _Pair(
            _quantities(straight(read(states.pictures).mean), work.ranges),
            _quantities(work.ranges.unit(states.parameters).numpy(), work.ranges),
        )
        for name, states in sets.items()
        if name != "training"
    }
    seen = observation.at_seen_pixels(work.pixels[None], work.plan)
    own = read(seen)
    found = _quantities(straight(own.mean), work.ranges)
    limits, held = _intervals(found, **scaled)
    strange = _strange(work, seen, sets)
    if strange:  # what holds for simulations does not hold for this picture
        limits = Intervals(*(np.full_like(limits.low, end) for end in (-np.inf, np.inf)))
    table = _table(work.ranges, found, limits, own)

    value = table["estimate"].to_numpy()[: len(NAMES)]
    best = pd.DataFrame([value], columns=NAMES)
    alike = nearest(found, scaled["held_out"].found, _SIMILAR)[0]
    alike_found, alike_truth = (
        _values(part[alike], work.ranges)[:, : len(NAMES)]
        for part in (scaled["held_out"].found, scaled["held_out"].truth)
    )
    given = {"seed": work.number(5), "device": work.device}
    again = texture_again(
        *(work.pixels, best, noise, work.plan, work.conditions, work.ranges, work.effort), **given
    )
    work.bar.to("predicting", 0.3)
    # What else the parameters may be follows from the errors of simulations like the picture.
    possible = best.to_numpy() * (alike_truth / alike_found)[: max(2, work.effort.loop_films // 3)]
    films = pd.DataFrame(np.vstack([[value] * work.effort.loop_films, possible]), columns=NAMES)
    loop = loops(films, work.conditions, work.plan.cell, work.effort, **given)
    work.bar.to("predicting", 1.0)

    pixel, side = work.conditions.pixel_size_nm, min(work.pixels.shape[-2:])
    parts = table.loc[list(NAMES), ["low", "high"]].to_numpy().T
    warned = [
        *strange,
        *doubts.at_edges(NAMES, value, *parts, (work.ranges.low, work.ranges.high)),
        *doubts.not_apart(
            *(NAMES, alike_found, alike_truth),
            sets["held_out"].parameters[list(NAMES)].to_numpy().std(0),
        ),
        *doubts.unresolved(table.loc[PERIOD, "estimate"], pixel, work.plan.cell, pixel * side),
        *doubts.other_texture(*list(again.numbers.values())[:2]),
    ]
    tested = [
        _values(part, work.ranges) for part in (scaled["tested"].truth, scaled["tested"].found)
    ]
    return Estimate(
        table=table,
        warnings=warned,
        choices=[
            *work.plan.notes,
            f"The picture has a noise of {noise_level(work.pixels):.2g} of the way from black to "
            f"white; simulated pictures were given {noise:.2g}, more or less.",
        ],
        coverage=_coverage(held),
        tested=pd.DataFrame(
            np.hstack(tested),
            columns=[f"{kind} {name}" for kind in ("true", "estimated") for name in QUANTITIES],
        ),
        texture=again.numbers,
        spectra={
            "waves per nm": again.waves.tolist(),
            "picture": again.observed.tolist(),
            "simulations": again.simulated.tolist(),
        },
        loop=loop.points,
        films=films.join(loop.summary().reset_index(drop=True)),
        repeats=work.effort.loop_films,
        pixel_size_nm=pixel,
        settings=about | {"noise": noise, "loop_cell_nm": work.plan.cell},
        picture=work.pixels,
        again=again.pictures,
    )


# --- simulating and training -------------------------------------------------------------------


def _simulate(work: _Work) -> tuple[dict[str, _States], float]:
    """Pictures for training, validation, calibration and test, and the noise they were given.

    All but the grid have random parameters. The states of a part are made in batches, with cells
    of two or three sizes in turn, as the picture's film has no cells.
    """
    effort, plan = work.effort, work.plan
    counts = {
        "drawn": (effort.drawn, plan.cells),
        "validation": (effort.validation, plan.cells),
        "held_out": (effort.held_out, (plan.cells[0], plan.between, plan.cells[1])),
        "tested": (effort.tested, (plan.cells[0], plan.between, plan.cells[1])),
    }
    jobs = [("grid", work.number(0), plan.cells[0], 0)]
    for part, (name, (count, cells)) in enumerate(counts.items(), start=1):
        batches = max(-(-count // _BATCH), min(len(cells), count))
        sizes = [count // batches + (batch < count % batches) for batch in range(batches)]
        jobs += [
            (name, work.number(part, batch), cells[batch % len(cells)], size)
            for batch, size in enumerate(sizes)
        ]
    parts: dict[str, list[_States]] = {}
    level, noise = noise_level(work.pixels), None
    for done, (name, seed, cells, drawn) in enumerate(jobs, start=1):
        films = observation.recipe(
            *(plan, work.conditions, work.ranges, effort), cells=cells, seed=seed, drawn=drawn
        )
        data = dataset(films, work.root, work.device, progress=False)
        clean = torch.cat(
            [
                observation.see(spins, plan, work.conditions, seed=seed, first=int(rows.index[0]))
                for rows, spins in data
            ]
        )
        if noise is None:
            some = clean[:: -(-len(clean) // 4)]
            noise = observation.matching_noise(some, level, work.conditions)
        recorded = observation.record(clean, noise, work.conditions, seed=seed)
        pictures = observation.at_seen_pixels(recorded, plan)
        parts.setdefault("training" if name in ("grid", "drawn") else name, []).append(
            _States(pictures, data.parameters)
        )
        work.bar.to("simulating", done / len(jobs))
    sets = {
        name: _States(
            torch.cat([states.pictures for states in batches]),
            pd.concat([states.parameters for states in batches], ignore_index=True),
        )
        for name, batches in parts.items()
    }
    return sets, noise


def _train(work: _Work, training: _States, validation: _States, checkpoint: Path) -> WindowedCNN:
    """The paper's network with today's batch norm, trained on all windows of the training set."""
    with seeded(work.seed):
        network = WindowedCNN(WINDOW, channels=CHANNELS[work.conditions.contrast], batch_norm=True)
    looks = len(Windows(training.pictures, WINDOW, STEP))
    epochs, seen = max(1, round(work.effort.looks / looks)), 0

    def count(module: WindowedCNN, inputs: tuple) -> None:
        nonlocal seen
        if module.training:
            seen += len(inputs[0])
            work.bar.to("training", seen / (epochs * looks))

    counting = network.register_forward_pre_hook(count)
    train_windows(
        network,
        *(
            (states.pictures, work.ranges.unit(states.parameters))
            for states in (training, validation)
        ),
        step=STEP,
        epochs=epochs,
        seed=work.seed,
        device=work.device,
        checkpoint=checkpoint,
    )
    counting.remove()
    work.bar.to("training", 1.0)
    return network


# --- from network to numbers -------------------------------------------------------------------


@dataclass(frozen=True)
class _Pair:
    """Estimates and truths of states, (states, quantities), from 0 to 1 over their ranges."""

    found: np.ndarray
    truth: np.ndarray


def _linear(found: np.ndarray, wanted: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The affine map of estimates (states, parameters) that is closest to the wanted ones.

    What lies outside the ranges is brought back to their ends: nothing beyond was simulated.
    """

    def with_one(x: np.ndarray) -> np.ndarray:
        return np.hstack([x, np.ones((len(x), 1))])

    weights = np.linalg.lstsq(with_one(found), wanted, rcond=None)[0]
    return lambda x: np.clip(with_one(x) @ weights, 0.0, 1.0)


def _periods(ranges: Ranges) -> tuple[float, float]:
    """The shortest and the longest helix period of the ranges, nm."""
    (a, d, _), (b, e, _) = ranges.low, ranges.high
    return float(helix_period(a, e)), float(helix_period(b, d))


def _quantities(unit: np.ndarray, ranges: Ranges) -> np.ndarray:
    """Normalised A, D, M_s with the helix period beside them, logarithmic between its ends."""
    values, (short, long) = ranges.units(unit), _periods(ranges)
    period = np.log(helix_period(values[:, 0], values[:, 1]) / short) / np.log(long / short)
    return np.column_stack([unit, period])


def _values(scaled: np.ndarray, ranges: Ranges) -> np.ndarray:
    """Quantities in their units; open ends become 0 and inf."""
    short, long = _periods(ranges)
    with np.errstate(over="ignore"):
        period = short * (long / short) ** scaled[:, 3]
    values = np.column_stack([ranges.units(scaled[:, :3]), period])
    return np.where(np.isneginf(scaled), 0.0, values)


def _intervals(
    found: np.ndarray, validation: _Pair, held_out: _Pair, tested: _Pair
) -> tuple[Intervals, np.ndarray]:
    """Intervals for estimates (states, quantities), and which of those of tested states hold.

    Intervals are longer where the validation states near an estimate have larger errors. The
    held-out ones have no part in that, so they can calibrate, and the tested ones in neither.
    """
    error = validation.truth - validation.found

    def scale(at: np.ndarray) -> np.ndarray:
        # Halfway between local and global, as the mean of a few errors is no more than a guess.
        near = typical_error(at[:, :3], validation.found[:, :3], error)
        return (near + np.abs(error).mean(0)) / 2

    scores = np.abs(held_out.truth - held_out.found) / scale(held_out.found)
    ends = (np.zeros(len(QUANTITIES)), np.ones(len(QUANTITIES)))
    around = [intervals(x, scale(x), scores, ends) for x in (found, tested.found)]
    return around[0], around[1].hold(tested.truth)


def _table(ranges: Ranges, found: np.ndarray, limits: Intervals, own) -> pd.DataFrame:
    mean, spread = ranges.units(own.mean)[0], own.spread[0] * np.subtract(ranges.high, ranges.low)
    return pd.DataFrame(
        {
            "mean over windows": [*mean, float(helix_period(*mean[:2]))],
            "spread over windows": [*spread, np.nan],
            "estimate": _values(found, ranges)[0],
            "low": _values(limits.low, ranges)[0],
            "high": _values(limits.high, ranges)[0],
        },
        index=QUANTITIES,
    )


def _coverage(held: np.ndarray) -> pd.DataFrame:
    columns = dict(zip(QUANTITIES, held.T, strict=True)) | {"A, D and M_s": held[:, :3]}
    rows = {name: (*share_with_error(part), len(held)) for name, part in columns.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["share", "± share", "states"])


def _strange(work: _Work, seen: torch.Tensor, sets: dict[str, _States]) -> list[str]:
    """What the picture, or parts of it as large as simulated ones, has that no simulation has."""
    known = pd.concat([look(states.pictures) for states in sets.values()], ignore_index=True)
    parts = windows(seen, work.plan.seen, work.plan.seen)[0]
    return doubts.unlike(look(parts), known)
