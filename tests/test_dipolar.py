"""The dipolar field against lattice sums, brute force over pairs, and films known exactly."""

from functools import partial

import numpy as np
import pytest
import torch
from conftest import NEEDS_GPU
from gpu_on_host import HostLaunch
from scipy.integrate import quad
from scipy.special import erfc, zeta

from spinlib import dipolar
from spinlib.dipolar import demagnetisation, point_dipoles
from spinlib.hamiltonian import Dipolar
from spinlib.kernels import spectrum

# Dirichlet's beta function at 3/2 through Hurwitz' zeta function.
BETA = 4.0**-1.5 * (zeta(1.5, 0.25) - zeta(1.5, 0.75))
LATTICE_SUM = 4.0 * zeta(1.5) * BETA  # sum of r^-3 over the square lattice


def random_spins(batch, height, width, seed=0, dtype=torch.float64):
    values = np.random.default_rng(seed).normal(size=(batch, 3, height, width))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return torch.from_numpy(values).to(dtype)


def uniform(direction, height, width):
    spins = torch.zeros(1, 3, height, width, dtype=torch.float64)
    spins[:, "xyz".index(direction)] = 1.0
    return spins


def energy(kernel, spins):
    return Dipolar(1.0, kernel).energy(spins)


def pair_tensor(x, y):
    """(3 r_a r_b - delta_ab r^2) / r^5 written out as a 3 x 3 matrix; zero at r = 0."""
    r = np.hypot(x, y)
    vector = np.stack([x, y, np.zeros_like(x)])
    outer = 3 * vector[:, None] * vector[None] - np.eye(3)[:, :, None] * r**2
    return np.where(r > 0, outer / np.maximum(r, 1e-9) ** 5, 0.0)


