"""Data sets: same bytes whatever happens, a sentence whenever something is wrong.

There is no tolerance in this file but one (peak memory): everything is compared byte by byte, with
an unbroken run or with the numbers that the recipe's own `simulate` gives.
"""

import errno
import importlib.util
import multiprocessing
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import dask
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import psutil
import pytest
import torch
import zarr
from conftest import NEEDS_GPU
from dataset_worker import Noise, make, make_and_die, peak_memory
from hypothesis import given, settings

import spinlib.dataset
import spinlib.shards
from spinlib.dataset import DatasetError, dataset, recipe_hash, recipe_json, split
from spinlib.files import LockError
from spinlib.recipes import SkyrmionStates

# Children start in milliseconds from a server that has imported the library once.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["torch", "pandas", "spinlib.dataset"])


def start(target, *args, **kwargs):
    process = CONTEXT.Process(target=target, args=args, kwargs=kwargs, daemon=True)
    process.start()
    return process


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this does not happen"
        time.sleep(0.01)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def quiet(recipe, root, **options):
    return dataset(recipe, root, device="cpu", progress=False, **options)


@pytest.fixture
def data(tmp_path):
    return quiet(Noise(), tmp_path / "data")


@pytest.fixture
def simulated():
    return Noise().simulate(range(22), torch.device("cpu"))


# ---- Contents -----------------------------------------------------------------------------------


def test_states_and_parameters_are_the_recipes(data, simulated):
    assert len(data) == 22 and data.states().dtype == torch.float32
    assert torch.equal(data.states(), simulated)
    pd.testing.assert_frame_equal(data.parameters, Noise().parameters())


@pytest.mark.parametrize(
    "indices",
    [3, -1, slice(2, 17, 3), [21, 0, 0, 9], np.arange(22) % 5 == 0, torch.tensor([8, 7]), []],
    ids=["one", "last", "slice", "list", "mask", "tensor", "none"],
)
def test_any_states_in_any_order(data, simulated, indices):
    index = np.atleast_1d(np.arange(22)[indices])
    assert torch.equal(data.states(indices), simulated[index])


def test_states_beyond_the_end_are_refused(data):
    with pytest.raises(IndexError, match="22"):
        data.states([22])


def test_iteration_pairs_each_shard_with_its_parameters(data, simulated):
    tables, states = zip(*data, strict=True)
    assert [len(shard) for shard in states] == [4, 4, 4, 4, 4, 2]
    assert torch.equal(torch.cat(states), simulated)
    pd.testing.assert_frame_equal(pd.concat(tables), data.parameters)


@pytest.mark.parametrize("storage", ["float16", "float32"])
@pytest.mark.parametrize("shard", [1, 5, 100])
def test_zarr_reads_the_same_numbers(tmp_path, simulated, storage, shard):
    recipe = Noise(storage=storage, shard=shard)
    array = zarr.open_array(quiet(recipe, tmp_path).folder, mode="r")
    assert array.dtype == storage and array.shape == (22, 3, 8, 8)
    np.testing.assert_array_equal(array[:], simulated.numpy().astype(storage))
    assert array.attrs["sha256"] == recipe_hash(recipe)
    assert array.attrs["recipe"]["fields"]["shard"] == shard


def test_parameters_on_disk_are_a_plain_table(data):
    table = pd.read_json(data.folder / "parameters.json", precise_float=True)
    pd.testing.assert_frame_equal(table, data.parameters, check_dtype=False, check_exact=True)


def test_what_is_on_disk_is_not_made_again(tmp_path):
    recipe = Noise(diary=str(tmp_path / "diary"))
    quiet(recipe, tmp_path)
    (tmp_path / "diary").unlink()
    quiet(recipe, tmp_path)
    assert not (tmp_path / "diary").exists()


