"""Study 1's films: the paper's numbers, and thermal equilibrium against what is known of it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from spinlib.film import BOLTZMANN, thermal_energy
from spinlib.llg import spin_temperature
from spinlib.thermal_recipes import (
    FILMS,
    NAMES,
    ThermalFilms,
    half_way,
    in_microjoule,
    thermal_states,
)

CPU = torch.device("cpu")
TINY = ThermalFilms((6.0, 9.0), (1.2, 1.8), (250.0, 400.0), size=(24, 20), cooling=20, staying=5)


def table(*rows):
    return pd.DataFrame(rows, columns=NAMES)


def test_the_printed_recipe_is_the_papers():
    """Appendix A: 125 states on a grid of 1 to 5, 64 half-way, 300 K, 0.18 T, 512² cells of 4 nm;
    J = 2 A t, D a t, M_s B a² t and μ0 M_s² a² t in zJ, worked out by hand."""
    recipe = FILMS["paper"]["as printed"]
    assert (recipe.states, recipe.temperature, recipe.field) == (125, 300.0, 0.18)
    assert (recipe.size, recipe.cell, recipe.thickness) == ((512, 512), 4.0, 1.0)
    grid = recipe.parameters()
    assert [sorted(set(grid[name])) for name in NAMES[:2]] == [[1, 2, 3, 4, 5]] * 2
    assert sorted(set(grid[NAMES[2]])) == [1000, 2000, 3000, 4000, 5000]
    assert len(grid.drop_duplicates()) == 125
    between = half_way(recipe)
    assert between.states == 64
    assert set(between.parameters()[NAMES[2]]) == {1500, 2500, 3500, 4500}
    film = recipe.film(table((1.0, 1.0, 1000.0)))
    with pytest.warns(UserWarning, match=r"exchange length|helix"):
        hamiltonian = film.hamiltonian(recipe.field)
    assert hamiltonian.exchange.item() == pytest.approx(2.0)
    assert hamiltonian.dmi.item() == pytest.approx(4.0)
    assert hamiltonian.zeeman[0, 2].item() == pytest.approx(2.88)
    assert hamiltonian.dipolar.item() == pytest.approx(4e-7 * np.pi * 16e-27 * 1e12 * 1e21)
    assert (hamiltonian.dmi_kind, hamiltonian.boundary) == ("bulk", "open")


@pytest.mark.parametrize("profile", FILMS)
def test_the_resolved_recipe_resolves_and_contains_fege(profile):
    recipe = FILMS[profile]["resolved"]
    grid = recipe.parameters()
    period = 4 * np.pi * grid[NAMES[0]] / grid[NAMES[1]]  # pJ/m over mJ/m² is nm
    assert (period >= 8 * recipe.cell).all()
    film = recipe.film(grid)
    assert film.exchange_length() > 1e-9 * recipe.cell
    for values, fege in zip(recipe.values, (8.78, 1.58, 384.0), strict=True):
        assert values[0] < fege < values[-1]


def test_drawn_parameters_fill_the_ranges():
    recipe = replace(TINY, drawn=400)
    drawn = recipe.parameters()
    for name, values in zip(NAMES, recipe.values, strict=True):
        unit = (drawn[name] - values[0]) / (values[-1] - values[0])
        assert unit.between(0, 1).all()
        # 400 uniform numbers: mean 1/2 to 4 × 0.29/20, ends within 5 % but once in 1e8.
        assert abs(unit.mean() - 0.5) < 0.06
        assert unit.min() < 0.05 and unit.max() > 0.95
    related = np.corrcoef(drawn.to_numpy().T)[np.triu_indices(3, 1)]
    assert abs(related).max() < 0.2  # four standard errors
    assert not drawn.equals(replace(recipe, seed=2).parameters())


def test_a_state_depends_on_its_seed_and_its_number_alone():
    whole = TINY.simulate(range(8), CPU)
    assert whole.shape == (8, 3, 24, 20)
    assert torch.equal(TINY.simulate(range(3, 6), CPU), whole[3:6])
    assert not torch.equal(replace(TINY, seed=2).simulate(range(3, 4), CPU), whole[3:4])
    again = thermal_states(TINY, TINY.parameters().iloc[[5]], states=[5])
    assert torch.equal(again, whole[5:6])


def test_films_are_cooled_to_their_temperature_and_kept_there(annealing):
    recipe = replace(TINY, cooling=11, staying=5)
    thermal_states(recipe, table((6.0, 1.2, 250.0), (1.0, 0.2, 250.0)))
    found, cold = annealing["temperatures"], thermal_energy(300.0)
    # From J = 2 A t = 12 zJ; a film of 2 zJ, below k_B T of 4.14, stays where it is.
    assert found.shape == (2, 16) and annealing["dipole_every"] == 8
    assert found[0, :11].tolist() == pytest.approx(np.linspace(12, cold, 11))
    assert found[0, 11:].tolist() == pytest.approx([cold] * 5)
    assert found[1].tolist() == pytest.approx([cold] * 16)


@pytest.mark.parametrize("protocol", ["heat bath", "llg"])
def test_cells_without_coupling_follow_langevin(protocol):
    """Exchange and dipoles of 0.01 zJ against a Zeeman energy of 32 zJ: ⟨m_z⟩ = coth x - 1/x.
    Two picoseconds are ten times the 1/αγB in which the equation of motion forgets its start."""
    recipe = replace(
        TINY, protocol=protocol, size=(40, 40), field=100.0, time=0.002, cooling=5, staying=20
    )
    states = thermal_states(recipe, table(*[(0.005, 0.0, 20.0)] * 4))
    other = replace(recipe, protocol={"llg": "heat bath", "heat bath": "llg"}[protocol])
    assert not torch.equal(thermal_states(other, table((0.005, 0.0, 20.0))), states[:1])
    x = 20e3 * 16e-27 * 100.0 / (BOLTZMANN * 300)
    langevin = 1 / np.tanh(x) - 1 / x
    # 6400 spins of deviation 1/x: 0.0016. The equation of motion is good to 1 % of 1 - ⟨m_z⟩.
    assert states[:, 2].mean().item() == pytest.approx(langevin, abs=0.007)


@pytest.mark.parametrize(
    ("protocol", "kelvin"), [("heat bath", 300), ("heat bath", 95), ("llg", 300)]
)
def test_the_films_have_the_temperature_they_were_given(protocol, kelvin):
    """Measured back from the torques of the spins, which knows nothing of how they were made."""
    recipe = replace(
        TINY,
        **{"protocol": protocol, "temperature": float(kelvin), "size": (32, 32)},
        **{"cooling": 150, "staying": 50, "time": 0.02, "damping": 0.5},
    )
    films = table(*[(8.78, 1.58, 384.0)] * 4)
    states = thermal_states(recipe, films)
    found = spin_temperature(states, recipe.film(films), recipe.field).mean().item()
    # 4096 spins with two directions each: 1.6 %. From random spins the last of the textures'
    # energy still flows into the bath, and the step of the LLG adds up to 3 %.
    assert found == pytest.approx(kelvin, rel=0.06)


def test_cold_helices_have_the_period_of_the_lattice():
    """Without field and moment the ground state turns by atan(D a / 2 A) per cell: a period of
    16.5 cells, against 15.7 of 4πA/D. Defects of the labyrinth widen its spectrum."""
    recipe = replace(TINY, size=(96, 96), temperature=2.0, field=0.0, cooling=400, staying=50)
    states = thermal_states(recipe, table(*[(9.0, 1.8, 5.0)] * 2))
    power = torch.fft.fft2(states[:, 2] - states[:, 2].mean((1, 2), keepdim=True)).abs().square()
    k = torch.hypot(torch.fft.fftfreq(96)[:, None], torch.fft.fftfreq(96)[None, :])
    mean = (power * k).sum((1, 2)) / power.sum((1, 2))
    expected = np.arctan(1.8e-3 * 4e-9 / (2 * 9e-12)) / (2 * np.pi)
    assert mean.mean().item() == pytest.approx(expected, rel=0.1)


def test_microjoule_is_a_thousandth():
    recipe = in_microjoule(TINY)
    assert recipe.dmi == pytest.approx((0.0012, 0.0018))
    assert recipe.exchange == TINY.exchange


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"exchange": (9.0, 6.0)}, "rising"),
        ({"exchange": (0.0, 6.0)}, "positive"),
        ({"saturation": ()}, "rising"),
        ({"temperature": 0.0}, "above 0"),
        ({"protocol": "quench"}, "heat bath"),
        ({"cooling": 0}, "counts are positive"),
        ({"size": 128}, r"a size of \(height, width\) in cells, not .* and 128"),
        ({"size": (128, 64.0)}, "whole numbers"),
        ({"cooling": 800.0}, "whole numbers"),
        ({"temperature": "300"}, "temperature of a thermal film is a number, not '300'"),
        ({"thickness": float("nan")}, "thickness of a thermal film is a number, not nan"),
        ({"dmi": 1.5}, "dmi .* not 1.5"),
        ({"exchange": ("9",)}, "exchange .* not ..9"),
    ],
)
def test_what_cannot_be_made_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(TINY, **change)


def test_half_way_needs_two_values():
    with pytest.raises(ValueError, match="two values"):
        half_way(replace(TINY, dmi=(1.5,)))
