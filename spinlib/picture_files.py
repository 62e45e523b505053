"""Decoding picture files: PNG, JPEG, GIF, BMP, TIFF, NPY, OVF and, with rosettasciio, DM3 and DM4.

Every decoder looks at the header first, refuses what is too large or has no single meaning, and
only then decodes. Whatever a damaged file makes the decoding libraries do becomes a `PictureError`.
"""

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import tifffile
from PIL import Image, ImageOps, JpegImagePlugin, UnidentifiedImageError

from spinlib.ovf import OvfError, read_ovf

MAX_PIXELS = 100_000_000
_SUBSAMPLED = (
    "a JPEG whose colours are coarser than its brightness (chroma subsampling), which costs, for "
    "instance, a third of M_s and more at any quality"
)
_PALETTE = "of 256 colours at most (a palette), which costs half of M_s and more"
# Resolutions coarser than this are a printer's (72, 100, 300 dpi ...), not a microscope's.
COARSEST_PIXEL = 10e-6  # metres
_METRES = {
    **{"m": 1.0, "cm": 1e-2, "mm": 1e-3, "inch": 0.0254, "nm": 1e-9, "pm": 1e-12},
    **dict.fromkeys(("um", "µm", "μm", "\\u00B5m", "micron", "microns", "micrometer"), 1e-6),
    **dict.fromkeys(("Å", "A", "angstrom"), 1e-10),
}


class PictureError(ValueError):
    """A picture that cannot be used, in one sentence naming it and the reason."""


@dataclass(frozen=True)
class Decoded:
    """What a file holds: numbers as they are, the top row first, and the size of a pixel."""

    values: np.ndarray  # (channels, height, width) of any real type
    pixel_size: float | None = None  # metres
    notes: tuple[str, ...] = ()
    vectors: bool = False  # the three channels are components, whatever their signs
    coarse_colours: str = ""  # what made them coarser than the picture, if anything did


def decode(path: Path, page: int | None) -> Decoded:
    """Decode one picture of a file, recognised by its first bytes."""
    try:
        if path.is_dir():
            raise OSError("it is a folder, not a picture")
        with path.open("rb") as file:
            start = file.read(32)
    except FileNotFoundError:
        place = "" if path.is_absolute() else f" in {Path.cwd()}"
        raise PictureError(f"{path} does not exist{place}.") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        raise PictureError(f"{path} cannot be opened: {_words(error)}.") from None
    if not start:
        raise PictureError(f"{path} is empty.")
    if start.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        decoder = _decode_tiff
    elif start.startswith(b"\x93NUMPY"):
        decoder = _decode_npy
    elif start.lower().startswith(b"# oommf"):
        decoder = _decode_ovf
    elif path.suffix.lower() in (".dm3", ".dm4"):
        decoder = _decode_dm
    else:
        decoder = _decode_pillow
    try:
        with _quiet():
            decoded = decoder(path, page)
    except PictureError:
        raise
    except OvfError as error:  # says already which file
        raise PictureError(str(error)) from None
    except Image.DecompressionBombError:  # Pillow's own limit, before any size is known here
        raise PictureError(
            f"{path} has more than the {MAX_PIXELS / 1e6:.0f} megapixels that are read."
        ) from None
    except Exception as error:
        # A damaged file can make a decoder raise anything: struct.error, KeyError, MemoryError.
        raise PictureError(f"{path} is damaged or cut short: {_words(error)}.") from None
    values = decoded.values
    if values.ndim != 3 or values.shape[0] not in (1, 3) or values.dtype.kind not in "uif":
        raise PictureError(
            f"{path} holds {values.dtype} of shape {values.shape}, which is no grey or RGB picture."
        )
    return decoded


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep decoders from printing about what ends in a sentence of ours anyway."""
    loggers = [logging.getLogger(name) for name in ("tifffile", "PIL", "rsciio")]
    before = [logger.disabled for logger in loggers]
    try:
        for logger in loggers:
            logger.disabled = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, state in zip(loggers, before, strict=True):
            logger.disabled = state


def _words(error: Exception) -> str:
    """An exception's message on one line, without a final stop."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())[:160].rstrip(". ")


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise PictureError(
            f"{path} has {width} x {height} pixels, more than the {MAX_PIXELS / 1e6:.0f} "
            "megapixels that are read: crop it or reduce it first."
        )


