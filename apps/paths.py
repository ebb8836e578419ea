"""Checks of paths that users name, before any work starts."""

import dataclasses
import errno
import itertools
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from apps.errors import UserError


def expand(path: str | Path, flag: str) -> Path:
    """A path with its `~` replaced by the folder that it stands for.

    Args:
        path: what the user gave; what is not there is no mistake here.
        flag: where it was given, for the error messages.

    Raises:
        UserError: if it is empty, too long or no text, or if its `~` names nobody.
    """
    if not str(path):
        raise UserError(f"{flag} is empty. Name a file or a folder.")
    if "\0" in str(path):
        raise UserError(f"{flag}: a path holds no NUL, got {str(path)!r}. Use another.")
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(
            f"{flag}: the path {str(path)!r} is not UTF-8. Rename the file or the folder."
        ) from None
    try:
        expanded = Path(path).expanduser()
    except RuntimeError:
        raise UserError(
            f"{flag}: there is no user whose folder is {Path(path).parts[0]}. Write the whole "
            "path."
        ) from None
    try:
        expanded.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UserError(
                f"{flag}: a name in the path is too long, or all of it, with "
                f"{len(str(path)):,} characters: {str(path)[:40]}... Use a shorter one."
            ) from None
    return expanded


def check_paths(options: Any) -> None:
    """Raises a `UserError` if one of the options is a path that can be none."""
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if isinstance(value, Path) or (field.name == "data" and value is not None):
            expand(value, _flag(field.name))


def check_arguments(options: type, arguments: Sequence[str]) -> None:
    """Raises a `UserError` for an empty path, which is read as the working directory else."""
    hints = typing.get_type_hints(options)
    paths = {_flag(n) for n, hint in hints.items() if hint in (Path, Path | None)}
    for argument, following in itertools.zip_longest(arguments, arguments[1:]):
        flag, given, value = argument.partition("=")
        if flag.replace("_", "-") in paths and (value if given else following) == "":
            raise UserError(f"{flag} is empty. Name a file or a folder.")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
