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
# # Appendix: one state through the microscope
# *What do the networks of the four studies see of a film?*
#
# Experiments give pictures of spins, never the spins themselves. One instrument,
# `spinlib.microscope`, draws such pictures, and `spinlib.pictures` brings pictures made elsewhere
# to the same form. Study 1 sees `colour` and `in_plane`, study 2 `vector`, study 3 `perpendicular`;
# study 4's autoencoder takes the spins themselves. This page sends one state through every
# contrast, each with the line that makes it, and then back to spins.

# %% tags=["parameters"]
profile: str = "laptop"  # sizes: smoke, laptop or paper
device: str = "auto"  # auto, cpu or cuda
seed: int = 1  # seed of the annealing and of all noise
output: str = ""  # folder of the results; empty is figures/<profile>/appendix_microscope
size: int = 128  # sites along each side of the film
sweeps: int = 800  # Monte Carlo sweeps of the annealing

# %% [markdown]
# ## A film of iron germanium
# The cells are 4 nm wide and 1 nm thick. The film has a bulk Dzyaloshinskii–Moriya
# interaction (DMI) and is cooled, in 0.18 T along z, from above its ordering temperature to
# almost zero. The helix period 4πA/D is 70 nm. Energies, and with them temperatures, are in
# zeptojoules (k_B × 300 K = 4.14 zJ).

# %%
import torch

from spinlib.anneal import anneal, linear
from spinlib.contrast import colour, perpendicular_from_component, vectors_from_colour
from spinlib.figures import colour_wheel, contact_sheet, draw_spins, panels
from spinlib.film import Film
from spinlib.microscope import Microscope
from spinlib.study import Study
from spinlib.symmetry import Operation, act

study = Study("appendix_microscope", profile=profile, output=output, seed=seed, device=device)
film = Film(exchange_stiffness=8.78e-12, saturation=384e3, dmi=1.58e-3, cell=4e-9, thickness=1e-9)
spins = anneal(
    film.hamiltonian(field=0.18),
    (size, size),
    linear(20.0, 0.02, sweeps),
    seed=seed,
    dipole_every=2,
    device=study.device,
).cpu()

# %% [markdown]
# ## How spins are drawn
# Hue is the direction in the plane, lightness the component out of it: white points towards the
# reader, black away, and full colours lie in the plane. The disc on the right is the key: the
# sphere of directions, unrolled.

# %%
figure, axes = panels(1, 2, width=4.0)
draw_spins(spins[0], axes[0, 0], pixel=film.cell, title="spins")
colour_wheel(axes[0, 1])
figure

# %% [markdown]
# ## Seven contrasts
# `vector`: three pictures, one per component, as spin-polarised low-energy electron microscopy
# (SPLEEM) gives them (−1 black, +1 white).

# %%
vector = Microscope("vector")(spins, film.cell)
contact_sheet((1 + vector[0, :, None]) / 2, ["$m_x$", "$m_y$", "$m_z$"], pixel=film.cell)

# %% [markdown]
# `colour`: the drawing above as an RGB picture. `perpendicular`: m_z alone, as polar Kerr
# microscopy shows domains. `in_plane`: the other two components, as Lorentz microscopy reconstructs
# them; up and down are both black. (The part of them without curl, as in Néel walls, is drawn here
# but invisible to electrons. In textures of bulk DMI, as here, it is small and mostly thermal
# noise.)

# %%
colours = Microscope("colour")(spins, film.cell)
perpendicular = Microscope("perpendicular")(spins, film.cell)
in_plane = Microscope("in_plane")(spins, film.cell)
contrasts = contact_sheet(
    [colours[0], perpendicular[0], in_plane[0]],
    ["colour", "perpendicular", "in_plane"],
    pixel=film.cell,
)
study.show(
    contrasts,
    "contrasts",
    caption="One state of a film of FeGe in three contrasts: all directions, the component out of "
    "the plane (white up, black down), and the direction in the plane, where up and down are both "
    "black. Study 1 reads the first and the third, study 3 the second.",
)

# %% [markdown]
# `component`: the component along one direction, white along it. The direction is `polar` degrees
# from +*z* and, in the plane, `azimuth` degrees from the right. Of circular X-rays it is that of
# their beam, which comes in at 74° or so in a photoemission microscope (XMCD-PEEM). Kerr
# microscopes with light from aslant see one direction, too, but not that of the light: the
# component along *z* counts for more than geometry says. The more of the direction lies in the
# plane, the more domains give way to walls, one white and the next black. Of Bloch walls, as here,
# those along the direction show best; of Néel walls those across it.

