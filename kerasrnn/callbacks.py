"""The flow of gradients, watched while a model trains."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.checks import check_positive_integer
from kerasrnn.diagnostics import Measurement
from kerasrnn.figures import make_figure
from kerasrnn.flow_report import GradientFlowReport


class GradientFlow(keras.callbacks.Callback):
    """Measures `gradient_flow` every n steps, into the history and TensorBoard.

    For each recurrent layer the history receives, at the end of each epoch, the
    latest of

    - `<layer>/gradient_remaining`: what is left of the last state's gradient at the
      largest lag of the batch,
    - `<layer>/spectral_radius`, of the recurrent kernel (the largest of all gates),
    - `<layer>/saturated`: the share of saturated units.

    TensorBoard receives the same, and the curves as an image, at each measurement.
    A measurement takes as long as three to six training steps with this batch, the
    image a third of a second more, and the first one some seconds to trace a graph:
    with `every=500` one to three per cent of the time. Works with `fit` and
    `kerasrnn.train`.

    Args:
        inputs, targets: one batch, the same for all measurements, out of the
            validation data, for example.
        every: a measurement every so many training steps, and one before the
            first. Default: 500.
        log_dir: TensorBoard's folder. Default: `None`, history only.

    Raises:
        ValueError: if `every` is not a positive integer; when training begins, if
            the model has no recurrent layer, or the batch does not fit it.
        ImportError: for `log_dir` without tensorboard and matplotlib.

    Example:

    >>> x, y = keras.random.normal((16, 20, 2), seed=0), keras.ops.ones((16, 1))
    >>> model = keras.Sequential([keras.layers.GRU(4, name="gru"), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> history = model.fit(x, y, verbose=0, callbacks=[GradientFlow(x, y)])
    >>> sorted(history.history)[:3]
    ['gru/gradient_remaining', 'gru/saturated', 'gru/spectral_radius']
    """

    def __init__(
        self, inputs: Any, targets: Any, every: int = 500, log_dir: str | Path | None = None
    ):
        super().__init__()
        check_positive_integer("every", every)
        if log_dir is not None:
            make_figure(1, 1)
            _check_tensorboard()
        self.every = every
        self.log_dir = log_dir
        self._batch = tf.nest.map_structure(tf.convert_to_tensor, (inputs, targets))
        self._measurement: Measurement | None = None
        self._writer: Any = None
        self._measured_at = -1
        self._scalars: dict[str, float] = {}

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._measurement = Measurement(self.model, traced=True)
        if self.log_dir is not None:
            self._writer = tf.summary.create_file_writer(str(self.log_dir))
        self._measure()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self._step() // self.every > self._measured_at // self.every:
            self._measure()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if logs is not None:
            logs.update(self._scalars)

    def on_train_end(self, logs: dict | None = None) -> None:
        if self._writer is not None:
            self._writer.close()
        self._measurement = self._writer = None

    def _step(self) -> int:
        return int(self.model.optimizer.iterations)

    def _measure(self) -> None:
        assert self._measurement is not None
        report = self._measurement(*self._batch)
        self._measured_at = self._step()
        self._scalars = {}
        for layer in report.layers:
            found = {"gradient_remaining": layer.remaining[-1]}
            if layer.spectra:
                found["spectral_radius"] = max(s.spectral_radius for s in layer.spectra)
            if layer.saturated is not None:
                found["saturated"] = np.mean(layer.saturated)
            for name, value in found.items():
                self._scalars[f"{layer.name}/{name}"] = float(value)
        if self._writer is not None:
            self._write(report)

    def _write(self, report: GradientFlowReport) -> None:
        with self._writer.as_default(step=self._measured_at):
            for name, value in self._scalars.items():
                tf.summary.scalar(f"gradient_flow/{name}", value)
            tf.summary.image("gradient_flow", report.pixels()[None])
        self._writer.flush()


def _check_tensorboard() -> None:
    try:
        import tensorboard  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "log_dir needs tensorboard: python -m pip install tensorboard"
        ) from error
