"""What study 1 simulates: thin films of a B20 magnet in SI units, at a temperature, in a field.

Such a film has open edges, exchange, bulk DMI, its demagnetising field and no anisotropy. Its
states are thermal: they are taken at the temperature and in the field of one observation, whose
picture they are to explain. `FILMS` holds the training sets of the three profiles.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from numbers import Integral, Real
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
import torch

from spinlib import llg, textures
from spinlib.anneal import anneal, linear
from spinlib.film import Film, thermal_energy
from spinlib.kernels import random_uniform

NAMES = ("exchange [pJ/m]", "dmi [mJ/m²]", "saturation [kA/m]")


@dataclass(frozen=True)
class ThermalFilms:
    """Study 1: one layer of square cells with exchange A, bulk DMI D and saturation M_s.

    The values make a grid, all combinations, A slowest and M_s fastest. With `drawn` there are so
    many states instead, uniform between the smallest and the largest value of each.

    Two protocols lead to equilibrium at the temperature:
    "heat bath"  from random spins at `hot` J = 2 A t, where nothing is ordered, within `cooling`
                 sweeps to the temperature, and `staying` sweeps there;
    "llg"        the stochastic Landau-Lifshitz-Gilbert equation at the temperature, from random
                 spins, for `time` nanoseconds.
    """

    version: ClassVar[int] = 7  # random spins are the same on all processors
    exchange: tuple[float, ...]  # A, pJ/m
    dmi: tuple[float, ...]  # D, mJ/m²
    saturation: tuple[float, ...]  # M_s, kA/m
    drawn: int = 0  # states at random parameters in place of the grid
    temperature: float = 300.0  # K
    field: float = 0.18  # T, along z
    cell: float = 4.0  # nm, side of a square cell
    thickness: float = 1.0  # nm
    size: tuple[int, int] = (128, 128)  # cells: height and width
    protocol: Literal["heat bath", "llg"] = "heat bath"
    hot: float = 1.0  # J
    cooling: int = 800  # sweeps
    staying: int = 200  # sweeps
    dipole_every: int = 8  # sweeps between refreshments of the dipoles' field
    time: float = 1.0  # ns
    damping: float = 0.3
    storage: str = "float16"
    shard: int = 16
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("temperature", "field", "cell", "thickness", "hot", "time", "damping"):
            if not _is_number(value := getattr(self, name)):
                raise ValueError(f"The {name} of a thermal film is a number, not {value!r}.")
        whole = (self.drawn, self.cooling, self.staying, *np.atleast_1d(self.size).tolist())
        if len(whole) != 5 or not all(isinstance(count, Integral) for count in whole):
            raise ValueError(
                "A film has whole numbers of states drawn and of sweeps, and a size of (height, "
                f"width) in cells, not {self.drawn!r}, {self.cooling!r}, {self.staying!r} and "
                f"{self.size!r}."
            )
        for name, values in zip(NAMES, self.values, strict=True):
            # An edge of any D can be simulated, not so a film without exchange or moment.
            rising = isinstance(values, tuple) and len(values) and all(map(_is_number, values))
            allowed = rising and all(v > 0 or name == NAMES[1] for v in values)
            if not allowed or list(values) != sorted(set(values)):
                raise ValueError(f"The {name} are rising, positive numbers, not {values!r}.")
        if self.protocol not in ("heat bath", "llg"):
            raise ValueError(f"The protocol is 'heat bath' or 'llg', not {self.protocol!r}.")
        if self.temperature <= 0:
            raise ValueError(f"A thermal film has a temperature above 0, not {self.temperature} K.")
        if self.drawn < 0 or min(self.size) < 1 or min(self.cooling, self.staying) < 1:
            raise ValueError(
                f"A film of {self.size} cells, {self.drawn} states drawn, {self.cooling} and "
                f"{self.staying} sweeps cannot be made: counts are positive."
            )

    @property
    def values(self) -> tuple[tuple[float, ...], ...]:
        """The values of A, D and M_s, in the order of `NAMES`."""
        return self.exchange, self.dmi, self.saturation

    @property
    def states(self) -> int:
        return self.drawn or math.prod(len(values) for values in self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        return 3, *self.size

    def parameters(self) -> pd.DataFrame:
        """A, D and M_s of each state."""
        if not self.drawn:
            return pd.DataFrame(product(*self.values), columns=NAMES, dtype=float)
        draw = {"seed": self.seed, "states": range(self.drawn), "purpose": "film parameters"}
        unit = random_uniform((len(NAMES),), **draw).double().numpy().T
        ends = [(values[0], values[-1]) for values in self.values]
        drawn = [low + (high - low) * u for (low, high), u in zip(ends, unit, strict=True)]
        return pd.DataFrame(dict(zip(NAMES, drawn, strict=True)))

    def film(self, parameters: pd.DataFrame) -> Film:
        """The films of a table of parameters, one row each."""
        exchange, dmi, saturation = (torch.tensor(parameters[name].to_numpy()) for name in NAMES)
        return Film(
            exchange_stiffness=1e-12 * exchange,
            dmi=1e-3 * dmi,
            saturation=1e3 * saturation,
            cell=1e-9 * self.cell,
            thickness=1e-9 * self.thickness,
            boundary="open",
        )

    def simulate(self, states: range, device: torch.device) -> torch.Tensor:
        """Thermal states (len(states), 3, height, width)."""
        return thermal_states(self, self.parameters().iloc[states], states=states, device=device)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


def thermal_states(
    recipe: ThermalFilms,
    parameters: pd.DataFrame,
    *,
    states: Sequence[int] | None = None,
    seed: int | None = None,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """States (rows, 3, height, width) of films of any parameters under the recipe's conditions.

    `states` and `seed` name the random numbers of each row; by default the rows are counted, and
    the seed is the recipe's.
    """
    states = range(len(parameters)) if states is None else states
    seed = recipe.seed if seed is None else seed
    film = recipe.film(parameters)
    if recipe.protocol == "llg":
        start = textures.random(recipe.size, seed=seed, states=states, device=device)
        return llg.run(
            *(start, film),
            time=1e-9 * recipe.time,
            damping=recipe.damping,
            field=recipe.field,
            temperature=recipe.temperature,
            seed=seed,
            states=states,
        )
    hamiltonian = film.hamiltonian(recipe.field)
    cold = thermal_energy(recipe.temperature)
    # A film whose exchange is below k_B T is disordered already, and stays where it is.
    hot = (recipe.hot * hamiltonian.exchange).clamp(min=cold)[:, None]
    fall = linear(1.0, 0.0, recipe.cooling)
    schedule = torch.nn.functional.pad(cold + (hot - cold) * fall, (0, recipe.staying), value=cold)
    return anneal(
        *(hamiltonian, recipe.size, schedule),
        seed=seed,
        states=states,
        dipole_every=recipe.dipole_every,
        device=device,
    )


def half_way(recipe: ThermalFilms) -> ThermalFilms:
    """The same films at the values half-way between those of the grid."""
    middles = [tuple(float(np.mean(pair)) for pair in pairwise(values)) for values in recipe.values]
    if not all(middles):
        raise ValueError(f"Half-way values need two values of each parameter, not {recipe.values}.")
    exchange, dmi, saturation = middles
    return replace(recipe, exchange=exchange, dmi=dmi, saturation=saturation)


def in_microjoule(recipe: ThermalFilms) -> ThermalFilms:
    """The same films with every D taken in µJ/m², as the paper prints it."""
    return replace(recipe, dmi=tuple(1e-3 * value for value in recipe.dmi))


@dataclass(frozen=True)
class Ranges:
    """Smallest and largest value of each parameter: what 0 and 1 mean to a network."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    names: tuple[str, ...] = NAMES

    def __post_init__(self) -> None:
        for end in ("low", "high"):
            object.__setattr__(self, end, tuple(map(float, getattr(self, end))))
        if not len(self.low) == len(self.high) == len(self.names):
            raise ValueError(f"{self} needs one low and one high value for each name.")
        for name, low, high in zip(self.names, self.low, self.high, strict=True):
            if not low < high:
                raise ValueError(
                    f"The range of {name} goes from {low} to {high}: it is empty. Give two values, "
                    "the lower one first, even for what is almost known."
                )

    @classmethod
    def of(cls, recipe: ThermalFilms) -> "Ranges":
        """The ranges of a recipe's values."""
        return cls(*(tuple(float(values[end]) for values in recipe.values) for end in (0, -1)))

    def unit(self, parameters: pd.DataFrame) -> torch.Tensor:
        """Targets (states, outputs) of a table with the columns `names`."""
        values = parameters[list(self.names)].to_numpy(float)
        low, high = np.array(self.low), np.array(self.high)
        return torch.tensor((values - low) / (high - low), dtype=torch.float32)

    def units(self, unit: np.ndarray) -> np.ndarray:
        """Values (…, outputs) in the units of `names` from normalised ones."""
        low, high = np.array(self.low), np.array(self.high)
        return low + (high - low) * np.asarray(unit, float)


