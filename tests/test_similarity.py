"""Spectra and their distance against known waves, noise of known level, skyrmions that were put."""

import math

import numpy as np
import pytest
import torch
from conftest import SETTINGS_OF, discs

from spinlib import textures
from spinlib.contrast import in_plane, perpendicular_from_component
from spinlib.estimation.conditions import CHANNELS
from spinlib.kernels import random_normal
from spinlib.microscope import Microscope
from spinlib.similarity import (
    core_map,
    elongation,
    in_plane_vectors,
    look,
    noise_level,
    radial_spectrum,
    skyrmions,
    spectrum_distance,
)


def wave(period: float, size: int = 96) -> torch.Tensor:
    """A grey wave along x, (1, 1, size, size)."""
    x = torch.arange(size, dtype=torch.float64)
    return (0.5 + 0.3 * torch.sin(2 * math.pi * x / period)).expand(1, 1, size, size)


def test_spectrum_of_a_wave_is_at_its_wave_number():
    k, share = radial_spectrum(wave(12.0))
    assert share.sum() == pytest.approx(1.0)
    # The Hann window spreads a wave over three rings: exactly 1/6, 2/3 and 1/6 of its power along
    # the wave, over rings that also take in a little of the window's width across it.
    assert k[share[0].argmax()] == pytest.approx(1 / 12)
    assert share[0][np.abs(k - 1 / 12) < 1.5 / 96].sum() > 0.99


def test_distances_of_known_spectra():
    spectra = [radial_spectrum(wave(period))[1][0] for period in (12.0, 4.0)]
    assert spectrum_distance(spectra[0], spectra[0]) == 0
    assert spectrum_distance(*spectra) > 0.99
    assert spectrum_distance([0.5, 0.5, 0.0], [0.25, 0.25, 0.5]) == pytest.approx(0.5)


def test_shifted_picture_has_the_same_spectrum():
    moved = wave(12.0).roll(5, -1)  # 96 pixels hold eight waves, so that this is a shift
    _, share = radial_spectrum(torch.cat([wave(12.0), moved]))
    # The window fixes a place: what remains is how its sidelobes meet the wave's negative one.
    assert spectrum_distance(*share) < 0.01


@pytest.mark.parametrize("sigma", [0.01, 0.1])
def test_noise_level(sigma):
    noise = random_normal((3, 96, 96), seed=1, states=[0], purpose="test")[0].double()
    picture = wave(24.0)[0] + sigma * noise
    # 3 × 94² second differences, each sharing pixels with its neighbours: about 2 % of scatter.
    # The wave itself adds (2π/24)⁴ of its height, in quadrature with little weight.
    assert noise_level(picture) == pytest.approx(sigma, rel=0.06)
    assert noise_level(wave(24.0)[0]) < 1e-3


def test_noise_level_where_black_and_white_cut_it_off():
    noise = random_normal((3, 96, 96), seed=2, states=[0], purpose="test")[0].double()
    # A third each of black, mid-grey and white: of the outer two half of the noise is left.
    ground = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64).repeat_interleave(32)
    picture = (ground + 0.08 * noise).clamp(0, 1)
    # The grey third of three channels is 9000 second differences, to some 2 %.
    assert noise_level(picture) == pytest.approx(0.08, rel=0.08)
    # Where nothing lies between, what there is must do.
    assert 0 < noise_level((ground.round() + 0.08 * noise).clamp(0, 1)) < 0.08


def test_slopes_are_rises_from_edge_to_edge():
    """Of light that is added, of light that multiplies, and of none: whichever way it goes."""
    u = torch.linspace(-0.5, 0.5, 96, dtype=torch.float64)
    stripes = wave(11.3)  # on pixels at all of its phases
    for turn in (lambda p: p, lambda p: p.mT, lambda p: p.flip(-1)):
        added = look(turn(stripes + 0.2 * u)).iloc[0]
        assert added["slope"] == pytest.approx(0.2, abs=0.02)
        assert added["slope of contrast"] < 0.08  # the edges cut through domains
        times = look(turn(0.5 + (stripes - 0.5) * (1 + 0.3 * u))).iloc[0]
        assert times["slope of contrast"] == pytest.approx(0.3, abs=0.08)
        assert times["slope"] < 0.02
    # The plane nearest to all pixels rises by 6/(πn) of the height, 0.07, for n periods of 8.5.
    assert look(stripes)["slope"][0] < 0.02
    assert np.isfinite(look(torch.full((1, 1, 96, 96), 0.5)).to_numpy()).all()


