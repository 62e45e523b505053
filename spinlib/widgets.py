"""Sliders through the E-VAE's latent space: pure decoding and drawing, and a thin shell of widgets.

walk = load_walk()                       # pretrained weights that come with the package
spins = walk.decode(gamma=100, position=-5)
png = render(spins, walk.hamiltonian)
explorer(walk)                           # in a notebook
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from spinlib import latent, textures
from spinlib.analysis import barrier, local_correlation
from spinlib.contrast import colour
from spinlib.figures import with_palette
from spinlib.hamiltonian import Hamiltonian
from spinlib.networks.evae import EVAE
from spinlib.weights import load_weights, read_about, save_weights

if TYPE_CHECKING:  # slow to import, and only the shell needs it
    import ipywidgets

PRETRAINED = Path(__file__).with_name("pretrained")
STEPS = 201  # steps of a whole walk; the sliders show those within REACH of the barrier
REACH = 30
DARKEST = 0.3  # radians from the field at which the stability map is black
_KEY = f"Right: white where a spin lies along its field, black from {DARKEST} rad away."
_MODELS = "evae_gamma_{}.safetensors"


@dataclass(frozen=True)
class Leg:
    """One model's walk: from the code `ends[0]` to `ends[1]`, over a barrier at step `peak`."""

    network: EVAE
    ends: torch.Tensor  # (2, latent)
    peak: int
    directions: tuple[int, ...]  # the most informative latents, most informative first


@dataclass(frozen=True)
class Walk:
    """The same walk between two states through the latent spaces of several models, by their γ."""

    legs: dict[float, Leg]
    hamiltonian: Hamiltonian

    def _leg(self, gamma: float) -> Leg:
        if gamma not in self.legs:
            known = ", ".join(f"{each:g}" for each in self.legs)
            raise ValueError(f"There is no model for γ = {gamma!r}; there are those of {known}.")
        return self.legs[gamma]

    def code(
        self, gamma: float, position: float = 0.0, offsets: Sequence[float] = ()
    ) -> torch.Tensor:
        """The latents (1, latent) `position` steps past the barrier (negative: before it).

        `offsets` are added along the most informative latents, in their order. Where there is no
        barrier, its place may be an end of the walk: it is moved in, for the sliders to reach both
        sides.
        """
        leg = self._leg(gamma)
        middle = min(max(leg.peak, REACH), STEPS - 1 - REACH)
        share = min(max((middle + position) / (STEPS - 1), 0.0), 1.0)
        code = torch.lerp(leg.ends[:1], leg.ends[1:], share)
        for direction, offset in zip(leg.directions, offsets, strict=False):
            code[0, direction] += offset
        return code

    def decode(
        self, gamma: float, position: float = 0.0, offsets: Sequence[float] = ()
    ) -> torch.Tensor:
        """Spins (1, 3, size, size) at that place, on the CPU."""
        return latent.decode(self._leg(gamma).network, self.code(gamma, position, offsets)).cpu()


def make_walk(
    networks: dict[float, EVAE],
    targets: torch.Tensor,
    material: torch.Tensor,
    hamiltonian: Hamiltonian,
    *,
    steps: int = 400,
    directions: int = 3,
) -> Walk:
    """Find in every model the codes of two `targets`, its barrier and its informative latents.

    `material` are states (count, 3, size, size) to tell by which latents the model distinguishes.
    """
    legs = {}
    for gamma, network in networks.items():
        ends, _ = latent.invert(network, targets, steps=steps)
        walk = latent.decode(network, latent.interpolate(*ends, STEPS))
        peak = barrier(hamiltonian.energy_per_site(walk).cpu().numpy()).peak
        chosen = latent.informative_directions(network, material, directions)
        legs[gamma] = Leg(network, ends.cpu(), peak, tuple(chosen))
    return Walk(legs, hamiltonian)


def save_walk(walk: Walk, folder: str | Path, **about: Any) -> list[Path]:
    """Write one file of half-precision weights per model, with all that its leg needs, and `about`.

    `about` takes plain values: recipe, β, profile, normalisation, … Models of another walk in the
    same folder are removed: a walk has one energy.
    """
    for other in Path(folder).glob(_MODELS.format("*")):
        other.unlink()
    h = walk.hamiltonian
    energy = {
        name: getattr(h, name)
        for name in ("exchange", "dmi", "anisotropy", "zeeman", "dipolar", "dmi_kind", "boundary")
    }
    return [
        save_weights(
            leg.network,
            Path(folder) / _MODELS.format(f"{gamma:g}"),
            half=True,
            settings=leg.network.settings,
            gamma=gamma,
            ends=leg.ends.tolist(),
            peak=leg.peak,
            directions=leg.directions,
            hamiltonian=energy,
            **about,
        )
        for gamma, leg in walk.legs.items()
    ]


def load_walk(folder: str | Path = PRETRAINED) -> Walk:
    """Read a walk that `save_walk` wrote; by default the one that comes with the package."""
    legs, energy = {}, None
    for path in Path(folder).glob(_MODELS.format("*")):
        about = read_about(path)
        network = EVAE(**about["settings"])
        load_weights(network, path)
        ends = torch.tensor(about["ends"])
        legs[about["gamma"]] = Leg(network, ends, about["peak"], tuple(about["directions"]))
        energy = about["hamiltonian"]
    if energy is None:
        raise FileNotFoundError(
            f"There are no weights in {folder}: run notebook 04, which saves its own under data/."
        )
    return Walk(dict(sorted(legs.items())), Hamiltonian(**energy))


