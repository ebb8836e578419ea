"""Loading an exported model: TensorFlow alone, none of the model's Python code."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from apps.cli import UserError
from apps.quiet import quiet_tensorflow

FOLDER = Path("saved_models")
_BESIDE_THE_APPS = Path(__file__).parent.parent / FOLDER
_CHECKSUMS = Path("assets.extra") / "SHA256SUMS"
_GRAPH = "saved_model.pb"


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
    folder = _newest_version(model.expanduser())
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
    if not (folder / _GRAPH).is_file():
        raise UserError(f"{folder}: the model is damaged: {_GRAPH} is missing. {again}")
    _check_whole(folder, again)
    return folder


def _newest_version(model: Path) -> Path | None:
    if any((model / part).exists() for part in (_GRAPH, "variables", _CHECKSUMS)):
        return model
    versions = [p for p in model.glob("*") if p.name.isdecimal() and p.is_dir()]
    return max(versions, key=lambda path: int(path.name), default=None)


def _check_whole(folder: Path, again: str) -> None:
    """Compares the files of a version with the checksums that were exported with them."""
    sums = folder / _CHECKSUMS
    if not sums.is_file():  # not exported by kerasrnn, or not whole: TensorFlow will tell
        return
    for line in sums.read_text("utf-8", "replace").splitlines() or [""]:
        expected, _, name = line.partition("  ")
        reason = _find_damage(folder / name, expected) if name else "is not whole"
        if reason:
            what = name or _CHECKSUMS.as_posix()
            raise UserError(f"{folder}: the model is damaged: {what} {reason}. {again}")


def _find_damage(file: Path, expected: str) -> str:
    try:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if found == expected else "is not what was exported"
