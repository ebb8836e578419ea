"""The recurrence of a plain RNN, as two hand-written passes over time.

With inputs x_t, weights W_x, W_h, b and activation phi,

    a_t = x_t W_x + h_{t-1} W_h + b        h_t = phi(a_t)

Forward, x_t W_x + b is one matrix product over all time steps, and only
phi(p_t + h_{t-1} W_h), with p_t = x_t W_x + b, is a scan. Backward, with g_t
the gradient that reaches h_t from above, only

    delta_h_t = g_t + xi_{t+1} * (delta_a_{t+1} W_h^T)
    delta_a_t = delta_h_t * phi'(a_t)

is a scan, where the gates xi say how far gradients flow back in time
(`kerasrnn.layers.truncation`; 1 for full backpropagation through time). Every weight
gradient is one matrix product over all time steps:

    dW_h = sum_t h_{t-1}^T delta_a_t       dp_t = delta_a_t

(dW_x, db and dx_t follow from dp_t by ordinary differentiation of
p_t = x_t W_x + b). Everything here is time-major: the first axis is time.

A step may renew only a share u_t of the state: in leaky integration u_t is the leak
rate, and in zoneout u_t is 0 where a unit keeps its state:

    n_t = phi(a_t)                         h_t = (1 - u_t) h_{t-1} + u_t n_t

Backward, a second path then leads past the activation and W_h:

    delta_a_t = u_t * delta_h_t * phi'(a_t)
    delta_h_t = g_t + xi_{t+1} * (delta_a_{t+1} W_h^T + (1 - u_{t+1}) * delta_h_{t+1})
    delta_u_t = delta_h_t * (n_t - h_{t-1})

References: P. Werbos, "Backpropagation through time: what it does and how to do
it", Proceedings of the IEEE 78(10), 1990, doi:10.1109/5.58337. D. Krueger et
al., "Zoneout", 2016, arXiv:1606.01305. H. Jaeger et al., "Optimization and
applications of echo state networks with leaky-integrator neurons", Neural
Networks 20(3), 2007, doi:10.1016/j.neunet.2007.04.016.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from kerasrnn.layers import compilation
from kerasrnn.layers.activations import Activation
from kerasrnn.layers.compilation import Execution
from kerasrnn.layers.second_order import twice_differentiable

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "kerasrnn needs the TensorFlow backend of Keras, but "
        f"keras.backend.backend() is {keras.backend.backend()!r}. "
        "Set the environment variable KERAS_BACKEND=tensorflow."
    )


def step(
    p_t: tf.Tensor,
    h: tf.Tensor,
    W_h: tf.Tensor,
    phi: Callable,
    dropout_mask: tf.Tensor | None = None,
    update: tf.Tensor | None = None,
) -> tf.Tensor:
    """One time step: h_t = (1 - u_t) h_{t-1} + u_t phi(p_t + h_{t-1} W_h).

    Args:
        p_t: the projected input x_t W_x + b, `(batch, units)`.
        h: the previous state h_{t-1}, `(batch, units)`.
        W_h: the recurrent kernel, `(units, units)`.
        phi: the activation function.
        dropout_mask: optional mask on h_{t-1}, `(batch, units)`, the same at
            every step of a sequence (Gal & Ghahramani 2016, arXiv:1512.05287).
        update: u_t, `(units,)` or `(batch, units)`. Default: 1.

    Returns:
        h_t, `(batch, units)`.
    """
    read = h if dropout_mask is None else h * dropout_mask
    n_t = phi(p_t + tf.matmul(read, W_h))
    return n_t if update is None else (1 - update) * h + update * n_t


def _at(t: tf.Tensor, update: tf.Tensor | None) -> tf.Tensor | None:
    """u_t, where u is the same at all steps, `(units,)`, or has one entry a step."""
    return update if update is None or len(update.shape) == 1 else update[t]


def scan_forward(
    projected: tf.Tensor,
    W_h: tf.Tensor,
    h_0: tf.Tensor,
    mask: tf.Tensor | None,
    dropout_mask: tf.Tensor | None,
    update: tf.Tensor | None,
    length: tf.Tensor,
    phi: Activation,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The states h_1 to h_T.

    Args:
        projected: p, `(time, batch, units)`.
        W_h: `(units, units)`.
        h_0: the initial state, `(batch, units)`.
        mask: `None`, or booleans `(time, batch, 1)`. A masked (`False`) step
            carries the state through unchanged.
        dropout_mask: `None` or `(batch, units)`.
        update: `None`, or u, `(units,)` or `(time, batch, units)`.
        length: int32 scalar, how many leading steps of `projected` count.
        phi: an `Activation`.

    Returns:
        h_1 to h_T, `(time, batch, units)`, and h_T, `(batch, units)`.
    """
    # A tf.TensorArray notes the element's shape as a constant, in which the batch is left
    # open; converters of exported graphs need to know where it comes from.
    element_shape, element_dtype = tf.shape(h_0), h_0.dtype

    def body(t, h, states):
        h_t = step(projected[t], h, W_h, phi.function, dropout_mask, _at(t, update))
        if mask is not None:
            h_t = tf.where(mask[t], h_t, h)
        states = tf.raw_ops.TensorListSetItem(input_handle=states, index=t, item=h_t)
        return t + 1, h_t, states

    states = tf.raw_ops.TensorListReserve(
        element_shape=element_shape,
        num_elements=tf.shape(projected)[0],
        element_dtype=element_dtype,
    )
    first = (tf.constant(0), h_0, states)
    _, h_T, states = tf.while_loop(lambda t, *_: t < length, body, first)
    states = tf.raw_ops.TensorListStack(
        input_handle=states, element_shape=element_shape, element_dtype=element_dtype
    )
    return tf.ensure_shape(states, [None, *h_0.shape]), h_T


