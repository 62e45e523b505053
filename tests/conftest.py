"""Where a test runs: on the CPU, and on a GPU if there is one."""

import spinlib  # noqa: F401, I001 - before torch: it says how idle threads wait

import pytest
import torch


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
