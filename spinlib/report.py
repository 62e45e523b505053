"""What readers meet first, made from the results: scoreboard, report, and the notebooks' index.

The README has the verdicts, and the speeds that `make bench` measured; figures/scoreboard.md what
each run found; figures/report.html all results on one page that needs no network;
notebooks/index.ipynb is the page that `make lab` opens on.

python -m spinlib.report
"""

import argparse
import base64
import io
import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from spinlib import claims
from spinlib.files import lock_at_once, put_back, wait_for_lock, write_whole
from spinlib.notebooks import PROFILES, ROOT, find

# Between these lines of the README stands what is written here.
SCOREBOARD = "<!-- scoreboard: written by `make report` -->", "<!-- end of scoreboard -->"
SPEED = "<!-- speed: written by `make report` -->", "<!-- end of speed -->"

# Rows of the table of speeds: the work, and its names in figures/bench.json on a CPU and a GPU.
SPEEDS = (
    (
        "heat bath, 128×128: exchange, DMI, field",
        "heat bath, 128×128, one core",
        "heat bath, 128×128, lattice in shared memory",
    ),
    (
        "torque of the LLG equation, 512×512, open",
        "LLG right-hand side, 512×512 open, 2 threads",
        "LLG right-hand side, 512×512 open",
    ),
    (
        "films of study 2, 100×100, 1650 sweeps with dipoles",
        "annealing, study 2, 100×100, 1650 sweeps, dipoles every 2nd, 2 threads",
        "annealing, study 2, 100×100, 1650 sweeps, dipoles every 2nd",
    ),
    (
        "thermal films of study 1, 128×128, 1000 sweeps",
        "annealing, study 1, 128×128 at 300 K, 1000 sweeps, dipoles every 8th, 2 threads",
        "annealing, study 1, 128×128 at 300 K, 1000 sweeps, dipoles every 8th",
    ),
    (
        "training of study 4's network, 128×128",
        "training, E-VAE of study 4, 128×128, one core",
        "training, E-VAE of study 4, 128×128, batch of 100",
    ),
)

PAGE = 1088  # pixels across the report
SIZES = {"laptop": "laptop", "paper": "full size"}  # profiles, and how the scoreboard calls them


def summary(rows: list[claims.Claim]) -> str:
    """Count the verdicts in a sentence."""
    count = Counter(row.verdict for row in rows)
    counted = ", ".join(f"{count[verdict]} {verdict}" for verdict in claims.VERDICTS)
    return f"Of {len(rows)} claims: {counted}."


def scoreboard(figures: Path) -> str:
    """Return the verdicts as a Markdown table, a line each."""
    return _table(figures, lambda row: row.verdict if row else "")


def details(figures: Path) -> str:
    """Return a page with what each run found of each claim, and the runs, in Markdown."""
    lines = [
        "# What each run found",
        "The value behind each verdict, and the reason where a claim is not reproduced. In the "
        "count the larger run speaks where it has tested a claim. What follows ± is one standard "
        "error over films or states, unless something else is said; another training would add to "
        "it, but for W4 and W5, where trainings are included. A run was judged by the criteria of "
        "its commit, given below; the README says which have become stricter since.",
        "",
        _table(figures, _found),
        "",
        "A run takes less if it finds films and trainings of an earlier one. The memory is that of "
        "the notebook's process; on a CPU trainings have processes of their own, one per core.",
        "",
        "| run | device | took | memory | commit |",
        "|---|---|---|---|---|",
    ]
    for (study, profile), row in _runs(figures).items():
        memory = "" if row.peak_memory is None else f"{row.peak_memory:.3g} GB"
        name = f"{study}, {SIZES[profile]}"
        took = _minutes(figures / profile / study)
        lines.append(_row(name, row.device, took, memory, row.commit))
    return "\n".join(lines) + "\n"


def _table(figures: Path, found: Callable[[claims.Claim | None], str]) -> str:
    """The count of verdicts, and one row per claim with what is `found` of it in each run."""
    speaking = claims.of_largest_runs(figures)
    sizes = {profile: claims.of_profile(figures, profile) for profile in SIZES}
    lines = [
        summary(speaking),
        "",
        f"| id | claim | paper | {' | '.join(SIZES.values())} |",
        "|---|---|---|" + len(SIZES) * "---|",
    ]
    for claim in speaking:
        ours = [found(of_size.get(claim.id)) for of_size in sizes.values()]
        lines.append(_row(claim.id, claim.statement, claim.paper, *ours))
    return "\n".join(lines)


def _found(row: claims.Claim | None) -> str:
    """What one run says of a claim: verdict, value, reason."""
    if row is None:
        return ""
    if row.verdict == claims.NOT_TESTED:
        return row.verdict
    text = f"**{row.verdict}**: {claims.value(row)} {row.unit}".rstrip()
    return f"{text}; {row.reason}" if row.reason else text


def _runs(figures: Path) -> dict[tuple[str, str], claims.Claim]:
    """The claim that was recorded last in each run."""
    runs = {}
    for study in claims.catalogue():
        for profile in SIZES:
            rows = [
                row for row in claims.read(figures / profile / study) if row.seconds is not None
            ]
            if rows and rows[0].profile == profile:
                runs[study, profile] = max(rows, key=lambda row: row.seconds)
    return runs


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"


