"""What the figures show is read back from them: pixels, lengths of bars, directions of colours."""

import io
import math
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.image import imread
from matplotlib.offsetbox import AnchoredOffsetbox

from spinlib.contrast import colour, vectors_from_colour
from spinlib.figures import (
    CURVES,
    bar_length,
    before_after,
    colour_wheel,
    contact_sheet,
    draw_picture,
    draw_spins,
    panels,
    scale_bar,
    true_minus,
)
from spinlib.textures import vortex

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "appendix_microscope.py"


def rendered(figure):
    """RGB of the figure as it is drawn, the top row first."""
    content = io.BytesIO()
    figure.savefig(content, dpi=100)
    content.seek(0)
    return imread(content)[..., :3]


def bar_of(ax):
    """The words of a scale bar and its length in columns of the picture, as drawn."""
    ax.figure.canvas.draw()
    box = next(artist for artist in ax.artists if isinstance(artist, AnchoredOffsetbox))
    text, stroke = box.get_child().get_children()
    ends = ax.transData.transform([[0, 0], [1, 0]])
    column = ends[1, 0] - ends[0, 0]
    drawn = stroke.get_children()[0].get_window_extent().width
    return text.get_text(), drawn / column


def test_spins_are_drawn_upright_in_their_colours():
    spins = torch.zeros(3, 2, 4)
    spins[0, 0] = 1  # the lower row along +x: red
    spins[2, 1] = 1  # the upper row along +z: white
    ax = draw_spins(spins, bar=False)
    ax.set_position((0, 0, 1, 1))
    ax.figure.set_layout_engine("none")
    picture = rendered(ax.figure)
    height, width, _ = picture.shape
    assert picture[height // 3, width // 2].tolist() == [1, 1, 1]
    assert picture[2 * height // 3, width // 2].tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("extent", "length"),
    [(128, 20), (512e-9, 100e-9), (3, 1), (6.1, 2), (15.1, 5), (1e-6, 2e-7), (100 * 0.3e-9, 1e-8)],
)
def test_bars_have_round_lengths(extent, length):
    assert bar_length(extent) == pytest.approx(length)


@pytest.mark.parametrize(
    ("pixel", "words", "columns"),
    [
        (None, "20 sites", 20),
        (4e-9, "100 nm", 25),
        (2.34e-9, "50 nm", 50 / 2.34),
        (100e-9, "2 µm", 20),
        (5e-11, "1 nm", 20),
        (2e-10, "5 nm", 25),
    ],
)
def test_scale_bar_is_as_long_as_it_says(pixel, words, columns):
    ax = draw_picture(torch.rand(1, 64, 100), pixel=pixel)
    text, length = bar_of(ax)
    assert text == words
    # Its caps and the line's width are drawn around it: up to 3 points, one column here.
    assert length == pytest.approx(columns, abs=1.0)


def test_scale_bar_of_a_tiny_lattice():
    _, axes = panels(1, 1)
    axes[0, 0].imshow(np.zeros((2, 2)))
    scale_bar(axes[0, 0], 2)
    assert bar_of(axes[0, 0])[0] == "1 site"


def test_colour_wheel_is_the_key_to_the_colours():
    image = colour_wheel().images[0].get_array()
    assert image.shape == (401, 401, 4)

    def at(polar, azimuth):
        """The spin that the wheel shows at this distance from the centre and direction."""
        radius = 200 * polar / math.pi
        row, column = 200 + radius * math.sin(azimuth), 200 + radius * math.cos(azimuth)
        rgb = torch.as_tensor(image[round(row), round(column), :3]).reshape(1, 3, 1, 1)
        return vectors_from_colour(rgb)[0].flatten()

    for polar in (0.5, math.pi / 2, 2.5):
        for azimuth in (0.0, 1.0, 2.5, -2.0):
            spin = torch.tensor(
                [
                    math.sin(polar) * math.cos(azimuth),
                    math.sin(polar) * math.sin(azimuth),
                    math.cos(polar),
                ]
            )
            # A pixel of the wheel is pi/200 in the polar angle, more in azimuth near the centre.
            assert float((at(polar, azimuth) * spin).sum()) > math.cos(0.03)
    assert (image[0, 0, 3], image[200, 200, 3]) == (0, 1)


def test_contact_sheet_shows_every_picture_once():
    pictures = torch.rand(5, 3, 8, 8)
    figure = contact_sheet(pictures, [f"state {i}" for i in range(5)], columns=3)
    assert len(figure.axes) == 6
    for picture, ax in zip(pictures, figure.axes, strict=False):
        np.testing.assert_array_equal(ax.images[0].get_array(), picture.permute(1, 2, 0).numpy())
    assert [ax.get_title() for ax in figure.axes] == [*(f"state {i}" for i in range(5)), ""]
    bars = [sum(isinstance(a, AnchoredOffsetbox) for a in ax.artists) for ax in figure.axes]
    assert bars == [1, 0, 0, 0, 0, 0]
    # Pictures of different scale each say theirs.
    figure = contact_sheet([torch.rand(1, 8, 8), torch.rand(1, 20, 20)], pixel=[1e-9, 4e-9])
    assert [bar_of(ax)[0] for ax in figure.axes] == ["2 nm", "20 nm"]


def test_pairs_stand_below_each_other():
    before, after = torch.rand(2, 3, 3, 8, 8)
    figure = before_after(before, after, ["a", "b", "c"], labels=("spins", "seen"))
    shown = [torch.as_tensor(ax.images[0].get_array()).permute(2, 0, 1) for ax in figure.axes]
    assert torch.equal(torch.stack(shown), torch.cat([before, after]))
    assert [ax.get_ylabel() for ax in figure.axes] == ["spins", "", "", "seen", "", ""]
    top, bottom = figure.axes[0].get_position(), figure.axes[3].get_position()
    assert top.y0 > bottom.y1 and top.x0 == pytest.approx(bottom.x0, abs=0.01)


def test_a_batch_is_not_drawn_as_one_state():
    with pytest.raises(ValueError, match=r"choose a state of a batch, spins\[0\]"):
        draw_spins(vortex((16, 16)))


def test_drawing_leaves_matplotlib_as_it_was():
    before = dict(matplotlib.rcParams)
    figure = draw_spins(vortex((16, 16))[0], wheel=True).figure
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert dict(matplotlib.rcParams) == before
    assert matplotlib._pylab_helpers.Gcf.get_all_fig_managers() == []


def test_curves_differ_in_grey_print_too():
    # Luminance of the neighbours in the list, which are the curves most often drawn together.
    rgb = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in CURVES]) / 255
    luminance = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ (
        0.2126,
        0.7152,
        0.0722,
    )
    assert len(set(CURVES)) == len(CURVES)
    assert (np.diff(luminance[:3]) > 0.05).all() and (np.diff(luminance) > 0.01).all()


