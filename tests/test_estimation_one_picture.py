"""One call from picture to answer: its parts, what it keeps, what a kill leaves, what it refuses.

Sizes are tiny and the network hardly trained: what is tested is the way, not how well it goes.
"""

import errno
import json
import os
import signal
import subprocess
import sys
import time
import weakref
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from spinlib import figures, textures
from spinlib.estimation import (
    PERIOD,
    Conditions,
    Estimate,
    FieldOfView,
    Ranges,
    estimate,
    learning,
    one_picture,
    plan,
)
from spinlib.estimation import __main__ as shell
from spinlib.estimation.films import ANISOTROPY, recipe
from spinlib.estimation.observation import record, see
from spinlib.estimation.planning import Effort, with_margin
from spinlib.estimation.quantities import QUANTITIES, in_units, straightened
from spinlib.notebooks import ROOT
from spinlib.ovf import write_ovf
from spinlib.pictures import Picture, PictureError, read_picture
from spinlib.store import DatasetError
from spinlib.thermal_recipes import NAMES, thermal_states
from spinlib.weights import TrainingError

CONDITIONS = Conditions(150.0, 0.18, 4.0, thickness_nm=3.0, levels="linear", blur_nm=4.0)
RANGES = Ranges((6.0, 1.2, 300.0), (10.0, 2.2, 500.0))
TINY = Effort(
    **{"values": 2, "drawn": 4, "validation": 8, "held_out": 9, "tested": 4, "cells": 32},
    **{"cooling": 20, "staying": 10, "looks": 200, "again": 2},
    **{"loop_films": 2, "loop_cells": 8, "loop_sweeps": 2},
)


def picture(taken: Conditions = CONDITIONS) -> torch.Tensor:
    made = plan((60, 60), taken, RANGES, TINY)
    films = recipe(made, taken, RANGES, TINY, cells=made.finer, seed=4321)
    spins = thermal_states(films, pd.DataFrame([[8.0, 1.7, 400.0]], columns=NAMES))
    return record(see(spins, made, taken, seed=3), 0.03, taken, seed=3)[0]


def ask(root: Path, **changed):
    asked = {"effort": TINY, "root": root, "progress": False} | changed
    return estimate(asked.pop("picture", picture()), CONDITIONS, RANGES, **asked)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("estimates")


@pytest.fixture(scope="module")
def answer(root):
    return ask(root)


def test_answer_has_all_its_parts(answer, tmp_path):
    table = answer.table
    assert tuple(table.index) == QUANTITIES
    value = table["estimate"]
    assert (table["low"] <= value).all() and (value <= table["high"]).all()
    wide = with_margin(RANGES)
    for name, low, high in zip(NAMES, wide.low, wide.high, strict=True):
        assert low <= value[name] <= high
    shortest, longest = (4 * np.pi * a / d for a, d in ((5.4, 2.35), (10.6, 1.05)))
    assert shortest * 0.999 <= value[PERIOD] <= longest * 1.001
    assert len(answer.tested) == 4 and answer.coverage["states"].eq(4).all()
    assert answer.again.shape == (2, 3, *[answer.again.shape[-1]] * 2)
    content = json.loads(answer.to_json(tmp_path / "answer.json"))
    assert json.loads((tmp_path / "answer.json").read_text()) == content
    assert content["table"][NAMES[0]]["estimate"] == value[NAMES[0]]
    assert isinstance(answer.figure(), Figure)


def test_answer_prints_what_matters(answer):
    lines = str(answer).splitlines()
    assert [line.split(" = ")[0] for line in lines[:4]] == ["A", "D", "M_s", "4πA/D"]
    row = answer.table.iloc[0]
    interval = f"{row['low']:.3g} to {row['high']:.3g}".replace("inf", "∞")
    assert lines[0] == f"A = {row['estimate']:.3g} pJ/m (90 %: {interval})"
    assert lines[4:] == [f"Warning: {sentence}" for sentence in answer.warnings]


def test_uneven_light_is_noticed_or_taken_off(root):
    """Light that rises by all of the contrast: of ordered levels it leaves the answer as it was."""
    grey = replace(CONDITIONS, contrast="perpendicular")
    shown = picture(grey)
    lit = shown + torch.linspace(0, 1, shown.shape[-1])
    given = {"ranges": RANGES, "effort": TINY, "root": root, "progress": False}
    assert any("is it evenly lit" in words for words in estimate(lit, grey, **given).warnings)
    ordered = replace(grey, levels="ordered")
    even, uneven = (estimate(each, ordered, **given) for each in (shown, lit))
    assert not any("is it evenly lit" in words for words in uneven.warnings)
    assert any("only the order counts" in words for words in uneven.choices)
    # The surface of float32 levels is taken off to a few millionths of them.
    np.testing.assert_allclose(uneven.table["estimate"], even.table["estimate"], rtol=1e-3)


