"""Pictures for the network: the observed one, and simulations seen as the instrument saw them.

Pictures are (batch, channels, height, width) from 0 to 1, row 0 at the bottom; lengths are in nm.
"""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import avg_pool2d

from spinlib.estimation.conditions import CHANNELS, SCATTER, Conditions
from spinlib.estimation.planning import Plan
from spinlib.kernels import random_uniform
from spinlib.levels import evenly_lit, ranked
from spinlib.noise import gaussian_noise
from spinlib.optics import resample
from spinlib.pictures import Picture, PictureError, read_picture
from spinlib.similarity import look, noise_level

# What blur may be, at most, if nobody knows it: pixels, or shares of one that the network sees, as
# pixels are often finer than the instrument's resolution.
UNKNOWN_BLUR, OF_SEEN = 2.0, 0.9
MOST_BEYOND = 0.1  # by which colours may lie beyond 0 to 1, on average over the pixels
# Ratio of neighbouring levels of noise: half a step is less than their own scatter. The noise of
# grey pictures is relative to their contrast, which is another for each film: they get fewer.
_STEP, _STEP_OF_GREY = 1.1, 1.2
_GREY = 0.25  # standard deviation that grey pictures are brought to
# Shares of the darkest and of the brightest pixels that are cut off. Detectors and programs cut off
# some as well, and M_s is read off how bright domains are: of pictures that had lost 3 and 5 % it
# came out 15 % too low, and 4 % too high of the same ones before. In the plane the extremes are
# walls, which are fewer than domains. In lorentz_defocus there are too few to lose any.
_CUT = {"perpendicular": 0.1, "magnetic_force": 0.1}
_CUT_OF_WALLS = 0.05


def opened(picture: Picture | torch.Tensor | str | Path) -> Picture:
    """A picture with what its file says about it; pixels without a file say nothing."""
    if isinstance(picture, str | Path):
        return read_picture(picture)
    if not isinstance(picture, Picture | torch.Tensor):
        raise PictureError(
            f"The picture is a {type(picture).__name__}: give the name of a file, what "
            "read_picture makes of one, or a tensor (channels, height, width) from 0 to 1, row 0 "
            "at the bottom."
        )
    if isinstance(picture, torch.Tensor):
        picture = Picture(picture, None, "The picture")
    return replace(picture, pixels=picture.pixels.detach().cpu())


def averaged(picture: Picture, pixels: int) -> Picture:
    """Means over squares of so many pixels; what is left over at the top and at the right goes."""
    return replace(picture, pixels=avg_pool2d(picture.pixels.float(), pixels))


def observed(picture: Picture | torch.Tensor | str | Path, conditions: Conditions) -> torch.Tensor:
    """A picture, or a file of one, as (channels, height, width), grey levels evened out."""
    picture = opened(picture)
    pixels, source = picture.pixels, picture.source
    if pixels.ndim != 3 or not pixels.numel() or not torch.isfinite(pixels).all():
        raise PictureError(
            f"{source} is (channels, height, width) of finite numbers, not {tuple(pixels.shape)}."
        )
    if picture.vectors:  # are drawn as the instrument would show them
        pixels = conditions.microscope()(2 * pixels[None].float() - 1, conditions.pixel_size_nm)[0]
    channels = CHANNELS[conditions.contrast]
    if len(pixels) != channels:
        raise PictureError(
            f"{source} has {len(pixels)} channel(s), but contrast {conditions.contrast!r} has "
            f"{channels}: choose another contrast, or save the picture in "
            f"{'grey' if channels == 1 else 'colour'}."
        )
    pixels = pixels.float()
    # Noise may reach beyond black and white, but not so far on average.
    beyond = (pixels - pixels.clamp(0, 1)).abs().mean()
    if channels == 3 and beyond > MOST_BEYOND:
        raise PictureError(
            f"{source} has colours from {pixels.min():.3g} to {pixels.max():.3g}: give them from 0 "
            "to 1 (bytes divided by 255; vectors as a file, or drawn by a Microscope)."
        )
    if (pixels == pixels[:, :1, :1]).all():
        raise PictureError(f"{source} shows nothing: all its pixels are equal.")
    return even(pixels[None], conditions)[0]


