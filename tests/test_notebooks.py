"""Parameters cells are read or refused as written; an `.ipynb` is its `.py` with true outputs."""

import ast
import re
import textwrap

import nbformat
import pytest
import yaml
from papermill.translators import PythonTranslator

from spinlib import notebooks
from spinlib.claims import Claim
from spinlib.notebooks import ROOT, Parameter, Refused, parameters, read

CELL = """\
# %% [markdown]
# # A page

# %% tags=["parameters"]
profile: str = "laptop"  # sizes
device: str = "auto"  # where
seed: int = 1  # of the random numbers
output: str = ""  # folder
{more}
# %%
print(seed)
"""


@pytest.fixture
def page(tmp_path):
    """Return a function that writes a notebook with more lines in its parameters cell."""

    def write(more: str = ""):
        path = tmp_path / "notebooks" / "04_page.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(CELL.format(more=more))
        return path

    return write


def test_parameters_are_read_with_kind_default_and_help(page):
    more = "states: int = 40  # how many\nfields: list[float] = [1, 0.5]  # in units of J"
    found = notebooks.parameters(page(more))
    assert found["states"] == Parameter("states", "int", 40, "how many")
    assert found["fields"] == Parameter("fields", "list[float]", [1.0, 0.5], "in units of J")
    assert list(found)[:4] == ["profile", "device", "seed", "output"]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("states = 4  # no kind", "is no `name: kind"),
        ("states: int = 4", "needs a value and a comment"),
        ("states: dict = {}  # what", "cannot hold a dict"),
        ("states: int = 0.5  # half a state", "must be int"),
        ("states: int = 4  # as many as for N = 3", "has a second =, with which papermill"),
    ],
)
def test_a_line_that_a_reader_could_not_use_is_refused(page, more, sentence):
    with pytest.raises(Refused, match=sentence):
        notebooks.parameters(page(more))


def test_the_four_common_parameters_are_required(page):
    path = page()
    path.write_text(path.read_text().replace("seed: int = 1  # of the random numbers\n", ""))
    with pytest.raises(Refused, match="lacks `seed: int"):
        notebooks.parameters(path)


@pytest.mark.parametrize(
    ("kind", "given", "taken"),
    [
        ("int", "7", 7),
        ("float", "1e-3", 0.001),
        ("float", 2, 2.0),
        ("bool", "true", True),
        ("str", "7", "7"),
        ("str | None", "None", None),
        ("list[int]", "[1, 2]", [1, 2]),
        ("list[float]", (1, 2.5), [1.0, 2.5]),
        # What YAML makes of 1e-4 and of 2.0e3, which it takes for texts, and what is meant by them.
        ("list[float]", ["1e-4", 0.001, "2.0e3", 1], [1e-4, 0.001, 2000.0, 1.0]),
        ("list[float]", "[1e-4, '1e-3']", [1e-4, 1e-3]),
        ("float | None", "1e-4", 1e-4),
        ("int", "1e4", 10000),
        ("list[int]", ["1e3", 2000.0], [1000, 2000]),
        ("list[str]", ["1e-4"], ["1e-4"]),
    ],
)
def test_a_value_is_taken_in_its_kind(kind, given, taken):
    result = Parameter("x", kind, None, "an example").take(given)
    assert result == taken and type(result) is type(taken)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("int", "abc"),
        ("int", "1.5"),
        ("int", True),
        ("float", "[1]"),
        ("bool", "1"),
        ("str", 3),
        ("list[int]", "[1, 2.5]"),
        ("list[int]", "3"),
        ("int", "__import__('os')"),
        ("list[float]", ["1e-4", "1e-"]),
        ("list[float]", ["[1.0]"]),
        ("list[int]", ["1e-4"]),
        ("list[float]", [None]),
        ("float", "{[]: 1}"),
        ("float", "1e999"),
        ("float", 10**400),
        ("float", float("nan")),
        ("float", "-" * 100_000 + "1"),
    ],
)
def test_a_value_of_another_kind_is_refused(kind, given):
    with pytest.raises(Refused, match=r"Parameter x .* must be"):
        Parameter("x", kind, None, "an example").take(given)


@pytest.mark.parametrize("study", sorted(notebooks.find()))
def test_each_study_of_the_compendium(study):
    path = notebooks.find()[study]
    known = notebooks.parameters(path)
    assert known["profile"].default == "laptop"
    assert known["output"].default == ""
    profiles = yaml.safe_load((path.parent / "profiles.yaml").read_text())
    assert set(profiles) == {"smoke", "paper"}  # the laptop profile is the notebook itself
    for sizes in profiles.values():
        assert set(sizes) <= set(notebooks.find())
        for name, entry in (sizes.get(study) or {}).items():
            known[name].take(entry)
    cells = [cell for cell in notebooks.read(path).cells if cell.cell_type == "code"]
    assert cells[-1].source.strip().endswith("study.about()")


