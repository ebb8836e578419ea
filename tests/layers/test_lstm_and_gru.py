"""What of `LSTM` and `GRU` beside those of Keras is not in `tests/conformance.py`."""

import copy
import functools
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from tests.paired_layers import (
    BATCH,
    FEATURES,
    MIDDLE,
    TIME,
    UNITS,
    X,
    assert_close,
    differentiate,
    states_for,
)

NAMES = ["LSTM", "GRU"]
RATES = {"dropout": 0.4, "recurrent_dropout": 0.3}
SLOW = pytest.mark.slow
# Each value of each option, with as many values of the others as there is room for.
OPTIONS = [
    ("LSTM", {"activation": "relu", "go_backwards": True, "unit_forget_bias": False}),
    ("LSTM", {"activation": "sigmoid", "recurrent_activation": "hard_sigmoid"}),
    ("LSTM", {"activation": None, "use_bias": False, "zero_output_for_mask": True}),
    ("LSTM", {"activation": "gelu", "return_sequences": False}),
    pytest.param(
        "LSTM", {"recurrent_activation": "softsign", "go_backwards": True}, marks=SLOW
    ),
    ("LSTM", {"recurrent_activation": "tanh", "return_sequences": False, "use_bias": False}),
    ("LSTM", {"unroll": True, "activation": "relu"}),
    ("LSTM", {"dropout": 0.4, "implementation": 2, "go_backwards": True}),
    ("LSTM", {**RATES, "implementation": 1, "return_sequences": False}),
    pytest.param("LSTM", {**RATES, "unroll": True, "implementation": 2}, marks=SLOW),
    ("GRU", {"activation": "relu", "reset_after": False, "return_sequences": False}),
    ("GRU", {"activation": "sigmoid", "recurrent_activation": "hard_sigmoid"}),
    ("GRU", {"activation": None, "use_bias": False, "go_backwards": True}),
    ("GRU", {"activation": "gelu", "reset_after": False, "zero_output_for_mask": True}),
    pytest.param("GRU", {"recurrent_activation": "softsign", "use_bias": False}, marks=SLOW),
    ("GRU", {"recurrent_activation": "tanh", "reset_after": False, "use_bias": False}),
    pytest.param("GRU", {"unroll": True, "reset_after": False}, marks=SLOW),
    ("GRU", {"dropout": 0.4, "implementation": 2, "reset_after": False}),
    ("GRU", {**RATES, "implementation": 1, "go_backwards": True}),
    ("GRU", {**RATES, "implementation": 2, "reset_after": False}),
    ("GRU", {**RATES, "unroll": True, "return_sequences": False}),
]


def make_pair(name, **options):
    """A layer and that of Keras, with the same weights."""
    pair = [
        getattr(module, name)(UNITS, seed=7, **options) for module in (kerasrnn, keras.layers)
    ]
    for layer in pair:
        layer.build(X.shape)
    rng = np.random.default_rng(1)
    weights = [rng.normal(scale=0.4, size=w.shape) for w in pair[0].get_weights()]
    for layer in pair:
        layer.set_weights(weights)
    return pair


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=str)
def test_every_option_has_the_numbers_of_keras(name, options):
    options = {"return_sequences": True, "return_state": True, **options}
    layer, reference = make_pair(name, **options)
    arguments = X, MIDDLE, states_for(layer)
    for _ in range(2 if "dropout" in options else 1):  # other masks the second time
        found = differentiate(layer, *arguments)
        assert_close(found, differentiate(reference, *arguments))
    assert_close(layer(X, mask=MIDDLE), reference(X, mask=MIDDLE))


@pytest.mark.parametrize("name", NAMES)
def test_each_gate_may_have_its_own_mask_of_the_inputs(name):
    layer, _ = make_pair(name, dropout=0.4, implementation=1)
    # The layer of Keras cannot do that, but its cell can.
    cell = getattr(keras.layers, f"{name}Cell")(UNITS, dropout=0.4, implementation=1, seed=7)
    reference = keras.layers.RNN(cell)
    reference.build(X.shape)
    reference.set_weights(layer.get_weights())
    assert_close(differentiate(layer, X, MIDDLE), differentiate(reference, X, MIDDLE))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("LSTM", {"activation": "relu", "recurrent_activation": "hard_sigmoid"}),
        ("GRU", {"reset_after": False, "use_bias": False}),
        pytest.param("GRU", {"activation": "gelu"}, marks=SLOW),
        pytest.param("LSTM", {"unroll": True}, marks=SLOW),
    ],
    ids=str,
)
def test_outputs_in_every_precision_are_those_of_keras(name, options, policy):
    layer, reference = make_pair(name, dtype=policy, return_state=True, **options)
    found, expected = (one(X, mask=MIDDLE, training=True) for one in (layer, reference))
    bound = {"mixed_float16": 5e-3, "mixed_bfloat16": 4e-2, "float64": 1e-6}[policy]
    assert_close(found, expected, bound)


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_and_default_is_that_of_keras(name):
    found, expected = (
        getattr(module, name)(UNITS).get_config() for module in (kerasrnn, keras.layers)
    )
    ours = {"truncation", "zoneout", "residual", "implementation"}
    assert set(found) - ours == set(expected) - ours
    for key in set(expected) - {"name"}:
        assert found[key] == expected[key], key