def even(pictures: torch.Tensor, conditions: Conditions) -> torch.Tensor:
    """Grey pictures brought to one mean and one contrast, which files do not keep; colours stay.

    Unless their levels are linear, they are lit evenly before. Of domains a tenth of the pixels at
    either end is cut off: see `CUT`.
    """
    if not conditions.grey:
        return pictures.clamp(0, 1)
    if conditions.levels != "linear":
        pictures = evenly_lit(pictures)
    if share := cut(conditions):
        levels = pictures.flatten(1)
        dark, bright = (
            levels.kthvalue(1 + round(part * (levels.shape[1] - 1)), 1).values[:, None, None, None]
            for part in (share, 1 - share)
        )
        pictures = pictures.clamp(dark, bright)
    return _with_one_contrast(pictures)


def cut(conditions: Conditions) -> float:
    """Share of the darkest and of the brightest pixels that is cut off a picture."""
    if conditions.contrast == "component":
        along_z = math.cos(math.radians(conditions.microscope().polar))
        return max(_CUT_OF_WALLS, _CUT["perpendicular"] * abs(along_z))
    return _CUT.get(conditions.contrast, 0.0)


def _with_one_contrast(pictures: torch.Tensor) -> torch.Tensor:
    middle = pictures.mean((-3, -2, -1), keepdim=True)
    spread = pictures.std((-3, -2, -1), keepdim=True).clamp_min(1e-12)
    return 0.5 + _GREY * (pictures - middle) / spread


def cut_off(pixels: torch.Tensor) -> tuple[float, float]:
    """Shares of the pixels that are as dark, and as bright, as any."""
    return tuple(float((pixels == end).float().mean()) for end in (pixels.min(), pixels.max()))


def see(
    spins: torch.Tensor, plan: Plan, conditions: Conditions, *, seed: int, first: int = 0
) -> torch.Tensor:
    """Pictures of simulated films with the instrument's pixels, without its noise.

    Each film is seen with a blur of its own: up and down by `SCATTER` from the one that is known,
    or anything up to `most_blur`. So it is with a tip at a height of its own, or along a direction
    of its own, if it takes one.
    Films are of D > 0; if the picture's is not, their spins are reversed in the plane, which takes
    no energy with D < 0.
    """
    states = range(first, first + len(spins))
    between = conditions.between
    chances = {
        purpose: random_uniform((1,), seed=seed, states=states, purpose=purpose)[:, 0].tolist()
        for purpose in ("blur", *between)
    }
    known, cell = conditions.blur_nm, plan.box / spins.shape[-1]
    signs = spins.new_tensor([conditions.dmi_sign, conditions.dmi_sign, 1.0])[:, None, None]
    pictures = []
    for number, film in enumerate(spins * signs):
        chance = {purpose: each[number] for purpose, each in chances.items()}
        unknown = most_blur(plan, conditions) * chance["blur"]
        blur = unknown if known is None else known * (1 + SCATTER * (2 * chance["blur"] - 1))
        # To a twentieth of a pixel, so that the optics are made once for many films.
        step = conditions.pixel_size_nm / 20
        blur = step * round(blur / step)
        own = {name: low + (high - low) * chance[name] for name, (low, high) in between.items()}
        see = conditions.microscope(
            **own,
            shape=(plan.pixels, plan.pixels),
            blur=blur,
            boundary="periodic",
        )
        pictures.append(see(film[None], cell))
    seen = torch.cat(pictures)
    return _with_one_contrast(seen) if conditions.grey else clipped_mean(seen, plan.clipped)


