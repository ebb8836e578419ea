"""The one form of results: tables, and ratios in them."""

import dataclasses
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

WIDEST = 300
"""Characters of a line."""
RATIO = " ratio"
"""How the name of a column ends that stands beside another one."""


def tell(message: str) -> None:
    """A message beside the results, on standard error: how far the work is, what is missing."""
    print(message, file=sys.stderr, flush=True)


@dataclasses.dataclass
class Table:
    """Rows under named columns, and the units of the numbers."""

    name: str
    """Of its files: lower case, with underscores."""
    title: str
    columns: dict[str, str]
    """Name of each column, and the format of its values: `"{:.1f}"`."""
    rows: list[tuple[Any, ...]] = dataclasses.field(default_factory=list)
    """A value for each column; `None` where there is none."""
    plotted: tuple[str, ...] = ()
    """Columns that the plot of this table shows; none: there is no plot."""

    def add(self, *values: Any) -> None:
        """Adds a row."""
        if len(values) != len(self.columns):
            raise ValueError(f"expected {len(self.columns)} values, got {len(values)}.")
        self.rows.append(values)

    def labels(self) -> list[str]:
        """What each row is about: its texts, in one line."""
        return [" ".join(v for v in row if isinstance(v, str)) for row in self.rows]

    def texts(self) -> list[list[str]]:
        """The rows as they are shown."""
        formats = self.columns.values()
        return [
            ["" if value is None else form.format(value) for value, form in cells]
            for cells in (zip(row, formats, strict=True) for row in self.rows)
        ]

    def records(self) -> list[dict[str, Any]]:
        """The rows as JSON holds them."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def print(self) -> None:
        """Shows the table on standard output, as wide as it needs to be."""
        shown = RichTable(box=box.SIMPLE_HEAD)
        for number, column in enumerate(self.columns):
            is_text = any(isinstance(row[number], str) for row in self.rows)
            header = "" if column.endswith(RATIO) else column  # it stands beside its value
            shown.add_column(header, justify="left" if is_text else "right", no_wrap=True)
        for row in self.texts():
            shown.add_row(*row)
        console = Console(width=WIDEST, highlight=False)
        with console.capture() as capture:
            console.print(shown)
        lines = [line.rstrip() for line in capture.get().splitlines()]
        print(self.title, *filter(None, lines), "", sep="\n", flush=True)


Row = tuple[Sequence[str], Mapping[str, float]]
"""Texts that say what a row is about, and the value of each contender that has one."""


def ratio_table(
    name: str,
    title: str,
    labels: Sequence[str],
    rows: Iterable[Row],
    contenders: Sequence[str],
    digits: str = "{:.2f}",
    floor: str | None = None,
) -> Table:
    """A table with the value of each contender, and its ratio to the first one's.

    Args:
        name, title: of the table.
        labels: the columns that say what a row is about.
        rows: its rows.
        contenders: all of them; the ratios are relative to the first.
        digits: the format of the values.
        floor: a contender that does a part of the work. Here the ratio is that of the first
            one to this.
    """
    first, *others = contenders
    columns = {**dict.fromkeys(labels, "{}"), first: digits}
    for other in others:
        columns |= {other: digits, ratio_column(first, other, floor): "{:.2f}x"}
    table = Table(name, title, columns, plotted=tuple(contenders))
    for row_labels, values in rows:
        row: list[Any] = [*row_labels, values.get(first)]
        for other in others:
            row += [values.get(other), ratio(values, first, other, floor)]
        table.add(*row)
    return table


def ratio_column(first: str, other: str, floor: str | None = None) -> str:
    """The name of the column of ratios beside that of a contender."""
    return f"{first} / {other}" if other == floor else f"{other}{RATIO}"


def ratio(
    values: Mapping[str, float], first: str, other: str, floor: str | None = None
) -> float | None:
    """The ratio of a contender to the first, or, for the floor, of the first to it."""
    if first not in values or other not in values:
        return None
    quotient = values[other] / values[first]
    return 1 / quotient if other == floor else quotient


def geometric_means(
    rows: Sequence[Row], contenders: Sequence[str], floor: str | None = None
) -> list[float | None]:
    """The geometric mean of the ratios of each contender but the first, over the rows."""
    first, *others = contenders
    means = []
    for other in others:
        ratios = [ratio(values, first, other, floor) for _, values in rows]
        found = [value for value in ratios if value is not None]
        means.append(statistics.geometric_mean(found) if found else None)
    return means
