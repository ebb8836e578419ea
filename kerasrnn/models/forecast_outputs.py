"""What a forecast consists of, for each step and variable: quantiles, or a normal distribution.

A network gives `size` numbers for each step and variable. `numbers` turns them into quantiles,
or into a mean and a standard deviation. A point forecast is the quantile of probability 0.5.
"""

from collections.abc import Sequence
from statistics import NormalDist

import keras
import tensorflow as tf

from kerasrnn.checks import is_number, shown
from kerasrnn.models.forecast_losses import NormalLoss, PinballLoss
from kerasrnn.models.window_scale import WindowScale

SMALLEST_DEVIATION = 1e-3
"""Of a normal distribution, in units of the window: its likelihood stays finite."""


class Quantiles:
    """The quantiles of these probabilities, in increasing order.

    They are sorted, so they never cross. This never makes them worse (Chernozhukov et al. 2010,
    doi:10.3982/ECTA7880).
    """

    def __init__(self, probabilities: Sequence[float]):
        self.size = len(probabilities)
        self.middle = list(probabilities).index(0.5)
        self.loss = PinballLoss(probabilities) if self.size > 1 else "mae"

    def numbers(self, outputs: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
        """The quantiles, in units of the window.

        Args:
            outputs: of a layer, `(batch, time, variables, size)`.
            last: the last observed value, `(batch, 1 or time, variables)`: outputs are changes
                since it.
        """
        outputs += last[..., None]
        return tf.sort(outputs) if self.size > 1 else outputs

    def point(self, numbers: tf.Tensor) -> tf.Tensor:
        """The point forecast: the median."""
        return numbers[..., self.middle]

    def raw(self, numbers: tf.Tensor, scale: WindowScale) -> tf.Tensor:
        """Numbers `(batch, time, variables, size)` in the units of the series."""
        return scale.center[..., None] + scale.size[..., None] * numbers

    def scaled(self, numbers: tf.Tensor, scale: WindowScale) -> tf.Tensor:
        """The inverse of `raw`."""
        return (numbers - scale.center[..., None]) / scale.size[..., None]

    def quantiles(self, numbers: tf.Tensor) -> tf.Tensor:
        """The quantiles, in the same units."""
        return numbers


class Normal:
    """The mean and the standard deviation of a normal distribution.

    Args:
        probabilities: those of the quantiles that `quantiles` gives.
    """

    size = 2

    def __init__(self, probabilities: Sequence[float]):
        self.z = [NormalDist().inv_cdf(p) for p in probabilities]
        self.loss = NormalLoss()

    def numbers(self, outputs: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
        """The mean and the standard deviation, in units of the window.

        Args:
            outputs: of a layer, `(batch, time, variables, size)`.
            last: the last observed value, `(batch, 1 or time, variables)`: means are changes
                since it.
        """
        mean, deviation = outputs[..., 0] + last, keras.ops.softplus(outputs[..., 1])
        return tf.stack([mean, deviation + SMALLEST_DEVIATION], -1)

    def point(self, numbers: tf.Tensor) -> tf.Tensor:
        """The point forecast: the mean."""
        return numbers[..., 0]

    def raw(self, numbers: tf.Tensor, scale: WindowScale) -> tf.Tensor:
        """Numbers `(batch, time, variables, 2)` in the units of the series."""
        mean, deviation = numbers[..., 0], numbers[..., 1]
        return tf.stack([scale.raw(mean), scale.size * deviation], -1)

    def scaled(self, numbers: tf.Tensor, scale: WindowScale) -> tf.Tensor:
        """The inverse of `raw`."""
        mean, deviation = numbers[..., 0], numbers[..., 1]
        return tf.stack([scale.scaled(mean), deviation / scale.size], -1)

    def quantiles(self, numbers: tf.Tensor) -> tf.Tensor:
        """The quantiles, in the same units."""
        return numbers[..., :1] + numbers[..., 1:] * tf.constant(self.z, numbers.dtype)


def check_quantiles(quantiles: Sequence[float]) -> tuple[float, ...]:
    """Probabilities of quantiles as a tuple.

    Raises:
        ValueError: unless they lie between 0 and 1, increase, and contain 0.5.
    """
    known = isinstance(quantiles, (list, tuple)) and all(map(is_number, quantiles))
    values = tuple(float(q) for q in quantiles) if known else ()
    between = all(0 < q < 1 for q in values)
    if not (between and values == tuple(sorted(set(values))) and 0.5 in values):
        raise ValueError(
            "quantiles must be numbers between 0 and 1 in increasing order, among them 0.5, "
            f"the point forecast, got quantiles={shown(quantiles)}. Use for example "
            "(0.1, 0.5, 0.9)."
        )
    return values
