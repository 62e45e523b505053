"""Every warning is given in a case made for it, and not given when all is well."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import blur

from spinlib import pictures
from spinlib.estimation import doubts
from spinlib.thermal_recipes import NAMES

ENDS = (np.array([5.0, 1.0, 200.0]), np.array([12.0, 2.2, 600.0]))
GOOD = np.array([8.8, 1.6, 390.0])
LOW, HIGH = 0.9 * GOOD, 1.1 * GOOD


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def test_edges():
    assert doubts.at_edges(NAMES, GOOD, LOW, HIGH, ENDS) == []
    low, high = LOW.copy(), HIGH.copy()
    low[0], high[1] = 0.0, math.inf
    low[2], high[2] = 0.0, math.inf
    below, above, wide = doubts.at_edges(NAMES, GOOD, low, high, ENDS)
    # In the middle of its range, moving that would not help.
    assert "A = 8.8 pJ/m: its interval reaches the lower end" in below
    assert "A < 9.68: the picture tells little of it." in below
    assert "D = 1.6 mJ/m²: its interval reaches the upper end" in above and "D > 1.44" in above
    near = GOOD - 0.9 * (GOOD - ENDS[0])
    below, *_ = doubts.at_edges(NAMES, near, low, high, ENDS)
    _, above, _ = doubts.at_edges(NAMES, GOOD + 0.9 * (ENDS[1] - GOOD), low, high, ENDS)
    assert above.endswith("raise the range, or the picture is not what was said.")
    assert below.endswith("lower the range, or the picture is not what was said.")
    assert "M_s = 390 kA/m" in wide and "from 200 to 600 kA/m" in wide and "nothing" in wide


def test_beyond_the_ranges():
    assert doubts.beyond(NAMES, GOOD, ENDS) == []
    (sentence,) = doubts.beyond(NAMES, np.array([8.8, 2.3, 390.0]), ENDS)
    assert sentence.startswith("D = 2.3 mJ/m² lies outside the range from 1 to 2.2 mJ/m²")


def states(error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and truths of 30 states with these relative errors (30, 3)."""
    truth = GOOD * (1 + 0.05 * generator(9).uniform(-1, 1, (30, 3)))
    return truth * np.exp(error), truth


def guess() -> np.ndarray:
    return (ENDS[1] - ENDS[0]) / math.sqrt(12)


def test_parameters_that_are_told_apart():
    error = 0.06 * generator().standard_normal((30, 3))
    assert doubts.not_apart(NAMES, *states(error), guess()) == []


@pytest.mark.parametrize(("sign", "known"), [(1, "A/D"), (-1, "A·D")])
def test_only_a_ratio_or_a_product_is_known(sign, known):
    error = 0.01 * generator().standard_normal((30, 3))
    common = 0.1 * generator(1).standard_normal(30)
    error[:, 0] += common
    error[:, 1] += sign * common
    (sentence,) = doubts.not_apart(NAMES, *states(error), guess())
    assert sentence.startswith("A and D cannot be told apart") and f"only {known} " in sentence
    left = 100 * np.std(error[:, 0] - sign * error[:, 1])  # of the logarithm of what is known
    assert sentence.split(" is known, to ")[1].startswith(f"{left:.1f} %;")
    parts = [f"{100 * np.std(error[:, n]):.0f}" for n in (0, 1)]
    assert f"errors of {parts[0]} and {parts[1]} %" in sentence


def test_errors_that_go_together_but_are_small_are_no_matter():
    error = np.outer(0.02 * generator(1).standard_normal(30), [1.0, 1.0, 0.0])
    error[:, 2] = 0.06 * generator(2).standard_normal(30)
    assert doubts.not_apart(NAMES, *states(error), guess()) == []


def test_a_parameter_of_which_nothing_is_known():
    truth = ENDS[0] + (ENDS[1] - ENDS[0]) * generator(2).uniform(size=(30, 3))
    found = truth * np.exp(0.03 * generator(3).standard_normal((30, 3)))
    found[:, 2] = 400.0  # whatever the picture, the middle of the range
    (sentence,) = doubts.not_apart(NAMES, found, truth, guess())
    assert "next to nothing about M_s" in sentence


def looks(middle: float) -> pd.DataFrame:
    return pd.DataFrame({"contrast": middle + np.linspace(-0.1, 0.1, 11)})


def test_pictures_unlike_all_simulations():
    known = looks(0.4)
    assert doubts.unlike(looks(0.45), known) == []
    assert doubts.unlike(pd.DataFrame({"contrast": [0.51]}), known) == []  # a tenth of the span
    hands = pd.DataFrame({"handedness": np.linspace(-0.98, -0.92, 11)})
    assert doubts.unlike(hands + 0.15, hands) == []  # of a correlation's span from -1 to 1
    assert len(doubts.unlike(hands + 0.95, hands)) == 1  # a mirror
    (sentence,) = doubts.unlike(looks(0.9), known)
    assert "contrast is 0.9" in sentence and "from 0.3 to 0.5" in sentence


def test_pictures_that_are_lit_as_few_simulations_are():
    known = pd.DataFrame({"slope": [0.0, 0.1, 0.3], "slope of contrast": [0.0, 0.2, 0.4]})
    known.index = [0.0, doubts.USUAL, 1.0]
    parts = pd.DataFrame({"slope": [0.02, 0.09, 0.8], "slope of contrast": [0.1, 0.1, 0.1]})
    assert doubts.unevenly_lit(parts, known) == []  # of parts, the one in the middle counts
    (brightness,) = doubts.unevenly_lit(parts.add([0.02, 0.0]), known)
    assert "brightness changes by 0.11, in 97 of 100 simulations by less than 0.1" in brightness
    (contrast,) = doubts.unevenly_lit(parts.add([0.0, 0.2]), known)
    assert "contrast changes by 0.3" in contrast


