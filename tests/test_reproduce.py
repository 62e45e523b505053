"""The runner: refuses before it starts, swaps complete results in, reuses only the unchanged."""

import base64
import io
import json
import os
import platform
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from spinlib import claims, reproduce
from spinlib.files import WAITING
from spinlib.kernels import resolve_device
from spinlib.notebooks import ROOT
from spinlib.study import Study

PAGE = """\
# %% [markdown]
# # 4. A page
# ![](../figures/laptop/04/x.png)

# %% tags=["parameters"]
profile: str = "laptop"  # sizes
device: str = "auto"  # where
seed: int = 1  # of the random numbers
output: str = ""  # folder
states: int = 4  # how many
field: float = 0.05  # in J

# %%
from matplotlib.figure import Figure
from spinlib.files import WAITING
from spinlib.study import Study

study = Study("04", profile=profile, output=output, seed=seed, device=device)
figure = Figure(figsize=(1, 1))
study.save(figure, "blank", numbers={"states": states, "field": field}, caption="nothing")
print(output)

# %%
assert states < 100, "too many states"
study.claim("V7", ours=float(states), uncertainty=0.5, verdict="reproduced")

# %%
study.about()
"""
SIZES = "smoke:\n  '04': {states: 2}\npaper:\n  '04': {states: 50, field: 1e-3}\n"


