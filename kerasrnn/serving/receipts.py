"""Receipts: files that note which weights were exported as which version."""

import hashlib
import json
from pathlib import Path

import keras
import numpy as np

from kerasrnn.files import write_text
from kerasrnn.serving.checksums import CHECKSUMS, digest
from kerasrnn.serving.versions import find_versions


def digest_weights(model: keras.Model) -> str:
    """The SHA-256 sum of all weights of a model, in hexadecimal."""
    found = hashlib.sha256()
    for variable in model.weights:
        value = np.asarray(variable)
        found.update(f"{value.shape}{value.dtype}".encode() + value.tobytes())
    return found.hexdigest()


def write_receipt(receipt: str | Path, weights: str, version: Path) -> None:
    """Notes weights, what `digest_weights` gave, and the folder they were exported to."""
    noted = {"weights": weights, "checksums": digest(version / CHECKSUMS)}
    write_text(Path(receipt), json.dumps(noted, indent=2) + "\n")


def find_published(directory: Path, receipt: str | Path, weights: str) -> Path | None:
    """The version in `directory` that a receipt names, if it has these weights."""
    try:
        noted = json.loads(Path(receipt).read_text("utf-8"))
        if noted["weights"] != weights:
            return None
        for version in find_versions(directory):
            checksums = version / CHECKSUMS
            if checksums.is_file() and digest(checksums) == noted["checksums"]:
                return version
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None  # there is no receipt, or it is damaged
    return None
