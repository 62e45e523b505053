"""The variational autoencoder whose loss contains the magnetic energy (Kwon et al., 2021).

    spins ──encode──► mean, log-variance of 100 latents ──sample──► z ──decode──► unit spins

doi:10.1002/advs.202004795. Loss = L_RC + β L_KL + γ L_H, each a mean over the batch:

    L_RC = (1/N) Σ_sites |S_in - S_out|²
    L_KL = -½ Σ_k (1 + log σ_k² - μ_k² - σ_k²)          over the latents
    L_H  = (E[S_out] - E_0) / N,   E_0 = -2 J N         so that the uniform state has -B
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

from spinlib.anneal import coupling_table
from spinlib.hamiltonian import Boundary, Hamiltonian, is_nonzero
from spinlib.kernels import layers
from spinlib.networks import phases
from spinlib.symmetry import translate
from spinlib.training import Numbers

FILTERS = (6, 12, 24, 48)
HIDDEN = 512
SLOPE = 0.3  # of the leaky ReLU; the paper does not say; Keras's default


class EVAE(nn.Module):
    """Encoder and decoder for square states of `size` sites, a multiple of 16.

    With `boundary` "open" the convolutions see zeros beyond the edge instead of the other side.
    """

    def __init__(self, size: int = 64, latent: int = 100, boundary: Boundary = "periodic"):
        super().__init__()
        if size % 16 or size < 16:
            raise ValueError(f"The E-VAE halves its maps four times: {size} is no multiple of 16.")
        self.size, self.latent, self.boundary = size, latent, boundary
        self.coarse = (FILTERS[-1], size // 16, size // 16)
        features = FILTERS[-1] * (size // 16) ** 2
        self.down = nn.ModuleList(_Layer(a, b) for a, b in pairwise((3, *FILTERS)))
        self.gather = _dense(features, HIDDEN)
        self.code = nn.Linear(HIDDEN, 2 * latent)
        self.spread = nn.Sequential(_dense(latent, HIDDEN), _dense(HIDDEN, features))
        self.up = nn.ModuleList(_Layer(a, b) for a, b in pairwise((48, 24, 12, 6, 3)))
        self.last = nn.Conv2d(3, 3, 5)

    @property
    def settings(self) -> dict[str, Any]:
        """What `EVAE(**settings)` needs to make this network again."""
        return {"size": self.size, "latent": self.latent, "boundary": self.boundary}

    def encode(self, spins: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Spins (batch, 3, size, size) to mean and log-variance, (batch, latent) each."""
        if spins.shape[-3:] != (3, self.size, self.size):
            raise ValueError(
                f"This E-VAE reads spins (batch, 3, {self.size}, {self.size}), not "
                f"{tuple(spins.shape)}."
            )
        maps, edge = phases.split(spins), self.boundary
        for layer in self.down:
            convolved = phases.convolve_split(maps, layer.conv.weight, layer.conv.bias, edge)
            target = "pooled" if layer is self.down[-1] else "split"
            maps, edge = phases.activate(convolved, layer.norm, SLOPE, target, edge)
        return self.code(self.gather(maps.flatten(1))).float().chunk(2, 1)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents (batch, latent) to unit spins (batch, 3, size, size)."""
        maps = self.spread(latents).unflatten(1, self.coarse)
        maps, edge = maps.contiguous(memory_format=torch.channels_last), self.boundary
        for layer in self.up:
            convolved = phases.convolve_upsampled(maps, layer.conv.weight, layer.conv.bias, edge)
            target = "blocks" if layer is self.up[-1] else "joined"
            maps, edge = phases.activate(convolved, layer.norm, SLOPE, target, edge)
        # Half precision would leave 2^-8 in every component: more energy than γ can win.
        with _exactly(maps.device):
            last = self.last
            vectors = phases.convolve_split(maps.float(), last.weight, last.bias, edge)
            return phases.point(vectors)

    def forward(self, spins: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Reconstructed spins, mean and log-variance; `noise` (batch, latent) is standard normal"""
        mean, log_variance = self.encode(spins)
        return self.decode(mean + noise * torch.exp(0.5 * log_variance)), mean, log_variance


@contextmanager
def _exactly(device: torch.device) -> Iterator[None]:
    """Convolve in single precision: neither with autocast's 8 bits nor, on a GPU, with TF32's 11.

    By its energy per site a lattice is told from a helix in the fourth digit.
    """
    cudnn = torch.backends.cudnn
    as_they_are = {
        "enabled": cudnn.enabled,
        "benchmark": cudnn.benchmark,
        "deterministic": cudnn.deterministic,
    }
    with (
        torch.autocast(device.type, enabled=False),
        cudnn.flags(**as_they_are, allow_tf32=False),
    ):
        yield


class _Layer(nn.Module):
    """The parameters of one 5×5 convolution and its batch norm."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 5)
        self.norm = nn.BatchNorm2d(outputs)


def _dense(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.LeakyReLU(SLOPE))


def plain_encode(network: EVAE, spins: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`network.encode` as the paper describes it, layer by layer at full resolution."""
    maps = spins
    for layer in network.down:
        maps = phases.plain_convolve(maps, layer.conv.weight, layer.conv.bias, network.boundary)
        maps = F.max_pool2d(F.leaky_relu(layer.norm(maps), SLOPE), 2)
    return network.code(network.gather(maps.flatten(1))).chunk(2, 1)


