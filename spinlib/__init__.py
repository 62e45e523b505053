"""Magnetic Hamiltonian parameters from pictures: physics, kernels, networks and the runner.

What a script of your own begins with, in the order of the loop that every study walks:

    hamiltonian   Hamiltonian              exchange, DMI, anisotropy, field, dipoles on a lattice
    film          Film                     a thin film in SI units, as such a lattice
    textures      random, helix, skyrmions, topological_charge
    anneal        anneal, linear, quench   Monte Carlo cooling; to the nearest minimum of a lattice
    llg           run, spin_temperature    the equation of motion, at T = 0 and at temperature
    relaxation    relax                    to the nearest minimum of a film, with its dipoles
    hysteresis    hysteresis               loops
    dataset       dataset                  the states of a recipe, made once and kept
    microscope    Microscope               spins to pictures
    pictures      read_picture             a file to a picture
    training      fit                      one loop for all networks
    estimation    estimate, Conditions, Ranges    a picture to parameters with intervals
    domains       stripe_period, wall      what a picture shows, measured
    figures       draw_spins, contact_sheet
    study         Study                    a notebook's results and claims

>>> from spinlib.film import Film

Names without an underscore are for others too; these are the ones to know. Importing the package is
cheap: a module loads torch only when it is imported itself.
"""

import os

__version__ = "0.1.0"

# An idle OpenMP thread of torch by default spins on its core for a while, in the way of the
# kernels' threads and of other programs: on a busy machine that makes small FFTs a hundred times
# slower. It is read when torch is loaded, so it helps where spinlib is imported first.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
