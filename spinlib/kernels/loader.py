"""From a `.cu` file to something callable: NVRTC (through CuPy) on a GPU, the C++ compiler without.

Both compilers get one self-contained text, the headers written in at their `#include`, so that one
digest of text, flags and compiler names the result, and a changed header is never overlooked.
"""

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent

# The same bits on every CPU: no contraction beyond the explicit fused multiply-adds, no fast-math.
# Without errno and traps, square roots and selects become single vector instructions.
HOST_FLAGS = (
    "-std=c++17 -O3 -fPIC -shared -pthread -ffp-contract=off -fno-math-errno -fno-trapping-math"
).split()
# Not known to every compiler on every processor, as on ARM; see `_known`.
VECTOR_FLAGS = ("-march=native", "-mprefer-vector-width=512")
SCALAR_FLAGS = ("-march=native", "-fno-tree-vectorize", "-fno-tree-slp-vectorize")

# CuPy itself adds flush-to-zero; the kernels' own constants stay clear of denormals.
CUDA_FLAGS = ("--std=c++17", "--prec-sqrt=false")


class KernelError(RuntimeError):
    """A kernel could not be compiled or run; the message says what to do."""


@functools.cache
def source(name: str) -> str:
    """Text of `name` with its local headers in place, each once, under `#line` marks."""
    seen: set[str] = set()

    def expand(file: str) -> str:
        if file in seen:
            return ""
        seen.add(file)
        lines = [f'#line 1 "{file}"']
        for number, line in enumerate(
            (FOLDER / file).read_text(encoding="utf-8").splitlines(), start=1
        ):
            include = re.fullmatch(r'\s*#include "(.+)"', line)
            if include:
                lines += [expand(include[1]), f'#line {number + 1} "{file}"']
            else:
                lines.append("" if line == "#pragma once" else line)
        return "\n".join(lines)

    return expand(name)


def cache_folder() -> Path:
    """Where compiled kernels are kept: `$SPINLIB_CACHE`, or the user's cache folder."""
    chosen = os.environ.get("SPINLIB_CACHE") or os.environ.get("XDG_CACHE_HOME")
    return Path(chosen or Path.home() / ".cache") / "spinlib" / "kernels"


@functools.cache
def _compiler() -> list[str]:
    """The host compiler's command: CXX may be "ccache g++"."""
    wanted = os.environ.get("CXX", "").strip()
    for candidate in [wanted] if wanted else ["g++", "c++", "clang++"]:
        first, *rest = candidate.split()
        if path := shutil.which(first):
            return [path, *rest]
    raise KernelError(
        f"No C++ compiler found (looked for {wanted or 'g++, c++, clang++'}): install one, "
        "`apt-get install g++` on Debian or `conda install cxx-compiler` in a conda environment."
    )


@functools.cache
def _known(flags: tuple[str, ...]) -> tuple[list[str], str]:
    """The flags that the host compiler does not refuse, and what it makes of them.

    That text tells compilers and instruction sets apart: "native" means another thing on another
    machine that shares the cache folder.
    """

    def ask(*some: str) -> subprocess.CompletedProcess:
        query = [*_compiler(), *some, "-E", "-v", "-x", "c++", os.devnull]
        return subprocess.run(query, capture_output=True, text=True, check=False)

    known, answer = list(flags), ask(*flags)
    if answer.returncode:
        known = [flag for flag in flags if not ask(flag).returncode]
        answer = ask(*known)
    return known, answer.stderr


@functools.cache
def host_library(name: str, flags: tuple[str, ...] = VECTOR_FLAGS) -> ctypes.CDLL:
    """The kernels of `name` as a shared library for this CPU, compiled at first use."""
    flags, identity = _known(flags)
    command = [*_compiler(), *HOST_FLAGS, *flags]
    digest = hashlib.sha256("\0".join([source(name), identity, *command]).encode()).hexdigest()[:20]
    library = cache_folder() / f"{Path(name).stem}-{digest}.so"
    if not library.exists():
        _compile(command, source(name), library)
    return ctypes.CDLL(str(library))


def _compile(command: list[str], text: str, library: Path) -> None:
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            unit, built = Path(folder, "unit.cpp"), Path(folder, "unit.so")
            unit.write_text(text, encoding="utf-8")
            run = subprocess.run(
                [*command, str(unit), "-o", str(built)], capture_output=True, text=True, check=False
            )
            if run.returncode:
                raise KernelError(f"{command[0]} could not compile {library.stem}:\n{run.stderr}")
            # The rename is atomic: of two processes compiling at once, either result serves both.
            os.replace(built, library)
    except OSError as error:
        raise KernelError(
            f"Compiled kernels cannot be kept in {library.parent} ({error.strerror}): set "
            "SPINLIB_CACHE to a folder that can be written and executed from."
        ) from error


@functools.cache
def cuda_kernel(name: str, function: str):
    """One `__global__` function of `name`, compiled by NVRTC for the current GPU."""
    return _cuda_module(name).get_function(function)


@functools.cache
def _cuda_module(name: str):
    try:
        import cupy
    except ImportError as error:
        raise KernelError(
            "CuPy is needed to run kernels on a GPU: in the repository, `.venv/bin/python -m pip "
            "install -c requirements.txt -e '.[gpu]'`, or choose device='cpu'."
        ) from error
    return cupy.RawModule(code=source(name), options=CUDA_FLAGS, backend="nvrtc")
