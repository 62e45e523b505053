"""Picture files of every kind, bad ones above all; tiles."""

import io
import math
import random
import struct
import sys
import types
import zlib

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from scipy.ndimage import binary_opening

from spinlib import pictures
from spinlib.contrast import colour, in_plane, vectors_from_colour
from spinlib.ovf import write_ovf
from spinlib.pictures import PictureError, bars, blank, read_picture, tiles


def texture(height=48, width=64):
    """Stripes from 0 to 1 that differ left, right, up and down; the top row first."""
    y, x = np.mgrid[:height, :width]
    stripes = 0.5 + 0.5 * np.sin(0.5 * x + 0.2 * y)
    return (stripes * (0.6 + 0.4 * y / height)).astype(np.float32)


def stored(bits=8, **size):
    return np.round(texture(**size) * (2**bits - 1)).astype(f"uint{bits}")


def spins(height=40, width=50):
    vectors = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    return vectors / vectors.norm(dim=1, keepdim=True)


def refused(path, *words, **arguments):
    """Expect one sentence that names the file and the reason; hand the sentence back."""
    with pytest.raises(PictureError) as caught:
        read_picture(path, **arguments)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message and message.endswith(".")
    for word in words:
        assert word in message
    return message


# --- good files ----------------------------------------------------------------------------------


def save(path, values):
    """Write grey values of 8 or 16 bits or floats in the format of the file's name."""
    if path.suffix == ".npy":
        np.save(path, values[::-1])
    elif path.suffix == ".tif":
        tifffile.imwrite(path, values)
    elif path.suffix == ".ovf":
        write_ovf(path, values[None, ::-1].astype(np.float32), 2e-9, title="m")
    else:
        Image.fromarray(values).save(path, **({"quality": 95} if path.suffix == ".jpg" else {}))


@pytest.mark.parametrize(
    ("name", "bits", "tolerance"),
    [
        ("a.png", 8, 0.004),  # half a grey level, and the same again in the stretch
        ("a.png", 16, 1e-4),
        ("a.jpg", 8, 0.06),  # what JPEG of quality 95 loses
        ("a.gif", 8, 0.004),
        ("a.bmp", 8, 0.004),
        ("a.tif", 8, 0.004),
        ("a.tif", 16, 1e-4),
        ("a.tif", 0, 1e-6),
        ("a.npy", 8, 0.004),
        ("a.npy", 0, 1e-6),
        ("a.ovf", 0, 1e-6),
    ],
)
def test_grey_pictures_of_every_format(tmp_path, name, bits, tolerance):
    save(tmp_path / name, stored(bits) if bits else texture())
    picture = read_picture(tmp_path / name)
    low, high = np.percentile(texture(), (0.5, 99.5))
    expected = np.clip((texture()[::-1] - low) / (high - low), 0, 1)
    assert picture.pixels.dtype == torch.float32
    assert picture.pixels.shape == (1, 48, 64)
    assert np.abs(picture.pixels[0].numpy() - expected).max() < tolerance
    assert picture.source.endswith(name)


@pytest.mark.parametrize(
    ("name", "how", "coarse"),
    [
        ("a.png", {}, ""),
        ("a.jpg", {"quality": 95, "subsampling": "4:4:4"}, ""),
        ("a.jpg", {"quality": 95, "subsampling": "4:2:2"}, "chroma"),
        ("a.jpg", {"quality": 95}, "chroma"),  # 4:2:0
        ("a.mpo", {"quality": 95, "save_all": True}, "chroma"),
        ("a.gif", {}, "palette"),
    ],
)
def test_colours_coarser_than_the_picture_are_noticed(tmp_path, name, how, coarse):
    rgb = np.round(colour(spins())[0].numpy() * 255).astype(np.uint8).transpose(1, 2, 0)
    Image.fromarray(rgb).save(tmp_path / name, **how)
    found = read_picture(tmp_path / name).coarse_colours
    assert coarse in found and bool(found) == bool(coarse)
    grey = Image.fromarray(rgb[..., :1].repeat(3, 2))  # no colours to be coarse
    grey.save(tmp_path / name, **how)
    assert not read_picture(tmp_path / name).coarse_colours


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_palette_makes_colours_coarse(tmp_path, name):
    rgb = np.round(colour(spins())[0].numpy() * 255).astype(np.uint8).transpose(1, 2, 0)
    Image.fromarray(rgb).quantize(64).save(tmp_path / name)
    assert "palette" in read_picture(tmp_path / name).coarse_colours


