"""The scoreboard and the report: every claim, escaped, from the results, without any network."""

import base64
import fcntl
import io
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from itertools import takewhile
from pathlib import Path

import nbformat
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from spinlib import claims, report, study
from spinlib.notebooks import find
from spinlib.report import for_page
from spinlib.study import Study

ROOT = Path(__file__).parent.parent
NASTY = '<script>alert("x")</script> & | pipe'


@pytest.fixture
def results(tmp_path):
    """Make a root with one laptop run of study 04 that holds text made to break a page."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "04_page.py").write_text("# %% [markdown]\n# # 4. <b>Title</b>\n")
    folder = tmp_path / "figures" / "laptop" / "04"
    study = Study("04", profile="laptop", output=folder, seed=3, device="cpu")
    figure = Figure(figsize=(1, 1))
    figure.add_subplot().plot([0, 1])
    study.save(figure, "a_line", numbers={"y": [0, 1]}, caption=NASTY)
    study.claim("V7", ours=-2.05751, uncertainty=1e-4, verdict="partly", reason=NASTY)
    study.about()
    (folder / "04_page.ipynb").write_text("{}")
    return tmp_path


def test_a_large_picture_gets_a_palette_and_keeps_its_words(tmp_path, monkeypatch):
    figure = Figure(figsize=(2, 2))
    figure.add_axes((0, 0, 1, 1)).imshow([[0, 1], [2, 3]], cmap="hsv")
    run = Study("04", profile="laptop", output=tmp_path, device="cpu")
    colours = []
    for limit in (study.LARGE, 100):
        monkeypatch.setattr(study, "LARGE", limit)
        with Image.open(run.save(figure, "square", caption=NASTY)) as image:
            assert image.text["Description"] == NASTY and image.text["study"] == "04"
            assert (image.mode == "P") == (limit == 100)
            colours.append([image.convert("RGB").getpixel(at) for at in ((9, 9), (280, 9))])
    assert colours[0] == colours[1]


class Reader(HTMLParser):
    """Collect the tags of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_report_needs_nothing_but_itself(results):
    page = report.page(results)
    read = Reader(page)
    assert not {tag for tag, _ in read.tags} & {"script", "link", "iframe", "object", "base"}
    for _, attributes in read.tags:
        for name in ("src", "href", "srcset", "poster", "background"):
            address = attributes.get(name, "")
            assert not re.match(r"[a-z]+:|//", address) or address.startswith("data:image/webp;")
    assert "url(" not in page and "@import" not in page
    assert "prefers-color-scheme: dark" in page


def test_report_escapes_what_studies_wrote(results):
    read = Reader(report.page(results))
    assert NASTY in read.text
    assert "<b>Title</b>" in read.text
    assert "script" not in {tag for tag, _ in read.tags}


def test_report_shows_the_figure_and_links_what_is_there(results):
    read = Reader(report.page(results))
    (image,) = [attributes for tag, attributes in read.tags if tag == "img"]
    kind, _, content = image["src"].partition(",")
    assert kind == "data:image/webp;base64"
    with (
        Image.open(io.BytesIO(base64.b64decode(content))) as shown,
        Image.open(results / "figures" / "laptop" / "04" / "a_line.png") as file,
    ):
        there, here = (np.asarray(each.convert("RGB"), dtype=float) for each in (file, shown))
    # As many pixels, as the figure is small; WebP's losses stay below a few grey levels on average.
    assert here.shape == there.shape and abs(here - there).mean() < 3
    links = [attributes["href"] for tag, attributes in read.tags if tag == "a"]
    files = [link for link in links if not link.startswith("#")]
    names = ("04_page.ipynb", "a_line.json", "a_line.png")
    assert {f"laptop/04/{name}" for name in names} == set(files)
    for link in files:
        assert (results / "figures" / link).exists()


def test_report_holds_large_figures_at_the_width_of_the_page():
    content = io.BytesIO()
    Image.effect_noise((2000, 500), 50).save(content, "PNG")
    with Image.open(io.BytesIO(for_page(content.getvalue(), report.PAGE))) as image:
        assert image.format == "WEBP" and image.size == (1088, 272)


def test_report_leaves_toy_sizes_out_beside_larger_ones(results):
    figures = results / "figures"
    shutil.copytree(figures / "laptop", figures / "smoke")
    assert "smoke profile" not in report.page(results)
    shutil.rmtree(figures / "laptop")
    assert "smoke profile" in report.page(results)


