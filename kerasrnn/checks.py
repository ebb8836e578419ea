"""Checks of arguments that several modules share."""

import os
from collections.abc import Callable, Iterable
from typing import Any, TypeGuard

import keras
import numpy as np
from keras.random import SeedGenerator


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a real number of Python or NumPy; `True` and `False` are not."""
    known = (int, float, np.integer, np.floating)
    return isinstance(value, known) and not isinstance(value, bool)


def is_integer(value: Any) -> TypeGuard[int]:
    """Whether a value is an integer of Python or NumPy; `True` and `False` are not."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def plain(value: Any) -> Any:
    """A number of NumPy as one of Python, which can be saved; all else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def from_config_of(
    name: str, config: dict, get: Callable = keras.saving.deserialize_keras_object
) -> Any:
    """The object of a configuration of Keras, as `get` makes it.

    Raises:
        ValueError: if it is none.
    """
    try:
        return get(config)
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise ValueError(
            f"{name} is not a configuration of Keras: {name}={shown(config)}."
        ) from error


def shown(value: Any) -> str:
    """A value in a message: one line, and not too long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 200 else f"{text[:200]}..."


def check_rate(name: str, value: float) -> None:
    """Raises a `ValueError` that names a rate outside [0, 1)."""
    if not is_number(value) or not 0 <= value < 1:
        raise ValueError(f"{name} must lie in [0, 1), got {name}={shown(value)}.")


def check_probability(name: str, value: float) -> None:
    """Raises a `ValueError` that names a probability outside [0, 1]."""
    if not is_number(value) or not 0 <= value <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {name}={shown(value)}.")


def check_flags(**flags: bool) -> None:
    """Raises a `ValueError` that names what is neither true nor false."""
    for name, value in flags.items():
        if not isinstance(value, (bool, np.bool_)):
            raise ValueError(f"{name} must be True or False, got {name}={shown(value)}.")


def check_seed(seed: Any) -> None:
    """Raises a `ValueError` for anything but an integer, a `SeedGenerator` or `None`."""
    if seed is not None and not is_integer(seed) and not isinstance(seed, SeedGenerator):
        raise ValueError(
            "seed must be an integer, a keras.random.SeedGenerator or None, "
            f"got seed={shown(seed)}."
        )


def check_positive_integer(name: str, value: int, otherwise: str = "") -> None:
    """Raises a `ValueError` that names what is not a positive integer."""
    if not is_integer(value) or value < 1:
        raise ValueError(
            f"{name} must be a positive integer, got {name}={shown(value)}.{otherwise}"
        )


def check_epochs(epochs: int) -> None:
    """Raises a `ValueError` for anything but an integer of 0 or more."""
    if not is_integer(epochs) or epochs < 0:
        raise ValueError(f"epochs must be an integer of 0 or more, got epochs={shown(epochs)}.")


def check_one_of(name: str, value: str, choices: Iterable[str]) -> None:
    """Raises a `ValueError` that names what is not one of these names."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(
            f"{name} must be one of {', '.join(choices)}, got {name}={shown(value)}."
        )


def check_text(name: str, value: str) -> None:
    """Raises a `ValueError` for anything but a `str`."""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a str, got {name}={shown(value)}.")


def check_path(name: str, value: str | os.PathLike) -> None:
    """Raises a `ValueError` for what cannot be the path of a file."""
    if not isinstance(value, (str, os.PathLike)) or not str(value) or "\0" in str(value):
        raise ValueError(f"{name} must be a path, a str or a Path, got {name}={shown(value)}.")


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
        raise ValueError(f"{name} must be a str or a list of str, got {name}={shown(value)}.")
    return texts
