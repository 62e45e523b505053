"""Monte Carlo annealing: a batch of lattices, each with its own Hamiltonian and schedule.

Short-range terms are sampled exactly by the heat bath (`spinlib.kernels`). Dipoles couple every
site to every other, which a field held during a sweep gets wrong: neighbours turned at once see
each other as they were (1 % in the energy at the couplings of study 2). So they are decoupled
exactly, by a Gaussian field φ (Hubbard 1959, doi:10.1103/PhysRevLett.3.77; Stratonovich):

    exp(½ S K S / T)  ∝  ∫ dφ exp(-½ φ K⁻¹ φ / T + φ·S / T),    K without negative eigenvalues.

Given φ the spins have short-range couplings in a field φ, for the heat bath. Given the spins,
φ = K S + √(T K) ξ with white noise ξ, by FFT. Both steps keep the joint equilibrium, however
many sweeps go by between refreshments of φ. K is made positive by a constant on its diagonal,
a constant energy and an anisotropy that is taken off again.
"""

import math
import operator
import warnings
from collections.abc import Sequence
from contextlib import suppress
from numbers import Integral

import torch

from spinlib import textures
from spinlib.hamiltonian import Hamiltonian, Number, field_vector
from spinlib.kernels import (
    heat_bath,
    number_of,
    random_normal,
    random_uniform,
    resolve_device,
)
from spinlib.kernels.heatbath import COUPLINGS, heat_bath_with_dipoles

_WEAKEST = 1e-5  # a move adds 1e-10 to its field, lest there be none
_HOTTEST = 1e30  # beyond it single precision overflows on the way

# A float32 field of magnitude B leaves a torque of about this times B, however well relaxed.
ROUNDING = 1e-7

_PURPOSE = "dipole field"  # of the random numbers that draw it


def linear(hot: float, cold: float, sweeps: int) -> torch.Tensor:
    """Temperatures (sweeps,) in equal steps from `hot` to `cold`, both included."""
    hot, cold, sweeps = _checked(hot, cold, sweeps)
    # Rounded from double precision, in which processors differ by less than is kept.
    return torch.linspace(hot, cold, sweeps, dtype=torch.float64).float()


def _checked(hot: float, cold: float, sweeps: int) -> tuple[float, float, int]:
    """A schedule's ends and length as Python's own numbers; refuse what makes no schedule."""
    try:
        number = operator.index(sweeps)
    except TypeError:
        number = 0
    if number < 1:
        raise ValueError(f"A schedule takes a whole number of sweeps, at least one, not {sweeps}.")
    ends = [math.nan]
    with suppress(TypeError, ValueError, RuntimeError, OverflowError):
        ends = torch.tensor([hot, cold], dtype=torch.float64).flatten().tolist()
    if len(ends) != 2 or not all(0 <= end <= _HOTTEST for end in ends):
        raise ValueError(
            f"Temperatures are numbers from 0 to {_HOTTEST:g}, not {hot!r} and {cold!r}."
        )
    return ends[0], ends[1], number


def random_rate(
    hot: float, slowest: int, fastest: int, *, seed: int, states: Sequence[int]
) -> torch.Tensor:
    """Schedules (states, slowest): linear to zero within a number of sweeps of each state's own.

    The number lies between `fastest` and `slowest`, uniform in its logarithm; at zero temperature
    the remaining sweeps relax the state.
    """
    hot, _, slowest = _checked(hot, 0.0, slowest)
    _, _, fastest = _checked(hot, 0.0, fastest)
    if fastest > slowest:
        raise ValueError(
            f"The fastest cooling takes from 1 to the slowest's {slowest} sweeps, not {fastest}."
        )
    u = random_uniform((1,), seed=seed, states=states, purpose="cooling rate")
    length = fastest * (slowest / fastest) ** u.double()
    return (hot * (1 - torch.arange(slowest) / length)).clamp(min=0).float()


