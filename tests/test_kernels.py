"""The kernels against known answers and exact statistical mechanics."""

import ctypes
import itertools
import math
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import NEEDS_GPU
from gpu_on_host import HostLaunch
from hypothesis import given, settings
from hypothesis import strategies as st

from spinlib.anneal import coupling_table
from spinlib.hamiltonian import Hamiltonian
from spinlib.kernels import KernelError, heat_bath, loader, random_normal, random_uniform
from spinlib.kernels.llg import advance, film_table, torque
from spinlib.kernels.loader import SCALAR_FLAGS
from spinlib.kernels.random import philox_lanes, philox_words
from spinlib.kernels.spectrum import can_transform, fourier
from spinlib.textures import random


def standard_error(samples: torch.Tensor) -> float:
    return samples.double().std().item() / math.sqrt(len(samples))


# --- random numbers ---------------------------------------------------------------------------


def test_philox_known_answers(device):
    # Random123's known-answer file: zero and all-ones counter and key.
    counters = torch.tensor([[0] * 4, [0xFFFFFFFF] * 4], dtype=torch.int64).to(torch.uint32)
    zeros = philox_words(counters[:1], 0, device)[0]
    ones = philox_words(counters[1:], 2**64 - 1, device)[0]
    assert [hex(int(word)) for word in zeros] == [
        "0x6627e8d5",
        "0xe169c58d",
        "0xbc57ac4c",
        "0x9b00dbd8",
    ]
    assert [hex(int(word)) for word in ones] == [
        "0x408f276d",
        "0x41c83b0e",
        "0xa20bc7c6",
        "0x6d5451fd",
    ]


def test_philox_in_vectors():
    sites = (torch.arange(256) * 2**24 + 12345).to(torch.uint32)  # products with every high bit
    others = 0xFFFFFFFF, 7, 0x80000001
    counters = torch.tensor([[int(site), *others] for site in sites]).to(torch.uint32)
    seed = 2**63 + 987654321
    assert torch.equal(philox_lanes(sites, *others, seed), philox_words(counters, seed).T)


def test_random_numbers_depend_only_on_their_purpose(device):
    draw = {"seed": 5, "purpose": "test", "device": device}
    together = random_uniform((7, 3), states=range(4), **draw)
    alone = random_uniform((7, 3), states=[2], **draw)
    assert torch.equal(together[2], alone[0])
    for other in ({"seed": 6}, {"purpose": "else"}, {"draw": 1}):
        assert not torch.equal(alone, random_uniform((7, 3), states=[2], **(draw | other)))


def test_uniform_and_normal_moments(device):
    draw = {"seed": 1, "states": range(8), "purpose": "moments", "device": device}
    u = random_uniform((125_000,), **draw).double().flatten()
    n = random_normal((125_000,), **draw).double().flatten()
    assert 0 < u.min() and u.max() < 1
    count = len(u)
    # Four standard errors of the first moments of 10^6 draws.
    assert abs(u.mean() - 1 / 2) < 4 * math.sqrt(1 / 12 / count)
    assert abs((u**2).mean() - 1 / 3) < 4 * math.sqrt(4 / 45 / count)
    assert abs(n.mean()) < 4 * math.sqrt(1 / count)
    assert abs((n**2).mean() - 1) < 4 * math.sqrt(2 / count)
    assert abs((n**4).mean() - 3) < 4 * math.sqrt(96 / count)


def test_seeds_and_states_out_of_range_are_refused():
    with pytest.raises(ValueError, match="seed"):
        random_uniform((1,), seed=-1, states=[0], purpose="x")
    with pytest.raises(ValueError, match="State indices"):
        random_uniform((1,), seed=0, states=[2**32], purpose="x")


# --- the Fourier transform of the host -----------------------------------------------------------

# Every radix, alone, first and last; sizes of the studies; some too large for the nearest cache.
SIZES = [*range(2, 11), 12, 14, 15, 16, 20, 21, 32, 49, 60, 63, 64, 81, 98, 100, 105, 125, 128, 200]
SIZES = [n for n in SIZES if can_transform(n)] + [256, 343, 512, 600, 1000, 1024, 2048]


