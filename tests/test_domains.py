"""Periods, walls and textures are measured on textures whose numbers are known."""

import numpy as np
import pytest
import torch
from conftest import discs

from spinlib import domains, textures
from spinlib.noise import vector_noise


def film(m_z: np.ndarray) -> torch.Tensor:
    """Unit vectors (1, 3, height, width) with this m_z, the rest along x."""
    z = torch.as_tensor(m_z, dtype=torch.float32)
    return torch.stack((torch.sqrt(1 - z**2), torch.zeros_like(z), z))[None]


def grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:height, :width]
    return x.astype(float), y.astype(float)


# --- period ---


@pytest.mark.parametrize(("periods", "expected"), [((4, 0), 16), ((0, 5), 12.8), ((3, 4), 12.8)])
def test_the_period_of_a_helix(periods, expected):
    found = domains.stripe_period(textures.helix((64, 64), periods))
    assert found == pytest.approx([expected], rel=1e-6)


def test_sharp_stripes_have_the_period_of_their_fundamental():
    x, _ = grid(64, 96)
    stripes = film(np.where((x // 6) % 2, -1.0, 1.0))  # 12 sites; a third of the power in harmonics
    assert domains.stripe_period(stripes) == pytest.approx([12], rel=1e-6)


def test_noise_does_not_move_the_period():
    clean = textures.helix((64, 64), (4, 2)).expand(8, -1, -1, -1)
    noisy = vector_noise(clean, 1.0, seed=1)
    # 4096 sites of noise 0.6 about a wave of 0.6: the ring's centre moves by about half a percent
    # in one film. In the mean of eight, noise that is not subtracted would show with 0.3 %.
    found, expected = domains.stripe_period(noisy), domains.stripe_period(clean)
    assert found == pytest.approx(expected, rel=0.02)
    assert found.mean() == pytest.approx(expected.mean(), rel=1e-3)


@pytest.mark.parametrize("period", [9.3, 14.0, 21.7])
def test_the_period_in_a_crop_with_open_edges(period):
    x, y = grid(100, 100)
    phase = 2 * np.pi * (0.8 * x + 0.6 * y) / period + 0.7
    found = domains.stripe_period(film(np.sin(phase)), "open")
    # The window spreads a line over neighbouring modes, evenly in k: 1 % for five periods or more.
    assert found == pytest.approx([period], rel=0.01)


@pytest.mark.parametrize("shape", [(1, 64), (64, 1), (2, 64)])
def test_the_period_along_a_single_row(shape):
    wave = torch.sin(2 * torch.pi * torch.arange(64.0) / 16).expand(2, 64)
    wave = wave[: shape[0]] if shape[1] > 1 else wave[:1].T
    spins = torch.stack((torch.sqrt(1 - 0.99 * wave**2), 0 * wave, 0.995 * wave))[None]
    assert domains.stripe_period(spins)[0] == pytest.approx(16)


def test_a_picture_without_domains_has_no_period():
    flat = torch.cat((textures.uniform((32, 32)), textures.uniform((32, 32), (1, 0.3, 0))))
    assert np.isnan(domains.stripe_period(flat)).all()
    assert np.isnan(domains.stripe_period(vector_noise(flat, 0.5))).all()


@pytest.mark.parametrize("boundary", ["periodic", "open"])
@pytest.mark.parametrize("side", [32, 64, 100])
def test_noise_has_no_period(side, boundary):
    # Its strongest wave alone exceeds the bound in one picture of a thousand (`_STANDS_OUT`), and
    # its variance must be off as well; without the bound 1 to 36 % of these pictures have a period.
    noise = textures.random((side, side), states=range(100), seed=9)
    assert np.isnan(domains.stripe_period(noise, boundary)).sum() >= 99


@pytest.mark.parametrize("side", [2, 64])
def test_the_shortest_period_is_two_sites(side):
    assert domains.stripe_period(textures.helix((side, side), (side // 2, 0))) == pytest.approx([2])


@pytest.mark.parametrize("boundary", ["periodic", "open"])
def test_the_power_of_a_helix_is_the_variance_of_its_m_z(boundary):
    helices = torch.cat([textures.helix((96, 96), n) for n in ((8, 0), (0, 12), (6, 6))])
    _, power = domains.structure_factor(helices, boundary)
    # cos² is 1/2 on average, and under a window in units of the window's own mean square; what is
    # seen as noise, and taken off, is next to nothing.
    assert power.sum((1, 2)) == pytest.approx(0.5, rel=1e-4)


# --- walls ---


@pytest.mark.parametrize("angle", [0, 20, 45, 77, 90])
@pytest.mark.parametrize("width", [1.5, 2.24, 4.0])
def test_the_width_of_a_straight_wall(angle, width):
    x, y = grid(80, 80)
    across = (x - 39.3) * np.cos(np.radians(angle)) + (y - 40.1) * np.sin(np.radians(angle))
    found = domains.wall(film(np.tanh(across / width))[0], boundary="open")
    # Cubic interpolation of a wall of 1.5 sites is good to 1 %, and better for wider ones. The
    # window of ±6 sites ends before the wall does, and the fit makes up for it.
    assert found.width == pytest.approx(width, rel=0.01)
    assert found.centre == pytest.approx(0, abs=0.05)
    assert found.amplitude == pytest.approx(1, abs=0.01)


def test_the_error_of_the_width_is_that_of_repeated_pictures():
    x, _ = grid(128, 128)
    clean = film(np.tanh((x - 63.6) / 2.5)).expand(12, -1, -1, -1)
    noisy = vector_noise(clean, 0.5, seed=3)
    fits = [domains.wall(picture, boundary="open") for picture in noisy]
    widths = np.array([fit.width for fit in fits])
    claimed = np.mean([fit.width_error for fit in fits])
    # Twelve pictures know their spread to 20 %, eight pieces of wall theirs to 25 %.
    assert 0.5 < widths.std(ddof=1) / claimed < 2
    # Noise blurs the position from which a profile is measured: a bias, smaller than 5 %.
    assert widths.mean() == pytest.approx(2.5, rel=0.05)
    assert all(fit.amplitude < 0.99 for fit in fits)  # and it shortens m_z


def test_both_walls_of_a_periodic_stripe_count_once_each():
    x, _ = grid(40, 64)
    m_z = np.tanh((x - 16.25) / 2) - np.tanh((x - 48.25) / 2) - 1
    found = domains.wall(film(m_z)[0])
    assert found.crossings == 2 * 40
    assert found.width == pytest.approx(2, rel=0.01)
    assert (np.diff(found.profile) > 0).all()  # from black to white whichever side white is on


def test_walls_that_are_too_close_are_refused():
    with pytest.raises(ValueError, match="0 places where a wall stands alone for 6 sites"):
        domains.wall(textures.helix((64, 64), (8, 0))[0])


# --- texture ---


def test_texture_numbers_of_known_textures():
    both = torch.cat((textures.uniform((40, 40), (0, 0, 1)), textures.helix((40, 40), (4, 0))))
    found = domains.texture(both, "periodic")
    assert found["vector length"].tolist() == pytest.approx([1, 1])
    assert found["net m_z"].tolist() == pytest.approx([1, 0], abs=1e-6)
    assert found["waves per site"].tolist() == pytest.approx([0, 0.1])
    # A helix turns by 36° along x and not at all along y.
    expected = (np.cos(np.radians(36)) + 1) / 2
    assert found["alignment"].tolist() == pytest.approx([1, expected], abs=1e-6)
    assert found["out of plane"].tolist() == pytest.approx([1, 0.64], abs=0.02)  # about 2/π


def test_texture_of_black_and_white_and_of_lengths():
    both = torch.cat((textures.uniform((40, 40), (0, 0, -1)), textures.uniform((40, 40))))
    assert domains.texture(both)["net m_z"].tolist() == [1, 1]
    both[:, :, ::4] *= 1.2
    found = domains.texture(0.5 * both)
    # A quarter of the vectors is a fifth longer than the median, whatever the unit.
    assert found["length spread"].tolist() == pytest.approx([0.05, 0.05])


def test_strange_pictures_are_told_by_what_is_strange():
    known = torch.cat([textures.helix((64, 64), (n, m)) for n in (3, 4, 5) for m in (0, 1, 2)])
    known = domains.texture(vector_noise(known, torch.linspace(0, 1, 9), seed=1))

    def said(picture: torch.Tensor) -> str:
        return " ".join(domains.strangeness(domains.texture(picture), known))

    usual = vector_noise(textures.helix((64, 64), (4, 1)), 0.4, seed=2)
    assert said(usual) == ""
    assert "vector length is 0.5" in said(0.5 * usual)
    assert "waves per site is 0.2" in said(vector_noise(textures.helix((64, 64), (13, 0)), 0.4))
    assert "alignment" in said(textures.random((64, 64), seed=1))
    assert "net m_z is 1" in said(textures.uniform((64, 64)))


# --- units ---


def test_the_dipolar_energy_of_the_papers_film():
    layers = ((2, 1.7), (6, 0.6))
    found = domains.dipolar_energy(layers, 2.49e-10)
    # The paper's own units: (emu)² / cm³ is an erg, 1 meV = 1.602176634e-15 erg.
    expected = ((2 * 1.7 + 6 * 0.6) * 9.274e-21) ** 2 / (2.49e-8) ** 3 / 1.602176634e-15
    assert found == pytest.approx(expected, rel=1e-4)
    assert found == pytest.approx(0.171, abs=0.001)  # printed


def test_the_period_of_one_picture_wants_a_batch():
    with pytest.raises(ValueError, match=r"a batch of one, spins\[None\]"):
        domains.stripe_period(textures.uniform((16, 16))[0])


def test_wall_width_of_the_paper():
    assert domains.wall_width_nm(2.238, 25) == pytest.approx(175.8, abs=0.05)


def test_domain_size_of_stripes_and_discs():
    """Discs have walls in all directions: area / (number × circumference)."""
    size, radius = 256, 20
    centres = [(40, 50), (130, 90), (60, 180), (200, 200), (190, 40)]
    found = domains.domain_size(discs(size, radius, centres), 4.0)[0]
    expected = 4.0 * size**2 / (len(centres) * 2 * np.pi * radius)
    assert found == pytest.approx(expected, rel=0.02)  # pixels round the radius by 1 %
    stripes = torch.where(torch.arange(256) % 32 < 16, 1.0, -1.0).expand(1, 256, 256)
    # All walls along y: 1/16 per cell of x, none along y, so 4/π of the width, 16 cells.
    assert domains.domain_size(stripes, 4.0)[0] == pytest.approx(4 / np.pi * 64)


@pytest.mark.parametrize("size", [(16, 128), (128, 16), (16, 96), (48, 96)])
def test_the_period_in_a_picture_narrower_than_it(size):
    waves = (2, 0) if size[1] > size[0] else (0, 2)
    found = domains.stripe_period(textures.helix(size, waves))
    assert found == pytest.approx([max(size) / 2], rel=1e-6)


@pytest.mark.parametrize("shift", [0.0, 0.25])
def test_walls_whose_middle_is_on_a_site(shift):
    x = torch.arange(96.0).expand(48, 96) + shift
    m_z = torch.tanh((x - 24) / 3) * torch.tanh((72 - x) / 3)
    found = domains.wall(film(m_z)[0])
    assert found.width == pytest.approx(3, rel=0.01)


def test_what_has_no_answer_is_refused():
    spins = textures.helix((32, 64), (4, 0))
    for ask, sentence in (
        (lambda: domains.stripe_period(spins, "Open"), "periodic or open, not 'Open'"),
        (lambda: domains.wall(spins[0], boundary="Open"), "periodic or open, not 'Open'"),
        (lambda: domains.wall(spins), r"\(3, height, width\), got \(1, 3, 32, 64\)"),
        (lambda: domains.wall(spins[0], reach=0), "at least 2 sites, not 0"),
        (lambda: domains.domain_size(spins), r"\(batch, height, width\), got"),
    ):
        with pytest.raises(ValueError, match=sentence):
            ask()
    assert np.isinf(domains.domain_size(torch.ones(1, 8, 8))).all()
