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
# *Can a network trained on pictures at one magnification read parameters from pictures at another?*
#
# ![R² for the saturation at all scales](../figures/paper/03/saturation_rescued.png)
#
# **The answer.** Not everywhere.
# - *For the saturation magnetisation $M_s$*, a network trained at four scales (black) reads it at
#   these scales (grey; $R^2$, 1 if perfect, is above 0.9 at full size) and fails at 0.75 µm (−0.63,
#   worse than a constant answer), but not at 1.25 and 1.75 µm, where the paper has errors as well.
#   Scales drawn continuously (orange) cure the failure.
# - *For the Dzyaloshinskii–Moriya interaction $D$ (DMI)* the paper says yes. Here its network fails
#   at 0.75 µm, too, but in another way: on a laptop its answers follow the truth there (correlation
#   0.78), with an offset, while those for $M_s$ hardly do (0.53). At full size it fails at all
#   three scales in between; how much of that is due to an error of our trainings in precision is
#   not known (spinlib/README.md).
# - That in general $D$ tolerates more than $M_s$ we find at neither size.
#
# A. Watanabe et al., arXiv 2408.12181 (2024), cut simulated domain pictures at scales from 0.5 to
# 2 µm, bring them all to 128×128 pixels, train at some scales and test at others. In the paper the
# DMI, which turns neighbouring spins in one sense, survives a change of scale better than the
# saturation magnetisation, the magnetic moment per volume.

# %% tags=["parameters"]
profile: str = "laptop"  # sizes: smoke, laptop or paper
device: str = "auto"  # auto, cpu or cuda
seed: int = 1  # seed of every random number
output: str = ""  # folder of the results; empty is figures/<profile>/03
image: str = ""  # file of your own grey picture; if empty, a picture of a test film is used
pixel_size_nm: float = 0.0  # side of one of its pixels; or else
field_of_view_nm: float = 0.0  # side of its largest square; both 0: as the file says
pixels: int = 64  # side of the pictures a network sees, a multiple of 64; 128 in the paper
looks: list[int] = [30000, 65000]  # training pictures shown in each training for M_s, for D
cuts_per_film: int = 4  # minimum number of training cuts per film and scale
batch_size: int = 32  # pictures per step; 128 in the paper, which takes many more steps
learning_rate: float = 2e-3  # peak learning rate of one-cycle Adam
two_protocols: list[float] = [200.0, 325.0, 450.0, 575.0, 700.0]  # M_s (kA/m) in chapter 1
protocol_films: int = 1  # films at each of these M_s
protocol_size: int = 128  # cells along each side of these films
damping: float = 0.5  # Gilbert damping in the relaxation protocol
relaxation: float = 0.2  # duration of the relaxation protocol in nanoseconds

# %%
import math
import time
from dataclasses import replace
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr

from spinlib import cutting, domains, errors, figures, scales
from spinlib.contrast import perpendicular
from spinlib.dataset import dataset, recipe_hash
from spinlib.estimation.intervals import conformal_quantile
from spinlib.film import VACUUM_PERMEABILITY
from spinlib.film_recipes import FILMS, VARIED, along, cool, relax_from_noise
from spinlib.networks.scale_cnn import ScaleCNN
from spinlib.notebooks import ROOT
from spinlib.study import Study
from spinlib.training import seeded, side_by_side
from spinlib.weights import save_weights

study = Study("03", profile=profile, output=output, seed=seed, device=device)
recipes = {name: replace(recipe, seed=seed) for name, recipe in FILMS[profile].items()}
films_recipe = recipes["saturation"]
LABEL = {"saturation": "$M_s$ (kA/m)", "dmi": "$D$ (mJ/m²)"}
UNIT = {"saturation": "kA/m", "dmi": "mJ/m²"}
DIGITS = {"saturation": ".0f", "dmi": ".2f"}


def sides(names):
    """Sides in cells of the cuts at these scales, given by the paper's names in µm."""
    return [round(name / 2 * films_recipe.size) for name in names]


views = tuple(films_recipe.cell * side for side in sides((0.5, 2.0)))
own_picture = None
if image:  # an unsuitable picture is refused now, not after an hour
    own_picture = scales.read_square(
        image, views, pixel_size_nm=pixel_size_nm, field_of_view_nm=field_of_view_nm
    )


LOOKS = dict(zip(("saturation", "dmi"), looks, strict=True))


def short(number):
    """A number with two decimals, or none if it is large, and a proper minus sign."""
    return f"{number:.{2 if abs(number) < 10 else 0}f}".replace("-", "−")


def measured(number, error):
    """A number and its error with as many decimals as the error needs: "−24 ± 3"."""
    if not 0 < error < np.inf:
        return short(number)
    # One digit of the error, or two if the first is 1 or 2.
    decimals = max(0, -int(np.floor(np.log10(error / 3))))
    return f"{number:.{decimals}f} ± {error:.{decimals}f}".replace("-", "−")


# %% [markdown]
# ## 1. The films and how they are made
# A film is a field of unit vectors m, the directions of its spins. Its energy per volume is A(∇m)²
# − K_u m_z², plus the bulk DMI, D m·(∇×m), plus the energy of the spins in the field of all
# dipoles, which grows as $M_s^2$. The exchange A favours parallel neighbours and the anisotropy K_u
# favours spins that point up or down; so a film splits into *domains*, white and black, separated
# by *walls* in which the spins turn. A wall costs 4√(A K_eff) − πD per area, with K_eff = K_u −
# μ₀M_s²/2; large domains cost dipole energy.
#
# There are two sets of such films, each film one periodic 4 nm layer of 4 nm cells. The anisotropy
# scatters from cell to cell, by σ = 5 to 20 % of its mean (each film has its own σ), and so pins
# the walls. Otherwise only the saturation magnetisation $M_s$ differs from film to film in the
# first set, and only $D$ in the second. (The paper's table prints "[m]/m²" for $D$. It is mJ/m²: up
# to 1.0, below the 3.06 mJ/m² = 4√(A K_eff)/π at which walls would cost nothing.)

# %%
pd.DataFrame(
    {
        name: {
            "films": recipe.states,
            "side (nm)": recipe.box,
            "M_s (kA/m)": "{:g} – {:g}".format(*recipe.saturation),
            "D (mJ/m²)": "{:g} – {:g}".format(*recipe.dmi),
            "K_u (MJ/m³)": recipe.anisotropy,
            "A (pJ/m)": recipe.exchange,
            "σ": "{:g} – {:g}".format(*recipe.dispersion),
        }
        for name, recipe in recipes.items()
    }
)

# %% [markdown]
# The state of such a film is not its ground state but what coarsening and pinning have left behind.
# The protocol is therefore part of the result, but the paper's text gives neither damping nor start
# nor stopping rule. (For details it refers to Kawaguchi et al., npj Comput. Mater. 7, 20 (2021),
# which we have not used.) So we compare two protocols, on the same films with the same pinning:
# - **annealing**: the heat bath, a Monte Carlo method that draws each spin anew from its Boltzmann
#   distribution in the field of the others, while the film cools from above the ordering
#   temperature to zero. All data below are made in this way;
# - **relaxation**: the Landau–Lifshitz–Gilbert equation (LLG), precession with damping, at T = 0
#   from random spins, for a fixed time. This is closest to the paper's words, and far slower.

# %%
clock = time.perf_counter()
small = replace(films_recipe, size=protocol_size)
chosen = along(small, np.repeat(two_protocols, protocol_films), dispersion=0.1)
members = range(len(chosen))
both = {"annealing": cool(small, members, chosen, device=study.device).cpu()}
annealing_seconds = time.perf_counter() - clock
clock = time.perf_counter()
both["relaxation"] = relax_from_noise(
    small, members, chosen, damping=damping, time=1e-9 * relaxation, device=study.device
).cpu()
relaxation_seconds = time.perf_counter() - clock

# %% [markdown]
# The domain size is taken as area per length of wall, which for stripes is their width. The wall
# width is measured as πw by fitting tanh(x/w) to the mean profile of the walls. In theory it is
# π√(A/K_eff), whatever the protocol, if the walls had time to relax.
#
# Fitted walls are narrower than this formula. At low $M_s$ the difference is a tenth or more,
# because √(A/K_eff), 5 nm, is hardly more than a cell (with the dipoles switched off, the same fit
# gives 14 nm where the formula gives 15.7 nm). At high $M_s$ it is about a quarter or more, because
# the formula takes the demagnetising field of a uniform film, and at a wall that field is weaker.

