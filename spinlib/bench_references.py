"""Other simulators doing the same work, for the benchmark, where they happen to be installed.

None is a dependency: `pip install spirit magnumnp "neuralmag[jax]"` brings them in.
"""

import os
from collections.abc import Callable

import numpy as np
import torch

from spinlib.film import VACUUM_PERMEABILITY, Film
from spinlib.llg import GYROMAGNETIC_RATIO


def spirit_sweeps(size: int, sweeps: int) -> Callable[[], None] | None:
    """Metropolis sweeps of study 4's Hamiltonian by Spirit (double precision); None without it.

    Its Monte Carlo misses exact averages by some percent; its speed is still a speed.
    """
    try:
        from spirit import configuration, geometry, hamiltonian, simulation, state
        from spirit.parameters import mc
    except ImportError:
        return None
    lattice = state.State("", quiet=True).__enter__()  # closed with the process
    geometry.set_n_cells(lattice, [size, size, 1])
    hamiltonian.set_boundary_conditions(lattice, [True, True, False])
    hamiltonian.set_exchange(lattice, 1, [1.0])
    hamiltonian.set_dmi(lattice, 1, [0.3])
    mc.set_temperature(lattice, 0.4 / 0.08617)  # 0.4 meV in kelvin, the exchange being 1 meV
    mc.set_iterations(lattice, 10**9, 10**9)
    mc.set_output_general(lattice, any=False)
    configuration.random(lattice)
    simulation.start(lattice, simulation.METHOD_MC, None, single_shot=True)
    return lambda: simulation.n_shot(lattice, sweeps)


def torques(
    spins: torch.Tensor, film: Film, field: float, damping: float, cores: int
) -> dict[str, Callable[[], object]]:
    """One right-hand side of an open film's LLG equation, by each program that is installed.

    `spins` (3, height, width), `field` along z in tesla; in single precision and compiled.
    """
    makers = {"magnum.np 2.2": _magnum_torque}
    if cores == os.cpu_count():  # XLA takes every core there is
        makers["NeuralMag 1.0"] = _neuralmag_torque
    made = {name: make(spins, film, field, damping) for name, make in makers.items()}
    return {name: torque for name, torque in made.items() if torque}


def _magnum_torque(
    spins: torch.Tensor, film: Film, field: float, damping: float
) -> Callable[[], object] | None:
    """By magnum.np, without the film's DMI; None where it is not installed."""
    try:
        import magnumnp
    except ImportError:
        return None
    torch.set_default_dtype(torch.float32)  # what magnum.np computes in
    cells = (spins.shape[2], spins.shape[1], 1)
    state = magnumnp.State(magnumnp.Mesh(cells, (film.cell, film.cell, film.thickness)))
    state.material = {
        "A": film.exchange_stiffness,
        "Ms": film.saturation,
        "alpha": damping,
        "gamma": GYROMAGNETIC_RATIO * VACUUM_PERMEABILITY,
    }
    state.m = spins.permute(2, 1, 0)[:, :, None, :].contiguous()
    external = magnumnp.ExternalField(torch.tensor([0.0, 0.0, field / VACUUM_PERMEABILITY]))
    solver = magnumnp.LLGSolver([magnumnp.ExchangeField(), magnumnp.DemagField(), external])
    return lambda: solver.dm(state.t, state.m, state)


def _neuralmag_torque(
    spins: torch.Tensor, film: Film, field: float, damping: float
) -> Callable[[], object] | None:
    """By NeuralMag on JAX, its vectors at the corners of the cells; None where not installed."""
    os.environ.update(NM_BACKEND="jax", NM_DTYPE="float32")
    try:
        import jax
        import neuralmag
        from neuralmag.backends.jax.llg_solver_jax import llg_rhs
    except ImportError:
        return None
    cells = (spins.shape[2], spins.shape[1])
    state = neuralmag.State(neuralmag.Mesh(cells, (film.cell, film.cell, film.thickness)))
    state.material.A, state.material.Ms = film.exchange_stiffness, film.saturation
    state.material.Db, state.material.alpha = film.dmi, damping
    corners = np.pad(spins.permute(2, 1, 0).numpy(), ((0, 1), (0, 1), (0, 0)), mode="wrap")
    state.m = neuralmag.VectorFunction(state, tensor=state.tensor(corners))
    along_z = neuralmag.VectorFunction(state).fill((0.0, 0.0, field / VACUUM_PERMEABILITY))
    terms = {
        "exchange": neuralmag.ExchangeField(),
        "dmi": neuralmag.BulkDMIField(),
        "demag": neuralmag.DemagField(),
        "external": neuralmag.ExternalField(along_z),
    }
    for name, term in terms.items():
        term.register(state, name)
    neuralmag.TotalField(*terms).register(state)
    torque = jax.jit(state.resolve(llg_rhs, ["m"]))
    return lambda: torque(state.m.tensor).block_until_ready()
