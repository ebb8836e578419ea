"""What of `VanillaRNN` beside `keras.layers.SimpleRNN` is not in `tests/conformance.py`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn

BATCH, TIME, FEATURES, UNITS = 3, 7, 5, 4
MASK = np.array([[1, 1, 0, 1, 1, 0, 1], [1, 0, 1, 0, 1, 0, 1], [1, 1, 1, 0, 0, 1, 0]], bool)
# Options, and the modes beside eager calls: each mode with all outputs and with the last.
OPTIONS = [
    ({}, ["unknown shape", "xla unknown shape"]),
    ({"return_sequences": True}, ["unknown shape", "xla"]),
    (
        {"return_sequences": True, "return_state": True, "go_backwards": True},
        ["graph", "xla unknown shape"],
    ),
    ({"return_state": True, "go_backwards": True, "activation": "relu"}, ["graph", "xla"]),
    (
        {"return_sequences": True, "zero_output_for_mask": True, "activation": "sigmoid"},
        ["unknown shape"],
    ),
    ({"zero_output_for_mask": True, "activation": None, "use_bias": False}, ["xla"]),
    ({"return_sequences": True, "activation": "softplus"}, ["unknown shape"]),
    ({"return_sequences": True, "unroll": True}, ["graph"]),
]


def make_pair(features=FEATURES, units=UNITS, **options):
    """A `SimpleRNN` and a `VanillaRNN` with the same weights."""
    simple = keras.layers.SimpleRNN(units, seed=7, **options)
    vanilla = kerasrnn.VanillaRNN(units, seed=7, **options)
    simple.build((None, None, features))
    vanilla.build((None, None, features))
    rng = np.random.default_rng(1)
    simple.set_weights([rng.normal(scale=0.4, size=w.shape) for w in simple.get_weights()])
    vanilla.set_weights(simple.get_weights())
    return simple, vanilla


def make_gradients(layer, shapes, mask=None, mode="eager"):
    """From inputs and, if given, the initial state to outputs and all gradients.

    The gradients are those for weights, inputs and initial state.
    """

    def compute(*sources):
        with tf.GradientTape() as tape:
            tape.watch(sources)
            inputs, *initial_state = sources
            outputs = layer(
                inputs, mask=mask, initial_state=initial_state or None, training=True
            )
            outputs = tf.nest.flatten(outputs)
            loss = tf.add_n(
                [tf.reduce_sum(tf.sin((k + 1) * output)) for k, output in enumerate(outputs)]
            )
        weights = [variable.value for variable in layer.trainable_variables]
        return [*outputs, *tape.gradient(loss, [*weights, *sources])]

    if mode == "eager":
        return compute
    signature = [tf.TensorSpec(shape) for shape in shapes]
    return tf.function(compute, signature, autograph=False, jit_compile="xla" in mode)


def differentiate(layer, inputs, mask=None, initial_state=None, mode="eager"):
    """Outputs of a layer, and gradients for its weights, inputs and initial state."""
    sources = [inputs] if initial_state is None else [inputs, initial_state]
    shapes = [source.shape for source in sources]
    if "unknown shape" in mode:
        shapes = [[None] * (len(shape) - 1) + [shape[-1]] for shape in shapes]
    return make_gradients(layer, shapes, mask, mode=mode)(*sources)


def assert_close(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        bound = 2e-5 * max(1, np.abs(b).max())
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=bound)


@pytest.fixture
def sequences(rng):
    """Inputs, a mask and an initial state."""
    inputs = tf.constant(rng.normal(size=(BATCH, TIME, FEATURES)), tf.float32)
    state = tf.constant(rng.normal(size=(BATCH, UNITS)), tf.float32)
    return inputs, tf.constant(MASK), state


@pytest.mark.parametrize(("options", "modes"), OPTIONS, ids=str)
def test_outputs_and_gradients_equal_those_of_simple_rnn(sequences, options, modes):
    simple, vanilla = make_pair(**options)
    expected = differentiate(simple, *sequences)
    for mode in ["eager", *modes]:
        assert_close(differentiate(vanilla, *sequences, mode=mode), expected)


@pytest.mark.slow
def test_gradients_through_dropout_equal_those_of_simple_rnn(sequences):
    simple, vanilla = make_pair(dropout=0.4, recurrent_dropout=0.3, return_sequences=True)
    # XLA draws other masks than TensorFlow does: both in the same mode.
    mode = "xla unknown shape"
    expected = differentiate(simple, *sequences, mode=mode)
    assert_close(differentiate(vanilla, *sequences, mode=mode), expected)


@pytest.mark.parametrize(
    "mode", ["unknown shape", pytest.param("xla unknown shape", marks=pytest.mark.slow)]
)
def test_one_graph_works_for_odd_shapes_as_simple_rnn(rng, mode):
    simple, vanilla = make_pair(features=1, return_sequences=True)
    in_graph = make_gradients(vanilla, [[None, None, 1]], mode=mode)
    for shape in [(1, 1, 1), (1, 6, 1), (4, 1, 1), (2, 20, 1)]:
        inputs = tf.constant(rng.normal(size=shape), tf.float32)
        assert_close(in_graph(inputs), differentiate(simple, inputs))


def test_every_argument_and_default_is_that_of_simple_rnn():
    simple, vanilla = keras.layers.SimpleRNN(4), kerasrnn.VanillaRNN(4)
    expected, found = simple.get_config(), vanilla.get_config()
    ours = {"truncation", "use_kernel", "zoneout", "leak_rate", "learn_leak_rate", "residual"}
    assert set(found) == {*expected, "seed", *ours}
    for name in set(expected) - {"name"}:
        assert found[name] == expected[name], name
    for name in ("units", "activation", "dropout", "use_bias", "kernel_initializer"):
        assert type(getattr(vanilla, name)) is type(getattr(simple, name))


def test_reset_state_restores_the_initial_state_of_the_cell(rng):
    class HalfCell(kerasrnn.VanillaRNNCell):
        def get_initial_state(self, batch_size=None):
            return [keras.ops.full((batch_size, self.units), 0.5)]

    layer = kerasrnn.VanillaRNN(UNITS, stateful=True)
    layer.cell = HalfCell(UNITS)
    inputs = tf.constant(rng.normal(size=(BATCH, TIME, FEATURES)), tf.float32)
    first = layer(inputs)
    layer.reset_state()
    np.testing.assert_array_equal(layer.states[0], np.full((BATCH, UNITS), 0.5))
    np.testing.assert_allclose(layer(inputs), first, atol=1e-6)


def test_regularizers_and_constraints_have_their_effect():
    layer = kerasrnn.VanillaRNN(
        UNITS,
        kernel_regularizer="l2",
        recurrent_regularizer="l2",
        bias_regularizer="l2",
        bias_initializer="ones",
        kernel_constraint="non_neg",
        recurrent_constraint=keras.constraints.MaxNorm(0.1),
        activity_regularizer=keras.regularizers.L1(1.0),
    )
    outputs = layer(tf.ones((BATCH, TIME, FEATURES)))
    of_weights = sum(0.01 * float(tf.reduce_sum(w**2)) for w in layer.get_weights())
    of_activity = float(tf.reduce_sum(tf.abs(outputs))) / BATCH
    np.testing.assert_allclose(
        sum(map(float, layer.losses)), of_weights + of_activity, rtol=1e-5
    )
    assert isinstance(layer.weights[0].constraint, keras.constraints.NonNeg)
    assert isinstance(layer.weights[1].constraint, keras.constraints.MaxNorm)


@pytest.mark.slow
def test_fit_reaches_the_loss_of_simple_rnn(rng):
    x = rng.normal(size=(60, TIME, FEATURES)).astype("float32")
    y = (x[:, :, 0].sum(1) > 0).astype("float32")
    losses = []
    for layer in make_pair():
        keras.utils.set_random_seed(5)  # Keras shuffles with it
        head = keras.layers.Dense(1, activation="sigmoid", kernel_initializer="ones")
        model = keras.Sequential([keras.Input((TIME, FEATURES)), layer, head])
        model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
        losses.append(model.fit(x, y, epochs=4, batch_size=20, verbose=0).history["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    assert losses[1][-1] < losses[1][0]


def test_bias_pairs_of_other_libraries_add_up(rng):
    # Libraries such as PyTorch keep h_t = tanh(x_t W_ih^T + b_ih + h_{t-1} W_hh^T + b_hh).
    W_ih, W_hh = rng.normal(size=(UNITS, FEATURES)), rng.normal(size=(UNITS, UNITS)) / 2
    b_ih, b_hh = rng.normal(size=(2, UNITS))
    x = rng.normal(size=(BATCH, TIME, FEATURES))
    h, expected = np.zeros((BATCH, UNITS)), []
    for t in range(TIME):
        h = np.tanh(x[:, t] @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
        expected.append(h)
    layer = kerasrnn.VanillaRNN(UNITS, return_sequences=True)
    layer.build(x.shape)
    layer.set_weights([W_ih.T, W_hh.T, b_ih + b_hh])
    found = layer(x.astype("float32"))
    np.testing.assert_allclose(found, np.stack(expected, 1), atol=1e-5)


def functions_of(concrete):
    """All functions of a graph, by name, with the operations inside them."""
    library = concrete.graph.as_graph_def().library
    return {f.signature.name: f for f in library.function}


@pytest.mark.parametrize("training", [True, False])
def test_training_is_compiled_and_inference_is_not(training):
    _, vanilla = make_pair(return_sequences=True)
    concrete = tf.function(lambda x: vanilla(x, training=training)).get_concrete_function(
        tf.TensorSpec([None, None, FEATURES])
    )
    compiled = [f for f in functions_of(concrete).values() if f.attr["_XlaMustCompile"].b]
    assert bool(compiled) is training


def test_the_hand_written_scans_are_what_runs(scan_calls):
    for activation in ("tanh", "relu", "sigmoid", None):
        _, vanilla = make_pair(activation=activation, return_sequences=True, go_backwards=True)
        make_gradients(vanilla, [[2, 3, FEATURES]], mode="graph").get_concrete_function()
        assert scan_calls == ["scan_forward_and_keep", "scan_backward"], activation
        scan_calls.clear()
    _, vanilla = make_pair(activation="softplus")
    differentiate(vanilla, tf.ones((2, 3, FEATURES)))
    assert scan_calls == []


def test_errors_say_what_was_wrong():
    with pytest.raises(ValueError, match="units"):
        kerasrnn.VanillaRNN(0)
    unrolled = tf.function(kerasrnn.VanillaRNN(2, unroll=True))
    with pytest.raises(ValueError, match="unroll=True needs sequences of a known length"):
        unrolled.get_concrete_function(tf.TensorSpec([2, None, 3]))
    with pytest.raises(ValueError, match="ndim"):
        kerasrnn.VanillaRNN(2)(tf.ones((2, 3)))


def test_gradients_of_inference_are_those_of_training_under_xla_too(rng):
    layer = kerasrnn.VanillaRNN(4, return_sequences=True)
    x = tf.constant(rng.normal(size=[2, 5, 3]).astype("float32"))

    def gradient(training):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x, training=training) ** 2)
        return tape.gradient(loss, x)

    expected = gradient(True)
    for jit_compile in (False, True):
        compiled = tf.function(gradient, jit_compile=jit_compile)
        np.testing.assert_allclose(compiled(False), expected, atol=1e-5)
