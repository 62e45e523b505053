"""Hysteresis loops against Stoner and Wohlfarth, and against Langevin."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from spinlib.film import BOLTZMANN, VACUUM_PERMEABILITY, Film
from spinlib.hysteresis import Loop, hysteresis
from spinlib.textures import uniform

FILM = {"exchange_stiffness": 8.78e-12, "saturation": 384e3, "cell": 4e-9, "thickness": 4e-9}

# Cells without exchange are no film to be warned about.
INDEPENDENT = pytest.mark.filterwarnings("ignore:Cells of .* are larger")


@pytest.mark.parametrize("degrees", [0, 30, 60, 85])
def test_stoner_wohlfarth_loops(degrees):
    """Switching on the astroid up to 45°, M = 0 at sin(2ψ)/2 beyond; remanence cos ψ."""
    angle = math.radians(degrees)
    film = Film(13e-12, 800e3, anisotropy=1e5, cell=4e-9, thickness=2e-9)
    hard = 2 * 1e5 / 800e3  # tesla
    along = (math.sin(angle), 0.0, math.cos(angle))
    loop = hysteresis(
        *(film, uniform((4, 4), along)),
        largest_field=1.5 * hard,
        step=0.1 * hard,
        finest_step=0.005 * hard,
        direction=along,
        demagnetisation=False,
    )
    points = loop.summary().loc[0]
    astroid = (math.cos(angle) ** (2 / 3) + math.sin(angle) ** (2 / 3)) ** -1.5
    coercive = astroid if degrees <= 45 else 0.5 * math.sin(2 * angle)
    # The finest step, and a kick of .01 rad that falls off the ridge a little late or early.
    assert points.coercive_field_T / hard == pytest.approx(coercive, abs=0.012)
    # Interpolated over a step of a tenth.
    assert points.remanence == pytest.approx(math.cos(angle), abs=0.005)


def test_hard_axis_saturates_at_the_anisotropy_field():
    """M = B/B_K: no coercivity, and the knee is where the line ends."""
    film = Film(13e-12, 800e3, anisotropy=1e5, cell=4e-9, thickness=2e-9)
    along = (1.0, 0.0, 0.0)
    options = {"largest_field": 0.4, "direction": along, "demagnetisation": False}
    points = hysteresis(film, uniform((4, 4), along), step=0.02, **options).summary().loc[0]
    assert abs(points.coercive_field_T) < 1e-3 and abs(points.remanence) < 1e-3
    assert points.saturation_field_T == pytest.approx(0.25, abs=1e-3)  # linear interpolation


def test_the_knee_of_a_rounded_loop():
    """M = tanh B: the line through 60 and 90 % of the largest M, worked out by hand."""
    fields = np.linspace(3, -3, 601)
    points = pd.DataFrame({"state": 0, "field_T": fields, "magnetisation": np.tanh(fields)})
    low, high = (math.atanh(part * math.tanh(3)) for part in (0.6, 0.9))
    found = Loop(points).summary().loc[0, "saturation_field_T"]
    assert found == pytest.approx(high + (high - low) / 3, abs=1e-4)  # steps of 0.01, straight


def test_the_ascending_branch_is_the_descending_one_turned_about_the_origin():
    points = pd.DataFrame({"state": 0, "field_T": [1.0, 0.0, -1.0], "magnetisation": [1, 0.5, -1]})
    fields, moments = Loop(points).branch(0, ascending=True)
    assert fields.tolist() == [-1, 0, 1] and moments.tolist() == [-1, -0.5, 1]


def test_a_loop_counts_occupied_cells(device):
    start = uniform((4, 4)).to(device)
    start[:, :, :2] = 0
    loop = hysteresis(Film(**FILM), start, largest_field=2.0, step=2.0, finest_step=2.0)
    # Aligned, but for a kick of 0.01 rad that may be left.
    assert loop.points.magnetisation.iloc[[0, -1]].tolist() == pytest.approx([1, -1], abs=1e-3)


def test_small_particle_limit():
    """A 5 : 1 : 0.1 particle far below the exchange length, field along [111]: .05707 M_s."""
    stiffness, saturation = 13e-12, 800e3
    length = math.sqrt(2 * stiffness / VACUUM_PERMEABILITY) / saturation
    side, unit = 0.4 * length, VACUUM_PERMEABILITY * saturation
    film = Film(stiffness, saturation, cell=side, thickness=0.1 * side, boundary="open")
    loop = hysteresis(
        *(film, uniform((1, 5), (1.0, 0.3, 0.3))),
        largest_field=0.065 * unit,
        step=0.02 * unit,
        finest_step=1e-4 * unit,
        direction=(1.0, 1.0, 1.0),
    )
    points = loop.summary().loc[0]
    # Twice the finest step.
    assert points.coercive_field_T / unit == pytest.approx(0.05707, abs=2e-4)
    assert points.remanence == pytest.approx(1 / math.sqrt(3), abs=0.003)


@INDEPENDENT
def test_loop_of_independent_cells_at_temperature_is_langevins(device):
    film = Film(1e-30, 400e3, cell=4e-9, thickness=1e-9)
    per_tesla = 400e3 * 16e-27 / (BOLTZMANN * 300)
    loop = hysteresis(
        *(film, uniform((32, 32)).repeat(2, 1, 1, 1).to(device)),
        largest_field=5.0,
        step=1.0,
        temperature=300.0,
        demagnetisation=False,
        largest_change=1.0,
        sweeps=100,
    )
    fields, moments = (torch.tensor(values.copy()) for values in loop.branch(1))
    xi = fields * per_tesla
    exact = torch.where(xi == 0, 0.0, 1 / torch.tanh(xi) - 1 / xi)
    # Samples ten sweeps apart are independent: 5 × 1024 cells, ±.008.
    assert (moments - exact).abs().max() < 0.03
    assert abs(loop.summary().coercive_field_T).max() < 0.03 / (per_tesla / 3)


@INDEPENDENT
def test_what_temperature_has_turned_over_stays_turned_over():
    """Single macrospins, 16 kT from turning over: more fields on the way never delay it."""
    cell, thickness, saturation = 2e-9, 1e-9, 5e5
    anisotropy = 16 * BOLTZMANN * 300 / (cell**2 * thickness)
    film = Film(1e-30, saturation, cell=cell, thickness=thickness, anisotropy=anisotropy)
    largest = 1.2 * 2 * anisotropy / saturation
    found = {}
    for name, finest, change in (("fixed", largest / 50, 10.0), ("adaptive", None, 0.3)):
        loop = hysteresis(
            *(film, uniform((2, 2)).repeat(600, 1, 1, 1)),
            largest_field=largest,
            step=largest / 50,
            finest_step=finest,
            largest_change=change,
            temperature=300.0,
            demagnetisation=False,
            sweeps=60,
        )
        fields = loop.summary().coercive_field_T
        found[name] = fields.mean(), fields.std() / math.sqrt(len(fields)), len(loop.points)
    (fixed, error, fewer), (adaptive, other, more) = found["fixed"], found["adaptive"]
    # Steps that were taken back until nothing turned over gave a field larger by a quarter.
    assert more >= fewer and adaptive < fixed + 3 * math.hypot(error, other)


def test_wrong_loops_are_refused():
    film, start = Film(**FILM), uniform((4, 4))
    for change, message in (
        ({"largest_field": 0.0}, "largest_field"),
        ({"step": 2.0}, "rising order"),
        ({"direction": (0, 0, 0)}, "direction"),
        ({"temperature": math.nan}, "T = 0"),
        ({"sweeps": 0, "temperature": 100.0}, "at least one sweep, not 0"),
        ({"states": [0, 1]}, "1 films need as many state indices, got 2"),
    ):
        with pytest.raises(ValueError, match=message):
            hysteresis(film, start, **({"largest_field": 1.0} | change))
    for spins, message in (
        *((start[0], "needs a batch of one"), (2 * start, "first has length 2")),
        (torch.cat((start, 0 * start)), "a state of the start has no occupied cell"),
    ):
        with pytest.raises(ValueError, match=message):
            hysteresis(film, spins, largest_field=1.0)


# Seen after every tenth sweep of the second half: of 200 after 110, 120 … 200.
@pytest.mark.parametrize(("sweeps", "mean"), [(1, 1), (19, 1), (39, 1), (200, 155 / 200)])
def test_each_field_has_sweeps_and_random_numbers_of_its_own(sweeps, mean, monkeypatch):
    """M grows with the sweeps at a field, from 0 to 1."""
    drawn = []

    def rise(spins, energy, temperatures, *, seed, first_sweep, **_):
        assert seed == 7
        drawn.extend(range(first_sweep, first_sweep + temperatures.shape[-1]))
        z = ((len(drawn) - 1) % sweeps + 1) / sweeps
        spins.copy_(uniform((4, 4), (math.sqrt(1 - z**2), 0, z)))

    monkeypatch.setattr("spinlib.hysteresis.sweep", rise)
    options = {"temperature": 100.0, "largest_field": 0.1, "step": 0.1, "seed": 7}
    found = hysteresis(Film(8.78e-12, 384e3), uniform((4, 4)), sweeps=sweeps, **options)
    assert drawn == list(range(sweeps * len(found.points)))
    assert found.points.magnetisation.to_numpy() == pytest.approx(mean, abs=1e-6)  # float32


def test_a_loop_below_absolute_zero_is_refused():
    with pytest.raises(ValueError, match="at T = 0 or all above"):
        hysteresis(Film(8.78e-12, 384e3), uniform((4, 4)), temperature=-300.0, largest_field=0.1)
