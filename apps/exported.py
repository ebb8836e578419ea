"""Loading an exported model: TensorFlow alone, none of the model's Python code."""

from pathlib import Path

from apps.cli import UserError
from apps.quiet import quiet_tensorflow


def load_signature(model: Path, app: str, name: str = "serving_default", flag: str = "--model"):
    """A signature of an exported model, and the folder it was read from.

    Args:
        model: a version's folder, or a folder of versions, of which the newest
            is taken.
        app: the app that trains such models, for the error messages.
        name: of the signature.
        flag: the one that names the model, for the error messages.

    Raises:
        UserError: if there is no model, or it cannot be loaded.
    """
    folder = _newest_version(model.expanduser())
    again = f"Train one: python -m apps.{app} train, or name another with {flag}."
    if folder is None:
        raise UserError(f"{model}: there is no exported model. {again}")
    with quiet_tensorflow():
        import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(folder))
        names = set(loaded.signatures)
    except Exception as error:  # a damaged file fails anywhere in TensorFlow
        lines = [line for line in str(error).splitlines() if line and "{{node" not in line]
        reason = lines[-1].strip(". ") if lines else type(error).__name__
        raise UserError(f"{folder}: the model is damaged: {reason}. {again}") from error
    if name not in names:
        raise UserError(
            f"{folder}: this is no model of apps.{app}: it lacks the signature {name}. {again}"
        )
    signature = loaded.signatures[name]
    signature.loaded = loaded  # a signature alone does not keep its variables alive
    return signature, folder


def _newest_version(model: Path) -> Path | None:
    if (model / "saved_model.pb").is_file():
        return model
    versions = [p for p in model.glob("*") if p.name.isdecimal() and p.is_dir()]
    if versions:
        return max(versions, key=lambda path: int(path.name))
    return model if (model / "variables").is_dir() else None
