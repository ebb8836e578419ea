"""Dropout masks: one a sequence, drawn in training alone, and known to one call only."""

import contextlib
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.layers import dropout, steps

BATCH, TIME, FEATURES, UNITS = 3, 5, 4, 6
RATES = {"dropout": 0.5, "recurrent_dropout": 0.5}
LAYERS = {
    "fast": lambda phi: kerasrnn.VanillaRNN(UNITS, **RATES),
    "lstm": lambda phi: kerasrnn.LSTM(UNITS, **RATES),
    "lstm, step by step": lambda phi: kerasrnn.LSTM(UNITS, phi, "softsign", **RATES),
    "gru": lambda phi: kerasrnn.GRU(UNITS, **RATES, implementation=1),
    "generic": lambda phi: kerasrnn.VanillaRNN(UNITS, phi, **RATES),
    "cell": lambda phi: kerasrnn.RNN(kerasrnn.VanillaRNNCell(UNITS, phi, **RATES)),
    "stack": lambda phi: kerasrnn.RNN(
        [kerasrnn.VanillaRNNCell(UNITS, phi, **RATES), keras.layers.GRUCell(UNITS)]
    ),
    "gates": lambda phi: kerasrnn.RNN(
        kerasrnn.VanillaRNNCell(UNITS, phi, **RATES),
        truncation=kerasrnn.TruncatedBPTT(2),
    ),
}


class Meeting:
    """An activation at which another thread waits until it may go on."""

    def __init__(self):
        self.arrived, self.may_go_on = threading.Event(), threading.Event()
        self.waiting = None

    def __call__(self, a):
        if threading.current_thread() is self.waiting:
            self.arrived.set()
            assert self.may_go_on.wait(60)
        return tf.tanh(a)

    @contextlib.contextmanager
    def of(self, function):
        """Inside, a thread is in the middle of `function`."""
        errors = []

        def run():
            try:
                function()
            except Exception as error:
                errors.append(error)
                self.arrived.set()

        self.waiting = threading.Thread(target=run)
        self.waiting.start()
        try:
            assert self.arrived.wait(60)
            yield
        finally:
            self.may_go_on.set()
            self.waiting.join()
        assert not errors, errors


def trainings(layer, batch=BATCH):
    """What three calls in training give, with draws that begin where those of others do."""
    layer.cell.seed_generator.state.assign([1, 2])
    return [layer(tf.ones([batch, TIME, FEATURES]), training=True).numpy() for _ in range(3)]


@pytest.mark.parametrize("kind", ["generic", "cell", "gates", "lstm, step by step"])
@pytest.mark.parametrize("training", [False, True])
def test_a_call_in_another_thread_changes_no_mask_of_a_training(kind, training):
    meeting = Meeting()
    layer = LAYERS[kind](meeting)
    layer.build([None, None, FEATURES])
    expected = trainings(layer)
    assert not np.allclose(expected[0], expected[1])
    other = tf.ones([BATCH + 1, TIME, FEATURES])
    with meeting.of(lambda: layer(other, training=training)):
        found = trainings(layer)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_a_fast_layer_trains_in_one_thread_while_another_infers():
    layer = LAYERS["fast"](None)
    x = tf.ones([BATCH, TIME, FEATURES])
    layer.build(x.shape)
    expected, without = trainings(layer), layer(x).numpy()
    stop, found = threading.Event(), []

    def infer():
        while not stop.is_set():
            found.append(layer(tf.ones([BATCH, TIME, FEATURES]), training=False))

    thread = threading.Thread(target=infer)
    thread.start()
    try:
        for _ in range(15):
            np.testing.assert_array_equal(trainings(layer), expected)
    finally:
        stop.set()
        thread.join()
    assert found
    for outputs in found:
        np.testing.assert_array_equal(outputs, without)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_call_keeps_nothing_and_inference_draws_nothing(kind):
    layer = LAYERS[kind]("tanh")
    x = tf.ones([BATCH, TIME, FEATURES])
    layer.build(x.shape)
    cells = [c for c in getattr(layer.cell, "cells", [layer.cell]) if dropout.takes_masks(c)]
    assert len(cells) == 1
    attributes, state = dict(vars(cells[0])), cells[0].seed_generator.state.numpy()
    first = layer(x)
    np.testing.assert_array_equal(layer(x), first)
    np.testing.assert_array_equal(cells[0].seed_generator.state, state)
    assert not np.allclose(layer(x, training=True), first)
    assert not np.array_equal(cells[0].seed_generator.state, state)
    np.testing.assert_array_equal(layer(x), first)
    assert {n: v for n, v in vars(cells[0]).items() if "mask" in n or "dropout" in n} == {
        n: v for n, v in attributes.items() if "mask" in n or "dropout" in n
    }


