"""What the kernels reach, as ratios within one run: `make bench`, or `python -m spinlib.bench`.

Each benchmark is a function that yields rows. A ratio pairs two ways of doing the same work, taken
in turn (A B A B …) so that a machine that slows down slows both; the median over the pairs is kept.
Rows go to figures/bench.json; with --only, the other rows there stay.
"""

import argparse
import fnmatch
import json
import math
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from spinlib import latent, regression, scales, symmetry, textures, windowed
from spinlib.anneal import anneal, coupling_table, linear
from spinlib.bench_references import spirit_sweeps, torques
from spinlib.cutting import Cuts
from spinlib.dipolar import demagnetisation, point_dipoles
from spinlib.files import wait_for_lock, write_whole
from spinlib.film import Film, thermal_energy
from spinlib.hamiltonian import Hamiltonian
from spinlib.kernels import heat_bath, random_uniform, resolve_device
from spinlib.kernels.llg import set_columns
from spinlib.kernels.loader import SCALAR_FLAGS, VECTOR_FLAGS
from spinlib.llg import FilmSystem
from spinlib.microscope import Microscope
from spinlib.networks.evae import EVAE, EVAELosses, plain_decode, plain_encode, translated
from spinlib.networks.resnet import NETWORKS
from spinlib.networks.scale_cnn import ScaleCNN
from spinlib.networks.windowed_cnn import WindowedCNN
from spinlib.notebooks import ROOT
from spinlib.recipes import SkyrmionStates
from spinlib.study import device_name
from spinlib.training import fit, keep_memory
from spinlib.widgets import reading, render

BENCHMARKS: dict[str, Callable[[torch.device], Iterator["Row"]]] = {}


@dataclass(frozen=True)
class Row:
    """One number, and what it is held against."""

    name: str
    value: float
    unit: str
    threads: int
    reference: str = ""
    reference_value: float | None = None
    ratio: float | None = None


def benchmark(function: Callable) -> Callable:
    """Register a benchmark under its function's name."""
    BENCHMARKS[function.__name__] = function
    return function


@contextmanager
def threads(count: int):
    """Use so many CPU threads inside the block."""
    previous = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(previous)


def seconds(*works: Callable[[], None], device: torch.device, rounds: int = 7) -> list[list[float]]:
    """Times of each work, taken in turn after one unmeasured round; one list per work."""
    times: list[list[float]] = [[] for _ in works]
    for number in range(rounds + 1):
        for work, taken in zip(works, times, strict=True):
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            start = time.perf_counter()
            work()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if number:
                taken.append(time.perf_counter() - start)
    return times


def compare(
    name: str,
    amount: float,
    unit: str,
    work: Callable[[], None],
    reference: str,
    other: Callable[[], None],
    device: torch.device,
    count: int = 1,
) -> Row:
    """`amount` of work per second by `work`, against `other` in the same run."""
    ours, theirs = seconds(work, other, device=device)
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    return Row(
        *(name, amount / statistics.median(ours), unit, count),
        *(reference, amount / statistics.median(theirs), ratio),
    )


def measure(
    name: str, amount: float, unit: str, work: Callable[[], None], device: torch.device, count: int
) -> Row:
    """`amount` of work per second."""
    (times,) = seconds(work, device=device)
    return Row(name, amount / statistics.median(times), unit, count)


def on(count: int, work: Callable[[], None]) -> Callable[[], None]:
    """The same work with so many threads, for two counts to be compared in turn."""

    def limited() -> None:
        with threads(count):
            work()

    return limited


def _on(count: int, device: torch.device) -> str:
    """The end of a row's name that says on how many threads."""
    return "" if device.type == "cuda" else f", {count} thread{'s'[: count - 1]}"


def _skyrmion_sweeps(size: int, replicas: int, sweeps: int, device: torch.device, **options):
    """A closure that sweeps study 4's Hamiltonian at half its ordering temperature."""
    hamiltonian = Hamiltonian(dmi=0.3, zeeman=0.05)
    spins = textures.random((size, size), states=range(replicas), device=device)
    table, _ = coupling_table(hamiltonian, spins)
    schedule = torch.full((replicas, sweeps), 0.4, device=device)
    return lambda: heat_bath(spins, table, schedule, seed=1, states=range(replicas), **options)


