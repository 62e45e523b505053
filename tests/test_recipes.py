"""The recipes of studies 2 and 4: their parameters, and states that are the same in any shard."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from spinlib.dataset import dataset
from spinlib.recipes import DOMAINS, DipolarDomains, SkyrmionStates

CPU = torch.device("cpu")
SMALL_SKYRMIONS = SkyrmionStates(states=6, size=32, sweeps=40, shard=4)
SMALL_DOMAINS = replace(
    DOMAINS["smoke"], states=6, shard=4, slowest=30, fastest=10, quench=5, size=16
)


@pytest.mark.parametrize("recipe", [SMALL_SKYRMIONS, SMALL_DOMAINS], ids=["skyrmions", "domains"])
def test_states_do_not_depend_on_the_shard(recipe, tmp_path):
    whole = recipe.simulate(range(6), CPU)
    assert whole.shape == (6, *recipe.shape) and whole.dtype == torch.float32
    torch.testing.assert_close(whole.norm(dim=1), torch.ones_like(whole[:, 0]))
    for states in (range(2, 3), range(3, 6)):
        assert torch.equal(recipe.simulate(states, CPU), whole[states.start : states.stop])
    assert not torch.equal(whole[0], whole[1])
    other = replace(recipe, seed=1).simulate(range(1), CPU)
    assert not torch.equal(other[0], whole[0])
    on_disk = [
        dataset(replace(recipe, shard=shard), tmp_path, device=CPU, progress=False).states()
        for shard in (4, 3)
    ]
    assert torch.equal(on_disk[0], on_disk[1])
    # Kept as float16, whose steps near 1 are 2^-11 either way.
    torch.testing.assert_close(on_disk[0], whole, rtol=0, atol=2**-11)


def test_the_paper_s_skyrmions():
    paper = SkyrmionStates()
    assert paper.states == 30_000 + 5_000 + 4_300 and paper.shape == (3, 128, 128)
    table = paper.parameters()
    assert len(table) == paper.states
    assert (table["dmi [J]"] == 0.3).all() and (table["field [J]"] == 0.05).all()


def test_annealed_skyrmions_have_the_energy_of_study_4():
    """Anneals of 300 to 3000 sweeps end at -2.0552 … -2.0566 per site, says the study."""
    recipe = SkyrmionStates(sweeps=1000)
    energy = recipe.hamiltonian.energy_per_site(recipe.simulate(range(4), CPU))
    assert -2.0566 < energy.mean().item() < -2.0552


def test_the_last_sweeps_are_cold(annealing):
    replace(SMALL_SKYRMIONS, sweeps=60).simulate(range(1), CPU)
    found = annealing["temperatures"]
    # The last sixth.
    assert len(found) == 60 and found[0] == 1 and (found[:49] > 0).all() and (found[49:] == 0).all()
    replace(SMALL_DOMAINS, slowest=40, fastest=40, quench=15).simulate(range(2), CPU)
    found = annealing["temperatures"]
    assert found.shape == (2, 55) and (found[:, :40] > 0).all() and (found[:, 40:] == 0).all()
    assert annealing["dipole_every"] == 2


def test_open_edges_are_kept_open():
    recipe = replace(SMALL_SKYRMIONS, boundary="open", size=15)
    assert recipe.hamiltonian.boundary == "open"
    assert recipe.simulate(range(1), CPU).shape == (1, 3, 15, 15)


def test_the_paper_s_grid_of_films():
    paper = DOMAINS["paper"]
    table = paper.parameters()
    assert len(table) == paper.states == 21 * 11 * 17 * 20 == 78_540
    assert table.groupby(["dmi [D]", "anisotropy [2πD]", "dipolar [J]"]).size().eq(20).all()
    for name, values in {
        "dmi [D]": [-3 + 0.3 * i for i in range(21)],
        "anisotropy [2πD]": [1 + 0.02 * i for i in range(11)],
        "dipolar [J]": [0.05 + 0.005 * i for i in range(17)],
    }.items():
        assert sorted(table[name].unique()) == pytest.approx(values)
    assert sorted(table["repeat"].unique()) == list(range(20))


def test_random_films_fill_the_box():
    recipe = replace(DOMAINS["laptop"], states=4000)
    table = recipe.parameters()
    box = {"dmi": ("dmi [D]", -3, 3), "anisotropy": ("anisotropy [2πD]", 1, 1.2)}
    for name, (column, low, high) in (box | {"dipolar": ("dipolar [J]", 0.05, 0.13)}).items():
        unit = table[f"{name}_N"]
        assert table[column].to_numpy() == pytest.approx((low + (high - low) * unit).to_numpy())
        assert 0 < unit.min() < 0.01 and 0.99 < unit.max() < 1
        # Four standard errors of the mean of 4000 uniform numbers.
        assert unit.mean() == pytest.approx(0.5, abs=4 / math.sqrt(12 * 4000))
    related = table[["dmi_N", "anisotropy_N", "dipolar_N"]].corr().abs().to_numpy()
    assert related[np.triu_indices(3, 1)].max() < 0.1
    fewer = replace(recipe, states=10).parameters()
    assert fewer.equals(table.iloc[:10])


def test_films_get_their_own_hamiltonians():
    recipe = DOMAINS["paper"]
    row = recipe.parameters().iloc[[50_000]]
    hamiltonian = recipe.hamiltonian(row)
    dipolar = row["dipolar [J]"].item()
    assert hamiltonian.dipolar.item() == dipolar
    assert hamiltonian.dmi.item() == pytest.approx(row["dmi [D]"].item() * dipolar)
    shape = 2 * math.pi * dipolar
    assert hamiltonian.anisotropy.item() == pytest.approx(row["anisotropy [2πD]"].item() * shape)


def test_strong_dmi_makes_finer_domains():
    """Neighbours are less parallel at |λ| = 3D than without DMI: the walls cost less."""
    recipe = replace(DOMAINS["paper"], size=48, slowest=250, fastest=200, quench=50)
    table = recipe.parameters()
    chosen = (table["anisotropy [2πD]"] > 1.19) & (table["dipolar [J]"] > 0.129)
    parallel = {}
    for dmi in (0.0, 3.0):
        first = table.index[chosen & (abs(table["dmi [D]"] - dmi) < 1e-6)][0]
        spins = recipe.simulate(range(first, first + 4), CPU)
        parallel[dmi] = (spins * torch.roll(spins, 1, -1)).sum(1).mean().item()
    assert parallel[0.0] - parallel[3.0] > 0.02


@pytest.mark.parametrize("grid", [(3, 3, 3), (21, 11, 0), (-1, 1, -1)])
def test_a_grid_that_does_not_give_the_states_is_refused(grid):
    with pytest.raises(ValueError, match="states, not 78540: change one, or draw at random"):
        DipolarDomains(grid=grid)


def test_profiles():
    assert list(DOMAINS) == ["smoke", "laptop", "paper"]
    sites = [recipe.states * recipe.size**2 for recipe in DOMAINS.values()]
    assert sites == sorted(sites)
