"""The tests of a GPU on a pretended one, and that it catches what a GPU would not forgive."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import NEEDS_GPU, random_spins
from gpu_on_host import HostLaunch, compiler
from torch import nn

from spinlib.cuda_graphs import Graphed, own_stream
from spinlib.kernels import loader
from spinlib.kernels.llg import torque
from spinlib.training import fit

ROOT = Path(__file__).resolve().parent.parent


def test_the_tests_of_a_gpu_pass_on_a_pretended_one():
    """In a process of its own, as torch then takes it for real; of two like trainings, one."""
    compiler()
    command = [sys.executable, "-m", "pytest", "--pretend", "-p", "no:cacheprovider"]
    command += ["-k", "not (interrupted and evae)"]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    run = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-2000:]
    assert int(re.search(r"(\d+) passed", run.stdout)[1]) > 100


# --- kernels -------------------------------------------------------------------------------------

# Each thread takes over what its neighbour has put down, or does something wrong.
NEIGHBOURS = """
extern "C" __global__ void neighbours(float* values, int fault) {
    extern __shared__ float shared[];
    const int i = threadIdx.x, n = blockDim.x;
    shared[i + (fault == 1 ? n : 0)] = values[i];
    if (fault == 2) shared[i - n] = values[i];
    if (fault == 3 ? i > 0 : fault != 4) __syncthreads();
    if (fault == 5 && i == 0)
        __syncthreads();
    else if (fault == 5)
        __syncthreads();
    values[i] = shared[i + 1 < n || fault == 6 ? i + 1 : 0];
}
"""


def neighbours(monkeypatch, wrong=0, **changes):
    monkeypatch.setattr(loader, "source", lambda name: NEIGHBOURS)
    arguments = {"values": torch.arange(4.0), "fault": np.int32(wrong)} | changes
    HostLaunch("", "neighbours", (1,), (4,), arguments, torch.device("cpu"), 16)()
    return arguments["values"].tolist()


def test_threads_wait_for_each_other(monkeypatch):
    assert neighbours(monkeypatch) == [1, 2, 3, 0]


@pytest.mark.parametrize(
    "fault, words",
    [(1, "beyond the shared"), (2, "beyond the shared"), (3, "only some"), (5, "only some")],
)
def test_a_wrong_kernel_is_told_of(monkeypatch, fault, words):
    with pytest.raises(AssertionError, match=f"neighbours: .*{words}"):
        neighbours(monkeypatch, fault)


@pytest.mark.parametrize("fault", [4, 6], ids=["no barrier", "read beyond"])
def test_what_nobody_wrote_is_not_a_number(monkeypatch, fault):
    assert np.isnan(neighbours(monkeypatch, fault)).any()


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"fault": np.int64(0)}, "fault, a int, is a .*int64"),
        ({"values": torch.arange(4)}, "values, a float.*, is torch.int64"),
        ({"values": torch.zeros(4, 2)[:, 0]}, "values, a float.*, is not contiguous"),
    ],
)
def test_a_wrong_argument_is_told_of(monkeypatch, changes, words):
    with pytest.raises(AssertionError, match=words):
        neighbours(monkeypatch, **changes)


# --- tensors and captured steps ------------------------------------------------------------------

pretended = pytest.mark.skipif(
    "not config.getoption('--pretend')", reason="about a pretended GPU: pytest --pretend"
)


@pytest.mark.gpu
@NEEDS_GPU
@pretended
def test_tensors_on_two_devices_are_refused():
    here = random_spins(2, 4, 4)
    there = here.cuda()
    table = torch.zeros(2, 13)
    with pytest.raises(AssertionError, match=r"torque: .*Film\*, is on the cpu"):
        torque(there, table)
    assert torque(there, table.cuda()).is_cuda
    for call in (
        lambda: here + there,
        lambda: torch.stack([here[0, 0, 0, 0], there[0, 0, 0, 0]]),
        lambda: here[there[:, 0, 0, 0].argsort()],
        lambda: there.numpy(),
        lambda: np.asarray(there),
    ):
        with pytest.raises((RuntimeError, TypeError), match=r"device|convert cuda"):
            call()
    assert (there + 1).is_cuda and torch.equal(there.cpu(), here)


CAPTURED = {
    "float": lambda x: float(x.sum()),
    "branch": lambda x: 1 if x.sum() > 0 else 0,
    "list": lambda x: x.tolist()[0][0],
    "copy to the host": lambda x: x.cpu().sum().item(),
    "mask": lambda x: x[x > 0].sum(),
    "nonzero": lambda x: x.nonzero().sum(),
    "numbers of the host": lambda x: torch.ones(1).to(x.device),
    "new from the host": lambda x: torch.tensor([1.0], device=x.device),
    "indices of the host": lambda x: x[torch.tensor([0])].sum(),
}


@pytest.mark.gpu
@NEEDS_GPU
@pretended
@pytest.mark.parametrize("what", CAPTURED)
def test_a_captured_step_that_waits_is_refused(what):
    def losses(network, batch, numbers):
        return {"loss": network(batch[0]).square().mean() + 0 * CAPTURED[what](batch[0])}

    samples = (torch.linspace(-1, 1, 20)[:, None],)
    options = {"epochs": 1, "seed": 1, "device": "cuda"}
    fit(nn.Linear(1, 1), losses, samples, samples, batch_size=20, **options)  # not captured
    with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
        fit(nn.Linear(1, 1), losses, samples, samples, batch_size=2, **options)


@pytest.mark.gpu
@NEEDS_GPU
@pretended
def test_a_replay_does_what_was_captured():
    """Python does not run again, and what it reads and writes stays as it was captured."""
    total, taken = torch.zeros(2, device="cuda"), []
    share = torch.tensor(0.5)

    def step(samples, epoch):
        taken.append(len(samples))
        total.add_(samples * share * len(taken))

    optimiser = torch.optim.SGD([torch.zeros(1)])
    with own_stream(torch.device("cuda")):
        graphed = Graphed(step, optimiser)
        for number in range(4):
            share.fill_(0.5 if number < 2 else 100.0)
            graphed(torch.tensor([1.0, float(number)], device="cuda"), 0)
    # The first step as it is, the others as the second one was captured.
    assert taken == [2, 2]
    assert total.tolist() == [0.5 + 3 * 1.0, 1.0 * (1 + 2 + 3)]