@benchmark
def heat_bath_updates(device: torch.device) -> Iterator[Row]:
    """Updates per second with exchange, DMI and field: one core and two, or a GPU's two drivers."""
    for size in (128, 100):
        if device.type == "cuda":
            replicas, sweeps = 1056, 400  # eight lattices per multiprocessor of an H200
            block, grid = (
                _skyrmion_sweeps(size, replicas, sweeps, device, driver=driver)
                for driver in ("block", "grid")
            )
            amount = size * size * replicas * sweeps
            name = f"heat bath, {size}×{size}, lattice in shared memory"
            yield compare(name, amount, "updates/s", block, "grid driver", grid, device)
            continue
        sweeps = 100
        fast = _skyrmion_sweeps(size, 1, sweeps, device, flags=VECTOR_FLAGS)
        plain = _skyrmion_sweeps(size, 1, sweeps, device, flags=SCALAR_FLAGS)
        amount = size * size * sweeps
        name = f"heat bath, {size}×{size}, one core"
        with threads(1):
            yield compare(name, amount, "updates/s", fast, "scalar build", plain, device)
        pair = _skyrmion_sweeps(size, 2, sweeps, device)
        name = f"heat bath, {size}×{size}, two replicas on two cores"
        two, one = on(2, pair), on(1, pair)
        yield compare(name, 2 * amount, "updates/s", two, "one core", one, device, 2)


@benchmark
def heat_bath_beside_spirit(device: torch.device) -> Iterator[Row]:
    """Updates per second beside Spirit's Monte Carlo on one core, if its wheel is installed."""
    theirs = None if device.type == "cuda" else spirit_sweeps(128, 5)
    if theirs is not None:
        # A twentieth of the sweeps for the slower one; its times are scaled accordingly.
        with threads(1):
            ours = _skyrmion_sweeps(128, 1, 100, device)
            mine, others = seconds(ours, theirs, device=device)
        ratio = statistics.median(20 * b / a for a, b in zip(mine, others, strict=True))
        values = [128 * 128 * n / statistics.median(t) for n, t in ((100, mine), (5, others))]
        name = "heat bath, 128×128, one core, beside Spirit"
        yield Row(name, values[0], "updates/s", 1, "Spirit 2.2, Metropolis", values[1], ratio)


@benchmark
def annealed_states(device: torch.device) -> Iterator[Row]:
    """Annealed states per second for films and schedules like those of studies 4, 2, 3 and 1."""
    dipolar = torch.tensor(0.09)
    domains = Hamiltonian(dmi=0.1, anisotropy=2 * math.pi * 1.1 * dipolar, dipolar=dipolar)
    film = Film(10e-12, 450e3, anisotropy=0.4e6, thickness=4e-9).hamiltonian()
    cooled, hot = linear(1, 0, 1650), 2.0 * film.exchange
    iron = Film(8.78e-12, 384e3, dmi=1.58e-3, boundary="open").hamiltonian(0.18)
    cold = float(thermal_energy(300.0))
    thermal = torch.cat((linear(iron.exchange, cold, 800), torch.full((200,), cold)))
    for name, hamiltonian, size, schedule, every, count in (
        ("study 4, 64×64, 600 sweeps", SkyrmionStates().hamiltonian, 64, linear(1, 0, 600), 1, 60),
        *(
            (f"study 2, 100×100, 1650 sweeps, dipoles every {n}", domains, 100, cooled, every, 16)
            for n, every in (("sweep", 1), ("2nd", 2))
        ),
        ("study 3, 256×256, 1500 sweeps, dipoles every 2nd", film, 256, linear(hot, 0, 1500), 2, 2),
        ("study 1, 128×128 at 300 K, 1000 sweeps, dipoles every 8th", iron, 128, thermal, 8, 16),
    ):
        for cores in (1,) if device.type == "cuda" else (1, 2):
            states = range(count * (64 if device.type == "cuda" else 1))
            work = partial(anneal, hamiltonian, (size, size), schedule, states=states)
            with threads(cores):
                (times,) = seconds(
                    partial(work, dipole_every=every, device=device), device=device, rounds=2
                )
            rate = len(states) / statistics.median(times)
            yield Row(f"annealing, {name}{_on(cores, device)}", rate, "states/s", cores)


