"""From what a network answers to A, D, M_s and 4πA/D in their units, with calibrated intervals.

Between the two, "scaled" quantities (states, 4) run from 0 to 1 over the ranges.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from spinlib.estimation.intervals import Intervals, intervals, share_with_error, typical_error
from spinlib.estimation.planning import helix_period
from spinlib.thermal_recipes import NAMES, Ranges

PERIOD = "4πA/D [nm]"
QUANTITIES = (*NAMES, PERIOD)

_THIRDS = ("lower third", "middle third", "upper third")


def symbol_and_unit(name: str) -> tuple[str, str]:
    """A column as physicists call it: A and pJ/m of "exchange [pJ/m]"."""
    quantity, _, unit = name.partition(" [")
    symbols = {"exchange": "A", "dmi": "D", "saturation": "M_s"}
    return symbols.get(quantity, quantity), unit.rstrip("]")


@dataclass(frozen=True)
class Pair:
    """Estimates and truths of states, (states, quantities), from 0 to 1 over their ranges."""

    found: np.ndarray
    truth: np.ndarray

    def with_(self, others: "Pair") -> "Pair":
        """These states and others."""
        found, truth = [self.found, others.found], [self.truth, others.truth]
        return Pair(np.vstack(found), np.vstack(truth))


def straightening(found: np.ndarray, wanted: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
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


def scaled_quantities(unit: np.ndarray, ranges: Ranges) -> np.ndarray:
    """Normalised A, D, M_s with the helix period beside them, logarithmic between its ends."""
    values, (short, long) = ranges.units(unit), _periods(ranges)
    period = np.log(helix_period(values[:, 0], values[:, 1]) / short) / np.log(long / short)
    return np.column_stack([unit, period])


def straightened(
    validation: np.ndarray, truth: np.ndarray, ranges: Ranges
) -> Callable[[np.ndarray], np.ndarray]:
    """From what a network answers (states, 3) to quantities (states, 4), by the validation states.

    A network's answers lean towards the middle of what it was trained on; a linear map straightens
    them. The helix period is better known than A and D are, so it has a map of its own, and is not
    quite 4πA/D of the estimates beside it. That map is a parabola: a line leaves the shortest and
    the longest too long (the longest of colour pictures, of less than four periods, by some 5 %).
    """
    parameters = straightening(validation, truth)

    def with_powers(answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        unit, period = np.split(scaled_quantities(parameters(answers), ranges), [3], axis=1)
        return unit, np.hstack([period, period**2])

    _, powers = with_powers(validation)
    period = straightening(powers, scaled_quantities(truth, ranges)[:, 3:])

    def quantities(answers: np.ndarray) -> np.ndarray:
        unit, powers = with_powers(answers)
        return np.hstack([unit, period(powers)])

    return quantities


def in_units(scaled: np.ndarray, ranges: Ranges) -> np.ndarray:
    """Quantities in their units; open ends become 0 and inf."""
    short, long = _periods(ranges)
    with np.errstate(over="ignore"):
        period = short * (long / short) ** scaled[:, 3]
    values = np.column_stack([ranges.units(scaled[:, :3]), period])
    return np.where(np.isneginf(scaled), 0.0, values)


def calibrated_intervals(
    found: np.ndarray, validation: Pair, held_out: Pair, tested: Pair
) -> tuple[Intervals, np.ndarray]:
    """Intervals for estimates (states, quantities), and which of those of tested states hold.

    Intervals are longer where the validation states near an estimate have larger errors. Neither
    held-out nor tested states have a part in that, so they can calibrate. First the held-out ones
    do, and the tested ones verify. Then both do, since a hundred states and their luck leave an
    error of 3 % to what intervals hold, two hundred one of 2 %.
    """
    error = validation.truth - validation.found

    def scale(at: np.ndarray) -> np.ndarray:
        # Halfway between local and global, as the mean of a few errors is no more than a guess.
        near = typical_error(at[:, :3], validation.found[:, :3], error)
        return (near + np.abs(error).mean(0)) / 2

    def calibrated_by(states: Pair, at: np.ndarray) -> Intervals:
        scores = np.abs(states.truth - states.found) / scale(states.found)
        return intervals(at, scale(at), scores, (np.zeros(found.shape[1]), np.ones(found.shape[1])))

    verified = calibrated_by(held_out, tested.found).hold(tested.truth)
    return calibrated_by(held_out.with_(tested), found), verified


def estimate_table(ranges: Ranges, found: np.ndarray, limits: Intervals) -> pd.DataFrame:
    """Estimate and interval of each quantity of one picture, in its unit."""
    columns = {"estimate": found, "low": limits.low, "high": limits.high}
    return pd.DataFrame(
        {name: in_units(scaled, ranges)[0] for name, scaled in columns.items()}, index=QUANTITIES
    )


def coverage_table(held: np.ndarray, truth: pd.DataFrame, ranges: Ranges) -> pd.DataFrame:
    """Shares of states (states, 4) whose interval holds, by thirds of the ranges as well."""
    scaled = scaled_quantities(ranges.unit(truth).numpy(), ranges)
    third = np.clip(np.floor(3 * scaled), 0, 2)
    rows = {}
    for name, part in {
        **{name: [column] for column, name in enumerate(QUANTITIES)},
        "A, D and M_s": [0, 1, 2],
    }.items():
        holds, where = held[:, part], third[:, part]
        shares = [holds[where == number] for number in range(len(_THIRDS))]
        rows[name] = (
            *(*share_with_error(holds), len(held)),
            *(share.mean() if share.size else np.nan for share in shares),
        )
    return pd.DataFrame.from_dict(
        rows, orient="index", columns=["share", "± share", "states", *_THIRDS]
    )
