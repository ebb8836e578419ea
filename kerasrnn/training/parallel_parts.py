"""A batch in parts that are computed side by side: one to a core, or to a few threads."""

import operator

import tensorflow as tf

from kerasrnn.training.clipping import Gradient
from kerasrnn.training.errors import PARTS, parts_differ, required
from kerasrnn.training.step import Counts, Outcome, TrainingStep
from kerasrnn.training.window import Window


def gradients_of_parts(
    step: TrainingStep, window: Window, states: list, counts: Counts, scale: tf.Tensor
) -> tuple[Outcome, list[Gradient]]:
    """The gradients of the whole batch, as the sum of those of its parts.

    Nothing makes one part wait for another, so TensorFlow runs them at the same time.

    Args:
        step: whose model it is, and how many parts there are.
        window: a batch.
        states: those to start from.
        counts: how many steps of the whole batch count.
        scale: of the loss.

    Returns:
        The outcome of the whole batch, and the gradients of the scaled loss for the
        trainable variables.

    Raises:
        ValueError: if the batch cannot be split into equal parts.
    """
    num_parts = step.options.parallel_parts
    size = _size_of_part(window, num_parts)
    variables = [v.value for v in step.model.trainable_variables]
    total: list[Gradient] = [None] * len(variables)
    outcomes = []
    for part in range(num_parts):
        rows = slice(part * size, (part + 1) * size)
        part_states = tf.nest.map_structure(operator.itemgetter(rows), states)
        with tf.GradientTape() as tape:
            outcome = step.run(window.rows(rows), part_states, counts, 1 / num_parts)
            scaled_loss = outcome.loss * tf.cast(scale, outcome.loss.dtype)
        gradients = tape.gradient(scaled_loss, variables)
        outcomes.append(outcome)
        total = list(map(_add, total, gradients))
    outputs = tf.concat([o.outputs for o in outcomes], 0)
    states = tf.nest.map_structure(
        lambda *parts: tf.concat(parts, 0), *(o.states for o in outcomes)
    )
    return Outcome(tf.add_n([o.loss for o in outcomes]), outputs, states), total


def _size_of_part(window, num_parts):
    batch_size = window.inputs.shape[0]
    if batch_size is not None and batch_size % num_parts:
        raise parts_differ(batch_size, num_parts)
    batch_size = tf.shape(window.inputs)[0]
    size = batch_size // num_parts
    with required(size * num_parts == batch_size, PARTS, batch_size, num_parts):
        return tf.identity(size)


def _add(a, b):
    """The sum of two gradients; sparse ones stay sparse."""
    if a is None or b is None:
        return b if a is None else a
    if isinstance(a, tf.IndexedSlices) and isinstance(b, tf.IndexedSlices):
        values, indices = (
            tf.concat([a.values, b.values], 0),
            tf.concat([a.indices, b.indices], 0),
        )
        return tf.IndexedSlices(values, indices, a.dense_shape)
    return tf.convert_to_tensor(a) + tf.convert_to_tensor(b)
