"""The flow of gradients through the recurrent layers of a model, measured."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.cells import VanillaRNNCell
from kerasrnn.flow_report import GradientFlowReport, LayerFlow
from kerasrnn.probes import CellRecord, recording
from kerasrnn.spectrum import spectra

SATURATED = 0.1
"""A unit is saturated at a step if it passes less than this share of the steepest slope."""


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
        inputs, targets = as_tensors(inputs), as_tensors(targets)
        sizes = {tuple(tensor.shape[:1]) for tensor in tf.nest.flatten([inputs, targets])}
        if len(sizes) != 1:
            raise ValueError(
                "inputs and targets must hold equally many sequences, got "
                f"{_shapes(inputs)} and {_shapes(targets)}."
            )
        with naming(inputs=inputs, targets=targets):
            if not self.model.built:
                self.model(inputs)
            loss, flows = self._run(inputs, targets)
        if not flows:
            raise ValueError(no_recurrent_layer(self.model))
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
                "norms": tf.sqrt(
                    tf.reduce_sum(tf.square(tf.cast(gradient, tf.float32)), [1, 2])
                ),
                "from_last": tape.gradient(
                    record.states, record.probes, gradient * tf.cast(last, gradient.dtype)
                ),
                **measure_slopes(record),
            }
            if record.mask is not None:
                flow["mask"] = record.mask[..., 0]
            if record.gates is not None:
                flow["largest_gate"] = tf.reduce_max(record.gates)
            flows.append(flow)
        return loss, flows


def no_recurrent_layer(model: keras.layers.Layer) -> str:
    """What to say of a model through which no gradient flows back in time."""
    return (
        f"{model.name} has no recurrent layer (keras.layers.RNN, LSTM, GRU, SimpleRNN, "
        "kerasrnn.VanillaRNN), so no gradient flows through time."
    )


def as_tensors(tensors: Any) -> Any:
    """The arrays of a batch as tensors, in the same structure."""
    return tf.nest.map_structure(tf.convert_to_tensor, tensors)


def _shapes(tensors: Any) -> str:
    return ", ".join(str(tuple(tensor.shape)) for tensor in tf.nest.flatten(tensors))


@contextlib.contextmanager
def naming(**batch: Any) -> Iterator[None]:
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


def measure_slopes(record: CellRecord, steps: slice = slice(None)) -> dict[str, tf.Tensor]:
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
    growth = growth_of(cell, flow.get("gamma"), training)
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
    with np.errstate(invalid="ignore"):  # what has exploded may be infinite, or NaN
        return np.sqrt(np.divide(total, at_lag_0, where=at_lag_0 != 0, out=np.zeros(longest)))


def growth_of(cell, gamma: Any, training: bool = False) -> float | None:
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
