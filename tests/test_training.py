"""The training loop: it learns, keeps the best weights, and survives being killed."""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
import training_worker as worker
from conftest import NEEDS_GPU
from safetensors import safe_open
from torch import nn

from spinlib import checkpoints, regression, symmetry, textures, training, windowed
from spinlib.checkpoints import checkpoint_name
from spinlib.estimation import Conditions, learning, plan
from spinlib.estimation.planning import Effort
from spinlib.hamiltonian import Hamiltonian
from spinlib.kernels import random_normal, random_uniform, resolve_device
from spinlib.networks.evae import EVAE, EVAELosses, translated
from spinlib.networks.resnet import resnet18
from spinlib.networks.windowed_cnn import WindowedCNN
from spinlib.thermal_recipes import NAMES, Ranges
from spinlib.training import Numbers, evaluate, fit, one_cycle, seeded, side_by_side
from spinlib.weights import TrainingError, load_weights, read_about, save_weights

CPU = torch.device("cpu")


def squared(network, batch, numbers):
    inputs, targets = batch
    return {"loss": nn.functional.mse_loss(network(inputs), targets)}


def line(count=64):
    inputs = torch.linspace(-1, 1, count)[:, None]
    return inputs, 3 * inputs - 1


def linear():
    with seeded(1):
        return nn.Linear(1, 1)


def test_least_squares_finds_the_line():
    network = linear()
    fit(network, squared, line(), line(), epochs=80, seed=1, batch_size=16, learning_rate=0.05)
    # Adam closes in on the exact solution to about its step, which Adam's noise keeps below 1e-2.
    assert network.weight.item() == pytest.approx(3, abs=1e-2)
    assert network.bias.item() == pytest.approx(-1, abs=1e-2)


def test_trainings_end_and_are_judged_in_single_precision(monkeypatch):
    """Networks used elsewhere compute so: what made up for rounding would be an offset there."""
    monkeypatch.setattr(training, "MIXED_ON", ("cpu",))
    rounded = {}

    def watched(network, batch, numbers):
        rounded[numbers.epoch] = torch.is_autocast_enabled("cpu")
        return squared(network, batch, numbers)

    fit(linear(), watched, line(), line(), epochs=9, seed=1)
    validation = rounded.pop(2**32 - 1)
    assert not validation
    assert [epoch for epoch, whether in rounded.items() if whether] == list(range(6))
    rounded.clear()
    fit(linear(), watched, line(), line(), epochs=9, seed=1, stop=lambda losses: len(losses) == 3)
    assert len(rounded) == 4 and not any(rounded.values())


def test_history_holds_every_loss_of_every_epoch_as_evaluate_sees_it():
    network = linear()
    history = fit(network, squared, line(), line(20), epochs=3, seed=1)
    assert list(history) == ["train loss", "validation loss"]
    assert list(history.index) == [0, 1, 2]
    # One batch an epoch: the first training loss is that of the untouched network.
    start = squared(linear(), line(), None)["loss"].item()
    assert history["train loss"][0] == pytest.approx(start, rel=1e-6)
    found = evaluate(network, squared, line(20), seed=1, device="cpu")
    assert found["validation loss"] == pytest.approx(history["validation loss"].min(), rel=1e-6)


def test_the_weights_that_validate_best_are_kept():
    # A step far too long makes the loss grow after the first epochs.
    network = linear()
    history = fit(network, squared, line(), line(), epochs=8, seed=1, learning_rate=3.0)
    best = history["validation loss"].idxmin()
    assert best < 7
    kept = evaluate(network, squared, line(), seed=1, device="cpu")["validation loss"]
    assert kept == pytest.approx(history["validation loss"][best], rel=1e-6)


def test_the_learning_rate_follows_its_schedule_from_step_to_step():
    shares = []
    settings = {"epochs": 2, "seed": 1, "batch_size": 16}
    settings["schedule"] = lambda share: shares.append(share) or 1.0
    fit(linear(), squared, line(), line(), **settings)
    assert shares == [number / 8 for number in range(8)]