@pytest.mark.parametrize("progress", [True, False])
def test_what_is_doubtful_at_once_is_said_before_the_work(progress, monkeypatch, tmp_path, capsys):
    framed = picture()
    framed[:, :6] = 1.0

    def no_work(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(one_picture, "_answer", no_work)
    with pytest.raises(KeyboardInterrupt):
        ask(tmp_path, picture=framed, progress=progress)
    said = capsys.readouterr()
    assert ("Boxes of" in said.err) == ("one value" in said.err) == progress
    assert said.out == ""


def test_figure_marks_the_truth_where_it_is_known(answer):
    truth = pd.Series([8.0, 1.7, 400.0], NAMES)

    def marks(figure: Figure) -> list[float]:
        """Where vertical lines in the colour of what is true stand on the intervals."""
        panel = figure.axes[3]  # of the intervals: second row, first column
        return [
            line.get_xdata()[0]
            for ax in panel.child_axes
            for line in ax.lines
            if line.get_color() == figures.OBSERVED
        ]

    period = 4 * np.pi * 8.0 / 1.7
    assert marks(answer.figure(truth=truth)) == pytest.approx([*truth, period])
    assert marks(answer.figure()) == []


SAID = (
    "--temperature-K 265 --field-T 0.05 0.2 --thickness-nm 30 --A 5 12 --D 1 2.2 --M_s 200 600 "
    "--anisotropy-kJ-m3 0 30 --levels linear --blur-nm 3"
).split()


@pytest.fixture
def files(tmp_path) -> list[str]:
    """Two picture files, of which the first says how large its pixels are (2.5 nm)."""
    write_ovf(tmp_path / "one.ovf", textures.vortex((40, 40))[0], (2.5e-9,) * 3)
    np.save(tmp_path / "two.npy", np.random.default_rng(1).random((40, 40, 3)))
    return [str(tmp_path / name) for name in ("one.ovf", "two.npy")]


def test_the_same_in_a_shell(answer, files, tmp_path, monkeypatch, capsys):
    asked, kept_in = [], []

    def noted(*args, root, **rest):
        asked.append(args)
        kept_in.append(root)
        return answer

    monkeypatch.setattr(shell, "estimate", noted)
    made = tmp_path / "answer.json", tmp_path / "answer.png"
    out = ["--json", str(made[0]), "--figure", str(made[1])]
    assert shell.main([*files, *SAID, "--pixel-size-nm", "2.34", *out]) == 0
    ((pictures, taken, ranges),) = asked
    assert [picture.vectors for picture in pictures] == [True, False]
    common = {"thickness_nm": 30, "anisotropy_kJ_m3": (0, 30), "levels": "linear", "blur_nm": 3}
    assert taken == [Conditions(265, field, 2.34, **common) for field in (0.05, 0.2)]
    assert ranges == Ranges((5.0, 1.0, 200.0), (12.0, 2.2, 600.0))
    assert str(answer) in capsys.readouterr().out
    written = json.loads(made[0].read_text())
    assert written.pop("pictures") == files
    assert written.items() <= json.loads(answer.to_json()).items()
    assert made[1].read_bytes().startswith(b"\x89PNG")

    # The file says how large its pixels are; a negative number may have an exponent.
    one = [files[0], *("-5e-2" if word == "0.05" else word for word in SAID if word != "0.2")]
    assert shell.main(one) == 0
    assert asked[1][1][0].pixel_size_nm == 2.5
    assert asked[1][1][0].field_T == -0.05
    assert shell.main([*one, "--root", str(tmp_path)]) == 0
    assert kept_in == [ROOT / "data", ROOT / "data", tmp_path]
    one += ["--contrast", "magnetic_force", "--dmi-sign", "-1", "--lift-nm"]
    for said, lift in ((["30"], 30.0), (["20", "40"], (20.0, 40.0))):
        assert shell.main([*one, *said]) == 0
        assert (asked[-1][1][0].lift_nm, asked[-1][1][0].dmi_sign) == (lift, -1)
    one = [*one[: one.index("--contrast")], "--contrast", "component", "--polar-deg"]
    for said, azimuth in ((["-30"], -30.0), (["10", "40"], (10.0, 40.0))):
        assert shell.main([*one, "60", "90", "--azimuth-deg", *said]) == 0
        assert (asked[-1][1][0].polar_deg, asked[-1][1][0].azimuth_deg) == ((60.0, 90.0), azimuth)


def test_a_scale_bar_is_masked_in_a_shell(answer, files, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        shell, "estimate", lambda pictures, *_, **__: asked.append(pictures) or answer
    )
    bar = np.zeros((40, 40), dtype=np.uint8)
    bar[-5:, :20] = 255  # below, as it is seen on a screen
    Image.fromarray(bar).save(tmp_path / "mask.png")
    one = [files[0], *(word for word in SAID if word != "0.2")]
    assert shell.main([*one, "--mask", str(tmp_path / "mask.png")]) == 0
    expected = read_picture(files[0], mask=bar > 0)
    assert torch.equal(asked[0][0].pixels, expected.pixels)
    assert asked[0][0].notes == expected.notes and "100 masked" in expected.notes[-1]


def test_what_a_shell_asks_in_vain_is_refused_in_a_sentence(files, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shell, "estimate", lambda *_, **__: pytest.fail("it is not refused"))
    os.mkfifo(tmp_path / "pipe")
    Image.new("L", (40, 40)).save(tmp_path / "even.png")
    mask = str(tmp_path / "mask.png")
    for arguments, sentence in [
        ([*files, *SAID], "two.npy does not say how large its pixels are: give --pixel-size-nm."),
        ([files[0], *SAID], "2 values of field_T came with 1 picture(s)"),
        (["no.png", *SAID], "no.png does not exist in "),
        ([*files, *SAID, "--pixel-size-nm", "2e-9"], "pixel_size_nm = 2e-09 makes no sense: is it"),
        ([*files, *SAID, "--json", str(tmp_path / "no" / "a.json")], "There is no folder"),
        ([*files, *SAID, "--mask", str(tmp_path / "even.png")], "even.png masks nothing or every"),
        ([*files, *SAID, "--mask", "no.png"], "no.png does not exist in "),
        ([*files, *SAID, "--json", str(tmp_path)], "is no file that can be written"),
        ([*files, *SAID, "--json", str(tmp_path / "pipe")], "pipe is no file that can be written"),
        ([*files, *SAID, "--figure", str(tmp_path / "a.xyz")], "no figure of kind 'xyz'"),
        ([*files, *SAID, "--figure", str(tmp_path / "a.pgf")], "no figure of kind 'pgf'"),
        ([*files, *SAID, "--figure", "."], ". is no file that can be written"),
        ([*files, *SAID, "--json", str(tmp_path / (300 * "a"))], "is no name for a file"),
        ([*files, *SAID, "--json", files[0]], "one.ovf is a file of this request already"),
        ([*files, *SAID, "--mask", mask, "--figure", mask], "mask.png is a file of this request"),
        ([*files, *SAID, "--json", mask, "--figure", mask[:-4]], "mask.png is a file of this"),
        ([*files, *SAID, "--field-T", "0.1"], "cannot be read: --field-T was given twice"),
        (files, "The request cannot be read: the following arguments are required"),
        (["--field-T", "0.05", *files, *SAID], "one.ovf' is no number (write 0.05, without a unit"),
        ([*files, *SAID, "--pixel-size-nm", "2,34"], "'2,34' is no number"),
    ]:
        assert shell.main(arguments) == 2
        said = capsys.readouterr()
        assert sentence in said.err and said.err.count("\n") == 1 and said.out == ""


@pytest.mark.parametrize("named", [True, False])
def test_an_answer_that_cannot_be_written_is_printed_all_the_same(
    named, answer, files, tmp_path, monkeypatch, capsys
):
    full = OSError(errno.ENOSPC, "No space left on device", *(["a.json"] if named else []))
    monkeypatch.setattr(shell, "estimate", lambda *_, **__: answer)
    monkeypatch.setattr(Estimate, "to_json", lambda *_: (_ for _ in ()).throw(full))
    asked = [*files, *SAID, "--pixel-size-nm", "2.34", "--json", str(tmp_path / "a.json")]
    assert shell.main(asked) == 1
    said = capsys.readouterr()
    assert str(answer) in said.out
    assert ("a.json" if named else "a file of it") in said.err
    assert "could not be written: No space left on device." in said.err
    assert said.err.count("\n") == 1


def test_a_figure_that_cannot_be_written_leaves_the_one_before(
    answer, files, tmp_path, monkeypatch, capsys
):
    def full(figure: Figure, where, **_):
        if isinstance(where, str | Path):
            Path(where).write_bytes(b"half a picture")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shell, "estimate", lambda *_, **__: answer)
    monkeypatch.setattr(Figure, "savefig", full)
    (tmp_path / "a.png").write_bytes(b"a whole one")
    asked = [*files, *SAID, "--pixel-size-nm", "2.34", "--figure", str(tmp_path / "a.png")]
    assert shell.main(asked) == 1 and "could not be written" in capsys.readouterr().err
    assert (tmp_path / "a.png").read_bytes() == b"a whole one"
    assert [path.name for path in tmp_path.glob("a.png*")] == ["a.png"]