def test_the_hash_follows_every_field_and_the_version():
    recipes = [Noise(), Noise(states=23), Noise(seed=1), Noise(storage="float16"), Noise(pause=0.1)]
    newer = type("Noise", (Noise,), {"version": 2})
    assert len({recipe_hash(recipe) for recipe in [*recipes, newer()]}) == 6
    assert recipe_json(Noise(pause=0.0)) == recipe_json(Noise(pause=0)) == recipe_json(Noise())
    # Known answer: a change of the canonical form would orphan every data set on disk.
    assert recipe_json(Noise()) == (
        '{"class":"Noise","fields":{"diary":"","gate":"","pause":0,"seed":0,"shard":4,"size":8,"states":22,'
        '"storage":"float32","trap":""},"version":1}'
    )


# ---- Interruptions ------------------------------------------------------------------------------


@pytest.mark.faults
def test_killed_at_every_step_of_writing(tmp_path, data):
    whole, steps = content(data.folder), 0
    while True:
        steps += 1
        process = start(make_and_die, Noise(), str(tmp_path / "killed"), steps)
        process.join()
        broken = content(tmp_path / "killed" / data.folder.name)
        assert all(whole[name] == text for name, text in broken.items() if "partial" not in name)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        quiet(Noise(), tmp_path / "killed")
        assert content(tmp_path / "killed" / data.folder.name) == whole
        shutil.rmtree(tmp_path / "killed")
    assert steps == 2 * len(whole) - 1  # an fsync and a rename for each file but the lock


@pytest.mark.faults
def test_killed_at_random_moments(tmp_path):
    recipe = Noise(states=48, shard=2, pause=0.02)
    whole = content(quiet(recipe, tmp_path / "whole").folder)
    chance, kills, unfinished = random.Random(0), 0, True
    while unfinished:
        process = start(make, recipe, str(tmp_path / "killed"))
        process.join(chance.uniform(0.02, 0.15) * (1 + kills / 20))  # a busy machine is slow
        unfinished = process.exitcode is None
        kills += unfinished
        process.kill()
        process.join()
        assert kills < 500, "the data set does not grow from one kill to the next"
    assert process.exitcode == 0 and kills >= 3
    assert content(next((tmp_path / "killed").iterdir())) == whole


@pytest.mark.faults
def test_interrupt_is_a_sentence_and_resumes(tmp_path, monkeypatch, data):
    simulate = Noise.simulate

    def interrupted(self, states, device):
        if states.start == 12:
            raise KeyboardInterrupt
        return simulate(self, states, device)

    with monkeypatch.context() as patch:
        patch.setattr(Noise, "simulate", interrupted)
        with pytest.raises(KeyboardInterrupt, match=r"12 of 22 states safe in .*call dataset"):
            quiet(Noise(), tmp_path)
    assert content(quiet(Noise(), tmp_path).folder) == content(data.folder)


# ---- Several shards in one call, as on a GPU --------------------------------------------------


@pytest.fixture
def two_at_once(monkeypatch):
    monkeypatch.setattr(spinlib.shards, "_shards_at_once", lambda *_: 2)


def test_shards_made_together_have_the_same_bytes(tmp_path, data, two_at_once):
    recipe = Noise(diary=str(tmp_path / "diary"))
    folder = quiet(recipe, tmp_path / "new").folder
    calls = (tmp_path / "diary").read_text().split()[1::2]
    assert calls == ["0", "8", "16"]
    whole = content(data.folder)
    for number in (1, 2, 4):
        data.store.path(number).unlink()
    assert content(quiet(Noise(), data.folder.parent).folder) == whole
    shards = [name for name in whole if name.startswith("c.")]
    assert all((folder / name).read_bytes() == whole[name] for name in shards)


