"""What is asked of a run: the command line, changes and parameter files, checked as a whole.

Only the standard library up here: a wrong request is refused before anything is installed.
"""

import argparse
import hashlib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from spinlib.notebooks import PROFILES, ROOT, Parameter, Refused, find, parameters

RUNNERS_OWN = {
    "profile": "choose it with --profile",
    "device": "choose it with --device",
    "output": "results go to figures/<profile>/<study>, or figures/changed/ with other parameters",
}


@dataclass(frozen=True)
class Run:
    """A study to be run: its notebook, every parameter's value, and those that were asked for."""

    study: str
    notebook: Path
    folder: Path
    values: dict[str, Any]
    changes: str


def plan(options: argparse.Namespace, root: Path = ROOT) -> list[Run]:
    """Turn the request into runs; refuse all of it if any part cannot be carried out."""
    notebooks = find(root)
    if options.profile not in PROFILES:
        raise Refused(f"There is no profile {options.profile!r}; choose {_or(PROFILES)}.")
    if options.study and options.study not in notebooks:
        raise Refused(f"There is no study {options.study!r}; choose {_or(notebooks)}.")
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", options.device):
        raise Refused(f"There is no device {options.device!r}; choose auto, cpu or cuda.")
    if not re.fullmatch(r"[1-9]\d{0,3}", options.jobs):
        raise Refused(f"The number of studies at a time is 1, 2, 3 …, not {options.jobs!r}.")
    # The quick check runs where YAML cannot be read yet; the full one follows it.
    files = not options.check
    wanted = _mapping(options.parameters) if files and options.parameters else {}
    given = set()
    for text in options.p + _words(options.changes):
        name, equals, entry = text.partition("=")
        if not equals:
            raise Refused(f"-p takes name=value; {text!r} is not.")
        if (name := name.strip()) in given:
            raise Refused(f"Parameter {name} was given twice.")
        given.add(name)
        wanted[name] = entry.strip()
    sizes = _mapping(root / "notebooks" / "profiles.yaml") if files else {}
    runs = []
    for study in [options.study] if options.study else notebooks:
        known = parameters(notebooks[study])
        # The laptop profile is the notebook as it is written.
        sized = (sizes.get(options.profile) or {}).get(study) or {}
        asked = take(known, wanted, f"study {study}")
        values = {name: parameter.default for name, parameter in known.items()}
        values |= take(known, sized, f"study {study} (in profiles.yaml)") | asked
        changes = in_words(asked)
        folder = root / results(options.profile, study, changes)
        values |= {"profile": options.profile, "device": options.device, "output": str(folder)}
        runs.append(Run(study, notebooks[study], folder, values, changes))
    return runs


def results(profile: str, study: str, changes: str) -> Path:
    """Where a run's results belong, relative to the repository.

    Those of a run with changed parameters, such as one's own picture, do not replace its profile's.
    """
    if not changes:
        return Path("figures", profile, study)
    digest = hashlib.sha256(changes.encode()).hexdigest()[:12]
    return Path("figures", "changed", profile, f"{study}-{digest}")


def in_words(changes: dict[str, Any]) -> str:
    """Write changed parameters as one line of name=value, such that `_words` reads it."""
    return " ".join(_word(name, entry) for name, entry in changes.items())


def take(known: dict[str, Parameter], wanted: dict[str, Any], place: str) -> dict[str, Any]:
    """Return `wanted` in the kinds of the `known` parameters; refuse what does not fit."""
    for name in wanted:
        if name in RUNNERS_OWN:
            raise Refused(f"Parameter {name} is the runner's own: {RUNNERS_OWN[name]}.")
        if name not in known:
            names = [name for name in known if name not in RUNNERS_OWN]
            raise Refused(f"There is no parameter {name!r} in {place}; choose {_or(names)}.")
    # In their own order, so that the same changes make the same run.
    return {name: each.take(wanted[name]) for name, each in known.items() if name in wanted}


class _Once(argparse.Action):
    """Keep what an option was given; refuse to forget it for what a second one says."""

    def __call__(self, parser, namespace, values, option_string=None):
        given = vars(namespace).setdefault("_given", set())
        if self.dest in given:
            parser.error(f"{option_string or self.dest} was given twice")
        if option_string:
            given.add(self.dest)
        setattr(namespace, self.dest, values)


class Parser(argparse.ArgumentParser):
    """Complaints become refusals, which end like all others; an option counts once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in (None, "store"):
            self.register("action", name, _Once)
        # argparse would take -1e-3 for an option.
        self._negative_number_matcher = re.compile(r"-(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$", re.I)

    def error(self, message: str) -> NoReturn:
        raise Refused(f"The request cannot be read: {message}.")


def request_parser() -> argparse.ArgumentParser:
    """What `python -m spinlib.reproduce` and `spinlib.sweep` can be asked."""
    parser = Parser(prog="python -m spinlib.reproduce", description="Run studies into figures/.")
    parser.add_argument("--profile", default="laptop", help="smoke, laptop (default) or paper")
    parser.add_argument("--study", default="", help="01 to 04 or an appendix; all if not given")
    parser.add_argument("--device", default="auto", help="auto (default), cpu or cuda")
    parser.add_argument(
        "--jobs", default="1", help="studies at a time (1); more pay on a GPU or on many cores"
    )
    parser.add_argument("--force", action="store_true", help="run even if nothing changed")
    parser.add_argument(
        "-p", action="append", default=[], metavar="name=value", help="change a parameter"
    )
    parser.add_argument(
        "--changes",
        default="",
        metavar="'name=value …'",
        help="change several, quoted as in a shell",
    )
    parser.add_argument("--parameters", type=Path, metavar="file.yaml", help="change several")
    parser.add_argument("--check", action="store_true", help="only check the request, quickly")
    return parser


def _word(name: str, entry: Any) -> str:
    """Write a change as one word, such that `_words` reads it."""
    text = f"[{','.join(map(repr, entry))}]" if isinstance(entry, list) else str(entry)
    text = f"{name}={text}"
    return text if re.fullmatch(r"[^\s'\"\\]+", text) else shlex.quote(text)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise Refused(f"The changes {text!r} cannot be split into name=value: {error}.") from None


def read_yaml(path: Path) -> Any:
    """Read a YAML file of plain values."""
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused(f"The parameter file {path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(
            f"The parameter file {path} is no YAML: {' '.join(str(error).split())}."
        ) from None


def _mapping(path: Path) -> dict[str, Any]:
    """Read a YAML file that maps names to values."""
    content = read_yaml(path) or {}
    if not isinstance(content, dict):
        raise Refused(f"The parameter file {path} must map names to values, as in `seed: 3`.")
    return {str(name): entry for name, entry in content.items()}


def _or(names: Any) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last
