"""Cutting films into pictures of many magnifications, and dealing them out."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from spinlib.cutting import Films, cut, cut_anywhere, split_films
from spinlib.kernels import random_uniform
from spinlib.optics import resample


def films_of(m_z, cell=4.0):
    return Films(m_z, torch.arange(len(m_z)), cell)


def test_no_cut_of_a_test_film_is_ever_trained_on():
    """Every film carries its index as its picture, so that a leak would show in the pixels."""
    count = 60
    marked = (torch.arange(count) / 64.0)[:, None, None].expand(count, 64, 64)
    parts = split_films(pd.DataFrame(index=range(count)), seed=5)
    assert sorted(np.concatenate(parts)) == list(range(count))
    assert [len(part) for part in parts] == [43, 5, 12]
    seen = []
    for part in parts:
        own = films_of(marked).take(part)
        fixed = cut(own, (16, 24, 64), 64)
        anywhere = cut_anywhere(own, 16, 64, 3, 64, seed=1)
        for cuts in (fixed, anywhere):
            # The mean of a uniform picture is its film's mark, to half precision.
            marks = (cuts.pictures.float().mean((1, 2, 3)) * 64).round().long()
            assert torch.equal(marks, cuts.films)
        seen.append({*fixed.films.tolist(), *anywhere.films.tolist()})
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]


def test_cuts_tile_the_film_without_overlap_and_keep_its_mean():
    m_z = torch.rand((2, 128, 128), generator=torch.Generator().manual_seed(1))
    for side, count in ((32, 16), (64, 4), (96, 1), (128, 1)):
        cuts = cut(films_of(m_z), [side], 64)
        assert cuts.pictures.shape == (2 * count, 1, 64, 64)
        assert (cuts.views == 4.0 * side).all()
        whole = m_z[:, :side, :side] if count == 1 else m_z
        means = torch.stack([cuts.pictures[cuts.films == film].float().mean() for film in (0, 1)])
        # Half precision rounds each pixel by up to 2.4e-4; the mean of 4096 much less.
        assert torch.allclose(means, whole.mean((1, 2)), atol=2e-5)


def test_averaging_is_the_mean_over_whole_cells():
    m_z = torch.arange(128.0 * 128).reshape(1, 128, 128) / 128**2
    (picture,) = cut(films_of(m_z), [128], 64).pictures[:, 0].float()
    expected = m_z.reshape(64, 2, 64, 2).mean((1, 3))
    assert torch.allclose(picture, expected, atol=5e-4)  # half precision below 1


@pytest.mark.parametrize("side", [0, 129])
def test_a_cut_that_does_not_fit_is_refused(side):
    with pytest.raises(ValueError, match="from 1 to 128"):
        cut(films_of(torch.zeros(1, 128, 128)), [side], 64)


def test_large_cuts_are_taken_again_from_the_shifted_film():
    """A shift changes the phases of a film's Fourier transform and nothing else."""
    film = films_of(torch.rand(2, 64, 64, generator=torch.Generator().manual_seed(2)))
    cuts = cut(film, [64, 32], 64, per_film=3, seed=1)
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
    again = cut(film.take(np.array([1])), [64], 64, per_film=3, seed=1)
    assert torch.equal(again.pictures, cuts.pictures[whole & (cuts.films == 1)])


def test_cuts_anywhere_have_the_sides_they_say():
    """A wave along x of known period: the picture holds side/period of it, wherever it lies."""
    period, size = 8.0, 128
    wave = torch.cos(2 * torch.pi * torch.arange(size) / period).expand(1, size, size)
    cuts = cut_anywhere(films_of(wave, cell=1.0), 32, 128, 40, 64, seed=3)
    assert cuts.views.min() >= 32 and cuts.views.max() <= 128
    row = cuts.pictures[:, 0].float().mean(1).numpy()
    for view, profile in zip(cuts.views.tolist(), row, strict=True):
        waves = view / period
        phase = 2j * np.pi * waves * np.arange(64) / 64
        matched = abs(np.vdot(np.exp(phase), profile)) / np.abs(profile).sum()
        assert matched > 0.7  # π/4 for a sine; 5 % off in the side dephases it and halves this


def test_cuts_anywhere_are_as_many_in_every_octave():
    film = films_of(torch.zeros(2, 128, 128))
    cuts = cut_anywhere(film, 32, 128, 400, 4, seed=3)
    shares = (cuts.views / 4 / 32).log2() / 2  # of two octaves
    # The mean of 800 uniform numbers to four standard errors. Uniform sides would have 0.61.
    assert shares.mean() == pytest.approx(0.5, abs=4 / math.sqrt(12 * 800))
    again = cut_anywhere(film.take(np.array([1])), 32, 128, 400, 4, seed=3)
    assert torch.equal(again.views, cuts.views[400:])


def test_cuts_anywhere_are_what_the_microscope_sees_of_the_shifted_film():
    m_z = torch.rand((2, 48, 48), generator=torch.Generator().manual_seed(4))
    cuts = cut_anywhere(films_of(m_z, cell=1.0), 9.5, 48, 5, 16, seed=6)
    draw = random_uniform((5, 3), seed=6, states=range(2), purpose="cuts").double()
    for number, (picture, view) in enumerate(zip(cuts.pictures[:, 0], cuts.views, strict=True)):
        film, place = divmod(number, 5)
        row, column = (int(share * 48) for share in draw[film, place, 1:])
        moved = m_z[film].roll((row, column), (0, 1))
        # Half precision of numbers below one.
        expected = resample(moved, (16, 16), float(view) / 16)
        assert torch.allclose(picture.float(), expected, atol=6e-4)
