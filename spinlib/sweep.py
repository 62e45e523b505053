"""Run one study with many sets of parameters, or on many pictures, over the workers of Dask.

    python -m spinlib.sweep sets.yaml --study 01 --profile laptop --scheduler tcp://host:8786

sets.yaml is a list of sets, each a mapping as `--parameters` of `spinlib.reproduce` takes it:

    - {image: one.tif, seed: 1}
    - {image: two.tif, seed: 1}

A picture is looked for in the repository, unless its whole path is given. Each set gets a folder of
its own below data/sweeps/<profile>/<study>/, with the executed notebook, figures and claims;
claims.csv beside them holds the claims of all sets of the last call. Sets that are there already
are not run again, so a sweep that was killed goes on where it was. Without a scheduler the sets are
run one after the other.
"""

import argparse
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from threading import Lock

import pandas as pd

from spinlib import claims, reproduce
from spinlib.files import write_whole
from spinlib.notebooks import ROOT, Refused
from spinlib.request import Parser, Run, read_yaml, request_parser
from spinlib.request import plan as plan_one


def plan(
    study: str, sets: list[dict], profile: str, device: str = "auto", root: Path = ROOT
) -> list[Run]:
    """Turn sets of parameters into runs; refuse all of them if one cannot be carried out."""
    parser, runs = request_parser(), []
    for number, values in enumerate(sets):
        if not isinstance(values, dict):
            raise Refused(f"Set {number} must map names to values, as in {{seed: 3}}: {values!r}.")
        words = [f"-p{name}={value}" for name, value in values.items()]
        common = ["--study", study, "--profile", profile, "--device", device]
        try:
            (run,) = plan_one(parser.parse_args([*common, *words]), root)
        except ValueError as refusal:
            raise Refused(f"Set {number}: {refusal}") from None
        name = run.folder.name.removeprefix(f"{study}-")
        folder = root / "data" / "sweeps" / profile / study / name
        runs.append(
            replace(run, study=name, folder=folder, values=run.values | {"output": str(folder)})
        )
    return runs


_one_at_a_time = Lock()


def carry_out(run: Run, root: Path = ROOT) -> str:
    """Run one set unless its results are there; return what went wrong, or nothing."""

    def work() -> None:
        with reproduce.alone(run, root):
            if not reproduce.reusable(run, root):
                reproduce.execute(run, root)

    try:
        # A worker may have several threads, and its sets have one environment.
        with _one_at_a_time, reproduce.environment(run.changes, root):
            reproduce.out_of_reach([work])
    except Exception as error:  # one set that fails does not end the sweep
        return reproduce.in_short(error)
    return ""


def sweep(runs: list[Run], scheduler: str | None = None, root: Path = ROOT) -> pd.DataFrame:
    """Carry out all runs; return their claims, one row per set and claim, with what went wrong.

    With the address of a Dask `scheduler` its workers run the notebooks, one at a time each; they
    must see this folder. A set whose worker is lost is given to another.
    """
    distinct = {run.folder: run for run in runs}
    if scheduler is None:
        errors = {folder: carry_out(run, root) for folder, run in distinct.items()}
    else:
        errors = _by_workers(distinct, scheduler, root)
    rows = []
    for run in runs:
        found = claims.read(run.folder) if not errors[run.folder] else []
        common = {"set": run.changes, "folder": run.folder.name, "error": errors[run.folder]}
        rows += [
            common
            | {"claim": row.id, "ours": row.ours, "uncertainty": row.uncertainty}
            | {"verdict": row.verdict, "reason": row.reason}
            for row in found
        ] or [common]
    return pd.DataFrame(rows)


def _by_workers(runs: dict[Path, Run], scheduler: str, root: Path) -> dict[Path, str]:
    """Carry out runs on the workers of a scheduler; what went wrong with each, by its folder."""
    import distributed

    from spinlib.shards import DatasetError, connect

    try:
        client = connect(scheduler)
    except DatasetError as error:
        raise Refused(str(error)) from error
    errors = {}
    with client:
        futures = client.map(carry_out, list(runs.values()), root=root, pure=False)
        try:
            for folder, future in zip(runs, futures, strict=True):
                try:
                    errors[folder] = future.result()
                except distributed.KilledWorker as error:  # again and again: for want of memory?
                    errors[folder] = reproduce.in_short(error)
        except (distributed.CancelledError, distributed.comm.CommClosedError):
            raise Refused(
                f"The Dask scheduler at {scheduler} was lost; finished sets are kept, call it "
                "again to go on."
            ) from None
    return errors


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Return 0, 1 if a set failed, 2 if the request was refused."""
    parser = Parser(
        prog="python -m spinlib.sweep",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sets", type=Path, help="YAML file: a list of sets of parameters")
    parser.add_argument("--study", required=True, help="01 to 04, or an appendix")
    parser.add_argument("--profile", default="laptop", help="smoke, laptop (default) or paper")
    parser.add_argument("--device", default="auto", help="auto (default), cpu or cuda")
    parser.add_argument("--scheduler", help="address of a Dask scheduler, tcp://host:8786")
    try:
        options = parser.parse_args(arguments)
        sets = read_yaml(options.sets)
        if not isinstance(sets, list) or not sets:
            raise Refused(f"{options.sets} must be a list of sets, as in `- {{seed: 3}}`.")
        runs = plan(options.study, sets, options.profile, options.device, root)
        reproduce.refuse_missing_pictures(runs, root)
        table = sweep(runs, options.scheduler, root)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; finished sets are kept, call it again to go on.", file=sys.stderr)
        return 130
    path = runs[0].folder.with_name("claims.csv")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, table.to_csv(index=False).encode())
    except OSError as error:
        print(reproduce.in_short(error), file=sys.stderr)
        return 1
    failed = table.loc[table["error"] != ""].drop_duplicates("folder")
    for row in failed.itertuples():
        print(f"Set {row.set} failed: {row.error}", file=sys.stderr)
    print(f"{len(set(table['folder'])) - len(failed)} sets done: {path.relative_to(root)}")
    return 1 if len(failed) else 0


if __name__ == "__main__":
    # Workers are sent `carry_out` by its name, and know it in spinlib.sweep, not in __main__.
    sys.exit(import_module("spinlib.sweep").main())
