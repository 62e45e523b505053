"""The equation of motion: torques, integrators, temperature, and refusals."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import NEEDS_GPU

from spinlib.anneal import anneal
from spinlib.film import BOLTZMANN, Film, thermal_energy
from spinlib.kernels.llg import advance, set_columns, torque
from spinlib.kernels.loader import SCALAR_FLAGS, VECTOR_FLAGS
from spinlib.llg import GYROMAGNETIC_RATIO, FilmSystem, run, spin_temperature
from spinlib.relaxation import relax
from spinlib.textures import random, uniform

FILM = {"exchange_stiffness": 8.78e-12, "saturation": 384e3, "cell": 4e-9, "thickness": 4e-9}


# Cells without exchange are no film to be warned about.
INDEPENDENT = pytest.mark.filterwarnings("ignore:Cells of 4 nm are larger")


# --- the kernels ----------------------------------------------------------------------------------


@pytest.mark.parametrize("boundary", ["periodic", "open"])
@pytest.mark.parametrize("kind", ["interfacial", "bulk"])
@pytest.mark.parametrize("mapped", [False, True])
def test_torque_is_the_hamiltonians(device, boundary, kind, mapped):
    """The fused pass against torch's terms in float64, with every parameter per state."""
    map_ = torch.linspace(1e4, 9e4, 15 * 22, dtype=torch.float64, device=device).reshape(15, 22)
    film = Film(
        **(FILM | {"saturation": torch.tensor([384e3, 700e3], device=device)}),
        dmi=torch.tensor([1.6e-3, -0.7e-3], device=device),
        anisotropy=map_ if mapped else torch.tensor([5e4, -2e4], device=device),
        dmi_kind=kind,
        boundary=boundary,
    )
    spins = random((15, 22), states=range(2), device=device)
    spins[:, :, 4, 5] = 0  # a vacancy stays one, and its neighbours do without it
    field = torch.tensor([[0.1, -0.2, 0.3], [0.0, 0.5, 0.0]], device=device)
    system = FilmSystem(spins, film, field, None, demagnetisation=True)
    p, q = torch.tensor([0.9, 0.5]), torch.tensor([0.1, 0.4])
    set_columns(system.table, precession=p, damping=q)
    energy = film.hamiltonian(field)
    assert film.hamiltonian(0.1).zeeman.device.type == device.type  # a number has no device
    moment = (1e21 * system.moment)[:, None, None, None].to(device)
    across = torch.linalg.cross(spins.double(), energy.field(spins.double()) / moment, dim=1)
    p, q = p.to(device)[:, None, None, None], q.to(device)[:, None, None, None]
    expected = -p * across - q * torch.linalg.cross(spins.double(), across, dim=1)
    error = (system.torque(spins) - expected).abs().max()
    # Some ten roundings of fields that add up to the largest one.
    assert error < 10 * 6e-8 * system.largest_field.max()
    assert (system.torque(spins)[:, :, 4, 5] == 0).all()


def test_vectorised_and_scalar_builds_agree_bit_for_bit(builds):
    spins = random((9, 37), states=range(2))
    system = FilmSystem(spins, Film(**FILM, dmi=1e-3, boundary="open"), 0.1, None, False)
    set_columns(system.table, precession=0.8, damping=0.3, thermal=0.2)
    options = {"periodic": False, "thermal": True, "seed": 3}
    results = [
        torque(spins, system.table, flags=f, **options) for f in (VECTOR_FLAGS, SCALAR_FLAGS)
    ]
    assert {("llg.cu", VECTOR_FLAGS), ("llg.cu", SCALAR_FLAGS)} <= set(builds)
    assert torch.equal(*results)


@INDEPENDENT
def test_thermal_field_is_normal_and_of_the_given_width(device):
    """A spin along z turns by (-B_y, B_x) p: two components of the field; along x, the third."""
    spins = torch.cat([uniform((128, 128)), uniform((128, 128), (1.0, 0.0, 0.0))]).to(device)
    film = Film(**(FILM | {"exchange_stiffness": 1e-30}))
    system = FilmSystem(spins, film, 0.0, None, False)
    set_columns(system.table, precession=1.0, thermal=0.5)
    turned = system.torque(spins, thermal=True).double().cpu()
    samples = {"y": -turned[0, 0], "x": turned[0, 1], "z": turned[1, 1]}
    count = 128 * 128
    for name, values in samples.items():
        values = values.flatten() / 0.5
        # Four standard errors of the mean, the variance and the fourth moment of normal numbers.
        assert abs(values.mean()) < 4 / math.sqrt(count), name
        assert abs((values**2).mean() - 1) < 4 * math.sqrt(2 / count), name
        assert abs((values**4).mean() - 3) < 4 * math.sqrt(96 / count), name
    flat = torch.stack([v.flatten() for v in samples.values()])
    assert (torch.corrcoef(flat) - torch.eye(3)).abs().max() < 4 / math.sqrt(count)


