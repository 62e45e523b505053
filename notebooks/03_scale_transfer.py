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
# # 3. One network, many magnifications
# *Does a network trained on pictures of one size read parameters out of pictures of another?*
#
# A. Watanabe et al., arXiv 2408.12181 (2024): cut simulated domain pictures at scales from 0.5 to
# 2 µm, bring all to 128×128 pixels, train at some scales and test at others. The DMI turns out to
# survive a change of scale better than the saturation magnetisation does.

# %% tags=["parameters"]
profile: str = "laptop"  # sizes: smoke, laptop or paper
device: str = "auto"  # auto, cpu or cuda
seed: int = 1  # seed of every random number
output: str = ""  # folder of the results; empty is figures/<profile>/03

# %% [markdown]
# ## What it has to show
# The paper's claims, one row each. A run that measures a claim writes its own value beside the
# paper's; this page does not measure any yet.

# %%
from spinlib.study import Study

study = Study("03", profile=profile, output=output, seed=seed, device=device)
study.claims()

# %% [markdown]
# ## About this run

# %%
study.about()
