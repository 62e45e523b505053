"""Micromagnetics of thin films: the Landau-Lifshitz-Gilbert equation, at T = 0 and at temperature.

    dS/dt = -γ/(1 + α²) [S × B + α S × (S × B)],        B = -(1 / M_s V) ∂E/∂S + B_thermal

for batches of films, each with parameters, field, temperature and random stream of its own. Spins
are float32 (batch, 3, height, width), fields are in tesla, times in seconds.

A zero vector is a cell without magnet. There, and beyond open edges, bonds are left out: free
edges, which converge to those of the continuum, where the DMI turns the spins by |∂S/∂n| = D/2A.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from spinlib.anneal import check_lengths, coupling_table, largest_field
from spinlib.film import BOLTZMANN, VACUUM_PERMEABILITY, Film
from spinlib.hamiltonian import Number, check_spins, per_site
from spinlib.kernels import number_of
from spinlib.kernels.llg import advance, count_step, film_table, set_columns, torque, weight_table

# rad/(T s): 2.211e5 m/(A s) / μ0, as OOMMF and mumax3 take it (a free electron's, with g = 2.0023,
# is 1.7609e11; g = 2 would be 1.7588e11).
GYROMAGNETIC_RATIO = 1.7595e11

# The step at temperature, as a fraction of 1/(γ × the largest field, the thermal one included):
# keeps a macrospin to 1 % of Langevin's law; a film is measured to be 2 % too cold.
_THERMAL_FRACTION = 0.2

# The longest step that is stable, in the same unit: 1.73 for precession, 2.51 for damping.
_STABLE_FRACTION = 1.7

Field = Number | tuple[float, float, float]


class FilmSystem:
    """A film under a field, as the integrators see it: dS/d(γt) of spins of one size.

    `largest_field` (batch,) bounds the fields, and the frequencies of spin waves divided by γ.
    """

    def __init__(
        self,
        spins: torch.Tensor,
        film: Film,
        field: Field,
        states: Sequence[int] | None,
        demagnetisation: bool,
        seed: int = 0,
    ) -> None:
        if not isinstance(film, Film):
            raise TypeError(
                f"The equation of motion takes a Film, not a {type(film).__name__}: spins on a "
                "lattice are brought to rest by spinlib.anneal.quench."
            )
        batch, _, height, width = spins.shape
        states = range(batch) if states is None else states
        if number_of(states) != batch:
            raise ValueError(f"{len(states)} state indices were given for {batch} states.")
        saturation = per_state(film.saturation, spins, "saturation")
        volume = film.cell**2 * film.thickness
        self.moment = saturation * volume  # A m² = J/T
        zeptojoule = (1e21 * self.moment).to(spins.device, torch.float32)
        hamiltonian = film.hamiltonian(field)
        hamiltonian.check(spins)
        couplings, anisotropy = coupling_table(hamiltonian, spins)
        couplings /= zeptojoule[:, None]
        self.anisotropy = None
        if anisotropy is not None:
            self.anisotropy = (anisotropy / zeptojoule[:, None, None]).contiguous()
        dipolar = VACUUM_PERMEABILITY * saturation
        self.table = film_table(couplings, dipolar.to(couplings), states)
        self.demagnetising_field = None
        if demagnetisation:
            kernel = hamiltonian.dipoles(height, width, film.boundary)
            self.demagnetising_field = kernel.prepared(spins)
        self.periodic = film.boundary == "periodic"
        self.seed = seed
        dipolar = dipolar if demagnetisation else 0.0
        self.largest_field = largest_field(couplings, self.anisotropy, dipolar)

    def torque(
        self, spins: torch.Tensor, out: torch.Tensor | None = None, thermal: bool = False
    ) -> torch.Tensor:
        """dS/d(γt) in tesla, with the precession and damping in the table."""
        demagnetising = self.demagnetising_field and self.demagnetising_field(spins)
        return torque(
            *(spins, self.table),
            field=demagnetising,
            anisotropy=self.anisotropy,
            periodic=self.periodic,
            thermal=thermal,
            seed=self.seed,
            out=out,
        )


def run(
    spins: torch.Tensor,
    film: Film,
    *,
    time: float,
    damping: Number,
    field: Field = 0.0,
    temperature: Number = 0.0,
    demagnetisation: bool = True,
    seed: int = 0,
    states: Sequence[int] | None = None,
    every: float | None = None,
    watch: Callable[[float, torch.Tensor], None] | None = None,
    tolerance: float = 1e-5,
) -> torch.Tensor:
    """Let the spins move for `time` seconds; returns new spins.

    field          a number along z, or three components (3,), or those of each state (batch, 3)
    damping, temperature   (kelvin) numbers, or one per state
    every, watch   `watch(seconds, spins)` is called at 0 and then every so many seconds, with spins
                   that it may keep
    tolerance      at T = 0: error of any component in one step, by which the step adapts
    seed, states   name the thermal field's random numbers; to go on with fresh ones, give another
                   seed

    At T = 0 the method is Bogacki and Shampine's of order 3(2), every state with steps of its own;
    above, the midpoint rule with fixed steps, which converges to the Stratonovich solution.
    """
    spins = checked(spins)
    system = FilmSystem(spins, film, field, states, demagnetisation, seed)
    alpha = per_state(damping, spins, "damping")
    kelvin = per_state(temperature, spins, "temperature")
    for name, values in (("damping", alpha), ("temperature", kelvin)):
        if not (torch.isfinite(values).all() and (values >= 0).all()):
            raise ValueError(f"The {name} is finite and not negative, got {values.tolist()}.")
    for name, value in (("time", time), ("every", time if every is None else every)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name} is a positive number of seconds, got {value}.")
    if not 0 < tolerance < math.inf:
        raise ValueError(f"The tolerance of a step is a positive number, got {tolerance}.")
    if (kelvin > 0).any() and not ((kelvin > 0) & (alpha > 0)).all():
        raise ValueError(
            "A batch is run either at T = 0 or with a positive temperature and damping for every "
            f"state, got temperatures {kelvin.tolist()} K and dampings {alpha.tolist()}."
        )
    set_columns(system.table, precession=1 / (1 + alpha**2), damping=alpha / (1 + alpha**2))
    if (kelvin > 0).any():
        integrator = _Midpoint(system, spins, alpha, kelvin)
    else:
        integrator = BogackiShampine(system, spins, tolerance)
    intervals = max(1, math.ceil(time / every - 1e-9)) if every else 1
    if watch:
        watch(0.0, integrator.spins.clone())
    for number in range(1, intervals + 1):
        until = time if number == intervals else number * every
        integrator.go_on(until)
        if watch:
            watch(until, integrator.spins.clone())
    return integrator.spins


def spin_temperature(
    spins: torch.Tensor, film: Film, field: Field = 0.0, demagnetisation: bool = True
) -> torch.Tensor:
    """The temperature in kelvin that a configuration shows, (batch,).

    In equilibrium k_B T = ⟨Σ |S × ∂E/∂S|²⟩ / ⟨Σ ∇²E⟩, ∇² on each spin's sphere: 2 S·b for a field
    b, 2K (3 S_z² - 1) for an anisotropy (Nurdin and Schotte, doi:10.1103/PhysRevE.61.3579).
    """
    energy = film.hamiltonian(field)
    spins = spins.double()
    occupied, z_squared = spins.square().sum(1), spins[:, 2].square()
    if not demagnetisation:
        energy = replace(energy, dipolar=0.0)
    force = energy.field(spins)
    squared = torch.linalg.cross(spins, force, dim=1).square().flatten(1).sum(1)
    # Linear terms first; then what the terms quadratic in one spin have on top of theirs, -K S_z²
    # and a cell's demagnetising field on itself and its images.
    curvature = 2 * (spins * force).sum(1)
    curvature += 2 * per_site(energy.anisotropy, spins) * (z_squared - occupied)
    if film.boundary == "periodic":  # a cell is its own neighbour across one: J S², a constant
        across_one = sum(side == 1 for side in spins.shape[-2:])
        curvature -= 4 * across_one * per_site(energy.exchange, spins) * occupied
    if demagnetisation:
        cell = spins.new_zeros((3, 3, *spins.shape[-2:]))
        cell[:, :, 0, 0] = torch.eye(3)
        kernel = energy.dipoles(*spins.shape[-2:], film.boundary)
        tensor = kernel.field(cell)[:, :, 0, 0]
        own = torch.einsum("bixy,ij,bjxy->bxy", spins, tensor, spins) - tensor.trace() * occupied
        curvature += per_site(energy.dipolar, spins) * own
    return squared / (1e21 * BOLTZMANN * curvature.flatten(1).sum(1))


def per_state(value: Number, spins: torch.Tensor, name: str) -> torch.Tensor:
    """A number or (batch,) as float64 (batch,) on the CPU."""
    values = torch.as_tensor(value, dtype=torch.float64).cpu()
    if values.ndim > 1 or (values.ndim == 1 and len(values) not in (1, len(spins))):
        raise ValueError(
            f"The {name} is one number or one per state: got shape {tuple(values.shape)} for "
            f"{len(spins)} states."
        )
    return values.reshape(-1).expand(len(spins))


# Weights of the torques, in units of the step, of Bogacki and Shampine's three stages.
_STAGES = ((1 / 2, 0, 0, 0), (3 / 4, 0, 0, 0), (2 / 9, 1 / 3, 4 / 9, 0))


class BogackiShampine:
    """Order 3 with an error estimate of order 2 (doi:10.1016/0893-9659(89)90079-7).

    Every state has its own time and its own step, and is the same whatever runs beside it.
    """

    def __init__(self, system: FilmSystem, spins: torch.Tensor, tolerance: float) -> None:
        self.system, self.spins, self.tolerance = system, spins, tolerance
        self.slopes = [system.torque(spins)] + [torch.empty_like(spins) for _ in range(3)]
        self.stage, self.candidate = torch.empty_like(spins), torch.empty_like(spins)
        self.time = torch.zeros(len(spins), dtype=torch.float64)  # γt, as is the step
        self.longest = _STABLE_FRACTION / system.largest_field.clamp(min=1e-12)
        self.step = 0.01 * self.longest

    def go_on(self, seconds: float) -> None:
        """Advance every state to this time."""
        end = GYROMAGNETIC_RATIO * seconds
        while (active := (left := end - self.time) > 1e-9 * end).any():
            self.try_step(torch.minimum(self.step, left), active)

    def try_step(self, step: torch.Tensor, active: torch.Tensor) -> None:
        """Try a step (batch,) in γt; active states whose error is small enough advance."""
        k1, k2, k3, k4 = self.slopes
        weights = step[:, None] * torch.tensor(_STAGES, dtype=step.dtype)[:, None]
        first, second, third = weight_table(weights, self.spins.device)
        advance(self.spins, [k1], first, self.stage)
        self.system.torque(self.stage, k2)
        advance(self.spins, [k2], second, self.stage)
        self.system.torque(self.stage, k3)
        advance(self.spins, [k1, k2, k3], third, self.candidate)
        self.system.torque(self.candidate, k4)
        estimate = torch.mul(k1, -5 / 72, out=self.stage)
        estimate.add_(k2, alpha=1 / 12).add_(k3, alpha=1 / 9).add_(k4, alpha=-1 / 8)
        largest = torch.linalg.vector_norm(estimate.flatten(1), math.inf, dim=1)
        error = step * largest.double().cpu() / self.tolerance
        good = active & (error <= 1)
        if good.all():
            self.spins, self.candidate = self.candidate, self.spins
            self.slopes[0], self.slopes[3] = k4, k1
        elif good.any():
            chosen = good.to(self.spins.device)
            self.spins[chosen] = self.candidate[chosen]
            k1[chosen] = k4[chosen]
        self.time += torch.where(good, step, 0.0)
        factor = (0.9 * error.clamp(min=1e-9) ** (-1 / 3)).clamp(0.2, 2.0)
        # A good step that was cut short by the end of an interval says nothing against longer ones.
        wanted = torch.where(good & (step < self.step), self.step, 0.0)
        wanted = torch.maximum(step * factor, wanted).clamp(max=self.longest)
        self.step = torch.where(active, wanted, self.step)


class _Midpoint:
    """The explicit midpoint rule, one thermal field for both stages: the Stratonovich solution.

    The thermal field has the standard deviation √(2 α k_B T / (γ M_s V Δt)) in every component.
    At equal steps the rule, brought back to the sphere, is five times closer to Langevin's law
    than Heun's method.
    """

    def __init__(self, system, spins, damping, temperature) -> None:
        self.system, self.spins = system, spins
        thermal = damping * BOLTZMANN * temperature / system.moment  # α k_B T / M_s V in tesla
        self.variance = 2 * thermal  # of the thermal field, multiplied by γ Δt
        self.longest = _THERMAL_FRACTION / (system.largest_field + 8 * thermal)
        self.slope, self.stage = torch.empty_like(spins), torch.empty_like(spins)
        self.seconds = 0.0

    def go_on(self, seconds: float) -> None:
        """Advance every state to this time, in equal steps."""
        interval = GYROMAGNETIC_RATIO * (seconds - self.seconds)
        self.seconds = seconds
        count = torch.ceil(interval / self.longest).clamp(min=1)
        step = (interval / count)[:, None]
        set_columns(self.system.table, thermal=torch.sqrt(self.variance / step[:, 0]))
        # In the loop nothing is copied to a GPU, nor does anything wait for it.
        device = self.spins.device
        half, whole = (weight_table(weights, device) for weights in (0.5 * step, step))
        fewest, counts = int(count.min()), count.to(device)[:, None, None, None]
        for number in range(int(count.max())):
            self.system.torque(self.spins, self.slope, thermal=True)
            advance(self.spins, [self.slope], half, self.stage)
            self.system.torque(self.stage, self.slope, thermal=True)
            advance(self.spins, [self.slope], whole, self.stage)
            active = number < counts
            if number < fewest:
                self.spins, self.stage = self.stage, self.spins
            else:
                torch.where(active, self.stage, self.spins, out=self.spins)
            count_step(self.system.table, active.flatten())


def checked(spins: torch.Tensor) -> torch.Tensor:
    """A float32 copy to work on, of which no gradient is kept."""
    check_spins(spins)
    check_lengths(spins)
    return spins.detach().to(torch.float32, copy=True).contiguous()
