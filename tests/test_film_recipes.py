"""Study 3's films: the constants of the lattice by hand, their pinning, and both protocols."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import NEEDS_GPU

from spinlib.domains import domain_size
from spinlib.film_recipes import FILMS, along, cool, relax_from_noise
from spinlib.textures import uniform

SMALL = replace(FILMS["smoke"]["saturation"], states=6, size=32, sweeps=60, shard=4, seed=3)


def test_the_films_are_the_papers():
    """Table 1 of the paper, and J = 2 A t, K_u a² t, D a t and μ0 M_s² a² t worked out by hand."""
    recipe = replace(FILMS["paper"]["dmi"], states=400, size=32)
    table = recipe.parameters()
    assert (table["saturation [kA/m]"] == 1500).all()
    assert table["dmi [mJ/m²]"].between(0.1, 1.0).all()
    assert table["dispersion"].between(0.05, 0.2).all()
    # Of 400 uniform numbers the smallest and largest lie within 5 % of the ends, but once in 1e8.
    assert table["dmi [mJ/m²]"].min() < 0.145 and table["dmi [mJ/m²]"].max() > 0.955
    hamiltonian = recipe.film([0, 1]).hamiltonian()
    assert hamiltonian.exchange == pytest.approx(2 * 31e-12 * 4e-9 * 1e21)
    expected = table["dmi [mJ/m²]"][:2].to_numpy() * 1e-3 * 16e-18 * 1e21
    np.testing.assert_allclose(hamiltonian.dmi, expected)
    assert hamiltonian.dmi_kind == "bulk"
    assert hamiltonian.dipolar[0] == pytest.approx(4e-7 * np.pi * 1.5e6**2 * 64e-27 * 1e21)
    saturation = replace(FILMS["paper"]["saturation"], states=400).parameters()
    assert saturation["saturation [kA/m]"].between(200, 700).all()
    assert (saturation["dmi [mJ/m²]"] == 0).all()


def test_the_anisotropy_of_cells_scatters_as_the_dispersion_says():
    recipe = replace(FILMS["paper"]["saturation"], states=4, size=256)
    maps = recipe.film(range(4)).anisotropy / 0.4e6 - 1
    sigma = torch.tensor(recipe.parameters()["dispersion"].to_numpy()).float()
    # 65 536 cells: the mean is known to σ/256, the standard deviation to 0.3 %; four errors each.
    assert (maps.mean((1, 2)).abs() < 4 * sigma / 256).all()
    assert ((maps.std((1, 2)) / sigma - 1).abs() < 0.012).all()
    neighbours = (maps * maps.roll(1, -1)).mean((1, 2)) / sigma**2
    assert (neighbours.abs() < 4 / 256).all()


@pytest.mark.gpu
@NEEDS_GPU
def test_a_gpu_draws_the_same_pinning():
    here, there = (SMALL.film([3, 0], device=device) for device in ("cpu", "cuda"))
    assert there.anisotropy.is_cuda
    # Relative, for n up to 5 from a GPU's own logarithm.
    torch.testing.assert_close(there.anisotropy.cpu(), here.anisotropy, rtol=1e-4, atol=0)
    assert SMALL.simulate(range(2), torch.device("cuda")).isfinite().all()


def test_a_state_is_the_same_in_whatever_range_it_is_made():
    device = torch.device("cpu")
    whole = SMALL.simulate(range(4), device)
    assert torch.equal(SMALL.simulate(range(2, 4), device), whole[2:])


def test_the_last_sweeps_are_cold(annealing):
    replace(SMALL, sweeps=150, quench=50).simulate(range(1), torch.device("cpu"))
    found = annealing["temperatures"]
    # From J = 2 A t = 80 zJ of 10 pJ/m and 4 nm; the last of the cooling is at zero, too.
    assert len(found) == 150 and found[0] == pytest.approx(80.0) and annealing["dipole_every"] == 4
    assert (found[:99] > 0).all() and (found[99:] == 0).all()


def both_protocols(recipe, states, table):
    yield cool(recipe, states, table)
    yield relax_from_noise(recipe, states, table, damping=0.5, time=3e-11)


def test_films_without_dipoles_to_speak_of_coarsen_into_larger_domains():
    """T7 at its ends, in both protocols, as means over films: 200 against 700 kA/m."""
    recipe = replace(SMALL, size=64, sweeps=200)
    table = along(recipe, [200.0] * 4 + [700.0] * 4, 0.1)
    for films in both_protocols(recipe, range(8), table):
        assert ((films.norm(dim=1) - 1).abs() < 1e-5).all()
        sizes = domain_size(films[:, 2])
        assert sizes[:4].mean() > 1.1 * sizes[4:].mean()


def test_both_protocols_relax_the_same_film():
    """From random spins, with an energy of about zero, either comes within 15 % of the film that
    is uniform along z: what is left are walls, 4 √(A K_eff) ≈ 110 zJ per cell of their length, one
    in every 5 to 10 cells."""
    table = along(SMALL, [450.0, 700.0], 0.1)
    hamiltonian = SMALL.film(range(2), table).hamiltonian()
    lowest = hamiltonian.energy_per_site(uniform((32, 32)).repeat(2, 1, 1, 1))
    for states in both_protocols(SMALL, range(2), table):
        found = hamiltonian.energy_per_site(states)
        assert (found < 0.85 * lowest).all() and (found >= 1.001 * lowest).all()


def test_both_protocols_see_the_same_pinning():
    """Where the axis is weak, walls settle and spins leave it: of 1024 cells two unrelated maps are
    correlated by 1/32, three times which no chance exceeds."""
    table = along(SMALL, [450.0, 700.0], 1.0)
    maps = SMALL.film(range(2), table).anisotropy
    for states in both_protocols(SMALL, range(2), table):
        for axis, spins in zip(maps, states, strict=True):
            both = torch.stack([axis.flatten(), spins[2].square().flatten()])
            assert torch.corrcoef(both)[0, 1] > 3 / 32
