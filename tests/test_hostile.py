"""Files and values from strangers: nothing in them runs, leads elsewhere, or fills the memory."""

import ast
import json
import os
import pickle
import shlex
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import fault_worker
import numpy as np
import psutil
import pytest
import torch
import training_worker
from PIL import Image

from spinlib import claims, report, reproduce
from spinlib.pictures import read_picture
from spinlib.weights import TrainingError, load_weights, read_about

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parent.parent


class Planted:
    """Unpickled, it makes a file: execution that can be seen."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


@pytest.fixture
def mark(tmp_path) -> Path:
    """A file that must not come to exist; whatever is planted, it is seen that it was live."""
    mark = tmp_path / "mark"
    yield mark
    assert not mark.exists(), "something from a stranger was executed"
    pickle.loads(pickle.dumps(Planted(mark)))
    assert mark.exists()


# ---- Weights and pictures -----------------------------------------------------------------------


def as_pickle(path: Path, mark: Path) -> None:
    path.write_bytes(pickle.dumps(Planted(mark)))


def as_torch_archive(path: Path, mark: Path) -> None:
    torch.save({"weight": torch.zeros(1), "planted": Planted(mark)}, path)


@pytest.mark.parametrize("plant", [as_pickle, as_torch_archive])
def test_pickles_in_place_of_weights_are_refused_unopened(tmp_path, mark, plant):
    path = tmp_path / "weights.safetensors"
    plant(path, mark)
    for read in (
        read_about,
        lambda path: load_weights(torch.nn.Linear(1, 1), path),
        lambda path: training_worker.train(path, epochs=1),
    ):
        with pytest.raises(TrainingError, match=r"is no file of weights .*\.$"):
            read(path)


def test_a_picture_of_python_objects_is_refused_unopened(tmp_path, mark):
    for name in ("a.npy", "a.png", "a.tif", "a.dm3"):
        np.save(tmp_path / "a.npy", np.array([Planted(mark)], dtype=object), allow_pickle=True)
        (tmp_path / "a.npy").rename(tmp_path / name)
        with pytest.raises(ValueError, match=r"\.$"):
            read_picture(tmp_path / name)


def weights_of(header: dict, tail: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + tail


@pytest.mark.parametrize(
    "content",
    [
        b"\xff" * 8 + b"{}",  # a header of 2^64 bytes
        weights_of({"weight": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}),
        weights_of(
            {"weight": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 4]}}, b"1234"
        ),
        weights_of({"__metadata__": {"about": "[" * 100_000}}),
        weights_of({"__metadata__": {"about": "__import__('os').abort()"}}),
        weights_of({"__metadata__": {"about": "[1, 2]"}}),
        b"",
    ],
    ids=["header", "tensor", "overflow", "depth", "code", "list", "empty"],
)
def test_bombs_in_place_of_weights_are_refused_in_no_time_and_no_memory(tmp_path, content):
    (tmp_path / "w.safetensors").write_bytes(content)
    before, begin = psutil.Process().memory_info().rss, time.monotonic()
    with pytest.raises(TrainingError, match=r"\.$"):
        load_weights(torch.nn.Linear(1, 1), tmp_path / "w.safetensors")
    # They promise from 4 TB upwards; a minute and a gigabyte leave room for a busy machine.
    assert time.monotonic() - begin < 60
    assert psutil.Process().memory_info().rss - before < 2**30


# ---- Values given to make, to the runner and to notebooks ---------------------------------------

VARIABLES = "PROFILE STUDY DEVICE JOBS FORCE P PARAMETERS ONLY CHECK".split()
# Written by make, by the shell, by a shell within a shell.
BREAKOUTS = (
    "$(shell touch {mark})",
    "$$(touch {mark})",
    "`touch {mark}`",
    "'; touch {mark}; '",
    '"; touch {mark}; "',
    "x\ntouch {mark} #",
    "x' $$(touch {mark}) '",
    "seed=1 $(shell touch {mark})",
    "--help; touch {mark}",
)


@pytest.mark.parametrize("where", ["words", "environment"])
@pytest.mark.parametrize("variable", VARIABLES)
def test_values_given_to_make_reach_neither_make_nor_a_shell(mark, variable, where):
    for breakout in BREAKOUTS:
        given = breakout.format(mark=mark)
        words = [f"{variable}={given}"] if where == "words" else []
        environment = {"PATH": os.environ["PATH"]}
        environment |= {variable: given} if where == "environment" else {}
        # With `true` for Python nothing is run, but make and the shell have seen it all.
        refused = variable not in ("FORCE", "ONLY", "PARAMETERS", "CHECK")
        checks = sys.executable if refused else "true"
        for goal, python in (("sync", "true"), ("bench", "true"), ("request", checks)):
            command = ["make", goal, f"PYTHON={python}", f"RUN={python}", "READY=tools", *words]
            options = {"capture_output": True, "text": True, "env": environment}
            done = subprocess.run(command, cwd=ROOT, **options)
            assert not mark.exists(), f"{variable}={given} was executed by {goal}"
        said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
        if refused:
            assert done.returncode == 2 and len(said) == 1, done.stderr


@pytest.fixture
def root(tmp_path) -> Path:
    return fault_worker.make_root(tmp_path / "root")


@pytest.mark.parametrize(
    "text",
    [
        "seed: !!python/object/apply:os.system ['touch {mark}']",
        "seed: !!python/object/new:pathlib.Path ['{mark}']",
        "seed: \"__import__('os').system('touch {mark}')\"",
        "a: &a [x, x, x, x, x, x, x, x]\n"
        + "\n".join(f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}, *{a}]" for a, b in pairwise("abcdefg")),
    ],
    ids=["apply", "new", "code", "a billion laughs"],
)
def test_a_parameter_file_cannot_run_code(root, tmp_path, mark, text, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("{mark}", str(mark)))
    assert reproduce.main(["--parameters", str(path)], root) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.endswith(".\n")
    assert not (root / "figures").exists()


NASTY = "\"'''\"\"\"\\'); import os; os.system('touch {mark}') #$(touch {mark})`touch {mark}`\n"
NASTY += "</script><img src=x onerror=alert(1)> {{{{ 7 * 7 }}}} ä ü 日 %s ; & |"


def test_a_text_from_a_stranger_goes_through_notebook_and_report_as_text(root, tmp_path, mark):
    nasty = NASTY.format(mark=mark)
    (tmp_path / "mine.yaml").write_text(json.dumps({"picture": nasty, "pause": 0.0}))
    options = ["--profile", "smoke", "--device", "cpu", "--parameters", str(tmp_path / "mine.yaml")]
    assert reproduce.main(options, root) == 0
    (results,) = (root / "figures" / "changed" / "smoke").glob("04-*")
    about = json.loads((results / "noise_0.json").read_text())
    assert about["caption"] == nasty
    # The command of the provenance is one line for a shell, and gives the same values again.
    make, *words = shlex.split(about["provenance"]["command"])
    assert make == "make" and [word.partition("=")[0] for word in words[1:]] == [
        "PROFILE",
        "STUDY",
        "P",
    ]
    (again,) = reproduce.plan(
        reproduce.request_parser().parse_args(["--changes", words[-1].removeprefix("P=")]), root
    )
    assert again.values["picture"] == nasty.strip() or again.values["picture"] == nasty
    shutil.copytree(results, root / "figures" / "smoke" / "04")  # as if it were the profile's own
    page = report.page(root)
    assert nasty in Reader(page).text
    assert not {"script", "img onerror"} & Reader(page).tags


class Reader(HTMLParser):
    """The text of a page, and its tags with the attributes that could run something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.links, self.text = set(), set(), ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags |= {tag} | {f"{tag} {name}" for name, _ in attributes if name.startswith("on")}
        links = [value for name, value in attributes if name in ("href", "src", "action")]
        self.links |= set(links)
        self.tags |= {value for value in links if str(value).startswith("javascript:")}

    def handle_data(self, data):
        self.text += data


