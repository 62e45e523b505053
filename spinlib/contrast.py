"""Contrasts: how spins are drawn, and how colours are read back as spins.

Arrays are (batch, 3, height, width) spins, of length 1 or less, and (batch, channels, height,
width) pictures, float32, row 0 at the bottom; grey and RGB run from 0 to 1.
"""

import math

import torch

from spinlib.hamiltonian import Boundary, Kind

FADED = 0.01  # power of a wave in `component`, relative to m_z, below which it is not drawn out
KNOWN = 0.5  # share of it that has to be known for m_z to be read back


def normalise(vectors: torch.Tensor) -> torch.Tensor:
    """Unit vectors along axis 1; zero stays zero."""
    length = vectors.square().sum(dim=1, keepdim=True)
    # A plain 0 would be brought to a GPU at every call, which has to wait for it.
    nothing = length.new_zeros(())
    return vectors * torch.where(length > 0, length.clamp_min(1e-30).rsqrt(), nothing)


def _pure_hue(sextant: torch.Tensor) -> torch.Tensor:
    """Fully saturated RGB (batch, 3, ...) of a hue given in sixths of a turn: 0 red, 2 green."""
    channels = [2 - ((sextant - centre + 3) % 6 - 3).abs() for centre in (0, 2, 4)]
    return torch.stack(channels, dim=1).clamp(0, 1)


def colour(spins: torch.Tensor) -> torch.Tensor:
    """RGB as the papers draw spins: hue is the in-plane angle, lightness is m_z.

    In the words of the HSL colour solid: hue = atan2(m_y, m_x) (red along +x), lightness
    = (1 + m_z)/2 (black -z, white +z), saturation = sqrt(m_x^2 + m_y^2) / sqrt(1 - m_z^2). The
    saturation is 1 for unit vectors and less where blur has shortened them, so every vector of
    length <= 1 has its own colour; a vacancy is mid-grey.
    """
    x, y, z = spins.unbind(dim=1)
    z = z.clamp(-1, 1)
    planar = (x * x + y * y).clamp_min(1e-30).sqrt()
    # chroma = (1 - |z|) * saturation, written without the division by sqrt(1 - z^2).
    room = 1 - z.abs()
    chroma = torch.minimum(planar * (room.clamp_min(1e-12) / (1 + z.abs())).sqrt(), room)
    hue = _pure_hue(torch.atan2(y, x) * (3 / math.pi))
    return ((1 + z) / 2)[:, None] + chroma[:, None] * (hue - 0.5)


