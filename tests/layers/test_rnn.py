"""The loop over any cell, step by step, beside sums that NumPy makes.

What every recurrent layer must do is in tests/conformance.py; policies of truncation are in
test_truncation.py.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.layers.rnn import by_time, run_step_by_step

BATCH, TIME = 2, 5
X = np.random.default_rng(0).normal(size=(BATCH, TIME, 3)).astype("float32")
MASK = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]], bool)


class SumCell(keras.layers.Layer):
    """Its state is the sum of its inputs so far; it puts that out."""

    state_size = 3

    def call(self, inputs, states):
        return states[0] + inputs, [states[0] + inputs]


def sums(x, mask=None, h_0=0.0):
    """The running sums of the steps that are not masked."""
    return h_0 + np.cumsum(x if mask is None else x * mask[..., None], axis=1)


def counting_step(layer):
    """A step of the cell that records its number, which it reads from the elements."""

    def step(x_t, states, number):
        output, states = layer.cell(x_t, states)
        return output, states, [number]

    return step


def run(layer, **options):
    options = {"mask": None, **options}
    numbers = tf.range(10.0, 10.0 + TIME)
    return run_step_by_step(
        layer,
        counting_step(layer),
        tf.constant(X),
        [tf.ones([BATCH, 3])],
        elements=[numbers],
        records=[tf.constant(0.0)],
        **options,
    )


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_steps_read_elements_and_leave_records(graph, masked):
    mask = MASK if masked else None
    layer = kerasrnn.RNN(SumCell(), return_sequences=True)

    def call():
        return run(layer, mask=None if mask is None else tf.constant(mask))

    last, outputs, states, (numbers,) = (tf.function(call) if graph else call)()
    expected = sums(X, mask, h_0=1.0)
    if masked:  # before the first step that counts, zeros are put out
        np.testing.assert_array_equal(outputs[1, 0], np.zeros(3))
        outputs, expected = outputs[:, 1:], expected[:, 1:]
    np.testing.assert_allclose(outputs, expected, atol=1e-6)
    np.testing.assert_allclose(last, expected[:, -1], atol=1e-6)
    np.testing.assert_allclose(states[0], expected[:, -1], atol=1e-6)
    np.testing.assert_array_equal(numbers, np.arange(10, 10 + TIME))


def test_masked_steps_may_put_out_zeros():
    layer = kerasrnn.RNN(SumCell(), return_sequences=True, zero_output_for_mask=True)
    _, outputs, states, _ = run(layer, mask=tf.constant(MASK))
    expected = sums(X, MASK, h_0=1.0)
    np.testing.assert_allclose(outputs, expected * MASK[..., None], atol=1e-6)
    np.testing.assert_allclose(states[0], expected[:, -1], atol=1e-6)


def test_backwards_the_last_step_comes_first():
    layer = kerasrnn.RNN(SumCell(), return_sequences=True, go_backwards=True)
    _, outputs, _, _ = run(layer)
    np.testing.assert_allclose(outputs, sums(X[:, ::-1], h_0=1.0), atol=1e-6)
    inputs, mask = by_time(layer, tf.constant(X), tf.constant(MASK))
    np.testing.assert_array_equal(inputs, X[:, ::-1].transpose(1, 0, 2))
    np.testing.assert_array_equal(mask, MASK[:, ::-1].T[..., None])


def test_without_sequences_only_the_last_output_is_kept():
    last, outputs, _, _ = run(kerasrnn.RNN(SumCell()))
    np.testing.assert_array_equal(outputs, last[:, None])


def test_a_mask_may_have_an_axis_of_units():
    of_units = np.random.default_rng(1).random((BATCH, TIME, 3)) < 0.5
    _, mask = by_time(kerasrnn.RNN(SumCell()), tf.constant(X), tf.constant(of_units))
    np.testing.assert_array_equal(mask, of_units.transpose(1, 0, 2))


@pytest.mark.parametrize("truncation", [None, kerasrnn.TruncatedBPTT(2)])
def test_the_layer_gives_the_sums_under_every_policy(truncation):
    layer = kerasrnn.RNN(SumCell(), return_sequences=True, truncation=truncation)
    for training in (False, True):
        found = layer(X, mask=MASK, training=training)
        np.testing.assert_allclose(found[:, 1:], sums(X, MASK)[:, 1:], atol=1e-6)


def test_the_policy_of_a_layer_may_be_changed():
    layer = kerasrnn.RNN(SumCell())
    assert layer.truncation == kerasrnn.FullBPTT()
    assert layer.gates(X, training=True) is None
    layer.truncation = kerasrnn.TruncatedBPTT(2)
    assert layer.gates(X, training=False) is None
    found = np.ravel(layer.gates(tf.constant(X), training=True))
    np.testing.assert_array_equal(found, [1, 1, 0, 1, 0])
    copy = kerasrnn.RNN.from_config(kerasrnn.RNN(keras.layers.GRUCell(2)).get_config())
    assert copy.truncation == kerasrnn.FullBPTT()


def test_layers_that_cannot_be_made_are_refused():
    for cell in ([], ()):
        with pytest.raises(ValueError, match="must be a cell or a list of cells"):
            kerasrnn.RNN(cell)
    with pytest.raises(ValueError, match="return_sequences must be True or False"):
        kerasrnn.RNN(SumCell(), return_sequences="yes")
    unrolled = tf.function(kerasrnn.RNN(SumCell(), unroll=True))
    with pytest.raises(ValueError, match="unroll=True needs sequences of a known length"):
        unrolled.get_concrete_function(tf.TensorSpec([2, None, 3]))
