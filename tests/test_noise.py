"""Noise against the laws it follows."""

import math

import numpy as np
import pytest
import torch
from conftest import random_spins
from scipy import stats

from spinlib.noise import drift, gaussian_noise, poisson_noise, vector_noise


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
