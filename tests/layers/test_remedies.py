"""What helps a plain RNN to remember: the layer beside its cell in Keras' own loop."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from tests.plain_ops import PLAIN_OPS

BATCH, TIME, UNITS = 3, 7, 4
MASK = [[1, 1, 0, 1, 1, 0, 0], [0, 1, 0, 0, 1, 0, 1], [0, 0, 0, 0, 0, 0, 0]]
REMEDIES = {
    "leak_rate": {"leak_rate": 0.3},
    "learned leak rate": {"leak_rate": 0.3, "learn_leak_rate": True},
    "zoneout": {"zoneout": 0.2},
    "residual": {"residual": True},
    "all": {
        "leak_rate": 0.6,
        "learn_leak_rate": True,
        "zoneout": 0.1,
        "residual": True,
        "activation": "relu",
        "recurrent_initializer": "identity",
        "use_kernel": False,
    },
}


@pytest.fixture
def x(rng):
    return tf.constant(rng.normal(size=(BATCH, TIME, UNITS)), tf.float32)


def differentiate(layer, x, mask):
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, mask=None if mask is None else tf.constant(mask, tf.int32) > 0)
        loss = tf.add_n([tf.reduce_sum(tf.sin(o)) for o in tf.nest.flatten(outputs)])
    sources = [x, *(variable.value for variable in layer.trainable_variables)]
    return [*tf.nest.flatten(outputs), *tape.gradient(loss, sources)]


@pytest.mark.parametrize(
    ("remedy", "mask", "options"),
    [
        *((remedy, MASK, {"return_sequences": True}) for remedy in REMEDIES),
        *((remedy, None, {}) for remedy in REMEDIES),
        ("all", MASK, {"go_backwards": True}),
    ],
    ids=lambda value: "masked" if value is MASK else None,
)
def test_the_layer_gives_the_numbers_and_gradients_of_its_cell(x, remedy, mask, options):
    options = {"return_state": True, **options}
    layer = kerasrnn.VanillaRNN(UNITS, **REMEDIES[remedy], **options)
    layer.build(x.shape)
    by_autodiff = keras.layers.RNN(layer.cell, **options)
    found, expected = differentiate(layer, x, mask), differentiate(by_autodiff, x, mask)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_alpha_is_the_share_of_the_state_that_is_new(x):
    plain, skip = kerasrnn.VanillaRNN(UNITS), kerasrnn.VanillaRNN(UNITS, leak_rate=0.25)
    plain.build(x.shape)
    skip.build(x.shape)
    skip.set_weights(plain.get_weights())
    h = tf.ones((BATCH, UNITS))
    one = x[:, :1]
    expected = 0.75 * h + 0.25 * plain(one, initial_state=[h])
    np.testing.assert_allclose(skip(one, initial_state=[h]), expected, atol=1e-6)


def test_learned_shares_begin_with_alpha_and_change(x):
    layer = kerasrnn.VanillaRNN(UNITS, leak_rate=0.2, learn_leak_rate=True)
    model = keras.Sequential([layer])
    model.compile("adam", "mse", run_eagerly=True)
    model.train_on_batch(x, tf.ones((BATCH, UNITS)))
    shares = tf.sigmoid(layer.cell.leak_rate_logit)
    assert layer.cell.leak_rate_logit.shape == (UNITS,)
    assert (np.abs(shares - 0.2) > 1e-6).all()
    np.testing.assert_allclose(shares, 0.2, atol=1e-3)


@pytest.mark.parametrize("in_keras_loop", [False, True], ids=["layer", "cell"])
def test_zoneout_keeps_units_at_random_steps_and_their_expectation_in_inference(in_keras_loop):
    rate, x = 0.3, tf.random.normal((64, 20, 8), seed=1)
    zoneout = kerasrnn.VanillaRNN(16, zoneout=rate, return_sequences=True, seed=1)
    zoneout.build(x.shape)
    layer = keras.layers.RNN(zoneout.cell, return_sequences=True) if in_keras_loop else zoneout
    states = layer(x, training=True).numpy()
    before = np.concatenate([np.zeros_like(states[:, :1]), states[:, :-1]], 1)
    kept = states == before
    np.testing.assert_allclose(kept.mean(), rate, atol=0.02)
    np.testing.assert_allclose(kept.mean((0, 1)), rate, atol=0.08)
    np.testing.assert_allclose(kept.mean((1, 2)), rate, atol=0.12)
    assert not np.array_equal(kept[:, 1], kept[:, 2])  # drawn anew at each step
    W_x, W_h, b = (w.numpy() for w in zoneout.weights)
    candidates = np.tanh(x.numpy() @ W_x + before @ W_h + b)
    np.testing.assert_allclose(states[~kept], candidates[~kept], atol=1e-5)

    seeds = [v.numpy() for v in layer.non_trainable_variables]
    expected = layer(x).numpy()
    for variable, value in zip(layer.non_trainable_variables, seeds, strict=True):
        np.testing.assert_array_equal(variable, value)  # nothing is drawn
    first = (1 - rate) * np.tanh(x[:, 0].numpy() @ W_x + b)
    np.testing.assert_allclose(expected[:, 0], first, atol=1e-5)


def test_draws_of_zoneout_follow_the_seed(x):
    def draw(seed):
        layer = kerasrnn.VanillaRNN(
            UNITS,
            zoneout=0.5,
            seed=seed,
            kernel_initializer="ones",
            recurrent_initializer="identity",
            dropout=0.2,
        )
        return layer(x, training=True).numpy()

    np.testing.assert_array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1), draw(2))


def test_the_remedies_run_on_the_hand_written_scans(scan_calls, x):
    layer = kerasrnn.VanillaRNN(
        UNITS, **REMEDIES["all"], dropout=0.1, recurrent_dropout=0.1, return_sequences=True
    )
    with tf.GradientTape() as tape:
        outputs = layer(x, training=True)
    tape.gradient(outputs, layer.trainable_weights[0].value)
    assert scan_calls == ["scan_forward_and_keep", "scan_backward"]


def test_an_irnn_adds_up_what_it_reads(x):
    layer = kerasrnn.VanillaRNN(
        UNITS,
        activation="relu",
        recurrent_initializer="identity",
        kernel_initializer="identity",
        return_sequences=True,
    )
    inputs = tf.abs(x)
    np.testing.assert_allclose(layer(inputs), tf.cumsum(inputs, axis=1), rtol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_zoneout_draws_anew_in_graphs_of_unknown_shape(x, jit_compile):
    layer = kerasrnn.VanillaRNN(UNITS, zoneout=0.5, return_sequences=True)
    layer.build(x.shape)
    signature = [tf.TensorSpec([None, None, UNITS])]
    run = tf.function(lambda x: layer(x, training=True), signature, jit_compile=jit_compile)
    first, second = run(x).numpy(), run(x).numpy()
    assert first.shape == x.shape
    assert not np.array_equal(first, second)
    for states in (first, second):
        kept = states[:, 1:] == states[:, :-1]
        assert 0.2 < kept.mean() < 0.8


@pytest.mark.parametrize(
    "options",
    [
        {"teacher_forcing": 0.5, "window": 4},
        pytest.param({"recompute": True}, marks=pytest.mark.slow),
    ],
)
def test_models_learn_with_remedies_in_every_loop(x, options):
    model = kerasrnn.SequenceModel(
        [
            kerasrnn.VanillaRNN(
                UNITS, return_sequences=True, zoneout=0.1, leak_rate=0.5, residual=True
            ),
            keras.layers.Dense(UNITS),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse", **options)
    losses = model.fit(x.numpy(), np.zeros_like(x), epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_masked_skips_over_layers_are_plain_ops(x):
    layer = kerasrnn.VanillaRNN(UNITS, residual=True)
    layer.build(x.shape)

    @tf.function(autograph=False)
    def infer(x, mask):
        return layer(x, mask=mask)

    graph = infer.get_concrete_function(
        tf.TensorSpec([None, None, UNITS]), tf.TensorSpec([None, None], tf.bool)
    ).graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    assert {node.op for node in nodes} <= PLAIN_OPS | {"Placeholder"}


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_remedies_work_in_half_precision(x, policy):
    layer = kerasrnn.VanillaRNN(UNITS, **REMEDIES["all"], dtype=policy)
    with tf.GradientTape() as tape:
        outputs = layer(x, training=True)
    gradients = tape.gradient(outputs, [v.value for v in layer.trainable_variables])
    assert outputs.dtype == policy.removeprefix("mixed_")
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_remedies_are_saved_and_loaded(tmp_path, x):
    model = keras.Sequential([keras.Input([None, UNITS])])
    for remedy in REMEDIES.values():
        model.add(kerasrnn.VanillaRNN(UNITS, return_sequences=True, seed=1, **remedy))
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    for layer, remedy in zip(copy.layers, REMEDIES.values(), strict=True):
        for name in {"leak_rate", "learn_leak_rate", "zoneout", "residual"} & set(remedy):
            assert getattr(layer, name) == remedy[name]
    np.testing.assert_allclose(copy(x), model(x), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"zoneout": 1.0}, r"zoneout must lie in \[0, 1\), got zoneout=1.0"),
        ({"dropout": -0.1}, r"dropout must lie in \[0, 1\), got dropout=-0.1"),
        ({"recurrent_dropout": 1.5}, r"recurrent_dropout must lie in \[0, 1\)"),
        ({"leak_rate": 0.0}, r"leak_rate must lie in \(0, 1\], got leak_rate=0.0"),
        ({"leak_rate": 1.5}, r"leak_rate must lie in \(0, 1\]"),
        ({"learn_leak_rate": True}, "leak_rate below 1"),
        ({"zoneout": float("nan")}, "zoneout"),
        ({"leak_rate": None}, "leak_rate must lie"),
        ({"zoneout": "0.1"}, "zoneout must lie"),
    ],
)
def test_rates_out_of_range_are_refused(options, message):
    for make in (kerasrnn.VanillaRNN, kerasrnn.VanillaRNNCell):
        with pytest.raises(ValueError, match=message):
            make(UNITS, **options)


def test_what_does_not_fit_is_refused(x):
    with pytest.raises(ValueError, match="residual=True takes inputs of units=5 features"):
        kerasrnn.VanillaRNN(5, residual=True)(x)
    with pytest.raises(ValueError, match="radius must be positive"):
        kerasrnn.SpectralRadius(0)
    with pytest.raises(ValueError, match="square"):
        kerasrnn.SpectralRadius()((3, 4))
