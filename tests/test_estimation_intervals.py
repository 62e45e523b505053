"""Intervals that keep their promise: exact ranks, coverage of finite samples, open ends."""

import math

import numpy as np
import pytest

from spinlib.estimation.intervals import (
    conformal_quantile,
    intervals,
    nearest,
    share_with_error,
    typical_error,
)


def numbers(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


@pytest.mark.parametrize(("count", "rank"), [(9, 9), (19, 18), (20, 19), (99, 90), (199, 180)])
def test_quantile_is_the_right_rank(count, rank):
    scores = numbers().permutation(count) + 1.0
    assert conformal_quantile(scores, 0.9) == rank


def test_too_few_states_promise_nothing():
    assert conformal_quantile(np.arange(8.0), 0.9) == math.inf
    with pytest.raises(ValueError, match=r"level 1\.0 of 5 scores"):
        conformal_quantile(np.arange(5.0), 1.0)


@pytest.mark.parametrize("count", [9, 19, 20])
def test_coverage_is_exact_for_finite_samples(count):
    trials = 40_000
    scores = numbers(1).exponential(size=(count + 1, trials))
    new, known = scores[-1], scores[:-1]
    share = (new <= conformal_quantile(known, 0.9)).mean()
    # The rank of the new score is uniform, whatever the distribution.
    exact = math.ceil(0.9 * (count + 1) - 1e-9) / (count + 1)
    assert abs(share - exact) < 4 * math.sqrt(exact * (1 - exact) / trials)


def problem(count: int, seed: int):
    """Estimates whose errors grow tenfold along the range; truth and estimate (states, 1)."""
    generator = numbers(seed)
    found = generator.uniform(0.3, 0.7, (count, 1))
    spread = 0.01 + 0.09 * (found - 0.3) / 0.4
    return found, found + spread * generator.standard_normal((count, 1)), spread


def test_coverage_and_length_of_scaled_intervals():
    tuning, held_out, tested = (problem(n, seed) for seed, n in ((2, 200), (3, 499), (4, 20_000)))
    ends = (np.zeros(1), np.ones(1))

    def of(scale):
        scores = np.abs(held_out[1] - held_out[0]) / scale(held_out[0])
        return intervals(tested[0], scale(tested[0]), scores, ends)

    error = tuning[1] - tuning[0]
    scaled = of(lambda at: typical_error(at, tuning[0], error))
    plain = of(np.ones_like)
    for made in (scaled, plain):
        # The coverage of one calibration with 499 states scatters by √(0.9 · 0.1 / 500) = 1.3 %.
        assert abs(made.hold(tested[1]).mean() - 0.9) < 4 * 0.0134
    best = tested[0][:, 0] < 0.4
    inside = np.isfinite(scaled.low[:, 0]) & np.isfinite(scaled.high[:, 0])
    lengths = [(made.high - made.low)[best & inside].mean() for made in (scaled, plain)]
    assert lengths[0] < 0.5 * lengths[1]  # exactly: 0.021/0.064 of the mean spread, about a third
    # And where errors are large the plain ones promise too much.
    worst = tested[0][:, 0] > 0.65
    assert plain.hold(tested[1])[worst].mean() < 0.85 < scaled.hold(tested[1])[worst].mean()


def test_intervals_are_open_where_nothing_was_simulated():
    scores = np.arange(1.0, 100.0)[:, None] / 90
    made = intervals(np.array([[0.05], [0.5], [0.95]]), np.full((3, 1), 0.2), scores, (0.0, 1.0))
    assert made.low.ravel().tolist() == [-math.inf, pytest.approx(0.3), pytest.approx(0.75)]
    assert made.high.ravel().tolist() == [pytest.approx(0.25), pytest.approx(0.7), math.inf]
    assert made.hold(np.array([[-3.0], [0.71], [2.0]])).ravel().tolist() == [True, False, True]


def test_typical_error_is_that_of_neighbours():
    found = np.array([[0.0, 0.0], [0.1, 0.0], [1.0, 1.0]])
    error = np.array([[1.0, -2.0], [3.0, 4.0], [9.0, 9.0]])
    assert nearest(np.array([[0.04, 0.0]]), found, 2).tolist() == [[0, 1]]
    assert typical_error(np.array([[0.04, 0.0]]), found, error, 2).tolist() == [[2.0, 3.0]]
    # Near in all parameters, not in the first alone.
    found = np.array([[0.0, 0.0], [0.1, 0.9], [0.3, 0.0]])
    assert nearest(np.array([[0.1, 0.0]]), found, 2).tolist() == [[0, 2]]


def test_binomial_error_of_a_share():
    """Three values of each state that always agree tell no more than one."""
    held = np.arange(100) < 90
    for values in (held, np.repeat(held, 3).reshape(100, 3)):
        assert share_with_error(values) == (0.9, pytest.approx(0.03))