def plain_decode(network: EVAE, latents: torch.Tensor) -> torch.Tensor:
    """`network.decode` as the paper describes it, layer by layer at full resolution."""
    maps = network.spread(latents).unflatten(1, network.coarse)
    for layer in network.up:
        maps = phases.plain_convolve(
            phases.plain_upsample(maps), layer.conv.weight, layer.conv.bias, network.boundary
        )
        maps = F.leaky_relu(layer.norm(maps), SLOPE)
    last = network.last
    maps = phases.plain_convolve(maps, last.weight, last.bias, network.boundary)
    return F.normalize(maps, dim=1)


class EVAELosses:
    """L_RC + β L_KL + γ L_H, and the three by name, for `training.fit`."""

    def __init__(self, hamiltonian: Hamiltonian, beta: float, gamma: float = 0.0):
        self.hamiltonian, self.beta, self.gamma = hamiltonian, beta, gamma

    def __call__(
        self, network: EVAE, batch: tuple[torch.Tensor, ...], numbers: Numbers
    ) -> dict[str, torch.Tensor]:
        (spins,) = batch
        noise = numbers.normal((network.latent,), purpose="latent noise")
        out, mean, log_variance = network(spins, noise)
        reconstruction = 3 * F.mse_loss(out, spins)
        divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1).mean()
        cost = _EnergyPerSite.apply(out, self.hamiltonian).mean() + 2 * self.hamiltonian.exchange
        return {
            "loss": reconstruction + self.beta * divergence + self.gamma * cost,
            "L_RC": reconstruction,
            "L_KL": divergence,
            "L_H": cost,
        }


class _EnergyPerSite(torch.autograd.Function):
    """`Hamiltonian.energy` / N of unit spins, (batch,), with -field as its gradient.

    What a spin feels serves both: on the host a kernel makes it, elsewhere one 3×3 convolution
    brings all neighbours, in a third of the time of differentiating through the terms.
    """

    @staticmethod
    def forward(ctx, spins: torch.Tensor, hamiltonian: Hamiltonian) -> torch.Tensor:
        if layers.on_host(spins):
            periodic = hamiltonian.boundary == "periodic"
            field, energy = layers.field_and_energy(spins, _couplings(hamiltonian), periodic)
            ctx.save_for_backward(field)
            return (energy / field[0, 0].numel()).float()
        kernel, zeeman = _stencil(hamiltonian, spins.device, spins.dtype)
        maps = spins.contiguous(memory_format=torch.channels_last)
        with _exactly(spins.device):  # as in `decode`
            felt = phases.convolve(maps, kernel, None, hamiltonian.boundary)
        zeeman = zeeman[:, None, None]
        ctx.save_for_backward(felt + zeeman)
        density = maps * (0.5 * felt + zeeman)
        return -density.flatten(1).mean(1) * 3

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: torch.Tensor):
        (field,) = ctx.saved_tensors
        return field * (-upstream / field[0, 0].numel())[:, None, None, None], None


@cache
@torch.inference_mode(False)  # kept for training, too
def _couplings(hamiltonian: Hamiltonian) -> torch.Tensor:
    """The couplings of all sites, as the kernels want them."""
    spins = torch.zeros(1, 3, 2, 2, dtype=torch.float32, device="cpu")
    (couplings,), anisotropy = coupling_table(hamiltonian, spins)
    if anisotropy is not None or is_nonzero(hamiltonian.dipolar):
        raise ValueError(
            "The energy loss knows neighbours only, and all sites alike: it takes neither a "
            "dipolar term nor a map of anisotropies."
        )
    return couplings


@cache
@torch.inference_mode(False)  # kept for training, too
def _stencil(
    hamiltonian: Hamiltonian, device: torch.device, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """The field as a 3×3 convolution kernel (to, from, y, x), and its constant part (3,).

    Read off the field of single spins, so that every short-range term is in it.
    """
    _couplings(hamiltonian)  # refuses what has no stencil
    spins = torch.zeros(4, 3, 5, 5)
    spins[range(3), range(3), 2, 2] = 1
    field = hamiltonian.field(spins)
    zeeman = field[3, :, 2, 2]
    # Site (y, x) around the single spin feels it from the opposite side: the kernel is turned.
    kernel = (field[:3] - field[3:])[:, :, 1:4, 1:4].flip(-1, -2).transpose(0, 1)
    kernel = kernel.contiguous(memory_format=torch.channels_last)
    return kernel.to(device, dtype), zeeman.to(device, dtype)


def translated(batch: tuple[torch.Tensor, ...], numbers: Numbers) -> tuple[torch.Tensor, ...]:
    """Every state moved by its own random shift: under periodic edges an equally good state."""
    (spins,) = batch
    height, width = spins.shape[-2:]
    u = numbers.uniform((2,), purpose="translation")
    return (translate(spins, -(u[:, 0] * height).long(), -(u[:, 1] * width).long()),)
