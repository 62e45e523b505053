"""The film as a lattice, against continuum theory."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import random_spins

from spinlib import textures
from spinlib.film import VACUUM_PERMEABILITY, Film, thermal_energy
from spinlib.hamiltonian import Hamiltonian
from spinlib.relaxation import relax

KINDS = ("interfacial", "bulk")
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


@pytest.mark.parametrize("kind", KINDS)
def test_sign_of_the_dmi_is_that_of_its_continuum(kind):
    """D m·(∇×m), and D [(m·∇) m_z - m_z ∇·m], of waves along x and y that turn the lower way."""
    cell, sites, dmi = 1e-9, 200, 1e-3
    phase = 2 * math.pi * torch.arange(sites, dtype=torch.float64) / sites
    up, across, zero = torch.cos(phase), torch.sin(phase), torch.zeros(sites, dtype=torch.float64)
    if kind == "interfacial":  # going along x or y, +z turns towards x or y, respectively
        waves = [(across, zero, up), (zero, across, up)]
    else:  # to the right of it: towards -y or x
        waves = [(zero, -across, up), (across, zero, up)]
    for axis, components in zip((-1, -2), waves, strict=True):
        spins = torch.stack(components)[None, :, None].expand(1, 3, sites, sites)
        spins = spins if axis == -1 else spins.mT
        d_x, d_y = ((spins.roll(-1, a) - spins.roll(1, a)) / (2 * cell) for a in (-1, -2))
        x, y, z = spins.unbind(1)
        if kind == "interfacial":
            density = x * d_x[:, 2] + y * d_y[:, 2] - z * (d_x[:, 0] + d_y[:, 1])
        else:
            density = x * d_y[:, 2] - y * d_x[:, 2] + z * (d_x[:, 1] - d_y[:, 0])
        film = Film(STIFFNESS, SATURATION, dmi, cell=cell, dmi_kind=kind)
        alone = Hamiltonian(exchange=0.0, dmi=film.hamiltonian().dmi, dmi_kind=kind)
        found = 1e-21 * alone.energy(spins).item() / volume(film, spins)
        # Bonds and central differences both have sin(qa)/a for q: only rounding is left.
        assert found == pytest.approx(dmi * density.mean().item(), rel=1e-9)
        assert found == pytest.approx(-dmi * 2 * math.pi / (sites * cell), rel=1e-3)  # (qa)²/6


def test_lowest_helix_has_the_period_4_pi_a_over_d():
    film = Film(STIFFNESS, SATURATION, 1.58e-3, cell=1e-9, thickness=1.5e-9)
    density = {sites: helix_density(film, sites) for sites in range(50, 91)}
    best = min(density, key=density.get)
    # 69.8 nm; the minimum is flat, and on the lattice tan(qa) = D a / 2A moves it by 0.3 %.
    assert best == pytest.approx(4e9 * math.pi * STIFFNESS / 1.58e-3, abs=1.0)
    assert film.helix_period() == pytest.approx(4 * math.pi * STIFFNESS / 1.58e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_exact_helix(kind):
    """On average over directions the continuum's helix is the lowest and as low as there."""
    cell, cells = 5e-9, 9
    dmi = 4 * math.pi * STIFFNESS / (cells * cell)
    plain = Film(STIFFNESS, SATURATION, dmi, cell=cell, thickness=1.5e-9, dmi_kind=kind)
    turn = 2 * math.pi / cells
    angles = torch.arange(360, dtype=torch.float64) * (2 * math.pi / 360)

    def density(film, turn, angle):
        """Energy density of a helix that turns by so much per cell along a direction."""
        lattice, share = without_dipoles(film), torch.stack((angle.cos(), angle.sin()))
        energy = lattice.exchange * (1 - torch.cos(turn * share))
        energy -= lattice.dmi * share * torch.sin(turn * share)
        return 1e-21 * energy.sum(0) / (film.cell**2 * film.thickness)

    def mean(film, turn):
        return density(film, turn, angles).mean().item()

    film = replace(plain, exact_helix=True)
    for sites in (7, 9, 20):  # the formula above against spins; 1e-5 is float32
        assert helix_density(film, sites) == pytest.approx(
            density(film, 2 * math.pi / sites, angles[:1]).item(), rel=1e-5
        )
    lowest = -(dmi**2) / (4 * STIFFNESS)
    assert mean(film, turn) == pytest.approx(lowest, rel=1e-6)
    # A parabola through three points: where it is lowest, to the fourth order of their distance.
    for each, expected in ((film, 1.0), (plain, 1 - turn**2 / 4)):
        low, middle, high = (mean(each, turn * expected + step) for step in (-0.05, 0.0, 0.05))
        found = turn * expected + 0.05 * (low - high) / (2 * (low - 2 * middle + high))
        # Plain cells: x²/3 along axes, x²/6 along diagonals, up to x⁴.
        tolerance = 1e-3 if each is film else turn**4 / 4
        assert found / turn == pytest.approx(expected, abs=tolerance)
    # Single directions: x²/12 to either side of the mean, up to x⁴.
    spread = [density(film, turn, angles[at : at + 1]).item() / lowest - 1 for at in (0, 45)]
    assert -0.06 < spread[0] < 0 < spread[1] < 0.06