def test_handedness_of_helices_and_their_mirrors():
    helices = torch.cat([textures.helix((96, 96), n, kind="bulk") for n in ((4, 0), (0, 4))])
    pictures = Microscope("colour")(helices)
    right = look(pictures, "colour")["handedness"]
    # For m = (0, sin qx, ±cos qx) the curl is q cos qx: all of it goes with m_z, one way.
    assert right.abs().min() > 0.95 and right[0] == pytest.approx(right[1], abs=0.02)
    # A mirror turns places over and no spins: the wall along it goes wrong, the other does not.
    mirrored = look(pictures.flip(-1), "colour")["handedness"]
    assert sorted(mirrored * np.sign(right[0])) == [
        pytest.approx(-abs(right[0]), abs=0.03),
        pytest.approx(abs(right[1]), abs=0.03),
    ]
    # Turned by a quarter, walls along the diagonals have a curl that goes with neither sign of m_z.
    tilted = Microscope("colour")(textures.helix((96, 96), (3, 3), kind="bulk"))
    assert abs(look(tilted, "colour")["handedness"][0]) > 0.95
    turned = look(torch.rot90(tilted, 1, (-2, -1)), "colour")["handedness"][0]
    assert turned == pytest.approx(0, abs=0.05)
    assert "handedness" not in look(pictures, "in_plane")


def test_walls_of_either_kind_are_told_apart():
    """A helix has a curl and no divergence, a cycloid the other way round; both go with m_z."""
    for kind, own, other in (
        ("bulk", "handedness", "divergence"),
        ("interfacial", "divergence", "handedness"),
    ):
        waves = torch.cat(
            [textures.helix((96, 96), n, kind=kind) for n in ((4, 0), (0, 4), (3, 3))]
        )
        found = look(Microscope("colour")(waves), "colour")
        assert found[own].abs().min() > 0.95 and np.ptp(found[own]) < 0.05
        assert found[other].abs().max() < 0.05


def test_in_plane_pictures_show_the_kind_of_their_walls():
    """Where places are mirrored and no spins, a round skyrmion has as much divergence as curl."""
    share = {}
    for kind in ("bulk", "interfacial"):
        round_one = textures.skyrmions((64, 64), [(31.5, 31.5)], 24, kind)
        picture = Microscope("in_plane")(round_one)
        share[kind], share[kind, "mirrored"] = look(
            torch.cat((picture, picture.flip(-1))), "in_plane"
        )["divergence share"]
    assert share["bulk"] < 0.01 and share["interfacial"] > 0.99
    assert share["bulk", "mirrored"] == pytest.approx(0.5, abs=0.02)
    assert share["interfacial", "mirrored"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("kind", "sign"), [("bulk", -1), ("interfacial", 1)])
def test_a_component_shows_where_waves_run_and_so_the_kind_of_walls(kind, sign):
    """Of Bloch walls those along the direction are seen, of Néel walls those across it."""
    helices = torch.cat(
        [textures.helix((96, 96), n, kind=kind) for n in ((4, 0), (0, 4), (3, 3), (3, -3))]
    )
    for azimuth, angles in ((0.0, (0, 90, 45, -45)), (30.0, (30, 60, 15, 75))):
        seen = Microscope("component", polar=74.0, azimuth=azimuth)(helices)
        found = look(seen, "component", azimuth)["waves along azimuth"]
        # Fading widens four waves to three to five, in both directions: up to 14 degrees.
        expected = [math.cos(2 * math.radians(angle)) for angle in angles]
        assert found.to_numpy() == pytest.approx(expected, abs=0.06)
    for azimuth, n in ((0.0, (4, 0)), (45.0, (3, 3))):
        across = n[::-1] if azimuth == 0.0 else (3, -3)
        both = sum(textures.helix((96, 96), each, kind=kind) for each in (n, across)) / 2
        seen = Microscope("component", polar=90.0, azimuth=azimuth)(both)
        found = look(seen, "component", azimuth)["waves along azimuth"][0]
        assert found == pytest.approx(sign, abs=0.05)
    assert "waves along azimuth" not in look(wave(12.0), "perpendicular")