@pytest.mark.parametrize("name", NAMES)
def test_implementation_is_part_of_the_configuration(name):
    layer = getattr(kerasrnn, name)(UNITS, dropout=0.5, implementation=1)
    assert type(layer).from_config(layer.get_config()).cell.implementation == 1
    assert type(layer.cell).from_config(layer.cell.get_config()).implementation == 1


def test_a_subclass_keeps_its_own_attributes():
    class Named(kerasrnn.LSTM):
        residual = property(lambda self: "mine")

    assert Named(UNITS).residual == "mine"
    assert Named(UNITS).units == UNITS


@pytest.mark.parametrize("name", NAMES)
def test_attributes_are_those_of_keras(name):
    layer, reference = (getattr(module, name)(UNITS) for module in (kerasrnn, keras.layers))
    for key in set(reference.get_config()) - {"name", "dtype", "implementation", "seed"}:
        assert type(getattr(layer, key)) is type(getattr(reference, key)), key


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("LSTM", {}),
        ("LSTM", {"unit_forget_bias": False, "bias_initializer": "ones"}),
        ("LSTM", {"bias_initializer": keras.initializers.RandomNormal(seed=3)}),
        ("LSTM", {"recurrent_initializer": keras.initializers.Orthogonal(seed=3)}),
        ("GRU", {"bias_initializer": keras.initializers.RandomNormal(seed=3)}),
        ("GRU", {"reset_after": False, "bias_initializer": "ones"}),
        ("GRU", {"kernel_initializer": keras.initializers.GlorotUniform(seed=3)}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value) or "defaults",
)
def test_weights_begin_as_in_keras(name, options):
    zeros = dict.fromkeys(["kernel_initializer", "recurrent_initializer"], "zeros")
    layers = [
        getattr(module, name)(UNITS, **{**zeros, **options})
        for module in (kerasrnn, keras.layers)
    ]
    for layer in layers:
        layer.build(X.shape)
    for found, expected in zip(*(layer.get_weights() for layer in layers), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("use_cudnn", ["auto", True, False])
def test_use_cudnn_changes_nothing_and_is_kept(name, use_cudnn):
    layer, plain = (getattr(kerasrnn, name)(UNITS, use_cudnn=u) for u in (use_cudnn, "auto"))
    for each in (layer, plain):
        each.build(X.shape)
    plain.set_weights(layer.get_weights())
    assert_close(layer(X), plain(X))
    assert layer.use_cudnn == use_cudnn
    both_ways = keras.layers.Bidirectional(layer)
    assert both_ways.forward_layer.use_cudnn == both_ways.backward_layer.use_cudnn == use_cudnn


def call(layer, *shape, **options):
    return layer(tf.ones(shape or (BATCH, TIME, FEATURES)), **options)


def trace_unrolled(make):
    unrolled = tf.function(make(2, unroll=True))
    unrolled.get_concrete_function(tf.TensorSpec([2, None, 3]))


STATE = tf.ones([BATCH, UNITS])
REFUSED = {
    "units": lambda make: make(0),
    "activation": lambda make: make(2, activation="none such"),
    "recurrent activation": lambda make: make(2, recurrent_activation="none such"),
    "initializer": lambda make: make(2, recurrent_initializer="none such"),
    "argument": lambda make: make(2, leak_rate=0.5, no_such_argument=1),
    "cudnn": lambda make: make(2, use_cudnn="yes"),
    "rank": lambda make: call(make(2), 2, 3),
    "no state": lambda make: call(make(UNITS), initial_state=[]),
    "too many states": lambda make: call(make(UNITS), initial_state=[STATE] * 3),
    "size of a state": lambda make: call(make(5), initial_state=[STATE] * 2),
    "length": trace_unrolled,
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mistake", REFUSED)
def test_what_keras_refuses_is_refused(name, mistake):
    found, expected = (
        _error(functools.partial(REFUSED[mistake], getattr(module, name)))
        for module in (kerasrnn, keras.layers)
    )
    assert found is not None
    assert expected is None or found in (ValueError, expected)


def _error(function):
    try:
        function()
    except Exception as error:
        return type(error) if not isinstance(error, ValueError) else ValueError
    return None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kerasrnn.LSTM(0), "units must be a positive integer, got units=0"),
        (lambda: kerasrnn.GRU(2, use_cudnn="yes"), 'use_cudnn must be "auto", True or False'),
        (lambda: kerasrnn.LSTM(2, implementation=3), "implementation must be 1 or 2"),
        (lambda: kerasrnn.LSTM(2, zoneout=[0.1]), "one rate, or two for h and c"),
        (lambda: kerasrnn.LSTM(2, zoneout=[0.1, 1.0]), r"zoneout must lie in \[0, 1\)"),
        (lambda: kerasrnn.GRU(2, zoneout=[0.1, 0.1]), "zoneout must be one number in"),
        (lambda: kerasrnn.GRU(5, residual=True)(X), "takes inputs of units=5 features"),
        (lambda: kerasrnn.LSTM(4)(X, initial_state=[STATE]), "must be a list of 2 tensors"),
        (lambda: trace_unrolled(kerasrnn.GRU), "unroll=True needs sequences of a known"),
    ],
)
def test_errors_say_what_was_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Which way they run


