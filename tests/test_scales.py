"""Training on many magnifications, scoring and reading pictures."""

import numpy as np
import pytest
import torch
from conftest import discs
from PIL import Image

from spinlib import cutting, scales, textures
from spinlib.cutting import Cuts, Films
from spinlib.networks.scale_cnn import ScaleCNN
from spinlib.ovf import write_ovf
from spinlib.pictures import PictureError
from spinlib.training import seeded


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


def test_a_training_takes_all_sixteen_copies_in_as_many_looks_as_it_is_told():
    picture = torch.rand((1, 1, 64, 64), generator=torch.Generator().manual_seed(1))
    copies = scales.turned(picture.repeat(16, 1, 1, 1), (torch.arange(16) + 0.5) / 16)
    training, validation = (
        Cuts(picture.repeat(n, 1, 1, 1), torch.full((n,), 256.0), torch.zeros(n).long())
        for n in (100, 2)
    )
    seen = []
    with seeded(1):
        network = ScaleCNN(64)
    network.register_forward_pre_hook(
        lambda module, inputs: seen.extend(inputs[0]) if module.training else None
    )
    scales.train(network, training, validation, torch.tensor([0.5]), looks=300, seed=1)
    assert len(seen) == 300
    # One of 16 is missing in 300 draws with a chance of 6e-8.
    assert {p.numpy().tobytes() for p in seen} == {p.numpy().tobytes() for p in copies}


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
    # In whatever unit, and whatever is added to both.
    for unit, added in ((1e-12, 0.0), (1e-3, 1e4)):
        other = scales.score(unit * truth + added, unit * (truth + error) + added, films)
        assert other.r2 == pytest.approx(found.r2, rel=1e-6)
        assert other.mae == pytest.approx(unit * found.mae, rel=1e-6)
    expected = np.abs(error[::4]).std() / 20
    assert found.mae_error == pytest.approx(expected, rel=0.15)  # 400 draws know it to 4 %


def test_the_error_of_r2_is_that_of_repeated_films():
    chance = np.random.default_rng(3)
    found = []
    for seed in range(100):
        truth = chance.random(100)
        guess = truth + 0.15 * chance.normal(size=100)
        found.append(scales.score(truth, guess, np.arange(100), seed=seed))
    # 100 repetitions know their spread to 7 %; four times that.
    spread = np.std([each.r2 for each in found])
    assert np.mean([each.r2_error for each in found]) == pytest.approx(spread, rel=0.28)


def test_a_weight_counts_a_cut_so_many_times():
    generator = np.random.default_rng(2)
    truth, found = generator.random((2, 60))
    films, weights = np.arange(60) // 3, np.arange(60) % 3 + 1
    weighted = scales.score(truth, found, films, weights)
    often = scales.score(*(np.repeat(each, weights) for each in (truth, found, films)))
    # The same sums in another order; the common size of the weights cancels.
    for other in (often, scales.score(truth, found, films, weights / 1000)):
        assert weighted.r2 == pytest.approx(other.r2) and weighted.mae == pytest.approx(other.mae)
        assert weighted.draws == pytest.approx(other.draws)


def test_mismatch_and_the_width_of_a_curve():
    assert scales.mismatch(750, [500, 1000]) == pytest.approx(np.log2(4 / 3))
    assert scales.mismatch(500, [500, 1000]) == 0
    octaves = np.array([0.0, 1.0, 2.0])
    assert scales.half_width(octaves, np.array([0.8, 0.6, -0.2])) == pytest.approx(1.25)
    assert scales.half_width(octaves, np.array([0.8, 0.7, 0.5])) == 2.0


def test_a_network_learns_stripes_at_one_scale_and_is_wrong_at_another():
    """The study in a nutshell: the width in pixels is what a network without scale can read."""
    wide = 6 + 10 * torch.rand(64, generator=torch.Generator().manual_seed(3))
    x = torch.arange(128.0)
    shift = 40 * torch.arange(64)[:, None]
    stripes = torch.sin(torch.pi * (x + shift) / wide[:, None]).sign()[:, None].repeat(1, 128, 1)
    films, targets = Films(stripes, torch.arange(len(stripes)), 4.0), (wide - 6) / 10
    train, test = films.take(np.arange(48)), films.take(np.arange(48, 64))
    with seeded(1):
        network = ScaleCNN(64, views=(256, 512))
    scales.train(
        network,
        cutting.cut(train, [64], 64),
        cutting.cut(test, [64], 64),
        targets,
        looks=2000,
        seed=1,
        batch_size=32,
    )
    found = {}
    for side in (64, 128):
        cuts = cutting.cut(test, [side], 64)
        guess = scales.estimate(network, cuts)
        found[side] = scales.score(targets[cuts.films].numpy(), guess, cuts.films.numpy()).r2
    assert found[64] > 0.6 and found[128] < 0.3