def test_waves_of_a_component_that_run_as_few_simulations_have_them():
    known = pd.DataFrame({"waves along azimuth": [-0.7, -0.6, -0.2, 0.3]})
    known.index = [0.0, doubts.SELDOM, doubts.USUAL, 1.0]
    parts = pd.DataFrame({"waves along azimuth": [-0.9, -0.21, 0.9]})
    bulk, told = (known, (20, 40), "bulk"), "in 97 of 100 simulations it is"
    assert doubts.misdirected(parts, *bulk) == []  # of parts, the one in the middle counts
    assert doubts.misdirected(parts - 0.6, *bulk) == []  # more so than the simulations
    (sentence,) = doubts.misdirected(parts + 0.1, *bulk)
    assert f"cos 2φ of -0.11; {told} below -0.20" in sentence
    assert doubts.misdirected(parts + 0.1, known, (-90, 90), "bulk") == []
    other = -known[::-1].set_index(known.index), (20, 40), "interfacial"
    assert doubts.misdirected(-parts, *other) == []
    (sentence,) = doubts.misdirected(-parts - 0.1, *other)
    assert f"cos 2φ of +0.11; {told} above +0.20" in sentence


def test_resolution():
    assert doubts.unresolved(70.0, 2.3, 4.0, 450.0) == []
    (pixels,) = doubts.unresolved(70.0, 20.0, 4.0, 450.0)
    assert "3.5 pixels of 20 nm" in pixels
    (cells,) = doubts.unresolved(12.0, 2.3, 4.0, 450.0)
    assert "3 cells of 4 nm" in cells
    (small,) = doubts.unresolved(70.0, 2.3, 4.0, 130.0)
    assert "shows 1.9 helix periods" in small


def test_what_the_file_says():
    assert pictures.other_file(None, 2.34, "") == []
    assert pictures.other_file(2.36e-9, 2.34, "") == []  # 0.9 %
    assert len(pictures.other_file(2.28e-9, 2.34, "")) == 1  # 2.6 % less
    (pixels,) = pictures.other_file(2.4e-9, 2.34, "")
    assert "pixel is 2.4 nm" in pixels and "2.34 nm; the request was believed" in pixels
    (colours,) = pictures.other_file(None, 2.34, "of 256 colours at most")
    assert colours.startswith("The file is of 256 colours") and "PNG or TIFF" in colours


def test_texture_that_is_not_the_pictures():
    assert doubts.other_texture(0.159, 0.08) == []
    assert len(doubts.other_texture(0.161, 0.08)) == 1  # twice as far as films among each other
    (sentence,) = doubts.other_texture(0.4, 0.08)
    assert "0.40 apart" in sentence and "0.08" in sentence


def blobs(seed: int, side: int = 60) -> torch.Tensor:
    """Smooth noise (1, side, side)."""
    white = torch.randn(1, side, side, generator=torch.Generator().manual_seed(seed))
    return blur(white, 1.5)


def test_pictures_that_show_the_same_place():
    film, other = blobs(1), blobs(2)
    shifted = film[:, 3:53, 2:52] + 0.3 * blobs(3)[:, :50, :50]  # and a little changed
    pictures_ = [film[:, :50, :50], other[:, :50, :50], shifted]
    (sentence,) = doubts.same_place(pictures_, [2.0] * 3)
    assert sentence.startswith("Pictures 1 and 3 seem to show the same place (correlation 0.")
    assert doubts.same_place(pictures_, [2.0, 2.0, 3.0]) == []  # not on the same scale
    assert doubts.same_place([film, shifted], [2.0, 2.0]) == []  # nor of the same size


def test_more_answers_than_the_validation_states_can_weigh_well():
    assert doubts.many_kinds(45, 96) == []  # 15 pictures: two states and more for each number
    (sentence,) = doubts.many_kinds(48, 96)
    assert "48 answers" in sentence and "96 validation states" in sentence and "fewer" in sentence


def test_grey_levels_that_are_cut_off():
    assert doubts.cut_off(0.0999, 0.0999, 0.1) == []
    (sentence,) = doubts.cut_off(0.0, 0.234, 0.1)
    assert sentence.startswith("23 % of the pixels have the brightest grey")
    assert "what was brighter" in sentence
    assert len(doubts.cut_off(0.2, 0.2, 0.1)) == 2


def test_what_was_left_blank_or_filled_in():
    assert pictures.left_blank(0.009, (0, 0, 5, 5)) == []
    (words,) = pictures.left_blank(0.11, (0, 160, 192, 192))
    assert words.startswith("11 % of the pixels") and "rows 160 to 192" in words
    # A bar, though thick, is small; a hole of two thirds of a period is not.
    assert pictures.filled_in(0.02, 20.0, 30.0) == pictures.filled_in(0.1, 3.0, 30.0) == []
    (words,) = pictures.filled_in(0.1, 10.0, 30.0)
    assert words.startswith("10 % of the pixels are masked, in places 0.7 helix periods across")


def test_a_bar_drawn_into_the_picture():
    assert pictures.drawn_over([]) == []
    (words,) = pictures.drawn_over([(20, 170, 80, 176)])
    assert "column 20 to 80 and row 170 to 176" in words
    assert "of what was read" in words and "mask it" in words
