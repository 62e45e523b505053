"""Annealing: schedules, equilibrium with dipoles against plain Metropolis, quenches, refusals."""

import math
import re
import warnings
from functools import lru_cache, partial

import numpy as np
import pytest
import torch
from conftest import NEEDS_GPU
from gpu_on_host import PROPERTIES, HostLaunch

from spinlib import llg, textures
from spinlib.anneal import (
    _PURPOSE,
    _dipole_field,
    anneal,
    coupling_table,
    linear,
    quench,
    random_rate,
    sweep,
)
from spinlib.dipolar import DipoleKernel, demagnetisation, point_dipoles
from spinlib.film import Film, thermal_energy
from spinlib.hamiltonian import Hamiltonian
from spinlib.hysteresis import hysteresis
from spinlib.kernels import heat_bath, spectrum
from spinlib.kernels.heatbath import _GpuSweeps, _replicas
from spinlib.kernels.launch import stride
from spinlib.kernels.random import round_keys, state_indices, stream_of
from spinlib.microscope import Microscope
from spinlib.relaxation import relax

CHIRAL = Hamiltonian(exchange=1.0, dmi=0.3, zeeman=0.05)
DIPOLAR = Hamiltonian(exchange=1.0, dmi=0.1, anisotropy=0.6, dipolar=0.1)


# --- schedules -----------------------------------------------------------------------------------


def test_schedules():
    torch.testing.assert_close(linear(1.0, 0.0, 5), torch.tensor([1.0, 0.75, 0.5, 0.25, 0.0]))