# %%
lines = []
for protocol, states in both.items():
    for number, spins in enumerate(states):
        saturation = chosen.iloc[number, 0]
        size = domains.domain_size(spins[None, 2], small.cell)[0]
        try:
            width = np.pi * small.cell * domains.wall(spins, reach=5).width
        except ValueError:  # too few isolated walls
            width = np.nan
        effective = 1e6 * small.anisotropy - VACUUM_PERMEABILITY / 2 * (1e3 * saturation) ** 2
        lines.append(
            {
                "protocol": protocol,
                "M_s (kA/m)": saturation,
                "domain size (nm)": size,
                "wall width (nm)": width,
                "π√(A/K_eff) (nm)": 1e9 * np.pi * np.sqrt(1e-12 * small.exchange / effective),
            }
        )
protocols = pd.DataFrame(lines)
protocols.groupby(["protocol", "M_s (kA/m)"]).mean().round(1)

# %%
first = [number * protocol_films for number in range(len(two_protocols))]
sheet = figures.contact_sheet(
    [perpendicular(states)[number] for states in both.values() for number in first],
    [f"{saturation:g} kA/m" for saturation in two_protocols] + [""] * len(two_protocols),
    columns=len(two_protocols),
    pixel=1e-9 * small.cell,
    width=1.8,
)
for row, protocol in enumerate(both):
    sheet.axes[row * len(two_protocols)].set_ylabel(protocol, fontsize=figures.TITLE)
study.show(
    sheet,
    "two_protocols",
    numbers={
        "films": protocols,
        "annealing, s per film": annealing_seconds / len(chosen),
        "relaxation, s per film": relaxation_seconds / len(chosen),
    },
    caption="The same films, with the same pinning, annealed (above) and relaxed from random spins "
    f"by the LLG equation at T = 0 for {relaxation:g} ns at a damping of {damping:g} (below); "
    "white is up, black down. On the whole, larger saturation (to the right) makes smaller "
    "domains.",
    recipe=recipe_hash(small),
)

# %% [markdown]
# Both protocols give patches, and labyrinths at high $M_s$, and the walls have much the same width.
# They differ in how far the domains have coarsened. The relaxed films are stopped after a fraction
# of a nanosecond, while their domains still grow: a longer time would bring them past the annealed
# ones. (The first of these films has domains of 122 nm after 0.2 ns, and of 258 nm after 1 ns.)
# Annealing makes a film in far less time, so it is used for the data. The tiny round dots in some
# films are bubbles of a few cells, probably held in place by the 4 nm lattice.

# %%
by_protocol = protocols.groupby("protocol")[["domain size (nm)", "wall width (nm)"]].mean()
by_protocol["seconds per film"] = [
    {"annealing": annealing_seconds, "relaxation": relaxation_seconds}[name] / len(chosen)
    for name in by_protocol.index
]
by_protocol.round(2)

# %%
data = {
    name: dataset(recipe, ROOT / "data", study.device, progress=False)
    for name, recipe in recipes.items()
}
films = {name: cutting.load(entry) for name, entry in data.items()}
sizes = {name: domains.domain_size(entry.m_z, entry.cell) for name, entry in films.items()}
print(f"{sum(map(len, data.values()))} films")


# %%
def sizes_by_third(name):
    """Mean domain size in the lower and in the upper third of the parameter, and its fall in %."""
    values = data[name].parameters[VARIED[name]].to_numpy()
    third = np.digitize(values, np.quantile(values, [1 / 3, 2 / 3]))
    low, high = (sizes[name][third == each].mean() for each in (0, 2))
    return low, high, 100 * (1 - high / low)


TO_SEE = {
    "saturation": "Annealed films, M_s increasing to the right. Domains become smaller and walls "
    "wider (the paper's Fig. 4d: larger saturation, smaller domains).",
    "dmi": "Annealed films, D increasing to the right. They look much alike: D, the parameter of "
    "the paper's Figs 2 and 3, changes little. In the upper third of D domains are "
    f"{sizes_by_third('dmi')[2]:.1f} % smaller than in the lower (all {len(data['dmi'])} films).",
}
for name, recipe in recipes.items():
    table = data[name].parameters
    order = np.argsort(table[VARIED[name]].to_numpy())
    shown = order[np.linspace(0, len(order) - 1, 5).round().astype(int)]
    sheet = figures.contact_sheet(
        (1 + films[name].m_z[shown][:, None].float()) / 2,
        [f"{table[VARIED[name]][film]:{DIGITS[name]}} {UNIT[name]}" for film in shown],
        pixel=1e-9 * recipe.cell,
    )
    study.show(
        sheet,
        f"films_{name}",
        numbers={"parameters": table.iloc[shown], "domain size, nm": sizes[name][shown]},
        caption=TO_SEE[name],
        recipe=recipe_hash(recipe),
    )

# %% [markdown]
# A larger $M_s$ means stronger dipole fields, which make more walls worth their cost.
#
# **Criterion for T7.** Spearman's rank correlation of domain size and $M_s$ over all films is
# negative by at least three standard errors, and the mean size in the highest third of $M_s$ is
# at least a tenth below that in the lowest. Reproduced: both, and the domain size falls in the
# relaxed films as well. (All standard errors here, but those of *r* in chapter 5, are bootstraps:
# films are drawn again many times, with repetition, and the error is how much the number computed
# from them scatters.)

# %%
saturation = data["saturation"].parameters[VARIED["saturation"]].to_numpy()
pairs = np.stack((saturation, sizes["saturation"]), 1)


def rank(chosen):
    return spearmanr(chosen[:, 0], chosen[:, 1]).statistic


correlation = rank(pairs)
correlation_error = errors.bootstrap(rank, pairs, seed=seed).std()
large, fine, shrinks = sizes_by_third("saturation")
relaxed = protocols.query("protocol == 'relaxation'")
relaxed_falls = rank(relaxed.iloc[:, 1:3].to_numpy()) < 0

figure, ax = plt.subplots(figsize=(5.2, 3.6), layout="constrained")
dispersion = data["saturation"].parameters["dispersion"]
dots = ax.scatter(saturation, sizes["saturation"], c=dispersion, s=14, cmap="viridis")
ax.plot(
    *(relaxed["M_s (kA/m)"], relaxed["domain size (nm)"]),
    "s",
    color="black",
    label="relaxed from random spins",
)
figure.colorbar(dots, label="anisotropy dispersion σ")
ax.set(xlabel=LABEL["saturation"], ylabel="domain size (nm)", ylim=(0, None))
ax.legend(fontsize=8)
study.show(
    figure,
    "domain_size",
    numbers={"M_s, kA/m": saturation, "domain size, nm": sizes["saturation"], "relaxed": relaxed},
    caption="Domain size against saturation for all annealed films (dots) and for those relaxed "
    "at T = 0 (squares). In the paper's Fig. 4(d), which its text calls 4(c), larger saturation "
    "makes smaller domains; here domains are "
    f"{short(shrinks)} % smaller in the highest third of M_s than in the lowest.",
    recipe=recipe_hash(films_recipe),
)
falls = correlation < -3 * correlation_error and shrinks > 10
study.claim(
    "T7",
    ours=f"rank correlation {measured(correlation, correlation_error)}; "
    f"{short(shrinks)} % smaller; mean size from {large:.0f} to {fine:.0f} nm",
    verdict="reproduced" if falls and relaxed_falls else "partly" if falls else "not reproduced",
    reason=""
    if falls and relaxed_falls
    else "domains shrink in the annealed films, but not in those relaxed from random spins"
    if falls
    else "the domains of the annealed films do not shrink",
)

