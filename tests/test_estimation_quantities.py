"""From answers to quantities: the helix period has a map of its own, and coverage its thirds."""

import numpy as np
import pandas as pd
import pytest

from spinlib.estimation.intervals import Intervals
from spinlib.estimation.quantities import (
    PERIOD,
    Pair,
    calibrated_intervals,
    coverage_table,
    estimate_table,
    in_units,
    scaled_quantities,
    straightened,
)
from spinlib.thermal_recipes import NAMES, Ranges

RANGES = Ranges((5.0, 1.0, 200.0), (12.0, 2.2, 600.0))


def states(count: int, seed: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(seed)).uniform(size=(count, 3))


def test_units_and_back():
    unit = states(50, 1)
    values = in_units(scaled_quantities(unit, RANGES), RANGES)
    assert values[:, :3] == pytest.approx(RANGES.units(unit))
    assert values[:, 3] == pytest.approx(4 * np.pi * values[:, 0] / values[:, 1])


def test_the_table_is_in_units():
    found = scaled_quantities(np.array([[0.25, 0.5, 0.75]]), RANGES)
    limits = Intervals(np.full((1, 4), -np.inf), np.full((1, 4), np.inf))
    table = estimate_table(RANGES, found, limits)
    expected = [6.75, 1.6, 500, 4 * np.pi * 6.75 / 1.6]
    assert table["estimate"].tolist() == pytest.approx(expected)
    assert (table["low"] == 0).all() and np.isinf(table["high"]).all()


def test_the_period_is_straightened_by_itself():
    truth = states(2000, 2)
    ratio = scaled_quantities(truth, RANGES)[:, 3]
    # Estimates of A and D that chance draws to the middle draw their ratio there as well.
    answers = truth + 0.15 * (states(2000, 3) - 0.5)
    answers[:, :2] = 0.5 + 0.6 * (answers[:, :2] - 0.5) + 0.5 * (states(2000, 4)[:, :2] - 0.5)
    found = straightened(answers, truth, RANGES)(answers)
    plain = scaled_quantities(found[:, :3], RANGES)[:, 3]
    # The slope of truth against estimate is 1 where it was fitted, whatever it was before.
    slopes = [np.polyfit(estimates, ratio, 1)[0] for estimates in (plain, found[:, 3])]
    assert slopes[1] == pytest.approx(1, abs=1e-6) and abs(slopes[0] - 1) > 0.001
    errors = [np.sqrt(((x - ratio) ** 2).mean()) for x in (plain, found[:, 3])]
    assert errors[1] < errors[0]


def test_the_map_of_the_period_bends():
    truth = states(200, 2)
    ratio = scaled_quantities(truth, RANGES)[:, 3]
    answers = truth + np.outer((ratio - 0.5) ** 2, [0.3, 0, 0])  # A is too large at both ends
    found = straightened(answers, truth, RANGES)(answers)
    plain = scaled_quantities(found[:, :3], RANGES)[:, 3]
    left = [np.sqrt(((x - ratio) ** 2).mean()) for x in (plain, found[:, 3])]
    assert left[0] > 0.008 and left[1] < 0.5 * left[0]  # a line leaves 0.0087


def test_tested_states_verify_first_and_then_calibrate_as_well():
    truth = np.full((160, 4), 0.5)
    # Errors of 40 validation states, all alike; of 40 held-out ones, small; of 80 tested ones.
    off = np.concatenate([np.full(40, 0.1), np.linspace(0, 0.04, 40), np.linspace(0, 0.1, 80)])
    off = np.repeat(off[:, None], 4, 1)
    validation, held_out, tested = (
        Pair(truth[part] + off[part], truth[part])
        for part in (slice(40), slice(40, 80), slice(80, 160))
    )
    at = np.full((1, 4), 0.5)
    limits, verified = calibrated_intervals(at, validation, held_out, tested)
    # By rank: ⌈41 · 0.9⌉ = 37 of the first alone, ⌈121 · 0.9⌉ = 109 of both.
    reach = np.sort(np.abs(off[40:80, 0]))[36]
    assert (verified == (off[80:] <= reach + 1e-12)).all() and not verified.all()
    reach = np.sort(np.abs(off[40:, 0]))[108]
    assert limits.high[0] - 0.5 == pytest.approx(np.full(4, reach))
    assert 0.5 - limits.low[0] == pytest.approx(np.full(4, reach))


def test_intervals_are_half_as_long_as_the_errors_nearby_and_half_as_all():
    """Two clusters of estimates, whose truths lie the other way round: by hand (e + ē)/2."""
    found = np.repeat([[0.49] * 4, [0.51] * 4], 30, 0)
    error = np.repeat([0.04, -0.02], 30)[:, None]
    validation = Pair(found, found + error)
    others = [Pair(found, found + share * error) for share in (0.5, 1.0)]
    limits, _ = calibrated_intervals(found[[0, -1]], validation, *others)
    half = (limits.high - limits.low)[:, 0] / 2
    assert half[0] / half[1] == pytest.approx((0.04 + 0.03) / (0.02 + 0.03))


def test_coverage_by_thirds_of_the_range():
    """Of the range that was asked about; of 4πA/D, from 4π/10 to 4π × 10, by its logarithm."""
    ranges = Ranges((1.0, 1.0, 200.0), (10.0, 10.0, 500.0))
    u = np.array([0.1, 0.2, 0.5, 0.9, 1.0])
    truth = pd.DataFrame(ranges.units(np.stack([u, 1 - u, u], 1)), columns=NAMES)
    held = np.ones((5, 4), bool)
    held[0] = False
    table = coverage_table(held, truth, ranges)
    assert tuple(table.index) == (*NAMES, PERIOD, "A, D and M_s")
    assert (table["share"] - 0.8).abs().max() < 1e-9 and table["states"].eq(5).all()
    thirds = table[["lower third", "middle third", "upper third"]]
    for name in (NAMES[0], NAMES[2], PERIOD):
        assert thirds.loc[name].tolist() == [0.5, 1.0, 1.0]
    assert thirds.loc[NAMES[1]].tolist() == [1.0, 1.0, 0.5]
    # Two and two values of A and M_s with two of D: four of six hold below, five of six above.
    assert thirds.loc["A, D and M_s"].tolist() == pytest.approx([4 / 6, 1.0, 5 / 6])
    assert np.isnan(coverage_table(held[:2], truth[:2], ranges).loc[PERIOD, "upper third"])