def test_files_are_written_though_nobody_reads_what_is_printed(answer, files, tmp_path):
    """In a process of its own, whose output goes into a pipe that is closed at once."""
    answer.keep(tmp_path / "answer.safetensors")
    call = (
        "import sys; from spinlib.estimation import Estimate, __main__ as shell\n"
        f"answer = Estimate.load({str(tmp_path / 'answer.safetensors')!r})\n"
        "shell.estimate = lambda *_, **__: answer\n"
        "sys.stdin.read()\n"  # until the pipe is closed
        "sys.exit(shell.main(sys.argv[1:]))"
    )
    asked = [*files, *SAID, "--pixel-size-nm", "2.34", "--json", str(tmp_path / "a.json")]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    shown = subprocess.Popen([sys.executable, "-c", call, *asked], **pipes)
    shown.stdout.close()
    shown.stdin.close()
    assert (shown.stderr.read(), shown.wait()) == (b"", 0)
    assert json.loads((tmp_path / "a.json").read_text())["pictures"] == files


def test_names_that_are_no_text_are_written_as_they_can_be(answer, tmp_path):
    answer.to_json(tmp_path / "a.json", [os.fsdecode(b"probe_\xfc.png")])
    assert json.loads((tmp_path / "a.json").read_text())["pictures"] == ["probe_\udcfc.png"]


