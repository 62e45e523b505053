"""Energies against closed forms, fields against autograd, the film against continuum theory."""

import math
from itertools import product

import pytest
import torch

from spinlib import textures
from spinlib.dipolar import point_dipoles
from spinlib.hamiltonian import VACUUM_PERMEABILITY, Film, Hamiltonian, thermal_energy

KINDS = ("interfacial", "bulk")
BOUNDARIES = ("periodic", "open")
X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def some_spins(height=6, width=8, batch=2, seed=0) -> torch.Tensor:
    """Random directions in float64, with two vacancies."""
    spins = textures.random((height, width), seed=seed, states=range(batch)).double()
    spins /= spins.norm(dim=1, keepdim=True)
    spins[:, :, 1, 2] = 0
    spins[0, :, 0, 0] = 0
    return spins


ANISOTROPY_MAP = 0.1 * torch.arange(48.0).reshape(6, 8)
TERMS = {
    "exchange": {"exchange": 1.3},
    "exchange per state": {"exchange": torch.tensor([1.3, -0.4])},
    "interfacial": {"dmi": 0.7},
    "bulk": {"dmi": 0.7, "dmi_kind": "bulk"},
    "dmi per state": {"dmi": torch.tensor([0.7, -0.2])},
    "anisotropy": {"anisotropy": -0.6},
    "anisotropy per state": {"anisotropy": torch.tensor([0.6, -0.2])},
    "anisotropy map": {"anisotropy": ANISOTROPY_MAP},
    "anisotropy maps": {"anisotropy": torch.stack((ANISOTROPY_MAP, -ANISOTROPY_MAP))},
    "field along z": {"zeeman": 0.4},
    "field": {"zeeman": (0.1, -0.2, 0.3)},
    "field per state": {"zeeman": torch.tensor([[0.1, -0.2, 0.3], [0.0, 0.5, 0.0]])},
    "dipolar": {"dipolar": 0.2},
    "dipolar per state": {"dipolar": torch.tensor([0.2, 0.05])},
    "everything": {
        "exchange": 1.0,
        "dmi": torch.tensor([0.3, -0.3]),
        "anisotropy": ANISOTROPY_MAP,
        "zeeman": (0.1, 0.2, 0.3),
        "dipolar": 0.1,
    },
}


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("name", TERMS)
def test_field_is_minus_the_gradient_of_the_energy(name, boundary):
    hamiltonian = Hamiltonian(**({"exchange": 0.0} | TERMS[name]), boundary=boundary)
    spins = some_spins().requires_grad_()
    (gradient,) = torch.autograd.grad(hamiltonian.energy(spins).sum(), spins)
    # Both in double precision; the fields are of order 1 to 10.
    torch.testing.assert_close(hamiltonian.field(spins.detach()), -gradient, rtol=0, atol=1e-12)
    assert gradient.abs().max() > 0.01


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_field_of_a_film(boundary):
    film = Film(8.78e-12, 384e3, dmi=1.58e-3, anisotropy=2e4, boundary=boundary)
    hamiltonian = film.hamiltonian(field=(0.01, 0.0, 0.1))
    spins = some_spins().requires_grad_()
    (gradient,) = torch.autograd.grad(hamiltonian.energy(spins).sum(), spins)
    # Fields of some 100 zJ.
    torch.testing.assert_close(hamiltonian.field(spins.detach()), -gradient, rtol=0, atol=1e-10)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_parameters_per_state_are_as_many_hamiltonians(boundary):
    spins = some_spins()
    exchange, dmi = torch.tensor([1.0, 0.6]), torch.tensor([0.2, -0.3])
    anisotropy, dipolar = torch.stack((ANISOTROPY_MAP, ANISOTROPY_MAP**2)), torch.tensor([0.1, 0])
    zeeman = torch.tensor([[0.1, 0.0, 0.2], [0.0, 0.3, -0.1]])
    together = Hamiltonian(exchange, dmi, anisotropy, zeeman, dipolar, boundary=boundary)
    for i in range(2):
        alone = Hamiltonian(
            *(exchange[i].item(), dmi[i].item(), anisotropy[i]),
            *(tuple(zeeman[i].tolist()), dipolar[i].item()),
            boundary=boundary,
        )
        one = spins[i : i + 1]
        torch.testing.assert_close(together.energy(spins)[i : i + 1], alone.energy(one))
        torch.testing.assert_close(together.field(spins)[i : i + 1], alone.field(one))