def render(spins: torch.Tensor, hamiltonian: Hamiltonian, zoom: int = 2) -> bytes:
    """A PNG of one state (1, 3, height, width): its colours, and right of them its stability.

    The stability is grey: white where a spin lies along its field, black DARKEST radians from it.
    """
    angle = torch.acos(local_correlation(spins, hamiltonian))
    stability = (1 - angle / DARKEST).clamp(0, 1)[:, None].expand(-1, 3, -1, -1)
    gap = torch.ones(1, 3, spins.shape[-2], 2)
    picture = torch.cat((colour(spins), gap, stability), -1)[0]
    # Row 0 of a picture file is at the top, ours at the bottom.
    pixels = (picture.flip(-2).clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous()
    image = Image.fromarray(pixels.numpy())
    image = image.resize((image.width * zoom, image.height * zoom), Image.Resampling.NEAREST)
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def reading(spins: torch.Tensor, hamiltonian: Hamiltonian) -> str:
    """Energy per site and topological charge of one state, in words."""
    energy = hamiltonian.energy_per_site(spins).item()
    charge = textures.topological_charge(spins, hamiltonian.boundary).item()
    return f"E/N = {energy:.5f} J, Q = {charge:.2f}".replace("-", "−")


def explorer(walk: Walk) -> "ipywidgets.Widget":
    """Sliders for γ, the position R and the most informative latents; picture and readings live."""
    import ipywidgets

    gammas = list(walk.legs)
    count = min(len(leg.directions) for leg in walk.legs.values())
    first = gammas[len(gammas) // 2]
    wide = {"continuous_update": True, "layout": {"width": "24em"}}
    gamma = ipywidgets.SelectionSlider(
        options=[(f"{g:g}", g) for g in gammas], value=first, description="γ", **wide
    )
    position = ipywidgets.IntSlider(0, -REACH, REACH, description="R", **wide)
    offsets = [
        ipywidgets.FloatSlider(0.0, min=-4, max=4, step=0.1, description=f"latent {n + 1}", **wide)
        for n in range(count)
    ]
    play = ipywidgets.Play(min=-REACH, max=REACH, value=0, interval=150)
    reset = ipywidgets.Button(description="reset", tooltip="back to the barrier, offsets to zero")
    picture = ipywidgets.Image(format="png", layout={"width": "520px"})
    words = ipywidgets.HTML()
    ipywidgets.link((play, "value"), (position, "value"))

    def show(_change: Any = None) -> None:
        spins = walk.decode(gamma.value, position.value, [slider.value for slider in offsets])
        picture.value = render(spins, walk.hamiltonian, zoom=4)
        found = escape(reading(spins, walk.hamiltonian))
        words.value = f'<span class="reading">{found}</span><br><small>{_KEY}</small>'

    def back(_button: Any) -> None:
        position.value = 0
        for slider in offsets:
            slider.value = 0.0

    for slider in (gamma, position, *offsets):
        slider.observe(show, names="value")
    reset.on_click(back)
    show()
    controls = ipywidgets.VBox([gamma, position, *offsets, ipywidgets.HBox([play, reset]), words])
    return ipywidgets.HBox([picture, controls])


def film(walk: Walk, gammas: Sequence[float], step: int = 0) -> str:
    """The walk as plain HTML that needs no Python and no network: a slider over drawn frames.

    One frame for every so many positions R, the models of `gammas` below one another in it; without
    a `step` there are fewer frames of larger states.
    """
    step = step or (2 if walk._leg(gammas[0]).network.size <= 64 else 6)
    positions = list(range(-(REACH // step * step), REACH + 1, step))
    frames, middle = [], positions.index(0)
    for number, position in enumerate(positions):
        rows = []
        for gamma in gammas:
            spins = walk.decode(gamma, position)
            # There are a hundred frames in one page.
            data = base64.b64encode(with_palette(render(spins, walk.hamiltonian, 1))).decode()
            label = escape(f"γ = {gamma:g}, R = {position}: {reading(spins, walk.hamiltonian)}")
            rows.append(
                f'<figure style="margin:0 0 .6em"><img alt="{label}" style="width:32em;'
                f'max-width:100%;image-rendering:pixelated" src="data:image/png;base64,{data}">'
                f"<figcaption>{label}</figcaption></figure>"
            )
        hidden = "" if number == middle else " hidden"
        frames.append(f'<div class="frame"{hidden}>{"".join(rows)}</div>')
    turn = (
        "this.closest('.film').querySelectorAll('.frame')"
        ".forEach((frame, n) => frame.hidden = n != this.value)"
    )
    return (
        f'<div class="film"><label>R <input type="range" min="0" max="{len(positions) - 1}" '
        f'value="{middle}" style="width:28em;max-width:90%" oninput="{turn}"></label>'
        f"{''.join(frames)}<small>{_KEY}</small></div>"
    )
