"""The attention of a decoder, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from kerasrnn.models.attention import ContextLayer
from tests import reference

UNITS = 3
MASK = np.array([[1, 1, 1, 0], [1, 0, 1, 1], [0, 0, 1, 0]], bool)


@pytest.fixture(params=["dot", "additive"])
def layer(request):
    made = ContextLayer(request.param, UNITS)
    made(tf.zeros([1, 1, UNITS]), made.remember(tf.zeros([1, 2, UNITS]), tf.ones([1, 2], bool)))
    for number, weight in enumerate(made.weights):
        weight.assign(np.random.default_rng(number).normal(size=weight.shape))
    return made


def looked(layer, queries, values, mask):
    """Outputs and weights by NumPy."""
    keys, projected, v = values, queries, None
    if layer.of_memory is not None:
        kernel, bias = layer.of_memory.get_weights()
        keys = values @ kernel + bias
        projected = queries @ layer.of_queries.get_weights()[0]
        (v,) = layer.attention.get_weights()
    contexts, weights = reference.attend(projected, keys, values, mask, v)
    kernel, bias = layer.combine.get_weights()
    return np.tanh(np.concatenate([contexts, queries], -1) @ kernel + bias), weights


@pytest.mark.parametrize("source_time", [1, 4])
def test_outputs_and_weights_are_those_of_numpy(layer, rng, source_time):
    queries = rng.normal(size=(3, 2, UNITS)).astype("float32")
    values = rng.normal(size=(3, source_time, UNITS)).astype("float32")
    mask = MASK[:, :source_time] if source_time > 1 else np.ones([3, 1], bool)
    outputs, weights = layer(queries, layer.remember(tf.constant(values), tf.constant(mask)))
    expected = looked(layer, queries, values, mask)
    np.testing.assert_allclose(outputs, expected[0], atol=1e-5)
    np.testing.assert_allclose(weights, expected[1], atol=1e-5)
    assert (weights.numpy()[~np.broadcast_to(mask[:, None], weights.shape)] == 0).all()
    np.testing.assert_allclose(tf.reduce_sum(weights, -1), 1, rtol=1e-6)


def test_nothing_but_padding_gives_finite_outputs(layer, rng):
    values = tf.constant(rng.normal(size=(1, 3, UNITS)), tf.float32)
    queries = tf.ones([1, 2, UNITS])
    outputs, weights = layer(queries, layer.remember(values, tf.zeros([1, 3], bool)))
    assert np.isfinite(outputs).all()
    np.testing.assert_allclose(tf.reduce_sum(weights, -1), 1, rtol=1e-6)


def test_an_unknown_score_is_refused():
    with pytest.raises(ValueError, match="score must be one of dot, additive, got score='x'"):
        ContextLayer("x", UNITS)