def test_other_cuts_or_targets_do_not_find_a_checkpoint(tmp_path):
    generator = torch.Generator().manual_seed(3)
    shown, films = torch.rand(6, 1, 64, 64, generator=generator), torch.arange(6)
    for pictures, targets in ((shown, films / 6), (-shown, films / 6), (shown, 1 - films / 6)):
        cuts = Cuts(pictures, torch.full((6,), 256.0), films)
        for _ in range(2):
            with seeded(1):
                network = ScaleCNN(64)
            scales.train(network, cuts, cuts, targets, looks=6, seed=1, folder=tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) == 3
    for views in ((500, 2000), (100, 9000)):  # which change nothing but what the network is told
        with seeded(1):
            network = ScaleCNN(64, knows_view=True, views=views)
        scales.train(network, cuts, cuts, targets, looks=6, seed=1, folder=tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) == 5


def test_a_picture_is_read_at_its_scale_or_refused_in_a_sentence(tmp_path):
    with seeded(1):
        network = ScaleCNN(64, knows_view=True, views=(256, 1024))
    m_z = discs(96, 20, [(30, 40), (70, 70)])
    path = tmp_path / "film.png"
    # Files store the top row first.
    rows = ((m_z[0].flip(0) + 1) * 127.5).byte().numpy()
    Image.fromarray(rows).save(path)
    square, view, doubts = scales.read_square(path, network.views, pixel_size_nm=5.0)
    assert doubts == []
    found, seen = scales.estimate_picture(network, square, view)
    assert view == pytest.approx(480)
    cuts = cutting.cut(Films(m_z, torch.zeros(1, dtype=torch.long), 5.0), [96], 64)
    assert torch.allclose(seen, cuts.pictures[0].float(), atol=1e-3)  # half precision
    same = Cuts(seen[None], torch.tensor([480.0]), torch.zeros(1, dtype=torch.long))
    assert found == pytest.approx(scales.estimate(network, same)[0], abs=1e-6)
    again, same, _ = scales.read_square(path, network.views, field_of_view_nm=480.0)
    assert torch.equal(again, square) and same == pytest.approx(view)
    Image.fromarray(np.hstack((rows[:, -10:], rows, rows[:, :10]))).save(tmp_path / "wide.png")
    middle, *_ = scales.read_square(tmp_path / "wide.png", network.views, pixel_size_nm=5.0)
    assert torch.equal(middle, square)
    for wrong, sentence in (
        ({"pixel_size_nm": 50.0}, "shows 4800 nm, .* from 256 to 1024 nm"),
        ({"field_of_view_nm": 100.0}, "from 256 to 1024 nm"),
        ({}, "how large its pixels are"),
        ({"pixel_size_nm": -5.0}, "give a positive number"),
        ({"pixel_size_nm": 5.0, "field_of_view_nm": 480.0}, "give one of them"),
    ):
        with pytest.raises(PictureError, match=sentence):
            scales.read_square(path, network.views, **wrong)
    Image.fromarray(rows[:31]).save(tmp_path / "few.png")
    with pytest.raises(PictureError, match=r"few\.png has 31 pixels across, too few"):
        scales.read_square(tmp_path / "few.png", network.views, field_of_view_nm=480.0)


def test_a_file_of_vectors_and_what_it_says_of_its_cells(tmp_path):
    spins = textures.random((40, 50), states=[1])[0]
    write_ovf(tmp_path / "film.ovf", spins, 8e-9)
    own = scales.read_square(tmp_path / "film.ovf", (256, 1024))
    assert own.view == pytest.approx(320) and own.doubts == []
    middle = spins[2:, :, 5:45]
    assert torch.corrcoef(torch.stack((own.pixels.flatten(), middle.flatten())))[0, 1] > 0.999
    for given in ({"pixel_size_nm": 10.0}, {"field_of_view_nm": 400.0}):
        other = scales.read_square(tmp_path / "film.ovf", (256, 1024), **given)
        assert other.view == pytest.approx(400)
        assert "a pixel is 8 nm, the request says 10 nm" in other.doubts[0]
