"""One training step under `tf.GradientTape`: the same for `fit` and for `train`.

The step is a function of a model, a batch and the states that are carried from
window to window; it returns the new states. It reduces over the replicas of a
`tf.distribute` strategy where there are several.
"""

import operator
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import keras
import tensorflow as tf

from kerasrnn import clipping
from kerasrnn.streams import RandomWindow


class Window(NamedTuple):
    """A batch of windows, and what is counted in them."""

    inputs: tf.Tensor
    """`(batch, time, ...)`."""
    reset: tf.Tensor | None
    """Booleans `(batch,)`, true where a sequence begins; `None`: everywhere."""
    targets: tf.Tensor
    """`(batch, time, ...)`."""
    counted: tf.Tensor | None
    """float32 `(batch, time)`: 1 for steps that count, else 0; `None`: all count."""
    sample_weight: tf.Tensor | None
    """float32 `(batch, time)`; `None`: all 1."""


def unpack(model, data) -> Window:
    """The parts of a batch `(inputs, targets[, sample_weight])`."""
    inputs, targets, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    reset = None
    if isinstance(inputs, dict):
        inputs, reset = inputs["inputs"], inputs.get("reset")
    if targets is None:
        raise ValueError(
            "A batch must be (inputs, targets) or (inputs, targets, sample_weight)."
        )
    shape = tf.shape(inputs)[:2] if model.every_output else tf.shape(inputs)[:1]
    mask = model.compute_mask(inputs) if model.every_output else None
    counted = None if mask is None else tf.cast(mask, tf.float32)
    if sample_weight is not None:
        sample_weight = tf.cast(sample_weight, tf.float32)
        if len(sample_weight.shape) == 1 and model.every_output:
            sample_weight = sample_weight[:, None]
        sample_weight = tf.broadcast_to(sample_weight, shape)
        present = tf.cast(sample_weight != 0, tf.float32)
        counted = present if counted is None else counted * present
    return Window(inputs, reset, targets, counted, sample_weight)


def starting_states(model, window: Window, carried: list | None) -> list:
    """The states that a window starts from: carried ones, or initial ones where it resets.

    Raises, when it runs:
        tf.errors.InvalidArgumentError: if sequences go on and the batch size
            is not that of the carried states. See `clear_errors`.
    """
    batch_size = tf.shape(window.inputs)[0]
    initial = model.initial_states(batch_size)
    if not carried or window.reset is None or not model.training_options.carry_state:
        return initial
    carried_size = tf.shape(tf.nest.flatten(carried)[0])[0]
    same = carried_size == batch_size
    possible = same | tf.reduce_all(window.reset)
    check = tf.debugging.Assert(possible, [_BATCH_SIZE, carried_size, batch_size])
    with tf.control_dependencies([] if check is None else [check]):
        keep = tf.identity(~window.reset)[:, None]

    def choose(start, carried):
        carried = tf.cond(same, lambda: tf.cast(carried, start.dtype), lambda: start)
        return tf.stop_gradient(tf.where(keep, carried, start))

    return tf.nest.map_structure(choose, initial, carried)


class Outcome(NamedTuple):
    """What running a model over a window gives."""

    loss: tf.Tensor
    """This replica's share of the loss, a scalar."""
    outputs: tf.Tensor | None
    """`(batch, time, ...)`; `None` where the metrics have seen them already."""
    states: list
    """The states to carry on."""


def run_window(
    model, window: Window, states: list, denominator: tf.Tensor, share: float, training: bool
) -> Outcome:
    """Runs a model over a window, or a part of it.

    Args:
        model: a `SequenceModel`.
        window: what to run over.
        states: those to start from.
        denominator: what the sum of the losses is divided by.
        share: the weight of the regularization losses.
        training: whether dropout, truncation and scheduled sampling apply.
    """
    options = model.training_options
    call = {"training": training, "return_states": True}
    if training and options.overlapping:  # the next window begins `stride` steps from here
        stride = options.stride
        head, carried = model(window.inputs[:, :stride], states=states, **call)
        penalties = [0.5 * p for p in model.losses]
        tail, _ = model(window.inputs[:, stride:], states=carried, **call)
        penalties += [0.5 * p for p in model.losses]
        outputs = tf.concat([head, tail], 1)
    else:
        feedback = model.feedback(window.inputs) if training else None
        outputs, carried = model(window.inputs, states=states, feedback=feedback, **call)
        penalties = model.losses
    losses = model.step_losses(window.targets, outputs)
    if window.sample_weight is not None:
        losses = losses * tf.cast(window.sample_weight, losses.dtype)
    if window.counted is not None:  # where a step does not count, its loss may be anything
        losses = tf.math.multiply_no_nan(losses, tf.cast(window.counted, losses.dtype))
    loss = tf.reduce_sum(losses) / tf.cast(denominator, losses.dtype)
    if penalties:
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        penalty = tf.add_n([tf.cast(p, loss.dtype) for p in penalties])
        loss += tf.cast(share / replicas, loss.dtype) * penalty
    return Outcome(loss, outputs, carried)


