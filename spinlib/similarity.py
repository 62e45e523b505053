"""How alike two pictures of magnetic textures are, whatever their positions.

Pictures are (batch, channels, height, width) from 0 to 1, of one contrast (see `Microscope`), with
open edges. Lengths are in pixels.
"""

import math

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import convolve, find_objects, gaussian_filter, label, uniform_filter

from spinlib.contrast import vectors_from_colour

# Of a second difference across a pixel's neighbourhood only white noise survives, with six times
# its standard deviation (Immerkaer, Comput. Vis. Image Underst. 64, 300 (1996)).
_SECOND_DIFFERENCE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], float)
_NORMAL_MEDIAN = 0.6745  # median of |n| for a standard normal n
_BETWEEN = 0.25  # how far from mid-grey noise is not cut off yet
_ENOUGH = 0.05  # share of the pixels


def noise_level(picture: torch.Tensor) -> float:
    """Standard deviation of the white noise of one picture (channels, height, width).

    Near black and near white half of it is cut off, so what is about halfway between them counts,
    if there is enough of it.
    """
    levels = []
    for channel in picture.double().cpu().numpy():
        rough = np.abs(convolve(channel, _SECOND_DIFFERENCE))[1:-1, 1:-1]
        around = uniform_filter(channel, 5)[1:-1, 1:-1]
        between = np.abs(around - 0.5) < _BETWEEN
        counted = rough[between] if between.mean() > _ENOUGH else rough
        levels.append(np.median(counted) / (6 * _NORMAL_MEDIAN))
    return float(np.sqrt(np.mean(np.square(levels))))


def radial_spectrum(pictures: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Waves per pixel (rings,), and the share of the power in each ring (batch, rings).

    The power of all channels is averaged over directions; rings are as wide as one wave across the
    shorter side. Pictures are faded out towards their edges (Hann). The shares sum to 1.
    """
    height, width = pictures.shape[-2:]
    power, k_y, k_x = _power(pictures)
    k = np.hypot(k_y, k_x)
    side = min(height, width)
    ring = np.rint(k * side).astype(int)
    rings = side // 2
    sums = np.stack([np.bincount(ring.ravel(), p.ravel(), rings + 1)[1 : rings + 1] for p in power])
    total = sums.sum(1, keepdims=True)
    return np.arange(1, rings + 1) / side, np.divide(sums, total, where=total > 0, out=sums)


def _power(pictures: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Power of all channels of faded pictures (batch, height, width), and its waves per pixel."""
    height, width = pictures.shape[-2:]
    fade = torch.outer(*(torch.hann_window(n, False, dtype=torch.float64) for n in (height, width)))
    signal = pictures.double().cpu()
    middle = (signal * fade).sum((-2, -1), keepdim=True) / fade.sum()
    power = torch.fft.fft2((signal - middle) * fade).abs().square().sum(1).numpy()
    return power, np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)


