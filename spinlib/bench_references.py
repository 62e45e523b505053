"""Other simulators doing the same work, for the benchmark, where they happen to be installed.

Neither is a dependency: `pip install spirit` and `pip install magnumnp` bring them in.
"""

from collections.abc import Callable

import torch


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


def magnum_right_hand_side(size: int, spins: torch.Tensor) -> Callable[[], object] | None:
    """One right-hand side of an open film by magnum.np, compiled, float32; None without it."""
    try:
        import magnumnp
    except ImportError:
        return None
    torch.set_default_dtype(torch.float32)  # what magnum.np computes in
    state = magnumnp.State(magnumnp.Mesh((size, size, 1), (4e-9, 4e-9, 1e-9)))
    state.material = {"A": 8.78e-12, "Ms": 384e3, "alpha": 0.1, "gamma": 2.211e5}
    state.m = spins[0].permute(2, 1, 0)[:, :, None, :].contiguous()
    field = magnumnp.ExternalField(torch.tensor([0.0, 0.0, 8e4]))
    solver = magnumnp.LLGSolver([magnumnp.ExchangeField(), magnumnp.DemagField(), field])
    return lambda: solver.dm(state.t, state.m, state)
