"""Run studies: a notebook in; figures, claims and the executed notebook out.

    python -m spinlib.reproduce --profile laptop --study 04 -p name=value --device auto --jobs 1

A study's results appear in figures/<profile>/<study>/ only when they are complete, and are made
again only if the notebook, its parameters, the picture they name, anything in spinlib or the pins
changed. With parameters other than the profile's, they appear in a folder of their own below
figures/changed/.
"""

# Only the standard library up here, as in spinlib.request.
import base64
import hashlib
import json
import logging
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import chdir, contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from spinlib.notebooks import CHANGES, ROOT, Refused, read
from spinlib.request import Run, plan, request_parser

STAMP = ".stamp"
LARGEST_PAGE = 2_500_000  # characters of an executed notebook: the web shows no larger ones
LARGEST_PICTURE = 450_000  # bytes of one of its pictures that had to be made smaller

_stopping = Event()  # set while Ctrl-C ends what is running


def fingerprint(run: Run, root: Path = ROOT) -> str:
    """Return a hash of all that a result depends on, to know whether it may be reused."""
    digest = hashlib.sha256(json.dumps(run.values, sort_keys=True).encode())
    package = Path(__file__).parent
    sources = sorted(
        path
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    )
    # A picture of the user's own: another one may come under the same name.
    own = [root / Path(run.values["image"]).expanduser()] if run.values.get("image") else []
    for path in [run.notebook, root / "requirements.txt", *own, *sources]:
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def reusable(run: Run, root: Path = ROOT) -> bool:
    """Say whether the run's folder holds, untouched, the results of exactly this run."""
    try:
        stamp = json.loads((run.folder / STAMP).read_text())
        return stamp == {"fingerprint": fingerprint(run, root), "files": _hashes(run.folder)}
    except (OSError, ValueError):
        return False


def execute(run: Run, root: Path = ROOT, bar: bool = True) -> None:
    """Run one study into a folder of its own; move it into place once it is complete.

    On an error the previous results stay, and the executed part, with the error in it, goes to
    <folder>.failed/ beside them. To be called inside `environment` and `out_of_reach`.
    """
    before = fingerprint(run, root)
    # A name of its own: the notebook of a run that was killed may live for another second.
    name = run.folder.name
    part = run.folder.with_name(f".{name}.{os.getpid()}.part")
    failed = run.folder.with_name(f"{name}.failed")
    old = run.folder.with_name(f".{name}.old")
    for leftover in (*run.folder.parent.glob(f".{name}.*part"), failed):
        shutil.rmtree(leftover, ignore_errors=True)
    part.mkdir(parents=True)
    page = part / run.notebook.with_suffix(".ipynb").name
    try:
        _papermill(run, page, root, bar)
        if not (part / "claims.json").exists():
            raise RuntimeError("the notebook ended without study.about(), so it has no claims")
        _tidy(page, part, run, root)
        stamp = {"fingerprint": before, "files": _hashes(part)}
        (part / STAMP).write_text(json.dumps(stamp, indent=1) + "\n")
        shutil.rmtree(old, ignore_errors=True)
        if run.folder.exists():
            run.folder.rename(old)
        part.rename(run.folder)
    except Exception:
        if _stopping.is_set():  # its kernel was killed
            shutil.rmtree(part, ignore_errors=True)
            raise KeyboardInterrupt from None
        _tidy(page, part, run, root)
        part.rename(failed)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _papermill(run: Run, page: Path, root: Path, bar: bool) -> None:
    import papermill

    papermill.execute_notebook(
        read(run.notebook),
        page,
        parameters=run.values | {"output": str(page.parent)},
        kernel_name="python3",
        progress_bar=bar and {"desc": f"study {run.study}", "leave": False},
        cwd=root,
        start_timeout=300,
        extra_arguments=["--log-level=ERROR"],
    )