def _row(*cells: str) -> str:
    return "| " + " | ".join(map(_cell, cells)) + " |"


def speeds(figures: Path) -> str:
    """Return what `make bench` measured as a Markdown table, beside other programs."""
    found = json.loads((figures / "bench.json").read_text(encoding="utf-8"))
    cpu = {row["name"]: row for row in found if row["device"] == "cpu"}
    gpu = {row["name"]: row for row in found if row["device"] != "cpu"}
    cards = ", ".join(sorted({row["device"] for row in gpu.values()}))
    lines = [f"| work per second | cores | beside | {cards or 'a GPU'} |", "|---|---|---|---|"]
    for work, here, there in SPEEDS:
        row, other = cpu.get(here), gpu.get(there)
        cores, beside, card = "", "", _rate(other) if other else ""
        if row:
            cores = f"{_rate(row)} on {('one', 'two')[row['threads'] - 1]}"
            others = [other for name, other in cpu.items() if name.startswith(f"{here}, beside ")]
            beside = ", ".join(f"{each['ratio']:.2g} × {each['reference']}" for each in others)
        lines.append(_row(work, cores, beside, card))
    return "\n".join(lines)


def _rate(row: dict[str, Any]) -> str:
    """A rate with a power of ten where that is shorter."""
    what = row["unit"].partition("/")[0]
    digits, _, power = f"{row['value']:.1e}".partition("e")
    if int(power) < 5:
        return f"{float(f'{digits}e{power}'):g} {what}"
    return f"{digits}·10{str(int(power)).translate(_RAISED)} {what}"


_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def brought_up_to_date(readme: str, figures: Path) -> str:
    """Return the README's text with scoreboard and speeds between their markers."""
    readme = _between(readme, SCOREBOARD, scoreboard(figures))
    if (figures / "bench.json").exists():
        readme = _between(readme, SPEED, speeds(figures))
    return readme


def _between(readme: str, markers: tuple[str, str], text: str) -> str:
    before, begin, rest = readme.partition(markers[0])
    _, end, after = rest.partition(markers[1])
    if not begin or not end:
        raise ValueError(f"README.md lacks the lines {markers[0]!r} and {markers[1]!r}.")
    return f"{before}{begin}\n{text}\n{end}{after}"


def page(root: Path = ROOT) -> str:
    """Return the report as HTML that needs nothing but itself; links to notebooks are relative."""
    figures = root / "figures"
    rows = claims.of_largest_runs(figures)
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(
        Path(__file__).with_name("report.html").read_text(encoding="utf-8")
    )
    studies = [
        {
            "name": study,
            "title": _title(path),
            "runs": [_run(figures, profile, study) for profile in _profiles(figures, study)],
        }
        for study, path in find(root).items()
    ]
    sizes = {name: claims.of_profile(figures, profile) for profile, name in SIZES.items()}
    return template.render(
        scoreboard=rows, sizes=sizes, summary=summary(rows), studies=studies, value=claims.value
    )


INDEX = """\
# Magnetic parameters from pictures
Four papers that read magnetic Hamiltonian parameters out of pictures of spin textures, rerun from
the physics to the figure. Every page below can be read as it is, with its outputs, and run again
from top to bottom; its first cell of code holds all that can be changed.

{table}

Claims are counted as in the scoreboard: the run at full size speaks where it has tested one. Times,
and the outputs on these pages, are those of the smaller run, on two cores.

- **You have one picture** and want its parameters: chapter 14 of [study 1]({one}) takes a file, and
  so do [2]({two}) (vector pictures, as of SPLEEM) and [3]({three}) (grey ones). Study 1's question
  can be asked without a notebook, too: `python -m spinlib.estimation --help`.
- **You want to play**: chapter 11 of [study 4]({four}) has sliders through a latent space, and
  needs no training.
- **All results on one page**: `make report`, then `figures/report.html`. What each claim says and
  how it fared: [the scoreboard](../figures/scoreboard.md).
- **In batches, without this browser**: `make reproduce STUDY=04 P="seed=7"`.
"""


