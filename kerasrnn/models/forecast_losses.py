"""The losses of forecasts: of quantiles, and of a normal distribution."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


@keras.saving.register_keras_serializable(package="kerasrnn")
class PinballLoss(keras.losses.Loss):
    """The loss that quantiles minimise: an error costs more on one side.

        L = mean over q of max(q (y - y_q), (q - 1) (y - y_q))

    Args:
        quantiles: the probabilities q.
        name, reduction, dtype: as in every Keras loss.

    Call arguments:
        targets: y, `(...)`.
        outputs: y_q, `(..., quantiles)`.

    Reference: R. Koenker and G. Bassett, "Regression quantiles", 1978, doi:10.2307/1913643.

    Example:

    >>> loss = PinballLoss([0.1, 0.9])  # 2 too low costs 0.2 and 1.8
    >>> round(float(loss(np.array([5.0]), np.array([[3.0, 3.0]]))), 6)
    1.0
    """

    def __init__(
        self,
        quantiles: Sequence[float],
        name: str = "pinball_loss",
        reduction: str = "sum_over_batch_size",
        dtype: Any = None,
    ):
        super().__init__(name, reduction, dtype)
        self.quantiles = tuple(quantiles)

    def call(self, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        error = _of_each_output(targets, outputs) - outputs
        q = tf.constant(self.quantiles, error.dtype)
        return tf.reduce_mean(tf.maximum(q * error, (q - 1) * error), -1)

    def get_config(self) -> dict:
        return {**super().get_config(), "quantiles": list(self.quantiles)}


@keras.saving.register_keras_serializable(package="kerasrnn")
class NormalLoss(keras.losses.Loss):
    """The negative log-likelihood of a normal distribution, in nats.

        L = ln(s) + ((y - m) / s)^2 / 2 + ln(2 pi) / 2

    Call arguments:
        targets: y, `(...)`.
        outputs: the mean m and the standard deviation s, `(..., 2)`.

    Example:

    >>> round(float(NormalLoss()(np.array([1.0]), np.array([[1.0, 1.0]]))), 4)
    0.9189
    """

    def __init__(
        self,
        name: str = "normal_loss",
        reduction: str = "sum_over_batch_size",
        dtype: Any = None,
    ):
        super().__init__(name, reduction, dtype)

    def call(self, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        mean, deviation = outputs[..., :1], outputs[..., 1:]
        z = (_of_each_output(targets, outputs) - mean) / deviation
        return (tf.math.log(deviation) + (z**2 + np.log(2 * np.pi)) / 2)[..., 0]


def _of_each_output(targets, outputs):
    """Targets with an axis for the numbers that belong to each of them."""
    return targets if targets.shape.rank == outputs.shape.rank else targets[..., None]