def test_look_of_a_wave():
    row = look(wave(12.0).float()).iloc[0]
    assert row["brightness"] == pytest.approx(0.5, abs=1e-6)
    assert row["contrast"] == pytest.approx(0.3 / math.sqrt(2), rel=1e-6)
    assert row["colourfulness"] == 0
    assert row["skewness"] == pytest.approx(0, abs=1e-6)
    # Neighbours along x have correlation cos(2π/12), up to the edge's two pixels; along y 1.
    assert row["alignment"] == pytest.approx((1 + math.cos(math.pi / 6)) / 2, abs=0.01)
    assert row["waves per pixel"] == pytest.approx(1 / 12, rel=0.05)


def test_look_of_spots_and_colours():
    """White spots on a twelfth p of the picture, by hand: σ² = p (1 - p), skewness (1 - 2p)/σ."""
    spots = torch.zeros(1, 3, 96, 96)
    spots[:, 0, ::4, ::3] = 1
    spots[:, 1] = 0.6 * spots[:, 0]
    row, p = look(spots).iloc[0], 1 / 12
    assert row["colourfulness"] == pytest.approx(p)
    assert row["contrast"] == pytest.approx(math.sqrt(p * (1 - p) * (1 + 0.36) / 3))
    assert row["skewness"] == pytest.approx((1 - 2 * p) / math.sqrt(p * (1 - p)))
    assert look(1 - spots)["skewness"][0] == pytest.approx(-row["skewness"])


def test_look_of_two_waves():
    """Of 8 and 24 waves of one height: mean 16, deviation 8."""
    row = look((wave(12.0) + wave(4.0)) / 2).iloc[0]
    # The window widens both.
    assert row["waves per pixel"] == pytest.approx(16 / 96, rel=0.02)
    assert row["spread of waves"] == pytest.approx(0.5, rel=0.02)


def test_elongation_of_rows_and_of_one_pixel():
    """A row of n squares is n long and 1 wide; of one square both axes are alike."""
    for n in (1, 2, 7):
        assert elongation(np.zeros(n), np.arange(n)) == pytest.approx(n)


def test_in_plane_colours_are_read_back():
    angle = torch.linspace(-3.1, 3.1, 200)
    spins = 0.7 * torch.stack((angle.cos(), angle.sin(), 0 * angle))[None, :, None]
    x, y = in_plane_vectors(in_plane(spins))
    assert (torch.atan2(y, x)[0, 0] - angle).abs().max() < math.radians(1.2)  # see the function
    torch.testing.assert_close(torch.hypot(x, y)[0, 0], torch.full((200,), 0.7).double())


SIZE, PERIOD = 96, 24.0


def film_with(centres, kind: str = "bulk") -> torch.Tensor:
    return textures.skyrmions((SIZE, SIZE), centres, 10.0, kind=kind)


@pytest.mark.parametrize("kind", ["bulk", "interfacial"])
@pytest.mark.parametrize(
    "contrast",
    # All that can be estimated from: `estimate` counts skyrmions in its last step.
    [Microscope(name, **SETTINGS_OF.get(name, {})) for name in CHANNELS],
    ids=lambda microscope: microscope.contrast,
)
def test_skyrmions_are_counted(contrast, kind):
    if (contrast.contrast, kind) == ("lorentz_defocus", "interfacial"):
        return  # has no curl, and so no picture
    centres = [(20.0, 20.0), (50.0, 22.0), (76.0, 30.0), (34.0, 60.0), (70.0, 70.0)]
    film = film_with(centres, kind)
    if (contrast.contrast, kind) == ("magnetic_force", "interfacial"):
        film[:, :2] *= -1  # above those of D > 0, charges of cores and walls nearly cancel
    pictures, shown = contrast(film), contrast.contrast
    if shown == "component":
        angles = [(contrast.polar,) * 2, (contrast.azimuth,) * 2]
        pictures, shown = perpendicular_from_component(pictures, *angles, kind), "perpendicular"
    assert core_map(pictures, shown).shape == (1, SIZE, SIZE)
    found = skyrmions(pictures, shown, PERIOD)
    assert found.tolist() == [pytest.approx(5 / (SIZE - 1) ** 2)]


