"""The E-VAE: fast layers against plain ones, its losses against their definitions."""

import math

import pytest
import torch
from conftest import NEEDS_GPU

from spinlib import textures
from spinlib.hamiltonian import Hamiltonian
from spinlib.kernels import random_normal
from spinlib.networks import evae, phases
from spinlib.training import Numbers, seeded

HAMILTONIAN = Hamiltonian(dmi=0.3, zeeman=0.05)
CPU = torch.device("cpu")


def numbers(count, seed=1):
    return Numbers(seed, torch.arange(count), 0, CPU)


def network(size=32, boundary="periodic"):
    with seeded(3):
        return evae.EVAE(size, latent=10, boundary=boundary)


def normal(*shape, seed=1):
    return random_normal(shape[1:], seed=seed, states=range(shape[0]), purpose="test")


def test_phases_are_the_four_interleaved_maps():
    maps = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6).float()
    split = phases.split(maps)
    for a in range(2):
        for b in range(2):
            assert torch.equal(split[:, 3 * (2 * a + b) :][:, :3], maps[..., a::2, b::2])
    assert torch.equal(phases.join(split), maps)
    assert torch.equal(phases.unstacked(phases.stacked(split)), split)


@pytest.mark.parametrize("boundary", ["periodic", "open"])
def test_fast_convolutions_equal_the_plain_ones(boundary):
    maps, weight, bias = normal(2, 3, 8, 12), normal(5, 3, 5, 5, seed=2), normal(5, 1)[:, 0]
    plain = phases.plain_convolve(maps, weight, bias, boundary)
    fast = phases.join(phases.convolve_split(phases.split(maps), weight, bias, boundary))
    # Sums of 75 products of order one, in another order: 75 × 6e-8 bounds the rounding.
    torch.testing.assert_close(fast, plain, rtol=0, atol=2e-5)
    upsampled = phases.plain_convolve(phases.plain_upsample(maps), weight, bias, boundary)
    fast = phases.join(phases.convolve_upsampled(maps, weight, bias, boundary))
    torch.testing.assert_close(fast, upsampled, rtol=0, atol=2e-5)