def brute_force(spins, boundary, reach, weight=lambda r: 1.0):
    """Field by summing over pairs one by one; all images within `reach` if periodic."""
    values = spins.numpy()
    _, _, height, width = values.shape
    field = np.zeros_like(values)
    copies_y, copies_x = (
        (int(reach) // height + 2, int(reach) // width + 2) if boundary == "periodic" else (0, 0)
    )
    shift_y, shift_x = np.mgrid[-copies_y : copies_y + 1, -copies_x : copies_x + 1].astype(float)
    for y in range(height):
        for x in range(width):
            for other_y in range(height):
                for other_x in range(width):
                    dy = (other_y - y + shift_y * height).ravel()
                    dx = (other_x - x + shift_x * width).ravel()
                    inside = np.hypot(dx, dy) <= reach
                    dx, dy = dx[inside], dy[inside]
                    tensor = (pair_tensor(dx, dy) * weight(np.hypot(dx, dy))).sum(axis=-1)
                    field[:, :, y, x] += values[:, :, other_y, other_x] @ tensor
    return field


def test_lattice_sum_and_shape_anisotropy():
    kernel = point_dipoles(6, 7)
    assert LATTICE_SUM == pytest.approx(9.033621683, abs=1e-9)
    normal = kernel.field(uniform("z", 6, 7))
    # Ewald's sum in float64: only rounding is left.
    torch.testing.assert_close(normal[:, 2], torch.full_like(normal[:, 2], -LATTICE_SUM))
    assert normal[:, :2].abs().max() < 1e-12
    energies = {axis: energy(kernel, uniform(axis, 6, 7)).item() / 42 for axis in "xyz"}
    assert energies["x"] == pytest.approx(-LATTICE_SUM / 4, rel=1e-10)
    assert energies["y"] == pytest.approx(energies["x"], rel=1e-10)
    # The full sum gives 6.775, not the 2 pi of the continuum.
    assert energies["z"] - energies["x"] == pytest.approx(0.75 * LATTICE_SUM, rel=1e-10)
    assert energies["z"] - energies["x"] == pytest.approx(6.775, abs=5e-4)


@pytest.mark.parametrize("size", [(4, 4), (5, 3), (1, 8)])
def test_periodic_against_brute_force(size):
    spins = random_spins(2, *size, seed=1)
    rim, softness = 60.0, 6.0

    def inner(r):
        return 0.5 * erfc((r - rim) / softness)

    # A soft rim, wide against the lattice constant, so that what lies beyond is a continuum of
    # the mean magnetisation: the integral of K (1 - weight) corrects for it to about 1e-7.
    field = brute_force(spins, "periodic", rim + 6 * softness, inner)
    tail, _ = quad(lambda r: (1 - inner(r)) / r**2, 1.0, np.inf, limit=200)
    mean = spins.mean(dim=(2, 3)).numpy()
    field += (np.pi * tail * mean * np.array([1.0, 1.0, -2.0]))[:, :, None, None]
    np.testing.assert_allclose(point_dipoles(*size).field(spins).numpy(), field, atol=1e-5)


@pytest.mark.parametrize("size", [(6, 6), (7, 4), (1, 5), (5, 1)])
def test_open_against_brute_force(size):
    spins = random_spins(2, *size, seed=2)
    field = brute_force(spins, "open", np.inf)
    kernel = point_dipoles(*size, "open")
    # Both are exact sums.
    np.testing.assert_allclose(kernel.field(spins).numpy(), field, atol=1e-11)
    # Single precision loses no more than its rounding; fields here are of order 10.
    np.testing.assert_allclose(kernel.field(spins.float()).numpy(), field, atol=1e-5)


@pytest.mark.parametrize("size", [(6, 6), (5, 8), (9, 7)])
def test_ewald_does_not_depend_on_the_splitting(size):
    reference = dipolar._ewald(*size)
    for splitting in (1.0, 2.6):
        # Both parts of the sum are cut where their terms fall below 1e-16.
        np.testing.assert_allclose(dipolar._ewald(*size, splitting), reference, atol=1e-12)


KERNELS = {
    "point dipoles, periodic": lambda h, w: point_dipoles(h, w),
    "point dipoles, open": lambda h, w: point_dipoles(h, w, "open"),
    "film, periodic": lambda h, w: demagnetisation(h, w, "periodic", cell=4.0, thickness=1.0),
    "film, open": lambda h, w: demagnetisation(h, w, "open", cell=4.0, thickness=1.0),
}


@pytest.fixture(params=KERNELS)
def build(request):
    return KERNELS[request.param]


@pytest.mark.parametrize("size", [(3, 4), (4, 3)])
def test_field_is_minus_the_gradient_of_the_energy(build, size):
    kernel = build(*size)
    spins = random_spins(1, *size, seed=4).requires_grad_()
    (gradient,) = torch.autograd.grad(energy(kernel, spins).sum(), spins)
    torch.testing.assert_close(kernel.field(spins.detach()), -gradient)
    # Autograd uses the symmetry of K, so finite differences are the independent check of it.
    assert torch.autograd.gradcheck(partial(energy, kernel), spins)
    assert torch.autograd.gradgradcheck(partial(energy, kernel), spins)


def test_states_of_a_batch_do_not_mix(build, monkeypatch):
    spins = random_spins(5, 6, 8, seed=5, dtype=torch.float32)
    kernel = build(6, 8)
    together = kernel.field(spins)
    alone = torch.cat([kernel.field(state[None]) for state in spins])
    # Rounding of float32 fields of order 10.
    torch.testing.assert_close(together, alone, rtol=0, atol=5e-6)
    # In pieces of one state, by torch's transform.
    monkeypatch.setattr(dipolar, "_WORK_BYTES", 1)
    torch.testing.assert_close(kernel.field(spins.double()).float(), together, rtol=0, atol=5e-6)
    assert kernel.field(spins[:0]).shape == (0, 3, 6, 8)


# Even and odd, one line and several, every radix, halves that are padding and halves that are not.
@pytest.mark.parametrize(
    "size",
    [(2, 2), (6, 8), (16, 16), (17, 33), (48, 20), (64, 40), (33, 70), (100, 100), (128, 256)],
)
def test_the_hosts_own_transform_makes_the_same_field(build, size):
    kernel = build(*size)
    spins = random_spins(2, *size, seed=6, dtype=torch.float32)
    assert dipolar.can_transform(kernel.padded_size[0]) == all(
        kernel.padded_size[0] % prime for prime in (11, 17)
    )
    host = kernel.host and spectrum.convolve(spins, kernel.host)
    assert host is None or torch.equal(kernel.field(spins), host)
    # Single precision: some ten operations on numbers up to 20, rounded to 6e-8 of each.
    torch.testing.assert_close(
        kernel.field(spins), kernel.field(spins.double()).float(), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("size", [(6, 8), (17, 33), (1, 4), (48, 20)])
@pytest.mark.parametrize("work", [2**30, 1], ids=["at once", "one by one"])
def test_the_gpus_convolution_makes_the_same_field(build, size, work, monkeypatch):
    monkeypatch.setattr(spectrum, "Launch", HostLaunch)
    monkeypatch.setattr(spectrum, "_WORK_BYTES", work)
    kernel = build(*size)
    spins = random_spins(3, *size, seed=6, dtype=torch.float32)
    convolution = spectrum.GpuConvolution(spins, kernel.on_gpu(spins.device))
    expected = kernel.field(spins.double()).float()
    for _ in range(2):  # what one call leaves in the padding would be seen by the next
        torch.testing.assert_close(convolution(spins), expected, rtol=0, atol=1e-5)  # as above


@pytest.mark.gpu
@NEEDS_GPU
@pytest.mark.parametrize("size", [(2, 2), (6, 8), (17, 33), (100, 100), (128, 256)])
def test_a_gpu_makes_the_same_field(build, size):
    kernel = build(*size)
    spins = random_spins(3, *size, seed=6, dtype=torch.float32).cuda()
    expected = kernel.field(spins.cpu().double()).float()
    crooked = spins.permute(2, 3, 0, 1).contiguous().permute(2, 3, 0, 1)
    prepared = kernel.prepared(spins)
    for field in (kernel.field(spins), kernel.field(crooked), prepared(spins), prepared(spins)):
        assert field.is_contiguous()
        torch.testing.assert_close(field.cpu(), expected, rtol=0, atol=1e-5)  # as above
    assert kernel.field(spins[:0]).shape == (0, 3, *size)
    torch.testing.assert_close(kernel.field(spins.double()).cpu().float(), expected)
    spins.requires_grad_()
    (gradient,) = torch.autograd.grad(energy(kernel, spins).sum(), spins)
    torch.testing.assert_close(-gradient.cpu(), expected, rtol=0, atol=1e-5)


def test_the_field_does_not_depend_on_batch_or_threads():
    kernel = demagnetisation(300, 180, "open", cell=4.0, thickness=1.0)
    spins = random_spins(3, 300, 180, seed=9, dtype=torch.float32)
    before, fields = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            fields += [kernel.field(spins), torch.cat([kernel.field(s[None]) for s in spins])]
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(field, fields[0]) for field in fields)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-12), (torch.float32, 5e-6)])
def test_memory_layout_of_the_spins_does_not_matter(build, dtype, atol):
    spins = random_spins(4, 6, 8, seed=7, dtype=dtype)
    kernel = build(6, 8)
    expected = kernel.field(spins)
    for view in (
        spins.permute(2, 3, 0, 1).contiguous().permute(2, 3, 0, 1),  # batch and components inside
        spins.transpose(2, 3).contiguous().transpose(2, 3),
        torch.cat([spins, spins], dim=3)[..., :8],
        torch.stack([spins, spins], dim=1).flatten(0, 1)[::2],
    ):
        assert torch.equal(view, spins)
        field = kernel.field(view)
        assert field.is_contiguous()
        torch.testing.assert_close(field, expected, rtol=0, atol=atol)
    expanded = kernel.field(spins[:1].expand(4, 3, 6, 8))
    torch.testing.assert_close(expanded[3:], expected[:1], rtol=0, atol=atol)