def test_noise_of_fine_pixels_does_not_turn_cores_over():
    centres = [(20.0, 20.0), (50.0, 22.0), (76.0, 30.0), (34.0, 60.0), (70.0, 70.0)]
    fine = 4  # pixels per cell: across one pixel the texture hardly changes, and the noise does
    shape = (fine * SIZE, fine * SIZE)
    see = Microscope("in_plane", pixel_size=1 / fine, shape=shape, readout=0.2)
    pictures = torch.cat([see(film_with(centres), 1.0, seed=seed) for seed in range(3)]).clamp(0, 1)
    found = skyrmions(pictures, "in_plane", fine * PERIOD)
    assert found == pytest.approx(np.full(3, 5 / (shape[0] - 1) ** 2))


def test_cores_seen_along_the_plane_are_counted_once():
    """Bright on one side and dark on the other, wherever the light comes from."""
    film = film_with([(20.0, 20.0), (50.0, 22.0), (76.0, 30.0), (34.0, 60.0), (70.0, 70.0)])
    for azimuth in (0.0, 30.0, 90.0, 200.0):
        seen = Microscope("component", polar=90.0, azimuth=azimuth, readout=0.1)(film, seed=1)
        upright = perpendicular_from_component(seen, (90, 90), (azimuth - 10, azimuth + 10), "bulk")
        found = skyrmions(upright, "perpendicular", PERIOD)
        assert found.tolist() == [pytest.approx(5 / (SIZE - 1) ** 2)]


def test_stripes_are_no_skyrmions():
    pictures = Microscope("colour")(textures.helix((SIZE, SIZE), (4, 0), kind="bulk"))
    assert skyrmions(pictures, "colour", PERIOD).tolist() == [0.0]


def test_regions_larger_than_half_a_square_of_the_period_are_no_skyrmions():
    for radius, count in ((8, 1), (11, 0)):  # π 8² < 24² / 2 < π 11²
        picture = (1 - discs(SIZE, radius, [(48, 48)]))[None] / 2
        found = skyrmions(picture, "perpendicular", PERIOD)
        assert found * (SIZE - 1) ** 2 == pytest.approx(count)


def test_field_downwards_turns_cores_over():
    spins = film_with([(30.0, 30.0), (66.0, 60.0)]) * torch.tensor([1.0, 1.0, -1.0])[:, None, None]
    pictures = Microscope("colour")(spins)
    assert skyrmions(pictures, "colour", PERIOD, field=-0.1)[0] == pytest.approx(
        2 / (SIZE - 1) ** 2
    )


def test_unknown_contrast_is_refused():
    with pytest.raises(ValueError, match="'vector' contrast"):
        core_map(torch.zeros(1, 3, 4, 4), "vector")


def test_density_of_skyrmions_does_not_depend_on_the_edges():
    """Discs on a disturbed square lattice, seen through windows anywhere on it: one per 20² pixels.

    Each disc has a lowest and a leftmost pixel, and counts where both lie within the picture.
    """
    chance = np.random.default_rng(1)
    size, spacing = 60, 20.0
    y, x = np.mgrid[:size, :size]
    places = np.stack(np.meshgrid(*2 * [np.arange(-2, 6)]), -1).reshape(-1, 2)
    pictures = []
    for _ in range(200):
        centres = spacing * (places + chance.random(2)) + chance.uniform(-3, 3, places.shape)
        near = np.min([np.hypot(y - a, x - b) for a, b in centres], 0)
        pictures.append(0.5 + 0.5 * np.tanh(near - 5.5))
    pictures = torch.tensor(np.array(pictures))[:, None]
    found = skyrmions(pictures, "perpendicular", spacing) * spacing**2
    # The mean is known to 1 %. Of discs at the two edges slivers are left that smoothing wipes out:
    # 1.5 pixels of 60 at each, 5 %. Discs in the corner between them do not count: they cover it
    # with a chance of .24, and there are nine, 2.6 %. Asking all to be round would cost 18 %.
    assert found.mean() == pytest.approx(1 - 0.076, abs=0.03)


def test_stripes_across_a_corner_are_no_skyrmions():
    """Helices in all directions: an edge cuts them to something long, a corner does not."""
    chance = np.random.default_rng(1)
    y, x = np.mgrid[:128, :128] * 2 * np.pi / 24
    turns, phases = chance.uniform(0, 2 * np.pi, (2, 100))
    pictures = [
        np.sin(x * np.cos(t) + y * np.sin(t) + p) for t, p in zip(turns, phases, strict=True)
    ]
    found = skyrmions(torch.tensor(np.array(pictures))[:, None], "perpendicular", 24.0)
    assert not found.any()
