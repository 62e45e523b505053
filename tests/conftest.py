"""Where a test runs: on the CPU, and on a GPU if there is one; and what several tests draw."""

import spinlib  # noqa: F401, I001 - before torch: it says how idle threads wait

import os
from collections.abc import Sequence

import hypothesis
import numpy as np
import pytest
import torch

from spinlib.kernels import launch
from spinlib.optics import blur_and_resample

# The same examples each time: what is found must be found again. HYPOTHESIS_PROFILE=default tries
# others.
hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_addoption(parser) -> None:
    parser.addoption(
        "--long", action="store_true", help="the fault tests kill far more often; whole studies run"
    )
    parser.addoption(
        "--pretend", action="store_true", help="the tests marked gpu alone, on a pretended GPU"
    )


def pytest_configure(config) -> None:
    if config.getoption("--pretend"):
        from pretended_gpu import install

        install()


def pytest_collection_modifyitems(config, items) -> None:
    if not config.getoption("--pretend"):
        return
    others = [item for item in items if not item.get_closest_marker("gpu")]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item.get_closest_marker("gpu")]
    for item in items:
        if real := item.get_closest_marker("hardware"):
            item.add_marker(pytest.mark.skip(real.args[0]))


@pytest.fixture
def long(request) -> bool:
    """Whether the long mode was asked for: pytest -m faults --long."""
    return request.config.getoption("--long")


@pytest.fixture
def builds(monkeypatch) -> list[tuple[str, tuple[str, ...]]]:
    """The files, and the flags they were built with, of the host's kernels that a test calls."""
    asked = []
    library = launch.host_library
    monkeypatch.setattr(launch, "host_library", lambda *of: asked.append(of) or library(*of))
    return asked


@pytest.fixture
def annealing(monkeypatch) -> dict:
    """What a recipe asks of `anneal`, which is not done: its options and "temperatures"."""
    asked = {}

    def taken(hamiltonian, size, temperatures, **options):
        asked.update(options, temperatures=temperatures.double())

    for module in ("recipes", "film_recipes", "thermal_recipes"):
        monkeypatch.setattr(f"spinlib.{module}.anneal", taken)
    return asked


# As a text: asked before a test runs, when a pretended GPU is in its place.
NEEDS_GPU = pytest.mark.skipif("not torch.cuda.is_available()", reason="needs an NVIDIA GPU")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NEEDS_GPU])])
def device(request) -> torch.device:
    return torch.device(request.param)


def random_spins(batch: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Unit vectors without any order, (batch, 3, height, width)."""
    spins = torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))
    return spins / spins.norm(dim=1, keepdim=True)


# Settings that a contrast needs, in cells.
SETTINGS_OF = {
    "component": {"polar": 74.0, "azimuth": 30.0},
    "lorentz_defocus": {"defocus": 0.5},
    "magnetic_force": {"lift": 3.0, "thickness": 2.0},
}


def blur(field: torch.Tensor, sigma: float, boundary: str = "open") -> torch.Tensor:
    """A picture blurred, in pixels that are its cells."""
    return blur_and_resample(field, sigma, field.shape[-2:], 1, boundary)


def discs(size: int, radius: float, centres: Sequence[tuple[float, float]]) -> torch.Tensor:
    """White discs in black, (1, size, size) from -1 to 1, periodic."""
    y, x = np.mgrid[:size, :size] + 0.5
    white = np.zeros((size, size), bool)
    for cy, cx in centres:
        dy, dx = (y - cy + size / 2) % size - size / 2, (x - cx + size / 2) % size - size / 2
        white |= dy**2 + dx**2 < radius**2
    return torch.from_numpy(2.0 * white - 1.0)[None]
