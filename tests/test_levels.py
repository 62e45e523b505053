"""What lamps and tone curves do to grey levels, and what of a picture they leave alone."""

import math

import pytest
import torch

from spinlib.levels import evenly_lit, ranked


def stripes(periods: float = 7.0) -> torch.Tensor:
    """Slanted stripes and their noise, (1, 1, 80, 120) from 0.2 to 0.8 or so."""
    y, x = torch.meshgrid(torch.arange(80.0), torch.arange(120.0), indexing="ij")
    noise = torch.randn((80, 120), generator=torch.Generator().manual_seed(1))
    wave = torch.sin(2 * math.pi * periods * (x + 0.6 * y) / 120)
    return (0.5 + 0.25 * wave + 0.02 * noise)[None, None]


def across() -> tuple[torch.Tensor, torch.Tensor]:
    """Coordinates (height, width) from -1/2 to 1/2, up and to the right."""
    return torch.meshgrid(
        torch.linspace(-0.5, 0.5, 80), torch.linspace(-0.5, 0.5, 120), indexing="ij"
    )


def test_any_background_of_second_order_goes():
    """The one that is added is found as exactly as float32 can, also if it is much stronger."""
    y, x = across()
    light = 3.0 * x - 2.0 * y + 1.5 * x * x - x * y + 4.0 * y * y + 7.0
    plain, lit = evenly_lit(stripes()), evenly_lit(stripes() + light)
    torch.testing.assert_close(lit, plain, rtol=0, atol=1e-4)
    # Contrast is brought to one size: the absolute values have a mean of about 1 everywhere.
    assert plain.abs().mean().item() == pytest.approx(1, abs=0.01)
    assert plain.mean().abs() < 1e-5


def test_a_contrast_that_fades_is_restored():
    """Half as much on the left as on the right: after it, both are alike to a few per cent.

    The surface is fitted to stripes, of which the picture holds seven periods and the half of it
    three and a half: that is why not better.
    """
    _, x = across()
    faded = 0.5 + (stripes() - 0.5) * (1 + 2 / 3 * x)
    left, right = (part.abs().mean().item() for part in evenly_lit(faded).split(60, -1))
    before = [(part - 0.5).abs().mean().item() for part in faded.split(60, -1)]
    assert before[0] / before[1] < 0.75
    assert left / right == pytest.approx(1, abs=0.04)


def test_where_there_is_no_contrast_none_is_made():
    """Nothing is divided by nothing, and what hardly shows is raised fivefold at most."""
    flat = torch.full((1, 1, 80, 120), 0.3)
    assert torch.isfinite(evenly_lit(flat)).all()
    _, x = across()
    half = 0.5 + (stripes() - 0.5) * (x > 0)
    assert evenly_lit(half).abs().max() < 2.5 * evenly_lit(stripes()).abs().max()


@pytest.mark.parametrize(
    "curve", [lambda p: p**0.45, lambda p: p**2.2, lambda p: p * p * (3 - 2 * p)]
)
def test_ranks_are_the_same_after_any_curve_that_rises(curve):
    """To the last bit in double precision, where a curve does not make different levels equal."""
    pictures = torch.rand((2, 3, 31, 17), generator=torch.Generator().manual_seed(2)).double()
    assert torch.equal(ranked(curve(pictures)), ranked(pictures))


def test_ranks_run_from_0_to_1_and_are_shared_by_equals():
    shown = torch.tensor([[0.7, 0.1], [0.1, 0.1], [0.2, 0.9]])[None, None]
    expected = torch.tensor([[4.5, 1.5], [1.5, 1.5], [3.5, 5.5]]) / 6
    torch.testing.assert_close(ranked(shown)[0, 0], expected)
    channels = torch.cat([shown, 1 - shown], 1)  # each by itself
    torch.testing.assert_close(ranked(channels)[:, 1:], 1 - ranked(shown))