@pytest.mark.parametrize(
    ("hot", "cold", "sweeps", "sentence"),
    [
        (1.0, 0.0, math.nan, "whole number of sweeps, at least one, not nan."),
        (1.0, 0.0, math.inf, "whole number of sweeps, at least one, not inf."),
        (1.0, 0.0, 2.5, "whole number of sweeps, at least one, not 2.5."),
        (1.0, 0.0, 0, "whole number of sweeps, at least one, not 0."),
        (math.nan, 0.0, 5, "Temperatures are numbers from 0 to 1e+30, not nan and 0.0."),
        (1.0, math.inf, 5, "Temperatures are numbers from 0 to 1e+30, not 1.0 and inf."),
        (1e39, 0.0, 5, "Temperatures are numbers from 0 to 1e+30, not 1e+39 and 0.0."),
        (1.0, -0.5, 5, "Temperatures are numbers from 0 to 1e+30, not 1.0 and -0.5."),
        ("1", 0.0, 5, "Temperatures are numbers from 0 to 1e+30, not '1' and 0.0."),
    ],
)
def test_what_makes_no_schedule_is_refused(hot, cold, sweeps, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        linear(hot, cold, sweeps)
    with pytest.raises(ValueError, match=r"at least one, not inf\."):
        random_rate(1.0, 100, math.inf, seed=1, states=[0])
    with pytest.raises(ValueError, match=r"to the slowest's 100 sweeps, not 101\."):
        random_rate(1.0, 100, 101, seed=1, states=[0])


def test_a_lattice_may_be_as_hot_as_one_likes():
    for hamiltonian in (Hamiltonian(anisotropy=0.5), Hamiltonian(dipolar=0.1)):
        spins = anneal(hamiltonian, (8, 8), torch.full((3,), 3e38))
        assert (spins.norm(dim=1) - 1).abs().max() < 1e-6


def test_random_rates():
    slowest, fastest = 400, 50
    schedules = random_rate(1.5, slowest, fastest, seed=2, states=range(2000))
    assert schedules.shape == (2000, slowest)
    assert (schedules[:, 0] == 1.5).all() and (schedules >= 0).all()
    assert (schedules.diff(dim=1) <= 0).all()
    length = 1.5 / (schedules[:, 0] - schedules[:, 1]).double()
    assert length.min() > fastest * 0.999 and length.max() < slowest * 1.001
    # Uniform in the logarithm: its mean over 2000 draws of standard deviation ln(8)/√12.
    middle = math.log(slowest * fastest) / 2
    error = math.log(slowest / fastest) / math.sqrt(12 * 2000)
    assert abs(length.log().mean().item() - middle) < 4 * error
    some = random_rate(1.5, slowest, fastest, seed=2, states=[7, 3])
    assert torch.equal(some, schedules[[7, 3]])


# --- a state is the same whatever it is annealed beside ----------------------------------------


@pytest.mark.parametrize("hamiltonian", [CHIRAL, DIPOLAR], ids=["chiral", "dipolar"])
def test_each_state_draws_numbers_of_its_own(hamiltonian, device):
    start = textures.uniform((64, 64)).expand(2, -1, -1, -1)
    hot = torch.full((3,), 1e6)
    one, other = anneal(
        hamiltonian, (64, 64), hot, seed=5, states=[0, 1], start=start, device=device
    )
    # Directions at random: their products are uniform from -1 to 1, of variance 1/3.
    products = (one * other).sum(0).double()
    assert abs(products.mean().item()) < 5 * math.sqrt(1 / 3 / products.numel())


@pytest.mark.parametrize("hamiltonian", [CHIRAL, DIPOLAR], ids=["chiral", "dipolar"])
@pytest.mark.parametrize("size", [(16, 16), (100, 100)])
def test_a_state_does_not_depend_on_its_batch(hamiltonian, size, device):
    schedule = linear(1.0, 0.0, 12)
    options = {"seed": 5, "device": device}
    together = anneal(hamiltonian, size, schedule, states=range(9), **options)
    assert together.device.type == device.type
    for states in ([3], [8, 0, 4]):
        alone = anneal(hamiltonian, size, schedule, states=states, **options)
        if device.type == "cpu" or hamiltonian is CHIRAL:
            assert torch.equal(alone, together[states])
        else:  # the last bit of an FFT may depend on the batch, and some spins tell it on
            assert (alone - together[states]).abs().median() < 1e-5


def test_no_states_are_no_work(device):
    assert anneal(DIPOLAR, (16, 16), linear(1.0, 0.0, 2), states=[], device=device).shape[0] == 0


def test_a_state_does_not_depend_on_the_threads():
    before = torch.get_num_threads()
    states = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            states.append(anneal(DIPOLAR, (100, 100), linear(1.0, 0.0, 6), states=range(13)))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(states[0], states[1]) and torch.equal(states[0], states[2])


def swept(size, boundary, device="cpu"):
    """Two lattices of different dipoles after three sweeps."""
    hamiltonian = Hamiltonian(
        torch.tensor([1.0, 0.7]),
        0.1,
        anisotropy=0.6,
        dipolar=torch.tensor([0.1, 0.05]),
        boundary=boundary,
    )
    options = {"states": (4, 1), "seed": 3, "dipole_every": 2, "device": device}
    return anneal(hamiltonian, size, linear(1.0, 0.5, 3), **options).cpu()


@pytest.mark.parametrize("boundary", ["periodic", "open"])
@pytest.mark.parametrize("size", [(16, 24), (100, 50), (256, 320)])
def test_the_hosts_dipole_field_is_torchs(boundary, size, monkeypatch):
    """The host's own transforms and noise, and those that a GPU uses, make the same sweeps."""
    own = swept(size, boundary)
    monkeypatch.setattr(DipoleKernel, "host", property(lambda kernel: None))
    other = swept(size, boundary)
    difference = (own - other).abs()
    # Rounding, which three sweeps do not blow up yet, but for the few spins of which it decides
    # whether a move is accepted.
    assert difference.mean() < 1e-5 and difference.quantile(0.999) < 1e-4


# Even and odd, one line and several, rows and columns that are their own mirror images or not.
@pytest.mark.parametrize("boundary", ["periodic", "open"])
@pytest.mark.parametrize("size", [(2, 2), (1, 5), (5, 1), (15, 9), (9, 16), (10, 14), (32, 48)])
@pytest.mark.parametrize("work", [2**30, 1], ids=["at once", "one by one"])
@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NEEDS_GPU])]
)
def test_the_gpu_draws_the_hosts_dipole_field(size, boundary, work, device, monkeypatch):
    """The same noise, from half of the wavenumbers along x in place of half of those along y."""
    device = torch.device(device)
    monkeypatch.setattr(spectrum, "_WORK_BYTES", work)
    if device.type == "cpu":
        monkeypatch.setattr(spectrum, "Launch", HostLaunch)
    build = {
        "periodic": point_dipoles,
        "open": partial(demagnetisation, boundary="open", cell=4.0, thickness=1.0),
    }
    kernel, _ = build[boundary](*size).positive
    states, spins = [7, 3, 0, 2**32 - 1], textures.random(size, states=range(4))
    strengths = torch.tensor([0.1, 0.05, 0.0, 0.2])
    temperatures = torch.tensor([[0.9, 0.5], [0.1, 0.2], [0.5, 0.5], [0.4, 0.0]])
    noise = spectrum.ThermalNoise(
        kernel.root.on_gpu(device),
        strengths.to(device),
        temperatures.to(device),
        state_indices(states, device),
        stream_of(_PURPOSE),
        np.uint64(5),
    )
    convolution = spectrum.GpuConvolution(spins.to(device), kernel.on_gpu(device), noise)
    for column in (1, 0):
        field = convolution(spins.to(device), column, 17 + column).cpu()
        expected = _dipole_field(
            spins, kernel, strengths, temperatures[:, column], 5, states, 17 + column
        )
        assert (expected[2] == 0).all() and (field[2] == 0).all()
        # Rounding; a GPU's logarithm errs by 2^-21, of which Box and Muller take a root if small.
        tolerance = (1e-6 if device.type == "cpu" else 1e-4) * expected.abs().max()
        assert (field - expected).abs().max() < tolerance


