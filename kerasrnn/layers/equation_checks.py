"""Checks what the step and the adjoint of a cell return, while a graph is traced."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from kerasrnn.checks import shown


def check_step(returned: Any, states: Sequence[tf.Tensor]) -> tuple[list, list]:
    """The new states, and what the step keeps.

    Raises:
        ValueError: if there are not as many states as before, or of other shapes.
    """
    parts = "the new states and what the adjoint needs"
    new, kept = _two_lists("A step", parts, returned)
    _check_tensors("A step", kept)
    _check_shapes("A step", "new states, one for each state before", new, states)
    return new, kept


def check_adjoint(returned: Any, states: Sequence[tf.Tensor]) -> tuple[list, list]:
    """dp of each gate, and ds of each state.

    Raises:
        ValueError: if there is not one ds for each state, or if a shape is wrong.
    """
    parts = "the gradients of p and those of the states before"
    dp, ds = _two_lists("An adjoint", parts, returned)
    _check_shapes("An adjoint", "gradients of p", dp, [states[0]] * len(dp))
    _check_shapes("An adjoint", "gradients of states, one for each state", ds, states)
    return dp, ds


def check_gates(dp: Sequence[tf.Tensor], num_gates: int) -> None:
    """Raises a `ValueError` if there is not one dp for each gate."""
    if len(dp) != num_gates:
        raise ValueError(
            f"An adjoint must return {num_gates} gradients of p, one for each gate, "
            f"got {len(dp)}."
        )


def _two_lists(who, parts, returned):
    several = isinstance(returned, (list, tuple))
    if not (several and len(returned) == 2):
        count = f"{len(returned)} values" if several else _describe(returned)
        raise ValueError(f"{who} must return two lists, {parts}, got {count}.")
    for part in returned:
        if not isinstance(part, (list, tuple)):
            raise ValueError(
                f"{who} must return two lists, {parts}, got {_describe(part)} as one of them."
            )
    return list(returned[0]), list(returned[1])


def _check_tensors(who, found):
    for one in found:
        if not tf.is_tensor(one):
            raise ValueError(
                f"{who} must return lists of tensors, got {_describe(one)} in one."
            )


def _check_shapes(who, what, found, expected):
    if len(found) != len(expected):
        raise ValueError(f"{who} must return {len(expected)} {what}, got {len(found)}.")
    _check_tensors(who, found)
    for one, like in zip(found, expected, strict=True):
        if not one.shape.is_compatible_with(like.shape):
            raise ValueError(
                f"{who} must return {what}, of shape {tuple(like.shape)}, "
                f"got shape {tuple(one.shape)}."
            )


def _describe(value):
    if tf.is_tensor(value):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"{type(value).__name__} {shown(value)}"
