"""Plants faults one by one in a copy of the source, and sees whether the named test catches each.

    python tests/mutations.py             all of them, as a table; some minutes on two cores
    python tests/mutations.py dmi kernel  those with one of these words in their name

A test that cannot fail guards nothing. Exits with 1 if a fault survives its test, and with 2 if one
no longer fits the source: then both, source and fault, want a look. Nothing outside the copy is
touched; kernels are compiled into a cache of the copy's own.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Fault(NamedTuple):
    """`old` stands once in `file` and becomes `new`; `test` must then fail."""

    name: str
    file: str
    old: str
    new: str
    test: str


FAULTS = [
    # --- Hamiltonian
    Fault(
        "dmi: sign of energy and field",
        "hamiltonian.py",
        "DzyaloshinskiiMoriya(self.dmi,",
        "DzyaloshinskiiMoriya(-1 * self.dmi,",
        "test_hamiltonian.py::test_two_spins_by_hand",
    ),
    Fault(
        "dmi: sign of the field alone",
        "hamiltonian.py",
        "curl = (-xz, -yz, xx + yy)",
        "curl = (xz, yz, -xx - yy)",
        "test_hamiltonian.py::test_field_is_minus_the_gradient_of_the_energy",
    ),
    Fault(
        "dmi: interfacial and bulk exchanged",
        "hamiltonian.py",
        'if self.kind == "interfacial":  # r',
        'if self.kind != "interfacial":  # r',
        "test_hamiltonian.py::test_two_spins_by_hand",
    ),
    Fault(
        "exchange: a neighbour missing in the field",
        "hamiltonian.py",
        "for axis in (-1, -2) for step in (1, -1)\n",
        "for axis, step in ((-1, 1), (-1, -1), (-2, 1))\n",
        "test_hamiltonian.py::test_field_is_minus_the_gradient_of_the_energy",
    ),
    Fault(
        "exchange: bonds along y missing in the energy",
        "hamiltonian.py",
        "(spins * (right + up)).sum(1)",
        "(spins * right).sum(1)",
        "test_hamiltonian.py::test_uniform_states",
    ),
    Fault(
        "dipoles: each pair counted half",
        "hamiltonian.py",
        "_sum_sites(-0.5 * (spins * self.field(spins)).sum(1))",
        "_sum_sites(-0.25 * (spins * self.field(spins)).sum(1))",
        "test_hamiltonian.py::test_two_spins_by_hand",
    ),
    Fault(
        "lattice: x and y exchanged",
        "hamiltonian.py",
        "torch.roll(spins, -step, dims=axis)",
        "torch.roll(spins, -step, dims=-3 - axis)",
        "test_hamiltonian.py::test_two_spins_by_hand",
    ),
    Fault(
        "lattice: open edges closed",
        "hamiltonian.py",
        "edge.zero_()",
        "pass",
        "test_hamiltonian.py::test_two_spins_by_hand",
    ),
    Fault(
        "vacancies: counted in the energy per site",
        "hamiltonian.py",
        "(spins.detach().norm(dim=1) > 0.5).flatten(1).sum(1)",
        "spins[0, 0].numel()",
        "test_hamiltonian.py::test_vacancies_take_part_in_no_term",
    ),
    Fault(
        "anisotropy: factor two of the field",
        "hamiltonian.py",
        "z = 2 * per_site(self.strength, spins) * spins[:, 2]",
        "z = per_site(self.strength, spins) * spins[:, 2]",
        "test_hamiltonian.py::test_field_is_minus_the_gradient_of_the_energy",
    ),
    Fault(
        "film: J = A t instead of 2 A t",
        "film.py",
        "exchange=2e21 *",
        "exchange=1e21 *",
        "test_film.py::test_wall_energy_of_a_film",
    ),
    Fault(
        "film: cell and thickness exchanged in the DMI",
        "film.py",
        "dmi=1e21 * dmi * area",
        "dmi=1e21 * dmi * self.thickness**2",
        "test_film.py::test_lowest_helix_has_the_period_4_pi_a_over_d",
    ),
    Fault(
        "film: exact helix with a wrong derivative",
        "film.py",
        "slope = j0 - j1 / x",
        "slope = j0",
        "test_film.py::test_exact_helix",
    ),
    # --- dipoles
    Fault(
        "dipoles: 2 instead of 3 in the tensor",
        "newell.py",
        "prefactor = 3.0 * cubed * inverse",
        "prefactor = 2.0 * cubed * inverse",
        "test_dipolar.py::test_open_against_brute_force",
    ),
    Fault(
        "demagnetisation: off-diagonal elements without sign",
        "newell.py",
        "xy = second_differences(_newell_g(x, y, z))",
        "xy = abs(second_differences(_newell_g(x, y, z)))",
        "test_newell.py::test_off_diagonal_term_against_the_integral_over_charged_faces",
    ),
    Fault(
        "demagnetisation: a third of the self term",
        "newell.py",
        "+ (2.0 * x2 - y2 - z2) * r / 6.0",
        "+ (2.0 * x2 - y2 - z2) * r / 18.0",
        "test_newell.py::test_self_terms",
    ),
    # --- kernels
    Fault(
        "kernel: sign of the DMI",
        "kernels/spin.cuh",
        "field.z = fma_(h.dmi_interfacial, dx.x + dy.y,",
        "field.z = fma_(-h.dmi_interfacial, dx.x + dy.y,",
        "test_kernels.py::test_local_field_is_the_hamiltonians",
    ),
    Fault(
        "kernel: a neighbour missing",
        "kernels/spin.cuh",
        "(right + left) + (up + down)",
        "(right + left) + up",
        "test_kernels.py::test_local_field_is_the_hamiltonians",
    ),
    Fault(
        "kernel: half the variance of the anisotropy's field",
        "kernels/spin.cuh",
        "float width = -2.0f * temperature",
        "float width = -1.0f * temperature",
        "test_kernels.py::test_anisotropy_is_sampled_exactly",
    ),
    Fault(
        "kernel: a spin not quite across the field",
        "kernels/spin.cuh",
        "1.0f + magnitude(axis.z)",
        "1.0f + axis.z",
        "test_kernels.py::test_moves_turn_evenly_about_fields_of_any_direction",
    ),
    Fault(
        "kernel: half the Boltzmann exponent",
        "kernels/spin.cuh",
        "exp_negative(-2.0f * ratio)",
        "exp_negative(-1.0f * ratio)",
        "test_kernels.py::test_free_spin_in_a_field",
    ),
    Fault(
        "kernel: precession the wrong way round",
        "kernels/spin.cuh",
        "return fma_(-precession, across,",
        "return fma_(precession, across,",
        "test_llg.py::test_one_spin_precesses_and_falls",
    ),
    Fault(
        "kernel: normal numbers of half the variance",
        "kernels/normal.cuh",
        "square_root(-2.0f * log_unit(uniform(w.a)))",
        "square_root(-1.0f * log_unit(uniform(w.a)))",
        "test_llg.py::test_thermal_field_is_normal_and_of_the_given_width",
    ),
    Fault(
        "kernel: demagnetising field turned round",
        "kernels/llg.cu",
        "fma_(film.dipolar, map_field,",
        "fma_(-film.dipolar, map_field,",
        "test_llg.py::test_torque_is_the_hamiltonians",
    ),
    Fault(
        "kernel: all states draw the same numbers",
        "kernels/heatbath.cu",
        "number, replica.state, STREAM_HEAT_BATH, seed, words)",
        "number, 0u, STREAM_HEAT_BATH, seed, words)",
        "test_anneal.py::test_each_state_draws_numbers_of_its_own",
    ),
    # --- dynamics and annealing
    Fault(
        "dynamics: thermal field without its factor √2",
        "llg.py",
        "self.variance = 2 * thermal",
        "self.variance = 1 * thermal",
        "test_llg.py::test_macrospins_obey_langevins_law",
    ),
    Fault(
        "dynamics: damping without 1/(1 + α²)",
        "llg.py",
        "damping=alpha / (1 + alpha**2)",
        "damping=alpha",
        "test_llg.py::test_one_spin_precesses_and_falls",
    ),
    Fault(
        "annealing: a step too few in the schedule",
        "anneal.py",
        "return torch.linspace(hot, cold, sweeps, dtype=torch.float64).float()",
        "return torch.linspace(hot, cold, sweeps + 1, dtype=torch.float64)[:-1].float()",
        "test_anneal.py::test_schedules",
    ),
    Fault(
        "kernel: a GPU's threads do not wait between the colours",
        "kernels/heatbath.cu",
        "first_sweep + sweep, keys);\n            __syncthreads();",
        "first_sweep + sweep, keys);",
        "test_anneal.py::test_the_gpus_sweeps_are_the_hosts",
    ),
    Fault(
        "kernel: the dipoles' field without fluctuations",
        "kernels/convolution.h",
        "a = amplitude - Lanes{};",
        "a = 0.0f * amplitude - Lanes{};",
        "test_anneal.py::test_equilibrium_with_dipoles_is_that_of_sequential_metropolis",
    ),
    Fault(
        "annealing: every call draws the same numbers",
        "kernels/heatbath.py",
        "arguments, flags)\n        first_sweep += some.shape[1]",
        "arguments, flags)",
        "test_anneal.py::test_sweeps_in_pieces_are_the_sweeps_in_one",
    ),
    Fault(
        "relaxation: a step of any length after rounding",
        "relaxation.py",
        "torch.minimum(wanted, _LARGEST_GROWTH * step)",
        "wanted",
        "test_relaxation.py::test_rounding_near_the_threshold_does_not_throw_it_back",
    ),
    # --- textures and pictures
    Fault(
        "textures: sign of the topological charge",
        "textures.py",
        "torch.atan2(volume, 1 + cosines)",
        "torch.atan2(-volume, 1 + cosines)",
        "test_textures.py::test_a_skyrmion_counts_minus_one",
    ),
    Fault(
        "textures: Bloch walls turn to the left",
        "textures.py",
        "else (y / length, -x / length)",
        "else (-y / length, x / length)",
        "test_hamiltonian.py::test_positive_dmi_favours_our_skyrmion",
    ),
    Fault(
        "analysis: lattices of one sense of the DMI",
        "analysis.py",
        "start = symmetry.reverse_dmi(start)",
        "pass",
        "test_analysis.py::test_lattices_of_either_sense_and_polarity_have_one_energy",
    ),
    Fault(
        "analysis: x and y of an interstitial exchanged",
        "analysis.py",
        "return tuple(points[nearest.argmax()])",
        "return tuple(points[nearest.argmax()][::-1])",
        "test_analysis.py::test_the_interstitial_goes_where_there_is_most_room",
    ),
    Fault(
        "microscope: pictures transposed",
        "optics.py",
        "return rows_ @ (field @ columns_.T)",
        "return (rows_ @ (field @ columns_.T)).mT",
        "test_optics.py::test_resampling_is_the_area_average",
    ),
    Fault(
        "microscope: no vector noise",
        "noise.py",
        "normalise(spins + strength.reshape(-1, 1, 1, 1) * direction)",
        "normalise(spins + 0 * strength.reshape(-1, 1, 1, 1) * direction)",
        "test_noise.py::test_vector_noise_is_the_one_of_study_two",
    ),
    Fault(
        "microscope: places turn, vectors do not",
        "symmetry.py",
        "            x, y = -y, x\n",
        "            x, y = x, y\n",
        "test_optics.py::test_a_quarter_turn_turns_places_and_vectors",
    ),
    Fault(
        "pictures: read upside down",
        "pictures.py",
        "np.ascontiguousarray(pixels[:, ::-1], dtype=np.float32)",
        "np.ascontiguousarray(pixels, dtype=np.float32)",
        "test_pictures.py::test_colour_picture_becomes_spins_the_right_way_up",
    ),
    Fault(
        "pictures: no window at the far edge",
        "pictures.py",
        "[*range(0, n - size, size), n - size] for n",
        "[*range(0, n - size, size)] for n",
        "test_pictures.py::test_tiles_go_from_corner_to_corner_and_miss_no_pixel",
    ),
    # --- estimates
    Fault(
        "estimates: noise counts where it is cut off",
        "similarity.py",
        "counted = rough[between] if between.mean() > _ENOUGH else rough",
        "counted = rough",
        "test_similarity.py::test_noise_level_where_black_and_white_cut_it_off",
    ),
    Fault(
        "estimates: mirrored pictures pass",
        "similarity.py",
        "np.gradient(y, axis=-1) - np.gradient(x, axis=-2)",
        "np.gradient(y, axis=-1) + np.gradient(x, axis=-2)",
        "test_similarity.py::test_handedness_of_helices_and_their_mirrors",
    ),
    Fault(
        "estimates: the map of the period is a line",
        "estimation/quantities.py",
        "return unit, np.hstack([period, period**2])",
        "return unit, period",
        "test_estimation_quantities.py::test_the_map_of_the_period_bends",
    ),
    Fault(
        "pictures: of one place, only if nothing moved",
        "estimation/doubts.py",
        "overlap.roll(reach, (0, 1))[: 2 * reach[0] + 1, : 2 * reach[1] + 1]",
        "overlap[:1, :1]",
        "test_estimation_doubts.py::test_pictures_that_show_the_same_place",
    ),
    Fault(
        "relaxation: sums in single precision",
        "relaxation.py",
        "(a * b).flatten(1).sum(1, dtype=torch.float64).cpu()",
        'torch.einsum("bchw,bchw->b", a, b).double().cpu()',
        "test_relaxation.py::test_a_state_does_not_depend_on_those_beside_it",
    ),
    Fault(
        "e-vae: energies rounded to TF32",
        "networks/evae.py",
        "cudnn.flags(**as_they_are, allow_tf32=False)",
        "cudnn.flags(**as_they_are, allow_tf32=True)",
        "test_evae.py::test_energies_are_not_rounded_to_tf32",
    ),
    Fault(
        "e-vae: spins rounded to TF32",
        "networks/evae.py",
        "with _exactly(maps.device):",
        "with torch.autocast(maps.device.type, enabled=False):",
        "test_evae.py::test_energies_are_not_rounded_to_tf32",
    ),
    Fault(
        "estimates: the period has no map of its own",
        "estimation/quantities.py",
        "return np.hstack([unit, period(powers)])",
        "return np.hstack([unit, powers[:, :1]])",
        "test_estimation_quantities.py::test_the_period_is_straightened_by_itself",
    ),
    Fault(
        "estimates: a mirror alone as a symmetry of bulk dmi",
        "symmetry.py",
        "other_sense = operation.half_turned != (operation.mirrored and bulk)",
        "other_sense = operation.half_turned",
        "test_symmetry.py::test_the_point_group_is_what_keeps_the_energy",
    ),
    Fault(
        "estimates: the kind of dmi told but not simulated",
        "estimation/films.py",
        "        dmi_kind=conditions.dmi_kind,\n",
        "",
        "test_estimation_observation.py::test_films_have_the_anisotropy_and_the_dmi_of_the_conditions",
    ),
    Fault(
        "estimates: films at 300 K whatever the request",
        "estimation/films.py",
        "        temperature=conditions.temperature_K,\n",
        "",
        "test_estimation_observation.py::test_films_are_simulated_as_the_picture_was_taken",
    ),
    Fault(
        "estimates: every batch of films seen with the blurs of the first",
        "estimation/observation.py",
        "states = range(first, first + len(spins))",
        "states = range(len(spins))",
        "test_estimation_observation.py::test_each_film_is_seen_with_a_blur_of_its_own",
    ),
    Fault(
        "estimates: all pictures from one height of the tip",
        "estimation/observation.py",
        "low + (high - low) * chance[name] for",
        "(low + high) / 2 for",
        "test_estimation_observation.py::test_each_film_is_seen_by_a_tip_at_a_height_of_its_own",
    ),
    Fault(
        "estimates: a dmi below 0 told but not seen",
        "estimation/observation.py",
        "enumerate(spins * signs)",
        "enumerate(spins)",
        "test_estimation_observation.py::"
        "test_a_film_of_the_other_sign_is_one_with_its_spins_reversed_in_the_plane",
    ),
    Fault(
        "component: the direction's angles exchanged",
        "contrast.py",
        "polar, azimuth = math.radians(polar), math.radians(azimuth)",
        "azimuth, polar = math.radians(polar), math.radians(azimuth)",
        "test_contrast.py::test_a_component_is_that_along_its_direction",
    ),
    Fault(
        "component: seen from the right, whatever is said",
        "microscope.py",
        "component(vectors, self.polar, self.azimuth)",
        "component(vectors, self.polar, 0.0)",
        "test_microscope.py::test_a_component_is_seen_along_the_direction_that_is_said",
    ),
    Fault(
        "estimates: all films seen along the middle direction",
        "estimation/observation.py",
        "between = conditions.between",
        "between = {k: (sum(v) / 2,) * 2 for k, v in conditions.between.items()}",
        "test_estimation_observation.py::test_each_film_is_seen_along_a_direction_of_its_own",
    ),
    Fault(
        "component: m_z of Bloch walls that turn the other way",
        "contrast.py",
        "(k_y / length, -k_x / length)",
        "(-k_y / length, k_x / length)",
        "test_contrast.py::test_m_z_is_read_back_from_a_component",
    ),
    Fault(
        "component: skyrmions counted as if D were above 0",
        "estimation/prediction.py",
        "turning = conditions.dmi_kind, conditions.dmi_sign",
        "turning = conditions.dmi_kind, 1",
        "test_estimation_prediction.py::"
        "test_skyrmions_of_textures_simulated_again_are_per_square_micrometre",
    ),
    Fault(
        "component: m_z read back as if the picture were closed to a ring",
        "contrast.py",
        "shape = (2 * height, 2 * width)",
        "shape = (height, width)",
        "test_contrast.py::test_m_z_is_read_back_up_to_the_edges_of_a_picture",
    ),
    Fault(
        "component: m_z read back with the mean direction for all that it may be",
        "contrast.py",
        "planar = c.mean() * x + s.mean() * y",
        "planar = phi.mean().cos() * x + phi.mean().sin() * y",
        "test_contrast.py::test_m_z_is_read_back_by_the_average_over_all_directions_that_it_may_be",
    ),
    Fault(
        "component: a direction is doubted where walls of an interfacial DMI are as usual",
        "estimation/doubts.py",
        '1 if dmi_kind == "interfacial" else -1',
        "-1",
        "test_estimation_doubts.py::"
        "test_waves_of_a_component_that_run_as_few_simulations_have_them",
    ),
    Fault(
        "component: a direction is doubted where any is allowed for",
        "estimation/doubts.py",
        " or np.ptp(azimuths) >= 180",
        "",
        "test_estimation_doubts.py::"
        "test_waves_of_a_component_that_run_as_few_simulations_have_them",
    ),
    Fault(
        "component: where waves run is not counted from the direction that is told",
        "estimation/observation.py",
        "look(pictures, conditions.contrast, conditions.microscope().azimuth)",
        "look(pictures, conditions.contrast)",
        "test_estimation_one_picture.py::test_a_component_whose_waves_run_as_in_few_simulations_is_told",
    ),
    Fault(
        "magnetic force: charges of walls with the wrong sign",
        "contrast.py",
        "wave * z - 1j",
        "wave * z + 1j",
        "test_contrast.py::test_magnetic_force_is_that_of_all_dipoles",
    ),
    Fault(
        "magnetic force: an edge meets the opposite one",
        "contrast.py",
        "torch.cat([spins, spins.flip(-2)], -2)",
        "torch.cat([spins, spins], -2)",
        "test_contrast.py::test_an_open_edge_of_a_felt_film_is_a_mirror",
    ),
    Fault(
        "magnetic force: the film ends where the picture does",
        "microscope.py",
        "reach = math.ceil(_REACH * (self.lift + self.thickness) / pixel)",
        "reach = 0",
        "test_microscope.py::test_the_tip_feels_what_lies_beyond_the_picture",
    ),
    Fault(
        "estimates: spectra per pixel instead of per nm",
        "estimation/prediction.py",
        "waves / pixel, observed[0]",
        "waves, observed[0]",
        "test_estimation_prediction.py::"
        "test_spectra_of_textures_simulated_again_are_in_waves_per_nm",
    ),
    Fault(
        "estimates: twice the error of a volume that the interval of M_s says",
        "estimation/answer.py",
        "(2 * 1.645 * row",
        "(1.645 * row",
        "test_estimation_prediction.py::"
        "test_the_error_of_a_volume_is_that_of_the_films_or_of_the_interval",
    ),
    Fault(
        "estimates: a loop that never turns a hard axis over",
        "estimation/prediction.py",
        "demagnetising + turning).max()",
        "demagnetising).max()",
        "test_estimation_prediction.py::test_loops_of_a_hard_axis_reach_beyond_its_coercive_field",
    ),
    Fault(
        "estimates: the same spins in all pictures of a film",
        "estimation/films.py",
        "return int(recipe_hash(self)[:16], 16)",
        "return self.seed",
        "test_estimation_observation.py::"
        "test_a_film_in_two_fields_has_the_same_parameters_and_other_spins",
    ),
    Fault(
        "estimates: the second picture of a film ignored",
        "estimation/one_picture.py",
        "found = quantities(_together(works, own))",
        "found = quantities(_together(works, [own[0] for each in own]))",
        "test_estimation_one_picture.py::test_pictures_of_one_film_are_answered_together",
    ),
    Fault(
        "estimates: weights of their own for pictures under the same conditions",
        "estimation/one_picture.py",
        "np.hstack([np.mean(same, 0) for same in kinds.values()])",
        "np.hstack(list(answers))",
        "test_estimation_one_picture.py::"
        "test_a_second_picture_under_the_same_conditions_does_not_make_the_answer_worse",
    ),
    Fault(
        "skyrmions cut by an edge have to be round",
        "similarity.py",
        "(cut == 1 or (cut == 0 and elongation(y, x) < 2))",
        "(cut == 0 and elongation(y, x) < 2)",
        "test_similarity.py::test_density_of_skyrmions_does_not_depend_on_the_edges",
    ),
    Fault(
        "skyrmions: stripes cut by a corner",
        "similarity.py",
        "(cut == 1 or",
        "(cut or",
        "test_similarity.py::test_stripes_across_a_corner_are_no_skyrmions",
    ),
    Fault(
        "hysteresis: what heat has turned over is taken back",
        "hysteresis.py",
        " | fine | (kelvin > 0))",
        " | fine)",
        "test_hysteresis.py::test_what_temperature_has_turned_over_stays_turned_over",
    ),
    Fault(
        "hysteresis: the same random numbers at each field",
        "hysteresis.py",
        "moments, first = [], number * sweeps",
        "moments, first = [], 0",
        "test_hysteresis.py::test_each_field_has_sweeps_and_random_numbers_of_its_own",
    ),
    Fault(
        "bars: what domains add is left on",
        "pictures.py",
        "solid = _boxes_within(pure, (THINNEST, max(10, math.ceil(width / 10))))",
        "solid = pure",
        "test_pictures.py::test_a_bar_is_found_though_domains_of_its_shade_touch_it",
    ),
    Fault(
        "estimates: grey levels cut off for the observed picture alone",
        "estimation/observation.py",
        "    return even(pictures + levels[:, :, None, None].to(white) * white, conditions)",
        "    pictures = pictures + levels[:, :, None, None].to(white) * white\n"
        "    return _with_one_contrast(pictures) if conditions.grey else pictures.clamp(0, 1)",
        "test_estimation_observation.py::test_what_a_camera_cuts_off_is_not_seen",
    ),
    Fault(
        "uneven light: what it multiplies stays",
        "levels.py",
        "return (levels / contrast).reshape",
        "return (levels / contrast.mean(-1, keepdim=True)).reshape",
        "test_levels.py::test_a_contrast_that_fades_is_restored",
    ),
    Fault(
        "levels of unknown sign: all one way",
        "estimation/observation.py",
        "torch.where(sign < 0.5,",
        "torch.where(sign < 0.0,",
        "test_estimation_observation.py::test_which_way_is_up_is_drawn_for_each_picture",
    ),
    Fault(
        "slopes: of all pixels, domains included",
        "similarity.py",
        "for half in (bright, ~bright)]",
        "for half in (bright | ~bright, ~bright)]",
        "test_similarity.py::test_slopes_are_rises_from_edge_to_edge",
    ),
    Fault(
        "averages: the mean of what noise leaves is that of the values",
        "estimation/observation.py",
        "if conditions.grey else clipped_mean(seen, plan.clipped)",
        "if conditions.grey else clipped_mean(seen, 0.0)",
        "test_estimation_one_picture.py::test_simulations_lose_what_the_averaged_picture_lost",
    ),
    Fault(
        "unknown blur: two pixels, however fine they are",
        "estimation/observation.py",
        "return max(UNKNOWN_BLUR * conditions.pixel_size_nm, OF_SEEN * plan.box / plan.seen)",
        "return UNKNOWN_BLUR * conditions.pixel_size_nm",
        "test_estimation_observation.py::"
        "test_a_blur_that_nobody_knows_may_be_as_large_as_what_the_network_sees",
    ),
    Fault(
        "in-plane pictures: curl and divergence exchanged",
        "similarity.py",
        'turns["divergence share"] = parts[1] /',
        'turns["divergence share"] = parts[0] /',
        "test_similarity.py::test_in_plane_pictures_show_the_kind_of_their_walls",
    ),
    Fault(
        "blank areas: clipped domains of grey pictures count",
        "pictures.py",
        "    if len(pixels) == 1:\n        ends",
        "    if len(pixels) == 0:\n        ends",
        "test_pictures.py::test_domains_of_one_value_are_no_blank_areas",
    ),
    Fault(
        "estimates: parts of a picture that end at its edge",
        "estimation/learning.py",
        "columns = (pixels + (random[:, 1:] * width).long()) % width",
        "columns = (pixels + (random[:, 1:] * width).long()).clamp(max=width - 1)",
        "test_texture_cnn.py::test_parts_of_pictures_go_on_around_their_box",
    ),
    Fault(
        "estimates: the picture's windows told apart by their mean alone",
        "networks/texture_cnn.py",
        "(variance + _LEAST_VARIANCE).sqrt()",
        "0 * variance",
        "test_texture_cnn.py::test_windows_in_one_pass_are_windows_one_by_one",
    ),
    Fault(
        "estimates: nothing simulated beyond the ranges",
        "estimation/learning.py",
        "return planning.with_margin(self.ranges)",
        "return self.ranges",
        "test_estimation_one_picture.py::test_training_goes_beyond_the_ranges_and_calibration_does_not",
    ),
    Fault(
        "estimates: calibrated beyond the ranges",
        "estimation/learning.py",
        'ranges = work.ranges if part in ("held_out", "tested") else work.simulated',
        "ranges = work.simulated",
        "test_estimation_one_picture.py::test_training_goes_beyond_the_ranges_and_calibration_does_not",
    ),
    Fault(
        "estimates: tested by states that calibrate",
        "estimation/quantities.py",
        "verified = calibrated_by(held_out, tested.found)",
        "verified = calibrated_by(held_out.with_(tested), tested.found)",
        "test_estimation_quantities.py::test_tested_states_verify_first_and_then_calibrate_as_well",
    ),
    Fault(
        "estimates: an anisotropy that is not known the same in all films",
        "estimation/films.py",
        "low + (high - low) * unit})",
        "low + (high - low) * 0.5 + 0 * unit})",
        "test_estimation_observation.py::test_an_anisotropy_that_is_not_known_differs_from_film_to_film",
    ),
    # --- data and training
    Fault(
        "cuts: all from the diagonal",
        "cutting.py",
        "(row * side, column * side)",
        "(row * side, row * side)",
        "test_cutting.py::test_cuts_tile_the_film_without_overlap_and_keep_its_mean",
    ),
    Fault(
        "data: targets exchanged",
        "recipes.py",
        "anisotropy_N=anisotropy,",
        "anisotropy_N=dipolar,",
        "test_resnet.py::test_normalised_parameters_are_the_recipes",
    ),
    Fault(
        "data: films of the training set in the test set",
        "dataset.py",
        "group = parameters.groupby(columns, dropna=False).ngroup().to_numpy()",
        "group = np.arange(len(parameters))",
        "test_dataset.py::test_no_group_straddles_two_parts",
    ),
    Fault(
        "data: checksums not compared",
        "store.py",
        'if google_crc32c.value(numbers) != int.from_bytes(content[-4:], "little"):',
        "if False:",
        "test_dataset.py::test_a_flipped_bit_is_found_and_mended",
    ),
    Fault(
        "training: the last weights instead of the best",
        "checkpoints.py",
        'if not values or row["validation loss"] <= min(values):',
        "if True:",
        "test_training.py::test_the_weights_that_validate_best_are_kept",
    ),
    Fault(
        "training: weight decay ignored",
        "training.py",
        "weight_decay=decay, fused=True",
        "fused=True",
        "test_training.py::test_weights_decay_as_adamw_has_it",
    ),
    Fault(
        "training: the noise of a look not drawn anew",
        "regression.py",
        "pictures, strength, seed=numbers.seed, states=numbers.samples, draw=numbers.epoch",
        "pictures, strength, seed=numbers.seed, states=numbers.samples",
        "test_resnet.py::test_every_look_is_at_another_copy_under_another_noise",
    ),
    Fault(
        "training: latents drawn with the variance as their spread",
        "networks/evae.py",
        "torch.exp(0.5 * log_variance)",
        "torch.exp(log_variance)",
        "test_evae.py::test_latents_are_drawn_with_the_spread_that_the_encoder_says",
    ),
    Fault(
        "training: the energy counts every bond twice",
        "networks/evae.py",
        "density = maps * (0.5 * felt + zeeman)",
        "density = maps * (felt + zeeman)",
        "test_evae.py::test_the_energy_in_the_loss_is_the_hamiltonians",
    ),
    Fault(
        "training: the kernel's energy counts every bond twice",
        "kernels/layers.cpp",
        "dot(spin, fma_(0.5f, felt, h.field))",
        "dot(spin, fma_(1.0f, felt, h.field))",
        "test_evae.py::test_the_energy_in_the_loss_is_the_hamiltonians",
    ),
    Fault(
        "layers: the margin on one side keeps its gradient",
        "kernels/layers.cpp",
        "row[inner - depth + k] += from[k];",
        "",
        "test_layers.py::test_a_fused_layer_is_norm_activation_and_change_of_resolution",
    ),
    Fault(
        "layers: nothing flows back through the variance",
        "kernels/layers.py",
        "root.double() ** 2 * of_product",
        "0 * of_product",
        "test_layers.py::test_a_fused_layer_is_norm_activation_and_change_of_resolution",
    ),
    Fault(
        "layers: the running variance is the batch's own",
        "kernels/layers.py",
        "(variance * (count / (count - 1))).float()",
        "variance.float()",
        "test_layers.py::test_a_fused_layer_is_norm_activation_and_change_of_resolution",
    ),
    Fault(
        "training: the divergence counted twice",
        "networks/evae.py",
        "divergence = -0.5 * (1 + log_variance",
        "divergence = -1.0 * (1 + log_variance",
        "test_evae.py::test_losses_are_normalised_as_the_study_defines_them",
    ),
]


def main() -> int:
    """Plant what was asked for; print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="*", help="only faults with one of these in their name")
    words = parser.parse_args().words
    chosen = [f for f in FAULTS if not words or any(word in f.name for word in words)]
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        copy = Path(folder, "tree")
        ignored = shutil.ignore_patterns("__pycache__", ".hypothesis")
        for name in ("spinlib", "tests", "notebooks"):
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", copy)
        if unfit := [f for f in chosen if _source(copy, f).read_text().count(f.old) != 1]:
            for fault in unfit:
                print(f"{fault.name}: {fault.old!r} is not once in spinlib/{fault.file}.")
            return 2
        tests = sorted({fault.test for fault in chosen})
        code, said = _test(copy, *tests)
        if code != 0:
            print(f"The tests do not even pass without a fault:\n{said}")
            return 2
        survivors = sum([_plant(copy, fault) for fault in chosen])
    print(f"{len(chosen) - survivors} of {len(chosen)} faults were caught.")
    return 1 if survivors else 0