def random_lines(n: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 8, dtype=torch.complex64, generator=generator)


@pytest.mark.parametrize("n", SIZES)
def test_fourier_transform(n):
    values = random_lines(n, n)
    exact = torch.fft.fft(values.to(torch.complex128), dim=0)
    transformed = fourier(values)
    # Rounding of float32 grows as the root of the number of passes: 2e-7 of the rms value, and
    # six times that in the worst of the n numbers.
    assert (transformed - exact).abs().square().mean().sqrt() < 2e-7 * n**0.5
    assert (transformed - exact).abs().max() < 1.2e-6 * n**0.5
    assert (fourier(transformed, backward=True) / n - values).abs().max() < 1.2e-6
    # Parseval's theorem, with sums in double precision of numbers good to 1e-7.
    power = transformed.to(torch.complex128).abs().square().sum()
    expected = values.to(torch.complex128).abs().square().sum()
    assert power.item() / n == pytest.approx(expected.item(), rel=1e-6)


@given(
    sizes=st.lists(st.sampled_from([2, 3, 4, 5, 7, 8]), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_fourier_transform_is_linear_and_knows_shifts(sizes, seed):
    n = math.prod(sizes)
    a, b = random_lines(n, seed), random_lines(n, seed + 100)
    tolerance = {"rtol": 0, "atol": 4e-6 * n**0.5}  # the above, for sums of three
    torch.testing.assert_close(fourier(a + 2j * b), fourier(a) + 2j * fourier(b), **tolerance)
    phase = torch.exp(-2j * math.pi * torch.arange(n, dtype=torch.float64) / n).to(torch.complex64)
    torch.testing.assert_close(fourier(a.roll(1, 0)), phase[:, None] * fourier(a), **tolerance)
    # Lanes do not mix.
    alone = torch.zeros_like(a)
    alone[:, 3] = a[:, 3]
    assert torch.equal(fourier(alone)[:, 3], fourier(a)[:, 3])
    assert not fourier(alone)[:, [0, 1, 2, 4, 5, 6, 7]].any()


def test_sizes_without_a_transform():
    assert not any(can_transform(n) for n in (0, 1, 11, 22, 26, 34, 2 * 127))
    with pytest.raises(ValueError, match=r"\(11, 8\)"):
        fourier(random_lines(11, 0))


# --- the heat bath against exact statistical mechanics ------------------------------------------


def equilibrium(
    hamiltonian, size, temperature, device, batch=8, warm=100, samples=40, gap=5, **options
):
    """Spins (samples, batch, 3, h, w) drawn at one temperature, far enough apart to be called
    independent for the hot, weakly coupled systems tested here."""
    spins = random(size, seed=3, states=range(batch), device=device)
    table, anisotropy = coupling_table(hamiltonian, spins)
    periodic = hamiltonian.boundary == "periodic"
    taken, done = [], 0
    for sweeps in [warm] + [gap] * samples:
        schedule = torch.full((batch, sweeps), temperature, device=device)
        heat_bath(
            *(spins, table, schedule),
            seed=11,
            states=range(batch),
            first_sweep=done,
            anisotropy=anisotropy,
            periodic=periodic,
            **options,
        )
        done += sweeps
        taken.append(spins.clone())
    return torch.stack(taken[1:])


@pytest.mark.parametrize("x", [0.001, 0.01, 0.5, 1.0, 4.0, 30.0])
def test_free_spin_in_a_field(device, x):
    """⟨S·b⟩ = coth x - 1/x, and nothing across the field; b tilted to involve every component."""
    direction = torch.tensor([0.48, -0.6, 0.64], dtype=torch.float64)
    free = Hamiltonian(exchange=0.0, zeeman=tuple((x * direction).tolist()))
    spins = equilibrium(free, (64, 64), 1.0, device, samples=20, gap=1, warm=1).double().cpu()
    along = torch.einsum("sbchw,c->sbhw", spins, direction).flatten()
    across = torch.einsum("sbchw,c->sbhw", spins, torch.tensor([0.8, 0.64, 0.0]).double()).flatten()
    expected = 1 / math.tanh(x) - 1 / x
    error = standard_error(along)  # 1.3e6 independent draws: 5e-4 at most
    assert abs(along.mean() - expected) < 3 * error, f"{along.mean()} ± {error}, exact {expected}"
    assert abs(across.mean()) < 3 * standard_error(across)


def test_moves_turn_evenly_about_fields_of_any_direction(device):
    """Each site has a field of its own: lengths stay 1, and angles about the fields are uniform."""
    spins = random((64, 64), states=range(16), device=device)
    field = 2 * random((64, 64), seed=1, states=range(16), device=device)
    ones, table = torch.ones((16, 1), device=device), torch.zeros(16, 7)
    heat_bath(spins, table, ones, seed=2, states=range(16), field=field)
    spins, axis = spins.double().cpu(), field.double().cpu() / 2
    assert (spins.norm(dim=1) - 1).abs().max() < 5e-7  # some four roundings of 1.2e-7
    fixed = torch.tensor([0.6, 0.8, 0.0]).double()[None, :, None, None]
    first = torch.linalg.cross(axis, fixed.expand_as(axis), dim=1)
    first /= first.norm(dim=1, keepdim=True)
    second = torch.linalg.cross(axis, first, dim=1)
    angle = torch.atan2((spins * second).sum(1), (spins * first).sum(1))
    for half in (axis[:, 2] > 0, axis[:, 2] < 0):
        for order in (1, 2):
            for wave in (torch.cos, torch.sin):
                samples = wave(order * angle[half])
                assert abs(samples.mean()) < 3.5 * standard_error(samples)  # 8 of them


def test_no_preferred_direction_without_field(device):
    spins = equilibrium(
        Hamiltonian(exchange=0.0), (64, 64), 1.0, device, samples=20, gap=1
    ).double()
    for component in spins.cpu().unbind(2):
        assert abs(component.mean()) < 3 * standard_error(component.flatten())


@pytest.mark.hardware("too many moves for one thread after the other")
@pytest.mark.parametrize("coupling, exact", [(0.5, 0.1640), (1, 0.3130), (2, 0.5373), (4, 0.7507)])
def test_open_heisenberg_chain(device, coupling, exact):
    """Fisher's chain: ⟨S·S'⟩ = coth K - 1/K, for any length with open ends."""
    chain = Hamiltonian(exchange=float(coupling), boundary="open")
    # Columns are chains if rows do not couple: cut by vacancies in every other row.
    batch, height, width = 4, 129, 32
    spins = random((height, width), seed=3, states=range(batch), device=device)
    spins[:, :, 1::2] = 0
    table, _ = coupling_table(chain, spins)
    averages = []
    for block in range(60):
        schedule = torch.ones((batch, 10), device=device)
        options = {"seed": 2, "states": range(batch), "first_sweep": 10 * block, "periodic": False}
        heat_bath(spins, table, schedule, **options)
        bonds = (spins[..., 1:] * spins[..., :-1]).sum(1)[:, 0::2].double()
        averages.append(bonds.mean(dim=(1, 2)))
    # Errors from the spread over 4 lattices × 10 stretches of 50 sweeps, longer than any memory.
    means = torch.stack(averages[10:]).reshape(10, 5, batch).mean(1).flatten().cpu()
    error = standard_error(means)
    assert error < 1e-3
    assert abs(means.mean() - exact) < 3 * error + 5e-5, f"{means.mean():.5f} ± {error:.5f}"


@pytest.mark.hardware("too many moves for one thread after the other")
@pytest.mark.parametrize("anisotropy", [-6.0, -0.7, 0.7, 2.5])
@pytest.mark.parametrize("field", [0.0, 1.5])
def test_anisotropy_is_sampled_exactly(device, anisotropy, field):
    """Free spins with -K S_z² in a tilted field, against the Boltzmann integral."""
    tilted = (0.6 * field, 0.0, 0.8 * field)
    single = Hamiltonian(exchange=0.0, anisotropy=anisotropy, zeeman=tilted)
    spins = equilibrium(
        single, (64, 64), 1.0, device, batch=4, warm=200, samples=30, gap=8
    ).double()
    z = torch.linspace(-1, 1, 4001, dtype=torch.float64)
    phi = torch.linspace(0, 2 * math.pi, 721, dtype=torch.float64)[:-1]
    x = torch.sqrt(1 - z**2)[:, None] * torch.cos(phi)
    weight = torch.exp(anisotropy * z[:, None] ** 2 + tilted[0] * x + tilted[2] * z[:, None])
    for name, function, measured in (
        ("S_z²", z[:, None] ** 2, spins[:, :, 2] ** 2),
        ("S_z", z[:, None].expand_as(weight), spins[:, :, 2]),
        ("S_x", x, spins[:, :, 0]),
    ):
        exact = torch.trapezoid((weight * function).mean(1), z) / torch.trapezoid(weight.mean(1), z)
        # Successive samples of one site may remember each other (easy axis: rare flips), sites do
        # not: the error is that of site averages.
        sites = measured.mean(0).flatten().cpu()
        error = standard_error(sites)
        assert error < 0.012
        assert abs(sites.mean() - exact) < 3 * error + 1e-6, (
            f"{name}: {sites.mean()} ± {error}, {exact}"
        )


@pytest.mark.parametrize("anisotropy, across, temperature", [(1.0, 0.3, 0.03), (3.0, 1.0, 0.2)])
def test_a_strong_easy_axis_keeps_no_spin_at_the_equator(device, anisotropy, across, temperature):
    """From random directions free spins soon have the Boltzmann integral's S_z², K ≫ T or not.

    A move that is proposed at the old spin alone, and then accepted or not, leaves a quarter of
    them at the equator for thousands of sweeps, where the energy has no barrier.
    """
    single = Hamiltonian(exchange=0.0, anisotropy=anisotropy, zeeman=(across, 0.0, 0.0))
    spins = equilibrium(
        single, (64, 64), temperature, device, batch=4, warm=100, samples=1, gap=1
    ).double()
    z = torch.linspace(-1, 1, 40001, dtype=torch.float64)
    phi = torch.linspace(0, 2 * math.pi, 721, dtype=torch.float64)[:-1]
    weight = torch.zeros_like(z)
    for angle in phi:
        energy = anisotropy * (z**2 - 1) + across * torch.sqrt(1 - z**2) * torch.cos(angle)
        weight += torch.exp(energy / temperature)
    exact = torch.trapezoid(weight * z**2, z) / torch.trapezoid(weight, z)
    measured = (spins[:, :, 2] ** 2).flatten().cpu()
    error = standard_error(measured)
    assert error < 0.003
    assert abs(measured.mean() - exact) < 3 * error, f"{measured.mean()} ± {error}, {exact}"


def test_zero_temperature_never_raises_the_energy(device):
    hamiltonian = Hamiltonian(dmi=0.3, anisotropy=0.4, zeeman=0.05)
    spins = random((32, 32), states=range(4), device=device)
    table, _ = coupling_table(hamiltonian, spins)
    energies = []
    for sweep in range(30):
        heat_bath(spins, table, torch.zeros((4, 1)), seed=0, states=range(4), first_sweep=sweep)
        energies.append(hamiltonian.energy(spins))
    # 1e-4 of some -2000: rounding of the float32 spins.
    assert (torch.stack(energies).diff(dim=0) < 1e-4).all()


# --- one step is what the Hamiltonian says -------------------------------------------------------


@pytest.mark.parametrize("boundary", ["periodic", "open"])
@pytest.mark.parametrize("kind", ["interfacial", "bulk"])
def test_local_field_is_the_hamiltonians(device, boundary, kind):
    """At T = 0 the updated colour lies along -∂E/∂S of the configuration it saw."""
    hamiltonian = Hamiltonian(1.1, 0.7, 0.0, (0.2, -0.3, 0.4), dmi_kind=kind, boundary=boundary)
    before = random((12, 10), seed=9, states=range(3), device=device)
    before[:, :, 4, 5] = 0  # a vacancy stays one, and its neighbours do without it
    spins = before.clone()
    table, _ = coupling_table(hamiltonian, spins)
    extra = random((12, 10), seed=1, states=range(3), device=device)
    options = {"seed": 0, "states": range(3), "field": extra, "periodic": boundary == "periodic"}
    heat_bath(spins, table, torch.zeros((3, 1)), **options)
    y, x = torch.meshgrid(torch.arange(12), torch.arange(10), indexing="ij")
    second = ((x + y) % 2 == 1).to(device)  # updated last, so the final state is what it saw
    field = (hamiltonian.field(spins.double()) + extra).float()
    expected = field / field.norm(dim=1, keepdim=True)
    expected = torch.where(before.norm(dim=1, keepdim=True) > 0, expected, 0)
    # A few roundings of numbers of order one; the GPU's fast division adds two units.
    assert (spins - expected).abs()[..., second].max() < 2e-6
    assert (spins[:, :, 4, 5] == 0).all()


def test_vectorised_and_scalar_builds_agree_bit_for_bit(builds):
    """The plain build is the test of the fast one."""
    hamiltonian = Hamiltonian(dmi=0.3, anisotropy=0.2, zeeman=0.05)
    results = []
    for flags in (loader.VECTOR_FLAGS, SCALAR_FLAGS):
        spins = random((20, 38), states=range(2))
        table, _ = coupling_table(hamiltonian, spins)
        schedule = torch.linspace(1.0, 0.0, 20).expand(2, 20)
        heat_bath(spins, table, schedule, seed=4, states=range(2), flags=flags)
        results.append(spins)
        assert ("heatbath.cu", flags) in builds
    assert torch.equal(*results)


@pytest.mark.parametrize("boundary, size", [("periodic", (16, 24)), ("open", (15, 9))])
def test_same_bits_for_any_threads_batches_and_calls(boundary, size):
    hamiltonian = Hamiltonian(dmi=0.3, anisotropy=0.2, zeeman=0.05, boundary=boundary)
    periodic = boundary == "periodic"
    schedule = torch.linspace(1.0, 0.0, 12)

    def anneal(states, cuts, threads):
        previous = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            spins = random(size, states=states)
            table, _ = coupling_table(hamiltonian, spins)
            for first, last in itertools.pairwise(cuts):
                part = schedule[first:last].expand(len(spins), last - first)
                heat_bath(
                    *(spins, table, part),
                    seed=4,
                    states=states,
                    first_sweep=first,
                    periodic=periodic,
                )
            return spins
        finally:
            torch.set_num_threads(previous)

    whole = anneal(range(6), [0, 12], 1)
    assert torch.equal(whole, anneal(range(6), [0, 12], 2))
    assert torch.equal(whole, anneal(range(6), [0, 5, 12], 2))
    assert torch.equal(whole[4:], anneal([4, 5], [0, 12], 1))
    assert torch.equal(whole[[1]], anneal([1], [0, 1, 12], 2))


def test_a_call_does_not_depend_on_the_calls_before_it():
    """The host keeps its buffers: maps and sizes of an earlier call must leave nothing behind."""
    table, _ = coupling_table(Hamiltonian(dmi=0.3), random((12, 14)))
    extra = random((12, 14), seed=5)
    options = {"seed": 4, "states": [0], "periodic": False}

    def result(**maps):
        spins = random((12, 14), seed=1)
        spins[:, :, 3, 4] = 0
        heat_bath(spins, table, torch.full((1, 2), 0.5), **options, **maps)
        return spins

    fresh = result()
    assert not torch.equal(fresh, result(field=extra, anisotropy=torch.full((1, 12, 14), 2.0)))
    assert not torch.equal(fresh, result(field=extra))
    other = random((16, 14), seed=2)
    heat_bath(other, table, torch.full((1, 2), 0.5), seed=4, states=[0])
    assert torch.equal(fresh, result())


@pytest.mark.gpu
@NEEDS_GPU
@pytest.mark.parametrize("driver", ["grid", "block"])
@pytest.mark.parametrize("boundary, size", [("periodic", (32, 48)), ("open", (15, 9))])
def test_gpu_drivers_follow_the_host(driver, boundary, size):
    """One sweep agrees to rounding, then chaos separates the chains: only one sweep is compared."""
    hamiltonian = Hamiltonian(dmi=0.3, zeeman=0.05, boundary=boundary)
    results = []
    for device in ("cpu", "cuda"):
        spins = random(size, states=range(3), device=device)
        table, _ = coupling_table(hamiltonian, spins)
        options = {
            "seed": 4,
            "states": range(3),
            "periodic": boundary == "periodic",
            "driver": driver,
        }
        heat_bath(spins, table, torch.full((3, 1), 0.5), **options)
        results.append(spins.cpu())
    # The special-function units err by 2^-21; the square root near S·h = ±1 widens this.
    assert (results[0] - results[1]).abs().max() < 5e-3
    assert (results[0] - results[1]).abs().median() < 1e-6


def test_a_gpus_root_of_a_little_less_than_nothing_is_nothing(monkeypatch):
    """What -2T ln u may be where u is nearly 1, as a GPU's logarithm errs by 2^-21."""
    kernel = "(float* x) { x[threadIdx.x] = square_root(x[threadIdx.x]); }"
    text = loader.source("elementary.cuh") + '\nextern "C" __global__ void root' + kernel
    monkeypatch.setattr(loader, "source", lambda name: text)
    values = torch.tensor([-1e-7, -0.0, 0.0, 1e-20, 4.0])
    HostLaunch("", "root", (1,), (5,), {"x": values}, values.device)()
    torch.testing.assert_close(values, torch.tensor([0.0, 0.0, 0.0, 1e-10, 2.0]))


# --- refusals ------------------------------------------------------------------------------------


def test_odd_periodic_sizes_are_refused():
    spins = random((15, 16))
    table, _ = coupling_table(Hamiltonian(), spins)
    with pytest.raises(ValueError, match=r"15×16.*even"):
        heat_bath(spins, table, torch.ones((1, 1)), seed=0, states=[0])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"spins": torch.zeros(2, 3, 8, 8, dtype=torch.float64)}, "float32"),
        ({"couplings": torch.zeros(3, 7)}, "couplings"),
        ({"temperatures": torch.full((2, 1), -1.0)}, "Temperatures"),
        ({"temperatures": torch.full((2, 1), math.nan)}, "Temperatures"),
        ({"field": torch.zeros(3, 3, 8, 8)}, "field"),
        ({"anisotropy": torch.zeros(1, 8, 7)}, "anisotropy"),
    ],
)
def test_wrong_arrays_are_refused_by_name(change, message):
    good = {"spins": random((8, 8), states=range(2)), "couplings": torch.zeros(2, 7)}
    good |= {"temperatures": torch.ones((2, 1))}
    with pytest.raises(ValueError, match=message):
        heat_bath(**(good | change), seed=0, states=range(2))


