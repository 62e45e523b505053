"""What the lattice studies simulate: the recipes of their data sets (see `spinlib.dataset`).

Energies and temperatures are in units of the exchange J. Each recipe's defaults are the paper's own
numbers where it gives them (sweeps and temperatures are ours); `DOMAINS` holds study 2's at the
three profiles.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import torch

from spinlib.anneal import anneal, linear, random_rate
from spinlib.hamiltonian import Hamiltonian
from spinlib.kernels import random_uniform

ANY = 1e6  # in units of J: what is larger is a slip


def check(recipe, **limits: tuple[float, float]) -> None:
    """Refuse fields outside their (lowest, highest); where these are whole, so is the field."""
    kind = type(recipe).__name__
    common = {"states": (1, 10**9), "shard": (1, 10**9), "size": (2, 10**6), "seed": (0, 2**63)}
    for name, (low, high) in (common | limits).items():
        value, whole = getattr(recipe, name), type(low) is int
        if type(value) not in ((int,) if whole else (int, float)) or not low <= value <= high:
            numbers = "whole number" if whole else "number"
            raise ValueError(f"{kind}: {name} is a {numbers} from {low} to {high}, not {value!r}.")
    boundary = getattr(recipe, "boundary", "periodic")
    if not isinstance(boundary, str) or boundary not in ("periodic", "open"):
        raise ValueError(f"{kind}: the boundary is periodic or open, not {boundary!r}.")
    if recipe.size % 2 and boundary == "periodic":
        raise ValueError(f"{kind}: the size of a periodic lattice is even, not {recipe.size}.")


@dataclass(frozen=True)
class SkyrmionStates:
    """Study 4: a chiral magnet in a field, cooled from `hot` to zero in `sweeps` heat-bath sweeps,
    the last sixth of them at zero temperature, where the thermal noise goes.

    All states share one Hamiltonian and differ by their random numbers alone.
    """

    version: ClassVar[int] = 5  # random spins are the same on all processors
    states: int = 39_300
    size: int = 128
    sweeps: int = 600
    hot: float = 1.0  # J; above the ordering temperature
    dmi: float = 0.3  # J, interfacial
    field: float = 0.05  # J, along z
    boundary: str = "periodic"
    storage: str = "float16"
    shard: int = 100
    seed: int = 0

    def __post_init__(self):
        numbers = {"hot": (0.0, ANY), "dmi": (-ANY, ANY), "field": (-ANY, ANY)}
        check(self, sweeps=(1, 10**9), **numbers)

    @property
    def shape(self) -> tuple[int, ...]:
        return 3, self.size, self.size

    @property
    def hamiltonian(self) -> Hamiltonian:
        return Hamiltonian(dmi=self.dmi, zeeman=self.field, boundary=self.boundary)

    def parameters(self) -> pd.DataFrame:
        """DMI and field of each state, in units of J."""
        values = {"dmi [J]": self.dmi, "field [J]": self.field}
        return pd.DataFrame(values, index=range(self.states))

    def simulate(self, states: range, device: torch.device) -> torch.Tensor:
        """Annealed states (len(states), 3, size, size)."""
        cold = self.sweeps // 6
        cooling = linear(self.hot, 0.0, self.sweeps - cold)
        return anneal(
            *(self.hamiltonian, self.shape[1:], torch.nn.functional.pad(cooling, (0, cold))),
            seed=self.seed,
            states=states,
            device=device,
        )


def film_parameters(normalised: np.ndarray) -> pd.DataFrame:
    """Parameters of study 2's films from (states, 3) of λ, K and D, each 0 … 1 over its range.

    The ranges are -3 … 3 for λ in units of D, 1 … 1.2 for K of 2πD, 0.05 … 0.13 for D of J.
    """
    dmi, anisotropy, dipolar = np.asarray(normalised, float).T
    return pd.DataFrame(
        {
            "dmi [D]": 6.0 * dmi - 3.0,
            "anisotropy [2πD]": 1.0 + 0.2 * anisotropy,
            "dipolar [J]": 0.05 + 0.08 * dipolar,
        }
    )


@dataclass(frozen=True)
class DipolarDomains:
    """Study 2: domains of a dipolar film, cooled at a rate that is random from state to state.

    The Hamiltonians fill a box: dipolar strength D = 0.05 … 0.13 J, anisotropy K = 1 … 1.2 times
    the shape anisotropy 2πD, interfacial DMI λ = -3 … 3 D. With a `grid` of steps along (λ, K, D)
    they are its corners, all combinations, each for `repeats` states on end; without (0, 0, 0) they
    are uniform in the box, as suits a data set that is too small for a grid.
    """

    version: ClassVar[int] = 6  # random spins are the same on all processors
    states: int = 78_540
    size: int = 100
    grid: tuple[int, int, int] = (21, 11, 17)  # number of values of λ, K and D
    repeats: int = 20
    hot: float = 1.0  # J; above the ordering temperature
    slowest: int = 1500  # sweeps of cooling
    fastest: int = 300
    quench: int = 150  # sweeps at zero temperature in the end
    dipole_every: int = 2  # sweeps between refreshments of the dipoles' field
    storage: str = "float16"
    shard: int = 60
    seed: int = 0

    def __post_init__(self):
        if type(self.grid) is not tuple or [type(n) for n in self.grid] != [int] * 3:
            raise ValueError(f"DipolarDomains: the grid is three whole numbers, not {self.grid!r}.")
        check(
            self,
            hot=(0.0, ANY),
            repeats=(1, 10**9),
            fastest=(1, 10**9),
            slowest=(1, 10**9),
            quench=(0, 10**9),
            dipole_every=(1, 10**9),
        )
        if self.fastest > self.slowest:
            raise ValueError(
                f"DipolarDomains: the fastest cooling, {self.fastest} sweeps, takes longer than "
                f"the slowest, {self.slowest}."
            )
        wanted = math.prod(self.grid) * self.repeats
        if any(self.grid) and (min(self.grid) < 1 or wanted != self.states):
            raise ValueError(
                f"A grid of {self.grid} values with {self.repeats} states each makes {wanted} "
                f"states, not {self.states}: change one, or draw at random with grid=(0, 0, 0)."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        return 3, self.size, self.size

    def parameters(self) -> pd.DataFrame:
        """λ in units of D, K of 2πD and D of J for each state; the same, named `…_N`, from 0 to 1
        over their ranges; and which of its parameters' repeats a state is."""
        index = np.arange(self.states)
        if any(self.grid):
            steps = np.unravel_index(index // self.repeats, self.grid)
            unit = [s / max(n - 1, 1) for s, n in zip(steps, self.grid, strict=True)]
            repeat = index % self.repeats
        else:
            draw = {"seed": self.seed, "states": range(self.states), "purpose": "film parameters"}
            unit, repeat = random_uniform((3,), **draw).double().numpy().T, 0 * index
        dmi, anisotropy, dipolar = unit
        return film_parameters(np.stack(unit, 1)).assign(
            dmi_N=dmi, anisotropy_N=anisotropy, dipolar_N=dipolar, repeat=repeat
        )

    def hamiltonian(self, parameters: pd.DataFrame) -> Hamiltonian:
        """One Hamiltonian per row of `parameters`."""
        values = (parameters[name] for name in ("dmi [D]", "anisotropy [2πD]", "dipolar [J]"))
        dmi, anisotropy, dipolar = (torch.tensor(column.to_numpy()) for column in values)
        return Hamiltonian(
            dmi=dmi * dipolar, anisotropy=2 * math.pi * anisotropy * dipolar, dipolar=dipolar
        )

    def simulate(self, states: range, device: torch.device) -> torch.Tensor:
        """Annealed states (len(states), 3, size, size)."""
        cooling = random_rate(self.hot, self.slowest, self.fastest, seed=self.seed, states=states)
        schedule = torch.nn.functional.pad(cooling, (0, self.quench))
        return anneal(
            *(self.hamiltonian(self.parameters().iloc[states]), self.shape[1:], schedule),
            seed=self.seed,
            states=states,
            dipole_every=self.dipole_every,
            device=device,
        )


DOMAINS = {
    "smoke": DipolarDomains(*(48, 32, (0, 0, 0), 1), slowest=150, fastest=50, quench=50, shard=24),
    "laptop": DipolarDomains(*(1400, 64, (0, 0, 0), 1), slowest=1000),
    "paper": DipolarDomains(),
}