@pytest.mark.gpu
@NEEDS_GPU
@pytest.mark.parametrize("boundary", ["periodic", "open"])
@pytest.mark.parametrize(
    "size", [(32, 48), (100, 100), (256, 320)]
)  # the last one colour by colour
def test_sweeps_with_dipoles_on_a_gpu_follow_the_host(boundary, size):
    host, gpu = (swept(size, boundary, device) for device in ("cpu", "cuda"))
    difference = (host - gpu).abs()
    # Rounding and the special-function units, but for the few spins of which that decides whether
    # a move is accepted, and their neighbours.
    assert difference.median() < 1e-5 and difference.flatten()[::7].quantile(0.99) < 1e-2


@pytest.mark.parametrize("boundary, size", [("periodic", (6, 10)), ("open", (7, 5))])
@pytest.mark.parametrize("driver", ["grid", "block"])
def test_the_gpus_sweeps_are_the_hosts(boundary, size, driver, monkeypatch):
    monkeypatch.setattr("spinlib.kernels.heatbath.Launch", HostLaunch)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: PROPERTIES)
    hamiltonian = Hamiltonian(dmi=0.3, zeeman=0.05, boundary=boundary)
    periodic, states = boundary == "periodic", [5, 2]
    host, gpu = (textures.random(size, states=states) for _ in range(2))
    table, _ = coupling_table(hamiltonian, host)
    field = textures.random(size, seed=9, states=states)
    temperatures = torch.tensor([[0.9, 0.5], [0.4, 0.0]])
    options = {"field": field, "periodic": periodic}
    heat_bath(host, table, temperatures, seed=4, states=states, first_sweep=3, **options)
    replicas = _replicas(table, states, gpu.device)
    sweeps = _GpuSweeps(
        *(gpu, replicas, None, stride(field), periodic, False, round_keys(4), driver)
    )
    assert sweeps._launch.name == f"heat_bath_{'block' if driver == 'block' else 'colour'}"
    sweeps(temperatures, field, 3)
    # Rounding, blown up where a spin points along its field.
    assert (host - gpu).abs().max() < 1e-3 and (host - gpu).abs().median() < 1e-6


def test_sizes_that_the_host_does_not_transform():
    """2 · 11 and 2 · 13 sites: torch's transform, and states as independent of their batch."""
    together = anneal(DIPOLAR, (22, 26), linear(1.0, 0.0, 5), states=range(3))
    alone = anneal(DIPOLAR, (22, 26), linear(1.0, 0.0, 5), states=[1])
    assert point_dipoles(22, 26).host is None
    # Elsewhere torch has another library, which rounds the last lines of a batch otherwise.
    rounding = 0 if torch.backends.mkl.is_available() else 1e-4
    torch.testing.assert_close(alone[0], together[1], rtol=0, atol=rounding)


def test_parameters_and_schedules_per_state():
    exchange, dipolar = torch.tensor([1.0, 0.7, 0.4]), torch.tensor([0.1, 0.0, 0.05])
    schedules = torch.stack([linear(hot, 0.0, 10) for hot in (0.5, 1.0, 2.0)])
    together = anneal(
        Hamiltonian(exchange, anisotropy=0.2, dipolar=dipolar), (8, 10), schedules, states=range(3)
    )
    for i in range(3):
        alone = Hamiltonian(exchange[i].item(), anisotropy=0.2, dipolar=dipolar[i].item())
        state = anneal(alone, (8, 10), schedules[i], states=[i])
        # Without dipoles of its own a state may see zeros added in another order, and then
        # rounding grows from sweep to sweep.
        torch.testing.assert_close(state[0], together[i], rtol=0, atol=1e-4)