def test_jpeg_inside_tiff_has_coarse_colours_too(tmp_path):
    rgb = np.round(colour(spins())[0].numpy() * 255).astype(np.uint8).transpose(1, 2, 0)
    Image.fromarray(rgb).save(tmp_path / "film.jpg", quality=95)  # 4:2:0
    jpeg = (tmp_path / "film.jpg").read_bytes()
    jpeg += b"\0" * (len(jpeg) % 2)
    height, width, _ = rgb.shape
    behind = 8 + len(jpeg)  # three numbers of bits, and then the tags
    tags = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, behind), (259, 3, 1, 7)]
    tags += [(262, 3, 1, 6), (273, 4, 1, 8), (277, 3, 1, 3), (278, 3, 1, height)]
    tags += [(279, 4, 1, len(jpeg)), (530, 3, 2, 2 + (2 << 16))]
    tiff = (
        struct.pack("<2sHI", b"II", 42, behind + 6) + jpeg + struct.pack("<3HH", 8, 8, 8, len(tags))
    )
    tiff += b"".join(struct.pack("<HHII", *tag) for tag in tags) + struct.pack("<I", 0)
    (tmp_path / "film.tif").write_bytes(tiff)
    in_tiff, alone = (read_picture(tmp_path / f"film.{kind}") for kind in ("tif", "jpg"))
    assert in_tiff.coarse_colours and alone.coarse_colours
    assert torch.equal(in_tiff.pixels, alone.pixels)


def test_colour_picture_becomes_spins_the_right_way_up(tmp_path):
    state = spins()
    rgb = np.round(colour(state)[0].numpy() * 255).astype(np.uint8)
    Image.fromarray(rgb[:, ::-1].transpose(1, 2, 0)).save(tmp_path / "spins.png")
    picture = read_picture(tmp_path / "spins.png")
    assert picture.pixels.shape == (3, 40, 50)
    back, lost = vectors_from_colour(picture.pixels[None])
    # cos of the angle between the states, for pixels that 8 bits keep to two degrees.
    sure = lost[0] < np.deg2rad(2)
    assert sure.float().mean() > 0.6
    assert (back * state).sum(dim=1)[0][sure].min() > np.cos(np.deg2rad(2))


def test_sixteen_bit_colour_and_planes(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "rgb.tif", rgb, photometric="rgb")
    planes = np.ascontiguousarray(rgb.transpose(2, 0, 1))
    tifffile.imwrite(tmp_path / "planes.tif", planes, photometric="rgb", planarconfig="separate")
    for name in ("rgb.tif", "planes.tif"):
        pixels = read_picture(tmp_path / name).pixels.numpy()
        np.testing.assert_allclose(pixels, planes[:, ::-1] / 65535, atol=1e-6)


def test_palettes_greys_saved_as_colour_and_inverted_greys(tmp_path):
    grey = stored()
    expected = read_picture_of(tmp_path, grey)
    Image.fromarray(np.stack([grey] * 3, axis=-1)).save(tmp_path / "rgb.png")
    Image.fromarray(grey).convert("P").save(tmp_path / "palette.png")
    tifffile.imwrite(tmp_path / "white.tif", 255 - grey, photometric="miniswhite")
    table = np.stack([np.arange(256, dtype=np.uint16) * 257] * 3)
    tifffile.imwrite(tmp_path / "palette.tif", grey, photometric="palette", colormap=table)
    Image.fromarray(grey).save(tmp_path / "lzw.tif", compression="tiff_lzw")
    fine = 257 * (255 - grey.astype(np.uint16))
    white = {"compression": "tiff_lzw", "tiffinfo": {262: 0}}
    Image.fromarray(fine).save(tmp_path / "white lzw.tif", **white)
    signed = (fine.astype(np.int32) - 2**15).astype(np.int16)  # the lowest has no negative
    tifffile.imwrite(tmp_path / "white signed.tif", signed, photometric="miniswhite")
    for path in tmp_path.iterdir():
        torch.testing.assert_close(read_picture(path).pixels, expected, atol=1e-6, rtol=0)


def test_a_picture_of_one_bit(tmp_path):
    bits = texture(40, 50) > 0.5
    expected = torch.from_numpy(bits[::-1].copy()).float()[None]
    Image.fromarray(bits).save(tmp_path / "bits.png")
    tifffile.imwrite(tmp_path / "black.tif", bits, photometric="minisblack")
    tifffile.imwrite(tmp_path / "white.tif", ~bits, photometric="miniswhite")
    for path in tmp_path.iterdir():
        assert torch.equal(read_picture(path).pixels, expected), path


def test_colours_in_tiff_that_are_kept_as_brightness_and_hue(tmp_path):
    rgb = np.zeros((40, 50, 3), np.uint8)
    rgb[:20, :, 0] = rgb[20:, :, 1] = 255
    Image.fromarray(rgb).convert("YCbCr").save(tmp_path / "film.tif")
    picture = read_picture(tmp_path / "film.tif")
    expected = torch.from_numpy(rgb[::-1].copy()).permute(2, 0, 1) / 255
    # Three numbers of 8 bits stand for three others.
    torch.testing.assert_close(picture.pixels, expected, atol=2 / 255, rtol=0)


