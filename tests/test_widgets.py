"""The explorer: pure decoding, what its picture shows, and the shell around it."""

import io
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image

from spinlib import latent, textures, widgets
from spinlib.analysis import local_correlation
from spinlib.contrast import colour
from spinlib.hamiltonian import Hamiltonian
from spinlib.networks.evae import EVAE
from spinlib.training import seeded

HAMILTONIAN = Hamiltonian(dmi=0.3, zeeman=0.05, anisotropy=0.02, dmi_kind="bulk")


@pytest.fixture(scope="module")
def walk():
    """Two untrained models: what the explorer shows must be what they decode, whatever it is."""
    networks = {}
    for gamma in (0.0, 100.0):
        with seeded(int(gamma)):
            networks[gamma] = EVAE(32, latent=12)
    material = textures.random((32, 32), states=range(8))
    return widgets.make_walk(networks, material[:2], material, HAMILTONIAN, steps=3)


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def test_the_walk_goes_from_one_code_to_the_other(walk):
    leg = walk.legs[100.0]
    for position, end in ((-10_000, 0), (10_000, 1)):  # beyond the end it stays there
        torch.testing.assert_close(walk.code(100.0, position), leg.ends[end : end + 1])


@pytest.mark.parametrize(("peak", "middle"), [(0, 30), (40, 40), (100, 100), (200, 170)])
def test_the_sliders_walk_on_both_sides_of_the_barrier(walk, peak, middle):
    leg = replace(walk.legs[100.0], peak=peak)
    walk = replace(walk, legs={100.0: leg})
    for position in (-30, 0, 30):
        expected = torch.lerp(leg.ends[:1], leg.ends[1:], (middle + position) / 200)
        torch.testing.assert_close(walk.code(100.0, position), expected)


def test_offsets_move_the_informative_latents_and_nothing_else(walk):
    moved = walk.code(0.0, 3, (0.5, -1.0)) - walk.code(0.0, 3)
    expected = torch.zeros(1, 12)
    first, second, _ = walk.legs[0.0].directions
    expected[0, first], expected[0, second] = 0.5, -1.0
    torch.testing.assert_close(moved, expected)


@pytest.mark.parametrize("ask", [lambda w: w.decode(50), lambda w: widgets.film(w, [50])])
def test_a_model_that_is_not_there_is_refused_in_words(walk, ask):
    with pytest.raises(ValueError, match=r"no model for γ = 50; there are those of 0, 100\."):
        ask(walk)


def test_decoding_is_what_the_network_says(walk):
    for gamma, leg in walk.legs.items():
        expected = latent.decode(leg.network, walk.code(gamma, -4))
        assert torch.equal(walk.decode(gamma, -4), expected)


def test_the_picture_holds_the_colours_and_the_stability_of_the_state():
    spins = textures.random((16, 20), seed=4)
    picture = pixels(widgets.render(spins, HAMILTONIAN, zoom=3))
    assert picture.shape == (48, 3 * (20 + 2 + 20), 3)
    small = picture[::3, ::3]
    wanted = (colour(spins)[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(small[::-1, :20], wanted)  # row 0 of a state is at the bottom
    angle = torch.acos(local_correlation(spins, HAMILTONIAN))[0]
    grey = ((1 - angle / widgets.DARKEST).clamp(0, 1) * 255).round().byte().numpy()
    assert np.array_equal(small[::-1, 22:, 0], grey)


def test_saved_walks_come_back_and_decode_the_same_to_half_precision(walk, tmp_path):
    paths = widgets.save_walk(walk, tmp_path, profile="test")
    assert [path.name for path in paths] == [
        "evae_gamma_0.safetensors",
        "evae_gamma_100.safetensors",
    ]
    found = widgets.load_walk(tmp_path)
    assert list(found.legs) == [0.0, 100.0]
    assert repr(found.hamiltonian) == repr(HAMILTONIAN)
    for gamma in found.legs:
        # Weights to 2^-11; nine layers and a normalisation make at most some per cent of it.
        overlap = (found.decode(gamma) * walk.decode(gamma)).sum(1)
        assert overlap.mean().item() > 0.999


def test_of_two_walks_in_one_folder_the_second_is_left(walk, tmp_path):
    widgets.save_walk(walk, tmp_path)
    only = widgets.Walk({100.0: walk.legs[100.0]}, Hamiltonian(zeeman=0.1))
    widgets.save_walk(only, tmp_path)
    found = widgets.load_walk(tmp_path)
    assert list(found.legs) == [100.0]
    assert found.hamiltonian.zeeman == 0.1


def test_without_weights_the_reader_is_told_where_they_come_from(tmp_path):
    with pytest.raises(FileNotFoundError, match="run notebook 04"):
        widgets.load_walk(tmp_path)


def parts(box):
    picture, controls = box.children
    *sliders, _buttons, words = controls.children
    return picture, sliders, controls.children[-2].children, words


def test_every_slider_redraws_and_the_energy_shown_is_the_librarys(walk):
    picture, sliders, (_play, reset), words = parts(widgets.explorer(walk))
    gamma, position, *offsets = sliders
    assert gamma.value == 100.0
    assert len(offsets) == 3
    seen = [picture.value]
    for slider, number in ((gamma, 0.0), (position, 7), (offsets[1], 1.5)):
        slider.value = number
        seen.append(picture.value)
    assert len(set(seen)) == 4
    spins = walk.decode(0.0, 7, (0, 1.5, 0))
    assert f"{HAMILTONIAN.energy_per_site(spins).item():.5f}".replace("-", "−") in words.value
    assert picture.value == widgets.render(spins, HAMILTONIAN, zoom=4)
    reset.click()
    assert picture.value == widgets.render(walk.decode(0.0), HAMILTONIAN, zoom=4)


def test_playing_moves_the_position(walk):
    picture, (_, position, *_), (play, _), _ = parts(widgets.explorer(walk))
    before = picture.value
    play.value = 12
    assert position.value == 12
    assert picture.value != before


def test_the_film_holds_every_frame_and_needs_no_network(walk):
    page = widgets.film(walk, [0.0, 100.0], step=15)
    assert page.count("<img") == 2 * 5
    assert page.count(" hidden>") == 4
    for gamma, place in product((0.0, 100.0), (-30, -15, 0, 15, 30)):
        about = widgets.reading(walk.decode(gamma, place), HAMILTONIAN)
        assert f"γ = {gamma:g}, R = {place}: {about}" in page
    assert "http" not in page
    assert "<script" not in page


def test_the_package_brings_models_that_know_the_lattice():
    walk = widgets.load_walk()
    assert len(walk.legs) >= 4
    assert {0.0, 100.0} <= set(walk.legs)
    for path in widgets.PRETRAINED.glob("evae_*.safetensors"):
        assert path.stat().st_size < 16e6
        about = widgets.read_about(path)
        assert {"recipe", "profile", "beta", "normalisation"} <= set(about)
    collapsed = walk.legs[max(walk.legs)].network
    states = latent.generate(collapsed, 5, seed=3)
    energy = walk.hamiltonian.energy_per_site(states)
    # The uniform state has -2.05, the mean of annealed states -2.0554, the best lattice -2.0573.
    assert energy.max().item() < -2.0565
