"""Symmetries are exact: random states keep their energy under them, and under nothing else."""

from dataclasses import replace

import pytest
import torch

from spinlib import symmetry, textures
from spinlib.hamiltonian import Hamiltonian
from spinlib.kernels import random_uniform
from spinlib.symmetry import OPERATIONS, Operation, act, point_group, random_copies, translate

# Every term that distinguishes anything; strengths without a simple ratio to each other.
BASE = {"exchange": 1.0, "dmi": 0.37, "anisotropy": 0.21, "dipolar": 0.13}
HAMILTONIANS = {
    "interfacial": Hamiltonian(**BASE),
    "bulk": Hamiltonian(**BASE, dmi_kind="bulk"),
    "without DMI": Hamiltonian(**{**BASE, "dmi": 0.0}, dmi_kind="bulk"),
    "field along z": Hamiltonian(**BASE, zeeman=0.4),
    "bulk, field along z": Hamiltonian(**BASE, zeeman=0.4, dmi_kind="bulk"),
    "field along x": Hamiltonian(**BASE, zeeman=(0.4, 0.0, 0.0)),
    "tilted field": Hamiltonian(**BASE, zeeman=(0.3, 0.1, 0.2)),
    "open edges": Hamiltonian(**BASE, boundary="open"),
    "many": Hamiltonian(exchange=1.0, dmi=torch.tensor([0.3, -0.2, 0.1, 0.0]), dipolar=0.1),
}
ORDER = {  # how many of the 32 operations remain, counted by hand
    "interfacial": 16,
    "bulk": 16,  # four turns, and four mirrors with spins turned, with and without reversal
    "without DMI": 32,
    "field along z": 8,  # four turns, and four mirrors with reversal
    "bulk, field along z": 8,  # of the above those that keep z
    "field along x": 4,  # 1, the mirror of x, and half turn and mirror of y with reversal
    "tilted field": 1,
    "open edges": 16,
    "many": 16,
}

# Energies are some hundreds; the dipole field of float32 spins is good to 1e-7 of them.
EXACT = 1e-4
# What a broken symmetry changes in random states: at least one strength times a random sum.
BROKEN = 0.05


@pytest.fixture(scope="module")
def spins():
    return textures.random((16, 16), seed=3, states=range(4))


@pytest.mark.parametrize("name", HAMILTONIANS)
def test_the_point_group_is_what_keeps_the_energy(spins, name):
    hamiltonian = HAMILTONIANS[name]
    before = hamiltonian.energy(spins)
    kept = {
        operation: (hamiltonian.energy(act(spins, operation)) - before).abs().max().item()
        for operation in OPERATIONS
    }
    group = point_group(hamiltonian, (16, 16))
    assert len(group) == ORDER[name]
    for operation, change in kept.items():
        if operation in group:
            assert change < EXACT, operation
        else:
            assert change > BROKEN, operation


def test_translations_keep_the_energy_of_periodic_layers_alone(spins):
    rows, columns = torch.tensor([1, 5, 0, 15]), torch.tensor([3, 0, 8, 15])
    moved = translate(spins, rows, columns)
    for i in range(4):  # upwards is towards larger rows, to the right towards larger columns
        expected = torch.roll(spins[i], (int(rows[i]), int(columns[i])), dims=(-2, -1))
        assert torch.equal(moved[i], expected)
    for name in ("interfacial", "bulk, field along z", "open edges"):
        hamiltonian = HAMILTONIANS[name]
        change = (hamiltonian.energy(moved) - hamiltonian.energy(spins)).abs()
        if hamiltonian.boundary == "periodic":
            assert change.max() < EXACT
        else:
            assert change.min() > BROKEN


def test_turning_the_picture_alone_changes_its_meaning(spins):
    hamiltonian = HAMILTONIANS["interfacial"]
    before = hamiltonian.energy(spins)
    for wrong in (
        torch.rot90(spins, 1, dims=(-1, -2)),  # places without spins
        spins.flip(-1),
        torch.stack((-spins[:, 1], spins[:, 0], spins[:, 2]), 1),  # spins without places
        spins * torch.tensor([-1.0, 1.0, 1.0])[:, None, None],
    ):
        assert (hamiltonian.energy(wrong) - before).abs().min() > BROKEN


@pytest.mark.parametrize("name", ["interfacial", "bulk", "field along z", "open edges"])
def test_half_a_turn_of_all_spins_about_z_is_the_other_sign_of_dmi(spins, name):
    hamiltonian = HAMILTONIANS[name]
    other = replace(hamiltonian, dmi=-hamiltonian.dmi)
    turned = symmetry.reverse_dmi(spins)
    assert (other.energy(turned) - hamiltonian.energy(spins)).abs().max() < EXACT
    assert (hamiltonian.energy(turned) - hamiltonian.energy(spins)).abs().max() > BROKEN


