"""Checkpoint files: arrays and notes, whole or absent."""

import errno
import io
import json
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from kerasrnn import files

_PREFIX, _SUFFIX = "step-", ".npz"
_NUM_KEPT = 2
_OF_THE_MACHINE = (
    errno.EIO,
    errno.EACCES,
    errno.EPERM,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
)
"""Errors in reading that say nothing of the file."""
_PIECE = 2**20  # bytes written at a time


class RunError(ValueError):
    """A run that cannot go on from what lies in its folder."""


class DamagedCheckpointError(RunError):
    """A checkpoint that is not what a training has written."""


def save(folder: Path, step: int, arrays: dict[str, np.ndarray], notes: dict) -> Path:
    """Writes a checkpoint under its step, and then removes all but the newest two.

    A reader, or a process killed at any moment, finds a whole file or none.

    Args:
        folder: made if it is missing.
        step: the number of training steps done.
        arrays: by name.
        notes: anything JSON holds.

    Returns:
        The file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_PREFIX}{step:010}{_SUFFIX}"
    with files.writing(path) as hidden, open(hidden, "wb", _PIECE) as file:
        notes_array = np.array(json.dumps(notes))
        np.savez(_Forwards(file), allow_pickle=False, notes=notes_array, **arrays)
    for old in list_checkpoints(folder)[:-_NUM_KEPT]:
        old.unlink(missing_ok=True)
    return path


class _Forwards(io.BufferedIOBase):
    """A file to write from its beginning to its end: so it is written in large pieces."""

    def __init__(self, file: BinaryIO):
        self._file = file

    def write(self, data: Any) -> int:
        return self._file.write(data)


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first."""
    return sorted(Path(folder).glob(f"{_PREFIX}*{_SUFFIX}"))


def load(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """The arrays and the notes of a checkpoint.

    Raises:
        DamagedCheckpointError: if the file is damaged, for example cut short.
        OSError: if the machine cannot read it now.
    """
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        notes = json.loads(str(arrays.pop("notes")))
    except MemoryError:
        raise
    except Exception as error:  # what a damaged file makes of zipfile, zlib, NumPy and JSON
        if getattr(error, "errno", None) in _OF_THE_MACHINE:
            raise
        raise DamagedCheckpointError(f"{path} is damaged and cannot be read.") from error
    return arrays, notes
