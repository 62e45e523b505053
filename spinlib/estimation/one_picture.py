"""The one call from a picture to an answer, and the order of its steps.

It goes on where it was stopped, and finds what it did before.
"""

import hashlib
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from spinlib.checkpoints import checkpoint_name
from spinlib.estimation import doubts, observation, planning
from spinlib.estimation.answer import Estimate
from spinlib.estimation.intervals import Intervals, nearest
from spinlib.estimation.learning import Bar, Work, learn, read
from spinlib.estimation.planning import EFFORT, Conditions, Effort
from spinlib.estimation.prediction import loops, texture_again
from spinlib.estimation.quantities import (
    PERIOD,
    QUANTITIES,
    Pair,
    calibrated_intervals,
    coverage_table,
    estimate_table,
    in_units,
    scaled_quantities,
    straightened,
)
from spinlib.kernels import resolve_device
from spinlib.notebooks import ROOT
from spinlib.pictures import Picture, windows
from spinlib.similarity import look, noise_level
from spinlib.store import wait_for_lock
from spinlib.thermal_recipes import NAMES
from spinlib.windowed import Ranges

_SIMILAR = 30  # held-out states nearest to the estimate: what goes together in their errors?


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
    conditions  temperature, field, pixel size, thickness, contrast and blur; anisotropy and kind of
                DMI, if the film has another than none and bulk
    ranges      between which values of each parameter to look: only these are simulated
    effort      how much is simulated: smoke, laptop, paper, or an `Effort`
    root        where simulations and results are kept; the call may be killed at any moment, and
                goes on when it is made again; once finished it returns at once. Another picture
                of the same series finds the network, and takes seconds, if its noise is about the
                same

    All windows of the picture count. The intervals are calibrated on pictures as large as the
    simulated box. A larger one averages over more windows, but not over what all of them share,
    such as the error of cells: do not count on its intervals being on the safe side.

    90 % hold on average over the ranges. Near the ends of a range it is less (75 to 85 % in the
    outer tenths, where estimates are drawn inwards): take ranges well beyond what you expect.

    Bad input is refused before work starts. What is doubtful about the answer is in its `warnings`.
    """
    if isinstance(effort, str):
        if effort not in EFFORT:
            raise ValueError(f"There is no effort {effort!r}; it is one of {', '.join(EFFORT)}.")
        effort = EFFORT[effort]
    device = resolve_device(device)
    picture = observation.opened(picture)
    pixels = observation.observed(picture, conditions)
    plan = planning.plan(tuple(pixels.shape[-2:]), conditions, ranges, effort)
    about = {
        "conditions": asdict(conditions),
        "ranges": {"low": list(ranges.low), "high": list(ranges.high)},
        "effort": asdict(effort),
        "seed": seed,
        "shape": list(pixels.shape),
        "picture": hashlib.sha256(pixels.contiguous().numpy().tobytes()).hexdigest(),
        "file": {
            name: getattr(picture, name) for name in ("pixel_size", "notes", "coarse_colours")
        },
    }
    folder = Path(root) / "estimates" / checkpoint_name(about).removesuffix(".safetensors")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("ab") as lock:
        wait_for_lock(lock, str(folder))
        result = folder / "result.safetensors"
        if result.exists():
            return Estimate.load(result)
        with Bar(progress) as bar, warnings.catch_warnings():
            # Cells that are too coarse are spoken of in the plan's notes, once.
            warnings.filterwarnings("ignore", "(Cells of|A helix of period)")
            work = Work(pixels, conditions, ranges, effort, plan, seed, Path(root), device, bar)
            return _answer(work, about).keep(result)


def _answer(work: Work, about: dict) -> Estimate:
    learnt = learn(work)
    truths = {part: work.ranges.unit(rows).numpy() for part, rows in learnt.parameters.items()}
    quantities = straightened(learnt.answers["validation"], truths["validation"], work.ranges)
    scaled = {
        part: Pair(quantities(answers), scaled_quantities(truths[part], work.ranges))
        for part, answers in learnt.answers.items()
    }
    seen = observation.at_seen_pixels(work.pixels[None], work.plan)
    own = read(learnt.network, seen, work)
    found = quantities(own.mean)
    limits, held = calibrated_intervals(found, **scaled)
    strange = _strange(work, seen, learnt.looks)
    if strange:  # what holds for simulations does not hold for this picture
        limits = Intervals(*(np.full_like(limits.low, end) for end in (-np.inf, np.inf)))
    table = estimate_table(work.ranges, found, limits, own)

    value = table["estimate"].to_numpy()[: len(NAMES)]
    best = pd.DataFrame([value], columns=NAMES)
    alike = nearest(found, scaled["held_out"].found, _SIMILAR)[0]
    alike_found, alike_truth = (
        in_units(part[alike], work.ranges)[:, : len(NAMES)]
        for part in (scaled["held_out"].found, scaled["held_out"].truth)
    )
    given = {"seed": work.number(5), "device": work.device}
    again = texture_again(
        *(work.pixels, best, learnt.noise, work.plan, work.conditions, work.ranges, work.effort),
        **given,
    )
    work.bar.to("predicting", 0.3)
    # What else the parameters may be follows from the errors of simulations like the picture.
    possible = best.to_numpy() * (alike_truth / alike_found)[: max(2, work.effort.loop_films // 3)]
    possible = possible.clip(work.ranges.low, work.ranges.high)  # beyond, cells may be too coarse
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
            learnt.parameters["held_out"].to_numpy().std(0),
        ),
        *doubts.unresolved(table.loc[PERIOD, "estimate"], pixel, work.plan.cell, pixel * side),
        *doubts.other_texture(*list(again.numbers.values())[:2]),
        *doubts.other_file(about["file"]["pixel_size"], pixel, about["file"]["coarse_colours"]),
    ]
    tested = [
        in_units(part, work.ranges) for part in (scaled["tested"].truth, scaled["tested"].found)
    ]
    return Estimate(
        table=table,
        warnings=warned,
        choices=[
            *(f"Of the file: {note}." for note in about["file"]["notes"]),
            *work.plan.notes,
            f"The picture has a noise of {noise_level(work.pixels):.2g} of the way from black to "
            f"white; simulated pictures were given {learnt.noise:.2g}, more or less.",
        ],
        coverage=coverage_table(held, scaled["tested"].truth),
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
        settings=about | {"noise": learnt.noise, "loop_cell_nm": work.plan.cell},
        picture=work.pixels,
        again=again.pictures,
    )


def _strange(work: Work, seen: torch.Tensor, known: pd.DataFrame) -> list[str]:
    """What the picture, or parts of it as large as simulated ones, has that no simulation has."""
    parts = windows(seen, work.plan.seen, work.plan.seen)[0]
    return doubts.unlike(look(parts, work.conditions.contrast), known)
