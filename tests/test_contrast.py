"""Contrasts against colour solids, curls and their own inverses."""

import itertools
import math

import numpy as np
import pytest
import torch
from conftest import random_spins

from spinlib import textures
from spinlib.contrast import (
    FADED,
    colour,
    component,
    in_plane,
    lorentz_defocus,
    magnetic_force,
    perpendicular,
    perpendicular_from_component,
    vectors_from_colour,
)
from spinlib.symmetry import Operation, act


def degrees_between(a, b):
    a, b = a.double(), b.double()
    across = torch.linalg.cross(a, b, dim=1).norm(dim=1)
    return torch.rad2deg(torch.atan2(across, (a * b).sum(dim=1)))


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


def test_grey_and_in_plane_contrasts():
    spins = random_spins(1, 20, 20)
    torch.testing.assert_close(perpendicular(spins)[0, 0], (1 + spins[0, 2]) / 2)
    value = in_plane(spins).amax(dim=1)
    torch.testing.assert_close(value, spins[:, :2].norm(dim=1), atol=1e-6, rtol=1e-5)
    flipped = spins * torch.tensor([1.0, 1.0, -1.0]).reshape(1, 3, 1, 1)
    assert torch.equal(in_plane(flipped), in_plane(spins))


def test_a_component_is_that_along_its_direction():
    """White along the direction, black against it, grey across; m_z and m_x are two of them."""
    spins = random_spins(1, 20, 20)
    for polar, azimuth, axis in ((0, 50, 2), (90, 0, 0), (90, 90, 1)):
        expected = (1 + spins[:, axis, None]) / 2
        torch.testing.assert_close(component(spins, polar, azimuth), expected, atol=1e-6, rtol=0)
    along = math.radians(70)
    # Up is 30° from a direction 60° from z; so is what lies as far beyond it.
    for elevation, angle in ((60, 0), (30, 30), (90, 30), (150, 90), (-30, 90), (240, 180)):
        tilt = math.radians(elevation)
        spin = [math.sin(tilt) * math.cos(along), math.sin(tilt) * math.sin(along), math.cos(tilt)]
        seen = component(torch.tensor(spin)[None, :, None, None], 60, 70)
        assert seen.item() == pytest.approx((1 + math.cos(math.radians(angle))) / 2, abs=1e-6)


@pytest.mark.parametrize(("kind", "sign"), [("bulk", 1), ("bulk", -1), ("interfacial", 1)])
def test_m_z_is_read_back_from_a_component(kind, sign):
    """In a labyrinth of helices that all turn one way, from pictures that show little of it."""
    chance = np.random.default_rng(3)
    waves = [(int(x), int(y)) for x, y in chance.integers(-6, 7, (60, 2)) if 16 < x**2 + y**2 < 36]
    labyrinth = sum(
        textures.helix((96, 96), wave, kind).roll(tuple(chance.integers(0, 96, 2)), (-2, -1))
        for wave in waves
    )
    labyrinth[:, :2] *= sign  # as D < 0 turns them
    spins = 0.5 * labyrinth / labyrinth.norm(dim=1).mean()
    true, inside = spins[0, 2], (slice(12, -12),) * 2

    def likeness(polar, azimuth, between=(0, 0), sign=sign):
        ends = [(angle - s, angle + s) for angle, s in zip((polar, azimuth), between, strict=True)]
        found = perpendicular_from_component(component(spins, polar, azimuth), *ends, kind, sign)
        return torch.corrcoef(torch.stack([found[0, 0][inside], true[inside]]).flatten(1))[0, 1]

    assert len(waves) > 10
    for azimuth in (0, 30, 115, 260):
        # Of an odd filter's edges and of what is faded out on purpose, a few per cent are missing.
        assert likeness(0, azimuth) > 0.9999
        assert likeness(74, azimuth) > 0.98
        assert likeness(106, azimuth) > 0.98
        assert likeness(74, azimuth, (5, 10)) > 0.97
        # In the plane alone, waves across (Néel) or along it (Bloch) are not seen at all.
        assert likeness(90, azimuth) > 0.85
        assert likeness(74, azimuth, sign=-sign) < 0
    # Of a direction that may be any, only m_z is sure, as the picture shows it; if it does.
    seen = component(spins, 40, 30)
    anywhere = perpendicular_from_component(seen, (40, 40), (0, 360), kind, sign)
    assert np.corrcoef(anywhere.flatten(), seen.flatten())[0, 1] > 0.9999
    assert perpendicular_from_component(seen, (74, 74), (0, 360), kind, sign).isnan().all()