# %% [markdown]
# ## 2. The cuts and the network
# The films are first divided into a training set, from which a network learns, a validation set,
# which chooses the moment of the training that is kept, and a test set, which the network meets
# only when it is judged. Only then are they cut into squares that do not overlap, and every square
# is averaged to the same number of pixels. The names of the scales are the paper's: “2.0 µm” is the
# whole film, 2.048 µm. On a laptop the film has fewer cells of the same size, and the cuts shrink
# with it; pixels are as large as the paper's in nanometres.
#
# At the four training scales a pixel is exactly 1, 2, 3 or 4 whole cells; at those of test B below
# (0.75, 1.25 and 1.75 µm) it is 1.5, 2.5 and 3.5. Magnification and sampling therefore change
# together, in the paper as here; chapter 6 shows that networks notice.

# %%
SCALES = (0.5, 0.6, 0.75, 0.8, 1.0, 1.25, 1.5, 1.75, 2.0)  # µm in the paper
FOUR = (0.5, 1.0, 1.5, 2.0)


parts, targets, tests = {}, {}, {}
for name, recipe in recipes.items():
    low, high = getattr(recipe, name)
    value = (data[name].parameters[VARIED[name]].to_numpy() - low) / (high - low)
    targets[name] = torch.tensor(value, dtype=torch.float32)
    split = cutting.split_films(data[name].parameters, seed=seed)
    parts[name] = [films[name].take(part) for part in split]
    tests[name] = {
        scale: cutting.cut(parts[name][2], [side], pixels)
        for scale, side in zip(SCALES, sides(SCALES), strict=True)
    }
pd.DataFrame(
    {
        name: dict(zip(("training", "validation", "test"), (len(p.index) for p in each)))
        for name, each in parts.items()
    }
)

# %%
some = tests["saturation"]
example = int(parts["saturation"][2].index[0])
seen = [some[scale].pictures[some[scale].films == example][0] for scale in SCALES]
sheet = figures.contact_sheet(
    [(1 + picture.float()) / 2 for picture in seen],
    [f"“{scale} µm”" for scale in SCALES],
    columns=5,
    pixel=[1e-9 * films_recipe.cell * side / pixels for side in sides(SCALES)],
    width=1.5,
)
study.show(
    sheet,
    "cuts",
    numbers={"field of view, nm": [films_recipe.cell * side for side in sides(SCALES)]},
    caption=f"One test film at all scales, always {pixels}×{pixels} pixels. A network that is not "
    "told the scale can distinguish a small domain seen from nearby from a large one seen from "
    "afar only by the width of its wall. The paper's Fig. 1(b) shows the same cutting.",
    recipe=recipe_hash(films_recipe),
)

# %% [markdown]
# The network has six convolutions (layers of learnt 3×3 filters), each followed by a halving of the
# picture (of four pixels the largest is kept), ReLU (negative signals become zero) and batch norm
# (signals are brought to mean 0 and variance 1 over a batch). One linear layer follows. All
# networks of this notebook are trained here; the chapters below only test them.
#
# All trainings for one parameter, but for the control of chapter 4, cost the same: they run for as
# many epochs (passes through the data) as give the same number of looks at a training picture,
# under one-cycle Adam (gradient descent whose rate rises and falls once). $D$, which is harder to
# read, gets more looks. Each look is at a copy turned by a multiple of 90 degrees, as in the paper;
# it may also be mirrored, or have black and white exchanged, which are symmetries of $m_z$ as well.
#
# On a laptop large cuts are few, so the films are shifted around their periodic boxes and cut again
# until there are a few cuts of each scale. The paper trains for 200 to 400 epochs; our run at full
# size had 2·10⁵ looks: for $D$ at 0.5 µm alone, four at each cut.

# %%
alone = {f"{scale:g}": (scale,) for scale in (0.5, 1.0, 1.5)}  # one scale each
AMOUNTS = {1.0: "0.5", 0.25: "0.5, a quarter of the data", 0.0625: "0.5, a sixteenth of the data"}
FIFTH = {  # label: training scales, and test scales of the figure
    "without 1.0": ((0.5, 1.5, 2.0), (0.5, 1.0, 1.5, 2.0)),
    "with 0.75": ((0.5, 0.75, 1.5, 2.0), (0.5, 0.75, 1.5, 2.0)),
    "around 0.75": ((0.5, 0.6, 0.8, 1.0), (0.75,)),
}
RESCUES = {
    "four": "four scales",
    "four + view": "four scales, view told",
    "any": "any scale",
    "any + view": "any scale, view told",
}
trained_on = {("dmi", label): at for label, at in (alone | {"four": FOUR}).items()}
trained_on |= {("dmi", label): (0.5,) for label in AMOUNTS.values()}
trained_on |= {("saturation", label): at for label, at in (alone | {"four": FOUR}).items()}
trained_on |= {("saturation", label): at for label, (at, _) in FIFTH.items()}
trained_on |= {("saturation", label): FOUR for label in RESCUES}
trained_on["dmi", "any"] = FOUR
LONGER = "four, as long as D"
trained_on["saturation", LONGER] = FOUR


def training(name, label, at):
    """A training still to be run: a network for one parameter, to be trained at some scales."""
    shared = {"pixels": pixels, "seed": seed, "device": study.device}
    cut = partial(cutting.cut, sides=sides(at), per_film=cuts_per_film, **shared)
    if label.startswith("any"):
        # Exactly as many cuts as at the four scales.
        few = films[name].take(np.arange(1))
        count = len(cutting.cut(few, sides(FOUR), pixels, per_film=cuts_per_film).films)
        shortest, longest = sides((0.5, 2.0))
        cut = partial(
            cutting.cut_anywhere,
            shortest=shortest,
            longest=longest,
            count=count,
            **shared,
        )
    with seeded(seed):
        network = ScaleCNN(pixels, knows_view="view" in label, views=views)
    return partial(
        scales.learn,
        *(network, parts[name][:2], targets[name], cut),
        share=next((share for share, words in AMOUNTS.items() if words == label), 1.0),
        looks=LOOKS["dmi" if label == LONGER else name],
        seed=seed,
        batch_size=batch_size,
        learning_rate=learning_rate,
        device=study.device,
        folder=ROOT / "data" / "scales",
        identity={"recipe": recipe_hash(recipes[name])},
    )


learnt = side_by_side(
    [training(*key, at) for key, at in trained_on.items()], study.device, progress="networks"
)
networks = dict(zip(trained_on, learnt, strict=True))
print(f"{len(networks)} networks")


def span(name):
    """The width of the parameter's range, in its unit."""
    low, high = getattr(recipes[name], name)
    return high - low


answers = {}


def ask(name, label, scale):
    """True values and estimates (both normalised), and films, of the test cuts at one scale."""
    if (name, label, scale) not in answers:
        cuts = tests[name][scale]
        found = scales.estimate(networks[name, label], cuts, device=study.device)
        answers[name, label, scale] = (targets[name][cuts.films].numpy(), found, cuts.films.numpy())
    return answers[name, label, scale]


def together(given):
    """True values, estimates, films and weights of several answers, which count alike."""
    weights = [np.full(len(truth), 1 / len(truth)) for truth, *_ in given]
    return [*(np.concatenate(each) for each in zip(*given)), np.concatenate(weights)]


def result(name, label, *scales_):
    """Score at one scale, or at several scales, each with equal weight."""
    return scales.score(*together([ask(name, label, s) for s in scales_]), seed=seed)


def correlation_of(truth, found, *_):
    """Correlation of estimates and truth, which forgives offsets and wrong slopes."""
    return np.corrcoef(truth, found)[0, 1]


def table_of(name, label, scales_):
    """R² and MAE of one network at each scale, with standard errors, and the correlation."""
    found = {scale: result(name, label, scale) for scale in scales_}
    return pd.DataFrame(
        {
            "R²": {s: f.r2 for s, f in found.items()},
            "± R²": {s: f.r2_error for s, f in found.items()},
            f"MAE ({UNIT[name]})": {s: f.mae * span(name) for s, f in found.items()},
            "± MAE": {s: f.mae_error * span(name) for s, f in found.items()},
            "r": {s: correlation_of(*ask(name, label, s)) for s in scales_},
        }
    ).rename_axis("test scale (“µm”)")


# A scale has one colour in all figures, from dark (close up) to light (from afar).
SHADES = dict(zip(SCALES, plt.colormaps["plasma"](np.linspace(0, 0.88, len(SCALES))), strict=True))


