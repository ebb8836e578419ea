"""Full BPTT in the memory of about sqrt(T) steps: time is traded for it."""

import tensorflow as tf

from kerasrnn.training.clipping import Gradient
from kerasrnn.training.step import Counts, Outcome, TrainingStep
from kerasrnn.training.window import Window


def recomputed_gradients(
    step: TrainingStep, window: Window, states: list, counts: Counts, scale: tf.Tensor
) -> tuple[Outcome, list[Gradient]]:
    """Full BPTT that keeps the states of about sqrt(T) steps, and recomputes the steps between.

    With h_k the states where segment k begins, going through the segments
    backwards, each is run once more, now on a tape, and dL/dh_k follows from
    dL/dh_{k+1} by differentiating L_k + <h_{k+1}, dL/dh_{k+1}>.

    Args:
        step: whose model it is.
        window: a batch.
        states: those to start from.
        counts: how many steps of the whole window count.
        scale: of the loss.

    Returns:
        The outcome, whose outputs the metrics have seen, and the gradients of the
        scaled loss for the trainable variables.

    Reference: T. Chen et al., "Training deep nets with sublinear memory cost",
    2016, arXiv:1604.06174.
    """
    time = tf.shape(window.inputs)[1]
    length = tf.cast(tf.math.ceil(tf.sqrt(tf.cast(time, tf.float32))), tf.int32)
    num_segments = -(-time // length)
    share = 1 / tf.cast(num_segments, tf.float32)
    variables = [v.value for v in step.model.trainable_variables]
    random = [
        v.value for v in step.model.non_trainable_variables
    ]  # seeds of dropout, for example

    def run(k, states):
        piece = window.steps(slice(k * length, (k + 1) * length))
        return piece, step.run(piece, states, counts, share)

    def arrays(tensors):
        return [
            tf.TensorArray(x.dtype, num_segments, element_shape=x.shape, clear_after_read=False)
            for x in tensors
        ]

    flat_states = tf.nest.flatten(states)

    def forward(k, loss, flat, kept, kept_random):
        # The last state is a slice that would keep all states of its segment in memory.
        flat = [tf.raw_ops.DeepCopy(x=s) for s in flat]
        kept = [a.write(k, s) for a, s in zip(kept, flat, strict=True)]
        kept_random = [a.write(k, v) for a, v in zip(kept_random, random, strict=True)]
        piece, outcome = run(k, tf.nest.pack_sequence_as(states, flat))
        loss += tf.cast(outcome.loss, tf.float32)
        tf.cond(  # outputs of all steps would be a tape again
            tf.math.is_finite(loss),
            lambda: step.update_compiled_metrics(piece, outcome.outputs),
            step.model.get_metrics_result,
        )
        return k + 1, loss, tf.nest.flatten(outcome.states), kept, kept_random

    start = (tf.constant(0), tf.constant(0.0), flat_states, arrays(flat_states), arrays(random))
    _, loss, last, kept, kept_random = tf.while_loop(
        lambda k, *_: k < num_segments, forward, start
    )
    after = [tf.identity(v) for v in random]

    sparse: list[bool] = []

    def backward(k, delta, total):
        for variable, array in zip(random, kept_random, strict=True):
            variable.assign(array.read(k))  # the same dropout masks as in the first run
        flat = [a.read(k) for a in kept]
        with tf.GradientTape() as tape:
            tape.watch(flat)
            _, outcome = run(k, tf.nest.pack_sequence_as(states, flat))
            objective = outcome.loss * tf.cast(scale, outcome.loss.dtype)
            for h, d in zip(tf.nest.flatten(outcome.states), delta, strict=True):
                objective += tf.cast(tf.reduce_sum(h * d), objective.dtype)
        gradients, delta = tape.gradient(
            objective, (variables, flat), unconnected_gradients="zero"
        )
        sparse[:] = [isinstance(g, tf.IndexedSlices) for g in gradients]
        total = [t + tf.convert_to_tensor(g) for t, g in zip(total, gradients, strict=True)]
        return k - 1, delta, total

    zeros = [tf.zeros_like(v) for v in variables]
    begin = (num_segments - 1, [tf.zeros_like(s) for s in last], zeros)
    _, _, total = tf.while_loop(lambda k, *_: k >= 0, backward, begin, parallel_iterations=1)
    for variable, value in zip(random, after, strict=True):
        variable.assign(value)
    total = [_as_rows(g) if rows else g for g, rows in zip(total, sparse, strict=True)]
    return Outcome(loss, None, tf.nest.pack_sequence_as(states, last)), total


def _as_rows(gradient):
    """A gradient of a table of rows as a sparse one: optimizers may treat it otherwise."""
    touched = tf.where(tf.reduce_any(gradient != 0, range(1, len(gradient.shape))))[:, 0]
    return tf.IndexedSlices(tf.gather(gradient, touched), touched, tf.shape(gradient))
