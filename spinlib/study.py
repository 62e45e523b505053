"""One study's run, as its notebook sees it: where results go, and what is known about them.

study = Study("04", profile=profile, output=output, seed=seed, device=device)
study.show(figure, "annealed_states", numbers={"energy_J_per_site": e}, caption="…")
study.claim("V7", ours=-2.0575, uncertainty=1e-4, verdict="reproduced")
study.about()
"""

import json
import os
import platform
import re
import resource
import shlex
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
from IPython import get_ipython
from IPython.display import Markdown, display
from matplotlib.figure import Figure

from spinlib import claims
from spinlib.claims import true_minus
from spinlib.figures import with_palette
from spinlib.kernels import resolve_device
from spinlib.notebooks import CHANGES, PROFILES, ROOT, find, parameters
from spinlib.request import RUNNERS_OWN, in_words, results
from spinlib.weights import plain

_INJECTED = "# Parameters\n"  # how papermill's own cell begins
LARGE = 1_500_000  # bytes of a picture above which 256 colours have to do


class Study:
    """A run of one study: its device, its results folder, its claims.

    `study` is "01" to "04" or an appendix; `profile` is smoke, laptop or paper; `output` is a
    folder (relative to the repository), empty for the one where such results belong; `device` is
    auto, cpu or cuda.

    The runner says which parameters were changed. Without it, in JupyterLab or papermill, they are
    those of the parameters cell that have another value than in the notebook.
    """

    def __init__(
        self,
        study: str,
        *,
        profile: str = "laptop",
        output: str | Path = "",
        seed: int = 0,
        device: str = "auto",
    ) -> None:
        if profile not in PROFILES:
            raise ValueError(
                f"There is no profile {profile!r}; the profiles are {', '.join(PROFILES)}."
            )
        self.study = study
        self.profile = profile
        self.seed = seed
        self.device = resolve_device(device)
        told = os.environ.get(CHANGES)
        self.changes = _changed_by_hand(study, profile) if told is None else told
        self.output = ROOT / (output or results(profile, study, self.changes))
        self.commit = commit()
        self._claims = dict(claims.of_study(study))
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        self._started = datetime.now(UTC)
        self._clock = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since the study began."""
        return time.perf_counter() - self._clock

    @property
    def label(self) -> str:
        """The profile, with what was changed in it."""
        return f"{self.profile} with {self.changes}" if self.changes else self.profile

    @property
    def command(self) -> str:
        """The command that makes these results again."""
        again = f"make reproduce PROFILE={self.profile} STUDY={self.study}"
        if self.device != resolve_device("auto"):
            again += f" DEVICE={self.device}"
        return f"{again} P={shlex.quote(self.changes)}" if self.changes else again

    def show(self, figure: Figure, name: str, *, caption: str, **saved: dict | str) -> None:
        """`save` a figure, and show it with its caption below."""
        self.save(figure, name, caption=caption, **saved)
        display(figure)
        display(Markdown(f"**Figure.** {caption}"))
        plt.close(figure)  # or Jupyter would show it again at the end of the cell

    def save(
        self,
        figure: Figure,
        name: str,
        *,
        numbers: dict | None = None,
        caption: str = "",
        recipe: str = "",
    ) -> Path:
        """Save `figure` as <name>.png with its provenance inside, and <name>.json beside it.

        `numbers` is what the figure shows (numbers, arrays, tensors or tables, by name with their
        unit); `recipe` is the hash of the data set behind it, if there is one.
        """
        if not re.fullmatch(r"[a-z0-9_]+", name):
            raise ValueError(
                f"{name!r} is no figure name; use lower-case letters, digits and underscores."
            )
        provenance = {
            "study": self.study,
            "profile": self.label,
            "seed": self.seed,
            "device": device_name(self.device),
            "commit": self.commit,
            "recipe": recipe,
            "command": self.command,
        }
        content = {"caption": caption, "numbers": plain(numbers or {}), "provenance": provenance}
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        self.output.mkdir(parents=True, exist_ok=True)
        path = self.output / f"{name}.png"
        figure.savefig(
            path,
            dpi=150,
            bbox_inches="tight",
            metadata={"Software": None, "Title": name, "Description": caption}
            | {key: str(entry) for key, entry in provenance.items()},
            pil_kwargs={"optimize": True},
        )
        if path.stat().st_size > LARGE:
            path.write_bytes(with_palette(path.read_bytes()))
        path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
        return path

    def claim(
        self,
        name: str,
        *,
        verdict: str,
        ours: float | str | None = None,
        uncertainty: float | str | None = None,
        reason: str = "",
    ) -> None:
        """Record our value for a claim of the paper, its standard error and the verdict; show it.

        The verdict is one of `claims.VERDICTS`; all but "reproduced" need a reason in words.
        `about` writes the claims.
        """
        if name not in self._claims:
            raise ValueError(
                f"Study {self.study} has no claim {name!r}; its claims are "
                f"{', '.join(self._claims)}."
            )
        row = replace(
            self._claims[name],
            ours=_claimed(name, ours),
            uncertainty=_claimed(name, uncertainty),
            verdict=verdict,
            reason=true_minus(reason),
            seconds=round(self.seconds, 1),
        )
        claims.check(row)
        self._claims[name] = row
        display(Markdown(f"> {claims.in_words(row)}"))

    def about(self) -> pd.DataFrame:
        """Write claims.json and return what a reader needs to know about this run.

        Call it last: a claim that was not recorded by now appears as not tested at this size.
        """
        device = device_name(self.device)
        rows = [
            replace(
                row,
                reason=row.reason
                if row.seconds is not None
                else f"the {self.profile} run of study {self.study} records no value",
                profile=self.label,
                device=device,
                commit=self.commit,
                peak_memory=round(peak_memory(self.device), 2),
            )
            for row in self._claims.values()
        ]
        self.output.mkdir(parents=True, exist_ok=True)
        claims.write(rows, self.output)
        others = ("numpy", "scipy", "cupy-cuda13x", "zarr")
        facts = {
            "study": self.study,
            "profile": self.label,
            "command": self.command,
            "seed": self.seed,
            "commit": self.commit,
            "device": device,
            "processor": processor_name(),
            "its threads": os.cpu_count(),
            "vector width": vector_width(),
            "torch threads": torch.get_num_threads(),
            "Python": platform.python_version(),
            "torch": torch.__version__,  # with its build
            **{name: _version(name) for name in others},
            "started": self._started.strftime("%Y-%m-%d %H:%M UTC"),
            "took": f"{self.seconds:.0f} s",
            "memory": f"{peak_memory(self.device):.1f} GB at most in this process",
        }
        return pd.DataFrame({"about this run": facts})


def _changed_by_hand(study: str, profile: str) -> str:
    """What a notebook that runs without the runner has other than its `.py`, as name=value."""
    shell, page = get_ipython(), find(ROOT).get(study)
    if shell is None or page is None:
        return ""
    if profile != "laptop":
        raise ValueError(
            f"The sizes of profile {profile!r} are set by the runner: make reproduce "
            f"PROFILE={profile} STUDY={study}. Elsewhere leave profile at 'laptop' and change the "
            "parameters themselves."
        )
    known = {name: each for name, each in parameters(page).items() if name not in RUNNERS_OWN}
    # papermill puts what it is given into a cell of its own, and only warns of unknown names.
    for cell in shell.user_ns.get("In", ()):
        given = re.findall(r"^(\w+) = ", cell, re.MULTILINE) if cell.startswith(_INJECTED) else ()
        for name in given:
            if name not in known and name not in RUNNERS_OWN:
                raise ValueError(
                    f"There is no parameter {name!r} in study {study}; choose {', '.join(known)}."
                )
    here = {name: shell.user_ns.get(name, each.default) for name, each in known.items()}
    for name, each in known.items():
        if each.take(here[name]) != here[name]:  # a text that the runner would have understood
            raise ValueError(
                f"Parameter {name} ({each.help}) must be {each.kind}; {here[name]!r} is not. (In "
                "YAML, 1e-4 is a text: write 1.0e-4.)"
            )
    return in_words({name: here[name] for name in known if here[name] != known[name].default})


def device_name(device: torch.device) -> str:
    """Name a device for a reader: "cpu", or the GPU's own name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def peak_memory(device: torch.device) -> float:
    """The most memory in GB that this process has had: of torch's on a GPU, of everything else."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1e-6 if sys.platform == "linux" else 1e-9
    )


def processor_name() -> str:
    """Name the processor with its maker, which decides on the last bits of MKL's functions."""
    table = Path("/proc/cpuinfo")  # Linux; platform.processor() knows the others
    names = re.findall(r"^model name\s*: (.+)$", table.read_text() if table.exists() else "", re.M)
    return names[0] if names else platform.processor() or platform.machine()


def vector_width() -> str:
    """Name the vector instructions that this processor offers, e.g. "AVX512 (512 bit)"."""
    name = torch.backends.cpu.get_cpu_capability()
    bits = {"AVX512": 512, "AVX2": 256, "SVE256": 256}.get(name, 128)
    return f"{name} ({bits} bit)"


def commit() -> str:
    """Return the commit of this checkout, with "+" if code or notebooks differ from it."""
    try:
        name = _git("rev-parse", "--short=12", "HEAD")
        inputs = ("spinlib", "notebooks/*.py", "notebooks/*.yaml", "requirements.txt")
        changed = _git("status", "--porcelain", "--", *inputs)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name}+" if changed else name


def _claimed(name: str, x: object) -> float | str | None:
    """Take a claim's number or text, refusing what no reader could compare with the paper."""
    entry = plain(x)
    if entry is None and x is not None:
        raise ValueError(f"Claim {name}: {x} is no value; say in words what happened.")
    if isinstance(entry, bool | list | dict):
        raise ValueError(f"Claim {name}: give one number or a text, not {entry!r}.")
    return true_minus(entry) if isinstance(entry, str) else entry


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=20
    ).stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
