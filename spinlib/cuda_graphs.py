"""Steps of training on a GPU, captured as CUDA graphs and replayed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch


class Graphed:
    """A step of training that is captured once for each epoch and batch size, then replayed.

    A step of a small network is hundreds of kernels of some microseconds each, several times faster
    than Python can launch them. The epoch is a plain number in the kernels that draw random
    numbers, so that every epoch is captured anew, once for each of its at most two batch sizes.

    The first step of either size is an ordinary one. It makes what a capture has to find: the
    optimiser's moments, the totals, compiled and loaded kernels, their workspaces, constants on the
    GPU. Its numbers are those of a replayed one, dropout included, as both draw from the same place
    of the same stream.
    """

    def __init__(
        self, step: Callable[[torch.Tensor, int], None], optimiser: torch.optim.Optimizer
    ) -> None:
        self.step, self.optimiser = step, optimiser
        self.epoch = -1
        self.inputs: dict[int, torch.Tensor] = {}  # by batch size, as the graphs
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}
        # Whatever the epoch: a pool of memory lives as long as one of its graphs.
        self.latest: torch.cuda.CUDAGraph | None = None

    def __call__(self, samples: torch.Tensor, epoch: int) -> None:
        if epoch != self.epoch:
            self.epoch, self.graphs = epoch, {}
        size = len(samples)
        if size not in self.inputs:
            self.step(samples, epoch)
            self.inputs[size] = samples.clone()
            return
        if size not in self.graphs:
            self.graphs[size] = self.latest = self._capture(self.inputs[size])
        self.inputs[size].copy_(samples)
        self.graphs[size].replay()

    def _capture(self, samples: torch.Tensor) -> torch.cuda.CUDAGraph:
        if self.latest is None:
            torch.cuda.empty_cache()  # graphs cannot use what was kept, by earlier trainings too
        graph = torch.cuda.CUDAGraph()
        self._declare_capturable(True)
        graph.capture_begin(pool=self.latest and self.latest.pool())
        try:
            self.step(samples, self.epoch)
        finally:
            graph.capture_end()
            self._declare_capturable(False)
        return graph

    def _declare_capturable(self, whether: bool) -> None:
        """Fused optimisers are, but Adam wants to be told, and warns if it then is not captured."""
        for group in self.optimiser.param_groups:
            group["capturable"] = whether


@contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """On a GPU a stream that can be captured: the default one cannot.

    All of a training runs on it, as autograd and the allocator remember the streams they worked on.
    """
    if device.type != "cuda":
        yield
        return
    stream, outside = _stream(device), torch.cuda.current_stream(device)
    stream.wait_stream(outside)
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        outside.wait_stream(stream)


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """The same for all trainings: torch keeps free memory for each stream apart."""
    return torch.cuda.Stream(device)
