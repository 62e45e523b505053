"""Whatever goes wrong, nothing is lost: kills, full and locked disks, rivals, clocks, Ctrl-C.

    pytest -m faults            the short mode, which CI runs
    pytest -m faults --long     sixty kills at random moments, and whole studies run again

Kills are SIGKILL, which no program can answer. After each of them everything on disk must be whole
or recognisable as unfinished, and the next run must end with what an unbroken one gives. Faults of
data sets alone are in test_dataset.py, of the training loop in test_training.py. Nothing here has a
tolerance: results are compared byte by byte.
"""

import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import fault_worker
import psutil
import pytest
import torch
import training_worker

from spinlib import report, reproduce, textures
from spinlib.anneal import anneal
from spinlib.dataset import dataset
from spinlib.files import wait_for_lock
from spinlib.hamiltonian import Hamiltonian
from spinlib.recipes import SkyrmionStates
from spinlib.study import Study
from spinlib.weights import TrainingError, read_about

pytestmark = pytest.mark.faults

WORKER = [sys.executable, Path(fault_worker.__file__)]
ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(Path(report.__file__).parent.parent),
    "OMP_NUM_THREADS": "1",  # so that trainings give the same bits
    "PYTHONUNBUFFERED": "1",
}


def reproduce_command(root: Path, *more: str) -> list:
    code = "import sys; from pathlib import Path; from spinlib.reproduce import main; "
    code += "sys.exit(main(sys.argv[2:], Path(sys.argv[1])))"
    return [sys.executable, "-c", code, root, "--profile", "smoke", "--device", "cpu", *more]


def start(command: list, **options) -> subprocess.Popen:
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    # Even where this process runs in the background, and has learnt to ignore Ctrl-C.
    common = {"start_new_session": True, "preexec_fn": heed_ctrl_c}
    return subprocess.Popen(command, env=ENVIRONMENT, **pipes | common | options)


def heed_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def finish(process: subprocess.Popen, seconds: float = 600) -> str:
    """Wait for a process and return what it complained about."""
    return process.communicate(timeout=seconds)[1]


def wait_until(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    """Wait for something to happen while a process runs."""
    end = time.monotonic() + 600
    while not condition():
        assert process.poll() is None and time.monotonic() < end, "this does not happen"
        time.sleep(0.02)


def ends_well(command: list) -> None:
    process = start(command)
    said = finish(process)
    assert process.returncode == 0, said


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but locks."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    files = [path for path in files if path.name != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def kill_at_random(
    command: list,
    seconds: float,
    kills: int,
    seed: int,
    whole: Callable[[], None],
    afresh: Callable[[], None],
) -> None:
    """Kill a command that takes so many seconds at random moments, and see what it left is `whole`.

    Whenever it comes to its end between two kills, it begins `afresh`. The last run ends.
    """
    chance, done, ends = random.Random(seed), 0, 0
    while done < kills:
        process = start(command)
        try:
            # Not while Python itself is starting.
            process.wait(seconds * chance.uniform(0.3, 1.0))
        except subprocess.TimeoutExpired:
            done += 1
        finally:
            process.kill()
        finish(process)
        whole()
        if process.returncode == 0:
            ends += 1
            assert ends < 10 + 5 * kills, "it is always too fast to be killed"
            afresh()
        else:
            assert process.returncode == -signal.SIGKILL
    ends_well(command)


# ---- Kills --------------------------------------------------------------------------------------


@pytest.fixture
def kills(long) -> int:
    return 15 if long else 1


def timed(command: list) -> float:
    begin = time.monotonic()
    ends_well(command)
    return time.monotonic() - begin


def test_killed_generations_end_with_the_same_bytes(tmp_path, long, kills):
    if not long:
        pytest.skip("in the short mode test_dataset.py kills generations")
    seconds = timed([*WORKER, "generate", tmp_path / "whole"])
    unbroken = content(tmp_path / "whole")

    def whole():
        for name, text in content(tmp_path / "killed").items():
            assert name.endswith(".partial") or text == unbroken[name]

    def afresh():
        for path in (tmp_path / "killed").glob("*/c.*"):
            path.unlink()

    command = [*WORKER, "generate", tmp_path / "killed"]
    kill_at_random(command, seconds, kills, 1, whole, afresh)
    assert content(tmp_path / "killed") == unbroken


