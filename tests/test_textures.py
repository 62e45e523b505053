"""Textures: their charge, their chirality, and the skyrmion lattices of study 4."""

import math

import numpy as np
import pytest
import torch
from conftest import blur

from spinlib import textures
from spinlib.anneal import quench
from spinlib.hamiltonian import Hamiltonian
from spinlib.textures import topological_charge

CHIRAL = Hamiltonian(exchange=1.0, dmi=0.3, zeeman=0.05)
KINDS = ("interfacial", "bulk")
# Charges are sums of some 10⁴ solid angles of single-precision spins, in double precision.
ROUNDING = 1e-4


def assert_unit(spins: torch.Tensor) -> None:
    torch.testing.assert_close(spins.norm(dim=1), torch.ones_like(spins[:, 0]))


def test_random_directions_are_uniform_on_the_sphere():
    spins = textures.random((128, 128), seed=3, states=range(4)).double()
    assert_unit(spins)
    n = spins[:, 0].numel()
    # Means of n independent components of variance 1/3, and squares of variance 4/45.
    assert (spins.mean((0, 2, 3)).abs() < 4 * math.sqrt(1 / 3 / n)).all()
    assert ((spins**2).mean((0, 2, 3)) - 1 / 3).abs().max() < 4 * math.sqrt(4 / 45 / n)
    alone = textures.random((128, 128), seed=3, states=[2])
    assert torch.equal(alone[0].double(), spins[2])


def test_random_spins_have_an_integer_charge():
    charge = topological_charge(textures.random((32, 32), states=range(16)))
    assert (charge - charge.round()).abs().max() < ROUNDING
    assert charge.abs().max() > 1  # not for want of windings


def test_uniform():
    spins = textures.uniform((4, 6), (3.0, 0.0, 4.0))
    assert spins.shape == (1, 3, 4, 6)
    torch.testing.assert_close(spins[0, :, 1, 2], torch.tensor([0.6, 0.0, 0.8]))
    assert topological_charge(spins).item() == 0
    for nothing in ((0.0, 0.0, 0.0), (math.nan, 0.0, 1.0)):
        with pytest.raises(ValueError, match="A direction needs a length"):
            textures.uniform((4, 4), nothing)


@pytest.mark.parametrize("kind", KINDS)
def test_helix_turns_at_a_constant_rate(kind):
    helix = textures.helix((12, 24), (2, 0), kind)
    assert_unit(helix)
    neighbours = (helix * torch.roll(helix, -1, -1)).sum(1)
    expected = torch.full_like(neighbours, math.cos(2 * math.pi * 2 / 24))
    torch.testing.assert_close(neighbours, expected)
    # Néel: in the plane of z and the wavevector; Bloch: across it.
    across = 1 if kind == "interfacial" else 0
    assert helix[:, across].abs().max() < 1e-6
    assert abs(topological_charge(helix).item()) < ROUNDING


