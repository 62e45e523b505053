"""Volume and its error by hand and by chance, and loops of small films."""

import math

import numpy as np
import pandas as pd
import pytest

from spinlib.estimation.planning import Conditions, Effort
from spinlib.estimation.prediction import loops, magnetisation, volume
from spinlib.hysteresis import Loop
from spinlib.thermal_recipes import NAMES


def test_volume_by_hand():
    # 1 mm × 1 mm × 3 nm of 384 kA/m, saturated: 3e-15 m³ × 384e3 A/m = 1.152e-9 A m².
    found, error = volume(1.152e-9, 2.304e-11, 384e3, 0.05)
    assert found == pytest.approx(3e-15, rel=1e-9, abs=0)
    assert error == pytest.approx(3e-15 * math.hypot(0.02, 0.05), rel=1e-9, abs=0)


def test_volume_of_many_points_and_its_error_by_chance():
    generator = np.random.Generator(np.random.Philox(4))
    curve = np.linspace(-3e5, 3e5, 13)
    truth, noise, relative = 2e-15, 3e-11, 0.04
    draws = []
    for _ in range(4000):
        # What is measured belongs to the sample; what is predicted is off by a common factor.
        moment = truth * curve + noise * generator.standard_normal(13)
        predicted = curve / (1 + relative * generator.standard_normal())
        draws.append(volume(moment, noise, predicted, 0.0)[0])
    _, error = volume(truth * curve, noise, curve, relative)
    # 4000 draws give a standard deviation to 1.1 %.
    assert np.std(draws) == pytest.approx(error, rel=0.05, abs=0)


def test_volume_refusals():
    with pytest.raises(ValueError, match="magnetisation of zero"):
        volume(1e-9, 0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="2 moments need as many"):
        volume(np.ones(2), 0.0, np.ones(3), 0.0)
    with pytest.raises(ValueError, match="not negative"):
        volume(1e-9, -1.0, 3e5, 0.0)


def test_magnetisation_is_read_off_the_loop():
    points = pd.DataFrame(
        {"state": [0, 0, 0], "field_T": [1.0, 0.0, -1.0], "magnetisation": [1.0, 0.5, -1.0]}
    )
    loop = Loop(points)
    assert magnetisation(loop, np.array([300.0]), 0.5).tolist() == [pytest.approx(0.75 * 3e5)]
    with pytest.raises(ValueError, match="2 T is beyond"):
        magnetisation(loop, np.array([300.0]), 2.0)


def test_loops_begin_saturated_and_end_reversed():
    conditions = Conditions(20.0, 0.1, 2.0, thickness_nm=3.0)
    films = pd.DataFrame([[8.78, 1.58, 384.0], [12.0, 1.0, 300.0]], columns=NAMES)
    effort = Effort(loop_cells=16, loop_sweeps=10)
    loop = loops(films, conditions, 5.0, effort, seed=1)
    for state in (0, 1):
        fields, moments = loop.branch(state)
        # The largest field is 1.3 times what aligns: what is left of the magnetisation is lost to
        # the temperature, k_B T / 2πJ and a logarithm, about a percent.
        assert moments[0] > 0.97 and moments[-1] < -0.97
        assert fields[0] == -fields[-1]
    # D²/(2AM_s) + μ₀M_s = 0.370 + 0.483 T for the first, 0.139 + 0.377 T for the second.
    assert fields[0] == pytest.approx(1.3 * 0.853, rel=0.002)
    same = loops(films[1:], conditions, 5.0, effort, seed=1, largest_field=fields[0])
    assert same.branch(0)[0][0] == fields[0]


def test_loops_of_a_hard_axis_reach_beyond_its_coercive_field():
    """2K/M_s = 2 T: without it the largest field, 0.6 T, would never turn such a film over."""
    conditions = Conditions(20.0, 0.1, 2.0, thickness_nm=3.0, anisotropy_kJ_m3=300.0)
    films = pd.DataFrame([[8.78, 1.0, 300.0]], columns=NAMES)
    loop = loops(films, conditions, 4.0, Effort(loop_cells=8, loop_sweeps=10), seed=1)
    fields, moments = loop.branch(0)
    assert moments[0] > 0.97 and moments[-1] < -0.97
    # D²/(2AM_s) + μ₀M_s + 2K/M_s = 0.190 + 0.377 + 2.000 T.
    assert fields[0] == pytest.approx(1.3 * 2.567, rel=0.002)
