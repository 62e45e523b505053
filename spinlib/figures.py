"""Drawing spins and pictures for people: maps with a scale bar, the colour wheel, sheets, pairs.

Pictures are (channels, height, width) from 0 to 1 with row 0 at the bottom, one grey channel or
RGB; draw spins as `colour(spins)` or through a `Microscope`. Functions draw into the axes they are
given, or into a figure of their own, and change no global state of matplotlib: in a notebook
`Study.show` shows the figure with its caption and writes it with its provenance.
"""

import io
import math
from collections.abc import Sequence

import matplotlib.patheffects as effects
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnchoredOffsetbox, AuxTransformBox, TextArea, VPacker
from matplotlib.patches import Rectangle
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from spinlib.claims import true_minus
from spinlib.contrast import colour

# Okabe and Ito's colours for curves, which all kinds of colour vision tell apart, darkest first so
# that they also differ in grey print.
CURVES = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")

# One thing has one colour in all studies: what was observed or is true, what was made of it, and
# each parameter.
OBSERVED, ESTIMATED = CURVES[:2]
PARAMETERS = dict(zip(("D", "M_s", "λ", "A", "K"), CURVES[2:], strict=True))

TITLE = 11  # points: legible still when the page halves the figure
LABEL = 9


class NotebookFigure(Figure):
    """A figure that a notebook shows as a cell's last value, without pyplot's global state."""

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, dpi=110, bbox_inches="tight")
        return content.getvalue()