@pytest.mark.gpu
@NEEDS_GPU
def test_more_states_than_a_gpu_has_blocks_for_are_refused():
    states, device = range(65536), torch.device("cuda")
    spins = torch.zeros((len(states), 3, 2, 2), device=device)
    couplings, temperatures = (torch.ones((len(states), n), device=device) for n in (7, 1))
    films = film_table(couplings, torch.zeros(len(states), device=device), states)
    options = {"seed": 0, "states": states}
    for call in (
        lambda: random_uniform((1,), **options, purpose="test", device=device),
        lambda: heat_bath(spins, couplings, temperatures, **options, driver="grid"),
        lambda: torque(spins, films),
        lambda: advance(spins, [spins], temperatures),
    ):
        with pytest.raises(
            ValueError, match=r"at most 65535 states at a time, not 65536: .* parts"
        ):
            call()
    heat_bath(spins, couplings, temperatures, **options, driver="block")


# --- compiling -----------------------------------------------------------------------------------


def test_included_headers_are_part_of_the_text():
    text = loader.source("heatbath.cu")
    assert '#include "' not in text
    assert text.count("struct Keys {") == 1
    assert '#line 1 "spin.cuh"' in text


@pytest.fixture
def forget():
    """Forgets the compiler and what it compiled: before a test, after it, and when called."""

    def forget():
        for part in (loader._compiler, loader._known, loader.host_library):
            part.cache_clear()

    forget()
    yield forget
    forget()


