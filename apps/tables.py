"""Small tables for the terminal."""

from collections.abc import Mapping

from rich import box
from rich.markup import escape
from rich.table import Table


def make_table(title: str, *rows: Mapping[str, str]) -> Table:
    """A table with the names above the values of each row; all rows have the same names."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*map(escape, row.values()))
    return table
