"""The product of the Jacobians between two states of a recurrent layer."""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.analysis.batch import as_tensors, naming
from kerasrnn.analysis.measurement import no_recurrent_layer
from kerasrnn.analysis.probes import CellRecord, recording
from kerasrnn.analysis.slopes import growth_of, measure_slopes
from kerasrnn.analysis.spectrum import spectra
from kerasrnn.checks import is_integer, shown
from kerasrnn.layers.steps import call_cell


class StateJacobian(NamedTuple):
    """dh_t / dh_{t-k}, the product of the k one-step Jacobians between them."""

    matrices: np.ndarray
    """One matrix for each sequence, `(batch, units, units)`: row i, column j is the
    derivative of unit i of h_t with respect to unit j of h_{t-k}. Paths through other
    states, such as c of an LSTM, are included."""
    singular_values: np.ndarray
    """`(batch, units)`, in descending order; the first is the norm. NaN if the matrix is
    not finite."""
    bound: float | None
    """(gamma ||W_h||)^k, where gamma is the steepest slope in these steps, and k counts
    only steps that are not masked. Remedies change it as in `LayerFlow.bound`. `None` for
    cells with gates."""


def state_jacobian(
    model: keras.layers.Layer,
    inputs: Any,
    lag: int,
    *,
    step: int = -1,
    layer: int | str = 0,
) -> StateJacobian:
    """Computes dh_t / dh_{t-k}: how a state depends on the state `lag` steps before it.

    The model runs in inference: without dropout, zoneout and truncation.

    Args:
        model: a Keras model or layer that holds recurrent layers.
        inputs: one batch, `(batch, time, ...)`.
        lag: k, the number of steps from the earlier state to the later one. Masked
            steps count; their Jacobian is the identity.
        step: t, the later step. Counted from 0 in the order in which the layer reads,
            or from the end if negative. Default: the last.
        layer: the recurrent layer: its number, or its name in a `GradientFlowReport`.
            Default: the first.

    Returns:
        A `StateJacobian`.

    Raises:
        ValueError: if there is no such layer, or no such pair of steps.

    Reference: R. Pascanu et al., "On the difficulty of training recurrent neural
    networks", 2013, arXiv:1211.5063.

    Example:

    >>> layer = keras.layers.SimpleRNN(3, activation=None)
    >>> jacobian = state_jacobian(layer, keras.ops.ones((2, 6, 4)), lag=5)
    >>> by_hand = np.linalg.matrix_power(layer.cell.recurrent_kernel.numpy().T, 5)
    >>> bool(np.allclose(jacobian.matrices[0], by_hand, atol=1e-5))
    True
    """
    if not isinstance(model, keras.layers.Layer):
        raise ValueError(f"model must be a Keras model or layer, got model={shown(model)}.")
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
            _, after = call_cell(cell, x_t, states, training=False)
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
