"""Why an estimate from a picture may not be trusted: sentences with the numbers in them.

Every function returns a list of sentences, empty if there is nothing to doubt.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import torch

from spinlib.estimation.quantities import symbol_and_unit

SLACK = 0.1  # of the simulations' span, by which a picture may look different before it is strange
NO_NEWS = 0.8  # error, relative to a guess inside the range, above which a picture says nothing
TOGETHER = 0.5  # error of a ratio, relative to those of its parts, below which only it is known
NEAR = 0.2  # of the simulated range, within which an estimate is near its end
ALIKE = 0.4  # correlation of pictures of one place; 460 pairs of other films have up to 0.22
# Share of the simulations that slope less than a picture whose light is doubted, or of whose waves
# more run the way they should than of one whose direction is; and share of the others.
USUAL, SELDOM = 0.97, 0.03
WELL_KNOWN = 0.05  # relative error below which a parameter is known whatever goes with it

# All simulations turn nearly one way: only another way is strange, or none.
_SPANS = {"handedness": 2.0, "divergence": 2.0, "divergence share": 1.0}
_OTHERWISE = "Check the size of the pixels, the contrast and the field."
_DIRECTION = (
    "Is azimuth_deg counted from the right to the top, is the picture mirrored, or is the DMI of "
    "another kind (dmi_kind)?"
)
_REMEDY = {
    "handedness": "Is it mirrored, does hue turn the other way (red is +x, yellow-green +y), or is "
    "its DMI interfacial (dmi_kind) or of the other sign (dmi_sign)?",
    "divergence": "Is hue counted from another direction (red is +x), or its DMI of another kind "
    "(dmi_kind) or sign (dmi_sign)?",
    "waves along azimuth": _DIRECTION,
    "divergence share": "Is it mirrored, was the top row of an array taken for the lowest, does "
    "hue turn the other way or begin elsewhere (red is +x, yellow-green +y), or is its DMI "
    "interfacial (dmi_kind)?",
}


def at_edges(
    names: tuple[str, ...],
    found: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    ends: tuple[np.ndarray, np.ndarray],
) -> list[str]:
    """Parameters (parameters,) whose interval is open, `low` 0 or `high` infinite, at an end."""
    sentences = []
    for name, value, below, above, first, last in zip(names, found, low, high, *ends, strict=True):
        symbol, unit = symbol_and_unit(name)
        span = f"the simulated range from {first:.4g} to {last:.4g} {unit}"
        if below == 0 and np.isposinf(above):
            sentences.append(
                f"{symbol} = {value:.4g} {unit}: its interval is wider than {span}, so that "
                "nothing is known of it."
            )
        elif below == 0 or np.isposinf(above):
            end, move, limit = (
                ("lower", "lower", f"< {above:.4g}")
                if below == 0
                else ("upper", "raise", f"> {below:.4g}")
            )
            near = abs(value - (first if below == 0 else last)) < NEAR * (last - first)
            remedy = f"{move} the range, or the picture is not what was said"
            sentences.append(
                f"{symbol} = {value:.4g} {unit}: its interval reaches the {end} end of {span}, so "
                f"that all there is to say is {symbol} {limit}: "
                f"{remedy if near else 'the picture tells little of it'}."
            )
    return sentences


def beyond(
    names: tuple[str, ...], found: np.ndarray, ends: tuple[np.ndarray, np.ndarray]
) -> list[str]:
    """Estimates (parameters,) outside the ranges that were asked about."""
    return [
        "{0} = {2:.4g} {1} lies outside the range from {3:.4g} to {4:.4g} {1} that was asked "
        "about, and for which the intervals are: take a wider one.".format(
            *symbol_and_unit(name), value, low, high
        )
        for name, value, low, high in zip(names, found, *ends, strict=True)
        if not low <= value <= high
    ]


def not_apart(
    names: tuple[str, ...], found: np.ndarray, truth: np.ndarray, guess: np.ndarray
) -> list[str]:
    """Parameters that cannot be told apart, or not at all, in simulations like the picture.

    `found` and `truth` (states, parameters) are those simulations; `guess` (parameters,) is the
    standard deviation of the parameters among all simulations.
    """
    sentences = []
    error = np.log(found / truth)
    size = error.std(0)
    correlation = np.corrcoef(error.T)
    symbols = [symbol_and_unit(name)[0] for name in names]
    for one, two in combinations(range(len(names)), 2):
        sign = np.sign(correlation[one, two])
        left = (error[:, one] - sign * error[:, two]).std()
        smaller = min(size[one], size[two])
        if left < TOGETHER * smaller and smaller > WELL_KNOWN:
            a, b = symbols[one], symbols[two]
            known = f"{a}/{b}" if sign > 0 else f"{a}·{b}"
            sentences.append(
                f"{a} and {b} cannot be told apart in this picture: in simulations like it their "
                f"errors of {100 * size[one]:.0f} and {100 * size[two]:.0f} % go together "
                f"(correlation {correlation[one, two]:.2f}), and only {known} is known, to "
                f"{100 * left:.1f} %; a picture in a stronger field may tell more."
            )
    share = (found - truth).std(0) / guess
    for symbol, part, of in zip(symbols, share, size, strict=True):
        if part > NO_NEWS:
            sentences.append(
                f"The picture says next to nothing about {symbol}: in simulations like it the "
                f"error is {100 * of:.0f} %, {part:.2f} of what a guess inside the range would "
                "have."
            )
    return sentences


def unlike(found: pd.DataFrame, known: pd.DataFrame) -> list[str]:
    """Numbers of a picture (rows: its parts) that lie outside those of all simulations."""
    sentences = []
    for name in found:
        low, high = known[name].min(), known[name].max()
        span = max(high - low, _SPANS.get(name, 0.0))
        value, slack = found[name].median(), SLACK * span
        if not low - slack <= value <= high + slack:
            sentences.append(
                f"The picture's {name} is {value:.3g}, in all simulations it is from {low:.3g} to "
                f"{high:.3g}: the picture does not look like anything simulated, and the intervals "
                f"do not hold for it. {_REMEDY.get(name, _OTHERWISE)}"
            )
    return sentences


def unevenly_lit(found: pd.DataFrame, known: pd.DataFrame) -> list[str]:
    """Slopes of a picture (rows: its parts) that few simulations have, by `USUAL` of `known`."""
    return [
        f"From edge to edge the picture's {what} changes by {value:.2g}, in {100 * USUAL:.0f} of "
        f"100 simulations by less than {usual:.2g}: is it evenly lit? Of a grey picture whose "
        "levels are told to be ordered, a smooth background is taken off."
        for name, what in (("slope", "brightness"), ("slope of contrast", "contrast"))
        if (value := found[name].median()) > (usual := known[name].loc[USUAL])
    ]


def misdirected(
    found: pd.DataFrame, known: pd.DataFrame, azimuths: tuple[float, float], dmi_kind: str
) -> list[str]:
    """Waves of a component (rows: its parts) that run as they do in few simulations, by `known`.

    Walls of a bulk DMI are seen best if they stand along the direction, and their waves run across
    it; walls of an interfacial one are if they stand across it. Only the other way is strange, and
    only if the lowest and the highest of `azimuths` are less than half a turn apart: beyond, any
    direction is allowed for, or its opposite, which has the same waves.
    """
    name, sign = "waves along azimuth", 1 if dmi_kind == "interfacial" else -1
    value, usual = found[name].median(), known[name].loc[SELDOM if sign > 0 else USUAL]
    if sign * value >= sign * usual or np.ptp(azimuths) >= 180:
        return []
    return [
        f"The picture's waves, at angles φ with azimuth_deg, have a mean cos 2φ of {value:+.2f}; "
        f"in {100 * USUAL:.0f} of 100 simulations it is {'above' if sign > 0 else 'below'} "
        f"{usual:+.2f}: if the direction is another, M_s may be far off. {_DIRECTION}"
    ]


def same_place(pictures: Sequence[torch.Tensor], pixels: Sequence[float]) -> list[str]:
    """Pictures (channels, height, width) with pixels (nm) whose textures lie on each other.

    Shifted by up to a tenth of their sides, as a stage may have moved.
    """
    sentences = []
    for (one, first), (two, second) in combinations(enumerate(pictures), 2):
        if first.shape != second.shape or pixels[one] != pixels[two]:
            continue
        flat = [each - each.mean((-2, -1), keepdim=True) for each in (first, second)]
        a, b = (torch.fft.rfft2(each.double()) for each in flat)
        overlap = torch.fft.irfft2((a * b.conj()).sum(0), s=first.shape[-2:])
        overlap /= flat[0].norm().double() * flat[1].norm().double()
        reach = [max(1, side // 10) for side in first.shape[-2:]]
        overlap = overlap.roll(reach, (0, 1))[: 2 * reach[0] + 1, : 2 * reach[1] + 1]
        if (likeness := overlap.max().item()) > ALIKE:
            sentences.append(
                f"Pictures {one + 1} and {two + 1} seem to show the same place (correlation "
                f"{likeness:.2f}): their errors go together, and the intervals, which take them to "
                "be independent, are too narrow. Give one of them, or the wider of their answers."
            )
    return sentences


def many_kinds(answers: int, states: int) -> list[str]:
    """Answers of all networks, which a straight line weighs, against the states it is fitted to."""
    if 2 * (answers + 1) <= states:
        return []
    return [
        f"The {answers} answers to these pictures and a constant were weighed by {states} "
        "validation states, less than two for each, so that more pictures may have made the "
        "estimate worse: give fewer, or an Effort with more validation states."
    ]


def cut_off(dark: float, bright: float, most: float) -> list[str]:
    """Shares of the pixels of a grey picture that are its darkest, and its brightest, grey."""
    return [
        f"{100 * share:.0f} % of the pixels have the {shade}est grey of all, where a detector or a "
        f"program cut off what was {shade}er. More than {100 * most:.0f} % tell on M_s: take a "
        "picture with less contrast."
        for share, shade in ((dark, "dark"), (bright, "bright"))
        if share > most
    ]


def unresolved(period: float, pixel: float, cell: float, side: float) -> list[str]:
    """A helix period (nm) against pixels, cells and the picture's shorter side (nm)."""
    sentences = []
    for what, length in (("pixels", pixel), ("cells", cell)):
        if period < 4 * length:
            sentences.append(
                f"A helix period of {period:.3g} nm takes {period / length:.2g} {what} of "
                f"{length:.3g} nm, less than four: its texture is not resolved."
            )
    if side < 2 * period:
        sentences.append(
            f"The picture of {side:.3g} nm shows {side / period:.2g} helix periods of {period:.3g} "
            "nm, less than two: take a larger one."
        )
    return sentences


def other_texture(distance: float, among: float) -> list[str]:
    """Distances of spectra: the picture from simulations with the estimate, and among these."""
    if distance <= 2 * among:
        return []
    return [
        f"Simulated again with the estimate, the texture is not the picture's: their spectra are "
        f"{distance:.2f} apart, simulations among themselves {among:.2f}. {_OTHERWISE}"
    ]
