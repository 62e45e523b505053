"""Exact symmetries of the Hamiltonian: copies of a state that cost the same energy.

A symmetry acts on places and on spins together. Spins are axial vectors: a mirror turns over the
two components that lie in the mirror plane and keeps the one along its normal. Turning a picture
without turning the vectors that it shows gives a state of another energy, that is, of other
parameters: the papers' remark that rotation as augmentation "changes the meaning".

    translations                   of periodic layers without a map
    quarter turns, mirrors         of the square lattice; bulk DMI forbids the mirrors
    time reversal S -> -S          without a field
    mirror and reversal together   also in a field along z

`point_group` says which a Hamiltonian has; `random_copies` draws from them, as augmentation.
"""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import torch

from spinlib.hamiltonian import Hamiltonian, field_vector
from spinlib.kernels import random_uniform
from spinlib.microscope import rotate


class Operation(NamedTuple):
    """A mirror x -> -x, then counter-clockwise quarter turns, then S -> -S."""

    quarter_turns: int = 0
    mirrored: bool = False
    reversed: bool = False


OPERATIONS = tuple(Operation(*choice) for choice in product(range(4), (False, True), (False, True)))


def act(spins: torch.Tensor, operation: Operation) -> torch.Tensor:
    """The states (batch, 3, height, width) after an operation on places and spins."""
    if operation.mirrored:
        x, y, z = spins.flip(-1).unbind(1)
        spins = torch.stack((x, -y, -z), 1)
    if operation.quarter_turns % 4:
        spins = rotate(spins, operation.quarter_turns)
    return -spins if operation.reversed else spins


def reverse_dmi(spins: torch.Tensor) -> torch.Tensor:
    """All spins turned by 180 degrees about z: the same energy with the DMI's sign turned over.

    No symmetry of one Hamiltonian but a map between two: exchange and anisotropy do not see it, a
    layer's dipoles do not mix in-plane with out-of-plane components, and either kind of DMI does
    nothing else. A field in the plane would turn too.
    """
    return spins * spins.new_tensor([-1.0, -1.0, 1.0])[:, None, None]


def translate(spins: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Periodic states, each moved upwards and to the right by its own whole number of sites."""
    batch, _, height, width = spins.shape
    row = (torch.arange(height, device=spins.device) - rows[:, None]) % height
    column = (torch.arange(width, device=spins.device) - columns[:, None]) % width
    state = torch.arange(batch, device=spins.device)[:, None, None]
    # Two indices with the components between them put these last.
    return spins[state, :, row[:, :, None], column[:, None, :]].movedim(-1, 1)


def point_group(hamiltonian: Hamiltonian, size: tuple[int, int]) -> tuple[Operation, ...]:
    """The operations that leave the energy of every state of `size` (height, width) as it is.

    An operation that turns a field or the sense of a DMI is not among them, even though the energy
    would be the same with the turned parameters.
    """
    field = field_vector(torch.as_tensor(hamiltonian.zeeman, dtype=torch.float64))
    chiral = hamiltonian.dmi_kind == "bulk" and _nonzero(hamiltonian.dmi)
    mapped = torch.as_tensor(hamiltonian.anisotropy).ndim >= 2

    def allowed(operation: Operation) -> bool:
        turned = act(field[..., None, None], operation)[..., 0, 0]
        moves = operation.quarter_turns != 0 or operation.mirrored
        return (
            torch.equal(turned, field)
            and not (operation.mirrored and chiral)
            and not (operation.quarter_turns % 2 and size[0] != size[1])
            and not (moves and mapped)
        )

    return tuple(operation for operation in OPERATIONS if allowed(operation))


def is_translational(hamiltonian: Hamiltonian) -> bool:
    """Whether the energy stays the same under translations: periodic, and without a map."""
    mapped = torch.as_tensor(hamiltonian.anisotropy).ndim >= 2
    return hamiltonian.boundary == "periodic" and not mapped


def random_copies(
    spins: torch.Tensor,
    group: Sequence[Operation],
    *,
    translations: bool = True,
    seed: int,
    states: Sequence[int] | torch.Tensor,
    draw: int = 0,
) -> torch.Tensor:
    """Each state under an operation of the group and a translation, both drawn at random.

    `states` and `draw` name the random numbers, as elsewhere: a state and an epoch.
    """
    height, width = spins.shape[-2:]
    u = random_uniform((3,), seed=seed, states=states, purpose="symmetry", draw=draw)
    u = u.to(spins.device)
    if translations:
        # The products round up to the size itself for the largest numbers below 1.
        rows, columns = (u[:, 1] * height).long() % height, (u[:, 2] * width).long() % width
        spins = translate(spins, rows, columns)
    choice = (u[:, 0] * len(group)).long().clamp(max=len(group) - 1)
    copies = torch.empty_like(spins)
    for number, operation in enumerate(group):
        chosen = choice == number
        copies[chosen] = act(spins[chosen], operation)
    return copies


def _nonzero(strength: float | torch.Tensor) -> bool:
    return bool((torch.as_tensor(strength) != 0).any())
