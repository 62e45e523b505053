"""5×5 convolutions next to a change of resolution, done at the lower resolution.

A map of 2h × 2w pixels is the same numbers as four maps of h × w, its *phases*: pixel (2i + a,
2j + b) is pixel (i, j) of phase (a, b). Between phases a 5×5 convolution is a 3×3 one, because two
pixels to either side reach no further than the neighbouring block. So

    convolve, then pool by 2    = 3×3 convolution of phases, then the largest of the four
    upsample by 2, then convolve = 3×3 convolution of the coarse map into four phases

exactly. Both have four times the channels and a quarter of the pixels, which is what a processor
likes when channels are few. The upsampled case also saves work, 9 products per pixel instead of 25.
The plain forms stand below, for reading, for testing and for `bench`.

Maps are (batch, channels, height, width), phases (batch, 4 × channels, height / 2, width / 2) with
phase 2a + b outermost.
"""

from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from spinlib.hamiltonian import Boundary
from spinlib.kernels import layers

Edge = Boundary | Literal["wrapped"]


def split(maps: torch.Tensor) -> torch.Tensor:
    """Maps as their phases."""
    batch, channels, height, width = maps.shape
    blocks = maps.reshape(batch, channels, height // 2, 2, width // 2, 2)
    phases = blocks.permute(0, 3, 5, 1, 2, 4).reshape(batch, -1, height // 2, width // 2)
    return phases.contiguous(memory_format=torch.channels_last)


def join(phases: torch.Tensor) -> torch.Tensor:
    """Phases as the maps they came from."""
    batch, channels, height, width = phases.shape
    blocks = phases.reshape(batch, 2, 2, channels // 4, height, width)
    maps = blocks.permute(0, 3, 4, 1, 5, 2).reshape(batch, -1, 2 * height, 2 * width)
    return maps.contiguous(memory_format=torch.channels_last)


def convolve(
    maps: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor | None, edge: Edge
) -> torch.Tensor:
    """A 3×3 convolution whose edges are periodic, or see zeros beyond an open edge.

    Maps that are `wrapped` bring their margins along.
    """
    if edge != "periodic":
        return F.conv2d(maps, kernel, bias, padding=int(edge == "open"))
    return F.conv2d(_Wrap.apply(maps), kernel, bias)


def convolve_split(
    phases: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, edge: Edge
) -> torch.Tensor:
    """Phases of the 5×5 convolution of the maps that `phases` are of."""
    taps = weight.flatten(2) @ _split_taps(weight.device, weight.dtype)
    kernel = taps.unflatten(2, (2, 2, 2, 2, 3, 3)).permute(2, 3, 0, 4, 5, 1, 6, 7)
    return convolve(phases, _as_kernel(kernel, 4 * weight.shape[1]), bias.repeat(4), edge)


def convolve_upsampled(
    maps: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, edge: Edge
) -> torch.Tensor:
    """Phases of the 5×5 convolution of maps upsampled twice."""
    taps = weight.flatten(2) @ _upsampled_taps(weight.device, weight.dtype)
    kernel = taps.unflatten(2, (2, 2, 3, 3)).permute(2, 3, 0, 1, 4, 5)
    return convolve(maps, _as_kernel(kernel, weight.shape[1]), bias.repeat(4), edge)


def activate(
    phases: torch.Tensor, norm: nn.BatchNorm2d, slope: float, target: layers.Target, edge: Edge
) -> tuple[torch.Tensor, Edge]:
    """leaky(norm(maps)) of the maps whose phases are given, in the form `target`; and their edge.

    The forms are those of `layers.activate`, which does it for the host, with margins. The next
    convolution wants to know them.
    """
    if layers.takes(phases):
        margin = target != "pooled"
        maps = layers.activate(phases, norm, slope, target, margin and edge != "open")
        return maps, edge if edge == "open" else "wrapped" if margin else "periodic"
    edge = edge if edge == "open" else "periodic"  # no margins here
    maps = norm(stacked(phases))
    if target in ("pooled", "split"):
        # The largest of the four first: it commutes with the rising activation.
        maps = F.leaky_relu(F.max_pool2d(maps, (1, 4)), slope)
        return split(maps) if target == "split" else maps, edge
    maps = F.leaky_relu(unstacked(maps), slope)
    return join(maps) if target == "joined" else maps, edge


def point(phases: torch.Tensor) -> torch.Tensor:
    """Unit spins along the vectors whose phases are given."""
    if layers.takes(phases) and phases.shape[1] == 4 * 3:
        return layers.point(phases)
    return F.normalize(join(phases), dim=1)


def stacked(phases: torch.Tensor) -> torch.Tensor:
    """Phases side by side, (batch, channels, height / 2, 2 × width), without moving a number.

    So that a batch norm sees the channels of the maps, whichever phase they are in.
    """
    batch, channels, height, width = phases.shape
    sites = phases.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    return sites.view(batch, height, 4 * width, channels // 4).permute(0, 3, 1, 2)


def unstacked(maps: torch.Tensor) -> torch.Tensor:
    """The inverse of `stacked`."""
    batch, channels, height, width = maps.shape
    sites = maps.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    return sites.view(batch, height, width // 4, 4 * channels).permute(0, 3, 1, 2)


def plain_convolve(
    maps: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, boundary: Boundary
) -> torch.Tensor:
    """The 5×5 convolution as everybody writes it."""
    if boundary == "open":
        return F.conv2d(maps, weight, bias, padding=2)
    return F.conv2d(F.pad(maps, (2, 2, 2, 2), mode="circular"), weight, bias)


def plain_upsample(maps: torch.Tensor) -> torch.Tensor:
    """Every pixel twice in either direction."""
    return F.interpolate(maps, scale_factor=2.0, mode="nearest")


class _Wrap(torch.autograd.Function):
    """Maps with a margin of one from the opposite edges on all sides.

    The margin's gradient goes back where it came from; autograd would pass over whole maps for
    each of the four slices.
    """

    @staticmethod
    def forward(ctx, maps: torch.Tensor) -> torch.Tensor:
        wide = torch.cat((maps[..., -1:], maps, maps[..., :1]), -1)
        return torch.cat((wide[..., -1:, :], wide, wide[..., :1, :]), -2)

    @staticmethod
    def backward(ctx, upstream: torch.Tensor):
        for axis in (-2, -1):
            size = upstream.shape[axis] - 2
            inner = upstream.narrow(axis, 1, size).clone(memory_format=torch.channels_last)
            inner.narrow(axis, 0, 1).add_(upstream.narrow(axis, size + 1, 1))
            inner.narrow(axis, size - 1, 1).add_(upstream.narrow(axis, 0, 1))
            upstream = inner
        return upstream


@cache
@torch.inference_mode(False)  # kept for training, too
def _split_taps(device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Which of the 25 taps each number of `convolve_split`'s kernel is, [kl, abefsr]."""
    table = _taps()
    return torch.einsum("akse,blrf->klabefsr", table, table).reshape(25, -1).to(device, dtype)


@cache
@torch.inference_mode(False)
def _upsampled_taps(device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Which of the 25 taps are summed in each of `convolve_upsampled`'s kernel, [kl, absr]."""
    table = _taps().sum(-1)
    return torch.einsum("aks,blr->klabsr", table, table).reshape(25, -1).to(device, dtype)


def _taps() -> torch.Tensor:
    """1 where tap k of output phase a reads phase e of the block s - 1 away: [a, k, s, e]."""
    table = torch.zeros(2, 5, 3, 2)
    for a in range(2):
        for k in range(5):
            block, phase = divmod(a + k - 2, 2)
            table[a, k, block + 1, phase] = 1
    return table


def _as_kernel(kernel: torch.Tensor, inputs: int) -> torch.Tensor:
    return kernel.reshape(-1, inputs, 3, 3).contiguous(memory_format=torch.channels_last)
