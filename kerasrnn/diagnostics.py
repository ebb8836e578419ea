"""Why recurrent networks forget: gradients measured on their way back through time.

With a loss L and states h_t, the gradient that reaches a state k steps before the
last passes k Jacobians. For a plain RNN, with gamma the steepest slope of phi,

    dh_t/dh_{t-k} = prod_i diag(phi'(a_i)) W_h^T      its norm <= (gamma ||W_h||)^k

References: Y. Bengio et al., "Learning long-term dependencies with gradient descent
is difficult", IEEE Transactions on Neural Networks 5(2), 1994,
doi:10.1109/72.279181. R. Pascanu et al., "On the difficulty of training recurrent
neural networks", 2013, arXiv:1211.5063.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerasrnn import rnn
from kerasrnn.cells import VanillaRNNCell
from kerasrnn.flow_report import GradientFlowReport, KernelSpectrum, LayerFlow
from kerasrnn.probes import CellRecord, recording

SATURATED = 0.1
"""A unit is saturated at a step if it passes less than this share of the steepest slope."""

_GATES = {
    keras.layers.LSTMCell: ("input", "forget", "cell", "output"),
    keras.layers.GRUCell: ("update", "reset", "candidate"),
}


def gradient_flow(
    model: keras.Model, inputs: Any, targets: Any, *, training: bool = False
) -> GradientFlowReport:
    """Measures how far gradients reach back through time in each recurrent layer.

    Layers may hold any Keras cell, stacks of cells, and lie anywhere in the model.
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

    References: see `kerasrnn.diagnostics`.

    Example:

    >>> model = keras.Sequential([keras.layers.SimpleRNN(32), keras.layers.Dense(1)])
    >>> model.compile("adam", "mse")
    >>> x = keras.random.normal((8, 100, 2), seed=0)
    >>> report = gradient_flow(model, x, keras.ops.ones((8, 1)))
    >>> report.layers[0].state
    'vanishing'
    """
    return Measurement(model, training)(inputs, targets)


class Measurement:
    """`gradient_flow` of one model, again and again.

    Args:
        model, training: as `gradient_flow` takes them.
        traced: whether a graph is traced at the first call, which takes about as
            long as a measurement without. Default: `False`.

    Raises:
        ValueError: as `gradient_flow`.
    """

    def __init__(self, model: keras.Model, training: bool = False, traced: bool = False):
        if not model.compiled:
            raise ValueError(
                f"{model.name} is not compiled, and so has no loss. Call model.compile first."
            )
        self.model = model
        self.training = training
        self._cells: list[Any] = []
        self._names: list[str] = []
        self._run: Callable = self._differentiate
        if traced:
            self._run = tf.function(self._differentiate, autograph=False)

    def __call__(self, inputs: Any, targets: Any) -> GradientFlowReport:
        inputs, targets = _batch(inputs), _batch(targets)
        sizes = {tensor.shape[0] for tensor in tf.nest.flatten([inputs, targets])}
        if len(sizes) != 1:
            raise ValueError(
                "inputs and targets must hold equally many sequences, got "
                f"{_shapes(inputs)} and {_shapes(targets)}."
            )
        with _naming(inputs=inputs, targets=targets):
            if not self.model.built:
                self.model(inputs)
            loss, flows = self._run(inputs, targets)
        if not flows:
            raise ValueError(_no_recurrent_layer(self.model))
        layers = zip(self._names, self._cells, flows, strict=True)
        return GradientFlowReport(
            tuple(
                _layer_flow(
                    name, cell, {k: np.asarray(v) for k, v in flow.items()}, self.training
                )
                for name, cell, flow in layers
            ),
            float(loss),
        )

    def _differentiate(self, inputs, targets):
        with (
            tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape,
            recording(self.model, tape) as records,
        ):
            outputs = self.model(inputs, training=self.training)
            loss = self.model.compute_loss(x=inputs, y=targets, y_pred=outputs)
        self._cells = [record.cell for record in records]
        self._names = [record.name for record in records]
        gradients = tape.gradient(
            loss, [r.probes for r in records], unconnected_gradients="zero"
        )
        flows = []
        for record, gradient in zip(records, gradients, strict=True):
            last = _last_counted(record)
            flow = {
                "norms": tf.sqrt(tf.reduce_sum(tf.square(gradient), [1, 2])),
                "from_last": tape.gradient(
                    record.states, record.probes, gradient * tf.cast(last, gradient.dtype)
                ),
                **_slopes(record),
            }
            if record.mask is not None:
                flow["mask"] = record.mask[..., 0]
            if record.gates is not None:
                flow["largest_gate"] = tf.reduce_max(record.gates)
            flows.append(flow)
        return loss, flows


class StateJacobian(NamedTuple):
    """dh_t / dh_{t-k}, the product of the k one-step Jacobians between them."""

    matrices: np.ndarray
    """For each sequence the derivative of each unit of h_t (rows) for each unit of
    h_{t-k} (columns), `(batch, units, units)`."""
    singular_values: np.ndarray
    """`(batch, units)`, the largest, which is the norm, first."""
    bound: float | None
    """(gamma ||W_h||)^k, with the steepest slope in these k steps; `None` for cells
    with gates."""


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
    inputs = _batch(inputs)
    with (
        _naming(inputs=inputs),
        tf.GradientTape(watch_accessed_variables=False) as tape,
        recording(model, tape) as records,
    ):
        model(inputs)
    record = _find(records, model, layer)
    length = len(record.states)
    last = step + length if step < 0 else step
    if not (0 <= last < length and 0 < lag <= last):
        raise ValueError(
            f"There are {length} steps: step={step} and lag={lag} must name two of them."
        )
    cell, sizes = record.cell, [state.shape[-1] for state in record.before]

    def one_step(x_t, *before):
        joined = tf.concat(before, -1)
        with tf.GradientTape() as tape:
            tape.watch(joined)
            states = tf.split(joined, sizes, -1)
            states = tf.nest.pack_sequence_as(record.structure, states)
            _, after = rnn.call_cell(cell, x_t, states, training=False)
            after = tf.concat(tf.nest.flatten(after), -1)
        return tape.batch_jacobian(after, joined)

    first = (record.inputs[0], *(state[0] for state in record.before))
    one_step = tf.function(one_step, autograph=False).get_concrete_function(*first)
    steps = range(last, last - lag, -1)
    matrices = tf.eye(
        sum(sizes), batch_shape=[len(record.states[0])], dtype=record.states.dtype
    )
    for t in steps:
        jacobian = one_step(record.inputs[t], *(state[t] for state in record.before))
        if record.mask is not None:
            jacobian = tf.where(record.mask[t][..., None], jacobian, tf.eye(sum(sizes)))
        matrices = tf.matmul(matrices, jacobian)
    matrices = matrices[:, : sizes[0], : sizes[0]].numpy()
    between = slice(steps[-1], last + 1)
    growth = _growth(cell, _slopes(record, between).get("gamma"))
    return StateJacobian(
        matrices,
        np.linalg.svd(matrices, compute_uv=False),
        None if growth is None else float(growth**lag),
    )


def _find(records: list[CellRecord], model, layer: int | str) -> CellRecord:
    names = [record.name for record in records]
    if not names:
        raise ValueError(_no_recurrent_layer(model))
    if isinstance(layer, str) and layer in names:
        return records[names.index(layer)]
    if isinstance(layer, int) and -len(names) <= layer < len(names):
        return records[layer]
    raise ValueError(f"layer must name one of {', '.join(names)} or its number, got {layer!r}.")


def _no_recurrent_layer(model: keras.layers.Layer) -> str:
    return (
        f"{model.name} has no recurrent layer (keras.layers.RNN, LSTM, GRU, SimpleRNN, "
        "kerasrnn.VanillaRNN), so no gradient flows through time."
    )


def _batch(tensors: Any) -> Any:
    return tf.nest.map_structure(tf.convert_to_tensor, tensors)


def _shapes(tensors: Any) -> str:
    return ", ".join(str(tuple(tensor.shape)) for tensor in tf.nest.flatten(tensors))


@contextlib.contextmanager
def _naming(**batch: Any) -> Iterator[None]:
    """Errors from inside say which batch did not fit, in one line."""
    try:
        yield
    except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
        reason = next(filter(None, (line.strip() for line in str(error).splitlines())), "")
        shapes = " and ".join(f"{name} {_shapes(tensors)}" for name, tensors in batch.items())
        raise ValueError(f"The model cannot take {shapes}: {reason}") from error


def _last_counted(record: CellRecord) -> tf.Tensor:
    """1 at the last step of each sequence that counts, else 0: `(time, batch, 1)`."""
    mask = record.mask
    if mask is None:
        mask = tf.ones_like(record.states[..., :1], tf.bool)
    counted = tf.cast(mask, tf.int32)
    return tf.where(mask & (tf.cumsum(counted, reverse=True) == 1), 1.0, 0.0)


def _slopes(record: CellRecord, steps: slice = slice(None)) -> dict[str, tf.Tensor]:
    """The share of saturated units at each step, and the steepest slope of all."""
    if not record.pre_activations:
        return {}
    grid = tf.linspace(-8.0, 8.0, 1601)
    slopes, saturated = [], []
    for function, arguments in record.pre_activations:
        slope = _slope(function, arguments[steps])
        steepest = tf.reduce_max(_slope(function, tf.cast(grid, slope.dtype)))
        slopes.append(slope)
        saturated.append(tf.cast(slope < SATURATED * steepest, tf.float32))
    mask = tf.ones([]) if record.mask is None else tf.cast(record.mask[steps], tf.float32)
    slope, all_saturated = tf.concat(slopes, -1), tf.concat(saturated, -1)
    used = mask * tf.ones_like(all_saturated)
    return {
        "gamma": tf.reduce_max(tf.cast(slope, tf.float32) * used),
        "saturated": tf.math.divide_no_nan(
            tf.reduce_sum(all_saturated * used, [1, 2]), tf.reduce_sum(used, [1, 2])
        ),
    }


def _slope(function, arguments: tf.Tensor) -> tf.Tensor:
    """|phi'(a)|."""
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        values = function(arguments)
    return tf.abs(tape.gradient(values, arguments))