@pytest.mark.parametrize("hamiltonian", [CHIRAL, DIPOLAR], ids=["chiral", "dipolar"])
def test_sweeps_in_pieces_are_the_sweeps_in_one(hamiltonian):
    whole = textures.random((12, 12), states=range(2))
    pieces = whole.clone()
    # More than go to the kernel at a time, in pieces that begin elsewhere.
    sweep(whole, hamiltonian, torch.full((130,), 0.5), seed=1, states=range(2))
    for first, count in ((0, 40), (40, 90)):
        sweep(
            *(pieces, hamiltonian, torch.full((count,), 0.5)),
            seed=1,
            states=range(2),
            first_sweep=first,
        )
    assert torch.equal(whole, pieces)


def test_the_start_is_kept_and_vacancies_stay_vacant():
    start = textures.random((16, 16), states=range(2))
    start[:, :, 4:6, 7] = 0
    kept = start.clone()
    end = anneal(DIPOLAR, (16, 16), linear(1.0, 0.0, 20), states=range(2), start=start)
    assert torch.equal(start, kept)
    assert (end[:, :, 4:6, 7] == 0).all()
    length = end.norm(dim=1)
    length[:, 4:6, 7] = 1
    torch.testing.assert_close(length, torch.ones_like(length))


# --- dipoles: against sequential Metropolis with explicit pair sums ------------------------------


def pair_couplings(hamiltonian: Hamiltonian, side: int) -> np.ndarray:
    """M, (n, 3, n, 3), with E = -½ S·M·S - K Σ S_z² on a periodic square of n = side² sites.

    Exchange and interfacial DMI bond by bond; dipoles by adding up all images within 40 boxes, and
    2π/R for what lies beyond. Nothing of spinlib is used.
    """
    n, reach = side**2, 40 * side
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    square = x**2 + y**2
    counts = (square > 0) & (square <= reach**2)
    x, y, square = x[counts], y[counts], square[counts].astype(float)
    image = (np.mod(y, side), np.mod(x, side))
    tail = 2 * math.pi / reach / n
    tensors = np.zeros((side, side, 3, 3))
    r = np.stack([x, y, np.zeros_like(x)])
    for a in range(3):
        for b in range(3):
            pair = (3 * r[a] * r[b] - (a == b) * square) / square**2.5
            np.add.at(tensors[:, :, a, b], image, pair)
    tensors += tail * np.diag([0.5, 0.5, -1.0])
    couplings = np.zeros((n, 3, n, 3))
    for i in range(n):
        y, x = divmod(i, side)
        for j in range(n):
            up, right = divmod(j, side)
            couplings[i, :, j] += hamiltonian.dipolar * tensors[(up - y) % side, (right - x) % side]
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            j = (y + dy) % side * side + (x + dx) % side
            couplings[i, :, j] += hamiltonian.exchange * np.eye(3)
            vector = hamiltonian.dmi * np.cross([0, 0, 1], [dx, dy, 0])
            # D·(S × S') = S·(S' × D): a matrix on S' whose columns are ê × D.
            couplings[i, :, j] += np.cross(np.eye(3), vector).T
    return couplings


def metropolis(
    couplings: np.ndarray, anisotropy: float, temperature: float, replicas: int, sweeps: int
) -> torch.Tensor:
    """Sequential single-spin Metropolis in independent replicas; yields spins after each sweep.

    The sites are visited one after another, each with the energies as they are at that moment.
    """
    n = len(couplings)
    generator = torch.Generator().manual_seed(int(1000 * temperature))
    spins = torch.randn(replicas, n, 3, generator=generator)
    spins /= spins.norm(dim=2, keepdim=True)
    matrix = torch.tensor(couplings, dtype=torch.float32)
    own = torch.stack([matrix[i, :, i] for i in range(n)])
    others = [matrix[:, :, i].reshape(3 * n, 3).clone() for i in range(n)]
    for i in range(n):
        others[i][3 * i : 3 * i + 3] = 0

    def on_site(spin, i):
        return -0.5 * ((spin @ own[i]) * spin).sum(1) - anisotropy * spin[:, 2] ** 2

    for number in range(sweeps):
        # In turn any direction, and one near the old: both proposals are symmetric.
        spread = 1e3 if number % 2 else 0.6 * math.sqrt(temperature)
        steps = spread * torch.randn(n, replicas, 3, generator=generator)
        threshold = temperature * torch.rand(n, replicas, generator=generator).log()
        for i in range(n):
            old = spins[:, i].clone()
            new = old + steps[i]
            new /= new.norm(dim=1, keepdim=True)
            field = spins.flatten(1) @ others[i]
            rise = -((new - old) * field).sum(1) + on_site(new, i) - on_site(old, i)
            spins[:, i] = torch.where((-rise > threshold[i])[:, None], new, old)
        yield spins


