"""The loop over time of inference, in plain operations, which any runtime has.

An iteration of a loop costs about as much as ten operations, so each iteration runs `BLOCK`
steps, with one product of their inputs for each gate. Each step that is left over has an
iteration of its own.
"""

import keras
import tensorflow as tf

from kerasrnn.layers.equations import Equations, Product
from kerasrnn.layers.projection import Projection
from kerasrnn.layers.surroundings import Surroundings, Tensors, at_steps, slices_of, take_step

BLOCK = 8
"""Steps in one iteration of the loop."""


def scan_forward(
    inputs: Tensors,
    projection: Projection | None,
    weights: Tensors,
    states: Tensors,
    around: Surroundings,
    equations: Equations,
) -> tuple[tf.Tensor, Tensors]:
    """The outputs and the last states, with nothing kept for gradients.

    Args:
        inputs: p of each gate, `(time, batch, units)`; with a projection, only x,
            `(time, batch, features)`.
        projection: makes p from x, where p is not given.
        weights: W of each product.
        states: those before the first step, each `(batch, units)`.
        around: the surroundings.
        equations: those of the cell.

    Returns:
        The first state after every step, `(time, batch, units)`, and all states after the
        last, each `(batch, units)`.
    """
    return _scan(inputs, projection, weights, states, around, equations, stores=True)


def scan_to_last(
    inputs: Tensors,
    projection: Projection | None,
    weights: Tensors,
    states: Tensors,
    around: Surroundings,
    equations: Equations,
) -> tuple[None, Tensors]:
    """As `scan_forward`, for the last states alone."""
    return _scan(inputs, projection, weights, states, around, equations, stores=False)


def _scan(inputs, projection, weights, states, around, equations, stores):
    """Whole blocks, and then the steps that are left over."""
    run = _make_run(inputs, projection, weights, around, equations, stores)
    length = around.length
    in_blocks = length // BLOCK * BLOCK
    parts = []
    for start, end, size in ((0, in_blocks, BLOCK), (in_blocks, length, 1)):
        if tf.is_tensor(length) or start < end:  # else there is surely nothing to do
            outputs, states = run(states, start, (end - start) // size, size)
            parts.append(outputs)
    if not stores:
        return None, states
    return parts[0] if len(parts) == 1 else tf.concat(parts, 0), states


def _make_run(inputs, projection, weights, around, equations, stores):
    """A function that runs blocks of steps."""
    product = Product(weights, around.dropout_masks)

    def take_block(start, states, size):
        """The first state after each of `size` steps, and the states after the last."""
        outputs = []
        read = inputs if projection is None else projection(at_steps(inputs[0], start, size))
        first = 0 if projection is None else start
        for slices in slices_of(start, size, read, around, len(states), first):
            states, *_ = take_step(slices, states, product, equations)
            outputs.append(states[0])
        return outputs, states

    def run(states, start, num_blocks, size):
        """The outputs and last states of `num_blocks` times `size` steps from `start`."""
        # A tf.TensorArray notes the element's shape as a constant, in which the batch is left
        # open; converters of exported graphs need to know where it comes from.
        batch_and_units, dtype = keras.ops.shape(states[0]), states[0].dtype
        shape = tf.stack([size, *batch_and_units])

        def body(n, states, *lists):
            outputs, states = take_block(start + n * size, states, size)
            lists = [
                tf.raw_ops.TensorListSetItem(input_handle=x, index=n, item=tf.stack(outputs))
                for x in lists
            ]
            return n + 1, states, *lists

        lists = [
            tf.raw_ops.TensorListReserve(
                element_shape=shape, num_elements=num_blocks, element_dtype=dtype
            )
        ] * stores
        first = (tf.constant(0), states, *lists)
        _, states, *lists = tf.while_loop(lambda n, *_: n < num_blocks, body, first)
        if not stores:
            return None, states
        blocks = tf.raw_ops.TensorListStack(
            input_handle=lists[0], element_shape=shape, element_dtype=dtype
        )
        steps = tf.reshape(blocks, [num_blocks * size, *batch_and_units])
        return tf.ensure_shape(steps, [None, *states[0].shape]), states

    return run
