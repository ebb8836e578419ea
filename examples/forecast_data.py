"""The series of `examples.forecasting`: three of statsmodels, and those of a file."""

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from apps.errors import UserError
from apps.records import read_rows

WEEKS_OF_A_YEAR = 365.25 / 7


class Problem(NamedTuple):
    """A series to forecast, and how."""

    name: str
    values: np.ndarray
    """`(time, variables)`, NaN where a value is missing."""
    variables: tuple[str, ...]
    horizon: int
    season: int
    """In steps, for MASE and for the methods of statistics, if they are better with one in
    validation; 1: none."""
    past: int
    """How many steps a network reads."""
    period: float | None = None
    """Of a calendar that the network is given, in steps."""

    @property
    def known(self) -> np.ndarray | None:
        """The place in the period, `(time + horizon, 2)`, as a point on a circle."""
        if self.period is None:
            return None
        angle = 2 * np.pi * np.arange(len(self.values) + self.horizon) / self.period
        return np.stack([np.sin(angle), np.cos(angle)], 1)


class Result(NamedTuple):
    """The forecasts of a method, and the ends of their intervals.

    They are `(origins, horizon, variables)`.
    """

    problem: Problem
    method: str
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    seconds: float = 0.0


def load_packaged() -> list[Problem]:
    """Three series of different character, from `statsmodels.datasets`.

    Raises:
        UserError: without statsmodels.
    """
    try:
        from statsmodels.datasets import co2, macrodata, sunspots
    except ImportError as error:
        raise UserError("install statsmodels: python -m pip install statsmodels") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of pandas
        weeks = co2.load_pandas().data[["co2"]]
        years = sunspots.load_pandas().data[["SUNACTIVITY"]]
        quarters = macrodata.load_pandas().data[["realgdp", "cpi", "unemp", "tbilrate"]]
    return [
        _problem("co2, weekly", weeks, 26, 52, 104, WEEKS_OF_A_YEAR),
        _problem("sunspots, yearly", years, 11, 11, 33),
        _problem("macrodata, quarterly", quarters, 4, 1, 12),
    ]


def _problem(name, frame, *numbers):
    values = frame.to_numpy("float64")
    return Problem(name, values, tuple(map(str, frame.columns)), *numbers)


def read_series(path: Path, column: str) -> np.ndarray:
    """The numbers of a column, `(time, 1)`; NaN where it is empty.

    Raises:
        UserError: for a file without this column, and for what is not a number.
    """
    values = []
    for where, row in read_rows(path, (column,), advice="Use --column."):
        text = str(row[column]).strip()
        try:
            values.append(float(text or "nan"))
        except ValueError:
            raise UserError(
                f"{where}: {column} must be a number, got {text[:40]!r}. Leave it empty where "
                "a value is missing."
            ) from None
    return np.array(values)[:, None]
