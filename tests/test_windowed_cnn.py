"""Study 1's networks on sliding windows: shapes, windows, averages, and what training learns."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from spinlib.networks.windowed_cnn import FullyConnected, WindowedCNN
from spinlib.thermal_recipes import FILMS, NAMES, Ranges
from spinlib.training import Numbers, seeded
from spinlib.weights import TrainingError, load_weights
from spinlib.windowed import (
    Windows,
    estimate_windows,
    learn,
    saturated,
    scaled,
    train_windows,
    turned,
)

NUMBERS = Numbers(3, torch.arange(60), 0, torch.device("cpu"))


def pictures(count, height=24, width=32, seed=0):
    return torch.rand((count, 3, height, width), generator=torch.Generator().manual_seed(seed))


def brightness(count, seed=0):
    """Noisy pictures whose targets are the mean brightness of their three channels."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.rand((count, 3), generator=generator)
    noise = 0.1 * torch.rand((count, 3, 32, 32), generator=generator)
    return 0.9 * targets[:, :, None, None] + noise, targets


# --- the networks --------------------------------------------------------------------------------


def test_the_network_is_that_of_table_1():
    """Filters 3×3×3 → 64 and 3×3×64 → 128, 512 and 64 neurons, 3 outputs; 8×8 and 4×4 cells."""
    network = WindowedCNN()
    shapes = [tuple(w.shape) for w in network.parameters() if w.ndim > 1]
    assert shapes == [(64, 3, 3, 3), (128, 64, 3, 3), (512, 2048), (64, 512), (3, 64)]
    dropout = [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)]
    assert dropout == [0.25, 0.25, 0.5]
    order = [type(layer).__name__ for layer in (*network.features, *network.head)]
    first = ["Conv2d", "ReLU", "ZeroPad2d", "MaxPool2d", "Dropout"]
    second = ["Conv2d", "ReLU", "ZeroPad2d", "Dropout", "Flatten"]
    assert order[:10] == first + second and order[-1] == "Sigmoid"


@pytest.mark.parametrize("window", [16, 32, 64])
@pytest.mark.parametrize(
    "make",
    [
        partial(kind, batch_norm=norm)
        for kind in (WindowedCNN, FullyConnected)
        for norm in (False, True)
    ],
)
def test_any_window_gives_estimates_between_0_and_1(make, window):
    network = make(window, channels=1).eval()
    found = network(torch.rand(5, 1, window, window))
    assert found.shape == (5, 3)
    assert ((found > 0) & (found < 1)).all()


def test_networks_of_equal_depth():
    depth = [
        sum(isinstance(layer, nn.Linear | nn.Conv2d) for layer in network.modules())
        for network in (WindowedCNN(), FullyConnected())
    ]
    assert depth == [5, 5]


def test_a_window_that_cannot_be_halved_is_refused():
    with pytest.raises(ValueError, match="not 8"):
        WindowedCNN(8)


# --- windows -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "step"), [(16, 8), (8, 8), (8, 3), (8, 16)])
def test_windows_are_those_of_a_plain_loop(size, step):
    shown = pictures(2)
    expected = [
        picture[:, row : row + size, column : column + size]
        for picture in shown
        for row in range(0, 24 - size + 1, step)
        for column in range(0, 32 - size + 1, step)
    ]
    cut = Windows(shown, size, step)
    assert len(cut) == len(expected)
    assert torch.equal(cut[torch.arange(len(cut))], torch.stack(expected))
    chosen = torch.tensor([len(cut) - 1, 0])
    assert torch.equal(cut[chosen], torch.stack((expected[-1], expected[0])))
    assert cut.picture(chosen).tolist() == [1, 0]


def test_windows_take_no_memory():
    shown = pictures(2)
    assert Windows(shown, 16, 1).view.untyped_storage().data_ptr() == shown.data_ptr()


@pytest.mark.parametrize(("size", "step"), [(40, 8), (16, 0)])
def test_impossible_windows_are_refused(size, step):
    with pytest.raises(ValueError, match="no windows of"):
        Windows(pictures(1), size, step)


# --- normalisation -------------------------------------------------------------------------------


def test_normalisation_goes_there_and_back():
    recipe = FILMS["paper"]["as printed"]
    ranges, table = Ranges.of(recipe), recipe.parameters()
    unit = ranges.unit(table)
    assert (unit.amin(0) == 0).all() and (unit.amax(0) == 1).all()
    np.testing.assert_allclose(ranges.units(unit.numpy()), table.to_numpy(), rtol=1e-6)
    # The columns are found by their names, whatever their order.
    assert torch.equal(ranges.unit(table[list(reversed(NAMES))]), unit)


def test_an_empty_range_is_refused():
    with pytest.raises(ValueError, match="empty"):
        Ranges((1.0, 2.0, 3.0), (2.0, 2.0, 4.0))


# --- estimates -----------------------------------------------------------------------------------


def test_an_estimate_is_the_mean_over_the_windows():
    with seeded(1):
        network = WindowedCNN(16)
    shown = pictures(3)
    found = estimate_windows(network, shown, step=8, batch_size=5)
    network.eval()
    for number, picture in enumerate(shown):
        each = torch.cat(
            [
                network(picture[None, :, row : row + 16, column : column + 16])
                for row in (0, 8)
                for column in (0, 8, 16)
            ]
        ).detach()
        np.testing.assert_allclose(found.mean[number], each.mean(0), atol=1e-6)
        np.testing.assert_allclose(found.spread[number], each.std(0, correction=0), atol=1e-6)
    with pytest.raises(ValueError, match="use auto, cpu or cuda"):
        estimate_windows(network, shown, device="gpu")