def two_spins(first, second, axis) -> torch.Tensor:
    """Two spins side by side (axis "x") or one above the other ("y")."""
    pair = torch.tensor([first, second], dtype=torch.float64).T[None]
    return pair[:, :, None, :] if axis == "x" else pair[:, :, :, None]


def test_two_spins_by_hand():
    def energy(first, second, axis, **parameters):
        hamiltonian = Hamiltonian(**({"exchange": 0.0} | parameters), boundary="open")
        return hamiltonian.energy(two_spins(first, second, axis)).item()

    tilted = (0.6, 0.0, 0.8)
    assert energy(Z, tilted, "x", exchange=2.0) == pytest.approx(-1.6)
    # ẑ × x̂ = ŷ, and the interfacial vector of a bond along x is D ŷ, along y it is -D x̂.
    assert energy(Z, X, "x", dmi=0.3) == pytest.approx(-0.3)
    assert energy(X, Z, "x", dmi=0.3) == pytest.approx(0.3)
    assert energy(Z, Y, "y", dmi=0.3) == pytest.approx(-0.3)
    assert energy(Z, Y, "x", dmi=0.3) == pytest.approx(0.0)
    # Bulk: D x̂ and D ŷ; ŷ × ẑ = x̂, ẑ × x̂ = ŷ.
    assert energy(Y, Z, "x", dmi=0.3, dmi_kind="bulk") == pytest.approx(-0.3)
    assert energy(Z, X, "y", dmi=0.3, dmi_kind="bulk") == pytest.approx(-0.3)
    assert energy(Z, X, "x", dmi=0.3, dmi_kind="bulk") == pytest.approx(0.0)
    assert energy(Z, tilted, "x", anisotropy=0.5) == pytest.approx(-0.5 - 0.32)
    assert energy(Z, tilted, "x", zeeman=(1.0, 0.0, 0.5)) == pytest.approx(-0.5 - 0.6 - 0.4)
    # Point dipoles at distance 1: S·S' - 3 (S·r)(S'·r).
    assert energy(X, X, "x", dipolar=0.1) == pytest.approx(-0.2)
    assert energy(Z, Z, "x", dipolar=0.1) == pytest.approx(0.1)
    assert energy(X, X, "y", dipolar=0.1) == pytest.approx(0.1)


def test_vacancies_take_part_in_no_term():
    spins = textures.uniform((4, 6)).double()
    spins[:, :, 1, 2] = 0
    energy = Hamiltonian(exchange=1.0, dmi=0.3, anisotropy=0.2, zeeman=0.05).energy(spins)
    assert energy.item() == pytest.approx(-(48 - 4) - 23 * 0.25)  # four bonds and a site missing
    alone = torch.zeros(1, 3, 5, 5, dtype=torch.float64)
    alone[0, :, 2, 2] = torch.tensor(X)
    # A spin's dipole field on itself is zero to the rounding of a Fourier transform.
    assert abs(Hamiltonian(dmi=0.3, dipolar=1.0, boundary="open").energy(alone).item()) < 1e-15