@pytest.mark.parametrize("boundary", ["periodic", "open"])
def test_the_network_equals_its_plain_description_in_training_and_in_use(boundary):
    net = network(boundary=boundary).double()
    spins, latents = normal(4, 3, 32, 32).double(), normal(4, 10).double()
    for mode in (True, False):
        net.train(mode)
        means, log_variances = net.encode(spins)
        plain_means, plain_log_variances = evae.plain_encode(net, spins)
        # `encode` and `decode` answer in single precision, the plain description in double.
        torch.testing.assert_close(means.double(), plain_means, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(
            log_variances.double(), plain_log_variances, rtol=1e-5, atol=1e-6
        )
    net = net.float()
    for mode in (True, False):
        net.train(mode)
        out = net.decode(latents.float())
        # Where a spin happens to be short before it is normalised, rounding grows: hence 1e-3.
        torch.testing.assert_close(out, evae.plain_decode(net, latents.float()), rtol=0, atol=1e-3)
        torch.testing.assert_close(out.norm(dim=1), torch.ones(4, 32, 32), rtol=0, atol=1e-6)


@pytest.mark.parametrize("boundary", ["periodic", "open"])
def test_the_network_learns_as_its_plain_description_does(boundary):
    spins = textures.random((32, 32), states=range(6))
    gradients = []
    for precision in (torch.float32, torch.float64):
        net = network(boundary=boundary).to(precision).train()
        given = spins.to(precision)
        if precision == torch.float32:
            mean, spread = net.encode(given)
            out = net.decode(mean)
        else:
            mean, spread = evae.plain_encode(net, given)
            out = evae.plain_decode(net, mean)
        energy = HAMILTONIAN.energy(out).mean() / 1024
        ((out - given).square().mean() + energy + 0.1 * (mean**2 + spread).mean()).backward()
        gradients.append({name: p.grad.double() for name, p in net.named_parameters()})
    for name, plain in gradients[1].items():
        found = gradients[0][name]
        if name.endswith(("conv.bias", ".0.bias")):
            continue  # the norm that follows takes it away: its gradient is rounding
        # Single precision through twelve layers and norms of six samples.
        assert (found - plain).norm() < 2e-3 * plain.norm(), name


def test_margins_give_their_gradient_back():
    for shape in ((2, 3, 1, 4), (1, 2, 4, 2)):
        maps = normal(*shape).double().requires_grad_()
        wide = phases._Wrap.apply(maps)
        assert torch.equal(wide, torch.nn.functional.pad(maps, (1,) * 4, mode="circular"))
        assert torch.autograd.gradcheck(phases._Wrap.apply, maps)


@pytest.mark.gpu
@NEEDS_GPU
@pytest.mark.parametrize("boundary", ["periodic", "open"])
def test_a_gpu_sees_the_same_network(boundary):
    net, spins, latents = network(boundary=boundary).eval(), normal(4, 3, 32, 32), normal(4, 10)
    with torch.no_grad():
        expected = *net.encode(spins), net.decode(latents)
        net.to("cuda", memory_format=torch.channels_last)
        found = *net.encode(spins.cuda()), net.decode(latents.cuda())
    for one, other in zip(found, expected, strict=True):
        # The GPU's convolutions round their factors to 2^-11; short vectors are normalised.
        torch.testing.assert_close(one.cpu(), other, rtol=0.02, atol=0.05)


def test_layers_have_the_sizes_of_the_paper():
    net = evae.EVAE(128)
    assert [layer.conv.weight.shape[0] for layer in net.down] == [6, 12, 24, 48]
    assert [layer.conv.weight.shape[0] for layer in net.up] == [24, 12, 6, 3]
    assert net.gather[0].in_features == net.spread[1][0].out_features == 3072
    assert net.gather[0].out_features == 512
    assert net.code.out_features == 200


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])  # kernel and stencil
@pytest.mark.parametrize("boundary", ["periodic", "open"])
@pytest.mark.parametrize("kind", ["interfacial", "bulk"])
def test_the_energy_in_the_loss_is_the_hamiltonians(boundary, kind, precision, device):
    hamiltonian = Hamiltonian(
        dmi=0.3, zeeman=(0.02, -0.01, 0.05), anisotropy=0.1, dmi_kind=kind, boundary=boundary
    )
    spins = textures.random((16, 32), states=range(3)).to(device, precision).requires_grad_()
    energy = evae._EnergyPerSite.apply(spins, hamiltonian)
    expected = hamiltonian.energy(spins) / 512
    # Means over 1536 numbers of order one in single precision.
    torch.testing.assert_close(energy.double(), expected, rtol=0, atol=1e-6)
    weights = torch.tensor([1.0, 2.0, -3.0], dtype=precision, device=device)
    (found,) = torch.autograd.grad((energy * weights).sum(), spins)
    (wanted,) = torch.autograd.grad((expected * weights).sum(), spins)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-7)


def test_energies_are_not_rounded_to_tf32(monkeypatch):
    """Which cuDNN may do unless it is told not to; on a CPU only the setting can be seen."""
    seen, convolve = [], evae.phases.convolve

    def spy(*given):
        seen.append(torch.backends.cudnn.allow_tf32)
        return convolve(*given)

    monkeypatch.setattr(evae.phases, "convolve", spy)
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.enabled
    spins = textures.random((16, 16)).double()  # the kernel of the host is for single precision
    evae._EnergyPerSite.apply(spins, Hamiltonian(dmi=0.3))
    assert seen == [False] and before[0]
    network().decode(normal(2, 10))  # in which only the last makes spins
    assert seen[1:] == [True] * 4 + [False]
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.enabled) == before


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_what_has_no_stencil_is_refused_by_the_energy_loss(precision):
    spins = textures.uniform((16, 16)).to(precision)
    for hamiltonian in (
        Hamiltonian(dipolar=0.1),
        Hamiltonian(anisotropy=torch.ones(16, 16)),
    ):
        with pytest.raises(ValueError, match="dipolar term nor a map"):
            evae._EnergyPerSite.apply(spins, hamiltonian)