@pytest.mark.parametrize("kind", LAYERS)
def test_graphs_of_inference_hold_no_random_numbers(kind):
    layer = LAYERS[kind]("tanh")
    layer.build([None, None, FEATURES])
    traced = tf.function(layer).get_concrete_function(tf.TensorSpec([None, None, FEATURES]))
    ops = {op.type for op in traced.graph.get_operations()}
    assert not {op for op in ops if "Random" in op or "Assign" in op}


CELLS = {
    "cell": lambda: kerasrnn.VanillaRNNCell(UNITS, **RATES, seed=3),
    "lstm": lambda: kerasrnn.LSTMCell(UNITS, **RATES, seed=3),
    "gru": lambda: kerasrnn.GRUCell(UNITS, **RATES, seed=3, implementation=1),
    # Where a layer runs all steps in one scan, zoneout draws once for all of them.
    "zoneout": lambda: kerasrnn.VanillaRNNCell(UNITS, dropout=0.5, zoneout=0.3, seed=3),
    "zoneout, step by step": lambda: kerasrnn.LSTMCell(
        UNITS, "gelu", dropout=0.5, zoneout=0.3, seed=3
    ),
    "stack": lambda: [
        kerasrnn.VanillaRNNCell(5, **RATES, zoneout=0.2, seed=3),
        keras.layers.LSTMCell(UNITS, **RATES, seed=4),
        kerasrnn.VanillaRNNCell(UNITS, recurrent_dropout=0.5, seed=5),
    ],
    "own stack": lambda: OwnStack(
        [kerasrnn.VanillaRNNCell(5, **RATES, seed=3), keras.layers.GRUCell(UNITS, seed=4)]
    ),
}


@pytest.mark.parametrize(
    ("kind", "unroll", "graph"),
    [
        ("cell", False, True),
        ("cell", True, False),
        ("lstm", False, False),
        ("gru", False, True),
        ("zoneout, step by step", False, False),
        ("zoneout", True, True),
        pytest.param("stack", False, True, marks=pytest.mark.slow),
        ("stack", True, False),
        ("own stack", False, False),
        ("own stack", True, True),
    ],
)
def test_the_same_seed_gives_the_numbers_of_keras_rnn(rng, kind, unroll, graph):
    x = tf.constant(rng.normal(size=(BATCH, TIME, FEATURES)), tf.float32)
    mask = tf.constant(rng.integers(0, 2, size=(BATCH, TIME)), tf.bool)
    layers = [
        layer_class(CELLS[kind](), return_sequences=True, unroll=unroll)
        for layer_class in (keras.layers.RNN, kerasrnn.RNN)
    ]
    for layer in layers:
        layer.build(x.shape)
    layers[1].set_weights(layers[0].get_weights())
    calls = [
        tf.function(layer, autograph=False, reduce_retracing=True) if graph else layer
        for layer in layers
    ]
    for _ in range(2):
        expected, found = (call(x, mask=mask, training=True) for call in calls)
        np.testing.assert_allclose(found, expected, atol=1e-6)


@keras.saving.register_keras_serializable(package="tests")
class OwnStack(keras.layers.StackedRNNCells):
    """A stack that does something else than Keras' with its cells."""

    def call(self, inputs, states, training=False):
        output, new_states = super().call(inputs, states, training=training)
        return 2 * output, new_states


@pytest.mark.parametrize("kind", ["lstm", "gru", "simple"])
def test_keras_cells_forget_their_masks_and_draw_none_in_inference(kind):
    make = {
        "lstm": keras.layers.LSTMCell,
        "gru": keras.layers.GRUCell,
        "simple": keras.layers.SimpleRNNCell,
    }[kind]
    cell = make(UNITS, **RATES, seed=1)
    layer = kerasrnn.RNN(cell, truncation=kerasrnn.TruncatedBPTT(2))
    x = tf.ones([BATCH, TIME, FEATURES])
    first, state = layer(x), cell.seed_generator.state.numpy()
    np.testing.assert_array_equal(layer(x), first)
    np.testing.assert_array_equal(cell.seed_generator.state, state)
    assert not np.allclose(layer(x, training=True), layer(x, training=True))
    assert cell._dropout_mask is None
    assert cell.dropout == cell.recurrent_dropout == 0.5


def test_a_step_in_inference_draws_nothing_in_a_graph():
    cell = keras.layers.LSTMCell(UNITS, **RATES)
    cell.build([None, FEATURES])
    traced = tf.function(
        lambda x: steps.call_cell(cell, x, cell.get_initial_state(BATCH), training=False)[0]
    ).get_concrete_function(tf.TensorSpec([BATCH, FEATURES]))
    assert not {op.type for op in traced.graph.get_operations() if "Random" in op.type}
    assert getattr(cell, "_dropout_mask", None) is None
