"""The E-VAE's fused layers on the host against torch's operations in double precision."""

import pytest
import torch
from torch import nn

from spinlib.hamiltonian import Hamiltonian
from spinlib.kernels import layers, random_normal
from spinlib.networks import phases
from spinlib.networks.evae import _couplings, _EnergyPerSite

SLOPE = 0.3


def normal(*shape, seed=1):
    return random_normal(shape[1:], seed=seed, states=range(shape[0]), purpose="layers")


def batch_norm(channels, training=True):
    """A norm whose weights have both signs and whose running moments are not the default ones."""
    norm = nn.BatchNorm2d(channels).train(training)
    with torch.no_grad():
        norm.weight.copy_(normal(1, channels, seed=2)[0])
        norm.bias.copy_(0.3 * normal(1, channels, seed=3)[0])
        norm.running_mean.copy_(0.1 * normal(1, channels, seed=4)[0])
        norm.running_var.copy_(1 + normal(1, channels, seed=5)[0] ** 2)
    return norm


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("edge", ["periodic", "open"])
@pytest.mark.parametrize("target", layers.TARGETS)
@pytest.mark.parametrize("channels", layers.CHANNELS)
def test_a_fused_layer_is_norm_activation_and_change_of_resolution(
    channels, target, edge, training
):
    x = 2.0 + normal(3, 4 * channels, 4, 6)  # a mean that is not small beside the deviations
    found, expected = [], []
    for answers, kind in ((found, torch.float32), (expected, torch.float64)):
        norm = batch_norm(channels, training).to(kind)
        maps = x.clone().to(kind).requires_grad_()
        out, its_edge = phases.activate(maps, norm, SLOPE, target, edge)
        if kind == torch.float64 and edge == "periodic" and target != "pooled":
            out = nn.functional.pad(out, (1,) * 4, mode="circular")  # what the kernel brings along
            its_edge = "wrapped"
        (out * normal(*out.shape, seed=6)).sum().backward()
        answers += [out, maps.grad, norm.weight.grad, norm.bias.grad]
        answers += [norm.running_mean, norm.running_var, norm.num_batches_tracked]
        assert its_edge == ("wrapped" if edge == "periodic" and target != "pooled" else edge)
    for one, other in zip(found, expected, strict=True):
        # Sums of up to 288 numbers of order one and ten, in single precision.
        torch.testing.assert_close(one.double(), other.double(), rtol=2e-5, atol=2e-5)


def test_of_equal_numbers_in_a_block_the_first_has_the_gradient():
    x = torch.ones(1, 12, 2, 2).requires_grad_()
    out = layers.activate(x, batch_norm(3, training=False), SLOPE, "pooled", wrapped=False)
    out.sum().backward()
    assert (x.grad[:, :3] != 0).all()
    assert (x.grad[:, 3:] == 0).all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 4), (3, 5, 3)])
def test_pointing_normalises_the_vectors_of_the_four_phases(shape):
    count, height, width = shape
    x = normal(count, 12, height, width)
    x[0, :, 0, 0] = 0  # of no direction
    found, expected = x.clone().requires_grad_(), x.double().requires_grad_()
    spins, wanted = layers.point(found), phases.point(expected)
    torch.testing.assert_close(spins.double(), wanted, rtol=1e-6, atol=1e-6)
    weights = normal(*spins.shape, seed=7)
    (spins * weights).sum().backward()
    (wanted * weights).sum().backward()
    some = x.abs() > 0  # elsewhere any gradient will do
    torch.testing.assert_close(found.grad[some].double(), expected.grad[some], rtol=1e-5, atol=1e-5)


def test_layers_do_not_depend_on_the_number_of_threads():
    x, norm = normal(40, 24, 16, 16), batch_norm(6)
    before = torch.get_num_threads()
    answers = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            maps = x.clone().requires_grad_()
            out = layers.activate(maps, norm, SLOPE, "split", wrapped=True)
            out.backward(out.detach())
            answers.append((out, maps.grad))
    finally:
        torch.set_num_threads(before)
    for one, other in zip(*answers, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("setting", ["dtype", "device"])
def test_layers_and_energy_do_not_depend_on_defaults_of_torch(setting):
    """A user may have set them, and the kernels read what they are given as it lies in memory."""
    x, norm = normal(2, 12, 4, 4).requires_grad_(), batch_norm(3)
    hamiltonian = Hamiltonian(exchange=1.0, dmi=0.3, zeeman=0.05)

    def answers():
        if setting == "dtype":  # on another device `Hamiltonian` cannot be asked anything
            _couplings.cache_clear()
        # With the margin, so that its energy is no physics; but it is a number.
        spins = layers.point(layers.activate(x, norm, SLOPE, "blocks", wrapped=True))
        energy = _EnergyPerSite.apply(spins, hamiltonian)
        return energy, *torch.autograd.grad(energy.sum(), x)

    expected = answers()
    set_default, other, usual = {
        "dtype": (torch.set_default_dtype, torch.float64, torch.float32),
        "device": (torch.set_default_device, "meta", None),
    }[setting]
    set_default(other)
    try:
        found = answers()
    finally:
        set_default(usual)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


def test_gradients_do_not_depend_on_how_saved_tensors_are_kept():
    """Hooks that pack them on a disk or another device may give them back in the usual order."""
    x, norm = normal(2, 12, 4, 6), batch_norm(3)
    gradients = []
    for unpack in (lambda kept: kept, lambda kept: kept.contiguous()):
        maps = x.clone().requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, unpack):
            out = layers.point(layers.activate(maps, norm, SLOPE, "blocks", wrapped=False))
            (out * normal(*out.shape, seed=6)).sum().backward()
        gradients.append(maps.grad)
    assert torch.equal(*gradients)


def test_without_a_momentum_running_moments_are_means_of_all_batches():
    batches = normal(3, 2, 12, 4, 4)
    norms = [batch_norm(3), batch_norm(3).double()]
    for norm in norms:
        norm.momentum = None
        for batch in batches.to(norm.weight.dtype):
            phases.activate(batch, norm, SLOPE, "joined", "open")
    found, expected = norms
    torch.testing.assert_close(found.running_mean.double(), expected.running_mean)
    torch.testing.assert_close(found.running_var.double(), expected.running_var)


def test_odd_sides_have_no_phases():
    with pytest.raises(ValueError, match=r"\(4, 3\) pixels have no phases"):
        layers.activate(torch.zeros(1, 12, 4, 3), batch_norm(3), SLOPE, "split", wrapped=True)


def test_layers_without_a_kernel_are_left_to_torch():
    assert layers.takes(torch.zeros(1, 12, 2, 2))
    assert not layers.takes(torch.zeros(1, 12, 2, 2, dtype=torch.float64))
    assert not layers.takes(torch.zeros(1, 12, 2, 2, dtype=torch.bfloat16))
    assert not layers.takes(torch.zeros(1, 20, 2, 2))  # five channels
    assert not layers.takes(torch.zeros(1, 12, 1, 3))  # three blocks
    assert not layers.takes(torch.zeros(1, 12, 2, 2, device="meta"))