def vectors_from_colour(
    pictures: torch.Tensor, unit: bool = True, grey_step: float = 1 / 255
) -> tuple[torch.Tensor, torch.Tensor]:
    """Inverse of :func:`colour`: spins (batch, 3, height, width) and their angular uncertainty.

    The second result, (batch, height, width) in radians, bounds the angle lost when the channels
    are known to +- grey_step/2 (1/255: a picture of 8 bits). It grows towards the poles, where all
    hues run together: there chroma vanishes like the square of the distance from the pole.
    With `unit` the vectors are normalised, else they keep the length that the saturation tells.
    """
    if pictures.ndim != 4 or pictures.shape[1] != 3:
        raise ValueError(
            "Pictures of 3 channels (batch, 3, height, width) are needed; these are "
            f"{tuple(pictures.shape)}."
        )
    pictures = pictures.clamp(0, 1)
    red, green, blue = pictures.unbind(dim=1)
    brightest, darkest = pictures.amax(dim=1), pictures.amin(dim=1)
    chroma = brightest - darkest
    z = brightest + darkest - 1
    room = 1 - z.abs()
    safe = chroma.clamp_min(1e-12)
    sextant = torch.where(
        brightest == red,
        (green - blue) / safe,
        torch.where(brightest == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    angle = sextant * (math.pi / 3)
    planar = (chroma / room.clamp_min(1e-12)).clamp(max=1) * (1 - z * z).clamp_min(0).sqrt()
    spins = torch.stack([planar * angle.cos(), planar * angle.sin(), z], dim=1)
    if unit:
        spins = normalise(spins)

    polar = z.abs().acos()
    towards_pole = polar - (z.abs() + grey_step).clamp(max=1).acos()
    towards_equator = (z.abs() - grey_step).acos() - polar
    azimuth = (math.pi / 3 * 1.5 * grey_step / safe).clamp(max=math.pi)
    lost = torch.hypot(torch.maximum(towards_pole, towards_equator), azimuth * polar.sin())
    return spins, lost


def perpendicular(spins: torch.Tensor) -> torch.Tensor:
    """One grey channel (1 + m_z)/2, as polar Kerr microscopy shows it: white +z, black -z."""
    return (1 + spins[:, -1:]) / 2


def component(spins: torch.Tensor, polar: float, azimuth: float) -> torch.Tensor:
    """One grey channel (1 + m·n)/2 of the component along a direction n, white along it.

    So films look in circular X-rays, n being the direction of their beam (photoemission microscopy,
    XMCD-PEEM), or where spins of electrons are analysed along one axis. Kerr microscopes with light
    from aslant also see one direction, between the film's plane and +z, but not that of the light.
    n is `polar` from +z and, in the plane, `azimuth` from +x towards +y, in degrees:
    n = (sin polar cos azimuth, sin polar sin azimuth, cos polar).
    """
    polar, azimuth = math.radians(polar), math.radians(azimuth)
    x, y, z = spins.unbind(dim=1)
    in_the_plane = math.cos(azimuth) * x + math.sin(azimuth) * y
    return (1 + math.sin(polar) * in_the_plane + math.cos(polar) * z)[:, None] / 2


def perpendicular_from_component(
    pictures: torch.Tensor,
    polar: tuple[float, float],
    azimuth: tuple[float, float],
    kind: Kind,
    sign: float = 1,
) -> torch.Tensor:
    """Films seen as :func:`component` as :func:`perpendicular` shows them, less their mean.

    (batch, 1, height, width) pictures both, and the result up to a factor a bit below 1.

    A DMI turns all spins one way, so that a wave k of m_z brings one of the same size along in the
    plane, a quarter of its length away: m = -i s k/|k| m_z if the DMI is interfacial, s being the
    `sign` of D, and that turned by -90° if it is bulk. Of such a wave the component along n shows
    T m_z, T = n_z + n·m/m_z. This is divided out as Wiener's filter does it, by
    <T*> / (<|T|²> + `FADED`), the averages being over the angles of n, in degrees, which may be
    any between the lowest and the highest of `polar` and `azimuth`. If they are known so badly that
    |<T>|² is less than half of <|T|²>, the result is NaN.
    """
    height, width = pictures.shape[-2:]
    shape = (2 * height, 2 * width)  # beyond an edge there is nothing, rather than the other edge
    k_y = torch.fft.fftfreq(shape[0], device=pictures.device)[:, None]
    k_x = torch.fft.rfftfreq(shape[1], device=pictures.device)[None]
    # The shortest wave along an axis has no direction.
    k_x, k_y = (k * (k.abs() < 0.5) for k in (k_x, k_y))
    length = sign * torch.hypot(k_x, k_y).clamp_min(1e-9)
    x, y = (k_x / length, k_y / length) if kind == "interfacial" else (k_y / length, -k_x / length)
    chances = (torch.arange(64) + 0.5) / 64
    theta, phi = (torch.deg2rad(low + (high - low) * chances) for low, high in (polar, azimuth))
    c, s = phi.cos(), phi.sin()
    planar = c.mean() * x + s.mean() * y
    squared = (c * c).mean() * x**2 + 2 * (c * s).mean() * x * y + (s * s).mean() * y**2
    conjugate = theta.cos().mean() + 1j * theta.sin().mean() * planar
    power = theta.cos().square().mean() + theta.sin().square().mean() * squared
    if conjugate.abs().square().mean() < KNOWN * power.mean():
        return torch.full_like(pictures, math.nan)
    signal = pictures.float()
    waves = torch.fft.rfft2(signal - signal.mean((-2, -1), keepdim=True), s=shape)
    return torch.fft.irfft2(waves * conjugate / (power + FADED), s=shape)[..., :height, :width]


def in_plane(spins: torch.Tensor) -> torch.Tensor:
    """RGB of the in-plane part, as Lorentz TEM reconstructs it: hue its angle, value its length.

    Spins along +z and along -z are both black: the electrons do not see m_z. Of the rest they see
    the curl alone: a part without curl, as that of Néel walls, is drawn here but no electron
    shows it. Of bulk DMI's textures it is mostly thermal noise: .3 % of the power at 5 K, 5 % in
    3 nm of FeGe at 265 K, 15 % in 1 nm at 300 K.
    """
    x, y = spins[:, 0], spins[:, 1]
    length = (x * x + y * y).clamp_min(1e-30).sqrt().clamp(max=1)
    return length[:, None] * _pure_hue(torch.atan2(y, x) * (3 / math.pi))


def lorentz_defocus(
    spins: torch.Tensor, displacement: float, boundary: Boundary = "open"
) -> torch.Tensor:
    """One grey channel of Fresnel contrast by the transport-of-intensity equation.

    The phase of a thin film obeys laplace(phi) = (e mu0 M_s t / hbar) (curl m)_z, hence
    I = I_0 [1 + d (curl m)_z] to first order in the defocus, and the picture is I / (2 I_0).
    `displacement` d, in pixels, is defocus times deflection angle e lambda mu0 M_s t / h: how far
    the film moves an electron on its way to the image plane; its sign is that of the defocus. The
    linear law holds while |d (curl m)_z| < 1; beyond that (caustics) the picture is cut at 0 and 1.
    """
    x, y = spins[:, 0], spins[:, 1]
    curl = _derivative(y, -1, boundary) - _derivative(x, -2, boundary)
    return (0.5 * (1 + displacement * curl)).clamp(0, 1)[:, None]


def magnetic_force(
    spins: torch.Tensor, lift: float, thickness: float, boundary: Boundary = "open"
) -> torch.Tensor:
    """One grey channel, as magnetic force microscopy shows the field above a film.

    A long tip along z ends in one magnetic pole, whose oscillation feels the gradient of the force
    on it: dH_z/dz at its height h, the `lift`, above the surface of a film of the `thickness` t.
    Of waves k in the film, uniform through its thickness,

        -dH_z/dz = M_s/2 exp(-kh) [1 - exp(-kt)] [k m_z - i (k_x m_x + k_y m_y)],

    the field of the charges of its surfaces and of those of its walls. The picture is mid-grey
    where this is 0, and scaled to its largest, as such microscopes do: white is as of domains
    along +z. Lengths are in pixels. An open edge mirrors the film, which goes on beyond it; as far
    inside as the tip is high, that is a guess, and a poor one where charges nearly cancel.
    """
    height, width, kind = *spins.shape[-2:], spins.dtype
    spins = spins.to(torch.promote_types(kind, torch.float32))  # no transforms of half precision
    if boundary == "open":
        spins = torch.cat([spins, spins.flip(-1)], -1)
        spins = torch.cat([spins, spins.flip(-2)], -2)
    shape = spins.shape[-2:]
    draw = {"dtype": spins.dtype, "device": spins.device}
    along_y = 2 * math.pi * torch.fft.fftfreq(shape[0], **draw)[:, None]
    along_x = 2 * math.pi * torch.fft.rfftfreq(shape[1], **draw)[None]
    wave = torch.hypot(along_x, along_y)
    left = torch.exp(-wave * lift) * -torch.expm1(-wave * thickness)
    left = left / (wave * left).max().clamp_min(1e-30)  # 1 of the wave of m_z that is felt best
    # The shortest wave along an axis has no direction.
    along_x, along_y = (k * (k.abs() < math.pi * (1 - 1e-6)) for k in (along_x, along_y))
    x, y, z = torch.fft.rfft2(spins).unbind(1)
    signal = torch.fft.irfft2(left * (wave * z - 1j * (along_x * x + along_y * y)), s=shape)
    signal = signal[..., :height, :width]
    # What is a thousand times weaker than it could be is not drawn out.
    largest = signal.abs().amax((-2, -1), keepdim=True).clamp_min(1e-3)
    return (0.5 * (1 + signal / largest))[:, None].to(kind)


def _derivative(field: torch.Tensor, axis: int, boundary: Boundary) -> torch.Tensor:
    """Central difference per pixel; one-sided at an open edge."""
    if boundary == "periodic":
        return (field.roll(-1, axis) - field.roll(1, axis)) / 2
    if field.shape[axis] == 1:  # there is nothing to differ from
        return torch.zeros_like(field)
    return torch.gradient(field, dim=axis)[0]
