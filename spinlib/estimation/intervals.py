"""Intervals that keep their promise: split-conformal calibration on held-out simulations.

Of n held-out states estimate and truth are known. If the state at hand is one more of the same
kind, the rank of its error among theirs is as likely to be any, so the interval of the estimate ±
the ⌈(n + 1) level⌉-th smallest of their errors holds its truth with that probability at least,
whatever the network, and however its errors are distributed (Lei et al., J. Am. Stat. Assoc. 113,
1094 (2018), doi:10.1080/01621459.2017.1307116).

Errors may be counted in units of a scale that differs from state to state, as long as it was not
made from the held-out states: then intervals are short where estimates are good.
"""

import math
from dataclasses import dataclass

import numpy as np

LEVEL = 0.9


def conformal_quantile(scores: np.ndarray, level: float = LEVEL) -> np.ndarray:
    """The ⌈(n + 1) level⌉-th smallest of n scores along the first axis; infinite if n is too small.

    For continuous scores a new one of the same kind is below it with probability
    ⌈(n + 1) level⌉ / (n + 1), on average over all that could have been.
    """
    scores = np.asarray(scores, float)
    if not 0 < level < 1 or not len(scores):
        raise ValueError(f"A quantile of level {level} of {len(scores)} scores does not exist.")
    # Rounding must not lift an exact whole number: 100 × 0.9 is 90, not 91.
    rank = math.ceil((len(scores) + 1) * level - 1e-9)
    if rank > len(scores):
        return np.full(scores.shape[1:], np.inf)
    return np.sort(scores, axis=0)[rank - 1]


def typical_error(
    at: np.ndarray, found: np.ndarray, error: np.ndarray, neighbours: int = 24
) -> np.ndarray:
    """Mean |error| of the nearest known estimates around each point, (points, parameters).

    `at` (points, parameters) and `found` (states, parameters) are normalised to their ranges, and
    so is the distance; `error` is (states, parameters).
    """
    return np.abs(error)[nearest(at, found, neighbours)].mean(1)


def nearest(at: np.ndarray, found: np.ndarray, count: int) -> np.ndarray:
    """Numbers (points, count) of the estimates nearest to each point, the nearest first."""
    away = ((np.asarray(at)[:, None] - np.asarray(found)[None]) ** 2).sum(-1)
    return np.argsort(away, axis=1, kind="stable")[:, :count]


@dataclass(frozen=True)
class Intervals:
    """Intervals (states, parameters); where one reaches an edge of the range it is open there.

    What lies beyond the edge was not simulated, so that nothing speaks against it: `low` is -inf,
    or `high` inf.
    """

    low: np.ndarray
    high: np.ndarray

    def hold(self, truth: np.ndarray) -> np.ndarray:
        """Whether each interval holds the truth."""
        return (self.low <= truth) & (truth <= self.high)


def intervals(
    found: np.ndarray,
    scale: np.ndarray,
    scores: np.ndarray,
    ends: tuple[np.ndarray, np.ndarray],
) -> Intervals:
    """Intervals around estimates (states, parameters) whose errors are expected to be `scale`.

    `scores` are |truth - estimate| / scale of the held-out states, `ends` the lowest and highest
    values that were simulated.
    """
    half = conformal_quantile(scores) * scale
    low, high = found - half, found + half
    return Intervals(
        np.where(low <= ends[0], -np.inf, low), np.where(high >= ends[1], np.inf, high)
    )


def share_with_error(held: np.ndarray) -> tuple[float, float]:
    """The share of true values, (states,) or (states, values), and its standard error over states.

    The values of one state may be right or wrong together; for one value it is the binomial error.
    """
    held = np.asarray(held, bool)
    of_states = held.reshape(len(held), -1).mean(1)
    return float(of_states.mean()), float(of_states.std() / math.sqrt(len(held)))
