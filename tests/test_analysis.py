"""Measures of states against cases whose answer is known."""

import math

import numpy as np
import pytest
import torch

from spinlib import analysis, textures
from spinlib.anneal import anneal, linear, quench
from spinlib.hamiltonian import Hamiltonian

HAMILTONIAN = Hamiltonian(dmi=0.3, zeeman=0.05)


def test_local_correlation_is_one_where_spins_rest_and_known_where_one_is_turned():
    up = textures.uniform((8, 8))
    assert torch.allclose(analysis.local_correlation(up, HAMILTONIAN), torch.ones(1, 8, 8))
    turned = up.clone()
    turned[0, :, 3, 3] = torch.tensor([math.sin(0.2), 0.0, math.cos(0.2)])
    found = analysis.local_correlation(turned, HAMILTONIAN)
    # Its four neighbours and the field are along z, and their DMI fields cancel: it makes 0.2 rad.
    assert found[0, 3, 3].item() == pytest.approx(math.cos(0.2), rel=1e-6)
    assert found[0, 6, 6].item() == pytest.approx(1, abs=1e-6)


def test_local_correlation_of_a_quenched_state_is_one_everywhere():
    state = quench(anneal(HAMILTONIAN, (16, 16), linear(1, 0, 50), seed=3), HAMILTONIAN)
    # A torque below 1e-4 in a field of about 4 leaves θ below 3e-5 and cos θ at 1 to rounding.
    assert analysis.local_correlation(state, HAMILTONIAN).min().item() > 1 - 1e-6


def test_translated_copies_are_alike_in_k_space_and_different_lattices_are_not():
    lattice = textures.skyrmion_lattice((32, 32), 2, 2)
    copies = torch.cat([torch.roll(lattice, (n, 2 * n), (-2, -1)) for n in range(5)])
    assert analysis.k_space_mse(copies) < 1e-14
    other = torch.cat((lattice, textures.helix((32, 32), (2, 0))))
    assert analysis.k_space_mse(other) > 1e-4


def test_k_space_mse_is_the_mean_over_pairs():
    spins = textures.random((8, 8), states=range(4))
    amplitude = torch.fft.fft2(spins[:, 2].double()).abs() / 64
    pairs = [(amplitude[i] - amplitude[j]).square().mean() for i in range(4) for j in range(i)]
    # The same sum in double precision.
    assert analysis.k_space_mse(spins) == pytest.approx(float(sum(pairs) / 6), rel=1e-10)


def test_an_onset_is_found_where_it_was_put():
    x = np.logspace(1, 4, 10)
    y = 3e-5 / (1 + (x / 800) ** 3)
    found = analysis.fit_onset(x, y, 3e-5)
    assert found.position == pytest.approx(800, rel=1e-3)
    assert found.power == pytest.approx(3, rel=1e-2)
    # The grid's step is a factor of 2.15: ln 2.15 / √12 = 0.22.
    assert found.uncertainty == pytest.approx(0.2216 * 800, rel=1e-2)
    assert found([800.0])[0] == pytest.approx(0.5, abs=1e-3)


def test_the_uncertainty_of_an_onset_is_that_of_repeated_measurements():
    x = np.logspace(2, 4, 60)
    chance = np.random.default_rng(1)
    found = [
        analysis.fit_onset(x, 1 / (1 + (x / 800) ** 2) + 0.1 * chance.normal(size=60), 1.0)
        for _ in range(200)
    ]
    # The spread of 200 fits is known to 5 %; where the curve is bent, least squares is off by more.
    scatter = np.std([each.position for each in found])
    assert np.mean([each.uncertainty for each in found]) == pytest.approx(scatter, rel=0.2)


def test_without_a_crossing_there_is_no_onset():
    assert analysis.fit_onset([1, 10, 100], [1.0, 0.9, 0.8], 1.0) is None
    assert analysis.fit_onset([1, 10], [0.1, 0.01], 1.0) is None


def test_the_best_lattice_that_fits_is_at_least_as_good_as_the_one_known():
    # A box of 64 × 37 would hold perfect triangles; on 64 × 64 the rows of 3×... must compromise.
    table, states = analysis.commensurate_lattices(64, (7, 8), HAMILTONIAN, candidates=3)
    assert len(table) == len(states) <= 6
    energies = table["energy per site (J)"].to_numpy()
    assert (np.diff(energies) >= 0).all()
    np.testing.assert_allclose(HAMILTONIAN.energy_per_site(states), energies, atol=1e-6)
    known = quench(textures.skyrmion_lattice((64, 64), 2, 4), HAMILTONIAN, torque=1e-3)
    # The same lattice by another maker, relaxed to the same torque.
    assert energies[0] <= HAMILTONIAN.energy_per_site(known).item() + 1e-6
    assert (table["topological charge"] == -table["skyrmions"]).all()
    assert HAMILTONIAN.torque(states).max().item() < 1e-3


