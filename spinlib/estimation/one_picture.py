"""The one call from a picture, or several of one film, to an answer, and the order of its steps.

It goes on where it was stopped, and finds what it did before.
"""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import asdict, replace
from numbers import Integral
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from spinlib.checkpoints import checkpoint_name
from spinlib.estimation import doubts, observation, planning
from spinlib.estimation.answer import Estimate
from spinlib.estimation.conditions import Conditions
from spinlib.estimation.films import ANISOTROPY, FieldOfView, recipe
from spinlib.estimation.intervals import Intervals, nearest
from spinlib.estimation.learning import Bar, Work, learn, read
from spinlib.estimation.planning import EFFORT, Effort, Plan
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
from spinlib.files import wait_for_lock
from spinlib.kernels import resolve_device
from spinlib.notebooks import ROOT
from spinlib.pictures import (
    Picture,
    bars,
    blank,
    drawn_over,
    filled_in,
    left_blank,
    other_file,
    tiles,
)
from spinlib.similarity import noise_level
from spinlib.thermal_recipes import NAMES, Ranges

Shown = Picture | torch.Tensor | str | Path  # a picture, its pixels or its file

LARGEST_SEED = 10**15  # ten thousand streams of random numbers follow from each
_OF_FILE = ("pixel_size", "notes", "coarse_colours", "masked")  # what a picture knows of its file
_SIMILAR = 30  # known states nearest to the estimate: what goes together in their errors?


def estimate(
    picture: Shown | Sequence[Shown],
    conditions: Conditions | Sequence[Conditions],
    ranges: Ranges,
    *,
    effort: Effort | str = "laptop",
    seed: int = 1,
    root: str | Path = ROOT / "data",
    device: torch.device | str = "auto",
    progress: bool = True,
) -> Estimate:
    """Estimate A, D and M_s of the film in a picture, under the conditions it was taken.

    picture     a file, or pixels (channels, height, width) from 0 to 1 with row 0 at the bottom; or
                a list of pictures of one film, in different fields or at different temperatures
    conditions  temperature, field, pixel size, thickness, contrast, levels and blur, a tip's height
                or the direction that is seen; anisotropy, or between which values it lies, and kind
                and sign of the DMI, if the film has another than none, bulk and above 0; a list, if
                there are more pictures
    ranges      between which values of each parameter to look: these, and a margin on either side,
                are simulated
    effort      how much is simulated: smoke, laptop, paper, or an `Effort`
    root        where simulations and results are kept; the call may be killed at any moment, and
                goes on when it is made again; once finished it returns at once. Another picture
                under the same conditions finds the network, and takes seconds, if its noise is
                about the same

    The whole picture counts. The intervals are calibrated on pictures as large as the simulated
    box. A larger one averages over more of the film, but not over what all of it shares, such as
    the error of cells: do not count on its intervals being on the safe side.

    90 % hold on average over the ranges and over what is not known, as blur, anisotropy, a tip's
    height and the direction that is seen; near the ends of the ranges some percent less.

    Of several pictures each has a network of its own. All of these learn from the same parameters,
    blur, height and direction, so that their answers can be put together as one picture's are,
    errors that go together included. Spins and noise are taken to be independent, as in pictures of
    different places, or of a film that was cooled again. Answers to pictures under the same
    conditions are averaged, whatever their contrast; the intervals then allow for errors as large
    as those of one picture. Texture and loop that follow from the estimate are those of the first
    picture.

    Bad input is refused before work starts. What is doubtful about the answer is in its `warnings`;
    with `progress`, what is chosen and what is doubtful already is said before the work, too.
    """
    if isinstance(effort, str):
        if effort not in EFFORT:
            raise ValueError(f"There is no effort {effort!r}; it is one of {', '.join(EFFORT)}.")
        effort = EFFORT[effort]
    if not isinstance(effort, Effort):
        raise ValueError(f"The effort is a name or an Effort(…), not {effort!r:.80}.")
    if not (isinstance(seed, Integral) and 0 <= seed <= LARGEST_SEED):
        raise ValueError(f"The seed is a whole number from 0 to {LARGEST_SEED:.0e}, not {seed!r}.")
    seed = int(seed)  # of whatever kind, as the answer is kept under its text
    if not isinstance(ranges, Ranges):
        raise ValueError(
            f"The ranges are Ranges(low=(A, D, M_s), high=(A, D, M_s)), not {ranges!r:.80}."
        )
    device = resolve_device(device)
    shown = list(picture) if isinstance(picture, list | tuple) else [picture]
    taken = list(conditions) if isinstance(conditions, list | tuple) else [conditions]
    planning.check_series(len(shown), taken)
    opened = [_opened(*each, ranges, effort) for each in zip(shown, taken, strict=True)]
    about = [each for *_, each in opened]
    _check_different([each["picture"] for each in about])
    simulated = planning.with_margin(ranges)
    kinds = {_films(plan, given, simulated, effort, seed) for _, given, plan, _ in opened}
    planning.check_kinds(len(kinds), effort)
    settings = about[0] | {
        "ranges": {"low": list(ranges.low), "high": list(ranges.high)},
        "effort": asdict(effort),
        "seed": seed,
        "others": about[1:],
    }
    folder = Path(root) / "estimates" / checkpoint_name(settings)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("ab")
    except OSError as error:
        raise ValueError(
            f"Nothing can be kept in {root}: {error.strerror}. Give a folder that can be written "
            "as root=…"
        ) from None
    with lock:
        wait_for_lock(lock, str(folder))
        result = folder / "result.safetensors"
        if result.exists():
            return Estimate.load(result)
        with Bar(progress, len(shown)) as bar, warnings.catch_warnings():
            # Cells that are too coarse are spoken of in the plan's notes, once.
            warnings.filterwarnings("ignore", "(Cells of|A helix of period)")
            works = [
                Work(pixels, given, ranges, effort, plan, seed, Path(root), device, bar)
                for pixels, given, plan, _ in opened
            ]
            for work, each in zip(works, about, strict=True):
                for sentence in (*work.plan.notes, *_at_once(work, each)):
                    bar.say(sentence)
            return _answer(works, settings).keep(result)


