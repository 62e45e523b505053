"""Cutting, dealing out, scoring and reading pictures of many magnifications."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from spinlib import scales
from spinlib.kernels import random_uniform
from spinlib.microscope import resample
from spinlib.networks.scale_cnn import ScaleCNN
from spinlib.pictures import PictureError
from spinlib.scales import Films
from spinlib.training import seeded


def films_of(m_z, cell=4.0):
    return Films(m_z, torch.arange(len(m_z)), cell)


def discs(size, radius, centres):
    """White discs in black, (1, size, size), periodic."""
    y, x = np.mgrid[:size, :size] + 0.5
    white = np.zeros((size, size), bool)
    for cy, cx in centres:
        dy, dx = (y - cy + size / 2) % size - size / 2, (x - cx + size / 2) % size - size / 2
        white |= dy**2 + dx**2 < radius**2
    return torch.from_numpy(2.0 * white - 1.0)[None]


def test_no_cut_of_a_test_film_is_ever_trained_on():
    """Every film carries its index as its picture, so that a leak would show in the pixels."""
    count = 60
    marked = (torch.arange(count) / 64.0)[:, None, None].expand(count, 64, 64)
    parts = scales.split_films(pd.DataFrame(index=range(count)), seed=5)
    assert sorted(np.concatenate(parts)) == list(range(count))
    assert [len(part) for part in parts] == [43, 5, 12]
    seen = []
    for part in parts:
        own = films_of(marked).take(part)
        fixed = scales.cut(own, (16, 24, 64), 64)
        anywhere = scales.cut_anywhere(own, 16, 64, 3, 64, seed=1)
        for cuts in (fixed, anywhere):
            # The mean of a uniform picture is its film's mark, to half precision.
            marks = (cuts.pictures.float().mean((1, 2, 3)) * 64).round().long()
            assert torch.equal(marks, cuts.films)
        seen.append({*fixed.films.tolist(), *anywhere.films.tolist()})
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]


def test_cuts_tile_the_film_without_overlap_and_keep_its_mean():
    m_z = torch.rand((2, 128, 128), generator=torch.Generator().manual_seed(1))
    for side, count in ((32, 16), (64, 4), (96, 1), (128, 1)):
        cuts = scales.cut(films_of(m_z), [side], 64)
        assert cuts.pictures.shape == (2 * count, 1, 64, 64)
        assert (cuts.views == 4.0 * side).all()
        whole = m_z[:, :side, :side] if count == 1 else m_z
        means = torch.stack([cuts.pictures[cuts.films == film].float().mean() for film in (0, 1)])
        # Half precision rounds each pixel by up to 2.4e-4; the mean of 4096 much less.
        assert torch.allclose(means, whole.mean((1, 2)), atol=2e-5)


def test_averaging_is_the_mean_over_whole_cells():
    m_z = torch.arange(128.0 * 128).reshape(1, 128, 128) / 128**2
    (picture,) = scales.cut(films_of(m_z), [128], 64).pictures[:, 0].float()
    expected = m_z.reshape(64, 2, 64, 2).mean((1, 3))
    assert torch.allclose(picture, expected, atol=5e-4)  # half precision below 1


@pytest.mark.parametrize("side", [0, 129])
def test_a_cut_that_does_not_fit_is_refused(side):
    with pytest.raises(ValueError, match="from 1 to 128"):
        scales.cut(films_of(torch.zeros(1, 128, 128)), [side], 64)


def test_cuts_anywhere_have_the_sides_they_say():
    """A wave along x of known period: the picture holds side/period of it, wherever it lies."""
    period, size = 8.0, 128
    wave = torch.cos(2 * torch.pi * torch.arange(size) / period).expand(1, size, size)
    cuts = scales.cut_anywhere(films_of(wave, cell=1.0), 32, 128, 40, 64, seed=3)
    assert cuts.views.min() >= 32 and cuts.views.max() <= 128
    # Uniform in the logarithm: half of them below the geometric mean, 20 ± 3.2 of 40.
    assert 10 <= int((cuts.views < 64).sum()) <= 30
    row = cuts.pictures[:, 0].float().mean(1).numpy()
    for view, profile in zip(cuts.views.tolist(), row, strict=True):
        waves = view / period
        phase = 2j * np.pi * waves * np.arange(64) / 64
        matched = abs(np.vdot(np.exp(phase), profile)) / np.abs(profile).sum()
        assert matched > 0.7  # π/4 for a sine; 5 % off in the side dephases it and halves this


def test_cuts_anywhere_are_what_the_microscope_sees_of_the_shifted_film():
    m_z = torch.rand((2, 48, 48), generator=torch.Generator().manual_seed(4))
    cuts = scales.cut_anywhere(films_of(m_z, cell=1.0), 9.5, 48, 5, 16, seed=6)
    draw = random_uniform((5, 3), seed=6, states=range(2), purpose="cuts").double()
    for number, (picture, view) in enumerate(zip(cuts.pictures[:, 0], cuts.views, strict=True)):
        film, place = divmod(number, 5)
        row, column = (int(share * 48) for share in draw[film, place, 1:])
        moved = m_z[film].roll((row, column), (0, 1))
        # Half precision of numbers below one.
        expected = resample(moved, (16, 16), float(view) / 16)
        assert torch.allclose(picture.float(), expected, atol=6e-4)


def test_turned_copies_are_the_sixteen_symmetries():
    picture = torch.rand((1, 1, 5, 5), generator=torch.Generator().manual_seed(2))
    random = (torch.arange(16) + 0.5) / 16
    copies = scales.turned(picture.repeat(16, 1, 1, 1), random)
    array, expected = picture[0, 0].numpy(), set()
    for turns in range(4):
        for flipped in (False, True):
            copy = np.rot90(array, turns)
            copy = copy[:, ::-1] if flipped else copy
            expected |= {copy.tobytes(), (-copy).tobytes()}
    assert {np.ascontiguousarray(copy[0].numpy()).tobytes() for copy in copies} == expected
    assert len(expected) == 16


def test_turned_copies_are_those_of_one_turn_after_the_other():
    generator = torch.Generator().manual_seed(2)
    pictures = torch.rand((64, 2, 6, 6), generator=generator)
    random = torch.rand(64, generator=generator)
    found = scales.turned(pictures, random)
    for picture, number, copy in zip(pictures, (random * 16).long().tolist(), found, strict=True):
        wanted = torch.rot90(picture, number // 4, dims=(-1, -2))
        wanted = wanted.flip(-1) if number // 2 % 2 else wanted
        assert torch.equal(copy, -wanted if number % 2 else wanted)
    with pytest.raises(ValueError, match="square pictures can be turned, these are 6×5"):
        scales.turned(pictures[..., :5], random)


def test_scores_of_estimates_whose_errors_are_known():
    generator = np.random.default_rng(1)
    truth = np.repeat(generator.random(400), 4)
    films = np.repeat(np.arange(400), 4)
    perfect = scales.score(truth, truth, films)
    assert perfect.r2 == pytest.approx(1) and perfect.mae == pytest.approx(0)
    constant = scales.score(truth, np.full_like(truth, truth.mean()), films)
    assert constant.r2 == pytest.approx(0, abs=1e-12)
    # One error per film: the standard error of the MAE is that of 400 films, not of 1600 cuts.
    error = np.repeat(generator.normal(0, 0.1, 400), 4)
    found = scales.score(truth, truth + error, films)
    assert found.r2 == pytest.approx(1 - (error**2).mean() / truth.var())
    assert found.mae == pytest.approx(np.abs(error).mean())
    expected = np.abs(error[::4]).std() / 20
    assert found.mae_error == pytest.approx(expected, rel=0.15)  # 400 draws know it to 4 %


def test_mismatch_and_the_width_of_a_curve():
    assert scales.mismatch(750, [500, 1000]) == pytest.approx(np.log2(4 / 3))
    assert scales.mismatch(500, [500, 1000]) == 0
    octaves = np.array([0.0, 1.0, 2.0])
    assert scales.half_width(octaves, np.array([0.8, 0.6, -0.2])) == pytest.approx(1.25)
    assert scales.half_width(octaves, np.array([0.8, 0.7, 0.5])) == 2.0


def test_large_cuts_are_taken_again_from_the_shifted_film():
    """A shift changes the phases of a film's Fourier transform and nothing else."""
    film = films_of(torch.rand(2, 64, 64, generator=torch.Generator().manual_seed(2)))
    cuts = scales.cut(film, [64, 32], 64, per_film=3, seed=1)
    whole = cuts.views == 64 * film.cell
    assert whole.sum() == 2 * 3 and (~whole).sum() == 2 * 4  # one tiling of four is enough
    assert torch.equal(torch.bincount(cuts.films), torch.tensor([7, 7]))
    for number in range(2):
        copies = cuts.pictures[whole & (cuts.films == number), 0].float()
        assert torch.equal(copies[0], film.m_z[number].half().float())
        assert all(not torch.equal(copies[a], copies[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
        spectra = torch.fft.fft2(copies).abs()
        # Float32 transforms of 4096 numbers, whose largest is 2000.
        assert torch.allclose(spectra, spectra[:1].expand_as(spectra), atol=0.01)
    again = scales.cut(film.take(np.array([1])), [64], 64, per_film=3, seed=1)
    assert torch.equal(again.pictures, cuts.pictures[whole & (cuts.films == 1)])


def test_domain_size_of_stripes_and_discs():
    """Discs have walls in all directions: area / (number × circumference)."""
    size, radius = 256, 20
    centres = [(40, 50), (130, 90), (60, 180), (200, 200), (190, 40)]
    found = scales.domain_size(films_of(discs(size, radius, centres)))[0]
    expected = 4.0 * size**2 / (len(centres) * 2 * np.pi * radius)
    assert found == pytest.approx(expected, rel=0.02)  # pixels round the radius by 1 %
    stripes = torch.where(torch.arange(256) % 32 < 16, 1.0, -1.0).expand(1, 256, 256)
    # All walls along y: 1/16 per cell of x, none along y, so 4/π of the width, 16 cells.
    assert scales.domain_size(films_of(stripes))[0] == pytest.approx(4 / np.pi * 64)


def test_a_network_learns_stripes_at_one_scale_and_is_wrong_at_another():
    """The study in a nutshell: the width in pixels is what a network without scale can read."""
    wide = 6 + 10 * torch.rand(64, generator=torch.Generator().manual_seed(3))
    x = torch.arange(128.0)
    shift = 40 * torch.arange(64)[:, None]
    stripes = torch.sin(torch.pi * (x + shift) / wide[:, None]).sign()[:, None].repeat(1, 128, 1)
    films, targets = films_of(stripes), (wide - 6) / 10
    train, test = films.take(np.arange(48)), films.take(np.arange(48, 64))
    with seeded(1):
        network = ScaleCNN(64, views=(256, 512))
    scales.train(
        network,
        scales.cut(train, [64], 64),
        scales.cut(test, [64], 64),
        targets,
        looks=2000,
        seed=1,
        batch_size=32,
    )
    found = {}
    for side in (64, 128):
        cuts = scales.cut(test, [side], 64)
        guess = scales.estimate(network, cuts)
        found[side] = scales.score(targets[cuts.films].numpy(), guess, cuts.films.numpy()).r2
    assert found[64] > 0.6 and found[128] < 0.3


def test_a_picture_is_read_at_its_scale_or_refused_in_a_sentence(tmp_path):
    with seeded(1):
        network = ScaleCNN(64, knows_view=True, views=(256, 1024))
    m_z = discs(96, 20, [(30, 40), (70, 70)])
    path = tmp_path / "film.png"
    # Files store the top row first.
    Image.fromarray(((m_z[0].flip(0) + 1) * 127.5).byte().numpy()).save(path)
    square, view = scales.read_square(path, network.views, pixel_size_nm=5.0)
    found, seen = scales.estimate_picture(network, square, view)
    assert view == pytest.approx(480)
    cuts = scales.cut(Films(m_z, torch.zeros(1, dtype=torch.long), 5.0), [96], 64)
    assert torch.allclose(seen, cuts.pictures[0].float(), atol=1e-3)  # half precision
    assert found == pytest.approx(scales.estimate(network, cuts)[0], abs=2e-3)
    again, same = scales.read_square(path, network.views, field_of_view_nm=480.0)
    assert torch.equal(again, square) and same == pytest.approx(view)
    for wrong, sentence in (
        ({"pixel_size_nm": 50.0}, "shows 4800 nm, .* from 256 to 1024 nm"),
        ({"field_of_view_nm": 100.0}, "from 256 to 1024 nm"),
        ({}, "how large its pixels are"),
        ({"pixel_size_nm": -5.0}, "give a positive number"),
        ({"pixel_size_nm": 5.0, "field_of_view_nm": 480.0}, "give one of them"),
    ):
        with pytest.raises(PictureError, match=sentence):
            scales.read_square(path, network.views, **wrong)