def test_every_epoch_has_an_order_and_dropped_neurons_of_its_own():
    orders, dropped = [], []

    def watched(network, batch, numbers):
        if network.training:
            orders.append(numbers.samples.tolist())
            dropped.append(network[0](torch.ones(1000)).tolist())
        return squared(network, batch, numbers)

    fit(nn.Sequential(nn.Dropout(0.5), linear()), watched, line(), line(), epochs=3, seed=1)
    assert all(sorted(order) == list(range(64)) for order in orders)
    assert len({*map(tuple, orders)}) == 3 and len({*map(tuple, dropped)}) == 3


def test_losses_are_means_over_samples_however_they_are_batched():
    many, few = line(1010), line(5)
    # Training in parts of 337, 337 and 336, and of 3 and 2; evaluation in 500, 500 and 10.
    still = {"epochs": 1, "seed": 1, "learning_rate": 0.0}
    curves = [
        fit(linear(), squared, data, many, batch_size=size, **still)
        for data, size in ((many, 400), (few, 3))
    ]
    evaluated = evaluate(linear(), squared, many, seed=1, device="cpu")["validation loss"]
    expected = [squared(linear(), data, None)["loss"].item() for data in (many, few, many)]
    found = [*(curve["train loss"][0] for curve in curves), evaluated]
    # Sums in another order, in float32.
    assert found == pytest.approx(expected, rel=1e-5)


def test_weights_decay_as_adamw_has_it():
    """Without a gradient w ← w (1 - rate × decay) in each step."""
    network = linear()
    before = network.weight.item()

    def nothing(network, batch, numbers):
        return {"loss": 0 * network(batch[0]).sum()}

    settings = {"epochs": 5, "seed": 1, "learning_rate": 0.1, "weight_decay": 0.5}
    fit(network, nothing, line(), line(), **settings)
    # Weights of all epochs are as good, and the last of them are kept. Five steps in float32.
    assert network.weight.item() == pytest.approx(before * 0.95**5, rel=1e-5)


