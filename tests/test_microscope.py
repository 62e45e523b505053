"""The whole instrument: the order of its parts, its geometry, its random numbers, its refusals."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import NEEDS_GPU, SETTINGS_OF, blur, random_spins

from spinlib import textures
from spinlib.contrast import component
from spinlib.estimation.conditions import CHANNELS
from spinlib.microscope import CONTRASTS, Microscope
from spinlib.noise import vector_noise
from spinlib.optics import crop, resample


def test_optics_blurs_first_and_averages_then():
    spins = random_spins(2, 48, 60)
    seen = Microscope("vector", pixel_size=6e-9, blur=8e-9)(spins, 2e-9)
    assert seen.shape == (2, 3, 16, 20)
    torch.testing.assert_close(seen, resample(blur(spins, 4.0), (16, 20)), atol=1e-6, rtol=0)


def test_pixels_and_field_of_view():
    spins = random_spins(1, 100, 120)
    assert Microscope("vector")(spins).shape == (1, 3, 100, 120)
    # 2.34 nm pixels on 400 nm x 480 nm, the odd half pixel left out evenly at both sides.
    see = Microscope("vector", pixel_size=2.34e-9)
    assert see.geometry((100, 120), 4e-9) == ((170, 205), 2.34e-9)
    assert see(spins, 4e-9).shape == (1, 3, 170, 205)
    # A smaller field of view is the middle of the sample.
    middle = Microscope("vector", pixel_size=4e-9, shape=(50, 60))(spins, 4e-9)
    torch.testing.assert_close(middle, crop(spins, (50, 60)), atol=1e-6, rtol=0)
    assert torch.equal(crop(spins, (2, 3), (10, 20)), spins[..., 10:12, 20:23])
    whole = Microscope("vector", shape=(50.0, np.int64(60)))  # whole numbers of any kind
    assert whole(spins, 4e-9).shape == (1, 3, 50, 60)
    assert whole.geometry((100, 120), 4e-9) == ((50, 60), 8e-9)


NOISY = [
    Microscope("vector", noise=0.3),
    Microscope("vector", readout=0.1),
    Microscope("colour", pixel_size=2.0, blur=1.5, noise=0.2, readout=0.02),
    Microscope("perpendicular", counts=30.0, contrast_drift=0.1, brightness_drift=0.1),
    Microscope("perpendicular", counts=3.0, noise=0.1),
    *(Microscope(contrast, readout=0.1, **given) for contrast, given in SETTINGS_OF.items()),
]


@pytest.mark.parametrize("see", NOISY, ids=lambda see: see.contrast)
def test_noise_depends_on_seed_and_state_only(see):
    spins = random_spins(5, 24, 24)
    whole = see(spins, seed=7, states=range(10, 15))
    # Optics of other batch sizes may round differently in the last bit, hence the tolerance; with
    # other random numbers the pictures would differ by the noise, 0.02 and more.
    split = torch.cat(
        [see(spins[:2], seed=7, states=[10, 11]), see(spins[2:], seed=7, states=[12, 13, 14])]
    )
    torch.testing.assert_close(split, whole, atol=1e-5, rtol=0)
    shuffled = see(spins[[3, 0]], seed=7, states=[13, 10])
    torch.testing.assert_close(shuffled, whole[[3, 0]], atol=1e-5, rtol=0)
    for other in ({"seed": 8}, {"seed": 7, "draw": 1}):
        changed = see(spins, states=range(10, 15), **other)
        assert (changed - whole).abs().amax(dim=(1, 2, 3)).min() > 0.01


def test_states_of_one_batch_have_different_noise():
    same = random_spins(1, 16, 16).expand(3, -1, -1, -1)
    pictures = Microscope("vector", noise=0.5)(same, seed=1)
    assert (pictures[0] - pictures[1]).abs().max() > 0.1
    assert (pictures[1] - pictures[2]).abs().max() > 0.1


@pytest.mark.parametrize(("name", "spread"), [("contrast_drift", 0.1), ("brightness_drift", 0.2)])
def test_drift_alone_is_seen(name, spread):
    """Vectors from -1 to 1 are seen as 0 to 1 and given back: 1 ± 0.1 and 1 ± 0.2."""
    flat = textures.uniform((4, 4), (1.0, 0.0, 0.0)).repeat(400, 1, 1, 1)
    seen = Microscope("vector", **{name: 0.1})(flat)[:, 0].mean((1, 2))
    # 400 states know it to 1/√800; four times that.
    assert seen.std() == pytest.approx(spread, rel=4 / math.sqrt(800))


def test_a_component_is_seen_along_the_direction_that_is_said():
    spins = random_spins(2, 16, 20)
    for polar, azimuth in ((74.0, 30.0), (120.0, -75.0)):
        seen = Microscope("component", polar=polar, azimuth=azimuth)(spins)
        torch.testing.assert_close(seen, component(spins, polar, azimuth), atol=1e-6, rtol=0)


def test_defocus_is_a_length():
    """I = ½ (1 + d curl m): of a helix ½ (1 + d q cos qx), whatever the pixels."""
    helix, d, q = textures.helix((8, 128), (2, 0), kind="bulk"), 3.0, 2 * math.pi / 64
    for pixel in (1.0, 2.0, 4.0):
        seen = Microscope("lorentz_defocus", defocus=d, pixel_size=pixel)(helix)
        # Differences across two pixels, and their averages: (q pixel)² / 5 less.
        assert seen.max() - seen.min() == pytest.approx(d * q, rel=0.05)


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_every_contrast_is_differentiable(contrast):
    see = Microscope(
        contrast,
        pixel_size=2.0,
        blur=1.0,
        noise=0.1,
        readout=0.01,
        contrast_drift=0.1,
        **SETTINGS_OF.get(contrast, {}),
    )
    spins = random_spins(2, 16, 16)
    spins[0, :, :4] = torch.tensor([0.0, 0.0, 1.0]).reshape(3, 1, 1)  # poles and a vacancy
    spins[1, :, 8:12, 8:12] = 0
    spins.requires_grad_()
    pictures = see(spins)
    assert pictures.dtype == torch.float32
    channels = {"vector": 3} | CHANNELS
    assert pictures.shape == (2, channels[contrast], 8, 8)
    pictures.square().sum().backward()
    assert torch.isfinite(spins.grad).all()
    assert spins.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"contrast": "purple"}, "no contrast 'purple'"),
        ({"boundary": "closed"}, "'closed'"),
        ({"blur": -1.0}, "blur is -1.0"),
        ({"noise": math.nan}, "noise is nan"),
        ({"pixel_size": 0.0}, "pixel_size is 0.0"),
        ({"counts": -3.0}, "counts is -3.0"),
        ({"shape": (0, 4)}, "empty"),
        ({"contrast": "component"}, "needs a polar"),
        ({"polar": 74.0}, "needs a polar"),
        ({"contrast": "component", "polar": 181.0}, "polar is 181.0; give 0 to 180"),
        ({"contrast": "component", "polar": 74.0, "azimuth": math.inf}, "azimuth is inf"),
        ({"azimuth": 30.0}, "'colour' has no azimuth"),
        ({"contrast": "lorentz_defocus"}, "needs a defocus"),
        ({"defocus": 1.0}, "needs a defocus"),
        ({"contrast": "magnetic_force"}, "needs a lift"),
        ({"contrast": "magnetic_force", "lift": 1.0}, "needs a thickness"),
        ({"contrast": "magnetic_force", "lift": -1.0}, "lift is -1.0"),
        ({"lift": 1.0}, "needs a lift"),
        ({"thickness": 1.0}, "needs a thickness"),
    ],
)
def test_impossible_settings_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Microscope(**settings)


def test_impossible_samples_are_refused():
    spins = random_spins(1, 16, 16)
    with pytest.raises(ValueError, match="more than 100 million"):
        tip = {"pixel_size": 1e-3, "shape": (4, 4), "lift": 2.0, "thickness": 1.0}
        Microscope("magnetic_force", **tip)(spins)
    with pytest.raises(ValueError, match="room for 4x4"):
        Microscope("vector", pixel_size=4.0, shape=(5, 4))(spins)
    with pytest.raises(ValueError, match="cell of side -1"):
        Microscope("vector")(spins, cell=-1.0)
    with pytest.raises(ValueError, match=r"\(1, 16, 16\)"):
        Microscope("vector")(spins[0, :1])
    with pytest.raises(ValueError, match="does not lie inside"):
        crop(spins, (10, 10), (8, 0))
    with pytest.raises(ValueError, match="2 state indices for 1"):
        Microscope("vector", noise=0.1)(spins, states=[0, 1])
    with pytest.raises(ValueError, match="strength of 0 or more"):
        vector_noise(spins, -0.1)


def test_a_periodic_film_has_no_edge():
    """Moved along, it gives the same picture moved along; with open edges it does not."""
    spins = random_spins(1, 24, 32)
    for boundary in ("periodic", "open"):
        see = Microscope("vector", blur=2.0, boundary=boundary)
        moved = see(spins.roll(7, -1)) - see(spins).roll(7, -1)
        assert (moved.abs().max() < 1e-5) == (boundary == "periodic")


@pytest.mark.gpu
@NEEDS_GPU
def test_a_gpu_takes_the_same_picture(device="cuda"):
    spins = random_spins(2, 32, 40)
    see = Microscope("vector", pixel_size=2.5, blur=1.3, noise=0.4, readout=0.1)
    # Sums in another order and other last bits of the random numbers' logarithms and cosines.
    torch.testing.assert_close(see(spins.to(device)).cpu(), see(spins), atol=1e-4, rtol=0)


def test_part_of_a_periodic_film_is_defocused_as_in_the_whole():
    """Its edges do not meet: no seam; and differences at an open edge lean to one side."""
    spins = textures.helix((64, 64), (2, 0), kind="bulk")
    whole = Microscope("lorentz_defocus", defocus=2.0, boundary="periodic")
    part = replace(whole, shape=(24, 24), pixel_size=1.0)
    seen, expected = part(spins), whole(spins)[..., 20:44, 20:44]
    torch.testing.assert_close(seen[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])
    # A one-sided difference is off by q/2 of the slope, q = 2π/32.
    assert (seen - expected).abs().max() < 0.1 * (expected.max() - expected.min())


def test_the_tip_feels_what_lies_beyond_the_picture():
    spins = random_spins(2, 96, 96)
    whole = Microscope("magnetic_force", lift=6.0, thickness=2.0, boundary="periodic")
    part = replace(whole, shape=(20, 24), pixel_size=1.0)
    torch.testing.assert_close(part(spins), whole(spins)[..., 38:58, 36:60], atol=1e-6, rtol=0)
    # 21 rows lie half a cell between those of the film: means of two. One edge of what is seen is
    # then not the film's, 37 cells away, and may be brighter, which only changes the scale.
    odd = replace(part, shape=(21, 24))
    between = (whole(spins)[..., 37:58, 36:60] + whole(spins)[..., 38:59, 36:60]) / 2
    both = torch.stack([odd(spins), between]).flatten(2)
    for film in range(2):
        assert torch.corrcoef(both[:, film])[0, 1] > 0.9999  # cut out before: 0.82
    # From farther than eight times lift and thickness nothing is computed.
    low = replace(part, lift=1.0, thickness=0.5)
    far = spins.clone()
    far[..., :20, :] *= -1
    torch.testing.assert_close(low(far), low(spins), atol=0, rtol=0)


def test_lift_and_thickness_are_lengths():
    """Of waves q and 2q of m_z the second fades by 2 e^(-qh) (1 - e^(-2qt)) / (1 - e^(-qt))."""
    q, lift, thickness = 2 * math.pi / 64, 20.0, 12.0
    along = torch.arange(64.0) + 0.5
    spins = torch.zeros(1, 3, 8, 64)
    spins[0, 2] = (torch.cos(q * along) + torch.cos(2 * q * along)) / 2
    for pixel in (1.0, 0.5):
        lengths = {"pixel_size": pixel, "lift": lift, "thickness": thickness}
        see = Microscope("magnetic_force", boundary="periodic", **lengths)
        waves = torch.fft.rfft(see(spins)[0, 0, 0].double()).abs()
        film = math.expm1(-2 * q * thickness) / math.expm1(-q * thickness)
        fades = 2 * math.exp(-q * lift) * film
        # Pixels as fine as half a cell show its steps, which weaken waves by up to (2q)²/24.
        assert float(waves[2] / waves[1]) == pytest.approx(fades, rel=2e-3)