def test_killed_trainings_end_with_the_same_weights(tmp_path, long, kills):
    if not long:
        pytest.skip("in the short mode test_training.py kills a training")
    for folder in ("whole", "killed"):
        (tmp_path / folder).mkdir()
    seconds = timed([*WORKER, "train", tmp_path / "whole"])
    checkpoint = tmp_path / "killed" / "training.safetensors"

    def whole():
        if checkpoint.exists():
            assert len(read_about(checkpoint)["history"]) <= training_worker.EPOCHS

    command = [*WORKER, "train", tmp_path / "killed"]
    kill_at_random(command, seconds, kills, 2, whole, checkpoint.unlink)
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


@pytest.fixture(scope="module")
def first_run(tmp_path_factory) -> tuple[Path, float]:
    """A repository with one study, run once with seed 1, and the seconds that it took."""
    root = fault_worker.make_root(tmp_path_factory.mktemp("first") / "root")
    return root, timed(reproduce_command(root))


@pytest.fixture
def root(first_run, tmp_path) -> Path:
    """A copy of that repository, to do harm to."""
    return Path(shutil.copytree(first_run[0], tmp_path / "root"))


def set_in_notebook(root: Path, **values: float) -> None:
    """Write other values into the notebook's parameters cell: its results are to be made again."""
    page = root / "notebooks" / "04_page.py"
    text = page.read_text()
    for name, value in values.items():
        text, count = re.subn(rf"(?m)^({name}: \w+ =) \S+", rf"\1 {value}", text)
        assert count == 1
    page.write_text(text)


def seed_of(folder: Path) -> int:
    """See that a study's results are complete and belong together; return the seed they are of."""
    stamp = json.loads((folder / ".stamp").read_text())
    assert stamp["files"] == reproduce._hashes(folder)
    (claim,) = [row for row in json.loads((folder / "claims.json").read_text()) if row["ours"]]
    records = [json.loads(path.read_text()) for path in folder.glob("noise_?.json")]
    assert len(records) == 4
    assert {record["provenance"]["seed"] for record in records} == {claim["ours"]}
    return int(claim["ours"])


def no_orphans(root: Path) -> None:
    """See that the kernel of a killed run notices, and ends by itself."""
    end = time.monotonic() + 300

    def alive():
        for process in psutil.process_iter(["cwd", "status"]):
            if process.info["cwd"] == str(root) and process.info["status"] != "zombie":
                yield process.pid

    while list(alive()):
        assert time.monotonic() < end, "a kernel without its runner does not end"
        time.sleep(0.1)


def test_killed_runs_leave_whole_results_of_the_old_or_the_new(root, first_run, kills):
    results = root / "figures" / "smoke" / "04"

    def whole():
        there = results if results.exists() else results.with_name(".04.old")
        assert seed_of(there) in (1, 2)

    set_in_notebook(root, seed=2)
    command = reproduce_command(root, "--force")
    kill_at_random(command, first_run[1], kills, 3, whole, lambda: None)
    assert seed_of(results) == 2
    assert {path.name for path in results.parent.iterdir()} == {".04.lock", ".begun", "04"}
    no_orphans(root)


WRITTEN = ("figures/report.html", "figures/scoreboard.md", "README.md", "notebooks/index.ipynb")


def report_is_whole(root: Path, old: dict[str, bytes], new: dict[str, bytes]) -> None:
    for name in WRITTEN:
        assert (root / name).read_bytes() in (old[name], new[name])


@pytest.fixture
def two_reports(root) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """What a report and README look like before and after a claim has another value."""
    old = content(root)
    claims = root / "figures" / "smoke" / "04" / "claims.json"
    laptop = root / "figures" / "laptop" / "04" / "claims.json"
    laptop.parent.mkdir(parents=True)
    laptop.write_text(claims.read_text().replace('"smoke"', '"laptop"'))
    report.write(root)
    new = content(root)
    assert all(old[name] != new[name] for name in WRITTEN)
    restore(root, old)
    return old, new


def restore(root: Path, old: dict[str, bytes]) -> None:
    for name in WRITTEN:
        (root / name).write_bytes(old[name])


