"""Errors of estimates: their size against noise, over the parameters, and their directions.

Estimates and truths are arrays (states, parameters). Standard errors come from the bootstrap:
states are drawn again with replacement, from a Philox generator of a given seed.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

DRAWS = 400  # gives a standard error to 4 %, more than anybody reads off it


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray], samples: np.ndarray, *, seed: int = 0
) -> np.ndarray:
    """Values of a statistic of `samples` drawn again along their first axis, (DRAWS, …)."""
    generator = np.random.Generator(np.random.Philox(seed))
    count = len(samples)
    picks = generator.integers(0, count, (DRAWS, count))
    return np.stack([np.asarray(statistic(samples[pick])) for pick in picks])


def mean_with_error(samples: np.ndarray, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The mean along the first axis and its standard error, NaN of a single sample."""
    draws = bootstrap(lambda chosen: chosen.mean(0), samples, seed=seed)
    return samples.mean(0), _unbiased(draws, len(samples))


def ratio_with_error(
    above: np.ndarray, below: np.ndarray, *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Ratio of two means over the same states, which are drawn again together, and its error."""
    both = np.stack((above, below), 1)

    def ratio(chosen: np.ndarray) -> np.ndarray:
        return chosen[:, 0].mean(0) / chosen[:, 1].mean(0)

    return ratio(both), _unbiased(bootstrap(ratio, both, seed=seed), len(both))


def _unbiased(draws: np.ndarray, count: int) -> np.ndarray:
    """Their spread; drawn again, samples vary by (n - 1)/n of what they were drawn from."""
    return draws.std(0) * np.sqrt(count / (count - 1) if count > 1 else np.nan)


def error_map(
    errors: pd.DataFrame, error: str, rows: str, columns: str, bins: int = 5
) -> pd.DataFrame:
    """Mean of the column `error` over two parameters, a table (rows, columns).

    A parameter with at most `bins` values keeps them; otherwise its range is cut into equal parts,
    named by their middles. Cells without a state are NaN.
    """
    groups = [_binned(errors[name], bins) for name in (rows, columns)]
    return errors[error].groupby(groups).mean().unstack()


def _binned(values: pd.Series, bins: int) -> pd.Series:
    if values.nunique() <= bins:
        return values
    edges = np.linspace(values.min(), values.max(), bins + 1)
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, bins - 1)
    return pd.Series((0.5 * (edges[1:] + edges[:-1]))[place], values.index, name=values.name)


@dataclass(frozen=True)
class Principal:
    """Principal components of error vectors, the largest first, with standard errors.

    directions    (components, parameters), unit vectors whose largest entry is positive
    shares        (components,) of the variance
    share_errors  (components,)
    wobble        degrees, root mean square angle between the first component and its bootstraps
    """

    directions: np.ndarray
    shares: np.ndarray
    share_errors: np.ndarray
    wobble: float


def principal_components(vectors: np.ndarray, *, seed: int = 0) -> Principal:
    """Principal component analysis of error vectors (states, parameters)."""
    directions, shares = _components(vectors)

    def first_and_shares(chosen: np.ndarray) -> np.ndarray:
        axes, parts = _components(chosen)
        return np.append(parts, angle_between(axes[0], directions[0]))

    spread = bootstrap(first_and_shares, vectors, seed=seed)
    wobble = float(np.sqrt((spread[:, -1] ** 2).mean()))
    return Principal(directions, shares, spread[:, :-1].std(0), wobble)


def _components(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    variances, axes = np.linalg.eigh(np.atleast_2d(np.cov(vectors.T)))
    axes = axes.T[::-1]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1)
    return axes * np.sign(largest), variances[::-1] / variances.sum()


def angle_between(a: np.ndarray, b: np.ndarray) -> float:
    """Angle between two axes in degrees, 0 to 90: an axis has no sign."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    # By the tangent: the inverse cosine would lose half the digits for small angles.
    along = a @ b / (a @ a)
    across = np.linalg.norm(b - along * a)
    return float(np.degrees(np.arctan2(across, abs(along) * np.linalg.norm(a))))
