"""The network of `estimate`: its windows, and the parts of pictures that it is trained on."""

import pytest
import torch

from spinlib.estimation.learning import parts
from spinlib.networks.texture_cnn import STEP, WINDOW, TextureCNN
from spinlib.training import seeded


def network(**settings) -> TextureCNN:
    with seeded(1):
        return TextureCNN(**settings).eval()


def test_windows_are_those_of_the_paper_within_a_pixel():
    """A place of the last layer depends on 31×31 pixels and on no other; the next is 8 pixels on.

    Strides of 2, 2, 2 and 1: 1 + 2 (1 + 2 + 4 + 8) = 31.
    """
    features = network(channels=1).features
    side = WINDOW + 2 * STEP
    picture = torch.rand((1, 1, side, side), requires_grad=True)
    seen = features(picture)
    assert seen.shape[-2:] == (3, 3)
    assert features(picture[..., : WINDOW + STEP - 1, :WINDOW]).shape[-2:] == (1, 1)
    (slope,) = torch.autograd.grad(seen[0, :, 1, 2].sum(), picture)
    rows, columns = (torch.nonzero(slope[0, 0].abs().sum(axis))[:, 0] for axis in (1, 0))
    assert (rows.min(), rows.max()) == (STEP, STEP + WINDOW - 1)
    assert (columns.min(), columns.max()) == (2 * STEP, 2 * STEP + WINDOW - 1)


def test_windows_in_one_pass_are_windows_one_by_one():
    shown = network()
    pictures = torch.rand((2, 3, WINDOW + STEP, WINDOW + 3 * STEP))
    windows = pictures.unfold(2, WINDOW, STEP).unfold(3, WINDOW, STEP)  # 2×4 of each picture
    alone = windows.permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
    with torch.no_grad():
        together, each = shown.features(pictures), shown.features(alone)
        assert each.shape[-2:] == (1, 1)
        each = each.view(2, 2, 4, -1).permute(0, 3, 1, 2)
        assert together == pytest.approx(each, abs=1e-5)  # sums in another order
        spread, mean = (each.flatten(2).std(2, correction=0), each.flatten(2).mean(2))
        answer = shown.head(torch.cat((mean, (spread**2 + 1e-6).sqrt()), 1))
        assert shown(pictures) == pytest.approx(answer, abs=1e-5)


def test_it_learns_where_filters_are_silent():
    """A uniform picture has no variance, where a square root is steep: gradients stay finite."""
    shown = network().train()
    shown(torch.full((4, 3, 40, 40), 0.5)).sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in shown.parameters())


def test_parts_of_pictures_go_on_around_their_box():
    pictures = torch.rand((5, 3, 6, 8)).half()
    random = torch.tensor([[0.01, 0.01], [0.99, 0.5], [0.5, 0.99], [0.4, 0.2], [1.0, 1.0]])
    begins = [(0, 0), (5, 4), (3, 7), (2, 1), (6, 8)]  # the last is all the way around
    cut = parts(pictures, random, 5)
    assert cut.shape == (5, 3, 5, 5) and cut.is_contiguous(memory_format=torch.channels_last)
    for number, (row, column) in enumerate(begins):
        whole = pictures[number].roll((-row, -column), (1, 2))
        assert torch.equal(cut[number], whole[:, :5, :5])
