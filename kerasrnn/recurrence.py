"""The recurrence of a plain RNN, as two hand-written passes over time.

With inputs x_t, weights W_x, W_h, b and activation phi,

    a_t = x_t W_x + h_{t-1} W_h + b        h_t = phi(a_t)

Forward, x_t W_x + b is one matrix product over all time steps, and only
phi(p_t + h_{t-1} W_h), with p_t = x_t W_x + b, is a scan. Backward, with g_t
the gradient that reaches h_t from above, only

    delta_h_t = g_t + xi_{t+1} * (delta_a_{t+1} W_h^T)
    delta_a_t = delta_h_t * phi'(a_t)

is a scan, where the gates xi say how far gradients flow back in time
(`kerasrnn.truncation`; 1 for full backpropagation through time). Every weight
gradient is one matrix product over all time steps:

    dW_h = sum_t h_{t-1}^T delta_a_t       dp_t = delta_a_t

(dW_x, db and dx_t follow from dp_t by ordinary differentiation of
p_t = x_t W_x + b). Everything here is time-major: the first axis is time.

Reference: P. Werbos, "Backpropagation through time: what it does and how to do
it", Proceedings of the IEEE 78(10), 1990, doi:10.1109/5.58337.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from kerasrnn import compilation
from kerasrnn.activations import Activation

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
) -> tf.Tensor:
    """One time step: h_t = phi(p_t + h_{t-1} W_h).

    Args:
        p_t: the projected input x_t W_x + b, `(batch, units)`.
        h: the previous state h_{t-1}, `(batch, units)`.
        W_h: the recurrent kernel, `(units, units)`.
        phi: the activation function.
        dropout_mask: optional mask on h_{t-1}, `(batch, units)`, the same at
            every step of a sequence (Gal & Ghahramani 2016, arXiv:1512.05287).

    Returns:
        h_t, `(batch, units)`.
    """
    if dropout_mask is not None:
        h = h * dropout_mask
    return phi(p_t + tf.matmul(h, W_h))


def scan_forward(
    projected: tf.Tensor,
    W_h: tf.Tensor,
    h_0: tf.Tensor,
    mask: tf.Tensor | None,
    dropout_mask: tf.Tensor | None,
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
        length: int32 scalar, how many leading steps of `projected` count.
        phi: an `Activation`.

    Returns:
        h_1 to h_T, `(time, batch, units)`, and h_T, `(batch, units)`.
    """
    # A tf.TensorArray notes the element's shape as a constant, in which the batch is left
    # open; converters of exported graphs need to know where it comes from.
    element_shape, element_dtype = tf.shape(h_0), h_0.dtype

    def body(t, h, states):
        h_t = step(projected[t], h, W_h, phi.function, dropout_mask)
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
    states: tf.Tensor,
    W_h_transposed: tf.Tensor,
    gates: tf.Tensor | None,
    mask: tf.Tensor | None,
    dropout_mask: tf.Tensor | None,
    length: tf.Tensor,
    phi: Activation,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The gradients delta_a_1 to delta_a_T, and that of the initial state.

    Args:
        state_gradients: g, the gradients that reach the states from above,
            `(time, batch, units)`; or only g_T, `(batch, units)`, when
            nothing but the last state was used.
        states: h_1 to h_T, `(time, batch, units)`.
        gates: `None`, or xi, `(time, batch, 1)` or `(time, 1, 1)`, which
            multiplies what each step hands back to the state before it.
        W_h_transposed: W_h^T, which the loop reads in the order it lies in
            memory: up to twice as fast as W_h.
        mask, dropout_mask, length, phi: as given to `scan_forward`.

    Returns:
        delta_a, `(time, batch, units)`, and dL/dh_0, `(batch, units)`.
    """
    every_step = len(state_gradients.shape) == 3

    def body(t, delta_h, deltas):
        if every_step:
            delta_h = delta_h + state_gradients[t]
        delta_a = delta_h * phi.derivative(states[t])
        if mask is not None:
            delta_a = tf.where(mask[t], delta_a, tf.zeros_like(delta_a))
        through_step = tf.matmul(delta_a, W_h_transposed)
        if dropout_mask is not None:
            through_step = through_step * dropout_mask
        if mask is not None:
            through_step = tf.where(mask[t], through_step, delta_h)
        if gates is not None:  # a gate of 0 stops infinite gradients, too
            through_step = tf.math.multiply_no_nan(through_step, gates[t])
        return t - 1, through_step, deltas.write(t, delta_a)

    shape = tf.shape(states)
    deltas = tf.TensorArray(states.dtype, shape[0], element_shape=states.shape[1:])
    delta_h = tf.zeros(shape[1:], states.dtype) if every_step else state_gradients
    delta_h = tf.ensure_shape(delta_h, states.shape[1:])
    last = (length - 1, delta_h, deltas)
    _, delta_h_0, deltas = tf.while_loop(lambda t, *_: t >= 0, body, last)
    return deltas.stack(), delta_h_0


def recur(
    projected: tf.Tensor,
    W_h: tf.Tensor,
    h_0: tf.Tensor,
    phi: Activation,
    *,
    gates: tf.Tensor | None = None,
    mask: tf.Tensor | None = None,
    dropout_mask: tf.Tensor | None = None,
    every_state: bool = True,
    compiled: bool = True,
) -> tf.Tensor:
    """Runs h_t = phi(p_t + h_{t-1} W_h) over time; exact gradients, by hand.

    The gradient with respect to `projected`, `W_h` and `h_0` is that of
    backpropagation through time, full unless there are `gates`. Gradients of
    gradients are right too, but are computed step by step.

    Args:
        projected: p_t = x_t W_x + b, `(time, batch, units)`. Batch and time
            may be unknown while a graph is traced.
        W_h: the recurrent kernel, `(units, units)`.
        h_0: the initial state, `(batch, units)`.
        phi: an `Activation`.
        gates: optional gates xi on the gradients, `(time, batch, 1)` or
            `(time, 1, 1)`; see `kerasrnn.truncation`.
        mask: optional booleans, `(time, batch, 1)`; a `False` step carries
            the state through unchanged.
        dropout_mask: optional mask on every h_{t-1}, `(batch, units)`. No
            gradient flows to it.
        every_state: whether to return all states or only the last. The
            backward pass of the latter is cheaper.
        compiled: whether XLA compiles the scans. It does so once for every
            shape; where `time` is unknown, for a few rounded lengths.

    Returns:
        The states h_1 to h_T, `(time, batch, units)`, or h_T, `(batch, units)`.
    """
    length, shape = tf.shape(projected)[0], projected.shape
    pad = compiled and (tf.executing_eagerly() or shape[0] is None)
    constants = {
        "gates": gates,
        "mask": mask,
        "dropout_mask": dropout_mask,
        "every_state": every_state,
    }
    if dropout_mask is not None:
        dropout_mask = tf.stop_gradient(dropout_mask)
    if not compiled and compilation.is_inference_only():
        states, last_state = scan_forward(projected, W_h, h_0, mask, dropout_mask, length, phi)
        return tf.ensure_shape(states, shape) if every_state else last_state
    if gates is not None:
        gates = tf.cast(gates, projected.dtype)
        gates = compilation.pad_time(gates, length) if pad else gates
    if pad and mask is not None:
        mask = compilation.pad_time(mask, length)

    def run(scan, time_major, *others):
        if pad and len(time_major.shape) == 3:
            time_major = compilation.pad_time(time_major, length)
        others = (*others, mask, dropout_mask, length)
        return compilation.run(scan, phi, compiled, time_major, *others)

    @tf.custom_gradient
    def recurrence(projected, W_h, h_0):
        states, last_state = run(scan_forward, projected, W_h, h_0)
        states.set_shape([None, *shape[1:]])

        def gradient(upstream):
            transposed = tf.transpose(W_h)
            delta_a, delta_h_0 = run(scan_backward, upstream, states, transposed, gates)
            delta_a = tf.ensure_shape(delta_a[:length], shape)
            h_before = tf.concat([tf.expand_dims(h_0, 0), states], 0)[:length]
            if dropout_mask is not None:
                h_before = h_before * dropout_mask
            units = [-1, W_h.shape[0]]
            dW_h = tf.matmul(
                tf.reshape(h_before, units), tf.reshape(delta_a, units), transpose_a=True
            )
            return delta_a, dW_h, tf.ensure_shape(delta_h_0, shape[1:])

        def twice_differentiable_gradient(upstream):
            sources = [projected, W_h, h_0, upstream]
            return _with_second_order(gradient, sources, phi, constants)

        outputs = states[:length] if every_state else last_state
        outputs = tf.ensure_shape(outputs, shape if every_state else shape[1:])
        return outputs, twice_differentiable_gradient if compiled else gradient

    return recurrence(projected, W_h, h_0)


def _with_second_order(gradient, sources, phi, constants):
    """Gives the results of a compiled gradient a gradient: that of the plain ops."""

    @tf.custom_gradient
    def gradients(*sources):
        def second_order(*upstream_of_gradients):
            with tf.GradientTape() as outer:
                outer.watch(sources)
                with tf.GradientTape() as inner:
                    inner.watch(sources[:3])
                    outputs = recur(*sources[:3], phi, **constants, compiled=False)
                first_order = inner.gradient(outputs, sources[:3], sources[3])
            return outer.gradient(
                first_order, sources, upstream_of_gradients, unconnected_gradients="zero"
            )

        return gradient(sources[3]), second_order

    return gradients(*sources)