def observables(spins: torch.Tensor, couplings: np.ndarray, anisotropy: float) -> torch.Tensor:
    """Energy, |m|, |m_z| and structure factors of spins (replicas, n, 3): (replicas, 7)."""
    replicas, n, _ = spins.shape
    side = math.isqrt(n)
    matrix = torch.tensor(couplings, dtype=torch.float32).reshape(3 * n, 3 * n)
    flat = spins.flatten(1)
    energy = -0.5 * ((flat @ matrix) * flat).sum(1) - anisotropy * (spins[..., 2] ** 2).sum(1)
    mean = spins.mean(1)
    power = torch.fft.fft2(spins.reshape(replicas, side, side, 3), dim=(1, 2)).abs() ** 2 / n
    plane, normal = power[..., 0] + power[..., 1], power[..., 2]
    rows = [energy / n, mean.norm(dim=1), mean[:, 2].abs()]
    rows += [normal[:, 0, 1] + normal[:, 1, 0], plane[:, 0, 1] + plane[:, 1, 0]]
    rows += [normal[:, 1, 1], normal[:, 0, 2] + normal[:, 2, 0]]
    return torch.stack(rows, 1)


def mean_and_error(samples: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Replicas are independent, whatever the correlation in time: each gives one number."""
    averages = torch.stack(samples).double().mean(0)
    return averages.mean(0), averages.std(0) / math.sqrt(len(averages))


SIDE, STRENGTH = 6, 0.13  # study 2's strongest dipoles; in a small box all is coupled to all
FILM = Hamiltonian(dmi=0.2, anisotropy=1.1 * 2 * math.pi * STRENGTH, dipolar=STRENGTH)


@lru_cache
def film_couplings() -> np.ndarray:
    return pair_couplings(FILM, SIDE)


def look(spins: torch.Tensor) -> torch.Tensor:
    """Observables of spins (replicas, 3, side, side) of the film."""
    sites = spins.permute(0, 2, 3, 1).reshape(len(spins), -1, 3)
    return observables(sites, film_couplings(), FILM.anisotropy)


@lru_cache
def reference(temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard error of the observables by Metropolis, seen every fourth sweep."""
    run = metropolis(film_couplings(), FILM.anisotropy, temperature, 600, 500)
    samples = [
        observables(spins, film_couplings(), FILM.anisotropy)
        for number, spins in enumerate(run)
        if number >= 200 and number % 4 == 0
    ]
    return mean_and_error(samples)


def equilibrium(step, replicas: int = 1500, device="cpu") -> tuple[torch.Tensor, torch.Tensor]:
    """The same from `step(spins, first_sweep)`, which does six sweeps in place."""
    spins = textures.random((SIDE, SIDE), seed=1, states=range(replicas), device=device)
    samples = []
    for first in range(0, 480, 6):
        step(spins, first)
        if first >= 150:
            samples.append(look(spins.cpu()))
    return mean_and_error(samples)


def deviation(ours, expected) -> torch.Tensor:
    """Difference in combined standard errors."""
    return (ours[0] - expected[0]) / torch.sqrt(ours[1] ** 2 + expected[1] ** 2)


def test_energy_is_that_of_the_explicit_pairs():
    spins = textures.random((SIDE, SIDE), states=range(4))
    # Single precision, energies of order 1.
    torch.testing.assert_close(
        look(spins)[:, 0].double(), FILM.energy_per_site(spins), rtol=0, atol=2e-6
    )


@pytest.mark.hardware("too many moves for one thread after the other")
@pytest.mark.parametrize("temperature", [0.5, 0.7, 1.0])
@pytest.mark.parametrize("every", [1, 3])
def test_equilibrium_with_dipoles_is_that_of_sequential_metropolis(temperature, every, device):
    schedule = torch.full((6,), temperature)

    def step(spins, first):
        sweep(
            *(spins, FILM, schedule),
            seed=1,
            states=range(len(spins)),
            first_sweep=first,
            dipole_every=every,
        )

    ours, expected = equilibrium(step, device=device), reference(temperature)
    assert (expected[1][0] / expected[0][0]).abs() < 2e-3  # sharp enough to tell
    # The largest of seven numbers in six cases: 3 would be passed by chance in one of ten runs.
    assert deviation(ours, expected).abs().max() < 4, f"{ours} instead of {expected}"


def test_a_field_merely_held_during_each_sweep_would_be_noticed():
    """The test above can fail: without the fluctuations the dipoles' energy is 1 % off at T = 1."""
    temperature = 1.0
    kernel = point_dipoles(SIDE, SIDE)

    def step(spins, first):
        table, _ = coupling_table(FILM, spins)
        for number in range(6):
            heat_bath(
                *(spins, table, torch.full((len(spins), 1), temperature)),
                seed=1,
                states=range(len(spins)),
                first_sweep=first + number,
                field=STRENGTH * kernel.field(spins),
            )

    assert deviation(equilibrium(step), reference(temperature))[0] > 5


def test_equilibrium_with_open_edges_and_newell_dipoles():
    """Metropolis again, on a film's free 4 × 4 cells, pair couplings read off the field."""
    side, replicas = 4, 1500
    film = Film(3e-13, 8e5, dmi=1e-4, cell=4e-9, thickness=3e-9, boundary="open")
    with pytest.warns(UserWarning, match="exchange length"):  # on purpose: strong dipoles
        hamiltonian = film.hamiltonian()
    n = side**2
    unit = torch.eye(3 * n, dtype=torch.float64).reshape(3 * n, n, 3).permute(0, 2, 1)
    field = hamiltonian.field(unit.reshape(3 * n, 3, side, side))
    couplings = field.reshape(3 * n, 3, n).permute(0, 2, 1).reshape(n, 3, n, 3).numpy()
    temperature = thermal_energy(300.0)
    schedule = torch.full((5,), temperature)
    run = metropolis(couplings, 0.0, temperature, 800, 400)
    metropolis_samples = [
        observables(spins, couplings, 0.0)
        for number, spins in enumerate(run)
        if number >= 150 and number % 4 == 0
    ]
    spins, samples = textures.random((side, side), states=range(replicas)), []
    for first in range(0, 400, 5):
        sweep(spins, hamiltonian, schedule, seed=3, states=range(replicas), first_sweep=first)
        if first >= 100:
            sites = spins.permute(0, 2, 3, 1).reshape(replicas, -1, 3)
            samples.append(observables(sites, couplings, 0.0))
    ours, expected = mean_and_error(samples), mean_and_error(metropolis_samples)
    # As above.
    assert deviation(ours, expected).abs().max() < 4, f"{ours} instead of {expected}"


# --- what annealing is for ---------------------------------------------------------------------


@pytest.mark.hardware("too many moves for one thread after the other")
def test_annealed_skyrmions_lie_between_the_uniform_and_the_ground_state(device):
    states = anneal(CHIRAL, (64, 64), linear(1.0, 0.0, 300), states=range(4), device=device)
    states = quench(states, CHIRAL, torque=1e-3)
    energy = CHIRAL.energy_per_site(states)
    # -2.05 uniform, -2.0575 the best lattice; 300 sweeps leave defects.
    assert (energy < -2.053).all() and (energy > -2.0576).all()
    charge = textures.topological_charge(states)
    assert (charge - charge.round()).abs().max() < 1e-4 and (charge <= -3).all()


def test_annealed_films_know_the_sign_of_their_dmi():
    strength, states = 0.1, range(4)
    for sign in (1, -1):
        film = Hamiltonian(dmi=0.3 * sign, anisotropy=0.7, dipolar=strength)
        spins = anneal(film, (40, 40), linear(1.0, 0.0, 200), states=states)
        mirrored = Hamiltonian(dmi=-0.3 * sign, anisotropy=0.7, dipolar=strength)
        assert (film.energy(spins) < mirrored.energy(spins) - 50).all()


@pytest.mark.parametrize("hamiltonian", [CHIRAL, DIPOLAR], ids=["chiral", "dipolar"])
def test_sweeps_at_zero_temperature_never_raise_the_energy(hamiltonian):
    spins = textures.random((32, 32), states=range(3))
    energies = [hamiltonian.energy(spins)]
    for _ in range(30):
        sweep(spins, hamiltonian, torch.zeros(1), seed=0, states=range(3))
        energies.append(hamiltonian.energy(spins))
    rise = torch.stack(energies).diff(dim=0)
    assert rise.max() < 1e-3  # of 2000, summed from single precision
    assert (energies[-1] < energies[0] - 1000).all()


def test_couplings_that_only_a_hot_schedule_makes_look_large_are_refused():
    # In joules; at the end, without heat, they would be lost beside 1e-10 and all spins turn to +z.
    tiny = Hamiltonian(exchange=1e-21, dmi=3e-22)
    for schedule in (linear(1.0, 0.0, 20), torch.zeros(5)):
        with pytest.raises(ValueError, match="give energies in a unit of about their size, as J"):
            anneal(tiny, (8, 8), schedule)
    # In heat alone they are as good as none, and spins point anywhere: 4096 of them to 1/√(3·4096).
    hot = anneal(tiny, (64, 64), torch.full((20,), 1.0))
    assert hot.mean((0, 2, 3)).abs().max() < 5 / math.sqrt(3 * 4096)


def test_what_is_annealed_or_quenched_keeps_no_gradient():
    # It would be that of a copy, in place of none: turning the start leaves a minimum where it is.
    start = textures.random((8, 8)).requires_grad_()
    assert not quench(start, CHIRAL).requires_grad
    assert not anneal(CHIRAL, (8, 8), torch.zeros(5), start=start).requires_grad


def test_quench_reaches_its_torque():
    for hamiltonian in (CHIRAL, DIPOLAR):
        start = anneal(hamiltonian, (32, 32), linear(1.0, 0.1, 60), states=range(3))
        kept = start.clone()
        end = quench(start, hamiltonian, torque=1e-3)
        assert torch.equal(start, kept)
        assert hamiltonian.torque(start).min() > 0.01
        assert hamiltonian.torque(end).max() < 1e-3
        assert (hamiltonian.energy(end) < hamiltonian.energy(start)).all()


def test_a_quenched_state_does_not_depend_on_those_beside_it():
    # They come to rest at different times, in films of their own.
    fields = torch.tensor([[0.0, 0.0, 0.05], [0.0, 0.0, 0.5], [0.1, 0.0, 0.2]])
    hamiltonian = Hamiltonian(dmi=torch.tensor([0.3, 0.2, 0.1]), zeeman=fields)
    start = textures.random((16, 16), states=range(3))
    together = quench(start, hamiltonian, torque=1e-3)
    for i in range(3):
        own = hamiltonian.of(torch.tensor([i]))
        assert torch.equal(quench(start[i : i + 1], own, torque=1e-3)[0], together[i])


def test_quench_says_when_it_does_not_get_there():
    start = textures.random((32, 32), states=range(3))
    with pytest.warns(UserWarning, match="3 of 3 states still have a torque .* after 100 sweeps"):
        quench(start, CHIRAL, torque=1e-6, max_sweeps=100)


def test_quench_makes_no_more_sweeps_than_it_may():
    start = textures.random((16, 16))
    with pytest.warns(UserWarning, match="after 150 sweeps"):
        end = quench(start, CHIRAL, torque=1e-6, max_sweeps=150)
    sweep(start, CHIRAL, torch.zeros(150), seed=0, states=range(1))
    assert torch.equal(start, end)


def test_quench_asks_no_more_than_single_precision_resolves():
    film = Film(8.78e-12, 384e3, dmi=1.58e-3, cell=4e-9, thickness=10e-9)
    hamiltonian = film.hamiltonian(0.1)
    start = textures.helix((16, 16), (1, 0), kind="bulk")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as one that asks for more gives up in the end
        end = quench(start, hamiltonian, torque=1e-9)  # in zJ, of 2000 between neighbours
    assert 1e-9 < hamiltonian.torque(end) < 1e-7 * 2000
    with pytest.warns(UserWarning, match="accept; for a film, spinlib.relaxation.relax"):
        quench(textures.random((16, 16)), hamiltonian, max_sweeps=100)


# --- what is refused ---------------------------------------------------------------------------

LONG = torch.ones(1, 3, 8, 8)
ROOM = textures.uniform((8, 8))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: linear(1.0, 0.0, -3), "whole number of sweeps, at least one, not -3"),
        (lambda: linear(1.0, 0.0, 0), "at least one, not 0"),
        (lambda: linear(-1.0, 0.0, 10), "numbers from 0 to"),
        (lambda: linear(math.nan, 0.0, 10), "numbers from 0 to"),
        (lambda: random_rate(1.0, 10, 20, seed=0, states=[0]), "the slowest's 10 sweeps, not 20"),
        (lambda: random_rate(1.0, 10, 0, seed=0, states=[0]), "not 0"),
        (lambda: anneal(CHIRAL, (7, 8), linear(1, 0, 5)), "coloured like a checkerboard"),
        (lambda: anneal(CHIRAL, (8, 8), torch.tensor([1.0, math.nan])), "Temperatures are finite"),
        (lambda: anneal(CHIRAL, (8, 8), torch.tensor([1.0, -0.1])), "not negative"),
        (lambda: anneal(CHIRAL, (8, 8), torch.ones(2, 5)), "with 1 rows, not"),
        (lambda: anneal(CHIRAL, (8, 8), torch.tensor(1.0)), "Temperatures are"),
        (lambda: anneal(CHIRAL, (8, 9), torch.ones(5), start=ROOM), "The start has shape"),
        (lambda: anneal(CHIRAL, (8, 8), torch.ones(5), start=LONG), "neither unit vectors nor"),
        (lambda: anneal(CHIRAL, (8, 8), torch.ones(5), start=math.nan * LONG), "length nan"),
        (lambda: anneal(CHIRAL, (8, 8), torch.ones(5), states=[-1]), "State indices"),
        (lambda: anneal(DIPOLAR, (8, 8), torch.ones(5), dipole_every=0), "not every 0"),
        (
            lambda: anneal(Hamiltonian(torch.ones(3)), (8, 8), torch.ones(5)),
            "does not fit 1 states",
        ),
        (lambda: anneal(Hamiltonian(dipolar=-0.1), (8, 8), torch.ones(5)), "negative strength"),
        (lambda: sweep(ROOM.clone(), CHIRAL, torch.ones(2), seed=0, states=[0, 1]), "got 2"),
        (lambda: quench(LONG, CHIRAL), "neither unit vectors nor vacancies"),
        (lambda: quench(ROOM[0], CHIRAL), "Spins are a floating-point tensor"),
        (lambda: quench(ROOM, CHIRAL, torque=0.0), "both are positive"),
        (lambda: quench(ROOM, CHIRAL, max_sweeps=0), "both are positive"),
        (lambda: anneal(CHIRAL, (8, 8), torch.ones(5), seed=1.5), "integer from 0 .* got 1.5"),
    ],
)
def test_nonsense_is_refused(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


IRON_GERMANIUM = Film(8.78e-12, 384e3)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: anneal(CHIRAL, (8, 8), torch.ones(5), states=4), r"range\(4\) say, not 4\.$"),
        (lambda: anneal(CHIRAL, (8, 8), torch.ones(5), states=1, start=ROOM), "not 1"),
        (lambda: sweep(ROOM.clone(), CHIRAL, torch.ones(5), seed=1, states=1), "not 1"),
        (lambda: Microscope(noise=0.1)(ROOM, states=4), "not 4"),
        (lambda: hysteresis(IRON_GERMANIUM, ROOM, largest_field=1.0, states=4), "not 4"),
        (lambda: llg.run(ROOM, IRON_GERMANIUM, time=1e-12, damping=0.1, states=4), "not 4"),
        (
            lambda: anneal(IRON_GERMANIUM, (8, 8), torch.ones(5)),
            r"not a Film: .* film\.hamiltonian",
        ),
        (lambda: quench(ROOM, IRON_GERMANIUM), r"not a Film: .* film\.hamiltonian"),
        (
            lambda: relax(ROOM, CHIRAL),
            r"takes a Film, not a Hamiltonian: .* spinlib\.anneal\.quench",
        ),
    ],
)
def test_what_is_meant_differently_is_told_how(call, sentence):
    with pytest.raises(TypeError, match=sentence):
        call()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("start", [None, ROOM], ids=["random", "given"])