# %%
directions = {"45° to the right": (45.0, 0.0), "74° to the right": (74.0, 0.0)}
directions |= {"74° to the top": (74.0, 90.0)}
aslant = {
    where: Microscope("component", polar=polar, azimuth=azimuth)(spins, film.cell)
    for where, (polar, azimuth) in directions.items()
}
sheet = contact_sheet(torch.cat(list(aslant.values())), list(aslant), pixel=film.cell)
study.show(
    sheet,
    "component",
    caption="One component of the same film, along directions that lean by 45° or 74° from the "
    "normal to the right or to the top. What is white points along the direction.",
)

# %% [markdown]
# `lorentz_defocus`: raw Fresnel contrast to first order, I/I₀ = 1 + d (∇×m)_z, drawn as I/(2 I₀).
# The length d is how far the film deflects an electron on its way to the defocused plane;
# changing its sign exchanges bright and dark. Only walls with a curl show: those of bulk DMI do,
# those of interfacial DMI do not.

# %%
under = Microscope("lorentz_defocus", defocus=-4e-9)(spins, film.cell)
over = Microscope("lorentz_defocus", defocus=4e-9)(spins, film.cell)
contact_sheet(torch.cat([under, over]), ["d = −4 nm", "d = +4 nm"], pixel=film.cell)

# %% [markdown]
# `magnetic_force`: a tip scans the film at some height (`lift`) and feels the gradient of the field
# above it. Fine textures fade with height, a period *L* as exp(−2π `lift`/*L*). Besides the charges
# of the surfaces, those of the walls count. Bloch walls, as here, have none. Those of Néel walls
# work against the surface of the domain that spins point away from, and with that of the domain
# they point to. So above a film with an interfacial DMI > 0, where they point from white to black,
# a helix has no field at all, and the little that is seen of skyrmions is of the other sign; with
# DMI < 0, as of cobalt on platinum, domains stand out. (Each picture is scaled to its own largest
# signal, as such microscopes do.)

# %%
to_neel = torch.stack([-spins[:, 1], spins[:, 0], spins[:, 2]], dim=1)  # turned in their places
reversed_neel = to_neel * torch.tensor([-1.0, -1.0, 1.0])[:, None, None]
neel = {"D > 0": to_neel, "D < 0": reversed_neel}
tip = {"contrast": "magnetic_force", "thickness": film.thickness, "boundary": "periodic"}
heights = (5e-9, 20e-9)
felt = {
    f"Bloch walls, lift {1e9 * lift:.0f} nm": Microscope(**tip, lift=lift)(spins, film.cell)
    for lift in heights
} | {
    f"Néel walls, {sign}, lift {1e9 * heights[1]:.0f} nm": Microscope(**tip, lift=heights[1])(
        some, film.cell
    )
    for sign, some in neel.items()
}
sheet = contact_sheet(torch.cat(list(felt.values())), list(felt), pixel=film.cell)
study.show(
    sheet,
    "magnetic_force",
    caption="The film above as a magnetic force microscope shows it, from two heights; and what it "
    "would show if the same spins were turned by a right angle, each in its place, so that walls "
    "are of Néel's kind: their charges and the surfaces' nearly cancel if D > 0, and add up if "
    "D < 0.",
)

# %% [markdown]
# ## What an instrument loses
# Blur and pixels act on the magnetisation before it is drawn, so that a wall between up and down
# turns grey in the middle rather than colourful. The blur is a Gaussian; its standard deviation is
# given. Pixels average over their area, whatever their size in cells, and keep the mean.

