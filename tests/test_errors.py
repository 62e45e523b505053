"""Statistics of errors against distributions whose answers are known."""

import numpy as np
import pandas as pd
import pytest

from spinlib import errors


def normal(*shape, seed=0):
    return np.random.Generator(np.random.Philox(seed)).normal(size=shape)


def test_the_bootstrap_finds_the_standard_error_of_a_mean():
    samples = 3 + 2 * normal(400, 2)
    mean, error = errors.mean_with_error(samples)
    assert mean == pytest.approx(samples.mean(0))
    # 400 draws know a standard error to 1/√800 = 3.5 %; four times that.
    assert error == pytest.approx(samples.std(0) / np.sqrt(400), rel=0.14)
    again = errors.mean_with_error(samples)[1]
    assert np.array_equal(error, again)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_few_samples_are_drawn_again_from_too_few(count):
    found = [errors.mean_with_error(normal(count, seed=s), seed=s)[1] ** 2 for s in range(400)]
    # The mean square is 1/n; without the correction it would be (n - 1)/n of that. For two samples
    # it scatters by √2 of itself, 7 % of the mean of 400; three times that.
    assert np.mean(found) == pytest.approx(1 / count, rel=0.21)
    assert np.isnan(errors.mean_with_error(normal(1))[1])
    assert np.isnan(errors.ratio_with_error(normal(1), normal(1, seed=1))[1])


def test_a_ratio_keeps_states_together():
    below = np.abs(normal(300, 1)) + 0.1
    ratio, error = errors.ratio_with_error(4 * below, below)
    # The same states above and below: the ratio is exact, although either mean is not.
    assert ratio == pytest.approx(4) and error == pytest.approx(0, abs=1e-12)
    loose = errors.ratio_with_error(4 * np.abs(normal(300, 1, seed=1)), below)[1]
    assert loose > 0.1


def test_principal_components_of_a_known_distribution():
    axes = np.linalg.qr(normal(3, 3, seed=2))[0].T
    samples = normal(4000, 3) * np.array([3.0, 1.0, 0.5]) @ axes
    found = errors.principal_components(samples)
    assert found.shares.sum() == pytest.approx(1)
    # Theory for 4000 samples: the share of the first varies by 2 s1 s2 (s2 + ..)/total ~ 0.004.
    assert found.shares == pytest.approx(np.array([9, 1, 0.25]) / 10.25, abs=0.015)
    assert errors.angle_between(found.directions[0], axes[0]) < 1.5
    # And its axis by Σ λ₁λ_k / (n (λ₁ - λ_k)²), an angle squared: 0.374°. 400 bootstraps of 4000
    # samples know that to 3 %.
    theory = np.degrees(np.sqrt((9 * 1 / 8**2 + 9 * 0.25 / 8.75**2) / 4000))
    assert found.wobble == pytest.approx(theory, rel=0.1)
    assert 0.0026 < found.share_errors[0] < 0.004
    assert (found.directions.max(1) == np.abs(found.directions).max(1)).all()


def test_angles_are_between_axes():
    assert errors.angle_between([0, 1, 1], [0, -1, -1]) == pytest.approx(0, abs=1e-9)
    assert errors.angle_between([1, 0, 0], [1, 1, 0]) == pytest.approx(45)
    assert errors.angle_between([0.0, 0.689, 0.725], [0.006, 0.680, 0.733]) < 1


def test_an_error_map_averages_cells_and_leaves_empty_ones_open():
    table = pd.DataFrame(
        {"K": [0, 0, 1, 1], "D": [0, 0, 0, 1], "error": [1.0, 3.0, 5.0, 7.0], "x": np.arange(4.0)}
    )
    found = errors.error_map(table, "error", "K", "D")
    assert found.index.name == "K" and found.columns.name == "D"
    assert found.loc[0, 0] == 2 and found.loc[1, 0] == 5 and found.loc[1, 1] == 7
    assert np.isnan(found.loc[0, 1])
    cut = errors.error_map(table, "error", "x", "D", bins=2)
    assert list(cut.index) == [0.75, 2.25]  # the middles of 0 … 1.5 and 1.5 … 3
    assert cut.loc[0.75, 0] == 2 and cut.loc[2.25, 0] == 5


@pytest.mark.parametrize("parameters", [1, 2, 4])
def test_components_of_any_number_of_parameters(parameters):
    samples = normal(500, parameters) * np.arange(parameters, 0, -1)
    found = errors.principal_components(samples)
    assert errors.angle_between(found.directions[0], np.eye(parameters)[0]) < 10
    assert found.shares.sum() == pytest.approx(1)
