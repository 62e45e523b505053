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
# *Do networks trained on noisy spin pictures read DMI, anisotropy and dipolar strength better than
# networks trained on clean ones, and what do they actually see?*
#
# ![Errors against noise](../figures/paper/02/noise_robustness.png)
#
# **The answer.** Yes.
# - *Noise.* Under the strongest noise, networks trained with noise (left) have errors 8.3 times
#   smaller than those trained without (right) at full size (mean over three quantities and three
#   architectures; 5.4 for ResNet18 alone), and several times smaller on a laptop.
# - *What the networks see.* The errors of the anisotropy *K* and of the dipolar strength *D* nearly
#   cancel in *K* − 2π*D*: mostly because the two targets share the factor *D*, and beyond that
#   because *K* − 2π*D* is what the network sees best.
# - *Under a virtual microscope*, the sign of the Dzyaloshinskii–Moriya interaction (DMI) is read
#   correctly along a whole series of films, on a laptop and at full size. The bias that such
#   pictures cause can in part be found by simulation and subtracted, if the microscope and the
#   cooling are known: on a laptop this mends *K* and the stripe periods, but hardly *D*
#   (chapter 9).
#
# H. Y. Kwon et al., Sci. Adv. 6, eabb0872 (2020), cool simulated perpendicular films with dipolar
# interaction, train three architectures with and without noise, analyse the errors, and try a
# series of SPLEEM pictures of a real film (electrons reflected from the surface give one picture
# for each component of the magnetisation).

# %% tags=["parameters"]
profile: str = "laptop"  # sizes: smoke, laptop or paper
device: str = "auto"  # auto, cpu or cuda
seed: int = 1  # seed of every random number
output: str = ""  # results folder; if empty, figures/<profile>/02
image: str = ""  # file with a picture of your own; if empty, one from the virtual microscope
image_kind: str = "colour"  # its three channels: colour (hue and lightness) or components
pixel_size_nm: float = 25.0  # side of a pixel of the picture, in nm; one pixel is one site
batch_size: int = 50  # films per training step; 200 in the paper
learning_rate: float = 2e-3  # highest learning rate in Adam's single cycle
width: int = 32  # channels in the first stage of the networks; 64 in the published ones
epochs: list[int] = [45, 20, 40]  # for ResNet18, ResNet50 and the custom CNN
trainings: int = 2  # of ResNet18, each from different initial weights
map_levels: int = 5  # values of K_N, and of D_N, in the error maps
map_films: int = 4  # films in each cell of the error maps
again_films: int = 120  # largest number of test films simulated again with their estimates
rate_films: int = 24  # films for each rate in the comparison of cooling rates
film_height: int = 370  # height of a virtual SPLEEM picture, in pixels
film_width: int = 400  # its width, in pixels
film_dmi: list[float] = [1.1, 0.65, 0.2, -0.25, -0.7]  # λ/D of the virtual films
film_point: list[float] = [0.3, 0.7]  # K_N and D_N of the virtual films, away from mid-range
wall_reach: int = 5  # sites on either side of a wall that are included in its profile
film_sweeps: int = 550  # Monte Carlo sweeps of their cooling: the middle rate of the training films

# %%
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown
from matplotlib.ticker import MaxNLocator
from scipy.stats import linregress, spearmanr

from spinlib import domains, errors, figures, regression, symmetry
from spinlib.anneal import anneal, random_rate
from spinlib.contrast import colour, vectors_from_colour
from spinlib.dataset import dataset, recipe_hash
from spinlib.microscope import Microscope
from spinlib.networks.resnet import NETWORKS
from spinlib.noise import vector_noise
from spinlib.notebooks import ROOT
from spinlib.pictures import PictureError, bars, drawn_over, other_file, read_picture
from spinlib.recipes import DOMAINS
from spinlib.regression import TARGETS
from spinlib.study import Study
from spinlib.training import seeded, side_by_side

study = Study("02", profile=profile, output=output, seed=seed, device=device)

# %% [markdown]
# A picture of your own is read first, so that any problem with it is reported before work starts.


# %%
def read_vectors(path: str, kind: str) -> tuple[torch.Tensor, list[str]]:
    """The vectors (1, 3, height, width) that a picture file shows, or holds, and what to doubt."""
    picture = read_picture(path)
    pixels = picture.pixels[None]
    if picture.vectors:
        kind = "components"
    if kind not in ("colour", "components") or pixels.shape[1] != 3:
        raise PictureError(
            f"{path} has {pixels.shape[1]} channel(s) read as {kind!r}: this study needs three, "
            "'colour' (hue and lightness) or 'components' (m_x, m_y, m_z)."
        )
    vectors = vectors_from_colour(pixels, unit=False)[0] if kind == "colour" else 2 * pixels - 1
    regression.panels(vectors, DOMAINS[profile].size, path)  # refuses what is none
    said = other_file(picture.pixel_size, pixel_size_nm, picture.coarse_colours)
    return vectors, said + drawn_over(bars(picture.pixels))


own_picture, own_doubts = read_vectors(image, image_kind) if image else (None, [])

# %% [markdown]
# ## 1. Films between two anisotropies
# The spins are unit vectors on a square lattice. They feel exchange, which favours parallel
# neighbours; an interfacial DMI of strength λ, which favours one sense of rotation; the dipole
# fields of all other spins, of strength *D*, which favour the plane and many domains; and an
# anisotropy *K*, which favours the normal:
#
# $$H = -J \sum_{\langle ij \rangle} \vec S_i \cdot \vec S_j
#   - \sum_{\langle ij \rangle} \vec\lambda_{ij} \cdot (\vec S_i \times \vec S_j)
#   - D \sum_{i<j} \frac{3 (\vec S_i \cdot \vec r_{ij})(\vec S_j \cdot \vec r_{ij})
#   - \vec S_i \cdot \vec S_j r_{ij}^2}{r_{ij}^5} - K \sum_i S_{i,z}^2$$
#
# with distances in lattice constants, $\vec\lambda_{ij} = \lambda\, \hat z \times \hat r_{ij}$,
# *J* = 1, *D* = 0.05 … 0.13, λ = −3*D* … 3*D* and *K* = 1.0 … 1.2 *K*_shape. In the continuum, a
# uniform film gains *K*_shape = 2π*D* per site by lying in the plane, so *K*_eff = *K* − 2π*D* is
# what is left to hold the spins upright. (The paper prints *K* = 0.1 … 1.2 *K*_shape. In its steps
# that would make 400 000 films rather than its 80 000; 1.0 … 1.2 makes 78 540, with 7 854 for the
# test, its “nearly 8000”.)
#
# The targets of the network, λ_N, *K*_N and *D*_N, run from 0 to 1 over the ranges of λ/*D*,
# *K*/*K*_shape and *D*, so that *K* = 2π*D* (1 + 0.2 *K*_N).
#
# The box is periodic and the dipole sum is complete, without a cut-off. The true shape anisotropy
# is therefore ¾·9.034 *D* = 6.775 *D* (9.034 is the sum of 1/*r*³ over a square lattice), 8 % above
# 2π*D*, and a uniform film would rise from the plane at *K*_N = 0.39. Stripes rise earlier, because
# they close their own flux: at *K* = 6.775 *D* − (π*D*)²/2*J*, which is *K*_N = 0.20 for *D*_N = 0,
# and below *K*_N = 0 for *D*_N above 0.6. Without DMI, therefore, only films in one corner, of
# small *K*_N and small *D*_N, should lie in the plane, as in the paper. But stripes are faint at
# first: chapter 4 finds all films with *K*_N = 0 in the plane, or nearly so.
#
# Every film is cooled from above its ordering temperature, at a rate of its own, by heat-bath Monte
# Carlo: each spin is drawn anew from its Boltzmann distribution. The result is metastable domains,
# not ground states.

# %%
recipe = replace(DOMAINS[profile], seed=seed)
data = dataset(recipe, ROOT / "data", device=study.device)
spins, targets = data.states(), torch.tensor(data.parameters[list(TARGETS)].to_numpy()).float()
parts = regression.split_films(data.parameters, seed=seed)
size = recipe.size
pd.DataFrame({"films": [len(part) for part in parts]}, ["training", "validation", "test"])


# %%
def cool(
    normalised: np.ndarray,
    first: int,
    shape: tuple[int, int] = (size, size),
    sweeps: int = 0,
    like: Sequence[int] | None = None,
) -> torch.Tensor:
    """Films (batch, 3, *shape) with normalised parameters (batch, 3), cooled as in the data set.

    `first` is the number of the first film; numbers from a million on belong to no film of the
    data set. The films are cooled in `sweeps` sweeps or, if that is 0, each at a random rate: its
    own, or that of the film given in `like`.
    """
    indices = range(first, first + len(normalised))
    rates = indices if like is None else like
    slowest, fastest = (sweeps, sweeps) if sweeps else (recipe.slowest, recipe.fastest)
    cooling = random_rate(recipe.hot, slowest, fastest, seed=seed, states=rates)
    rest = recipe.slowest - slowest + recipe.quench  # fast films relax longer at zero temperature
    return anneal(
        *(recipe.hamiltonian(regression.film_parameters(normalised)), shape),
        torch.nn.functional.pad(cooling, (0, rest)),
        seed=seed,
        states=indices,
        device=study.device,
    ).cpu()


levels = np.linspace(0, 1, map_levels)
cells = np.array([(dmi, k, d) for dmi in (0.5, 1.0) for k in levels for d in levels])
cells = np.repeat(cells, map_films, axis=0)  # λ = 0, then λ = 3D
map_spins = cool(cells, first=1_000_000)