def test_a_gpu_that_is_not_there_is_named(start):
    with pytest.raises(ValueError, match="no CUDA device for 'cuda'; use device auto or cpu"):
        anneal(CHIRAL, (8, 8), torch.ones(5), start=start, device="cuda")
    with pytest.raises(ValueError, match="no CUDA device for 'cuda'"):
        textures.random((8, 8), device="cuda")


def test_energies_in_a_unit_far_from_their_size_are_refused():
    """In joules they would be less than what keeps a move's field from being none."""
    with pytest.raises(ValueError, match=r"below 1e-05 and lost .* unit of about their size"):
        anneal(Hamiltonian(exchange=1e-21), (8, 8), linear(1e-21, 0.0, 3))
    with pytest.raises(ValueError, match="zeeman must be finite and below"):
        anneal(Hamiltonian(zeeman=1e20), (8, 8), linear(1.0, 0.0, 3))
    # Within these limits units do not matter: the average along the field, coth 1 - 1.
    for unit in (1e-4, 1e15):
        free = Hamiltonian(exchange=0.0, zeeman=(unit, 0.0, 0.0))
        spins = anneal(free, (64, 64), torch.full((3,), unit), states=range(4))
        # Of 16 384 cosines of deviation 0.53 the mean is known to 0.004.
        assert spins[:, 0].mean().item() == pytest.approx(1 / math.tanh(1) - 1, abs=0.016)


def test_one_value_in_a_tensor_is_that_of_all_states():
    states = {"states": range(2), "seed": 1}
    one, each = (
        anneal(Hamiltonian(exchange=torch.ones(n)), (8, 8), linear(1.0, 0.0, 3), **states)
        for n in (1, 2)
    )
    assert torch.equal(one, each)


def test_a_quench_refuses_spins_of_another_length():
    with pytest.raises(ValueError, match="length"):
        quench(2 * textures.uniform((4, 4)), Hamiltonian(zeeman=0.1))
