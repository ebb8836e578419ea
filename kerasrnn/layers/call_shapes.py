"""Checks the inputs, masks and initial states that recurrent layers are called with.

Static shapes are checked when a layer is called or a graph is traced.
"""

import contextlib
from typing import Any

import keras
import tensorflow as tf

from kerasrnn.layers.recurrent_cell import RecurrentCell

_CELLS = (
    RecurrentCell,
    keras.layers.SimpleRNNCell,
    keras.layers.LSTMCell,
    keras.layers.GRUCell,
)


def check_sequences(layer: keras.layers.RNN, sequences: Any) -> None:
    """Checks that inputs have the shape `(batch, time, features)` of the built layer.

    Raises:
        ValueError: if they do not, or if there is no time step.
    """
    rank = getattr(getattr(sequences, "shape", None), "rank", None)
    if rank is None or rank < 3:
        shape = f"shape {tuple(sequences.shape)}" if rank is not None else "no known shape"
        raise ValueError(
            f"The inputs of {layer.name} must be sequences, (batch, time, features), "
            f"got {shape}."
        )
    if sequences.shape[1] == 0:
        raise ValueError(
            f"The inputs of {layer.name} must have one time step or more, "
            f"got shape {tuple(sequences.shape)}."
        )
    cell = getattr(layer.cell, "cells", [layer.cell])[0]
    kernel = getattr(cell, "kernel", None) if isinstance(cell, _CELLS) else None
    expected = None if kernel is None else kernel.shape[0]
    if None not in (expected, sequences.shape[-1]) and sequences.shape[-1] != expected:
        raise ValueError(
            f"{layer.name} was built for inputs of {expected} features, "
            f"got shape {tuple(sequences.shape)}."
        )


def fit_states(layer: keras.layers.RNN, initial_state: Any, sequences: tf.Tensor) -> list:
    """The initial states as tensors, one row a sequence.

    Args:
        layer: the layer that is called.
        initial_state: a list of states, or the only state. A state that is the same for
            all sequences may have one row, or be a vector.
        sequences: the inputs.

    Raises:
        ValueError: if the number of states, their sizes or their batch size are wrong.
    """
    stacked = hasattr(layer.cell, "cells")
    if not stacked and not all(isinstance(size, int) for size in layer.state_size):
        return initial_state  # states that are no vectors: the cell knows their shapes
    several = isinstance(initial_state, (list, tuple))
    states = list(initial_state) if several else [initial_state]
    sizes = tf.nest.flatten(list(layer.state_size))
    nested = stacked or sizes != list(layer.state_size)
    flat = tf.nest.flatten(states) if nested else states
    if len(flat) != len(sizes) or any(
        isinstance(state, (list, tuple, type(None))) for state in flat
    ):
        raise ValueError(
            f"initial_state of {layer.name} must be a list of {len(sizes)} tensors, got "
            f"{[_describe(state) for state in flat]}."
        )
    try:
        tensors = [
            keras.ops.convert_to_tensor(state, layer.cell.compute_dtype) for state in flat
        ]
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"initial_state of {layer.name} must be a list of {len(sizes)} tensors of numbers, "
            f"got initial_state={initial_state!r}."
        ) from error
    fitted = [
        _fit_state(layer, state, size, sequences)
        for state, size in zip(tensors, sizes, strict=True)
    ]
    return fitted if len(fitted) == 1 else tf.nest.pack_sequence_as(states, fitted)


def _fit_state(layer, state, size, sequences):
    if state.shape.rank is None:
        return state
    batch_size = sequences.shape[0]
    one_row = state.shape.is_compatible_with([1, size]) and state.shape[0] == 1 != batch_size
    if one_row or state.shape.as_list() == [size]:  # one state for all sequences
        return tf.broadcast_to(state, [batch_size or tf.shape(sequences)[0], size])
    if not state.shape.is_compatible_with([batch_size, size]):
        raise ValueError(
            f"initial_state of {layer.name} must have the shape "
            f"(batch, units) = {(batch_size, size)}, got {tuple(state.shape)}."
        )
    return state


def fit_mask(layer: keras.layers.RNN, mask: Any, sequences: tf.Tensor) -> tf.Tensor:
    """The mask as a tensor, `(batch, time)`, or `(batch, time, 1)` or `(batch, time, units)`.

    Raises:
        ValueError: if its shape does not match that of the inputs.
    """
    mask = tf.convert_to_tensor(mask)
    (batch_size, length), shape = sequences.shape[:2], mask.shape
    if shape.rank is None:
        raise ValueError(
            f"mask of {layer.name} must have a known number of axes: set its shape, "
            "for example with tf.ensure_shape(mask, [None, None])."
        )
    sizes = set(tf.nest.flatten(list(layer.state_size)))
    widths = [1, *(sizes if len(sizes) == 1 else ())]
    fits = any(
        shape.is_compatible_with([rows, length, *width])
        for rows in (batch_size, 1)
        for width in ([], *([w] for w in widths))
    )
    if not fits:
        raise ValueError(
            f"mask of {layer.name} must have the shape (batch, time) = "
            f"{(batch_size, length)} of its inputs, got {tuple(shape)}."
        )
    return mask


def required_steps(
    sequences: tf.Tensor, mask: tf.Tensor | None
) -> contextlib.AbstractContextManager:
    """Inside, ops run only if there is a time step, and as many in the mask as in the inputs.

    Code compiled by XLA reads past the end of a tensor without an error, so it needs this
    check. Static lengths have been checked already.

    Args:
        sequences: `(batch, time, ...)`.
        mask: `None` or `(batch, time, ...)`.
    """
    lengths = [tensor.shape[1] for tensor in (sequences, mask) if tensor is not None]
    if tf.executing_eagerly() or None not in lengths:
        return contextlib.nullcontext()
    num_steps = tf.shape(sequences)[1]
    num_masked = num_steps if mask is None else tf.shape(mask)[1]
    said = (
        "inputs must have one time step or more, and a mask as many; steps and steps of mask:"
    )
    return tf.control_dependencies(
        [
            tf.debugging.Assert(
                (num_steps > 0) & (num_masked == num_steps), [said, num_steps, num_masked]
            )
        ]
    )


def _describe(state: Any) -> str:
    return f"shape {tuple(state.shape)}" if hasattr(state, "shape") else repr(state)