def test_latents_are_drawn_with_the_spread_that_the_encoder_says(monkeypatch):
    """z = μ + σ ε with σ² = 4."""
    net, drawn = network(16).eval(), []
    with torch.no_grad():
        net.code.weight.zero_()
        net.code.bias.copy_(torch.tensor([0.3] * 10 + [math.log(4.0)] * 10))
    monkeypatch.setattr(net, "decode", drawn.append)
    noise = torch.linspace(-2, 2, 20).view(2, 10)
    net(textures.random((16, 16), states=range(2)), noise)
    torch.testing.assert_close(drawn[0], 0.3 + 2 * noise)


class Fixed(torch.nn.Module):
    """A network whose output, mean and log-variance are given."""

    latent = 2

    def __init__(self, out, mean, log_variance):
        super().__init__()
        self.answer = out, torch.tensor([mean]), torch.tensor([log_variance])

    def forward(self, spins, noise):
        return self.answer


def test_losses_are_normalised_as_the_study_defines_them():
    up, down = textures.uniform((16, 16)), textures.uniform((16, 16), (0, 0, -1))
    net = Fixed(down, [1.0, 0.0], [0.0, math.log(4.0)])
    found = evae.EVAELosses(HAMILTONIAN, beta=0.1, gamma=2.0)(net, (up,), numbers(1))
    # Opposite spins differ by 2 in one component; KL of two Gaussians by hand; the uniform state
    # against the field has +B.
    divergence = 0.5 * 1 + 0.5 * (4 - 1 - math.log(4.0))
    assert found["L_RC"].item() == pytest.approx(4.0, rel=1e-6)
    assert found["L_KL"].item() == pytest.approx(divergence, rel=1e-6)
    assert found["L_H"].item() == pytest.approx(0.05, rel=1e-5)
    assert found["loss"].item() == pytest.approx(4 + 0.1 * divergence + 2 * 0.05, rel=1e-6)


def test_translation_keeps_energy_and_charge_and_moves_every_state_by_itself():
    lattice = textures.skyrmion_lattice((32, 32), 2, 2)
    (moved,) = evae.translated((lattice.repeat(4, 1, 1, 1),), numbers(4))
    # The same numbers summed in another order.
    torch.testing.assert_close(
        HAMILTONIAN.energy(moved), HAMILTONIAN.energy(lattice).expand(4), rtol=1e-7, atol=0
    )
    assert len({tuple(state[2].flatten().tolist()) for state in moved}) == 4
    spectrum = torch.fft.fft2(moved[:, 2]).abs()
    torch.testing.assert_close(spectrum, spectrum[:1].expand(4, -1, -1), rtol=0, atol=1e-3)
    (again,) = evae.translated((lattice.repeat(4, 1, 1, 1),), numbers(4))
    assert torch.equal(again, moved)


def test_translations_go_everywhere():
    marked = torch.zeros(2000, 1, 8, 16)
    marked[:, :, 0, 0] = 1
    (moved,) = evae.translated((marked,), numbers(2000))
    counts = moved.sum((0, 1))
    # 15.6 on each of 128 sites, by chance √15.6: χ² is 127 ± 16; five times that.
    assert counts.sum() == 2000
    assert ((counts - 2000 / 128) ** 2 * 128 / 2000).sum() < 127 + 5 * 16


def test_wrong_sizes_are_refused_in_words():
    with pytest.raises(ValueError, match="multiple of 16"):
        evae.EVAE(40)
    with pytest.raises(ValueError, match="reads spins"):
        network().encode(torch.zeros(1, 3, 16, 16))


def test_a_network_that_was_used_first_can_be_trained_after():
    for cached in (phases._split_taps, phases._upsampled_taps, evae._stencil):
        cached.cache_clear()
    net, noise = network(), normal(4, 10)
    with torch.inference_mode():
        spins = net.decode(noise)
        evae._EnergyPerSite.apply(spins, HAMILTONIAN)
    spins = spins.clone()
    out, mean, _ = net(spins, noise)
    (evae._EnergyPerSite.apply(out, HAMILTONIAN).mean() + mean.mean()).backward()
    assert all(p.grad is not None for p in net.up.parameters())
