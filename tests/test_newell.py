"""Newell's tensor against published and computed values, an independent integral and its limits."""

import numpy as np
import pytest
from scipy.integrate import dblquad

from spinlib import newell
from spinlib.newell import demagnetisation_tensor

# Self terms (N_xx, N_zz) of 1 x 1 x t prisms, worked out beyond double precision.
SELF_TERMS = [
    (1.0, 1 / 3, 1 / 3),
    (0.5, 0.252038981, 0.495922038),
    (0.1, 0.097461183, 0.805077634),
]


@pytest.mark.parametrize(("thickness", "n_xx", "n_zz"), SELF_TERMS)
def test_self_terms(thickness, n_xx, n_zz):
    xx, yy, xy, zz = demagnetisation_tensor(1, 1, thickness)[:, 0, 0]
    # The references carry nine digits.
    np.testing.assert_allclose([xx, yy, zz], [n_xx, n_xx, n_zz], atol=1e-9)
    assert abs(xy) < 1e-14


def test_neighbouring_cubes():
    xx, yy, _, zz = demagnetisation_tensor(1, 2, 1.0)[:, 0, 1]
    assert xx == pytest.approx(-0.135017181, abs=1e-9)
    assert yy == pytest.approx(0.135017181 / 2, abs=1e-9)  # axial symmetry and zero trace
    assert zz == pytest.approx(yy, abs=1e-12)


@pytest.mark.parametrize("thickness", [0.1, 0.5, 1.0, 3.0])
def test_trace_is_one_at_the_origin_and_zero_elsewhere(thickness):
    xx, yy, _, zz = demagnetisation_tensor(30, 30, thickness)
    expected = np.zeros((30, 30))
    expected[0, 0] = 1.0
    # xx, yy and zz of the closed form are evaluated separately; its rounding error is the limit.
    np.testing.assert_allclose(xx + yy + zz, expected, atol=1e-11)


def test_off_diagonal_term_against_the_integral_over_charged_faces():
    """N_xy from the Coulomb energy of the faces x = const of one cell, y = const of the other."""
    thickness, x, y = 0.7, 2.0, 1.0

    def potential_of_sheets(dx, dy):
        # Both faces stand upright. The mean over their heights of 1/sqrt(rho^2 + z^2), with z
        # distributed as the difference of two uniform heights, in closed form.
        rho = np.hypot(dx, dy)
        far = np.hypot(rho, thickness)
        return 2 / thickness * (np.arcsinh(thickness / rho) - (far - rho) / thickness)

    energy = 0.0
    for sign_x in (1, -1):
        for sign_y in (1, -1):
            # The face of cell 1 at x = sign_x/2, running along y = u; that of cell 2 at
            # y = sign_y/2, running along x = v.
            value, _ = dblquad(
                lambda u, v, a=sign_x, b=sign_y: potential_of_sheets(x + v - a / 2, y + b / 2 - u),
                -0.5,
                0.5,
                -0.5,
                0.5,
                epsabs=1e-10,
            )
            energy += sign_x * sign_y * value * thickness**2
    n_xy = demagnetisation_tensor(2, 3, thickness)[2, 1, 2]
    # The quadrature is good to 1e-10.
    assert n_xy == pytest.approx(energy / (4 * np.pi * thickness), abs=1e-9)


@pytest.mark.parametrize("thickness", [0.1, 0.25, 1.0])
def test_closed_form_and_quadrature_agree_where_they_meet(thickness):
    size = newell.NEAR + 3
    closed = newell._newell(size, thickness)
    spread = newell._averaged_dipoles(size, size, thickness)
    y, x = np.mgrid[:size, :size]
    distance = np.hypot(x, y)
    at_seam = np.abs(distance - newell.NEAR) < 1.0
    scale = thickness / (4 * np.pi * np.maximum(distance, 1) ** 3)
    # (0.8 / 7)^8 = 3e-8 is left out by the quadrature at the inner edge of the ring.
    assert (np.abs(closed - spread) / scale)[:, at_seam].max() < 6e-8


@pytest.mark.parametrize("thickness", [0.25, 1.0, 2.0])
def test_far_cells_are_point_dipoles(thickness):
    xx, yy, xy, zz = demagnetisation_tensor(121, 161, thickness)[:, 120, 160]
    x, y, r = 160.0, 120.0, 200.0
    moment = thickness / (4 * np.pi)
    dipole = -moment * np.array([3 * x * x - r * r, 3 * y * y - r * r, 3 * x * y, -r * r]) / r**5
    # The next multipole is smaller by up to |t^2 - 1| / 12 * 12 / r^2 = 7.5e-5 (fourth derivatives
    # of 1/r reach 24 / r^5, second ones 2 / r^3).
    np.testing.assert_allclose([xx, yy, xy, zz], dipole, rtol=0, atol=1e-4 * 2 * moment / r**3)


def test_exchange_of_the_axes():
    xx, yy, xy, zz = demagnetisation_tensor(25, 25, 0.3)
    np.testing.assert_allclose(xx, yy.T, atol=1e-12)
    np.testing.assert_allclose(xy, xy.T, atol=1e-12)
    np.testing.assert_allclose(zz, zz.T, atol=1e-12)
