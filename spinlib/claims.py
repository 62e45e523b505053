"""The claims of the four papers: what they say, what we find, and the verdict.

`claims.yaml` holds the papers' side, once. A study's run adds ours and writes `claims.json` beside
its figures: a list of {id, statement, paper, ours, uncertainty, unit, verdict, reason, profile,
device, commit, seconds, peak_memory}, with every claim of the study in it.
"""

import html
import json
import math
import re
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path

import yaml

VERDICTS = ("reproduced", "partly", "not reproduced", "not tested at this size")
NOT_TESTED = VERDICTS[-1]


@dataclass(frozen=True)
class Claim:
    """One row of the claims table.

    `uncertainty` is one standard error in the unit of `ours`; `seconds` is the time from the start
    of the study to the moment the claim was recorded, `peak_memory` the most that the whole run
    took of the device's memory, in GB, trainings in processes of their own not counted.
    """

    id: str
    statement: str
    paper: str
    ours: float | str | None = None
    uncertainty: float | str | None = None
    unit: str = ""
    verdict: str = NOT_TESTED
    reason: str = "no run has recorded this claim"
    profile: str = ""
    device: str = ""
    commit: str = ""
    seconds: float | None = None
    peak_memory: float | None = None


@cache
def catalogue() -> dict[str, dict[str, Claim]]:
    """Return the claims as the papers state them: {study: {id: claim}}, in the papers' order."""
    text = Path(__file__).with_name("claims.yaml").read_text(encoding="utf-8")
    return {
        study: {name: Claim(id=name, **entry) for name, entry in claims.items()}
        for study, claims in yaml.safe_load(text).items()
    }


def of_study(study: str) -> dict[str, Claim]:
    """Return the claims of one study ("01" to "04") as its paper states them.

    An appendix ("appendix_…") has none.
    """
    if study.startswith("appendix_"):
        return {}
    if study not in catalogue():
        raise ValueError(f"There is no study {study!r}; the studies are {', '.join(catalogue())}.")
    return catalogue()[study]


def check(claim: Claim) -> None:
    """Refuse a row that the claims table could not stand behind."""
    if claim.verdict not in VERDICTS:
        raise ValueError(
            f"Claim {claim.id}: {claim.verdict!r} is no verdict; use one of {', '.join(VERDICTS)}."
        )
    if claim.verdict != NOT_TESTED and claim.ours is None:
        raise ValueError(f"Claim {claim.id}: the verdict {claim.verdict!r} needs our value.")
    if claim.verdict != "reproduced" and not claim.reason:
        raise ValueError(f"Claim {claim.id}: the verdict {claim.verdict!r} needs a reason.")


def write(rows: list[Claim], folder: Path) -> Path:
    """Write `claims.json` into a study's results folder."""
    path = folder / "claims.json"
    text = json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def read(folder: Path) -> list[Claim]:
    """Read the claims that a run left in `folder`; none if it left none."""
    path = folder / "claims.json"
    if not path.exists():
        return []
    names = [field.name for field in fields(Claim)]
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        # Runs used to write hyphens for minus signs.
        return [Claim(**{name: _tidy(row[name]) for name in names}) for row in rows]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is no claims table ({error}); make it again with "
            f"`make reproduce STUDY={folder.name} FORCE=1`."
        ) from error


def _tidy(x: object) -> object:
    return true_minus(x) if isinstance(x, str) else x


def of_profile(figures: Path, profile: str) -> dict[str, Claim]:
    """Return what the runs of a profile in `figures` found, by claim.

    A run with changed parameters speaks for no profile. Claims are worded as they are today.
    """
    return {
        row.id: replace(row, statement=known[row.id].statement, unit=known[row.id].unit)
        for study, known in catalogue().items()
        for row in read(figures / profile / study)
        if row.profile == profile and row.id in known
    }


def of_largest_runs(figures: Path) -> list[Claim]:
    """Return one row per claim of every study, from the results in `figures`.

    The paper profile speaks for a claim that it tested, or else the laptop's; failing both, the
    first that at least says why it did not.
    """
    found: dict[str, Claim] = {}
    for profile in ("paper", "laptop"):
        for name, row in of_profile(figures, profile).items():
            if name not in found or found[name].verdict == NOT_TESTED != row.verdict:
                found[name] = row
    return [
        found.get(name, claim) for known in catalogue().values() for name, claim in known.items()
    ]


def value(row: Claim) -> str:
    """Write our value as a reader wants it: "−2.05751 ± 0.00012", two digits of uncertainty."""
    if row.ours is None:
        return "–"
    if row.uncertainty is None:
        return _number(row.ours)
    if isinstance(row.uncertainty, str):
        return f"{_number(row.ours)} (errors: {row.uncertainty})"
    if isinstance(row.ours, str) or row.uncertainty <= 0:
        return f"{_number(row.ours)} ± {_number(row.uncertainty)}"
    digits = 1 - math.floor(math.log10(row.uncertainty))
    if not -4 <= digits <= 8:
        return true_minus(f"{row.ours:.5g} ± {row.uncertainty:.2g}")
    pair = (f"{round(x, digits):.{max(digits, 0)}f}" for x in (row.ours, row.uncertainty))
    return true_minus(" ± ".join(pair))


def in_words(row: Claim) -> str:
    """What the paper says, what we find and why, as one line of Markdown."""
    words = f"**{row.id}: {row.verdict}.** {row.statement}"
    if row.paper:
        words += f" *The paper:* {row.paper}."
    if row.ours is not None:
        words += f" *Here:* {f'{value(row)} {row.unit}'.rstrip()}."
    if row.reason:
        words += f" *Why:* {row.reason}."
    return html.escape(words, quote=False)


def _number(x: float | str) -> str:
    return true_minus(x) if isinstance(x, str) else f"{x:.5g}".replace("-", "−")


def true_minus(text: str) -> str:
    """The text with a minus sign where a hyphen stands before a number or its power of ten."""
    return re.sub(r"(?:(?<![\w.])|(?<=\d[eE]))-(?=[\d.])", "−", text)
