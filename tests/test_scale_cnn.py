"""The six-block network: the paper's size, and a second input that does what it says."""

from itertools import pairwise

import pytest
import torch

from spinlib.networks.scale_cnn import ScaleCNN
from spinlib.training import seeded


def numbers(network):
    return sum(p.numel() for p in network.parameters())


def test_it_has_the_numbers_of_six_convolutions_and_one_linear_layer():
    # 9 k k' + k' of each convolution, 2 k' of each batch norm, and 2·2·128 + 1 of the head.
    widths = [1, 16, 32, 64, 64, 128, 128]
    pairs = list(pairwise(widths))
    expected = sum(9 * a * b + 3 * b for a, b in pairs) + 4 * 128 + 1
    assert numbers(ScaleCNN(128)) == expected
    assert numbers(ScaleCNN(128, knows_view=True)) == expected + 9 * 16


def test_the_view_is_seen_by_the_network_that_is_told_it_and_by_no_other():
    with seeded(1):
        told = ScaleCNN(64, knows_view=True, views=(250, 1000)).eval()
        plain = ScaleCNN(64, views=(250, 1000)).eval()
    pictures = torch.linspace(-1, 1, 2 * 64 * 64).reshape(2, 1, 64, 64)
    near, far = torch.full((2,), 250.0), torch.full((2,), 1000.0)
    assert torch.equal(plain(pictures, near), plain(pictures, far))
    assert not torch.allclose(told(pictures, near), told(pictures, far))


def test_the_second_channel_is_the_logarithm_of_the_view_from_minus_one_to_one():
    network = ScaleCNN(64, knows_view=True, views=(250, 1000)).eval()
    seen = []
    network.blocks[0].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0][:, 1]))
    views = torch.tensor([250.0, 500.0, 1000.0])
    network(torch.zeros(3, 1, 64, 64), views)
    # 500 nm is as far from 250 nm as 1000 nm is from it; float32 logarithms are good to 1e-6.
    assert torch.allclose(seen[0][:, 5, 7], torch.tensor([-1.0, 0.0, 1.0]), atol=1e-5)


@pytest.mark.parametrize("pixels", [32, 100, 0])
def test_pictures_that_six_halvings_do_not_fit_are_refused(pixels):
    with pytest.raises(ValueError, match="64, 128"):
        ScaleCNN(pixels)


def test_a_range_of_views_that_is_none_is_refused():
    with pytest.raises(ValueError, match="smaller to a larger"):
        ScaleCNN(64, views=(500, 500))
