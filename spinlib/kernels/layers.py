"""What stands around the convolutions of the E-VAE, on the host (see `layers.cpp`).

Batch norm, leaky ReLU and a change of resolution in one; unit spins; their field and energy.
"""

from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.autograd.function import once_differentiable

from spinlib.kernels.launch import call_host, threads_for

Target = Literal["pooled", "split", "joined", "blocks"]

TARGETS: tuple[Target, ...] = ("pooled", "split", "joined", "blocks")  # as in `layers.cpp`
CHANNELS = (3, 6, 12, 24, 48)


def on_host(values: torch.Tensor) -> bool:
    """Whether these numbers are of the kind that the kernels here read."""
    return values.device.type == "cpu" and values.dtype == torch.float32


def takes(phases: torch.Tensor) -> bool:
    """Whether there is a kernel for these phases (batch, 4 × channels, height, width)."""
    blocks = phases.shape[2] * phases.shape[3]
    return on_host(phases) and phases.shape[1] // 4 in CHANNELS and blocks % 4 == 0


def activate(
    phases: torch.Tensor, norm: nn.BatchNorm2d, slope: float, target: Target, wrapped: bool
) -> torch.Tensor:
    """leaky(norm(maps)) of the maps whose phases are given, in the form `target`.

    pooled   the largest of the four phases, (batch, channels, height, width)
    split    the phases of these, (batch, 4 × channels, height / 2, width / 2)
    joined   the maps, (batch, channels, 2 × height, 2 × width)
    blocks   their phases, (batch, 4 × channels, height, width)

    `wrapped` adds a margin of one from the opposite edges on all sides.
    """
    if target == "split" and (phases.shape[2] % 2 or phases.shape[3] % 2):
        raise ValueError(f"Maps of {tuple(phases.shape[2:])} pixels have no phases: odd sides.")
    phases = phases.contiguous(memory_format=torch.channels_last)
    if norm.training:
        mean, variance = _moments(phases, norm)
    else:
        mean, variance = norm.running_mean, norm.running_var
    root = torch.rsqrt(variance + norm.eps)
    return _Activate.apply(
        phases, norm.weight, norm.bias, mean, root, slope, target, wrapped, norm.training
    )


def _moments(phases: torch.Tensor, norm: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of each channel, and the running ones of the norm brought up to date."""
    with torch.no_grad():
        batch, depth, height, width = phases.shape
        channels, count = depth // 4, 4 * batch * height * width
        # Near the mean, so that the difference of squares below keeps its digits.
        shift = phases[0, :channels, 0, 0].clone()
        sums = phases.new_empty((batch, 2, channels), dtype=torch.float64)
        sizes = [np.int32(n) for n in (channels, batch, height * width)]
        call_host("layers.cpp", "channel_sums", [phases, shift, *sizes, threads_for(phases), sums])
        first, second = sums.sum(0) / count
        variance = (second - first**2).clamp(min=0)
        mean = (shift + first).float()
        norm.num_batches_tracked += 1
        share = norm.momentum  # None stands for the mean of all batches
        share = 1 / int(norm.num_batches_tracked) if share is None else share
        norm.running_mean.lerp_(mean, share)
        norm.running_var.lerp_((variance * (count / (count - 1))).float(), share)
        return mean, variance.float()


def _as_saved(maps: torch.Tensor) -> torch.Tensor:
    """Maps in the order of memory in which they were saved: hooks that move them may forget it."""
    return maps.contiguous(memory_format=torch.channels_last)


class _Activate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, phases, weight, bias, mean, root, slope, target, wrapped, training):
        batch, depth, height, width = phases.shape
        channels = depth // 4
        out_channels = channels if target in ("pooled", "joined") else depth
        factor = {"split": 0.5, "joined": 2}.get(target, 1)
        size = [int(n * factor) + 2 * wrapped for n in (height, width)]
        # Like the phases, whatever torch's default type and device may be.
        like = {"dtype": phases.dtype, "device": phases.device}
        shape = (batch, out_channels, *size)
        out = torch.empty(shape, memory_format=torch.channels_last, **like)
        numbers = [mean, weight * root, bias.detach().clone(), torch.tensor(slope, **like)]
        sizes = [channels, TARGETS.index(target), batch, height, width, wrapped]
        shared = [np.int32(n) for n in sizes] + [threads_for(phases)]
        call_host("layers.cpp", "activate", [phases, *numbers, *shared, out])
        ctx.save_for_backward(phases, root, *numbers)
        ctx.shared, ctx.training = shared, training
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        phases, root, mean, scale, bias, slope = ctx.saved_tensors
        phases = _as_saved(phases)
        upstream = upstream.contiguous(memory_format=torch.channels_last)
        batch, depth, height, width = phases.shape
        sums = phases.new_empty((batch, 2, depth // 4), dtype=torch.float64)

        def run(gradients, sums, out):
            arrays = [phases, upstream, mean, scale, bias, *gradients, slope]
            call_host("layers.cpp", "activate_backward", [*arrays, *ctx.shared, sums, out])

        run((None, None), sums, None)
        of_bias, of_product = sums.sum(0)
        through = phases.new_zeros((2, depth // 4), dtype=torch.float64)
        if ctx.training:  # the moments are the batch's own
            count = 4 * batch * height * width
            through = scale * torch.stack([of_bias, root.double() ** 2 * of_product]) / count
        out = torch.empty_like(phases)
        run(through.float(), None, out)
        return out, (root * of_product).float(), of_bias.float(), *(None,) * 6


def point(blocks: torch.Tensor) -> torch.Tensor:
    """Unit spins (batch, 3, 2 × height, 2 × width) along the vectors whose phases are given."""
    return _Point.apply(blocks.contiguous(memory_format=torch.channels_last))


class _Point(torch.autograd.Function):
    @staticmethod
    def forward(ctx, blocks):
        batch, _, height, width = blocks.shape
        ctx.save_for_backward(blocks)
        spins = blocks.new_empty((batch, 3, 2 * height, 2 * width))
        sizes = [np.int32(n) for n in (batch, height, width)]
        call_host("layers.cpp", "point_host", [blocks, *sizes, threads_for(blocks), spins])
        return spins

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        blocks = _as_saved(*ctx.saved_tensors)
        batch, _, height, width = blocks.shape
        out = torch.empty_like(blocks)
        sizes = [np.int32(n) for n in (batch, height, width)]
        arguments = [blocks, upstream.contiguous(), *sizes, threads_for(blocks), out]
        call_host("layers.cpp", "point_backward_host", arguments)
        return out


def field_and_energy(
    spins: torch.Tensor, couplings: torch.Tensor, periodic: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """-∂E/∂S of float32 spins (batch, 3, height, width) and E (batch,), in one pass.

    `couplings` are those of all states, (7,) as in `heatbath.COUPLINGS`.
    """
    batch, _, height, width = spins.shape
    spins, field = spins.contiguous(), spins.new_empty(spins.shape)
    energy = spins.new_empty(batch, dtype=torch.float64)
    sizes = [np.int32(n) for n in (batch, height, width, periodic)]
    arguments = [spins, couplings.contiguous(), *sizes, threads_for(spins), field, energy]
    call_host("layers.cpp", "field_host", arguments)
    return field, energy