def _check_different(hashes: Sequence[str]) -> None:
    """Refuse a picture that comes twice: it would count as two, and intervals promise too much."""
    for number, each in enumerate(hashes):
        if (first := hashes.index(each)) < number:
            raise ValueError(
                f"Pictures {first + 1} and {number + 1} are the same, pixel by pixel: give each "
                "picture once."
            )


def _opened(
    picture: Shown, conditions: Conditions, ranges: Ranges, effort: Effort
) -> tuple[torch.Tensor, Conditions, Plan, dict]:
    """The pixels of a picture, its conditions and plan, and all that an answer depends on."""
    picture = observation.opened(picture)
    pixels = observation.observed(picture, conditions)
    about = {
        "conditions": asdict(conditions),
        "file": {
            **{name: getattr(picture, name) for name in _OF_FILE},
            "bars": bars(picture.pixels),
            "blank": blank(picture.pixels),
            "cut_off": observation.cut_off(picture.pixels),
        },
    }
    plan = planning.plan(tuple(pixels.shape[-2:]), conditions, ranges, effort)
    if (few := plan.averaged) > 1:
        noise = noise_level(pixels)
        conditions = replace(conditions, pixel_size_nm=few * conditions.pixel_size_nm)
        pixels = observation.observed(observation.averaged(picture, few), conditions)
        plan = planning.plan(tuple(pixels.shape[-2:]), conditions, ranges, effort)
        note = (
            f"The picture was averaged over squares of {few} × {few} pixels, as they are far finer "
            "than those that the network sees."
        )
        whole = conditions.grey or picture.vectors  # nothing of their noise was cut off
        clipped = 0.0 if whole else observation.stepped(noise)
        plan = replace(plan, notes=(*plan.notes, note), clipped=clipped)
    about["shape"] = list(pixels.shape)
    about["picture"] = hashlib.sha256(pixels.contiguous().numpy().tobytes()).hexdigest()
    return pixels, conditions, plan, about


