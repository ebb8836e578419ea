"""Checks what the step and the adjoint of a cell return, while a graph is traced."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

_STEP = "A step must return the new states and what its adjoint needs, two lists"
_ADJOINT = "An adjoint must return the gradients of p and of the states before, two lists"

_DP = "An adjoint must return dp for each gate"


def check_step(returned: Any, states: Sequence[tf.Tensor]) -> tuple[list, list]:
    """The new states, and what the step keeps.

    Raises:
        ValueError: if there are not as many states as before, or of other shapes.
    """
    new, kept = _two_lists(_STEP, returned)
    _check_shapes("A step must return a new state for each state", new, states)
    _check_tensors(_STEP, kept)
    return new, kept


def check_adjoint(returned: Any, states: Sequence[tf.Tensor]) -> tuple[list, list]:
    """dp of each gate, and ds of each state.

    Raises:
        ValueError: if there is not one ds for each state, or if a shape is wrong.
    """
    dp, ds = _two_lists(_ADJOINT, returned)
    _check_shapes(_DP, dp, [states[0]] * len(dp))
    _check_shapes("An adjoint must return ds for each state", ds, states)
    return dp, ds


def check_gates(dp: Sequence[tf.Tensor], num_gates: int) -> None:
    """Raises a `ValueError` if there is not one dp for each gate."""
    if len(dp) != num_gates:
        raise ValueError(f"{_DP}: {num_gates}; got {len(dp)}.")


def _two_lists(what, returned):
    if not isinstance(returned, (list, tuple)) or len(returned) != 2:
        raise ValueError(f"{what}; got {_describe(returned)}.")
    if not all(isinstance(part, (list, tuple)) for part in returned):
        raise ValueError(f"{what}; got {' and '.join(_describe(part) for part in returned)}.")
    return list(returned[0]), list(returned[1])


def _check_tensors(what, found):
    for one in found:
        if not tf.is_tensor(one):
            raise ValueError(f"{what} of tensors; got {_describe(one)}.")


def _check_shapes(what, found, expected):
    if len(found) != len(expected):
        raise ValueError(f"{what}: {len(expected)}; got {len(found)}.")
    _check_tensors(what, found)
    for one, like in zip(found, expected, strict=True):
        if not one.shape.is_compatible_with(like.shape):
            raise ValueError(
                f"{what}, of shape {tuple(like.shape)}; got shape {tuple(one.shape)}."
            )


def _describe(value):
    if tf.is_tensor(value):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"{type(value).__name__} {value!r}"