@pytest.mark.parametrize("shape", [(8, 8), (2, 8, 8), (1, 3, 8, 8)])
def test_what_is_no_picture_is_refused(shape):
    with pytest.raises(ValueError, match="A picture to draw"):
        draw_picture(torch.zeros(shape))


def test_mismatched_sheets_are_refused():
    pictures = torch.rand(2, 1, 4, 4)
    with pytest.raises(ValueError, match="1 titles for 2 pictures"):
        contact_sheet(pictures, ["one"])
    with pytest.raises(ValueError, match="0 pictures"):
        contact_sheet(pictures[:0])
    with pytest.raises(ValueError, match="Pairs need"):
        before_after(pictures, pictures[:1])


def test_appendix_runs_at_a_small_size(capsys, tmp_path):
    source = NOTEBOOK.read_text(encoding="utf-8")
    for old, new in (
        ("size: int = 128", "size: int = 32"),
        ("sweeps: int = 800", "sweeps: int = 40"),
        ('output: str = ""', f"output: str = {str(tmp_path)!r}"),
    ):
        assert old in source
        source = source.replace(old, new)
    shown = {}
    exec(compile(source, str(NOTEBOOK), "exec"), shown)  # its closing assertion runs with it
    assert "lost at most" in capsys.readouterr().out
    # The pictures it drew last are those of the state it made.
    assert torch.equal(shown["colours"], colour(shown["spins"]))


def test_a_hyphen_before_a_number_becomes_a_minus_sign():
    text = "E/N = -2.0573, Q = -30, re-simulated film-2, 10-12, from -.5 to (-1), 3.1e-04"
    expected = "E/N = −2.0573, Q = −30, re-simulated film-2, 10-12, from −.5 to (−1), 3.1e−04"
    assert true_minus(text) == expected
