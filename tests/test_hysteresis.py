"""Hysteresis loops against Stoner and Wohlfarth, and against Langevin."""

import math

import pytest
import torch

from spinlib.film import BOLTZMANN, VACUUM_PERMEABILITY, Film
from spinlib.hysteresis import hysteresis
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
def test_loop_of_independent_cells_at_temperature_is_langevins():
    film = Film(1e-30, 400e3, cell=4e-9, thickness=1e-9)
    per_tesla = 400e3 * 16e-27 / (BOLTZMANN * 300)
    loop = hysteresis(
        *(film, uniform((32, 32)).repeat(2, 1, 1, 1)),
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
    ):
        with pytest.raises(ValueError, match=message):
            hysteresis(film, start, **({"largest_field": 1.0} | change))
    for spins, message in (
        *((start[0], "needs a batch of one"), (2 * start, "first has length 2")),
        (torch.cat((start, 0 * start)), "a state of the start has no occupied cell"),
    ):
        with pytest.raises(ValueError, match=message):
            hysteresis(film, spins, largest_field=1.0)


@pytest.mark.parametrize("sweeps", [1, 19, 39, 200])
def test_every_field_has_all_its_sweeps(sweeps, monkeypatch):
    made = []

    def count(spins, energy, temperatures, **_):
        made.append(temperatures.shape[-1])

    monkeypatch.setattr("spinlib.hysteresis.sweep", count)
    start = uniform((4, 4))
    options = {"temperature": 100.0, "largest_field": 0.1, "step": 0.1, "sweeps": sweeps}
    found = hysteresis(Film(8.78e-12, 384e3), start, **options)
    assert sum(made) == len(found.points) * sweeps


def test_a_loop_below_absolute_zero_is_refused():
    with pytest.raises(ValueError, match="at T = 0 or all above"):
        hysteresis(Film(8.78e-12, 384e3), uniform((4, 4)), temperature=-300.0, largest_field=0.1)