def trace(layer, x=X, mask=None, training=True):
    """Traces outputs and gradients; runs nothing."""

    @tf.function(autograph=False)
    def compute(x):
        with tf.GradientTape() as tape:
            outputs = tf.nest.flatten(layer(x, mask=mask, training=training))
        return tape.gradient(outputs[0], [w.value for w in layer.trainable_variables])

    layer.build(x.shape)
    return compute.get_concrete_function(tf.TensorSpec(x.shape, x.dtype))


def rnn_of(cell_class):
    def make(units, residual=False, zoneout=0.0, **options):
        of_cell = {k: options.pop(k) for k in RATES if k in options}
        cell = cell_class(units, residual=residual, zoneout=zoneout, **of_cell)
        return kerasrnn.RNN(cell, **options)

    return make


MAKERS = {
    "LSTM": kerasrnn.LSTM,
    "GRU": kerasrnn.GRU,
    "RNN(LSTMCell)": rnn_of(kerasrnn.LSTMCell),
    "RNN(GRUCell)": rnn_of(kerasrnn.GRUCell),
    "RNN(VanillaRNNCell)": rnn_of(kerasrnn.VanillaRNNCell),
}
FAST = {
    "plain": {},
    "mask": {},
    "all outputs": {"return_sequences": True, "return_state": True},
    "dropout": RATES,
    "zoneout": {"zoneout": 0.1},
    "cut": {"truncation": kerasrnn.TruncatedBPTT(2), "return_sequences": True},
    "cut at random": {"truncation": kerasrnn.RandomizedTruncation(0.9)},
    "residual": {"residual": True, "return_sequences": True},
    "stateful": {"stateful": True},
    "backwards": {"go_backwards": True, "zero_output_for_mask": True},
    "everything": {
        **RATES,
        "zoneout": 0.1,
        "residual": True,
        "return_sequences": True,
        "go_backwards": True,
        "truncation": kerasrnn.TruncatedBPTT(2),
        "dtype": "mixed_bfloat16",
    },
}
PASSES = ["scan_forward_and_keep", "scan_backward"]


@pytest.mark.parametrize(
    ("name", "options"),
    [("LSTM", options) for options in FAST]
    + [("GRU", options) for options in FAST]
    + [(name, options) for name in [*MAKERS][2:] for options in ("plain", "everything")],
)
def test_training_runs_on_the_hand_written_scans(scan_calls, name, options):
    layer = MAKERS[name](FEATURES, **FAST[options])
    trace(layer, mask=None if options in ("plain", "backwards") else MIDDLE)
    assert scan_calls == PASSES


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("LSTM", {"activation": "relu", "recurrent_activation": "hard_sigmoid"}),
        ("GRU", {"activation": None, "reset_after": False}),
        ("LSTM", {"use_bias": False, "zoneout": [0.0, 0.2], "implementation": 1}),
        ("GRU", {"use_bias": False, "dtype": "mixed_float16"}),
    ],
    ids=str,
)
def test_training_with_other_equations_runs_on_them_too(scan_calls, name, options):
    trace(MAKERS[name](UNITS, **options), mask=MIDDLE)
    assert scan_calls == PASSES