def spectrum_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Half the summed |difference| of two spectra of shares: 0 if equal, 1 if nothing overlaps."""
    return float(np.abs(np.asarray(one) - np.asarray(other)).sum() / 2)


def look(pictures: torch.Tensor, contrast: str = "", azimuth: float = 0.0) -> pd.DataFrame:
    """Numbers that tell kinds of pictures apart, one row each.

    brightness       mean of all channels
    contrast         standard deviation, root mean square over the channels
    colourfulness    mean difference of the brightest and the darkest channel; 0 for grey
    alignment        correlation of neighbouring pixels: noise and fineness lower it
    skewness         of the brightness: bright spots on dark ground have a positive one
    waves per pixel  mean of the spectrum
    spread of waves  standard deviation of the spectrum, relative to its mean
    slope            rise of the brightness from edge to edge, of planes nearest to what is brighter
                     and to what is darker than its surroundings: so domains count little, light
                     does
    slope of contrast  rise of what lies between the two planes, relative to it
    handedness       in contrast "colour": correlation of m_z and (curl m)_z; near -1 or 1 where all
                     Bloch walls turn one way, near 0 in a mirror or where places turned without
                     spins
    divergence       in contrast "colour": the same of m_z and div m, for Néel walls
    divergence share in contrast "in_plane": of div m in the variance of both derivatives; near 0
                     for Bloch walls, near 1 for Néel walls, and about half in a mirror
    waves along azimuth  in contrast "component", whose direction has this azimuth in degrees:
                     mean cos 2φ over the power of waves at angles φ with it, 1 if all run along
                     it, as most do with Néel walls, and -1 if across it, as with Bloch walls
    """
    signal = pictures.double().cpu()
    centred = signal - signal.mean((-2, -1), keepdim=True)
    variance = centred.square().mean((1, 2, 3)).clamp_min(1e-30)
    right = (centred[..., 1:] * centred[..., :-1]).mean((1, 2, 3))
    up = (centred[..., 1:, :] * centred[..., :-1, :]).mean((1, 2, 3))
    grey = centred.mean(1)
    cubes = grey.pow(3).mean((1, 2)) / grey.square().mean((1, 2)).clamp_min(1e-30).pow(1.5)
    k, share = radial_spectrum(pictures)
    mean = share @ k
    spread = np.sqrt(np.maximum(share @ k**2 - mean**2, 0)) / np.maximum(mean, 1e-12)
    slope, of_contrast = _rises(grey)
    turns = {}
    if contrast == "colour":
        turns["handedness"], turns["divergence"] = _turns(pictures)
    if contrast == "in_plane":
        curl, divergence = _derivatives(
            *(part.numpy() for part in in_plane_vectors(pictures.cpu()))
        )
        parts = [part.var((1, 2)) for part in (curl, divergence)]
        turns["divergence share"] = parts[1] / np.maximum(sum(parts), 1e-30)
    if contrast == "component":
        power, k_y, k_x = _power(pictures)
        power[:, 0, 0] = 0.0  # has no direction
        power /= np.maximum(power.sum((1, 2), keepdims=True), 1e-30)
        double = 2 * (np.arctan2(k_y, k_x) - math.radians(azimuth))
        turns["waves along azimuth"] = (power * np.cos(double)).sum((1, 2))
    return pd.DataFrame(
        {
            "brightness": signal.mean((1, 2, 3)).numpy(),
            "contrast": variance.sqrt().numpy(),
            "colourfulness": (signal.amax(1) - signal.amin(1)).mean((1, 2)).numpy(),
            "alignment": ((right + up) / 2 / variance).numpy(),
            "skewness": cubes.numpy(),
            "waves per pixel": mean,
            "spread of waves": spread,
            "slope": slope,
            "slope of contrast": of_contrast,
        }
        | turns
    )


def _rises(grey: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Slope of the brightness of pictures (batch, height, width), and that of their contrast."""
    v, u = (torch.linspace(-0.5, 0.5, n, dtype=torch.float64) for n in grey.shape[-2:])
    plane = torch.stack(torch.broadcast_tensors(torch.ones(()), u, v[:, None])).flatten(1)
    levels = grey.flatten(1)
    light = levels @ torch.linalg.pinv(plane)  # (batch, 3): in the middle, and rise along x and y
    for _ in range(3):  # what is bright is better known, the better the light is
        flat = (levels - light @ plane).reshape(grey.shape).numpy()
        bright = torch.from_numpy(gaussian_filter(flat, (0, 1, 1)) > 0).flatten(1)
        halves = [plane * half[:, None] for half in (bright, ~bright)]
        bright, dark = (
            (torch.linalg.pinv(half @ plane.T, hermitian=True) @ half @ levels[..., None])[..., 0]
            for half in halves
        )
        light = (bright + dark) / 2
    apart = bright - dark
    slopes = light[:, 1:].norm(dim=1), apart[:, 1:].norm(dim=1) / apart[:, 0].abs().clamp_min(1e-30)
    return tuple(slope.numpy() for slope in slopes)


