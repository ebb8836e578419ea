"""Loading an exported model: TensorFlow alone, none of the model's Python code."""

import contextlib
import hashlib
import json
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from apps.errors import UserError
from apps.memory import find_limit
from apps.paths import expand
from apps.quiet import quiet_tensorflow

FOLDER = Path("saved_models")
_BESIDE_THE_APPS = Path(__file__).parent.parent / FOLDER
_GRAPH, _VOCABULARY = "saved_model.pb", "assets/vocabulary.txt"
_LABELS, _SOURCE_VOCABULARY = "assets/labels.txt", "assets/source_vocabulary.txt"
_CHECKSUMS, _CONFIG = "assets.extra/SHA256SUMS", "assets.extra/config.json"
_PARTS = (_GRAPH, "fingerprint.pb", "variables", "assets", "assets.extra")
_LARGEST_TEXT = 2**26  # bytes
_FIGURES = ("validation_accuracy", "validation_sequence_error_rate", "validation_loss")
"""What the apps export into the configuration; the first that is there is told."""


def load_signature(
    model: Path, app: str, name: str, outputs: Iterable[str], flag: str = "--model"
):
    """A signature of an exported model, and the folder it was read from.

    Args:
        model: a version's folder, or a folder of versions, of which the newest
            is taken. Where the app's usual folder is not in the working
            directory, the one of a clone of this project is taken.
        app: the app that trains such models, for the error messages.
        name: of the signature.
        outputs: those that it must have.
        flag: the one that names the model, for the error messages.

    Raises:
        UserError: if there is no model, or it cannot be loaded.
    """
    folder = find_model(model, app, flag)
    again = _how_to_go_on(app, flag)
    with quiet_tensorflow():
        import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(folder))
        signature = loaded.signatures.get(name)
    except Exception as error:  # a damaged file fails anywhere in TensorFlow
        lines = [line for line in str(error).splitlines() if line and "{{node" not in line]
        reason = lines[-1].strip(". ") if lines else type(error).__name__
        raise UserError(f"{folder}: the model is damaged: {reason}. {again}") from error
    given = signature.structured_outputs if signature is not None else {}
    lacking = f"the signature {name}" if signature is None else ""
    lacking = lacking or next((f"the output {key}" for key in outputs if key not in given), "")
    if lacking:
        raise UserError(
            f"{folder}: this is no model of apps.{app}: it lacks {lacking}. {again}"
        )
    signature.loaded = loaded  # a signature alone does not keep its variables alive
    return signature, folder


def find_model(model: Path, app: str, flag: str = "--model") -> Path:
    """The folder of a version that `load_signature` would load, found without TensorFlow.

    Args:
        model, app, flag: as of `load_signature`.

    Raises:
        UserError: if there is no model, or it is not what was exported.
    """
    return find_version(model, _how_to_go_on(app, flag))


def _how_to_go_on(app: str, flag: str) -> str:
    return f"Train one: python -m apps.{app} train, or name another with {flag}."


def find_version(model: Path, again: str) -> Path:
    """The folder of a version, whole as far as its checksums tell.

    Args:
        model: a version's folder, or a folder of versions, of which the newest
            is taken.
        again: what to do about it, for the error messages.

    Raises:
        UserError: if there is no model, or it is not what was exported.
    """
    folder = _newest_version(expand(model, "the model"))
    if folder is None and model.parent == FOLDER and not model.exists():
        folder = _newest_version(_BESIDE_THE_APPS / model.name)
    if folder is None:
        if model.is_file():
            what = "this is a file, not a folder"
        elif model.exists():
            what = "there is no exported model"
        else:
            what = "there is no such folder"
        raise UserError(f"{model}: {what}. {again}")
    with _damage_reported(folder, f" {again}"):
        _check_whole(folder)
    return folder


def announce(model: Path, folder: Path) -> None:
    """Names, on standard error, the model that a command uses, and how to choose another.

    Args:
        model: what the user named.
        folder: the version that `load_signature` took for it.
    """
    notes, config = [], read_config(folder)
    figure = next((name for name in _FIGURES if isinstance(config.get(name), float)), None)
    if figure:
        notes.append(f"{figure.replace('_', ' ')} {config[figure]:.4f}")
    num_versions = len(_find_versions(folder.parent))
    if num_versions > 1 and folder != expand(model, "the model"):
        notes.append(f"newest of {num_versions}, choose with --model")
    print(f"model: {folder}" + (f" ({'; '.join(notes)})" if notes else ""), file=sys.stderr)


def read_config(folder: Path) -> dict[str, Any]:
    """What stands in `assets.extra/config.json` of a version; empty if it is not there.

    Args:
        folder: what `find_version` returned.

    Raises:
        UserError: if it is damaged.
    """
    with _damage_reported(folder):
        return _parse_config(folder) if (folder / _CONFIG).exists() else {}


