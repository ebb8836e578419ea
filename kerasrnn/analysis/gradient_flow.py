"""Why recurrent networks forget: gradients measured on their way back through time.

With a loss L and states h_t, the gradient that reaches a state k steps before the
last passes k Jacobians. For a plain RNN, with gamma the steepest slope of phi,

    dh_t/dh_{t-k} = prod_i diag(phi'(a_i)) W_h^T      its norm <= (gamma ||W_h||)^k

References: Y. Bengio et al., "Learning long-term dependencies with gradient descent
is difficult", IEEE Transactions on Neural Networks 5(2), 1994,
doi:10.1109/72.279181. R. Pascanu et al., "On the difficulty of training recurrent
neural networks", 2013, arXiv:1211.5063.
"""

from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.analysis.figures import make_figure
from kerasrnn.analysis.measurement import (
    Measurement,
    as_tensors,
    growth_of,
    measure_slopes,
    naming,
    no_recurrent_layer,
)
from kerasrnn.analysis.probes import CellRecord, recording
from kerasrnn.analysis.report import GradientFlowReport
from kerasrnn.analysis.spectrum import spectra
from kerasrnn.checks import check_path, check_positive_integer, is_integer
from kerasrnn.layers import rnn


def gradient_flow(
    model: keras.Model, inputs: Any, targets: Any, *, training: bool = False
) -> GradientFlowReport:
    """Measures how far gradients reach back through time in each recurrent layer.

    Layers may hold any Keras cell, stacks of cells, and lie anywhere in the model. What
    a measurement changes meanwhile is restored; the model must not be used beside it.
    Give a batch of sequences as long as those that the model should remember.

    Args:
        model: compiled; its loss is differentiated.
        inputs, targets: one batch, as `fit` takes them.
        training: whether dropout, zoneout and truncation apply. Default: `False`.

    Returns:
        A `GradientFlowReport`.

    Raises:
        ValueError: if the model has no recurrent layer or is not compiled, or the
            batch does not fit it.

    References: see `kerasrnn.analysis.gradient_flow`.

    Example:

    >>> model = keras.Sequential([keras.layers.SimpleRNN(32), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> x = keras.random.normal((8, 100, 2), seed=0)
    >>> report = gradient_flow(model, x, keras.ops.ones((8, 1)))
    >>> report.layers[0].state
    'vanishing'
    """
    return Measurement(model, training)(inputs, targets)


class StateJacobian(NamedTuple):
    """dh_t / dh_{t-k}, the product of the k one-step Jacobians between them."""

    matrices: np.ndarray
    """For each sequence the derivative of each unit of h_t (rows) for each unit of
    h_{t-k} (columns), `(batch, units, units)`, on all ways, through other states, too,
    such as c of an LSTM."""
    singular_values: np.ndarray
    """`(batch, units)`, the largest, which is the norm, first; NaN if it is not finite."""
    bound: float | None
    """(gamma ||W_h||)^k, with the steepest slope in these k steps and as many of them
    as are not masked; other for remedies, as in `LayerFlow`; `None` for cells with gates."""


