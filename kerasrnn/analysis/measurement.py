"""The flow of gradients through the recurrent layers of a model, measured."""

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.analysis.probes import CellRecord, recording
from kerasrnn.analysis.report import GradientFlowReport, LayerFlow
from kerasrnn.analysis.spectrum import KernelSpectrum, spectra
from kerasrnn.checks import check_flags, shown
from kerasrnn.layers import rnn
from kerasrnn.layers.cells import VanillaRNNCell
from kerasrnn.layers.nested_layers import recurrent_layers

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
        if not isinstance(model, keras.Model):
            raise ValueError(f"model must be a keras.Model, got {shown(model)}.")
        check_flags(training=training)
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
        if sizes == {(0,)}:
            raise ValueError("inputs and targets hold no sequences. Give a batch of them.")
        if len(sizes) != 1:
            raise ValueError(
                "inputs and targets must hold equally many sequences, got "
                f"{_shapes(inputs)} and {_shapes(targets)}."
            )
        with naming(inputs=inputs, targets=targets):
            if not self.model.built:
                self.model(inputs)
                for layer in recurrent_layers(self.model):
                    layer.reset_state()
            loss, flows = self._run(inputs, targets)
        if not flows:
            raise ValueError(no_recurrent_layer(self.model))
        flows = tf.nest.map_structure(np.asarray, flows)
        layers = zip(self._names, self._cells, flows, strict=True)
        return GradientFlowReport(
            tuple(_layer_flow(name, cell, flow, self.training) for name, cell, flow in layers),
            float(loss),
        )

    def _differentiate(self, inputs, targets):
        tape = tf.GradientTape(persistent=True, watch_accessed_variables=False)
        with recording(self.model, tape, self.training) as records:
            with tape:
                outputs = self.model(inputs, training=self.training)
                loss = self.model.compute_loss(x=inputs, y=targets, y_pred=outputs)
            self._cells = [record.cell for record in records]
            self._names = [record.name for record in records]
            all_probes = [
                (r.probes, [] if r.output_probes is None else [r.output_probes])
                for r in records
            ]
            gradients = tape.gradient(loss, all_probes, unconnected_gradients="zero")
            flows = [
                self._flow(tape, record, of_states, of_outputs)
                for record, (of_states, of_outputs) in zip(records, gradients, strict=True)
            ]
        return loss, flows

    def _flow(self, tape, record, of_states, of_outputs):
        gradient = of_states[0]
        for of_output in of_outputs:
            gradient += _through_output(record, of_output)
        last = tf.where(_last_counted(record), gradient, tf.zeros_like(gradient))
        last = tf.math.divide_no_nan(last, tf.reduce_max(tf.abs(last)))  # nothing underflows
        flow = {
            "gradient": gradient,
            "from_last": tape.gradient(
                record.states[0], record.probes, last, unconnected_gradients="zero"
            ),
            **measure_slopes(record),
        }
        if record.mask is not None:
            flow["mask"] = record.mask[..., 0]
        if record.gates is not None:
            flow["largest_gate"] = tf.reduce_max(record.gates)
        return flow


def _through_output(record: CellRecord, of_output: tf.Tensor) -> tf.Tensor:
    """What reaches h_t through an output of the same step that is another tensor than it."""
    shape = tf.shape(record.states[0])

    def rows(tensor):  # all steps at once
        return tf.reshape(tensor, tf.concat([[-1], tf.shape(tensor)[2:]], 0))

    with tf.GradientTape() as tape:
        inputs, before = rows(record.inputs), [rows(state) for state in record.before]
        tape.watch([inputs, before])
        output, after = rnn.call_cell(record.cell, inputs, before, training=False)
    found = tape.gradient(output, after[0], rows(of_output), unconnected_gradients="zero")
    return tf.reshape(found, shape)


def no_recurrent_layer(model: keras.layers.Layer) -> str:
    """What to say of a model through which no gradient flows back in time."""
    return (
        f"{model.name} has no recurrent layer (keras.layers.RNN, LSTM, GRU, SimpleRNN, "
        "kerasrnn.VanillaRNN), so no gradient flows through time."
    )


def as_tensors(tensors: Any) -> Any:
    """The arrays of a batch as tensors, in the same structure; lists of numbers are one."""
    try:
        if not any(hasattr(part, "shape") for part in tf.nest.flatten(tensors)):
            return tf.convert_to_tensor(tensors)
        return tf.nest.map_structure(tf.convert_to_tensor, tensors)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"A batch is an array, or a structure of arrays, got a {type(tensors).__name__}."
        ) from error


def _shapes(tensors: Any) -> str:
    return ", ".join(str(tuple(tensor.shape)) for tensor in tf.nest.flatten(tensors))