def test_an_exact_helix_without_dmi_is_plain_exchange():
    plain = Film(STIFFNESS, SATURATION, cell=5e-9, thickness=1.5e-9).hamiltonian()
    exact = Film(STIFFNESS, SATURATION, cell=5e-9, thickness=1.5e-9, exact_helix=True).hamiltonian()
    assert float(exact.dmi) == 0
    assert float(exact.exchange) == pytest.approx(float(plain.exchange), rel=1e-6)


def test_skyrmions_of_coarse_cells_are_those_of_fine_ones():
    """Two skyrmions in a box of 1.2 periods: with `exact_helix` their energy forgets the cells."""
    dmi, field = 1.58e-3, 0.1
    period = 4 * math.pi * STIFFNESS / dmi

    def density(across, exact):
        up = 2 * round(across * math.sqrt(3) / 2)
        cell = 1.2 * period / across
        film = Film(STIFFNESS, SATURATION, dmi, cell=cell, thickness=3e-9, exact_helix=exact)
        centres = [(across / 4, up / 4), (3 * across / 4, 3 * up / 4)]
        start = textures.skyrmions((up, across), centres, 0.4 * across, "bulk")
        spins = relax(start, film, field=field, demagnetisation=False)
        hamiltonian = without_dipoles(film, field)
        rise = hamiltonian.energy(spins.double()) - hamiltonian.energy(
            textures.uniform((up, across)).double()
        )
        return rise.item() / volume(film, spins)

    fine, exact, plain = density(96, False), density(10, True), density(10, False)
    assert fine < 0
    # At eight cells a period plain ones lose 16 % and these half a percent; the fine ones, of the
    # order a², two thousandths.
    assert exact == pytest.approx(fine, rel=0.01)
    assert plain > 0.9 * fine


def test_an_exact_helix_needs_more_than_four_cells():
    with pytest.raises(ValueError, match="period 20 nm needs more than four cells"):
        Film(STIFFNESS, SATURATION, 2 * math.pi * STIFFNESS / 10e-9, cell=5e-9, exact_helix=True)


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
    up, right = textures.uniform((16, 16)).double(), textures.uniform((16, 16), (1, 0, 0)).double()

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
    spins = random_spins(2, 6, 8).double()
    energies = films.hamiltonian(0.1).energy(spins)
    for i, (a, m) in enumerate([(5e-12, 2e5), (8e-12, 4e5)]):
        alone = Film(a, m, dmi=1e-3).hamiltonian(0.1).energy(spins[i : i + 1])
        torch.testing.assert_close(energies[i : i + 1], alone)


def test_thermal_energy():
    assert thermal_energy(300.0) == pytest.approx(4.141947)  # zJ


@pytest.mark.parametrize("name", ["exchange_stiffness", "saturation", "cell", "thickness"])
@pytest.mark.parametrize("value", [0.0, -1e-9, math.nan, math.inf])
def test_impossible_films_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"film's {name} must be a positive number"):
        Film(**({"exchange_stiffness": STIFFNESS, "saturation": SATURATION} | {name: value}))


def test_coarse_cells_are_warned_of_with_both_lengths():
    with pytest.warns(UserWarning, match=r"Cells of 8 nm .* exchange length of 5\.69 nm"):
        Film(13e-12, 800e3, cell=8e-9).hamiltonian()
    with pytest.warns(UserWarning, match=r"period 15\.1 nm .* four cells of 4 nm"):
        Film(6e-12, 3e5, dmi=5e-3).hamiltonian()


def test_whole_numbers_of_32_bits_are_squared_as_floats():
    """400 000² is more than 32 bits hold."""
    expected = Film(1e-11, 4e5).hamiltonian().dipolar
    for whole in (np.int32(400_000), torch.tensor([400_000], dtype=torch.int32)):
        assert float(Film(1e-11, whole).hamiltonian().dipolar) == pytest.approx(expected, rel=1e-6)