def _check_page(path: Path, page: int | None, pages: int) -> int:
    if page is None and pages > 1:
        raise PictureError(
            f"{path} holds {pages} pictures: give read_picture(path, page=0) to page={pages - 1} "
            "instead of the path (--page in a shell), or save one as a file of its own. If they "
            "are the channels of one picture in colour, save it as RGB."
        )
    if page is not None and page >= pages:
        raise PictureError(f"{path} has no page {page}: it holds {pages} (the first is page 0).")
    return page or 0


def _refuse_alpha(path: Path) -> NoReturn:
    raise PictureError(
        f"{path} is transparent in part, so its colours depend on what lies behind it: save it "
        "without transparency."
    )


def _refuse_palette(path: Path, bits: int) -> NoReturn:
    raise PictureError(f"{path} has a palette of {bits} bits: save it as grey or RGB.")


def _pixel_size(x: float, y: float, origin: str) -> tuple[float | None, tuple[str, ...]]:
    """One pixel size from the two sides (metres) in the metadata, and what to say about it."""
    if not (math.isfinite(x) and math.isfinite(y) and x > 0 and y > 0):
        return None, ()
    if max(x, y) > COARSEST_PIXEL:
        return None, (f"{origin} of {0.0254 / x:.4g} dpi is for printing and was ignored",)
    if abs(x - y) > 0.01 * max(x, y):
        return None, (f"{origin} gives pixels of {x:.4g} m x {y:.4g} m, not square: ignored",)
    # Files keep whole pixels per metre or a ratio; of that rounding nothing is left, so that equal
    # sizes are equal.
    size = float(f"{math.sqrt(x * y):.6g}")
    return size, (f"pixel size {x * 1e9:.4g} nm from {origin}",)


# --- one decoder per family ----------------------------------------------------------------------


def _decode_pillow(path: Path, page: int | None) -> Decoded:
    try:
        image = Image.open(path, formats=("PNG", "JPEG", "GIF", "BMP"))
    except UnidentifiedImageError:
        with path.open("rb") as file:
            start = file.read(26)
        if start.startswith(b"\x89PNG") and start[24:] == b"\x10\x03":
            _refuse_palette(path, 16)
        if start.startswith((b"\x89PNG", b"\xff\xd8", b"GIF8", b"BM")):
            raise PictureError(f"{path} is damaged: its header makes no sense.") from None
        raise PictureError(
            f"{path} is not a picture that can be read: save it as PNG or TIFF (JPEG, GIF, BMP, "
            "NPY, OVF, DM3 and DM4 are known, too)."
        ) from None
    with image:
        _check_size(path, *image.size)
        image.seek(_check_page(path, page, getattr(image, "n_frames", 1)))
        values = _pillow_values(path, ImageOps.exif_transpose(image))
        size, notes = None, ()
        # Without a unit these two numbers are no resolution but a ratio of sides.
        if "dpi" in image.info and (image.format == "PNG" or image.info.get("jfif_unit")):
            sides = [0.0254 / dpi if dpi else math.nan for dpi in image.info["dpi"]]
            size, notes = _pixel_size(*sides, f"the {image.format} resolution")
        # 0 is full resolution, -1 unknown (grey, or another kind of colours).
        # MPO is JPEG with more pictures behind the first, as cameras write it.
        coarse = _PALETTE if image.mode == "P" or image.format == "GIF" else ""
        if image.format in ("JPEG", "MPO") and JpegImagePlugin.get_sampling(image) > 0:
            coarse = _SUBSAMPLED
    return Decoded(values, size, notes, coarse_colours=coarse)


