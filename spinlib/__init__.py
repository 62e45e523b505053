"""Magnetic Hamiltonian parameters from pictures: physics, kernels, networks and the runner.

Importing the package is cheap: a module loads torch only when it is imported itself.
"""

import os

__version__ = "0.1.0"

# An idle OpenMP thread of torch by default spins on its core for a while, in the way of the
# kernels' threads and of other programs: on a busy machine that makes small FFTs a hundred times
# slower. It is read when torch is loaded, so it helps where spinlib is imported first.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
