"""The same numbers again: by any thread count and vector width, and by the command in a figure.

With --long a whole study runs twice at the smoke profile, on one thread and on two.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from matplotlib.figure import Figure
from PIL import Image

from spinlib import reproduce, study, textures
from spinlib.anneal import coupling_table
from spinlib.hamiltonian import Hamiltonian
from spinlib.kernels import heat_bath
from spinlib.kernels.loader import SCALAR_FLAGS, VECTOR_FLAGS
from spinlib.notebooks import CHANGES

ROOT = Path(__file__).parent.parent
FIGURES = sorted(path for path in ROOT.glob("figures/*/*/*.png") if path.parts[-3] != "smoke")


@pytest.mark.parametrize(
    "flags",
    [SCALAR_FLAGS, ("-msse4.2", "-mfma"), ("-mavx2", "-mfma"), ("-mavx2", "-mfma", "-O1")],
    ids=["scalar", "128 bit", "256 bit", "less optimised"],
)
def test_a_kernel_gives_the_same_bits_at_any_vector_width(flags, builds):
    hamiltonian = Hamiltonian(dmi=0.3, anisotropy=0.2, zeeman=0.05)
    results = []
    for build in (VECTOR_FLAGS, flags):
        spins = textures.random((34, 38), states=range(3))
        table, _ = coupling_table(hamiltonian, spins)
        schedule = torch.linspace(1.0, 0.0, 120).expand(3, -1)
        heat_bath(spins, table, schedule, seed=5, states=range(3), flags=build)
        results.append(spins)
        assert ("heatbath.cu", build) in builds
    assert torch.equal(*results)


STATES = """
import torch
from dataclasses import replace
from hashlib import sha256
from spinlib.film_recipes import FILMS
from spinlib.recipes import DOMAINS, SkyrmionStates
from spinlib.thermal_recipes import FILMS as THERMAL
short = {"cooling": 10, "staying": 5}
for recipe in (
    replace(THERMAL["smoke"]["resolved"], size=(128, 128), **short),
    replace(DOMAINS["smoke"], size=100, slowest=12, fastest=6, quench=2),
    replace(FILMS["smoke"]["saturation"], size=128, sweeps=10, quench=2),
    SkyrmionStates(size=32, sweeps=60),
):
    states = recipe.simulate(range(1), torch.device("cpu"))
    print(sha256(states.contiguous().numpy().tobytes()).hexdigest())
