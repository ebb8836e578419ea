"""Texts from a user's files: tables with columns, folders of labels, or a text in each line."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from apps.errors import UserError
from apps.records import Opener, decode_lines, is_table, open_binary, read_lines, read_rows
from apps.sentiment.labels import read_name

_NO_LABELS = ("train", "test", "unsup")
"""Folders of aclImdb that hold more than the texts of one label."""


@dataclasses.dataclass(frozen=True)
class Table:
    """How the columns of a file are found."""

    text_column: str = "text"
    label_column: str = "label"
    delimiter: str | None = None
    """`None`: the one that the first line shows."""


USUAL = Table()


def table_of(options) -> Table:
    """What the options of a command say of the columns of a file."""
    return Table(
        options.text_column,
        getattr(options, "label_column", USUAL.label_column),
        "\t" if options.delimiter == "tab" else options.delimiter,
    )


@dataclasses.dataclass(frozen=True)
class Named:
    """Texts with the names of their labels."""

    texts: list[str] = dataclasses.field(default_factory=list)
    names: list[str] = dataclasses.field(default_factory=list)
    places: dict[str, str] = dataclasses.field(default_factory=dict)
    """Where each name stands first."""

    def __len__(self) -> int:
        return len(self.texts)

    def add(self, text: str, name: str, place: str) -> None:
        self.places.setdefault(name, place)
        self.texts.append(text)
        self.names.append(name)


def read_table(path: Path, table: Table) -> Named:
    """Labelled texts from a CSV, TSV or JSONL file.

    Raises:
        UserError: if the file has no texts or cannot be read, or if a label is missing.
    """
    columns = (table.text_column, table.label_column)
    advice = "Name the columns with --text-column and --label-column."
    named = Named()
    for where, row in read_rows(path, columns, delimiter=table.delimiter, advice=advice):
        name = read_name(row[table.label_column])
        if not name:
            raise UserError(f"{where}: {table.label_column} is missing. Fill it in.")
        named.add(str(row[table.text_column]), name, where)
    if not named:
        raise UserError(f"{path}: the file has no texts. Give it rows with text and label.")
    return named


def read_folder(path: Path) -> Named:
    """Labelled texts from `*.txt` in folders that have the names of the labels."""
    named = Named()
    for folder in sorted(path.glob("*/")):
        if folder.name in _NO_LABELS or folder.name.startswith("."):
            continue
        for file in sorted(folder.glob("*.txt")):
            with file.open("rb") as opened:
                lines = read_lines(opened, str(file))
                text = "".join(decode_lines(lines, str(file)))
            named.add(text, read_name(folder.name), str(folder))
    return named


def read_texts(path: Path, opener: Opener = open_binary, table: Table = USUAL) -> Iterator[str]:
    """Texts of a file, one at a time: a column of a table, or the lines.

    Args:
        path: the file.
        opener: opens it to read its bytes.
        table: how the column is found. If it is not `USUAL`, a file of any ending is a table.

    Raises:
        UserError: if the file has no texts or cannot be read.
    """
    empty = True
    if is_table(path) or table != USUAL:
        column, advice = table.text_column, "Name the column with --text-column."
        for _, row in read_rows(path, (column,), opener, table.delimiter, advice):
            empty = False
            yield str(row[column])
    else:
        with opener(path) as file:
            for line in decode_lines(read_lines(file, str(path)), str(path)):
                empty = False
                yield line.rstrip("\r\n")
    if empty:
        raise UserError(f"{path}: the file has no texts. Give it one text in each line or row.")
