"""Exact symmetries of the Hamiltonian: copies of a state that cost the same energy.

A symmetry acts on places and on spins together. Spins are axial vectors: a mirror turns over the
two components that lie in the mirror plane and keeps the one along its normal. Turning a picture
without turning the vectors that it shows gives a state of another energy, that is, of other
parameters: the papers' remark that rotation as augmentation "changes the meaning".

    translations                   of periodic layers without a map
    quarter turns, mirrors         of the square lattice; bulk DMI forbids the mirrors by themselves
    half turn of the spins alone   about z, without DMI; under bulk DMI together with a mirror, as
                                   places and spins then make a half turn about an axis in the plane
    time reversal S -> -S          without a field
    mirror and reversal together   also in a field along z

`point_group` says which a Hamiltonian has; `random_copies` draws from them, as augmentation.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import torch

from spinlib.hamiltonian import Hamiltonian, field_vector, is_nonzero
from spinlib.kernels import random_uniform


class Operation(NamedTuple):
    """A mirror x -> -x, then counter-clockwise quarter turns, S -> -S, and `reverse_dmi`."""

    quarter_turns: int = 0
    mirrored: bool = False
    reversed: bool = False
    half_turned: bool = False  # the spins alone, about z


OPERATIONS = tuple(Operation(*choice) for choice in product(range(4), *((False, True),) * 3))


def act(spins: torch.Tensor, operation: Operation) -> torch.Tensor:
    """The states (batch, 3, height, width) after an operation on places and spins."""
    if operation.mirrored:
        x, y, z = spins.flip(-1).unbind(1)
        spins = torch.stack((x, -y, -z), 1)
    if turns := operation.quarter_turns % 4:
        x, y, z = torch.rot90(spins, turns, (-1, -2)).unbind(1)
        for _ in range(turns):
            x, y = -y, x
        spins = torch.stack((x, y, z), 1)
    if operation.half_turned:
        spins = reverse_dmi(spins)
    return -spins if operation.reversed else spins


def reverse_dmi(spins: torch.Tensor) -> torch.Tensor:
    """All spins turned by 180 degrees about z: the same energy with the DMI's sign turned over.

    With DMI no symmetry of one Hamiltonian but a map between two: exchange and anisotropy do not
    see it, a layer's dipoles do not mix in-plane with out-of-plane components, and either kind of
    DMI does nothing else. A field in the plane would turn too.
    """
    x, y, z = spins.unbind(1)
    return torch.stack((-x, -y, z), 1)


def translate(spins: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Periodic states, each moved upwards and to the right by its own whole number of sites."""
    height, width = spins.shape[-2:]
    row = (torch.arange(height, device=spins.device) - rows[:, None]) % height
    column = (torch.arange(width, device=spins.device) - columns[:, None]) % width
    source = (row[:, :, None] * width + column[:, None]).flatten(1)[:, None]
    return spins.flatten(2).gather(2, source.expand(-1, spins.shape[1], -1)).view(spins.shape)


def point_group(hamiltonian: Hamiltonian, size: tuple[int, int]) -> tuple[Operation, ...]:
    """The operations that leave the energy of every state of `size` (height, width) as it is.

    An operation that turns a field or the sense of a DMI is not among them, even though the energy
    would be the same with the turned parameters.
    """
    field = field_vector(torch.as_tensor(hamiltonian.zeeman, dtype=torch.float64))
    bulk, chiral = hamiltonian.dmi_kind == "bulk", is_nonzero(hamiltonian.dmi)
    mapped = torch.as_tensor(hamiltonian.anisotropy).ndim >= 2

    def allowed(operation: Operation) -> bool:
        turned = act(field[..., None, None], operation)[..., 0, 0]
        moves = operation.quarter_turns != 0 or operation.mirrored
        other_sense = operation.half_turned != (operation.mirrored and bulk)
        return (
            torch.equal(turned, field)
            and not (other_sense and chiral)
            and not (operation.quarter_turns % 2 and size[0] != size[1])
            and not (moves and mapped)
        )

    return tuple(operation for operation in OPERATIONS if allowed(operation))


def random_copies(
    spins: torch.Tensor,
    group: Sequence[Operation],
    *,
    seed: int,
    states: Sequence[int] | torch.Tensor,
    draw: int = 0,
) -> torch.Tensor:
    """Each state under an operation of the group and a translation, both drawn at random.

    `states` and `draw` name the random numbers, as elsewhere: a state and an epoch.
    """
    height, width = spins.shape[-2:]
    draws = {"seed": seed, "states": states, "purpose": "symmetry", "draw": draw}
    u = random_uniform((3,), **draws, device=spins.device)
    choice = (u[:, 0] * len(group)).long().clamp(max=len(group) - 1)
    tables = _tables(tuple(group), height, width, spins.device)
    row, column, component, sign = (table[choice] for table in tables)
    # The products round up to the size itself where the number is 1.
    up, right = (u[:, 1] * height).long() % height, (u[:, 2] * width).long() % width
    row, column = (row - up[:, None]) % height, (column - right[:, None]) % width
    source = component[:, :, None] * (height * width) + (row * width + column)[:, None]
    copies = spins.flatten(1).gather(1, source.flatten(1)).view(spins.shape)
    return copies * sign[:, :, None, None].to(spins.dtype)


@lru_cache(maxsize=16)
def _tables(
    group: tuple[Operation, ...], height: int, width: int, device: torch.device
) -> tuple[torch.Tensor, ...]:
    """What each operation brings to where, read off `act`, so that a batch of them is one gather.

    Row and column (operations, sites) of the site that comes to a site; component and sign
    (operations, 3) of what comes to a component.
    """
    if height != width and any(operation.quarter_turns % 2 for operation in group):
        raise ValueError(
            f"A quarter turn does not bring states of {height}×{width} sites to themselves; take "
            "the group from `point_group`, which leaves it out."
        )
    # Numbers that count from 1 keep their sign apart; an operation treats all sites alike.
    sites = torch.arange(1.0, height * width + 1, dtype=torch.float64)
    sites = sites.view(1, 1, height, width).expand(1, 3, height, width)
    moved = torch.stack([act(sites, operation)[0, 2].flatten().abs() for operation in group]) - 1
    components = torch.arange(1.0, 4.0).view(1, 3, 1, 1)
    turned = torch.stack([act(components, operation).flatten() for operation in group])
    source = moved.long()
    found = (source // width, source % width, turned.abs().long() - 1, turned.sign())
    return tuple(table.to(device) for table in found)
