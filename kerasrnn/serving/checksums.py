"""SHA-256 sums of the files of an exported model, in the format of `sha256sum`."""

import hashlib
from pathlib import Path

CHECKSUMS = "assets.extra/SHA256SUMS"


def write_checksums(folder: Path) -> None:
    """Writes the sums of all other files in a version's folder to `CHECKSUMS`."""
    files = {f.relative_to(folder).as_posix(): f for f in folder.rglob("*") if f.is_file()}
    lines = (f"{digest(file)}  {name}\n" for name, file in sorted(files.items()))
    (folder / CHECKSUMS).write_text("".join(lines), "utf-8", newline="\n")


def digest(file: Path) -> str:
    """The SHA-256 sum of a file, in hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
