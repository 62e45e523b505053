"""Relaxation: the minimum that it finds, and what it refuses."""

import math
import warnings

import pytest
import torch

from spinlib import llg
from spinlib.film import Film
from spinlib.relaxation import relax
from spinlib.textures import helix, random, uniform

FILM = {"exchange_stiffness": 8.78e-12, "saturation": 384e3, "cell": 4e-9, "thickness": 4e-9}


def test_the_equation_of_motion_ends_in_the_same_minimum(device):
    film = Film(**FILM, dmi=1e-3, anisotropy=3e5, boundary="open")
    start = uniform((12, 12), (0.3, 0.1, 1.0)).to(device)
    field = (0.02, 0.0, 0.05)
    fast = relax(start, film, torque=1e-5, field=field)
    slow = llg.run(start, film, time=2e-10, damping=1.0, field=field)
    # Torques of 1e-5 T against a restoring field of half a tesla.
    assert 0 < (fast - slow).abs().max() < 1e-4
    residual = film.hamiltonian(field).torque(fast) / (1e21 * 384e3 * 64e-27)
    assert residual < 2e-5


def test_rounding_near_the_threshold_does_not_throw_it_back():
    """Free helices in a wire, whose softest turn is 10⁴ times softer than its stiffest.

    They take 2600 to 3200 steps. Where a step may be any number of times the one before, rounding
    now and then makes it thousands of times too long, and some take 7000 to 12 000.
    """
    film = Film(13e-12, 0.86e6, dmi=3e-3, cell=1e-9, thickness=1e-9, boundary="open")
    starts = helix((1, 220), (4, 0), "bulk") + 1e-3 * torch.randn(
        (8, 3, 1, 220), generator=torch.Generator().manual_seed(1)
    )
    starts /= starts.norm(dim=1, keepdim=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        relax(starts, film, demagnetisation=False, torque=1e-5, max_steps=5000)


def test_a_state_does_not_depend_on_those_beside_it():
    """On the host: a GPU's Fourier transforms may round otherwise for another number of states."""
    film = Film(**FILM, dmi=1.5e-3)
    starts = random((32, 32), states=range(3), seed=3)
    together = relax(starts, film, torque=1e-2)
    alone = torch.cat([relax(start[None], film, torque=1e-2) for start in starts])
    assert torch.equal(together, alone)


def test_relaxation_says_when_it_is_not_done():
    with pytest.warns(UserWarning, match="1 of 1 states"):
        relax(random((16, 16)), Film(**FILM), max_steps=3)


@pytest.mark.parametrize(
    "wrong", [{"torque": math.nan}, {"torque": math.inf}, {"torque": -1.0}, {"max_steps": 0}]
)
def test_a_relaxation_without_an_end_is_refused(wrong):
    with pytest.raises(ValueError, match="needs a torque above 0 and a step at least"):
        relax(uniform((4, 4)), Film(**FILM), **wrong)