def test_an_oblong_layer_has_no_quarter_turns():
    group = point_group(HAMILTONIANS["interfacial"], (16, 24))
    assert len(group) == 8
    assert all(operation.quarter_turns % 2 == 0 for operation in group)


def test_a_map_leaves_only_what_acts_on_spins_alone():
    rough = Hamiltonian(anisotropy=torch.rand(16, 16, generator=torch.Generator().manual_seed(0)))
    kept = {(operation.reversed, operation.half_turned) for operation in OPERATIONS}
    group = point_group(rough, (16, 16))
    assert {(operation.reversed, operation.half_turned) for operation in group} == kept
    assert all(operation[:2] == (0, False) for operation in group)


def test_operations_are_a_group_on_states(spins):
    """Four quarter turns, two mirrors and two reversals are nothing; a helix turns as it should."""
    assert torch.equal(act(act(spins, Operation(mirrored=True)), Operation(mirrored=True)), spins)
    assert torch.equal(act(act(spins, Operation(1)), Operation(3)), spins)
    assert torch.equal(act(act(spins, Operation(reversed=True)), Operation(reversed=True)), spins)
    along_x, along_y = (textures.helix((16, 16), periods) for periods in ((2, 0), (0, 2)))
    turned = act(along_x, Operation(1))
    # Up to the phase of the wave, which moves by one site: rotation is about the box's middle.
    shifts = [torch.roll(along_y, shift, dims=-2) for shift in range(16)]
    assert min((turned - shifted).abs().max() for shifted in shifts) < 1e-6


def test_random_copies_have_the_energy_of_the_state_and_reach_the_whole_group(spins):
    hamiltonian = HAMILTONIANS["interfacial"]
    group = point_group(hamiltonian, (16, 16))
    one = spins[:1].expand(256, -1, -1, -1)
    copies = random_copies(one, group, seed=5, states=range(256))
    change = hamiltonian.energy(copies) - hamiltonian.energy(one)
    assert change.abs().max() < EXACT
    # A uniform state does not see translations, and 16 operations make 16 directions of one.
    tilted = textures.uniform((16, 16), (0.2, 0.5, 0.8))
    found = random_copies(tilted.expand(256, -1, -1, -1), group, seed=5, states=range(256))
    counts = [int((found == act(tilted, operation)).flatten(1).all(1).sum()) for operation in group]
    # 256 draws from 16: 16 +- 3.9 each; 2 and 34 are 3.6 and 4.7 standard deviations away.
    assert sum(counts) == 256 and min(counts) >= 2 and max(counts) <= 34


def test_a_copy_does_not_depend_on_its_batch_but_on_its_draw(spins):
    group = point_group(HAMILTONIANS["interfacial"], (16, 16))
    together = random_copies(spins, group, seed=5, states=[7, 8, 9, 10], draw=2)
    alone = random_copies(spins[2:3], group, seed=5, states=[9], draw=2)
    again = random_copies(spins[2:3], group, seed=5, states=[9], draw=3)
    assert torch.equal(together[2:3], alone)
    assert not torch.equal(alone, again)


@pytest.mark.parametrize("size", [(16, 16), (6, 10)])
def test_copies_are_those_of_the_operations_one_by_one(size, device):
    """To the bit: the same numbers are moved and change sign, whether in one go or in turn."""
    height, width = size
    group = point_group(HAMILTONIANS["interfacial"], size)
    some = textures.random(size, seed=4, states=range(64)).to(device)
    states = torch.arange(64)
    u = random_uniform((3,), seed=9, states=states, purpose="symmetry", draw=2, device=device)
    moved = translate(some, (u[:, 1] * height).long(), (u[:, 2] * width).long())
    chosen = (u[:, 0] * len(group)).long().tolist()
    assert len(set(chosen)) == len(group)
    wanted = [act(moved[i : i + 1], group[number]) for i, number in enumerate(chosen)]
    # As a training hands its samples over, which on a GPU nothing may look at.
    draws = {"seed": 9, "draw": 2}
    for given in (states, states.int().view(torch.uint32).to(device)):
        found = random_copies(some, group, states=given, **draws)
        assert torch.equal(found.view(torch.int32), torch.cat(wanted).view(torch.int32))
    assert random_copies(some.half(), group, states=states, **draws).dtype == torch.float16


def test_quarter_turns_of_oblong_states_are_refused():
    oblong = textures.random((6, 10), seed=4, states=range(2))
    with pytest.raises(ValueError, match="quarter turn does not bring states of 6×10"):
        random_copies(oblong, OPERATIONS, seed=1, states=range(2))