# --- training ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_norm": True, "epochs": 5, "learning_rate": 2e-3},
        {"sgd": True, "epochs": 40, "learning_rate": 0.5},
    ],
)
def test_brightness_is_learnt(settings):
    """Answering 1/2 has a mean squared error of 1/12; a tenth of it means that it was learnt."""
    settings = dict(settings)
    with seeded(1):
        network = WindowedCNN(16, batch_norm=settings.pop("batch_norm", False))
    curve = train_windows(
        *(network, brightness(24), brightness(12, 1)), step=8, seed=1, batch_size=16, **settings
    )
    shown, targets = brightness(12, 2)
    error = (estimate_windows(network, shown).mean - targets.numpy()) ** 2
    assert error.mean() < 1 / 120
    assert curve["validation loss"].min() < 1 / 120


def test_a_training_repeats_itself(tmp_path):
    found, written = [], []
    for checkpoint in (tmp_path / "a.safetensors", tmp_path / "a.safetensors", None):
        with seeded(1):
            network = WindowedCNN(16)
        curve = train_windows(
            *(network, brightness(8), brightness(4, 1)),
            **{"epochs": 2, "seed": 1, "batch_size": 16, "checkpoint": checkpoint},
        )
        found.append((curve, network.state_dict()))
        written.append((tmp_path / "a.safetensors").stat().st_mtime_ns)
    assert written[0] == written[1]  # the second comes from the checkpoint
    for curve, weights in found[1:]:
        pd.testing.assert_frame_equal(curve, found[0][0])
        assert all(torch.equal(weights[name], found[0][1][name]) for name in weights)


def test_trainings_of_equal_looks(tmp_path):
    """9, 81 and 25 windows of 16 pixels in each of 8 pictures at steps of 8, 2 and 4."""
    for step, epochs in ((8, 28), (2, 3), (4, 10)):
        for _ in range(2):  # the second finds the checkpoint of the first
            with seeded(1):
                network = FullyConnected(16)
            _, curve = learn(
                *(network, brightness(8), brightness(4, 1)),
                **{"looks": 2000, "seed": 1, "step": step, "folder": tmp_path, "batch_size": 64},
            )
            assert len(curve) == epochs
    assert len(list(tmp_path.glob("*.safetensors"))) == 3
    with pytest.raises(TrainingError):
        load_weights(WindowedCNN(16), next(tmp_path.glob("*.safetensors")))


def test_other_pictures_or_targets_do_not_find_a_checkpoint(tmp_path):
    shown, targets = brightness(2)
    for training in ((shown, targets), (1 - shown, targets), (shown, 1 - targets)):
        with seeded(1):
            network = FullyConnected(16)
        learn(network, training, (shown, targets), looks=1, seed=1, folder=tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) == 3
    for distort in (
        lambda windows, _: windows,
        lambda windows, _: 1 - windows,
        partial(scaled, most=1.2),
    ):
        with seeded(1):
            network = FullyConnected(16)
        data = (shown, targets), (shown, targets)
        learn(network, *data, looks=1, seed=1, folder=tmp_path, distort=distort)
    assert len(list(tmp_path.glob("*.safetensors"))) == 6
    with seeded(1):
        network = FullyConnected(16)
    learn(network, *data, looks=1, seed=1, folder=tmp_path, schedule=lambda _: 0.5, device="auto")
    assert len(list(tmp_path.glob("*.safetensors"))) == 7


def test_an_early_end_waits_for_a_plateau():
    falling = [0.9**epoch for epoch in range(30)]
    assert not any(saturated(falling[:count]) for count in range(31))
    assert saturated([*falling, *[falling[-1]] * 10])
    assert not saturated([1.0] * 9)


# --- distortions ---------------------------------------------------------------------------------


def test_turned_windows_are_turned_by_right_angles():
    windows = pictures(60, 8, 8)
    copies = turned(windows, NUMBERS)
    counts = [
        sum(
            torch.equal(torch.rot90(w, turns, (-1, -2)), c)
            for w, c in zip(windows, copies, strict=True)
        )
        for turns in range(4)
    ]
    assert sum(counts) == 60
    assert min(counts) > 3  # 15 ± 3.4 are expected of each


def test_scaled_windows_keep_their_middle_and_stretch_their_slope():
    """A ramp stretched by a factor f has the slope 1/f."""
    ramp = torch.linspace(0.35, 0.65, 16).expand(60, 3, 16, 16)
    copies = scaled(ramp, NUMBERS)
    assert torch.allclose(scaled(ramp.half(), NUMBERS), copies, atol=1e-3)  # as pictures are kept
    middle = copies[:, :, 7:9, 7:9].mean((1, 2, 3))
    assert torch.allclose(middle, torch.full((60,), 0.5), atol=1e-5)
    factor = (0.3 / 15) / (copies[:, 0, 8, 9] - copies[:, 0, 8, 7]) * 2
    assert factor.min() > 1 / 1.5 - 1e-3 and factor.max() < 1.5 + 1e-3
    # log f is uniform: a third of the 60 factors is expected in each third of its range.
    thirds = np.histogram(np.log(factor.numpy()), np.log(1.5) * np.array([-1, -1 / 3, 1 / 3, 1]))[0]
    assert thirds.min() > 8


def test_scaled_windows_are_mirrored_at_their_edges():
    flat = torch.full((60, 3, 16, 16), 0.7)
    torch.testing.assert_close(scaled(flat, NUMBERS), flat)
