"""Grey levels as lamps, cameras and programs leave them: what of a picture they do not touch.

Pictures are (batch, channels, height, width), on the CPU.
"""

import torch
from scipy.stats import rankdata

_LEAST = 0.2  # of the mean contrast: less would blow up what is no more than noise


def evenly_lit(pictures: torch.Tensor) -> torch.Tensor:
    """Each channel without what uneven light adds to it, and what it multiplies it by.

    Both are surfaces a + bx + cy + dx² + exy + fy²: the one nearest to the levels is subtracted,
    and what is left is divided by the one nearest to its absolute values.
    """
    height, width = pictures.shape[-2:]
    y, x = (torch.linspace(-1, 1, n, dtype=torch.float64) for n in (height, width))
    y, x = y[:, None].expand(height, width), x.expand(height, width)
    surfaces = torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y], -1).flatten(0, 1)
    basis = torch.linalg.qr(surfaces).Q.to(pictures.dtype)

    def nearest(levels: torch.Tensor) -> torch.Tensor:
        return (levels @ basis) @ basis.T

    levels = pictures.flatten(2)
    levels = levels - nearest(levels)
    sizes = levels.abs()
    contrast = nearest(sizes).maximum(_LEAST * sizes.mean(-1, keepdim=True)).clamp_min(1e-12)
    return (levels / contrast).reshape(pictures.shape)


def ranked(pictures: torch.Tensor) -> torch.Tensor:
    """Each channel's levels replaced by their ranks, from 0 to 1: the same after any gamma.

    A curve that rises everywhere, whatever it is, leaves the order of levels as it was. Equal ones
    share the mean of their ranks.
    """
    ranks = rankdata(pictures.flatten(2).numpy(), axis=-1)
    shares = torch.from_numpy((ranks - 0.5) / ranks.shape[-1])
    return shares.to(pictures.dtype).reshape(pictures.shape)
