"""What is known about a picture: under what conditions it was taken, of what kind of film.

Lengths are in nm.
"""

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from spinlib.hamiltonian import Kind
from spinlib.microscope import Microscope

CHANNELS = {
    "colour": 3,
    "in_plane": 3,
    "perpendicular": 1,
    "component": 1,
    "lorentz_defocus": 1,
    "magnetic_force": 1,
}
LEVELS = {
    "linear": "with linear levels (no gamma, evenly lit)",
    "ordered": "of whose levels only the order counts",
    "unsigned": "of whose levels only the order counts, whichever way is up",
}
SCATTER = 0.2  # by which a blur or a lift that is told, and noise, go up and down in simulations
_WORDS = ("contrast", "levels", "dmi_kind")
# What may be one value, or the lowest and the highest; and what it is.
_BETWEEN = {
    "polar_deg": "degrees from +z",
    "azimuth_deg": "degrees from the right",
    "lift_nm": "nm above the film, above 0",
    "anisotropy_kJ_m3": "kJ/m³, above 0 for an easy axis along z",
}
_MAY_BE_NONE = ("blur_nm", "azimuth_deg")
_RADIANS = 1.58  # a bit above π/2: up to here an angle may be in radians
# Between which magnitudes a number that is not 0 lies, unless it is in another unit.
_SENSIBLE = {
    "temperature_K": (1e-3, 1e4),
    "field_T": (0.0, 20.0),
    "pixel_size_nm": (1e-3, 1e5),
    "thickness_nm": (0.1, 1e5),
    "blur_nm": (1e-3, 1e5),
    "defocus_nm": (1e-3, 1e5),
    "azimuth_deg": (0.0, 360.0),
    "lift_nm": (1e-3, 1e5),
    "anisotropy_kJ_m3": (1e-3, 2e4),  # SmCo₅ has 17 MJ/m³
}


