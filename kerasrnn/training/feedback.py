"""A model run step by step, on true inputs mixed with its own outputs."""

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf


@dataclasses.dataclass(frozen=True, eq=False)
class Feedback:
    """What a model needs to know in order to feed itself."""

    probability: tf.Tensor
    """The sampling probability, a scalar."""
    draw: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    """From the output of a step and its number to the next input."""
    seed: tf.Tensor
    """Of the coins, int32 `(2,)`."""


def make_feedback(
    probability: tf.Tensor | float,
    inputs: tf.Tensor,
    draw: str,
    from_logits: bool,
    seed: tf.Tensor,
) -> Feedback:
    """Feedback for inputs of this kind: ids or values.

    Args:
        probability: the sampling probability.
        inputs: the true inputs, `(batch, time)` if they are ids, else
            `(batch, time, features)`.
        draw: `"greedy"` or `"sample"`.
        from_logits: whether outputs are logits, not probabilities.
        seed: int32 `(2,)`.

    Raises:
        ValueError: for `draw="sample"` with inputs that are values.
    """
    ids = inputs.dtype.is_integer
    if draw == "sample" and not ids:
        raise ValueError(
            f'draw="sample" needs inputs that are ids, got inputs of type {inputs.dtype.name}. '
            'Use draw="greedy": the output itself is fed back.'
        )

    def next_input(output, t):
        if not ids:
            return tf.cast(output, inputs.dtype)
        if draw == "greedy":
            return tf.cast(tf.argmax(output, -1), inputs.dtype)
        logits = tf.cast(output, tf.float32)
        logits = logits if from_logits else tf.math.log(logits)
        step_seed = tf.random.fold_in(seed, 2 * t + 1)
        drawn = tf.random.stateless_categorical(logits, 1, step_seed)
        return tf.cast(drawn[:, 0], inputs.dtype)

    return Feedback(tf.cast(probability, tf.float32), next_input, seed)


def run_with_feedback(
    step: Callable[[tf.Tensor, tf.Tensor, Any], tuple[tf.Tensor, Any]],
    inputs: tf.Tensor,
    states: Any,
    feedback: Feedback,
    mask: tf.Tensor | None = None,
) -> tuple[tf.Tensor, Any]:
    """Runs a model step by step, on true inputs mixed with its own outputs.

    Args:
        step: from the number of the step, its input `(batch, ...)` and the
            states to the output `(batch, ...)` and the new states.
        inputs: the true inputs, `(batch, time, ...)`.
        states: any nest of tensors.
        feedback: what to feed.
        mask: booleans, `(batch, time)`. The output of a masked step is not fed back; the true
            input is used instead.

    Returns:
        The outputs, `(batch, time, ...)`, and the last states.

    Raises:
        ValueError: if outputs that are fed back as values have another size
            than the inputs.
    """
    batch_size, length = tf.unstack(tf.shape(inputs)[:2])
    true_inputs = tf.transpose(inputs, [1, 0, *range(2, len(inputs.shape))])
    coins = tf.random.stateless_uniform([length, batch_size], feedback.seed)
    own = coins < feedback.probability
    if mask is not None:
        own &= tf.transpose(tf.roll(mask, 1, axis=1))
    own = tf.reshape(own, [length, batch_size] + [1] * (len(inputs.shape) - 2))

    output, states = step(tf.constant(0), true_inputs[0], states)
    outputs = tf.TensorArray(output.dtype, length, element_shape=output.shape)

    def body(t, output, states, outputs):
        previous = feedback.draw(tf.stop_gradient(output), t)
        if previous.shape[1:] != true_inputs.shape[2:]:
            raise ValueError(
                "An output that is fed back must have the size of the input, got outputs "
                f"{tuple(previous.shape[1:])} and inputs {tuple(true_inputs.shape[2:])} a step."
            )
        x_t = tf.where(own[t], previous, true_inputs[t])
        x_t = tf.ensure_shape(x_t, true_inputs.shape[1:])  # so a loop keeps a batch size of 1
        output, states = step(t, x_t, states)
        return t + 1, output, states, outputs.write(t, output)

    first = (tf.constant(1), output, states, outputs.write(0, output))
    _, _, states, outputs = tf.while_loop(lambda t, *_: t < length, body, first)
    stacked = outputs.stack()
    return tf.transpose(stacked, [1, 0, *range(2, len(stacked.shape))]), states
