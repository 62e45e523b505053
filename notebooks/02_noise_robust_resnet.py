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
# # 2. A network that noise does not confuse
# *Do networks trained on noisy spin pictures read exchange, anisotropy and dipolar strength
# better than networks trained on clean ones, and what do they really see?*
#
# H. Y. Kwon et al., Sci. Adv. 6, eabb0872 (2020): anneal perpendicular films with dipolar
# interaction, train three architectures with and without noise, and look at the errors. Their
# principal component tells that the networks found the effective anisotropy; a series of SPLEEM
# pictures tells whether they work on a real film.

# %% tags=["parameters"]
profile: str = "laptop"  # sizes: smoke, laptop or paper
device: str = "auto"  # auto, cpu or cuda
seed: int = 1  # seed of every random number
output: str = ""  # folder of the results; empty is figures/<profile>/02

# %% [markdown]
# ## What it has to show
# The paper's claims, one row each. A run that measures a claim writes its own value beside the
# paper's; this page does not measure any yet.

# %%
from spinlib.study import Study

study = Study("02", profile=profile, output=output, seed=seed, device=device)
study.claims()

# %% [markdown]
# ## About this run

# %%
study.about()