def scan_backward(
    state_gradients: tf.Tensor,
    activations: tf.Tensor,
    W_h_transposed: tf.Tensor,
    gates: tf.Tensor | None,
    mask: tf.Tensor | None,
    dropout_mask: tf.Tensor | None,
    update: tf.Tensor | None,
    length: tf.Tensor,
    phi: Activation,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
    """The gradients delta_a_1 to delta_a_T, and that of the initial state.

    Args:
        state_gradients: g, the gradients that reach the states from above,
            `(time, batch, units)`; or only g_T, `(batch, units)`, when
            nothing but the last state was used.
        activations: phi(a_1) to phi(a_T), `(time, batch, units)`; without
            `update` they are the states h_1 to h_T.
        gates: `None`, or xi, `(time, batch, 1)` or `(time, 1, 1)`, which
            multiplies what each step hands back to the state before it.
        W_h_transposed: W_h^T, which the loop reads in the order it lies in
            memory: up to twice as fast as W_h.
        mask, dropout_mask, update, length, phi: as given to `scan_forward`.

    Returns:
        delta_a, `(time, batch, units)`; dL/dh_0, `(batch, units)`; with
        `update` also delta_h, `(time, batch, units)`, 0 at masked steps.
    """
    every_step = len(state_gradients.shape) == 3

    def body(t, delta_h, deltas, state_deltas):
        if every_step:
            delta_h = delta_h + state_gradients[t]
        u_t = _at(t, update)
        delta_n = delta_h if u_t is None else u_t * delta_h
        delta_a = delta_n * phi.derivative(activations[t])
        if mask is not None:
            delta_a = tf.where(mask[t], delta_a, tf.zeros_like(delta_a))
        through_step = tf.matmul(delta_a, W_h_transposed)
        if dropout_mask is not None:
            through_step = through_step * dropout_mask
        if u_t is not None:
            through_step = through_step + (1 - u_t) * delta_h
            used = delta_h if mask is None else tf.where(mask[t], delta_h, 0)
            state_deltas = (state_deltas[0].write(t, used),)
        if mask is not None:
            through_step = tf.where(mask[t], through_step, delta_h)
        if gates is not None:  # a gate of 0 stops infinite gradients, too
            through_step = tf.math.multiply_no_nan(through_step, gates[t])
        return t - 1, through_step, deltas.write(t, delta_a), state_deltas

    shape = tf.shape(activations)

    def array():
        return tf.TensorArray(activations.dtype, shape[0], element_shape=activations.shape[1:])

    delta_h = tf.zeros(shape[1:], activations.dtype) if every_step else state_gradients
    delta_h = tf.ensure_shape(delta_h, activations.shape[1:])
    last = (length - 1, delta_h, array(), () if update is None else (array(),))
    _, delta_h_0, deltas, state_deltas = tf.while_loop(lambda t, *_: t >= 0, body, last)
    return deltas.stack(), delta_h_0, state_deltas[0].stack() if state_deltas else None


def recur(
    projected: tf.Tensor,
    W_h: tf.Tensor,
    h_0: tf.Tensor,
    phi: Activation,
    *,
    gates: tf.Tensor | None = None,
    mask: tf.Tensor | None = None,
    dropout_mask: tf.Tensor | None = None,
    update: tf.Tensor | None = None,
    every_state: bool = True,
    execution: Execution = Execution.COMPILED,
) -> tf.Tensor:
    """Runs h_t = phi(p_t + h_{t-1} W_h) over time; exact gradients, by hand.

    The gradient with respect to `projected`, `W_h`, `h_0` and `update` is that of
    backpropagation through time, full unless there are `gates`. Gradients of
    gradients are right too, but are computed step by step.

    Args:
        projected: p_t = x_t W_x + b, `(time, batch, units)`. Batch and time
            may be unknown while a graph is traced.
        W_h: the recurrent kernel, `(units, units)`.
        h_0: the initial state, `(batch, units)`.
        phi: an `Activation`.
        gates: optional gates xi on the gradients, `(time, batch, 1)` or
            `(time, 1, 1)`; see `kerasrnn.layers.truncation`.
        mask: optional booleans, `(time, batch, 1)`; a `False` step carries
            the state through unchanged.
        dropout_mask: optional mask on every h_{t-1}, `(batch, units)`. No
            gradient flows to it.
        update: optional shares u of the state that steps renew, `(units,)` or
            `(time, batch, units)`. Default: 1.
        every_state: whether to return all states or only the last. The
            backward pass of the latter is cheaper.
        execution: how the scans run; `kerasrnn.layers.compilation.choose_execution`
            gives the one that fits. `PORTABLE` takes no `gates` into account. Default:
            `Execution.COMPILED`, where buffers of unknown length are padded to a few
            lengths.

    Returns:
        The states h_1 to h_T, `(time, batch, units)`, or h_T, `(batch, units)`.
    """
    unknown_length = tf.executing_eagerly() or projected.shape[0] is None
    pads = execution is Execution.COMPILED and unknown_length
    length = tf.shape(projected)[0]
    given = _Given(phi, projected.shape, length, every_state, execution, pads)
    given = given._replace(
        gates=given.pad(None if gates is None else tf.cast(gates, projected.dtype)),
        mask=given.pad(mask),
        dropout_mask=None if dropout_mask is None else tf.stop_gradient(dropout_mask),
    )
    sources = [projected, W_h, h_0, *([] if update is None else [update])]
    if execution is Execution.PORTABLE:
        others = given.mask, given.dropout_mask, update, given.length
        states, last_state = scan_forward(projected, W_h, h_0, *others, phi)
        return tf.ensure_shape(states, projected.shape) if every_state else last_state
    return _differentiable(given, *sources)


class _Given(NamedTuple):
    """What one run of the recurrence is given and no gradient flows to; see `recur`."""

    phi: Activation
    shape: tf.TensorShape
    """That of p, as far as it is known."""
    length: tf.Tensor
    """How many leading steps count."""
    every_state: bool
    execution: Execution
    pads: bool
    """Whether buffers over time are padded to a few lengths."""
    gates: tf.Tensor | None = None
    mask: tf.Tensor | None = None
    dropout_mask: tf.Tensor | None = None

    def pad(self, tensor: tf.Tensor | None) -> tf.Tensor | None:
        """A tensor `(time, ...)`, padded where buffers are; others stay as they are."""
        over_time = self.pads and tensor is not None and len(tensor.shape) == 3
        return compilation.pad_time(tensor, self.length) if over_time else tensor


def _differentiable(given: _Given, *sources: tf.Tensor) -> tf.Tensor:
    """The states, with a gradient written by hand for p, W_h, h_0 and, if given, u."""
    return tf.custom_gradient(lambda *sources: _run_forward(given, *sources))(*sources)


def _run_forward(
    given: _Given, projected: tf.Tensor, W_h: tf.Tensor, h_0: tf.Tensor, *update: tf.Tensor
) -> tuple[tf.Tensor, Callable]:
    """h_t = (1 - u_t) h_{t-1} + u_t phi(p_t + h_{t-1} W_h), and the gradient's function."""
    p, u = given.pad(projected), given.pad(update[0]) if update else None
    states, last_state = compilation.run(
        scan_forward,
        given.phi,
        given.execution,
        *(p, W_h, h_0, given.mask, given.dropout_mask, u, given.length),
    )
    states.set_shape([None, *given.shape[1:]])
    if given.every_state:
        outputs = tf.ensure_shape(states[: given.length], given.shape)
    else:
        outputs = tf.ensure_shape(last_state, given.shape[1:])
    gradients = functools.partial(_run_backward, given, p, W_h, h_0, u, states)
    if given.execution.is_opaque:
        plain = given._replace(execution=Execution.IN_PLACE, pads=False)
        gradients = functools.partial(
            twice_differentiable,
            gradients,
            functools.partial(_differentiable, plain),
            (projected, W_h, h_0, *update),
        )
    return outputs, gradients


def _run_backward(
    given: _Given,
    p: tf.Tensor,
    W_h: tf.Tensor,
    h_0: tf.Tensor,
    u: tf.Tensor | None,
    states: tf.Tensor,
    upstream: tf.Tensor,
) -> list[tf.Tensor]:
    """The gradients dp, dW_h, dh_0 and, with u, du.

    Args:
        given: the rest of what the pass forward was given.
        p, W_h, h_0, u: the sources, padded.
        states: h_1 to h_T, padded.
        upstream: g_1 to g_T, or g_T alone.
    """
    length = given.length
    h_before = tf.concat([tf.expand_dims(h_0, 0), states], 0)[:-1]
    read = h_before if given.dropout_mask is None else h_before * given.dropout_mask
    activations = states
    if u is not None:  # the states hide them; one product for all steps finds them again
        activations = given.phi.function(p + _matmul(read, W_h))
    delta_a, delta_h_0, delta_h = compilation.run(
        scan_backward,
        given.phi,
        given.execution,
        given.pad(upstream),
        activations,
        tf.transpose(W_h),
        *(given.gates, given.mask, given.dropout_mask, u, length),
    )
    dp = tf.ensure_shape(delta_a[:length], given.shape)
    dW_h = _kernel_gradient(read[:length], dp)
    gradients = [dp, dW_h, tf.ensure_shape(delta_h_0, given.shape[1:])]
    if u is not None:
        gradients.append(_update_gradient(activations, h_before, delta_h, u, length))
    return gradients


def _kernel_gradient(read: tf.Tensor, delta_a: tf.Tensor) -> tf.Tensor:
    """dW_h = sum_t h_{t-1}^T delta_a_t, as one product of `(time * batch, units)`."""
    rows = [-1, delta_a.shape[-1]]
    return tf.matmul(tf.reshape(read, rows), tf.reshape(delta_a, rows), transpose_a=True)


def _update_gradient(
    activations: tf.Tensor,
    h_before: tf.Tensor,
    delta_h: tf.Tensor,
    u: tf.Tensor,
    length: tf.Tensor,
) -> tf.Tensor:
    """delta_u_t = delta_h_t * (n_t - h_{t-1}); its sum where all steps share one u."""
    delta_u = tf.math.multiply_no_nan(activations - h_before, delta_h)[:length]
    return tf.reduce_sum(delta_u, [0, 1]) if len(u.shape) == 1 else delta_u


def _matmul(sequences: tf.Tensor, W_h: tf.Tensor) -> tf.Tensor:
    """`(time, batch, units)` times `(units, units)`, as one product."""
    products = tf.matmul(tf.reshape(sequences, [-1, W_h.shape[0]]), W_h)
    return tf.reshape(products, tf.shape(sequences))