def test_interrupt_keeps_what_was_made_together(tmp_path, monkeypatch, data, two_at_once):
    simulate = Noise.simulate

    def interrupted(self, states, device):
        if states.start == 16:
            raise KeyboardInterrupt
        return simulate(self, states, device)

    with monkeypatch.context() as patch:
        patch.setattr(Noise, "simulate", interrupted)
        with pytest.raises(KeyboardInterrupt, match=r"16 of 22 states safe in .*call dataset"):
            quiet(Noise(), tmp_path)
    assert content(quiet(Noise(), tmp_path).folder) == content(data.folder)


def test_the_writing_threads_troubles_are_told(tmp_path, monkeypatch, two_at_once):
    fsync, calls = os.fsync, []

    def failing(file):
        calls.append(file)
        if len(calls) == 5:  # two files of metadata, then shards
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return fsync(file)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(DatasetError, match=r"Cannot use .*finished shards are kept"):
        quiet(Noise(), tmp_path)
    shards = [name for name in content(next(tmp_path.iterdir())) if name.startswith("c.")]
    assert sorted(shards) == ["c.0.0.0.0", "c.1.0.0.0"]


@pytest.mark.gpu
@NEEDS_GPU
def test_a_gpu_makes_shards_together(tmp_path):
    recipe = SkyrmionStates(states=50, size=16, sweeps=12, shard=8)
    data = dataset(recipe, tmp_path, device="auto", progress=False)
    alone = [recipe.simulate(data.store.members(n), torch.device("cuda")) for n in range(7)]
    # Without Fourier transforms a state has the same bits beside any other.
    assert torch.equal(data.states(), torch.cat(alone).half().float().cpu())


@pytest.fixture
def rivals(tmp_path):
    """Two processes at one data set: the first at work, the second waiting, all shards ahead."""
    diary, gate, output = tmp_path / "diary", tmp_path / "gate", tmp_path / "output"
    gate.touch()
    recipe = Noise(diary=str(diary), gate=str(gate))
    first = start(make, recipe, str(tmp_path / "both"))
    wait_until(diary.exists)
    second = start(make, recipe, str(tmp_path / "both"), str(output))
    wait_until(lambda: output.exists() and "Another process is making" in output.read_text())
    yield first, second, gate
    made = content(next((tmp_path / "both").iterdir()))
    assert made == content(quiet(recipe, tmp_path / "alone").folder)


@pytest.mark.faults
def test_two_processes_make_each_shard_once(rivals, tmp_path):
    first, second, gate = rivals
    gate.unlink()
    first.join()
    second.join()
    assert first.exitcode == second.exitcode == 0
    assert len((tmp_path / "diary").read_text().splitlines()) == 6


@pytest.mark.faults
def test_who_waits_goes_on_when_the_other_dies(rivals):
    first, second, gate = rivals
    first.kill()
    gate.unlink()
    second.join()
    assert second.exitcode == 0


# ---- Workers ------------------------------------------------------------------------------------


@pytest.mark.faults
def test_dask_workers_make_the_same_bytes_though_one_dies(tmp_path):
    from distributed import LocalCluster

    recipe = Noise(states=40, pause=0.1, diary=str(tmp_path / "diary"), trap=str(tmp_path / "trap"))
    whole = content(quiet(recipe, tmp_path / "whole").folder)
    Path(recipe.diary).unlink()
    Path(recipe.trap).touch()
    quick = {"distributed.scheduler.allowed-failures": 3, "distributed.logging.distributed": 50}
    with (
        dask.config.set(quick),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
    ):
        folder = quiet(recipe, tmp_path / "dask", scheduler=cluster.scheduler_address).folder
    assert content(folder) == whole
    assert not Path(recipe.trap).exists()  # somebody fell into it
    workers = {line.split()[0] for line in Path(recipe.diary).read_text().splitlines()}
    assert str(os.getpid()) not in workers and len(workers) >= 2


@pytest.mark.faults
def test_a_lost_scheduler_is_a_sentence(tmp_path, data):
    from distributed import LocalCluster

    with LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as cluster:
        threading.Timer(0.5, cluster.close).start()
        with pytest.raises(DatasetError, match=r"The Dask scheduler at .* lost .* are safe"):
            quiet(Noise(), tmp_path, scheduler=cluster.scheduler_address)
    assert content(quiet(Noise(), tmp_path).folder) == content(data.folder)


