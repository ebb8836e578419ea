"""Gates on the flow of gradients, in the fast layer and around any cell."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.layers import truncation
from tests import reference
from tests.seeds import set_seed

BATCH, TIME, FEATURES, UNITS = 3, 9, 5, 4
MASK = np.array(
    [[1, 1, 0, 1, 1, 0, 1, 1, 1], [1, 0, 1, 0, 1, 0, 1, 1, 0], [1, 1, 1, 0, 0, 0, 0, 1, 1]],
    bool,
)
LAYERS = {
    "fast": lambda **options: kerasrnn.VanillaRNN(UNITS, return_sequences=True, **options),
    "generic": lambda **options: kerasrnn.RNN(
        kerasrnn.VanillaRNNCell(UNITS), return_sequences=True, **options
    ),
    "lstm": lambda **options: kerasrnn.RNN(
        keras.layers.LSTMCell(UNITS), return_sequences=True, **options
    ),
    "stacked": lambda **options: kerasrnn.RNN(
        [keras.layers.GRUCell(UNITS), kerasrnn.VanillaRNNCell(UNITS)],
        return_sequences=True,
        **options,
    ),
}
PLAIN = ["fast", "generic"]


class OwnCell(keras.layers.Layer):
    """A user's cell without `training`, with one state that is no list."""

    state_size = UNITS

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], UNITS), name="kernel")

    def call(self, inputs, states):
        h_t = tf.sin(inputs @ self.kernel + 0.9 * states[0])
        return h_t, [h_t]


def make(kind, policy=None, features=FEATURES):
    layer = LAYERS[kind](truncation=policy)
    layer.build((None, None, features))
    rng = np.random.default_rng(2)
    layer.set_weights([rng.normal(scale=0.5, size=w.shape) for w in layer.get_weights()])
    return layer


def make_gradients(layer, mask=None, graph=False):
    """From inputs and the gradient of outputs to those of inputs, initial states, weights."""

    def compute(inputs, upstream):
        states = layer.get_initial_state(BATCH)
        with tf.GradientTape() as tape:
            tape.watch([inputs, *tf.nest.flatten(states)])
            outputs = layer(inputs, initial_state=states, mask=mask, training=True)
        weights = [w.value for w in layer.trainable_variables]
        sources = [inputs, tf.nest.flatten(states), weights]
        return tape.gradient(outputs, sources, upstream)

    return tf.function(compute, autograph=False) if graph else compute


def gradients(layer, inputs, upstream, mask=None):
    return make_gradients(layer, mask)(inputs, upstream)


@pytest.fixture
def inputs(rng):
    return tf.constant(rng.normal(size=(BATCH, TIME, FEATURES)), tf.float32)


def upstream_at(step, rng):
    """A gradient that reaches the output of one step alone."""
    upstream = np.zeros((BATCH, TIME, UNITS), "float32")
    upstream[:, step] = rng.normal(size=(BATCH, UNITS))
    return tf.constant(upstream)


@pytest.mark.parametrize(
    ("kind", "graph", "masked"),
    [
        ("fast", False, False),
        ("fast", True, True),
        ("generic", False, True),
        ("lstm", True, False),
        ("stacked", False, True),
    ],
)
def test_no_gradient_crosses_a_boundary(rng, inputs, kind, graph, masked):
    mask = tf.constant(MASK) if masked else None
    layer = make(kind, kerasrnn.TruncatedBPTT(3))  # boundaries at steps 3 and 6
    differentiate = make_gradients(layer, mask, graph)
    for step, first in [(2, 0), (5, 3), (7, 6)]:
        dx, states, _ = differentiate(inputs, upstream_at(step, rng))
        np.testing.assert_array_equal(dx[:, :first], 0)
        np.testing.assert_array_equal(dx[:, step + 1 :], 0)
        assert np.abs(dx[:, first : step + 1]).max() > 1e-3
        reaches_start = max(np.abs(s).max() for s in states) > 0
        assert reaches_start == (first == 0)


