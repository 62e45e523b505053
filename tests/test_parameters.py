"""Any parameter may be any nonsense: it ends in a sentence that names it, or in finite numbers.

Each example takes valid settings and puts a strange value into one or two of them. What is made is
also used, as some nonsense shows only then. Failing otherwise than with one of our own sentences,
an infinite or undefined result, and a warning of numpy's are all failures.
"""

import math
import warnings
from dataclasses import fields

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from conftest import SETTINGS_OF
from hypothesis import HealthCheck, given, settings

from spinlib import textures
from spinlib.anneal import linear, random_rate
from spinlib.dataset import DatasetError, dataset
from spinlib.film import Film
from spinlib.film_recipes import PinnedFilms
from spinlib.hamiltonian import Hamiltonian
from spinlib.microscope import CONTRASTS, Microscope
from spinlib.recipes import DipolarDomains, SkyrmionStates

STRANGE = [
    *(math.nan, math.inf, -math.inf, 0, 0.0, -1, -0.5, 2.5, 1e-320, 1e30, -1e300, 10**400, True),
    *(None, "abc", "", "1.0", "periodic", b"x", 1j, [], [1.0], (1, 2), (0, -1), (3, 3, 3), {}),
    *(np.float64("nan"), np.float32(0.5), np.int64(4), np.zeros(0), object, math.sin),
    *(torch.tensor(math.nan), torch.zeros(5), torch.ones(1, 2, 3, 4), torch.tensor(1j)),
    *((math.nan, 0.0, 1.0), (1e200, 0, 0), ("a", 1), "lorentz_defocus", "float64", "open"),
]
STRANGERS = st.one_of(
    st.sampled_from(STRANGE), st.floats(), st.integers(-10, 10**12), st.text(max_size=3)
)


def changes(*names: str):
    """One or two of these names with strange values."""
    return st.dictionaries(st.sampled_from(names), STRANGERS, min_size=1, max_size=2)


def many(test):
    quiet = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    test = settings(max_examples=120, deadline=None, suppress_health_check=quiet)(test)
    return pytest.mark.filterwarnings("ignore:(Cells of|A helix of)")(test)


def outcome(make, names):
    """What `make` gives; None if it refused in a sentence about one of the names."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            return make()
    except (ValueError, TypeError, DatasetError) as error:
        text = str(error)
        assert text.endswith("."), f"no sentence: {error!r}"
        assert len(text.split()) > 4 and any(name in text for name in names), text
        return None


def finite(tensor: torch.Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())


SPINS = textures.random((4, 6), states=range(2))
STRENGTHS = ("exchange", "dmi", "anisotropy", "zeeman", "dipolar")


@many
@given(changes(*STRENGTHS, "dmi_kind", "boundary"))
def test_hamiltonians(change):
    def make():
        hamiltonian = Hamiltonian(**({"dmi": 0.3, "zeeman": 0.1, "dipolar": 0.1} | change))
        return hamiltonian.energy(SPINS), hamiltonian.field(SPINS), repr(hamiltonian)

    if made := outcome(make, change):
        assert finite(made[0]) and finite(made[1])


FILM = {"exchange_stiffness": 1e-11, "saturation": 4e5, "dmi": 1e-3, "anisotropy": 1e4}


@many
@given(changes(*FILM, "cell", "thickness", "dmi_kind", "boundary"), STRANGERS)
def test_films(change, field):
    def make():
        film = Film(**(FILM | change))
        hamiltonian = film.hamiltonian(field)
        numbers = [hamiltonian.energy(SPINS), hamiltonian.field(SPINS)]
        return numbers, film.exchange_length(), film.helix_period()

    # A film's values may be refused as those of the lattice they make.
    if made := outcome(make, [*change, *STRENGTHS, "field", "cell", "prism", "thick"]):
        assert all(map(finite, made[0]))
        assert made[1] >= 0 and made[2] >= 0


SETTINGS = [field.name for field in fields(Microscope)]


@many
@given(changes(*SETTINGS), st.sampled_from(CONTRASTS), st.one_of(st.just(1.0), STRANGERS))
def test_microscopes(change, contrast, cell):
    def make():
        return Microscope(**({"contrast": contrast} | SETTINGS_OF.get(contrast, {}) | change))(
            SPINS, cell
        )

    made = outcome(make, [*change, *["cell"][: type(cell) is not float or cell != 1.0]])
    assert made is None or (finite(made) and made.numel() > 0)


RECIPES = {
    "skyrmions": (SkyrmionStates, {"states": 2, "size": 4, "sweeps": 6, "shard": 2}),
    "domains": (
        DipolarDomains,
        {"states": 2, "size": 4, "grid": (0, 0, 0), "repeats": 1, "slowest": 6, "fastest": 3}
        | {"quench": 2, "shard": 2},
    ),
    "films": (
        PinnedFilms,
        {"states": 2, "size": 4, "sweeps": 6, "quench": 2, "shard": 2, "saturation": (300.0, 400.0)}
        | {"dmi": (0.0, 0.5), "anisotropy": 0.4, "exchange": 10.0},
    ),
}


@pytest.mark.parametrize("name", RECIPES)
@many
@given(data=st.data())
def test_recipes(name, data, tmp_path_factory):
    kind, valid = RECIPES[name]
    change = data.draw(changes(*(field.name for field in fields(kind))))
    # Counts that are merely large make large data sets, which is no mistake.
    for count in ("states", "size", "sweeps", "shard", "slowest", "quench", "repeats"):
        if type(change.get(count)) is int and change[count] > 10:
            change[count] = 10
    root = tmp_path_factory.mktemp("recipe")

    def make():
        return dataset(kind(**(valid | change)), root, device="cpu", progress=False)

    made = outcome(make, [*change, "cooling", "cell", "fit"])
    if made is None:
        assert not list(root.iterdir()), "refused, but only after something was written"
    else:
        assert finite(made.states()) and len(made) == len(made.parameters)


@many
@given(st.lists(STRANGERS, min_size=1, max_size=3).map(tuple) | STRANGERS, st.integers(0, 3))
def test_sizes(size, which):
    # Sizes that are merely large take long and much memory, which is no mistake.
    if isinstance(size, tuple):
        size = tuple(min(n, 64) if type(n) is int else n for n in size)
    makers = [
        lambda: textures.random(size),
        lambda: textures.uniform(size),
        lambda: textures.vortex(size),
        lambda: textures.helix(size, (1, 0)),
    ]
    made = outcome(makers[which], ["size", "states of"])
    assert made is None or finite(made)


NUMBERS = {"hot": 1.5, "cold": 0.5, "sweeps": 20, "fastest": 10}


@many
@given(changes(*NUMBERS))
def test_schedules(change):
    hot, cold, sweeps, fastest = (NUMBERS | change).values()
    # Sweeps that are merely many make a long schedule, which is no mistake.
    sweeps, fastest = (
        min(count, 300) if type(count) is int else count for count in (sweeps, fastest)
    )
    makers = [
        lambda: linear(hot, cold, sweeps),
        lambda: random_rate(hot, sweeps, fastest, seed=1, states=range(2)),
    ]
    for make in makers:
        made = outcome(make, ["emperatures", "schedule", "cooling"])
        assert made is None or (finite(made) and made.shape[-1] == sweeps and (made >= 0).all())