def test_advance_adds_and_renormalises(device):
    spins = random((5, 7), states=range(3), device=device)
    spins[:, :, 2, 2] = 0
    slopes = [random((5, 7), seed=i, states=range(3), device=device) for i in range(1, 5)]
    for slope in slopes:
        slope[:, :, 2, 2] = 0
    weights = torch.linspace(-0.3, 0.4, 12).reshape(3, 4)
    for count in (1, 2, 3, 4):
        sum_ = spins.double().cpu()
        for j in range(count):
            sum_ = sum_ + weights[:, j, None, None, None] * slopes[j].double().cpu()
        expected = sum_ / sum_.norm(dim=1, keepdim=True).clamp(min=1e-9)
        result = advance(spins, slopes[:count], weights[:, :count])
        assert (result.cpu() - expected).abs().max() < 5e-7  # a few roundings of unit numbers


@pytest.mark.gpu
@NEEDS_GPU
@pytest.mark.parametrize("boundary", ["periodic", "open"])
def test_gpu_follows_the_host(boundary):
    results = []
    for device in ("cpu", "cuda"):
        spins = random((20, 70), states=range(3), device=device)
        film = Film(**FILM, dmi=1e-3, anisotropy=5e4, boundary=boundary)
        system = FilmSystem(spins, film, 0.2, None, True)
        set_columns(system.table, precession=0.9, damping=0.2, thermal=0.3)
        results.append(system.torque(spins, thermal=True).cpu())
    # Roundings of the FFT and of the special-function units, relative to fields of 30 T.
    assert (results[0] - results[1]).abs().max() < 1e-4


# --- integrators ----------------------------------------------------------------------------------


@pytest.mark.parametrize("damping", [0.0, 0.1, 1.0])
def test_one_spin_precesses_and_falls(damping):
    """θ and φ of a spin in a field: tan(θ/2) = e^(-αωt) tan(θ₀/2), φ = ωt, ω = γB/(1 + α²)."""
    film = Film(**FILM)
    end, field = 0.3e-9, 0.5
    start = uniform((4, 4), (1.0, 0.0, 0.2))
    spins = run(start, film, time=end, damping=damping, field=field, demagnetisation=False)
    angle = GYROMAGNETIC_RATIO * field * end / (1 + damping**2)
    theta0 = math.acos(start[0, 2, 0, 0].item())
    theta = 2 * math.atan(math.exp(-damping * angle) * math.tan(theta0 / 2))
    expected = torch.tensor(
        [math.sin(theta) * math.cos(angle), math.sin(theta) * math.sin(angle), math.cos(theta)]
    )
    # Some 300 steps of local error 1e-5 at most, far less here, and of single-precision rounding.
    assert (spins.mean((0, 2, 3)) - expected).abs().max() < 1e-4


def test_energy_is_conserved_without_damping_and_falls_with_it():
    film = Film(**FILM, dmi=1e-3, anisotropy=4e4)
    start = relax(random((32, 32), seed=1), film, torque=0.05)  # not yet at rest
    before = film.hamiltonian(0.1).energy(start)
    free = run(start, film, time=20e-12, damping=0.0, field=0.1)
    damped = run(start, film, time=20e-12, damping=0.3, field=0.1)
    after_free, after = (film.hamiltonian(0.1).energy(s) for s in (free, damped))
    assert not torch.allclose(free, start, atol=1e-2)
    lost = before - after
    assert lost > 0
    # What the integrator dissipates is below a hundredth of what damping does.
    assert abs(after_free - before) < 0.01 * lost


def test_states_do_not_depend_on_the_batch(device):
    """Each state has its own steps and its own random stream, whatever runs beside it."""
    parameters = {"exchange_stiffness": [8e-12, 12e-12, 5e-12], "saturation": [3e5, 5e5, 4e5]}
    start = random((16, 16), states=range(3), device=device)
    start = relax(start, Film(10e-12, 4e5), torque=0.1, demagnetisation=False)

    def go(which, **options):
        values = {k: torch.tensor([v[i] for i in which]) for k, v in parameters.items()}
        film = Film(**values, cell=4e-9, thickness=1e-9)
        options = {"states": which, "seed": 5, "time": 3e-12, "damping": 0.2} | options
        return run(start[which].contiguous(), film, demagnetisation=False, **options)

    for temperature in (0.0, 100.0):
        together = go([0, 1, 2], temperature=temperature)
        assert torch.equal(together[1], go([1], temperature=temperature)[0])
        assert torch.equal(together[[2, 0]], go([2, 0], temperature=temperature))
    assert not torch.equal(go([0], temperature=50.0), go([0], temperature=50.0, seed=6))