@pytest.mark.parametrize(
    ("kind", "window", "masked"),
    [
        ("fast", TIME, True),
        ("fast", TIME + 5, False),
        ("generic", TIME, False),
        ("lstm", TIME, True),
        ("stacked", TIME + 5, True),
    ],
)
def test_a_window_as_long_as_the_sequence_is_full_bptt(rng, inputs, kind, window, masked):
    mask = tf.constant(MASK) if masked else None
    upstream = tf.constant(rng.normal(size=(BATCH, TIME, UNITS)), tf.float32)
    expected = gradients(make(kind), inputs, upstream, mask)
    found = gradients(make(kind, kerasrnn.TruncatedBPTT(window)), inputs, upstream, mask)
    for a, b in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "return_sequences"),
    [
        ({}, True),
        ({"go_backwards": True}, False),
        ({"zero_output_for_mask": True}, True),
        ({"zero_output_for_mask": True}, False),
    ],
)
def test_gates_change_no_output_of_any_cell(inputs, options, return_sequences):
    options = {**options, "return_sequences": return_sequences, "return_state": True}
    for cell in (keras.layers.LSTMCell(UNITS), keras.layers.GRUCell(UNITS), OwnCell()):
        gated = kerasrnn.RNN(cell, truncation=kerasrnn.TruncatedBPTT(2), **options)
        expected = keras.layers.RNN(cell, **options)(inputs, mask=tf.constant(MASK))
        found = gated(inputs, mask=tf.constant(MASK), training=True)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "activation", "masked"),
    [
        ("fast", "tanh", False),
        ("fast", "tanh", True),
        ("fast", "relu", True),
        ("fast", "linear", False),
        ("generic", "tanh", False),
        ("generic", "tanh", True),
    ],
)
def test_gated_gradients_equal_numpy(rng, inputs, kind, activation, masked, monkeypatch):
    gates = rng.uniform(0, 2, size=(TIME, BATCH, 1)).astype("float32")
    layer = make(kind, kerasrnn.RandomizedTruncation(0.5))
    layer.cell.activation = keras.activations.get(activation)
    monkeypatch.setattr(kerasrnn.RandomizedTruncation, "gates", lambda *_: tf.constant(gates))
    upstream = rng.normal(size=(BATCH, TIME, UNITS)).astype("float32")
    mask = MASK if masked else None
    tensor_mask = None if mask is None else tf.constant(mask)
    dx, (dh_0,), (dW_x, dW_h, db) = gradients(layer, inputs, tf.constant(upstream), tensor_mask)
    W_x, W_h, b = layer.get_weights()
    if masked:  # before its first unmasked step a sequence puts out zeros, not its state
        upstream = upstream * (np.cumsum(mask, 1) > 0)[..., None]
    expected = reference.backward(
        inputs.numpy(), W_x, W_h, b, np.zeros((BATCH, UNITS)), upstream, activation, mask, gates
    )
    found = {"x": dx, "W_x": dW_x, "W_h": dW_h, "b": db, "h_0": dh_0}
    for name, value in found.items():
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(
            value, expected[name], rtol=2e-4, atol=2e-5 * scale, err_msg=name
        )


@pytest.mark.parametrize(
    ("kind", "masked", "per_sequence"),
    [
        ("fast", True, True),
        pytest.param("fast", False, False, marks=pytest.mark.slow),
        pytest.param("generic", True, True, marks=pytest.mark.slow),
    ],
)
def test_the_randomized_gradient_is_unbiased(
    rng, inputs, kind, masked, per_sequence, record_property
):
    mask = tf.constant(MASK) if masked else None
    upstream = upstream_at(TIME - 1, rng)
    policy = kerasrnn.RandomizedTruncation(0.8, per_sequence=per_sequence)
    layer, num_draws = make(kind, policy), 1000

    def draw(_):
        _, states, weights = gradients(layer, inputs, upstream, mask)
        return [*weights, *states]

    @tf.function(autograph=False)
    def draw_many():
        signature = [tf.TensorSpec(w.shape) for w in layer.weights]
        signature.append(tf.TensorSpec([BATCH, UNITS]))
        return tf.map_fn(draw, tf.range(num_draws), fn_output_signature=signature)

    names = ["W_x", "W_h", "b", "h_0"]
    draws = [d.numpy() for d in draw_many()]
    _, states, weights = gradients(make(kind), inputs, upstream, mask)
    for name, drawn, full in zip(names, draws, [*weights, *states], strict=True):
        standard_error = drawn.std(0, ddof=1) / np.sqrt(num_draws)
        deviation = np.abs(drawn.mean(0) - full)
        # Of a few dozen entries none may lie 4.5 standard errors away.
        assert (deviation <= 4.5 * standard_error + 1e-6).all(), name
        # The mean squared deviation is what the standard error says it is.
        ratio = (deviation**2).mean() / (standard_error**2).mean()
        assert ratio < 9, (name, ratio)
        record_property(f"variance of d{name}", float(drawn.var(0).mean()))
        assert drawn.var(0).mean() > 1e-6  # the gates were drawn anew