def _pillow_values(path: Path, image: Image.Image) -> np.ndarray:
    if "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        if image.mode.startswith("I"):  # grey of 16 bits, which would lose eight of them here
            _refuse_alpha(path)
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema()[0] < 255:
            _refuse_alpha(path)
        image = image.convert("RGB")
    if image.mode in ("P", "CMYK", "YCbCr"):
        image = image.convert("RGB")
    elif image.mode == "1":
        image = image.convert("L")
    values = np.asarray(image)
    return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)


def _decode_tiff(path: Path, page: int | None) -> Decoded:
    with tifffile.TiffFile(path) as file:
        index = _check_page(path, page, len(file.pages))
        frame = file.pages[index].aspage()
        _check_size(path, frame.imagewidth, frame.imagelength)
        if frame.nbytes > 3000 * path.stat().st_size:  # LZW packs 2730 to one at the very best
            raise PictureError(f"{path} promises {frame.nbytes} bytes and is too short for them.")
        kind = tifffile.PHOTOMETRIC(frame.photometric).name
        samples = frame.samplesperpixel
        if frame.imagedepth > 1:
            raise PictureError(f"{path} holds a volume of {frame.imagedepth} slices, no picture.")
        if kind == "PALETTE" and frame.bitspersample > 8:
            _refuse_palette(path, frame.bitspersample)
        if kind not in ("MINISBLACK", "MINISWHITE", "RGB", "PALETTE", "YCBCR") or samples > 4:
            raise PictureError(
                f"{path} has {samples} channels of TIFF kind {kind}: save it as grey or RGB."
            )
        turned = frame.tags.valueof("Orientation", 1)
        if turned not in (0, 1):
            raise PictureError(
                f"{path} is stored turned (orientation {turned!r:.20}): save it upright."
            )
        values = _tiff_values(path, frame, index, kind)
        if len(values) == 2 and not set(frame.extrasamples) & {1, 2}:
            raise PictureError(f"{path} holds two channels and does not say which: save one.")
        if len(values) in (2, 4):
            opaque = np.iinfo(values.dtype).max if values.dtype.kind in "ui" else 1
            if (values[-1] != opaque).any():
                _refuse_alpha(path)
            values = values[:-1]
        size, notes = _tiff_pixel_size(file, frame)
        sampling = tuple(frame.tags.valueof("YCbCrSubSampling", (2, 2)))
    coarse = _PALETTE if kind == "PALETTE" else ""
    if kind == "YCBCR" and sampling != (1, 1):
        coarse = _SUBSAMPLED
    return Decoded(values, size, notes, coarse_colours=coarse)


def _tiff_values(path: Path, frame: tifffile.TiffPage, index: int, kind: str) -> np.ndarray:
    values = None
    try:
        if kind != "YCBCR":  # which tifffile may leave as they are
            values = frame.asarray()
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
    inverted = kind == "MINISWHITE"
    if values is None:
        # tifffile alone does not know LZW or JPEG inside TIFF; Pillow's own libtiff does.
        with Image.open(path, formats=("TIFF",)) as image:
            image.seek(index)
            values = _pillow_values(path, image)
        inverted &= frame.bitspersample > 8  # up to there it inverts by itself
    elif kind == "PALETTE":
        values = frame.colormap[:, values]
    elif values.ndim == 3 and frame.axes[-1] == "S":
        values = values.transpose(2, 0, 1)
    values = values[None] if values.ndim == 2 else values
    if values.dtype.kind == "b":
        values = values.astype(np.uint8)
    if inverted:  # by the complement, as the negative of the lowest integer is none
        values = -values if values.dtype.kind == "f" else ~values
    return values