@pytest.mark.parametrize("values", [255 * texture(20, 30), np.round(255 * texture(20, 30))])
@pytest.mark.parametrize("kind", [np.float32, np.int16, np.int64])
def test_colours_without_a_white_are_refused(tmp_path, values, kind):
    rgb = np.stack([values, values[::-1], values[:, ::-1]]).astype(kind)
    np.save(tmp_path / "film.npy", rgb)
    refused(tmp_path / "film.npy", "what is white", "8 or 16 bit")
    np.save(tmp_path / "film.npy", rgb.astype(np.float32) / 255 * 1.0002 - 1e-4)
    assert read_picture(tmp_path / "film.npy").notes[-1] == "colours were from 0 to 1 already"


def read_picture_of(tmp_path, values):
    np.save(tmp_path / "reference.npy", values[::-1])
    return read_picture(tmp_path / "reference.npy").pixels


def test_colours_of_either_order_of_bytes_are_the_same(tmp_path):
    little = np.round(texture(20, 30)[..., None] * [65535, 20000, 0]).astype("<u2")
    found = [read_picture_of(tmp_path, little.astype(order)) for order in ("<u2", ">u2")]
    assert torch.equal(*found)


def test_cells_that_are_not_square_are_refused(tmp_path):
    write_ovf(tmp_path / "a.ovf", spins()[0].numpy(), (4e-9, 8e-9, 4e-9))
    refused(tmp_path / "a.ovf", "cells of 4e-09 m x 8e-09 m")
    refused(tmp_path / "a.ovf", "cells of 4e-09 m x 8e-09 m", pixel_size=4e-9)


def test_vector_fields(tmp_path):
    state = spins()
    expected = ((1 + state[0]) / 2).numpy()
    write_ovf(tmp_path / "m.ovf", 8e5 * state[0], 3e-9)
    picture = read_picture(tmp_path / "m.ovf")
    assert picture.pixel_size == pytest.approx(3e-9)
    np.save(tmp_path / "m.npy", state[0].numpy())
    for pixels in (picture.pixels, read_picture(tmp_path / "m.npy").pixels):
        np.testing.assert_allclose(pixels, expected, atol=1e-5)
    # A uniform corner of a film: components never negative, still components.
    quadrant = np.abs(state[0].numpy())
    write_ovf(tmp_path / "q.ovf", quadrant, 3e-9)
    np.testing.assert_allclose(
        read_picture(tmp_path / "q.ovf").pixels, (1 + quadrant) / 2, atol=1e-5
    )


def test_vector_fields_that_end_within_the_picture_are_refused(tmp_path):
    vectors = spins()[0].numpy().copy()
    hole = np.zeros(vectors.shape[1:], bool)
    hole[:6, :12] = True  # some per cent
    vectors[:, hole] = 0.0
    write_ovf(tmp_path / "m.ovf", vectors, 3e-9)
    share = f"no magnetisation in {100 * hole.mean():.0f} % of its cells"
    refused(tmp_path / "m.ovf", share, "crop it to the film")
    assert read_picture(tmp_path / "m.ovf", mask=hole[::-1]).vectors
    assert read_picture(tmp_path / "m.ovf", crop=(12, 0, hole.shape[1], hole.shape[0])).vectors
    vectors[:, hole] = [[0.6], [0.0], [0.8]]
    vectors[:, 3, 3:5] = 0.0  # such as dead pixels of a measurement
    write_ovf(tmp_path / "dead.ovf", vectors, 3e-9)
    assert read_picture(tmp_path / "dead.ovf").vectors


def test_noise_below_black_makes_no_vectors(tmp_path):
    """What a simulated microscope with readout noise shows, saved as it is."""
    noise = np.random.default_rng(1).normal(0, 0.03, (3, 40, 50))
    for draw in (colour, in_plane):
        colours = 0.8 * draw(spins())[0].numpy() + noise
        assert colours.min() < -0.01 and colours.max() < 1.001
        np.save(tmp_path / "colours.npy", colours)
        picture = read_picture(tmp_path / "colours.npy")
        assert not picture.vectors and any("from 0 to 1 already" in note for note in picture.notes)


def test_a_dead_pixel_makes_no_vectors_of_pale_colours(tmp_path):
    noise = np.random.default_rng(1).normal(0, 0.02, (3, 40, 50))
    colours = np.array([0.8, 0.75, 0.7])[:, None, None] + noise
    colours[0, 3, 3] = -0.01
    np.save(tmp_path / "colours.npy", colours)
    assert not read_picture(tmp_path / "colours.npy").vectors


def test_vectors_that_hardly_turn_are_vectors(tmp_path):
    tilted = 0.1 * (np.stack([texture(60, 60), texture(60, 60).T]) - 0.5)
    vectors = np.concatenate([tilted, np.sqrt(1 - np.square(tilted).sum(0, keepdims=True))])
    np.save(tmp_path / "vectors.npy", vectors)
    assert read_picture(tmp_path / "vectors.npy").vectors