@pytest.mark.parametrize("kind", [DatasetError, TrainingError, OSError])
def test_a_full_disk_ends_in_a_sentence(kind, files, monkeypatch, capsys):
    full = kind("No space left on device")
    monkeypatch.setattr(shell, "estimate", lambda *_, **__: (_ for _ in ()).throw(full))
    assert shell.main([*files, *SAID, "--pixel-size-nm", "2.34"]) == 1
    said = capsys.readouterr()
    assert said.err == "The work could not be kept, and stopped: No space left on device\n"
    assert said.out == ""


def test_an_answer_cut_short_is_told(answer, tmp_path):
    path = tmp_path / "answer.safetensors"
    answer.keep(str(path))
    pd.testing.assert_frame_equal(Estimate.load(path).table, answer.table)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="holds no whole estimate"):
        Estimate.load(path)


def test_volume_from_the_saturated_moment(answer):
    field = answer.loop.field_T.max()
    along = answer.loop[answer.loop.field_T == field].magnetisation[: answer.repeats].mean()
    saturation = 1e3 * answer.table.loc[NAMES[2], "estimate"]
    found, _ = answer.volume(3e-15 * saturation, 1e-12, field)
    # By hand: the moment over M_s and the mean magnetisation at that field.
    assert found == pytest.approx(3e-15 / along, rel=1e-6, abs=0)


def test_what_else_is_possible_follows_from_errors_of_states_that_calibrate(answer, root):
    """The estimate times truth over estimate of such a state, within what was simulated."""
    wide, names = with_margin(RANGES), list(NAMES)
    told = answer.tested[[f"estimated {name}" for name in QUANTITIES]].to_numpy()
    for path in root.glob("networks/*/learnt.safetensors"):
        learnt = learning.Learnt.load(path)
        truth = wide.unit(learnt.parameters["validation"]).numpy()
        quantities = straightened(learnt.answers["validation"], truth, wide)
        found = {part: in_units(quantities(own), wide) for part, own in learnt.answers.items()}
        if np.allclose(found["tested"], told):
            break  # the network of this answer
    else:
        pytest.fail("no network is that of the answer")
    parts = ("held_out", "tested")
    ratios = [learnt.parameters[part].to_numpy() / found[part][:, :3] for part in parts]
    best = answer.table.loc[names, "estimate"].to_numpy()
    allowed = (best * np.vstack(ratios)).clip(wide.low, wide.high)
    possible = answer.films[names].to_numpy()[answer.repeats :]
    for row in possible:
        # By way of normalised numbers in single precision.
        assert np.isclose(allowed, row, rtol=1e-4).all(1).any()
    assert not np.allclose(possible, best)


