"""The options of `python -m benchmarks`."""

import dataclasses
from pathlib import Path
from typing import Literal, get_args

import tyro

Name = Literal[
    "layers",
    "memory",
    "inference",
    "fit",
    "remedies",
    "gradient_flow",
    "generation",
    "gradient_share",
]
"""A measurement: a module of this package with a function `run`."""
NAMES: tuple[Name, ...] = get_args(Name)
Cell = Literal["vanilla", "lstm", "gru"]
CELLS: tuple[Cell, ...] = get_args(Cell)
QUICK_CELLS: tuple[Cell, ...] = ("lstm",)
"""Every peer has it."""
Call = Literal["forward", "training"]
CALLS: tuple[Call, ...] = get_args(Call)
Masks = Literal["none", "reviews"]
MASKS: tuple[Masks, ...] = get_args(Masks)


@dataclasses.dataclass(frozen=True)
class Options:
    """Measures speed and memory, side by side with other libraries.

    All measurements together take about two hours on two cores.
    """

    names: tyro.conf.Positional[tuple[Name, ...]] = NAMES
    """What to measure. Default: everything."""
    quick: bool = False
    """Tiny sizes, to see that everything works. The numbers mean nothing."""
    output: Path | None = None
    """A folder for the results as JSON and PNG. Created if it is missing."""
    seconds: float | None = None
    """Seconds to time one row of a table, for all libraries together. Default: 20, or 0.01
    with --quick."""
    rounds: int | None = None
    """How many rounds a row has. In each round, every library runs once. Default: 7, or 1
    with --quick."""
    cells: tuple[Cell, ...] = ()
    """For layers and memory: the cells. Default: all, and with --quick LSTM."""
    shapes: tuple[str, ...] = ()
    """For layers: shapes, as batch,time,features,units, or as positions in the list of seven
    (0 is the first; see benchmarks/README.md). Default: all seven."""
    calls: tuple[Call, ...] = CALLS
    """For layers: inference, or a training step."""
    masks: tuple[Masks, ...] = ()
    """For layers: sequences without masks, or with the lengths of movie reviews. Default: both,
    and with --quick the second."""
    peers: tuple[str, ...] = ()
    """For layers and memory: which libraries to compare; see the columns in
    benchmarks/README.md. Default: all."""

    @property
    def chosen_cells(self) -> tuple[Cell, ...]:
        cells = self.cells or (QUICK_CELLS if self.quick else CELLS)
        return tuple(cell for cell in CELLS if cell in cells)

    @property
    def chosen_masks(self) -> tuple[Masks, ...]:
        return self.masks or (MASKS[1:] if self.quick else MASKS)

    @property
    def seconds_of_a_row(self) -> float:
        default = 0.01 if self.quick else 20.0
        return default if self.seconds is None else self.seconds

    @property
    def rounds_of_a_row(self) -> int:
        default = 1 if self.quick else 7
        return default if self.rounds is None else self.rounds