@contextlib.contextmanager
def naming(**batch: Any) -> Iterator[None]:
    """Errors from inside say which batch did not fit, in one line."""
    try:
        yield
    except (ValueError, TypeError, tf.errors.OpError) as error:
        lines = re.sub(r"\x1b\[[0-9;]*m|{{.*?}}", "", str(error)).splitlines()
        said = [line.strip() for line in lines if line.strip()]
        if said and said[0].startswith("Exception encountered when calling"):
            del said[0]  # Keras goes on with what it was
        reason = said[0] if said else type(error).__name__
        shapes = " and ".join(f"{name} {_shapes(tensors)}" for name, tensors in batch.items())
        raise ValueError(f"The model cannot take {shapes}: {reason}") from error


def _last_counted(record: CellRecord) -> tf.Tensor:
    """Whether a step is the last of its sequence that counts, `(time, batch, 1)`."""
    mask = record.mask
    if mask is None:
        mask = tf.ones_like(record.states[0][..., :1], tf.bool)
    counted = tf.cast(mask, tf.int32)
    return mask & (tf.cumsum(counted, reverse=True) == 1)


def measure_slopes(record: CellRecord, steps: slice = slice(None)) -> dict[str, tf.Tensor]:
    """The share of saturated units at each step, NaN if all is masked; the steepest slope."""
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
        "saturated": tf.reduce_sum(all_saturated * used, [1, 2]) / tf.reduce_sum(used, [1, 2]),
    }


def _slope(function, arguments: tf.Tensor) -> tf.Tensor:
    """|phi'(a)|."""
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        values = function(arguments)
    return tf.abs(tape.gradient(values, arguments, unconnected_gradients="zero"))


def _layer_flow(name: str, cell, flow: dict[str, Any], training: bool) -> LayerFlow:
    mask = flow.get("mask")
    norms = _squares([flow["gradient"]])
    left, reference = _by_lag(_squares(flow["from_last"]), mask)
    remaining = np.zeros(len(left))
    with np.errstate(invalid="ignore"):  # what has exploded may be infinite, or NaN
        np.divide(left, reference, where=reference != 0, out=remaining)
    spectrum = spectra(cell)
    growth = growth_of(cell, spectrum, flow.get("gamma"), training)
    bound = None
    if growth is not None:
        with np.errstate(over="ignore"):
            bound = (growth * flow.get("largest_gate", 1.0)) ** np.arange(len(remaining))
    return LayerFlow(
        name=name,
        norms=np.sqrt(norms.sum(1)),
        norms_by_lag=_by_lag(norms, mask)[0],
        remaining=remaining,
        bound=bound,
        gamma=None if growth is None else float(flow["gamma"]),
        spectra=spectrum,
        saturated=flow.get("saturated"),
    )


def _squares(tensors: list[np.ndarray]) -> np.ndarray:
    """Squared norms over units, `(time, batch)`, of all tensors together."""
    return sum(np.sum(np.square(tensor.astype("float64")), -1) for tensor in tensors)


def _by_lag(squares: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Norms over the batch at each lag; and at lag 0, of the sequences that are as long."""
    if mask is None:
        mask = np.ones(squares.shape, bool)
    by_lag, present = np.zeros_like(squares), np.zeros_like(mask)
    for sequence, counted in enumerate(mask.T):
        steps = np.flatnonzero(counted)[::-1]
        by_lag[: len(steps), sequence] = squares[steps, sequence]
        present[: len(steps), sequence] = True
    longest = max(int(present.any(1).sum()), 1)
    at_lag_0 = np.where(present, by_lag[0], 0).sum(1)
    return np.sqrt(by_lag.sum(1)[:longest]), np.sqrt(at_lag_0[:longest])


def growth_of(
    cell, spectrum: Sequence[KernelSpectrum], gamma: Any, training: bool = False
) -> np.float64 | None:
    """The most that one step of a plain cell can make of a gradient; `None` for others."""
    plain = (keras.layers.SimpleRNNCell.call, VanillaRNNCell.call)
    if type(cell).call not in plain or gamma is None:
        return None
    through_kernel = np.float64(gamma) * spectrum[0].largest_singular_value
    if training:
        through_kernel /= 1 - cell.recurrent_dropout
    update = cell.draw_update([cell.units], False) if isinstance(cell, VanillaRNNCell) else None
    if update is None:
        return through_kernel
    update = np.asarray(update, "float64")
    if training and cell.zoneout:  # units that keep their state, and units that do not
        return 1 + update.max() / (1 - cell.zoneout) * through_kernel
    return (1 - update).max() + update.max() * through_kernel
