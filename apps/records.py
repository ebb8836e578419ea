"""Texts and labels from files, streamed: CSV, TSV, JSONL, or one text a line."""

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from apps.cli import UserError

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_JSON_LINES = (".jsonl", ".ndjson", ".json")
_LONGEST_FIELD = 2**31 - 1

Opener = Callable[[Path], BinaryIO]


def is_table(path: Path) -> bool:
    """Whether a file has columns, by its ending."""
    return path.suffix.lower() in (*_DELIMITERS, *_JSON_LINES)


def open_binary(path: Path) -> BinaryIO:
    """Opens a file to read its bytes."""
    return path.open("rb")


def read_rows(
    path: Path, columns: tuple[str, ...], opener: Opener = open_binary
) -> Iterator[tuple[str, dict]]:
    """Rows of a CSV, TSV or JSONL file, one at a time.

    Args:
        path: the file; its ending tells the format.
        columns: the columns that every row must have.
        opener: opens the file to read its bytes.

    Yields:
        Where the row stands (`"reviews.csv, line 3"`), and the row.

    Raises:
        UserError: for what is not UTF-8, not of the format, or lacks a column.
    """
    with opener(path) as file:
        lines = decode_lines(file, str(path))
        rows = _read_csv(lines, path) if path.suffix.lower() in _DELIMITERS else None
        for where, row in rows or _read_json_lines(lines, path):
            for column in columns:
                if column not in row:
                    has = ", ".join(str(key)[:20] for key in row)[:100]
                    raise UserError(
                        f"{where}: there is no column {column!r}; there are: {has}. "
                        f"Name the columns {' and '.join(columns)}."
                    )
                if row[column] is None:
                    raise UserError(f"{where}: {column} is missing. Fill it in.")
                check_text(str(row[column]), where)
            yield where, row


def decode_lines(lines: Iterable[bytes], name: str) -> Iterator[str]:
    """Lines of UTF-8 as text; a byte order mark at the beginning is dropped."""
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{name}, line {number}: byte {error.start + 1} of the line is not UTF-8. "
                "Save the text as UTF-8."
            ) from None
        yield text.removeprefix("\ufeff") if number == 1 else text


def read_blocks(path: Path, size: int = 2**20) -> Iterator[str]:
    """A file of UTF-8 text, piece by piece; line ends become line feeds.

    A byte order mark at the beginning is dropped.

    Args:
        path: the file.
        size: bytes to read at a time.

    Raises:
        UserError: for what is not UTF-8; it says where.
    """
    decoder = io.IncrementalNewlineDecoder(
        codecs.getincrementaldecoder("utf-8-sig")(), translate=True
    )
    num_bytes, num_lines = 0, 1
    with path.open("rb") as file:
        while True:
            block = file.read(size)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                # What the decoder was given: the bytes it had kept, and this block.
                start = num_bytes + len(block) - len(error.object) + error.start
                num_lines += error.object[: error.start].count(b"\n")
                raise UserError(
                    f"{path}, line {num_lines}: byte {start + 1} of the file is not UTF-8. "
                    "Save the text as UTF-8."
                ) from None
            num_bytes += len(block)
            num_lines += block.count(b"\n")
            if text:
                yield text
            if not block:
                return


def check_text(text: str, where: str) -> str:
    """`text`, if it can be written as UTF-8; half of a surrogate pair cannot."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(
            f"{where}: character {error.start + 1} is no valid Unicode. Give the text as UTF-8."
        ) from None
    return text


def _read_csv(lines, path):
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.DictReader(lines, delimiter=_DELIMITERS[path.suffix.lower()], strict=True)
    try:
        for row in reader:
            yield f"{path}, line {reader.line_num}", row
    except csv.Error as error:
        raise UserError(
            f"{path}, line {reader.line_num}: {error}. Quote fields as CSV has it."
        ) from None


def _read_json_lines(lines, path):
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where}: not JSON: {error}. Write one object a line.") from None
        if not isinstance(row, dict):
            raise UserError(f"{where}: not a JSON object. Write one object a line.")
        yield where, row
