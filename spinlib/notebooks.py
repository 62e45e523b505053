"""The notebooks: their parameters, and the pair of a percent `.py` (the truth) and its `.ipynb`.

python -m spinlib.notebooks            build every .ipynb, with the newest laptop run's outputs
python -m spinlib.notebooks --check    say which .ipynb is not its .py, and fail
"""

# jupytext and nbformat are imported where they are used, so that the runner can refuse a wrong
# request on a machine where nothing is installed yet.
import argparse
import ast
import io
import math
import re
import sys
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The checkout. Of a package that was installed elsewhere, data and results lie where it is called.
ROOT = Path(__file__).resolve().parent.parent
if not (ROOT / "notebooks" / "profiles.yaml").exists():
    ROOT = Path.cwd()
REQUIRED = {"profile": "str", "device": "str", "seed": "int", "output": "str"}
PROFILES = ("smoke", "laptop", "paper")
# The environment variable in which the runner tells a notebook what was changed in its profile, so
# that every result names the command that makes it and no changed run passes for the profile's own.
CHANGES = "SPINLIB_CHANGES"
# What the runner writes into an executed notebook that ran at the laptop profile, unchanged.
RAN_AS_WRITTEN = {"profile": "laptop", "changes": ""}
PLAIN_TYPES = {"str": str, "int": int, "float": float, "bool": bool}


class Refused(ValueError):
    """A request that cannot be carried out, said in one sentence."""


@dataclass(frozen=True)
class Parameter:
    """A line `name: kind = default  # help` of a parameters cell."""

    name: str
    kind: str
    default: Any
    help: str

    def take(self, x: Any) -> Any:
        """Return `x` as this parameter's kind; refuse what is not."""
        try:
            return _convert(None if (x, self.kind) == ("None", "str | None") else x, self.kind)
        except (TypeError, ValueError, SyntaxError, ArithmeticError, MemoryError, RecursionError):
            raise Refused(
                f"Parameter {self.name} ({self.help}) must be {self.kind}; {x!r} is not."
            ) from None


def _convert(x: Any, kind: str) -> Any:
    if isinstance(x, str) and kind not in ("str", "str | None"):
        # Also inside a list: for YAML 1e-4 is a text, as it has no point before the power of ten.
        x = ast.literal_eval({"true": "True", "false": "False"}.get(x, x))
    if kind.endswith(" | None"):
        return None if x is None else _convert(x, kind.removesuffix(" | None"))
    if kind.startswith("list[") and isinstance(x, list | tuple):
        return [_convert(entry, kind[5:-1]) for entry in x]
    if kind == "float" and type(x) is int:
        x = float(x)
    if kind == "int" and type(x) is float and x.is_integer():
        x = int(x)  # 1e4
    if type(x) is not PLAIN_TYPES.get(kind) or (kind == "float" and not math.isfinite(x)):
        raise TypeError
    return x


def find(root: Path = ROOT) -> dict[str, Path]:
    """Return the notebooks' sources: {"01": notebooks/01_….py, …, "appendix_…": …}."""
    folder = root / "notebooks"
    studies = {path.name[:2]: path for path in sorted(folder.glob("[0-9][0-9]_*.py"))}
    return studies | {path.stem: path for path in sorted(folder.glob("appendix_*.py"))}


