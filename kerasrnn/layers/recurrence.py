"""The recurrence of any cell over time, with a gradient written by hand.

With inputs that are projected, p^k = x W_x^k + b^k (`kerasrnn.layers.projection`), the states

    s_t = step(p_t, s_{t-1})

are a scan. A second scan, backward in time, computes the gradients dp_t and ds_{t-1} with the
adjoint of the step (`kerasrnn.layers.equations`, `kerasrnn.layers.scans`). Every weight
gradient is then one matrix product over all time steps:

    dW_k = sum_t (m_k * u_t)^T d_t

where u_t is what the product with W_k reads, and d_t the gradient of the product.
Everything here is time-major: the first axis is time.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from kerasrnn.layers import compilation, inference_scan, scans
from kerasrnn.layers.compilation import Execution
from kerasrnn.layers.equation_checks import check_gates
from kerasrnn.layers.equations import Equations, masked
from kerasrnn.layers.projection import Projection
from kerasrnn.layers.second_order import twice_differentiable
from kerasrnn.layers.surroundings import Surroundings

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "kerasrnn needs the TensorFlow backend of Keras, but "
        f"keras.backend.backend() is {keras.backend.backend()!r}. "
        "Set the environment variable KERAS_BACKEND=tensorflow."
    )


def recur(
    equations: Equations,
    inputs: Sequence[tf.Tensor],
    weights: Sequence[tf.Tensor],
    states: Sequence[tf.Tensor],
    *,
    projection: Projection | None = None,
    gates: tf.Tensor | None = None,
    mask: tf.Tensor | None = None,
    dropout_masks: Sequence[tf.Tensor | None] | None = None,
    updates: Sequence[tf.Tensor | None] | None = None,
    every_output: bool = True,
    execution: Execution = Execution.COMPILED,
) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
    """Runs a cell over time; exact gradients, by hand.

    The gradients of inputs, weights, states and updates are those of backpropagation through
    time, full unless there are `gates`. Gradients of gradients are right too, but are computed
    step by step.

    Args:
        equations: those of the cell.
        inputs: p of each gate, `(time, batch, units)`; with a projection, only x,
            `(time, batch, features)`. Batch and time may be unknown while a graph is traced.
        weights: the recurrent weights, as `equations` number them.
        states: the initial states, each `(batch, units)`.
        projection: makes p from x, where p is not given; not for `COMPILED`.
        gates: optional gates xi on the gradients, `(time, batch, 1)` or
            `(time, 1, 1)`; see `kerasrnn.layers.truncation`.
        mask: optional booleans, `(time, batch, 1)`; a `False` step carries
            the states through unchanged.
        dropout_masks: for each weight an optional mask on what its products read,
            `(batch, units)`. No gradient flows to them.
        updates: for each state the optional share alpha that steps renew, `(units,)` or
            `(time, batch, units)`. Default: 1.
        every_output: whether to return all outputs or only the last. The backward pass of the
            latter is cheaper.
        execution: how the scans run; `kerasrnn.layers.compilation.choose_execution`
            gives the one that fits. `PORTABLE` takes no `gates` into account. Default:
            `Execution.COMPILED`, where buffers of unknown length are padded to a few
            lengths.

    Returns:
        The outputs, which are the first state after each step, `(time, batch, units)`, or the
        last of them, `(batch, units)`; and the last states, each `(batch, units)`.
    """
    inputs, weights, states = tuple(inputs), tuple(weights), tuple(states)
    shape = inputs[0].shape[:-1] + states[0].shape[-1:]
    known = shape[0] is not None and not execution.is_opaque
    length = shape[0] if known else tf.shape(inputs[0])[0]
    unknown_length = tf.executing_eagerly() or shape[0] is None
    pads = execution is Execution.COMPILED and unknown_length
    dtype = inputs[0].dtype
    given = _Given(equations, shape, length, every_output, execution, pads)
    given = given._replace(
        gates=given.pad(None if gates is None else tf.cast(gates, dtype)),
        mask=given.pad(mask),
        dropout_masks=_without_gradient(dropout_masks),
    )
    updates = None if updates is None or all(u is None for u in updates) else tuple(updates)
    if execution is Execution.PORTABLE:
        around = given.around(updates)
        outputs, last = given.infer(inputs, projection, weights, states, around)
        outputs = tf.ensure_shape(outputs, shape) if every_output else None
    else:
        found = _differentiable(given, inputs, projection, weights, states, updates)
        outputs, last = found[0], tuple(found[1:])
    return (outputs if every_output else last[0]), last


def _without_gradient(masks):
    if masks is None or all(mask is None for mask in masks):
        return None
    return tuple(None if mask is None else tf.stop_gradient(mask) for mask in masks)


class _Given(NamedTuple):
    """What one run of the recurrence is given and no gradient flows to; see `recur`."""

    equations: Equations
    shape: tf.TensorShape
    """That of p, as far as it is known."""
    length: tf.Tensor | int
    """How many leading steps count."""
    every_output: bool
    execution: Execution
    pads: bool
    """Whether buffers over time are padded to a few lengths."""
    gates: tf.Tensor | None = None
    mask: tf.Tensor | None = None
    dropout_masks: tuple[tf.Tensor | None, ...] | None = None

    def pad(self, tensor: tf.Tensor | None) -> tf.Tensor | None:
        """A tensor `(time, ...)`, padded where buffers are; others stay as they are."""
        over_time = self.pads and tensor is not None and len(tensor.shape) == 3
        return compilation.pad_time(tensor, self.length) if over_time else tensor

    def cut(self, tensor: tf.Tensor) -> tf.Tensor:
        """What is left of a tensor `(time, ...)` without the padding."""
        return tensor[: self.length] if self.pads else tensor

    def around(self, updates: tuple | None, gates: bool = False) -> Surroundings:
        """What stands around the steps of a scan."""
        return Surroundings(
            self.length,
            self.mask,
            self.gates if gates else None,
            self.dropout_masks,
            None if updates is None else tuple(self.pad(u) for u in updates),
        )

    def infer(self, *arguments) -> tuple[tf.Tensor | None, tuple[tf.Tensor, ...]]:
        """The outputs, if they are asked for, and the last states; nothing is kept."""
        of_all = self.every_output
        scan = inference_scan.scan_forward if of_all else inference_scan.scan_to_last
        return self.run(scan, *arguments)

    def run(self, scan: Callable, *arguments):
        """Runs a scan as `execution` says."""
        return compilation.run(scan, self.equations, self.execution, *arguments)


def _differentiable(given: _Given, *sources) -> list[tf.Tensor]:
    """The outputs and the last states, with a gradient for all sources written by hand."""

    @tf.custom_gradient
    def run(*flat):
        return _run_forward(given, sources, flat)

    return run(*_flatten(sources))


def _flatten(sources) -> list[tf.Tensor]:
    """The tensors of a nest, without `None`."""
    return [x for x in tf.nest.flatten(sources) if x is not None]


def _pack(sources, flat):
    """These tensors in the structure of a nest that may hold `None`."""
    remaining = iter(flat)
    return tf.nest.map_structure(lambda x: None if x is None else next(remaining), sources)


def _run_forward(given: _Given, sources, flat) -> tuple[list[tf.Tensor], Callable]:
    """The outputs and the last states, and the function of their gradient."""
    inputs, projection, weights, states, updates = _pack(sources, flat)
    padded, around = tuple(given.pad(p) for p in inputs), given.around(updates)
    if given.execution is Execution.COMPILED:  # for training: everything is kept
        *kept, last = given.run(scans.scan_forward_and_keep, padded, weights, states, around)
        outputs = kept[0][0][1:]
    else:  # for inference: a gradient, if one is asked for, runs the steps again
        kept = None
        outputs, last = given.infer(padded, projection, weights, states, around)
    last = [tf.ensure_shape(s, given.shape[1:]) for s in last]
    outputs = (
        tf.ensure_shape(given.cut(outputs), given.shape) if given.every_output else last[0]
    )
    gradients = functools.partial(_run_backward, given, sources, flat, kept)
    if given.execution.is_opaque:
        plain = given._replace(execution=Execution.IN_PLACE, pads=False)

        def run_plain(*flat):
            return _differentiable(plain, *_pack(sources, flat))

        gradients = functools.partial(twice_differentiable, gradients, run_plain, tuple(flat))
    return [outputs, *last], gradients


def _run_backward(
    given: _Given, sources, flat, kept, output_gradient: tf.Tensor, *last_gradients: tf.Tensor
) -> list[tf.Tensor]:
    """The gradients of all sources.

    Args:
        given: what the pass forward was given.
        sources, flat: the structure of the sources, and its tensors.
        kept: what `scan_forward_and_keep` kept; `None`: it runs now.
        output_gradient: that of the outputs, or of the last output.
        last_gradients: those of the last states.
    """
    inputs, projection, weights, states, updates = _pack(sources, flat)
    around = given.around(updates, gates=True)
    if kept is None:
        projected = inputs if projection is None else projection(inputs[0])
        padded = tuple(given.pad(p) for p in projected)
        forward = padded, weights, states, around._replace(gates=None)
        *kept, _ = given.run(scans.scan_forward_and_keep, *forward)
    histories, new, kept = kept
    if not given.every_output:
        first, *others = last_gradients
        output_gradient, last_gradients = None, (output_gradient + first, *others)
    dp, noted, d_states, deltas = given.run(
        scans.scan_backward,
        given.pad(output_gradient),
        tuple(last_gradients),
        kept,
        histories,
        new,
        weights,
        around,
    )
    check_gates(dp, len(inputs) if projection is None else len(projection.kernels))
    d_inputs = [tf.ensure_shape(given.cut(x), given.shape) for x in dp]
    d_projection = None
    if projection is not None:
        d_x, d_projection = projection.back(inputs[0], d_inputs)
        d_inputs = [d_x]
    d_weights = [
        _weight_gradient(given, k, weight, noted, histories) for k, weight in enumerate(weights)
    ]
    d_states = [tf.ensure_shape(x, given.shape[1:]) for x in d_states]
    d_updates = [
        _update_gradient(given, u, new[j], histories[j], deltas[j])
        for j, u in enumerate(updates or ())
        if u is not None
    ]
    return [*d_inputs, *_flatten(d_projection), *d_weights, *d_states, *d_updates]


def _weight_gradient(given, k, weight, noted, histories) -> tf.Tensor:
    """dW_k = sum_t (m_k * u_t)^T d_t, as one product of `(time * batch, units)`."""
    mask = None if given.dropout_masks is None else given.dropout_masks[k]
    parts = []
    for number, state, read, delta in noted:
        if number != k:
            continue
        delta = given.cut(delta)
        if state is None and read is None:  # a bias
            parts.append(tf.reduce_sum(delta, [0, 1]))
            continue
        read = given.cut(read) if state is None else histories[state][: given.length]
        rows, deltas = (
            tf.reshape(x, [-1, size])
            for x, size in zip((masked(read, mask), delta), weight.shape, strict=True)
        )
        parts.append(tf.matmul(rows, deltas, transpose_a=True))
    return tf.add_n(parts) if parts else tf.zeros_like(weight)


def _update_gradient(given, u, new, history, delta) -> tf.Tensor:
    """dalpha_t = delta_t * (n_t - s_{t-1}); its sum where all steps share one alpha."""
    delta_u = given.cut(tf.math.multiply_no_nan(new - history[:-1], delta))
    return tf.reduce_sum(delta_u, [0, 1]) if len(u.shape) == 1 else delta_u