# ---- Results that somebody else made ------------------------------------------------------------

RECORD = {"caption": "c", "numbers": {}, "provenance": {"commit": "c", "command": "make"}}
PAGE_OF_4 = ("figures", "laptop", "04")


@pytest.fixture
def results(root) -> Path:
    """A folder of results with one figure, as a stranger may send it."""
    folder = root.joinpath(*PAGE_OF_4)
    folder.mkdir(parents=True)
    claims.write(list(claims.of_study("04").values()), folder)
    Image.new("RGB", (2, 2)).save(folder / "a.png")
    (folder / "a.json").write_text(json.dumps(RECORD))
    return folder


@pytest.mark.parametrize(
    "name",
    [
        '"><script>alert(1)<',
        "x' onerror='alert(1)",
        "<img src=x onerror=alert(1)>",
        "javascript:alert(1)",
        "100% #1?a=b&c",
        "{{ 7 * 7 }}",
    ],
)
def test_names_of_files_are_escaped_and_linked(root, results, name):
    for suffix in (".png", ".json"):
        (results / f"a{suffix}").rename(results / f"{name}{suffix}")
    (results / f"{name}.ipynb").write_text("{}")
    (results / f"{name}.html").write_text("<script>alert(1)</script>")
    page = report.page(root)
    read = Reader(page)
    assert not {"script", "img onerror"} & read.tags
    assert not [tag for tag in read.tags if tag.startswith(("javascript:", "iframe on", "a on"))]
    assert f"laptop/04/{name}.json" in read.text
    assert {f"laptop/04/{quote(name)}{s}" for s in (".png", ".json", ".ipynb")} <= read.links


