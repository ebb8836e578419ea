"""Time series as a user gives them: one or several, of one or several variables."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kerasrnn.checks import shown


def as_series(name: str, given: Any, num_variables: int | None = None) -> list[np.ndarray]:
    """Series as a list of float32 arrays `(time, variables)`.

    Args:
        name: of the argument, for messages.
        given: one series, an array `(time,)` or `(time, variables)`; or several, a list of
            such arrays or an array `(series, time, variables)`. NaN: a value is missing.
        num_variables: how many variables each must have. Default: as many as the first.

    Raises:
        ValueError: for anything else, for a value that is infinite, and for series with
            different numbers of variables.
    """
    series = [_as_array(name, one) for one in _several(name, given)]
    num_variables = num_variables or series[0].shape[1]
    for number, one in enumerate(series):
        where = place(name, number, series)
        if one.shape[1] != num_variables:
            raise ValueError(
                f"{where} must have {num_variables} variables, got {one.shape[1]}. Give it "
                "the shape (time, variables)."
            )
        infinite = np.argwhere(np.isinf(one))
        if len(infinite):
            step, variable = infinite[0]
            raise ValueError(
                f"{where} must be finite, got {one[step, variable]} at step {step}. Use NaN "
                "for a missing value."
            )
    return series


def check_observed(name: str, series: Sequence[np.ndarray]) -> None:
    """Raises a `ValueError` for a variable that is missing all the time."""
    for number, one in enumerate(series):
        unobserved = np.flatnonzero(np.isnan(one).all(0))
        if len(unobserved):
            raise ValueError(
                f"{place(name, number, series)} must have an observed value, got none of "
                f"variable {unobserved[0]} in {len(one)} steps. Leave the series out."
            )


def check_known(
    name: str, known: Sequence[np.ndarray], lengths: Sequence[int], expected: str
) -> None:
    """Raises a `ValueError` unless known inputs are complete and have these lengths.

    Args:
        name: of the argument.
        known: arrays `(time, variables)`.
        lengths: of the series that they belong to.
        expected: what these lengths are, in words.
    """
    if len(known) != len(lengths):
        raise ValueError(
            f"{name} must be given for each series, got {len(known)} for {len(lengths)} series."
        )
    for number, (one, length) in enumerate(zip(known, lengths, strict=True)):
        where = place(name, number, known)
        if len(one) != length:
            raise ValueError(
                f"{where} must have {length} steps, {expected}, got {len(one)} steps."
            )
        if np.isnan(one).any():
            raise ValueError(f"{where} must be known at every step, got NaN. Fill the gaps.")


def place(name: str, number: int, series: Sequence) -> str:
    """How a message calls a series: `series`, or `series[3]` where there are several."""
    return name if len(series) == 1 else f"{name}[{number}]"


def _several(name, given):
    several = isinstance(given, (list, tuple)) and any(np.ndim(one) > 0 for one in given)
    given = list(given) if several or getattr(given, "ndim", 0) == 3 else [given]
    if not given:
        raise ValueError(f"{name} must hold a series at least, got none.")
    return given


def _as_array(name, given):
    expected = f"{name} must be numbers of the shape (time,) or (time, variables), or a list of"
    try:
        array = np.asarray(given)
        if array.dtype.kind not in "biuf" or array.dtype == bool:
            raise TypeError
    except (TypeError, ValueError):
        raise ValueError(f"{expected} such arrays, got {shown(given)}.") from None
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or not array.size:
        raise ValueError(f"{expected} such arrays, got an array of shape {np.shape(given)}.")
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused
        return array.astype("float32")
