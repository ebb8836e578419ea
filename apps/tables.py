"""Small tables for the terminal."""

from collections.abc import Mapping

from rich import box
from rich.table import Table


def make_table(title: str, values: Mapping[str, str]) -> Table:
    """A table of one row: names over values."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in values:
        table.add_column(name, justify="right")
    table.add_row(*values.values())
    return table
