"""Sweeps: every set of parameters once, whatever happens to the workers; refused as a whole."""

import os
import runpy
import signal
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import dask
import distributed
import fault_worker
import psutil
import pytest
import yaml

from spinlib import sweep
from spinlib.notebooks import CHANGES, Refused

SETS = [{"seed": 1, "pause": 0.0}, {"seed": 2, "pause": 0.0}]


@pytest.fixture
def root(tmp_path) -> Path:
    return fault_worker.make_root(tmp_path / "root")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("- {seed: 1}\n- {no_such: 2}", "Set 1: There is no parameter 'no_such'"),
        ("- {seed: many}", "Set 0: Parameter seed (of the random numbers) must be int"),
        ("- 3", "Set 0 must map names to values"),
        ("seed: 1", "sets.yaml must be a list of sets"),
        ("[]", "sets.yaml must be a list of sets"),
        ("- [", "sets.yaml is no YAML"),
        ("- {output: elsewhere}", "Set 0: Parameter output is the runner's own"),
    ],
)
def test_a_sweep_with_one_wrong_set_is_refused_as_a_whole(root, capsys, text, sentence):
    (root / "sets.yaml").write_text(text)
    assert sweep.main([str(root / "sets.yaml"), "--study", "04"], root) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and said.endswith(".\n")
    assert not (root / "data").exists()


def test_a_sweep_with_a_missing_picture_is_refused_as_a_whole(tmp_path, capsys):
    (tmp_path / "sets.yaml").write_text("- {image: nowhere.png}")
    assert sweep.main([str(tmp_path / "sets.yaml"), "--study", "02", "--profile", "smoke"]) == 2
    assert "There is no picture 'nowhere.png'" in capsys.readouterr().err


def test_the_example_of_the_docstring_can_be_run():
    example = "\n".join(line for line in sweep.__doc__.splitlines() if line.startswith("    - "))
    runs = sweep.plan("01", yaml.safe_load(example), "laptop")
    assert [run.values["image"] for run in runs] == ["one.tif", "two.tif"]


def test_a_sweep_runs_every_set_once_and_tells_which_failed(root, capsys):
    page = root / "notebooks" / "04_page.py"
    page.write_text(page.read_text().replace("study.claim(", "assert seed < 3\nstudy.claim("))
    (root / "sets.yaml").write_text(yaml.safe_dump([SETS[0], {"seed": 3, "pause": 0.0}, SETS[0]]))
    request = [str(root / "sets.yaml"), "--study", "04", "--profile", "smoke", "--device", "cpu"]
    assert sweep.main(request, root) == 1
    said = capsys.readouterr()
    assert "Set seed=3 pause=0.0 failed: AssertionError" in said.err
    assert "1 sets done: data/sweeps/smoke/04/claims.csv" in said.out
    folders = [path for path in (root / "data/sweeps/smoke/04").iterdir() if path.is_dir()]
    made = {path: path.stat().st_mtime_ns for path in folders if not path.name.endswith(".failed")}
    assert len(made) == 1
    runs = sweep.plan("04", [SETS[0]] * 2, "smoke", "cpu", root)
    table = sweep.sweep(runs, root=root)
    assert made == {path: path.stat().st_mtime_ns for path in made}  # nothing was run again
    assert list(table.loc[table["claim"] == "V7", "ours"]) == [1.0, 1.0]
    assert set(table["set"]) == {"seed=1 pause=0.0"}


def test_sets_on_one_worker_do_not_see_each_others_parameters(root, monkeypatch):
    runs = sweep.plan("04", [{"seed": seed} for seed in range(1, 5)], "smoke", "cpu", root)
    seen = {}

    def execute(run, root):
        time.sleep(0.05)
        seen[run.changes] = os.environ[CHANGES]

    monkeypatch.setattr(sweep.reproduce, "execute", execute)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda run: sweep.carry_out(run, root), runs)) == [""] * 4
    assert all(told == changes for changes, told in seen.items()) and len(seen) == 4


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "head", ""])
def test_a_sweep_without_its_scheduler_is_refused_in_a_sentence(root, tmp_path, capsys, address):
    (tmp_path / "sets.yaml").write_text("- {seed: 1}")
    words = [str(tmp_path / "sets.yaml"), "--study", "04", "--profile", "smoke", "--device", "cpu"]
    assert sweep.main([*words, "--scheduler", address], root) == 2
    assert "No Dask scheduler answers" in capsys.readouterr().err


def test_in_a_shell_the_work_is_that_of_the_module_which_workers_know(monkeypatch):
    """What Dask sends by value, as all of __main__, would have to carry a lock along."""
    monkeypatch.setattr(sweep, "main", lambda: 7)
    with pytest.raises(SystemExit, match="7"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the module is there already
        runpy.run_module("spinlib.sweep", run_name="__main__")


def test_a_set_that_kills_its_workers_is_told_and_a_lost_scheduler_is_a_sentence(root, monkeypatch):
    runs = {run.folder: run for run in sweep.plan("04", SETS, "smoke", "cpu", root)}

    class Client(nullcontext):
        ends: ClassVar = []

        def map(self, *_, **__):
            return [SimpleNamespace(result=end) for end in self.ends]

    def killed():
        raise distributed.KilledWorker("carry_out", SimpleNamespace(address="tcp://a:1"), 3)

    def cancelled():
        raise distributed.CancelledError("carry_out")

    monkeypatch.setattr("spinlib.shards.connect", lambda _: Client())
    Client.ends = [killed, lambda: ""]
    first, second = sweep._by_workers(runs, "tcp://head:8786", root).values()
    assert first.startswith("KilledWorker") and second == ""
    Client.ends = [lambda: "", cancelled]
    with pytest.raises(Refused, match="scheduler at tcp://head:8786 was lost; finished sets are"):
        sweep._by_workers(runs, "tcp://head:8786", root)


@pytest.mark.faults
def test_a_sweep_over_workers_survives_the_loss_of_one(root, long):
    if not long:
        pytest.skip("in the short mode test_dataset.py loses a worker")
    from distributed import LocalCluster

    runs = sweep.plan(
        "04", [{"seed": seed, "pause": 0.3} for seed in range(1, 5)], "smoke", "cpu", root
    )
    quick = {"distributed.scheduler.allowed-failures": 3, "distributed.logging.distributed": 50}
    begun = root / "data" / "sweeps" / "smoke" / "04" / ".begun"
    with (
        dask.config.set(quick),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
    ):
        victim = cluster.workers[0].pid
        shot = threading.Thread(target=kill_when, args=(victim, begun), daemon=True)
        shot.start()
        table = sweep.sweep(runs, cluster.scheduler_address, root)
    shot.join()
    assert not psutil.pid_exists(victim)
    assert list(table.loc[table["claim"] == "V7", "ours"]) == [1.0, 2.0, 3.0, 4.0]
    assert (table["error"] == "").all()


def kill_when(pid: int, there: Path) -> None:
    """Kill a process as soon as the file is there."""
    end = time.monotonic() + 600
    while not there.exists() and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
