"""Numbered versions of a model side by side in one folder, as serving systems read them."""

import contextlib
import os
from pathlib import Path

from kerasrnn import files


def list_versions(directory: str | Path) -> list[int]:
    """The version numbers in a model folder, in integer order; empty if there are none."""
    return [int(path.name) for path in find_versions(Path(directory))]


def find_versions(directory: Path) -> list[Path]:
    """The folders of these versions."""
    if not directory.is_dir():
        return []
    found = (path for path in directory.iterdir() if path.is_dir() and path.name.isdecimal())
    return sorted(found, key=lambda path: int(path.name))


def publish(path: Path, directory: Path) -> Path:
    """Makes a complete folder the next version; it appears there at once.

    Args:
        path: the folder, on the same file system as `directory`.
        directory: the model folder.

    Returns:
        `directory/<version>`.
    """
    for file in (*path.rglob("*"), path):
        files.sync(file)
    version = max(list_versions(directory), default=0) + 1
    while True:
        try:
            os.rename(path, directory / str(version))
        except OSError:
            if not (directory / str(version)).exists():
                raise
            version += 1  # something else took this number
        else:
            files.sync(directory)
            return directory / str(version)


def remove_old_versions(directory: Path, keep: int, spared: Path, hidden: Path) -> None:
    """Removes all but the newest versions, except those that the system cannot remove.

    Args:
        directory: the model folder.
        keep: how many of the newest versions stay.
        spared: a version that also stays.
        hidden: a folder that is about to be removed. They are moved there first, so
            that no reader sees half a version.
    """
    for path in find_versions(directory)[:-keep]:
        if path != spared:
            with contextlib.suppress(OSError):  # gone, or in use
                os.rename(path, hidden / path.name)
