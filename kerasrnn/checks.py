"""Checks of arguments that several modules share."""

from collections.abc import Iterable
from typing import Any, TypeGuard

import numpy as np
from keras.random import SeedGenerator


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a real number, of Python or of NumPy; `True` is none."""
    known = (int, float, np.integer, np.floating)
    return isinstance(value, known) and not isinstance(value, bool)


def is_integer(value: Any) -> TypeGuard[int]:
    """Whether a value is an integer, of Python or of NumPy; `True` is none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def plain(value: Any) -> Any:
    """A number of NumPy as one of Python, which can be saved; all else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def check_rate(name: str, value: float) -> None:
    """Raises a `ValueError` that names a rate outside [0, 1)."""
    if not is_number(value) or not 0 <= value < 1:
        raise ValueError(f"{name} must lie in [0, 1), got {name}={value!r}.")


def check_probability(name: str, value: float) -> None:
    """Raises a `ValueError` that names a probability outside [0, 1]."""
    if not is_number(value) or not 0 <= value <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {name}={value!r}.")


def check_flags(**flags: bool) -> None:
    """Raises a `ValueError` that names what is neither true nor false."""
    for name, value in flags.items():
        if not isinstance(value, (bool, np.bool_)):
            raise ValueError(f"{name} must be True or False, got {name}={value!r}.")


def check_seed(seed: Any) -> None:
    """Raises a `ValueError` for anything but an integer, a `SeedGenerator` or `None`."""
    if seed is not None and not is_integer(seed) and not isinstance(seed, SeedGenerator):
        raise ValueError(
            f"seed must be an integer, a keras.random.SeedGenerator or None, got seed={seed!r}."
        )


def check_positive_integer(name: str, value: int, otherwise: str = "") -> None:
    """Raises a `ValueError` that names what is not a positive integer."""
    if not is_integer(value) or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {name}={value!r}.{otherwise}")


def check_epochs(epochs: int) -> None:
    """Raises a `ValueError` for anything but an integer of 0 or more."""
    if not is_integer(epochs) or epochs < 0:
        raise ValueError(f"epochs must be an integer of 0 or more, got epochs={epochs!r}.")


def check_one_of(name: str, value: str, choices: Iterable[str]) -> None:
    """Raises a `ValueError` that names what is not one of these names."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {name}={value!r}.")


def check_text(name: str, value: str) -> None:
    """Raises a `ValueError` for anything but a `str`."""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a str, got {name}={value!r}.")


def as_texts(name: str, value: str | Iterable[str]) -> list[str]:
    """A text, or several, as a list.

    Raises:
        ValueError: for anything but a `str` or a sequence of them.
    """
    if isinstance(value, str):
        return [value]
    try:
        texts = None if isinstance(value, (bytes, dict)) else list(value)
    except TypeError:
        texts = None
    if texts is None or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{name} must be a str or a list of str, got {name}={value!r}.")
    return texts