def test_pages(tmp_path):
    stack = np.stack([stored(), stored()[::-1], 255 - stored(), stored()[:, ::-1]])
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack")
    tifffile.imwrite(tmp_path / "imagej.tif", stack, imagej=True)
    np.save(tmp_path / "stack.npy", stack[:, ::-1])
    frames = [Image.fromarray(page) for page in stack]
    for name in ("film.gif", "film.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    write_ovf(tmp_path / "layers.ovf", stack[:, None, ::-1].astype(np.float32), 1e-9)
    for name in ("stack.tif", "imagej.tif", "stack.npy", "film.gif", "film.png", "layers.ovf"):
        refused(tmp_path / name, "4 pictures", "read_picture(path, page=0) to page=3")
        refused(tmp_path / name, "no page 4", page=4)
        for page in range(4):
            torch.testing.assert_close(
                read_picture(tmp_path / name, page=page).pixels,
                read_picture_of(tmp_path, stack[page]),
                atol=0.01,  # GIF and animated PNG may go through a palette
                rtol=0,
            )


def test_pixel_size_from_metadata(tmp_path):
    grey, size = stored(), 2.34e-9
    write_png_with_resolution(tmp_path / "a.png", grey, round(1 / size))
    tifffile.imwrite(
        tmp_path / "cm.tif", grey, resolution=(0.01 / size,) * 2, resolutionunit="CENTIMETER"
    )
    tifffile.imwrite(
        tmp_path / "inch.tif", grey, resolution=(0.0254 / size,) * 2, resolutionunit="INCH"
    )
    tifffile.imwrite(
        tmp_path / "imagej.tif",
        grey,
        imagej=True,
        resolution=(1 / 2.34, 1 / 2.34),
        metadata={"unit": "nm"},
    )
    tifffile.imwrite(
        tmp_path / "micron.tif",
        grey,
        imagej=True,
        resolution=(1 / 2.34e-3, 1 / 2.34e-3),
        metadata={"unit": "\\u00B5m"},
    )
    write_ovf(tmp_path / "a.ovf", grey[None].astype(np.float32), size)
    for name in ("a.png", "cm.tif", "inch.tif", "imagej.tif", "micron.tif", "a.ovf"):
        picture = read_picture(tmp_path / name)
        # Rationals of 32 bits keep six digits of any of these; equal sizes are equal.
        assert picture.pixel_size == size, name
        assert any("2.34 nm" in note for note in picture.notes)
        assert read_picture(tmp_path / name, pixel_size=1e-9).pixel_size == 1e-9


def write_png_with_resolution(path, grey, per_metre):
    """Splice a pHYs chunk in behind the header, laid out as the PNG specification says."""
    Image.fromarray(grey).save(path)
    content = path.read_bytes()
    body = b"pHYs" + struct.pack(">IIB", per_metre, per_metre, 1)
    chunk = struct.pack(">I", 9) + body + struct.pack(">I", zlib.crc32(body))
    path.write_bytes(content.replace(content[33:], chunk + content[33:], 1))


def test_printers_resolution_is_no_pixel_size(tmp_path):
    Image.fromarray(stored()).save(tmp_path / "a.png", dpi=(300, 300))
    Image.fromarray(stored()).save(tmp_path / "a.jpg", dpi=(72, 72))
    Image.fromarray(stored()).save(tmp_path / "a.tif", dpi=(96, 96))
    for name, dpi in (("a.png", "300 dpi"), ("a.jpg", "72 dpi"), ("a.tif", "96 dpi")):
        picture = read_picture(tmp_path / name)
        assert picture.pixel_size is None
        assert any(dpi in note and "ignored" in note for note in picture.notes)


def test_unequal_sides_are_no_pixel_size(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", stored(), resolution=(1e6, 2e6), resolutionunit="CENTIMETER"
    )
    picture = read_picture(tmp_path / "a.tif")
    assert picture.pixel_size is None
    assert any("not square" in note for note in picture.notes)


# --- bars ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shade", [0, 255])
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_bar_that_nobody_masked_is_found(tmp_path, ending, shade):
    grey = (60 + 120 * texture(200, 240)).astype(np.uint8)
    grey[170:176, 20:80] = shade
    Image.fromarray(grey).save(tmp_path / f"a.{ending}")
    ((left, top, right, bottom),) = bars(read_picture(tmp_path / f"a.{ending}").pixels)
    # JPEG may smear a pixel at its ends.
    assert max(abs(left - 20), abs(top - 170), abs(right - 80), abs(bottom - 176)) <= 1
    mask = np.zeros(grey.shape, bool)
    mask[168:178, 18:82] = True
    assert bars(read_picture(tmp_path / f"a.{ending}", mask=mask).pixels) == []


@pytest.mark.parametrize("shade", [0, 255])
def test_a_bar_is_found_though_domains_of_its_shade_touch_it(tmp_path, shade):
    y, x = np.mgrid[:200, :240]
    stripes = np.sin(0.15 * x + 0.1 * np.sin(0.1 * y) + 0.05 * y)  # 40 pixels long
    noise = np.random.default_rng(1).normal(0, 0.05, stripes.shape)
    colours = np.clip(255 * (0.5 + 0.7 * stripes + noise), 0, 255)  # 40 % are black or white
    colours = np.repeat(colours[:, :, None], 3, 2).astype(np.uint8)
    colours[:, :, 2] //= 2  # so that white is none
    colours[stripes > 0.75] = 255
    colours[150:156, 60:120] = shade
    Image.fromarray(colours).save(tmp_path / "a.png")
    (box,) = bars(read_picture(tmp_path / "a.png").pixels)
    assert np.abs(np.subtract(box, (60, 150, 120, 156))).max() <= 1  # where a domain goes on
    mask = np.zeros((200, 240), bool)
    mask[150:156, 60:120] = True
    assert bars(read_picture(tmp_path / "a.png", mask=mask).pixels) == []


def test_domains_are_no_bars():
    y, x = np.mgrid[:200, :240]
    along = np.clip(np.abs(x - 120) - 60, 0, None)
    distance = np.hypot(along, y - 100)
    domain = np.tanh(np.clip((distance - 8) / 2, -8, 8))  # a stripe of 16 × 136 with a wall around
    black = (distance > 8).astype(float)  # the same, stored in black and white
    band = np.ones((200, 240))
    band[90:110] = 0  # from edge to edge
    for picture in (0.5 + 0.5 * domain, black, band, texture(200, 240)):
        assert bars(torch.from_numpy(picture.copy())[None]) == []


@pytest.mark.parametrize("shape", [(4, 10), (3, 7), (4, 7), (3, 10)])
def test_boxes_are_found_as_by_an_opening(shape):
    for seed, share in ((1, 0.9), (2, 0.97), (3, 0.99)):
        pure = np.random.default_rng(seed).random((60, 80)) < share
        expected = binary_opening(pure, np.ones(shape))
        assert expected.any() and np.array_equal(pictures._boxes_within(pure, shape), expected)


# --- grey scale ----------------------------------------------------------------------------------


def test_scale_survives_captions_bars_and_dead_pixels(tmp_path):
    grey = (40 + 100 * texture(100, 120)).astype(np.uint8)
    clean = read_picture_of(tmp_path, grey)
    spoilt = np.vstack([grey, np.full((20, 120), 255, np.uint8)])  # a caption strip below
    spoilt[80:85, 10:60] = 255  # a scale bar
    dead = np.random.default_rng(0).choice(100 * 120, 40, replace=False)
    spoilt.reshape(-1)[dead] = np.tile([0, 255], 20)
    Image.fromarray(spoilt).save(tmp_path / "spoilt.png")

    mask = np.zeros(spoilt.shape, dtype=bool)
    mask[80:85, 10:60] = True
    picture = read_picture(tmp_path / "spoilt.png", crop=(0, 0, 120, 100), mask=mask)
    assert picture.pixels.shape == clean.shape
    untouched = np.ones(grey.size, dtype=bool)
    untouched[dead] = False
    untouched = (untouched.reshape(grey.shape) & ~mask[:100])[::-1].copy()
    difference = (picture.pixels - clean)[0].abs()[torch.from_numpy(untouched)]
    # Part of it, from a corner of its own.
    part = read_picture(tmp_path / "spoilt.png", crop=(30, 20, 90, 70))
    assert torch.equal(part.pixels, read_picture_of(tmp_path, spoilt[20:70, 30:90]))
    # 40 of 12 000 pixels are dead, 0.17 % at each end: the percentiles move by that much only.
    assert difference.max() < 0.02
    # The bar is filled from its surroundings, not left white.
    bar = picture.pixels[0, 15:20, 10:60]
    assert bar.std() > 0.1
    # Without the crop the caption sets the white level: the test would notice.
    assert read_picture(tmp_path / "spoilt.png").pixels[0, 20:].max() == 1
    assert np.percentile(read_picture(tmp_path / "spoilt.png").pixels[0, 20:].numpy(), 95) < 0.7


def test_masked_pixels_may_be_anything(tmp_path):
    values = texture()
    mask = np.zeros(values.shape, dtype=bool)
    mask[3, 5], mask[10:12, 20:22] = True, True
    clean = read_picture_of(tmp_path, values)
    values[3, 5], values[10:12, 20:22] = np.nan, 1e30
    np.save(tmp_path / "a.npy", values[::-1])
    refused(tmp_path / "a.npy", "NaN", "read_picture(path, mask=…)")
    picture = read_picture(tmp_path / "a.npy", mask=mask)
    keep = torch.from_numpy(~mask[::-1].copy())
    torch.testing.assert_close(picture.pixels[0][keep], clean[0][keep], atol=0.01, rtol=0)
    assert torch.isfinite(picture.pixels).all()


def test_large_offsets_keep_their_contrast(tmp_path):
    values = 1e9 + texture().astype(np.float64)  # float32 would see steps of 64
    np.save(tmp_path / "a.npy", values[::-1])
    expected = read_picture_of(tmp_path, texture())
    torch.testing.assert_close(read_picture(tmp_path / "a.npy").pixels, expected, atol=1e-5, rtol=0)


# --- bad files -----------------------------------------------------------------------------------


def test_files_that_are_no_pictures(tmp_path):
    refused(tmp_path / "missing.png", "does not exist")
    assert refused(tmp_path, "it is a folder, not a picture").count(str(tmp_path)) == 1
    with pytest.raises(PictureError, match="The picture is a ndarray: give the name of a file"):
        read_picture(np.ones((40, 40)))
    (tmp_path / "empty.png").write_bytes(b"")
    refused(tmp_path / "empty.png", "is empty")
    (tmp_path / "text.png").write_text("This is no picture.")
    refused(tmp_path / "text.png", "not a picture")
    refused(tmp_path / "nul\0byte.png", "cannot be opened")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.npy", "a.ovf", "a.gif", "a.bmp"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9])
def test_truncated_files(tmp_path, name, kept):
    path = tmp_path / name
    save(path, np.random.default_rng(0).integers(0, 256, (48, 64), dtype=np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    refused(path)


def test_pictures_without_a_texture(tmp_path):
    for shape, words in (((1, 1), "too few"), ((1, 50), "too few"), ((20, 20), "equal")):
        Image.fromarray(np.full(shape, 7, np.uint8)).save(tmp_path / "a.png")
        refused(tmp_path / "a.png", words)
    Image.fromarray(np.full((9, 9, 3), (255, 0, 0), np.uint8)).save(tmp_path / "red.png")
    refused(tmp_path / "red.png", "equal")
    values = texture()
    values[2, 3] = np.inf
    tifffile.imwrite(tmp_path / "inf.tif", values)
    refused(tmp_path / "inf.tif", "1 pixels that are NaN, infinite")
    np.save(tmp_path / "nan.npy", np.full((9, 9), np.nan))
    refused(tmp_path / "nan.npy", "NaN")


def test_alpha_channels(tmp_path):
    colours = Image.fromarray(np.stack([stored(), stored()[::-1], stored()[:, ::-1]], axis=-1))
    colours.save(tmp_path / "colours.png")
    Image.fromarray(stored()).save(tmp_path / "grey.png")
    for mode, plain in (("RGBA", colours), ("LA", Image.fromarray(stored()))):
        # As screenshots are: nothing lies behind them.
        opaque = plain.convert(mode)
        opaque.save(tmp_path / f"{mode}.png")
        same = read_picture(tmp_path / ("colours.png" if mode == "RGBA" else "grey.png"))
        assert torch.equal(read_picture(tmp_path / f"{mode}.png").pixels, same.pixels)
        opaque.putalpha(Image.fromarray(np.where(stored() > 20, 255, 254).astype(np.uint8)))
        opaque.save(tmp_path / f"{mode}.png")
        refused(tmp_path / f"{mode}.png", "transparent in part")
    palette = Image.fromarray(stored()).convert("P")
    palette.save(tmp_path / "palette.png", transparency=3)
    refused(tmp_path / "palette.png", "transparent in part")
    for name, alpha in (("a.tif", stored()), ("b.tif", np.full_like(stored(), 255))):
        rgba = np.stack([*np.moveaxis(np.asarray(colours), -1, 0), alpha], axis=-1)
        tifffile.imwrite(tmp_path / name, rgba, photometric="rgb", extrasamples=["unassalpha"])
    refused(tmp_path / "a.tif", "transparent in part")
    same = read_picture(tmp_path / "colours.png")
    assert torch.equal(read_picture(tmp_path / "b.tif").pixels, same.pixels)


def test_two_channels_are_not_one_and_its_transparency(tmp_path):
    two = np.stack([stored(), stored()[::-1]])
    for kind, words in (("unspecified", "two channels"), ("unassalpha", "transparent")):
        tifffile.imwrite(
            tmp_path / "a.tif", two, photometric="minisblack", planarconfig="separate",
            extrasamples=[kind],
        )  # fmt: skip
        refused(tmp_path / "a.tif", words)


def test_palettes_of_sixteen_bits(tmp_path):
    table = np.zeros((3, 65536), np.uint16)
    table[:] = np.arange(65536)
    tifffile.imwrite(tmp_path / "a.tif", stored(16), photometric="palette", colormap=table)
    refused(tmp_path / "a.tif", "palette of 16 bits")
    header = struct.pack(">IIBBBBB", 4, 4, 16, 3, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header))
    refused(tmp_path / "a.png", "palette of 16 bits")


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_huge_pictures_are_refused_before_decoding(tmp_path):
    # Headers of a few bytes that promise 10^8 pixels and more: nothing behind them to decode.
    for width, height in ((10_001, 10_000), (2**31 - 1, 2**31 - 1)):
        header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        content = (
            chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
        )
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
        refused(tmp_path / "a.png", "megapixels")
    jpeg = io.BytesIO()
    Image.fromarray(stored()).save(jpeg, "JPEG")
    frame = jpeg.getvalue().replace(struct.pack(">HH", 48, 64), struct.pack(">HH", 60_000, 60_000))
    (tmp_path / "a.jpg").write_bytes(frame)
    refused(tmp_path / "a.jpg", "megapixels")
    tifffile.imwrite(tmp_path / "a.tif", stored())
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        for name in ("ImageWidth", "ImageLength"):
            file.pages[0].tags[name].overwrite(20_000)
    refused(tmp_path / "a.tif", "megapixels")
    wide = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint8, (10_001, 10_000))
    del wide
    refused(tmp_path / "a.npy", "megapixels")


def test_arrays_that_are_no_pictures(tmp_path):
    for values, word in (
        (np.array([{"a": 1}], dtype=object), "Python objects"),
        (np.zeros((4, 4), complex), "complex128"),
        (np.zeros(7), "(7,)"),
        (np.zeros((2, 5, 6, 7)), "2 pictures"),
    ):
        np.save(tmp_path / "a.npy", values)
        refused(tmp_path / "a.npy", word)
    np.save(tmp_path / "a.npy", np.zeros((2, 5, 6, 7)))
    refused(tmp_path / "a.npy", "(5, 6, 7)", page=1)


def test_wrong_parameters_name_the_file(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(stored()).save(path)
    for size in (0, -1e-9, float("nan"), float("inf"), 2.34, "2 nm"):
        refused(path, "positive size", pixel_size=size)
    refused(path, "no page -1", page=-1)
    refused(path, "no page 1", page=1)
    for box in ((0, 0, 65, 48), (-1, 0, 5, 5), (5, 0, 5, 9), (0, 9, 5, 8)):
        refused(path, "crop box", crop=box)
    refused(path, "crop box", crop=(1, 2, 3))
    refused(path, "too few", crop=(3, 3, 4, 9))
    refused(path, "mask", mask=np.zeros((3, 3)))
    refused(path, "on 100 % of what is read", mask=np.ones((48, 64)))
    refused(path, "on 52 % of what is read", mask=np.repeat(np.arange(48) < 25, 64).reshape(48, 64))


def test_digital_micrograph_files_need_the_optional_package(tmp_path, monkeypatch):
    path = tmp_path / "a.dm3"
    path.write_bytes(struct.pack(">III", 3, 100, 1) + bytes(100))
    monkeypatch.setitem(sys.modules, "rsciio.digitalmicrograph", None)  # makes the import fail
    refused(path, "optional package rosettasciio")


def test_digital_micrograph_pictures_through_the_optional_package(tmp_path, monkeypatch):
    """Stands in for the optional reader: its documented answer, turned into a picture."""
    axes = [
        {"index_in_array": i, "scale": 0.54, "units": "nm", "size": n}
        for i, n in ((1, 64), (0, 48))
    ]
    module = types.ModuleType("rsciio.digitalmicrograph")
    module.file_reader = lambda name, lazy: [{"data": texture(), "axes": axes}]
    monkeypatch.setitem(sys.modules, "rsciio", types.ModuleType("rsciio"))
    monkeypatch.setitem(sys.modules, "rsciio.digitalmicrograph", module)
    path = tmp_path / "a.dm4"
    path.write_bytes(struct.pack(">IQI", 4, 100, 1) + bytes(100))
    picture = read_picture(path)
    assert picture.pixel_size == pytest.approx(0.54e-9)
    torch.testing.assert_close(picture.pixels, read_picture_of(tmp_path, texture()))


# --- fuzzing -------------------------------------------------------------------------------------


def fuzz_seeds(folder):
    """Small valid files of every format and flavour that is read."""
    grey = stored(height=12, width=14)
    rgb = np.random.default_rng(0).integers(0, 256, (12, 14, 3), dtype=np.uint8)
    note = PngInfo()
    note.add_text("Title", "stripes", zip=True)
    Image.fromarray(grey).save(folder / "grey.png", dpi=(300, 300), pnginfo=note)
    Image.fromarray(rgb).convert("P").save(folder / "palette.png")
    Image.fromarray(stored(16, height=12, width=14)).save(folder / "deep.png")
    Image.fromarray(rgb).save(folder / "rgb.jpg", dpi=(72, 72), exif=Image.Exif())
    Image.fromarray(grey).save(
        folder / "a.gif", save_all=True, append_images=[Image.fromarray(rgb)]
    )
    tifffile.imwrite(folder / "deep.tif", stored(16, height=12, width=14))
    tifffile.imwrite(folder / "zip.tif", texture(12, 14), compression="zlib")
    tifffile.imwrite(folder / "stack.tif", np.stack([grey, grey]), imagej=True, resolution=(3, 3))
    Image.fromarray(rgb).save(folder / "lzw.tif", compression="tiff_lzw")
    np.save(folder / "a.npy", texture(12, 14))
    for encoding in ("text", "binary 4", "binary 8"):
        write_ovf(folder / f"{encoding}.ovf", spins(6, 7)[0], 2e-9, encoding=encoding)
    return sorted(folder.iterdir())


def mutate(content, chance):
    """A damaged file: bytes changed, set to extremes, cut out, repeated, or the end missing."""
    content = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 5))):
        place = (
            chance.randrange(len(content))
            if chance.random() < 0.5
            else chance.randrange(min(len(content), 160))
        )
        length = chance.choice((1, 2, 4, 8, 40))
        kind = chance.randrange(6)
        if kind == 0:
            content[place] = chance.randrange(256)
        elif kind == 1:
            content[place] ^= 1 << chance.randrange(8)
        elif kind == 2:
            content[place : place + length] = chance.choice((b"\0", b"\xff", b"9")) * length
        elif kind == 3:
            del content[place : place + length]
        elif kind == 4:
            content[place:place] = content[place : place + length]
        elif len(content) > 2:
            del content[chance.randrange(1, len(content)) :]
        if not content:
            break
    return bytes(content)


