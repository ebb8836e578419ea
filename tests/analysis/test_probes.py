"""Cells some of whose states no gradient reaches: eager, traced, and by autodiff."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.analysis.measurement import Measurement

BATCH, TIME, FEATURES, UNITS = 3, 5, 2, 4


@keras.saving.register_keras_serializable(package="tests")
class CellWithTwoStates(keras.layers.Layer):
    """A plain cell with a second state, by default a counter of steps."""

    state_size = (UNITS, 1)
    output_size = UNITS

    def __init__(self, **options):
        super().__init__(**options)
        self.inner = keras.layers.SimpleRNNCell(UNITS)

    def build(self, shape):
        self.inner.build(shape)

    def call(self, inputs, states):
        h, _ = self.inner(inputs, [states[0]])
        return self.finish(inputs, h, states[1])

    def finish(self, inputs, h, counter):
        return h, [h, counter + 1]


class CellWithUnreadState(CellWithTwoStates):
    def finish(self, inputs, h, noted):
        return h, [h, noted + keras.ops.sum(h, -1, keepdims=True)]


class CellWhoseOutputIgnoresItsState(CellWithTwoStates):
    def finish(self, inputs, h, counter):
        return keras.ops.tile(inputs, [1, UNITS // FEATURES]), [h, counter + 1]


class CellThatForgetsEverything(CellWithTwoStates):
    def finish(self, inputs, h, counter):
        h = keras.ops.tile(inputs, [1, UNITS // FEATURES])
        return h, [h, keras.ops.ones_like(counter)]


class CellThatStopsGradients(CellWithTwoStates):
    def finish(self, inputs, h, counter):
        h = tf.stop_gradient(h)
        return h, [h, counter + 1]


OWN_CELLS = [
    CellWithTwoStates,
    CellWithUnreadState,
    CellWhoseOutputIgnoresItsState,
    CellThatForgetsEverything,
    CellThatStopsGradients,
]


def constant_activation(a):
    return keras.ops.ones_like(a)


LAYERS = {
    "two states": lambda: keras.layers.RNN(CellWithTwoStates()),
    "stops gradients": lambda: keras.layers.RNN(CellThatStopsGradients()),
    "constant": lambda: keras.layers.SimpleRNN(UNITS, activation=constant_activation),
    "vanilla": lambda: kerasrnn.VanillaRNN(UNITS),
    "lstm": lambda: keras.layers.LSTM(UNITS),
    "stack": lambda: keras.layers.RNN([CellWithTwoStates(), keras.layers.LSTMCell(3)]),
    "both ways": lambda: keras.layers.Bidirectional(keras.layers.RNN(CellWithTwoStates())),
    "truncated": lambda: kerasrnn.RNN(
        CellWithTwoStates(), truncation=kerasrnn.TruncatedBPTT(2)
    ),
}


def make_model(layer, masked=False):
    masking = [keras.layers.Masking()] if masked else []
    model = keras.Sequential([*masking, layer, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    return model


@pytest.fixture
def batch(rng):
    x = rng.normal(size=(BATCH, TIME, FEATURES)).astype("float32")
    return x, rng.normal(size=(BATCH, 1)).astype("float32")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "masked"),
    [
        ("two states", True),
        ("stops gradients", False),
        ("constant", False),
        ("vanilla", True),
        ("lstm", False),
        ("stack", True),
        ("both ways", True),
        ("truncated", False),
    ],
)
def test_eager_and_traced_measurements_agree(batch, kind, masked):
    x, y = batch
    if masked:
        x[0, 2:], x[1, :3] = 0, 0
    model = make_model(LAYERS[kind](), masked)
    eager = Measurement(model, training=masked)(x, y)
    traced = Measurement(model, training=masked, traced=True)(x, y)
    assert eager.loss == pytest.approx(traced.loss)
    assert eager.verdict == traced.verdict
    assert "not finite" not in eager.verdict
    for a, b in zip(eager.layers, traced.layers, strict=True):
        for name in ("norms", "norms_by_lag", "remaining", "bound", "gamma", "saturated"):
            found, expected = getattr(a, name), getattr(b, name)
            if found is None or expected is None:
                assert found is expected
            else:
                np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("kind", OWN_CELLS)
def test_measurements_are_those_of_autodiff_step_by_step(batch, kind):
    x, y = batch
    layer = keras.layers.RNN(kind())
    model = make_model(layer)
    found = kerasrnn.gradient_flow(model, x, y).layers[0]
    dense, sizes = model.layers[-1], [UNITS, 1]
    with tf.GradientTape(persistent=True) as tape:
        states = [tf.zeros([BATCH, size]) for size in sizes]
        every_state = []
        for t in range(TIME):
            tape.watch(states)
            output, states = layer.cell(x[:, t], states)
            states = [tf.identity(state) for state in states]
            tape.watch(states)
            every_state.append(states)
            if kind is not CellWhoseOutputIgnoresItsState:
                output = states[0]
        loss = tf.reduce_mean((dense(output) - y) ** 2)
    of_loss = [tape.gradient(loss, s[0], unconnected_gradients="zero") for s in every_state]
    np.testing.assert_allclose(
        found.norms, [np.linalg.norm(g) for g in of_loss], rtol=1e-4, atol=1e-7
    )
    last = of_loss[-1]
    last_state, left = every_state[-1][0], []
    for states in reversed(every_state):
        parts = tape.gradient(last_state, states, last, unconnected_gradients="zero")
        left.append(np.linalg.norm(np.concatenate(parts, -1)))
    expected = np.array(left) / (left[0] or 1.0)
    np.testing.assert_allclose(found.remaining, expected, rtol=1e-4, atol=1e-7)
    jacobian = kerasrnn.state_jacobian(model, x, 2)
    matrices = tape.batch_jacobian(
        every_state[-1][0],
        every_state[-3][0],
        unconnected_gradients="zero",
        experimental_use_pfor=False,
    )
    np.testing.assert_allclose(jacobian.matrices, matrices, rtol=1e-4, atol=1e-6)


def test_a_cell_that_ignores_all_its_states_has_a_jacobian_of_zeros(batch):
    class Memoryless(keras.layers.Layer):
        state_size = output_size = FEATURES

        def call(self, inputs, states):
            return inputs, [inputs]

    jacobian = kerasrnn.state_jacobian(keras.layers.RNN(Memoryless()), batch[0], 2)
    np.testing.assert_array_equal(jacobian.matrices, np.zeros((BATCH, FEATURES, FEATURES)))


@pytest.mark.slow
def test_the_callback_writes_what_the_function_finds(batch):
    x, y = batch
    model = make_model(keras.layers.RNN(CellWhoseOutputIgnoresItsState(), name="own"))
    callback = kerasrnn.GradientFlow(x, y)
    history = model.fit(x, y, verbose=0, callbacks=[callback]).history
    expected = kerasrnn.gradient_flow(model, x, y).layers[0].remaining[-1]
    assert history["own/gradient_remaining"] == [pytest.approx(expected)]
