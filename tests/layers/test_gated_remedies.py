"""Zoneout, residual connections and truncation in `LSTM` and `GRU`, for every state."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from tests import reference
from tests.paired_layers import (
    BATCH,
    MIDDLE,
    TIME,
    UNITS,
    X,
    assert_close,
    differentiate,
    states_for,
)

STEPS = {
    "LSTM": reference.lstm_step,
    "GRU": reference.gru_step,
    "GRU, reset before": functools.partial(reference.gru_step, reset_after=False),
}


def make(name, features=X.shape[-1], **options):
    """A layer that puts out and returns everything, with random weights."""
    if name == "GRU, reset before":
        name, options["reset_after"] = "GRU", False
    options = {"return_sequences": True, "return_state": True, "seed": 7, **options}
    layer = getattr(kerasrnn, name)(UNITS, **options)
    layer.build((None, None, features))
    rng = np.random.default_rng(1)
    layer.set_weights([rng.normal(scale=0.5, size=w.shape) for w in layer.get_weights()])
    return layer


def scan_of(name, layer, x, states, mask, updates):
    """The same in NumPy."""
    kernel, recurrent, bias = (w.astype("float64") for w in layer.get_weights())
    gates = recurrent.shape[1] // UNITS
    of_state = []
    if bias.ndim == 2:  # of the inputs and of the states; that of the candidate is reset, too
        of_state = [bias[1, 2 * UNITS :]]
        bias = bias[0] + np.concatenate([bias[1, : 2 * UNITS], np.zeros(UNITS)])
    inputs = np.split((np.asarray(x, "float64") @ kernel + bias).swapaxes(0, 1), gates, axis=2)
    weights = [*np.split(recurrent, gates, axis=1), *of_state]
    states = [np.asarray(state, "float64") for state in states]
    mask = None if mask is None else np.asarray(mask).T
    return reference.Scan(STEPS[name], inputs, weights, states, mask, updates)


ZONEOUT = [
    ("LSTM", 0.3),
    ("LSTM", [0.1, 0.5]),
    ("LSTM", [0.0, 0.4]),
    ("LSTM", [0.4, 0.0]),
    ("GRU", 0.3),
    ("GRU, reset before", 0.3),
]


@pytest.mark.parametrize("training", [True, False], ids=["drawn", "expected"])
@pytest.mark.parametrize(("name", "rates"), ZONEOUT, ids=str)
def test_zoneout_is_a_numpy_loop_with_the_same_draws(name, rates, training):
    layer, mask = make(name, zoneout=rates), MIDDLE if name == "LSTM" else None
    states, generator = states_for(layer), layer.cell.seed_generator.state
    start = generator.numpy()
    if training:
        drawn = layer.cell.draw_updates([TIME, BATCH, UNITS], True)
        updates = [None if u is None else np.asarray(u, "float64") for u in drawn]
        generator.assign(start)
    else:
        both = rates if isinstance(rates, list) else [rates] * len(states)
        updates = [np.full(UNITS, 1 - rate) for rate in both]
    with tf.GradientTape() as tape:
        tape.watch([X, *states])
        outputs, *last = layer(X, initial_state=states, mask=mask, training=training)
        total = tf.reduce_sum(tf.sin(outputs[:, 1:]))
    found = tape.gradient(total, states)
    assert np.array_equal(generator, start) is not training
    scan = scan_of(name, layer, X, states, mask, updates)
    expected = scan.histories[0].swapaxes(0, 1)
    shown = np.ones([BATCH, TIME, 1]) if mask is None else np.cumsum(mask, 1)[..., None] > 0
    np.testing.assert_allclose(outputs, expected * shown, atol=1e-5)
    for state, history in zip(last, scan.histories, strict=True):
        np.testing.assert_allclose(state, history[-1], atol=1e-5)
    upstream = np.cos(expected) * shown
    upstream[:, 0] = 0
    expected = scan.back(upstream.swapaxes(0, 1))["states"]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize(("rates", "expected"), [(0.3, (0.3, 0.3)), ([0.1, 0.5], (0.1, 0.5))])
def test_each_state_is_kept_at_its_own_rate(rates, expected):
    layer, size = make("LSTM", zoneout=rates), [50, 40, UNITS]
    drawn = layer.cell.draw_updates(size, True)
    for update, rate in zip(drawn, expected, strict=True):
        deviation = np.sqrt(rate * (1 - rate) / np.prod(size))
        assert abs(np.mean(update == 0) - rate) < 4 * deviation
        assert np.isin(update, [0, 1]).all()
    assert not np.array_equal(*drawn)


@pytest.mark.parametrize(
    ("name", "options", "masked"),
    [
        ("LSTM", {"zoneout": [0.1, 0.3]}, True),
        ("LSTM", {"zoneout": 0.2, "residual": True, "return_sequences": False}, False),
        ("LSTM", {"residual": True, "go_backwards": True}, True),
        ("GRU", {"zoneout": 0.2, "residual": True}, True),
        ("GRU, reset before", {"residual": True, "go_backwards": True}, False),
    ],
    ids=str,
)
def test_a_layer_gives_the_numbers_and_gradients_of_its_cell(name, options, masked):
    layer, x = make(name, UNITS, **options), X[..., :UNITS]
    flags = ("return_sequences", "return_state", "go_backwards")
    by_autodiff = keras.layers.RNN(layer.cell, **{f: getattr(layer, f) for f in flags})
    arguments = x, MIDDLE if masked else None, states_for(layer), False
    assert_close(differentiate(layer, *arguments), differentiate(by_autodiff, *arguments))


@pytest.mark.parametrize("name", STEPS)
def test_residual_adds_the_inputs_to_the_outputs_and_not_to_the_states(name):
    plain, residual = make(name, UNITS), make(name, UNITS, residual=True)
    x = X[..., :UNITS]
    outputs, *states = plain(x)
    assert_close(residual(x), [outputs + x, *states])


def gradients_at(layer, step, mask):
    """The gradients that one output alone sends to the inputs and to the first states."""
    states = states_for(layer)
    with tf.GradientTape() as tape:
        tape.watch([X, *states])
        outputs, *_ = layer(X, initial_state=states, mask=mask, training=True)
        one = tf.reduce_sum(outputs[:, step])
    return tape.gradient(one, [X, *states])


@pytest.mark.parametrize("zoneout", [0.0, 0.2])
@pytest.mark.parametrize(("name", "masked"), [("LSTM", True), ("LSTM", False), ("GRU", False)])
def test_no_gradient_of_any_state_crosses_a_boundary(name, masked, zoneout):
    layer = make(name, truncation=kerasrnn.TruncatedBPTT(2), zoneout=zoneout)
    for step, first in [(1, 0), (3, 2), (4, 4)]:  # boundaries at steps 2 and 4
        of_inputs, *of_states = gradients_at(layer, step, MIDDLE if masked else None)
        np.testing.assert_array_equal(of_inputs[:, :first], 0)
        np.testing.assert_array_equal(of_inputs[:, step + 1 :], 0)
        assert np.abs(of_inputs[:, first : step + 1]).max() > 1e-4
        for gradient in of_states:
            assert bool(np.any(gradient)) is (first == 0)


def test_gates_change_no_output():
    for name in STEPS:
        plain = make(name)
        for policy in (kerasrnn.TruncatedBPTT(2), kerasrnn.RandomizedTruncation(0.5)):
            assert_close(
                make(name, truncation=policy)(X, mask=MIDDLE, training=True),
                plain(X, mask=MIDDLE, training=True),
            )


@pytest.mark.parametrize(
    ("name", "per_sequence", "masked"),
    [("LSTM", True, True), pytest.param("GRU", False, False, marks=pytest.mark.slow)],
)
def test_the_randomized_gradient_is_unbiased(name, per_sequence, masked):
    policy = kerasrnn.RandomizedTruncation(0.8, per_sequence=per_sequence)
    layer, num_draws = make(name, truncation=policy), 1000
    weights = [weight.value for weight in layer.trainable_variables]

    def gradients(layer, mask):
        states = states_for(layer)
        with tf.GradientTape() as tape:
            tape.watch(states)
            outputs, *_ = layer(X, initial_state=states, mask=mask, training=True)
            last = tf.reduce_sum(tf.sin(outputs[:, -1]))
        sources = [*(weight.value for weight in layer.trainable_variables), *states]
        return tape.gradient(last, sources)

    mask = MIDDLE if masked else None

    @tf.function(autograph=False)
    def draw_many():
        shapes = [weight.shape for weight in weights] + [[BATCH, UNITS]] * len(
            states_for(layer)
        )
        signature = [tf.TensorSpec(shape) for shape in shapes]
        draw = functools.partial(gradients, layer, mask)
        return tf.map_fn(lambda _: draw(), tf.range(num_draws), fn_output_signature=signature)

    for drawn, full in zip(draw_many(), gradients(make(name), mask), strict=True):
        error = np.std(drawn, 0, ddof=1) / np.sqrt(num_draws)
        deviation = np.abs(np.mean(drawn, 0) - full)
        # Of a few hundred entries none may lie 5 standard errors away.
        assert (deviation <= 5 * error + 1e-6).all()
        assert (deviation**2).mean() < 9 * (error**2).mean()
        assert np.var(drawn, 0).mean() > 1e-7  # the gates were drawn anew
