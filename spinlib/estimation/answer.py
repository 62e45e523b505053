"""The answer to a picture: a table, a figure, warnings, a JSON, and a file that keeps it all."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from spinlib import figures
from spinlib.estimation.films import ANISOTROPY
from spinlib.estimation.planning import helix_period
from spinlib.estimation.prediction import magnetisation, volume
from spinlib.estimation.quantities import QUANTITIES, in_units, symbol_and_unit
from spinlib.files import write_whole
from spinlib.hysteresis import Loop
from spinlib.optics import crop
from spinlib.thermal_recipes import NAMES, Ranges
from spinlib.weights import plain

_TABLES = ("table", "coverage", "tested", "loop", "films")


@dataclass(frozen=True)
class Estimate:
    """What `estimate` found out.

    table      A, D, M_s and 4πA/D: estimate, and the ends of the 90 % interval; 0 and inf where it
               is open. 4πA/D is straightened by itself and is not quite that of A and D
    warnings   sentences that say why not to trust it
    choices    sentences that say how it was simulated
    coverage   share of tested states whose interval holds the truth, with binomial errors, and by
               thirds of the range: 90 % hold on average over the ranges, near their ends less.
               They verify intervals that other states calibrated; those of the table they
               calibrate as well
    tested     true values and estimates of the tested states
    texture    distances of spectra and skyrmions per µm² of the picture and of simulations
    spectra    waves per nm, and shares of the power of picture and simulations
    loop       descending branches: state, field_T, magnetisation in units of M_s
    films      the parameters of these states: first `repeats` times the estimate, then some that
               are possible as well, and each film's coercive field, remanence, saturation field
    picture    (channels, height, width); `again` (films, channels, height, width) simulated with
               the estimate
    """

    table: pd.DataFrame
    warnings: list[str]
    choices: list[str]
    coverage: pd.DataFrame
    tested: pd.DataFrame
    texture: dict[str, float]
    spectra: dict[str, list]
    loop: pd.DataFrame
    films: pd.DataFrame
    repeats: int
    pixel_size_nm: float
    settings: dict[str, Any]
    picture: torch.Tensor = field(repr=False)
    again: torch.Tensor = field(repr=False)

    def __str__(self) -> str:
        """The estimates with their 90 % intervals, and the warnings, a line each."""
        lines = []
        for name, row in self.table.iterrows():
            symbol, unit = symbol_and_unit(name)
            value, low, high = (f"{row[entry]:.3g}" for entry in ("estimate", "low", "high"))
            lines.append(f"{symbol} = {value} {unit} (90 %: {low} to {high})")
        lines += [f"Warning: {sentence}" for sentence in self.warnings]
        return "\n".join(lines).replace(" inf)", " ∞)")

    def loop_points(self) -> pd.DataFrame:
        """Coercive and saturation field (T) and remanence: mean of the films with the estimate.

        "scatter" is its standard error, from film to film; "possible" the standard deviation
        among films with parameters that are possible as well.
        """
        points = self.films.drop(columns=[*NAMES, ANISOTROPY])
        own, other = points[: self.repeats], points[self.repeats :]
        return pd.DataFrame(
            {
                "estimate": own.mean(),
                "scatter": own.std() / np.sqrt(len(own)),
                "possible": other.std(),
            }
        )

    def volume(
        self, moment: np.ndarray | float, moment_error: float, field_T: np.ndarray | float
    ) -> tuple[float, float]:
        """Volume (m³) of a sample of this film and its standard error, from measured moments.

        Moments in A m² at fields in T along z, coming from saturation; `moment_error` is the
        standard error of each. The magnetisation is that of the predicted loop; what is not known
        of it is taken from the films with other possible parameters, and from the interval of M_s
        where that says more.
        """
        loop = Loop(self.loop)
        fields = np.atleast_1d(field_T)
        curves = np.stack([magnetisation(loop, self.films[NAMES[2]], f) for f in fields], 1)
        own, other = curves[: self.repeats].mean(0), curves[self.repeats :]
        from_films = float(np.sqrt(np.mean((other @ own / (own @ own) - 1) ** 2)))
        row = self.table.loc[NAMES[2]]
        # For a normal distribution 90 % are within 1.645 standard deviations on either side.
        from_interval = (row["high"] - row["low"]) / (2 * 1.645 * row["estimate"])
        return volume(moment, moment_error, own, max(from_films, from_interval))

    def figure(self, truth: Sequence[float] | None = None) -> Figure:
        """Picture, simulation, spectra; intervals, estimates of tested states, loop.

        `truth` is A, D and M_s where they are known, to be marked on the intervals.
        """
        figure, axes = figures.panels(2, 3, width=3.2, height=2.8)
        pixel = 1e-9 * self.pixel_size_nm
        # Pictures larger than what was simulated are shown in part, at the same scale.
        own = crop(self.picture, self.again.shape[-2:])
        counted, again = (
            self.texture[f"skyrmions per µm², {k}"] for k in ("picture", "simulations")
        )
        scatter = self.texture["their standard deviation"]
        titles = (
            "picture" + (f": {counted:.0f} skyrmions/µm²" if counted > 0 else ""),
            "simulated again" + (f": {again:.0f} ± {scatter:.0f} per µm²" if again > 0 else ""),
        )
        for ax, pixels, title in zip(axes[0, :2], (own, self.again[0]), titles, strict=True):
            figures.draw_picture(pixels, ax, pixel=pixel, title=title)
        waves = np.array(self.spectra["waves per nm"])
        ax = axes[0, 2]
        for shares in self.spectra["simulations"]:
            ax.loglog(1 / waves, shares, color=figures.ESTIMATED, lw=0.8, alpha=0.6)
        ax.loglog(1 / waves, self.spectra["picture"], color=figures.OBSERVED, label="picture")
        ax.plot([], [], color=figures.ESTIMATED, label="simulated again")
        ax.set(xlabel="wavelength (nm)", ylabel="share of the power")
        ax.legend(frameon=False, fontsize=figures.LABEL)
        true = None if truth is None else [float(value) for value in truth]
        true = true and [*true, float(helix_period(*true[:2]))]
        for number, name in enumerate(QUANTITIES):
            ax = axes[1, 0].inset_axes((0.0, 0.84 - 0.28 * number, 1.0, 0.1))
            self._interval(ax, name, true and true[number])
        axes[1, 0].set_axis_off()
        ax = axes[1, 1]
        asked = (self.settings["ranges"][end] for end in ("low", "high"))
        for name, low, high in zip(NAMES, *asked, strict=True):
            ax.plot(
                *((self.tested[f"{kind} {name}"] - low) / (high - low) for kind in _KINDS),
                **{"ls": "", "marker": ".", "ms": 4, "color": _colour(name)},
                label=f"${symbol_and_unit(name)[0]}$",
            )
        ax.plot([0, 1], [0, 1], color="0.6", lw=0.8)
        ax.set(xlabel="truth of tested states (of the range)", ylabel="estimate")
        ax.legend(frameon=False, fontsize=figures.LABEL)
        ax = axes[1, 2]
        loop = Loop(self.loop)
        for state in self.loop.state.unique()[::-1]:
            # Those within the errors are broad, or the estimate would hide them.
            shade, width = (figures.ESTIMATED, 0.8) if state < self.repeats else ("0.8", 2.5)
            for ascending in (False, True):
                ax.plot(*loop.branch(state, ascending), color=shade, lw=width)
        ax.set(xlabel="field (T)", ylabel="$M/M_s$")
        ax.set_title("loop; grey: within the errors", fontsize=figures.TITLE)
        return figure

    def _interval(self, ax: Axes, name: str, truth: float | None) -> None:
        """The interval of one quantity on the range that was simulated."""
        row, shade = self.table.loc[name], _colour(name)
        ends = in_units(np.array([[0.0] * 4, [1.0] * 4]), Ranges(**self.settings["simulated"]))
        low, high = ends[:, QUANTITIES.index(name)]
        ends = np.clip([row["low"], row["high"]], low, high)
        ax.plot(ends, [0, 0], color=shade, lw=5, alpha=0.4, solid_capstyle="butt")
        ax.plot([row["estimate"]], [0], "o", color=shade)
        ax.set(xlim=(low, high), yticks=[], ylim=(-1, 1))
        ax.tick_params(labelsize=figures.LABEL)
        symbol, unit = symbol_and_unit(name)
        ax.set_title(f"${symbol}$ ({unit})", fontsize=figures.TITLE, loc="left", pad=2)
        if truth is not None:
            ax.axvline(truth, color=figures.OBSERVED, lw=2)
        if truth is not None and name == NAMES[0]:
            ax.set_title("line: truth", fontsize=figures.LABEL, loc="right", pad=2)

    def to_json(self, path: str | Path | None = None, pictures: Sequence[str] = ()) -> str:
        """All numbers as JSON, written to a file as well if one is named.

        `pictures` says what files they are from; an answer knows only the pixels. Of an open
        interval the lower end is 0, the upper one null.
        """
        content = {
            "pictures": list(pictures),
            "table": {name: plain(row) for name, row in self.table.iterrows()},
            "warnings": self.warnings,
            "choices": self.choices,
            "coverage": {name: plain(row) for name, row in self.coverage.iterrows()},
            "texture": plain(self.texture),
            "loop": {name: plain(row) for name, row in self.loop_points().iterrows()},
            "settings": plain(self.settings),
        }
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        if path is not None:
            # Names of files may hold bytes that are no text.
            write_whole(Path(path), text.encode(errors="backslashreplace"))
        return text

    # --- keeping -------------------------------------------------------------------------------

    def keep(self, path: str | Path) -> "Estimate":
        """Write everything to a file, whole or not at all."""
        about = {
            name: getattr(self, name)
            for name in ("warnings", "choices", "texture", "spectra", "repeats", "settings")
        } | {"pixel_size_nm": self.pixel_size_nm}
        tables = {
            name: {"index": [*map(str, table.index)], "columns": table.to_dict("list")}
            for name in _TABLES
            for table in (getattr(self, name),)
        }
        content = json.dumps({"about": about, "tables": tables})
        pictures = {"picture": self.picture.contiguous(), "again": self.again.contiguous()}
        write_whole(Path(path), save(pictures, {"estimate": content}))
        return self

    @classmethod
    def load(cls, path: str | Path) -> "Estimate":
        """Read what `keep` wrote."""
        try:
            with safe_open(path, framework="pt") as file:
                content = json.loads(file.metadata()["estimate"])
                pictures = {name: file.get_tensor(name) for name in ("picture", "again")}
        except (SafetensorError, KeyError, TypeError) as error:
            raise ValueError(f"{path} holds no whole estimate ({error}); remove it.") from None
        tables = {}
        for name, table in content["tables"].items():
            index = None if name in ("tested", "loop", "films") else table["index"]
            tables[name] = pd.DataFrame(table["columns"], index=index)
        return cls(**tables, **content["about"], **pictures)


_KINDS = ("true", "estimated")


def _colour(name: str) -> str:
    return figures.PARAMETERS.get(symbol_and_unit(name)[0], "0.4")
