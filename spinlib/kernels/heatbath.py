"""Heat-bath sweeps of a batch of lattices, each with its own couplings (see `heatbath.cu`)."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from spinlib.kernels.launch import Launch, call_host, check_arrays, stride
from spinlib.kernels.loader import VECTOR_FLAGS
from spinlib.kernels.random import check_seed, round_keys, state_indices, stream_of
from spinlib.kernels.spectrum import GpuConvolution, GpuKernel, HostKernel, ThermalNoise

# Columns of the coupling table: the struct `Couplings` of spin.cuh.
COUPLINGS = (
    "exchange",
    "dmi_interfacial",
    "dmi_bulk",
    "anisotropy",
    "field_x",
    "field_y",
    "field_z",
)

# Sweeps that one call makes, about; bounds how long an interrupt waits, nothing else.
_SWEEPS_AT_ONCE = 100


def heat_bath(
    spins: torch.Tensor,
    couplings: torch.Tensor,
    temperatures: torch.Tensor,
    *,
    seed: int,
    states: Sequence[int] | torch.Tensor,
    first_sweep: int = 0,
    field: torch.Tensor | None = None,
    anisotropy: torch.Tensor | None = None,
    periodic: bool = True,
    driver: str = "auto",
    flags: tuple[str, ...] = VECTOR_FLAGS,
) -> None:
    """Sweep `spins` (batch, 3, height, width) in place, once per column of `temperatures`.

    couplings      (batch, 7), columns as in COUPLINGS, energies in the unit of the temperatures
    temperatures   (batch, sweeps)
    states         one index per lattice: which random stream it draws from
    first_sweep    number of the first sweep in that stream
    field          optional extra field, (batch or 1, 3, height, width)
    anisotropy     optional extra anisotropy, (batch or 1, height, width)
    driver         on a GPU: "block" keeps each lattice in one multiprocessor's shared memory,
                   "grid" takes any size, "auto" uses the first where it fits
    """
    batch, _, height, width = spins.shape
    _check(spins, couplings, temperatures, field, anisotropy, periodic)
    replicas = _replicas(couplings, states, spins.device)
    temperatures = temperatures.to(spins.device, torch.float32)
    field, anisotropy = _map(field, spins), _map(anisotropy, spins)
    anisotropic = anisotropy is not None or _anisotropic(couplings)
    if spins.is_cuda:
        gpu = _GpuSweeps(
            *(spins, replicas, anisotropy, stride(field), periodic, anisotropic),
            *(round_keys(seed), driver),
        )
    for some in _in_pieces(temperatures, _SWEEPS_AT_ONCE):
        if spins.is_cuda:
            gpu(some, field, first_sweep)
        else:
            arguments = [
                *(spins, replicas, field, stride(field), anisotropy, stride(anisotropy)),
                *(np.int32(height), np.int32(width), np.int32(periodic), np.int32(anisotropic)),
                *(some, np.int32(some.shape[1]), np.uint32(first_sweep), check_seed(seed)),
                *(np.int32(batch), np.int32(torch.get_num_threads())),
            ]
            call_host("heatbath.cu", "heat_bath_host", arguments, flags)
        first_sweep += some.shape[1]


class _GpuSweeps:
    """Sweeps of a batch on a GPU, made ready for many calls: nothing waits, nothing is copied."""

    def __init__(
        self,
        spins: torch.Tensor,
        replicas: torch.Tensor,
        anisotropy: torch.Tensor | None,
        field_stride: np.int64,
        periodic: bool,
        anisotropic: bool,
        keys: np.ndarray,
        driver: str = "auto",
    ) -> None:
        batch, _, height, width = spins.shape
        device = spins.device
        half = (width + 1) // 2
        shared = 2 * 3 * height * half * 4
        self._whole = driver != "grid"
        if self._whole:
            room = torch.cuda.get_device_properties(device).shared_memory_per_block_optin
            fits = shared <= room and half <= 512
            if driver == "block" and not fits:
                raise ValueError(
                    f"A lattice of {height}×{width} sites does not fit into the shared memory of "
                    'one multiprocessor: take driver "grid" or "auto".'
                )
            self._whole = fits
        function = "heat_bath_block" if self._whole else "heat_bath_colour"
        arguments = {
            "spins": spins,
            "replicas": replicas,
            "field": None,
            "field_stride": field_stride,
            "anisotropy": anisotropy,
            "anisotropy_stride": stride(anisotropy),
            "height": np.int32(height),
            "width": np.int32(width),
            "periodic": np.int32(periodic),
            "anisotropic": np.int32(anisotropic),
            "temperatures": None,
            "sweeps": None,
            "first_sweep": None,
            **({} if self._whole else {"sweep": None, "colour": None}),
            "keys": keys,
        }
        grid, block = (math.ceil(half * height / 256), batch), (256,)
        if self._whole:
            # An even number of rows of threads, as the kernel has it.
            grid, block = (batch,), (half, min(height + height % 2, 1024 // half // 2 * 2))
        shared = shared if self._whole else 0
        self._launch = Launch("heatbath.cu", function, grid, block, arguments, device, shared)

    def __call__(
        self, temperatures: torch.Tensor, field: torch.Tensor | None, first_sweep: int
    ) -> None:
        """One sweep per column of the contiguous (batch, sweeps) `temperatures`."""
        sweeps = temperatures.shape[1]
        common = {"temperatures": temperatures, "sweeps": np.int32(sweeps), "field": field}
        common["first_sweep"] = np.uint32(first_sweep)
        if self._whole:
            self._launch(**common)
            return
        for sweep in range(sweeps):
            for colour in (0, 1):
                self._launch(**common, sweep=np.int32(sweep), colour=np.int32(colour))


def heat_bath_with_dipoles(
    spins: torch.Tensor,
    couplings: torch.Tensor,
    temperatures: torch.Tensor,
    strengths: torch.Tensor,
    kernel: HostKernel | GpuKernel,
    root: HostKernel | GpuKernel,
    *,
    every: int,
    purpose: str,
    seed: int,
    states: Sequence[int] | torch.Tensor,
    first_sweep: int = 0,
    anisotropy: torch.Tensor | None = None,
    periodic: bool = True,
) -> None:
    """`heat_bath`, before every `every`-th sweep a field of dipoles drawn anew.

    That is h = d K S + √(d T) R ξ with the strengths d (batch,), K and its root R, and
    white noise ξ of a named `purpose`, the next sweep's number being its draw.
    """
    batch, _, height, width = spins.shape
    _check(spins, couplings, temperatures, None, anisotropy, periodic)
    replicas = _replicas(couplings, states, spins.device)
    strengths = strengths.to(torch.float32).contiguous()
    temperatures = temperatures.to(torch.float32).contiguous()
    anisotropy = _map(anisotropy, spins)
    if spins.is_cuda:
        indices, stream = state_indices(states, spins.device), stream_of(purpose)
        noise = ThermalNoise(root, strengths, temperatures, indices, stream, check_seed(seed))
        dipoles = GpuConvolution(spins, kernel, noise)
        anisotropic = anisotropy is not None or _anisotropic(couplings)
        gpu = _GpuSweeps(
            *(spins, replicas, anisotropy, stride(spins)),
            *(periodic, anisotropic, round_keys(seed)),
        )
        for number, some in enumerate(_in_pieces(temperatures, every)):
            first = number * every
            gpu(some, dipoles(spins, first, first_sweep + first), first_sweep + first)
        return
    if not batch:
        return
    for some in _in_pieces(temperatures, every * max(1, _SWEEPS_AT_ONCE // every)):
        arguments = [
            *(spins, replicas, strengths, kernel.table, root.table),
            *(np.int32(kernel.rows), np.int32(kernel.columns), np.int32(every), stream_of(purpose)),
            *(anisotropy, stride(anisotropy)),
            *(np.int32(height), np.int32(width), np.int32(periodic)),
            *(some, np.int32(some.shape[1]), np.uint32(first_sweep), check_seed(seed)),
            *(np.int32(batch), np.int32(torch.get_num_threads())),
        ]
        call_host("heatbath.cu", "heat_bath_dipolar_host", arguments)
        first_sweep += some.shape[1]


def _in_pieces(temperatures: torch.Tensor, every: int) -> list[torch.Tensor]:
    """(batch, sweeps) as contiguous pieces of `every` columns, the last of what is left."""
    whole = temperatures.shape[1] // every
    pieces = temperatures[:, : whole * every].unflatten(1, (whole, every)).transpose(0, 1)
    rest = temperatures[:, whole * every :].contiguous()
    return [*pieces.contiguous(), *([rest] if rest.shape[1] else [])]


def _replicas(couplings, states, device: torch.device) -> torch.Tensor:
    """The table of the struct `Replica`: couplings, and the state's index as an integer."""
    count = len(COUPLINGS)
    table = torch.empty((len(couplings), count + 1), dtype=torch.float32, device=device)
    table[:, :count] = couplings
    table.view(torch.int32)[:, count] = state_indices(states, device).view(torch.int32)
    return table


def _anisotropic(couplings: torch.Tensor) -> bool:
    return bool((couplings[:, COUPLINGS.index("anisotropy")] != 0).any())


def _map(values: torch.Tensor | None, spins: torch.Tensor) -> torch.Tensor | None:
    return None if values is None else values.to(spins.device, torch.float32).contiguous()


def _check(spins, couplings, temperatures, field, anisotropy, periodic) -> None:
    batch, _, height, width = spins.shape
    check_arrays(
        spins,
        couplings=(couplings, [(batch, len(COUPLINGS))]),
        temperatures=(temperatures, [(batch, temperatures.shape[-1])]),
        field=(field, [(n, 3, height, width) for n in (1, batch)]),
        anisotropy=(anisotropy, [(n, height, width) for n in (1, batch)]),
    )
    if periodic and (height % 2 or width % 2):
        raise ValueError(
            f"A periodic lattice of {height}×{width} sites cannot be coloured like a checkerboard: "
            "choose an even height and width, or open edges."
        )
    if not torch.isfinite(temperatures).all() or (temperatures < 0).any():
        raise ValueError("Temperatures are finite and not negative.")