def _plant(copy: Path, fault: Fault) -> bool:
    """Run the test on the faulty copy, mend it, and tell; true if the fault survived."""
    path, start = _source(copy, fault), time.perf_counter()
    whole = path.read_text()
    try:
        path.write_text(whole.replace(fault.old, fault.new))
        # 1: tests ran and failed. Anything else, such as broken Python, catches nothing.
        code, said = _test(copy, fault.test)
    finally:
        path.write_text(whole)
    broken = re.search(r"(?m)^\S+\.py:\d+: (KernelError|NameError|AttributeError)$", said)
    code = broken[1] if broken else code
    verdict = {0: "SURVIVED", 1: "caught"}.get(code, f"pytest ended with {code}")
    seconds = time.perf_counter() - start
    print(f"{verdict:<9} {seconds:4.0f} s  {fault.name:<52} {fault.test}", flush=True)
    if code not in (0, 1):
        print(said)
    return code != 1


def _source(copy: Path, fault: Fault) -> Path:
    return copy / "spinlib" / fault.file


def _test(copy: Path, *tests: str) -> tuple[int, str]:
    arguments = ["-x", "-q", "-p", "no:cacheprovider", *(f"tests/{test}" for test in tests)]
    environment = os.environ | {
        "PYTHONPATH": str(copy),  # before an installed spinlib
        "PYTHONDONTWRITEBYTECODE": "1",  # a fault may be as long as what it replaces
        "SPINLIB_CACHE": str(copy / "cache"),
    }
    command = [sys.executable, "-m", "pytest", *arguments]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout[-2000:] + done.stderr[-2000:]


if __name__ == "__main__":
    sys.exit(main())
