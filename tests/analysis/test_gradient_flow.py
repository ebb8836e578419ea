"""The measured flow of gradients, beside NumPy, autodiff step by step and closed forms."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.analysis.measurement import Measurement
from tests.analysis.models import BATCH, FEATURES, TIME, UNITS, compiled, linear_rnn


def numpy_rnn(model, x):
    """States and weights of a plain tanh layer under a Dense(1)."""
    W_x, W_h, b, W_o, b_o = (w.numpy().astype("float64") for w in model.weights)
    h, states = np.zeros((len(x), len(W_h))), []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ W_x + h @ W_h + b)
        states.append(h)
    return np.stack(states), W_h, W_o, b_o


@pytest.mark.parametrize("traced", [True, False], ids=["graph", "eager"])
def test_norms_are_those_of_products_of_explicit_jacobians(batch, traced):
    x, y = batch
    model = compiled(kerasrnn.VanillaRNN(UNITS), keras.layers.Dense(1))
    layer = Measurement(model, traced=traced)(x, y).layers[0]
    states, W_h, W_o, b_o = numpy_rnn(model, x)
    delta = 2 / BATCH * (states[-1] @ W_o + b_o - y) @ W_o.T
    product = np.stack([np.eye(UNITS)] * BATCH)
    for lag in range(TIME):
        t = TIME - 1 - lag
        norm = np.linalg.norm(np.einsum("bi,bij->bj", delta, product))
        np.testing.assert_allclose(layer.norms[t], norm, rtol=1e-4)
        np.testing.assert_allclose(
            layer.remaining[lag], norm / np.linalg.norm(delta), rtol=1e-4
        )
        if lag in (1, TIME - 1):
            found = kerasrnn.state_jacobian(model, x, lag)
            np.testing.assert_allclose(found.matrices, product, rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(
                found.singular_values, np.linalg.svd(product)[1], rtol=1e-3, atol=1e-6
            )
            slopes = 1 - states[t + 1 :] ** 2
            bound = (slopes.max() * np.linalg.norm(W_h, 2)) ** lag
            np.testing.assert_allclose(found.bound, bound, rtol=1e-4)
            assert (found.singular_values <= bound * 1.0001).all()
        jacobian = (1 - states[t] ** 2)[:, :, None] * W_h.T  # dh_t / dh_{t-1}
        product = product @ jacobian
    gamma = (1 - states**2).max()
    np.testing.assert_allclose(layer.gamma, gamma, rtol=1e-5)
    expected = (gamma * np.linalg.norm(W_h, 2)) ** np.arange(TIME)
    np.testing.assert_allclose(layer.bound, expected, rtol=1e-4)


CELLS = {
    "simple": lambda: keras.layers.SimpleRNNCell(UNITS),
    "lstm": lambda: keras.layers.LSTMCell(UNITS),
    "gru": lambda: keras.layers.GRUCell(UNITS, reset_after=False),
    "own lstm": lambda: kerasrnn.LSTMCell(UNITS, zoneout=[0.1, 0.2]),
    "own gru": lambda: kerasrnn.GRUCell(UNITS),
    "vanilla": lambda: kerasrnn.VanillaRNNCell(UNITS, leak_rate=0.4, zoneout=0.1),
    "residual": lambda: kerasrnn.VanillaRNNCell(FEATURES, residual=True),
}


@pytest.mark.parametrize("kind", CELLS)
def test_norms_and_jacobians_of_any_cell_are_those_of_autodiff_step_by_step(batch, kind):
    x, _ = batch
    y = np.ones((BATCH, TIME, 1), "float32")
    cell, dense = CELLS[kind](), keras.layers.Dense(1)
    model = compiled(keras.layers.RNN(cell, return_sequences=True), dense)
    layer = kerasrnn.gradient_flow(model, x, y).layers[0]
    with tf.GradientTape(persistent=True) as tape:
        states, all_h, outputs = cell.get_initial_state(BATCH), [], []
        for t in range(TIME):
            _, states = cell(x[:, t], states if isinstance(states, list) else [states])
            h = states[0]
            all_h.append(h)
            outputs.append(dense(h + x[:, t] if kind == "residual" else h))
        loss = tf.reduce_mean((tf.stack(outputs, 1) - y) ** 2)
    gradients = tape.gradient(loss, all_h)
    expected = [np.linalg.norm(gradient) for gradient in gradients]
    np.testing.assert_allclose(layer.norms, expected, rtol=1e-4)
    found = kerasrnn.state_jacobian(model, x, 3, step=5)
    expected = tape.batch_jacobian(all_h[5], all_h[2], experimental_use_pfor=False)
    np.testing.assert_allclose(found.matrices, expected, rtol=1e-4, atol=1e-6)
    has_gates = "lstm" in kind or "gru" in kind
    assert (layer.bound is None) is has_gates
    assert (found.bound is None) is has_gates


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_a_layer_has_the_flow_of_the_layer_of_keras(batch, name):
    x, y = batch
    first = getattr(kerasrnn, name)(UNITS, name="memory")
    second = getattr(keras.layers, name)(UNITS, name="memory")
    found, expected = (compiled(layer, keras.layers.Dense(1)) for layer in (first, second))
    for model in (found, expected):
        model.build(x.shape)
    found.set_weights(expected.get_weights())
    found, expected = (kerasrnn.gradient_flow(m, x, y).layers[0] for m in (found, expected))
    for field in ("norms", "norms_by_lag", "remaining", "saturated"):
        np.testing.assert_allclose(
            getattr(found, field), getattr(expected, field), rtol=1e-4, atol=1e-7
        )
    assert [s.name for s in found.spectra] == [s.name for s in expected.spectra]
    assert found.status == expected.status


def test_what_an_lstm_carries_in_its_cell_state_is_not_lost(batch):
    x, y = batch
    model = compiled(keras.layers.LSTM(UNITS), keras.layers.Dense(1))
    model.build(x.shape)
    cell = model.layers[0].cell
    cell.recurrent_kernel.assign(np.zeros((UNITS, 4 * UNITS)))
    cell.bias.assign(np.repeat([0.0, 30.0, 0.0, 30.0], UNITS))  # forgets nothing
    layer = kerasrnn.gradient_flow(model, x, y).layers[0]
    assert layer.norms[:-1].max() == 0  # h_t itself is not read
    assert layer.remaining[1] > 0.5
    np.testing.assert_allclose(layer.remaining[1:], layer.remaining[1], rtol=1e-5)
    assert layer.status == "steady"


def test_truncation_shows_in_training(rng):
    x = rng.normal(size=(2, 12, FEATURES)).astype("float32")
    model = linear_rnn(1.0, truncation=kerasrnn.TruncatedBPTT(5))
    remaining = kerasrnn.gradient_flow(model, x, np.ones((2, 1)), training=True)
    np.testing.assert_allclose(remaining.layers[0].remaining, [1, 1] + [0] * 10, atol=1e-6)
    remaining = kerasrnn.gradient_flow(model, x, np.ones((2, 1)))
    np.testing.assert_allclose(remaining.layers[0].remaining, np.ones(12), atol=1e-6)


def test_compile_decides_the_truncation_that_is_measured(rng):
    x = rng.normal(size=(2, 12, FEATURES)).astype("float32")
    layer = kerasrnn.VanillaRNN(
        UNITS,
        activation=None,
        recurrent_initializer="identity",
        return_sequences=True,
        truncation=kerasrnn.TruncatedBPTT(5),
    )
    model = kerasrnn.SequenceModel([layer, keras.layers.Dense(1)])
    for policy, num_left in ((kerasrnn.TruncatedBPTT(4), 4), ("full", 12)):
        model.compile("sgd", "mse", truncation=policy)
        flow = kerasrnn.gradient_flow(model, x, np.ones((2, 12, 1)), training=True)
        expected = np.arange(12) < num_left
        np.testing.assert_allclose(flow.layers[0].remaining, expected, atol=1e-6)


def test_the_policy_of_a_training_step_is_imposed_and_the_layer_keeps_its_own(rng):
    x = rng.normal(size=(2, 12, FEATURES)).astype("float32")
    model = linear_rnn(1.0, truncation=kerasrnn.TruncatedBPTT(5))
    options = types.SimpleNamespace(truncation=kerasrnn.TruncatedBPTT(4))
    model.training_step = types.SimpleNamespace(options=options)
    flow = kerasrnn.gradient_flow(model, x, np.ones((2, 1)), training=True)
    np.testing.assert_allclose(flow.layers[0].remaining, np.arange(12) < 4, atol=1e-6)
    flow = kerasrnn.gradient_flow(model, x, np.ones((2, 1)))
    np.testing.assert_allclose(flow.layers[0].remaining, np.ones(12), atol=1e-6)
    assert model.layers[0].truncation == kerasrnn.TruncatedBPTT(5)


@pytest.mark.parametrize("lag", [0, -1, 2.5, True, "a", [], [3, None], [2, 0]])
def test_a_lag_that_is_no_positive_integer_is_refused(batch, lag):
    model = compiled(kerasrnn.VanillaRNN(UNITS), keras.layers.Dense(1))
    with pytest.raises(ValueError, match="lag must be a positive integer, several of them"):
        kerasrnn.gradient_flow(model, *batch, lag=lag)


def test_the_verdict_looks_as_far_back_as_is_asked(batch):
    model = compiled(kerasrnn.VanillaRNN(UNITS), keras.layers.Dense(1))
    layer = kerasrnn.gradient_flow(model, *batch).layers[0]
    assert layer.lags == (TIME - 1,)
    for lag in (5, np.int64(2), range(1, 4), np.array([3, 2])):
        layer = kerasrnn.gradient_flow(model, *batch, lag=lag).layers[0]
        assert layer.lags == tuple(np.unique(lag))
        assert list(layer.statuses) == list(layer.lags)
        assert layer.status == layer.statuses[layer.lag]
        assert layer.verdict.count(" back") == len(layer.lags)
    with pytest.raises(ValueError, match="lag=7 is longer than the batch.* 6 steps at most"):
        kerasrnn.gradient_flow(model, *batch, lag=7)


def test_a_layer_over_fewer_steps_is_judged_at_its_first(batch):
    x, y = batch
    model = compiled(
        kerasrnn.VanillaRNN(UNITS, return_sequences=True),
        keras.layers.AveragePooling1D(2),
        kerasrnn.VanillaRNN(UNITS),
        keras.layers.Dense(1),
    )
    layers = kerasrnn.gradient_flow(model, x, y, lag=(1, 5)).layers
    assert [layer.lags for layer in layers] == [(1, 5), (1, 2)]
