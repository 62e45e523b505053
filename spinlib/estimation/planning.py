"""The films that are simulated for a picture, by what is known about it.

    conditions, ranges ──► plan: box, cells, pixels ──► recipe of the films

A picture shows a part of a film that goes on beyond its edges, so the films here are periodic.
Lengths are in nm.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike

from spinlib.dipolar import THICKEST
from spinlib.estimation.conditions import LEVELS, Conditions
from spinlib.film import VACUUM_PERMEABILITY, thermal_energy
from spinlib.networks.texture_cnn import WINDOW
from spinlib.pictures import PictureError
from spinlib.thermal_recipes import NAMES, Ranges

# Films are simulated beyond the ranges, too, by this share of them: estimates are drawn towards the
# middle of what was simulated, and at an end of the ranges intervals would hold too seldom. But
# not far below: the shortest period still takes five and a half cells where it should take eight.
MARGIN, LOWEST = 0.15, 0.8
# Of an effort's numbers: what a spread, a straight line or a distance takes, where it is not 1.
_LEAST = {"drawn": 0, "validation": 3, "held_out": 2, "tested": 2, "again": 2}
_LEAST |= {"cells": 8, "loop_cells": 4}
BATCH = 33  # states of a data set: the progress bar moves with each
MOST = 100 * BATCH  # states of one kind: a hundred seeds are kept for each
_SENSIBLE_RANGES = ((1e-3, 1e3), (1e-4, 1e2), (1.0, 1e4))  # of A, D and M_s


@dataclass(frozen=True)
class Effort:
    """How much is simulated and learnt for one picture."""

    values: int = 3  # of each parameter in the grid that is trained on
    drawn: int = 256  # further training states at random parameters
    validation: int = 96  # states that choose the weights and straighten the estimates
    held_out: int = 99  # states that calibrate the intervals; 90 of 100 ranks make 90 %
    tested: int = 99  # states that verify them, and then calibrate with them
    cells: int = 120  # across a simulated picture, at most
    cooling: int = 600  # sweeps of the heat bath from disorder to the temperature
    staying: int = 200  # sweeps there
    looks: int = 200_000  # looks at a part of a training picture
    again: int = 4  # simulations with the estimate
    loop_films: int = 16  # films whose loops are taken with the estimate, and a third as many near
    loop_cells: int = 64  # across such a film
    loop_sweeps: int = 200  # heat-bath sweeps at each field

    def __post_init__(self) -> None:
        for name, number in ((field.name, getattr(self, field.name)) for field in fields(self)):
            least = _LEAST.get(name, 1)
            if not (isinstance(number, Integral) and number >= least):
                raise ValueError(
                    f"An effort's {name} is a whole number >= {least}, not {number!r}."
                )
            object.__setattr__(self, name, int(number))  # of whatever kind: it is kept as JSON
        for name in ("drawn", "validation", "held_out", "tested"):
            if (number := getattr(self, name)) > MOST:
                raise ValueError(f"An effort's {name} is at most {MOST}, not {number}.")
        if self.loop_cells % 2:
            raise ValueError(f"An effort's loop_cells is even, not {self.loop_cells}.")


EFFORT = {
    "smoke": Effort(
        **{"values": 2, "drawn": 8, "validation": 8, "held_out": 19, "tested": 9, "cells": 48},
        **{"cooling": 40, "staying": 20, "looks": 100, "again": 2},
        **{"loop_films": 2, "loop_cells": 16, "loop_sweeps": 10},
    ),
    "laptop": Effort(),
    "paper": Effort(
        **{"values": 5, "drawn": 400, "validation": 100, "held_out": 299, "tested": 299},
        **{"cells": 256, "cooling": 1000, "staying": 300, "looks": 800_000, "again": 8},
        **{"loop_films": 16, "loop_cells": 256, "loop_sweeps": 500},
    ),
}


@dataclass(frozen=True)
class Plan:
    """How a picture is simulated: a square box, its cells, and the pixels that a network sees.

    pixels     of the instrument, across the box
    seen       pixels that the network sees across the box
    cells      numbers of cells across the box in training, the coarser first
    notes      sentences that say what was chosen
    clipped    noise of the picture before it was averaged, if colours were cut off at 0 and 1 then
    """

    box: float
    pixels: int
    seen: int
    cells: tuple[int, int]
    notes: tuple[str, ...]
    clipped: float = 0.0

    @property
    def cell(self) -> float:
        """Side of the coarser cells."""
        return self.box / self.cells[0]

    @property
    def averaged(self) -> int:
        """Over how many pixels along each side a picture is averaged before anything else.

        Simulated pictures have as many pixels, which take time and memory if they are much finer
        than what the network sees: two or more to one of its own are left.
        """
        return self.pixels // (2 * self.seen) if self.pixels > 10 * self.seen else 1

    @property
    def between(self) -> int:
        """A number of cells half-way between those of training."""
        return _fourfold(sum(self.cells) / 2)

    @property
    def finer(self) -> int:
        """A number of cells beyond those of training."""
        return _fourfold(1.2 * self.cells[1])


def check_series(pictures: int, conditions: Sequence[Conditions]) -> None:
    """Refuse pictures without conditions of their own, or of more than one film."""
    if not pictures or pictures != len(conditions):
        raise ValueError(
            f"{pictures} picture(s) came with {len(conditions)} set(s) of conditions: give one of "
            "either at least, and as many."
        )
    for each in conditions:
        if not isinstance(each, Conditions):
            raise ValueError(
                "The conditions are Conditions(temperature_K=…, field_T=…, pixel_size_nm=…), not "
                f"{each!r:.80}."
            )
    for name in ("thickness_nm", "anisotropy_kJ_m3", "dmi_kind", "dmi_sign"):
        values = list(dict.fromkeys(getattr(each, name) for each in conditions))
        if len(values) > 1:
            raise ValueError(
                f"Pictures of one film have one {name}, not {', '.join(map(str, values))}: "
                "ask for films one by one."
            )


def check_kinds(kinds: int, effort: Effort) -> None:
    """Refuse pictures of too many kinds, each with films of its own, for one answer."""
    # Three answers of each kind and a constant are fitted to the validation states.
    if kinds > (most := max(1, (effort.validation - 1) // 3)):
        raise ValueError(
            f"Pictures of {kinds} kinds, different in conditions or size, are too many for an "
            f"effort with {effort.validation} validation states, which can weigh {most} against "
            "each other (and does best with a third of that): give fewer, or an Effort with more "
            "states."
        )


def with_margin(ranges: Ranges) -> Ranges:
    """The ranges that are simulated where these are asked about."""
    low, high = np.array(ranges.low), np.array(ranges.high)
    margin = MARGIN * (high - low)
    below = np.maximum(low - margin, LOWEST * low)
    return Ranges(tuple(below.tolist()), tuple((high + margin).tolist()), ranges.names)


def helix_period(exchange: ArrayLike, dmi: ArrayLike) -> np.ndarray:
    """4πA/D in nm from pJ/m and mJ/m²."""
    return 4 * np.pi * np.asarray(exchange, float) / np.asarray(dmi, float)


def plan(shape: tuple[int, int], conditions: Conditions, ranges: Ranges, effort: Effort) -> Plan:
    """Choose box and cells for a picture of `shape` (height, width); refuse what does not fit.

    A cell is at most an eighth of the shortest helix period 4πA/D of the ranges, and at most the
    shortest exchange length √(2A/μ₀M_s²) or wall width √(A/|K|). Where that would leave no room for
    two of the longest periods, the second condition is given up, and the first as far as a sixth: a
    texture that does not fit into its box is worse than coarse walls. The network's pixels are a
    sixth, so that its windows show more of the texture.
    """
    if ranges.names != NAMES:
        raise ValueError(f"Ranges are of {', '.join(NAMES)}, not {', '.join(ranges.names)}.")
    for name, low, high, (least, most) in zip(
        NAMES, ranges.low, ranges.high, _SENSIBLE_RANGES, strict=True
    ):
        if low <= 0:
            raise ValueError(
                f"The range of {name} begins at {low:g}; it has to begin above zero, as without "
                "any there is nothing to read. (Of a D below zero give the size, and dmi_sign=-1.)"
            )
        if not least <= low <= high <= most:
            raise ValueError(
                f"The range of {name} from {low:g} to {high:g} is beyond any material: is it in "
                f"{name.partition('[')[2].rstrip(']')}?"
            )
    pixel, short = conditions.pixel_size_nm, float(helix_period(ranges.low[0], ranges.high[1]))
    long = float(helix_period(ranges.high[0], ranges.low[1]))
    # Densities of the energies that exchange is up against, J/m³.
    dipolar = VACUUM_PERMEABILITY * (1e3 * ranges.high[2]) ** 2 / 2
    length = 1e9 * math.sqrt(
        1e-12 * ranges.low[0] / max(dipolar, *(1e3 * abs(k) for k in conditions.anisotropies))
    )
    # Such a blur leaves exp(-2π²σ²/L²), less than 1 %, of the contrast of a helix.
    if conditions.blur_nm is not None and conditions.blur_nm > long / 2:
        raise ValueError(
            f"A blur of {conditions.blur_nm:g} nm wipes out every helix of the ranges, as the "
            f"longest has a period of {long:.3g} nm: is it in nm?"
        )
    # Two periods above it exp(-4π), some millionths, is left of a helix's field.
    if (lift := conditions.lifts[1]) > 2 * long:
        raise ValueError(
            f"A tip {lift:g} nm above the film feels no helix of the ranges, as the longest has a "
            f"period of {long:.3g} nm: is its lift in nm?"
        )
    side = pixel * min(shape)
    if side < short:
        raise PictureError(
            f"A picture of {side:.3g} nm shows less than one period of any helix of the ranges, as "
            f"the shortest has {short:.3g} nm: is the size of its pixels in nm, A in pJ/m and D in "
            "mJ/m²?"
        )
    cell = min(short / 8, length)
    wanted = min(side, 2 * long)
    notes = []
    if effort.cells * cell < wanted:
        cell = min(short / 6, wanted / effort.cells)
        limits = {
            f"an eighth of the shortest helix period of {short:.3g} nm": short / 8,
            f"the shortest exchange length or wall width of {length:.3g} nm": length,
        }
        passed = " and than ".join(name for name, limit in limits.items() if cell > limit)
        notes.append(
            f"Cells are larger than {passed}, because the longest helix period of {long:.3g} nm "
            "would not fit into the box otherwise."
        )
    box = min(side, effort.cells * cell)
    pixels = int(box / pixel * (1 + 1e-9))
    box = pixels * pixel
    # Not finer than the instrument's own pixels, and enough of them for a few windows.
    fine = min(max(cell, min(short / 6, length)), box / (1.5 * WINDOW))
    seen = int(box / max(pixel, fine) * (1 + 1e-9))
    if seen < WINDOW:
        raise PictureError(
            f"Of the picture's {min(shape)} pixels across, the box of {box:.3g} nm that can be "
            f"simulated shows {seen} that tell something, less than the {WINDOW} of one window: "
            f"take {'a larger picture' if box > side - pixel else 'finer pixels'}, or narrow the "
            f"ranges, whose shortest helix period is {short:.3g} nm."
        )
    coarse = _fourfold(box / cell)
    cells = (coarse, max(_fourfold(1.15 * coarse), coarse + 4))
    chosen = Plan(box, pixels, seen, cells, ())
    finest = box / chosen.finer
    thickness, thickest = conditions.thickness_nm, THICKEST * finest
    if thickness > thickest * (1 - 1e-9):
        raise PictureError(
            f"A film of {thickness:g} nm is too thick for the finest cells, of {finest:.3g} nm: "
            f"one layer of them describes up to {thickest:.3g} nm. Ranges with a larger lowest A, "
            "or a smaller largest D or M_s, have longer periods and exchange lengths, and so "
            "larger cells."
        )
    notes = [
        _taken(conditions),
        f"Boxes of {box:.4g} nm with {cells[0]} and {cells[1]} cells across (cells of "
        f"{box / cells[0]:.3g} and {box / cells[1]:.3g} nm), seen with pixels of "
        f"{box / seen:.3g} nm; the picture is {pixel * shape[1]:.4g} × {pixel * shape[0]:.4g} nm.",
        *notes,
    ]
    if box < 2 * long:
        notes.append(
            f"The box holds less than two of the longest helix period of {long:.3g} nm, so that it "
            "shapes the texture: take a larger picture, or a narrower range."
        )
    if pixel > short / 4:
        notes.append(
            f"A helix of the shortest period in the ranges, {short:.3g} nm, takes less than four "
            f"pixels of {pixel:.3g} nm."
        )
    if thickness > short / 2:
        notes.append(
            f"The film of {thickness:g} nm is simulated as one layer, uniform through its "
            f"thickness; beyond half a helix period, {short / 2:.3g} nm for the shortest in the "
            "ranges, films need not be."
        )
    clipped = 2 * math.pi * abs(conditions.defocus_nm)
    if clipped > short:
        notes.append(
            f"With a defocus_nm of {conditions.defocus_nm:g}, sharp pictures of helices with a "
            f"period below {clipped:.3g} nm would go beyond black and white, and are cut off there."
        )
    if lift > short:
        left = math.exp(-2 * math.pi * lift / short)
        notes.append(
            f"{lift:g} nm above the film, the field of helices with the shortest period in the "
            f"ranges, {short:.3g} nm, is {left:.1g} of that at the film: noise may hide them."
        )
    if conditions.lifts[1] and conditions.dmi_kind == "interfacial" and conditions.dmi_sign > 0:
        notes.append(
            "Above a film with an interfacial DMI above 0, the charges of walls work against those "
            "of domains: helices are hardly seen, and wide domains less than between Bloch walls. "
            "Above one with a DMI below 0, such as Co on Pt, they add up: tell its dmi_sign."
        )
    if (anisotropies := conditions.anisotropies)[0] < anisotropies[1]:
        notes.append(
            "Simulated films have an anisotropy of their own each, between {:g} and {:g} kJ/m³: "
            "that it is not known is part of the intervals.".format(*anisotropies)
        )
    heat = thermal_energy(conditions.temperature_K)
    weakest = 2e21 * 1e-12 * ranges.low[0] * 1e-9 * conditions.thickness_nm
    if heat > 0.5 * weakest:
        notes.append(
            f"At {conditions.temperature_K:g} K the thermal energy is {heat / weakest:.2g} of the "
            "weakest exchange between two cells: such films are close to disorder."
        )
    return replace(chosen, notes=tuple(notes))


def _taken(conditions: Conditions) -> str:
    """What a film was taken to be, as what nobody says is easily forgotten."""

    def between(low: float, high: float) -> str:
        return f"{low:g}" + (f" to {high:g}" if high > low else "")

    axis = "no anisotropy"
    if any(ends := conditions.anisotropies):
        axis = f"an anisotropy of {between(*ends)} kJ/m³"
    below = " below 0" if conditions.dmi_sign < 0 else ""
    how = ""
    if conditions.contrast == "magnetic_force":
        how = f" by a tip {between(*conditions.lifts)} nm above it,"
    if conditions.contrast == "component":
        polar, azimuth = (between(*conditions.between[name]) for name in ("polar", "azimuth"))
        how = f" {polar}° from +z and {azimuth}° from +x,"
    return (
        f"The film was taken to be {conditions.thickness_nm:g} nm thick, with "
        f"{conditions.dmi_kind} DMI{below} and {axis}, at "
        f"{conditions.temperature_K:g} K in {conditions.field_T:g} T, seen in contrast "
        f"{conditions.contrast!r}{how} {LEVELS[conditions.levels]}."
    )


def _fourfold(number: float) -> int:
    """The next multiple of four: kind to the FFT, and even, as a periodic checkerboard must be."""
    return max(8, 4 * math.ceil(number / 4 - 1e-9))