def evaluation_step(model, data, carried: list | None) -> tuple[dict, list]:
    """Metrics on one batch, and the states after it."""
    window = unpack(model, data)
    states = starting_states(model, window, carried)
    num_counted, denominator = _count(model, window)
    outcome = run_window(model, window, states, denominator, 1.0, training=False)
    return _update_metrics(model, window, outcome, num_counted), outcome.states


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
    num_counted, denominator = _count(model, window)
    scale = optimizer.scale_loss(tf.constant(1.0))

    if options.recompute:
        outcome, gradients = _recomputed_gradients(model, window, states, denominator, scale)
    else:
        outcome, gradients = _accumulated_gradients(model, window, states, denominator, scale)

    strategy = tf.distribute.get_strategy()
    replicas = strategy.num_replicas_in_sync
    if replicas > 1:
        present = [g for g in gradients if g is not None]
        reduced = iter(tf.distribute.get_replica_context().all_reduce("SUM", present))
        gradients = [None if g is None else next(reduced) for g in gradients]
        loss = tf.distribute.get_replica_context().all_reduce("SUM", outcome.loss)
        outcome = outcome._replace(loss=loss)
    # Adam squares each row that it is given: rows of one index must be added up before.
    gradients = [clipping.sum_duplicates(g) for g in gradients]
    gradients = [clipping.scale(g, 1 / scale) for g in gradients]
    norm = clipping.global_norm(gradients)
    if options.clip_norm is not None:
        gradients = clipping.clip_by_global_norm(gradients, options.clip_norm, norm)
    elif options.clip_value is not None:
        gradients = clipping.clip_by_value(gradients, options.clip_value)
    # The optimizer divides by the loss scale, and adds up over the replicas, itself.
    gradients = [clipping.scale(g, scale / replicas) for g in gradients]

    def apply():
        with _rescaled_learning_rate(model, window):
            optimizer.apply(gradients, model.trainable_variables)
        logs = _update_metrics(model, window, outcome, num_counted)
        model.gradient_norm.update_state(norm)
        return logs, outcome.states

    # An overflow of scaled gradients is no mishap: the optimizer skips it and lowers the scale.
    overflow = (scale > 1) & ~tf.math.is_finite(norm)
    finite = tf.math.is_finite(outcome.loss) & (tf.math.is_finite(norm) | overflow)
    if options.non_finite == "raise":
        step = optimizer.iterations + 1
        check = tf.debugging.Assert(finite, [_NOT_FINITE, step, outcome.loss, norm])
        with tf.control_dependencies([] if check is None else [check]):
            logs, states = apply()
    else:

        def skip():
            model.num_skipped.assign_add(1)
            return model.get_metrics_result(), states

        logs, states = tf.cond(finite, apply, skip)
        logs["skipped_steps"] = tf.identity(model.num_skipped)
    logs["gradient_norm"] = model.gradient_norm.result()
    return logs, tf.nest.map_structure(tf.stop_gradient, states) if carried else carried


def _count(model, window):
    """How many steps count here, and what the sum of losses (of all replicas) is divided by."""
    if window.counted is None:
        shape = tf.shape(window.inputs)[: 2 if model.every_output else 1]
        num_counted = tf.cast(tf.reduce_prod(shape), tf.float32)
    else:
        num_counted = tf.reduce_sum(window.counted)
    batch_size = tf.cast(tf.shape(window.inputs)[0], tf.float32)
    by_step = model.training_options.time_reduction == "mean"
    denominator = num_counted if by_step else batch_size
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        context = tf.distribute.get_replica_context()
        denominator = context.all_reduce("SUM", denominator)
    return num_counted, tf.maximum(denominator, 1.0)


def _accumulated_gradients(model, window, states, denominator, scale):
    """Gradients of the whole batch, computed part by part."""
    num_parts = model.training_options.accumulation_steps
    size = _part_size(window, num_parts)
    variables = [v.value for v in model.trainable_variables]
    total, outcomes, done = None, [], []
    for part in range(num_parts):
        rows = slice(part * size, (part + 1) * size) if num_parts > 1 else slice(None)
        with tf.control_dependencies(done):  # one after the other, or no memory is saved
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
        done = [g for g in tf.nest.flatten(gradients, expand_composites=True) if g is not None]
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
        raise ValueError(
            f"A batch of {batch_size} sequences cannot be split into "
            f"accumulation_steps={num_parts} equal parts."
        )
    size = tf.shape(window.inputs)[0] // num_parts
    check = tf.debugging.Assert(
        size * num_parts == tf.shape(window.inputs)[0],
        [_PARTS, tf.shape(window.inputs)[0], num_parts],
    )
    with tf.control_dependencies([] if check is None else [check]):
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