def scatter(name, panels, whole=False):
    """Estimates against truth: panels of (title, label, scales).

    Estimates beyond the frame are drawn on it, as triangles that point outwards; with `whole` the
    frame is so large that none are.
    """
    low, high = getattr(recipes[name], name)
    width, reach = 2.9, 0.35 * span(name)
    bottom, top = low - reach, high + reach
    if whole:
        every = [ask(name, label, s)[1] for _, label, scales_ in panels for s in scales_]
        bottom = min(bottom, low + span(name) * (min(map(np.min, every)) - 0.05))
        top = max(top, low + span(name) * (max(map(np.max, every)) + 0.05))
    figure, axes = figures.panels(1, len(panels), width, width)
    for ax, (title, label, scales_) in zip(axes[0], panels, strict=True):
        for scale in scales_:
            truth, found = (low + span(name) * each for each in ask(name, label, scale)[:2])
            score = result(name, label, scale)
            words = f"{scale} µm: R² {short(score.r2)}, MAE {score.mae * span(name):{DIGITS[name]}}"
            look = {"ls": "", "color": SHADES[scale]}
            inside = (found > bottom) & (found < top)
            ax.plot(truth[inside], found[inside], ".", ms=3, **look)
            for off, marker, edge in ((found >= top, "^", top), (found <= bottom, "v", bottom)):
                place = np.full(off.sum(), edge + 0.03 * (bottom + top - 2 * edge))
                ax.plot(truth[off], place, marker, ms=4, **look)
            ax.plot([], [], "o", ms=4, **look, label=words)
        ax.plot([low, high], [low, high], color="grey", lw=1)
        margin = 0.03 * span(name)
        ax.set(xlim=(low - margin, high + margin), ylim=(bottom, top))
        ax.set_xlabel(f"true {LABEL[name]}")
        ax.set_title(title, fontsize=figures.TITLE)
        # Wrong estimates are too large for D, and too small for M_s.
        place = {"loc": "lower right" if name == "dmi" else "upper left"}
        if whole:
            place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "frameon": False}
        ax.legend(fontsize=7, **place)
    axes[0, 0].set_ylabel(f"estimated {LABEL[name]}")
    return figure


def numbers_of(name, tables):
    return {f"{name}, {label}": table.rename(index=str) for label, table in tables.items()}


# %% [markdown]
# **One yardstick for all claims.** $R^2$ is the share of the parameter's variance that the
# estimates explain: 1 is perfect, 0 is no better than always answering the mean, and below 0 is
# worse. A network *reads* a parameter at a scale (in short, reads that scale) if its $R^2$ on films
# it has never seen is at least 0.5; otherwise it *fails* there. A claim that something fails at
# another scale can only be tested by a network that reads its own. MAE is the mean absolute error.
# Scales that are taken together have equal weight (at full size they had the weight of their cuts,
# most of which are of 0.5 µm).
#
# This yardstick is stricter than the paper's words, “linear” and “proportional”: answers that rise
# with the truth, but with an offset or too steeply, fail. The correlation *r* in the tables
# forgives both.
#
# The errors (±) are the scatter expected from other test films. Where an $R^2$ is within its error
# of 0.5, the case is borderline, and the verdict could have been the other. Another training, from
# other weights or in another order, changes a result by more than that where a network fails: there
# it extrapolates, and $R^2$ has no lower bound.

# %%
READS = 0.5


def reads(found):
    return found.r2 >= READS


def said(found, name):
    """A score in words."""
    r2 = measured(found.r2, found.r2_error)
    return f"{r2} (MAE {found.mae * span(name):.3g} {UNIT[name]})"


def where(name, label, scales_):
    """The scales at which a network reads, and those at which it fails, in words."""
    good = [f"{s}" for s in scales_ if reads(result(name, label, s))]
    bad = [f"{s}" for s in scales_ if not reads(result(name, label, s))]
    words = []
    if good:
        words.append(f"reads {', '.join(good)} µm")
    if bad:
        words.append(f"fails at {', '.join(bad)} µm")
    return " and ".join(words)


# %% [markdown]
# ## 3. The DMI
# *Is $D$ read at a scale other than that of the training?* First, networks trained at one scale,
# 0.5, 1.0 or 1.5 µm, and tested at their own scale and at 2.0 µm (in the table at all scales).

# %%
single = {f"{s:g}": table_of("dmi", f"{s:g}", SCALES) for s in (0.5, 1.0, 1.5)}
pd.concat(
    {f"trained at {label}": table[["R²", "± R²", "r"]].round(2) for label, table in single.items()},
    axis=1,
)

# %%
figure = scatter("dmi", [(f"trained at {s} µm", f"{s:g}", (s, 2.0)) for s in (0.5, 1.0, 1.5)], True)
study.show(
    figure,
    "dmi_one_scale",
    numbers=numbers_of("trained at", single),
    caption="Estimated against true D of test films, for networks trained at one scale and tested "
    "at the same scale (dark) and at 2.0 µm (light), where the correlations with the truth are "
    + ", ".join(f"{table.loc[2.0, 'r']:.2f}" for table in single.values())
    + ". In the paper's Fig. 2 estimates follow the diagonal at a network's own scale (c, d), but "
    "at 2.0 µm (b) only those of the network trained at 1.5 µm do. Here the network trained at "
    + "; that trained at ".join(
        f"{s} µm {where('dmi', f'{s:g}', (s, 2.0))}" for s in (0.5, 1.0, 1.5)
    )
    + ".",
    recipe=recipe_hash(recipes["dmi"]),
)

# %% [markdown]
# **Criterion for T2.** Reproduced: the networks trained at 0.5 µm and at 1.0 µm both read their own
# scale. A parameter that a network cannot read after too short a training is no evidence against
# the claim, but none for it either. (In the run at full size the network trained at 0.5 µm has an
# $R^2$ of −0.38, with answers half as steep as they should be, and the one trained on a sixteenth
# of its pictures (“More data”) 0.81. spinlib/README.md says what is suspected.)
#
# **Criterion for T1.** Reproduced: the network trained at 1.5 µm reads 2.0 µm, and those trained at
# 0.5 and 1.0 µm fail there. Partly: the first holds, and one of these two fails; failures alone are
# what any network shows that does not transfer. Each of the three counts only if it reads its own
# scale. (At full size any of the three sufficed for “partly”; by this criterion that run is not
# reproduced.)

# %%
own = {s: result("dmi", f"{s:g}", s) for s in (0.5, 1.0, 1.5)}
far = {s: result("dmi", f"{s:g}", 2.0) for s in (0.5, 1.0, 1.5)}
linear = [s for s in (0.5, 1.0) if reads(own[s])]
few = f"{len(parts['dmi'][0].index)} films to train on, where the paper has 8000"
study.claim(
    "T2",
    ours="; ".join(f"{s} µm: R² {said(own[s], 'dmi')}" for s in (0.5, 1.0)),
    verdict="reproduced"
    if len(linear) == 2
    else "partly"
    if linear
    else "not tested at this size"
    if len(parts["dmi"][0].index) < 4000
    else "not reproduced",
    reason=""
    if len(linear) == 2
    else f"of 0.5 and 1.0 µm, {' and '.join(map(str, linear)) or 'neither'} is read; {few}",
)
judged = [s for s in own if reads(own[s])]
right = [s for s in judged if reads(far[s]) == (s == 1.5)]
study.claim(
    "T1",
    ours="at 2.0 µm: " + "; ".join(f"from {s}, R² {said(far[s], 'dmi')}" for s in far),
    verdict="not tested at this size"
    if not judged
    else "reproduced"
    if len(right) == 3
    else "partly"
    if 1.5 in right and len(right) > 1
    else "not reproduced",
    reason=""
    if len(right) == 3
    else f"networks that read their own scale: {len(judged)} of 3; of these behave at 2.0 µm as "
    f"the paper says: {len(right)}; {few}",
)

# %% [markdown]
# ### More data
# Do networks fail because they saw too few pictures? The one for 0.5 µm is trained again, with a
# sixteenth and a quarter of its pictures; the paper's factor is 16, from 40 000 to 640 000.

