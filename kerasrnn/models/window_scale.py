"""The centre and the size of what is observed in a window: a model sees no other units.

    x' = (x - center) / size

`center` is the mean of the observed values of the window and `size` their standard deviation,
for each series and each variable. So a model that reads x' and answers in these units is
equivariant: ten times the series gives ten times the forecast.
"""

from typing import NamedTuple

import tensorflow as tf

SMALLEST_SHARE = 1e-3
"""The smallest size, as a share of the mean absolute value. A constant series has it."""


class WindowScale(NamedTuple):
    """The units of each series and variable, `(batch, 1, variables)`."""

    center: tf.Tensor
    size: tf.Tensor
    """Positive."""

    def scaled(self, values: tf.Tensor) -> tf.Tensor:
        """Values `(batch, time, variables)` in these units."""
        return (values - self.center) / self.size

    def raw(self, values: tf.Tensor) -> tf.Tensor:
        """The inverse of `scaled`."""
        return self.center + self.size * values


def window_scale(past: tf.Tensor) -> WindowScale:
    """The units of a window, from what is observed in it.

    A constant series has a size of a thousandth of its value, and a series of zeros has 1.

    Args:
        past: `(batch, time, variables)`, NaN where a value is missing.
    """
    observed = tf.cast(is_observed(past), past.dtype)
    number = tf.maximum(tf.reduce_sum(observed, 1, keepdims=True), 1)

    def mean(values):
        return tf.reduce_sum(observed * values, 1, keepdims=True) / number

    past = tf.where(observed != 0, past, 0)
    center = mean(past)
    size = tf.sqrt(mean(tf.square(past - center)))
    size = tf.maximum(size, SMALLEST_SHARE * mean(tf.abs(past)))
    return WindowScale(center, tf.where(size > 0, size, 1))


def is_observed(values: tf.Tensor) -> tf.Tensor:
    """Where values are not missing, that is, not NaN."""
    return ~tf.math.is_nan(values)


def last_observed(values: tf.Tensor) -> tf.Tensor:
    """The last value of each variable that is not missing, `(batch, 1, variables)`; 0: none."""
    observed = is_observed(values)
    steps = tf.cast(observed, tf.int32) * (1 + tf.range(tf.shape(values)[1])[None, :, None])
    is_last = observed & (steps == tf.reduce_max(steps, 1, keepdims=True))
    return tf.reduce_sum(tf.where(is_last, values, 0), 1, keepdims=True)


def last_observed_of_steps(values: tf.Tensor, before: tf.Tensor) -> tf.Tensor:
    """At each step the last value up to it that is not missing, `(batch, time, variables)`.

    Args:
        values: `(batch, time, variables)`, NaN where a value is missing.
        before: the last one before them, `(batch, 1, variables)`.
    """
    last = tf.scan(
        lambda last, value: tf.where(is_observed(value), value, last),
        tf.transpose(values, [1, 0, 2]),
        before[:, 0],
    )
    return tf.transpose(last, [1, 0, 2])
