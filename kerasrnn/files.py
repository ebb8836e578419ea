"""Files that are whole or absent, and folders that one process writes at a time."""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks: nothing guards a folder there
    fcntl = None  # type: ignore[assignment]

_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
"""What some file systems say of a folder that is to be synced: they cannot."""

HIDDEN = ".writing-"
"""What the names of unfinished files and folders begin with; no server reads such a folder."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Gives a hidden path to write to; what was written then appears at `path`.

    A reader, or a process that is killed at any moment, finds the old file or the
    new one, whole and on the disk. `remove_unfinished` removes the hidden file that a
    killed process has left.

    Args:
        path: the file; of a link, what it leads to. What is no ordinary file, such
            as `/dev/stdout`, is written directly.

    Raises:
        OSError: if it cannot be written; `filename` is `path` then.
    """
    if path.exists() and not path.is_file():  # before links are followed: pipes have no path
        with named(path, None):
            yield path
        return
    path = Path(os.path.realpath(path))
    unique = secrets.token_hex(4)  # another process may be writing the same file
    hidden = path.with_name(f"{HIDDEN}{unique}-{path.name[-100:]}")
    try:
        with named(path, None, str(hidden), hidden):
            yield hidden
            if path.exists():
                shutil.copymode(path, hidden)
            sync(hidden)
            os.replace(hidden, path)
            sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            hidden.unlink()


@contextlib.contextmanager
def named(path: Path, *others: object) -> Iterator[None]:
    """Raises an `OSError` whose `filename` is one of `others` again, with `path` in its place.

    A write that fails has the `filename` `None`.
    """
    try:
        yield
    except OSError as error:
        if error.filename not in others:
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def write_text(path: Path, text: str) -> None:
    """Writes a file in UTF-8 with line feeds; a reader sees the old content or the new one."""
    with writing(path) as hidden:
        hidden.write_text(text, encoding="utf-8", newline="\n")


def sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk.

    Raises:
        OSError: if they cannot be written.
    """
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        with named(path, None):
            os.fsync(descriptor)
    except OSError as error:
        if not path.is_dir() or error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def remove_unfinished(folder: Path) -> None:
    """Removes what killed processes have left unfinished; call it inside `locked`."""
    for path in folder.glob(f"{HIDDEN}*"):
        remove(path)


def remove(path: Path) -> None:
    """Removes a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        try:
            shutil.rmtree(path)
        except OSError as error:  # it names what is inside, without the folder
            raise OSError(error.errno, error.strerror, str(path)) from error
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Keeps other processes out of a folder; a killed process leaves no lock behind.

    Gives whether it does: not on Windows, and not where the file system has no locks.

    Args:
        folder: it exists; the lock is on the folder itself, not on a file in it.
        wait: whether to wait for another process that holds the lock.

    Raises:
        BlockingIOError: if another process holds it and `wait` is false.
    """
    if fcntl is None:
        yield False
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield _lock(descriptor, folder, wait)
    finally:
        with contextlib.suppress(OSError):  # children may hold the descriptor, too
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _lock(descriptor: int, folder: Path, wait: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError as error:
        message = "another process is writing there"
        raise BlockingIOError(error.errno, message, str(folder)) from None
    except OSError:  # a file system without locks
        return False
    return True