def test_report_holds_a_studys_own_page_in_a_sandbox(results):
    page = '<p title="x">&lt;</p><img src="y" onerror="alert(1)">'
    (results / "figures" / "laptop" / "04" / "explorer.html").write_text(page)
    read = Reader(report.page(results))
    (frame,) = [attributes for tag, attributes in read.tags if tag == "iframe"]
    assert frame["srcdoc"] == page  # whole, and as an attribute: none of it is the report's own
    assert frame["sandbox"] == "allow-scripts"
    assert not [attributes for _, attributes in read.tags if "onerror" in attributes]


@pytest.mark.parametrize("part", [report.scoreboard, report.details])
def test_scoreboard_has_one_row_per_claim_whatever_is_in_it(results, part):
    lines = part(results / "figures").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("| id "))
    claimed = list(takewhile(lambda line: line, lines[first:]))
    assert len(claimed) == 2 + sum(map(len, claims.catalogue().values()))
    # A pipe inside a cell would shift the columns: only unescaped ones divide cells.
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in claimed} == {6}
    (line,) = [line for line in claimed if line.startswith("| V7 ")]
    found = "**partly**: −2.05751 ± 0.00010 J per site" in line
    assert found if part is report.details else line.endswith("| partly |  |")
    assert "<script" not in line


def test_details_show_both_sizes_and_the_runs(results):
    folder = results / "figures" / "paper" / "04"
    study = Study("04", profile="paper", output=folder, seed=3, device="cpu")
    study.claim("V7", ours=-2.0576, uncertainty=1e-5, verdict="reproduced")
    study.about()
    (line, *runs) = [
        line
        for line in report.details(results / "figures").splitlines()
        if line.startswith(("| V7 ", "| 04, "))
    ]
    *_, laptop, full, _ = re.split(r"(?<!\\)\|", line)
    assert "−2.05751" in laptop and "**reproduced**: −2.057600" in full
    assert [run.split(" | ")[0] for run in runs] == ["| 04, laptop", "| 04, full size"]
    assert all("GB" in run for run in runs)


def test_a_run_is_told_by_the_claim_it_recorded_last(tmp_path):
    folder = tmp_path / "laptop" / "04"
    folder.mkdir(parents=True)
    first = list(claims.of_study("04").values())[:3]
    rows = [
        replace(claim, profile="laptop", seconds=seconds, peak_memory=memory, device="cpu")
        for claim, seconds, memory in zip(first, (60.0, 3.0, 90.0), (2.0, 1.0, 3.0), strict=True)
    ]
    claims.write(rows, folder)
    page = {"metadata": {"papermill": {"duration": 1512.0}}}
    (folder / "04_page.ipynb").write_text(json.dumps(page))
    (row,) = [line for line in report.details(tmp_path).splitlines() if line.startswith("| 04, ")]
    assert row.split(" | ")[1:4] == ["cpu", "25 min", "3 GB"]
    # A run with another parameter is not the profile's.
    claims.write([replace(row, profile="laptop with seed=3") for row in rows], folder)
    assert "| 04, " not in report.details(tmp_path)


def test_summary_counts_the_verdicts():
    rows = claims.of_largest_runs(Path("no such folder"))[:3]
    rows[0] = replace(rows[0], verdict="reproduced")
    assert report.summary(rows) == (
        "Of 3 claims: 1 reproduced, 0 partly, 0 not reproduced, 2 not tested at this size."
    )