@pytest.fixture
def root(tmp_path):
    """Make a small repository with one study."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "04_page.py").write_text(PAGE)
    (tmp_path / "notebooks" / "profiles.yaml").write_text(SIZES)
    (tmp_path / "requirements.txt").write_text("numpy==2.4.6\n")
    return tmp_path


def options(*arguments):
    return reproduce.request_parser().parse_args(list(arguments))


def everything(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob("*")}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--profile", "nonsense"], "There is no profile 'nonsense'; choose smoke, laptop or"),
        (["--study", "99"], "There is no study '99'; choose 04."),
        (["--device", "tpu"], "There is no device 'tpu'"),
        (["--jobs", "0"], "The number of studies at a time is 1, 2, 3 …, not '0'."),
        (["--jobs", "1.5"], "The number of studies at a time is 1, 2, 3 …, not '1.5'."),
        (["--jobs", "many"], "The number of studies at a time is 1, 2, 3 …, not 'many'."),
        (["-p", "no_such=1"], "There is no parameter 'no_such' in study 04; choose seed, states"),
        (["-p", "seed=abc"], "Parameter seed (of the random numbers) must be int; 'abc' is not."),
        (["-p", "states=1.5"], "Parameter states (how many) must be int"),
        (["-p", "states"], "-p takes name=value"),
        (["-p", "seed=1", "--changes", "states=2 seed=2"], "Parameter seed was given twice."),
        (["-p", "output=."], "Parameter output is the runner's own"),
        (["-p", "profile=paper"], "Parameter profile is the runner's own: choose it with"),
        (["--parameters", "no/such.yaml"], "The parameter file no/such.yaml cannot be read"),
        (["--no-such-option"], "The request cannot be read"),
        (["--profile"], "The request cannot be read"),
    ],
)
def test_a_wrong_request_is_one_sentence_and_writes_nothing(root, capsys, arguments, sentence):
    before = everything(root)
    assert reproduce.main(arguments, root) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(sentence) and said.err.count("\n") == 1
    assert everything(root) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
def test_a_missing_gpu_is_refused_before_anything_runs(root, capsys):
    before = everything(root)
    assert reproduce.main(["--device", "cuda"], root) == 2
    assert "no CUDA device" in capsys.readouterr().err
    assert everything(root) == before


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("no_such: 1", "There is no parameter 'no_such'"),
        ("states: many", "must be int; 'many' is not"),
        ("- states", "must map names to values"),
        ("states: [", "is no YAML"),
    ],
)
def test_a_wrong_parameter_file_is_refused(root, tmp_path, capsys, content, sentence):
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    assert reproduce.main(["--parameters", str(path)], root) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1
    assert not (root / "figures").exists()


def test_a_picture_that_is_not_there_is_refused(root, capsys):
    page = next((root / "notebooks").glob("04_*.py"))
    text = page.read_text()
    page.write_text(text.replace("seed: int", 'image: str = ""  # a picture\nseed: int', 1))
    for name in ("film.png", str(root / "film.png")):
        for check in ([], ["--check"]):
            assert reproduce.main(["-p", f"image={name}", *check], root) == 2
            assert f"There is no picture {name!r}" in capsys.readouterr().err
    assert not (root / "figures").exists()
    (root / "film.png").touch()
    for name in ("film.png", str(root / "film.png")):
        assert reproduce.main(["-p", f"image={name}", "--check"], root) == 0


def test_a_wrong_name_in_the_profiles_is_refused(root, capsys):
    (root / "notebooks" / "profiles.yaml").write_text("smoke:\n  '04': {stats: 2}\n")
    assert reproduce.main(["--profile", "smoke"], root) == 2
    assert "There is no parameter 'stats' in study 04 (in profiles.yaml)" in capsys.readouterr().err


def test_later_words_win_defaults_profile_file_command_line(root, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("states: 7\nfield: 1e-4\n")  # YAML reads 1e-4 as text; it is a number here

    def values(*arguments):
        (run,) = reproduce.plan(options(*arguments), root)
        return run.values["states"], run.values["field"], run.changes

    assert values() == (4, 0.05, "")
    assert values("--profile", "smoke") == (2, 0.05, "")
    assert values("--profile", "paper") == (50, 0.001, "")
    mine = ["--profile", "paper", "--parameters", str(path)]
    assert values(*mine) == (7, 1e-4, "states=7 field=0.0001")
    assert values(*mine, "-p", "states=9") == (9, 1e-4, "states=9 field=0.0001")


def test_any_input_changes_the_fingerprint(root, monkeypatch):
    package = root / "spinlib"
    package.mkdir()
    kernel = package / "kernels" / "heatbath.cu"
    kernel.parent.mkdir()
    kernel.write_text("// one")
    monkeypatch.setattr(reproduce, "__file__", str(package / "reproduce.py"))

    def now(*arguments):
        (run,) = reproduce.plan(options(*arguments), root)
        return reproduce.fingerprint(run, root)

    seen = {now()}
    assert now() in seen
    for change in [
        lambda: kernel.write_text("// two"),
        lambda: kernel.rename(kernel.with_name("llg.cu")),
        lambda: (package / "new.yaml").write_text(""),
        lambda: (root / "requirements.txt").write_text("numpy==2.4.5\n"),
        lambda: (root / "notebooks" / "04_page.py").write_text(PAGE + "\n"),
    ]:
        change()
        assert now() not in seen
        seen.add(now())
    film = root / "film.png"
    (run,) = reproduce.plan(options(), root)
    run.values["image"] = "film.png"
    for content in ("one", "two"):  # another picture under the same name
        film.write_text(content)
        assert reproduce.fingerprint(run, root) not in seen
        seen.add(reproduce.fingerprint(run, root))
    home = root / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    run.values["image"] = "~/film.png"
    for content in ("one", "two"):
        (home / "film.png").write_text(content)
        assert reproduce.fingerprint(run, root) not in seen
        seen.add(reproduce.fingerprint(run, root))
    for arguments in (["-p", "seed=2"], ["--profile", "smoke"], ["--device", "cpu"]):
        assert now(*arguments) not in seen
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "x.pyc").write_text("compiled")
    assert now() in seen


def test_run_reuse_change_and_failure(root, capsys):
    """One story, since each step stands on the one before and a notebook takes seconds to run."""
    folder = root / "figures" / "laptop" / "04"
    (folder / "04").parent.mkdir(parents=True)
    (folder / "stale.png").write_text("of an earlier version")

    assert reproduce.main(["--device", "cpu"], root) == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        ".stamp",
        "04_page.ipynb",
        "blank.json",
        "blank.png",
        "claims.json",
    ]
    assert sorted(path.name for path in folder.parent.iterdir()) == [".04.lock", "04"]
    page = nbformat.read(folder / "04_page.ipynb", as_version=4)
    assert page.cells[3].outputs[0].text == "figures/laptop/04\n"
    assert str(root) not in (folder / "04_page.ipynb").read_text()
    rows = {row.id: row for row in claims.read(folder)}
    assert list(rows) == list(claims.of_study("04"))
    assert (rows["V7"].ours, rows["V7"].verdict, rows["V7"].profile) == (4, "reproduced", "laptop")
    assert rows["V1"].verdict == "not tested at this size" and rows["V1"].reason
    assert (root / "figures" / "report.html").exists()

    before = everything(folder)
    capsys.readouterr()
    assert reproduce.main(["--device", "cpu"], root) == 0
    assert "nothing changed" in capsys.readouterr().out
    assert everything(folder) == before

    # A result that somebody touched is no result.
    (folder / "blank.json").write_text("{}")
    (run,) = reproduce.plan(options("--device", "cpu"), root)
    assert not reproduce.reusable(run, root)
    (folder / "blank.json").unlink()
    assert not reproduce.reusable(run, root)

    # A failing study keeps the results there are, leaves its page with the error, and is told; the
    # other study runs all the same.
    many = PAGE.replace("states: int = 4", "states: int = 500")
    other = many.replace("states < 100", "states < 1000")
    (root / "notebooks" / "04_page.py").write_text(many)
    (root / "notebooks" / "05_other.py").write_text(other)
    assert reproduce.main(["--device", "cpu"], root) == 1
    said = capsys.readouterr()
    assert "Study 04 failed: AssertionError: too many states" in said.err
    assert "figures/laptop/04.failed/04_page.ipynb" in said.err
    assert "Study 05: done" in said.out
    page = (root / "figures" / "laptop" / "04.failed" / "04_page.ipynb").read_text()
    assert "too many states" in page and str(root) not in page
    assert json.loads((folder / "claims.json").read_text())[6]["ours"] == 4

    # With changed parameters results go elsewhere, and neither page nor report of the profile hear
    # of it.
    figures = root / "figures"
    before, report = everything(folder.parent), (figures / "report.html").stat().st_mtime_ns
    assert reproduce.main(["--study", "05", "--device", "cpu", "-p", "states=7"], root) == 0
    said = capsys.readouterr().out
    (changed,) = (figures / "changed" / "laptop").glob("05-*")
    assert str(changed.relative_to(root)) in said and "Report" not in said
    assert everything(folder.parent) == before
    assert (figures / "report.html").stat().st_mtime_ns == report
    (seventh,) = [row for row in claims.read(changed) if row.id == "V7"]
    assert (seventh.ours, seventh.profile) == (7, "laptop with states=7")
    provenance = json.loads((changed / "blank.json").read_text())["provenance"]
    assert provenance["command"] == "make reproduce PROFILE=laptop STUDY=04 P=states=7"
    header = f"![]({os.path.relpath(figures / 'laptop', changed)}/04/x.png)"
    assert header in (changed / "05_other.ipynb").read_text()


# Writes what it found, and when it ran. As long as two may run, it waits for another.
TIMED = """\
# %% [markdown]
# # 4. A page