@dataclass(frozen=True)
class Conditions:
    """Under what conditions a picture was taken."""

    temperature_K: float
    field_T: float  # along z, out of the picture
    pixel_size_nm: float
    thickness_nm: float = 1.0  # of the film
    contrast: str = "colour"  # one of `CHANNELS`: see Microscope
    blur_nm: float | None = None  # standard deviation of the point spread; None: nobody knows
    # component only: the direction whose component is seen, white along it, or between which values
    # it lies; `polar_deg` from +z, `azimuth_deg` from the picture's right (0) to its top (90). Of
    # circular X-rays it is that of their beam. Of Kerr microscopes it is not that of the light: the
    # component along z counts for more than geometry says, unless pictures in light from opposite
    # sides have been subtracted (polar_deg 90). Pictures are not foreshortened.
    polar_deg: float | tuple[float, float] = 0.0
    azimuth_deg: float | tuple[float, float] | None = None
    # lorentz_defocus only: the electrons' displacement. It grows with M_s t, but films of all M_s
    # get this one; and as grey pictures are brought to one contrast, its size has no effect until
    # pixels are cut off at black and white.
    defocus_nm: float = 0.0
    # magnetic_force only: how far above the film the tip's magnetic pole is, or between which two
    # values that lies; one value goes up and down by `SCATTER` in simulations. The pole is some way
    # up the tip, and how far is seldom known.
    lift_nm: float | tuple[float, float] = 0.0
    # What may be read off the levels of its pixels.
    # linear    colours and grey levels are those of the contrast: no gamma, evenly lit
    # ordered   only which of two pixels is brighter, channel by channel: any curve may have changed
    #           the levels, and uneven light grey ones
    # unsigned  grey only: nor whether white or black is up
    levels: str = "ordered"
    # What is known of the film from elsewhere: its easy axis along z (an easy plane, if negative),
    # as the magnetisation's own demagnetising field is not part of it, or between which two values
    # that lies; and kind and sign of its DMI. If D > 0, sign 1, spins in walls between white (+z)
    # and black point towards black (interfacial), or to the right of someone who looks there
    # (bulk); if D < 0, sign -1, as of Co on Pt, the other way. (mumax³ and many papers count an
    # interfacial D the other way.) Ranges and answer are of |D|.
    anisotropy_kJ_m3: float | tuple[float, float] = 0.0
    dmi_kind: Kind = "bulk"
    dmi_sign: float = 1

    def __post_init__(self) -> None:
        # Numbers of whatever kind, as a table gives them, become floats: equal ones are the same.
        for name in (field.name for field in fields(self) if field.name not in _WORDS):
            value = getattr(self, name)
            try:
                if name in _BETWEEN and np.ndim(value):
                    object.__setattr__(self, name, tuple(map(float, value)))
                elif not (value is None and name in _MAY_BE_NONE):
                    object.__setattr__(self, name, float(value))
            except (TypeError, ValueError, OverflowError):
                raise ValueError(
                    f"The {name} of the conditions is {value!r:.80}; give a number."
                ) from None
        for name in ("temperature_K", "pixel_size_nm", "thickness_nm"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"The picture's {name} is {value!r}; give a number above 0.")
        if not math.isfinite(self.field_T):
            raise ValueError(f"The field_T is {self.field_T!r}; give a number of tesla along z.")
        if not (isinstance(self.contrast, str) and self.contrast in CHANNELS):
            raise ValueError(
                f"Pictures of contrast {self.contrast!r} cannot be estimated from; the contrast is "
                f"one of {', '.join(CHANNELS)}."
            )
        if not (isinstance(self.levels, str) and self.levels in LEVELS):
            raise ValueError(f"The levels are one of {', '.join(LEVELS)}, not {self.levels!r}.")
        if self.levels == "unsigned" and not self.grey:
            raise ValueError(
                f"The levels of contrast {self.contrast!r} cannot be unsigned: which way is up is "
                "part of what colours mean. They are linear, or ordered if a gamma may have "
                "changed them."
            )
        for name, what in _BETWEEN.items():
            if (value := getattr(self, name)) is None:
                continue
            ends = np.atleast_1d(value).astype(float)
            if not (ends.shape in ((1,), (2,)) and np.isfinite(ends).all() and ends[0] <= ends[-1]):
                raise ValueError(
                    f"The {name} is {value!r}; give a number of {what}, or the lowest and the "
                    "highest that it may be (of angles around 0, such as -10 and 10)."
                )
        low, high = self.between["polar"]
        aslant = self.azimuth_deg is not None and 0 <= low and _RADIANS < high <= 180
        untold = self.azimuth_deg is None and low == high == 0
        if not (aslant if self.contrast == "component" else untold):
            raise ValueError(
                f"Contrast {self.contrast!r} with polar_deg {self.polar_deg!r} and azimuth_deg "
                f"{self.azimuth_deg!r}: the contrast 'component' needs both, in degrees. They are "
                "of the direction that is white, polar_deg from +z (0 to 180) and azimuth_deg in "
                "the picture (right 0, top 90), each one number or the lowest and the highest that "
                "it may be. No other contrast takes them."
            )
        felt = self.contrast == "magnetic_force"
        if not (self.lifts[0] > 0 if felt else self.lifts == (0, 0)):
            raise ValueError(
                f"Contrast {self.contrast!r} with lift_nm {self.lift_nm!r}: the contrast "
                "'magnetic_force' needs one above 0, from the film to the tip's pole, or the "
                "lowest and the highest that it may be; no other contrast takes one."
            )
        if self.dmi_kind not in ("bulk", "interfacial"):
            raise ValueError(f"The dmi_kind is bulk or interfacial, not {self.dmi_kind!r}.")
        if self.dmi_sign not in (1, -1):
            raise ValueError(f"The dmi_sign is 1 or -1, not {self.dmi_sign:g}.")
        if self.dmi_kind == "interfacial" and self.contrast == "lorentz_defocus":
            raise ValueError(
                "Walls of an interfacial DMI have no curl, and so no contrast in lorentz_defocus: "
                "nothing can be estimated from such a picture."
            )
        if self.blur_nm is not None and not (math.isfinite(self.blur_nm) and self.blur_nm >= 0):
            raise ValueError(f"The blur_nm is {self.blur_nm!r}; give a number >= 0, or None.")
        for name, (least, most) in _SENSIBLE.items():
            for value in filter(None, np.ravel(getattr(self, name))):
                if not least <= abs(value) <= most:
                    raise ValueError(f"{name} = {value:g} makes no sense: is it in another unit?")
        self.microscope()  # refuses a defocus where there is none, and none where one is due

    @property
    def anisotropies(self) -> tuple[float, float]:
        """The lowest and the highest anisotropy that the film may have, kJ/m³."""
        return _ends(self.anisotropy_kJ_m3)

    @property
    def lifts(self) -> tuple[float, float]:
        """The lowest and the highest that the tip's pole may be above the film, nm."""
        if np.ndim(self.lift_nm):
            return _ends(self.lift_nm)
        return (1 - SCATTER) * self.lift_nm, (1 + SCATTER) * self.lift_nm

    @property
    def between(self) -> dict[str, tuple[float, float]]:
        """Between which values settings of the microscope lie that need not be known."""
        polar, azimuth = _ends(self.polar_deg), _ends(self.azimuth_deg or 0.0)
        return {"lift": self.lifts, "polar": polar, "azimuth": azimuth}

    @property
    def grey(self) -> bool:
        return CHANNELS[self.contrast] == 1

    def microscope(self, **settings: Any) -> Microscope:
        """The instrument, without blur and noise unless `settings` say otherwise; lengths in nm.

        What lies `between` two values is half-way.
        """
        own = {name: sum(ends) / 2 for name, ends in self.between.items()}
        if self.contrast == "magnetic_force":
            own["thickness"] = self.thickness_nm
        own |= {"pixel_size": self.pixel_size_nm, "defocus": self.defocus_nm}
        return Microscope(self.contrast, **own | settings)


def _ends(value: float | tuple[float, float]) -> tuple[float, float]:
    low, high = np.broadcast_to(value, 2).tolist()
    return low, high
