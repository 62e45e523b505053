"""The same numbers again: by any thread count and vector width, and by the command in a figure.

With --long a whole study runs twice at the smoke profile, on one thread and on two.
"""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from spinlib import reproduce, textures
from spinlib.anneal import coupling_table
from spinlib.hamiltonian import Hamiltonian
from spinlib.kernels import heat_bath
from spinlib.kernels.loader import SCALAR_FLAGS, VECTOR_FLAGS

ROOT = Path(__file__).parent.parent
FIGURES = sorted(path for path in ROOT.glob("figures/*/*/*.png") if path.parts[-3] != "smoke")


@pytest.mark.parametrize(
    "flags",
    [SCALAR_FLAGS, ("-msse4.2", "-mfma"), ("-mavx2", "-mfma"), ("-mavx2", "-mfma", "-O1")],
    ids=["scalar", "128 bit", "256 bit", "less optimised"],
)
def test_a_kernel_gives_the_same_bits_at_any_vector_width(flags):
    hamiltonian = Hamiltonian(dmi=0.3, anisotropy=0.2, zeeman=0.05)
    results = []
    for build in (VECTOR_FLAGS, flags):
        spins = textures.random((34, 38), states=range(3))
        table, _ = coupling_table(hamiltonian, spins)
        schedule = torch.linspace(1.0, 0.0, 120).expand(3, -1)
        heat_bath(spins, table, schedule, seed=5, states=range(3), flags=build)
        results.append(spins)
    assert torch.equal(*results)


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
        root = tmp_path / str(threads)
        root.mkdir()
        (root / "notebooks").symlink_to(ROOT / "notebooks")
        code = "import sys; from pathlib import Path; from spinlib.reproduce import main; "
        code += "sys.exit(main(sys.argv[2:], Path(sys.argv[1])))"
        command = [sys.executable, "-c", code, root, "--profile=smoke", "--study=04"]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
        subprocess.run([*command, "--device=cpu"], env=environment, cwd=root, check=True)
        runs.append(numbers(root / "figures" / "smoke" / "04"))
    assert runs[0] == runs[1]
    assert len(runs[0]) > 10
