"""Where data comes from: prepared or downloaded TFDS data sets, packaged corpora."""

import contextlib
import hashlib
import importlib.metadata
import os
import re
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from apps.errors import UserError
from apps.paths import expand
from apps.quiet import quiet_tensorflow

NAMES = ("auto", "tfds", "packaged")
"""What `--data` can be besides a path."""

_TFDS_FOLDER = "~/tensorflow_datasets"

NETWORK_PATIENCE = 3.0
"""Seconds to wait for a data set's host to answer."""

Loaded = TypeVar("Loaded")


def load(
    data: str,
    from_tfds: Callable[[], Loaded],
    from_package: Callable[[], Loaded],
    from_path: Callable[[Path], Loaded],
    packaged: str,
) -> Loaded:
    """What `--data` names: `auto`, `tfds`, `packaged` or a path.

    Args:
        data: the name.
        from_tfds, from_package, from_path: what loads each of them.
        packaged: what the package holds, for the message that `auto` goes on with it.

    Raises:
        UserError: if there is nothing, or if it cannot be read.
    """
    if data == "auto":
        try:
            return from_tfds()
        except UserError as no_tfds:
            print(f"{no_tfds} Going on with the packaged {packaged}.", file=sys.stderr)
        return from_package()
    if data == "tfds":
        return from_tfds()
    if data == "packaged":
        return from_package()
    return from_path(find_path(data))


def find_path(data: str) -> Path:
    """The path that `--data` names."""
    if not data:
        raise UserError(f"--data is empty. Use {', '.join(NAMES)}, or a path.")
    return expand(data, "--data")


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
    if data_dir is not None:
        return expand(data_dir, "--data-dir")
    return expand(os.environ.get("TFDS_DATA_DIR") or _TFDS_FOLDER, "TFDS_DATA_DIR")


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


def read_tfds(name: str, url: str, splits: Sequence[str], data_dir: Path | None) -> Any:
    """A data set of tensorflow_datasets: the prepared one, else a download.

    Args:
        name: with its configuration, `"imdb_reviews/plain_text"`.
        url: a file of the host that it is downloaded from.
        splits: the splits to read.
        data_dir: the folder of TFDS; default as `tfds_folder` has it.

    Returns:
        A description of what was read, and for each split its features by
        name, arrays.

    Raises:
        UserError: if it cannot be had within seconds, or be read.
    """
    folder = tfds_folder(data_dir)
    prepared = find_prepared(name, data_dir)
    if prepared is None and not answers(url):
        raise UserError(
            f"{name} is not prepared in {folder} (--data-dir names another folder), "
            "and its host does not answer."
        )
    with quiet_tensorflow():
        import tensorflow  # noqa: F401 (what TFDS imports late, and not quietly)
        import tensorflow_datasets as tfds

    try:
        if prepared is not None:
            builder = tfds.builder_from_directory(str(prepared))
        else:
            builder = tfds.builder(name, data_dir=str(folder))
            builder.download_and_prepare()
        parts = [builder.as_dataset(split=split, batch_size=-1) for split in splits]
        arrays = [{key: part[key].numpy() for key in part} for part in parts]
    except Exception as error:  # TFDS passes on whatever its many layers raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{name} could not be read from {folder}: {reason} "
            "Delete what lies there and try again, or use --data packaged."
        ) from error
    print(f"reading {builder.data_path}", file=sys.stderr)
    return f"tfds {name} {builder.version}", arrays


def find_packaged(package: str, version: str, files: str, sha256: str) -> list[Path]:
    """Data files of an installed package, verified; its code is not imported.

    Args:
        package, version: what must be installed.
        files: a pattern of their paths.
        sha256: of the files one after the other, in the order of their paths.

    Raises:
        UserError: if that version is not installed, files are missing, or
            they are not the ones that are expected.
    """
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        distribution = None
    if distribution is None or distribution.version != version:
        raise UserError(
            f"the package {package} {version} is not installed. "
            f"Install it: python -m pip install {package}=={version}"
        )
    root = Path(str(distribution.locate_file("")))
    paths = sorted(root.glob(files))
    again = f"Install it again: python -m pip install --force-reinstall {package}=={version}"
    if not paths:
        raise UserError(f"{root / files}: the package {package} {version} lacks it. {again}")
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    if digest.hexdigest() != sha256:
        raise UserError(
            f"{root / files}: SHA-256 is {digest.hexdigest()}, expected {sha256}. {again}"
        )
    return paths