def test_links_out_of_the_results_are_not_followed(root, results, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("precious")
    (results / "b.png").symlink_to(secret)
    (results / "b.json").write_text(json.dumps(RECORD))
    (results / "b.html").symlink_to(secret)
    page = report.page(root)
    assert "precious" not in page and "cHJlY2lvdXM" not in page  # as text or as base64


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"caption": 1}', "[" * 100_000, "null"])
def test_damaged_records_are_a_sentence_that_names_the_file(root, results, content):
    (results / "a.json").write_text(content)
    with pytest.raises(
        ValueError, match=r"04/a\.json is no record of a figure .* STUDY=04 FORCE=1`\.$"
    ):
        report.page(root)


def test_a_damaged_picture_is_a_sentence_that_names_the_file(root, results):
    whole = (results / "a.png").read_bytes()
    for content in (b"", whole[:40], b"%!PS-Adobe-3.0 EPSF-3.0\n"):
        (results / "a.png").write_bytes(content)
        with pytest.raises(ValueError, match=r"04/a\.png is no picture .* STUDY=04 FORCE=1`\.$"):
            report.page(root)


@pytest.mark.parametrize("content", ["", "{}", "[1]", "[" * 100_000, '[{"id": "V1"}]'])
def test_damaged_claims_are_a_sentence_that_names_the_file(root, results, content):
    (results / "claims.json").write_text(content)
    if content == "{}":
        content = (results / "claims.json").write_text('{"V1": 1}')
    with pytest.raises(ValueError, match=r"04/claims\.json is no claims table .* FORCE=1`\.$"):
        report.page(root)


# ---- The source ---------------------------------------------------------------------------------

# Calls by which data could come to be executed.
FORBIDDEN = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "system",
    "popen",
    "load_module",
    "read_pickle",
    "unsafe_load",
    "unsafe_load_all",
    "full_load",
    "full_load_all",
    "load_all",
}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "spinlib").rglob("*.py")), ids=lambda path: path.stem
)
def test_the_library_neither_unpickles_nor_evaluates(path):
    tree = ast.parse(path.read_text())
    # What this library's own processes hand each other, through pipes and files in a folder that is
    # closed to all others, never was a stranger's.
    own = [node for node in tree.body if getattr(node, "name", "") in ("side_by_side", "_of_file")]
    pipes = {id(node) for function in own for node in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", "") or ""}
            assert not names & {"dill", "joblib", "marshal", "shelve", "cloudpickle"}
            assert "pickle" not in names or pipes, f"line {node.lineno}"
            # By these names they would not be known below.
            source = str(getattr(node, "module", "")).partition(".")[0]
            assert source not in ("torch", "yaml") or not names & {"load", *FORBIDDEN}
            assert source != "builtins"
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        module = getattr(getattr(node.func, "value", None), "id", "")
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        assert module != "pickle" or id(node) in pipes, f"line {node.lineno}"
        harmless = isinstance(node.func, ast.Attribute) and (
            name == "compile" or (name == "eval" and not node.args)
        )
        assert name not in FORBIDDEN or harmless, f"line {node.lineno}"  # network.eval, re.compile
        loads = (module, name) in {("torch", "load"), ("yaml", "load")}
        assert not loads or id(node) in pipes, f"line {node.lineno}"
        assert keywords.get("shell", "False") == "False", f"line {node.lineno}"
        assert keywords.get("allow_pickle", "False") == "False", f"line {node.lineno}"
