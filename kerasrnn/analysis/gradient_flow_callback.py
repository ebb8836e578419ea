"""The gradient flow of a model while it trains, for the history and TensorBoard."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.analysis.batch import Batch, read_batch
from kerasrnn.analysis.figures import make_figure
from kerasrnn.analysis.measurement import Measurement
from kerasrnn.analysis.report import GradientFlowReport
from kerasrnn.checks import check_path, check_positive_integer
from kerasrnn.training.streams import Stream


class GradientFlow(keras.callbacks.Callback):
    """Measures `gradient_flow` every n training steps.

    Works with `fit` and `kerasrnn.train`. At the end of each epoch, these values of
    each recurrent layer go into the history, from the latest measurement:

    - `<layer>/gradient_remaining`: the share of the last state's gradient that is left
      `lag` steps back,
    - `<layer>/spectral_radius`: the spectral radius of the recurrent kernel; with
      gates, the largest one,
    - `<layer>/saturated`: the share of saturated units.

    With `log_dir`, every measurement also goes to TensorBoard, with the curves as an
    image.

    A measurement takes as long as three to five training steps of a `VanillaRNN` with
    this batch. An image takes a quarter of a second more. The first measurement takes
    some seconds to trace a graph. With `every=500` that is about 1% of the training
    time, 3% with images, and more for kernels of a thousand units.

    Args:
        inputs: one batch, for example of the validation data. Or a dataset or a
            `kerasrnn.Stream`: its first batch or window is used. See `gradient_flow`.
            All measurements use the same batch.
        targets: the targets of the batch, if `inputs` are arrays.
        every: the number of training steps between two measurements. The first
            measurement is made before training. Default: 500.
        log_dir: TensorBoard's folder. Default: `None`, history only.
        lag: how many steps back the task looks. Default: the longest lag of the batch.

    Raises:
        ValueError: if `every` or `lag` is not a positive integer; when training begins,
            if the model has no recurrent layer, or the batch does not fit it.
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
        self,
        inputs: Any,
        targets: Any = None,
        every: int = 500,
        log_dir: str | Path | None = None,
        lag: int | None = None,
    ):
        super().__init__()
        check_positive_integer("every", every)
        if lag is not None:
            check_positive_integer("lag", lag)
        if log_dir is not None:
            check_path("log_dir", log_dir)
            make_figure(1, 1)  # or says that matplotlib is missing
            _check_tensorboard()
        self.every = every
        self.log_dir = log_dir
        self.lag = lag
        self._stream: Stream | None = None
        self._batch: Batch | None = None
        if isinstance(inputs, Stream) and targets is None:
            self._stream = inputs  # the model, known later, says how long a window is
        else:
            self._batch = read_batch(None, inputs, targets)
        self._measurement: Measurement | None = None
        self._writer: Any = None
        self._measured_at = -1
        self._scalars: dict[str, float] = {}

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._measurement = Measurement(self.model, traced=True, lag=self.lag)
        if self._batch is None:
            self._batch = read_batch(self.model, self._stream)
        report = self._measure()
        if self.log_dir is not None:
            Path(self.log_dir).mkdir(parents=True, exist_ok=True)
            self._writer = tf.summary.create_file_writer(str(self.log_dir))
            self._write(report)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self._step() // self.every > self._measured_at // self.every:
            report = self._measure()
            if self._writer is not None:
                self._write(report)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if logs is not None:
            logs.update(self._scalars)

    def on_train_end(self, logs: dict | None = None) -> None:
        if self._writer is not None:
            self._writer.close()
        self._measurement = self._writer = None

    def _step(self) -> int:
        return int(tf.convert_to_tensor(self.model.optimizer.iterations))

    def _measure(self) -> GradientFlowReport:
        assert self._measurement is not None
        assert self._batch is not None
        report = self._measurement(*self._batch)
        self._measured_at = self._step()
        self._scalars = {}
        for layer in report.layers:
            found = {"gradient_remaining": layer.remaining[layer.lag]}
            if layer.spectra:
                found["spectral_radius"] = max(s.spectral_radius for s in layer.spectra)
            if layer.saturated is not None:
                found["saturated"] = np.nanmean(layer.saturated)
            for name, value in found.items():
                self._scalars[f"{layer.name}/{name}"] = float(value)
        return report

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
