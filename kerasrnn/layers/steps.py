"""One step of any cell, with dropout masks; gradient gates before it and a mask after it."""

import inspect
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kerasrnn.layers.dropout import DropoutMasks, keeping_masks, masks_kept_by_keras
from kerasrnn.layers.truncation import gate_gradient


def call_cell(
    cell: Any,
    x_t: tf.Tensor,
    states: Any,
    training: bool,
    masks: DropoutMasks | list | None = None,
) -> tuple[tf.Tensor, Any]:
    """One step of any Keras cell.

    Args:
        cell: a cell, or a stack of cells.
        x_t: `(batch, features)`.
        states: a list of the states before the step; for a stack, one entry per cell.
        training: whether dropout and zoneout apply.
        masks: what `kerasrnn.layers.dropout.draw_masks` returned. Default: no dropout,
            except in cells that keep their masks themselves.

    Returns:
        The output, `(batch, ...)`, and the new states, nested as `states` is.
    """
    if isinstance(masks, list):
        new_states = []
        for each, before, masks_of_cell in zip(cell.cells, states, masks, strict=True):
            before = before if tf.nest.is_nested(before) else [before]
            x_t, after = call_cell(each, x_t, before, training, masks_of_cell)
            new_states.append(after)
        return x_t, tf.nest.pack_sequence_as(states, tf.nest.flatten(new_states))
    options: dict[str, Any] = {}
    if "training" in inspect.signature(cell.call).parameters:
        options["training"] = training
    if masks is not None:
        options.update(dropout_mask=masks.inputs, recurrent_dropout_mask=masks.states)
    kept = [] if training else keeping_masks(cell)
    with masks_kept_by_keras(kept, training):
        output, new_states = cell(x_t, states, **options)
    return output, tf.nest.pack_sequence_as(states, tf.nest.flatten(new_states))


def take_step(
    step: Callable[[Any], tuple[Any, Any]],
    states: Any,
    gate: tf.Tensor | None = None,
    mask: tf.Tensor | None = None,
) -> tuple[Any, Any]:
    """Takes one step, with a gradient gate before it and a mask after it.

    Args:
        step: a function of the states that returns the new states, in the same structure,
            and anything else.
        states: any nest of tensors, `(batch, units)`.
        gate: xi_t, `(batch, 1)` or `(1, 1)`, which multiplies the gradient that the step
            hands back to `states`. Default: 1.
        mask: booleans, `(batch, 1)`. Where it is `False`, the states stay as they were.
            Default: `True`.

    Returns:
        The states after the step, and what else `step` returned.
    """
    if gate is not None:
        states = tf.nest.map_structure(lambda state: gate_gradient(state, gate), states)
    new_states, others = step(states)
    if mask is not None:
        new_states = tf.nest.map_structure(
            lambda new, old: tf.where(mask, new, old), new_states, states
        )
    return new_states, others


def output_size(cell: Any) -> int:
    """The size of the cell's output at each step."""
    size = getattr(cell, "output_size", None)
    if size is not None:
        return size
    return cell.state_size if isinstance(cell.state_size, int) else cell.state_size[0]