"""


@pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() != "AVX512", reason="needs a processor with AVX-512"
)
def test_states_are_the_same_bits_on_every_processor():
    """What libraries choose by the processor is set here: BLAS, the width of vectors, and MKL's
    functions, of which even the square root has other last bits on processors of another maker."""
    said = [
        subprocess.run(
            [sys.executable, "-c", STATES],
            env=os.environ
            | {"OPENBLAS_CORETYPE": core, "ATEN_CPU_CAPABILITY": width}
            | {"NPY_DISABLE_CPU_FEATURES": lacking, "MKL_CBWR": functions},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for core, width, lacking, functions in (  # an x86 has them
            ("Prescott", "default", "X86_V3 X86_V4 AVX512_ICL", "COMPATIBLE"),
            ("SkylakeX", "avx2", "", "AVX512"),
        )
    ]
    assert said[0].count("\n") == 4 and said[0] == said[1]


def test_results_that_are_committed_are_there():
    assert len(FIGURES) > 30


@pytest.mark.parametrize("path", FIGURES, ids=lambda path: "/".join(path.parts[-3:]))
def test_every_figure_names_the_command_that_makes_it_again(path):
    about = json.loads(path.with_suffix(".json").read_text())["provenance"]
    assert set(about) >= {"study", "profile", "seed", "device", "commit", "command"}
    with Image.open(path) as image:
        image.load()
        assert image.text["command"] == about["command"] and image.text["commit"] == about["commit"]
    make, target, *words = shlex.split(about["command"])
    given = dict(word.split("=", 1) for word in words)
    assert (make, target) == ("make", "reproduce")
    assert (given["PROFILE"], given["STUDY"]) == path.parts[-3:-1]
    # The request is one that the runner takes, and leads to this folder.
    request = ["--profile", given["PROFILE"], "--study", given["STUDY"]]
    request += ["--changes", given.get("P", ""), "--device", "cpu"]
    (run,) = reproduce.plan(reproduce.request_parser().parse_args(request))
    assert run.folder == path.parent


PAGE = """\
# %% tags=["parameters"]
profile: str = "laptop"  # sizes
device: str = "auto"  # where
seed: int = 1  # of the random numbers
output: str = ""  # folder
fields: list[float] = [0.0]  # in J
names: list[str] = []  # of states
picture: str | None = None  # a file
title: str = "none"  # of a figure
quick: bool = False  # or well
"""
AWKWARD = 'a film\'s "helix", $HOME, `x` $(x) # 5 % = ½; \\n'


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"seed": 3, "quick": True},
        {"fields": [-1e-7, 0.25], "names": ["two words", "it's", 'a "b"']},
        {"fields": [], "picture": "my films/one film.tif", "title": ""},
        {"title": AWKWARD, "names": [AWKWARD], "picture": "None or so"},
    ],
    ids=["none", "plain", "lists", "spaces", "awkward"],
)
def test_the_command_in_a_figure_leads_through_make_to_the_same_run(
    tmp_path, monkeypatch, changes, device
):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "04_page.py").write_text(PAGE)
    (tmp_path / "notebooks" / "profiles.yaml").write_text("smoke:\n  '04': {seed: 2}\n")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(changes))
    request = ["--profile=smoke", "--study=04", f"--parameters={tmp_path / 'mine.yaml'}"]
    parse = reproduce.request_parser().parse_args
    (run,) = reproduce.plan(parse([*request, f"--device={device}"]), tmp_path)
    assert {name: run.values[name] for name in changes} == changes

    # The figure, as a machine with a GPU makes it.
    devices = {"auto": torch.device("cuda"), device: torch.device(device)}
    monkeypatch.setattr(study, "resolve_device", devices.get)
    monkeypatch.setattr(study, "device_name", str)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    monkeypatch.setenv(CHANGES, run.changes)
    seed = run.values["seed"]
    page = study.Study("04", profile="smoke", output=tmp_path, seed=seed, device=device)
    path = page.save(Figure(figsize=(1, 1)), "blank")
    command = json.loads(path.with_suffix(".json").read_text())["provenance"]["command"]

    # What make then starts, told by a Python that only writes down its arguments.
    told = tmp_path / "told"
    tell, python = tmp_path / "tell.py", tmp_path / "python"
    tell.write_text(f"import json, sys\nopen({str(told)!r}, 'w').write(json.dumps(sys.argv[1:]))\n")
    python.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, str(tell)])} "$@"\n')
    python.chmod(0o755)
    tools = [f"PYTHON={python}", f"RUN={python}", "READY="]
    environment = {"PATH": os.environ["PATH"]}
    subprocess.run([*shlex.split(command), *tools], cwd=ROOT, env=environment, check=True)
    module, *arguments = json.loads(told.read_text())[1:]
    assert module == "spinlib.reproduce"
    (again,) = reproduce.plan(parse(arguments), tmp_path)
    assert devices[again.values["device"]] == devices[run.values["device"]]
    again.values["device"] = run.values["device"]
    assert again == run


def numbers(folder: Path) -> dict[str, list]:
    """What the claims and figures of a run hold, but for what is a time or made of times."""
    found = {}
    for path in folder.glob("*.json"):
        content = json.loads(path.read_text())
        if path.name == "claims.json":
            found[path.name] = [row | {"seconds": None} for row in content]
        elif path.name != "generation_speed.json":
            found[path.name] = content["numbers"]
    return found


@pytest.mark.faults
def test_a_study_gives_the_same_numbers_on_one_thread_and_on_two(tmp_path, long):
    if not long:
        pytest.skip("runs study 04 twice: pytest -m faults --long")
    runs = []
    for threads in (1, 2):
        # A repository of its own each, so that neither finds data sets or networks of the other.
        root = tmp_path / str(threads)
        for name in ("spinlib", "notebooks"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        command = [sys.executable, "-m", "spinlib.reproduce", "--profile=smoke", "--study=04"]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(root)}
        subprocess.run([*command, "--device=cpu"], env=environment, cwd=root, check=True)
        assert list(root.glob("data/evae/*"))
        runs.append(numbers(root / "figures" / "smoke" / "04"))
    assert runs[0] == runs[1]
    assert len(runs[0]) > 10