@pytest.mark.parametrize("polar", [(74, 74), (55, 90)])
@pytest.mark.parametrize("azimuth", [(20, 20), (-35, 35)])
def test_m_z_is_read_back_by_the_average_over_all_directions_that_it_may_be(polar, azimuth):
    """Of a wave, Wiener's filter; what directions show of it is measured in pictures of each."""

    def wave(picture):  # its complex amplitude, as most of a period fits in thrice that
        return torch.fft.rfft2(picture[0, 0] * fade)[periods[1], periods[0]].item()

    size, steps = (240, 320), (np.arange(12) + 0.5) / 12
    fade = torch.outer(*(torch.hann_window(n, dtype=torch.float64) for n in size)) ** 2
    for periods in ((20, 0), (20, 15), (0, 15)):
        helix = textures.helix(size, periods, "bulk").double()
        upright = wave(perpendicular(helix))
        shown = np.array(
            [
                wave(component(helix, theta, phi)) / upright
                for theta in polar[0] + np.ptp(polar) * steps
                for phi in azimuth[0] + np.ptp(azimuth) * steps
            ]
        )
        seen = component(helix, 70, 10)
        found = wave(perpendicular_from_component(seen, polar, azimuth, "bulk")) / upright
        filtered = shown.conj().mean() / ((abs(shown) ** 2).mean() + FADED)
        assert found == pytest.approx(wave(seen) / upright * filtered, abs=0.002)


def test_m_z_is_read_back_up_to_the_edges_of_a_picture():
    """A part of a larger film, wider than high, is not closed to a ring."""
    k_y, k_x = torch.fft.fftfreq(240)[:, None], torch.fft.rfftfreq(240)[None]
    k = torch.hypot(k_y, k_x).clamp_min(1e-9)
    white = torch.randn((6, 240, 240), generator=torch.Generator().manual_seed(4))
    z = torch.fft.rfft2(white) * torch.exp(-((240 * k - 10) ** 2))
    # All waves turn as D > 0 has them, so that curl m = -|k| m.
    films = torch.fft.irfft2(torch.stack([-1j * k_y / k * z, 1j * k_x / k * z, z], 1))
    parts = 0.3 / films[:, 2].std() * films[..., 50:122, 30:150]
    margin = torch.ones(parts.shape[-2:], dtype=bool)
    margin[8:-8, 8:-8] = False  # a third of a period wide
    # As if closed to a ring, they would have correlations of 0.78 and 0.71.
    for polar, least in ((74, 0.83), (90, 0.78)):
        seen = component(parts, polar, 30)
        found = perpendicular_from_component(seen, (polar, polar), (30, 30), "bulk")
        both = torch.stack([found[:, 0, margin].flatten(), parts[:, 2, margin].flatten()])
        assert torch.corrcoef(both)[0, 1] > least


def test_what_is_read_back_from_a_component_turns_with_the_sample():
    spins = random_spins(1, 24, 31)
    straight, turned = (
        perpendicular_from_component(component(some, 74, azimuth), (60, 90), ends, "bulk")
        for some, azimuth, ends in (
            (spins, 30, (0, 60)),
            (act(spins, Operation(1)), 120, (90, 150)),
        )
    )
    torch.testing.assert_close(turned, torch.rot90(straight, 1, (-1, -2)), atol=1e-5, rtol=0)


def test_a_component_turns_with_the_sample():
    spins = random_spins(1, 16, 20)
    straight, turned = component(spins, 74, 30), component(act(spins, Operation(1)), 74, 120)
    torch.testing.assert_close(turned, torch.rot90(straight, 1, (-1, -2)), atol=1e-6, rtol=0)


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
    # m_y = 0.01 x has the same curl everywhere, up to open edges.
    slope = torch.stack([0 * x, 0.01 * x, 0 * x])[None]
    torch.testing.assert_close(lorentz_defocus(slope, 2.0), torch.full((1, 1, 48, 64), 0.51))
    one_row = lorentz_defocus(slope[:, :, :1], 2.0)
    torch.testing.assert_close(one_row, torch.full((1, 1, 1, 64), 0.51))


def test_defocus_sign_follows_the_sense_of_a_vortex():
    y, x = torch.meshgrid(torch.arange(21.0) - 10, torch.arange(21.0) - 10, indexing="ij")
    r = torch.hypot(x, y) + 1e-6
    vortex = torch.stack([-y / r, x / r, 0 * r])[None]  # counter-clockwise, curl = 1/r > 0
    assert (
        lorentz_defocus(vortex, 0.5)[0, 0, 5, 5] > 0.5 > lorentz_defocus(vortex, -0.5)[0, 0, 5, 5]
    )


