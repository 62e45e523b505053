"""The dipole-dipole interaction of one layer, applied by fast Fourier transform.

The unit-strength energy of a configuration S and its field are

    E = -1/2 sum_ij S_i . K(r_i - r_j) S_j,        h_i = -dE/dS_i = sum_j K(r_i - r_j) S_j,

with a real symmetric tensor K of the components xx, yy, xy and zz. `point_dipoles` builds K for
moments on the square lattice, `demagnetisation` for the cells of a film. Multiply E and h by the
dipolar strength: D for point dipoles, mu0 M_s^2 a^2 t for a film of cell side a and thickness t.

K is even in every displacement, hence its Fourier transform is real. K_xx, K_yy and K_zz are even
in k_x and in k_y, K_xy is odd in each, so a quarter of the spectrum says it all.
"""

import dataclasses
from collections.abc import Callable
from functools import cached_property, lru_cache

import numpy as np
import torch
from scipy.fft import next_fast_len
from scipy.special import erfc

from spinlib.kernels.spectrum import (
    GpuConvolution,
    GpuKernel,
    HostKernel,
    can_transform,
    convolve,
    lane_table,
)
from spinlib.newell import demagnetisation_tensor, point_dipole_tensor

# Bytes that torch transforms at a time; bounds the memory, nothing else.
_WORK_BYTES = 2**30

_TAIL = 1e-7  # of the periodic film's N; what the sum over distant cells may leave out
THICKEST = 20.0  # a film of one layer, in cell sides