def run_of(path, root, changes="", edit=lambda notebook: None):
    """Leave in figures/laptop what a run of `path` leaves: outputs and an injected cell."""
    notebook = notebooks.read(path)
    notebook.cells[-1]["outputs"] = [nbformat.v4.new_output("stream", name="stdout", text="1\n")]
    injected = nbformat.v4.new_code_cell("seed = 1", metadata={"tags": ["injected-parameters"]})
    notebook.cells.insert(2, injected)
    edit(notebook)
    folder = root / "figures" / "laptop" / "04"
    folder.mkdir(parents=True)
    notebook.metadata["spinlib"] = {"profile": "laptop", "changes": changes}
    notebook.metadata["papermill"] = {"duration": 1.0}
    nbformat.write(notebook, folder / "04_page.ipynb")


def test_the_pair_gets_the_outputs_of_the_run_without_its_injected_cell(page, tmp_path):
    path = page()
    run_of(path, tmp_path)
    assert notebooks.build("04", path, tmp_path)
    built = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    assert notebooks.content(built) == notebooks.content(notebooks.read(path))
    assert len(built.cells) == 3
    assert built.cells[-1].outputs[0].text == "1\n"
    assert built.cells[-1].execution_count == 2
    assert "papermill" not in built.metadata


@pytest.mark.parametrize("why", ["other cells", "other parameters", "no run"])
def test_the_pair_never_shows_outputs_of_other_code(page, tmp_path, why):
    path = page()
    if why == "other cells":
        run_of(path, tmp_path, edit=lambda n: n.cells[-1].update(source="print(seed + 1)"))
    elif why == "other parameters":
        run_of(path, tmp_path, changes="seed=3")
    assert not notebooks.build("04", path, tmp_path)
    built = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    assert notebooks.content(built) == notebooks.content(notebooks.read(path))
    assert not [cell for cell in built.cells if cell.get("outputs")]


def test_building_twice_writes_the_same_bytes(page, tmp_path):
    path = page()
    notebooks.build("04", path, tmp_path)
    first = path.with_suffix(".ipynb").read_bytes()
    notebooks.build("04", path, tmp_path)
    assert path.with_suffix(".ipynb").read_bytes() == first


def test_check_sees_a_changed_cell_and_no_changed_output(page, tmp_path, capsys):
    path = page()
    assert notebooks.main(["--check"], tmp_path) == 1  # there is no pair yet
    assert "notebooks/04_page.ipynb does not have the cells" in capsys.readouterr().out
    notebooks.main([], tmp_path)
    pair = path.with_suffix(".ipynb")
    built = nbformat.read(pair, as_version=4)
    built.cells[-1]["execution_count"] = 9
    built.metadata["saved"] = "some other time"
    nbformat.write(built, pair)
    assert notebooks.main(["--check"], tmp_path) == 0
    built.cells[-1]["source"] = "print(seed)  # by hand"
    nbformat.write(built, pair)
    assert notebooks.main(["--check"], tmp_path) == 1


def test_executed_notebooks_stay_small_enough_to_be_read_online():
    pages = [*notebooks.ROOT.glob("notebooks/*.ipynb"), *notebooks.ROOT.glob("figures/*/*/*.ipynb")]
    assert pages
    large = {page.name: page.stat().st_size for page in pages if page.stat().st_size > 3_000_000}
    assert not large


@pytest.mark.parametrize("study", notebooks.find())
def test_no_cell_takes_the_name_of_a_parameter(study):
    """A loop over `sweeps` would change what the parameter of that name says to later cells."""
    path = notebooks.find()[study]
    source = re.sub(r"^%.*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    names = set(notebooks.parameters(path))
    taken = [
        node.id
        for statement in ast.parse(source).body
        if not isinstance(statement, ast.AnnAssign | ast.FunctionDef | ast.ClassDef)
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]
    assert not names.intersection(taken)


def test_the_beginning_of_a_page_in_contributing_can_be_used_as_it_is(tmp_path, caplog):
    """The runner reads its parameters, and so does papermill, without a word."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    page, claim = (
        textwrap.dedent(part)
        for part in re.findall(r"(?m)(?:^(?: {6}.*)?\n)+", text)
        if "# %%" in part or "statement:" in part
    )
    path = tmp_path / "05_name.py"
    path.write_text(page, encoding="utf-8")
    assert "films" in parameters(path)
    notebook = read(path)
    cell = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    with caplog.at_level("WARNING"):
        found = PythonTranslator.inspect(cell)
    assert [each.name for each in found] == list(parameters(path)) and not caplog.messages
    ((study, claims),) = yaml.safe_load(claim).items()
    assert study == "05" and [Claim(id=name, **entry).unit for name, entry in claims.items()] == [
        ""
    ]