@contextmanager
def environment(changes: str, root: Path = ROOT, jobs: int = 1) -> Iterator[None]:
    """What kernels that start inside find: the changes, their folder, their share of the cores.

    A process has one environment and one working folder, and its threads cannot differ in them.
    """
    wanted = {
        CHANGES: changes,
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # or each kernel warns of its own debugger
    }
    if jobs > 1:
        share = str(max(1, (os.cpu_count() or 1) // jobs))
        wanted["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", share)
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        with chdir(root):
            yield
    finally:
        for name, entry in before.items():
            os.environ.pop(name, None)
            if entry is not None:
                os.environ[name] = entry


def out_of_reach(calls: Sequence[Callable[[], Any]], at_once: int = 1) -> list:
    """Results of calls that run notebooks, in threads of their own, so many at a time.

    Ctrl-C does not interrupt these. Jupyter and its kernel, interrupted in mid-sentence, print
    tracebacks; that a kernel died they can cope with. So Ctrl-C kills all kernels, and what is
    logged about that is not shown.
    """
    going: list[Future] = []
    begun = Event()  # set when all calls are known here: one that ran before could not be stopped

    def run(call: Callable[[], Any]) -> Any:
        begun.wait()
        if _stopping.is_set():
            raise KeyboardInterrupt
        return call()

    try:
        with ThreadPoolExecutor(at_once) as threads:
            try:
                for call in calls:
                    going.append(threads.submit(run, call))
                begun.set()
                # Ctrl-C may reach any thread, and this one hears of it only when it is awake.
                while wait(going, 0.5).not_done:
                    pass
                return [each.result() for each in going]
            except KeyboardInterrupt:
                # It is being stopped already.
                before = signal.signal(signal.SIGINT, signal.SIG_IGN)
                logging.disable()
                _stopping.set()
                begun.set()
                for each in going:
                    each.cancel()
                while not all(each.done() for each in going):  # a kernel may be yet to come
                    _kill_kernels()
                    wait(going, 0.1)
                signal.signal(signal.SIGINT, before)
                raise
    finally:
        _stopping.clear()
        logging.disable(logging.NOTSET)


def _kill_kernels() -> None:
    """Kill the kernels of this process, and what they started."""
    import psutil

    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if "ipykernel_launcher" in child.cmdline():
                for process in (*child.children(recursive=True), child):
                    process.kill()


@contextmanager
def alone(run: Run, root: Path) -> Iterator[None]:
    """Have other runs into this folder wait; undo an exchange of results that a kill cut short."""
    from spinlib.files import put_back, wait_for_lock

    run.folder.parent.mkdir(parents=True, exist_ok=True)
    name = run.folder.name
    with run.folder.with_name(f".{name}.lock").open("ab") as lock:
        wait_for_lock(lock, str(run.folder.relative_to(root)), _stopping)
        put_back(run.folder)
        yield


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run what was asked for; return 0, 1 if a study failed, 2 if refused, 130 if interrupted."""
    try:
        options = request_parser().parse_args(arguments)
        runs = plan(options, root)
        refuse_missing_pictures(runs, root)
        if options.check:
            return 0
        if options.device.startswith("cuda"):
            _need(options.device)
        jobs = max(1, min(int(options.jobs), len(runs)))
        calls = [partial(_carry_out, run, options.force, root, bar=jobs == 1) for run in runs]
        # The same parameters are changed in all runs of a request.
        with environment(runs[0].changes if runs else "", root, jobs):
            failures = sum(out_of_reach(calls, jobs))
        # Changed parameters speak for no profile: report and scoreboard stay as they are.
        told = any(run.changes for run in runs) or not _report(root)
        return 0 if told and not failures else 1
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "Stopped; what was running left nothing, earlier results are kept.",
            file=sys.stderr,
        )
        return 130


def refuse_missing_pictures(runs: Iterable[Run], root: Path) -> None:
    """Refuse runs of a picture that is not there."""
    for image in filter(None, (run.values.get("image") for run in runs)):
        if not (root / Path(image).expanduser()).is_file():
            raise Refused(f"There is no picture {image!r}; a relative name counts from {root}.")


def _carry_out(run: Run, force: bool, root: Path, bar: bool) -> bool:
    """Run one study and tell; true if it failed."""
    place = run.folder.relative_to(root)
    start = time.perf_counter()
    try:
        with alone(run, root):
            if not force and reusable(run, root):
                print(f"Study {run.study}: nothing changed, {place} stays as it is.", flush=True)
                return False
            print(f"Study {run.study}: {run.notebook.relative_to(root)} → {place}", flush=True)
            execute(run, root, bar)
    except Exception as error:  # whatever ends one study, the others still run
        page = place.with_name(f"{place.name}.failed") / f"{run.notebook.stem}.ipynb"
        lines = [f"Study {run.study} failed: {in_short(error)}"]
        if (root / page).exists():
            lines.append(f"The notebook up to the error: {page}")
        print(*lines, sep="\n", file=sys.stderr, flush=True)
        return True
    figures = len(list(run.folder.glob("*.png")))
    seconds = time.perf_counter() - start
    print(f"Study {run.study}: done in {seconds:.0f} s, {figures} figures.", flush=True)
    return False


def _report(root: Path) -> bool:
    """Write the report and tell; true if that failed."""
    from spinlib import report

    try:
        print(f"Report: {report.write(root).relative_to(root)}")
    except (OSError, ValueError) as error:
        print(f"The report failed: {in_short(error)}", file=sys.stderr)
        return True
    return False


def _need(device: str) -> None:
    from spinlib.kernels import resolve_device

    try:
        resolve_device(device)
    except ValueError as error:
        raise Refused(str(error)) from None


def _tidy(page: Path, part: Path, run: Run, root: Path) -> None:
    """Take this machine's paths out of the executed notebook, and say which run it was.

    If it is too large its pictures get a palette, the largest first: their full form stands beside
    it as PNG.
    """
    if not page.exists():
        return
    notebook = json.loads(page.read_text(encoding="utf-8"))
    for key in ("input_path", "output_path", "environment_variables", "parameters"):
        notebook["metadata"].get("papermill", {}).pop(key, None)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for cell in code:
        # Of a progress bar only its first look would stay; who waited for whom is past.
        cell["outputs"] = [o for o in cell["outputs"] if not _is_progress(o)]
    outputs = [output for cell in code for output in cell["outputs"]]
    pictures = [o["data"] for o in outputs if "image/png" in o.get("data", {})]
    excess = len(json.dumps(notebook, indent=1, ensure_ascii=False)) - LARGEST_PAGE
    for data in sorted(pictures, key=lambda data: len(data["image/png"]), reverse=True):
        if excess > 0:
            smaller = _with_palette(data["image/png"])
            excess -= len(data["image/png"]) - len(smaller)
            data["image/png"] = smaller
    notebook["metadata"]["spinlib"] = {"profile": run.values["profile"], "changes": run.changes}
    here = os.path.relpath(root / "figures", run.folder)

    def moved(text: str) -> str:
        text = text.replace(str(part), run.folder.relative_to(root).as_posix())
        return text.replace(f"{root}/", "").replace("](../figures/", f"]({here}/")

    notebook = _with_texts(notebook, moved)
    page.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _with_texts(part: Any, change: Callable[[str], str]) -> Any:
    """A part of a notebook with all its texts changed, but not its pictures."""
    if isinstance(part, dict):
        kept = {key for key in part if key.startswith("image/")}
        return {k: v if k in kept else _with_texts(v, change) for k, v in part.items()}
    if isinstance(part, list):
        return [_with_texts(each, change) for each in part]
    return change(part) if isinstance(part, str) else part


def _is_progress(output: dict) -> bool:
    from spinlib.files import WAITING

    shown = "".join(output.get("data", {}).get("text/plain", ""))
    said = "".join(output.get("text", "")).split("\n")
    waited = any(said) and all(line.endswith(WAITING) for line in filter(None, said))
    return waited or re.search(r"\d% ?\|", shown) is not None


def _with_palette(png: str) -> str:
    """A PNG (base64) with a palette, and fewer pixels if it is still too large."""
    from spinlib.figures import with_palette

    return base64.b64encode(with_palette(base64.b64decode(png), LARGEST_PICTURE)).decode()


def _hashes(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != STAMP
    }


def in_short(error: Exception) -> str:
    """Say in one line what went wrong, as the notebook's own error does."""
    if hasattr(error, "ename"):
        return f"{error.ename}: {error.evalue}".strip().partition("\n")[0]
    if isinstance(error, OSError) and error.strerror:
        place = f" at {error.filename}" if error.filename else ""
        return f"{error.strerror}{place}; mend that and run again, earlier results are kept."
    return f"{type(error).__name__}: {error}".strip().partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