def _recomputed_gradients(model, window, states, denominator, scale):
    """Full BPTT that keeps the states at about sqrt(T) steps, and recomputes what lies between.

    With h_k the states where segment k begins, going through the segments
    backwards, each is run once more, now on a tape, and dL/dh_k follows from
    dL/dh_{k+1} by differentiating L_k + <h_{k+1}, dL/dh_{k+1}>.

    Reference: T. Chen et al., "Training deep nets with sublinear memory cost",
    2016, arXiv:1604.06174.
    """
    time = tf.shape(window.inputs)[1]
    length = tf.cast(tf.math.ceil(tf.sqrt(tf.cast(time, tf.float32))), tf.int32)
    num_segments = -(-time // length)
    share = 1 / tf.cast(num_segments, tf.float32)
    variables = [v.value for v in model.trainable_variables]
    random = [v.value for v in model.non_trainable_variables]  # seeds of dropout, for example

    def run(k, states):
        steps = slice(k * length, (k + 1) * length)
        parts = (None if x is None else x[:, steps] for x in window._replace(reset=None))
        piece = Window(*parts)
        return piece, run_window(model, piece, states, denominator, share, training=True)

    def arrays(tensors):
        return [
            tf.TensorArray(x.dtype, num_segments, element_shape=x.shape, clear_after_read=False)
            for x in tensors
        ]

    flat_states = tf.nest.flatten(states)

    def forward(k, loss, flat, kept, kept_random):
        kept = [a.write(k, s) for a, s in zip(kept, flat, strict=True)]
        kept_random = [a.write(k, v) for a, v in zip(kept_random, random, strict=True)]
        piece, outcome = run(k, tf.nest.pack_sequence_as(states, flat))
        loss += tf.cast(outcome.loss, tf.float32)
        tf.cond(  # outputs of all steps would be a tape again
            tf.math.is_finite(loss),
            lambda: _update_compiled_metrics(model, piece, outcome),
            model.get_metrics_result,
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

    start = (num_segments - 1, [tf.zeros_like(s) for s in last])
    start += ([tf.zeros_like(v) for v in variables],)
    _, _, total = tf.while_loop(lambda k, *_: k >= 0, backward, start)
    for variable, value in zip(random, after, strict=True):
        variable.assign(value)
    total = [_as_rows(g) if rows else g for g, rows in zip(total, sparse, strict=True)]
    return Outcome(loss, None, tf.nest.pack_sequence_as(states, last)), total


def _as_rows(gradient):
    """A gradient of a table of rows as a sparse one: optimizers may treat it otherwise."""
    touched = tf.where(tf.reduce_any(gradient != 0, range(1, len(gradient.shape))))[:, 0]
    return tf.IndexedSlices(tf.gather(gradient, touched), touched, tf.shape(gradient))


def _update_metrics(model, window, outcome, num_counted) -> dict:
    """Updates the metrics of `model` on the steps that count; all of them by name."""
    by_step = model.training_options.time_reduction == "mean"
    weight = num_counted if by_step else tf.cast(tf.shape(window.inputs)[0], tf.float32)
    for metric in model.metrics:
        if metric.name == "loss":
            metric.update_state(outcome.loss, sample_weight=weight)
    if outcome.outputs is None:
        return model.get_metrics_result()
    return _update_compiled_metrics(model, window, outcome)


def _update_compiled_metrics(model, window, outcome) -> dict:
    targets, outputs, weights = window.targets, outcome.outputs, window.sample_weight
    if window.counted is not None:
        counted = window.counted != 0
        targets, outputs = tf.boolean_mask(targets, counted), tf.boolean_mask(outputs, counted)
        weights = None if weights is None else tf.boolean_mask(weights, counted)
    return model.compute_metrics(window.inputs, targets, outputs, weights)


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


_NOT_FINITE = "kerasrnn: not finite"
_BATCH_SIZE = "kerasrnn: batch size"
_PARTS = "kerasrnn: parts"


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turns what a step finds wrong inside its graph into the error that says so.

    Raises:
        FloatingPointError: for a loss or a gradient that is not finite.
        ValueError: for a batch size that changes while states are carried, or
            a batch that cannot be split into `accumulation_steps` parts.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        message = str(error)
        make: Callable | None = next(
            (f for key, f in _MESSAGES.items() if key in message), None
        )
        if make is None:
            raise
        values = re.findall(r"[\[\n]([^\[\]\n]+)", message[message.index("kerasrnn: ") :])
        raise make(*values) from None


def _not_finite(step, loss, norm, *_):
    return FloatingPointError(
        f"step {step} is not finite: its loss is {loss.removeprefix('-')}, the norm of its "
        f"gradient {norm.removeprefix('-')}. "
        "The weights are those of the step before. Lower the learning rate, use clip_norm, "
        'or compile with non_finite="skip" to leave such steps out.'
    )


def _batch_size_changed(before, now, *_):
    return ValueError(
        f"the batch size changed from {before} to {now} while states are carried from batch "
        "to batch. Keep it, mark the beginning of sequences with reset, or use "
        "carry_state=False."
    )


def _parts_differ(size, parts, *_):
    return ValueError(
        f"A batch of {size} sequences cannot be split into accumulation_steps={parts} "
        "equal parts."
    )


_MESSAGES = {
    _NOT_FINITE: _not_finite,
    _BATCH_SIZE: _batch_size_changed,
    _PARTS: _parts_differ,
}
