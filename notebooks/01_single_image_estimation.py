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
# # 1. Parameters from a single image
# *Can the exchange stiffness, the Dzyaloshinskii–Moriya interaction and the saturation
# magnetisation of a film be read out of one picture of it?*
#
# D. Wang et al., Adv. Sci. 7, 2000566 (2020): simulate a small grid of parameters under the
# conditions of that one observation, cut the pictures into overlapping windows, train a small
# network on them, average its estimates over the observed picture, and simulate again with the
# estimate. If texture, hysteresis loop and sample volume come out right, the estimate was.

# %% tags=["parameters"]
profile: str = "laptop"  # sizes: smoke, laptop or paper
device: str = "auto"  # auto, cpu or cuda
seed: int = 1  # seed of every random number
output: str = ""  # folder of the results; empty is figures/<profile>/01

# %% [markdown]
# ## What it has to show
# The paper's claims, one row each. A run that measures a claim writes its own value beside the
# paper's; this page does not measure any yet.

# %%
from spinlib.study import Study

study = Study("01", profile=profile, output=output, seed=seed, device=device)
study.claims()

# %% [markdown]
# ## About this run

# %%
study.about()
