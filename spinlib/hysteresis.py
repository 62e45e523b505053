"""Hysteresis loops of films: a field swept in adaptive steps, and the points a loop is known by.

Every energy of a film is even under S → -S, B → -B. The ascending branch is therefore the
descending one turned about the origin, and only the latter is computed.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np
import pandas as pd
import torch

from spinlib.anneal import sweep
from spinlib.film import Film, thermal_energy
from spinlib.hamiltonian import Number
from spinlib.kernels import number_of, random_normal
from spinlib.llg import checked, per_state
from spinlib.relaxation import relax

KNEE = (0.6, 0.9)  # levels, as fractions of the largest magnetisation, that define the knee

_KICK = 0.01  # rad, of either part
_SWEEPS_PER_SAMPLE = 10


@dataclass(frozen=True)
class Loop:
    """Descending branches of loops, one per state.

    points    state, field_T and magnetisation (the mean of S·direction, in units of M_s), in the
              order in which they were taken, from the largest field to its negative
    """

    points: pd.DataFrame

    def branch(self, state: int, ascending: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Fields in tesla and magnetisation of one state."""
        rows = self.points[self.points.state == state]
        sign = -1 if ascending else 1
        return sign * rows.field_T.to_numpy(), sign * rows.magnetisation.to_numpy()

    def summary(self) -> pd.DataFrame:
        """Coercive field, remanence and saturation field, one row per state.

        coercive_field_T    the field at M = 0, with the sign changed
        remanence           M at zero field, in units of M_s
        saturation_field_T  the knee: where the straight line through the points at which M comes
                            up to 60 % and 90 % of its largest value reaches that value
        """
        rows = {}
        for state in self.points.state.unique():
            fields, moments = self.branch(state)
            rows[state] = {
                "coercive_field_T": -_first_crossing(fields, moments, 0.0),
                "remanence": float(np.interp(0.0, fields[::-1], moments[::-1])),
                "saturation_field_T": _knee(-fields, -moments),
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("state")


def hysteresis(
    film: Film,
    start: torch.Tensor,
    *,
    largest_field: float,
    direction: Sequence[float] = (0.0, 0.0, 1.0),
    temperature: Number = 0.0,
    demagnetisation: bool = True,
    step: float | None = None,
    finest_step: float | None = None,
    largest_change: float = 0.05,
    torque: float = 1e-5,
    sweeps: int = 200,
    seed: int = 0,
    states: Sequence[int] | None = None,
) -> Loop:
    """Sweep the field (tesla, along `direction`) from `largest_field` to its negative.

    The first step is `step` (a fiftieth of the largest field). One that changes the magnetisation
    by more than `largest_change` halves the next, down to `finest_step` (a tenth of `step`); a
    quiet one lets it be half as long again, up to `step`. Every state has steps of its own.

    At T = 0 each field is followed by a kick of every spin by some two hundredths of a radian,
    without which a state would stay where it is balanced but no longer stable, and by `relax` to
    `torque` tesla. A step that changes too much is taken back and made again at half the length.

    At a temperature (kelvin) each field is followed by so many heat-bath `sweeps`, over the second
    half of which the magnetisation is averaged. No step is taken back: that would undo what
    temperature has turned over, until it happens several times in a row. Kicks and sweeps draw on
    `seed`, anew with each call.
    """
    spins = checked(start)
    batch = len(spins)
    kelvin = per_state(temperature, spins, "temperature")
    axis = _unit(direction)
    for name, value in (("largest_field", largest_field), ("largest_change", largest_change)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name} is a positive number, got {value}.")
    step = largest_field / 50 if step is None else step
    finest_step = step / 10 if finest_step is None else finest_step
    if not 0 < finest_step <= step <= largest_field:
        raise ValueError(
            f"The finest step of {finest_step} T, the step of {step} T and the largest field of "
            f"{largest_field} T are positive and in rising order."
        )
    alike = (kelvin > 0).any() == (kelvin > 0).all()
    if not (alike and torch.isfinite(kelvin).all() and (kelvin >= 0).all()):
        raise ValueError(
            f"Loops of one batch are taken all at T = 0 or all above, got {kelvin.tolist()} K."
        )
    if not (isinstance(sweeps, Integral) and sweeps >= 1):
        raise ValueError(f"Each field of a loop takes at least one sweep, not {sweeps}.")
    states = range(batch) if states is None else states
    if number_of(states) != batch:
        raise ValueError(f"{batch} films need as many state indices, got {number_of(states)}.")
    occupied = (spins.norm(dim=1) > 0.5).flatten(1).sum(1).cpu()
    if not occupied.all():
        raise ValueError("A loop is taken of a magnet: a state of the start has no occupied cell.")

    def moment(spins: torch.Tensor) -> torch.Tensor:
        """The mean of S·direction, (batch,)."""
        return spins.double().sum((2, 3)).cpu() @ axis / occupied

    def settle(spins: torch.Tensor, fields: torch.Tensor, number: int):
        """The spins under these fields, and their magnetisation."""
        vector = fields[:, None] * axis
        if not (kelvin > 0).any():
            kicked = _kick(spins, seed, states, number)
            options = {"field": vector, "demagnetisation": demagnetisation, "torque": torque}
            spins = relax(kicked, film, **options)
            return spins, moment(spins)
        spins = spins.clone()
        energy = film.hamiltonian(vector)
        energy = energy if demagnetisation else replace(energy, dipolar=0.0)
        samples = sweeps // 2 // _SWEEPS_PER_SAMPLE
        parts = [sweeps - samples * _SWEEPS_PER_SAMPLE] + [_SWEEPS_PER_SAMPLE] * samples
        moments, first = [], number * sweeps
        for part in parts:
            temperatures = thermal_energy(kelvin)[:, None].expand(-1, part)
            sweep(spins, energy, temperatures, seed=seed, states=states, first_sweep=first)
            first += part
            moments.append(moment(spins))
        return spins, torch.stack(moments[1:] or moments).mean(0)

    now = torch.full((batch,), float(largest_field), dtype=torch.float64)
    steps = torch.full((batch,), float(step), dtype=torch.float64)
    spins, moments = settle(spins, now, 0)
    points = [(state, largest_field, moments[state].item()) for state in range(batch)]
    for number in itertools.count(1):
        active = now > -largest_field
        if not active.any():
            break
        trial = torch.where(active, (now - steps).clamp(min=-largest_field), now)
        candidate, changed = settle(spins, trial, number)
        change = (changed - moments).abs()
        fine = steps <= finest_step * (1 + 1e-9)
        taken = active & ((change <= largest_change) | fine | (kelvin > 0))
        chosen = taken.to(spins.device)
        spins = torch.where(chosen[:, None, None, None], candidate, spins)
        now, moments = torch.where(taken, trial, now), torch.where(taken, changed, moments)
        points += [(s, now[s].item(), moments[s].item()) for s in taken.nonzero()[:, 0].tolist()]
        rough, quiet = change > largest_change, change < largest_change / 2
        steps = torch.where(rough, steps / 2, torch.where(quiet, steps * 1.5, steps))
        steps = steps.clamp(finest_step, step)
    return Loop(pd.DataFrame(points, columns=["state", "field_T", "magnetisation"]))


def _kick(spins: torch.Tensor, seed: int, states: Sequence[int], number: int) -> torch.Tensor:
    """Every spin turned a little: half together with all others, half on its own."""
    options = {"seed": seed, "states": states, "draw": number, "device": spins.device}
    together = random_normal((3, 1, 1), purpose="kick of all", **options)
    alone = random_normal(spins.shape[1:], purpose="kick of each", **options)
    kicked = spins + _KICK * (together + alone)
    occupied = spins.norm(dim=1, keepdim=True) > 0.5
    return torch.where(occupied, kicked / kicked.norm(dim=1, keepdim=True), 0.0)


def _unit(direction: Sequence[float]) -> torch.Tensor:
    axis = torch.as_tensor(direction, dtype=torch.float64)
    if axis.shape != (3,) or not 0 < axis.norm() < math.inf:
        raise ValueError(f"The direction is three numbers, not all zero, got {direction}.")
    return axis / axis.norm()


def _first_crossing(x: np.ndarray, y: np.ndarray, level: float) -> float:
    """Where y, going down along the branch, first reaches a level; nan if it never does."""
    below = np.flatnonzero(y <= level)
    if not len(below) or below[0] == 0:
        return math.nan
    i = below[0]
    return float(x[i - 1] + (x[i] - x[i - 1]) * (y[i - 1] - level) / (y[i - 1] - y[i]))


def _knee(fields: np.ndarray, moments: np.ndarray) -> float:
    """Where the line through the KNEE levels reaches the largest magnetisation, going up to it."""
    largest = moments.max()
    low, high = (_first_crossing(fields, -moments, -part * largest) for part in KNEE)
    return high + (high - low) * (1 - KNEE[1]) / (KNEE[1] - KNEE[0])