# %%
blurred = Microscope("colour", blur=10e-9)(spins, film.cell)
coarse = Microscope("colour", pixel_size=16e-9)(spins, film.cell)
fine = Microscope("colour", pixel_size=2.34e-9, blur=5e-9)(spins, film.cell)
middle = Microscope("colour", shape=(size // 2, size // 2), pixel_size=film.cell)(spins, film.cell)
contact_sheet(
    [blurred[0], coarse[0], fine[0], middle[0]],
    ["blur 10 nm", "pixels of 16 nm", "pixels 2.34 nm, blur 5 nm", "half the field of view"],
    pixel=[film.cell, 16e-9, 2.34e-9, film.cell],
)

# %% [markdown]
# ## Noise
# The noise of study 2 turns every vector: S* = normalise(S + ηR) with random unit vectors R. A
# detector adds its own: readout noise of a given standard deviation (white is 1), counting noise
# for a given number of quanta per white pixel, and brightness and contrast that drift between
# pictures. Each depends on seed and state alone, so the same state looks the same in any batch.

# %%
strengths = (0.0, 0.3, 0.6, 1.0)
turned = torch.cat(
    [Microscope("colour", noise=eta)(spins, film.cell, seed=seed) for eta in strengths]
)
noisy = contact_sheet(turned, [f"η = {eta:g}" for eta in strengths], pixel=film.cell)
study.show(
    noisy,
    "vector_noise",
    caption="The noise of study 2 at four strengths: η times a random unit vector is added to "
    "each spin, which is then normalised again.",
)

# %%
readout = Microscope("perpendicular", readout=0.2)(spins, film.cell, seed=seed)
counted = Microscope("perpendicular", counts=10)(spins, film.cell, seed=seed)
drifting = Microscope("perpendicular", contrast_drift=0.3, brightness_drift=0.2)(
    spins.expand(2, -1, -1, -1), film.cell, seed=seed
)
contact_sheet(
    torch.cat([readout, counted, drifting]),
    ["readout noise 0.2", "white is 10 quanta", "drift, state 0", "drift, state 1"],
    pixel=film.cell,
)

# %% [markdown]
# ## Turned by right angles
# Turning the sample turns positions and vectors together: the colours change with the texture.

# %%
turns = torch.cat([colour(act(spins, Operation(quarter))) for quarter in range(4)])
contact_sheet(turns, ["0°", "90°", "180°", "270°"], pixel=film.cell)

# %% [markdown]
# ## And back
# Colours can be turned back into spins. Eight bits lose most near the poles, where all hues run
# together; the function says how much may be lost. The check is that in every pixel the angle
# really lost stays below the bound reported for it.

# %%
stored = (colours * 255).round() / 255
found, bound = vectors_from_colour(stored)
lost = torch.atan2(torch.linalg.cross(spins, found, dim=1).norm(dim=1), (spins * found).sum(dim=1))
assert bool((lost <= bound + 1e-3).all())  # 1e-3: rounding of angles in float32
away = spins[:, 2].abs() < 0.866  # more than 30 degrees from either pole
print(
    f"Away from the poles: {torch.rad2deg(lost[away].max()):.2f}° lost at most, "
    f"{torch.rad2deg(bound[away].max()):.2f}° reported as the bound; anywhere: "
    f"{torch.rad2deg(lost.max()):.1f}° and {torch.rad2deg(bound.max()):.1f}°."
)
contact_sheet(
    [colours[0], colour(found)[0], lost / lost.max()],
    ["spins", "from 8 bits", f"angle lost (white {torch.rad2deg(lost.max()):.1f}°)"],
    pixel=film.cell,
)

# %% [markdown]
# *m*_z can be read back from one component, too, if it is known how the DMI turns spins. A helix
# that takes *m*_z up and down takes the part in the plane along, equally large and a quarter of a
# period away. So it is known, wave by wave, what of *m*_z a component shows, and that can be
# divided out; waves that hardly show stay weak. A film is no sum of helices, but nearly: below are
# pictures with noise, and how they and what is read back from them correlate with the true *m*_z.
# In what is read back, `estimate` counts skyrmions: in a component that lies mostly in the plane
# each is white beside black, and so are short pieces of walls.

# %%
azimuth = 30.0
see = {
    polar: Microscope("component", polar=polar, azimuth=azimuth, readout=0.07)
    for polar in (45.0, 74.0, 90.0)
}
seen = {polar: instrument(spins, film.cell, seed=seed) for polar, instrument in see.items()}
read = {
    polar: perpendicular_from_component(picture, (polar,) * 2, (azimuth,) * 2, "bulk")
    for polar, picture in seen.items()
}


def likeness(picture: torch.Tensor) -> float:
    """Correlation with the true m_z."""
    return float(torch.corrcoef(torch.stack([picture, perpendicular]).flatten(1))[0, 1])


of_seen = [f"{polar:.0f}° ({likeness(picture):.2f})" for polar, picture in seen.items()]
of_read = [f"read back ({likeness(picture):.2f})" for picture in read.values()]
sheet = contact_sheet(
    [*colours, *torch.cat([*seen.values()]), *perpendicular, *(0.5 + torch.cat([*read.values()]))],
    ["spins", *of_seen, "true $m_z$", *of_read],
    columns=4,
    pixel=film.cell,
)
study.show(
    sheet,
    "read_back",
    numbers={
        "correlation with m_z, by polar angle": {
            name: {polar: likeness(some) for polar, some in pictures.items()}
            for name, pictures in (("component", seen), ("read back", read))
        }
    },
    caption="Top: the film, and pictures of its component along directions 45°, 74° and 90° from "
    "the normal, which in the plane point between right and top, 30° from the right. Bottom: its "
    "true m_z, and what is read back from these pictures. In brackets: correlation with m_z.",
)

# %% [markdown]
# `read_picture` reads a picture file and reports what it did to it; from then on it is a picture
# like all of these.
#
#     picture = read_picture("helices.tif", pixel_size=2.34e-9, crop=(0, 0, 1024, 960))

# %% [markdown]
# ## About this run

# %%
study.about()
