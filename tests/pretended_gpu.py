"""A GPU that is pretended, for `pytest --pretend`: tensors that say they are on cuda:0.

Their numbers are the CPU's, and kernels run as `gpu_on_host` runs them. There is no way back from
`install` within a process.

What it can show   tensors left on the wrong device; the arguments, index arithmetic and barriers of
    kernels; captured steps that wait for the GPU, take something from the host, or do other things
    when they are replayed than one by one.
What it cannot     the rounding of special functions, TF32 and bfloat16; streams and kernels that
    overlap; how much memory there is and what a step costs; races within a block, and indices
    beyond arrays that are not in shared memory.
"""

from contextlib import contextmanager
from functools import partial, partialmethod

import torch
from gpu_on_host import PROPERTIES, HostLaunch
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

from spinlib.kernels import heatbath, launch, spectrum

aten = torch.ops.aten
_WAITING = {  # for a size or a number that the host wants to know
    *(aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default),
    *(aten.equal.default, aten.bincount.default, aten.repeat_interleave.Tensor),
    *(aten._unique2.default, aten.unique_dim.default, aten.unique_consecutive.default),
}
_INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}
_INDEXING |= {aten._index_put_impl_.default, aten._unsafe_index.Tensor}
_JOINING = {aten.cat.default, aten.stack.default}  # do not take even numbers of the host


class OnGpu(torch.Tensor):
    """A tensor that is on cuda:0 for all that asks it, its numbers in one of the CPU.

    Autograd, in C++, takes it for one of the CPU.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, numbers):
        return cls._make_wrapper_subclass(
            *(cls, numbers.size(), numbers.stride(), numbers.storage_offset()),
            dtype=numbers.dtype,
            device="cpu",
        )

    def __init__(self, numbers):
        self.numbers = numbers

    device = property(lambda self: torch.device("cuda:0"))
    is_cuda = property(lambda self: True)

    def numpy(self, *_, **__):
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")

    __array__ = numpy

    def tolist(self):
        return _moved(self, "cpu").tolist()

    # Modules ask for these two before they exchange their parameters for others.
    def __tensor_flatten__(self):
        return ["numbers"], None

    @staticmethod
    def __tensor_unflatten__(inner, *_):
        return OnGpu(inner["numbers"])

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return _operation(function, args, kwargs or {})


class _Everywhere(TorchDispatchMode):
    """What makes a tensor out of nothing passes here as well."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return _operation(function, args, kwargs or {})


def _plain(value):
    if isinstance(value, OnGpu):
        return value.numbers
    # A number of the host that a captured step reads stays what it was.
    baked = Graph.captured is not None and isinstance(value, torch.Tensor)
    return value.clone() if baked else value


def _refuse_in_capture(what) -> None:
    if Graph.captured is not None:
        raise RuntimeError(f"operation not permitted when stream is capturing: {what}")


def _moved(tensor: torch.Tensor, device: str) -> torch.Tensor:
    """A copy on the other device, or the tensor itself."""
    if isinstance(tensor, OnGpu) == (device == "cuda"):
        return tensor
    _refuse_in_capture(f"a copy to the {device}")
    return _Move.apply(tensor)


class _Move(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor):
        return tensor.numbers.clone() if isinstance(tensor, OnGpu) else OnGpu(tensor.clone())

    @staticmethod
    def backward(ctx, gradient):
        return _Move.apply(gradient)


_to = torch.Tensor.to


def _sent(tensor, *args, copy=False, **kwargs):
    """In place of `torch.Tensor.to`, which in C++ takes what is on the GPU for the CPU's."""
    if args and isinstance(args[0], torch.Tensor):
        args = args[0].device, args[0].dtype
    device, dtype, _, memory_format = torch._C._nn._parse_to(*args, **kwargs)
    moved = tensor if device is None else _moved(tensor, device.type)
    form = {} if memory_format is None else {"memory_format": memory_format}
    return _to(moved, dtype or moved.dtype, copy=copy and moved is tensor, **form)


def _making(make, copy):
    """`torch.tensor` or `torch.as_tensor`, which reach another device beneath what is here."""

    def made(data, *, device=None, **kwargs):
        if isinstance(data, OnGpu):
            return _sent(data, device or data.device, kwargs.get("dtype"), copy=copy)
        here = make(data, **kwargs)
        return here if device is None else _sent(here, device)

    return made


_by_device = Optimizer._group_tensors_by_device_and_dtype


def _grouped(lists, with_indices=False):
    """What optimisers ask C++ for, with the device of the tensors in place of the CPU."""
    groups = _by_device(lists, with_indices)
    return {(found[0][0][0].device, dtype): found for (_, dtype), found in groups.items()}