def test_second_call_finds_the_first(answer, root, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("nothing is to be made again")

    for module, name in [
        *((learning, "dataset"), (learning, "fit")),
        *((one_picture, "texture_again"), (one_picture, "loops")),
    ]:
        monkeypatch.setattr(module, name, refuse)
    again = ask(root)
    assert again.to_json() == answer.to_json()
    assert torch.equal(again.again, answer.again) and torch.equal(again.picture, answer.picture)
    pd.testing.assert_frame_equal(again.loop, answer.loop)
    with pytest.raises(AssertionError, match="made again"):
        ask(root, seed=2)


def test_another_picture_of_a_series_finds_the_network(answer, root, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("nothing is to be simulated for training again")

    networks = {path: path.stat().st_mtime_ns for path in root.glob("networks/*/learnt.*")}
    monkeypatch.setattr(FieldOfView, "simulate", refuse)
    monkeypatch.setattr(learning, "_simulate", refuse)
    pixels = picture().flip(-1)
    pixels[:, 3:9, 4:18] = 0.5
    pixels[:, 4:8, 5:17] = 1.0  # a white bar, rows counted from below
    other = Picture(pixels, 4.2e-9, "b.jpg", ("its scale bar says 4.2 nm",), "of four colours")
    again = ask(root, picture=other)
    after = {path: path.stat().st_mtime_ns for path in root.glob("networks/*/learnt.*")}
    assert networks and after == networks
    assert again.settings["noise"] == answer.settings["noise"]
    pd.testing.assert_frame_equal(again.tested, answer.tested)
    assert not again.table.equals(answer.table)
    assert any("a pixel is 4.2 nm, the request says 4 nm" in words for words in again.warnings)
    assert any("The file is of four colours" in words for words in again.warnings)
    assert any("From column 5 to 17 and row 37 to 41" in words for words in again.warnings)
    assert again.choices[0] == "Of the file: its scale bar says 4.2 nm."


def work_for(root: Path) -> learning.Work:
    made = plan((60, 60), CONDITIONS, RANGES, TINY)
    return learning.Work(
        *(picture(), CONDITIONS, RANGES, TINY, made, 1, root, torch.device("cpu")),
        bar=learning.Bar(False),
    )


def test_training_sees_each_film_under_every_symmetry(root):
    """Eight of them: four turns, and four half turns about axes in the plane, with time reversed.

    What they do to the spins, and that it costs no energy, is tested where they are made.
    """
    work = work_for(root)
    asked = work.plan, CONDITIONS, RANGES, TINY
    films = recipe(*asked, cells=work.plan.cells[0], seed=work.seed_of("grid"))
    once, rows, _ = zip(*learning._pictures(work, films), strict=True)
    copies, all_rows, numbers = zip(*learning._pictures(work, films, copies=True), strict=True)
    assert list(numbers) == np.cumsum([0, *map(len, copies)])[:-1].tolist()
    once, copies = torch.cat(once), torch.cat(copies)
    rows, all_rows = pd.concat(rows), pd.concat(all_rows, ignore_index=True)
    assert len(copies) == 8 * len(once) == 8 * 8
    assert torch.equal(copies[:8], once)
    pd.testing.assert_frame_equal(all_rows, pd.concat([rows] * 8, ignore_index=True))
    # All have the m_z of their film, which makes the lightness, and so nearly its mean brightness;
    # blur keeps that.
    brightness = copies.mean((1, 2, 3)).view(8, 8)
    assert (brightness - brightness[0]).abs().max() < 0.02 < brightness[0].std()
    assert len({copy.numpy().tobytes() for copy in copies}) == len(copies)


@pytest.mark.filterwarnings("ignore:Cells of")
def test_training_goes_beyond_the_ranges_and_calibration_does_not(root):
    # 15 % of the range on either side, but of A no lower than 0.8 of its lowest.
    wide = with_margin(RANGES)
    assert wide.low == pytest.approx((5.4, 1.05, 270.0))
    assert wide.high == pytest.approx((10.6, 2.35, 530.0))
    assert with_margin(Ranges((1.0,) * 3, (9.0,) * 3)).low == pytest.approx((0.8,) * 3)
    sets, _ = learning._simulate(work_for(root), 0.03)
    for part, states in sets.items():
        for name, *ends in zip(NAMES, RANGES.low, RANGES.high, wide.low, wide.high, strict=True):
            low, high, lowest, highest = ends
            values = states.parameters[name]
            if part in ("held_out", "tested"):
                assert values.between(low, high).all()
            else:
                assert values.between(lowest, highest).all()
    # The corners of training's grid are those of the wider ranges.
    assert sets["training"].parameters[list(NAMES)].min().tolist() == list(wide.low)
    assert sets["training"].parameters[list(NAMES)].max().tolist() == list(wide.high)


def test_noise_is_matched_without_keeping_all_pictures(root, monkeypatch):
    batches = []

    def made(*_):
        for first in range(0, 8, 2):  # all of the grid
            batch = np.zeros((2, 3, 60, 60), np.float32)
            batches.append(weakref.ref(batch))
            yield torch.from_numpy(batch), None, first
            del batch
            # The one before is still at hand, those before it are not.
            assert [each() is None for each in batches[:-1]] == [True] * (first // 2)

    def matched(some, *_):
        assert len(some) == 4
        return 0.0

    monkeypatch.setattr(learning, "_pictures", made)
    monkeypatch.setattr(learning.observation, "matching_noise", matched)
    assert learning._noise(work_for(root)) == 0.0 and len(batches) == 4


@pytest.mark.filterwarnings("ignore:Cells of")
def test_states_have_cells_of_several_sizes_and_noise_of_their_own(root, monkeypatch):
    work, films, drawn = work_for(root), [], []
    recorded = learning.observation.record

    def asked(*args, **rest):
        films.append(recipe(*args, **rest))
        return films[-1]

    def record(pictures, *args, seed, first=0, **rest):
        drawn.extend((seed, first + number) for number in range(len(pictures)))
        return recorded(pictures, *args, seed=seed, first=first, **rest)

    monkeypatch.setattr(learning, "recipe", asked)
    monkeypatch.setattr(learning.observation, "record", record)
    learning._simulate(work, 0.03)
    assert len(set(drawn)) == len(drawn) and len({each.seed for each in films}) == len(films)
    usual, finer = {*work.plan.cells}, {work.plan.between, work.plan.cells[1], work.plan.finer}
    for part, cells in ((1, usual), (2, usual), (3, finer), (4, finer)):
        of_part = [each for each in films if each.seed // 100 % 100 == part]
        assert {each.size[0] for each in of_part} == cells
    assert {(each.cooling, each.staying) for each in films} == {(TINY.cooling, TINY.staying)}


def test_killed_call_goes_on(answer, tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\nimport test_estimation_one_picture as it\n"
        f"it.ask(Path({str(tmp_path)!r}))\n"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def shards():
        found = tmp_path.glob("FieldOfView-*/c.*")
        return [path for path in found if path.suffix != ".partial"]

    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    try:
        # Killed as soon as the second data set is there, in the midst of the third or after it.
        while len(shards()) < 2 and process.poll() is None:
            time.sleep(0.01)
        assert process.poll() is None, "it was done before it could be killed"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not list(tmp_path.glob("estimates/*/result.safetensors"))
    kept = {path: path.stat().st_mtime_ns for path in shards()}
    resumed = ask(tmp_path)
    assert kept and all(path.stat().st_mtime_ns == when for path, when in kept.items())
    assert resumed.to_json() == answer.to_json()
    assert torch.equal(resumed.again, answer.again)


def test_pictures_of_one_film_are_answered_together(answer, root):
    strong = replace(CONDITIONS, field_T=0.25, temperature_K=120.0)
    second = picture(strong)
    together, with_another = (
        estimate(
            [picture(), shown],
            [CONDITIONS, strong],
            RANGES,
            **{"effort": TINY, "root": root, "progress": False},
        )
        for shown in (second, second.flip(-1))
    )
    for other in (answer, with_another):
        assert not together.table["estimate"].equals(other.table["estimate"])
    assert torch.equal(together.picture, answer.picture)
    assert [other["conditions"]["field_T"] for other in together.settings["others"]] == [0.25]
    assert sum("The picture has a noise of" in words for words in together.choices) == 2
    assert "different places of the film" in together.choices[0]
    said = any("validation states" in words for words in together.choices)
    assert said == (2 * 7 > TINY.validation)  # three answers to each picture, and a constant
    # What makes it possible: states of one number have the same parameters for both pictures.
    pd.testing.assert_frame_equal(
        together.tested.filter(like="true"), answer.tested.filter(like="true")
    )
    learnt = [learning.Learnt.load(path) for path in root.glob("networks/*/learnt.safetensors")]
    assert len(learnt) >= 2
    for part, rows in learnt[0].parameters.items():
        for other in learnt[1:]:
            pd.testing.assert_frame_equal(other.parameters[part], rows)
            assert not np.array_equal(other.answers[part], learnt[0].answers[part])


def test_a_second_picture_under_the_same_conditions_does_not_make_the_answer_worse():
    def work(conditions: Conditions) -> learning.Work:
        made = plan((60, 60), conditions, RANGES, TINY)
        rest = (conditions, RANGES, TINY, made, 1, Path(), "cpu", learning.Bar(False))
        return learning.Work(picture(), *rest)

    # Simulated pictures of both kinds show the same films, and are answered alike but for 1 % of
    # the error; the errors of two real ones are their own.
    generator = np.random.Generator(np.random.Philox(1))
    truth = generator.uniform(0.3, 0.7, (2, 100, 3))
    shared, *own = 0.05 * generator.standard_normal((3, 100, 3))
    simulated = [truth[0] + shared + 0.01 * each for each in own]
    real = [truth[1] + each for each in own]

    def error(given: list[learning.Work]) -> float:
        kinds = [one_picture._together(given, answers) for answers in (simulated, real)]
        wide = with_margin(RANGES)
        return float((straightened(kinds[0], truth[0], wide)(kinds[1])[:, :3] - truth[1]).std())

    # A mean of two has an error of 0.05/√2 = 0.035 before it is straightened, by a line whose slope
    # is 0.0133/(0.0133 + 0.0025) = 0.84 as the variances of truth and error have it: that leaves
    # √((0.84 × 0.035)² + (0.16 × 0.115)²) = 0.035, and 300 numbers with their line tell it to 5 %.
    assert error([work(CONDITIONS)] * 2) == pytest.approx(0.035, rel=0.15)
    # In another field films are others, and each answer has a weight of its own.
    other = [work(CONDITIONS), work(replace(CONDITIONS, field_T=0.3))]
    assert one_picture._together(other, real).shape == (100, 6)


def test_a_picture_of_a_magnetic_tip_is_answered_alone_and_beside_colours(answer, root):
    felt = replace(CONDITIONS, contrast="magnetic_force", lift_nm=(10.0, 20.0))
    given = {"effort": TINY, "root": root, "progress": False}
    alone = estimate(picture(felt), felt, RANGES, **given)
    assert np.isfinite(alone.table["estimate"]).all()
    assert "by a tip 10 to 20 nm above it" in alone.choices[0]
    beside = estimate([picture(), picture(felt)], [CONDITIONS, felt], RANGES, **given)
    # Of the same films simulated for both, the mean of the networks' answers counts.
    assert sum("count alike if all else is the same" in words for words in beside.choices) == 1
    assert not any("count alike" in words for words in [*alone.choices, *answer.choices])
    of_one = [*alone.table["estimate"], *answer.table["estimate"]]
    assert not beside.table["estimate"].isin(of_one).any()


def test_a_picture_of_one_component_is_answered(root):
    aslant = replace(CONDITIONS, contrast="component", polar_deg=74.0, azimuth_deg=30.0)
    found = estimate(picture(aslant), aslant, RANGES, effort=TINY, root=root, progress=False)
    assert np.isfinite(found.table["estimate"]).all()
    assert "in contrast 'component' 74° from +z and 30° from +x, with lin" in found.choices[0]
    other = replace(aslant, azimuth_deg=120.0)
    shown = [picture(aslant), picture(other)[..., :59]]
    both = estimate(shown, [aslant, other], RANGES, effort=TINY, root=root, progress=False)
    assert sum("or from several heights or directions" in words for words in both.choices) == 1


def test_a_component_whose_waves_run_as_in_few_simulations_is_told(root):
    """Bloch walls along it are seen best. By angles from the right, the two would be alike."""
    seen = partial(replace, CONDITIONS, contrast="component", polar_deg=74.0)
    for told, azimuth, warned in (
        (45.0, 45.0, 0),
        (45.0, 135.0, 1),
        ((35.0, 55.0), 45.0, 0),
        ((35.0, 55.0), 135.0, 1),
        ((-45.0, 135.0), 135.0, 0),  # this one is allowed for
    ):
        shown, asked = picture(seen(azimuth_deg=azimuth)), seen(azimuth_deg=told)
        found = estimate(shown, asked, RANGES, effort=TINY, root=root, progress=False)
        assert sum("azimuth_deg counted from" in words for words in found.warnings) == warned


def test_a_list_of_one_picture_is_that_picture(answer, root):
    alone = estimate([picture()], [CONDITIONS], RANGES, effort=TINY, root=root, progress=False)
    assert alone.to_json() == answer.to_json()


def test_an_anisotropy_of_which_the_range_is_known_is_part_of_all_that_follows(answer, root):
    given = replace(CONDITIONS, anisotropy_kJ_m3=(0.0, 30.0))
    other = estimate(picture(), given, RANGES, effort=TINY, root=root, progress=False)
    assert any("between 0 and 30 kJ/m³" in words for words in other.choices)
    # Loops with the estimate have the middle, and those that are possible as well span the range.
    assert other.films[ANISOTROPY].tolist() == [15.0, 15.0, 0.0, 30.0]
    assert answer.films[ANISOTROPY].tolist() == [0.0] * 4
    assert ANISOTROPY not in other.loop_points().index
    assert not np.allclose(other.table["estimate"], answer.table["estimate"])


def test_pictures_that_do_not_belong_together_are_refused(tmp_path):
    other = replace(CONDITIONS, anisotropy_kJ_m3=5.0)
    for pictures, conditions, words in (
        ([picture()] * 2, [CONDITIONS], r"2 picture\(s\) came with 1 set"),
        ([], [], "at least"),
        ([picture()] * 2, [CONDITIONS, other], "one anisotropy_kJ_m3, not 0.0, 5.0"),
        ([picture()] * 2, [CONDITIONS, replace(CONDITIONS, dmi_sign=-1)], "one dmi_sign, not 1.0"),
        ([picture()] * 2, [CONDITIONS, replace(CONDITIONS, field_T=0.1)], "1 and 2 are the same"),
        ([picture()], [{"temperature_K": 150}], "The conditions are Conditions"),
        # Smaller than a box each, so that each has films of its own.
        ([picture()[:, :n, :n] for n in (40, 42, 44)], [CONDITIONS] * 3, "Pictures of 3 kinds"),
    ):
        with pytest.raises(ValueError, match=words):
            estimate(pictures, conditions, RANGES, effort=TINY, root=tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


def test_picture_unlike_all_simulations_is_told(root):
    noise = torch.rand((3, 60, 60), generator=torch.Generator().manual_seed(2))
    answer = ask(root, picture=noise)
    assert any("does not look like anything simulated" in words for words in answer.warnings)
    assert (answer.table["low"] == 0).all() and np.isinf(answer.table["high"]).all()
    assert json.loads(answer.to_json())["table"][NAMES[0]]["high"] is None


@pytest.mark.parametrize(
    ("name", "number"),
    [("tested", 1), ("validation", 0), ("again", 1), ("looks", 0), ("cells", 64.0), ("drawn", -1)],
)
def test_an_effort_that_tells_nothing_is_refused(name, number):
    with pytest.raises(ValueError, match=f"effort's {name} is a whole number >= .*, not {number}"):
        replace(TINY, **{name: number})
    with pytest.raises(ValueError, match="loop_cells is even, not 9"):
        replace(TINY, loop_cells=9)


def test_a_picture_far_finer_than_the_network_sees_is_averaged(root):
    """Each pixel twenty times along and across; the answer is that to the averages."""
    fine = replace(CONDITIONS, pixel_size_nm=CONDITIONS.pixel_size_nm / 20)
    pixels = picture().repeat_interleave(20, 1).repeat_interleave(20, 2)
    again = estimate(
        Picture(pixels, 1e-9 * fine.pixel_size_nm, "a.png"),
        *(fine, RANGES),
        **{"effort": TINY, "root": root, "progress": False},
    )
    few = plan(tuple(pixels.shape[1:]), fine, RANGES, TINY).averaged
    assert few > 1 and again.pixel_size_nm == few * fine.pixel_size_nm
    assert again.picture.shape[1:] == torch.Size([pixels.shape[1] // few] * 2)
    said = f"averaged over squares of {few} × {few} pixels"
    assert [said in each for each in again.choices].count(True) == 1
    assert not any("The file says" in each for each in again.warnings)
    averages = torch.nn.functional.avg_pool2d(pixels, few)
    taken = replace(fine, pixel_size_nm=few * fine.pixel_size_nm)
    other = estimate(averages, taken, RANGES, effort=TINY, root=root, progress=False)
    assert other.table.equals(again.table)


def test_simulations_lose_what_the_averaged_picture_lost():
    """A white domain, and as much mid-grey, in fine pixels whose noise is cut off at white."""
    fine = replace(CONDITIONS, pixel_size_nm=CONDITIONS.pixel_size_nm / 20)
    pixels = torch.full((3, 1200, 1200), 0.5)
    pixels[..., 600:] = 1.0
    pixels += 0.2 * torch.randn(pixels.shape, generator=torch.Generator().manual_seed(2))
    seen, taken, made, _ = one_picture._opened(pixels.clamp(0, 1), fine, RANGES, TINY)
    white = see(textures.uniform((32, 32)), made, taken, seed=1)
    # Half of the noise is lost: 1 - σ/√(2π) = 0.920. Its level is one of a few, 10 % apart.
    assert float(white.mean()) == pytest.approx(0.920, abs=0.005)
    assert float(seen[..., -10:].mean()) == pytest.approx(float(white.mean()), abs=0.005)


def test_a_seed_may_be_numpys(answer, root):
    assert ask(root, seed=np.int64(1)).to_json() == answer.to_json()


def test_parts_of_a_large_grey_picture_are_as_bright_as_simulated_ones(root):
    given = replace(CONDITIONS, contrast="perpendicular")
    large = picture(given).repeat(1, 2, 2)[:, 5:, 5:]
    assert min(large.shape[-2:]) > plan(large.shape[-2:], given, RANGES, TINY).pixels
    answer = estimate(large, given, RANGES, effort=TINY, root=root, progress=False)
    assert not any("brightness" in words for words in answer.warnings)


def test_bad_input_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(PictureError, match="Of the picture's 12 pixels across"):
        ask(tmp_path, picture=torch.rand(3, 12, 40))
    with pytest.raises(PictureError, match="1 channel"):
        ask(tmp_path, picture=torch.rand(1, 60, 60))
    for effort, words in (("heroic", "no effort 'heroic'"), (None, "name or an Effort.*not None")):
        with pytest.raises(ValueError, match=words):
            ask(tmp_path, effort=effort)
    for seed in (-1, 1.5, "1", 10**16):
        with pytest.raises(ValueError, match=f"seed is a whole number .* not {seed!r}"):
            ask(tmp_path, seed=seed)
    with pytest.raises(ValueError, match=r"The ranges are Ranges\(low"):
        estimate(picture(), CONDITIONS, ((6, 1, 300), (10, 2, 500)), effort=TINY, root=tmp_path)
    with pytest.raises(PictureError, match="is a ndarray: give the name of a file"):
        ask(tmp_path, picture=picture().numpy())
    for pixels in (255 * picture(), 2 * picture() - 1):  # bytes, and vectors
        with pytest.raises(PictureError, match="give them from 0 to 1"):
            ask(tmp_path, picture=pixels)
    with pytest.raises(PictureError, match="shows less than one period of any helix"):
        estimate(picture(), replace(CONDITIONS, pixel_size_nm=0.004), RANGES, root=tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"Nothing can be kept in .*file: Not a directory"):
        ask(tmp_path / "file")
