"""Blur, pixels and turns against geometry and exact averages."""

import math

import pytest
import torch
from conftest import blur, random_spins

from spinlib.contrast import lorentz_defocus
from spinlib.optics import blur_and_resample, resample
from spinlib.symmetry import Operation, act


@pytest.mark.parametrize("shape", [(32, 32), (13, 50), (77, 101), (150, 210)])
def test_resampling_keeps_the_mean(shape):
    field = 0.3 + torch.randn(2, 3, 77, 101, generator=torch.Generator().manual_seed(1))
    before, after = field.mean(dim=(-1, -2)), resample(field, shape).mean(dim=(-1, -2))
    torch.testing.assert_close(after, before, atol=1e-6, rtol=0)


def test_resampling_is_the_area_average():
    field = torch.randn(1, 1, 12, 18, generator=torch.Generator().manual_seed(2))
    whole = resample(field, (4, 6))
    torch.testing.assert_close(whole, torch.nn.functional.avg_pool2d(field, 3))
    # At any ratio: refine by repetition to a common multiple (7 and 5 divide 84 and 90), average.
    fine = field.repeat_interleave(7, -2).repeat_interleave(5, -1)
    expected = torch.nn.functional.avg_pool2d(fine, (12, 18))
    # Sums of 200 float32 numbers of size 1, in another order.
    torch.testing.assert_close(resample(field, (7, 5)), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("boundary", ["open", "periodic"])
@pytest.mark.parametrize("sigma", [0.4, 1.7, 6.0])
def test_blur_spreads_a_point_by_its_parameter(sigma, boundary):
    point = torch.zeros(1, 1, 81, 81, dtype=torch.float64)
    point[..., 40, 40] = 1
    spread = blur(point, sigma, boundary)[0, 0]
    x = torch.arange(81.0, dtype=torch.float64) - 40
    # The kernel's variance is sigma^2 by construction; its tail is cut where it is below 1e-11.
    assert float(spread.sum()) == pytest.approx(1, abs=1e-12)
    assert float((spread.sum(0) * x**2).sum()) == pytest.approx(sigma**2, rel=1e-6)
    assert float((spread.sum(1) * x**2).sum()) == pytest.approx(sigma**2, rel=1e-6)


def test_blur_damps_a_wave_like_a_gaussian():
    # A wave of 64 sites blurred by 5: factor exp(-q^2 s^2 / 2) in the continuum; the lattice has
    # exp(-s^2 (1 - cos q)), which differs by q^4 s^2 / 24 = 1e-4.
    q, sigma = 2 * math.pi / 64, 5.0
    wave = torch.cos(q * torch.arange(128.0)).expand(1, 1, 16, 128)
    factor = blur(wave, sigma, "periodic")[0, 0, 0, 0]
    assert float(factor) == pytest.approx(math.exp(-((q * sigma) ** 2) / 2), abs=2e-4)


@pytest.mark.parametrize("boundary", ["open", "periodic"])
def test_blur_keeps_the_mean_and_a_uniform_film(boundary):
    field = torch.randn(1, 2, 40, 30, generator=torch.Generator().manual_seed(3))
    blurred = blur(field, 9.0, boundary)
    torch.testing.assert_close(
        blurred.mean(dim=(-1, -2)), field.mean(dim=(-1, -2)), atol=1e-6, rtol=0
    )
    # Open edges are mirrors: a film beside its mirror images has none.
    twice = torch.cat((field, field.flip(-1)), -1)
    twice = torch.cat((twice, twice.flip(-2)), -2)
    mirrored = blur(twice, 9.0, "periodic")[..., :40, :30]
    assert torch.allclose(blurred, mirrored, atol=1e-6) == (boundary == "open")
    ones = torch.ones(1, 1, 40, 30)
    torch.testing.assert_close(blur(ones, 9.0, boundary), ones, atol=1e-6, rtol=0)


def test_a_quarter_turn_turns_places_and_vectors():
    # A spin along +x at the right edge goes to the top edge and along +y.
    spins = torch.zeros(1, 3, 5, 7)
    spins[0, 0, 1, 6] = 1
    turned = act(spins, Operation(1))
    assert turned.shape == (1, 3, 7, 5)
    assert turned[0, 1, 6, 3] == 1
    assert turned.abs().sum() == 1
    spins = random_spins(1, 5, 7)
    assert torch.equal(act(act(spins, Operation(3)), Operation(1)), spins)
    assert torch.equal(act(act(spins, Operation(1)), Operation(1)), act(spins, Operation(2)))
    # A curl is a scalar under turns of the sample, so its picture only turns.
    straight = lorentz_defocus(spins, 0.1)
    torch.testing.assert_close(
        lorentz_defocus(act(spins, Operation(1)), 0.1), torch.rot90(straight, 1, (-1, -2))
    )


@pytest.mark.parametrize("boundary", ["open", "periodic"])
def test_fine_pixels_see_smooth_pictures_of_square_cells(boundary):
    """Against cells that are cut into 60 parts each, blurred there and then averaged."""
    field = torch.randn(1, 3, 12, 15, generator=torch.Generator().manual_seed(2)).double()
    fine = field.repeat_interleave(60, -1).repeat_interleave(60, -2)
    expected = resample(blur(fine, 60 * 0.8, boundary), (40, 52), 60 * 0.27)
    found = blur_and_resample(field, 0.8, (40, 52), 0.27, boundary)
    # Parts leave an error of second order: 1.6e-3 for 20 of them, a ninth of that for 60.
    torch.testing.assert_close(found, expected, atol=4e-4, rtol=0)
    narrow = blur_and_resample(field, 1e-4, (40, 52), 0.27, boundary)
    torch.testing.assert_close(narrow, resample(field, (40, 52), 0.27), atol=1e-3, rtol=0)
    ones = torch.ones(1, 1, 12, 15)
    found = blur_and_resample(ones, 2.0, (12, 12), 0.5, boundary)
    torch.testing.assert_close(found, torch.ones(1, 1, 12, 12))