def test_translation_of_a_periodic_layer():
    spins = random_spins(1, 9, 8, seed=8)
    kernel = point_dipoles(9, 8)
    moved = kernel.field(spins.roll((2, 3), (2, 3)))
    torch.testing.assert_close(moved, kernel.field(spins).roll((2, 3), (2, 3)))


def test_prism_of_many_cells():
    """The mean demagnetising factor of a 3 x 8 x 1/2 prism, cut into cells in two ways."""
    for cells, size in ((1, (8, 3)), (4, (32, 12))):
        kernel = demagnetisation(*size, "open", cell=1.0 / cells, thickness=0.5)
        sites = size[0] * size[1]
        n_xx, n_zz = (2 * energy(kernel, uniform(axis, *size)).item() / sites for axis in "xz")
        # The references carry nine digits; cutting a uniform prism is exact.
        assert n_xx == pytest.approx(0.157753814, abs=2e-9)
        assert n_zz == pytest.approx(0.785468151, abs=2e-9)


@pytest.mark.parametrize("thickness", [0.1, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("size", [(5, 8), (1, 1)])
def test_uniform_periodic_film(size, thickness):
    kernel = demagnetisation(*size, "periodic", cell=1.0, thickness=thickness)
    for axis, expected in (("x", 0.0), ("y", 0.0), ("z", -1.0)):
        spins = uniform(axis, *size)
        # The sum over distant cells is cut at 1e-7.
        torch.testing.assert_close(kernel.field(spins), expected * spins, rtol=0, atol=2e-7)


def test_periodic_film_against_the_exact_film_in_reciprocal_space():
    """N(k) = sum over G of the film's tensor at k + G times the cell's form factor squared."""
    height, width, thickness = 6, 4, 0.5
    kernel = demagnetisation(height, width, "periodic", cell=1.0, thickness=thickness)
    index_y, index_x = 1, 1
    shifts = 2 * np.pi * np.arange(-600, 601)
    q_y = (2 * np.pi * index_y / height + shifts)[:, None]
    q_x = (2 * np.pi * index_x / width + shifts)[None, :]
    q_squared = q_x**2 + q_y**2
    qt = np.sqrt(q_squared) * thickness
    cell = np.sinc(q_x / (2 * np.pi)) ** 2 * np.sinc(q_y / (2 * np.pi)) ** 2
    normal = (1 - np.exp(-qt)) / qt
    expected = np.array(
        [(normal * cell).sum(), (q_x * q_y / q_squared * (1 - normal) * cell).sum()]
    )
    actual = -kernel.quarter[[3, 2], index_x, index_y]
    # Along an axis the zz terms fall as 1/G^3, so what lies beyond 600 reciprocal vectors is of
    # order 1/600^2 / (2 pi)^2 = 7e-8; the kernel's own sum is cut at 1e-7.
    np.testing.assert_allclose(actual, expected, rtol=0, atol=4e-7)


def test_large_open_film_is_a_film_in_the_middle():
    kernel = demagnetisation(201, 201, "open", cell=1.0, thickness=0.5)
    field = kernel.field(uniform("z", 201, 201))[0, 2, 100, 100].item()
    # The charged rim: a square of side L lacks 2 sqrt(2) t / (pi L) of h_z = -1.
    assert field == pytest.approx(-1 + 2 * 2**0.5 * 0.5 / (np.pi * 201), abs=1e-6)


def test_kernels_are_cached_by_geometry():
    assert point_dipoles(6, 6) is point_dipoles(6, 6, "periodic")
    # 1/3 is rounded differently in the two units.
    metres, cells = ({"cell": 3.0 * unit, "thickness": unit} for unit in (1e-9, 1.0))
    assert demagnetisation(6, 6, "open", **metres) is demagnetisation(6, 6, "open", **cells)
    spins = random_spins(1, 6, 6)
    kernel = point_dipoles(6, 6)
    assert kernel._spectrum(spins) is kernel._spectrum(spins)
    assert "quarter" not in repr(kernel)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: point_dipoles(6, 6, "closed"), "'closed'"),
        (lambda: point_dipoles(0, 6), "height is 0"),
        (lambda: point_dipoles(6, 2.5), "width is 2.5"),
        (lambda: demagnetisation(6, 6, "open", cell=-1.0, thickness=1.0), "cell side is -1.0"),
        (lambda: demagnetisation(6, 6, "open", cell=1.0, thickness=np.nan), "thickness is nan"),
        (lambda: demagnetisation(6, 6, "open", cell=1.0, thickness=50.0), "use larger cells"),
        (lambda: point_dipoles(6, 6).field(random_spins(1, 6, 5)), r"\(1, 3, 6, 5\)"),
        (lambda: point_dipoles(6, 6).field(random_spins(1, 6, 6)[0]), r"\(3, 6, 6\)"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_half_precision_is_refused():
    with pytest.raises(TypeError, match="float16"):
        point_dipoles(6, 6).field(random_spins(1, 6, 6).half())