def clipped_mean(values: torch.Tensor, noise: float) -> torch.Tensor:
    """Mean over the noise of values that are cut off at 0 and 1 after it has been added.

    It is σ [G(x/σ) - G((x-1)/σ)], as the integral over t from 0 to 1 of the probability that
    x + σn exceeds t, with G(u) = u Φ(u) + φ(u) for the normal distribution Φ and its density φ.
    """
    values = values.clamp(0, 1)
    if not noise:
        return values

    def below(u: torch.Tensor) -> torch.Tensor:
        return u * torch.special.ndtr(u) + torch.exp(-0.5 * u * u) / math.sqrt(2 * math.pi)

    return noise * (below(values / noise) - below((values - 1) / noise))


def most_blur(plan: Plan, conditions: Conditions) -> float:
    """Standard deviation (nm) of the largest blur that is allowed for, if nobody knows it."""
    return max(UNKNOWN_BLUR * conditions.pixel_size_nm, OF_SEEN * plan.box / plan.seen)


def unknown_blur(plan: Plan, conditions: Conditions) -> list[str]:
    """What blur is allowed for, if nobody knows it."""
    if conditions.blur_nm is not None:
        return []
    return [
        f"No blur was told: simulated pictures have one of up to {most_blur(plan, conditions):.2g} "
        "nm each. If the instrument's standard deviation is larger, tell it, or M_s may come out "
        "too low."
    ]


def stepped(noise: float, grey: bool = False) -> float:
    """The next of a few levels of noise, so that a series of pictures shares one."""
    step = _STEP_OF_GREY if grey else _STEP
    return step ** round(math.log(noise, step)) if noise else 0.0


def record(
    pictures: torch.Tensor,
    noise: float,
    conditions: Conditions,
    *,
    seed: int,
    first: int = 0,
    scatter: float = SCATTER,
) -> torch.Tensor:
    """What a detector with readout noise makes of pictures; a level of `noise` for each its own.

    If nobody knows which way is up, black and white change places in half of them.
    """
    states = range(first, first + len(pictures))
    if conditions.levels == "unsigned":
        sign = random_uniform((1,), seed=seed, states=states, purpose="sign")[:, :, None, None]
        pictures = torch.where(sign < 0.5, 1 - pictures, pictures)
    random = random_uniform((1,), seed=seed, states=states, purpose="noise level")
    levels = noise * (1 + scatter * (2 * random - 1))
    white = gaussian_noise(torch.zeros_like(pictures), 1.0, seed=seed, states=states)
    return even(pictures + levels[:, :, None, None].to(white) * white, conditions)


def matching_noise(pictures: torch.Tensor, level: float, conditions: Conditions) -> float:
    """The noise that gives simulated pictures the `noise_level` of the observed one.

    Films have a roughness of their own, and colours end at 0 and 1: both count in.
    """

    def found(noise: float) -> float:
        recorded = record(pictures, noise, conditions, seed=0, scatter=0.0)
        return float(np.median([noise_level(picture) for picture in recorded]))

    if found(0.0) >= level:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(13):
        middle = (low + high) / 2
        low, high = (middle, high) if found(middle) < level else (low, middle)
    return (low + high) / 2


def as_seen(pictures: torch.Tensor, plan: Plan, conditions: Conditions) -> torch.Tensor:
    """What the network sees of pictures: their middle, with its own pixels.

    Of levels that are not linear it sees the ranks.
    """
    if conditions.levels != "linear":
        pictures = ranked(pictures)
    ratio = plan.pixels / plan.seen
    shape = tuple(int(n / ratio * (1 + 1e-9)) for n in pictures.shape[-2:])
    return resample(pictures, shape, ratio)


def look_of(pictures: torch.Tensor, conditions: Conditions) -> pd.DataFrame:
    """Numbers that tell kinds of pictures apart, a row each; observed and simulated alike."""
    return look(pictures, conditions.contrast, conditions.microscope().azimuth)
