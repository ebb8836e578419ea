"""Where data comes from: prepared or downloaded TFDS data sets, packaged corpora."""

import contextlib
import hashlib
import importlib.metadata
import os
import re
import threading
from pathlib import Path

from apps.cli import UserError

NETWORK_PATIENCE = 3.0
"""Seconds to wait for a data set's host to answer."""


def find_prepared(dataset: str, data_dir: Path | None) -> Path | None:
    """The folder of the newest prepared version of a TFDS data set, if there is one.

    Args:
        dataset: its name with its configuration, `"imdb_reviews/plain_text"`.
        data_dir: the folder of TFDS; default as `tfds_folder` has it.
    """
    versions = (tfds_folder(data_dir) / dataset).glob("*/dataset_info.json")
    folders = [
        path.parent for path in versions if re.fullmatch(r"\d+\.\d+\.\d+", path.parent.name)
    ]
    return max(folders, key=lambda f: [int(n) for n in f.name.split(".")], default=None)


def tfds_folder(data_dir: Path | None) -> Path:
    """`data_dir`, else `TFDS_DATA_DIR`, else the user's default folder."""
    default = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return Path(data_dir or default).expanduser()


def answers(url: str) -> bool:
    """Whether a file can be had within `NETWORK_PATIENCE` seconds; proxies are used.

    `tfds.load` itself retries for minutes, so this is asked first.
    """
    import requests

    answered = threading.Event()

    def ask():
        with contextlib.suppress(requests.RequestException):
            if requests.head(url, timeout=NETWORK_PATIENCE, allow_redirects=True).ok:
                answered.set()

    # A thread, since looking a name up has no time limit of its own.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(NETWORK_PATIENCE)
    return answered.is_set()


def find_packaged(package: str, version: str, file: str, sha256: str) -> Path | None:
    """A data file of an installed package, verified; its code is not imported.

    Returns:
        The file, or `None` if that version of the package is not installed.

    Raises:
        UserError: if the file is missing or is not the one that is expected.
    """
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return None
    if distribution.version != version:
        return None
    path = Path(str(distribution.locate_file(file)))
    again = f"Install it again: python -m pip install --force-reinstall {package}=={version}"
    if not path.is_file():
        raise UserError(f"{path}: the package {package} {version} lacks this file. {again}")
    with path.open("rb") as data:
        found = hashlib.file_digest(data, "sha256").hexdigest()
    if found != sha256:
        raise UserError(f"{path}: SHA-256 is {found}, expected {sha256}. {again}")
    return path
