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

# %% [markdown]
# ## What it has to show
# The paper's claims, one row each. A run that measures a claim writes its own value beside the
# paper's; this page does not measure any yet.

# %%
from spinlib.study import Study

study = Study("04", profile=profile, output=output, seed=seed, device=device)
study.claims()

# %% [markdown]
# ## About this run

# %%
study.about()
