"""Texts and labels from files, streamed: CSV, TSV, JSONL, or one text a line."""

import codecs
import contextlib
import csv
import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from apps.errors import UserError

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_SPOKEN = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_JSON_LINES = (".jsonl", ".ndjson", ".json")
_LONGEST = 2**27
"""Bytes of a line, and characters of a field: what is longer is no text, or an open quote."""

Opener = Callable[[Path], BinaryIO]


def is_table(path: Path) -> bool:
    """Whether a file has columns, by its ending."""
    return path.suffix.lower() in (*_DELIMITERS, *_JSON_LINES)


def open_binary(path: Path) -> BinaryIO:
    """Opens a file to read its bytes."""
    return path.open("rb")


def read_rows(
    path: Path,
    columns: tuple[str, ...],
    opener: Opener = open_binary,
    delimiter: str | None = None,
    advice: str = "",
) -> Iterator[tuple[str, dict]]:
    """Rows of a CSV, TSV or JSONL file, one at a time.

    Args:
        path: the file; its ending tells whether it is JSONL.
        columns: the columns that every row must have.
        opener: opens the file to read its bytes.
        delimiter: what separates the columns. Default: comma, semicolon, tab or vertical bar;
            the one with which the first line has the columns.
        advice: what to do if a column is not there, for the error message.

    Yields:
        Where the row stands (`"reviews.csv, line 3"`), and the row.

    Raises:
        UserError: for what is not UTF-8, not of the format, or lacks a column.
    """
    advice = advice or f"Name the columns {' and '.join(columns)}."
    with opener(path) as file:
        lines = _without_nul(decode_lines(read_lines(file, str(path)), str(path)), path)
        if path.suffix.lower() in _JSON_LINES:
            rows = _read_json_lines(lines, path, columns)
        else:
            rows = _read_csv(lines, path, columns, delimiter, advice)
        for where, row in rows:
            _check_columns(row, columns, where, advice)
            for column in columns:
                if row[column] is None:
                    raise UserError(f"{where}: {column} is missing. Fill it in.")
                if isinstance(row[column], (dict, list)):
                    raise UserError(f"{where}: {column} is not a text. Write it as a string.")
                check_text(str(row[column]), where)
            yield where, row


def read_lines(file: BinaryIO, name: str) -> Iterator[bytes]:
    """The lines of a file, one at a time.

    Args:
        file: the file.
        name: what to call it in messages.

    Raises:
        UserError: for a line without an end, as a device gives it.
    """
    for number in itertools.count(1):
        line = file.readline(_LONGEST + 1)
        if not line:
            return
        if len(line) > _LONGEST:
            raise UserError(
                f"{name}, line {number}: the line is longer than {_LONGEST:,} bytes. Is this a "
                "text? Break it into lines."
            )
        yield line


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


def _without_nul(lines, path):
    """The lines. One with a NUL character is an error: UTF-16 read as UTF-8 has them."""
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            position = line.index("\0") + 1
            raise UserError(
                f"{path}, line {number}: character {position} of the line is NUL. "
                "Save the text as UTF-8."
            )
        yield line


def _check_columns(found, columns, where, advice):
    for column in columns:
        if column not in found:
            has = ", ".join(str(key)[:20] for key in found)[:100]
            raise UserError(
                f"{where}: there is no column {column!r}; there are: {has}. {advice}"
            )


def _find_delimiter(header, columns, usual):
    """With what a header has the columns; else, with what it has the most."""

    def fit(delimiter):
        names: list[str] = []
        with contextlib.suppress(csv.Error):  # which the reading of the file tells
            names = next(csv.reader([header], delimiter=delimiter), [])
        return set(columns) <= set(names), len(names), delimiter == usual

    return max(_SPOKEN, key=fit)


def _read_csv(lines, path, columns, delimiter, advice):
    csv.field_size_limit(_LONGEST)
    header = list(itertools.islice(lines, 1))
    lines = itertools.chain(header, lines)
    usual = _DELIMITERS.get(path.suffix.lower(), ",")
    delimiter = delimiter or _find_delimiter("".join(header), columns, usual)
    of_row: list[str] = []  # the lines of the row that is being read
    num_lines = 0

    def recorded():
        nonlocal num_lines
        for num_lines, line in enumerate(lines, 1):  # noqa: B007 (read below)
            of_row.append(line)
            yield line

    reader = csv.DictReader(recorded(), delimiter=delimiter, strict=True)
    try:
        for name in columns:
            if (reader.fieldnames or []).count(name) > 1:
                raise UserError(
                    f"{path}, line 1: there are {reader.fieldnames.count(name)} columns "
                    f"{name!r}. Keep only one of them."
                )
        if reader.fieldnames is not None:
            _check_columns(reader.fieldnames, columns, f"{path}, line 1", advice)
        of_row.clear()
        for row in reader:
            begin = num_lines - len(of_row) + 1
            where = f"lines {begin} to {num_lines}" if len(of_row) > 1 else f"line {begin}"
            if None in row:
                num_columns = len(reader.fieldnames or [])
                num_fields = num_columns + len(row[None])
                raise UserError(
                    f"{path}, {where}: there are {num_fields} fields, but {num_columns} "
                    f"columns. Quote fields that hold a {_SPOKEN.get(delimiter, delimiter)}."
                )
            yield f"{path}, {where}", row
            of_row.clear()
    except csv.Error as error:
        opened = _find_open_quote(of_row, delimiter)
        hint = ""
        if opened is not None:
            line = num_lines - len(of_row) + 1 + opened
            hint = f" in the field whose quote opens in line {line}"
        raise UserError(
            f"{path}, line {num_lines}: {error}{hint}. Quote fields as CSV has it: close "
            "each quote, and write a quote inside as two."
        ) from None


def _find_open_quote(lines, delimiter):
    """In which of the lines of a row its last quoted field begins; `None`: in none."""
    found, quoted, before = None, False, delimiter
    for number, line in enumerate(lines):
        for character in line:
            if character == '"':
                if not quoted and before in (delimiter, "\n"):
                    found = number
                quoted = not quoted  # a quote that is written as two closes and opens
            before = character if not quoted else ""
    return found


def _read_json_lines(lines, path, columns):
    def without_repetition(pairs):
        row = dict(pairs)
        if len(row) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next((name for name in columns if names.count(name) > 1), None)
            if twice is not None:
                raise ValueError(f"{twice!r} stands there twice")
        return row

    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line, object_pairs_hook=without_repetition)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where}: not JSON: {error}. Write one object a line.") from None
        if not isinstance(row, dict):
            raise UserError(f"{where}: not a JSON object. Write one object a line.")
        yield where, row