@pytest.mark.parametrize("kind", PLAIN)
def test_the_linear_recursion_equals_its_closed_form(rng, kind):
    # h_t = W_x x_t + W_h h_{t-1}, o_t = W_q h_t, L = sum_t l(o_t):
    # dL/dh_t = sum_{i=t}^T (W_h^T)^(T-i) W_q^T dL/do_{T+t-i}, in column vectors.
    layer = make(kind)
    layer.cell.activation = keras.activations.linear
    W_x, W_h, _ = layer.get_weights()
    W_q = rng.normal(size=(UNITS, 2))
    dL_do = rng.normal(size=(BATCH, TIME, 2))
    inputs = tf.constant(rng.normal(size=(BATCH, TIME, FEATURES)), tf.float32)
    dx, (dh_0,), _ = gradients(layer, inputs, tf.constant(dL_do @ W_q.T, tf.float32))
    T = TIME
    for n in range(BATCH):
        dL_dh = [
            sum(
                np.linalg.matrix_power(W_h, T - i) @ W_q @ dL_do[n, T + t - i - 1]
                for i in range(t, T + 1)
            )
            for t in range(1, T + 1)
        ]
        np.testing.assert_allclose(dx[n], np.stack(dL_dh) @ W_x.T, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(dh_0[n], W_h @ dL_dh[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", PLAIN)
def test_a_closed_gate_stops_exploding_gradients(kind):
    layer = make(kind, kerasrnn.TruncatedBPTT(25), features=1)
    layer.cell.activation = keras.activations.linear
    layer.set_weights([np.ones((1, UNITS)), 4 * np.eye(UNITS), np.zeros(UNITS)])
    inputs = tf.zeros((BATCH, 75, 1))
    upstream = tf.ones((BATCH, 75, UNITS))
    dx, _, _ = gradients(layer, inputs, upstream)
    assert np.isfinite(dx).all()  # 4^75 is beyond float32, 4^25 is not
    np.testing.assert_allclose(dx[:, 0], dx[:, 25], rtol=1e-5)
    np.testing.assert_allclose(dx[:, 25], dx[:, 50], rtol=1e-5)


def test_gates_of_each_policy():
    assert kerasrnn.FullBPTT().gates(5) is None
    np.testing.assert_array_equal(
        kerasrnn.TruncatedBPTT(2).gates(5, 3)[:, 0, 0], [1, 1, 0, 1, 0]
    )
    assert kerasrnn.RandomizedTruncation(0.5).gates(5, 3, seed=0).shape == (5, 3, 1)
    shared = kerasrnn.RandomizedTruncation(0.5, per_sequence=False)
    assert shared.gates(5, 3, seed=0).shape == (5, 1, 1)
    once, again = (shared.gates(50, 3, seed=7) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    np.testing.assert_array_equal(kerasrnn.RandomizedTruncation(1.0).gates(9, 2, seed=0), 1)


def test_evaluation_and_inference_have_no_gates(rng, inputs):
    upstream = upstream_at(TIME - 1, rng)
    layer = make("fast", kerasrnn.TruncatedBPTT(2))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=False)
    assert (np.abs(tape.gradient(outputs, inputs, upstream)) > 0).all()


@pytest.mark.parametrize(
    ("kind", "policy"),
    [
        ("fast", kerasrnn.FullBPTT()),
        ("fast", kerasrnn.TruncatedBPTT(7)),
        ("generic", kerasrnn.RandomizedTruncation(0.9, per_sequence=False)),
        ("lstm", kerasrnn.RandomizedTruncation(0.9)),
        ("stacked", kerasrnn.TruncatedBPTT(7)),
    ],
    ids=str,
)
def test_policies_survive_saving(tmp_path, inputs, kind, policy):
    model = keras.Sequential([keras.Input((None, FEATURES)), make(kind, policy)])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].truncation == policy
    np.testing.assert_allclose(loaded(inputs), model(inputs), atol=1e-6)
    copy = type(policy).from_config(policy.get_config())
    assert copy == policy
    assert hash(copy) == hash(policy)


@pytest.mark.parametrize("value", [None, "full", kerasrnn.FullBPTT()])
def test_none_and_full_mean_full_bptt(value):
    assert kerasrnn.VanillaRNN(2, truncation=value).truncation == kerasrnn.FullBPTT()


@pytest.mark.slow
def test_fit_trains_through_a_truncation(rng):
    x = rng.normal(size=(32, 12, 3)).astype("float32")
    y = x.sum(2).cumsum(1)[..., None]
    weights = {}
    for name, policy in {
        "full": None,
        "window": kerasrnn.TruncatedBPTT(4),
        "random": kerasrnn.RandomizedTruncation(0.7),
    }.items():
        set_seed(1)
        layer = keras.layers.Bidirectional(
            kerasrnn.VanillaRNN(8, return_sequences=True, truncation=policy)
        )
        model = keras.Sequential([keras.Input((12, 3)), layer, keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        history = model.fit(x, y, epochs=2, verbose=0, shuffle=False).history["loss"]
        assert history[1] < history[0]
        weights[name] = model.get_weights()[1]
    assert not np.allclose(weights["window"], weights["full"], atol=1e-4)
    assert not np.allclose(weights["random"], weights["full"], atol=1e-4)


@pytest.mark.parametrize(
    ("make_policy", "message"),
    [
        (lambda: kerasrnn.TruncatedBPTT(0), "window must be a positive integer, got window=0"),
        (lambda: kerasrnn.TruncatedBPTT(2.5), "window must be a positive integer"),
        (lambda: kerasrnn.RandomizedTruncation(0), r"keep_probability must lie in \(0, 1\]"),
        (lambda: kerasrnn.RandomizedTruncation(1.5), "got keep_probability=1.5"),
        (lambda: kerasrnn.VanillaRNN(2, truncation=7), "truncation must be None"),
        (lambda: truncation.get("half"), "got truncation='half'"),
    ],
)
def test_mistakes_are_named(make_policy, message):
    with pytest.raises(ValueError, match=message):
        make_policy()


@pytest.mark.parametrize(
    ("kind", "graph"),
    [("fast", True), ("generic", False), ("lstm", False), ("stacked", False)],
)
def test_an_imposed_policy_is_used_in_place_of_each_layers_own(rng, inputs, kind, graph):
    upstream = upstream_at(7, rng)
    layer = make(kind, kerasrnn.TruncatedBPTT(2))
    with truncation.imposed(kerasrnn.TruncatedBPTT(3)):
        found = make_gradients(layer, graph=graph)(inputs, upstream)
    expected = gradients(make(kind, kerasrnn.TruncatedBPTT(3)), inputs, upstream)
    for a, b in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    with truncation.imposed("full"):
        dx, _, _ = make_gradients(layer, graph=graph)(inputs, upstream)
    assert np.abs(dx[:, 0]).max() > 0
    assert layer.truncation == kerasrnn.TruncatedBPTT(2)
    dx, _, _ = make_gradients(layer, graph=graph)(inputs, upstream)
    np.testing.assert_array_equal(dx[:, :6], 0)


def test_imposing_none_changes_nothing(rng, inputs):
    upstream = upstream_at(7, rng)
    layer = make("fast", kerasrnn.TruncatedBPTT(2))
    with truncation.imposed(None):
        dx, _, _ = gradients(layer, inputs, upstream)
    np.testing.assert_array_equal(dx[:, :6], 0)
    assert np.abs(dx[:, 6]).max() > 0
    with truncation.imposed("full"), truncation.imposed(None):
        assert layer.gates(inputs, training=True) is None


def test_an_imposed_policy_ends_with_its_context(inputs):
    layer = make("fast")
    with pytest.raises(RuntimeError), truncation.imposed(kerasrnn.TruncatedBPTT(2)):
        raise RuntimeError
    assert layer.gates(inputs, training=True) is None
    with pytest.raises(ValueError, match="truncation must be"):
        truncation.imposed(3).__enter__()
