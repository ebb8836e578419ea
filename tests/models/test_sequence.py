"""A stack of layers whose states come out and go in."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn

TIME = 12


@pytest.fixture
def x(rng):
    return rng.normal(size=(4, TIME, 3)).astype("float32")


LAYERS = {
    "vanilla": lambda: kerasrnn.VanillaRNN(6, return_sequences=True),
    "lstm": lambda: keras.layers.LSTM(6, return_sequences=True),
    "stack of cells": lambda: kerasrnn.RNN(
        [keras.layers.LSTMCell(6), keras.layers.GRUCell(6)], return_sequences=True
    ),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_pieces_with_states_handed_on_are_the_whole_sequence(x, kind):
    second = keras.layers.GRU(5, return_sequences=True)
    model = kerasrnn.SequenceModel([LAYERS[kind](), second, keras.layers.Dense(2)])
    whole, end = model(x, return_states=True)
    states, outputs = model.initial_states(len(x)), []
    for start in range(0, TIME, 5):
        y, states = model(x[:, start : start + 5], states=states, return_states=True)
        outputs.append(y)
    np.testing.assert_allclose(tf.concat(outputs, 1), whole, atol=1e-5)
    tf.nest.assert_same_structure(states, end)
    for a, b in zip(tf.nest.flatten(states), tf.nest.flatten(end), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert np.abs(model(x[:, 5:]) - whole[:, 5:]).max() > 1e-3  # states matter


def test_outputs_are_those_of_keras_sequential(x):
    layers = [keras.layers.LSTM(6, return_sequences=True), keras.layers.Dense(2)]
    expected = keras.Sequential(layers)(x)
    np.testing.assert_allclose(kerasrnn.SequenceModel(layers)(x), expected, atol=1e-6)


def test_masked_steps_hand_on_the_state_before_them(rng):
    ids = rng.integers(1, 9, size=(2, 6))
    ids[0, 4:] = 0
    embedding = keras.layers.Embedding(9, 3, mask_zero=True)
    model = kerasrnn.SequenceModel([embedding, keras.layers.GRU(4, return_sequences=True)])
    _, states = model(ids, return_states=True)
    _, short = model(ids[:1, :4], return_states=True)
    np.testing.assert_allclose(states[0][0][:1], short[0][0], atol=1e-6)
    np.testing.assert_array_equal(model.compute_mask(ids), ids != 0)


def test_layers_may_be_connected_otherwise(x):
    class Skip(kerasrnn.SequenceModel):
        def connect(self, inputs, recur):
            recurrent, dense = self.sequence_layers
            return dense(recur(recurrent, inputs)) + inputs

    layers = [keras.layers.GRU(5, return_sequences=True), keras.layers.Dense(3)]
    model = Skip(layers)
    head, states = model(x[:, :9], return_states=True)
    tail = model(x[:, 9:], states=states)
    expected = kerasrnn.SequenceModel(layers)(x) + x
    np.testing.assert_allclose(tf.concat([head, tail], 1), expected, atol=1e-5)


def test_a_saved_model_is_the_same_model(x, tmp_path):
    model = kerasrnn.SequenceModel([LAYERS["stack of cells"](), keras.layers.Dense(2)])
    expected = model(x)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(x), expected, atol=1e-6)
    assert isinstance(loaded.sequence_layers[0], kerasrnn.RNN)


def test_features_say_whether_each_step_is_an_id(x):
    of_values = kerasrnn.SequenceModel([LAYERS["lstm"]()])
    of_values(x)
    assert of_values.feature_dtype == "float32"
    of_ids = kerasrnn.SequenceModel([keras.layers.Embedding(9, 3), LAYERS["lstm"]()])
    of_ids(np.ones((1, 2), "int32"))
    assert of_ids.feature_dtype == "int32"


def test_layers_that_make_no_model_are_refused():
    dense = keras.layers.Dense(2)
    for layers, message in [
        ([], "must hold a Keras layer at least"),
        ("abc", "must be a list of Keras layers"),
        (dense, "must be a list of Keras layers"),
        ([dense, 3], "got 3 among them"),
        ([dense, keras.layers.Masking()], "must be the first layer"),
        ([dense, keras.layers.Embedding(3, 2, mask_zero=True)], "must be the first layer"),
        ([keras.layers.GRU(2, stateful=True), dense], "is stateful"),
    ]:
        with pytest.raises(ValueError, match=message):
            kerasrnn.SequenceModel(layers)


def test_a_cell_with_a_dropout_of_its_own_works_in_inference():
    class DroppingCell(keras.layers.Layer):
        state_size = 3

        def __init__(self):
            super().__init__()
            self.dropout = keras.layers.Dropout(0.5)

        def call(self, inputs, states, training=False):
            h_t = states[0] + self.dropout(inputs, training=training)
            return h_t, [h_t]

    model = kerasrnn.SequenceModel([kerasrnn.RNN(DroppingCell(), return_sequences=True)])
    x = np.ones((2, 4, 3), "float32")
    np.testing.assert_allclose(model(x)[:, -1], 4.0)
    assert not np.allclose(model(x, training=True)[:, -1], 4.0)