def test_uniform_states():
    chiral = Hamiltonian(exchange=1.0, dmi=0.3, zeeman=0.05)
    assert chiral.energy_per_site(textures.uniform((128, 128))).item() == pytest.approx(-2.05)
    # Shape anisotropy of the full lattice sum, 0.75 · 9.0336217 D, to single precision.
    dipolar = Hamiltonian(exchange=0.0, dipolar=1.0)
    in_plane = dipolar.energy_per_site(textures.uniform((20, 20), X))
    normal = dipolar.energy_per_site(textures.uniform((20, 20), Z))
    assert (normal - in_plane).item() == pytest.approx(0.75 * 9.0336217, rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("periods", [(2, 0), (0, 3), (2, 3)])
def test_helix_energy(kind, periods):
    """E/N = -J (cos q_x + cos q_y) - D (sin q_x q_x + sin q_y q_y) / |q|."""
    size, exchange, dmi = (24, 32), 1.0, 0.3
    q_x, q_y = 2 * math.pi * periods[0] / size[1], 2 * math.pi * periods[1] / size[0]
    twist = (q_x * math.sin(q_x) + q_y * math.sin(q_y)) / math.hypot(q_x, q_y)
    helix = textures.helix(size, periods, kind)
    for sign in (1, -1):
        hamiltonian = Hamiltonian(exchange, sign * dmi, dmi_kind=kind)
        expected = -exchange * (math.cos(q_x) + math.cos(q_y)) - sign * dmi * twist
        # The spins are single precision.
        assert hamiltonian.energy_per_site(helix).item() == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_positive_dmi_favours_our_skyrmion(kind):
    skyrmion = textures.skyrmions((32, 32), [(15.5, 15.5)], 9.0, kind)
    right = Hamiltonian(dmi=0.3, zeeman=0.05, dmi_kind=kind).energy(skyrmion)
    wrong = Hamiltonian(dmi=-0.3, zeeman=0.05, dmi_kind=kind).energy(skyrmion)
    # The polar angle turns by π over 9 sites: D ∫ (θ' + sin θ cos θ / r) dA ≈ D π² R = 27.
    assert (wrong - right).item() > 30


@pytest.mark.parametrize("kind", KINDS)
def test_energy_is_invariant_under_translations(kind):
    hamiltonian = Hamiltonian(1.0, 0.3, 0.2, (0.1, 0.2, 0.3), 0.1, kind)
    spins = some_spins()
    energy = hamiltonian.energy(spins)
    for shift in product((0, 1, 3), (0, 2, 5)):
        torch.testing.assert_close(
            hamiltonian.energy(torch.roll(spins, shift, (-2, -1))), energy, rtol=1e-12, atol=0
        )


@pytest.mark.parametrize("kind", KINDS)
def test_energy_is_invariant_under_turning_lattice_and_spins(kind):
    """A quarter turn of the pattern together with the spins about z."""
    hamiltonian = Hamiltonian(1.0, 0.3, 0.2, 0.3, 0.1, kind, "open")
    spins = some_spins(7, 7)
    turned = torch.rot90(spins, 1, (-1, -2))  # from x to y: y is counted upwards
    x, y, z = turned.unbind(1)
    turned = torch.stack((-y, x, z), 1)
    torch.testing.assert_close(hamiltonian.energy(turned), hamiltonian.energy(spins))


def test_repr_prints_the_equation_with_its_numbers():
    text = repr(Hamiltonian(exchange=1.0, dmi=0.3, zeeman=0.05))
    assert text == "E = - 1 Σ S_i·S_j - 0.3 Σ (ẑ×r_ij)·(S_i×S_j) - 0.05 Σ S_z   (periodic)"
    text = repr(Hamiltonian(1.0, -0.2, torch.tensor([0.1, 0.4]), (0, 0.5, 1), dmi_kind="bulk"))
    assert "+ 0.2 Σ r_ij·(S_i×S_j)" in text
    assert "[0.1 … 0.4] Σ S_z²" in text and "(0, 0.5, 1) · Σ S" in text
    assert repr(Hamiltonian(exchange=0.0, boundary="open")) == "E = 0   (open)"
    film = Film(1e-11, 4e5).hamiltonian(field=0.1)
    assert "(0, 0, 0.64) · Σ S" in repr(film)  # M_s B a² t = 4e5 · 0.1 · 16e-27 J


# --- films in SI units ------------------------------------------------------------------------

STIFFNESS, SATURATION = 8.78e-12, 384e3


def volume(film: Film, spins: torch.Tensor) -> float:
    return film.cell**2 * film.thickness * spins[0, 0].numel()


def without_dipoles(film: Film, field=0.0) -> Hamiltonian:
    whole = film.hamiltonian(field)
    return Hamiltonian(
        *(whole.exchange, whole.dmi, whole.anisotropy, whole.zeeman),
        dmi_kind=film.dmi_kind,
        boundary=film.boundary,
    )


def helix_density(film: Film, sites: int) -> float:
    """Energy density (J/m³) of a helix of so many cells a period over that of the uniform state."""
    helix, uniform = textures.helix((2, sites), (1, 0), film.dmi_kind), textures.uniform((2, sites))
    hamiltonian = without_dipoles(film)
    rise = hamiltonian.energy(helix.double()) - hamiltonian.energy(uniform.double())
    return 1e-21 * rise.item() / volume(film, helix)


@pytest.mark.parametrize("kind", KINDS)
def test_helix_of_a_film(kind):
    """A q² - D q, with (1 - cos qa) 2/a² for q² and sin(qa)/a for q on cells of side a."""
    dmi, period = 1.58e-3, 64e-9
    q = 2 * math.pi / period
    continuum = STIFFNESS * q**2 - dmi * q
    errors = []
    for cell in (4e-9, 2e-9):
        film = Film(STIFFNESS, SATURATION, dmi, cell=cell, thickness=1.5e-9, dmi_kind=kind)
        sites = round(period / cell)
        discrete = (
            2 * STIFFNESS * (1 - math.cos(q * cell)) / cell**2 - dmi * math.sin(q * cell) / cell
        )
        # The spins have 7 digits, and this is what is left of -2J per bond.
        assert helix_density(film, sites) == pytest.approx(discrete, rel=1e-4)
        errors.append(helix_density(film, sites) / continuum - 1)
    # (qa)²/6 of the DMI's part less (qa)²/12 of the exchange's, falling as a².
    assert abs(errors[1]) < 0.02 and errors[0] / errors[1] == pytest.approx(4, rel=0.05)


def test_lowest_helix_has_the_period_4_pi_a_over_d():
    film = Film(STIFFNESS, SATURATION, 1.58e-3, cell=1e-9, thickness=1.5e-9)
    density = {sites: helix_density(film, sites) for sites in range(50, 91)}
    best = min(density, key=density.get)
    # 69.8 nm; the minimum is flat, and on the lattice tan(qa) = D a / 2A moves it by 0.3 %.
    assert best == pytest.approx(4e9 * math.pi * STIFFNESS / 1.58e-3, abs=1.0)
    assert film.helix_period() == pytest.approx(4 * math.pi * STIFFNESS / 1.58e-3)


def test_wall_energy_of_a_film():
    """4 √(AK) for a Bloch wall, 4 √(AK) - πD for a Néel wall of the favoured sense."""
    stiffness, anisotropy, dmi = 13e-12, 0.4e6, 1e-3
    width = math.sqrt(stiffness / anisotropy)  # 5.7 nm
    for dmi_strength, expected in (
        (0.0, 4 * math.sqrt(stiffness * anisotropy)),
        (dmi, 4 * math.sqrt(stiffness * anisotropy) - math.pi * dmi),
    ):
        cell = width / 8
        film = Film(
            *(stiffness, 8e5, dmi_strength, anisotropy, cell, 1e-9, "interfacial", "open"),
        )
        x = torch.arange(-200, 200, dtype=torch.float64) + 0.5
        z = -torch.tanh(x / 8)  # from +z on the left through +x to -z: the way +z turns for D > 0
        wall = torch.stack((torch.sqrt(1 - z**2), 0 * z, z))[None, :, None, :]
        uniform = textures.uniform((1, 400)).double()
        hamiltonian = without_dipoles(film)
        rise = 1e-21 * (hamiltonian.energy(wall) - hamiltonian.energy(uniform)).item()
        # Per area of wall, a t; the next order in a/width is (1/8)²/12 or less.
        assert rise / (cell * film.thickness) == pytest.approx(expected, rel=2e-3)


def test_uniform_film():
    anisotropy = 3e4
    film = Film(STIFFNESS, SATURATION, anisotropy=anisotropy, thickness=2e-9)
    plain = Film(STIFFNESS, SATURATION, thickness=2e-9)
    up, right = textures.uniform((16, 16), Z).double(), textures.uniform((16, 16), X).double()

    def density(hamiltonian, spins):
        return 1e-21 * hamiltonian.energy(spins).item() / volume(film, spins)

    zeeman = density(film.hamiltonian(0.2), up) - density(film.hamiltonian(), up)
    assert zeeman == pytest.approx(-SATURATION * 0.2)
    sideways = density(plain.hamiltonian((0.2, 0, 0)), right) - density(plain.hamiltonian(), right)
    assert sideways == pytest.approx(-SATURATION * 0.2)
    crystal = density(film.hamiltonian(), up) - density(plain.hamiltonian(), up)
    assert crystal == pytest.approx(-anisotropy)
    # An infinite film: N_z = 1, N_x = 0; the kernel leaves out 1e-7 of the distant cells.
    shape = density(plain.hamiltonian(), up) - density(plain.hamiltonian(), right)
    assert shape == pytest.approx(0.5 * VACUUM_PERMEABILITY * SATURATION**2, rel=1e-6)


def test_films_per_state():
    saturation = torch.tensor([2e5, 4e5], dtype=torch.float64)
    films = Film(torch.tensor([5e-12, 8e-12], dtype=torch.float64), saturation, dmi=1e-3)
    spins = some_spins()
    energies = films.hamiltonian(0.1).energy(spins)
    for i, (a, m) in enumerate([(5e-12, 2e5), (8e-12, 4e5)]):
        alone = Film(a, m, dmi=1e-3).hamiltonian(0.1).energy(spins[i : i + 1])
        torch.testing.assert_close(energies[i : i + 1], alone)


def test_thermal_energy():
    assert thermal_energy(300.0) == pytest.approx(4.141947)  # zJ


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"exchange": math.nan}, "exchange must be finite"),
        ({"dmi": torch.tensor([0.1, math.inf])}, "dmi must be finite"),
        ({"zeeman": (0.0, math.nan, 0.0)}, "zeeman must be finite"),
        ({"dmi_kind": "interface"}, "dmi_kind is one of interfacial or bulk"),
        ({"boundary": "closed"}, "boundary is one of periodic or open"),
        ({"exchange": torch.ones(6, 8)}, "exchange has shape"),
        ({"zeeman": torch.ones(2)}, "zeeman has shape"),
    ],
)
def test_bad_parameters_are_refused(parameters, sentence):
    with pytest.raises(ValueError, match=sentence):
        Hamiltonian(**parameters)


