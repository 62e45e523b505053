"""The packaging files agree with each other, and refuse or install what they say."""

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from graphlib import TopologicalSorter
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import mutations
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import spinlib

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins() -> dict[str, Requirement]:
    """Return the pins of requirements.txt by canonical name."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def version(requirement: Requirement) -> str:
    (only,) = requirement.specifier
    return only.version


def test_every_pin_is_one_exact_public_version():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert len(pins()) == len([line for line in lines if line and not line.startswith("#")])
    for requirement in pins().values():
        (only,) = requirement.specifier
        assert only.operator == "==", requirement
        assert "+" not in only.version, f"{requirement} has a local suffix that no index offers"
        assert requirement.url is None
    assert version(pins()["torch"]) == "2.13.0"


def test_pins_take_every_python_that_the_package_takes():
    """Debian 12 has 3.11.2, which some packages refuse whose metadata begins at 3.11.5."""
    (least,) = SpecifierSet(PYPROJECT["project"]["requires-python"])
    assert least.operator == ">="
    for name in pins():
        with suppress(PackageNotFoundError):  # pinned for another platform
            asked = distribution(name).metadata.get("Requires-Python", "")
            assert SpecifierSet(asked).contains(f"{least.version}.0"), f"{name} takes {asked}"


def test_what_the_package_asks_for_is_pinned():
    project = PYPROJECT["project"]
    asked = project["dependencies"] + project["optional-dependencies"]["dev"]
    for text in asked + PYPROJECT["build-system"]["requires"]:
        wanted = Requirement(text)
        pinned = pins()[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version(pinned)), f"{pinned} is not {wanted}"
        assert str(wanted.marker) == str(pinned.marker)


def test_cupy_is_only_in_the_gpu_extra():
    assert not [name for name in pins() if name.startswith("cupy")]
    assert PYPROJECT["project"]["optional-dependencies"]["gpu"] == ["cupy-cuda13x==14.2.0"]


OPTIONAL = {"cupy": "gpu", "rsciio": "dm"}  # imported only where needed, by the extra they are in
# Other simulators, timed beside ours where they are installed.
COMPARED = {"jax", "magnumnp", "neuralmag", "spirit"}


def imports(folder: str) -> Iterator[tuple[str, Path, bool]]:
    """Packages from elsewhere that the sources below a folder import, and if on being loaded."""
    own = {"spinlib"} | {path.stem for path in (ROOT / "tests").glob("*.py")}
    for path in (ROOT / folder).rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module]
            for name in {name.partition(".")[0] for name in names} - own:
                if name not in sys.stdlib_module_names:
                    yield name, path, node in tree.body


@pytest.mark.parametrize("folder", ["spinlib", "notebooks", "tests"])
def test_what_is_imported_is_pinned_or_an_extra(folder):
    origin = packages_distributions()
    extras = PYPROJECT["project"]["optional-dependencies"]
    found = set(imports(folder))
    assert {"numpy", "torch"} <= {name for name, _, _ in found}
    for name, path, at_once in found:
        if name in OPTIONAL or name in COMPARED:
            assert not at_once, f"{path} cannot be loaded without {name}"
            assert name in COMPARED or extras[OPTIONAL[name]]
            continue
        assert name in origin, f"{path} imports {name}, which is not installed"
        homes = {canonicalize_name(home) for home in origin[name]}
        assert homes & set(pins()), f"{path} imports {name}, and none of {homes} is pinned"


def test_conda_uses_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert pip == ["-r requirements.txt", "-e ."]
    conda = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    names = {re.split("[=<>]", entry)[0] for entry in conda}
    assert {"python", "make", "cxx-compiler", "pip"} <= names
    assert not names & (set(pins()) - {"pip"}), "a package is pinned in requirements.txt alone"
    # The Makefile takes this environment for its own by this name.
    assert f"ifeq ($(CONDA_DEFAULT_ENV),{environment['name']})" in (ROOT / "Makefile").read_text()


def test_pins_are_complete():
    """Everything that an installed pin asks for on Linux with Python 3.11 is pinned too."""
    lock = {
        "extra": "",
        "python_version": "3.11",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
    }
    for name in pins():
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:
            continue  # pinned for another platform
        for need in map(Requirement, needs):
            if need.marker is not None and not need.marker.evaluate(lock):
                continue
            # torch's CUDA build pins its own libraries, which a CPU build does not have.
            if name == "torch" and canonicalize_name(need.name).startswith(
                ("cuda", "nvidia", "triton")
            ):
                continue
            assert canonicalize_name(need.name) in pins(), f"{name} needs {need}, unpinned"


def test_importing_the_package_is_light():
    code = "import sys, spinlib; print('torch' in sys.modules, 'cupy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"]


def test_an_installed_package_keeps_its_data_where_it_is_called(tmp_path):
    """Not among the packages, where a user may not write and would not look."""
    packages, called = tmp_path / "packages", tmp_path / "called"
    shutil.copytree(ROOT / "spinlib", packages / "spinlib", symlinks=True)
    called.mkdir()
    code = "import spinlib.notebooks as n; print(n.__file__, n.ROOT, sep='\\n')"
    run = partial(subprocess.run, cwd=called, capture_output=True, text=True, check=True)
    told = run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(packages)}).stdout
    assert told.splitlines() == [str(packages / "spinlib" / "notebooks.py"), str(called)]
    told = run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}).stdout
    assert told.splitlines()[1] == str(ROOT)


def test_no_module_imports_itself_by_a_detour():
    """Data goes one way: the imports, those inside functions too, have an order."""
    imports = {}
    for path in (ROOT / "spinlib").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        every = list(ast.walk(ast.parse(path.read_text())))
        nodes = [node for node in every if isinstance(node, ast.ImportFrom)]
        froms = {f"{n.module}.{alias.name}" for n in nodes for alias in n.names if n.module}
        plain = {a.name for node in every if isinstance(node, ast.Import) for a in node.names}
        imports[name] = froms | plain | {n.module for n in nodes if n.module}
    known = {
        name: {other for other in found if other in imports} for name, found in imports.items()
    }
    for name in known:  # whoever imports from a package has its __init__ run, which is no detour
        known[name] -= {name.rpartition(".")[0]}
    order = list(TopologicalSorter(known).static_order())
    assert order.index("spinlib.hamiltonian") < order.index("spinlib.film")


def test_what_the_package_lists_is_there_and_explained():
    listed = re.findall(r"(?m)^    (\w+) {2,}(\w+(?:, \w+)*)", spinlib.__doc__)
    assert len(listed) >= 15
    for module, names in listed:
        imported = importlib.import_module(f"spinlib.{module}")
        for name in names.split(", "):
            words = getattr(imported, name).__doc__ or ""  # a dataclass makes up one of its own
            assert words and not words.startswith(f"{name}("), f"{module}.{name} has no docstring"


def test_citation_names_the_four_papers():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert [reference["doi"] for reference in citation["references"]] == [
        "10.1002/advs.202000566",
        "10.1126/sciadv.abb0872",
        "10.48550/arXiv.2408.12181",
        "10.1002/advs.202004795",
    ]
    assert f'__version__ = "{citation["version"]}"' in (ROOT / "spinlib/__init__.py").read_text()


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["make", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        # A make above this one would hand its own goals and options down.
        env={"PATH": environment.pop("PATH", "/usr/local/bin:/usr/bin:/bin")} | environment,
    )


def test_every_target_has_its_line_of_help():
    done = make("help")
    lines = done.stdout.splitlines()
    targets = {line.split()[1] for line in lines}
    names = "env reproduce test lab bench lint sync report clean help"
    assert sorted(targets) == sorted(names.split())
    assert len(lines) == len(targets)
    rules = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text()))
    assert rules - {"request", "tools"} == targets


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (["PROFILE=nonsense"], "There is no profile 'nonsense'"),
        (["STUDY=99"], "There is no study '99'"),
        (["DEVICE=toaster"], "There is no device 'toaster'"),
        (["STUDY=04", "P=no_such=1"], "There is no parameter 'no_such'"),
        (["STUDY=04", "P=seed=abc"], "Parameter seed"),
    ],
)
def test_make_refuses_a_wrong_request_before_it_installs(request_, sentence):
    # With a `.venv` that would have to be made, a refusal that came late would take minutes.
    done = make("reproduce", f"PYTHON={sys.executable}", "READY=never-reached", *request_)
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode == 2
    assert len(said) == 1 and said[0].startswith(sentence)
    assert done.stdout == ""


@pytest.mark.parametrize("given", ["STUDDY=04", "profile=smoke", "SEED=7", "pixel_size_nm=2"])
def test_a_misspelt_setting_is_refused(given):
    done = make("help", "PROFILE=smoke", given)
    (said,) = done.stderr.splitlines()
    assert done.returncode == 2 and done.stdout == ""
    assert f"There is no setting {given.partition('=')[0]}; the settings are PROFILE STUDY" in said
    assert said.count('P="seed=7"') == 1


@pytest.mark.parametrize(
    "given",
    [
        ["PROFILE=smoke", "STUDY=04", "DEVICE=cpu", "FORCE=1", "P=seed=7", "ONLY=heat", "CHECK=1"],
        [f"PYTHON={sys.executable}", "CXX=g++", "OMP_WAIT_POLICY=active", "MAKEFLAGS=-s", "-j2"],
        ["P=image='my film.png' label=\"it's\" x=$(shell exit)", "CUDA_VISIBLE_DEVICES=0"],
    ],
)
def test_settings_of_ours_and_of_other_programs_are_taken(given):
    done = make("help", *given, STUDDY="04", seed="7")  # the environment may hold anything
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("PYTHON=", "Python 3.11 or newer was not found; install it (Debian: apt install python3"),
        ("CXX=", "No C++ compiler was found; install one (Debian: apt install g++; conda: conda"),
    ],
)
def test_a_missing_tool_is_named_with_its_package(tmp_path, given, sentence):
    # A PATH with make and a shell's tools, but neither Python nor a compiler.
    for tool in ("make", "sh", "awk", "sed"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    python = given if given.startswith("PYTHON") else f"PYTHON={sys.executable}"
    done = make("env", python, "READY=tools", PATH=str(tmp_path), CXX="")
    assert done.returncode == 2
    assert sentence in done.stderr


def test_each_planted_fault_fits_the_source():
    for fault in mutations.FAULTS:
        assert (ROOT / "spinlib" / fault.file).read_text().count(fault.old) == 1, fault.name
        file, _, name = fault.test.partition("::")
        assert f"def {name.partition('[')[0]}(" in (ROOT / "tests" / file).read_text(), fault.test