def test_watch_sees_equal_times():
    seen = []
    options = {"damping": 0.1, "field": 0.1, "demagnetisation": False}
    start = uniform((4, 4), (1.0, 0.0, 0.0))
    watched = run(
        *(start, Film(**FILM)),
        **options,
        time=1e-11,
        every=3e-12,
        watch=lambda t, s: seen.append((t, s.clone())),
    )
    assert [t for t, _ in seen] == pytest.approx([0, 3e-12, 6e-12, 9e-12, 1e-11], abs=1e-18)
    assert torch.equal(seen[0][1], start) and torch.equal(seen[-1][1], watched)
    # Times in between are reached by steps of their own: only the integration error differs.
    assert (watched - run(start, Film(**FILM), **options, time=1e-11)).abs().max() < 1e-5


# --- temperature ----------------------------------------------------------------------------------


@INDEPENDENT
def test_macrospins_obey_langevins_law(device):
    """⟨S_z⟩ = coth ξ - 1/ξ for cells without exchange, ξ = M_s V B / k_B T."""
    film = Film(1e-30, 400e3, cell=4e-9, thickness=1e-9)
    xi = torch.tensor([1.0, 2.0, 5.0])
    field = xi * BOLTZMANN * 300 / (400e3 * 16e-27)
    spins = random((48, 48), states=range(3), device=device)
    sums = []
    turn = 1 / (0.5 * GYROMAGNETIC_RATIO * field.min().item())  # 1/(α γ B) of the slowest
    run(
        *(spins, film),
        time=24 * turn,
        every=turn,
        watch=lambda t, s: sums.append(s[:, 2].double().mean((1, 2)).cpu()),
        damping=0.5,
        field=torch.stack([0 * xi, 0 * xi, field], 1),
        temperature=300.0,
        demagnetisation=False,
        seed=2,
    )
    measured = torch.stack(sums[5:]).mean(0)
    exact = 1 / torch.tanh(xi) - 1 / xi
    # 2304 cells seen some 10 times independently: ±.004; the method's bias is ½ % at this step.
    assert (measured - exact).abs().max() < 0.012, (measured, exact)


@pytest.mark.parametrize("demagnetisation", [True, False])
def test_temperature_measured_back(demagnetisation):
    """Torque and curvature of a free-running film show the temperature of its noise."""
    film = Film(**FILM, dmi=1.58e-3, anisotropy=5e4)
    seen = []
    run(
        *(uniform((64, 64)).repeat(2, 1, 1, 1), film),
        time=12e-12,
        every=1e-12,
        watch=lambda t, s: seen.append(spin_temperature(s, film, 0.1, demagnetisation)),
        damping=0.5,
        field=0.1,
        temperature=torch.tensor([100.0, 300.0]),
        demagnetisation=demagnetisation,
        seed=1,
    )
    measured = torch.stack(seen[5:]).mean(0)
    # One picture of 4096 cells scatters by 2 %, eight by 1 % as they are not quite independent.
    assert measured == pytest.approx(torch.tensor([100.0, 300.0]).double(), rel=0.03)


# In the second the anisotropy and the cells' own fields are 7 to 17 % of the formula.
@INDEPENDENT
@pytest.mark.parametrize(
    "change",
    [{"dmi": 1.58e-3, "anisotropy": 5e4}, {"exchange_stiffness": 0.5e-12, "anisotropy": 2e5}],
    ids=["FeGe", "weak exchange"],
)
def test_spin_temperature_of_a_heat_bath(change):
    """Another sampler, the same temperature: the formula does not rest on the integrator."""
    film = Film(**(FILM | change))
    temperatures = torch.full((200,), thermal_energy(250.0))
    start = uniform((64, 64)).repeat(4, 1, 1, 1)
    for field, demagnetisation in ((0.1, False), (0.1, True)):
        energy = film.hamiltonian(field)
        energy = energy if demagnetisation else replace(energy, dipolar=0.0)
        spins = anneal(energy, (64, 64), temperatures, start=start, states=range(4))
        measured = spin_temperature(spins, film, field, demagnetisation).mean()
        assert measured == pytest.approx(250.0, rel=0.03)  # three times the scatter of four states