# %%
near_cuts = len(cutting.cut(parts["dmi"][0], sides((0.5,)), pixels, per_film=cuts_per_film).films)
amount_table = pd.DataFrame(
    {
        round(share * near_cuts): {
            "R² at 0.5 µm": result("dmi", label, 0.5).r2,
            "R² at 2.0 µm": result("dmi", label, 2.0).r2,
            "± at 2.0 µm": result("dmi", label, 2.0).r2_error,
            "MAE at 2.0 µm (mJ/m²)": result("dmi", label, 2.0).mae * span("dmi"),
            "± MAE": result("dmi", label, 2.0).mae_error * span("dmi"),
        }
        for share, label in AMOUNTS.items()
    }
).T.rename_axis("training pictures")
amount_table.round(3)

# %% [markdown]
# **Criterion for T6.** The failure is shown by a network that reads 0.5 µm, its own scale, and
# fails at 2.0 µm. Reproduced: it is shown with a sixteenth, a quarter and all of the pictures.
# Partly: with two of these, while the third network does not read its own scale. Not tested: fewer
# than two read it, so that nothing is known about *more* data.
#
# The paper claims more than that the failure remains: it sees “no significant differences”. We
# therefore also state whether the MAE at 2.0 µm falls, from each amount of data to the next, by
# more than two standard errors of the difference.

# %%
own_scale = (amount_table["R² at 0.5 µm"] >= READS).to_numpy()
fails = (amount_table["R² at 2.0 µm"] < READS).to_numpy()
mae, mae_error = amount_table[["MAE at 2.0 µm (mJ/m²)", "± MAE"]].to_numpy().T  # all data first
shrinking = (np.diff(mae) > 2 * np.hypot(mae_error[1:], mae_error[:-1])).all()
study.claim(
    "T6",
    ours="R² at 2.0 µm "
    + ", ".join(
        f"{measured(row['R² at 2.0 µm'], row['± at 2.0 µm'])} ({pictures} pictures, "
        f"{short(row['R² at 0.5 µm'])} at 0.5 µm)"
        for pictures, row in amount_table.iterrows()
    )
    + "; MAE "
    + ", ".join(measured(*pair) for pair in zip(mae, mae_error, strict=True))
    + " mJ/m²"
    + (", which falls with more data, where the paper sees no difference" if shrinking else ""),
    verdict="not tested at this size"
    if own_scale.sum() < 2
    else "not reproduced"
    if (own_scale & ~fails).any()
    else "reproduced"
    if own_scale.all()
    else "partly",
    reason=""
    if (own_scale & fails).all()
    else f"networks that read their own scale: {int(own_scale.sum())} of 3; of these fail at "
    f"2.0 µm: {int((own_scale & fails).sum())}"
    + ("; with fewer than two nothing is known about more data" if own_scale.sum() < 2 else "")
    + f"; {few}",
)

# %% [markdown]
# ### Several scales at once
# Now one network is trained at 0.5, 1.0, 1.5 and 2.0 µm. Test A is at these scales, test B at
# scales between them.

# %%
four_dmi = table_of("dmi", "four", SCALES)
TEST_A, TEST_B = FOUR, (0.75, 1.25, 1.75)
figure = scatter("dmi", [("test A", "four", TEST_A), ("test B", "four", TEST_B)])
study.show(
    figure,
    "dmi_four_scales",
    numbers=numbers_of("trained at four scales", {"dmi": four_dmi}),
    caption="Estimated against true D of test films, for a network trained at 0.5, 1.0, 1.5 and "
    "2.0 µm and tested at these scales (A) and between them (B). In the paper's Fig. 3 both tests "
    f"follow the diagonal (b, c). Here, in A, the network {where('dmi', 'four', TEST_A)}; in B it "
    f"{where('dmi', 'four', TEST_B)}.",
    recipe=recipe_hash(recipes["dmi"]),
)

# %%
four_dmi.round(3)

# %% [markdown]
# **Criterion for T3.** Reproduced: the network reads every scale of test A and of test B. Partly:
# it reads both tests, each with its scales taken together, or it reads every scale of one of
# them.


# %%
def by_test(name):
    """Scores of the network trained at four scales: at each scale, and over each whole test."""
    each = {scale: result(name, "four", scale) for scale in (*TEST_A, *TEST_B)}
    return each, result(name, "four", *TEST_A), result(name, "four", *TEST_B)


each, a, b = by_test("dmi")
all_a, all_b = (all(reads(each[s]) for s in test) for test in (TEST_A, TEST_B))
half = all_a or all_b or (reads(a) and reads(b))
study.claim(
    "T3",
    ours=f"A: R² {said(a, 'dmi')}; B: {said(b, 'dmi')}; by scale "
    + ", ".join(f"{s}: {short(f.r2)}" for s, f in sorted(each.items())),
    verdict="reproduced"
    if all_a and all_b
    else "partly"
    if half
    else "not reproduced"
    if reads(a) or len(parts["dmi"][0].index) >= 4000
    else "not tested at this size",
    reason=""
    if all_a and all_b
    else f"it fails at {', '.join(f'{s}' for s, f in sorted(each.items()) if not reads(f))} µm; "
    f"{few}",
)

# %% [markdown]
# ## 4. The saturation magnetisation
# *And $M_s$?* A network is again trained at four scales and tested there (test A) and between them
# (test B). Between them the sampling of the cells changes as well as the magnification (chapter 2).
#
# The paper's text and captions do not agree here. The text exchanges panels c and d of its Fig. 4,
# and for Fig. 5(b) and (c) it says that 0.75 µm, or 0.6 and 0.8 µm, were *added* to the training,
# while according to the captions 1.0 µm was also left out in (b), and 1.5 and 2.0 µm in (c). We
# follow the captions.

# %%
four_ms = table_of("saturation", "four", SCALES)
figure = scatter("saturation", [("test A", "four", TEST_A), ("test B", "four", TEST_B)])
study.show(
    figure,
    "saturation_four_scales",
    numbers=numbers_of("trained at four scales", {"saturation": four_ms}),
    caption="Estimated against true saturation of test films, for a network trained at 0.5, 1.0, "
    "1.5 and 2.0 µm and tested at these scales (A) and between them (B). In the paper's Fig. 4 "
    "test A (b) follows the diagonal, less well at low M_s, and test B (c) has large errors, the "
    f"largest at 0.75 µm. Here, in A, the network {where('saturation', 'four', TEST_A)}; in B it "
    f"{where('saturation', 'four', TEST_B)}.",
    recipe=recipe_hash(films_recipe),
)

# %%
four_ms.round(3)

# %% [markdown]
# **Criterion for T4.** Five statements:
# 1. the network reads every scale of test A;
# 2. its mean error in test A is larger in the lower third of $M_s$ than in the upper, by more than
#    two standard errors of the difference;
# 3. it fails at 0.75 µm;
# 4. it fails at both 1.25 and 1.75 µm;
# 5. 0.75 µm is the worst scale of test B.
#
# Reproduced: all five. Partly: the failure at 0.75 µm and at least two others. (The paper sees
# “significant errors” at the three scales of test B, but gives no number; we take this to mean
# failure as defined on this page. The full-size run was judged without statement 4, and without the
# error in 2. With 4, that run is partly reproduced.)


# %%
def thirds_of(name, label, *scales_):
    """MAE in the lower and upper third of the parameter's range, and the error of the difference.

    The scales have equal weight, and the error is a bootstrap over films.
    """
    truth, found, which, weights = together([ask(name, label, s) for s in scales_])
    which = np.unique(which, return_inverse=True)[1]
    wrong = weights * np.abs(found - truth) * span(name)
    columns = [
        np.bincount(which, column * inside)
        for inside in (truth < 1 / 3, truth >= 2 / 3)
        for column in (wrong, weights)
    ]

    def low_and_high(chosen):
        sums = chosen.sum(0)
        return sums[::2] / np.where(sums[1::2], sums[1::2], np.nan)

    by_film = np.stack(columns, 1)
    draws = errors.bootstrap(low_and_high, by_film, seed=seed)
    return *low_and_high(by_film), np.nanstd(draws[:, 0] - draws[:, 1])


