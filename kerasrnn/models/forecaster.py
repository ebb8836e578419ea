"""Real-valued series: the next steps, as values, quantiles or a normal distribution."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.checks import (
    check_one_of,
    check_positive_integer,
    check_rate,
    is_integer,
    plain,
    shown,
)
from kerasrnn.models.cells import CELLS
from kerasrnn.models.forecast_methods import forecast_directly, forecast_recursively
from kerasrnn.models.forecast_outputs import Normal, Quantiles, check_quantiles
from kerasrnn.models.series import as_series, check_known, check_observed
from kerasrnn.models.window_scale import window_scale
from kerasrnn.training.feedback import Feedback
from kerasrnn.training.trainable import TrainableModel

METHODS = ("direct", "recursive")
OUTPUTS = ("point", "quantiles", "gaussian")


class Forecast(NamedTuple):
    """What `Forecaster.forecast` returns, in the units of the series."""

    values: np.ndarray
    """The point forecast, `(series, horizon, variables)`: the median, or with the output
    `"gaussian"` the mean."""
    quantiles: np.ndarray | None
    """`(series, horizon, variables, quantiles)`; `None` with the output `"point"`."""


@keras.saving.register_keras_serializable(package="kerasrnn")
class Forecaster(TrainableModel):
    """Reads the past of a series with a recurrent layer, and forecasts its next steps.

    Series are given and forecast in their own units. Inside, each window is scaled by the mean
    and the standard deviation of what is observed in its past. A value that is NaN is missing:
    the network reads 0 and, beside it, that nothing was observed. What it computes is the
    change since the last value that was observed.

    `method="direct"` computes all steps of the horizon at once from the last state.
    `method="recursive"` goes on step by step, with the same recurrent layer, and feeds each
    step the value before it: in training the true one (see `teacher_forcing` of `compile`), in
    inference its own point forecast. Then later quantiles are those that follow from the point
    forecasts before them. They are as wide as they should be only if the model was trained
    so, with `teacher_forcing=0.0`.

    The loss compares values in units of the window, and each observed target of a window counts
    equally. Metrics compare the point forecast, in the units of the series.

    Args:
        horizon: how many steps to forecast.
        num_variables: how many variables a series has. Default: 1.
        num_known: how many inputs are known in advance. They are read as they are: give
            numbers of about -1 to 1. Default: 0.
        method: `"direct"` or `"recursive"`. Default: `"direct"`.
        output: `"point"`; `"quantiles"`, trained with the pinball loss and sorted, so that
            they never cross; or `"gaussian"`, the mean and the standard deviation of a normal
            distribution. Default: `"point"`.
        quantiles: with the outputs `"quantiles"` and `"gaussian"`, the probabilities of the
            quantiles that `forecast` gives, in increasing order, among them 0.5. Default:
            `(0.1, 0.5, 0.9)`.
        cell: `"vanilla"`, `"lstm"` or `"gru"`. Default: `"gru"`.
        units: size of the recurrent state. Default: 32.
        dropout: fraction to drop of the inputs of the output layer. Default: 0.
        **kwargs: `name`.

    Call arguments:
        inputs: the past, `(batch, time, variables)`, or a dictionary: `"inputs"`, the past;
            `"known"`, `(batch, time + horizon, known)`; and `"future"`, the true values,
            `(batch, horizon, variables)`, which only a recursive model reads, in training.
            `kerasrnn.forecast_windows` makes batches of them.
        training: whether dropout, truncation and teacher forcing apply.

    Returns:
        `(batch, horizon, variables, numbers)`: the value, the quantiles, or the mean and the
        standard deviation.

    Raises:
        ValueError: if an argument is out of range; in calls, if known inputs or the future
            are missing.

    Reference: D. Salinas, V. Flunkert and J. Gasthaus, "DeepAR: probabilistic forecasting with
    autoregressive recurrent networks", 2017, arXiv:1704.04110.

    Example:

    >>> model = Forecaster(horizon=3, output="quantiles", units=4)
    >>> forecast = model.forecast(np.sin(np.arange(20.0)))
    >>> forecast.values.shape, forecast.quantiles.shape
    ((1, 3, 1), (1, 3, 1, 3))
    """

    alternative_with_feedback = 'method="recursive"'

    def __init__(
        self,
        horizon: int,
        num_variables: int = 1,
        num_known: int = 0,
        method: str = "direct",
        output: str = "point",
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
        cell: str = "gru",
        units: int = 32,
        dropout: float = 0.0,
        **kwargs: Any,
    ):
        for name, value in (
            ("horizon", horizon),
            ("num_variables", num_variables),
            ("units", units),
        ):
            check_positive_integer(name, value)
        if not is_integer(num_known) or num_known < 0:
            raise ValueError(
                f"num_known must be an integer of 0 or more, got num_known={shown(num_known)}."
            )
        check_one_of("method", method, METHODS)
        check_one_of("output", output, OUTPUTS)
        check_one_of("cell", cell, CELLS)
        check_rate("dropout", dropout)
        quantiles = check_quantiles(quantiles)
        super().__init__(**kwargs)
        self.autocast = False  # in low precision, raw values would be rounded
        self.takes_feedback = method == "recursive"
        self.horizon, self.num_variables = plain(horizon), plain(num_variables)
        self.target_shape = (self.horizon, self.num_variables)
        self.num_known, self.method, self.output_kind = plain(num_known), method, output
        self.quantiles = quantiles
        self._arguments = {"cell": cell, "units": plain(units), "dropout": plain(dropout)}
        self.numbers = (
            Normal(quantiles)
            if output == "gaussian"
            else Quantiles(quantiles if output == "quantiles" else (0.5,))
        )
        self.recurrent = CELLS[cell](plain(units), return_sequences=True, return_state=True)
        self.output_dropout = keras.layers.Dropout(plain(dropout))
        steps = self.horizon if method == "direct" else 1
        self.output_layer = keras.layers.Dense(
            steps * self.num_variables * self.numbers.size, dtype="float32"
        )

    def build(self, _: Any = None) -> None:
        with tf.init_scope():  # variables belong to no graph that may be being traced
            units = self._arguments["units"]
            self.recurrent.build((None, None, 2 * self.num_variables + self.num_known))
            known = self.horizon * self.num_known if self.method == "direct" else 0
            self.output_layer.build((None, units + known))
        self.built = True

    def build_from_config(self, config: dict) -> None:
        self.build()  # the arguments say it all

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        *arguments: Any,
        **options: Any,
    ) -> None:
        """`SequenceModel.compile` for whole windows: without `window` and what goes with it.

        The default loss is `"mae"` for the output `"point"`, `PinballLoss` for `"quantiles"`
        and `NormalLoss` for `"gaussian"`. A loss of your own gets outputs `(batch, horizon,
        variables, numbers)` and targets `(batch, horizon, variables)`, with an axis of size 1
        at the end where the outputs have it, and returns one loss for each variable of each
        step. `teacher_forcing` needs a recursive model.
        """
        super().compile(optimizer, loss or self.numbers.loss, *arguments, **options)

    def as_the_loss_compares(self, inputs, targets, outputs):
        """Targets and outputs in units of the window."""
        scale = window_scale(_past_of(inputs))
        return scale.scaled(targets), self.numbers.scaled(outputs, scale)

    def as_metrics_compare(self, outputs):
        """The point forecast, in the units of the series."""
        return self.numbers.point(outputs)

    def call(self, inputs, training: bool = False, feedback: Feedback | None = None):
        inputs = inputs if isinstance(inputs, dict) else {"inputs": inputs}
        past = _past_of(inputs)
        scale = window_scale(past)
        values = scale.scaled(past)
        known = self._known_of(inputs, tf.shape(past)[1] + self.horizon)
        if self.method == "direct":
            numbers = forecast_directly(self, values, known, training)
        else:
            future = None
            if training:
                if "future" not in inputs:
                    raise ValueError(
                        'In training, method="recursive" reads the true values: inputs must '
                        f'have "future", got {sorted(inputs)}. Use kerasrnn.forecast_windows.'
                    )
                future = scale.scaled(tf.cast(inputs["future"], past.dtype))
            numbers = forecast_recursively(self, values, known, future, training, feedback)
        return self.numbers.raw(numbers, scale)

    def _known_of(self, inputs, length):
        past = inputs["inputs"]
        if not self.num_known:
            return tf.zeros([tf.shape(past)[0], length, 0])
        known = inputs.get("known")
        shape = None if known is None else tuple(known.shape)
        if shape is None or len(shape) != 3 or shape[-1] != self.num_known:
            raise ValueError(
                f'inputs must have "known" of the shape (batch, time + {self.horizon}, '
                f"{self.num_known}), got {shape}. Or use num_known=0."
            )
        if None not in (shape[1], past.shape[1]) and shape[1] != past.shape[1] + self.horizon:
            raise ValueError(
                f'"known" must have {past.shape[1] + self.horizon} steps, those of the past '
                f"and of the horizon, got {shape[1]}."
            )
        return tf.cast(known, tf.float32)

    def forecast(self, past: Any, known: Any = None) -> Forecast:
        """The steps that follow series, of any lengths.

        Args:
            past: one series, an array `(time,)` or `(time, variables)`, or several, a list of
                them or an array `(series, time, variables)`. A list of lists of numbers is
                several series of one variable. NaN is a missing value.
            known: what is known of the past and of the horizon, `(time + horizon, known)` for
                each series, in the same form. Default: `None`, for models without.

        Returns:
            A `Forecast`: its `values` are `(series, horizon, variables)`.

        Raises:
            ValueError: if a series has an infinite value or no observed one, or if `known` has
                another length.
        """
        series = as_series("past", past, self.num_variables)
        check_observed("past", series)
        lengths = list(map(len, series))
        inputs = {"inputs": _padded(series, np.nan)}
        if (known is None) != (self.num_known == 0):
            expected = "known inputs" if self.num_known else "no known inputs"
            raise ValueError(
                f"The model has {expected}, num_known={self.num_known}, got "
                f"known={shown(known)}."
            )
        if known is not None:
            arrays = as_series("known", known, self.num_known)
            steps = [length + self.horizon for length in lengths]
            check_known("known", arrays, steps, f"the past and the horizon of {self.horizon}")
            inputs["known"] = _padded(arrays, 0)
        named = self.outputs_by_name(self(inputs, training=False))
        named = {name: tensor.numpy() for name, tensor in named.items()}
        return Forecast(named["forecast"], named.get("quantiles"))

    def outputs_by_name(self, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """What a call returned, as `"forecast"` and `"quantiles"`; without them for a point."""
        named = {"forecast": self.numbers.point(outputs)}
        if self.output_kind != "point":
            named["quantiles"] = self.numbers.quantiles(outputs)
        return named

    def get_config(self) -> dict:
        return {
            "name": self.name,
            "horizon": self.horizon,
            "num_variables": self.num_variables,
            "num_known": self.num_known,
            "method": self.method,
            "output": self.output_kind,
            "quantiles": list(self.quantiles),
            **self._arguments,
        }

    @classmethod
    def from_config(cls, config: dict) -> "Forecaster":
        return cls(**config)


def _past_of(inputs) -> tf.Tensor:
    past = inputs["inputs"] if isinstance(inputs, dict) else inputs
    return tf.cast(past, tf.float32)


def _padded(arrays: Sequence[np.ndarray], value: float) -> np.ndarray:
    """Arrays `(time, variables)` as one, with this value before the shorter ones."""
    length = max(map(len, arrays))
    return np.stack(
        [np.pad(a, ((length - len(a), 0), (0, 0)), constant_values=value) for a in arrays]
    )