def test_damaged_files_end_as_pictures_or_sentences(tmp_path):
    (tmp_path / "seeds").mkdir()
    chance = random.Random(20)
    seeds = [(path, path.read_bytes()) for path in fuzz_seeds(tmp_path / "seeds")]
    pictures = sentences = 0
    for trial in range(2600):
        seed, content = seeds[trial % len(seeds)]
        path = tmp_path / seed.name
        path.write_bytes(mutate(content, chance))
        page = chance.choice((None, 0, 1))
        try:
            picture = read_picture(path, page=page)
        except PictureError as error:
            sentences += 1
            message = str(error)
            assert str(path) in message and "\n" not in message and message.endswith(".")
        else:
            pictures += 1
            assert picture.pixels.dtype == torch.float32 and picture.pixels.ndim == 3
            assert picture.pixels.shape[0] in (1, 3)
            assert 0 <= float(picture.pixels.min()) <= float(picture.pixels.max()) <= 1
            assert picture.pixel_size is None or picture.pixel_size > 0
    # Both outcomes must occur often, or the mutations are too tame or too wild to mean anything.
    assert pictures > 300 and sentences > 300


# --- tiles -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [32, 16, 10, 53 // 3, 40])
def test_tiles_go_from_corner_to_corner_and_miss_no_pixel(size):
    picture = torch.arange(3.0 * 40 * 53).view(3, 40, 53)
    pieces = tiles(picture, size)
    assert pieces.shape == (math.ceil(40 / size) * math.ceil(53 / size), 3, size, size)
    assert torch.equal(pieces[0], picture[:, :size, :size])
    assert torch.equal(pieces[-1], picture[:, -size:, -size:])
    assert torch.equal(pieces.unique(), picture.flatten())