@pytest.mark.parametrize("kind", ["bulk", "interfacial"])
def test_magnetic_force_is_that_of_all_dipoles(kind):
    """Against a sum over the dipoles of all cells, in layers, of a film and its repetitions.

    A uniform film has no field, so dipoles are counted from one that points along +z, which leaves
    those of the skyrmion.
    """
    size, lift, thickness, layers = 24, 3.0, 2.0, 6
    spins = textures.skyrmions((size, size), [(12.0, 12.0)], 5.0, kind)
    moments = spins[0].double().flatten(1) * thickness / layers
    moments[2] -= thickness / layers
    at = torch.cartesian_prod(*2 * [torch.arange(size).double()]).T  # rows and columns
    gradient = torch.zeros(size * size, dtype=torch.float64)
    for layer in range(layers):
        z = lift + thickness * (layer + 0.5) / layers
        for up, right in itertools.product((-size, 0, size), repeat=2):
            y, x = (a[:, None] - a + shift for a, shift in zip(at, (up, right), strict=True))
            r = (x * x + y * y + z * z).sqrt()
            along = moments[0] * x + moments[1] * y + moments[2] * z
            # H_z = (3 z m·r / r⁵ - m_z / r³) / 4π, and its slope along z.
            slope = 3 * (along + 2 * z * moments[2]) / r**5 - 15 * z * z * along / r**7
            gradient -= slope.sum(1)
    expected = gradient.reshape(size, size)
    expected -= expected.mean()  # what farther repetitions would add, and hardly varies
    seen = 2 * magnetic_force(spins, lift, thickness, "periodic")[0, 0].double() - 1
    # Layers leave 1/24 of a second difference, and repetitions farther than 36 cells some more.
    torch.testing.assert_close(seen, expected / expected.abs().max(), atol=3e-3, rtol=0)


def test_a_helix_of_neel_walls_has_its_field_on_one_side():
    """Charges of surfaces and walls cancel above the film if D > 0, and add up if D < 0.

    Where D > 0, spins in walls point away from domains along +z, whose surface is positive.
    """
    helix = textures.helix((8, 64), (3, 0), "interfacial")
    for sign, left in ((1, 0.0), (-1, 0.5)):
        turned = helix * torch.tensor([sign, sign, 1.0])[:, None, None]
        seen = magnetic_force(turned, 4.0, 2.0, "periodic")
        assert (seen - 0.5).abs().max() == pytest.approx(left, abs=1e-3)  # rounding, drawn out


def test_a_uniform_film_is_mid_grey_and_white_is_up():
    flat = textures.uniform((16, 16), (0.6, 0.0, 0.8))
    for boundary in ("open", "periodic"):
        seen = magnetic_force(flat, 2.0, 1.0, boundary)
        torch.testing.assert_close(seen, torch.full_like(seen, 0.5))
    spot = textures.uniform((32, 32), (0.0, 0.0, -1.0))
    spot[..., 14:18, 14:18] *= -1
    seen = magnetic_force(spot, 3.0, 1.0)
    assert seen.max() == 1 and seen[0, 0, 15:17, 15:17].min() > 0.95


@pytest.mark.parametrize("size", [(11, 14), (12, 15), (1, 6), (1, 1)])
def test_an_open_edge_of_a_felt_film_is_a_mirror(size):
    spins = random_spins(2, *size)
    mirrored = torch.cat([spins, spins.flip(-1)], -1)
    mirrored = torch.cat([mirrored.flip(-2), mirrored], -2)
    whole = magnetic_force(mirrored, 1.5, 2.0, "periodic")[..., size[0] :, : size[1]] - 0.5
    whole = 0.5 + 0.5 * whole / whole.abs().amax((-2, -1), keepdim=True).clamp_min(1e-9)
    torch.testing.assert_close(magnetic_force(spins, 1.5, 2.0), whole, atol=1e-5, rtol=0)
    half = magnetic_force(spins.half(), 1.5, 2.0)
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), whole, atol=5e-3, rtol=0)  # of spins to 5e-4


def test_magnetic_force_turns_with_the_sample():
    spins = random_spins(1, 15, 18)
    straight = magnetic_force(spins, 1.0, 2.0)
    turned = magnetic_force(act(spins, Operation(1)), 1.0, 2.0)
    torch.testing.assert_close(turned, torch.rot90(straight, 1, (-1, -2)), atol=1e-5, rtol=0)


def test_colour_gradient_is_the_slope():
    spins = random_spins(1, 3, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(colour, (0.9 * spins,), eps=1e-7, atol=1e-5)