@pytest.mark.parametrize(
    "parameters",
    [
        {"exchange": torch.ones(3)},
        {"dipolar": torch.ones(3)},
        {"anisotropy": torch.ones(8, 6)},
        {"anisotropy": torch.ones(3, 6, 8)},
        {"zeeman": torch.ones(3, 3)},
    ],
)
def test_parameters_that_do_not_fit_the_spins_are_refused(parameters):
    hamiltonian = Hamiltonian(**parameters)
    (name,) = parameters
    for method in (hamiltonian.energy, hamiltonian.field, hamiltonian.torque):
        with pytest.raises(ValueError, match=f"{name} has shape .* does not fit 2 states of 6×8"):
            method(some_spins())


def test_other_things_than_spins_are_refused():
    for wrong in (torch.zeros(3, 8, 8), torch.zeros(1, 2, 8, 8), torch.zeros(1, 3, 8, 8).int()):
        with pytest.raises(ValueError, match="Spins are a floating-point tensor"):
            Hamiltonian().energy(wrong)


@pytest.mark.parametrize(
    "values", [{"saturation": -1.0}, {"cell": 0.0}, {"exchange_stiffness": math.nan}]
)
def test_bad_films_are_refused(values):
    with pytest.raises(ValueError, match=f"film's {next(iter(values))} must be a positive number"):
        Film(**({"exchange_stiffness": STIFFNESS, "saturation": SATURATION} | values))


def test_coarse_cells_are_said():
    with pytest.warns(UserWarning, match="larger than the exchange length"):
        Film(STIFFNESS, 1.4e6, cell=5e-9).hamiltonian()
    with pytest.warns(UserWarning, match="less than four cells"):
        Film(STIFFNESS, 2e5, dmi=8e-3, cell=4e-9).hamiltonian()


def test_dipoles_may_be_cut_off():
    def short(height, width, boundary):
        return point_dipoles(height, width, boundary, cutoff=1.0)

    spins = textures.uniform((8, 8)).double()
    energy = Hamiltonian(exchange=0.0, dipolar=1.0, dipoles=short).energy_per_site(spins)
    assert energy.item() == pytest.approx(2.0)  # half of four neighbours at distance 1
