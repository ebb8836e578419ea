"""The flow of gradients through the recurrent layers of a model, measured."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.analysis.batch import naming, read_batch, training_options
from kerasrnn.analysis.probes import CellRecord, recording
from kerasrnn.analysis.report import GradientFlowReport, LayerFlow
from kerasrnn.analysis.slopes import growth_of, measure_slopes
from kerasrnn.analysis.spectrum import spectra
from kerasrnn.checks import check_flags, is_integer, shown
from kerasrnn.layers.nested_layers import recurrent_layers
from kerasrnn.layers.steps import call_cell
from kerasrnn.layers.truncation import imposed


class Measurement:
    """`gradient_flow` of one model, again and again.

    Args:
        model, training, lag: as `gradient_flow` takes them.
        traced: whether the first call traces a graph, which takes about as long as a
            measurement without one; later calls are faster. Default: `False`.

    Raises:
        ValueError: as `gradient_flow`.
    """

    def __init__(
        self,
        model: keras.Model,
        training: bool = False,
        traced: bool = False,
        lag: int | Sequence[int] | None = None,
    ):
        if not isinstance(model, keras.Model):
            raise ValueError(f"model must be a keras.Model, got model={shown(model)}.")
        check_flags(training=training)
        if not model.compiled:
            raise ValueError(
                f"{model.name} is not compiled, and so has no loss. Call model.compile first."
            )
        self.model = model
        self.training = training
        self.lags = check_lag(lag)
        self._cells: list[Any] = []
        self._names: list[str] = []
        self._run: Callable = self._differentiate
        if traced:
            self._run = tf.function(self._differentiate, autograph=False)

    def __call__(
        self, inputs: Any, targets: Any = None, sample_weight: Any = None
    ) -> GradientFlowReport:
        batch = read_batch(self.model, inputs, targets, sample_weight)
        with naming(inputs=batch.inputs, targets=batch.targets):
            if not self.model.built:
                self.model(batch.inputs)
                for layer in recurrent_layers(self.model):
                    layer.reset_state()
            loss, flows = self._run(*batch)
        if not flows:
            raise ValueError(no_recurrent_layer(self.model))
        flows = tf.nest.map_structure(np.asarray, flows)
        layers = tuple(
            _layer_flow(name, cell, flow, self.training, self.lags)
            for name, cell, flow in zip(self._names, self._cells, flows, strict=True)
        )
        longest = max(len(layer.remaining) - 1 for layer in layers)
        if max(self.lags, default=0) > longest:
            raise ValueError(
                f"lag={max(self.lags)} is longer than the batch, in which gradients go back "
                f"{longest} steps at most. Use longer sequences or a smaller lag."
            )
        return GradientFlowReport(layers, float(loss))

    def _differentiate(self, inputs, targets, sample_weight):
        tape = tf.GradientTape(persistent=True, watch_accessed_variables=False)
        policy = getattr(training_options(self.model), "truncation", None)
        with recording(self.model, tape, self.training) as records, imposed(policy):
            with tape:
                outputs = self.model(inputs, training=self.training)
                loss = self.model.compute_loss(
                    x=inputs, y=targets, y_pred=outputs, sample_weight=sample_weight
                )
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
    """The gradient that reaches h_t through the output of its step, another tensor."""
    shape = tf.shape(record.states[0])

    def rows(tensor):  # all steps at once
        return tf.reshape(tensor, tf.concat([[-1], tf.shape(tensor)[2:]], 0))

    with tf.GradientTape() as tape:
        inputs, before = rows(record.inputs), [rows(state) for state in record.before]
        tape.watch([inputs, before])
        output, after = call_cell(record.cell, inputs, before, training=False)
    found = tape.gradient(output, after[0], rows(of_output), unconnected_gradients="zero")
    return tf.reshape(found, shape)


def check_lag(lag: Any) -> tuple[int, ...]:
    """The lags that were asked for, in order; empty for `None`.

    Raises:
        ValueError: for anything but `None`, a positive integer, or several of them.
    """
    if lag is None:
        return ()
    vector = isinstance(lag, np.ndarray) and lag.ndim == 1
    several = vector or isinstance(lag, (list, tuple, range))
    given = list(lag) if several else [lag]
    if not given or not all(is_integer(one) and one > 0 for one in given):
        raise ValueError(
            f"lag must be a positive integer, several of them or None, got lag={shown(lag)}."
        )
    return tuple(sorted({int(one) for one in given}))


def no_recurrent_layer(model: keras.layers.Layer) -> str:
    """The message for a model through which no gradient flows back in time."""
    return (
        f"{model.name} has no recurrent layer (keras.layers.RNN, LSTM, GRU, SimpleRNN, "
        "kerasrnn.VanillaRNN), so no gradient flows through time."
    )


def _last_counted(record: CellRecord) -> tf.Tensor:
    """True at the last step of each sequence that is not masked, `(time, batch, 1)`."""
    mask = record.mask
    if mask is None:
        mask = tf.ones_like(record.states[0][..., :1], tf.bool)
    counted = tf.cast(mask, tf.int32)
    return mask & (tf.cumsum(counted, reverse=True) == 1)


def _layer_flow(
    name: str, cell, flow: dict[str, Any], training: bool, lags: tuple[int, ...]
) -> LayerFlow:
    mask = flow.get("mask")
    norms = _squares([flow["gradient"]])
    left, reference = _by_lag(_squares(flow["from_last"]), mask)
    remaining = np.zeros(len(left))
    with np.errstate(invalid="ignore"):  # what has exploded may be infinite, or NaN
        np.divide(left, reference, where=reference != 0, out=remaining)
    longest = len(remaining) - 1
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
        lags=tuple(sorted({min(lag, longest) for lag in lags or (longest,)})),
    )


def _squares(tensors: list[np.ndarray]) -> np.ndarray:
    """Squared norms over units, `(time, batch)`, of all tensors together."""
    return sum(np.sum(np.square(tensor.astype("float64")), -1) for tensor in tensors)


def _by_lag(squares: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Norms over the batch at each lag, and what they were at lag 0.

    The second is taken over the sequences that reach back as far, lag by lag.
    """
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