@pytest.mark.faults
def test_a_killed_training_goes_on_to_the_curve_of_an_unbroken_one(tmp_path):
    unbroken = worker.train(None)
    checkpoint = tmp_path / "training.safetensors"
    threads = str(torch.get_num_threads())
    process = subprocess.Popen(
        [sys.executable, Path(worker.__file__), checkpoint, threads], stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 120
        while not checkpoint.exists() or len(read_about(checkpoint)["history"]) < 2:
            assert process.poll() is None, "the worker ended before it could be killed"
            assert time.monotonic() < deadline, "the worker wrote no checkpoint"
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = len(read_about(checkpoint)["history"])
    assert 2 <= done < worker.EPOCHS
    resumed = worker.train(checkpoint)
    # With as many threads the sums are the same to the bit; 1e-6 is one digit of single precision.
    pd.testing.assert_frame_equal(resumed, unbroken, rtol=1e-6)
    # Finished, it is not trained again.
    pd.testing.assert_frame_equal(worker.train(checkpoint), resumed)
    assert {path.name for path in tmp_path.iterdir()} == {
        checkpoint.name,
        f".{checkpoint.name}.lock",
    }


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    worker.train(tmp_path / "a.safetensors", epochs=1, identity={"beta": 1e-3})
    with pytest.raises(TrainingError, match="differs in beta"):
        worker.train(tmp_path / "a.safetensors", epochs=1, identity={"beta": 1e-4})
    with pytest.raises(TrainingError, match="differs in seed"):
        worker.train(tmp_path / "a.safetensors", epochs=1, seed=6, identity={"beta": 1e-3})


def test_a_truncated_checkpoint_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    worker.train(path, epochs=1)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(TrainingError, match="no file of weights"):
        worker.train(path, epochs=1)


def test_the_name_of_a_checkpoint_follows_settings_numbers_and_code(tmp_path, monkeypatch):
    numbers = torch.arange(6.0).view(2, 3)
    others = [numbers.T, numbers + 1e-6, numbers.half(), numbers.view(3, 2), numbers.bool()]
    tensors = [[], [numbers], [numbers, numbers], *([other] for other in others)]
    names = {checkpoint_name("it", *some) for some in tensors} | {checkpoint_name("that", numbers)}
    assert len(names) == 9
    assert checkpoint_name("it", numbers.T.contiguous().T) == checkpoint_name("it", numbers)
    package = tmp_path / "package"
    package.mkdir()
    names = []
    for file, text in (("a.py", "1"), ("a.py", "2"), ("b.cuh", ""), ("b.cuh", "1"), ("c.md", "")):
        (package / file).write_text(text)
        monkeypatch.setattr(checkpoints, "_CODE", checkpoints._code(package))
        names.append(checkpoint_name("it"))
    assert names[0] != names[1] and names[2] != names[3] == names[4]
    (package / "a.py").write_text("3")  # too late for a process that has loaded it
    assert checkpoint_name("it") == names[4]


@pytest.mark.parametrize("seed", [2**63 - 1, 100_003 * (2**63 - 1), -1])
def test_seeds_of_any_size_make_weights(seed):
    drawn = []
    for _ in range(2):
        with seeded(seed):
            drawn.append(torch.rand(1).item())
    assert drawn[0] == drawn[1]


def test_training_leaves_the_global_generator_alone():
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    worker.train(None, epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_numbers_belong_to_sample_and_epoch_not_to_the_batch():
    both = Numbers(1, torch.tensor([4, 9]), 3, CPU).normal((5,), purpose="x")
    alone = Numbers(1, torch.tensor([9]), 3, CPU).normal((5,), purpose="x")
    assert torch.equal(both[1:], alone)
    later = Numbers(1, torch.tensor([9]), 4, CPU).normal((5,), purpose="x")
    assert not torch.equal(later, alone)


def test_weights_come_back_with_what_belongs_to_them(tmp_path):
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    about = {"recipe": {"size": 64}, "mean": [0.5], "profile": "laptop"}
    save_weights(network, tmp_path / "w.safetensors", **about)
    other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    assert load_weights(other, tmp_path / "w.safetensors") == about | {"class": "Sequential"}
    for name, tensor in network.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name


def test_half_precision_weights_lose_eleven_bits_at_most(tmp_path):
    network = nn.Linear(30, 30)
    save_weights(network, tmp_path / "w.safetensors", half=True)
    with safe_open(tmp_path / "w.safetensors", framework="pt") as file:
        assert file.get_tensor("weight").dtype == torch.float16
    other = nn.Linear(30, 30)
    load_weights(other, tmp_path / "w.safetensors")
    # Rounding to 11 significant bits; tiny weights are below half precision's normal range.
    torch.testing.assert_close(other.weight, network.weight, rtol=2**-11, atol=1e-7)


def test_what_half_precision_cannot_hold_is_kept_whole(tmp_path):
    network = nn.BatchNorm1d(4)
    network.running_var.fill_(1e5)
    save_weights(network, tmp_path / "w.safetensors", half=True)
    other = nn.BatchNorm1d(4)
    load_weights(other, tmp_path / "w.safetensors")
    assert torch.equal(other.running_var, network.running_var)


def test_weights_of_another_network_are_refused(tmp_path):
    save_weights(nn.Linear(2, 2), tmp_path / "w.safetensors")
    with pytest.raises(TrainingError, match="weights of a Linear"):
        load_weights(nn.BatchNorm1d(2), tmp_path / "w.safetensors")
    with pytest.raises(TrainingError, match="do not fit"):
        load_weights(nn.Linear(3, 2), tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("train", "changes", "words"),
    [
        ((torch.zeros(4, 1), torch.zeros(3, 1)), {}, "same number of samples"),
        ((torch.zeros(0, 1), torch.zeros(0, 1)), {}, "same number of samples"),
        (line(), {"epochs": 0}, "at least 1"),
        (line(), {"batch_size": 0}, "at least 1"),
    ],
)
def test_bad_requests_are_refused_in_words(train, changes, words):
    with pytest.raises(ValueError, match=words):
        fit(linear(), squared, train, line(), **{"epochs": 1, "seed": 1} | changes)


@pytest.mark.parametrize("part", ["training", "validation"])
def test_a_loss_that_is_no_number_ends_the_training(part):
    bad = (torch.full((4, 1), np.nan), torch.zeros(4, 1))
    sets = (bad, line()) if part == "training" else (line(), bad)
    with pytest.raises(TrainingError, match=f"{part[:5]}.* loss became nan in epoch 0"):
        fit(linear(), squared, *sets, epochs=2, seed=1)


def test_no_batch_is_left_with_a_single_sample():
    sizes = []

    def counting(network, batch, numbers):
        sizes.append(len(batch[0]))
        return squared(network, batch, numbers)

    fit(linear(), counting, line(33), line(5), epochs=1, seed=1, batch_size=16)
    assert sorted(sizes) == [5, 11, 11, 11]  # 33 samples in three steps, and the validation


def test_plain_descent_takes_steps_along_the_gradient_and_ends_when_it_is_told(tmp_path):
    """On one batch of a linear problem: w ← w - rate · gradient, written out."""
    inputs, targets = line()
    network, weight, bias = linear(), *(p.detach().clone() for p in linear().parameters())
    path = tmp_path / "line.safetensors"
    settings = {"epochs": 9, "seed": 1, "learning_rate": 0.1, "checkpoint": path}
    settings |= {"descent": "SGD", "stop": lambda losses: len(losses) == 3}
    settings["schedule"] = lambda share: 1 - share
    curve = fit(network, squared, line(), line(), **settings)
    for number in range(3):
        error = inputs * weight + bias - targets
        rate = 0.1 * (1 - number / 9)
        step = rate * 2 * (error * inputs).mean(), rate * 2 * error.mean()
        weight, bias = weight - step[0], bias - step[1]
    assert len(curve) == 3
    # Three steps in float32.
    assert network.weight.item() == pytest.approx(weight.item(), abs=1e-5)
    assert network.bias.item() == pytest.approx(bias.item(), abs=1e-5)
    again = linear()
    assert fit(again, squared, line(), line(), **settings).equals(curve)
    assert torch.equal(again.weight, network.weight)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="libc is not glibc")
def test_steps_use_the_memory_of_those_before():
    """Given back to the system, it would have to be cleared and mapped again, page by page."""
    pixels = torch.zeros(32, 1, 256, 256)

    def faults(epochs):
        network = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 3, 1, 1))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        one = pixels[:1], pixels[:1]
        fit(network, squared, (pixels, pixels), one, epochs=epochs, seed=1, batch_size=8)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    faults(1)
    # A step's largest buffer, 8 samples in 8 channels: 16 MiB. Each of 16 more steps would map
    # some four of them again (together 55 to 59); as it is, 0 to 3 are mapped by chance.
    pages = 8 * 8 * 256**2 * 4 / resource.getpagesize()
    assert faults(5) - faults(1) < 16 * pages