def test_a_missing_compiler_is_one_sentence(monkeypatch, forget):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(KernelError, match="install one"):
        loader._compiler()


def test_a_compiler_may_be_called_through_another_program(monkeypatch, forget):
    direct, known = loader._compiler(), loader._known(loader.VECTOR_FLAGS)
    monkeypatch.setenv("CXX", f"env {direct[0]}")
    forget()
    first, *rest = loader._compiler()
    assert Path(first).name == "env" and rest == direct
    assert loader._known(loader.VECTOR_FLAGS) == known


def test_flags_that_a_compiler_refuses_are_left_out(monkeypatch, forget, tmp_path):
    """As compilers for ARM refuse the width of a vector, and some of them "native"."""
    plain = tmp_path / "plain"
    plain.write_text(
        "#!/bin/sh\n"
        'for word; do case "$word" in -m*) echo "unknown $word" >&2; exit 1;; esac; done\n'
        f'exec {" ".join(loader._compiler())} "$@"\n'
    )
    plain.chmod(0o755)
    draw = partial(random_normal, (1000,), seed=3, states=range(2), purpose="flags")
    vectors = draw()
    monkeypatch.setenv("CXX", str(plain))
    forget()
    assert loader._known(loader.VECTOR_FLAGS)[0] == []
    assert loader._known((*SCALAR_FLAGS, "-O1"))[0] == [*SCALAR_FLAGS[1:], "-O1"]
    assert torch.equal(draw(), vectors)


