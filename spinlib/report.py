"""The scoreboard in the README, and figures/report.html: all results on one page without network.

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

from spinlib import claims
from spinlib.notebooks import PROFILES, ROOT, find
from spinlib.store import wait_for_lock, write_whole

BEGIN, END = "<!-- scoreboard: written by `make report` -->", "<!-- end of scoreboard -->"


def summary(rows: list[claims.Claim]) -> str:
    """Count the verdicts in a sentence."""
    count = Counter(row.verdict for row in rows)
    counted = ", ".join(f"{count[verdict]} {verdict}" for verdict in claims.VERDICTS)
    return f"Of {len(rows)} claims: {counted}."


def scoreboard(rows: list[claims.Claim]) -> str:
    """Return the claims as a Markdown table."""
    lines = [
        summary(rows),
        "",
        "| id | claim | paper | ours | unit | verdict | run |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        tested = row.verdict != claims.NOT_TESTED
        verdict = f"{row.verdict}: {row.reason}" if tested and row.reason else row.verdict
        run = f"{row.profile}, {row.device}, {row.commit}" if tested else ""
        ours = claims.value(row)
        cells = (row.id, row.statement, row.paper, ours, row.unit, verdict, run)
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(lines)


def with_scoreboard(readme: str, rows: list[claims.Claim]) -> str:
    """Return the README's text with the scoreboard between its markers."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md lacks the lines {BEGIN!r} and {END!r} around its scoreboard.")
    return f"{before}{begin}\n{scoreboard(rows)}\n{end}{after}"


def page(root: Path = ROOT) -> str:
    """Return the report as HTML that needs nothing but itself; links to notebooks are relative."""
    figures = root / "figures"
    rows = claims.newest(figures)
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(
        Path(__file__).with_name("report.html").read_text(encoding="utf-8")
    )
    studies = [
        {
            "name": study,
            "title": _title(path),
            "runs": [
                _run(figures, profile, study)
                for profile in reversed(PROFILES)
                if (figures / profile / study / "claims.json").exists()
            ],
        }
        for study, path in find(root).items()
    ]
    return template.render(
        scoreboard=rows, summary=summary(rows), studies=studies, value=claims.value
    )


def write(root: Path = ROOT) -> Path:
    """Write figures/report.html and bring the README's scoreboard up to date."""
    path = root / "figures" / "report.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    readme = root / "README.md"
    with (path.parent / ".report.lock").open("ab") as lock:
        wait_for_lock(lock, str(path))
        write_whole(path, page(root).encode())
        if readme.exists():
            old = readme.read_text(encoding="utf-8")
            new = with_scoreboard(old, claims.newest(root / "figures"))
            if new != old:
                write_whole(readme, new.encode())
    return path


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
    return words | {
        "name": path.stem,
        "image": base64.b64encode(path.read_bytes()).decode(),
        "numbers": record.relative_to(figures).as_posix(),
    }


def _title(notebook: Path) -> str:
    found = re.search(r"^# # (.+)$", notebook.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return found[1] if found else notebook.stem


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def main() -> int:
    """Write report and scoreboard, and say where."""
    print(f"Report: {write().relative_to(ROOT)}; scoreboard: README.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
