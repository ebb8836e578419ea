"""A batch of windows: what is in it, what counts, and a model's pass over it."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from kerasrnn.training.errors import BATCH_SIZE, required


class Window(NamedTuple):
    """A batch of windows, and what is counted in them."""

    inputs: tf.Tensor
    """`(batch, time, ...)`."""
    reset: tf.Tensor | None
    """Booleans `(batch,)`, true where a sequence begins; `None`: nowhere but at first."""
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
    inputs, targets = tf.convert_to_tensor(inputs), tf.convert_to_tensor(targets)
    shape = tf.shape(inputs)[:2] if model.every_output else tf.shape(inputs)[:1]
    mask = model.compute_mask(inputs) if model.every_output else None
    counted = None if mask is None else tf.cast(mask, tf.float32)
    if sample_weight is not None:
        sample_weight = tf.cast(sample_weight, tf.float32)
        if sample_weight.shape.rank == (3 if model.every_output else 2):
            sample_weight = tf.squeeze(sample_weight, -1)
        if sample_weight.shape.rank == 1 and model.every_output:
            sample_weight = sample_weight[:, None]
        sample_weight = tf.broadcast_to(sample_weight, shape)
        present = tf.cast(sample_weight != 0, tf.float32)
        counted = present if counted is None else counted * present
    return Window(inputs, reset, targets, counted, sample_weight)


def starting_states(model, window: Window, carried: list | None) -> list:
    """The states that a window starts from: carried ones, or initial ones where it resets.

    Where nothing has been carried yet, all sequences begin.

    Raises, when it runs:
        tf.errors.InvalidArgumentError: if sequences go on and the batch size
            is not that of the carried states. See `clear_errors`.
    """
    batch_size = tf.shape(window.inputs)[0]
    initial = model.initial_states(batch_size)
    if not carried or not model.training_options.carry_state:
        return initial
    carried_size = tf.shape(tf.nest.flatten(carried)[0])[0]
    reset = tf.fill([batch_size], carried_size == 0)
    if window.reset is not None:
        reset |= tf.cast(window.reset, tf.bool)
    same = carried_size == batch_size
    possible = same | tf.reduce_all(reset)
    with required(possible, BATCH_SIZE, carried_size, batch_size):
        keep = tf.identity(~reset)[:, None]

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
    call: dict[str, Any] = {"training": training, "return_states": True}
    if training and options.overlapping:  # the next window begins `stride` steps from here
        stride = options.stride
        head, carried = model(window.inputs[:, :stride], states=states, **call)
        penalties = [0.5 * p for p in model.losses]
        tail, _ = model(window.inputs[:, stride:], states=carried, **call)
        penalties += [0.5 * p for p in model.losses]
        outputs = tf.concat([head, tail], 1)
    else:
        call["feedback"] = model.feedback(window.inputs) if training else None
        if options.in_pieces:
            outputs, carried = model(window.inputs, states=states, **call)
        else:  # whole sequences, of which layers need not give their states
            call["return_states"] = False
            outputs, carried = model(window.inputs, **call), states
        penalties = model.losses
    if outputs.dtype.size < 4:  # losses and metrics in single precision
        outputs = tf.cast(outputs, tf.float32)
    alike = window.counted is None and window.sample_weight is None
    losses = model.step_losses(window.targets, outputs, counts_alike=alike)
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


def count_steps(model, window):
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


def update_metrics(model, window, outcome, num_counted) -> dict:
    """Updates the metrics of `model` on the steps that count; all of them by name."""
    by_step = model.training_options.time_reduction == "mean"
    weight = num_counted if by_step else tf.cast(tf.shape(window.inputs)[0], tf.float32)
    for metric in model.metrics:
        if metric.name == "loss":
            metric.update_state(outcome.loss, sample_weight=weight)
    if outcome.outputs is None:
        return model.get_metrics_result()
    return update_compiled_metrics(model, window, outcome)


def update_compiled_metrics(model, window, outcome) -> dict:
    targets, outputs, weights = window.targets, outcome.outputs, window.sample_weight
    if window.counted is not None:
        counted = window.counted != 0
        targets, outputs = tf.boolean_mask(targets, counted), tf.boolean_mask(outputs, counted)
        weights = None if weights is None else tf.boolean_mask(weights, counted)
    return model.compute_metrics(window.inputs, targets, outputs, weights)
