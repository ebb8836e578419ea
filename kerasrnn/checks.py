"""Checks of arguments that several modules share."""

import numpy as np


def check_positive_integer(name: str, value: int, otherwise: str = "") -> None:
    """Raises a `ValueError` that names what is not a positive integer."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {name}={value!r}.{otherwise}")