each, a, b = by_test("saturation")
low_third, high_third, difference = thirds_of("saturation", "four", *TEST_A)
statements = {
    "reads every scale of test A": all(reads(each[s]) for s in TEST_A),
    "is worse at low M_s": low_third > high_third + 2 * difference,
    "fails at 0.75 µm": not reads(each[0.75]),
    "fails at 1.25 and at 1.75 µm": not (reads(each[1.25]) or reads(each[1.75])),
    "does worst at 0.75 µm": min(TEST_B, key=lambda s: each[s].r2) == 0.75,
}
held = sum(statements.values())
study.claim(
    "T4",
    ours=f"A: R² {said(a, 'saturation')}; 0.75 µm: {said(each[0.75], 'saturation')}; "
    f"1.25: {said(each[1.25], 'saturation')}; 1.75: {said(each[1.75], 'saturation')}; MAE in the "
    f"lower and upper third of M_s {low_third:.0f} and {high_third:.0f} (difference ± "
    f"{difference:.0f}) kA/m; in test B it " + where("saturation", "four", TEST_B),
    verdict="not tested at this size"
    if not reads(a)
    else "reproduced"
    if held == 5
    else "partly"
    if statements["fails at 0.75 µm"] and held > 2
    else "not reproduced",
    reason=""
    if reads(a) and held == 5
    else "it is not true that the network "
    + ", ".join(s for s, so in statements.items() if not so),
)

# %% [markdown]
# Unlike in the paper, 1.25 and 1.75 µm are read here ($R^2$ 0.78 and 0.74; at full size 0.88 and
# 0.90); of test B only 0.75 µm fails.
#
# ### A control: as many looks as for the DMI
# On a laptop the networks for $D$ get more looks than those for $M_s$. Is $M_s$ read at 0.75 µm
# as well if its network gets as many?

# %%
longer = table_of("saturation", LONGER, SCALES)
pd.concat({f"{n} looks": t for n, t in zip(looks, (four_ms, longer))}, axis=1).round(3)

# %% [markdown]
# ### What cures the failure
# These are the paper's three experiments: training without 1.0 µm; with 0.75 µm in its place; and
# with 0.6 and 0.8 µm on either side of 0.75 µm.

# %%
fifth = {label: table_of("saturation", label, SCALES) for label in FIFTH}
figure = scatter(
    "saturation", [(f"trained {label} µm", label, asked) for label, (_, asked) in FIFTH.items()]
)
study.show(
    figure,
    "saturation_other_scales",
    numbers=numbers_of("trained", fifth),
    caption="Estimated against true saturation of test films, for networks trained at 0.5, 1.5, "
    "2.0 µm (left), at 0.5, 0.75, 1.5, 2.0 µm (middle) and at 0.5, 0.6, 0.8, 1.0 µm (right). "
    "Triangles on the frame are estimates beyond it. In the paper's Fig. 5 the first fails at "
    "1.0 µm (a), the second reads all scales (b), and the third reads 0.75 µm except at low M_s "
    "(c). Here the first "
    + "; the next ".join(where("saturation", label, asked) for label, (_, asked) in FIFTH.items())
    + ".",
    recipe=recipe_hash(films_recipe),
)

# %% [markdown]
# **Criterion for T5.** Three statements: (a) trained without 1.0 µm, the network fails there and
# reads 0.5, 1.5 and 2.0 µm; (b) trained with 0.75 µm, it reads this scale; (c) trained around
# 0.75 µm, it reads this scale, with larger errors in the lower third of $M_s$ than in the upper, by
# more than two standard errors of the difference (at full size, by any amount). Reproduced: all
# three. Partly: two. (In (b) the paper's network reads its other scales as well; so does ours, in
# the figure above.)

# %%
a_found = {s: result("saturation", "without 1.0", s) for s in FOUR}
b_found = result("saturation", "with 0.75", 0.75)
c_found = result("saturation", "around 0.75", 0.75)
low_c, high_c, difference = thirds_of("saturation", "around 0.75", 0.75)
statements = {
    "(a)": not reads(a_found[1.0]) and all(reads(a_found[s]) for s in (0.5, 1.5, 2.0)),
    "(b)": reads(b_found),
    "(c)": reads(c_found) and low_c > high_c + 2 * difference,
}
held = sum(statements.values())
missing = ", ".join(name for name, so in statements.items() if not so)
study.claim(
    "T5",
    ours=f"(a) 1.0 µm: R² {said(a_found[1.0], 'saturation')}, others "
    + ", ".join(short(a_found[s].r2) for s in (0.5, 1.5, 2.0))
    + f"; (b) {said(b_found, 'saturation')}; (c) {said(c_found, 'saturation')}, in the lower and "
    f"upper third of M_s {low_c:.0f} and {high_c:.0f} (difference ± {difference:.0f}) kA/m",
    verdict="not tested at this size"
    if not reads(a)
    else "reproduced"
    if held == 3
    else "partly"
    if held == 2
    else "not reproduced",
    reason=""
    if reads(a) and held == 3
    else f"not as the paper says: {missing or 'nothing'}; the network trained at four scales reads "
    f"them with R² {a.r2:.2f}",
)

# %% [markdown]
# ## 5. How far may the scale be off?
# *Does $D$ tolerate more than $M_s$?* For a fair comparison $M_s$ also gets networks trained at one
# scale. Every pair of a training and a test scale has a mismatch: $|\log_2|$ of the ratio of the
# test scale to the nearest training scale, in octaves. Pairs of similar mismatch are taken
# together, with equal weight; the bands come from drawing the films again.
#
# The paper's own results say that at 0.42 octaves $D$ works (1.5 → 2.0 µm) and $M_s$ fails (1.0 →
# 0.75 µm), and that at one octave $D$ fails too (1.0 → 2.0 µm). So its “structural patterns that
# remain consistent regardless of image scale” cannot be all that a network reads.

# %%
COMMON = {"0.5": "0.5 µm", "1": "1.0 µm", "1.5": "1.5 µm", "four": "four scales"}
judging = [
    label
    for label in COMMON
    if all(reads(result(name, label, s)) for name in recipes for s in trained_on[name, label])
]
compared = judging or list(COMMON)  # there is a figure even where there is no claim
EDGES = np.array([0.0, 0.02, 0.3, 0.5, 0.8, 1.2, 1.7, 2.01])


def curve(name):
    """R² against mismatch, pooled in the bins of EDGES, and its bootstrap draws.

    And the correlation of estimates and truth: mean and standard error over the pairs of a bin.
    """
    bins = [[] for _ in EDGES[1:]]
    for label in compared:
        for scale in SCALES:
            away = scales.mismatch(scale, trained_on[name, label])
            place = np.searchsorted(EDGES, away, side="right") - 1
            bins[place].append((away, ask(name, label, scale)))
    lines, draws = [], []
    for entries in filter(None, bins):
        pooled = scales.score(*together([answer for _, answer in entries]), seed=seed)
        octaves = np.mean([away for away, _ in entries])
        follows = [correlation_of(*answer) for _, answer in entries]
        lines.append(
            (
                octaves,
                pooled.r2,
                *np.quantile(pooled.draws, [0.025, 0.975]),
                pooled.mae * span(name),
                np.mean(follows),
                np.std(follows, ddof=1) / math.sqrt(len(follows)) if len(follows) > 1 else np.nan,
            )
        )
        draws.append(pooled.draws)
    names = ("octaves", "R²", "2.5 %", "97.5 %", f"MAE ({UNIT[name]})", "r", "± r")
    return pd.DataFrame(lines, columns=names), np.array(draws)


curves = {name: curve(name) for name in recipes}
tolerance = {
    name: scales.half_width(table["octaves"].to_numpy(), table["R²"].to_numpy())
    for name, (table, _) in curves.items()
}
tolerance_draws = {
    name: np.array([scales.half_width(table["octaves"].to_numpy(), d) for d in draws.T])
    for name, (table, draws) in curves.items()
}
pd.concat({name: table.round(3) for name, (table, _) in curves.items()}, axis=1)

# %%
figure, (ax, beside) = plt.subplots(1, 2, figsize=(9.6, 3.8), layout="constrained")
colours = {"saturation": figures.PARAMETERS["M_s"], "dmi": figures.PARAMETERS["D"]}
for name, (table, _) in curves.items():
    shade = colours[name]
    beside.errorbar(table["octaves"], table["r"], table["± r"], fmt="o-", capsize=2, color=shade)
    ax.plot(table["octaves"], table["R²"], "o-", color=shade, label=LABEL[name].split(" (")[0])
    ax.fill_between(table["octaves"], table["2.5 %"], table["97.5 %"], color=shade, alpha=0.2)
    ax.axvline(tolerance[name], color=shade, ls=":")
