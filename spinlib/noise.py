"""Noise of an instrument: what a sample, a detector and the hand at its knobs add to a picture.

Arrays are (batch, channels, height, width). Row i of a batch takes the random numbers of
`states[i]` (by default of state i) under `seed`, whatever batch the state is in; `draw` counts
repeated looks at one state, as epochs do.
"""

from collections.abc import Sequence

import torch

from spinlib.contrast import normalise
from spinlib.kernels import number_of, random_normal

States = Sequence[int] | torch.Tensor | None


def _normal(
    pictures: torch.Tensor, shape, purpose: str, seed: int, states: States, draw: int
) -> torch.Tensor:
    """Standard normal numbers (batch, *shape) for a batch of pictures, where the pictures are."""
    states = range(len(pictures)) if states is None else states
    if number_of(states) != len(pictures):
        raise ValueError(
            f"{len(states)} state indices for {len(pictures)} states; give one index per state."
        )
    return random_normal(
        shape, seed=seed, states=states, purpose=purpose, draw=draw, device=pictures.device
    )


def vector_noise(
    spins: torch.Tensor,
    strength: float | torch.Tensor,
    *,
    seed: int = 0,
    states: States = None,
    draw: int = 0,
) -> torch.Tensor:
    """Noise of study 2: S* = |S| normalise(S + strength R), R a random unit vector per site.

    For unit vectors this is the paper's S* = normalise(S + eta R). Vectors that blur has shortened
    keep their length and vacancies stay empty. `strength` is a number or one per state (batch,).
    """
    drawn = isinstance(strength, torch.Tensor) and strength.is_cuda
    strength = torch.as_tensor(strength, dtype=spins.dtype, device=spins.device)
    # Strengths that were drawn on a GPU are not asked for: training would have to wait for them.
    if not drawn and not bool((strength >= 0).all()):
        raise ValueError(
            f"Vector noise has a strength of 0 or more; {float(strength.min()):g} was given."
        )
    direction = normalise(_normal(spins, spins.shape[1:], "vector noise", seed, states, draw))
    length = spins.square().sum(dim=1, keepdim=True).clamp_min(1e-30).sqrt()
    return length * normalise(spins + strength.reshape(-1, 1, 1, 1) * direction)


def gaussian_noise(
    pictures: torch.Tensor, sigma: float, *, seed: int = 0, states: States = None, draw: int = 0
) -> torch.Tensor:
    """Readout noise: adds normal numbers of standard deviation `sigma` to every channel."""
    noise = _normal(pictures, pictures.shape[1:], "readout noise", seed, states, draw)
    return pictures + sigma * noise


def poisson_noise(
    pictures: torch.Tensor, counts: float, *, seed: int = 0, states: States = None, draw: int = 0
) -> torch.Tensor:
    """Counting noise: Poisson numbers of mean `counts * picture`, divided by `counts`.

    `counts` is the number of quanta in a pixel of brightness 1; brightness below 0 counts none.
    """
    mean = counts * pictures.clamp_min(0)
    normal = _normal(pictures, pictures.shape[1:], "counting noise", seed, states, draw)
    return _poisson(mean, normal) / counts


def _poisson(mean: torch.Tensor, normal: torch.Tensor) -> torch.Tensor:
    """Poisson numbers from standard normal ones, through the inverse distribution function.

    Up to a mean of 12 the distribution is summed until it passes the uniform number Phi(normal).
    Above, the Cornish-Fisher series of the quantile (to third order in 1/sqrt(mean)) is rounded;
    rounding adds a variance of 1/12, which is taken off before.
    """
    z = normal
    root = (mean - 1 / 12).clamp_min(1).sqrt()
    numbers = (mean + root * z + (z * z - 1) / 6 + (z - z**3) / (72 * root)).round().clamp_min(0)
    few = mean < 12
    if bool(few.any()):
        rate, uniform = mean[few].double(), torch.special.ndtr(z[few].double())
        term = torch.exp(-rate)
        total, found = term.clone(), torch.zeros_like(rate)
        # P(N > 60) < 1e-21 for a mean of 12: below the resolution of the uniform number.
        for count in range(1, 61):
            found += uniform > total
            term = term * rate / count
            total += term
        numbers[few] = found.to(numbers.dtype)
    return numbers


def drift(
    pictures: torch.Tensor,
    contrast: float,
    brightness: float,
    *,
    seed: int = 0,
    states: States = None,
    draw: int = 0,
) -> torch.Tensor:
    """Settings that wander from picture to picture: 1/2 + (1 + c)(picture - 1/2) + b.

    c and b are normal numbers of standard deviation `contrast` and `brightness`, one pair per
    picture, common to its channels.
    """
    c, b = _normal(pictures, (2,), "drift", seed, states, draw).unbind(dim=1)
    gain = (1 + contrast * c).reshape(-1, 1, 1, 1)
    return 0.5 + gain * (pictures - 0.5) + (brightness * b).reshape(-1, 1, 1, 1)