def test_an_unwritable_cache_is_one_sentence(monkeypatch, forget, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("SPINLIB_CACHE", str(blocked))
    with pytest.raises(KernelError, match="SPINLIB_CACHE"):
        loader.host_library("random.cu")


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("file", sorted(p.name for p in loader.FOLDER.glob("*.cu")))
def test_every_kernel_compiles_for_the_gpu(file, architecture):
    """NVRTC needs no GPU: it compiles to machine code of either generation."""
    nvrtc = load_nvrtc()
    program = ctypes.c_void_p()
    text = loader.source(file).encode()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, file.encode(), 0, None, None) == 0
    options = [f"--gpu-architecture={architecture}", *loader.CUDA_FLAGS, "-ftz=true"]
    array = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
    status = nvrtc.nvrtcCompileProgram(program, len(options), array)
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    assert status == 0, log.value.decode()
    nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size))
    cubin = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetCUBIN(program, cubin)
    names = re.findall(r"__global__ void (?:__launch_bounds__\(\d+\)\s*)?(\w+)\(", text.decode())
    assert names and all(name.encode() in cubin.raw for name in names)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def load_nvrtc() -> ctypes.CDLL:
    nvidia = pytest.importorskip("nvidia", reason="NVRTC's wheel is for Linux")
    folders = [p.parent for root in nvidia.__path__ for p in Path(root).rglob("libnvrtc.so*")]
    if not folders:
        pytest.skip("NVRTC's wheel is for Linux")
    # NVRTC opens this one by name: it is found, wherever it lies, if it is loaded already.
    for builtins in folders[0].glob("libnvrtc-builtins.so*"):
        ctypes.CDLL(str(builtins))
    return ctypes.CDLL(str(next(folders[0].glob("libnvrtc.so*"))))


def test_coupling_table_matches_numpy_order():
    table, _ = coupling_table(Hamiltonian(1, 2, 3, (4, 5, 6)), random((4, 4)))
    np.testing.assert_array_equal(table[0].numpy(), [1, 2, 0, 3, 4, 5, 6])
