"""Checks the arguments of cells."""

from collections.abc import Callable, Sequence
from typing import Any

from kerasrnn.checks import (
    check_flags,
    check_positive_integer,
    check_rate,
    check_seed,
    is_integer,
    plain,
    shown,
)
from kerasrnn.layers import initializers

# What `keras.initializers.get` and its like take: a name, an object, a configuration.
Identifier = str | dict | Callable | None


def check_cell(
    given: dict[str, Any], flags: Sequence[str], num_states: int = 1
) -> dict[str, Any]:
    """Checks the arguments of a cell, and gives them as Keras takes them.

    Args:
        given: the local names of the constructor: `self`, `kwargs` and the arguments.
        flags: the names of the arguments that are true or false.
        num_states: how many states there are, for each of which zoneout may have a rate.

    Returns:
        The arguments alone, with plain Python numbers.

    Raises:
        ValueError: if one is out of range.
    """
    others = ("self", "kwargs", "__class__")
    if "recurrent_activation" in given:
        _check_implementation(given["kwargs"].get("implementation", 2))
    given = {name: value for name, value in given.items() if name not in others}
    check_positive_integer("units", given["units"])
    check_rate("dropout", given["dropout"])
    check_rate("recurrent_dropout", given["recurrent_dropout"])
    given["zoneout"] = _check_zoneout(given["zoneout"], num_states > 1)
    check_seed(given["seed"])
    check_flags(**{name: given[name] for name in flags})
    for name in ("units", "dropout", "recurrent_dropout", "seed"):
        given[name] = plain(given[name])
    for name in flags:
        given[name] = bool(given[name])
    given["recurrent_initializer"] = initializers.named(given["recurrent_initializer"])
    return given


def _check_zoneout(zoneout: Any, may_be_two: bool) -> float | list[float]:
    if isinstance(zoneout, (list, tuple)) and not may_be_two:
        raise ValueError(
            f"zoneout must be one number in [0, 1), got zoneout={shown(zoneout)}. "
            "Only an LSTM takes two rates."
        )
    if not isinstance(zoneout, (list, tuple)):
        check_rate("zoneout", zoneout)
        return plain(zoneout)
    if len(zoneout) != 2:
        raise ValueError(
            f"zoneout must be one rate, or two for h and c, got zoneout={shown(zoneout)}."
        )
    for rate in zoneout:
        check_rate("zoneout", rate)
    return [plain(rate) for rate in zoneout]


def check_input_size(cell: Any, input_shape: tuple[int | None, ...]) -> None:
    """Checks that a cell with `residual` can add its inputs to its outputs.

    Raises:
        ValueError: if they have another size.
    """
    if cell.residual and input_shape[-1] != cell.units:
        raise ValueError(
            f"residual=True takes inputs of units={cell.units} features, "
            f"got {input_shape[-1]}. It adds them to the outputs: use "
            f"units={input_shape[-1]}, or project the inputs."
        )


def check_rates(cell: Any) -> None:
    """Checks the rates of a cell of any kind, and that it can draw if there are some.

    Raises:
        ValueError: if one is not in [0, 1), if their number is wrong, or if the cell has no
            `seed_generator`.
    """
    rates = {"dropout": [cell.dropout], "recurrent_dropout": [cell.recurrent_dropout]}
    several = isinstance(cell.zoneout, Sequence)
    rates["zoneout"] = list(cell.zoneout) if several else [cell.zoneout]
    for name, values in rates.items():
        for value in values:
            check_rate(name, value)
    if several and len(cell.zoneout) != cell.num_states:
        raise ValueError(
            f"zoneout of {type(cell).__name__} must be one rate, or one for each of its "
            f"{cell.num_states} states, got zoneout={shown(cell.zoneout)}."
        )
    draws = any(value for values in rates.values() for value in values)
    if draws and getattr(cell, "seed_generator", None) is None:
        raise ValueError(
            f"{type(cell).__name__} has dropout or zoneout, which draw random numbers, and no "
            "seed_generator. Set self.seed_generator = keras.random.SeedGenerator(seed) in its "
            "constructor."
        )


def _check_implementation(implementation: Any) -> None:
    """Raises a `ValueError` for anything but 1 and 2, and the 0 of old configurations."""
    if not is_integer(implementation) or implementation not in (0, 1, 2):
        raise ValueError(
            f"implementation must be 1 or 2, got implementation={shown(implementation)}."
        )


def check_cudnn(use_cudnn: Any) -> None:
    """Raises a `ValueError` for anything but `"auto"`, `True` and `False`."""
    if not (isinstance(use_cudnn, bool) or use_cudnn == "auto"):
        raise ValueError(
            f'use_cudnn must be "auto", True or False, got use_cudnn={shown(use_cudnn)}.'
        )
