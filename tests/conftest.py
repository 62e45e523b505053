"""Where a test runs: on the CPU, and on a GPU if there is one."""

import spinlib  # noqa: F401, I001 - before torch: it says how idle threads wait

import os

import hypothesis
import pytest
import torch

# The same examples each time: what is found must be found again. HYPOTHESIS_PROFILE=default tries
# others.
hypothesis.settings.register_profile("repeatable", derandomize=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_addoption(parser) -> None:
    parser.addoption(
        "--long", action="store_true", help="the fault tests kill far more often; whole studies run"
    )


@pytest.fixture
def long(request) -> bool:
    """Whether the long mode was asked for: pytest -m faults --long."""
    return request.config.getoption("--long")


NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NEEDS_GPU])])
def device(request) -> torch.device:
    return torch.device(request.param)