def index(root: Path = ROOT) -> str:
    """The notebook of one Markdown cell that maps the others: question, verdicts, run time."""
    lines = ["| page | question | claims | took on a laptop |", "|---|---|---|---|"]
    rows = {row.id: row for row in claims.of_largest_runs(root / "figures")}
    pages = find(root)
    for study, path in pages.items():
        count = Counter(rows[name].verdict for name in claims.of_study(study))
        verdicts = ", ".join(f"{count[v]} {v}" for v in claims.VERDICTS if count[v])
        link = f"[{_title(path)}]({path.stem}.ipynb)"
        took = _minutes(root / "figures" / "laptop" / study)
        lines.append(_row(link, _question(path), verdicts, took))
    links = {
        word: f"{pages[study].stem}.ipynb" if study in pages else ""
        for word, study in zip(("one", "two", "three", "four"), claims.catalogue(), strict=False)
    }
    text = INDEX.format(table="\n".join(lines), **links)
    cell = {"cell_type": "markdown", "id": "index", "metadata": {}, "source": text}
    python = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    page = {"cells": [cell], "metadata": {"kernelspec": python}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(page, indent=1, ensure_ascii=False) + "\n"


def write(root: Path = ROOT) -> Path:
    """Write figures/report.html and scoreboard.md, and bring README and index up to date."""
    path = root / "figures" / "report.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    readme, contents = root / "README.md", root / "notebooks" / "index.ipynb"
    with (path.parent / ".report.lock").open("ab") as lock:
        wait_for_lock(lock, str(path))
        for old in path.parent.glob("*/.*.old"):
            folder = old.with_name(old.name[1:].removesuffix(".old"))
            with folder.with_name(f".{folder.name}.lock").open("ab") as made:
                if lock_at_once(made, str(folder)):  # or else it is being exchanged right now
                    put_back(folder)
        write_whole(path, page(root).encode())
        write_whole(path.with_name("scoreboard.md"), details(root / "figures").encode())
        if readme.exists():
            old = readme.read_text(encoding="utf-8")
            new = brought_up_to_date(old, root / "figures")
            if new != old:
                write_whole(readme, new.encode())
        write_whole(contents, index(root).encode())
    return path


def _profiles(figures: Path, study: str) -> list[str]:
    """The profiles that a study was run at, largest first; smoke only if it is the only one."""
    ran = [p for p in reversed(PROFILES) if (figures / p / study / "claims.json").exists()]
    return [profile for profile in ran if profile != "smoke"] or ran


def _run(figures: Path, profile: str, study: str) -> dict[str, Any]:
    folder = figures / profile / study
    pages = sorted(folder.glob("*.ipynb"))
    return {
        "profile": profile,
        "notebook": pages[0].relative_to(figures).as_posix() if pages else "",
        "figures": [
            _figure(path, figures)
            for path in sorted(folder.glob("*.png"))
            if path.with_suffix(".json").exists() and not path.is_symlink()
        ],
        # Pages with a slider over drawn frames; in a sandbox, so that they can touch nothing else.
        "pages": [
            {"name": path.stem, "content": path.read_text(encoding="utf-8")}
            for path in sorted(folder.glob("*.html"))
            if not path.is_symlink()  # it could lead to what is nobody else's business
        ],
        "claims": claims.read(folder),
    }


def _figure(path: Path, figures: Path) -> dict[str, str]:
    record = path.with_suffix(".json")
    try:
        about = json.loads(record.read_text(encoding="utf-8"))
        words = {"caption": about["caption"]}
        words |= {name: about["provenance"][name] for name in ("commit", "command")}
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{record} is no record of a figure ({error!r}); make it again with "
            f"`make reproduce PROFILE={path.parent.parent.name} STUDY={path.parent.name} FORCE=1`."
        ) from error
    try:
        image = for_page(path.read_bytes(), PAGE)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{path} is no picture that can be shown ({error!r}); make it again with "
            f"`make reproduce PROFILE={path.parent.parent.name} STUDY={path.parent.name} FORCE=1`."
        ) from error
    return words | {
        "name": path.stem,
        "image": base64.b64encode(image).decode(),
        "file": path.relative_to(figures).as_posix(),
        "numbers": record.relative_to(figures).as_posix(),
    }


def for_page(png: bytes, width: int) -> bytes:
    """A picture as WebP of at most `width` pixels across: a quarter of what its PNG takes."""
    with Image.open(io.BytesIO(png), formats=("PNG",)) as file:
        image = file.convert("RGB")
    if image.width > width:
        image = image.resize((width, round(image.height * width / image.width)), Image.LANCZOS)
    content = io.BytesIO()
    image.save(content, "WEBP", quality=80)
    return content.getvalue()


def _title(notebook: Path) -> str:
    found = re.search(r"^# # (.+)$", notebook.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return found[1] if found else notebook.stem


def _question(notebook: Path) -> str:
    """What stands in italics below a notebook's title."""
    text = notebook.read_text(encoding="utf-8")
    found = re.search(r"^# # [^\n]+\n# \*(.+?)\*$", text, flags=re.MULTILINE | re.DOTALL)
    return found[1].replace("\n# ", " ") if found else ""


def _minutes(folder: Path) -> str:
    """How long the run in a folder took, by what its page says."""
    for page in folder.glob("*.ipynb"):
        try:
            about = json.loads(page.read_text(encoding="utf-8")).get("metadata", {})
        except ValueError as error:
            raise ValueError(f"{page} is no notebook ({error}); make its study again.") from None
        if seconds := about.get("papermill", {}).get("duration"):
            return _duration(seconds)
    return "–"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def main(arguments: list[str] | None = None) -> int:
    """Write report and scoreboard, and say where; return 1 if that failed."""
    argparse.ArgumentParser(
        prog="python -m spinlib.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args(arguments)
    try:
        path = write()
    except (OSError, ValueError) as error:
        print(f"The report failed: {error}", file=sys.stderr)
        return 1
    print(f"Report: {path.relative_to(ROOT)}; scoreboard: README.md, figures/scoreboard.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