# %% tags=["parameters"]
profile: str = "laptop"  # sizes
device: str = "auto"  # where
seed: int = 1  # of the random numbers
output: str = ""  # folder
others: int = 1  # other pages to wait for

# %%
import os
import time
from matplotlib.figure import Figure
from spinlib.files import WAITING
from spinlib.study import Study

began = time.time()
study = Study("04", profile=profile, output=output, seed=seed, device=device)
(study.output.parent / f"{began}.began").touch()
while len(list(study.output.parent.glob("*.began"))) <= others:
    assert time.time() < began + 100, "alone"
    time.sleep(0.05)
time.sleep(0.5)

# %%
numbers = {"ran": [began, time.time()], "threads": os.environ.get("OMP_NUM_THREADS", "")}
study.save(Figure(figsize=(1, 1)), "blank", numbers=numbers)
study.about()
"""


def test_studies_run_at_the_same_time_and_one_that_fails_stops_no_other(root, capsys, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    outside = dict(os.environ), Path.cwd()
    (root / "notebooks" / "02_page.py").write_text(TIMED)
    (root / "notebooks" / "03_fails.py").write_text(TIMED.replace("numbers =", "1 / 0, "))
    (root / "notebooks" / "04_page.py").write_text(TIMED)

    assert reproduce.main(["--device", "cpu", "--jobs", "2"], root) == 1
    assert outside == (dict(os.environ), Path.cwd())
    said = capsys.readouterr()
    # A line as each begins and as it ends, in whatever order, and no bars.
    begun = [f"Study {number}: notebooks/{number}_" for number in ("02", "03", "04")]
    ended = ["Study 02: done in", "Study 04: done in", "Report: "]
    lines = said.out.splitlines()
    for start in (*begun, *ended):
        assert sum(line.startswith(start) for line in lines) == 1, start
    assert len(lines) == 6
    assert said.err.splitlines() == [
        "Study 03 failed: ZeroDivisionError: division by zero",
        "The notebook up to the error: figures/laptop/03.failed/03_fails.ipynb",
    ]

    folder = root / "figures" / "laptop"
    found = [json.loads((folder / number / "blank.json").read_text()) for number in ("02", "04")]
    assert not list(folder.glob(".*.part"))
    # The first two have met, or neither would have ended, and the third took the place of one.
    starts = sorted(float(path.stem) for path in folder.glob("*.began"))
    first, third = (record["numbers"]["ran"] for record in found)
    assert len(starts) == 3 and first[0] in starts[:2] and third[0] == starts[2]
    assert starts[1] < first[1]
    for record in found:  # also of the one that began when another had ended
        assert record["numbers"]["threads"] == str(max(1, os.cpu_count() // 2))


def test_figure_carries_its_provenance_and_numbers(tmp_path, monkeypatch):
    monkeypatch.setenv("SPINLIB_CHANGES", "states=3 seed=7")
    study = Study("04", profile="smoke", output=tmp_path, seed=7, device="cpu")
    figure = Figure(figsize=(1, 1))
    numbers = {"x": np.arange(2), "e": torch.tensor([0.5]), "nothing": float("nan")}
    path = study.save(figure, "a_1", numbers=numbers, caption="γ → 0", recipe="abc")
    assert path == tmp_path / "a_1.png"
    about = json.loads((tmp_path / "a_1.json").read_text())
    assert about["numbers"] == {"x": [0, 1], "e": [0.5], "nothing": None}
    assert about["caption"] == "γ → 0"
    image = Image.open(path)
    image.load()
    assert image.text["Description"] == "γ → 0"
    for text in (image.text, about["provenance"]):
        assert text["command"] == "make reproduce PROFILE=smoke STUDY=04 P='states=3 seed=7'"
        assert str(text["seed"]) == "7" and text["recipe"] == "abc"
        assert text["profile"] == "smoke with states=3 seed=7"
        assert text["commit"] == study.commit


def test_figures_and_claims_are_shown_in_words(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("spinlib.study.display", shown.append)
    study = Study("04", profile="smoke", output=tmp_path, device="cpu")
    figure = Figure(figsize=(1, 1))
    study.show(figure, "a_1", caption="γ → 0", numbers={"x": 1})
    study.claim("V1", ours=0.01, verdict="reproduced")
    assert shown[0] is figure and (tmp_path / "a_1.png").exists()
    assert "γ → 0" in shown[1].data and "V1: reproduced" in shown[2].data


def test_study_refuses_what_it_cannot_record(tmp_path):
    study = Study("04", profile="smoke", output=tmp_path, device="cpu")
    with pytest.raises(ValueError, match=r"no claim 'W1'"):
        study.claim("W1", ours=1.0, verdict="reproduced")
    with pytest.raises(ValueError, match=r"nan is no value"):
        study.claim("V1", ours=np.float32("nan"), verdict="reproduced")
    with pytest.raises(ValueError, match=r"one number or a text"):
        study.claim("V1", ours=[1.0, 2.0], verdict="reproduced")
    with pytest.raises(ValueError, match=r"no figure name"):
        study.save(Figure(), "../elsewhere")
    with pytest.raises(TypeError, match=r"cannot hold function"):
        study.save(Figure(), "name", numbers={"f": options})
    with pytest.raises(ValueError, match=r"no profile 'huge'"):
        Study("04", profile="huge")
    with pytest.raises(ValueError, match=r"no study '9'"):
        Study("9")
    with pytest.raises(ValueError, match=r"no device 'tpu'"):
        resolve_device("tpu")
    assert list(tmp_path.iterdir()) == []


def test_about_names_commit_device_versions_seed_and_time(tmp_path):
    study = Study("04", profile="smoke", output=tmp_path, seed=11, device="cpu")
    facts = study.about()["about this run"]
    assert facts["seed"] == 11 and facts["device"] == "cpu"
    assert facts["commit"] == study.commit
    assert facts["torch"] == torch.__version__
    assert facts["Python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["took"].endswith(" s")
    assert "bit" in facts["vector width"] and facts["its threads"] == os.cpu_count()
    assert not (facts.astype(str).str.len() > 50).any()  # pandas would not show the rest
    if platform.machine() == "x86_64":  # others have no instruction that gives a name
        assert torch.cpu.get_capabilities()["cpu_name"].split()[0] in facts["processor"]


def test_parameters_changed_by_hand_are_told_apart_and_other_sizes_are_the_runners(monkeypatch):
    """In JupyterLab, or papermill without the runner, nobody says what was changed."""
    monkeypatch.delenv("SPINLIB_CHANGES", raising=False)
    names = {"seed": 7, "epochs_of_mine": 3, "device": "cpu", "gammas_again": [1.0]}
    monkeypatch.setattr("spinlib.study.get_ipython", lambda: SimpleNamespace(user_ns=names))
    study = Study("04", device="cpu")
    assert study.label == "laptop with seed=7 gammas_again=[1.0]"
    assert study.output.parent == ROOT / "figures" / "changed" / "laptop"
    for name, value in (("gammas_again", ["1e-4"]), ("box", "64"), ("box", 6.5), ("seed", None)):
        monkeypatch.setitem(names, name, value)
        with pytest.raises(ValueError, match=rf"Parameter {name} \(.*\) must be "):
            Study("04", device="cpu")
        del names[name]
    names.clear()
    assert Study("04", device="cpu").output == ROOT / "figures" / "laptop" / "04"
    names["In"] = ["", "# Parameters\nseed = 1\n"]  # papermill's cell
    assert Study("04", device="cpu").label == "laptop"
    names["In"].append("# Parameters\nsede = 7\n")
    with pytest.raises(ValueError, match="There is no parameter 'sede' in study 04; choose"):
        Study("04", device="cpu")
    del names["In"]
    with pytest.raises(ValueError, match="make reproduce PROFILE=paper STUDY=04"):
        Study("04", profile="paper", device="cpu")


def test_default_folder_is_that_of_profile_and_study():
    study = Study("04", profile="smoke", device="cpu")
    assert study.output == ROOT / "figures" / "smoke" / "04"


def test_a_page_drops_bars_and_waits_and_if_too_large_gives_its_largest_pictures_a_palette(
    tmp_path, monkeypatch
):
    def picture(side):
        noise = np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8)
        content = io.BytesIO()
        Image.fromarray(noise).save(content, "PNG")
        data = {"image/png": base64.b64encode(content.getvalue()).decode()}
        return {"output_type": "display_data", "metadata": {}, "data": data}

    def modes(limit):
        monkeypatch.setattr(reproduce, "LARGEST_PAGE", limit)
        bars = [
            {"output_type": "display_data", "data": {"text/plain": text}}
            for text in ("films:   0%|   | 0/9", "   0% |    | 00:00<?")
        ]
        waits = {
            "output_type": "stream",
            "text": [f"Another process is making x; {WAITING}\n", "\n"],
        }
        cell = {"cell_type": "code", "outputs": [picture(60), *bars, waits, picture(200)]}
        page = tmp_path / "04_page.ipynb"
        page.write_text(json.dumps({"cells": [cell], "metadata": {}}))
        run = SimpleNamespace(values={"profile": "smoke"}, changes="", folder=tmp_path)
        reproduce._tidy(page, tmp_path / "part", run, tmp_path)
        outputs = json.loads(page.read_text())["cells"][0]["outputs"]
        pictures = (base64.b64decode(output["data"]["image/png"]) for output in outputs)
        return [Image.open(io.BytesIO(content)).mode for content in pictures]

    assert modes(10**6) == ["RGB", "RGB"]
    assert modes(10**5) == ["RGB", "P"]
    assert modes(1000) == ["P", "P"]


def test_a_page_forgets_its_folder_but_pictures_stay_as_they_are(tmp_path):
    data = {"image/png": "iVBO/w/Rw0K", "text/plain": "kept in /w/data"}
    cell = {"cell_type": "code", "outputs": [{"output_type": "display_data", "data": data}]}
    page = tmp_path / "04_page.ipynb"
    page.write_text(json.dumps({"cells": [cell], "metadata": {}}))
    folder = Path("/w/figures/smoke/04")
    run = SimpleNamespace(values={"profile": "smoke"}, changes="", folder=folder)
    reproduce._tidy(page, folder.with_name(".04.part"), run, Path("/w"))
    (output,) = json.loads(page.read_text())["cells"][0]["outputs"]
    assert output["data"] == {"image/png": "iVBO/w/Rw0K", "text/plain": "kept in data"}


def test_large_pictures_in_a_page_get_a_palette():
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(noise).save(content, "PNG")
    smaller = reproduce._with_palette(base64.b64encode(content.getvalue()).decode())
    assert len(base64.b64decode(smaller)) < 0.5 * len(content.getvalue())
    image = Image.open(io.BytesIO(base64.b64decode(smaller)))
    assert image.size == (300, 300)
    # 256 colours for the whole cube leave each channel within a seventh of its range on average.
    assert np.abs(np.asarray(image.convert("RGB"), float) - noise).mean() < 255 / 7
