"""The microscope against geometry, exact averages and the laws of its noise."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from spinlib.contrast import (
    colour,
    in_plane,
    lorentz_defocus,
    perpendicular,
    vectors_from_colour,
    vectors_from_components,
)
from spinlib.estimation.observation import CHANNELS
from spinlib.microscope import (
    CONTRASTS,
    Microscope,
    blur,
    crop,
    drift,
    gaussian_noise,
    poisson_noise,
    resample,
    rotate,
    vector_noise,
)


def random_spins(batch, height, width, seed=0):
    spins = torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))
    return spins / spins.norm(dim=1, keepdim=True)


def degrees_between(a, b):
    a, b = a.double(), b.double()
    across = torch.linalg.cross(a, b, dim=1).norm(dim=1)
    return torch.rad2deg(torch.atan2(across, (a * b).sum(dim=1)))


# --- contrasts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spin", "rgb"),
    [
        ((0, 0, 1), (1, 1, 1)),
        ((0, 0, -1), (0, 0, 0)),
        ((1, 0, 0), (1, 0, 0)),
        ((math.cos(math.pi / 3), math.sin(math.pi / 3), 0), (1, 1, 0)),
        ((-1, 0, 0), (0, 1, 1)),
        ((0, 0, 0), (0.5, 0.5, 0.5)),
    ],
)
def test_colour_of_known_directions(spin, rgb):
    picture = colour(torch.tensor(spin, dtype=torch.float32).reshape(1, 3, 1, 1))
    # Float32 arithmetic of a few operations.
    torch.testing.assert_close(picture.flatten(), torch.tensor(rgb).float(), atol=1e-6, rtol=0)


def test_colour_agrees_with_the_hsl_solid_of_the_standard_library():
    import colorsys

    spins = random_spins(1, 12, 12)
    picture = colour(spins)[0].flatten(1).T
    for (x, y, z), rgb in zip(spins[0].flatten(1).T.tolist(), picture.tolist(), strict=True):
        hue = math.atan2(y, x) / (2 * math.pi) % 1
        assert rgb == pytest.approx(colorsys.hls_to_rgb(hue, (1 + z) / 2, 1.0), abs=2e-6)


def test_colour_goes_back_to_the_spins():
    spins = random_spins(2, 150, 150)
    back, _ = vectors_from_colour(colour(spins))
    # Rounding is all that can be lost in float32; at 0.1 degree from a pole chroma is 1.5e-6.
    assert degrees_between(spins, back).max() < 0.1


def test_eight_bit_colour_loses_below_one_degree_away_from_the_poles():
    spins = random_spins(2, 150, 150)
    stored = (colour(spins) * 255).round() / 255
    back, bound = vectors_from_colour(stored)
    error = degrees_between(spins, back)
    from_pole = torch.rad2deg(spins[:, 2].abs().acos())
    assert error[from_pole > 30].max() < 1
    # The reported loss bounds the true one, is not empty talk, and grows towards the poles.
    bound = torch.rad2deg(bound)
    assert (error <= bound).all()
    assert bound[from_pole > 60].mean() < 1
    assert bound[from_pole < 10].mean() > 5 * bound[from_pole > 60].mean()


def test_shortened_vectors_keep_their_length_in_colour():
    spins = 0.6 * random_spins(1, 60, 60)
    back, _ = vectors_from_colour(colour(spins), unit=False)
    torch.testing.assert_close(back, spins, atol=1e-5, rtol=0)


def test_components_go_back_to_the_spins_whatever_the_gain():
    spins = random_spins(1, 40, 40)
    back, lost = vectors_from_components(0.5 + 0.2 * spins)
    torch.testing.assert_close(back, spins, atol=1e-5, rtol=0)
    stored = ((0.5 + 0.2 * spins) * 255).round() / 255
    error = degrees_between(vectors_from_components(stored)[0], spins)
    assert (error <= torch.rad2deg(lost) + 1e-3).all()
    assert error.max() > 0.3 * torch.rad2deg(lost).max()


def test_grey_and_in_plane_contrasts():
    spins = random_spins(1, 20, 20)
    torch.testing.assert_close(perpendicular(spins)[0, 0], (1 + spins[0, 2]) / 2)
    value = in_plane(spins).amax(dim=1)
    torch.testing.assert_close(value, spins[:, :2].norm(dim=1), atol=1e-6, rtol=1e-5)
    flipped = spins * torch.tensor([1.0, 1.0, -1.0]).reshape(1, 3, 1, 1)
    assert torch.equal(in_plane(flipped), in_plane(spins))


def test_defocus_shows_the_curl_of_the_magnetisation():
    # m = (cos qx, sin qx, 0): (curl m)_z = q cos qx; the central difference gives sin(q) for q.
    q = 2 * math.pi / 32
    x = torch.arange(64.0).expand(48, 64)
    spins = torch.stack([(q * x).cos(), (q * x).sin(), 0 * x])[None]
    picture = lorentz_defocus(spins, 2.0, boundary="periodic")
    expected = 0.5 * (1 + 2.0 * math.sin(q) * (q * x).cos())
    torch.testing.assert_close(picture[0, 0], expected, atol=1e-5, rtol=0)
    # A row of spins that turns about the y axis (a Neel wall) has no curl along z: no contrast.
    neel = torch.stack([(q * x).sin(), 0 * x, (q * x).cos()])[None]
    torch.testing.assert_close(lorentz_defocus(neel, 2.0), torch.full((1, 1, 48, 64), 0.5))


def test_defocus_sign_follows_the_sense_of_a_vortex():
    y, x = torch.meshgrid(torch.arange(21.0) - 10, torch.arange(21.0) - 10, indexing="ij")
    r = torch.hypot(x, y) + 1e-6
    vortex = torch.stack([-y / r, x / r, 0 * r])[None]  # counter-clockwise, curl = 1/r > 0
    assert (
        lorentz_defocus(vortex, 0.5)[0, 0, 5, 5] > 0.5 > lorentz_defocus(vortex, -0.5)[0, 0, 5, 5]
    )


# --- optics --------------------------------------------------------------------------------------


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
    ones = torch.ones(1, 1, 40, 30)
    torch.testing.assert_close(blur(ones, 9.0, boundary), ones, atol=1e-6, rtol=0)


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
    whole = Microscope("vector", shape=(50, 60))
    assert whole.geometry((100, 120), 4e-9) == ((50, 60), 8e-9)


def test_a_quarter_turn_turns_places_and_vectors():
    # A spin along +x at the right edge goes to the top edge and along +y.
    spins = torch.zeros(1, 3, 5, 7)
    spins[0, 0, 1, 6] = 1
    turned = rotate(spins, 1)
    assert turned.shape == (1, 3, 7, 5)
    assert turned[0, 1, 6, 3] == 1
    assert turned.abs().sum() == 1
    spins = random_spins(1, 5, 7)
    assert torch.equal(rotate(rotate(spins, 3), 1), spins)
    assert torch.equal(rotate(rotate(spins, 1), 1), rotate(spins, 2))
    # A curl is a scalar under turns of the sample, so its picture only turns.
    straight = lorentz_defocus(spins, 0.1)
    torch.testing.assert_close(
        lorentz_defocus(rotate(spins, 1), 0.1), torch.rot90(straight, 1, (-1, -2))
    )


# --- noise ---------------------------------------------------------------------------------------


def test_vector_noise_is_the_one_of_study_two():
    # S = z, S* = (z + eta R)/|z + eta R|: with u = R_z uniform in -1..1 (Archimedes),
    # <S*_z> = integral of (1 + eta u) / sqrt(1 + eta^2 + 2 eta u) du / 2 = 1 - eta^2/3, eta <= 1.
    spins = torch.zeros(4, 3, 200, 200)
    spins[:, 2] = 1
    strengths = torch.tensor([0.1, 0.5, 0.9, 1.0])
    noisy = vector_noise(spins, strengths, seed=5)
    torch.testing.assert_close(noisy.norm(dim=1), torch.ones(4, 200, 200))
    for eta, state in zip(strengths.tolist(), noisy, strict=True):
        # 40 000 sites and a spread of S*_z of at most 0.3: standard error 0.0015; five of them.
        assert float(state[2].mean()) == pytest.approx(1 - eta**2 / 3, abs=5 * 0.3 / 200)
        # <S*_x^2> = (1 - <S*_z^2>)/2, whatever the law of z; both estimated from the same sites.
        assert float(state[0].var()) == pytest.approx(float(state[1].var()), rel=0.05)
        assert abs(float(state[0].mean())) < 5 * float(state[0].std()) / 200


def test_vector_noise_leaves_vacancies_and_lengths():
    spins = 0.4 * random_spins(1, 30, 30)
    spins[..., :5, :] = 0
    noisy = vector_noise(spins, 0.7)
    torch.testing.assert_close(noisy.norm(dim=1), spins.norm(dim=1), atol=1e-6, rtol=0)
    torch.testing.assert_close(vector_noise(spins, 0.0), spins, atol=1e-6, rtol=0)


def test_readout_noise_has_its_standard_deviation():
    noise = gaussian_noise(torch.full((2, 3, 128, 128), 0.3), 0.07, seed=3) - 0.3
    count = noise.numel()
    assert abs(float(noise.mean())) < 5 * 0.07 / math.sqrt(count)
    # The standard deviation of a sample deviation is sigma / sqrt(2 n).
    assert float(noise.std()) == pytest.approx(0.07, abs=5 * 0.07 / math.sqrt(2 * count))
    assert abs(float((noise[0] * noise[1]).mean())) < 5 * 0.07**2 / math.sqrt(count / 2)


@pytest.mark.parametrize("mean", [0.3, 4.0, 11.9, 12.1, 80.0, 5000.0])
def test_counts_follow_the_poisson_law(mean):
    numbers = poisson_noise(torch.ones(4, 1, 200, 200), mean, seed=1) * mean
    numbers = numbers.double().round().numpy().ravel()
    n = numbers.size
    assert numbers.mean() == pytest.approx(mean, abs=5 * math.sqrt(mean / n))
    # Var of the sample variance of a Poisson law: (mu4 - s^4)/n = (2 m^2 + m)/n.
    assert numbers.var() == pytest.approx(mean, abs=5 * math.sqrt((2 * mean**2 + mean) / n))
    # Chi square over at most 40 equally likely bins; 1e-4 as the chance of a false alarm.
    edges = np.unique(stats.poisson.ppf(np.linspace(0, 1, 41)[1:-1], mean))
    observed = np.histogram(numbers, np.concatenate([[-0.5], edges + 0.5, [np.inf]]))[0]
    expected = n * np.diff(stats.poisson.cdf(np.concatenate([[-1], edges, [np.inf]]), mean))
    keep = expected > 5
    chi = ((observed - expected)[keep] ** 2 / expected[keep]).sum()
    assert stats.chi2.sf(chi, keep.sum() - 1) > 1e-4


def test_dark_pixels_count_nothing():
    assert (poisson_noise(torch.full((1, 1, 8, 8), -0.2), 50) == 0).all()


def test_drift_is_one_setting_per_picture():
    pictures = torch.rand(2000, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    seen = drift(pictures, 0.2, 0.05, seed=2)
    gain = (seen[:, 0, 0, 0] - seen[:, 0, 0, 1]) / (pictures[:, 0, 0, 0] - pictures[:, 0, 0, 1])
    again = (seen[:, 0, 1, 0] - seen[:, 0, 1, 1]) / (pictures[:, 0, 1, 0] - pictures[:, 0, 1, 1])
    torch.testing.assert_close(gain, again, atol=1e-2, rtol=0)  # differences of near-equal floats
    gain = (seen.std(dim=(1, 2, 3)) / pictures.std(dim=(1, 2, 3))).numpy()
    offset = (seen - 0.5).mean(dim=(1, 2, 3)).numpy() - gain * (pictures - 0.5).mean(
        dim=(1, 2, 3)
    ).numpy()
    # Five standard errors of 2000 draws.
    assert gain.std() == pytest.approx(0.2, abs=5 * 0.2 / math.sqrt(4000))
    assert offset.std() == pytest.approx(0.05, abs=5 * 0.05 / math.sqrt(4000))


NOISY = [
    Microscope("vector", noise=0.3),
    Microscope("vector", readout=0.1),
    Microscope("colour", pixel_size=2.0, blur=1.5, noise=0.2, readout=0.02),
    Microscope("perpendicular", counts=30.0, contrast_drift=0.1, brightness_drift=0.1),
    Microscope("perpendicular", counts=3.0, noise=0.1),
    Microscope("lorentz_defocus", defocus=0.5, readout=0.1),
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


# --- the instrument ------------------------------------------------------------------------------


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_every_contrast_is_differentiable(contrast):
    see = Microscope(
        contrast,
        pixel_size=2.0,
        blur=1.0,
        noise=0.1,
        readout=0.01,
        contrast_drift=0.1,
        defocus=0.3 if contrast == "lorentz_defocus" else 0.0,
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


def test_colour_gradient_is_the_slope():
    spins = random_spins(1, 3, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(colour, (0.9 * spins,), eps=1e-7, atol=1e-5)


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
        ({"contrast": "lorentz_defocus"}, "needs a defocus"),
        ({"defocus": 1.0}, "needs a defocus"),
    ],
)
def test_impossible_settings_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Microscope(**settings)


def test_impossible_samples_are_refused():
    spins = random_spins(1, 16, 16)
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


def test_every_device_takes_the_same_picture(device):
    spins = random_spins(2, 32, 40)
    see = Microscope("vector", pixel_size=2.5, blur=1.3, noise=0.4, readout=0.1)
    # Sums in another order and other last bits of the random numbers' logarithms and cosines.
    torch.testing.assert_close(see(spins.to(device)).cpu(), see(spins), atol=1e-4, rtol=0)
