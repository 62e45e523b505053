"""The demagnetisation tensor between equal cells of one layer, near and far.

Two prisms with a square base of side 1 and thickness t, their centres r apart in the plane, act on
each other through the tensor

    N_ab(r) = -1/(4 pi t) * integral over both prisms of d_a d_b 1/|r + s - s'|,

and the field averaged over a cell is H = -sum_r N(r) M(r). Lengths here are in cell sides. Two
evaluations share the work, because neither is good everywhere:

* near, up to 8 cell sides (or thicknesses, if those are longer): the closed form of Newell,
  Williams and Dunlop, J. Geophys. Res. 98, 9551 (1993), doi:10.1029/93JB00694. It is a sixth
  difference of functions that grow as r^3, so its rounding error grows as r^3 while N falls as
  t/(4 pi r^3). Against 50-digit arithmetic the relative error at r = 8 is 1e-10 for t = 1 and
  2e-9 for t = 0.1, but at r = 100 already 5e-4 and 3e-2.
* far: point dipoles averaged over both cells by Gauss quadrature, with a relative error near
  (0.8/r)^8 for t <= 1: 1e-8 at r = 8, 5e-12 at r = 20.

The absolute error of every element is thus below 1e-11 for t from 0.01 to 20; for thinner cells it
grows as 1/t.
"""

import math

import numpy as np

NEAR = 8
_TINY = 1e-300  # added to denominators whose numerators vanish with them
# Those of libm: NumPy's own differ in the last bit between processors, which the sixth differences
# carry into a few elements in single precision, and a chain into all spins.
_asinh, _atan = np.vectorize(math.asinh), np.vectorize(math.atan)


def point_dipole_tensor(
    x: np.ndarray, y: np.ndarray, z: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Components xx, yy and xy of (3 r_a r_b - delta_ab r^2) / r^5; zero at r = 0.

    The tensor is traceless, so zz = -(xx + yy).
    """
    r_squared = x * x + y * y + z * z
    with np.errstate(divide="ignore"):
        inverse = 1.0 / r_squared
    inverse[r_squared == 0] = 0.0
    cubed = inverse * np.sqrt(inverse)
    prefactor = 3.0 * cubed * inverse
    return prefactor * (x * x) - cubed, prefactor * (y * y) - cubed, prefactor * (x * y)


def demagnetisation_tensor(height: int, width: int, thickness: float) -> np.ndarray:
    """Tensor N at the cell offsets 0 <= y < height, 0 <= x < width, in float64.

    `thickness` is in cell sides. Returns shape (4, height, width) with the components xx, yy, xy
    and zz. The other quadrants follow by symmetry: xx, yy and zz are even in x and in y, xy is odd
    in each; xz and yz vanish within one layer.
    """
    tensor = _averaged_dipoles(height, width, thickness)
    reach = int(np.ceil(NEAR * max(1.0, thickness)))
    rows, columns = min(height, reach + 1), min(width, reach + 1)
    near = _newell(max(rows, columns), thickness)[:, :rows, :columns]
    y, x = np.ogrid[:rows, :columns]
    inside = x * x + y * y <= reach * reach
    tensor[:, :rows, :columns] = np.where(inside, near, tensor[:, :rows, :columns])
    return tensor


def _newell(size: int, thickness: float) -> np.ndarray:
    """Closed form at offsets 0 ... size-1 along x and y: shape (4, size, size)."""
    line = np.arange(-1.0, size + 1)
    # The functions are even in z, so z = -t, 0, t needs two layers; last axis: y, x, z.
    y, x, z = np.meshgrid(line, line, [0.0, thickness], indexing="ij")

    def second_differences(function: np.ndarray) -> np.ndarray:
        across = 2.0 * (function[..., 0] - function[..., 1])
        return np.diff(np.diff(across, 2, axis=0), 2, axis=1) / (4.0 * np.pi * thickness)

    xx = second_differences(_newell_f(x, y, z))
    zz = second_differences(_newell_f(z, y, x))
    xy = second_differences(_newell_g(x, y, z))
    return np.stack([xx, xx.T, xy, zz])


def _newell_f(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Equation 27 of Newell et al.: its sixth differences give N_xx."""
    x2, y2, z2 = x * x, y * y, z * z
    r = np.sqrt(x2 + y2 + z2)
    return (
        0.5 * y * (z2 - x2) * _asinh(y / (np.sqrt(x2 + z2) + _TINY))
        + 0.5 * z * (y2 - x2) * _asinh(z / (np.sqrt(x2 + y2) + _TINY))
        - x * y * z * _atan(y * z / (x * r + _TINY))
        + (2.0 * x2 - y2 - z2) * r / 6.0
    )


def _newell_g(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Equation 32 of Newell et al.: its sixth differences give N_xy."""
    x2, y2, z2 = x * x, y * y, z * z
    r = np.sqrt(x2 + y2 + z2)
    return (
        x * y * z * _asinh(z / (np.sqrt(x2 + y2) + _TINY))
        + y / 6.0 * (3.0 * z2 - y2) * _asinh(x / (np.sqrt(y2 + z2) + _TINY))
        + x / 6.0 * (3.0 * z2 - x2) * _asinh(y / (np.sqrt(x2 + z2) + _TINY))
        - z * z2 / 6.0 * _atan(x * y / (z * r + _TINY))
        - 0.5 * z * y2 * _atan(x * z / (y * r + _TINY))
        - 0.5 * z * x2 * _atan(y * z / (x * r + _TINY))
        - x * y * r / 3.0
    )


def _tent_nodes() -> tuple[np.ndarray, np.ndarray]:
    """Positive nodes and weights of the four-point Gauss rule for the weight 1 - |u| on [-1, 1].

    1 - |u| is how the difference of two points, each anywhere in its own cell, is distributed.
    The nodes are the zeros of the orthogonal polynomial u^4 - (31/49) u^2 + 19/490.
    """
    squares = np.sort(np.roots([1.0, -31.0 / 49.0, 19.0 / 490.0]))
    outer = (1.0 / 12.0 - 0.5 * squares[0]) / (squares[1] - squares[0])  # from <u^2> = 1/6
    return np.sqrt(squares), np.array([0.5 - outer, outer])


def _averaged_dipoles(height: int, width: int, thickness: float) -> np.ndarray:
    """Point dipoles spread over both cells: shape (4, height, width), meaningful when far."""
    nodes, weights = _tent_nodes()
    planar = [(sign * u, w) for u, w in zip(nodes, weights, strict=True) for sign in (1, -1)]
    y, x = np.ogrid[: float(height), : float(width)]
    tensor = np.zeros((4, height, width))
    for dz, weight_z in zip(thickness * nodes, 2.0 * weights, strict=True):
        for dy, weight_y in planar:
            for dx, weight_x in planar:
                factor = -thickness / (4.0 * np.pi) * weight_x * weight_y * weight_z
                parts = point_dipole_tensor(x + dx, y + dy, dz)
                for component, part in zip(tensor, parts, strict=False):
                    component += factor * part
    tensor[3] = -(tensor[0] + tensor[1])
    return tensor