def test_results_that_a_kill_left_half_exchanged_are_put_back(results):
    """And those that another process exchanges at this moment are left to it."""
    folder = results / "figures" / "laptop" / "04"
    old = folder.with_name(".04.old")
    folder.rename(old)
    with folder.with_name(".04.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        report.write(results)
        assert old.exists() and not folder.exists()
    report.write(results)
    assert folder.exists() and not old.exists()
    assert "−2.05751" in (results / "figures" / "scoreboard.md").read_text(encoding="utf-8")


def test_write_changes_only_what_stands_between_the_markers(results):
    readme = results / "README.md"
    readme.write_text("before\n{}\nold\n{}\nafter\n".format(*report.SCOREBOARD))
    assert report.write(results) == results / "figures" / "report.html"
    text = readme.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert text.count("| V7 |") == 1
    report.write(results)
    assert readme.read_text() == text


def test_a_report_that_fails_says_why_and_takes_no_arguments(monkeypatch, capsys):
    def fail():
        raise ValueError("claims.json is no claims table; make it again.")

    monkeypatch.setattr(report, "write", fail)
    assert report.main([]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(SystemExit):
        report.main(["--figures"])


def test_a_page_that_is_cut_short_is_named(tmp_path):
    (tmp_path / "page.ipynb").write_text('{"cells": [')
    with pytest.raises(ValueError, match=r"page\.ipynb is no notebook .*make its study again"):
        report._minutes(tmp_path)


def test_speeds_are_those_of_the_benchmark(tmp_path):
    """Numbers, threads and ratios of its rows, also where another device has not run."""
    work, here, there = report.SPEEDS[0]
    row = {"name": here, "value": 1.96e8, "unit": "updates/s", "threads": 1, "device": "cpu"}
    others = [
        row | {"name": f"{here}, beside {name}", "reference": f"{name} 1.0", "ratio": ratio}
        for name, ratio in (("Some", 64.9), ("Other", 7.31))
    ]
    (tmp_path / "bench.json").write_text(json.dumps([row, *others]))
    assert report.speeds(tmp_path).splitlines()[2] == (
        f"| {work} | 2.0·10⁸ updates on one | 65 × Some 1.0, 7.3 × Other 1.0 |  |"
    )
    card = row | {"name": there, "value": 840.0, "unit": "states/s", "device": "Some GPU"}
    (tmp_path / "bench.json").write_text(json.dumps([row, card]))
    lines = report.speeds(tmp_path).splitlines()
    assert "Some GPU" in lines[0] and lines[2].endswith("updates on one |  | 840 states |")


def test_the_table_of_speeds_has_no_gaps():
    measured = {row["name"] for row in json.loads((ROOT / "figures" / "bench.json").read_text())}
    assert {name for _, *names in report.SPEEDS for name in names} <= measured


def test_a_readme_without_markers_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"README\.md lacks the lines"):
        report.brought_up_to_date("no markers", tmp_path)


def test_the_readme_shows_the_newest_results():
    readme = (ROOT / "README.md").read_text()
    assert report.brought_up_to_date(readme, ROOT / "figures") == readme, (
        "run `make report` and commit README.md"
    )
    assert (ROOT / "figures" / "scoreboard.md").read_text() == report.details(ROOT / "figures"), (
        "run `make report` and commit figures/scoreboard.md"
    )


def test_the_index_takes_a_study_more(monkeypatch):
    more = claims.catalogue() | {"05": {"S1": claims.Claim("S1", "Another.", "so")}}
    monkeypatch.setattr(claims, "catalogue", lambda: more)
    assert "04_evae_collapse.ipynb" in report.index()


def test_the_index_maps_every_page_and_shows_the_newest_results():
    page = nbformat.reads(report.index(), as_version=4)
    nbformat.validate(page)
    (cell,) = page.cells
    links = set(re.findall(r"\]\(([^)#]+)\)", cell.source))
    assert links == {"../figures/scoreboard.md"} | {
        f"{path.stem}.ipynb" for path in find().values()
    }
    assert all((ROOT / "notebooks" / link).exists() for link in links)
    assert all(report._question(path) for path in find().values())
    assert (ROOT / "notebooks" / "index.ipynb").read_text() == report.index(), (
        "run `make report` and commit notebooks/index.ipynb"
    )


def test_the_readme_quotes_the_page_on_intervals():
    """Counted once more from the numbers beside its figure; there None is an open end."""
    page = ROOT / "figures" / "laptop" / "appendix_coverage" / "intervals.json"
    numbers = json.loads(page.read_text())["numbers"]
    shares = []
    for name, truths in numbers["truth"].items():
        ends = zip(truths, numbers["low"][name], numbers["high"][name], strict=True)
        held = [low <= truth <= (np.inf if high is None else high) for truth, low, high in ends]
        shares.append(f"{100 * np.mean(held):.0f}")
    words = " ".join((ROOT / "README.md").read_text().split())
    assert f"on {len(held)} hidden films" in words
    assert f"{', '.join(shares[:-1])} and {shares[-1]} % of cases" in words


def test_every_link_of_the_readme_leads_to_a_file():
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text())
    local = [link for link in links if not link.startswith("https://")]
    assert {f"notebooks/{path.stem}.ipynb" for path in find().values()} <= set(local)
    for link in local:
        assert (ROOT / link).exists(), link


@pytest.mark.parametrize("page", find().values(), ids=lambda path: path.stem)
def test_every_link_of_a_notebook_leads_to_a_file(page):
    words = re.findall(r"^# (.*)$", page.read_text(), flags=re.MULTILINE)
    for link in re.findall(r"\]\(([^)#]+)\)", "\n".join(words)):
        assert link.startswith("https://") or (page.parent / link).exists(), link