ax.axhline(0, color="grey", lw=1)
ax.set_yscale("symlog", linthresh=1)
lowest = min(-1.0, *(table["2.5 %"].min() for table, _ in curves.values()))
ticks = [t for t in (-1000, -100, -10, -3, -1, -0.5, 0, 0.5, 1) if t >= lowest]
ax.set_yticks(ticks, [f"{t:g}".replace("-", "−") for t in ticks], minor=False)
ax.minorticks_off()
ax.set_ylim(lowest, 1)
ax.set(xlabel="mismatch of scale (octaves)", ylabel="$R^2$ on test films")
ax.legend()
beside.set(xlabel="mismatch of scale (octaves)", ylabel="correlation on test films")
beside.set_ylim(top=1)
study.show(
    figure,
    "scale_tolerance",
    numbers={f"{name} curve": table for name, (table, _) in curves.items()}
    | {"half width, octaves": tolerance},
    caption="Left: R² against the mismatch between a test scale and the nearest training scale, "
    f"for the networks trained at {', '.join(COMMON[label] for label in compared)}, at all nine "
    "test scales. Bands: 95 % of bootstraps over films; dotted: where half of R² is lost (T8). The "
    "vertical axis is linear between −1 and 1, logarithmic below. Right: what is left if offsets "
    "and wrong slopes are forgiven, the correlation of estimates and truth (means over the same "
    "pairs of scales, with their standard errors). The paper has no such figure; by its account "
    "the curve of D would fall later than that of M_s.",
    recipe=recipe_hash(films_recipe),
)

# %% [markdown]
# **Criterion for T8.** The tolerance of a parameter is the mismatch at which $R^2$ has fallen to
# half its value without mismatch. Reproduced: the tolerance of $D$ is the larger one in 95 % of
# bootstraps. Partly: in 68 %.
#
# A network that has hardly learnt can hardly tolerate. So a kind of network counts only if it
# reads, for both parameters, every scale it was trained at; if none does, the claim is not tested.
# (At full size all counted, also that for $D$ at 0.5 µm, which fails there: by this criterion that
# run would have to be judged again. The smallest mismatches, of 0.19 to 0.26 octaves, are taken
# together: a tolerance below their mean is interpolated by a straight line from none.)

# %%
chance = float((tolerance_draws["dmi"] > tolerance_draws["saturation"]).mean())
matched = {name: table["R²"].iloc[0] for name, (table, _) in curves.items()}


def tolerated(name):
    """The tolerance in words; within the first gap only an upper bound is known."""
    gap = curves[name][0]["octaves"].iloc[1]
    found = measured(tolerance[name], tolerance_draws[name].std())
    if tolerance[name] < gap:
        return f"less than {gap:.2f} octaves (by linear interpolation {found})"
    return f"{found} octaves"


study.claim(
    "T8",
    ours=f"half of R² is lost at {tolerated('dmi')} for D, {tolerated('saturation')} for M_s; "
    "without mismatch R² is "
    + f"{short(matched['dmi'])} and {short(matched['saturation'])}"
    + f", MAE {curves['dmi'][0].iloc[0, 4]:.2f} mJ/m² and "
    f"{curves['saturation'][0].iloc[0, 4]:.0f} kA/m",
    verdict="not tested at this size"
    if not judging
    else "reproduced"
    if chance >= 0.95
    else "partly"
    if chance >= 0.68
    else "not reproduced",
    reason=""
    if judging and chance >= 0.95
    else f"of four kinds of networks {len(judging)} read their own scales; with these D tolerates "
    f"more in {100 * chance:.0f} % of bootstraps; {few}",
)

# %% [markdown]
# ## 6. Why it fails, and what makes it work
# $M_s$ shows in two lengths: over its range domains become two fifths smaller and walls two thirds
# wider. The ratio of the two would not depend on the scale, but at large scales a wall is only a
# pixel or two wide, and the networks did not learn to use it. A picture has no lengths, only
# pixels, and the four training scales are few enough to be told apart by their appearance, one by
# one; at a fifth scale the network seems to answer as if it were one of the four. Two ways out,
# both with exactly as many training pictures, and looks at them, as before:
# - **the field of view as a second input** (“view told” in the figure), next to pictures at the
#   same four scales;
# - **scales drawn continuously** between 0.5 and 2.0 µm (“any scale”), so that there is no list of
#   scales to learn by heart. None of these cuts is 0.75 µm wide except by chance. The DMI gets this
#   one, too.

# %%
rescue = {label: table_of("saturation", label, SCALES) for label in RESCUES}
rescue_dmi = {label: table_of("dmi", label, SCALES) for label in ("four", "any")}
pd.concat(
    {f"$M_s$, {RESCUES[label]}": t.iloc[:, [0, 2]] for label, t in rescue.items()}
    | {f"$D$, {RESCUES[label]}": t.iloc[:, [0, 2]] for label, t in rescue_dmi.items()},
    axis=1,
).round(2)

# %%
looks_of = dict(zip(RESCUES, zip(figures.CURVES, "osD^")))
figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.8), sharey=True, layout="constrained")
for ax, symbol, tables in zip(axes, ("$M_s$", "$D$"), (rescue, rescue_dmi)):
    for label, table in tables.items():
        shade, marker = looks_of[label]
        ax.errorbar(
            *(table.index, table["R²"], table["± R²"]),
            fmt=marker,
            color=shade,
            label=RESCUES[label],
            capsize=2,
            ms=5,
        )
        # Nothing was tested between the nine scales: the line only guides the eye.
        ax.plot(table.index, table["R²"], color=shade, lw=0.8, alpha=0.5)
    for scale in FOUR:
        ax.axvline(scale, color="lightgrey", lw=4, zorder=0)
    ax.axhline(0, color="grey", lw=1)
    ax.set(xlabel="test scale (“µm”)", title=symbol)
axes[0].set_ylim(max(-1.2, axes[0].get_ylim()[0]), 1)  # shared; full size has an outlier
axes[0].set_ylabel("$R^2$ on test films")
axes[0].legend(fontsize=8, loc="lower right")
study.show(
    figure,
    "saturation_rescued",
    numbers=numbers_of("M_s, trained", {RESCUES[label]: t for label, t in rescue.items()})
    | numbers_of("D, trained", {RESCUES[label]: t for label, t in rescue_dmi.items()}),
    caption="R² at all scales for networks that saw equally many pictures equally often: left for "
    "the saturation, right for the DMI. Grey: the four training scales. Black: networks trained "
    "at these, as in the paper's Figs 3 and 4; the others are not in the paper. Where a curve has "
    "no dip between the grey lines, its network reads the scales in between.",
    recipe=recipe_hash(films_recipe),
)

# %%
verdicts = pd.DataFrame(
    {
        RESCUES[label]: {
            "R² at 0.75 µm": said(result("saturation", label, 0.75), "saturation"),
            "reads 0.75 µm": reads(result("saturation", label, 0.75)),
            "lowest R² of all scales": short(rescue[label]["R²"].min()),
            "mean R² of the four scales": f"{rescue[label].loc[list(FOUR), 'R²'].mean():.2f}",
        }
        for label in RESCUES
    }
).T
verdicts

# %%
for label, words in list(RESCUES.items())[1:]:
    there = result("saturation", label, 0.75)
    print(
        f"{words}: R² at 0.75 µm from {short(result('saturation', 'four', 0.75).r2)} to "
        f"{said(there, 'saturation')}: {'rescued' if reads(there) else 'not rescued'}."
    )