def test_side_by_side_each_training_is_what_it_is_alone(tmp_path):
    """One thread each, and nothing of one in the other: not even the dropout, drawn globally."""
    paths = [tmp_path / name for name in ("one", "two", "three")]
    together = side_by_side([partial(worker.train, path, seed=n) for n, path in enumerate(paths)])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = [worker.train(None, seed=number) for number in range(3)]
    torch.set_num_threads(threads)
    assert all(one.equals(other) for one, other in zip(together, alone, strict=True))
    assert all(path.exists() for path in paths)


def test_an_error_beside_another_training_comes_through():
    with pytest.raises(ValueError, match="at least 1, got 16 and 0"):
        side_by_side([partial(worker.train, None), partial(worker.train, None, epochs=0)])
    assert side_by_side([]) == []


def test_samples_travel_in_a_file_that_is_gone_when_they_have_arrived(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    samples = torch.arange(12.0).reshape(3, 4)
    (found,) = side_by_side([partial(worker.arrived, samples, tmp_path)])
    assert torch.equal(found, samples) and list(tmp_path.iterdir()) == []


def test_a_full_disk_under_the_samples_is_a_sentence():
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    with pytest.raises(TrainingError, match=r"/dev cannot take .* set TMPDIR to a folder"):
        training._to_file(partial(torch.sum, torch.zeros(10**6)), full)


def test_trainings_side_by_side_end_with_the_process_that_wanted_them(tmp_path):
    """Killed, it can tell nobody; they have to notice."""
    script = (
        "import time; from functools import partial; from spinlib.training import side_by_side\n"
        "if __name__ == '__main__': side_by_side([partial(time.sleep, 600)])"
    )
    (tmp_path / "parent.py").write_text(script)
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py"], env=environment)
    workers = []
    while not any("spawn_main" in " ".join(each.cmdline()) for each in workers):
        assert parent.poll() is None
        time.sleep(0.1)
        workers = psutil.Process(parent.pid).children(recursive=True)
    time.sleep(1)
    parent.kill()
    parent.wait()
    _, left = psutil.wait_procs(workers, timeout=60)
    assert not left and not list(tmp_path.glob("spinlib-*"))


def test_when_one_training_fails_the_others_are_given_up():
    """Nobody wants their results any more, and the process could not end before they do."""
    with pytest.raises(ValueError, match="invalid literal"):
        side_by_side([partial(time.sleep, 600), partial(int, "fails")])
    workers = [each for each in psutil.Process().children() if "spawn_main" in str(each.cmdline())]
    _, left = psutil.wait_procs(workers, timeout=60)
    assert not left


def test_devices_are_chosen_and_refused_as_elsewhere():
    network = linear().to(resolve_device("auto"))
    found = evaluate(network, squared, line(20), seed=1, device="auto")["validation loss"]
    expected = squared(linear(), line(20), None)["loss"].item()
    assert found == pytest.approx(expected, rel=1e-5)  # a mean of 20 in single precision
    assert side_by_side([partial(int, "7")], device="auto") == [7]
    with pytest.raises(ValueError, match="use auto, cpu or cuda"):
        evaluate(linear(), squared, line(20), seed=1, device="gpu")
    with pytest.raises(ValueError, match="use auto, cpu or cuda"):
        side_by_side([partial(int, "7")], device="gpu")


def test_a_training_that_is_killed_says_what_may_have_happened():
    with pytest.raises(TrainingError, match="when memory runs out"):
        side_by_side([partial(os._exit, 9), partial(time.sleep, 1)])


def test_a_checkpoint_of_another_kind_of_device(tmp_path, monkeypatch):
    """What is finished there will do; what is not begins anew, as no half fits the other."""

    def stop(share):
        if share > 0.5:
            raise KeyboardInterrupt
        return 1.0

    def train(**changes):
        return fit(linear(), squared, line(), line(), epochs=8, seed=1, **changes)

    done, half = tmp_path / "done.safetensors", tmp_path / "half.safetensors"
    there = train(checkpoint=done)
    with pytest.raises(KeyboardInterrupt):
        train(checkpoint=half, schedule=stop)
    monkeypatch.setattr(training, "MIXED_ON", ("cpu",))
    assert train(checkpoint=done).equals(there)
    assert train(checkpoint=half).equals(train())


# --- on a GPU, steps are replayed from CUDA graphs -----------------------------------------------

SAMPLES, BATCH = 117, 8  # 15 steps an epoch, of 8 samples and of 7


def evae(monkeypatch, **changes):
    with seeded(1):
        network = EVAE(32, latent=8)
    spins = textures.random((32, 32), seed=1, states=range(SAMPLES))
    losses = EVAELosses(Hamiltonian(dmi=0.3), 1e-3, 1.0)
    return through_fit(network, losses, (spins,), augment=translated, **changes)


def mixed(monkeypatch, **changes):
    """Batch norms and dropout; inputs are jittered and the rate falls."""
    with seeded(2):
        network = nn.Sequential(
            *(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Dropout(0.3)),
            *(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(16, 1)),
        )
    inputs = random_normal((3, 8, 8), seed=1, states=range(SAMPLES), purpose="inputs")
    data = inputs, 4 * inputs.mean((1, 2, 3))[:, None]
    return through_fit(network, worker.losses, data, augment=worker.augment, **changes)


def through_fit(network, losses, data, **changes):
    settings = {"epochs": 4, "seed": 5, "batch_size": BATCH, "schedule": one_cycle}
    held_out = tuple(tensor[:30] for tensor in data)
    return fit(network, losses, data, held_out, **settings | changes, device="cuda")


def resnet(monkeypatch, **changes):
    """Study 2's: all its symmetries, and noise."""
    with seeded(1):
        network = resnet18(8)
    spins = textures.random((32, 32), seed=1, states=range(SAMPLES + 30))
    targets = random_uniform((3,), seed=1, states=range(SAMPLES + 30), purpose="targets")
    monkeypatch.setattr(regression, "fit", lambda *given, **named: fit(*given, **named | changes))
    return regression.train(
        *(network, spins, targets, np.split(np.arange(SAMPLES + 30), [SAMPLES])),
        **{"noisy": True, "group": symmetry.OPERATIONS, "epochs": 4, "seed": 5},
        **{"batch_size": BATCH, "device": "cuda"},
    )[1]


def windows(monkeypatch, sgd=False, distort=None, **changes):
    """Study 1's: dropout, windows gathered out of pictures."""
    with seeded(1):
        network = WindowedCNN(16)
    targets = random_uniform((3,), seed=1, states=range(13), purpose="targets")
    noise = random_uniform((3, 32, 32), seed=1, states=range(13), purpose="noise")
    data = 0.9 * targets[:, :, None, None] + 0.1 * noise, targets
    monkeypatch.setattr(windowed, "fit", lambda *given, **named: fit(*given, **named | changes))
    settings = {"epochs": 4, "seed": 5, "batch_size": BATCH, "sgd": sgd, "distort": distort}
    settings["learning_rate"] = 0.5 if sgd else 2e-3
    return windowed.train_windows(network, data, data, **settings, device="cuda")


def plain_descent(monkeypatch, **changes):
    return windows(monkeypatch, sgd=True, **changes)


def distorted(monkeypatch, **changes):
    return windows(monkeypatch, distort=windowed.scaled, **changes)


def texture(monkeypatch, **changes):
    """That of `estimate`: parts of pictures in half precision, gathered around their edges."""
    given = Conditions(150.0, 0.18, 4.0, thickness_nm=3.0)
    ranges = Ranges((6.0, 1.2, 300.0), (10.0, 2.2, 500.0))
    effort = Effort(cells=32, looks=4 * SAMPLES)
    made = plan((60, 60), given, ranges, effort)
    draw = {"seed": 1, "states": range(SAMPLES), "purpose": "pictures"}
    pictures = random_uniform((3, made.seen, made.seen), **draw).half()
    brightness = pictures.float().mean((2, 3)).numpy() - 0.5
    table = pd.DataFrame(ranges.units(0.5 + 10 * brightness), columns=NAMES)
    states = learning.States(pictures, table)
    curves = []

    def recorded(*given, **named):
        curves.append(fit(*given, **named | {"batch_size": BATCH} | changes))

    monkeypatch.setattr(learning, "fit", recorded)
    work = (given, ranges, effort, made, 5, Path(), "cuda", learning.Bar(False))
    learning._train(learning.Work(pictures[0], *work), states, states, None)
    return curves[0]


TRAININGS = [mixed, evae, resnet, windows, plain_descent, distorted, texture]
# The same kernels in the same order; but some sum in an order of their own, and sixty steps in
# half precision let that grow. A step left out, or on another batch, changes losses by percents.
CLOSE = {"rtol": 5e-3, "atol": 1e-5}


@pytest.mark.gpu
@NEEDS_GPU
@pytest.mark.parametrize("train", TRAININGS)
def test_replayed_steps_are_the_steps_one_by_one(train, monkeypatch):
    replayed = train(monkeypatch)
    monkeypatch.setattr(training, "GRAPHED_FROM", np.inf)
    pd.testing.assert_frame_equal(replayed, train(monkeypatch), **CLOSE)


@pytest.mark.gpu
@NEEDS_GPU
# The last of four epochs is in single precision.
@pytest.mark.parametrize("after, kept", [(0.6, 2), (0.8, 3)])
@pytest.mark.parametrize("train", [mixed, evae])
def test_replayed_steps_go_on_where_they_were_interrupted(
    train, after, kept, monkeypatch, tmp_path
):
    unbroken = train(monkeypatch)
    monkeypatch.setattr(training, "SECONDS", 0)
    path = tmp_path / "a.safetensors"

    def interrupted(share):
        if share > after:
            raise KeyboardInterrupt
        return one_cycle(share)

    with pytest.raises(KeyboardInterrupt):
        train(monkeypatch, checkpoint=path, schedule=interrupted)
    assert len(read_about(path)["history"]) == kept
    pd.testing.assert_frame_equal(train(monkeypatch, checkpoint=path), unbroken, **CLOSE)


@pytest.mark.gpu
@NEEDS_GPU
@pytest.mark.hardware("measures a GPU's memory")
def test_capturing_every_epoch_takes_no_more_memory_than_one(monkeypatch):
    reserved = []
    evae(monkeypatch, epochs=12, stop=lambda _: reserved.append(torch.cuda.memory_reserved()))
    assert max(reserved[len(reserved) // 2 :]) <= max(reserved[: len(reserved) // 2])