def _at_once(work: Work, about: dict) -> list[str]:
    """What is doubtful about a picture before anything is simulated."""
    file, said = about["file"], about["conditions"]["pixel_size_nm"]  # before any averaging
    sentences = [
        *other_file(file["pixel_size"], said, file["coarse_colours"]),
        *drawn_over(file["bars"]),
        *left_blank(*file["blank"]),
    ]
    if most := observation.cut(work.conditions):
        sentences += doubts.cut_off(*file["cut_off"], most)
    return sentences


def _answer(works: Sequence[Work], settings: dict) -> Estimate:
    first, ranges, effort = works[0], works[0].simulated, works[0].effort
    learnt = [learn(work, number) for number, work in enumerate(works)]
    # The parameters behind the states of one number are the same for all pictures.
    truths = {part: ranges.unit(rows).numpy() for part, rows in learnt[0].parameters.items()}
    answers = {part: _together(works, [each.answers[part] for each in learnt]) for part in truths}
    quantities = straightened(answers["validation"], truths["validation"], ranges)
    scaled = {
        part: Pair(quantities(answers[part]), scaled_quantities(truths[part], ranges))
        for part in truths
    }
    seen = [observation.as_seen(work.pixels[None], work.plan, work.conditions) for work in works]
    own = [
        read(each.network, picture, work)
        for each, picture, work in zip(learnt, seen, works, strict=True)
    ]
    found = quantities(_together(works, own))
    limits, held = calibrated_intervals(found, **scaled)
    looks = [(_look(work), each.looks) for work, each in zip(works, learnt, strict=True)]
    strange = [words for compared in looks for words in doubts.unlike(*compared)]
    if strange:  # what holds for simulations does not hold for this picture
        limits = Intervals(*(np.full_like(limits.low, end) for end in (-np.inf, np.inf)))
    table = estimate_table(ranges, found, limits)

    value = table["estimate"].to_numpy()[: len(NAMES)]
    best = pd.DataFrame([value], columns=NAMES)
    known = scaled["held_out"].with_(scaled["tested"])
    alike = nearest(found, known.found, _SIMILAR)[0]
    alike_found, alike_truth = (
        in_units(part[alike], ranges)[:, : len(NAMES)] for part in (known.found, known.truth)
    )
    given = {"seed": first.seed_of("again"), "device": first.device}
    again = texture_again(
        *(first.pixels, best, learnt[0].noise, first.plan, first.conditions, ranges, effort),
        **given,
    )
    first.bar.to("predicting", 0.3)
    # What else the parameters may be follows from the errors of simulations like the picture.
    possible = best.to_numpy() * (alike_truth / alike_found)[: max(2, effort.loop_films // 3)]
    possible = possible.clip(ranges.low, ranges.high)  # beyond, cells may be too coarse
    films = pd.DataFrame(np.vstack([[value] * effort.loop_films, possible]), columns=NAMES)
    low, high = first.conditions.anisotropies
    films[ANISOTROPY] = [
        *[(low + high) / 2] * effort.loop_films,
        *np.linspace(low, high, len(possible)),
    ]
    loop = loops(films, first.conditions, first.plan.cell, effort, **given)
    first.bar.to("predicting", 1.0)

    parts = table.loc[list(NAMES), ["low", "high"]].to_numpy().T
    period = table.loc[PERIOD, "estimate"]
    warned = [
        *strange,
        *doubts.at_edges(NAMES, value, *parts, (ranges.low, ranges.high)),
        *doubts.beyond(NAMES, value, (first.ranges.low, first.ranges.high)),
        *doubts.not_apart(
            *(NAMES, alike_found, alike_truth),
            learnt[0].parameters["held_out"].to_numpy().std(0),
        ),
        *doubts.other_texture(*list(again.numbers.values())[:2]),
    ]
    choices = []
    if len(works) > 1:
        warned += doubts.same_place(
            [work.pixels for work in works], [work.conditions.pixel_size_nm for work in works]
        )
        choices.append(
            "The pictures were taken to show different places of the film, or to have been taken "
            "after it was cooled again: of one place in several fields, intervals would be too "
            "narrow."
        )
        told = [work.conditions for work in works]
        if len({(c.contrast, c.polar_deg, c.azimuth_deg, c.lift_nm) for c in told}) > 1:
            choices.append(
                "Pictures in several contrasts, or from several heights or directions, count alike "
                "if all else is the same: if one tells much less than another, leave it out."
            )
        choices += doubts.many_kinds(answers["validation"].shape[1], effort.validation)
    of_pictures = zip(works, learnt, looks, (settings, *settings["others"]), strict=True)
    for work, each, compared, about in of_pictures:
        pixel, file = work.conditions.pixel_size_nm, about["file"]
        side = pixel * min(work.pixels.shape[-2:])
        warned += doubts.unresolved(period, pixel, work.plan.cell, side)
        warned += _at_once(work, about)
        if work.conditions.levels == "linear":
            warned += doubts.unevenly_lit(*compared)
        if work.conditions.contrast == "component" and not strange:  # or it has been said
            azimuths = work.conditions.between["azimuth"]
            warned += doubts.misdirected(*compared, azimuths, work.conditions.dmi_kind)
        warned += filled_in(*file["masked"], period / about["conditions"]["pixel_size_nm"])
        choices += [
            *(f"Of the file: {note}." for note in file["notes"]),
            *work.plan.notes,
            *observation.unknown_blur(work.plan, work.conditions),
            f"The picture has a noise of {noise_level(work.pixels):.2g} of the way from black to "
            f"white; simulated pictures were given {each.noise:.2g}, more or less.",
        ]
    tested = [in_units(part, ranges) for part in (scaled["tested"].truth, scaled["tested"].found)]
    return Estimate(
        table=table,
        warnings=list(dict.fromkeys(warned)),  # two pictures may say the same
        choices=choices,
        coverage=coverage_table(held, learnt[0].parameters["tested"], first.ranges),
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
        repeats=effort.loop_films,
        pixel_size_nm=first.conditions.pixel_size_nm,
        settings=settings
        | {"noise": learnt[0].noise, "loop_cell_nm": first.plan.cell}
        | {"simulated": {"low": list(ranges.low), "high": list(ranges.high)}},
        picture=first.pixels,
        again=again.pictures,
    )


def _together(works: Sequence[Work], answers: Sequence[np.ndarray]) -> np.ndarray:
    """Answers (states, 3) to each picture beside each other, (states, 3 × kinds of films).

    Pictures for which the same films were simulated are of one kind: their answers are averaged.
    Simulated answers then differ by next to nothing, and weights of their own would make them up
    from that difference, which two real pictures do not share.
    """
    kinds: dict[FieldOfView, list[np.ndarray]] = {}
    for work, answer in zip(works, answers, strict=True):
        films = _films(work.plan, work.conditions, work.simulated, work.effort, work.seed)
        kinds.setdefault(films, []).append(answer)
    return np.hstack([np.mean(same, 0) for same in kinds.values()])


def _films(
    plan: Plan, conditions: Conditions, simulated: Ranges, effort: Effort, seed: int
) -> FieldOfView:
    """What tells kinds of pictures apart: the coarser of the films that are simulated for them."""
    return recipe(plan, conditions, simulated, effort, cells=plan.cells[0], seed=seed)


def _look(work: Work) -> pd.DataFrame:
    """What the picture looks like, or parts of it as large as simulated ones.

    Grey levels of the parts are evened out as those of simulated pictures are: the whole picture's
    would leave each part a brightness and a contrast of its own.
    """
    parts = observation.even(tiles(work.pixels, work.plan.pixels), work.conditions)
    seen = observation.as_seen(parts, work.plan, work.conditions)
    return observation.look_of(seen, work.conditions)