@dataclasses.dataclass(frozen=True, eq=False)
class DipoleKernel:
    """The transformed interaction K of one geometry; made by the functions of this module.

    Attributes:
        height, width: size of the layer in sites.
        padded_size: rows and columns of the transform, (height, width) if periodic.
        quarter: K at k_x, k_y >= 0 in float64, shape (4, padded_width // 2 + 1,
            padded_height // 2 + 1), components xx, yy, xy, zz.
    """

    height: int
    width: int
    padded_size: tuple[int, int]
    quarter: np.ndarray = dataclasses.field(repr=False)
    _cast: dict = dataclasses.field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        # What should be zero is rounding, which other processors do otherwise.
        rounding = np.abs(self.quarter) < 1e-12 * np.abs(self.quarter).max()
        object.__setattr__(self, "quarter", np.where(rounding, 0.0, self.quarter))

    def field(self, spins: torch.Tensor) -> torch.Tensor:
        """Field h = -dE/dS of unit strength, like `spins`: (batch, 3, height, width)."""
        self._check(spins)
        return _Convolution.apply(spins, self)

    def prepared(self, spins: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """`field`, made ready for many calls with spins of the shape and on the device of these.

        It is not differentiable.
        """
        self._check(spins)
        if spins.is_cuda and spins.dtype == torch.float32:
            return GpuConvolution(spins, self.on_gpu(spins.device))
        return self._convolve

    def _check(self, spins: torch.Tensor) -> None:
        expected = (3, self.height, self.width)
        if spins.ndim != 4 or tuple(spins.shape[1:]) != expected:
            raise ValueError(
                f"The dipole kernel is for spins of shape (batch, 3, {self.height}, {self.width}), "
                f"but these have shape {tuple(spins.shape)}: build the kernel for their size."
            )
        if spins.dtype not in (torch.float32, torch.float64):
            raise TypeError(
                f"The dipole field needs float32 or float64 spins, but these are {spins.dtype}: "
                "convert them first, for example with .float()."
            )

    def _spectrum(self, like: torch.Tensor) -> torch.Tensor:
        """K at k_y >= 0 in the precision and on the device of `like`: (4, rows // 2 + 1, columns).

        Divided by the number of sites, so that the inverse transforms need not be scaled.
        """
        key = (like.dtype, like.device)
        if key not in self._cast:
            rows, columns = self.padded_size
            quarter = self.quarter.transpose(0, 2, 1) / (rows * columns)
            negative = quarter[:, :, 1 : (columns + 1) // 2][:, :, ::-1].copy()
            negative[2] *= -1.0
            full = np.concatenate([quarter, negative], axis=2)
            self._cast[key] = torch.from_numpy(full).to(like.device, like.dtype)
        return self._cast[key]

    @cached_property
    def host(self) -> HostKernel | None:
        """What the host's own transform needs; None if it does not take the size."""
        rows, columns = self.padded_size
        if not (can_transform(rows) and can_transform(columns)):
            return None
        return HostKernel(rows, columns, lane_table(self.quarter / (rows * columns)))

    def on_gpu(self, device: torch.device) -> GpuKernel:
        """What a GPU's convolution needs, K divided by the number of sites as in `_spectrum`."""
        rows, columns = self.padded_size
        if device not in self._cast:
            quarter = self.quarter.transpose(2, 1, 0) / (rows * columns)
            negative = quarter[1 : (rows + 1) // 2][::-1].copy()
            negative[..., 2] *= -1.0
            full = np.concatenate([quarter, negative])
            self._cast[device] = torch.from_numpy(full).to(device, torch.float32).contiguous()
        return GpuKernel(rows, columns, self._cast[device])

    @property
    def noise_shape(self) -> tuple[int, int, int, int]:
        """Shape of one state's white noise for `thermal_noise`: k_y >= 0, then k_x."""
        rows, columns = self.padded_size
        return 3, rows // 2 + 1, columns + columns % 2, 2

    def thermal_noise(self, white: torch.Tensor) -> torch.Tensor:
        """Transform of a Gaussian field of covariance K, from standard normal numbers.

        K must not have a negative eigenvalue (see `positive`). `white` has the shape (batch,
        *noise_shape).
        """
        noise = torch.view_as_complex(white)[..., : self.padded_size[1]].contiguous()
        _multiply(self.root._spectrum(white), noise)
        return noise

    @cached_property
    def root(self) -> "DipoleKernel":
        """The positive square root of K, scaled to make of white noise the transform's noise."""
        rows, columns = self.padded_size
        xx, yy, xy, zz = self.quarter
        determinant = np.sqrt(np.maximum(xx * yy - xy * xy, 0.0))
        trace = np.sqrt(np.maximum(xx + yy + 2.0 * determinant, 1e-300))
        root = [(xx + determinant) / trace, (yy + determinant) / trace, xy / trace]
        quarter = np.stack([*root, np.sqrt(np.maximum(zz, 0.0))])
        quarter *= np.sqrt(rows * columns / 2.0)  # real and imaginary part share the variance
        # but where the inverse transform along y drops the imaginary one
        quarter[:, :, :: rows // 2 if rows % 2 == 0 else rows] *= np.sqrt(2.0)
        return dataclasses.replace(self, quarter=quarter)

    @cached_property
    def positive(self) -> tuple["DipoleKernel", float]:
        """K + diag(c, c, c_z) with all eigenvalues above zero, and the anisotropy per unit
        strength, (c - c_z) / 2, that makes up for it.

        c and c_z are multiples of 1/64, from 1/64 to 2/64 more than it takes: exact numbers, and a
        square root that does not turn the rounding of small eigenvalues into large differences,
        so that states are the same bit for bit whatever processor made the kernel.
        """
        xx, yy, xy, zz = self.quarter
        lowest = 0.5 * (xx + yy) - np.sqrt(0.25 * (xx - yy) ** 2 + xy**2)
        # A millionth less, lest rounding decide between two multiples.
        shift, shift_z = (
            float(np.ceil(64 * -least.min() - 1e-6) + 1) / 64 for least in (lowest, zz)
        )
        shifts = np.array([shift, shift, 0.0, shift_z])[:, None, None]
        return dataclasses.replace(self, quarter=self.quarter + shifts), 0.5 * (shift - shift_z)

    def _convolve(self, spins: torch.Tensor) -> torch.Tensor:
        """K S for all states: on the host by the kernels' own transform where it can."""
        if spins.is_cuda and spins.dtype == torch.float32:
            return GpuConvolution(spins, self.on_gpu(spins.device))(spins)
        own = spins.device.type == "cpu" and spins.dtype == torch.float32 and self.host is not None
        return convolve(spins, self.host) if own else self.field_by_torch(spins)

    def field_by_torch(
        self, spins: torch.Tensor, noise: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The field by torch's transforms alone: what the others are held against.

        `noise` from `thermal_noise` is added to it; this is not differentiable.
        """
        rows, columns = self.padded_size
        bytes_per_state = 3 * (rows // 2 + 1) * columns * 2 * spins.element_size()
        states = max(1, _WORK_BYTES // bytes_per_state)
        result = torch.empty(spins.shape, dtype=spins.dtype, device=spins.device)
        for start in range(0, len(spins), states):
            piece = slice(start, start + states)
            # One axis at a time, so that of the columns that pad an open layer, which are zero,
            # none is transformed, and none that is cut off again afterwards.
            along_y = torch.fft.rfft(spins[piece], n=rows, dim=-2)
            transformed = torch.fft.fft(along_y, n=columns)
            _multiply(self._spectrum(spins), transformed)
            if noise is not None:
                transformed += noise[piece]
            along_y = torch.fft.ifft(transformed, norm="forward")[..., : self.width]
            back = torch.fft.irfft(along_y, n=rows, dim=-2, norm="forward")
            result[piece] = back[..., : self.height, :]
        return result


def _multiply(spectrum: torch.Tensor, transformed: torch.Tensor) -> None:
    """Replace the transform of S by that of K S, in place."""
    xx, yy, xy, zz = spectrum[..., None]
    x, y, z = torch.view_as_real(transformed).unbind(dim=1)
    x_to_y = x * xy
    x.mul_(xx).addcmul_(y, xy)
    y.mul_(yy).add_(x_to_y)
    z.mul_(zz)


class _Convolution(torch.autograd.Function):
    """h = K S. K is symmetric, so the gradient with respect to S is K applied to that of h."""

    @staticmethod
    def forward(ctx, spins: torch.Tensor, kernel: DipoleKernel) -> torch.Tensor:
        ctx.kernel = kernel
        return kernel._convolve(spins)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _Convolution.apply(gradient, ctx.kernel), None


def point_dipoles(height: int, width: int, boundary: str = "periodic") -> DipoleKernel:
    """Point dipoles on the square lattice of lattice constant 1.

    E = -sum over pairs of [3 (S_i . r)(S_j . r) - S_i . S_j r^2] / r^5. A periodic layer interacts
    with all its images, by Ewald's method; an open one with nothing outside.
    """
    _check_layer(height, width, boundary)
    return _point_dipoles(height, width, boundary)


def demagnetisation(
    height: int, width: int, boundary: str, *, cell: float, thickness: float
) -> DipoleKernel:
    """Demagnetising field of a film of one layer of cells, `cell` x `cell` x `thickness`.

    h = -N S with Newell's tensor N, averaged over the cells, so that H = M_s h for the
    magnetisation M_s S. The lengths are in one unit of your choice, only their ratio matters. A
    periodic film repeats without end in its plane: magnetised uniformly along its normal it has
    h_z = -1, in the plane 0.
    """
    _check_layer(height, width, boundary)
    for label, length in (("cell side", cell), ("film thickness", thickness)):
        if not (0.0 < length < np.inf):
            raise ValueError(f"The {label} is {length}, but must be a positive finite length.")
    if thickness > THICKEST * cell:
        raise ValueError(
            f"The film thickness {thickness} is {thickness / cell:.3g} times the cell side {cell}; "
            f"one layer of cells describes a film up to {THICKEST:g} times: use larger cells."
        )
    # Rounded, so that the same ratio in other units finds the kernel already built.
    return _demagnetisation(height, width, float(f"{thickness / cell:.14g}"), boundary)


def _check_layer(height: int, width: int, boundary: str) -> None:
    if boundary not in ("periodic", "open"):
        raise ValueError(f'The boundary is {boundary!r}, but must be "periodic" or "open".')
    for label, size in (("height", height), ("width", width)):
        if size != int(size) or size < 1:
            raise ValueError(f"The {label} is {size}, but must be a whole number of sites >= 1.")


@lru_cache(maxsize=8)
def _point_dipoles(height: int, width: int, boundary: str) -> DipoleKernel:
    size = _padded_size(height, width, boundary)
    if boundary == "periodic":
        quarter = _ewald(*size)
    else:
        y, x = np.ogrid[: float(height), : float(width)]
        quarter = _transform(_with_zz(*point_dipole_tensor(x, y)), *size)
    return DipoleKernel(height, width, size, quarter)


@lru_cache(maxsize=8)
def _demagnetisation(height: int, width: int, thickness: float, boundary: str) -> DipoleKernel:
    size = _padded_size(height, width, boundary)
    if boundary == "open":
        quarter = _transform(-demagnetisation_tensor(height, width, thickness), *size)
        return DipoleKernel(height, width, size, quarter)
    # All cells as point dipoles by Ewald's method, plus the difference, which the next multipole
    # makes fall as r^-5, by direct summation. Its tail beyond r sums to t |t^2 - 1| / (8 r^3) in
    # N_zz at k = 0 and to less elsewhere; for cubes, where this vanishes, 32 cells do.
    moment = thickness / (4.0 * np.pi)
    tail = thickness * abs(thickness**2 - 1.0) / (8.0 * _TAIL)
    reach = int(np.ceil(max(32.0 * max(1.0, thickness), tail ** (1.0 / 3.0))))
    y, x = np.ogrid[: reach + 1.0, : reach + 1.0]
    difference = -demagnetisation_tensor(reach + 1, reach + 1, thickness)
    difference -= moment * _with_zz(*point_dipole_tensor(x, y))
    difference *= x * x + y * y <= reach * reach
    quarter = _transform(difference, *size) + moment * _ewald(*size)
    return DipoleKernel(height, width, size, quarter)


def _padded_size(height: int, width: int, boundary: str) -> tuple[int, int]:
    """Size of the transform: at least 2n - 1 along an open axis of n sites, and fast."""
    if boundary == "periodic":
        return height, width
    rows, columns = (2 * next_fast_len(n, real=True) if n > 1 else 1 for n in (height, width))
    return rows, columns


def _with_zz(xx: np.ndarray, yy: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Stack of xx, yy, xy and the zz that makes the tensor traceless."""
    return np.stack([xx, yy, xy, -(xx + yy)])


def _transform(tensor: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Quarter spectrum of K from its values at the displacements x, y >= 0.

    The displacements may reach beyond the layer: they then are those of its periodic images.
    """
    _, height, width = tensor.shape
    angle_y = np.outer(2.0 * np.pi / rows * np.arange(rows // 2 + 1), np.arange(height))
    angle_x = np.outer(2.0 * np.pi / columns * np.arange(columns // 2 + 1), np.arange(width))
    cos_y, cos_x = 2.0 * np.cos(angle_y), 2.0 * np.cos(angle_x)
    cos_y[:, 0] = cos_x[:, 0] = 1.0  # x = 0 has no mirror image
    sin_y, sin_x = 2.0 * np.sin(angle_y), 2.0 * np.sin(angle_x)
    xx, yy, xy, zz = tensor
    even = [cos_x @ component.T @ cos_y.T for component in (xx, yy, zz)]
    return np.stack([even[0], even[1], -(sin_x @ xy.T @ sin_y.T), even[2]])


def _ewald(rows: int, columns: int, splitting: float = np.sqrt(np.pi)) -> np.ndarray:
    """Quarter spectrum of point dipoles summed over all images, without the self term.

    The spectrum of a rows x columns lattice repeated for ever is that of the endless lattice,
    sum over r != 0 of K(r) exp(-i k . r), at the wavevectors that fit into it. Ewald's split
    1/r = erfc(s r)/r + erf(s r)/r makes both parts converge like Gaussians: with
    K_ab = d_a d_b (1/r), the first is summed over r, the second over reciprocal vectors, where
    erf(s r)/r in the plane transforms to (2 pi / q) erfc(q / 2s), q = k + G. The
    result does not depend on the `splitting` s.
    """
    reach = int(6.1 / splitting) + 1  # beyond it erfc(s r) < 1e-17
    y, x = np.ogrid[: reach + 1.0, : reach + 1.0]
    r_squared = x * x + y * y
    r_squared[0, 0] = 1.0  # the self term, dropped below
    gauss = 2.0 * splitting / np.sqrt(np.pi) * np.exp(-(splitting**2) * r_squared) / r_squared
    radial = erfc(splitting * np.sqrt(r_squared)) / r_squared**1.5 + gauss
    mixed = (3.0 * radial + 2.0 * splitting**2 * gauss * r_squared) / r_squared
    near = _with_zz(mixed * x * x - radial, mixed * y * y - radial, mixed * x * y)
    near[:, 0, 0] = 0.0
    xx, yy, xy, _ = _transform(near, rows, columns)

    k_x = 2.0 * np.pi / columns * np.arange(columns // 2 + 1)[:, None]
    k_y = 2.0 * np.pi / rows * np.arange(rows // 2 + 1)[None, :]
    furthest = int(12.2 * splitting / (2.0 * np.pi) + 0.5)
    shifts = 2.0 * np.pi * np.arange(-furthest, furthest + 1)
    for q_x in (k_x + shift for shift in shifts):
        for q_y in (k_y + shift for shift in shifts):
            q = np.sqrt(q_x * q_x + q_y * q_y)
            far = -2.0 * np.pi * erfc(q / (2.0 * splitting)) / np.maximum(q, 1e-300)
            xx += far * (q_x * q_x)
            yy += far * (q_y * q_y)
            xy += far * (q_x * q_y)
    # The sum over reciprocal vectors holds the smooth part's own r = 0: take it out.
    own = 4.0 * splitting**3 / (3.0 * np.sqrt(np.pi))
    return _with_zz(xx + own, yy + own, xy)