def state_jacobian(
    model: keras.layers.Layer,
    inputs: Any,
    lag: int,
    *,
    step: int = -1,
    layer: int | str = 0,
) -> StateJacobian:
    """The Jacobian of a state for the state `lag` steps before it, in inference.

    Args:
        model: with recurrent layers.
        inputs: one batch.
        lag: k, how many steps lie between the two states. Masked steps count,
            with the identity as their Jacobian.
        step: t, counted from 0 in the order the layer goes, or from the end if
            negative. Default: the last.
        layer: the number of the recurrent layer, or its name as a
            `GradientFlowReport` gives it. Default: the first.

    Returns:
        A `StateJacobian`.

    Raises:
        ValueError: if there is no such layer, or no such pair of steps.

    Example:

    >>> layer = keras.layers.SimpleRNN(3, activation=None)
    >>> jacobian = state_jacobian(layer, keras.ops.ones((2, 6, 4)), lag=5)
    >>> by_hand = np.linalg.matrix_power(layer.cell.recurrent_kernel.numpy().T, 5)
    >>> bool(np.allclose(jacobian.matrices[0], by_hand, atol=1e-5))
    True
    """
    if not isinstance(model, keras.layers.Layer):
        raise ValueError(f"model must be a Keras model or layer, got {model!r}.")
    inputs = as_tensors(inputs)
    with (
        naming(inputs=inputs),
        tf.GradientTape(watch_accessed_variables=False) as tape,
        recording(model, tape) as records,
    ):
        model(inputs)
    record = _find(records, model, layer)
    length = len(record.states[0])
    last = step + length if is_integer(step) and step < 0 else step
    if not is_integer(step) or not 0 < last < length:
        raise ValueError(
            f"step must name one of {length} steps, not the first, got step={step!r}."
        )
    if not (is_integer(lag) and 0 < lag <= last):
        raise ValueError(f"lag must be an integer from 1 to {last}, got lag={lag!r}.")
    cell, sizes = record.cell, [state.shape[-1] for state in record.before]

    def one_step(x_t, *before):
        joined = tf.concat(before, -1)
        with tf.GradientTape() as tape:
            tape.watch(joined)
            states = tf.split(joined, sizes, -1)
            _, after = rnn.call_cell(cell, x_t, states, training=False)
            after = tf.concat(after, -1)
        return tape.batch_jacobian(after, joined, unconnected_gradients="zero")

    first = (record.inputs[0], *(state[0] for state in record.before))
    one_step = tf.function(one_step, autograph=False).get_concrete_function(*first)
    identity = np.eye(sum(sizes))
    matrices = np.repeat(identity[None], len(record.states[0][0]), axis=0)
    counted = np.zeros(len(matrices), int)  # steps that are not masked
    steps = range(last, last - lag, -1)
    with np.errstate(over="ignore", invalid="ignore"):
        for t in steps:
            jacobian = one_step(record.inputs[t], *(state[t] for state in record.before))
            mask = np.ones([1, 1]) if record.mask is None else record.mask[t].numpy()
            counted += mask[:, 0].astype(int)
            matrices = matrices @ np.where(mask[..., None], np.asarray(jacobian), identity)
        matrices = matrices[:, : sizes[0], : sizes[0]]
        slopes = measure_slopes(record, slice(steps[-1], last + 1))
        growth = growth_of(cell, spectra(cell), slopes.get("gamma"))
        bound = None if growth is None else float(np.max(growth**counted))
    singular_values = np.full(matrices.shape[:2], np.nan)
    finite = np.isfinite(matrices).all((1, 2))
    singular_values[finite] = np.linalg.svd(matrices[finite], compute_uv=False)
    return StateJacobian(matrices, singular_values, bound)


def _find(records: list[CellRecord], model, layer: int | str) -> CellRecord:
    names = [record.name for record in records]
    if not names:
        raise ValueError(no_recurrent_layer(model))
    if isinstance(layer, str) and layer in names:
        return records[names.index(layer)]
    if is_integer(layer) and -len(names) <= layer < len(names):
        return records[layer]
    raise ValueError(
        f"layer must name one of {', '.join(names)} or its number, got layer={layer!r}."
    )


class GradientFlow(keras.callbacks.Callback):
    """Measures `gradient_flow` every n steps, into the history and TensorBoard.

    For each recurrent layer the history receives, at the end of each epoch, the
    latest of

    - `<layer>/gradient_remaining`: what is left of the last state's gradient at the
      largest lag of the batch,
    - `<layer>/spectral_radius`, of the recurrent kernel (the largest of all gates),
    - `<layer>/saturated`: the share of saturated units.

    TensorBoard receives the same, and the curves as an image, at each measurement.
    A measurement takes as long as three to five training steps with this batch (of
    `VanillaRNN`), the image a quarter of a second more, and the first one some seconds
    to trace a graph: with `every=500` about one per cent of the time, three with images;
    more for kernels of a thousand units. Works with `fit` and `kerasrnn.train`.

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
            check_path("log_dir", log_dir)
            make_figure(1, 1)  # or says that matplotlib is missing
            _check_tensorboard()
        self.every = every
        self.log_dir = log_dir
        self._batch = as_tensors((inputs, targets))
        self._measurement: Measurement | None = None
        self._writer: Any = None
        self._measured_at = -1
        self._scalars: dict[str, float] = {}

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._measurement = Measurement(self.model, traced=True)
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
        report = self._measurement(*self._batch)
        self._measured_at = self._step()
        self._scalars = {}
        for layer in report.layers:
            found = {"gradient_remaining": layer.remaining[-1]}
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