def _layer_flow(name: str, cell, flow: dict[str, np.ndarray], training: bool) -> LayerFlow:
    remaining = _by_lag(flow["from_last"], flow.get("mask"))
    growth = _growth(cell, flow.get("gamma"), training)
    bound = None
    if growth is not None:
        with np.errstate(over="ignore"):
            bound = (growth * flow.get("largest_gate", 1.0)) ** np.arange(len(remaining))
    plain = growth is not None
    return LayerFlow(
        name=name,
        norms=flow["norms"].astype("float64"),
        remaining=remaining,
        bound=bound,
        gamma=float(flow["gamma"]) if plain else None,
        spectra=spectra(cell),
        saturated=flow.get("saturated"),
    )


def _by_lag(from_last: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Norms over batch and units at each lag, beside lag 0 of the sequences as long."""
    squares = np.sum(np.square(from_last.astype("float64")), -1)
    if mask is None:
        mask = np.ones(squares.shape, bool)
    by_lag, present = np.zeros_like(squares), np.zeros_like(mask)
    for sequence, counted in enumerate(mask.T):
        steps = np.flatnonzero(counted)[::-1]
        by_lag[: len(steps), sequence] = squares[steps, sequence]
        present[: len(steps), sequence] = True
    longest = max(int(present.any(1).sum()), 1)
    at_lag_0 = (present * by_lag[0]).sum(1)[:longest]
    total = by_lag.sum(1)[:longest]
    return np.sqrt(np.divide(total, at_lag_0, where=at_lag_0 > 0, out=np.zeros(longest)))


def _growth(cell, gamma: Any, training: bool = False) -> float | None:
    """The most that one step of a plain cell can make of a gradient; `None` for others."""
    plain = (keras.layers.SimpleRNNCell.call, VanillaRNNCell.call)
    if type(cell).call not in plain or gamma is None:
        return None
    through_kernel = float(gamma) * spectra(cell)[0].largest_singular_value
    if training:
        through_kernel /= 1 - cell.recurrent_dropout
    update = cell.draw_update([cell.units], False) if isinstance(cell, VanillaRNNCell) else None
    if update is None:
        return through_kernel
    update = np.asarray(update, "float64")
    if training and cell.zoneout:  # units that keep their state, and units that do not
        return 1 + update.max() / (1 - cell.zoneout) * through_kernel
    return (1 - update).max() + update.max() * through_kernel


def spectra(cell) -> tuple[KernelSpectrum, ...]:
    """The spectrum of a cell's recurrent kernel, gate by gate; empty if it has none."""
    kernel = getattr(cell, "recurrent_kernel", None)
    if kernel is None or len(kernel.shape) != 2 or kernel.shape[1] % kernel.shape[0]:
        return ()
    parts = np.split(np.asarray(kernel, "float64"), kernel.shape[1] // kernel.shape[0], axis=1)
    names: tuple[str, ...] = ("recurrent_kernel",)
    if len(parts) > 1:
        names = tuple(str(number) for number in range(len(parts)))
    for kind, gates in _GATES.items():
        names = gates if isinstance(cell, kind) else names
    found = []
    for name, part in zip(names, parts, strict=True):
        values = np.linalg.svd(part, compute_uv=False)
        radius = np.abs(np.linalg.eigvals(part)).max()
        found.append(KernelSpectrum(name, float(radius), float(values[0]), float(values[-1])))
    return tuple(found)
