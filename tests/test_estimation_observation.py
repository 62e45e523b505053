"""How a picture is planned and seen: refusals, cells, and one texture on cells of two sizes."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch

from spinlib import textures
from spinlib.contrast import (
    colour,
    component,
    in_plane,
    magnetic_force,
    perpendicular,
    vectors_from_colour,
)
from spinlib.estimation.conditions import SCATTER, Conditions
from spinlib.estimation.films import ANISOTROPY, FieldOfView, recipe
from spinlib.estimation.observation import (
    as_seen,
    averaged,
    clipped_mean,
    cut_off,
    even,
    matching_noise,
    most_blur,
    observed,
    opened,
    record,
    see,
    stepped,
    unknown_blur,
)
from spinlib.estimation.planning import (
    EFFORT,
    Effort,
    check_kinds,
    check_series,
    helix_period,
    plan,
)
from spinlib.film import VACUUM_PERMEABILITY, Film, thermal_energy
from spinlib.microscope import Microscope
from spinlib.ovf import write_ovf
from spinlib.pictures import Picture, PictureError
from spinlib.similarity import noise_level
from spinlib.thermal_recipes import NAMES, Ranges

CONDITIONS = Conditions(265.0, 0.18, 2.34, thickness_nm=3.0, levels="linear", blur_nm=3.0)
RANGES = Ranges((5.0, 1.0, 200.0), (12.0, 2.2, 600.0))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"temperature_K": 0.0}, "temperature_K is 0.0"),
        ({"field_T": math.nan}, "field_T is nan"),
        ({"pixel_size_nm": -1.0}, "pixel_size_nm is -1.0"),
        ({"thickness_nm": math.inf}, "thickness_nm is inf"),
        ({"temperature_K": None}, "temperature_K of the conditions is None; give a number"),
        ({"field_T": "0.05 T"}, "field_T of the conditions is '0.05 T'; give a number"),
        ({"contrast": "vector"}, "'vector' cannot be estimated from"),
        ({"contrast": ["colour"]}, r"\['colour'\] cannot be estimated from"),
        (
            {"contrast": "component", "azimuth_deg": 0.0},
            "polar_deg 0.0 and azimuth_deg 0.0: .* both",
        ),
        ({"contrast": "component", "polar_deg": 74.0}, "and azimuth_deg None: .* needs both"),
        ({"contrast": "component", "polar_deg": (60, 190), "azimuth_deg": 0}, "0 to 180"),
        ({"contrast": "component", "polar_deg": (-5, 80), "azimuth_deg": 0}, "0 to 180"),
        ({"contrast": "component", "polar_deg": math.pi / 2, "azimuth_deg": 0}, "in degrees"),
        ({"contrast": "component", "polar_deg": (80.0, 60.0)}, "a number of degrees from"),
        (
            {"contrast": "component", "polar_deg": 74, "azimuth_deg": (0, 400)},
            "azimuth_deg = 400 m",
        ),
        ({"contrast": "component", "polar_deg": 74, "azimuth_deg": "E"}, "'E'; give a number"),
        ({"polar_deg": 74.0}, "'colour' with polar_deg 74.0 .* No other contrast takes them"),
        ({"azimuth_deg": 0.0}, "'colour' .* azimuth_deg 0.0: .* No other contrast takes them"),
        ({"contrast": "lorentz_defocus"}, "needs a defocus"),
        ({"defocus_nm": 3.0}, "needs a defocus"),
        ({"contrast": "magnetic_force"}, "lift_nm 0.0: .* needs one above 0"),
        ({"contrast": "magnetic_force", "lift_nm": (0.0, 40.0)}, "needs one above 0"),
        ({"contrast": "magnetic_force", "lift_nm": -5.0}, "needs one above 0"),
        ({"contrast": "magnetic_force", "lift_nm": 10**400}, "lift_nm of the conditions is 1000"),
        ({"contrast": "magnetic_force", "lift_nm": (40.0, 20.0)}, "a number of nm above the film"),
        ({"lift_nm": 30.0}, "'colour' with lift_nm 30.0: .* no other contrast takes one"),
        ({"levels": "gamma"}, "levels are one of linear, ordered, unsigned, not 'gamma'"),
        ({"levels": "unsigned"}, "'colour' cannot be unsigned: which way is up"),
        ({"blur_nm": -2.0}, "blur_nm is -2.0"),
        ({"pixel_size_nm": 2.34e-9}, "pixel_size_nm = 2.34e-09 makes no sense: is it in another"),
        ({"field_T": -50.0}, "field_T = -50 makes no sense: is it in another"),
        ({"blur_nm": 3e-9}, "blur_nm = 3e-09 makes no sense: is it in another"),
        ({"anisotropy_kJ_m3": (0.0, 3e4)}, "anisotropy_kJ_m3 = 30000 makes no sense"),
    ],
)
def test_conditions_are_refused_in_words(wrong, words):
    with pytest.raises(ValueError, match=words):
        replace(CONDITIONS, **wrong)


def test_vectors_are_seen_along_the_middle_direction(tmp_path):
    spins = textures.skyrmions((48, 48), [(24, 24)], 20.0, "bulk")
    np.save(tmp_path / "spins.npy", spins[0].numpy())
    slant = {"polar_deg": (60.0, 88.0), "azimuth_deg": (-10.0, 70.0)}
    taken = replace(CONDITIONS, contrast="component", **slant)
    shown = even(component(spins, 74.0, 30.0), taken)[0]
    torch.testing.assert_close(observed(tmp_path / "spins.npy", taken), shown, rtol=0, atol=1e-5)


def test_vectors_are_seen_by_a_tip_half_way(tmp_path):
    spins = textures.skyrmions((48, 48), [(24, 24)], 20.0, "bulk")
    np.save(tmp_path / "spins.npy", spins[0].numpy())
    taken = replace(CONDITIONS, contrast="magnetic_force", lift_nm=(10.0, 30.0))
    pixel = taken.pixel_size_nm
    shown = even(magnetic_force(spins, 20.0 / pixel, taken.thickness_nm / pixel), taken)[0]
    torch.testing.assert_close(observed(tmp_path / "spins.npy", taken), shown, rtol=0, atol=1e-5)


@pytest.mark.parametrize("contrast", ["colour", "in_plane", "perpendicular"])
def test_vectors_are_drawn_as_the_instrument_shows_them(tmp_path, contrast):
    spins = textures.skyrmions((48, 48), [(24, 24)], 20.0, "bulk")
    write_ovf(tmp_path / "spins.ovf", spins[0], (2e-9,) * 3)
    np.save(tmp_path / "spins.npy", spins[0].numpy())
    taken = replace(CONDITIONS, contrast=contrast)
    shown = even(
        {"colour": colour, "in_plane": in_plane}.get(contrast, perpendicular)(spins), taken
    )
    for name in ("spins.ovf", "spins.npy"):
        torch.testing.assert_close(observed(tmp_path / name, taken), shown[0], rtol=0, atol=1e-5)


def test_helix_period_of_iron_germanium():
    assert helix_period(8.78, 1.58) == pytest.approx(69.8, abs=0.05)  # nm; 70 nm in the literature


def test_cells_resolve_the_shortest_lengths():
    made = plan((192, 260), CONDITIONS, RANGES, EFFORT["laptop"])
    length = 1e9 * math.sqrt(2 * 5e-12 / VACUUM_PERMEABILITY / 6e5**2)
    assert made.cell <= min(helix_period(5.0, 2.2) / 8, length) * 1.001
    assert made.box >= 2 * helix_period(12.0, 1.0)
    assert made.box / made.seen <= helix_period(5.0, 2.2) / 6 * 1.02  # to a whole number of pixels
    assert made.box <= 192 * 2.34 * 1.001 and made.pixels <= 192
    assert made.box / made.cells[1] < made.cell and made.box / made.seen >= 2.34
    assert len({*made.cells, made.between, made.finer}) == 4
    assert all(n % 4 == 0 for n in (*made.cells, made.between, made.finer))
    said, boxes = made.notes
    assert "3 nm thick, with bulk DMI and no anisotropy, at 265 K in 0.18 T" in said
    assert f"{made.box:.4g} nm" in boxes


def test_few_cells_give_up_the_exchange_length_and_say_so():
    made = plan((192, 192), CONDITIONS, RANGES, Effort(cells=48))
    assert made.cell <= helix_period(5.0, 2.2) / 6 * 1.001
    assert any(
        "than the shortest exchange length or wall width of 4.7 nm" in note for note in made.notes
    )
    assert any("than an eighth of the shortest helix period" in note for note in made.notes)
    # A little coarser will do for 76 cells: two of the longest periods are 302 nm.
    enough = plan((192, 192), CONDITIONS, RANGES, Effort(cells=76))
    assert enough.box == pytest.approx(2 * helix_period(12.0, 1.0), abs=2.34)
    assert any("an eighth" in note and "exchange" not in note for note in enough.notes)


def test_notes_of_what_cannot_be_resolved():
    def said(words: str, **changed) -> bool:
        made = plan((192, 192), replace(CONDITIONS, **changed), RANGES, EFFORT["laptop"])
        return any(words in note for note in made.notes)

    # A helix of the shortest period takes four pixels of a quarter of it.
    pixel = helix_period(5.0, 2.2) / 4
    for part in (0.98, 1.02):
        words = f"less than four pixels of {part * pixel:.3g} nm"
        assert said(words, pixel_size_nm=part * pixel) == (part > 1)
    # k_B T is half of 2 A t of the weakest film at t = k_B T / A = 0.73 nm.
    limit = 1e-21 * thermal_energy(265.0) / 5e-12 * 1e9
    for part in (0.98, 1.02):
        assert said("close to disorder", thickness_nm=part * limit) == (part < 1)
    small = plan((80, 80), CONDITIONS, RANGES, EFFORT["laptop"])
    assert any("less than two of the longest helix period" in note for note in small.notes)


def test_a_blur_that_wipes_out_every_helix_is_refused():
    blur = helix_period(12.0, 1.0) / 2
    plan((192, 192), replace(CONDITIONS, blur_nm=0.98 * blur), RANGES, EFFORT["laptop"])
    with pytest.raises(ValueError, match=f"blur of {1.02 * blur:g} nm wipes out every helix"):
        plan((192, 192), replace(CONDITIONS, blur_nm=1.02 * blur), RANGES, EFFORT["laptop"])


def test_films_that_are_too_thick_are_refused_before_work_starts():
    shape, effort = (1024, 1024), EFFORT["laptop"]
    made = plan(shape, CONDITIONS, RANGES, effort)
    finest = made.box / max(*made.cells, made.between, made.finer)
    with pytest.raises(PictureError, match=f"describes up to {20 * finest:.3g} nm") as refused:
        plan(shape, replace(CONDITIONS, thickness_nm=20.1 * finest), RANGES, effort)
    # The advice helps: larger cells by what it names.
    assert "larger lowest A, or a smaller largest D or M_s" in str(refused.value)
    longer = Ranges((7.0, 1.0, 200.0), (12.0, 1.8, 500.0))
    plan(shape, replace(CONDITIONS, thickness_nm=20.1 * finest), longer, effort)
    # What is not refused can be simulated on all cells.
    thick = replace(CONDITIONS, thickness_nm=19.99 * finest)
    made = plan(shape, thick, RANGES, effort)
    for cells in (*made.cells, made.between, made.finer):
        films = recipe(made, thick, RANGES, effort, cells=cells, seed=1)
        energy = films.film(films.parameters()[:1]).hamiltonian(0.1)
        assert energy.dipoles(2, 2, "open").height == 2


def test_notes_of_thickness_and_of_clipping():
    short = helix_period(5.0, 2.2)
    for part, said in ((0.49, 0), (0.51, 1)):
        made = plan(
            (192, 192), replace(CONDITIONS, thickness_nm=part * short), RANGES, EFFORT["laptop"]
        )
        assert sum("uniform through its thickness" in note for note in made.notes) == said
    # (curl m)_z of a helix of period p is 2π/p at most, and pictures end where d times it is 1.
    for part, said in ((0.99, 0), (-1.01, 1)):
        lorentz = replace(
            CONDITIONS, contrast="lorentz_defocus", defocus_nm=part * short / (2 * math.pi)
        )
        made = plan((192, 192), lorentz, RANGES, EFFORT["laptop"])
        assert sum("cut off" in note for note in made.notes) == said


def test_pictures_and_ranges_that_are_refused():
    with pytest.raises(PictureError, match=r"20 pixels across.*shows 20 that tell"):
        plan((20, 300), CONDITIONS, RANGES, EFFORT["laptop"])
    with pytest.raises(ValueError, match="begin above zero"):
        plan((192, 192), CONDITIONS, Ranges((5.0, 0.0, 200.0), RANGES.high), EFFORT["laptop"])
    joules = Ranges((5e-12, 1e-3, 2e5), (12e-12, 2.2e-3, 6e5))
    with pytest.raises(ValueError, match=r"exchange.* from 5e-12 to 1.2e-11 .* is it in pJ/m"):
        plan((192, 192), CONDITIONS, joules, EFFORT["laptop"])
    with pytest.raises(PictureError, match="1 channel"):
        observed(torch.zeros(1, 64, 64), CONDITIONS)
    with pytest.raises(PictureError, match=r"a\.png has 3 channel.* in grey"):
        observed(
            Picture(torch.rand(3, 64, 64), None, "a.png"),
            replace(CONDITIONS, contrast="perpendicular"),
        )
    for nothing in (torch.full((3, 64, 64), math.nan), torch.zeros(3, 0, 0)):
        with pytest.raises(PictureError, match="finite numbers"):
            observed(nothing, CONDITIONS)
    with pytest.raises(PictureError, match="all its pixels are equal"):
        observed(torch.full((3, 64, 64), 0.5), CONDITIONS)
    with pytest.raises(PictureError, match=r"no_such\.png does not exist"):
        observed("no_such.png", CONDITIONS)


def test_pixels_that_need_a_gradient_are_pixels():
    pixels = torch.rand(3, 64, 64, requires_grad=True)
    for given in (pixels, Picture(pixels, None, "a.png")):
        assert torch.equal(observed(given, CONDITIONS), pixels.detach())
        assert not opened(given).pixels.requires_grad


def test_pixels_much_finer_than_the_networks_are_averaged():
    for pixel in (2.34, 0.6, 0.4, 0.1):
        taken = replace(CONDITIONS, pixel_size_nm=pixel)
        side = round(450 / pixel)
        made = plan((side, side), taken, RANGES, EFFORT["laptop"])
        left = made.pixels / made.averaged / made.seen
        assert left <= 10 and (made.averaged == 1 or 2 <= left < 4)


def test_averages_are_over_squares_from_the_corner_at_the_bottom_left():
    pixels = torch.rand(3, 8, 11)
    means = averaged(Picture(pixels, None, "a.png"), 3).pixels
    assert means.shape == (3, 2, 3)
    torch.testing.assert_close(means[:, 1, 2], pixels[:, 3:6, 6:9].mean((1, 2)))


@pytest.mark.parametrize("noise", [0.02, 0.3])
def test_the_mean_of_what_noise_and_a_camera_leave(noise):
    values = torch.linspace(0, 1, 11)
    draws = torch.randn((400_000, 1), generator=torch.Generator().manual_seed(4))
    mean = (values + noise * draws).clamp(0, 1).mean(0)
    # Four standard errors of the mean of 400 000.
    torch.testing.assert_close(
        clipped_mean(values, noise), mean, rtol=0, atol=4 * noise / 400_000**0.5
    )
    assert torch.equal(clipped_mean(values, 0.0), values)


def test_a_blur_that_nobody_knows_may_be_as_large_as_what_the_network_sees():
    for pixel, most in ((2.34, 4.68), (0.4, 0.9 * 450 / 96)):
        taken = replace(CONDITIONS, pixel_size_nm=pixel, blur_nm=None)
        side = round(450 / pixel)
        made = plan((side, side), taken, RANGES, EFFORT["laptop"])
        assert most_blur(made, taken) == pytest.approx(most, rel=0.02)
        (words,) = unknown_blur(made, taken)
        assert f"up to {most_blur(made, taken):.2g} nm" in words
    assert unknown_blur(made, replace(taken, blur_nm=3.0)) == []


def test_efforts_of_other_kinds_of_numbers_and_too_large_ones():
    assert json.dumps(asdict(Effort(cells=np.int64(64))))
    with pytest.raises(ValueError, match="held_out is at most 3300, not 3301"):
        Effort(held_out=3301)


def test_more_kinds_of_pictures_than_can_be_weighed_are_refused():
    check_kinds(31, EFFORT["laptop"])
    with pytest.raises(ValueError, match="32 kinds, different in conditions or size, are too many"):
        check_kinds(32, EFFORT["laptop"])


def test_films_of_the_plan():
    made = plan((192, 192), CONDITIONS, RANGES, EFFORT["laptop"])
    grid = recipe(made, CONDITIONS, RANGES, EFFORT["laptop"], cells=made.cells[0], seed=3)
    table = grid.parameters()
    assert len(table) == 27 and table[list(NAMES)].min().tolist() == [5.0, 1.0, 200.0]
    film = grid.film(table)
    assert isinstance(grid, FieldOfView) and film.boundary == "periodic"
    assert film.cell * made.cells[0] == pytest.approx(1e-9 * made.box)
    drawn = recipe(made, CONDITIONS, RANGES, EFFORT["laptop"], cells=96, seed=4, drawn=50)
    unit = RANGES.unit(drawn.parameters())
    assert unit.min() >= 0 and unit.max() <= 1 and unit.std() > 0.2


def test_films_are_simulated_as_the_picture_was_taken():
    taken, effort = Conditions(77.0, -0.05, 2.34, thickness_nm=5.0, blur_nm=3.0), EFFORT["laptop"]
    made = plan((192, 192), taken, RANGES, effort)
    films = recipe(made, taken, RANGES, effort, cells=made.cells[1], seed=3)
    assert (films.temperature, films.field, films.thickness) == (77.0, -0.05, 5.0)
    assert (films.cooling, films.staying) == (effort.cooling, effort.staying)
    film = films.film(films.parameters())
    assert film.thickness == pytest.approx(5e-9) and film.exact_helix


def test_a_film_in_two_fields_has_the_same_parameters_and_other_spins():
    """In nearly the same field: with the same random numbers its spins would be nearly the same."""
    made = plan((192, 192), CONDITIONS, RANGES, EFFORT["smoke"])
    near = replace(CONDITIONS, field_T=CONDITIONS.field_T + 1e-6)
    one, other = (
        recipe(made, taken, RANGES, EFFORT["smoke"], cells=48, seed=4, drawn=4)
        for taken in (CONDITIONS, near)
    )
    assert one.parameters().equals(other.parameters())
    here, there = (films.simulate(range(4), torch.device("cpu"))[:, :2] for films in (one, other))
    # The same spins would have 0.6; of dozens of domains with signs of their own little is left.
    assert (here * there).sum(1).mean().abs() < 0.15


def test_numbers_of_any_kind_are_the_same_conditions():
    row = pd.Series({"K": 265, "T": 0, "nm": 2}, dtype=np.int64)
    made = Conditions(row["K"], row["T"], np.float32(2), anisotropy_kJ_m3=np.array([0, 30]))
    assert made == Conditions(265.0, 0.0, 2.0, anisotropy_kJ_m3=(0.0, 30.0))
    assert json.loads(json.dumps(asdict(made)))["temperature_K"] == 265.0
    check_series(2, [replace(CONDITIONS, thickness_nm=thickness) for thickness in (3, 3.0)])
    low, high = np.array([5, 1, 200]), [12, 2, 600]
    assert Ranges(low, high) == Ranges((5.0, 1.0, 200.0), (12.0, 2.0, 600.0))


def test_films_have_the_anisotropy_and_the_dmi_of_the_conditions():
    given = replace(CONDITIONS, anisotropy_kJ_m3=-40.0, dmi_kind="interfacial")
    made = plan((192, 192), given, RANGES, EFFORT["laptop"])
    for told, anisotropy, kind in ((CONDITIONS, 0.0, "bulk"), (given, -4e4, "interfacial")):
        films = recipe(made, told, RANGES, EFFORT["laptop"], cells=made.cells[0], seed=3)
        film = films.film(films.parameters())
        assert film.anisotropy.tolist() == [anisotropy] * films.states and film.dmi_kind == kind


def test_an_anisotropy_that_is_not_known_differs_from_film_to_film():
    """Uniform between its ends, whatever the other parameters: standard errors of 400 films."""
    given = replace(CONDITIONS, anisotropy_kJ_m3=(-10.0, 30.0))
    made = plan((192, 192), given, RANGES, EFFORT["laptop"])
    assert "between -10 and 30 kJ/m³" in " ".join(made.notes)
    films = recipe(made, given, RANGES, EFFORT["laptop"], cells=96, seed=4, drawn=400)
    table = films.parameters()
    unit = (table[ANISOTROPY] + 10) / 40
    assert unit.between(0, 1).all()
    assert abs(unit.mean() - 0.5) < 4 * 12**-0.5 / 20 and abs(unit.std() - 12**-0.5) < 0.04
    assert table.corr()[ANISOTROPY].drop(ANISOTROPY).abs().max() < 4 / 20
    film = films.film(table)
    assert film.anisotropy.tolist() == pytest.approx((1e3 * table[ANISOTROPY]).tolist())
    assert films.film(table[list(NAMES)]).anisotropy.tolist() == [1e4] * 400


def test_cells_resolve_the_walls_of_a_hard_axis():
    """√(A/K) of the softest film: 5 pJ/m and 2 MJ/m³ make 1.58 nm; the helix would allow 3.57."""
    hard = replace(CONDITIONS, anisotropy_kJ_m3=2000.0, thickness_nm=1.0)
    short = Ranges((5.0, 2.0, 200.0), (6.0, 2.2, 400.0))
    assert plan((96, 96), hard, short, EFFORT["laptop"]).cell <= 1.6
    assert plan((96, 96), CONDITIONS, short, EFFORT["laptop"]).cell > 3.0


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"anisotropy_kJ_m3": math.nan}, "give a number of kJ/m³"),
        ({"anisotropy_kJ_m3": (30.0, 0.0)}, "the lowest and the highest"),
        ({"anisotropy_kJ_m3": (0.0, 10.0, 30.0)}, "the lowest and the highest"),
        ({"dmi_kind": "both"}, "bulk or interfacial, not 'both'"),
        ({"dmi_sign": 0}, "1 or -1, not 0"),
        (
            {"dmi_kind": "interfacial", "contrast": "lorentz_defocus", "defocus_nm": 5.0},
            "no contrast in lorentz_defocus",
        ),
    ],
)
def test_films_that_are_none_are_refused(changed, words):
    with pytest.raises(ValueError, match=words):
        replace(CONDITIONS, **changed)


@pytest.mark.parametrize("kind", ["bulk", "interfacial"])
def test_a_film_of_the_other_sign_is_one_with_its_spins_reversed_in_the_plane(kind):
    """Energy against energy, with all terms; and it is the reversed one that is seen."""
    size = (24, 24)
    spins = textures.skyrmions(size, [(8, 8), (16, 14)], 6.0, kind) + 0.3 * textures.random(size)
    spins = spins / spins.norm(dim=1, keepdim=True)
    turned = spins * torch.tensor([-1.0, -1.0, 1.0])[:, None, None]
    film = Film(8e-12, 4e5, 1.6e-3, cell=2e-9, thickness=3e-9, dmi_kind=kind, anisotropy=2e4)
    one, other = (
        float(replace(film, dmi=dmi).hamiltonian(0.1).energy(state))
        for dmi, state in ((film.dmi, spins), (-film.dmi, turned))
    )
    assert other == pytest.approx(one, rel=1e-5)  # float32
    made = plan((96, 96), CONDITIONS, RANGES, EFFORT["smoke"])
    below = see(spins, made, replace(CONDITIONS, dmi_sign=-1), seed=1)
    assert torch.equal(below, see(turned, made, CONDITIONS, seed=1))
    said = plan((96, 96), replace(CONDITIONS, dmi_sign=-1), RANGES, EFFORT["smoke"]).notes[0]
    assert "with bulk DMI below 0 and no anisotropy" in said


def test_one_texture_on_cells_of_two_sizes_gives_one_picture():
    made = plan((96, 96), CONDITIONS, RANGES, EFFORT["laptop"])
    pictures = [
        see(textures.helix((n, n), (3, 0), kind="bulk"), made, CONDITIONS, seed=1)
        for n in (made.cells[0], made.finer)
    ]
    # Steps of cells are hidden by a blur of about a cell; what remains is below two grey levels,
    # but for the sites, which lie at the left edge of their cells: half a cell between the two.
    shift = [made.box / n / 2 for n in (made.cells[0], made.finer)]
    phase = 2 * math.pi * 3 * abs(shift[0] - shift[1]) / made.box
    assert (pictures[0] - pictures[1]).abs().mean() < 2 / 255 + phase / 2


def test_a_simulated_film_is_seen_without_edges():
    spins = textures.random((24, 24), states=[1])
    see_film = CONDITIONS.microscope(shape=(24, 24), blur=5.0, boundary="periodic")
    moved = see_film(spins.roll(7, -1), 2.34) - see_film(spins, 2.34).roll(7, -1)
    assert moved.abs().max() < 1e-5  # float32, of colours from 0 to 1


@pytest.mark.parametrize(("given", "low", "high"), [(6.0, 4.8, 7.2), (None, 0.0, 2 * 2.34)])
def test_each_film_is_seen_with_a_blur_of_its_own(given, low, high):
    """A wave cos qx comes out as exp(-q²σ²/2) of itself: so σ is read back from each picture."""
    conditions = replace(CONDITIONS, blur_nm=given)
    made = plan((96, 96), conditions, RANGES, EFFORT["smoke"])
    helix = textures.helix((made.cells[0],) * 2, (3, 0), kind="bulk")

    def amplitude(pictures: torch.Tensor) -> torch.Tensor:
        m_z = vectors_from_colour(pictures, unit=False)[0][:, 2].double().mean(1)
        return torch.fft.rfft(m_z)[:, 3].abs()

    seen = see(helix.repeat(60, 1, 1, 1), made, conditions, seed=1)
    sharp = see(helix, made, replace(conditions, blur_nm=0.0), seed=1)
    q = 2 * math.pi * 3 / made.box
    sigma = (-2 * (amplitude(seen) / amplitude(sharp)).log() / q**2).clamp(min=0).sqrt()
    # Blurs go in steps of a twentieth of a pixel, 0.12 nm; the rest is left to cells and pixels.
    assert sigma.min() > low - 0.2 and sigma.max() < high + 0.2
    # Uniform: four standard errors of 60 numbers, and ends within a tenth, but once in 500.
    assert abs(sigma.mean() - (low + high) / 2) < 4 * (high - low) / math.sqrt(12 * 60)
    assert sigma.min() < low + 0.1 * (high - low) and sigma.max() > high - 0.1 * (high - low)
    part = see(helix.repeat(2, 1, 1, 1), made, conditions, seed=1, first=58)
    torch.testing.assert_close(part, seen[58:])


@pytest.mark.parametrize(("given", "low", "high"), [(30.0, 24.0, 36.0), ((10.0, 50.0), 10.0, 50.0)])
def test_each_film_is_seen_by_a_tip_at_a_height_of_its_own(given, low, high):
    """Of waves q and 2q the ratio falls as exp(-qh): so h is read back from each picture."""
    conditions = replace(CONDITIONS, contrast="magnetic_force", lift_nm=given, blur_nm=0.0)
    made = plan((96, 96), conditions, RANGES, EFFORT["smoke"])
    side = made.cells[0]
    film = sum(textures.helix((side, side), (waves, 0), "bulk") for waves in (2, 4))

    def ratio(pictures: torch.Tensor) -> torch.Tensor:
        waves = torch.fft.rfft(pictures[:, 0].double().mean(1)).abs()
        return waves[:, 4] / waves[:, 2]

    seen = see(film.repeat(60, 1, 1, 1), made, conditions, seed=1)
    settings = {"shape": (made.pixels,) * 2, "boundary": "periodic"}
    known = conditions.microscope(lift=30.0, **settings)(film, made.box / side)
    q = 2 * math.pi * 2 / made.box
    heights = 30.0 - (ratio(seen) / ratio(known)).log() / q
    assert heights.min() > low - 0.01 and heights.max() < high + 0.01  # rounding of float32
    # Uniform: four standard errors of 60 numbers, and ends within a tenth, but once in 500.
    assert abs(heights.mean() - (low + high) / 2) < 4 * (high - low) / math.sqrt(12 * 60)
    assert heights.min() < low + 0.1 * (high - low) and heights.max() > high - 0.1 * (high - low)
    part = see(film.repeat(2, 1, 1, 1), made, conditions, seed=1, first=58)
    torch.testing.assert_close(part, seen[58:])


@pytest.mark.parametrize("sign", [1, -1])
def test_each_film_is_seen_along_a_direction_of_its_own(sign):
    """What is seen is a sum of the three components: its weights are the direction."""
    slant = {"polar_deg": (50.0, 90.0), "azimuth_deg": (-20.0, 70.0), "blur_nm": 0.0}
    conditions = replace(CONDITIONS, contrast="component", dmi_sign=sign, **slant)
    made = plan((96, 96), conditions, RANGES, EFFORT["smoke"])
    film = textures.skyrmions((made.cells[0],) * 2, [(9, 14), (30, 25)], 16.0, "bulk")
    seen = see(film.repeat(60, 1, 1, 1), made, conditions, seed=1)
    part = see(film.repeat(2, 1, 1, 1), made, conditions, seed=1, first=58)
    torch.testing.assert_close(part, seen[58:])

    size = {"pixel_size": conditions.pixel_size_nm, "shape": (made.pixels,) * 2}
    parts = Microscope("vector", boundary="periodic", **size)(film, made.cell)[0].flatten(1)
    known = torch.cat([torch.ones(1, parts.shape[1]), parts]).double()
    x, y, z = torch.linalg.lstsq(known.T, seen.flatten(1).double().T).solution[1:]
    polar = torch.atan2(torch.hypot(x, y), z).rad2deg()
    azimuth = torch.atan2(sign * y, sign * x).rad2deg()  # with D < 0 spins are the opposite ones
    for found, (low, high) in ((polar, slant["polar_deg"]), (azimuth, slant["azimuth_deg"])):
        assert found.min() > low - 0.01 and found.max() < high + 0.01  # rounding of float32
        # Uniform: four standard errors of 60 numbers, and ends within a tenth, but once in 500.
        assert abs(found.mean() - (low + high) / 2) < 4 * (high - low) / math.sqrt(12 * 60)
        assert found.min() < low + 0.1 * (high - low) and found.max() > high - 0.1 * (high - low)
    # Each by chances of its own: four standard errors of a correlation of 60.
    assert abs(torch.corrcoef(torch.stack([polar, azimuth]))[0, 1]) < 4 / math.sqrt(60)


def test_lifts_that_leave_nothing_are_said_and_refused():
    short, long = helix_period(5.0, 2.2), helix_period(12.0, 1.0)

    def notes(*ends: float) -> str:
        above = replace(CONDITIONS, contrast="magnetic_force", lift_nm=ends)
        return "\n".join(plan((192, 192), above, RANGES, EFFORT["laptop"]).notes)

    assert "by a tip 20 to 28 nm above it" in notes(20.0, 28.0)
    assert "noise may hide" not in notes(20.0, 0.99 * short)
    assert "is 0.002 of that at the film: noise may hide" in notes(20.0, 1.01 * short)
    with pytest.raises(ValueError, match=r"feels no helix of the ranges.* lift in nm"):
        notes(20.0, 2.01 * long)


def test_each_picture_is_recorded_with_a_noise_of_its_own():
    grey = torch.full((60, 3, 48, 48), 0.5)
    seen = record(grey, 0.05, CONDITIONS, seed=1)
    levels = (seen - 0.5).std((1, 2, 3)) / 0.05
    # Up and down by a fifth, and 6912 pixels know a level to 0.85 %: four times that.
    assert levels.min() > 0.8 * 0.966 and levels.max() < 1.2 * 1.034
    # Uniform: ends within a tenth, but once in 500, and four standard errors of 60 numbers.
    assert levels.min() < 0.84 and levels.max() > 1.16
    assert levels.mean() == pytest.approx(1, abs=4 * 0.4 / math.sqrt(12 * 60))
    assert torch.equal(record(grey[:2], 0.05, CONDITIONS, seed=1, first=58), seen[58:])
    flat = (seen - 0.5).flatten(1)
    # The largest of 1770 correlations, with standard errors of 1/√6912.
    assert torch.corrcoef(flat).fill_diagonal_(0).abs().max() < 5.5 / math.sqrt(flat.shape[1])


@pytest.mark.parametrize(("grey", "most"), [(False, 0.05), (True, 0.1)])
def test_a_series_of_pictures_shares_a_few_levels_of_noise(grey, most):
    levels = [stepped(noise, grey) for noise in np.geomspace(0.01, 1.0, 500)]
    off = np.log(levels / np.geomspace(0.01, 1.0, 500))
    # Not farther than half of what each picture's own noise goes up and down.
    assert np.abs(off).max() < most < 0.51 * SCATTER
    assert len(set(levels)) == pytest.approx(math.log(100) / (2 * most), abs=4)
    assert stepped(0.0, grey) == 0.0


@pytest.mark.parametrize("contrast", ["colour", "in_plane", "perpendicular"])
def test_of_ordered_levels_no_gamma_is_seen(contrast):
    """Nor, of grey pictures, a background: where linear levels show both."""
    spins = textures.helix((48, 48), (4, 3), kind="bulk").double()
    draw = {"colour": colour, "in_plane": in_plane, "perpendicular": perpendicular}[contrast]
    shown = 0.1 + 0.8 * draw(spins)[0]
    shown += 0.02 * torch.randn(shown.shape, generator=torch.Generator().manual_seed(3)).double()
    changed = [shown**0.6]
    if contrast == "perpendicular":
        changed.append(shown + 2 * torch.linspace(0, 1, 48)[:, None])
        changed.append(0.5 + (shown - 0.5) * torch.linspace(0.8, 1.2, 48)[:, None])
    for levels, seen in (("ordered", False), ("linear", True)):
        taken = replace(CONDITIONS, contrast=contrast, levels=levels)
        made = plan((192, 192), taken, RANGES, EFFORT["laptop"])
        plain, *others = (
            as_seen(observed(each, taken)[None], made, taken) for each in (shown, *changed)
        )
        for other in others:
            off = (other - plain).abs().mean()
            # A background is bent by a gamma, and a little of it remains.
            assert (off > 0.01) if seen else (off < 0.003)


def test_which_way_is_up_is_drawn_for_each_picture():
    """Half of 200 pictures, to four standard errors, are inverted, the others as they were."""
    grey = torch.rand((1, 1, 32, 32), generator=torch.Generator().manual_seed(5))
    grey = grey.repeat(200, 1, 1, 1)
    ordered, unsigned = (
        record(grey, 0.0, replace(CONDITIONS, contrast="perpendicular", levels=levels), seed=1)
        for levels in ("ordered", "unsigned")
    )
    same = (unsigned - ordered).abs().amax((1, 2, 3)) < 1e-4  # as float32 rounds
    inverse = (unsigned - (1 - ordered)).abs().amax((1, 2, 3)) < 1e-4
    assert (same ^ inverse).all() and abs(same.sum().item() - 100) < 4 * math.sqrt(200) / 2


def test_a_camera_has_nothing_beyond_black_and_white():
    seen = record(torch.tensor([0.0, 1.0]).repeat(1, 3, 32, 16), 0.1, CONDITIONS, seed=1)
    assert seen.min() == 0 and seen.max() == 1
    assert even(torch.full((1, 3, 2, 2), 1.3), CONDITIONS).max() == 1


@pytest.mark.parametrize("contrast", ["colour", "perpendicular"])
def test_noise_is_matched(contrast):
    conditions = replace(CONDITIONS, contrast=contrast)
    made = plan((96, 96), conditions, RANGES, EFFORT["laptop"])
    spins = textures.helix((made.cells[0],) * 2, (3, 0), kind="bulk")
    clean = see(spins.repeat(4, 1, 1, 1), made, conditions, seed=1)
    noisy = record(clean, 0.07, conditions, seed=5, scatter=0.0)
    found = matching_noise(clean, float(np.mean([noise_level(p) for p in noisy])), conditions)
    assert found == pytest.approx(0.07, rel=0.03)  # 4 × 96² pixels give the level to a percent
    # Blur takes colours away from black and white, where noise is cut off, and spoils nothing.
    blurred = see(spins.repeat(4, 1, 1, 1), made, replace(conditions, blur_nm=6.0), seed=2)
    noisy = record(blurred, 0.07, conditions, seed=6, scatter=0.0)
    found = matching_noise(clean, float(np.mean([noise_level(p) for p in noisy])), conditions)
    assert found == pytest.approx(0.07, rel=0.05)
    assert matching_noise(noisy, 0.0, conditions) == 0.0


def test_grey_pictures_lose_their_mean_and_contrast():
    conditions = replace(CONDITIONS, contrast="perpendicular")
    picture = torch.rand((1, 1, 64, 64), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(even(picture, conditions), even(0.2 + 0.3 * picture, conditions))
    colours = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(1))
    assert torch.equal(even(colours, CONDITIONS), colours)


@pytest.mark.parametrize(
    ("given", "lost", "gone"),
    [
        ({"contrast": "perpendicular"}, (0.06, 0.07), 0.1),
        ({"contrast": "component", "polar_deg": 74, "azimuth_deg": 0}, (0.03, 0.04), 0.05),
        ({"contrast": "component", "polar_deg": 160, "azimuth_deg": 0}, (0.08, 0.09), 0.094),
    ],
)
def test_what_a_camera_cuts_off_is_not_seen(given, lost, gone):
    """Neither an observed picture nor a simulated one has levels that a camera may cut off."""
    conditions = replace(CONDITIONS, **given)
    picture = torch.rand((2, 1, 64, 64), generator=torch.Generator().manual_seed(1)).square()
    ends = (lost[0], 1 - lost[1])
    dark, bright = (picture.flatten(1).quantile(q, 1)[:, None, None, None] for q in ends)
    clipped = picture.clamp(dark, bright)
    torch.testing.assert_close(even(clipped, conditions), even(picture, conditions))
    for one, other in zip(clipped, picture, strict=True):
        torch.testing.assert_close(observed(one, conditions), observed(other, conditions))
    seen = record(picture, 0.1, conditions, seed=1)
    # Such shares at either end, but for rounding to whole pixels, have one level each.
    for shares in map(cut_off, (*seen, *even(picture, conditions))):
        assert shares == pytest.approx((gone, gone), abs=2 / 64**2)
    # Bright and dark walls on a grey ground keep theirs.
    walls = replace(CONDITIONS, contrast="lorentz_defocus", defocus_nm=5.0)
    assert max(cut_off(even(picture[:1], walls))) < 0.01


def test_pictures_of_any_size_come_to_the_networks_pixels():
    made = plan((192, 192), CONDITIONS, RANGES, EFFORT["laptop"])
    simulated = as_seen(torch.zeros(1, 3, made.pixels, made.pixels), made, CONDITIONS)
    assert simulated.shape[-2:] == (made.seen, made.seen)
    wide = as_seen(torch.zeros(1, 3, 192, 384), made, CONDITIONS)
    assert wide.shape[-2:] == tuple(int(n * made.seen / made.pixels) for n in (192, 384))


def test_the_middle_is_seen_at_the_scale_of_the_box():
    """A ramp rises from pixel to seen pixel by as many pixels of the instrument as it holds."""
    made = plan((192, 192), CONDITIONS, RANGES, EFFORT["laptop"])
    ratio = made.pixels / made.seen
    size = math.ceil(100.9 * ratio)  # room for a hundred and most of another
    wide = torch.arange(float(size)).sub(size / 2 - 0.5).expand(1, 3, size - 1, size)
    for axis, picture in ((-1, wide), (-2, wide.mT)):
        seen = as_seen(picture.contiguous(), made, CONDITIONS)
        assert seen.shape[axis] == 100
        rise = seen.select(axis, -1) - seen.select(axis, 0)
        # Pixels of a staircase are good to half a step at either end.
        torch.testing.assert_close(rise, torch.full_like(rise, 99 * ratio), rtol=0, atol=0.5)
        assert abs(float(seen.mean())) < 0.01  # 0, but for rounding of numbers up to 100