# The paper's own grid. Cells of 4 nm resolve neither the helices nor the exchange lengths of most
# of these films; that is part of the result.
_AS_PRINTED = ThermalFilms(
    exchange=(1.0, 2.0, 3.0, 4.0, 5.0),
    dmi=(1.0, 2.0, 3.0, 4.0, 5.0),
    saturation=(1000.0, 2000.0, 3000.0, 4000.0, 5000.0),
    size=(512, 512),
)

# Around FeGe (A 8.78 pJ/m, D 1.58 mJ/m², M_s 384 kA/m: Beg et al., doi:10.1038/srep17137), with
# 4πA/D between 9 cells and the 32 of a window.
_RESOLVED = replace(
    _AS_PRINTED,
    exchange=(6.0, 7.5, 9.0, 10.5, 12.0),
    dmi=(1.2, 1.4, 1.6, 1.8, 2.0),
    saturation=(250.0, 325.0, 400.0, 475.0, 550.0),
)


def _smaller(recipe: ThermalFilms, **sizes) -> ThermalFilms:
    """The recipe with every other of its values."""
    exchange, dmi, saturation = (values[::2] for values in recipe.values)
    return replace(recipe, exchange=exchange, dmi=dmi, saturation=saturation, **sizes)


_SMOKE = {"size": (48, 48), "cooling": 60, "staying": 20}
_LAPTOP = {"size": (128, 128)}  # a sixteenth of the paper's area

FILMS = {
    "smoke": {
        "resolved": _smaller(_RESOLVED, **_SMOKE),
        "as printed": _smaller(_AS_PRINTED, **_SMOKE),
    },
    "laptop": {
        "resolved": replace(_RESOLVED, **_LAPTOP),
        "as printed": _smaller(_AS_PRINTED, **_LAPTOP),
    },
    "paper": {"resolved": _RESOLVED, "as printed": _AS_PRINTED},
}
