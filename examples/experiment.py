"""What experiments share: their options, progress, table and figure."""

import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from apps import cli
from apps.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of every experiment."""

    quick: bool = False
    """A small version, in about a minute."""
    output: Path = Path()
    """The folder that receives the figure."""
    seed: int = 0
    """Of initial weights, data and draws."""


def main(name: str, description: str, options: type, run: Callable) -> int:
    """Runs `python -m examples.<name>`; a figure that cannot be drawn is told at once."""

    def checked_run(options: Options) -> None:
        cli.check_option(options, "seed", 0 <= options.seed < 2**31, "must be from 0 to 2^31")
        if not options.output.is_dir():
            raise UserError(f"--output: there is no folder {options.output}.")
        new_figure(1, 1)
        run(options)

    return cli.main(f"examples.{name}", description, {"run": cli.Command(options, checked_run)})


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, in inches; without matplotlib a `UserError`."""
    from kerasrnn.analysis.figures import make_figure

    try:
        return make_figure(width, height)
    except ImportError as error:
        raise UserError(str(error)) from error


def each(runs: Sequence, describe: Callable[..., str]) -> Iterator:
    """The runs, one after the other, with a bar that says which one is going on."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("", total=len(runs))
        for run in runs:
            progress.update(task, description=describe(run))
            yield run
            progress.advance(task)


def print_table(columns: Iterable[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on standard output, as wide as it needs to be where that is no terminal."""
    table = Table(box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else 200
    Console(width=width).print(table)
