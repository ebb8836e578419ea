"""The adjoint of each cell alone: beside NumPy, finite differences, and itself."""

import numpy as np
import pytest
import tensorflow as tf

from kerasrnn.layers.equations import BackwardProduct, JoinedProduct, Product
from tests.cells import BATCH, CELLS, UNITS, make_cell, tensors_of

ACTIVATIONS = [
    *((kind, "tanh", "sigmoid") for kind in CELLS),
    ("vanilla", "relu", "sigmoid"),
    ("lstm", "sigmoid", "tanh"),
    ("lstm", "linear", "hard_sigmoid"),
    ("gru", "relu", "hard_sigmoid"),
    ("gru, reset before", "linear", "relu"),
]


@pytest.fixture(params=ACTIVATIONS, ids=", ".join)
def cell(request):
    return make_cell(*request.param)


@pytest.fixture
def arrays(cell, rng):
    """What one step reads, and the masks of its weights."""
    arrays = cell.arrays(rng)
    arrays["inputs"] = [p[0] for p in arrays["inputs"]]
    return arrays


@pytest.fixture
def masks(cell, rng):
    return cell.dropout_masks(rng)


@pytest.fixture
def upstream(cell, rng):
    return list(rng.normal(size=(cell.num_states, BATCH, UNITS)))


def take_step(cell, arrays, masks):
    """The new states, and the function of their gradients that gives those of all sources."""
    inputs, weights, states = tensors_of(arrays).values()
    masks = [None if m is None else tf.constant(m) for m in masks]
    new, kept = cell.equations.step(inputs, states, Product(weights, masks))

    def back(gradients):
        transposed = [w if len(w.shape) == 1 else tf.transpose(w) for w in weights]
        product = BackwardProduct(transposed, masks)
        gradients = [tf.constant(g) for g in gradients]
        d_inputs, d_states = cell.equations.adjoint(kept, states, new, gradients, product)
        d_weights = [np.zeros(w.shape) for w in weights]
        for k, read, delta in product.noted:
            if read is None:
                d_weights[k] += np.sum(delta, 0)
            else:
                d_weights[k] += (read * masks[k]).numpy().T @ delta.numpy()
        return {"inputs": d_inputs, "weights": d_weights, "states": d_states}

    return new, back


def by_numpy(cell, arrays, masks):
    masks = [1.0 if mask is None else mask for mask in masks]
    return cell.step(*arrays.values(), masks)


def test_a_step_and_its_adjoint_are_those_of_numpy(cell, arrays, masks, upstream):
    new, back = take_step(cell, arrays, masks)
    expected, expected_back = by_numpy(cell, arrays, masks)
    np.testing.assert_allclose(new, expected, rtol=1e-12)
    expected = expected_back(*upstream)
    for found, each in zip(back(upstream).values(), expected, strict=True):
        for a, b in zip(found, each, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_an_adjoint_is_the_slope_of_its_step(cell, arrays, masks, upstream, rng):
    _, back = take_step(cell, arrays, masks)
    gradients, step = back(upstream), 1e-6

    def loss(name, k, shift):
        changed = {key: list(values) for key, values in arrays.items()}
        changed[name][k] = changed[name][k] + shift
        return np.sum(np.multiply(take_step(cell, changed, masks)[0], upstream))

    for name, values in arrays.items():
        for k, value in enumerate(values):
            direction = rng.normal(size=value.shape)
            slope = loss(name, k, step * direction) - loss(name, k, -step * direction)
            expected = np.sum(gradients[name][k] * direction)
            np.testing.assert_allclose(slope / (2 * step), expected, rtol=1e-6, atol=1e-7)


def test_an_adjoint_is_linear_in_the_gradients(cell, arrays, masks, upstream, rng):
    _, back = take_step(cell, arrays, masks)
    other = list(rng.normal(size=np.shape(upstream)))
    sums = [2 * a - 3 * b for a, b in zip(upstream, other, strict=True)]
    first, second, found = (tf.nest.flatten(back(g)) for g in (upstream, other, sums))
    for a, b, c in zip(first, second, found, strict=True):
        np.testing.assert_allclose(c, 2 * np.asarray(a) - 3 * np.asarray(b), atol=1e-12)
    for zero in tf.nest.flatten(back([np.zeros_like(g) for g in upstream])):
        assert not np.any(zero)


def test_a_joined_product_is_each_product(cell, arrays):
    inputs, weights, states = tensors_of(arrays).values()
    matrices, biases = weights[: cell.num_gates], weights[cell.num_gates :]
    joined = JoinedProduct(tf.concat(matrices, 1), cell.num_gates, biases)
    found, _ = cell.equations.step(inputs, states, joined)
    expected, _ = cell.equations.step(inputs, states, Product(weights))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