def parameters(path: Path) -> dict[str, Parameter]:
    """Read the parameters cell of a percent notebook, refusing what a reader could not use."""
    cells = re.split(r"^# %%", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    found = [cell for cell in cells if re.match(r'.*tags=\[[^\]]*"parameters"', cell)]
    if len(found) != 1:
        raise Refused(f'{path.name} has {len(found)} cells tagged "parameters" instead of one.')
    source = found[0].partition("\n")[2]
    comments = {
        token.start[0]: token.string.lstrip("# ").strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    result, lines = {}, source.splitlines()
    for node in ast.parse(source).body:
        line = ast.unparse(node)
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            raise Refused(f"{path.name}: {line!r} in the parameters cell is no `name: kind = …`.")
        kind = ast.unparse(node.annotation)
        if not re.fullmatch(r"(list\[)?(str|int|float|bool)\]?( \| None)?", kind):
            raise Refused(f"{path.name}: the parameters cell cannot hold a {kind} ({line!r}).")
        text = comments.get(node.end_lineno or 0, "")
        if node.value is None or not text:
            raise Refused(f"{path.name}: {line!r} needs a value and a comment that explains it.")
        if sum(each.count("=") for each in lines[node.lineno - 1 : node.end_lineno]) > 1:
            raise Refused(
                f"{path.name}: {line!r} has a second =, with which papermill cannot cope."
            )
        name = node.target.id
        bare = Parameter(name, kind, None, text)
        try:
            default = ast.literal_eval(node.value)
        except ValueError:
            raise Refused(f"{path.name}: the value of {line!r} is not written out.") from None
        result[name] = Parameter(name, kind, bare.take(default), text)
    for name, kind in REQUIRED.items():
        if name not in result or result[name].kind != kind:
            raise Refused(f"{path.name}: the parameters cell lacks `{name}: {kind} = …`.")
    return result


def read(path: Path) -> Any:
    """Read a percent notebook; its cells are named by their position, the same each time."""
    import jupytext

    notebook = jupytext.read(path)
    notebook.metadata["kernelspec"] = {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    }
    notebook.metadata["language_info"] = {"name": "python"}
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
    return notebook


def content(notebook: Any) -> list[tuple[str, str]]:
    """Return what makes two notebooks the same: each cell's kind and source, without injections."""
    return [(cell.cell_type, cell.source) for cell in _own_cells(notebook)]


def _own_cells(notebook: Any) -> list[Any]:
    return [
        cell
        for cell in notebook.cells
        if "injected-parameters" not in cell.metadata.get("tags", [])
    ]


def paired(path: Path) -> bool:
    """Say whether the `.ipynb` beside `path` has the cells of `path`."""
    import nbformat

    pair = path.with_suffix(".ipynb")
    return pair.exists() and content(nbformat.read(pair, as_version=4)) == content(read(path))


def build(study: str, path: Path, root: Path = ROOT) -> bool:
    """Write the `.ipynb` beside `path`; return whether it got outputs.

    They come from the laptop run in figures/, if that ran this very code with the profile's own
    parameters: a page never shows outputs of other code. Its words may have changed since.
    """
    import nbformat

    notebook = read(path)
    executed = root / "figures" / "laptop" / study / path.with_suffix(".ipynb").name
    filled = False
    if executed.exists():
        run = nbformat.read(executed, as_version=4)
        if run.metadata.get("spinlib") == RAN_AS_WRITTEN and _code(run) == _code(notebook):
            filled = True
            _copy_outputs(run, notebook)
    nbformat.write(notebook, path.with_suffix(".ipynb"))
    return filled


def _code(notebook: Any) -> list[str]:
    return [source for kind, source in content(notebook) if kind == "code"]


def _copy_outputs(run: Any, notebook: Any) -> None:
    ran, here = (
        [cell for cell in _own_cells(each) if cell.cell_type == "code"] for each in (run, notebook)
    )
    for count, (cell, source) in enumerate(zip(here, ran, strict=True), start=1):
        cell["execution_count"] = count
        cell["outputs"] = source.outputs
        for output in cell.outputs:
            if "execution_count" in output:
                output["execution_count"] = count
    if "widgets" in run.metadata:
        notebook.metadata["widgets"] = run.metadata.widgets


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Build or check all pairs; return the exit code."""
    parser = argparse.ArgumentParser(description="Build each notebook's .ipynb from its .py.")
    parser.add_argument("--check", action="store_true", help="only check, write nothing")
    check = parser.parse_args(arguments).check
    broken = False
    for study, path in find(root).items():
        name = path.with_suffix(".ipynb").relative_to(root)
        if check:
            if not paired(path):
                broken = True
                print(f"{name} does not have the cells of its .py: run `make sync`.")
        elif build(study, path, root):
            print(f"{name}: built with the outputs of the laptop run")
        else:
            print(f"{name}: built without outputs (no laptop run of these cells)")
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
