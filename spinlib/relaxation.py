"""Down to a state in which every spin lies along its field."""

import math
import warnings

import torch

from spinlib.anneal import ROUNDING
from spinlib.film import Film
from spinlib.kernels.llg import advance, set_columns
from spinlib.llg import Field, FilmSystem, checked

# Of any spin in one step of the minimiser, rad: with .2 it leaps over low barriers, and small
# particles switch one percent early.
_LARGEST_TURN = 0.05
# Of a step, in units of the one before. Near the threshold differences of torques are rounding:
# the curvature that they suggest may be next to nothing or below it, and so long a step would undo
# the hundreds before.
_LARGEST_GROWTH = 1e3


def relax(
    spins: torch.Tensor,
    film: Film,
    *,
    field: Field = 0.0,
    demagnetisation: bool = True,
    torque: float = 1e-4,
    max_steps: int = 20_000,
) -> torch.Tensor:
    """Relax to a state in which max |S × B| is below `torque` tesla; returns new spins.

    It goes down the gradient on the sphere with steps of Barzilai and Borwein
    (doi:10.1093/imanum/8.1.141): the fast way to a minimum nearby. `llg.run` with a damping of 1 is
    slower, but never goes over a barrier.

    The threshold is raised to what float32 resolves, 1e-7 of the largest field. Warns, with their
    number, of states that are not there after `max_steps`.
    """
    if not (0 < torque < math.inf and max_steps >= 1):
        raise ValueError(
            f"A relaxation needs a torque above 0 and a step at least, got {torque} T and "
            f"{max_steps} steps."
        )
    spins = checked(spins)
    system = FilmSystem(spins, film, field, None, demagnetisation)
    set_columns(system.table, precession=0.0, damping=1.0)
    threshold = (ROUNDING * system.largest_field).clamp(min=torque)
    spins, left = _minimise(system, spins, threshold, max_steps)
    if (left > threshold).any():
        warnings.warn(
            f"{int((left > threshold).sum())} of {len(spins)} states still have a torque of up to "
            f"{left.max():.2g} T after {max_steps} steps, above the {threshold.max():.2g} T asked "
            "for: raise max_steps, or accept.",
            stacklevel=2,
        )
    return spins


def _residual(slope: torch.Tensor) -> torch.Tensor:
    """Largest |S × B| of each state, (batch,): the length of the steepest descent."""
    return slope.square().sum(1).flatten(1).amax(1).sqrt().double().cpu()


def _minimise(system, spins, threshold, max_steps) -> tuple[torch.Tensor, torch.Tensor]:
    slope = system.torque(spins)
    candidate, new_slope = torch.empty_like(spins), torch.empty_like(spins)
    residual = _residual(slope)
    step = 0.1 / system.largest_field.clamp(min=1e-12)
    for number in range(max_steps):
        active = residual > threshold
        if not active.any():
            break
        step = torch.minimum(step, _LARGEST_TURN / residual.clamp(min=1e-12))
        advance(spins, [slope], step[:, None], candidate)
        system.torque(candidate, new_slope)
        change = slope - new_slope  # of the gradient, while the spins change by step × slope
        squared, mixed, changed = (  # in double: no state's sum may depend on those beside it
            (a * b).flatten(1).sum(1, dtype=torch.float64).cpu()
            for a, b in ((slope, slope), (slope, change), (change, change))
        )
        longer, shorter = step * squared / mixed, step * mixed / changed
        # Where the energy curves downwards there is no such step: take the longest allowed.
        wanted = torch.where(mixed > 0, longer if number % 2 else shorter, math.inf)
        step = torch.minimum(wanted, _LARGEST_GROWTH * step)
        if active.all():
            spins, candidate = candidate, spins
            slope, new_slope = new_slope, slope
        else:
            chosen = active.to(spins.device)
            spins[chosen], slope[chosen] = candidate[chosen], new_slope[chosen]
        residual = torch.where(active, _residual(slope), residual)
    return spins, residual
