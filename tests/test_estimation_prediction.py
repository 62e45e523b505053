"""Textures simulated again, loops of small films, volume and its error by hand and by chance."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from spinlib import textures
from spinlib.contrast import component
from spinlib.estimation import prediction
from spinlib.estimation.answer import Estimate
from spinlib.estimation.conditions import Conditions
from spinlib.estimation.films import ANISOTROPY
from spinlib.estimation.planning import Effort, plan
from spinlib.estimation.prediction import loops, magnetisation, texture_again, volume
from spinlib.estimation.quantities import QUANTITIES
from spinlib.hysteresis import Loop
from spinlib.microscope import Microscope
from spinlib.optics import crop
from spinlib.similarity import radial_spectrum
from spinlib.thermal_recipes import NAMES, Ranges

CONDITIONS = Conditions(150.0, 0.18, 4.0, thickness_nm=3.0, levels="linear", blur_nm=4.0)
ASLANT = replace(CONDITIONS, contrast="component", polar_deg=74.0, azimuth_deg=30.0)
RANGES = Ranges((6.0, 1.2, 300.0), (10.0, 2.2, 500.0))
TINY = Effort(cells=32, again=2)
GREY = torch.full((3, 60, 60), 0.5)


@pytest.fixture
def again(monkeypatch):
    """The plan of a picture, and its `texture_again` of films that are not simulated but given."""
    made = plan((60, 60), CONDITIONS, RANGES, TINY)
    best = pd.DataFrame([[8.0, 1.7, 400.0]], columns=NAMES)

    def call(*spins, picture=GREY, taken=CONDITIONS):
        def given(films, rows, **_):
            assert films.size == (made.finer, made.finer) and len(rows) == len(spins)
            return torch.cat(spins)

        monkeypatch.setattr(prediction, "thermal_states", given)
        return texture_again(picture, best, 0.0, made, taken, RANGES, TINY, seed=1)

    return made, call


def test_spectra_of_textures_simulated_again_are_in_waves_per_nm(again):
    made, call = again
    picture = GREY.clone()
    middle = crop(picture, (made.pixels, made.pixels))  # as large as the box
    middle[:] = Microscope("colour")(textures.helix(middle.shape[1:], (0, 5), "bulk"))[0]
    helices = (textures.helix((made.finer,) * 2, (n, 0), "bulk") for n in (3, 9))
    found = call(*helices, picture=picture)
    for waves, spectrum in zip((5, 3, 9), (found.observed, *found.simulated), strict=True):
        assert found.waves[spectrum.argmax()] == pytest.approx(waves / made.box)
    assert found.observed == pytest.approx(radial_spectrum(middle[None])[1][0])
    # The mean over different films alone: the two have next to nothing in common.
    assert found.numbers["distance of spectra among simulations"] > 0.95


@pytest.mark.parametrize(
    "taken",
    [
        CONDITIONS,
        replace(ASLANT, azimuth_deg=(20.0, 40.0)),
        replace(ASLANT, polar_deg=80.0, azimuth_deg=-50.0, dmi_sign=-1),
        replace(ASLANT, polar_deg=110.0, azimuth_deg=160.0, dmi_kind="interfacial"),
    ],
    ids=lambda taken: f"{taken.contrast}-{taken.dmi_kind}-{taken.dmi_sign:g}",
)
def test_skyrmions_of_textures_simulated_again_are_per_square_micrometre(again, taken):
    made, call = again
    places = [(0.25, 0.25), (0.7, 0.25), (0.25, 0.7), (0.7, 0.7)]
    centres = [(made.finer * x, made.finer * y) for x, y in places]
    films = (
        textures.skyrmions((made.finer,) * 2, centres[:count], 0.2 * made.finer, taken.dmi_kind)
        for count in (4, 2)
    )
    found = call(*films, taken=taken).numbers
    area = ((made.pixels - 1) * 4e-3) ** 2  # µm², where a skyrmion may begin
    assert found["skyrmions per µm², simulations"] == pytest.approx(3 / area)
    assert found["their standard deviation"] == pytest.approx(math.sqrt(2) / area)


@pytest.mark.parametrize(
    ("changed", "counted"),
    [
        ({}, True),
        ({"field_T": -0.18}, True),  # with the film reversed, as time would
        ({"levels": "unsigned"}, True),  # with white and black exchanged
        ({"azimuth_deg": (-180.0, 180.0)}, False),  # nobody can say
    ],
)
def test_skyrmions_are_counted_in_the_picture_of_a_component(again, changed, counted):
    made, call = again
    taken, side = replace(ASLANT, **changed), made.pixels
    centres = [(side * x, side * y) for x, y in ((0.25, 0.3), (0.7, 0.25), (0.5, 0.7))]
    film = textures.skyrmions((side, side), centres, 0.2 * side, "bulk")
    own = component(film if taken.field_T > 0 else -film, 74.0, 30.0)[0]
    own = 1 - own if taken.levels == "unsigned" else own
    plain = (textures.uniform((made.finer,) * 2) for _ in range(2))
    found = call(*plain, picture=own, taken=taken).numbers["skyrmions per µm², picture"]
    expected = 3 / ((side - 1) * 4e-3) ** 2 if counted else math.nan
    assert found == pytest.approx(expected, nan_ok=True)


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


def answer(low: float, high: float) -> Estimate:
    """Two films with the estimate and two that are possible as well; an interval of M_s."""
    saturation = [400.0, 400.0, 440.0, 360.0]
    films = pd.DataFrame({NAMES[0]: 8.0, NAMES[1]: 1.7, NAMES[2]: saturation, ANISOTROPY: 0.0})
    films["coercive_field_T"] = [0.1, 0.2, 0.1, 0.4]
    loop = pd.DataFrame(
        [(s, b, m) for s in range(4) for b, m in ((1.0, 0.9), (0.0, 0.8), (-1.0, -0.9))],
        columns=["state", "field_T", "magnetisation"],
    )
    table = pd.DataFrame({"estimate": 400.0, "low": low, "high": high}, index=list(QUANTITIES))
    rest = {"warnings": [], "choices": [], "coverage": table, "tested": table, "texture": {}}
    rest |= {"spectra": {}, "settings": {}, "pixel_size_nm": 4.0}
    rest |= {"picture": torch.empty(0), "again": torch.empty(0)}
    return Estimate(table=table, loop=loop, films=films, repeats=2, **rest)


def test_the_error_of_a_volume_is_that_of_the_films_or_of_the_interval():
    moment, whole = 2e-15 * 0.9 * 400e3, {"rel": 1e-9, "abs": 0}
    found, error = answer(395.0, 405.0).volume(moment, 0.0, 1.0)
    assert (found, error) == (pytest.approx(2e-15, **whole), pytest.approx(0.1 * 2e-15, **whole))
    # 90 % of normal numbers are within 1.645 standard deviations: 400 ± 100 is 400 ± 61.
    _, error = answer(300.0, 500.0).volume(moment, 0.0, 1.0)
    assert error == pytest.approx(100 / 1.645 / 400 * 2e-15, **whole)
    # Two fields: the moment's own error is shared out, Σ M² = (0.9² + 0.8²) M_s².
    _, error = answer(395.0, 405.0).volume([moment, moment * 8 / 9], 1e-13, [1.0, 0.0])
    expected = math.hypot(1e-13 / (math.hypot(0.9, 0.8) * 400e3), 0.1 * 2e-15)
    assert error == pytest.approx(expected, **whole)


def test_loop_points_have_the_standard_error_of_their_films():
    row = answer(395.0, 405.0).loop_points().loc["coercive_field_T"]
    # Of two numbers 0.1 apart the mean is known to 0.05; of 0.1 and 0.4 the deviation is 0.3/√2.
    assert row.tolist() == pytest.approx([0.15, 0.05, 0.3 / math.sqrt(2)])


def test_magnetisation_is_read_off_the_loop():
    points = pd.DataFrame(
        {"state": [0, 0, 0], "field_T": [1.0, 0.0, -1.0], "magnetisation": [1.0, 0.5, -1.0]}
    )
    loop = Loop(points)
    assert magnetisation(loop, np.array([300.0]), 0.5).tolist() == [pytest.approx(0.75 * 3e5)]
    with pytest.raises(ValueError, match="2 T is beyond"):
        magnetisation(loop, np.array([300.0]), 2.0)


def test_loops_are_of_the_film_that_was_seen(monkeypatch):
    asked = {}

    def taken(film, start, **options):
        asked.update(options, film=film, shape=tuple(start.shape))
        return "loop"

    monkeypatch.setattr(prediction, "hysteresis", taken)
    conditions = Conditions(77.0, 0.1, 2.0, thickness_nm=3.0, dmi_kind="interfacial")
    films = pd.DataFrame([[8.78, 1.58, 384.0]], columns=NAMES)
    effort = Effort(loop_cells=16, loop_sweeps=10)
    assert loops(films, conditions, 5.0, effort, seed=7) == "loop"
    film = asked["film"]
    assert (film.cell, film.thickness) == pytest.approx((5e-9, 3e-9))
    assert (film.dmi_kind, film.boundary, film.exact_helix) == ("interfacial", "periodic", True)
    assert (asked["temperature"], asked["sweeps"], asked["seed"]) == (77.0, 10, 7)
    assert asked["shape"] == (1, 3, 16, 16)


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