def _tiff_pixel_size(file, frame) -> tuple[float | None, tuple[str, ...]]:
    per_unit = [frame.tags.valueof(name) for name in ("XResolution", "YResolution")]
    if any(not isinstance(pair, tuple) or 0 in pair for pair in per_unit):
        return None, ()
    unit = {2: "inch", 3: "cm"}.get(int(frame.tags.valueof("ResolutionUnit", 2)), "")
    origin = "the TIFF resolution"
    if file.is_imagej and "unit" in (file.imagej_metadata or {}):
        unit, origin = str(file.imagej_metadata["unit"]), "the ImageJ description"
    if unit not in _METRES:
        return None, ()
    return _pixel_size(*(_METRES[unit] * below / above for above, below in per_unit), origin)


def _decode_npy(path: Path, page: int | None) -> Decoded:
    try:
        # Mapped, not read: the shape is checked before the numbers are touched.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        if "Python objects" in str(error):
            raise PictureError(f"{path} holds Python objects, which are never loaded.") from None
        raise
    if array.dtype.kind not in "buif" or array.ndim < 2:
        raise PictureError(
            f"{path} holds {array.dtype} of shape {array.shape}, which is no picture of numbers."
        )
    if array.ndim > 3:  # as of one layer
        array = array.reshape([side for side in array.shape if side > 1])
    if array.ndim == 3 and array.shape[2] == 4 < array.shape[0]:
        raise PictureError(f"{path} holds four channels: leave out the last, which is opacity.")
    single = array.ndim == 2 or (array.ndim == 3 and (array.shape[0] in (1, 3)))
    if array.ndim == 3 and not single and array.shape[2] in (1, 3):
        array, single = array.transpose(2, 0, 1), True
    index = _check_page(path, page, 1 if single else len(array))
    array = array if single else array[index]
    array = array[None] if array.ndim == 2 else array
    _check_size(path, array.shape[-1], array.shape[-2])
    values = np.array(array[..., ::-1, :])
    if values.dtype.kind == "b":
        values = values.astype(np.uint8)
    return Decoded(values, None, ("row 0 of the array was taken as the lowest row",))


def _decode_ovf(path: Path, page: int | None) -> Decoded:
    field = read_ovf(path)
    layers, components, height, width = field.values.shape
    _check_size(path, width, height)
    if components not in (1, 3):
        raise PictureError(f"{path} has {components} components per cell; 1 or 3 are needed.")
    values = field.values[_check_page(path, page, layers)][:, ::-1]
    size, notes = _pixel_size(field.cell[0], field.cell[1], "the OVF cell")
    if size is None and field.cell[0] != field.cell[1]:
        raise PictureError(
            f"{path} has cells of {field.cell[0]:.4g} m x {field.cell[1]:.4g} m: resample it to "
            "square ones."
        )
    return Decoded(values, size, notes, vectors=components == 3)


def _decode_dm(path: Path, page: int | None) -> Decoded:
    try:
        from rsciio.digitalmicrograph import file_reader
    except ImportError:
        raise PictureError(
            f"{path} is a DigitalMicrograph file, which needs the optional package rosettasciio: "
            "in the repository, .venv/bin/python -m pip install -c requirements.txt -e '.[dm]'."
        ) from None
    pictures = file_reader(str(path), lazy=True)
    signal = pictures[0]
    data, axes = signal["data"], sorted(signal["axes"], key=lambda axis: axis["index_in_array"])
    if data.ndim not in (2, 3) or np.dtype(data.dtype).kind not in "uif":
        raise PictureError(f"{path} holds {data.dtype} of shape {data.shape}, which is no picture.")
    index = _check_page(path, page, 1 if data.ndim == 2 else data.shape[0])
    _check_size(path, data.shape[-1], data.shape[-2])
    values = np.asarray(data if data.ndim == 2 else data[index])
    sides = [abs(axis["scale"]) * _METRES.get(axis["units"], math.nan) for axis in axes[-2:]]
    size, notes = _pixel_size(sides[1], sides[0], "the DigitalMicrograph calibration")
    return Decoded(values[None], size, notes)
