# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4. A variational autoencoder that falls into the ground state
# *Does an autoencoder whose loss contains the magnetic energy find the ground state of the
# Hamiltonian, although no state that it learned from is one?*
#
# H. Y. Kwon et al., Adv. Sci. 8, 2004795 (2021): anneal skyrmion states, train an autoencoder on
# them, and raise the weight γ of the energy. Past a critical γ every generated state should be one
# and the same lattice, shifted.

# %% tags=["parameters"]
profile: str = "laptop"  # sizes: smoke, laptop or paper
device: str = "auto"  # auto, cpu or cuda
seed: int = 1  # seed of every random number
output: str = ""  # folder of the results; empty is figures/<profile>/04
box: int = 128  # sites along each side of the annealed states shown in chapter 1
shown_states: int = 24  # annealed states per cooling rate in chapter 1
cooling_sweeps: list[int] = [300, 1000, 3000]  # sweeps of the cooling rates in chapter 1

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from spinlib import figures, textures
from spinlib.anneal import anneal, linear, quench
from spinlib.contrast import colour
from spinlib.hamiltonian import Hamiltonian
from spinlib.study import Study

study = Study("04", profile=profile, output=output, seed=seed, device=device)

# %% [markdown]
# ## 1. The states that cooling finds, and the state it does not
# The system is a square lattice of unit vectors with periodic edges. Exchange wants neighbours
# parallel, the Dzyaloshinskii–Moriya interaction wants them turned against each other, and a weak
# field along +z decides that what remains between the turns points up:

# %%
hamiltonian = Hamiltonian(exchange=1.0, dmi=0.3, zeeman=0.05)
hamiltonian

# %% [markdown]
# Their compromise are skyrmions: round islands whose core points down (black) inside a background
# that points up (white), every in-plane direction (hue) appearing once around each of them.
# We anneal by Monte Carlo from above the ordering temperature to zero. Every sweep draws each spin
# anew from its exact Boltzmann distribution in the field of its four neighbours.

# %%
annealed = {}
for sweeps in cooling_sweeps:
    annealed[sweeps] = anneal(
        hamiltonian,
        (box, box),
        linear(1.0, 0.0, sweeps),
        seed=seed,
        states=range(shown_states),
        device=study.device,
    ).cpu()

slowest = annealed[cooling_sweeps[-1]]
energy = hamiltonian.energy_per_site(slowest)
charge = textures.topological_charge(slowest)

# %%
titles = [f"E/N = {e:.4f}, Q = {q:.0f}".replace("-", "−") for e, q in zip(energy, charge)]
sheet = figures.contact_sheet(colour(slowest[:8]), titles[:8], columns=4)
study.save(
    sheet,
    "annealed_states",
    numbers={"energy_J_per_site": energy[:8], "topological_charge": charge[:8]},
    caption=f"Eight states annealed in {cooling_sweeps[-1]} sweeps, with energy per site in units "
    "of J and topological charge. Hue is the in-plane angle, white points up, black down. The "
    "skyrmions are there, but their triangular lattice is broken, and they differ in size and "
    "shape: the paper's metastable states.",
)
sheet

# %%
wheel = figures.colour_wheel().figure
study.save(
    wheel,
    "colour_wheel",
    caption="How a direction is coloured in every picture of spins: hue is the in-plane angle, "
    "lightness the component towards the reader.",
)
wheel

# %% [markdown]
# ### How far from the ground state?
# A perfect lattice must fit the box. We put *m* skyrmions across and *n* rows down, every other row
# moved by half a step, and let every spin turn along its field until no torque is left.

# %%
shapes = [(5, 6), (4, 6), (6, 6), (5, 4)]
lattices = {}
for across, down in shapes:
    start = textures.skyrmion_lattice((128, 128), across, down)
    lattices[f"{across}×{down}"] = quench(start, hamiltonian, torque=1e-4)

reference = pd.DataFrame(
    {
        "energy per site (J)": [hamiltonian.energy_per_site(s).item() for s in lattices.values()],
        "topological charge": [textures.topological_charge(s).item() for s in lattices.values()],
        "largest torque (J)": [hamiltonian.torque(s).item() for s in lattices.values()],
    },
    index=pd.Index(lattices, name="lattice on 128×128"),
)
reference.round({"energy per site (J)": 5, "topological charge": 3})

# %%
perfect = figures.contact_sheet(
    colour(torch.cat(list(lattices.values()))),
    [f"{name}, E/N = {e:.4f}".replace("-", "−") for name, e in zip(lattices, reference.iloc[:, 0])],
)
study.save(
    perfect,
    "reference_lattices",
    numbers={"lattices": reference},
    caption="Commensurate skyrmion lattices on 128×128 sites after relaxation to zero torque. The "
    "5×6 lattice, nearly equilateral and of the best spacing, has the lowest energy of them.",
)
perfect

# %%
uniform = hamiltonian.energy_per_site(textures.uniform((16, 16))).item()
energies = {n: hamiltonian.energy_per_site(spins).numpy() for n, spins in annealed.items()}

figure, ax = plt.subplots(figsize=(5.6, 3.6), layout="constrained")
for position, values in enumerate(energies.values()):
    spread = np.linspace(-0.25, 0.25, len(values))
    ax.plot(position + spread, values, ".", ms=5, color=figures.CURVES[1])
    ax.plot([position - 0.3, position + 0.3], [values.mean()] * 2, color="black")
for (name, e), shade in zip(reference.iloc[:, 0].items(), figures.CURVES[2:]):
    ax.axhline(e, color=shade, lw=1.2)
    ax.annotate(
        f" {name}", (1, e), xycoords=("axes fraction", "data"), color=shade, va="center", size=9
    )
ax.set_xticks(range(len(energies)), [f"{n}" for n in energies])
ax.set_xlabel("sweeps from $T = J$ to 0")
ax.set_ylabel("energy per site ($J$)")
study.save(
    figure,
    "energy_against_cooling",
    numbers={
        "energy_J_per_site": {str(n): v for n, v in energies.items()},
        "uniform_J_per_site": uniform,
        "lattices": reference,
    },
    caption="Energy of annealed states against the slowness of cooling (dots: states, bars: "
    "means), with the relaxed lattices as lines. Slower cooling helps less and less, and no state "
    "reaches the best lattice: what is wrong is the long-range order, and that does not heal.",
)
plt.close(figure)
figure

# %% [markdown]
# The uniform state lies far above, at −2.05 J. Annealing gets most of the way and then stops. What
# is missing is not local: no single spin can turn to gain energy. It is long-range order, and that
# gap is what the autoencoder is asked to close.

# %% [markdown]
# ## About this run

# %%
study.about()