def test_a_report_killed_at_every_step_of_writing(root, two_reports):
    old, new = two_reports
    for step in range(1, 2 * len(WRITTEN) + 1):  # an fsync and a rename each
        restore(root, old)
        process = start([*WORKER, "report", root, str(step)])
        finish(process)
        assert process.returncode == -signal.SIGKILL
        report_is_whole(root, old, new)
    ends_well([*WORKER, "report", root])
    assert content(root) == new


def test_reports_killed_at_random_moments(root, two_reports, kills):
    old, new = two_reports
    command = [*WORKER, "report", root]
    seconds = timed(command)
    restore(root, old)
    whole, afresh = lambda: report_is_whole(root, old, new), lambda: restore(root, old)
    kill_at_random(command, seconds, kills, 4, whole, afresh)
    assert content(root) == new


# ---- Rivals -------------------------------------------------------------------------------------


def rivals(command: list, under_way: Callable[[], bool], tmp_path: Path) -> list[str]:
    """Start two processes at the same work, the second while the first is in the middle of it."""
    outputs = [tmp_path / "first", tmp_path / "second"]

    def begin(path: Path) -> subprocess.Popen:
        return start(command, stdout=path.open("w"), stderr=subprocess.STDOUT)

    first = begin(outputs[0])
    wait_until(under_way, first)
    first.send_signal(signal.SIGSTOP)
    second = begin(outputs[1])
    wait_until(lambda: "waiting for it." in outputs[1].read_text(), second)
    first.send_signal(signal.SIGCONT)
    assert [first.wait(600), second.wait(600)] == [0, 0]
    return [path.read_text() for path in outputs]


def test_two_runs_of_one_study_take_turns(root, tmp_path):
    begun = root / "figures" / "smoke" / ".begun"
    begun.unlink()
    set_in_notebook(root, seed=3, pause=0.5)
    command = reproduce_command(root)
    said = rivals(command, begun.exists, tmp_path)
    assert "done in" in said[0] and "nothing changed" not in said[0]
    assert "Another process is making figures/smoke/04; waiting for it." in said[1]
    assert "nothing changed" in said[1] and "done in" not in said[1]
    assert seed_of(root / "figures" / "smoke" / "04") == 3


def test_two_trainings_at_one_checkpoint_take_turns(tmp_path):
    (tmp_path / "both").mkdir()
    checkpoint = tmp_path / "both" / "training.safetensors"
    said = rivals([*WORKER, "train", tmp_path / "both"], checkpoint.exists, tmp_path)
    assert f"Another process is making {checkpoint}; waiting for it." in said[1]
    assert len(read_about(checkpoint)["history"]) == training_worker.EPOCHS


# ---- Disks --------------------------------------------------------------------------------------


def small_files(limit: int = 2**14) -> None:
    """No file may pass so many bytes in this process or its children: a full disk, for anyone."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def test_a_study_without_room_on_the_disk_is_a_sentence_and_keeps_the_results(root):
    set_in_notebook(root, seed=2)
    before = content(root)
    process = start(reproduce_command(root), preexec_fn=small_files)
    said = finish(process)
    assert process.returncode == 1
    assert "Study 04 failed:" in said and "File too large" in said and "Traceback" not in said
    after = content(root)
    assert all(after[name] == text for name, text in before.items())


def test_a_training_without_room_on_the_disk_is_a_sentence_and_goes_on_later(tmp_path):
    (tmp_path / "full").mkdir()
    command = [*WORKER, "train", tmp_path / "full"]
    said = finish(start(command, preexec_fn=lambda: small_files(2**11)))
    assert "TrainingError: Cannot write" in said and "File too large. Make room or" in said
    left = {path.name for path in (tmp_path / "full").iterdir()}
    assert left == {".training.safetensors.lock"}
    training_worker.train(tmp_path / "full" / "training.safetensors")


@contextmanager
def locked_folder() -> Iterator[Path]:
    """A folder that can be read but not written, for root too: it puts its rights aside."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fault_worker.make_root(folder)
        (folder / "figures").mkdir()
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        if user == 0:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(user)
            for path in (folder, *folder.rglob("*")):
                path.chmod(0o755)


