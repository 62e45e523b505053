"""What follows from parameters: the texture again, a hysteresis loop, and a sample's volume."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from spinlib import textures
from spinlib.contrast import perpendicular_from_component
from spinlib.estimation.conditions import Conditions
from spinlib.estimation.films import anisotropy_of, recipe
from spinlib.estimation.observation import record, see
from spinlib.estimation.planning import Effort, Plan, helix_period
from spinlib.film import VACUUM_PERMEABILITY, Film
from spinlib.hysteresis import Loop, hysteresis
from spinlib.optics import crop
from spinlib.similarity import radial_spectrum, skyrmions, spectrum_distance
from spinlib.thermal_recipes import NAMES, Ranges, thermal_states


@dataclass(frozen=True)
class Again:
    """Pictures (films, channels, height, width) simulated with an estimate, beside the observed.

    waves, observed, simulated   the spectra: waves per nm (rings,) and shares of the power
    numbers                      distances of the spectra and skyrmions per µm², by name; NaN where
                                 a component's direction is not known well enough to count them
    """

    pictures: torch.Tensor
    waves: np.ndarray
    observed: np.ndarray
    simulated: np.ndarray
    numbers: dict[str, float]


def texture_again(
    picture: torch.Tensor,
    parameters: pd.DataFrame,
    noise: float,
    plan: Plan,
    conditions: Conditions,
    ranges: Ranges,
    effort: Effort,
    *,
    seed: int,
    device: torch.device | str = "cpu",
) -> Again:
    """Simulate `effort.again` films with one row of parameters, on cells that no training used.

    They are compared with the middle of the observed picture (channels, height, width), and with
    each other: two films of the same truth are not alike either, and how far they are apart is the
    measure for the distance to the picture.
    """
    films = recipe(plan, conditions, ranges, effort, cells=plan.finer, seed=seed)
    rows = pd.concat([parameters] * effort.again, ignore_index=True)
    spins = thermal_states(films, rows, device=device).cpu()
    noiseless = see(spins, plan, conditions, seed=seed)
    pictures = record(noiseless, noise, conditions, seed=seed)
    own = crop(picture, (plan.pixels, plan.pixels))[None]  # as large as the box
    pixel = conditions.pixel_size_nm
    waves, observed = radial_spectrum(own)
    _, simulated = radial_spectrum(pictures)
    pairs = [(a, b) for a in range(effort.again) for b in range(a)]
    (a, d), area = parameters[list(NAMES[:2])].to_numpy()[0], (1e-3 * pixel) ** 2
    period = float(helix_period(a, d)) / pixel
    density, of_own = (_counted(some, conditions, period) / area for some in (pictures, own))
    numbers = {
        "distance of spectra, picture and simulations": float(
            np.mean([spectrum_distance(observed[0], other) for other in simulated])
        ),
        "distance of spectra among simulations": float(
            np.mean([spectrum_distance(simulated[a], simulated[b]) for a, b in pairs])
        ),
        "skyrmions per µm², picture": float(of_own[0]),
        "skyrmions per µm², simulations": float(density.mean()),
        "their standard deviation": float(density.std(ddof=1)),
    }
    return Again(pictures, waves / pixel, observed[0], simulated, numbers)


def _counted(pictures: torch.Tensor, conditions: Conditions, period: float) -> np.ndarray:
    """Skyrmions per square pixel in each picture, whose helices have a `period` in pixels."""
    contrast, field = conditions.contrast, conditions.field_T
    if contrast == "component":
        angles = (conditions.between[angle] for angle in ("polar", "azimuth"))
        turning = conditions.dmi_kind, conditions.dmi_sign
        pictures = perpendicular_from_component(pictures, *angles, *turning)
        contrast = "perpendicular"
        if pictures.isnan().any():
            return np.full(len(pictures), np.nan)
    found = skyrmions(pictures, contrast, period, field)
    if conditions.levels == "unsigned":  # what lies between skyrmions is none
        found = np.maximum(found, skyrmions(-pictures, contrast, period, field))
    return found


def loops(
    parameters: pd.DataFrame,
    conditions: Conditions,
    cell: float,
    effort: Effort,
    *,
    seed: int,
    largest_field: float | None = None,
    device: torch.device | str = "cpu",
) -> Loop:
    """Descending branches of films with these parameters, at the temperature of the conditions.

    The field is along z, from saturation: from `largest_field` (T) or else 1.3 times the sum of the
    field D²/(2AM_s) that unwinds helices, the demagnetising field μ₀M_s of a film and the
    anisotropy's 2|K|/M_s, the largest of all films. It sets the steps, and so the rate: loops to be
    compared need the same. Cells have sides of `cell` nm. Films whose anisotropy is not among the
    parameters have the one half-way between those of the conditions.
    """
    exchange, dmi, saturation = (torch.tensor(parameters[name].to_numpy()) for name in NAMES)
    anisotropy = anisotropy_of(parameters, conditions.anisotropies)
    film = Film(
        exchange_stiffness=1e-12 * exchange,
        dmi=1e-3 * dmi,
        saturation=1e3 * saturation,
        cell=1e-9 * cell,
        thickness=1e-9 * conditions.thickness_nm,
        anisotropy=anisotropy,
        dmi_kind=conditions.dmi_kind,
        exact_helix=True,
    )
    if largest_field is None:
        unwinding = 1e3 * dmi**2 / (2 * exchange * saturation)
        turning = 2e-3 * anisotropy.abs() / saturation
        demagnetising = 1e3 * VACUUM_PERMEABILITY * saturation
        largest_field = 1.3 * float((unwinding + demagnetising + turning).max())
    start = textures.uniform((effort.loop_cells,) * 2).repeat(len(parameters), 1, 1, 1).to(device)
    return hysteresis(
        film,
        start,
        largest_field=largest_field,
        temperature=conditions.temperature_K,
        step=largest_field / 30,
        finest_step=largest_field / 120,
        sweeps=effort.loop_sweeps,
        seed=seed,
    )


def magnetisation(loop: Loop, saturation: np.ndarray, field: float) -> np.ndarray:
    """Magnetisation (A/m) of each film in a field (T), coming from saturation.

    `saturation` (states,) is M_s in kA/m.
    """
    states = loop.points.state.unique()
    values = []
    for state, moment in zip(states, np.asarray(saturation, float), strict=True):
        fields, along = loop.branch(state)
        if not fields.min() <= field <= fields.max():
            raise ValueError(
                f"The loop was taken between {fields.min():.3g} and {fields.max():.3g} T; a moment "
                f"at {field:g} T is beyond it."
            )
        values.append(1e3 * moment * np.interp(field, fields[::-1], along[::-1]))
    return np.array(values)


def volume(
    moment: np.ndarray | float,
    moment_error: float,
    magnetisation: np.ndarray | float,
    relative_error: float,
) -> tuple[float, float]:
    """Volume (m³) of a sample and its standard error, from moments (A m²) and magnetisation (A/m).

    One or many points of a loop. The volume is the slope of moment against magnetisation through
    the origin, V = Σ m M / Σ M². `moment_error` is the standard error of each moment, independent
    of the others'; `relative_error` that of M, common to all points:
    σ_V² = σ_m² / Σ M² + V² r².
    """
    m, big = np.atleast_1d(moment).astype(float), np.atleast_1d(magnetisation).astype(float)
    if m.shape != big.shape or not (np.isfinite(m).all() and np.isfinite(big).all()):
        raise ValueError(f"{m.size} moments need as many finite magnetisations, got {big.size}.")
    if not min(moment_error, relative_error) >= 0:
        raise ValueError(f"Errors are not negative, got {moment_error} and {relative_error}.")
    squares = (big**2).sum()
    if squares == 0:
        raise ValueError("No volume follows from a magnetisation of zero: take a larger field.")
    found = (m * big).sum() / squares
    return float(found), float(np.sqrt(moment_error**2 / squares + (found * relative_error) ** 2))