def test_no_scheduler_is_a_sentence(tmp_path):
    with pytest.raises(DatasetError, match="No Dask scheduler answers at 'nonsense://here'"):
        quiet(Noise(), tmp_path, scheduler="nonsense://here")


# ---- Disks --------------------------------------------------------------------------------------


@pytest.mark.faults
@settings(max_examples=40, deadline=None)
@given(place=st.integers(0, 2**32), bit=st.integers(0, 7), shard=st.integers(0, 5))
def test_a_flipped_bit_is_found_and_mended(place, bit, shard):
    with tempfile.TemporaryDirectory() as root:
        data = quiet(Noise(), root)
        whole = content(data.folder)
        path = data.store.path(shard)
        damaged = bytearray(path.read_bytes())
        damaged[place % len(damaged)] ^= 1 << bit
        path.write_bytes(damaged)
        with pytest.raises(DatasetError, match=f"Shard {shard} of .* call dataset"):
            data.states()
        others = [state for state in range(22) if state // 4 != shard]
        assert len(data.states(others)) == len(others)
        assert content(quiet(Noise(), root).folder) == whole


@pytest.mark.faults
@pytest.mark.parametrize("length", [None, 0, 3, 3075, 10**12], ids=lambda n: f"{n} bytes")
def test_a_shard_of_another_length_is_found_and_mended(data, length):
    whole = content(data.folder)
    path = data.store.path(2)
    path.unlink()
    if length is not None:
        with open(path, "wb") as file:  # a hole in the disk, not 10**12 bytes of it
            file.truncate(length)
    with pytest.raises(DatasetError, match=r"Shard 2 of .* missing or damaged"):
        data.states([8])
    assert content(quiet(Noise(), data.folder.parent).folder) == whole


@pytest.mark.faults
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_failing_disk_loses_nothing(tmp_path, monkeypatch, data, error):
    fsync, calls = os.fsync, []

    def failing(file):
        calls.append(file)
        if len(calls) == 5:
            raise OSError(error, os.strerror(error))
        return fsync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        with pytest.raises(DatasetError, match=f"Cannot use .*: {os.strerror(error)}.*are kept"):
            quiet(Noise(), tmp_path)
    folder = tmp_path / data.folder.name
    assert {".lock", "zarr.json", "parameters.json", "c.0.0.0.0", "c.1.0.0.0"} == set(
        content(folder)
    )
    assert content(quiet(Noise(), tmp_path).folder) == content(data.folder)


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small disk can be mounted by root only")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.faults
def test_a_disk_that_fills_up(small_disk, monkeypatch, tmp_path):
    recipe = Noise(states=80, shard=8, size=16)  # 245 kB
    simulate = Noise.simulate

    def greedy(self, states, device):
        if states.start == 40:
            (small_disk / "other").write_bytes(bytes(shutil.disk_usage(small_disk).free - 8192))
        return simulate(self, states, device)

    with monkeypatch.context() as patch:
        patch.setattr(Noise, "simulate", greedy)
        with pytest.raises(DatasetError, match=r"No space left on device. Make room"):
            quiet(recipe, small_disk)
    (small_disk / "other").unlink()
    folder = quiet(recipe, small_disk).folder
    assert content(folder) == content(quiet(recipe, tmp_path / "whole").folder)


@pytest.mark.faults
def test_folders_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match=r"Cannot use .*Not a directory.*another root"):
        quiet(Noise(), tmp_path / "file")
    with tempfile.TemporaryDirectory() as root:
        os.chmod(root, 0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # permissions do not bind root
        try:
            with pytest.raises(DatasetError, match=r"Cannot use .*Permission denied.*writable"):
                quiet(Noise(), root)
        finally:
            os.seteuid(user)
            os.chmod(root, 0o755)


@pytest.mark.faults
def test_a_complete_data_set_needs_no_writing(data, simulated):
    (data.folder / ".lock").unlink()  # whoever wants to write makes it again
    for path in data.folder.iterdir():
        path.chmod(0o444)
    before = {path: path.stat().st_mtime_ns for path in (data.folder, *data.folder.iterdir())}
    assert torch.equal(quiet(Noise(), data.folder.parent).states(), simulated)
    assert before == {path: path.stat().st_mtime_ns for path in before}


# ---- Strangers ----------------------------------------------------------------------------------


@pytest.mark.faults
@pytest.mark.parametrize("name", ["zarr.json", "parameters.json"])
@pytest.mark.parametrize("change", ["shorter", "altered", "huge"])
def test_metadata_of_another_recipe_are_refused(data, name, change):
    path = data.folder / name
    text = path.read_bytes()
    text = {"shorter": text[:-1], "altered": text.replace(b"1", b"2"), "huge": text * 9}[change]
    path.write_bytes(text)
    before = content(data.folder)
    with pytest.raises(DatasetError, match=f"{name} is not what this recipe writes.*move"):
        quiet(Noise(), data.folder.parent)
    assert content(data.folder) == before


def test_changed_code_without_a_new_version_is_noticed(data, monkeypatch):
    monkeypatch.setattr(Noise, "parameters", lambda self: pd.DataFrame({"dmi (J)": range(22)}))
    with pytest.raises(DatasetError, match="without a new `version`"):
        quiet(Noise(), data.folder.parent)


def plain(folder: Path, *changes: tuple[str, str]) -> Noise:
    """The recipe `Plain` of a module that is written into a new folder."""
    source = """
class Plain(Noise):
    def simulate(self, states, device):
        return super().simulate(states, device)  # as it is
"""
    for old, new in changes:
        source = source.replace(old, new)
    folder.mkdir()
    (folder / "plain.py").write_text("from dataset_worker import Noise\n" + source)
    spec = importlib.util.spec_from_file_location(f"plain_{folder.name}", folder / "plain.py")
    sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # where `inspect` looks
    spec.loader.exec_module(sys.modules[spec.name])
    return sys.modules[spec.name].Plain()


def test_states_of_a_class_that_was_edited_are_refused(tmp_path):
    folder = quiet(plain(tmp_path / "first"), tmp_path).folder
    whole = content(folder)
    words = (("  # as it is", ""), ("device):", 'device):\n        """As it was."""'))
    quiet(plain(tmp_path / "reworded", *words), tmp_path)
    other = plain(tmp_path / "other", ("  # as it is", " / 2"))
    with pytest.raises(DatasetError, match=f"code of Plain has changed.* or delete {folder}"):
        quiet(other, tmp_path)
    newer = plain(
        tmp_path / "newer", ("    def", "    version = 2\n    def"), ("  # as it", " / 2  #")
    )
    assert quiet(newer, tmp_path).folder != folder
    assert content(folder) == whole


def test_states_from_before_the_code_was_kept_are_taken(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:  # nor has a class in a notebook a source
        patch.setattr(spinlib.dataset, "code_hash", lambda kind: "")
        folder = quiet(Noise(), tmp_path).folder
    before = content(folder)
    quiet(Noise(), tmp_path)
    assert content(folder) == before
    shutil.rmtree(folder)
    before = content(quiet(Noise(), tmp_path).folder)
    monkeypatch.setattr(spinlib.dataset, "code_hash", lambda kind: "")
    quiet(Noise(), tmp_path)
    assert content(folder) == before and b'"code"' in before["zarr.json"]


@pytest.mark.faults
@pytest.mark.parametrize("name", ["c.0.0.0.0", "c.1.0.0.0.partial", "zarr.json", ".lock", "other"])
def test_links_out_of_the_folder_are_refused(tmp_path, data, name):
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    (data.folder / name).unlink(missing_ok=True)
    (data.folder / name).symlink_to(outside)
    (data.folder / "c.1.0.0.0").unlink(missing_ok=True)  # so that there is something to write
    with pytest.raises(DatasetError, match="not a plain file"):
        quiet(Noise(), data.folder.parent)
    assert outside.read_bytes() == b"precious"


class Planted:
    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


@pytest.mark.faults
def test_planted_pickles_are_never_opened(tmp_path, data):
    bomb = pickle.dumps(Planted(tmp_path / "mark"))
    whole = content(data.folder)
    data.store.path(0).write_bytes(bomb)
    (data.folder / "parameters.pkl").write_bytes(bomb)
    assert content(quiet(Noise(), data.folder.parent).folder) == {**whole, "parameters.pkl": bomb}
    (data.folder / "zarr.json").write_bytes(bomb)
    with pytest.raises(DatasetError, match=r"zarr\.json is not"):
        quiet(Noise(), data.folder.parent)
    assert not (tmp_path / "mark").exists()
    pickle.loads(bomb)
    assert (tmp_path / "mark").exists()  # the bomb was live


# ---- Refusals -----------------------------------------------------------------------------------


@dataclass
class Loose:
    states: int = 1


@dataclass(frozen=True)
class Poor:
    states: int = 1
    shape: tuple[int, ...] = (3, 8, 8)


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        (Noise(states=0), "states must be a whole number above 0, not 0"),
        (Noise(shard=-3), "shard must be a whole number above 0, not -3"),
        (Noise(states=2.5), "states must be a whole number above 0, not 2.5"),
        (Noise(storage="int8"), "storage is 'float16' or 'float32', not 'int8'"),
        (Noise(pause=float("nan")), "field 'pause' is nan, but"),
        (Noise(seed=np.int64(3)), "field 'seed' is np.int64"),
        (Noise(diary=["a"]), r"field 'diary' is \['a'\]"),
        (Loose(), "must be a frozen dataclass"),
        (
            Poor(),
            "Poor has no version, shard, storage, parameters, simulate: a recipe offers",
        ),
        (Noise(states=10**15), "7.69e[+]08 GB of disk, but only .* take fewer states"),
        (Noise(states=10**4, shard=10**4, size=10**4), "GB of disk"),
    ],
)
def test_bad_recipes_are_refused_before_any_work(tmp_path, recipe, sentence):
    with pytest.raises(DatasetError, match=sentence):
        quiet(recipe, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_shard_larger_than_memory_is_refused(tmp_path, monkeypatch):
    free = psutil.virtual_memory()._replace(available=10**6)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    # 12 bytes per number: 8192 states of 3 x 8 x 8
    with pytest.raises(DatasetError, match=r"0\.0189 GB of memory, but only 0\.001 GB"):
        quiet(Noise(states=8192, shard=8192), tmp_path)
    quiet(Noise(states=300, shard=300), tmp_path)


@pytest.mark.parametrize(
    "states",
    [
        torch.zeros(4, 3, 8, 9),
        torch.zeros(3, 3, 8, 8),
        torch.full((4, 3, 8, 8), torch.nan),
        torch.full((4, 3, 8, 8), 65520.0),  # rounds to infinity in float16
    ],
    ids=["wrong shape", "one missing", "not a number", "too large"],
)
def test_a_simulation_gone_wrong_is_not_stored(tmp_path, monkeypatch, states):
    monkeypatch.setattr(Noise, "simulate", lambda *_: states)
    with pytest.raises(DatasetError, match=r"shard 0, but .* not stored"):
        quiet(Noise(storage="float16"), tmp_path)
    assert not [name for name in content(next(tmp_path.iterdir())) if name.startswith("c.")]


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"field": [1.0]}),
        pd.DataFrame({"field": [np.inf] * 22}),
        pd.DataFrame({"field": [object()] * 22}),
        pd.DataFrame([[1, 2]] * 22, columns=["field", "field"]),
    ],
    ids=["too short", "infinite", "objects", "same names"],
)
def test_a_bad_table_of_parameters_is_refused(tmp_path, monkeypatch, table):
    monkeypatch.setattr(Noise, "parameters", lambda self: table)
    with pytest.raises(DatasetError, match="must be 22 rows of finite numbers and strings"):
        quiet(Noise(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_peak_memory_does_not_grow_with_the_number_of_states(tmp_path):
    peaks = []
    for states in (64, 64, 4096):
        recipe, result = Noise(states=states, shard=32, size=32), tmp_path / "peak"
        process = start(peak_memory, recipe, str(tmp_path / str(len(peaks))), str(result))
        process.join()
        peaks.append(int(result.read_text()))
    # Kept states would add 4032 x 12 KiB = 48 MiB. The allocator and a table of 4096 rows take a
    # few MiB, as does the same small run from one time to the next; 10 MiB lie well between.
    assert abs(peaks[1] - peaks[0]) < 10 * 1024
    assert peaks[2] - peaks[0] < 10 * 1024


# ---- Splitting ----------------------------------------------------------------------------------


@given(
    groups=st.lists(st.integers(0, 30), max_size=200).map(lambda groups: [*range(10), *groups]),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=50, deadline=None)
def test_no_group_straddles_two_parts(groups, seed):
    table = pd.DataFrame({"simulation": groups, "field (T)": np.arange(len(groups)) % 2})
    columns = ["simulation", "field (T)"]
    parts = split(table, (0.6, 0.2, 0.2), by=columns, seed=seed)
    assert sorted(np.concatenate(parts)) == list(range(len(groups)))
    members = [set(map(tuple, table.loc[part, columns].to_numpy().tolist())) for part in parts]
    assert all(not a & b for a, b in zip(members, members[1:] + members[:1], strict=True))
    whole = sum(len(each) for each in members)
    for each, fraction in zip(members, (0.6, 0.2, 0.2), strict=True):
        assert abs(len(each) - fraction * whole) < 1  # both its edges are rounded


def test_a_split_is_a_shuffle_that_the_seed_decides():
    table = pd.DataFrame({"set": np.arange(1000) // 20, "replica": np.arange(1000) % 20})
    train, validation, test = split(table, (0.7, 0.2, 0.1), by="replica", seed=3)
    assert [len(part) for part in (train, validation, test)] == [700, 200, 100]
    again = split(table, (0.7, 0.2, 0.1), by="replica", seed=3)
    assert all(map(np.array_equal, (train, validation, test), again))
    assert not np.array_equal(train, split(table, (0.7, 0.2, 0.1), by="replica", seed=4)[0])
    (half,) = split(table, (0.5,), by=None, seed=0)
    # Mean of 500 of 0..999 drawn without repetition: 499.5 with standard error 9.1; 4 of them.
    assert len(half) == 500 and abs(half.mean() - 499.5) < 37


@pytest.mark.parametrize(
    ("fractions", "by", "sentence"),
    [
        ((0.9, 0.2), "simulation", "sum to at most 1"),
        ((1.0, 0.0), "simulation", "must be positive"),
        ((0.5, 0.5), "colour", r"no parameter \['colour'\] among"),
        ((0.99, 0.01), "simulation", r"8 group\(s\) by 'simulation' are too few"),
        ((0.5, 0.5), "kind", r"1 group\(s\) by 'kind' are too few"),
    ],
)
def test_impossible_splits_are_refused(fractions, by, sentence):
    with pytest.raises(ValueError, match=sentence):
        split(Noise().parameters(), fractions, by=by, seed=0)


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(LockError, match=r"cannot be locked.*Function not implemented.*flock"):
        dataset(Noise(4), tmp_path, progress=False)