def test_a_folder_that_cannot_be_written_is_a_sentence(capsys):
    training_worker.train(None, epochs=1)  # the kernels' cache, too, is closed to who has no rights
    with locked_folder() as folder:
        with pytest.raises(TrainingError, match=r"Cannot write .*Permission denied. Make room or"):
            training_worker.train(folder / "training.safetensors", epochs=1)
        before = content(folder)
        assert reproduce.main(["--profile", "smoke", "--device", "cpu"], folder) == 1
        said = capsys.readouterr().err
        assert "Study 04 failed: Permission denied at" in said
        assert "The report failed: Permission denied at" in said
        assert said.count("\n") == 2 and "earlier results are kept" in said
        assert content(folder) == before


# ---- Clocks -------------------------------------------------------------------------------------


def test_a_clock_that_jumps_changes_nothing(first_run, tmp_path, monkeypatch):
    root = first_run[0]
    results = root / "figures" / "smoke" / "04"
    fault_worker.generate(tmp_path / "data")
    curve = training_worker.train(tmp_path / "training.safetensors", epochs=2)
    before = content(tmp_path)
    # Everything on disk is from the future or older than computers, and the clock runs backwards.
    for number, path in enumerate(sorted([*tmp_path.rglob("*"), *root.rglob("*")])):
        os.utime(path, (4e9, 4e9) if number % 2 else (0, 0))
    clock = iter(range(4_000_000_000, 0, -86_400))
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))

    class Backwards(datetime):
        @classmethod
        def now(cls, zone=None):
            return cls.fromtimestamp(next(clock), zone)

    monkeypatch.setattr("spinlib.study.datetime", Backwards)
    (run,) = reproduce.plan(
        reproduce.request_parser().parse_args(["--profile", "smoke", "--device", "cpu"]), root
    )
    assert reproduce.reusable(run, root) and seed_of(results) == 1
    fault_worker.generate(tmp_path / "data")
    assert training_worker.train(tmp_path / "training.safetensors", epochs=2).equals(curve)
    assert content(tmp_path) == before
    fault_worker.generate(tmp_path / "again")
    assert content(tmp_path / "again") == content(tmp_path / "data")
    study = Study("04", profile="smoke", output=tmp_path / "study", device="cpu")
    assert 0 <= study.seconds < 600


# ---- Ctrl-C -------------------------------------------------------------------------------------


def interrupt(process: subprocess.Popen, ready: Callable[[], bool]) -> str:
    """Press Ctrl-C as a terminal does, for the whole group, once the work is under way."""
    wait_until(ready, process)
    os.killpg(process.pid, signal.SIGINT)
    return finish(process)


STOPPED = "Stopped; what was running left nothing, earlier results are kept."


def in_so_many_words(said: str) -> list[str]:
    """The lines that a run has printed, but for its progress bar."""
    lines = map(str.strip, said.splitlines())
    return [line for line in lines if line and not line.startswith("study 04:")]


@pytest.mark.parametrize("moment", ["before there is a kernel", "a kernel starts", "in a cell"])
def test_ctrl_c_during_a_run_is_one_sentence_and_leaves_nothing(root, moment):
    begun = root / "figures" / "smoke" / ".begun"
    begun.unlink()
    set_in_notebook(root, pause=30.0, seed=2)
    before = content(root)
    process = start(reproduce_command(root, "--force"))
    ready = {
        "before there is a kernel": lambda: list(begun.parent.glob(".04.*.part")),
        "a kernel starts": lambda: kernels_of(process),
        "in a cell": begun.exists,
    }[moment]
    said = interrupt(process, lambda: bool(ready()))
    assert process.returncode == 130  # as a shell counts a program that was interrupted
    assert in_so_many_words(said) == [STOPPED]
    begun.unlink(missing_ok=True)
    assert content(root) == before
    assert {path.name for path in begun.parent.iterdir()} == {".04.lock", "04"}
    no_orphans(root)


@pytest.mark.parametrize("moment", ["kernels start", "in cells"])
def test_ctrl_c_ends_studies_that_run_at_the_same_time(root, moment):
    set_in_notebook(root, pause=30.0, seed=2)
    page = root / "notebooks" / "04_page.py"
    page.with_name("05_page.py").write_text(page.read_text().replace(".begun", ".begun.05"))
    # A third, which would begin when one of them has ended.
    page.with_name("06_page.py").write_text(page.read_text().replace(".begun", ".begun.06"))
    figures = root / "figures" / "smoke"
    (figures / ".begun").unlink()
    before = content(root)
    command = reproduce_command(root, "--force", "--jobs", "2")
    process = start(command)
    ready = {
        "kernels start": lambda: len(kernels_of(process)) == 2,
        "in cells": lambda: len(list(figures.glob(".begun*"))) == 2,
    }[moment]
    said = interrupt(process, ready)
    assert (process.returncode, in_so_many_words(said)) == (130, [STOPPED])
    assert not (figures / ".begun.06").exists()
    for begun in figures.glob(".begun*"):
        begun.unlink()
    assert content(root) == before
    no_orphans(root)


