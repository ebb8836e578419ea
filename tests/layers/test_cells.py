"""`VanillaRNNCell` under the Keras cell contract."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from tests import reference

UNITS, FEATURES = 4, 3


@pytest.fixture
def cell():
    cell = kerasrnn.VanillaRNNCell(UNITS)
    cell.build((None, FEATURES))
    return cell


def test_one_step_is_the_equation(cell, rng):
    x, h = rng.normal(size=(2, FEATURES)), rng.normal(size=(2, UNITS))
    W_x, W_h, b = (w.numpy() for w in cell.weights)
    x, h = x.astype("float32"), h.astype("float32")
    output, states = cell(x, [h])
    np.testing.assert_allclose(output, np.tanh(x @ W_x + h @ W_h + b), atol=1e-6)
    assert isinstance(states, list)
    np.testing.assert_array_equal(states[0], output)
    _, state = cell(x, h)
    np.testing.assert_array_equal(state, output)


def test_the_contract_of_a_cell(cell):
    assert cell.units == cell.state_size == cell.output_size == UNITS
    np.testing.assert_array_equal(cell.get_initial_state(batch_size=2)[0], np.zeros((2, UNITS)))
    assert [w.name for w in cell.weights] == ["kernel", "recurrent_kernel", "bias"]


def test_the_cell_inside_keras_rnn_equals_numpy(cell, rng):
    x = rng.normal(size=(2, 6, FEATURES)).astype("float32")
    mask = np.array([[1, 1, 0, 1, 0, 0], [0, 1, 1, 1, 1, 1]], bool)
    layer = keras.layers.RNN(cell, return_sequences=True)
    W_x, W_h, b = (w.numpy() for w in cell.weights)
    expected = reference.forward(x, W_x, W_h, b, np.zeros((2, UNITS)), mask=mask)
    np.testing.assert_allclose(layer(x, mask=tf.constant(mask)), expected, atol=1e-5)


@pytest.mark.parametrize("activation", ["tanh", "gelu"])
def test_the_cell_in_keras_rnn_gives_the_numbers_of_the_layer(rng, activation):
    x = rng.normal(size=(2, 6, FEATURES)).astype("float32")
    layer = kerasrnn.VanillaRNN(UNITS, activation=activation)
    expected = layer(x)
    np.testing.assert_allclose(keras.layers.RNN(layer.cell)(x), expected, atol=1e-6)


def test_the_cell_stacks_and_runs_both_ways(rng):
    x = rng.normal(size=(2, 6, FEATURES)).astype("float32")
    stacked = keras.layers.StackedRNNCells(
        [kerasrnn.VanillaRNNCell(5, dropout=0.2), kerasrnn.VanillaRNNCell(UNITS)]
    )
    layer = keras.layers.Bidirectional(keras.layers.RNN(stacked))
    with tf.GradientTape() as tape:
        outputs = layer(x, training=True)
    assert outputs.shape == (2, 2 * UNITS)
    gradients = tape.gradient(outputs, [w.value for w in layer.trainable_variables])
    assert len(gradients) == 12
    assert all(np.isfinite(g).all() and np.any(g) for g in gradients)


def test_dropout_is_one_mask_a_sequence():
    cell = kerasrnn.VanillaRNNCell(UNITS, activation=None, dropout=0.5, seed=1)
    layer = keras.layers.RNN(cell, return_sequences=True)
    x = tf.ones((3, 5, FEATURES))
    layer.build(x.shape)
    cell.recurrent_kernel.assign(tf.zeros((UNITS, UNITS)))
    outputs = layer(x, training=True).numpy()
    assert not np.allclose(outputs, layer(x, training=False))
    for t in range(1, 5):
        np.testing.assert_array_equal(outputs[:, t], outputs[:, 0])
    assert not np.array_equal(layer(x, training=True)[:, 0], outputs[:, 0])


def test_the_cell_survives_serialization():
    cell = kerasrnn.VanillaRNNCell(
        UNITS, activation="relu", kernel_regularizer="l2", recurrent_dropout=0.1, seed=4
    )
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(cell))
    assert type(copy) is kerasrnn.VanillaRNNCell
    assert copy.get_config() == cell.get_config()
    assert keras.saving.get_registered_name(type(copy)) == "kerasrnn>VanillaRNNCell"


def test_half_precision_cells_compute_in_half_precision():
    cell = kerasrnn.VanillaRNNCell(UNITS, dtype="mixed_bfloat16")
    layer = keras.layers.RNN(cell, dtype="mixed_bfloat16")
    assert layer(tf.ones((2, 3, FEATURES))).dtype == tf.bfloat16
    assert cell.kernel.dtype == "float32"


def test_units_must_be_positive():
    with pytest.raises(ValueError, match="units"):
        kerasrnn.VanillaRNNCell(-1)
