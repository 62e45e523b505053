"""The films that a plan asks for: their recipe, and how they differ from those of study 1."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
import torch

from spinlib.dataset import recipe_hash
from spinlib.estimation.conditions import Conditions
from spinlib.estimation.planning import Effort, Plan
from spinlib.film import Film
from spinlib.hamiltonian import Kind
from spinlib.kernels import random_uniform
from spinlib.thermal_recipes import Ranges, ThermalFilms, thermal_states

ANISOTROPY = "anisotropy [kJ/m³]"  # a column beside NAMES, where films differ in it


@dataclass(frozen=True)
class FieldOfView(ThermalFilms):
    """Films as a picture sees them: they go on beyond it, and know nothing of cells.

    They may have an easy axis along z, each film one of its own between two values, and a DMI of
    either kind.

    They are periodic, where the picture's box repeats. On average over directions their helices
    have the period of the continuum, along axes and diagonals up to x²/12 more or less, x = 2π cell
    / period (`Film.exact_helix`): 5 % at eight cells a period, 1 % at eighteen. Plain cells would
    stretch them by x²/3 along axes and by x²/6 along diagonals.
    """

    version: ClassVar[int] = 300 + ThermalFilms.version
    anisotropies: tuple[float, float] = (0.0, 0.0)  # K_u, lowest and highest, kJ/m³
    dmi_kind: Kind = "bulk"

    def parameters(self) -> pd.DataFrame:
        """A, D, M_s and K_u of each state."""
        low, high = self.anisotropies
        draw = {"seed": self.seed, "states": range(self.states), "purpose": "anisotropy"}
        unit = random_uniform((1,), **draw).double().numpy()[:, 0]
        return super().parameters().assign(**{ANISOTROPY: low + (high - low) * unit})

    @property
    def picture_seed(self) -> int:
        """Seed of spins and noise, which pictures of one film in two fields do not share."""
        return int(recipe_hash(self)[:16], 16)

    def simulate(self, states: range, device: torch.device) -> torch.Tensor:
        """Thermal states (len(states), 3, height, width)."""
        rows, seed = self.parameters().iloc[states], self.picture_seed
        return thermal_states(self, rows, states=states, seed=seed, device=device)

    def film(self, parameters: pd.DataFrame) -> Film:
        """The films of a table of parameters; without a K_u theirs is half-way."""
        return replace(
            super().film(parameters),
            anisotropy=anisotropy_of(parameters, self.anisotropies),
            dmi_kind=self.dmi_kind,
            boundary="periodic",
            exact_helix=True,
        )


def anisotropy_of(parameters: pd.DataFrame, ends: tuple[float, float]) -> torch.Tensor:
    """K_u (films,) in J/m³: that of the table, or half-way between the ends if it has none."""
    middle = [sum(ends) / 2] * len(parameters)
    return 1e3 * torch.tensor(np.asarray(parameters.get(ANISOTROPY, middle)))


def recipe(
    plan: Plan,
    conditions: Conditions,
    ranges: Ranges,
    effort: Effort,
    *,
    cells: int,
    seed: int,
    drawn: int = 0,
) -> FieldOfView:
    """The films of the plan: a grid over the ranges, or so many drawn at random inside them."""
    values = 2 if drawn else effort.values
    grid = [
        tuple(np.linspace(low, high, values).tolist())
        for low, high in zip(ranges.low, ranges.high, strict=True)
    ]
    return FieldOfView(
        *grid,
        drawn=drawn,
        temperature=conditions.temperature_K,
        field=conditions.field_T,
        cell=plan.box / cells,
        thickness=conditions.thickness_nm,
        anisotropies=conditions.anisotropies,
        dmi_kind=conditions.dmi_kind,
        size=(cells, cells),
        cooling=effort.cooling,
        staying=effort.staying,
        shard=8,
        seed=seed,
    )