def read_labels(folder: Path) -> tuple[str, ...]:
    """The labels of a classifier in their order; empty for a version that does not name them.

    Args:
        folder: what `find_version` returned.

    Raises:
        UserError: if the file is damaged.
    """
    with _damage_reported(folder):
        return tuple(_read(folder, _LABELS).splitlines()) if (folder / _LABELS).exists() else ()


def read_source_tokens(folder: Path) -> set[str]:
    """The tokens of sources that a model knows; empty for a version that does not name them.

    Args:
        folder: what `find_version` returned.

    Raises:
        UserError: if the file is damaged.
    """
    with _damage_reported(folder):
        if not (folder / _SOURCE_VOCABULARY).exists():
            return set()
        return set(_read(folder, _SOURCE_VOCABULARY).split("\n"))


class _DamageError(Exception):
    """Which part of a model is damaged, and how."""


@contextlib.contextmanager
def _damage_reported(folder: Path, advice: str = "") -> Iterator[None]:
    """A `_DamageError` becomes a `UserError`, which names the model and what to do."""
    try:
        yield
    except _DamageError as damage:
        raise UserError(f"{folder}: the model is damaged: {damage}.{advice}") from None


def _newest_version(model: Path) -> Path | None:
    if any((model / part).exists() for part in (_GRAPH, "variables", _CHECKSUMS)):
        return model
    return max(_find_versions(model), key=lambda path: int(path.name), default=None)


def _find_versions(models: Path) -> list[Path]:
    return [path for path in models.glob("*") if path.name.isdecimal() and path.is_dir()]


def _check_whole(folder: Path) -> None:
    """Raises a `_DamageError` for a version that is not what was exported."""
    for part in _PARTS:
        for path in (folder / part, *(folder / part).rglob("*")):
            if path.is_symlink() or path.exists():
                _check_file(folder, path, or_folder=True)
    _check_file(folder, folder / _GRAPH)
    if (folder / _CHECKSUMS).exists():  # else not exported by kerasrnn: TensorFlow will tell
        _check_sums(folder)
    if (folder / _CONFIG).exists():
        _parse_config(folder)
    if (folder / _VOCABULARY).exists() and not _read(folder, _VOCABULARY):
        raise _DamageError(f"{_VOCABULARY} is empty")


def _check_file(folder: Path, path: Path, or_folder: bool = False) -> None:
    """Of what a version holds nothing lies elsewhere, and nothing is a device or a pipe."""
    name = path.relative_to(folder).as_posix()
    try:
        lies_inside = path.resolve(strict=True).is_relative_to(folder.resolve())
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise _DamageError(f"{name} is missing") from None
    except (OSError, RuntimeError, ValueError) as error:  # as a link to itself
        reason = getattr(error, "strerror", None) or str(error)
        raise _DamageError(f"{name} cannot be read: {reason}") from None
    if not lies_inside:
        raise _DamageError(f"{name} leads out of its folder")
    if not stat.S_ISREG(mode) and not (or_folder and stat.S_ISDIR(mode)):
        raise _DamageError(f"{name} is no file")


def _check_sums(folder: Path) -> None:
    """Compares the files of a version with the checksums that were exported with them."""
    lines = _read(folder, _CHECKSUMS).splitlines()
    seen = set()
    for number, line in enumerate(lines or [""], 1):
        found = re.fullmatch(r"([0-9a-f]{64})  ([^/\0][^\0]*)", line)
        if not found or ".." in found[2].split("/"):
            raise _DamageError(f"{_CHECKSUMS} is not whole: line {number} is no checksum")
        expected, name = found.groups()
        if name in seen:
            raise _DamageError(f"{_CHECKSUMS} names {name} twice")
        seen.add(name)
        _check_file(folder, folder / name)
        if _digest(folder, name) != expected:
            raise _DamageError(f"{name} is not what was exported")


def _digest(folder: Path, name: str) -> str:
    try:
        with (folder / name).open("rb") as opened:
            limit = find_limit()
            if limit is not None and os.fstat(opened.fileno()).st_size > limit:
                raise _DamageError(f"{name} is larger than the memory of this machine")
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise _DamageError(f"{name} cannot be read: {error.strerror}") from None


def _read(folder: Path, name: str) -> str:
    """A text file of a version."""
    _check_file(folder, folder / name)
    try:
        with (folder / name).open("rb") as opened:
            content = opened.read(_LARGEST_TEXT + 1)
    except OSError as error:
        raise _DamageError(f"{name} cannot be read: {error.strerror}") from None
    if len(content) > _LARGEST_TEXT:
        raise _DamageError(f"{name} is larger than {_LARGEST_TEXT:,} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise _DamageError(f"{name} is not UTF-8") from None


def _parse_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads(_read(folder, _CONFIG))
    except (ValueError, RecursionError):
        raise _DamageError(f"{_CONFIG} is not JSON") from None
    if not isinstance(config, dict):
        raise _DamageError(f"{_CONFIG} is not a JSON object")
    return config