def _operation(function, args, kwargs):
    """One operation of torch under the rules of a GPU."""
    tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
    there = [t for t in tensors if isinstance(t, OnGpu)]
    here = [t for t in tensors if not isinstance(t, OnGpu)]
    asked = kwargs.get("device")
    if asked is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    if kwargs.get("pin_memory"):
        kwargs = kwargs | {"pin_memory": False}
    if not there and (asked is None or asked.type == "cpu"):
        return function(*args, **kwargs)
    if function in _WAITING:
        _refuse_in_capture(function)
    if not there and here:
        _refuse_in_capture("a copy to the GPU")
    if function is aten.copy_.default and here:
        # A number may be one of Python's, which a real GPU takes as an argument of its kernel.
        if there[0] is args[1] or here[0].dim():
            _refuse_in_capture("a copy between host and GPU")
    else:
        if function in _INDEXING and isinstance(args[0], OnGpu):  # it copies indices of the host
            indices = [i for i in args[1] if i is not None]
            if any(i.dtype == torch.bool or not isinstance(i, OnGpu) for i in indices):
                _refuse_in_capture("an index that is a mask, or of the host")
            here = [t for t in here if all(t is not i for i in indices)]
        if there and any(t.dim() or function in _JOINING for t in here):
            where = [(tuple(t.shape), str(t.device)) for t in tensors]
            raise RuntimeError(f"Expected all tensors to be on the same device: {function} {where}")
    out = _carry_out(function, *tree_map(_plain, (args, kwargs)))
    if function is aten._local_scalar_dense.default:
        return out
    out = tree_map(lambda t: OnGpu(t) if isinstance(t, torch.Tensor) else t, out)
    # Views share their memory, and what was changed in place is what was given.
    return return_and_correct_aliasing(function, args, kwargs, out)


# --- captured steps, and torch.cuda --------------------------------------------------------------


class Graph:
    """In place of `torch.cuda.CUDAGraph`: what a step did on the GPU, to be done again."""

    captured = None  # the one that is being captured

    def capture_begin(self, pool=None) -> None:
        if len(_streams) == 1:
            raise RuntimeError("CUDA graphs must be captured on a non-default stream.")
        self.calls, self.before, self.random = [], {}, torch.get_rng_state()
        Graph.captured = self

    def capture_end(self) -> None:
        """A capture only notes what is to be done: take back what it has."""
        Graph.captured = None
        for memory, content in filter(None, self.before.values()):
            memory.copy_(content)
        torch.set_rng_state(self.random)

    @torch.no_grad()
    def replay(self) -> None:
        for call, results in self.calls:
            for old, new in zip(results, tree_leaves(call()), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)

    def pool(self) -> int:
        return 0


def _carry_out(function, args, kwargs):
    """Call what works on the GPU's tensors, and note it for the graph that is being captured."""
    graph = Graph.captured
    if graph is None:
        return function(*args, **kwargs)

    def memories(values):
        tensors = [t for t in tree_leaves(values) if isinstance(t, torch.Tensor)]
        return {t.untyped_storage().data_ptr(): t.untyped_storage() for t in tensors}

    for address, memory in memories((args, kwargs)).items():
        if address not in graph.before:
            graph.before[address] = memory, memory.clone()
    results = function(*args, **kwargs)
    for address in memories(results):
        graph.before.setdefault(address)  # made by the capture: nothing to take back
    graph.calls.append((partial(function, *args, **kwargs), tree_leaves(results)))
    return results


class _Launch(HostLaunch):
    def address(self, tensor):
        return tensor.numbers.data_ptr()

    def run(self, sizes, values, tensors) -> None:
        _carry_out(super().run, (sizes, values, [_plain(t) for t in tensors]), {})


class _Stream:
    def __init__(self, device=None):
        pass

    def wait_stream(self, other) -> None:
        pass

    def is_capturing(self) -> bool:
        return Graph.captured is not None


_streams = [_Stream()]  # the default one, and those that were entered


@contextmanager
def _entered(stream: _Stream):
    _streams.append(stream)
    try:
        yield
    finally:
        _streams.pop()


def install() -> None:
    """From here on this process has a GPU."""
    for module in (launch, heatbath, spectrum):
        module.Launch = _Launch
    words = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "_lazy_init": lambda: None,
        "get_device_properties": lambda device=None: PROPERTIES,
        "mem_get_info": lambda device=None: (2**36, 2**36),
        "get_rng_state": lambda device=None: torch.zeros(16, dtype=torch.uint8),
        "set_rng_state": lambda state, device=None: None,
        "is_bf16_supported": lambda including_emulation=True: True,
        "current_stream": lambda device=None: _streams[-1],
        "stream": _entered,
        "Stream": _Stream,
        "CUDAGraph": Graph,
    }
    for name, value in words.items():
        setattr(torch.cuda, name, value)
    # Optimisers ask there whether they are captured.
    torch.accelerator.current_accelerator = lambda check_available=False: torch.device("cuda")
    torch.accelerator.current_stream = torch.cuda.current_stream
    torch.tensor, torch.as_tensor = _making(torch.tensor, True), _making(torch.as_tensor, False)
    torch.Tensor.to = _sent
    torch.Tensor.cpu = partialmethod(_sent, "cpu")
    torch.Tensor.cuda = partialmethod(_sent, "cuda")
    Optimizer._group_tensors_by_device_and_dtype = staticmethod(_grouped)
    _Everywhere().__enter__()