@benchmark
def right_hand_side(device: torch.device) -> Iterator[Row]:
    """Cells per second of the LLG right-hand side, with demagnetisation; beside other programs."""
    for size, boundary in product((128, 512), ("open", "periodic")):
        batch = 32 if device.type == "cuda" else 1
        spins = textures.random((size, size), states=range(batch), device=device)
        film = Film(8.78e-12, 384e3, dmi=1.58e-3, boundary=boundary)
        system = FilmSystem(spins, film, 0.1, None, True)
        set_columns(system.table, precession=1.0, damping=0.1)
        ours = partial(system.torque, spins, torch.empty_like(spins))
        amount = batch * size * size
        for count in (1,) if device.type == "cuda" else (1, 2):
            name = f"LLG right-hand side, {size}×{size} {boundary}{_on(count, device)}"
            work = (amount, "cells/s", ours)
            with threads(count):
                yield measure(name, *work, device, count)
                if boundary == "open" and device.type == "cpu":
                    for other, theirs in torques(spins[0], film, 0.1, 0.1, count).items():
                        beside = f"{name}, beside {other.partition(' ')[0]}"
                        yield compare(beside, *work, other, theirs, device, count)


@benchmark
def dipole_field(device: torch.device) -> Iterator[Row]:
    """Fields by FFT, point dipoles (study 2) and open demagnetisation (study 1), beside torch's."""
    for size, batch, boundary in ((100, 20, "periodic"), (256, 8, "periodic"), (512, 4, "open")):
        if boundary == "periodic":
            kernel = point_dipoles(size, size)
        else:
            kernel = demagnetisation(size, size, boundary, cell=4e-9, thickness=1e-9)
        spins = textures.random((size, size), states=range(batch), device=device)
        name = f"dipole field, {size}×{size} {boundary}, batch of {batch}"
        amount = batch * size * size
        own, plain = partial(kernel.field, spins), partial(kernel.field_by_torch, spins)
        if device.type == "cuda":
            yield measure(name, amount, "sites/s", own, device, 1)
            continue
        for count in (1, 2):
            label = f"{name}{_on(count, device)}"
            with threads(count):
                yield compare(label, amount, "sites/s", own, "torch's FFT", plain, device, count)


@benchmark
def microscope_pictures(device: torch.device) -> Iterator[Row]:
    """Pictures of 512×512 cells through blur, resampling to 128×128 and noise."""
    spins = textures.random((512, 512), states=range(20), device=device)
    see = Microscope("colour", shape=(128, 128), blur=2.0, noise=0.3)
    count = torch.get_num_threads()
    yield measure(
        *("microscope, 512×512 to 128×128 with blur and noise", len(spins), "pictures/s"),
        *(lambda: see(spins), device, count),
    )


@benchmark
def explorer_redraw(device: torch.device) -> Iterator[Row]:
    """One move of a slider: decode 128×128 spins, read their energy, draw the PNG."""
    hamiltonian = SkyrmionStates().hamiltonian
    network = EVAE(128).to(device)
    code = torch.zeros(1, network.latent, device=device)

    def redraw() -> None:
        spins = latent.decode(network, code).cpu()
        reading(spins, hamiltonian)
        render(spins, hamiltonian)

    with threads(1):
        (times,) = seconds(redraw, device=device)
    yield Row(
        "explorer, decode and redraw 128×128, one thread", statistics.median(times) * 1e3, "ms", 1
    )


def _pictures_per_second(device: torch.device) -> float:
    """Training throughput of study 3's network, after a warm-up: batches of 128 in one epoch."""
    count = 128 * (5 if device.type == "cpu" else 100)  # a GPU is quick
    pictures = random_uniform((1, 128, 128), seed=0, states=range(count), purpose="bench")
    cuts = Cuts(2 * pictures - 1, torch.full((count,), 1000.0), torch.arange(count))
    few = Cuts(*(entry[:128] for entry in cuts))
    network = ScaleCNN(128)
    settings = {"seed": 0, "batch_size": 128, "device": device}
    scales.train(network, few, few, torch.zeros(count), looks=128, **settings)
    start = time.perf_counter()
    scales.train(network, cuts, few, torch.zeros(count), looks=count, **settings)
    return count / (time.perf_counter() - start)


@benchmark
def memory_in_training(device: torch.device) -> Iterator[Row]:
    """Training on the host, where steps keep their memory and where glibc returns it."""
    if device.type == "cuda":
        return
    # The highest that glibc sets by itself.
    returned = partial(keep_memory, 2**25, 2**26)

    def train() -> None:
        _pictures_per_second(device)

    def returning() -> None:
        with patch("spinlib.training.keep_memory", returned):
            train()

    yield compare(
        *("training, six-block network of study 3, one core", 768, "pictures/s", on(1, train)),
        *("memory returned to the system", on(1, returning), device),
    )


class _LayerByLayer(EVAE):
    encode, decode = plain_encode, plain_decode