# %%
test = parts[2]
shown = test[np.argsort(targets[test, 1].numpy())][:: max(1, len(test) // 12)][:12]
sheet = figures.contact_sheet(
    colour(spins[shown]),
    [
        rf"$\lambda = {row['dmi [D]']:.1f}D$, $K_N = {row['anisotropy_N']:.2f}$, "
        rf"$D_N = {row['dipolar_N']:.2f}$"
        for _, row in data.parameters.iloc[shown].iterrows()
    ],
    columns=4,
    width=2.9,
)
figures.colour_wheel(sheet.add_axes((1.01, 0.42, 0.16, 0.2)))  # the colour key, beside the sheet
study.show(
    sheet,
    "films",
    numbers={"parameters": data.parameters.iloc[shown]},
    recipe=recipe_hash(recipe),
    caption="Films of the test set, in order of increasing anisotropy. Hue is the in-plane angle, "
    "white points up, black down. As in the paper's Fig. 3A and E, films of weak anisotropy lie "
    "wholly or partly in the plane; those of strong anisotropy have up and down domains separated "
    "by coloured walls, and the domains are finer for stronger dipoles and stronger DMI.",
)

# %% [markdown]
# ### Copies that cost nothing
# A film that is shifted, rotated by 90°, mirrored or reversed in time is another film with the
# same parameters, provided that positions and spins are transformed together (spins are axial
# vectors). Rotating the picture alone does not give such a film, as its energy shows. Rotating
# all spins by 180° about the normal, with their positions kept, gives the same film with λ → −λ.
# Training uses all of these, drawn anew each time a film is seen; the paper does not.

# %%
one, its = spins[test[:1]], data.parameters.iloc[test[:1]]
hamiltonian = recipe.hamiltonian(its)
group = symmetry.point_group(hamiltonian, (size, size))
opposite = recipe.hamiltonian(its.assign(**{"dmi [D]": -its["dmi [D]"]}))
moved = symmetry.translate(one, torch.tensor([size // 3]), torch.tensor([size // 5]))
energies = {
    "film": hamiltonian.energy_per_site(one),
    "shifted": hamiltonian.energy_per_site(moved),
    f"most changed of {len(group)} rotations, mirrors, reversals": max(
        (hamiltonian.energy_per_site(symmetry.act(one, operation)) for operation in group),
        key=lambda e: (e - hamiltonian.energy_per_site(one)).abs(),
    ),
    "spins rotated by 180°, λ → −λ": opposite.energy_per_site(symmetry.reverse_dmi(one)),
    "picture rotated, spins not": hamiltonian.energy_per_site(torch.rot90(one, 1, dims=(-1, -2))),
    "picture mirrored, spins not": hamiltonian.energy_per_site(one.flip(-1)),
}
pd.DataFrame({"energy per site (J)": {name: e.item() for name, e in energies.items()}}).round(6)

# %% [markdown]
# ### Noise
# As in the paper, noise adds a random vector to each spin and restores its length,
# *S** = normalise(*S* + η *R*). In training, η is drawn between 0 and 1 each time a film is seen
# (in the paper once for each film); in the test it grows in steps, and is called *T*_s.

# %%
strengths = np.linspace(0, 1, 11)
steps = [0.0, 0.3, 0.6, 1.0]
example = spins[test[-1:]].expand(len(steps), -1, -1, -1)
noise = figures.contact_sheet(
    colour(vector_noise(example, torch.tensor(steps), seed=seed, states=[0] * len(steps))),
    [f"$T_s$ = {strength:g}" for strength in steps],
)
study.show(
    noise,
    "noise",
    caption="One film of the test set under growing noise, as in the paper's fig. S2. At T_s = 1 "
    "the domains can still be seen, but the colours of their walls hardly.",
)

# %% [markdown]
# ## 2. Three architectures, with and without noise
# All three are convolutional networks (CNNs): layers of small learnt filters, most of them of 3×3
# sites, pass over the picture, and what they find is then weighed to give the three parameters.
# ResNet18 and ResNet50 have 18 and 50 layers, with shortcuts that let a layer learn a correction;
# the custom CNN is small and plain, without depth or shortcuts.
#
# Each is trained once on clean and once on noisy films; on a laptop, ResNet18 is trained more than
# once, from different initial weights. The weights kept are those with the lowest validation cost:
# the mean squared error of the three normalised parameters, for films not used in training.
#
# The steps of gradient descent (Adam) follow one cycle of the learning rate, up to 0.002 and down
# to nearly zero: far fewer steps have to suffice than in the paper, which had 1000 epochs (passes
# through all films) at 10⁻⁴. On a laptop, ResNet18, ResNet50 and the custom CNN are trained for 45,
# 20 and 40 epochs; at full size they had 10, 4 and 8, and the cost was still falling at the end.
# The comparison with and without noise is fair, at equal epochs; that of the architectures is not.

# %%
calls = {}
material = spins.half().to(study.device)  # films are stored in this precision
for name, rounds in zip(NETWORKS, epochs):
    for noisy in (True, False):
        for training in range(trainings if name == "ResNet18" else 1):
            with seeded(seed + training):
                network = NETWORKS[name](width)
            calls[name, noisy, training] = partial(
                regression.train,
                *(network, material, targets.to(study.device), parts),
                noisy=noisy,
                group=group,
                epochs=rounds,
                batch_size=batch_size,
                learning_rate=learning_rate,
                seed=seed + training,
                device=study.device,
                folder=ROOT / "data" / "resnets",
                identity={"recipe": recipe_hash(recipe), "network": name, "width": width},
            )
trained = dict(zip(calls, side_by_side(list(calls.values()), study.device, progress="networks")))
networks, curves = ({key: pair[n] for key, pair in trained.items()} for n in range(2))
robust = networks["ResNet18", True, 0]

# %%
figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.2), sharey=True, layout="constrained")
shades = dict(zip(NETWORKS, figures.CURVES[1:]))
for (name, noisy, training), curve in curves.items():
    ax = axes[0 if noisy else 1]
    label = name if training == 0 else None
    ax.semilogy(curve["train loss"], color=shades[name], lw=0.8, ls=":")
    ax.semilogy(curve["validation loss"], color=shades[name], label=label)
for ax, title in zip(axes, ("trained with noise", "trained without noise")):
    ax.set(title=title, xlabel="epoch")
axes[0].set_ylabel("mean squared error of\nnormalised parameters")
axes[1].legend(frameon=False)
study.show(
    figure,
    "training",
    numbers={f"{name}, noisy {noisy}, {n}": curve for (name, noisy, n), curve in curves.items()},
    recipe=recipe_hash(recipe),
    caption="Training cost (dotted) and validation cost (solid) by epoch; ResNet18 has one pair of "
    "lines for each training. In training every film is seen under random symmetries, which makes "
    "it no easier than validation, and none of the networks overfits. The three architectures end "
    "at different epochs.",
)

# %% [markdown]
# ## 3. Errors against noise (K1, K2)
# *Does noise in training help, and which architecture stands noise best?* All networks read the
# same noisy test films. Errors are those of λ, *K* and *D* in units of *J*, as in the paper's
# Fig. 2; bars are standard errors from a bootstrap (films drawn again, with repetition).

# %%
estimates = {
    key: regression.estimates_against_noise(
        *(network, spins[test], strengths), seed=seed, states=test, device=study.device
    )
    for key, network in networks.items()
}
truth = targets[test].numpy()
true_units = regression.in_units_of_exchange(truth)
misses = {
    key: np.abs(regression.in_units_of_exchange(found) - true_units)
    for key, found in estimates.items()
}
symbols = (r"$\lambda$", "$K$", "$D$")

# %%
figure, axes = plt.subplots(3, 2, figsize=(8.4, 7.4), sharex=True, layout="constrained")
averages = {}
for key, miss in misses.items():
    name, noisy, training = key
    mean, error = zip(*(errors.mean_with_error(at, seed=seed) for at in miss))
    averages[key] = np.array(mean)
    for parameter in range(3):
        axes[parameter, 0 if noisy else 1].errorbar(
            *(strengths, averages[key][:, parameter], np.array(error)[:, parameter]),
            color=shades[name],
            marker="o" if training == 0 else "x",
            ms=3,
            lw=1.2 if training == 0 else 0.7,
            label=name if training == 0 else f"{name}, training {training + 1}",
        )
for parameter, symbol in enumerate(symbols):
    guess = np.abs(true_units[:, parameter] - np.median(true_units[:, parameter])).mean()
    for ax in axes[parameter]:
        ax.axhline(guess, color="0.6", lw=0.8, ls="--")
        ax.set_ylim(0)
    axes[parameter, 0].set_ylabel(f"mean |error| of {symbol} ($J$)")
# Factor from clean films to the strongest noise: smallest and largest over networks and parameters.
growth = {
    noisy: [
        pick([(m[-1] / m[0]) for k, m in averages.items() if k[1] == noisy])
        for pick in (np.min, np.max)
    ]
    for noisy in (True, False)
}
axes[0, 0].set_title("trained with noise")
axes[0, 1].set_title("trained without noise")
axes[0, 1].legend(frameon=False, fontsize=8)
for ax in axes[-1]:
    ax.set_xlabel("noise of the test films, $T_s$")
study.show(
    figure,
    "noise_robustness",
    numbers={
        "noise": strengths,
        **{f"{n}, noisy {y}, {t}: λ, K, D (J)": mean for (n, y, t), mean in averages.items()},
    },
    recipe=recipe_hash(recipe),
    caption="The paper's Fig. 2: mean absolute error of λ, K and D against the noise of the test "
    "films. Dashed: the error of always answering the median. As in the paper, errors grow little "
    f"for networks trained with noise (left; by factors from {growth[True][0]:.1f} to "
    f"{growth[True][1]:.1f}) and far more for the others (right; {growth[False][0]:.0f} to "
    f"{growth[False][1]:.0f}; the vertical scales differ). Unlike in the paper, the custom CNN is "
    "close to the ResNets when trained with noise, and for K and D by far the worst when trained "
    "without, and the error of ResNet50 trained without noise rises smoothly.",
)

# %% [markdown]
# **Criterion for K1.** All three of these hold at *T*_s = 1:
# - ResNet18 trained without noise (mean over its trainings) has at least 3 times the error of
#   ResNet18 trained with noise, for each of λ, *K* and *D*;
# - the other two architectures are also worse without noise for each parameter;
# - the geometric mean of all nine ratios is at least 5, “almost an order of magnitude”.
#
# All nine ratios come from the same films, which are drawn again together for the standard errors.
# These do not include how much another training would change the ratios: where ResNet18 has two
# trainings, the table shows both.
#
# A verdict needs networks that have learnt something: if ResNet18 trained with noise does not halve
# the error of a constant answer on clean films, the profile is too small for claims about networks.

# %%
loudest = np.array(
    [
        [
            np.mean([misses[key][-1] for key in misses if key[:2] == (name, noisy)], axis=0)
            for noisy in (False, True)
        ]
        for name in NETWORKS
    ]
)  # |errors| at T_s = 1: (architectures, without and with noise, films, parameters)


def gains(films: np.ndarray) -> np.ndarray:
    """Noiseless over noisy mean error, (architectures, parameters); films are the first axis."""
    without, with_noise = films.mean(0).swapaxes(0, 1)
    return without / with_noise


drawn_gains = errors.bootstrap(gains, np.moveaxis(loudest, 2, 0), seed=seed)
ratio = pd.DataFrame(gains(np.moveaxis(loudest, 2, 0)), list(NETWORKS), ["λ", "K", "D"])
gain_of = np.exp(np.log(ratio).mean(axis=1))  # geometric means
overall = float(np.exp(np.log(ratio.to_numpy()).mean()))
overall_error = float(np.exp(np.log(drawn_gains).mean((1, 2))).std())
by_training = pd.DataFrame(
    {
        f"ResNet18's training {n + 1}": misses["ResNet18", False, n][-1].mean(0)
        / misses["ResNet18", True, n][-1].mean(0)
        for n in range(trainings if trainings > 1 else 0)
    },
    ratio.columns,
).T
gain_by_training = np.exp(np.log(by_training).mean(axis=1))

normal = np.abs(estimates["ResNet18", True, 0] - truth).mean(1)
guess = np.abs(truth - 0.5).mean(0)
learnt = bool((normal[0] < 0.5 * guess).all())


def record(
    name: str,
    ours: float | str,
    conditions: dict[str, bool],
    *,
    tested: bool = learnt,
    why: str = "",
    **more,
):
    """Record a claim: reproduced if all conditions hold, partly if some; `why` others fail."""
    failed = [condition for condition, holds in conditions.items() if not holds]
    if not tested:
        verdict, reason = "not tested at this size", "the networks or films of this profile are "
        reason += f"too small: a mean error of {normal[0].max():.2f} of a parameter's range"
    else:
        kinds = ("reproduced", "partly", "not reproduced")
        verdict = kinds[0 if not failed else 1 if len(failed) < len(conditions) else 2]
        reason = f"it does not hold that {'; nor that '.join(failed)}" if failed else ""
        reason += f": {why}" if failed and why else ""
    study.claim(name, ours=ours, verdict=verdict, reason=reason, **more)


record(
    "K1",
    ", ".join(f"{name} {gain:.1f}" for name, gain in gain_of.items())
    + "".join(f", {name} alone {gain:.1f}" for name, gain in gain_by_training.items())
    + f"; mean of all nine {overall:.2f}",
    {
        "ResNet18 gains a factor of 3 for each parameter": bool((ratio.loc["ResNet18"] >= 3).all()),
        "every architecture gains for each parameter": bool((ratio > 1).all(axis=None)),
        "the mean gain is 5": overall >= 5,
    },
    uncertainty=f"{overall_error:.2f}",
)
pd.concat(
    {
        "noiseless / noisy": pd.concat((ratio, by_training)),
        "standard error over films": pd.DataFrame(drawn_gains.std(0), ratio.index, ratio.columns),
    },
    axis=1,
).round(2)

# %% [markdown]
# **Criteria for K2**
# - (a) Trained with noise, ResNet18 has the lowest error of the three, summed over the parameters
#   relative to a constant answer and averaged over *T*_s > 0.5. The margin is more than two
#   standard errors of the difference, over films and over trainings. Where ResNet18 was trained
#   once, nobody knows the scatter over trainings, and (a) does not hold. (Two trainings tell little
#   of it: with one degree of freedom, two standard errors hold in seven of ten cases.)
# - (b) In the same range of noise, the custom CNN's error is at least 1.5 times ResNet18's for each
#   parameter.
# - (c) Trained without noise, ResNet50 is erratic: somewhere its mean error falls while the noise
#   grows, by more than a tenth of the curve's largest value and by more than three standard errors
#   (from the same films at both strengths). This has to hold for at least two of the parameters,
#   and for more of them than with ResNet18. (The full-size run was judged by how much a curve
#   bends, which is no measure of this, as larger errors bend more. The curves of its ResNet50
#   trained without noise rise all the way, so (c) does not hold there either.)


# %%
def largest_fall(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest fall of the mean error from one noise strength to any higher one.

    `at` are errors (strengths, films, parameters). Returns, for each parameter, the fall as a share
    of the largest mean error, and in standard errors; both are 0 where the error never falls.
    """
    lower, higher = np.triu_indices(len(at), 1)
    falls = at[lower] - at[higher]
    mean, error = falls.mean(1), falls.std(1, ddof=1) / math.sqrt(at.shape[1])
    place = mean.argmax(0), np.arange(at.shape[2])
    share = mean[place] / at.mean(1).max(0)
    return share.clip(0), (mean[place] / error[place]).clip(0)


scale = np.abs(true_units - np.median(true_units, axis=0)).mean(0)
loud = strengths > 0.55
relative = {key: (miss[loud] / scale).mean(0) for key, miss in misses.items() if key[1]}
by_training = [relative["ResNet18", True, training].mean() for training in range(trainings)]
# A difference compares single trainings; other networks are taken to scatter as ResNet18 does.
chance = math.sqrt(2) * np.std(by_training, ddof=1) if trainings > 1 else math.inf
rows = {}
for (name, _, training), miss in relative.items():
    mean, error = errors.mean_with_error(
        np.column_stack((miss, miss.mean(1), miss.mean(1) - relative["ResNet18", True, 0].mean(1))),
        seed=seed,
    )
    rows[name, training + 1] = [*mean[:4], error[3], mean[4], math.hypot(error[4], chance)]
at_noise = pd.DataFrame(
    rows, ["λ", "K", "D", "mean", "± mean", "above ResNet18's", "± above"]
).T.rename_axis(["network", "training"])
falls = {(n, t + 1): largest_fall(miss) for (n, y, t), miss in misses.items() if not y}
falls = pd.concat(
    {
        kind: pd.DataFrame({key: pair[n] for key, pair in falls.items()}, ["λ", "K", "D"]).T
        for n, kind in enumerate(("largest fall without noise", "in standard errors"))
    },
    axis=1,
).rename_axis(["network", "training"])
erratic = (falls["largest fall without noise"] > 0.1) & (falls["in standard errors"] > 3)
erratic = erratic.sum(axis=1).groupby("network").max()  # the number of such parameters
first_trained = at_noise.xs(1, level="training")
others = first_trained.drop("ResNet18")
record(
    "K2",
    "error above T_s = 0.5 relative to a constant answer: "
    + ", ".join(
        f"{name}{f' (training {training})' if trainings > 1 and name == 'ResNet18' else ''} "
        f"{row['mean']:.3f} ± {row['± mean']:.3f}"
        for (name, training), row in at_noise.iterrows()
    )
    + " (± over films)"
    + "; trained without noise, ResNet50's error falls as the noise grows for "
    f"{erratic['ResNet50']} of 3 parameters",
    {
        "ResNet18 has clearly the lowest error at high noise": bool(
            (others["above ResNet18's"] > 2 * others["± above"]).all()
        ),
        "the custom CNN is 1.5 times worse for each parameter": bool(
            (
                first_trained.loc["custom CNN", ["λ", "K", "D"]]
                > 1.5 * first_trained.loc["ResNet18", ["λ", "K", "D"]]
            ).all()
        ),
        "a noiseless ResNet50 is erratic": bool(
            erratic["ResNet50"] >= 2 and erratic["ResNet50"] > erratic["ResNet18"]
        ),
    },
    why="the layers of the paper's CNN are in its fig. S3, which we lack; ours sees each film "
    "under all symmetries and does not overfit; and the three had "
    f"{', '.join(map(str, epochs))} epochs here, but 1000 each there",
)
pd.concat({"trained with noise, error above T_s = 0.5": at_noise}, axis=1).round(3)

# %%
falls.round(3)

# %% [markdown]
# ## 4. Where the errors are (K3)
# *Which films are read worst?* The films of the error maps lie on a grid of (*K*_N, *D*_N), at
# λ = 0 and at λ = 3*D*; none of them was used in training. Each cell shows the mean error of
# ResNet18 trained with noise. The line in the films without DMI is *K* = 6.775 *D* − (π*D*)²/2*J*
# of chapter 1: below it, a uniform film in the plane is stable.

# %%
map_estimates = regression.estimate(robust, map_spins, device=study.device)
table = pd.DataFrame(cells, columns=["λ_N", "K_N", "D_N"])
for number, name in enumerate(("λ", "K", "D")):
    table[name] = np.abs(map_estimates - cells)[:, number]
table["period"] = domains.stripe_period(map_spins)
table["m_z²"] = map_spins[:, 2].square().mean((1, 2)).numpy()


def mosaic(dmi: float) -> torch.Tensor:
    """One film of each cell, arranged on the axes of the error maps."""
    chosen = map_spins[cells[:, 0] == dmi][::map_films]
    rows = colour(chosen).reshape(map_levels, map_levels, 3, size, size)
    return rows.permute(2, 0, 3, 1, 4).reshape(3, map_levels * size, map_levels * size)


maps = {
    f"λ_N = {dmi}, error of {name}_N": errors.error_map(
        table[table["λ_N"] == dmi], name, "K_N", "D_N", bins=map_levels
    )
    for dmi in (0.5, 1.0)
    for name in ("λ", "K", "D")
}
plain_map = maps["λ_N = 0.5, error of K_N"].to_numpy()  # one row for each K_N
figure, axes = plt.subplots(2, 4, figsize=(11.0, 6.2), layout="constrained")
for row, dmi in enumerate((0.5, 1.0)):
    films = mosaic(dmi).permute(1, 2, 0)
    half = 0.5 / (map_levels - 1)
    extent = (-half, 1 + half, -half, 1 + half)
    axes[row, 0].imshow(films, origin="lower", extent=extent, interpolation="nearest")
    axes[row, 0].set_title(rf"films, $\lambda$ = {'0' if dmi == 0.5 else '3$D$'}", fontsize=10)
    axes[row, 0].set_ylabel("$K_N$")
for column, name in enumerate(("λ", "K", "D")):
    pair = [maps[f"λ_N = {dmi}, error of {name}_N"] for dmi in (0.5, 1.0)]
    brightest = math.ceil(20 * np.nanmax(np.stack(pair))) / 20
    for ax, found in zip(axes[:, column + 1], pair):
        shown = ax.imshow(
            found, origin="lower", extent=extent, cmap="magma", vmin=0, vmax=brightest
        )
        ax.set_title(f"|error| of {symbols[column][:-1]}_N$", fontsize=10)
    figure.colorbar(shown, ax=axes[:, column + 1], location="bottom", label="share of the range")
dipoles = np.linspace(0, 1, 101)
strength = 0.05 + 0.08 * dipoles
onset = (6.775 * strength - (np.pi * strength) ** 2 / 2) / (2 * np.pi * strength)  # K / 2πD
axes[0, 0].plot(dipoles, (onset - 1) / 0.2, color="white", lw=3)
axes[0, 0].plot(dipoles, (onset - 1) / 0.2, color="black", lw=1.5)
for ax in axes.flat:
    ax.set(xticks=(0, 0.5, 1), yticks=(0, 0.5, 1), xlim=extent[:2], ylim=extent[2:])
for ax in axes[1]:
    ax.set_xlabel("$D_N$")
study.show(
    figure,
    "error_maps",
    numbers={name: found.to_numpy() for name, found in maps.items()}
    | {"films": table[["λ_N", "K_N", "D_N", "m_z²"]]},
    caption="The paper's Fig. 3A–H: films on the axes of the maps, and the mean absolute error of "
    f"the normalised parameters over {map_films} noise-free films per cell, on a scale for each "
    "parameter; top row without DMI, bottom row at λ = 3D. As in the paper, films without DMI and "
    "with small K_N and D_N lie in the plane, some with one colour and no walls; but so do films "
    "along the whole row K_N = 0, or nearly so. The paper finds K read badly in that corner; here "
    f"its mean error is {plain_map[0].mean():.3f} in this row and {plain_map[1:].mean():.3f} in "
    "the others. D is read worst not at the tip of the corner, K_N = D_N = 0, but further along "
    "that row. At λ = 3D the errors tend to grow with K_N, as in the paper.",
)

# %% [markdown]
# **Criterion for K3.** At λ = 0, the mean error in the corner *K*_N ≤ ¼, *D*_N ≤ ¼ exceeds the
# mean of all other films by more than two standard errors, for each of λ, *K* and *D*. (Films of
# this corner with *K*_N = ¼ are above the line, and not wholly in the plane.)

# %%
flat = table[table["λ_N"] == 0.5]
corner = (flat["K_N"] <= 0.25) & (flat["D_N"] <= 0.25)
excess = {}
for name in ("λ", "K", "D"):
    inside, outside = (flat.loc[where, name].to_numpy() for where in (corner, ~corner))
    error = math.hypot(*(part.std(ddof=1) / math.sqrt(len(part)) for part in (inside, outside)))
    excess[name] = (inside.mean(), outside.mean(), (inside.mean() - outside.mean()) / error)
worst = flat.groupby(["K_N", "D_N"])["D"].mean().idxmax()
record(
    "K3",
    "corner against the rest: "
    + ", ".join(f"{name} {a:.2f} and {b:.2f}" for name, (a, b, _) in excess.items()),
    {
        f"the error of {name} stands out in the corner": bool(above > 2)
        for name, (_, _, above) in excess.items()
    },
    why="films lie in the plane, or nearly so, along the whole row K_N = 0 and not only in its "
    f"corner; D is read worst at K_N = {worst[0]:.2g} and D_N = {worst[1]:.2g}",
)
pd.DataFrame(excess, index=["corner", "rest", "excess in standard errors"]).T.round(2)

# %% [markdown]
# How far the films without DMI point out of the plane, as mean *m*_z²: below the line hardly at
# all, and just above it a little.

# %%
flat.pivot_table("m_z²", "K_N", "D_N").round(2)

# %% [markdown]
# ## 5. Which way the errors point (K4)
# *Has the network found that the effective anisotropy* K − 2πD *governs the domains?* Then the
# error vectors (Δλ, Δ*K*, 2πΔ*D*) of the test films would lie along Δ*K* = 2πΔ*D*, that is along
# (0, 1, 1)/√2. The principal components are the axes of the cloud of errors, the first being the
# longest.
#
# But the targets alone already point that way. Since *K* = 2π*D* (1 + 0.2 *K*_N), an error of *D*_N
# moves *K* along with 2π*D*: independent errors of *K*_N and *D*_N give a first component 5 to 7°
# from the paper's, with four fifths of the variance. We therefore compare with a control that knows
# nothing of *K* − 2π*D* = 0.4π *D* *K*_N: the network's own errors of λ_N, *K*_N and *D*_N, each
# shuffled among the test films. What the network adds is that its errors of *K*_N and *D*_N are
# anticorrelated, which makes the error of *K* − 2π*D* smaller, by a third on a laptop.
#
# **Criterion for K4.** The first principal component of the errors on clean test films lies within
# 10° of the paper's (0.005, 0.689, 0.725) and carries at least 80 % of the variance; and Δ(*K* −
# 2π*D*) scatters less than it does when the errors of the three parameters are shuffled among
# films, by more than two standard errors (bootstrap over films). (The full-size run was not judged
# by this last condition; calculated since from its errors, it fulfils it.)

# %%
PAPER_AXIS = np.array([0.005, 0.689, 0.725])
vectors = {}
for label, at in (("clean", 0), ("T_s = 1", -1)):
    delta = regression.in_units_of_exchange(estimates["ResNet18", True, 0][at]) - true_units
    vectors[label] = delta * np.array([1, 1, 2 * np.pi])
components = {k: errors.principal_components(v, seed=seed) for k, v in vectors.items()}
first = components["clean"]
off = errors.angle_between(first.directions[0], PAPER_AXIS)

clean_errors = estimates["ResNet18", True, 0][0] - truth  # of λ_N, K_N and D_N
order = np.random.Generator(np.random.Philox(seed))


def shuffled(films: np.ndarray) -> np.ndarray:
    """Error vectors when the errors of each parameter are shuffled among the films.

    `films` are truths and errors side by side, (films, 6).
    """
    true, dealt = films[:, :3], order.permuted(films[:, 3:], axis=0)
    moved = regression.in_units_of_exchange(true + dealt) - regression.in_units_of_exchange(true)
    return moved * np.array([1, 1, 2 * np.pi])


def scatters(films: np.ndarray) -> np.ndarray:
    """Standard deviation of Δ(K − 2πD) in J, from the errors as they are and shuffled."""
    found = regression.in_units_of_exchange(films[:, :3] + films[:, 3:])
    delta = found - regression.in_units_of_exchange(films[:, :3])
    dealt = shuffled(films)
    return np.array(
        [(delta[:, 1] - 2 * np.pi * delta[:, 2]).std(), (dealt[:, 1] - dealt[:, 2]).std()]
    )


both = np.column_stack((truth, clean_errors)).astype(float)
controls = [shuffled(both) for _ in range(40)]
control_parts = errors.principal_components(controls[0], seed=seed)
scatter_clean = float((vectors["clean"][:, 1] - vectors["clean"][:, 2]).std())
scatter_shuffled = float(np.mean([(v[:, 1] - v[:, 2]).std() for v in controls]))
drawn_scatters = errors.bootstrap(scatters, both, seed=seed)
scatter_error = float((drawn_scatters[:, 1] - drawn_scatters[:, 0]).std())
anticorrelation = float(np.corrcoef(clean_errors[:, 1], clean_errors[:, 2])[0, 1])
record(
    "K4",
    "("
    + ", ".join(f"{v:.3f}" for v in first.directions[0])
    + f"), {100 * first.shares[0]:.1f} % of the variance, {off:.1f}° from the paper's; Δ(K − 2πD) "
    f"scatters by {scatter_clean:.4f} J, with shuffled errors by {scatter_shuffled:.4f} J",
    {
        "the direction is within 10° of the paper's": off <= 10,
        "it carries 80 % of the variance": bool(first.shares[0] >= 0.8),
        "K − 2πD is known better than with shuffled errors": bool(
            scatter_shuffled - scatter_clean > 2 * scatter_error
        ),
    },
    why="the errors of this network have another origin",
    uncertainty=f"{first.wobble:.1f}°, {100 * first.share_errors[0]:.1f} % and, for the difference "
    f"of the scatters, {scatter_error:.4f} J",
)
pd.DataFrame(
    {
        k: [
            *p.directions[0],
            p.shares[0],
            p.share_errors[0],
            p.wobble,
            errors.angle_between(p.directions[0], PAPER_AXIS),
            (v[:, 1] - v[:, 2]).std(),
        ]
        for k, p, v in (
            *((k, p, vectors[k]) for k, p in components.items()),
            ("clean, shuffled", control_parts, controls[0]),
        )
    },
    index=[
        "Δλ",
        "ΔK",
        "2πΔD",
        "share of variance",
        "± share",
        "± direction (°)",
        "angle to the paper's (°)",
        "scatter of Δ(K − 2πD) (J)",
    ],
).round(4)

# %%
figure = figures.NotebookFigure(figsize=(6.4, 5.4), layout="constrained")
ax = figure.add_subplot(projection="3d", computed_zorder=False)  # draws axes in front of the cloud
cloud = vectors["clean"]
reach = float(np.percentile(np.abs(cloud), 99))
drawn = cloud[(np.abs(cloud) < reach).all(1)]
drawn = drawn[:: -(-len(drawn) // 1500)]  # more points would hide one another
ax.scatter(*drawn.T, s=4, color="0.6", alpha=0.6, lw=0, depthshade=False)
for axis, shade in zip(range(3), figures.CURVES[1:]):
    flat_cloud = drawn.copy()
    flat_cloud[:, axis] = (-reach, reach, -reach)[axis]
    ax.scatter(*flat_cloud.T, s=2, color=shade, alpha=0.4, lw=0, depthshade=False)
for direction, share, style in zip(first.directions, first.shares, ("-", "--", ":")):
    tip = direction * reach * max(0.25, math.sqrt(share))
    ax.plot(
        *zip(-tip, tip), color="black", lw=1.5, ls=style, zorder=9, label=f"{100 * share:.1f} %"
    )
ax.legend(title="share of the variance", fontsize=9, frameon=False, loc="upper right")
ax.set(xlim=(-reach, reach), ylim=(-reach, reach), zlim=(-reach, reach))
for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
    axis.set_major_locator(MaxNLocator(5))
    axis.labelpad = 9
ax.set(xlabel=r"$\Delta\lambda$ ($J$)", ylabel=r"$\Delta K$ ($J$)", zlabel=r"$2\pi\Delta D$ ($J$)")
ax.view_init(20, -60)
study.show(
    figure,
    "error_vectors",
    numbers={
        "Δλ, ΔK, 2πΔD (J)": cloud,
        "components": first.directions,
        "shares of the variance": first.shares,
        "scatter of Δ(K − 2πD) (J)": scatter_clean,
        "correlation of the errors of K_N and D_N": anticorrelation,
        "shuffled: first component": control_parts.directions[0],
        "shuffled: shares of the variance": control_parts.shares,
        "shuffled: scatter of Δ(K − 2πD) (J)": scatter_shuffled,
        "standard error of the difference (J)": scatter_error,
    },
    recipe=recipe_hash(recipe),
    caption=figures.true_minus(
        "The paper's Fig. 3I: error vectors of ResNet18 trained with noise, on clean test films "
        "(grey, 1500 at most, without the outermost), their projections (colours), and the "
        "principal components with their shares of the variance (black; the shortest is "
        "lengthened). As in the paper, the cloud is flat and elongated along ΔK = 2πΔD: the first "
        "axis carries 89.4 % there and "
        f"{100 * first.shares[0]:.1f} % here, with shuffled errors still "
        f"{100 * control_parts.shares[0]:.1f} %. "
        "What the network itself contributes is that the cloud is thin: the errors of K_N and D_N "
        f"have a correlation of {anticorrelation:.2f}, and Δ(K − 2πD) scatters by "
        f"{scatter_clean:.4f} J instead of {scatter_shuffled:.4f} J."
    ),
)

# %% [markdown]
# ## 6. What an error of this size does (K5)
# *How large is a typical error, and does it show in the texture?* Test films of strong DMI and
# strong dipoles, |λ| > 1.5 *D* and *D*_N > ½, are given noise of *T*_s = 0.5 and read by the
# network; in all but a few of them the box holds several stripes. Each is then simulated again with
# the estimated parameters, and once more with the true ones, with new random numbers: that is how
# much two films of the same parameters differ anyway. Both simulations keep the film's own rate of
# cooling, on which the period depends as well.
#
# (The films are chosen by their parameters and not by their stripes: those with the finest stripes
# in the picture are fine partly by chance, and come back coarser. The full-size run chose these,
# and judged a mean of the normalised errors in place of the length of the vector.)
#
# **Criterion for K5.** The paper's “about 0.01” is the length of the error vector of chapter 5, in
# units of *J*. Here
# - its typical (median) value for clean films is below 0.02 *J*, twice that;
# - every film simulated again has stripes, whose periods are, on (geometric) average, within 5 % of
#   those of the test films;
# - these ratios scatter at most 1.5 times as much as with the true parameters. (The scatter is half
#   the width of their middle 68 %; a standard deviation would be made by a few films.)

# %%
middle = int(np.argmin(np.abs(strengths - 0.5)))
periods = domains.stripe_period(spins[test])
fine = np.isfinite(periods) & (np.abs(truth[:, 0] - 0.5) > 0.25) & (truth[:, 2] > 0.5)
chosen = np.flatnonzero(fine)
chosen = chosen[:: max(1, -(-len(chosen) // again_films))]  # from the whole grid, if too many
guessed = estimates["ResNet18", True, 0][middle][chosen].clip(0, 1)
rates = test[chosen].tolist()
periods_again = domains.stripe_period(cool(guessed, first=2_000_000, like=rates))
periods_control = domains.stripe_period(cool(truth[chosen], first=3_000_000, like=rates))
deviations = pd.DataFrame(
    {
        "estimated parameters": np.log(periods_again / periods[chosen]),
        "true parameters": np.log(periods_control / periods[chosen]),
    }
)
typical = float(np.median(np.abs(estimates["ResNet18", True, 0][0] - truth)))
length = float(np.median(np.linalg.norm(vectors["clean"], axis=1)))
lost = int(deviations["estimated parameters"].isna().sum())  # simulated again without stripes
deviations = deviations.dropna()
bias = np.expm1(deviations.mean())  # of the geometric mean
scatter = (deviations.quantile(0.84) - deviations.quantile(0.16)) / 2  # a few stray films aside
far = (deviations.abs() > math.log(1.4)).sum()
record(
    "K5",
    f"median error vector {length:.3f} J long, normalised |error| {typical:.3f}; periods when "
    "simulated again "
    f"{100 * bias.iloc[0]:+.1f} % ({100 * bias.iloc[1]:+.1f} % with the true parameters), scatter "
    f"{100 * scatter.iloc[0]:.1f} % against {100 * scatter.iloc[1]:.1f} %",
    {
        "the typical error vector is shorter than 0.02 J": length < 0.02,
        "periods come out within 5 % on average": bool(abs(bias.iloc[0]) < 0.05) and not lost,
        "they scatter at most 1.5 times as much as with true parameters": bool(
            scatter.iloc[0] <= 1.5 * scatter.iloc[1]
        ),
    },
    why=f"the network saw {len(parts[0])} films of {size}×{size} sites {epochs[0]} times each, the "
    "paper's 55 000 films of 100×100 sites a thousand times",
    uncertainty=f"{100 * deviations.iloc[:, 0].sem():.1f} % for the mean period; "
    f"{len(chosen)} films, {lost} without stripes",
)

# %%
figure, ax = plt.subplots(figsize=(4.6, 4.2), layout="constrained")
for values, label, shade in (
    (periods_control, "true parameters", "0.6"),
    (periods_again, "estimated parameters", figures.ESTIMATED),
):
    ax.plot(periods[chosen], values, "o", ms=4, color=shade, label=f"simulated again, {label}")
ends = np.array([periods[chosen].min(), periods[chosen].max()])
ax.plot(ends, ends, color="black", lw=0.8)
ax.fill_between(ends, 0.95 * ends, 1.05 * ends, color="0.9")
ax.set(xlabel="stripe period of the film (sites)", ylabel="period when simulated again (sites)")
ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)  # off the dots
study.show(
    figure,
    "cooled_again",
    numbers={"film": periods[chosen], "again": periods_again, "true parameters": periods_control},
    recipe=recipe_hash(recipe),
    caption="Stripe periods of test films and of films simulated again, with the parameters that "
    "ResNet18 estimates at T_s = 0.5 and with the true ones; the band is ±5 %. Relative to the "
    f"test films, the middle 68 % of the periods lie within ±{100 * scatter.iloc[0]:.1f} % with "
    f"the estimates and ±{100 * scatter.iloc[1]:.1f} % with the true parameters; {far.iloc[0]} and "
    f"{far.iloc[1]} change by more than a factor of 1.4. In the paper, the errors of the estimates "
    "are said not to show.",
)

# %% [markdown]
# ## 7. Stripes against parameters (K6)
# **Criterion for K6.** At λ = 0 and *K*_N ≥ ½ the stripe period grows with *J*/*D* (rank
# correlation above 0.5), and at λ = 3*D* it is smaller than at λ = 0 for the same (*K*_N, *D*_N),
# by more than two standard errors. (The paper says that the period is proportional to *J*/*D*. By
# least squares, the exponent is 0.99 ± 0.04 at full size, and 1.03 ± 0.01 at λ = 3*D*; a laptop's
# box is too small for large periods, and leaves 0.64 ± 0.08 at λ = 0.)

# %%
striped = table[table["K_N"] >= 0.5].assign(**{"J/D": lambda t: 1 / (0.05 + 0.08 * t["D_N"])})
figure, ax = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
for dmi, label, shade in (
    (0.5, r"$\lambda$ = 0", "0.5"),
    (1.0, r"$\lambda$ = 3$D$", figures.PARAMETERS["λ"]),
):
    group_by = striped[striped["λ_N"] == dmi].groupby("J/D")["period"]
    ax.errorbar(
        *(group_by.mean().index, group_by.mean(), group_by.sem()),
        color=shade,
        marker="o",
        label=label,
    )
ax.set(xlabel="$J/D$", ylabel="stripe period (sites)", ylim=0)
ax.legend(frameon=False)
bare = striped[(striped["λ_N"] == 0.5)].dropna()
correlation = float(spearmanr(bare["J/D"], bare["period"]).statistic)
power = linregress(np.log(bare["J/D"]), np.log(bare["period"]))
pairs = striped.pivot_table("period", ["K_N", "D_N"], "λ_N").dropna()
shrink = np.log(pairs[1.0] / pairs[0.5]).to_numpy()
shrink_error = shrink.std(ddof=1) / math.sqrt(len(shrink))
study.show(
    figure,
    "stripe_periods",
    numbers={"films": striped[["λ_N", "K_N", "J/D", "period"]]},
    caption="Stripe period against J/D without and with DMI, for films with K_N of ½ and more: "
    "means with standard errors. As the paper says, the period grows with J/D and the DMI shortens "
    f"it. A periodic box of {size} sites holds no period above {size} and few values near it: the "
    "box is the reason why the curve for λ = 0 levels off.",
)
record(
    "K6",
    f"rank correlation of period and J/D {correlation:.2f}, as a power of J/D the period has the "
    f"exponent {power.slope:.2f} ± {power.stderr:.2f} (the paper: proportional); at λ = 3D it is "
    f"{math.exp(shrink.mean()):.2f} of that at λ = 0",
    {
        "the period grows with J/D": correlation > 0.5,
        "it shrinks with the DMI": bool(shrink.mean() < -2 * shrink_error),
    },
    uncertainty=f"{math.exp(shrink.mean()) * shrink_error:.2f} of the ratio",
    tested=profile != "smoke",
)

# %% [markdown]
# ## 8. A film under the virtual microscope (K7)
# The paper's pictures are not public. In their place we take a series of virtual films, whose DMI
# runs from λ = 1.1 *D* to −0.7 *D* through zero, as with the thickness of the iridium layer in
# Ni/[Co/Ni]₂/Ir/Pt(111). *K* and *D* are constant and lie away from the middle of their ranges,
# because the middle is what a network that knows nothing would answer.
#
# The microscope takes three component pictures of 400 × 370 pixels, one pixel to a site (25 nm),
# blurred by half a pixel, with vector noise of strength 0.4 and readout noise of 5 % of the spins'
# unit length. The network has not been trained on blur. All films are cooled at the same rate, as
# those of one sample would be, and are at least as large as their pictures. Panels of the network's
# size are cut out, and each gives one estimate.

# %%
film_truth = np.array([(0.5 + dmi / 6, *film_point) for dmi in film_dmi])
film_box = tuple(-(-side // 16) * 16 for side in (film_height, film_width))  # FFTs are fast there
spleem = Microscope("vector", blur=0.5, noise=0.4, readout=0.025)


def photographed(normalised: np.ndarray, first: int, sweeps: int = film_sweeps) -> torch.Tensor:
    """Pictures (films, 3, film_height, film_width) of films cooled like those of the series."""
    films = cool(normalised.clip(0, 1), first, film_box, sweeps)
    pictures = spleem(films, seed=seed, states=range(first, first + len(films)))
    return pictures[..., :film_height, :film_width]


film_pictures = photographed(film_truth, 4_000_000)

# %%
shown = [0, len(film_dmi) // 2, len(film_dmi) - 1]
raw = figures.contact_sheet(
    [
        picture
        for vectors_ in film_pictures[shown]
        for picture in (*((1 + vectors_[:, None]) / 2), colour(vectors_[None])[0])
    ],
    [
        rf"{name}, $\lambda = {film_dmi[number]:g}D$"
        for number in shown
        for name in ("$m_x$", "$m_y$", "$m_z$", "colour")
    ],
    columns=4,
    pixel=pixel_size_nm * 1e-9,
    width=1.9,
)
corners = [
    (x, y)
    for y in range(0, film_height - size + 1, size)
    for x in range(0, film_width - size + 1, size)
]
for ax in raw.axes[3::4]:
    for x, y in corners[::3]:
        ax.add_patch(plt.Rectangle((x, y), size, size, fill=False, ec="yellow", lw=1))
study.show(
    raw,
    "spleem_pictures",
    numbers={"λ/D": film_dmi, "K_N, D_N": film_point},
    caption="Three of the virtual films, one per row: the three components as the microscope "
    "records them, and the colours made of them, with some of the panels (yellow); the paper's "
    "Fig. 4B and C. The domains look alike all along the series; the DMI shows only in the "
    "in-plane components at the walls, whose part across the wall reverses with its sign.",
)


# %%
lots = np.random.Generator(np.random.Philox(seed))


def noisy_textures(films: torch.Tensor) -> pd.DataFrame:
    """Texture numbers of training films, with noise as in training."""
    strength = regression.NOISIEST * torch.from_numpy(lots.random(len(films))).float()
    return domains.texture(vector_noise(films, strength, seed=seed))


def read(pictures: torch.Tensor) -> list[regression.PictureEstimate]:
    """What the network says about each picture."""
    return [
        regression.estimate_picture(robust, picture[None], size, known, device=study.device)
        for picture in pictures
    ]


# At random: on a grid of parameters, the first films all come from one corner of it.
known = noisy_textures(spins[lots.permutation(parts[0])[:600]])
reports = read(film_pictures)
film_table = pd.concat(
    {f"{dmi:+.2f}": report.table for dmi, report in zip(film_dmi, reports)},
    names=["true λ/D", "parameter"],
)
film_units = regression.in_units_of_exchange(film_truth)
film_table["truth"] = np.concatenate(
    [(dmi, k, 2 * np.pi * d, dmi / d, k / (2 * np.pi * d)) for dmi, k, d in film_units]
)
film_table.round(3)

# %%
figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.3), layout="constrained")
for ax, names in (
    (axes[0], {"K (J)": "$K$", "2πD (J)": r"$2\pi D$"}),
    (axes[1], {"λ (J)": r"$\lambda$"}),
):
    for name, label in names.items():
        shade = figures.PARAMETERS[name.removesuffix(" (J)").removeprefix("2π")]
        rows = film_table.xs(name, level="parameter")
        ax.errorbar(
            *(film_dmi, rows["estimate"], rows["spread over panels"]),
            color=shade,
            marker="o",
            capsize=3,
            label=label,
        )
        ax.plot(film_dmi, rows["truth"], color=shade, ls=":")
    ax.plot([], [], color="black", ls=":", label="truth")
    ax.invert_xaxis()
    ax.set_xticks(film_dmi)
    ax.set(xlabel=r"true $\lambda/D$ of the film", ylabel="estimate ($J$)")
    # Off the error bars.
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
axes[1].axhline(0, color="0.7", lw=0.8)
study.show(
    figure,
    "spleem_estimates",
    numbers={"estimates": film_table.reset_index()},
    caption="The paper's Fig. 4D: estimates along the series, means over the panels; dotted lines "
    "are the truth, which the paper could not know. As there, λ changes sign while K and 2πD stay "
    "constant; both are read somewhat too small. Bars are the spread between single panels; apart "
    f"from bias, the mean of {len(corners)} is known √{len(corners)} times better.",
)

# %% [markdown]
# **Criterion for K7.** The estimated λ/*D* falls along the whole series and has the true sign in
# every film; neither *K* nor *D* varies from film to film by more than 10 % of its mean (standard
# deviation of the films' estimates); and these means are within 10 % of the truth. (The full-size
# run had a film in the middle of the ranges, and was not judged by this last condition: its means
# are 5 % too small.)

# %%
series = film_table["estimate"].unstack("parameter").loc[[f"{dmi:+.2f}" for dmi in film_dmi]]
spread = film_table["spread over panels"].unstack("parameter").loc[series.index]
flat = series[["K (J)", "2πD (J)"]]
stray = flat.std() / flat.mean()
true_flat = film_table["truth"].unstack("parameter")[flat.columns].mean()
off = flat.mean() / true_flat - 1
middle_k, middle_d = regression.in_units_of_exchange(np.full(3, 0.5))[1:]
middle_off = np.array([middle_k, 2 * np.pi * middle_d]) / true_flat - 1
record(
    "K7",
    "λ/D "
    + ", ".join(f"{value:+.2f}" for value in series["λ/D"])
    + f" for true {', '.join(f'{dmi:+g}' for dmi in film_dmi)}; K and D vary by "
    "{:.1f} and {:.1f} % and are off by {:+.1f} and {:+.1f} % (mid-range would be off by {:+.0f} "
    "and {:+.0f} %)".format(*100 * stray, *100 * off, *100 * middle_off),
    {
        "λ/D falls along the series": bool((np.diff(series["λ/D"]) < 0).all()),
        "every sign is right": bool((np.sign(series["λ/D"]) == np.sign(film_dmi)).all()),
        "K and D stay flat": bool((stray < 0.1).all()),
        "their means are right": bool((off.abs() < 0.1).all()),
    },
    uncertainty=f"{spread['λ/D'].mean():.2f} in λ/D between panels",
)

# %% [markdown]
# ## 9. The film, simulated again (K8)
# Each film is simulated again with its estimates, cooled at the same rate and seen by the same
# microscope. In both pictures the profiles of the domain walls, taken along their normals, are
# averaged and fitted with *a* tanh((*x* − *c*)/*w*); the amplitude *a* allows for the noise, which
# shortens *m*_z. π*w* is the usual width of a wall of profile tanh(*x*/*w*). The blur of half a
# pixel widens the walls of both alike.
#
# **Criterion for K8**
# - For the film nearest to λ = 0, the two widths differ by less than two standard errors, or by
#   less than half as much as the picture's and that of a film in the middle of the ranges, which is
#   what a network that knows nothing would find.
# - For this film, the stripe periods of picture and simulation agree within 5 %.
# - The mean absolute deviation of the periods over the series is also below 5 %.
#
# (At full size, widths within 5 % passed: 2.097 and 2.163, which differ by almost five standard
# errors. With both periods off as well, that run is not reproduced by this criterion.)

# %%
film_guess = np.array([report.normalised.mean(0) for report in reports])
pictures_again = photographed(film_guess, 5_000_000)
nearest = min(film_dmi, key=abs)
middle_of_ranges = np.array([(0.5 + nearest / 6, 0.5, 0.5)])
middle_picture = photographed(middle_of_ranges, 11_000_000)
middle_period = domains.stripe_period(middle_picture, "open")[0]
middle_wall = domains.wall(middle_picture[0], reach=wall_reach, boundary="open")
walls, rows = {}, []
for number, dmi in enumerate(film_dmi):
    found = [
        (
            domains.wall(p, reach=wall_reach, boundary="open"),
            domains.stripe_period(p[None], "open")[0],
        )
        for p in (film_pictures[number], pictures_again[number])
    ]
    (wall, period), (wall_again, period_again) = found
    walls[dmi] = (wall, wall_again)
    rows.append(
        {
            "true λ/D": dmi,
            "period": period,
            "period again": period_again,
            "w": wall.width,
            "± w": wall.width_error,
            "w again": wall_again.width,
            "± w again": wall_again.width_error,
            "πw (nm)": domains.wall_width_nm(wall.width, pixel_size_nm),
            "πw again (nm)": domains.wall_width_nm(wall_again.width, pixel_size_nm),
        }
    )
again = pd.DataFrame(rows).set_index("true λ/D")
again.round(3)

# %%
figure, ax = plt.subplots(figsize=(5.4, 3.6), layout="constrained")
for (wall, label), shade, shift in zip(
    zip(walls[nearest], ("picture", "simulated again")),
    (figures.OBSERVED, figures.ESTIMATED),
    (0, 3),
):
    ax.plot(wall.distance + shift, wall.profile, "o", ms=3, color=shade)
    fitted = wall.amplitude * np.tanh((wall.distance - wall.centre) / wall.width)
    ax.plot(
        *(wall.distance + shift, fitted),
        color=shade,
        label=f"{label}: w = {wall.width:.3f} ± {wall.width_error:.3f}",
    )
ax.set(xlabel="distance from the wall (sites; second curve shifted by 3)", ylabel="mean $m_z$")
ax.legend(frameon=False, fontsize=8)
row = again.loc[nearest]
apart = abs(row["w again"] - row["w"])
within = apart < 2 * math.hypot(row["± w"], row["± w again"])
nearer = apart < abs(middle_wall.width - row["w"]) / 2
ratio_of_periods = again["period again"] / again["period"]
study.show(
    figure,
    "wall_profiles",
    numbers={"series": again.reset_index()},
    caption=f"The paper's Fig. 4E: mean wall profiles of the picture at λ = {nearest:g} D and of "
    f"its simulation, with fits. The two widths differ by {100 * apart / row['w']:.2f} %; in the "
    "paper, where w = 2.238 and 2.241, by 0.1 %.",
)
record(
    "K8",
    f"w = {row['w']:.3f} and {row['w again']:.3f}, {row['πw (nm)']:.1f} and "
    f"{row['πw again (nm)']:.1f} nm; stripe periods {row['period']:.2f} and "
    f"{row['period again']:.2f} (a film in the middle of the ranges has w = "
    f"{middle_wall.width:.3f} and a period of {middle_period:.2f}); in the series w is off by up "
    f"to {100 * (again['w again'] / again['w'] - 1).abs().max():.1f} %",
    {
        "the wall widths agree": bool(within or nearer),
        "the stripe periods agree within 5 %": bool(abs(ratio_of_periods[nearest] - 1) < 0.05),
        "the periods agree within 5 % on average over the series": bool(
            (ratio_of_periods - 1).abs().mean() < 0.05
        ),
    },
    uncertainty=f"{row['± w']:.3f} and {row['± w again']:.3f}",
)

# %%
pair = figures.before_after(
    colour(film_pictures[shown]),
    colour(pictures_again[shown]),
    [rf"$\lambda = {film_dmi[number]:g}D$" for number in shown],
    labels=("picture", "simulated again"),
    pixel=pixel_size_nm * 1e-9,
)
study.show(
    pair,
    "simulated_again",
    numbers={"series": again.reset_index()},
    caption="Top: pictures of three films of the series. Bottom: films simulated with the "
    "estimates, cooled at the same rate. The domains lie elsewhere, but are of the same kind "
    "and width, and the colours of their walls are the same.",
)

# %% [markdown]
# ### What no network can know
# The stripe period of a metastable film also depends on how fast it was cooled, which the network
# was not told and which a picture hardly shows. The network learnt from films of all rates, so its
# answer suits one rate, and slower films are read with too large a *D* and too small a *K*. The
# errors of *K*_N and *D*_N in the table below change *K*_eff and so the period. (Its films are read
# as they are, not through the microscope, which makes the series' *K* and *D* come out too small.)
#
# On a laptop, the rate that suits *D*_N best is the fastest, and the one that suits *K*_N lies
# between the rate of the series and the slowest; at the rate of the series both are read a little
# too large. At full size the rate that suits lies between that of the series and the slowest. So
# there the films of the series are read with too small a *D*, and when simulated again their
# periods are 7 % too long on average, and 11 % for the film of the criterion. K8 fails there for
# this reason, or because those networks were trained in a precision other than that in which they
# are asked (spinlib/README.md): the two cannot be told apart.

# %%
same = np.repeat(film_truth[len(film_dmi) // 2][None], rate_films, axis=0)
rates = {}
for number, sweeps in enumerate((recipe.fastest, film_sweeps, recipe.slowest)):
    cooled = cool(same, 6_000_000 + number * rate_films, sweeps=sweeps)
    found = regression.estimate(robust, cooled, device=study.device)
    mean, error = errors.mean_with_error(found - same, seed=seed)
    rates[sweeps] = [np.nanmean(domains.stripe_period(cooled)), *mean[1:], *error[1:]]
rates = pd.DataFrame(
    rates, index=["stripe period", "ΔK_N", "ΔD_N", "± ΔK_N", "± ΔD_N"]
).T.rename_axis("sweeps of cooling")
rates.round(3)

# %% [markdown]
# ### Corrected by its own simulation
# The panels differ from the training films in more ways: they have open edges, and other noise,
# blur and cooling. Each of these shifts the network's answers a little. By how much can be found
# without knowing the truth. The films simulated again have known parameters, namely the estimates,
# and the network can read their pictures as well. The difference between what it finds there and
# what they were made with is its bias, and is subtracted from the first estimates. Microscope and
# cooling have to be known for this, and here they are, exactly. To show what a wrong guess of the
# cooling does, the correction is repeated with films cooled as fast, and as slowly, as any in the
# training.
#
# Films simulated with the corrected estimates should match the pictures' periods as closely as a
# third series does, simulated with the true parameters: two films of this size, with the same
# parameters, differ by a few per cent.


# %%
def biases(pictures: torch.Tensor) -> np.ndarray:
    """What the network reads out of pictures in excess of the estimates they were made with."""
    found = np.array([report.normalised.mean(0) for report in read(pictures)])
    return found - film_guess.clip(0, 1)


bias = biases(pictures_again)
corrected = film_guess - bias
guessed_rates = {
    "cooled too fast": photographed(film_guess, 9_000_000, recipe.fastest),
    "cooled too slowly": photographed(film_guess, 10_000_000, recipe.slowest),
}
pictures_by = {
    "estimates": pictures_again,
    "corrected": photographed(corrected, 7_000_000),
    "true parameters": photographed(film_truth, 8_000_000),
}
period_by = {
    name: domains.stripe_period(pictures, "open") / again["period"].to_numpy() - 1
    for name, pictures in pictures_by.items()
}
error_by = {"estimates": film_guess - film_truth, "corrected": corrected - film_truth}
error_by |= {
    f"corrected, {name}": film_guess - biases(pictures) - film_truth
    for name, pictures in guessed_rates.items()
}
correction = pd.DataFrame(
    {name: found.mean(0) for name, found in error_by.items()},
    index=["mean error of λ_N", "of K_N", "of D_N"],
).T
for name, found in error_by.items():
    for parameter, symbol in enumerate("λKD"):
        correction.loc[name, f"mean |error| of {symbol}_N"] = np.abs(found[:, parameter]).mean()
for name, found in period_by.items():
    correction.loc[name, "deviation of the period, mean"] = found.mean()
    correction.loc[name, "its standard error"] = found.std(ddof=1) / math.sqrt(len(found))
    correction.loc[name, "mean |deviation|"] = np.abs(found).mean()
correction.map(lambda value: "–" if np.isnan(value) else f"{value:+.3f}")

# %%
figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.3), layout="constrained")
styles = {"estimates": ("o", ":"), "corrected": ("D", "-"), "true parameters": ("x", "--")}
for parameter, name in ((1, "K"), (2, "D")):
    for kind, (marker, style) in list(styles.items())[:2]:
        axes[0].plot(
            *(film_dmi, error_by[kind][:, parameter], marker),
            color=figures.PARAMETERS[name],
            ls=style,
            label=f"${name}_N$, {kind}",
        )
axes[1].axhspan(-5, 5, color="0.92", zorder=0)
shades_by = {"true parameters": "0.6"}  # the estimates keep one colour, corrected or not
for kind, (marker, style) in styles.items():
    axes[1].plot(
        *(film_dmi, 100 * period_by[kind], marker),
        ls=style,
        color=shades_by.get(kind, figures.ESTIMATED),
        label=kind,
    )
for ax in axes:
    ax.axhline(0, color="0.7", lw=0.8, zorder=0)
    ax.invert_xaxis()
    ax.set_xticks(film_dmi)
    ax.set_xlabel(r"true $\lambda/D$ of the film")
    ax.margins(y=0.3)
    ax.legend(frameon=False, fontsize=8, ncol=2, loc="upper center")
axes[0].set_ylabel("error, share of the range")
axes[1].set_ylabel("deviation of the stripe period (%)")
study.show(
    figure,
    "corrected",
    numbers={
        "errors of λ_N, K_N, D_N": error_by,
        "deviations of periods": period_by,
        "bias found": bias,
    },
    caption="Left: errors of the estimates along the series, as they are (dotted) and corrected by "
    "the bias that the network shows on its own simulations (solid). On average over the series, "
    "the absolute error "
    + " and ".join(
        f"of {symbol}_N {'falls' if after < before else 'rises'} from {before:.3f} to {after:.3f}"
        for symbol in "KD"
        for before, after in [
            correction.loc[["estimates", "corrected"], f"mean |error| of {symbol}_N"]
        ]
    )
    + ". Right: stripe periods of films simulated with "
    "these estimates, relative to the pictures. Grey crosses are films simulated with the true "
    "parameters, which deviate by chance. The band is ±5 %. The paper has no such correction.",
)

# %% [markdown]
# ## 10. In physical units (K9)
# Layers that turn together act as one, with the dipolar energy scale
# $D_L = (d_\mathrm{Co}\mu_\mathrm{Co} + d_\mathrm{Ni}\mu_\mathrm{Ni})^2/a^3$ (Gaussian units; in SI
# times μ₀/4π), with 1.7 and 0.6 Bohr magnetons per atom of cobalt and nickel and *a* = 2.49 Å. The
# paper does not print the numbers *d* of atomic layers. Two of cobalt and six of nickel, chosen to
# agree with the paper's 0.171 meV, give 0.170 meV. The DMI in units of energy is then
# $D_L \lambda/D$. The virtual series begins and ends near the paper's, so its truth and its
# estimates can be compared with 0.187 and −0.115 meV.
#
# **Criterion for K9.** One statement: the estimated DMI of the first and the last film of the
# series lies within 20 % of the truth, or within twice its error, which is the spread over panels
# divided by the square root of their number (at full size it was twice the spread itself). The unit
# *D*_L has to agree with the paper's within 1 %, which tests the formula and its units, not the
# numbers of layers.

# %%
dipolar_mev = domains.dipolar_energy(((2, 1.7), (6, 0.6)), 2.49e-10)
energy_scale = pd.DataFrame(
    {
        "true DMI (meV)": dipolar_mev * np.array(film_dmi),
        "estimate (meV)": dipolar_mev * series["λ/D"].to_numpy(),
        "error over panels (meV)": dipolar_mev * spread["λ/D"].to_numpy() / len(corners) ** 0.5,
    },
    index=pd.Index(film_dmi, name="true λ/D"),
)
ends = energy_scale.iloc[[0, -1]]
miss = (ends["estimate (meV)"] - ends["true DMI (meV)"]).abs()
record(
    "K9",
    f"D_L = {dipolar_mev:.3f}, λ from {ends.iloc[0, 1]:.3f} to {ends.iloc[1, 1]:.3f} "
    f"(truth {ends.iloc[0, 0]:.3f} to {ends.iloc[1, 0]:.3f})",
    {
        "the DMI at the ends of the series is right": bool(
            (
                (miss < 0.2 * ends["true DMI (meV)"].abs())
                | (miss < 2 * ends["error over panels (meV)"])
            ).all()
        )
        and abs(dipolar_mev / 0.171 - 1) < 0.01,
    },
    uncertainty=f"{ends['error over panels (meV)'].mean():.3f}",
)
energy_scale.round(4)

# %% [markdown]
# ## 11. A picture of your own
# Set `image` to a picture file (a colour picture as above, or three components; PNG, TIFF, NPY,
# OVF) and `pixel_size_nm` to the side of its pixels. Without one, the film in the middle of the
# series is saved as an 8-bit colour picture and read back.
#
# The network knows films of *J* = 1 with one pixel per site. It was trained on textures within
# certain bounds; where a picture lies outside them, a warning says so with the numbers, and the
# estimate is not to be trusted. The numbers are
# - the median vector length, and how much lengths differ;
# - alignment, the mean **S**·**S**′ of neighbours, which noise lowers;
# - out of plane, the mean |*m*_z|;
# - net *m*_z, the absolute value of its mean, which is large if domains of one colour prevail;
# - waves per site, one over the stripe period.
#
# A picture smaller than one panel is refused. (The full-size run took its bounds from films of one
# corner of the parameters, and so warns of its own film without need.)
#
# The network of the laptop profile comes with the package, and can be used without this notebook
# and without training: `network, size, known = regression.load_robust()`, then
# `regression.estimate_picture(...)` as below.

# %%
if own_picture is None:
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from PIL import Image

    pixels = colour(film_pictures[len(film_dmi) // 2][None])[0].clamp(0, 1)
    pixels = (255 * pixels).round().byte().permute(1, 2, 0).numpy()[::-1].copy()
    with TemporaryDirectory() as folder:
        file = Path(folder) / "film.png"
        Image.fromarray(pixels).save(file)
        own_picture, own_doubts = read_vectors(str(file), "colour")
own = regression.estimate_picture(robust, own_picture, size, known, device=study.device)
table_own = own.table
wall_own = None
try:
    wall_own = domains.wall(own_picture[0], reach=wall_reach, boundary="open")
    width_nm = domains.wall_width_nm(wall_own.width, pixel_size_nm)
    table_own.loc["wall width πw (nm)"] = (
        width_nm,
        width_nm * wall_own.width_error / wall_own.width,
    )
except ValueError as error:
    print(error)
print(
    "\n".join([*own_doubts, *own.warnings])
    or "This picture lies within the bounds of the training pictures."
)
table_own.round(3)

# %% [markdown]
# What is said about pictures unlike those of the training: with half the contrast, with pixels
# three times as fine (a corner of the picture, magnified), of a single domain, and of pure noise.

# %%
plain = film_pictures[len(film_dmi) // 2][None]
strange = {
    "half the contrast": 0.5 * plain,
    "magnified three times": torch.nn.functional.interpolate(
        plain[..., : film_height // 3, : film_width // 3], scale_factor=3, mode="nearest"
    ),
    "one domain": vector_noise(torch.tensor([0.0, 0, 1])[:, None, None].expand_as(plain), 0.4),
    "noise": vector_noise(plain, 100.0),
}
said = {
    name: regression.estimate_picture(robust, picture, size, known, device=study.device).warnings
    for name, picture in strange.items()
}
flags = figures.contact_sheet(
    [colour(picture)[0] for picture in (plain, *strange.values())],
    ["as it is", *strange],
    columns=5,
    width=1.8,
)
study.show(
    flags,
    "strange_pictures",
    numbers={
        "warnings": said,
        "own picture": table_own.reset_index(),
        "own warnings": [*own_doubts, *own.warnings],
    },
    caption="A picture of the series (left), and four kinds that the network was not trained for; "
    "the warnings about these four are listed below. The paper has no such test.",
)
Markdown("\n".join(f"- *{name}*: {' '.join(words) or 'none'}" for name, words in said.items()))

# %% [markdown]
# ## What was reproduced, what not, and why
# | | laptop | full size |
# |---|---|---|
# | K1: noise in training helps | reproduced: 6.8 times | reproduced: 8.3 (5.4, 8.3, 12.5) |
# | K2: which architecture | not reproduced | partly: relative errors 0.14, 0.15 and 0.16 |
# | K3: worst in a corner of the map | not reproduced | partly: for λ only |
# | K4: direction of the errors | reproduced | reproduced: 1.1° off, 92.4 % of the variance |
# | K5: typical error ≈ 0.01 *J* | partly: 0.054; periods +5.1 % | partly: 0.028; periods +0.2 % |
# | K6, K7, K9: stripes, series, meV | reproduced | reproduced |
# | K8: the film simulated again | reproduced: periods 4 % off | partly (today: not): 8 % off |
#
# *Why.*
# - K1: on a laptop, ResNet18 gains a factor of 3.22 ± 0.14 for λ, where 3 is asked for; in earlier
#   runs, with other states or weights, it was 2.96 ± 0.12 to 3.44 ± 0.16. And the mean of all nine
#   factors owes much to the custom CNN, which fails without noise (12.7); those of the two ResNets
#   alone have a mean of 4.98, where 5 is asked for.
# - K2: the paper gives the layers of its CNN in its fig. S3, which we lack; ours is good, and the
#   three were not trained equally long. At full size, “partly” rests on 0.14 against 0.15 and 0.16
#   for single trainings, and is open.
# - K3: films lie in the plane, or nearly so, along the whole row *K*_N = 0, and not only in its
#   corner below *K* = 6.775 *D* − (π*D*)²/2*J*. There *D*_N is read badly, not at the tip of the
#   corner but from *D*_N = ½ on. At full size it is worst at *D*_N ≈ 0.6, where the corner ends,
#   and λ alone is worst at the tip.
# - K4: at full size the error of *K* − 2π*D* is 0.0042 *J*, where shuffled errors give 0.0077. The
#   first component of the shuffled errors, 4.9° off with 86 % of the variance, would pass for the
#   paper's (chapter 5).
# - K5: training is short, 10 epochs at full size instead of 1000, and the cost was still falling.
# - K8: at full size, periods are off by 8 % over the series, perhaps because it was not cooled at
#   the rate that suits the network (chapter 9). On a laptop, in the panels with their edges, noise
#   and blur, *K*_N is read 0.013 too high and *D*_N 0.021 too low on average. The periods come out
#   3.3 ± 2.0 % too long and 4.3 % off film by film, just within the criterion. (In the run before,
#   with other films, they were 5.7 % too long, and K8 partly reproduced.)
# - Correction by simulation, on a laptop, leaves −0.002 for *K*_N and +0.015 for *D*_N; the periods
#   are then 0.4 ± 1.1 % too short on average and 2.1 % off film by film, against 4.1 % with the
#   true parameters, by chance. It stands or falls with the rate of cooling: with the fastest or the
#   slowest of the training, *K*_N is off by −0.04 or +0.09 and *D*_N by +0.06 or −0.10. The
#   full-size run had no correction.
#
# The film of K7 to K9 was made by the same simulation as the training films: a real film may differ
# in kind.
#
# *What to try next.* A hundred times the epochs, some hours on one GPU; a cut-off of the dipole sum
# near ten sites, which gives 2π*D*; the rate of cooling as a fourth parameter, given to the network
# or estimated by it.

# %%
kept = regression.save_robust(
    *(robust, ROOT / "data" / f"study02-{profile}-resnet18.safetensors"),
    width=width,
    size=size,
    known=known,
    recipe=recipe_hash(recipe),
    profile=study.label,
)
print(kept.relative_to(ROOT))

# %% [markdown]
# ## About this run

# %%
study.about()