def test_ctrl_c_ends_the_waiting_for_another_run(root):
    before = content(root)
    with (root / "figures" / "smoke" / ".04.lock").open("ab") as lock:
        wait_for_lock(lock, "this")
        process = start(reproduce_command(root, "--force"), stdout=subprocess.PIPE)
        assert process.stdout.readline().startswith("Another process is making figures/smoke/04;")
        said = interrupt(process, lambda: True)
    assert (process.returncode, in_so_many_words(said)) == (130, [STOPPED])
    assert content(root) == before


def test_ctrl_c_is_heard_whichever_thread_the_system_tells():
    def study() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        heard.append(reproduce._stopping.wait(20))

    heard = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            reproduce.out_of_reach([study])
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [True]


def kernels_of(process: subprocess.Popen) -> list[psutil.Process]:
    kernels = []
    for child in psutil.Process(process.pid).children():
        with suppress(psutil.Error):  # a zombie has no command line
            if "ipykernel_launcher" in child.cmdline():
                kernels.append(child)
    return kernels


def test_ctrl_c_at_random_moments_is_one_sentence(root, first_run, long):
    if not long:
        pytest.skip("in the short mode Ctrl-C comes at three chosen moments")
    chance, last = random.Random(5), root / "figures" / "report.html"
    for _ in range(15):
        last.unlink(missing_ok=True)
        process = start(reproduce_command(root, "--force"))
        with suppress(subprocess.TimeoutExpired):
            # Not while Python itself is starting.
            process.wait(first_run[1] * chance.uniform(0.3, 0.9))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        said = in_so_many_words(finish(process))
        assert seed_of(root / "figures" / "smoke" / "04") == 1
        if not last.exists():  # otherwise all was over
            assert (process.returncode, said) == (130, [STOPPED])
    no_orphans(root)


@pytest.mark.parametrize("work", ["generate", "train"])
def test_ctrl_c_during_work_says_what_is_safe_and_the_next_call_goes_on(tmp_path, work):
    for folder in ("stopped", "whole"):
        (tmp_path / folder).mkdir()
    made = {"generate": "*/c.1.*", "train": "training.safetensors"}[work]
    process = start([*WORKER, work, tmp_path / "stopped"])
    said = interrupt(process, lambda: bool(list((tmp_path / "stopped").glob(made))))
    assert process.returncode == -signal.SIGINT
    last = said.splitlines()[-1]
    assert last.startswith("KeyboardInterrupt: Stopped") and " safe in " in last
    assert last.endswith("to go on.")
    threads = torch.get_num_threads()
    try:
        for folder in ("stopped", "whole"):
            fault_worker.WORK[work](tmp_path / folder)
    finally:
        torch.set_num_threads(threads)
    assert content(tmp_path / "stopped") == content(tmp_path / "whole")


# ---- Absurd requests ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ask",
    [
        lambda: anneal(Hamiltonian(), (2**17, 2**17), [1.0], states=range(100)),
        lambda: anneal(Hamiltonian(dipolar=0.1), (1024, 1024), [1.0], states=range(10**6)),
        lambda: textures.uniform((10**7, 10**7)),
        lambda: dataset(SkyrmionStates(states=10**8, shard=10**8), "nowhere", progress=False),
        lambda: dataset(SkyrmionStates(states=2, size=10**6), "nowhere", progress=False),
    ],
    ids=["large lattices", "a large batch", "one large texture", "a large shard", "large states"],
)
def test_what_no_memory_could_hold_is_refused_before_it_is_allocated(ask):
    before = psutil.Process().memory_info().rss
    with pytest.raises((ValueError, RuntimeError), match=r"needs? about .* GB of .* take .*\.$"):
        ask()
    # The smallest of these requests is 38 TB.
    assert psutil.Process().memory_info().rss - before < 2**30
    assert not Path("nowhere").exists()