def _evae_training(count: int, device: torch.device, kind: type[EVAE] = EVAE) -> Callable:
    """A training of study 4's network in batches of 100 states of 128×128, for so many epochs."""
    states = textures.random((128, 128), states=range(count + 200), device=device).half()
    losses = EVAELosses(SkyrmionStates().hamiltonian, 1e-3, 100.0)
    sets = (states[:count],), (states[count : count + count // 20],)
    shared = {"seed": 0, "augment": translated, "device": device}
    return lambda epochs: fit(kind(128), losses, *sets, epochs=epochs, **shared)


@benchmark
def fused_layers(device: torch.device) -> Iterator[Row]:
    """Training of study 4's network on the host, beside the same written layer by layer."""
    if device.type == "cuda":
        return
    ours, plain = (on(1, partial(_evae_training(200, device, k), 1)) for k in (EVAE, _LayerByLayer))
    name = "training, E-VAE of study 4, 128×128, one core"
    row = compare(
        *(f"{name}, beside torch", 200, "states/s", ours, "torch, layer by layer", plain, device)
    )
    yield from (Row(name, row.value, row.unit, 1), row)


@benchmark
def training(device: torch.device) -> Iterator[Row]:
    """Training throughput of study 3's network, and on a GPU of all others at full size."""
    cores = torch.get_num_threads()
    rate = _pictures_per_second(device)
    yield Row("training, six-block network of study 3", rate, "pictures/s", cores)
    if device.type != "cuda":
        return

    def rate_of(train: Callable[[int], object], samples: int) -> float:
        """Samples per second over four epochs, one in single precision, by a difference."""
        (short, long) = seconds(partial(train, 4), partial(train, 8), device=device, rounds=1)
        return 4 * samples / (long[0] - short[0])

    films = textures.random((100, 100), states=range(8200), device=device).half()
    targets = torch.rand((len(films), 3), device=device)
    parts = np.arange(8000), np.arange(8000, 8200)
    for name, make in NETWORKS.items():

        def train_films(epochs: int, make: Callable = make) -> None:
            regression.train(
                *(make(64), films, targets, parts),
                noisy=True,
                group=symmetry.OPERATIONS,
                epochs=epochs,
                seed=0,
                device=device,
                batch_size=200,
            )

        rate = rate_of(train_films, 8000)
        yield Row(f"training, {name} of study 2, 100×100, batch of 200", rate, "pictures/s", cores)

    rate = rate_of(_evae_training(4000, device), 4000)
    yield Row("training, E-VAE of study 4, 128×128, batch of 100", rate, "states/s", cores)
    pictures = torch.rand((40, 3, 512, 512), device=device), torch.rand((40, 3), device=device)

    def train_windows(epochs: int) -> None:
        few = tuple(each[:1] for each in pictures)
        windowed.train_windows(
            *(WindowedCNN(batch_norm=True), pictures, few),
            step=8,
            epochs=epochs,
            seed=0,
            batch_size=512,
            device=device,
        )

    count = len(windowed.Windows(pictures[0], 32, 8))
    yield Row(
        *("training, windowed CNN of study 1, batch of 512", rate_of(train_windows, count)),
        *("windows/s", cores),
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m spinlib.bench", description=__doc__)
    parser.add_argument("--only", default="*", help="benchmarks whose name matches, as *llg*")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    options = parser.parse_args(arguments)
    pattern = options.only if "*" in options.only else f"*{options.only}*"
    chosen = fnmatch.filter(BENCHMARKS, pattern)
    try:
        device = resolve_device(options.device)
        if not chosen:
            known = ", ".join(BENCHMARKS)
            raise ValueError(f"No benchmark matches {options.only!r}; there are {known}.")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    machine = {"device": device_name(device), "machine": platform.machine()}
    for name in chosen:
        found = []
        for row in BENCHMARKS[name](device):
            against = f"   {row.ratio:.2f} × {row.reference}" if row.ratio else ""
            print(f"{row.name:52s} {row.value:10.4g} {row.unit}{against}", flush=True)
            found.append(asdict(row) | machine)
        _keep(found, ROOT / "figures" / "bench.json")
    return 0


def _keep(found: list[dict], path: Path) -> None:
    """Put rows in the place of those of the same name and device; others may do so, too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(".bench.lock").open("ab") as lock:
        wait_for_lock(lock, str(path))
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        rows = {(row["name"], row["device"]): row for row in [*kept, *found]}
        text = json.dumps(list(rows.values()), indent=1, ensure_ascii=False) + "\n"
        write_whole(path, text.encode())


if __name__ == "__main__":
    sys.exit(main())
