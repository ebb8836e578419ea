"""A recurrent layer over whole sequences, by the equations of its cell."""

from typing import Any

import keras
import tensorflow as tf

from kerasrnn.layers import call_shapes, compilation, recurrence
from kerasrnn.layers.cell_arguments import check_input_size
from kerasrnn.layers.dropout import DropoutMasks
from kerasrnn.layers.equations import Equations
from kerasrnn.layers.recurrent_cell import RecurrentCell
from kerasrnn.layers.truncation import gate_gradient, products_between


def runs_whole(layer: keras.layers.RNN, mask: tf.Tensor | None = None) -> bool:
    """Whether the layer's cell has an adjoint, and nothing asks for Keras' own loop.

    A mask with one value for each unit, `(batch, time, units)`, does: the compiled loops mask
    all units of a step together.
    """
    if mask is not None and len(mask.shape) == 3 and mask.shape[-1] != 1:
        return False
    cell = layer.cell
    if (
        layer.unroll
        or not isinstance(cell, RecurrentCell)
        or type(cell).call is not RecurrentCell.call
    ):
        return False
    equations = cell.equations()
    if not isinstance(equations, Equations):
        raise TypeError(
            f"equations() of {type(cell).__name__} must return kerasrnn.Equations(step, "
            f"adjoint), got {equations!r}."
        )
    if equations.adjoint is not None and equations != cell.equations():
        raise ValueError(
            f"equations() of {type(cell).__name__} returns new functions at each call. Define "
            "the step and the adjoint in a module, or make them in a function with "
            "functools.cache, so that they are compiled once."
        )
    return equations.adjoint is not None


def run_whole(
    layer: keras.layers.RNN,
    sequences: tf.Tensor,
    initial_state: list,
    mask: tf.Tensor | None,
    gates: tf.Tensor | None,
    training: bool,
    dropout_masks: DropoutMasks | None,
) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
    """Does what `keras.layers.RNN.inner_loop` does, in one scan.

    Args:
        layer: a layer of which `runs_whole` is true.
        sequences: `(batch, time, features)`.
        initial_state: the states before the first step.
        mask: `None`, `(batch, time)` or `(batch, time, 1)`.
        gates: gates on gradients, as `kerasrnn.layers.truncation` draws them.
        training: whether dropout and zoneout apply.
        dropout_masks: those of this call.

    Returns:
        The last output, all outputs (only the last without `return_sequences`), and the last
        states.
    """
    cell: Any = layer.cell
    execution = compilation.choose_execution(bool(training))
    if execution is compilation.Execution.COMPILED:
        with call_shapes.required_steps(sequences, mask):
            sequences = tf.identity(sequences)
    dtype = cell.compute_dtype
    inputs, mask = by_time(layer, tf.cast(sequences, dtype), mask)
    masks = dropout_masks or DropoutMasks()
    read, projection = _read_by_steps(cell, inputs, masks.inputs, execution)
    weights = cell.recurrent_weights(dtype)
    shape = tf.concat([tf.shape(inputs)[:2], [cell.units]], 0)
    states, last_states = recurrence.recur(
        cell.equations(),
        read,
        weights,
        initial_state,
        projection=projection,
        gates=gates,
        mask=mask,
        dropout_masks=_for_weights(masks.states, len(weights)),
        updates=cell.draw_updates(shape, training),
        every_output=layer.return_sequences,
        execution=execution,
    )
    last_output, outputs = last_states[0], states if layer.return_sequences else None
    if cell.residual:
        last_output, outputs = _skip_layer(last_output, outputs, inputs, mask, gates)
    last_output, outputs = _mask_outputs(layer, last_output, outputs, mask)
    outputs = last_output[:, None] if outputs is None else tf.transpose(outputs, [1, 0, 2])
    return last_output, outputs, list(last_states)


def _read_by_steps(cell, inputs, masks, execution):
    """p of each gate; or x, and the projection that makes p inside the loop."""
    inside = (
        execution is not compilation.Execution.COMPILED
        and masks is None
        and cell.kernel is not None
        and type(cell).project is RecurrentCell.project
    )
    if not inside:
        return cell.project(inputs, masks), None
    check_input_size(cell, inputs.shape)
    return [inputs], cell.projection(inputs.dtype)


def by_time(
    layer: keras.layers.RNN, sequences: tf.Tensor, mask: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Sequences and mask with time as the first axis, in the order of the steps.

    The mask gets a last axis of 1, unless it has one of `units`.
    """
    inputs = tf.transpose(sequences, [1, 0, *range(2, len(sequences.shape))])
    if mask is not None:
        mask = tf.cast(mask, tf.bool)
        if len(mask.shape) == 3:
            mask = tf.transpose(mask, [1, 0, 2])
        else:
            mask = tf.expand_dims(tf.transpose(mask), -1)
    if layer.go_backwards:
        inputs = tf.reverse(inputs, [0])
        mask = None if mask is None else tf.reverse(mask, [0])
    return inputs, mask


def _for_weights(masks, num_weights):
    """The masks of the matrices, and none for the biases after them."""
    return None if masks is None else [*masks, *[None] * (num_weights - len(masks))]


def _skip_layer(last_state, states, inputs, mask, gates):
    """x + h, where masked steps repeat the x of the step before."""
    if mask is not None:
        inputs = _repeat_where_masked(inputs, mask, gates)
    return last_state + inputs[-1], None if states is None else states + inputs


def _mask_outputs(layer, last_output, outputs, mask):
    """Outputs where steps are masked: the previous one, or zeros."""
    if mask is None:
        return last_output, outputs
    if layer.zero_output_for_mask:
        shown, shown_last = mask, mask[-1]
    else:  # the previous output, and zeros before there is one
        shown = tf.cumsum(tf.cast(mask, tf.int32), axis=0) > 0
        shown_last = tf.reduce_any(mask, axis=0)
    last_output = tf.where(shown_last, last_output, tf.zeros_like(last_output))
    if outputs is not None:
        outputs = tf.where(shown, outputs, tf.zeros_like(outputs))
    return last_output, outputs


def _repeat_where_masked(
    inputs: tf.Tensor, mask: tf.Tensor, gates: tf.Tensor | None = None
) -> tf.Tensor:
    """Inputs, where each masked step takes the last one before it that is not masked.

    The gradients of those that are repeated pass the gates between the two steps, as those of
    the states do.

    Args:
        inputs: `(time, batch, units)`.
        mask: `(time, batch or 1, 1)`.
        gates: `(time, batch or 1, 1)`. Default: 1.

    Returns:
        `(time, batch, units)`; at masked steps before all others, any step's inputs.
    """
    num_steps, batch = tf.unstack(tf.shape(inputs)[:2])
    used = tf.transpose(tf.broadcast_to(mask[..., 0], [num_steps, batch]))
    # For each row the steps that count, in order, and then how many of them there were.
    used_first = tf.argsort(tf.where(used, 0, num_steps) + tf.range(num_steps))
    count = tf.cumsum(tf.cast(used, tf.int32), axis=-1)
    latest = tf.gather(used_first, tf.maximum(count - 1, 0), batch_dims=1)
    repeated = tf.gather(tf.transpose(inputs, [1, 0, 2]), latest, batch_dims=1)
    if gates is not None:
        between = products_between(tf.transpose(gates[..., 0]), latest)
        repeated = gate_gradient(repeated, between[..., None])
    return tf.ensure_shape(tf.transpose(repeated, [1, 0, 2]), inputs.shape)
