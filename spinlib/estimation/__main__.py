"""From a picture file to A, D and M_s with intervals, in a shell.

    python -m spinlib.estimation film.png --temperature-K 265 --field-T 0.05 --pixel-size-nm 2.34 \\
        --thickness-nm 30 --A 5 12 --D 1.0 2.2 --M_s 200 600 --figure answer.png

With several pictures of one film, give as many fields, temperatures and sizes of pixels, or one
for all. Asked again, it goes on where it was stopped.
"""

import argparse
import io
import os
import sys
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

import numpy as np
from matplotlib.backend_bases import FigureCanvasBase

from spinlib.estimation import EFFORT, Conditions, Ranges, estimate
from spinlib.estimation.conditions import CHANNELS, LEVELS
from spinlib.files import write_whole
from spinlib.notebooks import ROOT, Refused
from spinlib.picture_files import decode
from spinlib.pictures import Picture, read_picture
from spinlib.request import Parser
from spinlib.store import DatasetError
from spinlib.weights import TrainingError


def _number(text: str) -> float:
    """A number; a file name here means that an option with several values swallowed it."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number (write 0.05, without a unit; picture files come before all "
            "options)"
        ) from None


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m spinlib.estimation",
        usage="%(prog)s pictures [pictures ...] --temperature-K x [x ...] --field-T x [x ...]\n"
        "           --thickness-nm x --A low high --D low high --M_s low high [other options]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = {field.name: field.default for field in fields(Conditions)}
    add, number = parser.add_argument, {"type": _number, "metavar": "x"}
    add(
        "pictures",
        nargs="+",
        type=Path,
        help="picture files of one film, each of another place, or cooled again in between",
    )
    each = parser.add_argument_group("of every picture, or once for all")
    each.add_argument("--temperature-K", nargs="+", required=True, **number)
    each.add_argument("--field-T", nargs="+", required=True, help="along z", **number)
    each.add_argument(
        "--pixel-size-nm",
        nargs="+",
        help="the file's own if it has one and none is given",
        **number,
    )
    film = parser.add_argument_group("of the film")
    film.add_argument("--thickness-nm", required=True, **number)
    between = {"nargs": 2, "type": _number, "metavar": ("low", "high")}
    film.add_argument("--A", required=True, help="pJ/m, between which values to look", **between)
    film.add_argument("--D", required=True, help="mJ/m²", **between)
    film.add_argument("--M_s", required=True, help="kA/m", **between)
    film.add_argument(
        "--anisotropy-kJ-m3", nargs="+", default=[0.0], help="one value, or low and high", **number
    )
    film.add_argument("--dmi-kind", default=default["dmi_kind"], choices=("bulk", "interfacial"))
    film.add_argument(
        "--dmi-sign",
        default=default["dmi_sign"],
        help="of D, 1 (default) or -1, such as Co on Pt (D of an interface counted so that walls "
        "point from up to down if it is above 0); --D and the answer are its size",
        **number,
    )
    seen = parser.add_argument_group("of the instrument")
    seen.add_argument(
        "--contrast",
        default=default["contrast"],
        choices=tuple(CHANNELS),
        help="colour: hue is the direction in the plane, white up, black down; in_plane: hue and "
        "brightness of the part in the plane (of linear levels, full brightness if all is in the "
        "plane); perpendicular: grey, white up; component: grey, white along one direction; "
        "lorentz_defocus: a defocused picture; magnetic_force: of a magnetic force microscope, "
        "white over domains along +z",
    )
    seen.add_argument(
        "--levels",
        default=default["levels"],
        choices=tuple(LEVELS),
        help="ordered (default): only which of two pixels is brighter counts; linear: no gamma, "
        "evenly lit; unsigned: ordered, and white may be up or down (grey pictures)",
    )
    seen.add_argument(
        "--blur-nm",
        help="standard deviation of the point spread; if left out, anything up to two pixels, or "
        "one that the network sees, is allowed for",
        **number,
    )
    seen.add_argument(
        "--polar-deg",
        nargs="+",
        default=[0.0],
        help="of component: from +z to the direction that is white (of X-rays that of their beam, "
        "of Kerr microscopes not the light's), for all pictures, one value, or low and high",
        **number,
    )
    seen.add_argument(
        "--azimuth-deg",
        nargs="+",
        help="of component: of this direction in all pictures, 0 to the right, 90 to the top, one "
        "value, or low and high",
        **number,
    )
    seen.add_argument(
        "--defocus-nm",
        default=default["defocus_nm"],
        help="of lorentz_defocus: how far the film shifts the electrons",
        **number,
    )
    seen.add_argument(
        "--lift-nm",
        nargs="+",
        default=[0.0],
        help="of magnetic_force: the tip's pole above the film, for all pictures, one value (a "
        "fifth more or less), or low and high",
        **number,
    )
    seen.add_argument(
        "--crop", nargs=4, type=int, metavar=("left", "top", "right", "bottom"), help="in pixels"
    )
    seen.add_argument(
        "--mask",
        type=Path,
        help="picture file as large as every picture, black where pixels count, white on those to "
        "ignore, such as a scale bar (row 0 of an NPY is the lowest)",
    )
    seen.add_argument("--page", type=int, help="of a file with several pictures, from 0")
    add("--effort", default="laptop", choices=tuple(EFFORT), help="laptop takes minutes")
    add("--seed", type=int, default=1)
    add("--device", default="auto", help="auto (default), cpu or cuda")
    add("--root", type=Path, default=ROOT / "data", help="folder for simulations and networks")
    add("--json", type=Path, help="file for all numbers of the answer")
    add("--figure", type=Path, help="file for a figure of the answer")
    return parser


def _conditions(options: argparse.Namespace, pictures: list[Picture]) -> list[Conditions]:
    """The conditions of each picture."""
    own = {name: getattr(options, name) for name in ("temperature_K", "field_T", "pixel_size_nm")}
    common = {
        field.name: getattr(options, field.name)
        for field in fields(Conditions)
        if field.name not in own
    }
    for name in ("anisotropy_kJ_m3", "lift_nm", "polar_deg", "azimuth_deg"):
        if (ends := common[name]) and len(ends) == 1:
            common[name] = ends[0]
    conditions = []
    for number, picture in enumerate(pictures):
        values = {}
        for name, given in own.items():
            if given is None:  # only the size of pixels may be left out
                if picture.pixel_size is None:
                    raise Refused(
                        f"{picture.source} does not say how large its pixels are: give "
                        "--pixel-size-nm."
                    )
                # As a person would have written it: equal sizes share what was simulated.
                given = [float(f"{1e9 * picture.pixel_size:.6g}")] * len(pictures)
            if len(given) not in (1, len(pictures)):
                raise Refused(
                    f"{len(given)} values of {name} came with {len(pictures)} picture(s): give one "
                    "for all, or one for each."
                )
            values[name] = given[number % len(given)]
        conditions.append(Conditions(**values, **common))
    return conditions


def _mask(path: Path) -> np.ndarray:
    """True on the pixels to ignore: the brighter half of the greys of a picture file."""
    grey = decode(path, None).values.astype(float).mean(0)
    if not grey.min() < grey.max():
        raise Refused(f"{path} masks nothing or everything: all its pixels are equal.")
    return grey > (grey.min() + grey.max()) / 2


def _check_output(path: Path, taken: Iterable[Path]) -> None:
    """Refuse, before minutes of work, a file that could not be written after it, or is `taken`."""
    if not path.parent.is_dir():
        raise Refused(f"There is no folder {path.parent} for {path.name}.")
    there = True
    try:
        path.stat()  # newer Pythons' `exists` takes a name that is too long for a file not there
    except FileNotFoundError:
        there = False
    except OSError as error:
        raise Refused(f"{path} is no name for a file: {error.strerror}.") from None
    # A device or a pipe would be replaced by a file, as results are written whole or not at all.
    if there and not path.is_file():
        raise Refused(f"{path} is no file that can be written: give the name of a file.")
    if path.resolve() in [other.expanduser().resolve() for other in taken]:
        raise Refused(f"{path} is a file of this request already: give the answer another name.")
    if not os.access(path.parent, os.W_OK):
        raise Refused(f"{path} cannot be written: its folder takes no files. Choose another.")


def _check_kind(path: Path) -> None:
    """Refuse a figure of a kind that nobody can draw."""
    kinds = FigureCanvasBase.get_supported_filetypes().keys() - {"pgf"}  # which takes a LaTeX
    if (kind := path.suffix.removeprefix(".").lower()) and kind not in kinds:
        raise Refused(
            f"There is no figure of kind {kind!r} ({path}): end its name in .png or .pdf."
        )


def main(arguments: list[str] | None = None) -> int:
    """Print the answer; return 0, 2 if the request was refused, 1 if a file was not written."""
    try:
        options = _parser().parse_args(arguments)
        taken = [*options.pictures, *filter(None, [options.mask])]
        if options.json:
            _check_output(options.json, taken)
            taken.append(options.json)
        if options.figure:
            _check_kind(options.figure)
            if options.figure.name and not options.figure.suffix:
                options.figure = options.figure.with_suffix(".png")
            _check_output(options.figure, taken)
        given = {"page": options.page, "crop": options.crop and tuple(options.crop)}
        given["mask"] = options.mask and _mask(options.mask)
        pictures = [read_picture(path, **given) for path in options.pictures]
        answer = estimate(
            pictures,
            _conditions(options, pictures),
            Ranges(*zip(options.A, options.D, options.M_s, strict=True)),
            effort=options.effort,
            seed=options.seed,
            device=options.device,
            root=options.root.expanduser(),
        )
    except ValueError as refusal:  # all refusals are
        print(refusal, file=sys.stderr)
        return 2
    except (DatasetError, TrainingError, OSError) as error:
        print(f"The work could not be kept, and stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; ask again to go on from here.", file=sys.stderr)
        return 130
    try:  # files first: who reads what is printed may have gone
        if options.json:
            answer.to_json(options.json, [str(path) for path in options.pictures])
        if options.figure:
            drawn, kind = io.BytesIO(), options.figure.suffix.removeprefix(".").lower()
            answer.figure().savefig(drawn, format=kind, dpi=150, bbox_inches="tight")
            write_whole(options.figure, drawn.getvalue())
    except OSError as error:
        complaint = (
            f"The answer is kept, but {error.filename or 'a file of it'} could not be written: "
            f"{error.strerror or error}. Make room or choose another folder, then ask again: that "
            "takes seconds."
        )
    else:
        complaint = ""
    try:
        print(*answer.choices, "", answer, sep="\n", flush=True)
    except BrokenPipeError:  # what is left is for nobody
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if complaint:
        print(complaint, file=sys.stderr)
    return bool(complaint)


if __name__ == "__main__":
    # A name of a file may hold bytes that are no text, and a terminal may lack letters.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
    sys.exit(main())