class OwnLSTMCell(kerasrnn.LSTMCell):
    """A cell whose step is not that of its equations."""

    def call(self, inputs, states, training=False):
        return super().call(2 * inputs, states, training)


@pytest.mark.parametrize(
    "make",
    [
        lambda: kerasrnn.LSTM(4, unroll=True),
        lambda: kerasrnn.GRU(4, activation="gelu"),
        lambda: kerasrnn.LSTM(4, recurrent_activation="softsign"),
        lambda: kerasrnn.RNN(OwnLSTMCell(4)),
        lambda: kerasrnn.RNN([kerasrnn.LSTMCell(4), kerasrnn.GRUCell(4)]),
        lambda: kerasrnn.RNN(keras.layers.LSTMCell(4)),
        lambda: kerasrnn.RNN(keras.layers.GRUCell(4), truncation=kerasrnn.TruncatedBPTT(2)),
    ],
    ids=["unroll", "gelu", "softsign", "own call", "stack", "keras lstm", "keras gru"],
)
def test_what_they_cannot_run_goes_step_by_step(scan_calls, make):
    trace(make())
    assert scan_calls == []


def test_inference_runs_the_forward_scan_alone(scan_calls):
    for name in NAMES:
        layer = MAKERS[name](UNITS)
        layer(X)
        assert scan_calls == ["scan_to_last"]
        scan_calls.clear()


# In the loops of others


@pytest.mark.parametrize("cell_class", [kerasrnn.LSTMCell, kerasrnn.GRUCell])
def test_a_cell_has_the_contract_and_the_step_of_the_cell_of_keras(cell_class):
    cell, reference = cell_class(UNITS), getattr(keras.layers, cell_class.__name__)(UNITS)
    for each in (cell, reference):
        each.build((None, FEATURES))
    cell.set_weights(reference.get_weights())
    states = states_for(cell)
    output, after = cell(X[:, 0], states)
    expected, expected_after = reference(X[:, 0], states)
    assert_close([output, *after], [expected, *expected_after])
    assert isinstance(after, list)
    assert cell.state_size == reference.state_size
    assert cell.output_size == reference.output_size
    in_keras, own = (
        module.RNN(cell, return_sequences=True) for module in (keras.layers, kerasrnn)
    )
    assert_close(own(X, mask=MIDDLE), in_keras(X, mask=MIDDLE))


@pytest.mark.parametrize("name", ["LSTM", pytest.param("GRU", marks=SLOW)])
def test_fit_learns_in_a_graph_with_masks_of_many_lengths(name):
    rng = np.random.default_rng(0)
    x = rng.integers(1, 5, size=(32, 6))
    x[rng.random(x.shape) < 0.2] = 0
    y = (x == 1).any(1).astype("float32")
    model = keras.Sequential(
        [
            keras.layers.Embedding(5, 4, mask_zero=True),
            MAKERS[name](8, dropout=0.1),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.05), "binary_crossentropy")
    losses = model.fit(x, y, epochs=8, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]


def test_the_configuration_can_be_copied_and_pickled():
    config = kerasrnn.LSTM(3, zoneout=(0.1, 0.3)).get_config()
    assert pickle.loads(pickle.dumps(copy.deepcopy(config)))["zoneout"] == [0.1, 0.3]


def test_cells_name_the_states_that_they_need():
    x, h = tf.ones([2, 5]), tf.ones([2, 3])
    for cell, states in ((kerasrnn.LSTMCell(3), [h]), (kerasrnn.GRUCell(3), [h, h])):
        with pytest.raises(ValueError, match=f"needs a list of {3 - len(states)} states"):
            cell(x, states)


def test_a_residual_cell_takes_an_empty_batch():
    cell = kerasrnn.GRUCell(3, residual=True)
    assert cell(tf.zeros([0, 3]), [tf.zeros([0, 3])])[0].shape == (0, 3)


@pytest.mark.parametrize("num_steps", [5, 16])
def test_a_layer_can_be_vectorized(num_steps):
    layer = kerasrnn.LSTM(4, return_sequences=True)
    x = tf.random.stateless_normal([2, 3, num_steps, 4], [0, 1])
    expected = tf.stack([layer(one) for one in x])
    tf.debugging.assert_near(keras.ops.vectorized_map(layer, x), expected, atol=1e-6)