@pytest.mark.parametrize("boundary", ["periodic", "open"])
@pytest.mark.parametrize("size", [(1, 1), (5, 1), (1, 4), (4, 4)])
def test_spin_temperature_is_the_ratio_of_torque_and_curvature(size, boundary):
    """Against differences of the energy, as each spin turns about two axes across it."""
    film = Film(**FILM, dmi=1.58e-3, anisotropy=5e4, boundary=boundary)
    spins = random(size, seed=1).double()
    spins /= spins.norm(dim=1, keepdim=True)
    energy, step = film.hamiltonian(0.1), 1e-3
    torque = curvature = 0.0
    for row, column in np.ndindex(*size):
        own = spins[0, :, row, column].clone()
        aside = torch.linalg.cross(own, torch.eye(3).double()[own.abs().argmin()], dim=0)
        first = aside / aside.norm()
        for across in (first, torch.linalg.cross(own, first, dim=0)):
            energies = []
            for angle in (-step, 0.0, step):
                turned = spins.clone()
                turned[0, :, row, column] = math.cos(angle) * own + math.sin(angle) * across
                energies.append(size[0] * size[1] * energy.energy_per_site(turned).item())
            below, here, above = energies
            torque += ((above - below) / (2 * step)) ** 2
            curvature += (above - 2 * here + below) / step**2
    expected = torque / curvature / thermal_energy(1.0)
    # The dipolar kernel is of single precision.
    assert spin_temperature(spins, film, 0.1).item() == pytest.approx(expected, rel=1e-3)


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, message",
    [
        ({"time": 0.0}, "time"),
        ({"every": -1.0}, "every"),
        ({"damping": -0.1}, "damping"),
        ({"temperature": math.nan}, "temperature"),
        ({"temperature": 10.0, "damping": 0.0}, "T = 0"),
        ({"temperature": torch.tensor([0.0, 10.0])}, "T = 0"),
        ({"damping": torch.ones(3)}, "damping"),
        ({"states": [1]}, "state indices"),
        ({"spins": torch.ones(2, 3, 4, 4)}, "unit vectors"),
        ({"spins": torch.ones(3, 4, 4)}, "batch of one"),
        ({"spins": torch.full((2, 3, 4, 4), math.nan)}, "unit vectors"),
    ],
)
def test_wrong_runs_are_refused(change, message):
    good = {"spins": uniform((4, 4)).repeat(2, 1, 1, 1), "time": 1e-12, "damping": 0.1}
    with pytest.raises(ValueError, match=message):
        run(film=Film(**FILM), **(good | change))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"exchange_stiffness": torch.ones(3)}, "exchange has shape .* does not fit 2 states"),
        ({"dmi": torch.full((3,), 1e-4)}, "dmi has shape .* does not fit 2 states"),
        ({"anisotropy": torch.ones(4, 5)}, "anisotropy has shape .* 2 states of 4×4 sites"),
        ({"anisotropy": torch.ones(3, 4, 4)}, "anisotropy has shape .* 2 states of 4×4 sites"),
        ({"field": torch.ones(3, 3)}, "zeeman has shape .* does not fit 2 states"),
    ],
)
@INDEPENDENT
def test_films_that_do_not_fit_the_spins_are_refused(change, message):
    film = Film(**FILM | {k: v for k, v in change.items() if k != "field"})
    spins = uniform((4, 4)).repeat(2, 1, 1, 1)
    with pytest.raises(ValueError, match=message):
        FilmSystem(spins, film, change.get("field", 0.0), None, demagnetisation=False)


def test_no_state_runs_at_once():
    none = torch.zeros(0, 3, 4, 4)
    assert run(none, Film(**FILM), damping=0.1, time=1e-12).shape == none.shape


def test_whoever_watches_may_keep_the_spins():
    kept = []
    options = {"damping": 0.1, "field": 0.1, "time": 1e-11, "every": 2e-12}

    def watch(_, spins):
        kept.append((spins, spins.clone()))

    run(uniform((4, 4), (1.0, 0.0, 0.0)), Film(**FILM), watch=watch, **options)
    assert len(kept) == 6 and all(torch.equal(*pair) for pair in kept)


def test_steps_without_a_tolerance_are_refused():
    with pytest.raises(ValueError, match="tolerance of a step is a positive number"):
        run(uniform((4, 4)), Film(**FILM), damping=0.1, time=1e-12, tolerance=0.0)