def test_the_interstitial_goes_where_there_is_most_room():
    x, y = analysis.interstitial_site([(0, 0), (8, 0), (0, 8), (8, 8)], 16)
    assert (x % 8, y % 8) == (4, 4)
    x, y = analysis.interstitial_site([(0, 0), (8, 0)], 16)
    assert (x % 8, y) == (4, 8)


def test_a_barrier_is_measured_above_the_line_between_its_ends():
    steps = np.arange(101)
    bump = np.clip(1 - np.abs(steps - 40) / 10, 0, None)
    found = analysis.barrier(-2.05 + 1e-4 * steps / 100 + 3e-3 * bump)
    assert found.peak == 40
    assert found.height == pytest.approx(3e-3, rel=1e-6)
    # A triangle of half base 10 is 10 wide at half height.
    assert found.width == pytest.approx(10, rel=1e-6)
    assert found.plateau == pytest.approx(-2.05 + 5e-5, abs=1e-12)


def test_every_skyrmion_is_measured_once_also_across_the_edges():
    lattice = quench(textures.skyrmion_lattice((64, 64), 2, 4), HAMILTONIAN, torque=1e-3)
    for shift in ((0, 0), (5, 11), (31, 40)):
        shapes = analysis.skyrmion_shapes(torch.roll(lattice, shift, (-2, -1)))
        assert len(shapes) == 8
        assert shapes["area"].sum() == (lattice[:, 2] < 0).sum().item()


def test_a_core_as_long_as_the_box_is_measured_wherever_it_starts():
    spins = textures.uniform((16, 16))
    spins[0, 2, :6, 3], spins[0, 2, 5, 3:12], spins[0, 2, 5:, 11] = -1, -1, -1  # not closed
    for shift in range(16):
        shapes = analysis.skyrmion_shapes(torch.roll(spins, (shift, 3 * shift), (-2, -1)))
        assert shapes["area"].tolist() == [6 + 8 + 10]


def test_the_elongation_of_an_ellipse_is_its_ratio_of_axes():
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    spins = textures.uniform((64, 64))
    spins[0, 2, ((x - 30) / 20) ** 2 + ((y - 33) / 8) ** 2 < 1] = -1
    (shape,) = analysis.skyrmion_shapes(spins).itertuples()
    # An ellipse drawn on sites: its edge is known to half a site in 8.
    assert shape.area == pytest.approx(math.pi * 160, rel=0.02)
    assert shape.elongation == pytest.approx(2.5, rel=0.03)


def test_centres_are_where_the_skyrmions_were_put():
    centres = [(1.0, 2.0), (20.0, 30.0), (33.0, 12.0)]
    spins = textures.skyrmions((40, 40), centres, 6)
    # Discs on sites: their centres are good to a fraction of one.
    found = sorted(analysis.skyrmion_centres(spins))
    assert np.allclose(found, centres, atol=0.1)


@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_lattices_do_not_depend_on_the_unit_of_energy(unit):
    """Which of two mirror images is named depends on rounding; how many lattices there are not."""
    usual, other = (
        analysis.commensurate_lattices(
            24, (4, 6), Hamiltonian(exchange=j, dmi=0.8 * j, zeeman=0.35 * j), candidates=6
        )[0]["energy per site (J)"]
        for j in (1.0, unit)
    )
    # To what the quench leaves open.
    assert other.to_numpy() / unit == pytest.approx(usual.to_numpy(), abs=1e-6)


@pytest.mark.parametrize(("dmi", "field"), [(-0.6, 0.18), (0.6, -0.18), (-0.6, -0.18)])
def test_lattices_of_either_sense_and_polarity_have_one_energy(dmi, field):
    usual, _ = analysis.commensurate_lattices(
        24, [4], Hamiltonian(dmi=0.6, zeeman=0.18), candidates=2
    )
    other, _ = analysis.commensurate_lattices(
        24, [4], Hamiltonian(dmi=dmi, zeeman=field), candidates=2
    )
    name = "energy per site (J)"
    np.testing.assert_allclose(other[name], usual[name], atol=1e-6)
    assert (other["topological charge"].abs() == usual["topological charge"].abs()).all()
