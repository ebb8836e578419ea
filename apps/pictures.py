"""Checks of the path of a picture, before the work starts."""

import importlib.util
from pathlib import Path

from apps.errors import UserError


def check_picture(path: Path, flag: str) -> None:
    """Raises a `UserError` for a picture that cannot be drawn.

    Args:
        path: the file to write.
        flag: the option that names it.
    """
    if path.suffix.lower() != ".png":
        raise UserError(f"{flag} must end with .png, got {path}.")
    if path.is_dir():
        raise UserError(f"{path}: this is a folder. Name a file with {flag}.")
    if not path.parent.is_dir():
        raise UserError(f"{path.parent}: there is no such folder. Make it first.")
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError(f"{flag} needs matplotlib: python -m pip install 'kerasrnn[viz]'")
