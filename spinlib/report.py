"""What readers meet first, made from the results: scoreboard, report, and the notebooks' index.

The scoreboard stands in the README; figures/report.html has all results on one page that needs no
network; notebooks/index.ipynb is the page that `make lab` opens on.

python -m spinlib.report
"""

import base64
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from spinlib import claims
from spinlib.figures import for_page
from spinlib.notebooks import PROFILES, ROOT, find
from spinlib.store import wait_for_lock, write_whole

BEGIN, END = "<!-- scoreboard: written by `make report` -->", "<!-- end of scoreboard -->"

PAGE = 1088  # pixels across the report
SIZES = {"laptop": "laptop", "paper": "full size"}  # profiles, and how the scoreboard calls them


def summary(rows: list[claims.Claim]) -> str:
    """Count the verdicts in a sentence."""
    count = Counter(row.verdict for row in rows)
    counted = ", ".join(f"{count[verdict]} {verdict}" for verdict in claims.VERDICTS)
    return f"Of {len(rows)} claims: {counted}."


def scoreboard(figures: Path) -> str:
    """Return the claims as a Markdown table, and below it the runs that they come from."""
    speaking = claims.of_largest_runs(figures)
    sizes = {profile: claims.of_profile(figures, profile) for profile in SIZES}
    lines = [
        summary(speaking),
        "",
        f"| id | claim | paper | {' | '.join(SIZES.values())} |",
        "|---|---|---|" + len(SIZES) * "---|",
    ]
    for claim in speaking:
        ours = [_found(found.get(claim.id)) for found in sizes.values()]
        lines.append(_row(claim.id, claim.statement, claim.paper, *ours))
    lines += ["", "| run | device | took | memory | commit |", "|---|---|---|---|---|"]
    for (study, profile), row in _runs(figures).items():
        memory = "" if row.peak_memory is None else f"{row.peak_memory:.3g} GB"
        name = f"{study}, {SIZES[profile]}"
        took = _minutes(figures / profile / study)
        lines.append(_row(name, row.device, took, memory, row.commit))
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


def with_scoreboard(readme: str, figures: Path) -> str:
    """Return the README's text with the scoreboard between its markers."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md lacks the lines {BEGIN!r} and {END!r} around its scoreboard.")
    return f"{before}{begin}\n{scoreboard(figures)}\n{end}{after}"


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
and the outputs on these pages, are those of the smaller run, on two cores of a laptop.

- **You have one picture** and want its parameters: the last chapter of [study 1]({one}) takes a
  file, and so do those of [2]({two}) (vector pictures, as of SPLEEM) and [3]({three}) (grey ones).
- **You want to play**: chapter 11 of [study 4]({four}) has sliders through a latent space, and
  needs no training.
- **All results on one page**: `make report`, then `figures/report.html`. What each claim says and
  how it fared: the scoreboard in [README.md](../README.md).
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
    """Write figures/report.html, and bring the README's scoreboard and the index up to date."""
    path = root / "figures" / "report.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    readme, contents = root / "README.md", root / "notebooks" / "index.ipynb"
    with (path.parent / ".report.lock").open("ab") as lock:
        wait_for_lock(lock, str(path))
        write_whole(path, page(root).encode())
        if readme.exists():
            old = readme.read_text(encoding="utf-8")
            new = with_scoreboard(old, root / "figures")
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
        about = json.loads(page.read_text(encoding="utf-8")).get("metadata", {})
        if seconds := about.get("papermill", {}).get("duration"):
            return _duration(seconds)
    return "–"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def main() -> int:
    """Write report and scoreboard, and say where."""
    print(f"Report: {write().relative_to(ROOT)}; scoreboard: README.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
