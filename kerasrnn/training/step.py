"""One training step under `tf.GradientTape`: the same for `fit` and for `train`.

The step is a function of a model, a batch and the states that are carried from
window to window; it returns the new states. It reduces over the replicas of a
`tf.distribute` strategy where there are several.
"""

import operator
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from kerasrnn.layers import compilation
from kerasrnn.training import clipping
from kerasrnn.training.errors import NOT_FINITE, PARTS, parts_differ, required
from kerasrnn.training.recompute import recomputed_gradients
from kerasrnn.training.streams import RandomWindow
from kerasrnn.training.window import (
    Outcome,
    Window,
    count_steps,
    run_window,
    starting_states,
    unpack,
    update_metrics,
)


def evaluation_step(model, data, carried: list | None) -> tuple[dict, list]:
    """Metrics on one batch, and the states after it."""
    window = unpack(model, data)
    states = starting_states(model, window, carried)
    num_counted, denominator = count_steps(model, window)
    with compilation.scan_mode("compiled"):
        outcome = run_window(model, window, states, denominator, 1.0, training=False)
    return update_metrics(model, window, outcome, num_counted), outcome.states


def training_step(model, data, carried: list | None) -> tuple[dict, list | None]:
    """One update of a compiled `SequenceModel`.

    Args:
        model: built, with a built optimizer.
        data: a batch: `(inputs, targets[, sample_weight])`, where inputs are
            `(batch, time, ...)` or a dictionary of `"inputs"` and `"reset"`.
        carried: the states after the batch before; `None` or empty where
            every batch holds whole sequences.

    Returns:
        Metrics by name, and the states to carry on, detached; `carried` if it
        was empty.
    """
    options, optimizer = model.training_options, model.optimizer
    window = unpack(model, data)
    states = starting_states(model, window, carried)
    num_counted, denominator = count_steps(model, window)
    scale = optimizer.scale_loss(tf.constant(1.0))

    if options.recompute:
        outcome, gradients = recomputed_gradients(model, window, states, denominator, scale)
    else:
        outcome, gradients = _accumulated_gradients(model, window, states, denominator, scale)

    strategy = tf.distribute.get_strategy()
    replicas = strategy.num_replicas_in_sync
    if replicas > 1 and options.non_finite == "skip":
        raise ValueError(f'non_finite="skip" needs a single replica, got {replicas}.')
    if replicas > 1:
        present = [g for g in gradients if g is not None]
        reduced = iter(tf.distribute.get_replica_context().all_reduce("SUM", present))
        # Dense from here on: the optimizer would add rows of equal index anew.
        gradients = [
            None if g is None else tf.convert_to_tensor(next(reduced)) for g in gradients
        ]
        loss = tf.distribute.get_replica_context().all_reduce("SUM", outcome.loss)
        outcome = outcome._replace(loss=loss)
    # Adam squares each row that it is given: rows of one index must be added up before.
    gradients = [clipping.sum_duplicates(g) for g in gradients]
    gradients = [clipping.scale(g, 1 / scale) for g in gradients]
    norm = clipping.norm_of_distinct_rows(gradients)
    if options.clip_norm is not None:
        gradients = clipping.clip_by_global_norm(gradients, options.clip_norm, norm)
    elif options.clip_value is not None:
        gradients = clipping.clip_by_value(gradients, options.clip_value)
    # The optimizer divides by the loss scale, and adds up over the replicas, itself.
    gradients = [clipping.scale(g, scale / replicas) for g in gradients]

    def apply():
        with _rescaled_learning_rate(model, window):
            optimizer.apply(gradients, model.trainable_variables)
        logs = update_metrics(model, window, outcome, num_counted)
        known = tf.math.is_finite(norm)  # not so where scaled gradients overflow
        model.gradient_norm.update_state(tf.where(known, norm, 0.0), tf.cast(known, tf.float32))
        return logs, outcome.states

    # An overflow of scaled gradients is no mishap: the optimizer skips it and lowers the scale.
    overflow = (scale > 1) & ~tf.math.is_finite(norm)
    finite = tf.math.is_finite(outcome.loss) & (tf.math.is_finite(norm) | overflow)
    if options.non_finite == "raise":
        step = optimizer.iterations + 1
        with required(finite, NOT_FINITE, step, outcome.loss, norm):
            logs, states = apply()
    else:

        def skip():
            model.num_skipped.assign_add(1)
            return model.get_metrics_result(), states

        logs, states = tf.cond(finite, apply, skip)
        logs["skipped_steps"] = tf.identity(model.num_skipped)
    logs["gradient_norm"] = model.gradient_norm.result()
    return logs, tf.nest.map_structure(tf.stop_gradient, states) if carried else carried


def _accumulated_gradients(model, window, states, denominator, scale):
    """Gradients of the whole batch, computed part by part."""
    options = model.training_options
    num_parts = options.accumulation_steps * options.parallel_parts
    size = _part_size(window, num_parts)
    variables = [v.value for v in model.trainable_variables]
    total, outcomes, before, done = None, [], [], []
    for part in range(num_parts):
        rows = slice(part * size, (part + 1) * size) if num_parts > 1 else slice(None)
        if part % options.parallel_parts == 0:  # one after the other, or no memory is saved
            before, done = done, []
        with tf.control_dependencies(before):
            inputs = tf.identity(window.inputs[rows])
            piece = Window(inputs, *(None if x is None else x[rows] for x in window[1:]))
            part_states = tf.nest.map_structure(operator.itemgetter(rows), states)
            with tf.GradientTape() as tape:
                outcome = run_window(
                    model, piece, part_states, denominator, 1 / num_parts, training=True
                )
                scaled_loss = outcome.loss * tf.cast(scale, outcome.loss.dtype)
            gradients = tape.gradient(scaled_loss, variables)
        outcomes.append(outcome)
        total = gradients if total is None else list(map(_add, total, gradients))
        done += [g for g in tf.nest.flatten(gradients, expand_composites=True) if g is not None]
    if num_parts == 1:
        return outcomes[0], total
    outputs = tf.concat([o.outputs for o in outcomes], 0)
    states = tf.nest.map_structure(
        lambda *parts: tf.concat(parts, 0), *(o.states for o in outcomes)
    )
    return Outcome(tf.add_n([o.loss for o in outcomes]), outputs, states), total


def _part_size(window, num_parts):
    batch_size = window.inputs.shape[0]
    if num_parts > 1 and batch_size is not None and batch_size % num_parts:
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


@contextmanager
def _rescaled_learning_rate(model, window) -> Iterator[None]:
    """For a `RandomWindow`, multiplies the learning rate by length over mean length."""
    random_window = model.training_options.window
    if not isinstance(random_window, RandomWindow):
        yield
        return
    learning_rate = model.optimizer.learning_rate
    before = tf.identity(learning_rate.value)
    factor = tf.cast(tf.shape(window.inputs)[1], before.dtype) / random_window.mean
    learning_rate.assign(before * factor)
    yield
    learning_rate.assign(before)
