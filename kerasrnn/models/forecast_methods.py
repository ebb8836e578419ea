"""How a `Forecaster` runs its layers: all steps at once, or one after the other.

Values are in units of the window. The output layer computes changes: a forecast is a base plus
the change, and the base is the last value that is not missing. It stays in float32, so a level
of many digits is not rounded in low precision. Only what the recurrent layer reads is cast.
"""

import dataclasses
from typing import TYPE_CHECKING

import tensorflow as tf

from kerasrnn.models import connected
from kerasrnn.models.window_scale import is_observed, last_observed, last_observed_of_steps
from kerasrnn.training.feedback import Feedback

if TYPE_CHECKING:  # it imports this module
    from kerasrnn.models.forecaster import Forecaster


def forecast_directly(
    model: "Forecaster", values: tf.Tensor, known: tf.Tensor, training: bool
) -> tf.Tensor:
    """All steps from the state after the past, and from what is known of them.

    Args:
        model: whose layers run.
        values: the past, float32 `(batch, time, variables)`, NaN where a value is missing.
        known: what is known, float32 `(batch, time + horizon, known)`.
        training: whether dropout and truncation apply.

    Returns:
        `(batch, horizon, variables, numbers)`.
    """
    batch_size, length = tf.unstack(tf.shape(values)[:2])
    outputs, _ = _read(model, values, known[:, :length], training)
    known = tf.reshape(known[:, length:], [batch_size, model.horizon * model.num_known])
    features = tf.concat([outputs[:, -1], tf.cast(known, outputs.dtype)], -1)
    outputs = model.output_layer(model.output_dropout(features, training=training))
    return _numbers(model, outputs, [batch_size, model.horizon], last_observed(values))


def forecast_recursively(
    model: "Forecaster",
    values: tf.Tensor,
    known: tf.Tensor,
    future: tf.Tensor | None,
    training: bool,
    feedback: Feedback | None,
) -> tf.Tensor:
    """Step by step: step t reads the value of step t-1, and what is known of step t.

    Args:
        model: whose layers run.
        values, known, training: as of `forecast_directly`.
        future: in training the true values, `(batch, horizon, variables)`.
        feedback: in training, how often the model is fed its own point forecasts; `None`:
            never. In inference it always is.

    Returns:
        `(batch, horizon, variables, numbers)`.
    """
    length = tf.shape(values)[1]
    nothing = tf.fill(tf.shape(values[:, :1]), float("nan"))
    before = tf.concat([nothing, values[:, :-1]], 1)
    _, states = _read(model, before, known[:, :length], training)
    known, base = known[:, length:], last_observed(values)
    if future is None:  # only the first step is read
        value, base = (tf.repeat(x, model.horizon, 1) for x in (values[:, -1:], base))
    else:
        value = tf.concat([values[:, -1:], future[:, :-1]], 1)
        base = last_observed_of_steps(value, base)

    def with_base(base, value, known):
        return tf.concat([base, _features(value, known)], -1)

    def connect(x, recur):
        base, features = x[..., : model.num_variables], x[..., model.num_variables :]
        x = recur(model.recurrent, tf.cast(features, model.compute_dtype))
        x = model.output_layer(model.output_dropout(x, training=training))
        return _numbers(model, x, tf.shape(x)[:2], base)

    def draw(numbers, t):
        point = model.numbers.point(numbers)
        return with_base(point, point, known[:, t])

    given = (connect, [model.recurrent], with_base(base, value, known), states, None, training)
    if not training:
        feedback = Feedback(tf.constant(1.0), draw, tf.constant([0, 0]))
    elif feedback is not None:
        feedback = dataclasses.replace(feedback, draw=draw)
    if feedback is None:
        return connected.run_whole(*given)[0]
    return connected.run_with_own_outputs(*given, feedback)[0]


def _features(values, known):
    """What the recurrent layer reads: 0 for a missing value, and beside it a 0."""
    observed = is_observed(values)
    return tf.concat([tf.where(observed, values, 0), tf.cast(observed, tf.float32), known], -1)


def _read(model, values, known, training):
    """Runs the recurrent layer over the past, from the first observed step on."""
    observed = tf.cast(tf.reduce_any(is_observed(values), -1), tf.int32)
    return connected.run_whole(
        lambda x, recur: recur(model.recurrent, x),
        [model.recurrent],
        tf.cast(_features(values, known), model.compute_dtype),
        [model.recurrent.get_initial_state(tf.shape(values)[0])],
        tf.cumsum(observed, 1) > 0,
        training,
    )


def _numbers(model, outputs, shape, base):
    """Outputs of the layer as numbers of each variable, `(*shape, variables, numbers)`."""
    shape = tf.concat([shape, [model.num_variables, model.numbers.size]], 0)
    return model.numbers.numbers(tf.reshape(outputs, shape), base)