# %% [markdown]
# *Told the field of view*, the network has what it needs to turn pixels into lengths, but it has
# met only four values. In between it has to interpolate, which is not safe: on a laptop and at full
# size alike, it reads 0.75 µm and fails at 0.6 µm.
#
# *Scales drawn continuously* leave no in-between. Their price is paid at the ends, 0.5 and 2.0 µm;
# at 0.5 µm because the paper's scheme cuts sixteen pictures of this scale out of a film, the
# continuous one far fewer.
#
# *The network with both* does best at 0.6, 0.8, 1.25 and 1.75 µm. It does worse at 0.5, 1.0, 1.5
# and 2.0 µm (at full size much worse), where a pixel is a whole number of cells and in step with
# them, so that averaging blurs walls less than at scales nearby. Probably it reads the width of a
# wall to a fraction of a pixel: told the scale, it has a second length to go by, but one that an
# instrument's blur would spoil. (It does worse at 0.75 µm, too, where a pixel is one and a half
# cells; but at 1.25 and 1.75 µm it is two and a half and three and a half.)
#
# *The DMI*, shown here for a laptop, gains from continuous scales at 0.6 to 0.8 µm, where it was
# lost, and at 1.25 µm. It pays for this at 0.5 µm, which it no longer reads.

# %% [markdown]
# ## 7. Your own picture
# Set `image` to a grey picture of $m_z$ (Kerr microscopy, deconvolved MFM; PNG, TIFF, NPY …), and
# `pixel_size_nm` or `field_of_view_nm` unless the file contains it. A field of view outside the
# trained range is refused. If you give no picture, one of a test film is written to a file and read
# back, and this film does not count for the interval.
#
# The network is the one trained at any scale, the safest of chapter 6: it finds the scale by
# itself, and reads every one. Its 90 % interval is as wide as the errors of nine tenths of the test
# films at the nearest scale (split conformal, as in study 1; the network was chosen on these films,
# which flatters it a little).

# %%
if own_picture is None:
    from pathlib import Path
    from tempfile import TemporaryDirectory

    film = parts["saturation"][2]
    side = sides((1.25,))[0]
    grey = (255 * (1 + film.m_z[0, :side, :side].float()) / 2).round().byte().flip(0)
    with TemporaryDirectory() as folder:
        written = Path(folder) / "film.npy"
        np.save(written, grey.numpy())
        own_picture = scales.read_square(written, views, pixel_size_nm=films_recipe.cell)
square, view, own_doubts = own_picture
found, picture = scales.estimate_picture(
    networks["saturation", "any"], square, view, device=study.device
)
low, high = films_recipe.saturation
value = low + span("saturation") * found
nearest = min(SCALES, key=lambda name: abs(math.log(films_recipe.cell * sides([name])[0] / view)))
of_films, by_films, which = ask("saturation", "any", nearest)
others = np.unique(which, return_index=True)[1]  # the first cut of each film
if not image:
    others = others[which[others] != int(film.index[0])]
half = span("saturation") * conformal_quantile(np.abs(by_films - of_films)[others])
ends = {"90 % from, kA/m": value - half, "to, kA/m": value + half}
if not -0.05 <= found <= 1.05:
    own_doubts.append(
        f"{value:.0f} kA/m lies outside of the {low:g} to {high:g} kA/m that the network was "
        "trained on: it is an extrapolation, and the interval does not hold for it."
    )
print("\n".join(own_doubts))
ax = figures.draw_picture((1 + picture) / 2, pixel=1e-9 * view / pixels)
truth = {} if image else {"truth, kA/m": saturation[int(film.index[0])]}
known = "".join(f" (true {each:.0f})" for each in truth.values())
interval = " to ".join(f"{end:.0f}" for end in ends.values()).replace("inf", "∞")
ax.set_title(f"$M_s$ = {value:.0f} kA/m{known}\n90 %: {interval} kA/m", fontsize=figures.TITLE)
study.show(
    ax.figure,
    "own_picture",
    numbers={"estimate, kA/m": value, "view, nm": view, "films": len(others)}
    | {name: float(end) if np.isfinite(end) else None for name, end in ends.items()}
    | truth
    | {"doubts": own_doubts},
    caption=f"A picture of {view:.0f} nm as the network sees it, and its saturation with a 90 % "
    f"interval from the errors of {len(others)} other test films at “{nearest} µm”, the nearest "
    f"scale, which here is {films_recipe.cell * sides([nearest])[0]:.0f} nm. It holds for films of "
    "this set: this A, K_u, σ and thickness, made by annealing. (Nothing of this is in the paper.)",
)

# %% [markdown]
# The network is saved with what is needed to use it elsewhere.

# %%
kept = save_weights(
    networks["saturation", "any"],
    ROOT / "data" / "scales" / f"saturation_{profile}.safetensors",
    parameter=VARIED["saturation"],
    low=low,
    high=high,
    pixels=pixels,
    views_nm=list(views),
    recipe=recipe_hash(films_recipe),
    profile=profile,
    commit=study.commit,
)
print(kept.relative_to(ROOT))

# %% [markdown]
# ## What was reproduced, what was not, and why
# | | laptop: 461 films of $D$ | full size: 3240 films of $D$ |
# |---|---|---|
# | T1: $D$, one scale, at 2.0 µm | not: 1.5 µm fails too | partly (today: not): R² −1.9 |
# | T2: $D$, at its own scale | reproduced: 0.57, 0.77 | partly: 1.0 µm 0.93; 0.5 µm −0.38 |
# | T3: $D$, four scales | partly: it fails at 0.75 µm | partly: test A is read, test B not |
# | T4: $M_s$, four scales | partly: only 0.75 µm of B fails | partly, too: A 0.97; 0.75 µm −0.63 |
# | T5: $M_s$, other scales | partly: (c) errs more at high $M_s$ | reproduced: −2.7; 0.95; 0.82 |
# | T6: more data | partly: with a quarter and with all | not tested: only with a sixteenth |
# | T7: domain size | reproduced | reproduced: from 231 to 165 nm |
# | T8: $D$ tolerates more | not: $M_s$ 0.25 octaves, $D$ fewer | not (weak: $R^2$ of $D$ 0.37) |
#
# T1, T4 and T6 were judged by older criteria at full size; the table gives today's verdicts on the
# same numbers, the scoreboard those given then.
#
# *Why.* Over its range $M_s$ makes domains two fifths smaller and walls two thirds wider. From the
# lower third of the range to the upper the domains shrink by a quarter; for $D$, far below its
# critical value, by some 5 %. So a wrong scale costs $D$ more, and $D$ takes longer to learn.
# Whether the scales in between come with more training is open. Earlier single trainings, with half
# as many films of $D$ and 40 000, 65 000 and 80 000 looks at them, had an $R^2$ of −0.09, 0.26 and
# 0.50 in test B, but the present one, with 65 000 looks and counted in the same way (all cuts
# alike), has 0.07. $M_s$, with 65 000 looks instead of 30 000, is as lost at 0.75 µm as before (the
# control of chapter 4).
#
# *Still, $D$ and $M_s$ do not fail alike.* At 0.6, 0.75 and 0.8 µm, the answers for $D$ have
# correlations with the truth of 0.75, 0.78 and 0.82, but lie too high; those for $M_s$ have 0.93,
# 0.53 and 0.53. If offsets are forgiven, this is the contrast that the paper reports, in its own
# example. It does not hold in general: over all pairs of scales in chapter 5, the correlations of
# $D$ are lower than those of $M_s$, or equal within errors, at every mismatch. (These comparisons
# were made after the results were seen; they decide no verdict.)
#
# *Borderline.* T3 also depends on 0.5 µm, which is read with 0.53 ± 0.03 where 0.5 is needed; films
# that differed only in their random numbers gave 0.50 and 0.56. T6 needs two amounts of data with
# which 0.5 µm is read. On a laptop the error at 2.0 µm is 8.9, 2.1 and 2.3 mJ/m² with a sixteenth,
# a quarter and all of the pictures, always more than the whole range of $D$; at full size, too, it
# goes up and down.
#
# *At full size* the trainings for $D$ were short, and computed in bfloat16 but evaluated in single
# precision (spinlib/README.md). In test B, $R^2$ is −1.66, −0.70 and 0.36.
#
# Two things that the paper mentions have no claim here: that $D$ is read worse at the ends of its
# range, and that high $M_s$ is read better than $D$. By eye, our scatter plots agree.
#
# *What to try next.* A hundred epochs for $D$, hours on one GPU; relaxation as the protocol for all
# films; blurred pictures, in which no wall is sharper than an instrument would show it.
#
# ## About this run

# %%
study.about()