def _turns(pictures: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """How m_z goes with curl and divergence of m in the plane."""
    spins = vectors_from_colour(pictures.cpu().float(), unit=False)[0].double().numpy()
    x, y, z = np.moveaxis(spins, 1, 0)
    curl, divergence = _derivatives(x, y)
    z = gaussian_filter(z, (0, 1, 1))
    curl, divergence, z = (
        part - part.mean((1, 2), keepdims=True) for part in (curl, divergence, z)
    )
    # To the size of both together: of a helix the divergence is noise, which goes with anything.
    size = np.sqrt((curl**2 + divergence**2).mean((1, 2)) * (z**2).mean((1, 2)))
    return tuple((part * z).mean((1, 2)) / np.maximum(size, 1e-30) for part in (curl, divergence))


def _derivatives(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Curl and divergence of fields (batch, height, width), smoothed: noise would hide them."""
    x, y = (gaussian_filter(part, (0, 1, 1)) for part in (x, y))
    curl = np.gradient(y, axis=-1) - np.gradient(x, axis=-2)
    return curl, np.gradient(x, axis=-1) + np.gradient(y, axis=-2)


# --- skyrmions ---------------------------------------------------------------------------------


def core_map(
    pictures: torch.Tensor, contrast: str, field: float = 1.0, smoothing: float = 0.0
) -> torch.Tensor:
    """A map (batch, height, width) that is high in the cores of skyrmions.

    colour, perpendicular, magnetic_force
                             m_z, or the grey level, against the field along z (but above films of
                             an interfacial D > 0, what magnetic_force shows are not the cores)
    in_plane                 (curl m)_z, as Bloch walls turn about cores; or div m, if it is
                             stronger, as Néel walls point away from them or towards them
    lorentz_defocus          the grey level, which is that curl
    The last two do not know the sense of rotation: cores are the side that is rarer. `smoothing` is
    the standard deviation, in pixels, of a Gaussian. It comes before that question, which of a
    derivative over fine pixels the noise would answer.
    """

    def smooth(values: torch.Tensor) -> torch.Tensor:
        sigma = (0.0, smoothing, smoothing)
        return torch.from_numpy(gaussian_filter(values.double().cpu().numpy(), sigma))

    against = -1.0 if field >= 0 else 1.0
    if contrast == "colour":
        return smooth(against * vectors_from_colour(pictures.float(), unit=False)[0][:, 2])
    if contrast in ("perpendicular", "magnetic_force"):
        return smooth(against * pictures[:, 0])
    if contrast == "in_plane":
        x, y = in_plane_vectors(pictures)
        curl = torch.gradient(y, dim=-1)[0] - torch.gradient(x, dim=-2)[0]
        divergence = torch.gradient(x, dim=-1)[0] + torch.gradient(y, dim=-2)[0]
        if smooth(divergence).std() > smooth(curl).std():
            curl = divergence
    elif contrast == "lorentz_defocus":
        curl = pictures[:, 0]
    else:
        raise ValueError(
            f"Nobody knows what a skyrmion looks like in {contrast!r} contrast. (Of a component, "
            "contrast.perpendicular_from_component reads back m_z.)"
        )
    curl = smooth(curl)
    centred = curl - curl.median()
    return centred * torch.sign(centred.pow(3).sum())


def in_plane_vectors(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """m_x and m_y from hue and value: the inverse of `contrast.in_plane`."""
    red, green, blue = pictures.double().unbind(1)
    # The three channels of a hue are a triangle wave each; their first harmonic keeps the angle to
    # within 1.2 degrees.
    x, y = red - (green + blue) / 2, (green - blue) * math.sqrt(3) / 2
    length = pictures.double().amax(1)
    return tuple(length * part / torch.hypot(x, y).clamp_min(1e-9) for part in (x, y))


def skyrmions(
    pictures: torch.Tensor, contrast: str, period: float, field: float = 1.0
) -> np.ndarray:
    """Number of skyrmions per square pixel in each picture, (batch,).

    A skyrmion is a connected region above the middle of the map's range (first to last percentile),
    no larger than half a square of the helix `period`, no smaller than a hundredth, and less than
    twice as long as wide. The map is smoothed by a fourteenth of the period. Of regions that touch
    an edge those on the lower and left side are left out; those on the other two count, whatever
    the shape of what the edge has left of them, but not in the corner between these: it cuts
    stripes, too, to something short. Near edges a few are missed: of whole lattices, 4 % where the
    picture is six periods wide and 8 % where it is three.
    """
    densities = []
    for picture in pictures:
        values = core_map(picture[None], contrast, field, period / 14)[0].numpy()
        low, high = np.percentile(values, (1, 99))
        regions, _ = label(values > (low + high) / 2)
        count = 0
        for number, box in enumerate(find_objects(regions), start=1):
            y, x = np.nonzero(regions[box] == number)
            begins = min(box[0].start, box[1].start) > 0
            sized = 0.01 * period**2 <= len(y) <= 0.5 * period**2
            cut = sum(part.stop == side for part, side in zip(box, values.shape, strict=True))
            count += begins and sized and (cut == 1 or (cut == 0 and elongation(y, x) < 2))
        densities.append(count / np.subtract(values.shape, 1).prod())  # where they may begin
    return np.array(densities)


def elongation(y: np.ndarray, x: np.ndarray) -> float:
    """Ratio of the principal axes of a region of square pixels: 1 for a disc."""
    # A square of side 1 has the second moment 1/12 itself.
    moments = np.cov(np.stack((y, x)), bias=True) + np.eye(2) / 12
    small, large = np.linalg.eigvalsh(moments)
    return math.sqrt(large / small)
