"""Gradients of gradients that are written by hand, beside automatic ones of a plain loop."""

import numpy as np
import pytest
import tensorflow as tf

from kerasrnn.layers.second_order import twice_differentiable

TIME, UNITS = 4, 3


def plain_loop(x, W):
    """h_t = tanh(h_{t-1} W + x_t), all of them."""
    h, states = tf.zeros_like(x[0]), []
    for t in range(TIME):
        h = tf.tanh(h @ W + x[t])
        states.append(h)
    return tf.stack(states)


@tf.custom_gradient
def by_hand(x, W):
    """The same, whose gradient no tape can look into."""
    states = plain_loop(x, W)

    def gradients(upstream):
        """Backpropagation through time in NumPy."""

        def in_numpy(upstream, states, W):
            delta, delta_x, delta_W = 0, np.zeros_like(states), np.zeros_like(W)
            for t in reversed(range(TIME)):
                delta_x[t] = (upstream[t] + delta) * (1 - states[t] ** 2)
                before = states[t - 1] if t else np.zeros_like(states[0])
                delta_W += before.T @ delta_x[t]
                delta = delta_x[t] @ W.T
            return delta_x, delta_W

        found = tf.numpy_function(in_numpy, [upstream, states, W], [x.dtype, W.dtype])
        return [tf.ensure_shape(g, s.shape) for g, s in zip(found, (x, W), strict=True)]

    def gradient(upstream):
        return twice_differentiable(gradients, plain_loop, (x, W), upstream)

    return states, gradient


@pytest.fixture
def tensors(rng):
    x = rng.normal(size=(TIME, 2, UNITS))
    return tf.constant(x), tf.constant(rng.normal(size=(UNITS, UNITS)))


def penalty(function, tensors, factor):
    """A penalty of the gradients, and its gradients for the sources and for u."""
    with tf.GradientTape() as outer:
        outer.watch([*tensors, factor])
        with tf.GradientTape() as inner:
            inner.watch(tensors)
            loss = tf.reduce_sum(factor * function(*tensors) ** 3)
        first = inner.gradient(loss, tensors)
        total = tf.add_n([tf.reduce_sum(g**2) for g in first])
    return first, outer.gradient(total, [*tensors, factor])


@pytest.mark.parametrize("graph", [False, True])
def test_both_orders_are_those_of_a_plain_loop(tensors, rng, graph):
    factor = tf.constant(rng.normal(size=(TIME, 2, UNITS)))

    def run():
        return penalty(by_hand, tensors, factor)

    first, second = (tf.function(run, autograph=False) if graph else run)()
    expected_first, expected_second = penalty(plain_loop, tensors, factor)
    for a, b in zip([*first, *second], [*expected_first, *expected_second], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_a_source_that_changes_no_gradient_gets_zeros():
    x, bias = tf.constant([1.0, 2.0]), tf.constant([3.0, 4.0])

    @tf.custom_gradient
    def add(x, bias):
        def gradient(upstream):
            return twice_differentiable(lambda u: [2 * u, u], plain, (x, bias), upstream)

        return plain(x, bias), gradient

    def plain(x, bias):
        return 2 * x + bias

    with tf.GradientTape() as outer:
        outer.watch([x, bias])
        with tf.GradientTape() as inner:
            inner.watch([x, bias])
            loss = tf.reduce_sum(x * add(x, bias))  # 2 x^2 + bias x
        first = inner.gradient(loss, [x, bias])
        total = tf.reduce_sum(first[0])  # 4 x + bias
    np.testing.assert_allclose(first[0], [7, 12])
    np.testing.assert_allclose(first[1], x)
    second = outer.gradient(total, [x, bias])
    np.testing.assert_allclose(second[0], [4, 4])
    np.testing.assert_allclose(second[1], [1, 1])
