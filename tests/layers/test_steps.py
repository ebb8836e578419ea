"""One step of a cell, with masks and gates, beside closed forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.layers.dropout import DropoutMasks
from kerasrnn.layers.steps import call_cell, output_size, take_step


class Counter(keras.layers.Layer):
    """Adds its input to its state, and in training 100 to its output."""

    def __init__(self, units=2):
        super().__init__()
        self.state_size = units

    def call(self, inputs, states, training=False):
        h_t = states[0] + inputs
        return h_t + (100.0 if training else 0.0), [h_t]


class Untrained(Counter):
    """The same; its call knows no training."""

    def call(self, inputs, states):
        return super().call(inputs, states)


X, H = tf.constant([[1.0, 2], [3, 4]]), tf.constant([[10.0, 20], [30, 40]])


@pytest.mark.parametrize("training", [False, True])
def test_a_cell_is_told_of_training_if_it_can_hear(training):
    for cell, extra in ((Counter(), 100 * training), (Untrained(), 0)):
        output, states = call_cell(cell, X, [H], training)
        np.testing.assert_array_equal(output, X + H + extra)
        np.testing.assert_array_equal(states[0], X + H)
        assert isinstance(states, list)


def test_masks_reach_the_inputs_and_the_states_of_a_cell(rng):
    cell = kerasrnn.VanillaRNNCell(2, activation=None, dropout=0.5, recurrent_dropout=0.5)
    cell.build((2, 2))
    kernel, recurrent = rng.normal(size=(2, 2, 2)).astype("float32")
    bias = np.array([0.5, -0.5], "float32")
    cell.set_weights([kernel, recurrent, bias])
    of_inputs, of_states = tf.constant([[2.0, 0], [0, 2]]), tf.constant([[0.0, 2], [2, 2]])
    output, (h_t,) = call_cell(cell, X, [H], True, DropoutMasks(of_inputs, of_states))
    expected = (X * of_inputs).numpy() @ kernel + (H * of_states).numpy() @ recurrent + bias
    np.testing.assert_allclose(output, expected, rtol=1e-5)
    np.testing.assert_array_equal(h_t, output)
    plain, _ = call_cell(cell, X, [H], False)
    np.testing.assert_allclose(plain, X @ kernel + H @ recurrent + bias, rtol=1e-5)


def test_a_stack_goes_through_its_cells_in_order():
    stack = keras.layers.StackedRNNCells([Counter(), Counter()])
    for masks in (None, [None, None]):
        output, (first, second) = call_cell(stack, X, [H, 2 * H], False, masks)
        np.testing.assert_array_equal(tf.squeeze(first), X + H)
        np.testing.assert_array_equal(tf.squeeze(second), X + H + 2 * H)
        np.testing.assert_array_equal(output, X + 3 * H)


def double(states):
    return tf.nest.map_structure(lambda s: 2 * s, states), "else"


@pytest.mark.parametrize(
    "states", [H, [H], {"a": H, "b": [H, 3 * H]}], ids=["one", "list", "nest"]
)
def test_a_mask_keeps_the_states_where_it_is_false(states):
    new, others = take_step(double, states, mask=tf.constant([[True], [False]]))
    assert others == "else"
    tf.nest.assert_same_structure(new, states)
    for a, b in zip(tf.nest.flatten(new), tf.nest.flatten(states), strict=True):
        np.testing.assert_array_equal(a, b * np.array([[2], [1]]))
    new, _ = take_step(double, states)
    for a, b in zip(tf.nest.flatten(new), tf.nest.flatten(states), strict=True):
        np.testing.assert_array_equal(a, 2 * b)


@pytest.mark.parametrize("gate", [[[0.0]], [[3.0]], [[0.5], [2.0]]])
def test_a_gate_multiplies_the_gradient_and_no_state(gate):
    with tf.GradientTape() as tape:
        tape.watch(H)
        new, _ = take_step(double, H, tf.constant(gate))
        total = tf.reduce_sum(new)
    np.testing.assert_array_equal(new, 2 * H)
    np.testing.assert_array_equal(tape.gradient(total, H), np.full((2, 2), 2.0) * gate)


def test_at_a_masked_step_the_gradient_passes_the_gate_alone():
    gate, mask = tf.constant([[3.0]]), tf.constant([[True], [False]])
    with tf.GradientTape() as tape:
        tape.watch(H)
        total = tf.reduce_sum(take_step(double, H, gate, mask)[0])
    np.testing.assert_array_equal(tape.gradient(total, H), [[6, 6], [3, 3]])


def test_the_size_of_an_output():
    assert output_size(Counter(5)) == 5
    assert output_size(keras.layers.LSTMCell(4)) == 4
    stack = keras.layers.StackedRNNCells([keras.layers.LSTMCell(4), keras.layers.GRUCell(3)])
    assert output_size(stack) == 3
    cell = Counter(5)
    cell.state_size = [7, 5]
    assert output_size(cell) == 7
    cell.output_size = 2
    assert output_size(cell) == 2
