"""Energies against closed forms, fields against autograd."""

import math
from itertools import product

import pytest
import torch

from spinlib import textures
from spinlib.dipolar import demagnetisation
from spinlib.film import Film
from spinlib.hamiltonian import Hamiltonian

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
        for same in (alone, together.of(torch.tensor([i]))):
            torch.testing.assert_close(together.energy(spins)[i : i + 1], same.energy(one))
            torch.testing.assert_close(together.field(spins)[i : i + 1], same.field(one))


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
    hamiltonian = Hamiltonian(exchange=1.0, dmi=0.3, anisotropy=0.2, zeeman=0.05)
    energy = -(48 - 4) - 23 * 0.25  # four bonds and a site missing
    assert hamiltonian.energy(spins).item() == pytest.approx(energy)
    assert hamiltonian.energy_per_site(spins).item() == pytest.approx(energy / 23)
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
    assert text == "E = − 1 Σ S_i·S_j − 0.3 Σ (ẑ×r_ij)·(S_i×S_j) − 0.05 Σ S_z   (periodic)"
    text = repr(Hamiltonian(1.0, -0.2, torch.tensor([0.1, 0.4]), (0, 0.5, 1), dmi_kind="bulk"))
    assert "+ 0.2 Σ r_ij·(S_i×S_j)" in text
    assert "[0.1 … 0.4] Σ S_z²" in text and "(0, 0.5, 1) · Σ S" in text
    assert repr(Hamiltonian(exchange=0.0, boundary="open")) == "E = 0   (open)"
    film = Film(1e-11, 4e5).hamiltonian(field=0.1)
    assert "(0, 0, 0.64) · Σ S" in repr(film)  # M_s B a² t = 4e5 · 0.1 · 16e-27 J


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


def test_dipoles_may_be_those_of_a_film():
    def film(height, width, boundary):
        return demagnetisation(height, width, boundary, cell=1.0, thickness=1.0)

    spins = textures.uniform((8, 8)).double()
    energy = Hamiltonian(exchange=0.0, dipolar=1.0, dipoles=film).energy_per_site(spins)
    assert energy.item() == pytest.approx(0.5, abs=1e-7)  # h_z = -1, its sum cut at 1e-7