def noisy(channels: int = 3) -> torch.Tensor:
    """A picture (channels, 90, 120) of grey noise, in the 256 steps of a camera."""
    noise = torch.randn((channels, 90, 120), generator=torch.Generator().manual_seed(5))
    return ((0.5 + 0.05 * noise).clamp(0, 1) * 255).round() / 255


@pytest.mark.parametrize(
    ("blanked", "share", "box"),
    [
        ((slice(0, 20), slice(None)), 20 / 90, (0, 70, 120, 90)),  # a banner; row 0 is the lowest
        ((slice(None), slice(116, 120)), 4 / 120, (116, 0, 120, 90)),
        ((slice(30, 40), slice(50, 80)), 300 / 10_800, (50, 50, 80, 60)),  # a bar of any shade
    ],
)
def test_areas_of_one_value_are_found(blanked, share, box):
    pixels = noisy()
    pixels[:, blanked[0], blanked[1]] = torch.tensor([1.0, 0.8, 0.1])[:, None, None]
    assert blank(pixels) == (pytest.approx(share), box)
    assert blank(noisy()) == (0.0, (0, 0, 0, 0))


def test_domains_of_one_value_are_no_blank_areas():
    """Where a picture has no noise, or a camera cuts off what is brighter than white."""
    stripes = torch.zeros(3, 90, 120)
    stripes[:, 20:50] = 1.0
    assert blank(stripes)[0] == 0
    grey = noisy(1)
    grey[:, 20:50, 30:70] = 1.0
    assert blank(grey)[0] == 0
    grey[:, 85:] = 1.0
    assert blank(grey) == (pytest.approx(5 / 90), (0, 0, 120, 5))


def test_how_much_is_masked_and_how_deep(tmp_path):
    np.save(tmp_path / "film.npy", noisy().numpy())
    mask = np.zeros((90, 120), bool)
    mask[10:31, 40:80] = True
    share, depth = read_picture(tmp_path / "film.npy", mask=mask).masked
    assert share == pytest.approx(21 * 40 / 10_800) and depth == 11
    assert read_picture(tmp_path / "film.npy").masked == (0, 0)


def test_arrays_of_one_layer_and_of_four_channels(tmp_path):
    picture = noisy().numpy()
    np.save(tmp_path / "plain.npy", picture)
    for number, array in enumerate((picture[:, None], picture.transpose(1, 2, 0)[:, :, None])):
        np.save(tmp_path / f"{number}.npy", array)
        found = read_picture(tmp_path / f"{number}.npy").pixels
        assert torch.equal(found, read_picture(tmp_path / "plain.npy").pixels)
    np.save(tmp_path / "rgba.npy", np.ones((90, 120, 4)))
    refused(tmp_path / "rgba.npy", "four channels", "opacity")
