"""Exported models in other formats, from the command line."""

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from apps.errors import UserError
from apps.exported import announce, load_signature
from apps.quiet import quiet_tensorflow

_ENDINGS = {"onnx": ".onnx", "litert": ".tflite"}


@dataclasses.dataclass(frozen=True)
class Export:
    """Write an exported model as ONNX or LiteRT, for runtimes that read these."""

    format: Literal["onnx", "litert"] = "onnx"
    """The format. It needs the extra of the same name: pip install 'kerasrnn[onnx]'."""
    output: Path | None = None
    """The file to write. Default: <app>.onnx or <app>.tflite, in the working directory."""
    model: Path = Path()
    """An exported model, or a folder of versions, whose newest version is used."""


def run(options: Export, app: str, name: str, outputs: Iterable[str]) -> Path:
    """Converts a model, says what was written and returns the file.

    Args:
        options: the command's.
        app: the app that trains such models.
        name, outputs: the signature to convert, and the outputs that it must have.
    """
    ending = _ENDINGS[options.format]
    output = (options.output or Path(f"{app}{ending}")).expanduser()
    if not output.parent.is_dir():
        raise UserError(f"{output.parent}: there is no such folder. Make it first.")
    if output.is_dir():
        raise UserError(f"{output}: this is a folder. Name a file with --output.")
    if output.suffix != ending:
        raise UserError(
            f"{output}: a file in the format {options.format} must end with {ending}."
        )
    if not os.access(output.parent, os.W_OK):
        raise UserError(f"{output.parent}: this folder is not writable. Use another one.")
    _, folder = load_signature(options.model, app, name, outputs)
    announce(options.model, folder)
    with quiet_tensorflow():
        from kerasrnn.serving.conversion import convert

    try:
        written, _ = convert(folder, output, options.format, name)
    except (ImportError, ValueError) as error:
        raise UserError(str(error)) from error
    print(f"Wrote {written}; its outputs match the signature {name} of {folder}.")
    return written