@pytest.mark.parametrize("circulation", [1, -1])
def test_vortex_carries_half_a_charge(circulation):
    vortex = textures.vortex((61, 61), core=4.0, circulation=circulation)
    assert_unit(vortex)
    assert vortex[0, 2, 30, 30] == 1
    right_of_core = vortex[0, :, 30, 50]
    torch.testing.assert_close(right_of_core, torch.tensor([0.0, circulation, 0.0]))
    # The core covers the upper half of the sphere; winding +1, polarity +1.
    assert topological_charge(vortex, "open").item() == pytest.approx(0.5, abs=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_skyrmion_counts_minus_one(kind):
    skyrmion = textures.skyrmions((32, 40), [(10.3, 12.1)], 8.0, kind)
    assert_unit(skyrmion)
    assert skyrmion[0, 2, 12, 10] < -0.9 and skyrmion[0, 2, 28, 35] == 1
    assert topological_charge(skyrmion).item() == pytest.approx(-1, abs=ROUNDING)
    assert topological_charge(-skyrmion).item() == pytest.approx(1, abs=ROUNDING)
    assert topological_charge(skyrmion.flip(-1)).item() == pytest.approx(1, abs=ROUNDING)
    across_the_edge = textures.skyrmions((32, 40), [(39.0, 0.5)], 8.0, kind)
    assert topological_charge(across_the_edge).item() == pytest.approx(-1, abs=ROUNDING)


def test_skyrmions_reach_half_way_to_the_next():
    """The polar angle falls linearly from π at the core: m_z = 0 half-way out."""
    for radius, own in ((6, 6), (20, 8)):
        spins = textures.skyrmions((32, 32), [(8, 16), (24, 16)], radius)
        assert spins[0, 2, 16, 8] == pytest.approx(-1)
        assert spins[0, 2, 16, 8 + own // 2] == pytest.approx(0, abs=1e-6)
        assert spins[0, 2, 16, 8 + own] == pytest.approx(1)


def test_charge_is_invariant_under_a_common_rotation():
    spins = textures.skyrmion_lattice((48, 48), 2, 2).double()
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
    rotation = (rotation * torch.linalg.det(rotation)).double()
    turned = torch.einsum("ab,nbyx->nayx", rotation, spins)
    assert topological_charge(turned).item() == pytest.approx(-4, abs=ROUNDING)


@pytest.mark.parametrize("kind", KINDS)
def test_charge_counts_skyrmions_wherever_they_are(kind):
    def charge(*centres):
        return topological_charge(textures.skyrmions((96, 96), centres, 12.0, kind)).item()

    lattice = [(6.0 + 24 * i + 12 * (j % 2), 12.0 + 24 * j) for j in range(4) for i in range(4)]
    assert charge(*lattice) == pytest.approx(-16, abs=ROUNDING)
    assert charge(*lattice[1:10], *lattice[12:]) == pytest.approx(-13, abs=ROUNDING)
    assert charge(*lattice, (18.0, 21.0)) == pytest.approx(-17, abs=ROUNDING)
    assert charge(*lattice[1:], (66.0, 21.0)) == pytest.approx(-16, abs=ROUNDING)


def test_defects_survive_a_quench_and_cost_energy():
    x, y = 128 / 5, 128 / 6
    lattice = [((i + 0.25 + j % 2 / 2) * x, (j + 0.5) * y) for j in range(6) for i in range(5)]
    perfect = textures.skyrmion_lattice((128, 128), 5, 6)
    assert torch.equal(textures.skyrmions((128, 128), lattice, 0.5 * math.hypot(x / 2, y)), perfect)
    vacancy, interstitial = (
        textures.skyrmions((128, 128), centres, 0.5 * math.hypot(x / 2, y))
        for centres in (lattice[:12] + lattice[13:], [*lattice, (32.0, 38.8)])
    )
    states = quench(torch.cat((perfect, vacancy, interstitial)), CHIRAL, torque=1e-3)
    charge = topological_charge(states)
    assert charge.round().tolist() == [-30, -29, -31]
    assert (charge - charge.round()).abs().max() < ROUNDING
    energy = CHIRAL.energy_per_site(states)
    assert (energy[1:] > energy[0] + 1e-5).all()  # 0.16 J a defect, on 16 384 sites


@pytest.mark.parametrize("kind", KINDS)
def test_skyrmion_lattices_of_study_4(kind):
    """Energies per site known to 1e-4 from another program, in double precision."""
    known = {(5, 6): -2.0575, (4, 6): -2.0572, (6, 6): -2.0569, (5, 4): -2.0565}
    hamiltonian = Hamiltonian(exchange=1.0, dmi=0.3, zeeman=0.05, dmi_kind=kind)
    starts = [textures.skyrmion_lattice((128, 128), *numbers, kind) for numbers in known]
    states = quench(torch.cat(starts), hamiltonian, torque=1e-4)
    assert hamiltonian.torque(states).max() < 1e-4
    energies = hamiltonian.energy_per_site(states).tolist()
    assert energies == pytest.approx(list(known.values()), abs=1e-4)
    charges = topological_charge(states).tolist()
    assert charges == pytest.approx([-30, -24, -36, -20], abs=ROUNDING)


def test_odd_numbers_of_rows_are_refused():
    with pytest.raises(ValueError, match="even number of rows, not 5"):
        textures.skyrmion_lattice((64, 64), 4, 5)


def test_sizes_may_be_numpys():
    size = tuple(np.array([4, 6]))
    assert torch.equal(textures.random(size), textures.random((4, 6)))
    assert textures.uniform(size).shape == textures.helix(size, (1, 0)).shape == (1, 3, 4, 6)
    with pytest.raises(ValueError, match="at least one site each way"):
        textures.random((4.0, 6))


def test_the_charge_of_one_state_wants_a_batch():
    with pytest.raises(ValueError, match=r"a batch of one, spins\[None\]"):
        topological_charge(textures.uniform((4, 4))[0])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: textures.skyrmion_lattice((64, 64), 0, 4), "at least one skyrmion"),
        (lambda: textures.skyrmions((32, 32), [(5, 5)], 0.0), "radius"),
        (lambda: textures.helix((32, 32), (0, 0)), "at least one period"),
        (lambda: textures.vortex((32, 32), core=0.0), "core"),
        (lambda: textures.vortex((32, 32), circulation=2), "circulation=1 or -1"),
        (lambda: textures.random((0, 4)), "at least one site"),
        (lambda: textures.uniform((4, 4), (1.0, 0.0)), "three components"),
        (lambda: topological_charge(textures.uniform((4, 4)), "closed"), "periodic or open"),
        (lambda: textures.helix((8, 8), (1, 0), "neel"), "interfacial or bulk"),
    ],
)
def test_nonsense_is_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_the_charge_counts_directions_alone():
    """Not lengths, as of averaged or stored spins, and nothing where spins are missing."""
    whole = textures.skyrmions((32, 32), [(16, 16)], 10)
    moments = 2.5e-20 * whole  # of cells, in A m²
    for spins in (whole, 0.5 * whole, moments, whole.half(), blur(whole, 2.0, "periodic")):
        assert textures.topological_charge(spins).item() == pytest.approx(-1, abs=1e-9)
    hole = textures.uniform((4, 4), (0.6, 0.0, 0.8))
    hole[0, :, 1, 1] = 0
    hole[0, :, 1, 2] *= -1
    hole[0, :, 2, 1] *= -(1 - 1e-7)
    assert abs(textures.topological_charge(hole).item()) < 1e-6


@pytest.mark.parametrize("radius", [6, 12, 20, 40])
def test_a_skyrmion_is_whole_whatever_its_box(radius):
    spins = textures.skyrmions((16, 16), [(8, 8)], radius)
    assert textures.topological_charge(spins).item() == pytest.approx(-1, abs=1e-9)