def anneal(
    hamiltonian: Hamiltonian,
    size: tuple[int, int],
    temperatures: torch.Tensor,
    *,
    seed: int = 0,
    states: Sequence[int] = (0,),
    start: torch.Tensor | None = None,
    dipole_every: int = 1,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Cool random spins (or `start`) through `temperatures`, (sweeps,) or (batch, sweeps).

    `states` are the indices of the states in their data set: state i is the same whatever other
    states are annealed beside it. Random numbers begin anew with each call: to go on from a `start`
    with fresh ones, give another seed. Returns spins (batch, 3, height, width).
    """
    device = resolve_device(device)
    if start is None:
        spins = textures.random(size, seed=seed, states=states, device=device)
    else:
        spins = start
        if tuple(start.shape) != (number_of(states), 3, *size):
            raise ValueError(
                f"The start has shape {tuple(start.shape)}, but {len(states)} states of "
                f"{size[0]}×{size[1]} sites need {(len(states), 3, *size)}."
            )
    spins = spins.detach().to(device, torch.float32, copy=True).contiguous()
    sweep(spins, hamiltonian, temperatures, seed=seed, states=states, dipole_every=dipole_every)
    return spins


def sweep(
    spins: torch.Tensor,
    hamiltonian: Hamiltonian,
    temperatures: torch.Tensor,
    *,
    seed: int,
    states: Sequence[int],
    first_sweep: int = 0,
    dipole_every: int = 1,
) -> None:
    """Heat-bath sweeps of `spins` in place, one per temperature; the dipoles' field is drawn anew
    before every `dipole_every`-th of them."""
    _check(hamiltonian, spins)
    batch, _, height, width = spins.shape
    if number_of(states) != batch:
        raise ValueError(f"{batch} lattices need as many state indices, got {len(states)}.")
    if not (isinstance(dipole_every, Integral) and dipole_every >= 1):
        raise ValueError(
            f"The dipoles' field is drawn anew every 1, 2, 3 … sweeps, not every {dipole_every}."
        )
    temperatures = torch.as_tensor(temperatures, dtype=torch.float32, device=spins.device)
    if temperatures.ndim not in (1, 2) or temperatures.shape[:-1] not in ((), (1,), (batch,)):
        raise ValueError(
            f"Temperatures are (sweeps,), or (batch, sweeps) with {batch} rows, not "
            f"{tuple(temperatures.shape)}."
        )
    temperatures = temperatures.expand(batch, temperatures.shape[-1]).clamp(max=_HOTTEST)
    couplings, anisotropy = coupling_table(hamiltonian, spins)
    dipolar = _per_state(hamiltonian.dipolar, spins)
    long_ranged = bool((dipolar != 0).any())
    if long_ranged:
        if (dipolar < 0).any():
            raise ValueError(
                f"Dipoles cannot be annealed with a negative strength ({dipolar.min():g}): their "
                "field of fluctuations would be imaginary."
            )
        kernel, own = hamiltonian.dipoles(height, width, hamiltonian.boundary).positive
        couplings[:, COUPLINGS.index("anisotropy")] += dipolar * own
    strongest = largest_field(couplings, anisotropy, dipolar)
    # In the coldest sweep they have to count. (Of no sweeps at all it is infinitely hot.)
    coldest = torch.nn.functional.pad(temperatures, (0, 1), value=math.inf).amin(1)
    largest = torch.maximum(strongest, coldest.double().cpu())
    if ((strongest > 0) & (largest < _WEAKEST)).any():
        raise ValueError(
            f"Couplings and temperatures of {largest.min():.2g} at most are below {_WEAKEST:g} and "
            "lost in single precision: give energies in a unit of about their size, as J."
        )
    options = {
        "seed": seed,
        "states": states,
        "anisotropy": anisotropy,
        "periodic": hamiltonian.boundary == "periodic",
    }
    if not long_ranged:
        heat_bath(spins, couplings, temperatures, first_sweep=first_sweep, **options)
        return
    if spins.is_cuda or kernel.host is not None:
        both = (kernel, kernel.root)
        heat_bath_with_dipoles(
            *(spins, couplings, temperatures, dipolar),
            *(each.on_gpu(spins.device) if spins.is_cuda else each.host for each in both),
            every=dipole_every,
            purpose=_PURPOSE,
            first_sweep=first_sweep,
            **options,
        )
        return
    for first in range(0, temperatures.shape[1], dipole_every):  # a size that torch transforms
        some, number = temperatures[:, first : first + dipole_every], first_sweep + first
        field = _dipole_field(spins, kernel, dipolar, some[:, 0], seed, states, number)
        heat_bath(spins, couplings, some, first_sweep=number, field=field, **options)


def _dipole_field(spins, kernel, strength, temperature, seed, states, draw) -> torch.Tensor:
    """d K S + √(d T) R ξ by torch, for strengths d and temperatures T (batch,)."""
    noise = None
    if temperature.any():
        draws = {"seed": seed, "states": states, "purpose": _PURPOSE, "draw": draw}
        white = random_normal(kernel.noise_shape, device=spins.device, **draws)
        # The field is multiplied by the strength, its variance is to be d T.
        white *= (temperature / strength).nan_to_num(0, 0).sqrt()[:, None, None, None, None]
        noise = kernel.thermal_noise(white)
    return kernel.field_by_torch(spins, noise).mul_(strength[:, None, None, None])


def quench(
    spins: torch.Tensor,
    hamiltonian: Hamiltonian,
    *,
    torque: float = 1e-4,
    max_sweeps: int = 100_000,
) -> torch.Tensor:
    """Relax to a metastable state by turning each spin along its field, over and over.

    A state is left alone as soon as its largest |S × field| is below `torque` (in the unit of
    energy), or below what single precision resolves, 1e-7 of the largest field; so it is the same
    whatever other states are relaxed beside it. Warns, with the number of states, if `max_sweeps`
    do not suffice. Returns new spins. With dipoles it is slow: a film gets there sooner with
    `spinlib.relaxation.relax`.
    """
    if not torque > 0 or max_sweeps < 1:
        raise ValueError(
            f"A quench to a torque of {torque} in {max_sweeps} sweeps cannot be: both are positive."
        )
    _check(hamiltonian, spins)
    spins = spins.detach().to(torch.float32, copy=True).contiguous()
    couplings, anisotropy = coupling_table(hamiltonian, spins)
    dipolar = _per_state(hamiltonian.dipolar, spins)
    threshold = ROUNDING * largest_field(couplings, anisotropy, dipolar)
    threshold = threshold.clamp(min=torque).to(spins.device)
    moving = torch.arange(len(spins), device=spins.device)
    for done in range(0, max_sweeps + 100, 100):
        residual = hamiltonian.of(moving).torque(spins[moving])
        left = residual >= threshold[moving]
        moving, residual = moving[left], residual[left]
        sweeps = min(100, max_sweeps - done)
        if not len(moving) or sweeps <= 0:
            break
        some, cold = spins[moving], torch.zeros(sweeps)
        sweep(some, hamiltonian.of(moving), cold, seed=0, states=moving.tolist())
        spins[moving] = some
    if len(moving):
        film = "; for a film, spinlib.relaxation.relax is the faster way" if dipolar.any() else ""
        warnings.warn(
            f"{len(moving)} of {len(spins)} states still have a torque of up to "
            f"{residual.max():.2g} after {max_sweeps} sweeps, above the {threshold.max():.2g} "
            f"asked for: raise max_sweeps, or accept{film}.",
            stacklevel=2,
        )
    return spins


def largest_field(
    couplings: torch.Tensor, anisotropy: torch.Tensor | None, dipolar: torch.Tensor | float
) -> torch.Tensor:
    """A bound of the fields and of spin waves' frequencies divided by γ, (batch,) on the CPU.

    couplings, anisotropy   a `coupling_table`
    dipolar                 (batch,), of a film's dipoles
    """
    columns = couplings.double().cpu().abs().unbind(1)
    strength = dict(zip(COUPLINGS, columns, strict=True))
    dmi = strength["dmi_interfacial"] + strength["dmi_bulk"]
    uniaxial = strength["anisotropy"]
    if anisotropy is not None:
        uniaxial = anisotropy.abs().flatten(1).amax(1).double().cpu()
    zeeman = torch.stack([strength[f"field_{name}"] for name in "xyz"]).norm(dim=0)
    dipolar = torch.as_tensor(dipolar, dtype=torch.float64).cpu().abs()
    return 8 * strength["exchange"] + 8 * dmi + 2 * uniaxial + zeeman + dipolar


def _check(hamiltonian: Hamiltonian, spins: torch.Tensor) -> None:
    """Refuse what is no Hamiltonian, one that does not fit the spins, and no unit vectors."""
    if not isinstance(hamiltonian, Hamiltonian):
        raise TypeError(
            f"Annealing takes a Hamiltonian, not a {type(hamiltonian).__name__}: of a film it is "
            "film.hamiltonian(field)."
        )
    hamiltonian.check(spins)
    check_lengths(spins)


def check_lengths(spins: torch.Tensor) -> None:
    """Refuse spins that are neither of length 1, to the precision of float16, nor vacancies."""
    length = spins.norm(dim=1)
    wrong = ~(((length - 1).abs() < 2e-3) | (length == 0))
    if wrong.any():
        raise ValueError(
            f"{int(wrong.sum())} spins are neither unit vectors nor vacancies (zero); the first "
            f"has length {length[wrong][0]:.6g}. Normalise them first."
        )


def coupling_table(
    hamiltonian: Hamiltonian, spins: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The short-range couplings as the kernels want them, a row of COUPLINGS for each state, and
    the anisotropy map."""
    table = torch.zeros((len(spins), len(COUPLINGS)), dtype=torch.float32, device=spins.device)
    column = dict(zip(COUPLINGS, table.unbind(1), strict=True))
    column["exchange"].copy_(_per_state(hamiltonian.exchange, spins))
    column[f"dmi_{hamiltonian.dmi_kind}"].copy_(_per_state(hamiltonian.dmi, spins))
    field = torch.as_tensor(hamiltonian.zeeman, dtype=torch.float32, device=spins.device)
    for name, component in zip("xyz", field_vector(field).unbind(-1), strict=True):
        column[f"field_{name}"].copy_(component)
    anisotropy = torch.as_tensor(hamiltonian.anisotropy, dtype=torch.float32, device=spins.device)
    if anisotropy.ndim < 2:
        column["anisotropy"].copy_(anisotropy)
        return table, None
    return table, anisotropy.reshape(-1, *spins.shape[-2:])


def _per_state(value: Number, spins: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(value, dtype=torch.float32, device=spins.device).expand(len(spins))
