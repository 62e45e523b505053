"""Files that are there whole or not at all, and locks that two processes cannot have at once."""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import IO

from tqdm.auto import tqdm

PARTIAL = ".partial"  # how the name of a file ends that is not yet whole
WAITING = "waiting for it."  # how a process ends the sentence that says why it waits


class LockError(OSError):
    """A lock that the file system does not give; the message says what to do."""


def wait_for_lock(file: IO, made: str, stop: Event | None = None) -> None:
    """Take the lock of an open file, which closing it gives back, and so does death, however.

    If another process has it, say that it is making what is `made` here, and wait. In a thread,
    which Ctrl-C does not interrupt, `stop` ends the waiting as it would.
    """
    waiting = False
    while not lock_at_once(file, made):
        if not waiting:
            tqdm.write(f"Another process is making {made}; {WAITING}")
        waiting = True
        time.sleep(0.2)
        if stop is not None and stop.is_set():
            raise KeyboardInterrupt


def lock_at_once(file: IO, made: str) -> bool:
    """Take the lock of an open file, or say that another process has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise LockError(
            f"{made} cannot be locked, which keeps two processes from making it at once "
            f"({error.strerror}): use a folder on a file system with flock locks."
        ) from None
    return True


def put_back(folder: Path) -> None:
    """Undo an exchange of results that a kill cut short between its two steps."""
    old = folder.with_name(f".{folder.name}.old")
    if old.exists() and not folder.exists():
        old.rename(folder)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that, whenever this is cut short, it is whole or as it was before.

    For one writer at a time: a fixed name will do for the part, as what a kill leaves of it is
    overwritten next time.
    """
    partial = path.with_name(path.name + PARTIAL)
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
