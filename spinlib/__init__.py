"""Magnetic Hamiltonian parameters from pictures: physics, kernels, networks and the runner.

Importing the package is cheap: a module loads torch only when it is imported itself.
"""

__version__ = "0.1.0"
