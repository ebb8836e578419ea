"""Checks of arguments that several modules share."""

import numpy as np


def check_rate(name: str, value: float) -> None:
    """Raises a `ValueError` that names a rate outside [0, 1)."""
    if not isinstance(value, (int, float, np.number)) or not 0 <= value < 1:
        raise ValueError(f"{name} must lie in [0, 1), got {name}={value!r}.")


def check_positive_integer(name: str, value: int, otherwise: str = "") -> None:
    """Raises a `ValueError` that names what is not a positive integer."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {name}={value!r}.{otherwise}")