def panels(
    rows: int, columns: int, width: float = 2.2, height: float | None = None
) -> tuple[Figure, np.ndarray]:
    """A figure and its (rows, columns) array of axes, each of about `width` x `height` inches."""
    height = width if height is None else height
    figure = NotebookFigure(figsize=(columns * width, rows * (height + 0.25)), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def draw_picture(
    picture: torch.Tensor | np.ndarray,
    ax: Axes | None = None,
    *,
    pixel: float | None = None,
    title: str = "",
    bar: bool = True,
    wheel: bool = False,
) -> Axes:
    """Draw one picture with a scale bar, and with `wheel` the key to its colours.

    `pixel` is the side of a pixel in metres; without it the bar counts sites.
    """
    picture = picture.detach().cpu().numpy() if isinstance(picture, torch.Tensor) else picture
    if picture.ndim != 3 or picture.shape[0] not in (1, 3):
        raise ValueError(
            f"A picture to draw is (1 or 3, height, width); this one is {tuple(picture.shape)}."
        )
    if ax is None:
        _, axes = panels(1, 1, width=4.0, height=4.0 * picture.shape[1] / picture.shape[2])
        ax = axes[0, 0]
    shown = np.clip(picture, 0, 1).transpose(1, 2, 0)
    ax.imshow(
        shown[..., 0] if shown.shape[2] == 1 else shown,
        **{"origin": "lower", "interpolation": "nearest", "cmap": "gray", "vmin": 0, "vmax": 1},
    )
    ax.set(xticks=[], yticks=[])
    ax.set_title(true_minus(title), fontsize=TITLE)
    if bar:
        scale_bar(ax, picture.shape[2], pixel)
    if wheel:
        colour_wheel(ax.inset_axes((0.74, 0.74, 0.25, 0.25)), labels=False)
    return ax


def draw_spins(spins: torch.Tensor, ax: Axes | None = None, **settings) -> Axes:
    """Draw one state (3, height, width): hue is the in-plane angle, lightness m_z.

    The settings are those of `draw_picture`.
    """
    if spins.ndim != 3 or len(spins) != 3:
        raise ValueError(
            f"One state to draw is (3, height, width), this one is {tuple(spins.shape)}: choose a "
            "state of a batch, spins[0], or draw all with contact_sheet."
        )
    return draw_picture(colour(spins[None])[0], ax, **settings)


def bar_length(extent: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that is at most a third of `extent`."""
    third = extent / 3 * (1 + 1e-9)  # a bar that fits exactly must not be lost to rounding
    power = 10.0 ** math.floor(math.log10(third))
    return max(step * power for step in (0.5, 1, 2, 5) if step * power <= third)


def scale_bar(ax: Axes, pixels: int, pixel: float | None = None) -> None:
    """Put a scale bar into the lower left corner of a picture of `pixels` columns.

    Its length is in nm or µm for a `pixel` in metres, in sites without one.
    """
    if pixel is None:
        length = max(bar_length(pixels), 1)
        columns, words = length, "1 site" if length == 1 else f"{length:g} sites"
    else:
        length = bar_length(pixels * pixel)
        columns = length / pixel
        # Rounding takes the tail of 2e-07 * 1e9 = 199.99999999999997 off.
        nanometres = float(f"{length * 1e9:.6g}")
        words = f"{nanometres / 1000:g} µm" if nanometres >= 1000 else f"{nanometres:g} nm"
    stroke = AuxTransformBox(ax.transData)
    stroke.add_artist(Rectangle((0, 0), columns, 0, edgecolor="white", linewidth=3))
    text = TextArea(words, textprops={"color": "white", "size": LABEL})
    box = AnchoredOffsetbox(
        loc="lower left",
        child=VPacker(children=[text, stroke], align="center", pad=0, sep=3),
        pad=0.4,
        borderpad=0.3,
    )
    # White on a dark veil reads on any texture.
    box.patch.set(facecolor="black", alpha=0.6, edgecolor="none")
    ax.add_artist(box)


def colour_wheel(ax: Axes | None = None, *, labels: bool = True) -> Axes:
    """Draw the key to the colours: all directions of the sphere, flattened onto a disc.

    The centre is +z (white), the ring half way out is the plane in full colours with +x to the
    right and +y up, the rim is -z (black); the distance from the centre is the polar angle.
    """
    if ax is None:
        _, axes = panels(1, 1, width=3.0)
        ax = axes[0, 0]
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, 401)] * 2, indexing="ij")
    radius = torch.hypot(x, y)
    polar = math.pi * radius.clamp(max=1)
    angle = torch.atan2(y, x)
    spins = torch.stack([polar.sin() * angle.cos(), polar.sin() * angle.sin(), polar.cos()])
    opacity = ((1 - radius) * 100).clamp(0, 1)  # the rim fades within two pixels: no stair steps
    rgba = torch.cat([colour(spins[None])[0], opacity[None]]).permute(1, 2, 0).numpy()
    ax.imshow(rgba, origin="lower", extent=(-1, 1, -1, 1), interpolation="bilinear")
    ax.set_axis_off()
    if labels:
        halo = [effects.withStroke(linewidth=2.5, foreground="white")]
        for (u, v), word in {
            (0.5, 0): "+x",
            (-0.5, 0): "−x",
            (0, 0.5): "+y",
            (0, -0.5): "−y",
            (0, 0): "+z",
        }.items():
            ax.text(u, v, word, ha="center", va="center", fontsize=LABEL, path_effects=halo)
        ax.text(0, -0.9, "−z", ha="center", va="center", fontsize=LABEL, color="white")
    return ax


def with_palette(png: bytes, most: int = 0) -> bytes:
    """A PNG with 256 colours of its own, which takes a third of the space, and its words.

    It loses pixels until it is no larger than so many bytes, if there is such a limit.
    """
    with Image.open(io.BytesIO(png)) as file:
        words = PngInfo()
        for name, text in file.text.items():
            words.add_itxt(name, text)
        image = file.convert("RGB")
    while True:
        content = io.BytesIO()
        image.quantize(256).save(content, "PNG", pnginfo=words, optimize=True)
        if not most or content.tell() <= most:
            return content.getvalue()
        image = image.resize((image.width * 3 // 4, image.height * 3 // 4))


def contact_sheet(
    pictures: torch.Tensor | Sequence[torch.Tensor],
    titles: Sequence[str] = (),
    *,
    columns: int | None = None,
    pixel: float | Sequence[float] | None = None,
    width: float = 2.2,
) -> Figure:
    """Pictures side by side and below each other, with one scale bar in the first.

    `pictures` are (batch, channels, height, width), or a sequence of (channels, height, width). If
    they differ in shape or in their `pixel`, then a list of sides, each gets its own bar.
    """
    if len(pictures) == 0 or (titles and len(titles) != len(pictures)):
        raise ValueError(
            f"{len(titles)} titles for {len(pictures)} pictures; give at least one picture, and "
            "one title for each or none."
        )
    columns = columns or min(len(pictures), 6)
    tallest = max(picture.shape[1] / picture.shape[2] for picture in pictures)
    rows = math.ceil(len(pictures) / columns)
    figure, axes = panels(rows, columns, width, width * tallest)
    titled = sum(any(titles[row * columns : (row + 1) * columns]) for row in range(rows))
    figure.set_size_inches(columns * width, rows * width * tallest + 0.25 * titled)
    sides = list(pixel) if isinstance(pixel, Sequence) else [pixel] * len(pictures)
    views = zip((tuple(p.shape[1:]) for p in pictures), sides, strict=True)
    alike = len(set(views)) == 1
    for index, ax in enumerate(axes.flat):
        if index >= len(pictures):
            ax.set_axis_off()
            continue
        title = titles[index] if titles else ""
        bar = index == 0 or not alike
        draw_picture(pictures[index], ax, pixel=sides[index], title=title, bar=bar)
    return figure


def before_after(
    before: torch.Tensor,
    after: torch.Tensor,
    titles: Sequence[str] = (),
    *,
    labels: tuple[str, str] = ("before", "after"),
    pixel: float | None = None,
) -> Figure:
    """Pairs of pictures (batch, channels, height, width): `before` above `after`, column by column.

    `labels` name the two rows, `titles` the columns.
    """
    if before.shape[0] != after.shape[0] or before.shape[-2:] != after.shape[-2:]:
        raise ValueError(
            f"Pairs need as many pictures of the same size before as after; these are "
            f"{tuple(before.shape)} and {tuple(after.shape)}."
        )
    count = len(before)
    titles = [*(titles or [""] * count), *[""] * count]
    figure = contact_sheet([*before, *after], titles, columns=count, pixel=pixel)
    for row, label in enumerate(labels):
        figure.axes[row * count].set_ylabel(label, fontsize=TITLE)
    return figure
