"""What Keras refuses in a call is a clear error; what it accepts gives the same numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from tests.plain_ops import assert_plain_graph

BATCH, TIME, FEATURES, UNITS = 3, 7, 5, 4
_RNG = np.random.default_rng(0)
X = _RNG.normal(size=(BATCH, TIME, FEATURES)).astype("float32")
MASK = _RNG.integers(0, 2, size=(BATCH, TIME)).astype(bool)
H = _RNG.normal(size=(BATCH, UNITS)).astype("float32")

LAYERS = {
    "vanilla": (
        lambda **options: keras.layers.SimpleRNN(UNITS, **options),
        lambda **options: kerasrnn.VanillaRNN(UNITS, **options),
    ),
    "truncated": (
        lambda **options: keras.layers.RNN(keras.layers.LSTMCell(UNITS), **options),
        lambda **options: kerasrnn.RNN(
            keras.layers.LSTMCell(UNITS), truncation=kerasrnn.TruncatedBPTT(3), **options
        ),
    ),
    "stack": (
        lambda **options: keras.layers.RNN(
            [keras.layers.SimpleRNNCell(UNITS), keras.layers.LSTMCell(UNITS)], **options
        ),
        lambda **options: kerasrnn.RNN(
            [keras.layers.SimpleRNNCell(UNITS), keras.layers.LSTMCell(UNITS)], **options
        ),
    ),
}
WRONG_MASKS = {
    "longer": np.concatenate([MASK, MASK[:, :1]], 1),
    "twice as long": np.concatenate([MASK, MASK], 1),
    "shorter": MASK[:, :-1],
    "one step": MASK[:, :1],
    "no step": MASK[:, :0],
    "fewer sequences": MASK[:2],
    "more sequences": np.concatenate([MASK, MASK[:1]]),
    "time first": MASK.T,
    "one sequence's": MASK[0],
    "one step's": MASK[:, 0],
    "a scalar": np.array(True),
    "two features": np.stack([MASK, MASK], -1),
}
RIGHT_MASKS = {
    "booleans": MASK,
    "integers": MASK.astype("int32"),
    "floats": MASK.astype("float32"),
    "the same for all sequences": MASK[:1],
    "a last axis": MASK[..., None],
    "a mask for each unit": _RNG.integers(0, 2, size=(BATCH, TIME, UNITS)).astype(bool),
}
WRONG_STATES = {
    "fewer sequences": H[:2],
    "more sequences": np.concatenate([H, H[:1]]),
    "more units": np.concatenate([H, H], 1),
    "fewer units": H[:, :2],
    "one unit": H[:, :1],
    "a scalar": np.float32(1),
    "nothing": None,
    "a text": "h",
}
RIGHT_STATES = {
    "float32": H,
    "float64": H.astype("float64"),
    "integers": np.ones((BATCH, UNITS), "int32"),
    "one row": H[:1],
    "a vector": H[0],
}
WRONG_INPUTS = {
    "one step": X[:, 0],
    "one vector": X[0, 0],
    "more features": np.concatenate([X, X], -1),
    "one feature": X[..., :1],
    "no steps": X[:, :0],
}
KERAS_ERRORS = (ValueError, TypeError, IndexError, AttributeError, tf.errors.OpError)


@pytest.fixture(scope="module", params=LAYERS)
def pair(request):
    """A layer of Keras and ours with the same weights."""
    theirs, ours = (make(return_sequences=True) for make in LAYERS[request.param])
    theirs.build(X.shape)
    ours.build(X.shape)
    ours.set_weights(theirs.get_weights())
    return theirs, ours


def states_like(layer, state):
    """`state` in the place of each of the layer's states."""
    return tf.nest.map_structure(lambda _: state, layer.get_initial_state(BATCH))


def call(layer, x=X, mask=None, state=None, training=True):
    initial_state = None if state is None else states_like(layer, *state)
    return layer(x, mask=mask, initial_state=initial_state, training=training)


def in_graph(layer, *arguments):
    return tf.function(lambda: call(layer, *arguments), autograph=False)()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *(((X, mask), "mask of .* must have the shape") for mask in WRONG_MASKS.values()),
        *(((X, None, [h]), "initial_state of .* must") for h in WRONG_STATES.values()),
        *(((x,), "inputs|ndim") for x in WRONG_INPUTS.values()),
    ],
    ids=[*(f"mask: {name}" for name in WRONG_MASKS)]
    + [f"state: {name}" for name in WRONG_STATES]
    + [f"inputs: {name}" for name in WRONG_INPUTS],
)
def test_what_keras_refuses_is_one_clear_error(pair, arguments, message):
    theirs, ours = pair
    with pytest.raises(KERAS_ERRORS):
        call(theirs, *arguments)
    for run in (call, in_graph):
        with pytest.raises(ValueError, match=message):
            run(ours, *arguments)


@pytest.mark.parametrize("wrong", [[], [H] * 5, H.tolist(), [H.tolist()], [[[H]]]], ids=len)
def test_states_of_another_number_are_refused(pair, wrong):
    for layer in pair:
        with pytest.raises(KERAS_ERRORS) as raised:
            layer(X, initial_state=wrong)
    assert raised.type is ValueError
    raised.match("initial_state of .* must be a list of . tensors")


@pytest.mark.parametrize(
    "arguments",
    [*((X, mask) for mask in RIGHT_MASKS.values())]
    + [(X, MASK, [h]) for h in RIGHT_STATES.values()],
    ids=[*RIGHT_MASKS, *(f"state: {name}" for name in RIGHT_STATES)],
)
def test_what_keras_accepts_gives_the_same_numbers(pair, arguments):
    theirs, ours = pair
    expected = call(theirs, *arguments)
    for training in (True, False):
        found = call(ours, *arguments, training=training)
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mask", "state"),
    [
        ("a mask for each unit", None),
        ("integers", "one row"),
        ("the same for all sequences", "a vector"),
        ("booleans", "float64"),
    ],
)
def test_graphs_accept_the_same(pair, mask, state):
    arguments = X, RIGHT_MASKS[mask], None if state is None else [RIGHT_STATES[state]]
    expected = call(pair[0], *arguments)
    np.testing.assert_allclose(in_graph(pair[1], *arguments), expected, atol=1e-5)


def test_a_single_state_may_be_given_without_a_list():
    layer = kerasrnn.VanillaRNN(UNITS)
    expected = layer(X, initial_state=[H])
    np.testing.assert_array_equal(layer(X, initial_state=tf.constant(H)), expected)
    with pytest.raises(ValueError, match=r"\(batch, units\) = \(3, 4\), got \(3, 2\)"):
        layer(X, initial_state=tf.constant(H[:, :2]))


def with_unknown_shapes(layer, training):
    return tf.function(
        lambda x, mask: layer(x, mask=mask, training=training),
        [tf.TensorSpec([None, None, FEATURES]), tf.TensorSpec([None, None], tf.bool)],
        autograph=False,
    )


@pytest.mark.parametrize("training", [True, False])
def test_graphs_of_unknown_shapes_find_wrong_masks_when_they_run(pair, training):
    run = with_unknown_shapes(pair[1], training)
    np.testing.assert_allclose(run(X, MASK), call(pair[0], X, MASK), atol=1e-5)
    for mask in ("shorter", "one step", "no step", "fewer sequences"):
        with pytest.raises(tf.errors.InvalidArgumentError):
            run(X, WRONG_MASKS[mask])


def test_compiled_graphs_say_what_is_wrong_with_a_mask():
    run = with_unknown_shapes(kerasrnn.VanillaRNN(UNITS), True)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"a mask as many.*\[7 6\]|mask"):
        run(X, MASK[:, :-1])
    with pytest.raises(tf.errors.InvalidArgumentError, match="one time step or more"):
        run(X[:, :0], MASK[:, :0])


def test_graphs_hold_no_checks_where_shapes_are_known_or_nothing_is_trained():
    layer = kerasrnn.VanillaRNN(UNITS)
    known = tf.function(lambda x, mask: layer(x, mask=mask, training=True), autograph=False)
    unknown = with_unknown_shapes(layer, False)
    for graph in (
        known.get_concrete_function(tf.constant(X), MASK).graph,
        unknown.get_concrete_function().graph,
    ):
        assert not any(op.type == "Assert" for op in graph.get_operations())
    assert_plain_graph(unknown.get_concrete_function().graph.as_graph_def())


class MatrixCell(keras.layers.Layer):
    """A cell whose state is a matrix."""

    def __init__(self):
        super().__init__()
        self.state_size, self.output_size = [(2, 2)], 2

    def call(self, inputs, states):
        state = 0.5 * states[0] + inputs[:, None, :]
        return keras.ops.sum(state, 1), [state]


def test_states_that_are_no_vectors_are_those_of_keras_own_layer(rng):
    x = rng.normal(size=(2, 5, 2)).astype("float32")
    state = rng.normal(size=(2, 2, 2)).astype("float32")
    found = kerasrnn.RNN(MatrixCell())(x, initial_state=[tf.constant(state)])
    expected = keras.layers.RNN(MatrixCell())(x, initial_state=[tf.constant(state)])
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("width", [1, 4])
def test_a_skip_over_the_layer_reads_every_mask(rng, return_sequences, rows, width):
    x = rng.normal(size=(3, 6, 4)).astype("float32")
    mask = rng.random((rows, 6, width)) < 0.6
    layer = kerasrnn.VanillaRNN(4, residual=True, return_sequences=return_sequences)
    found = layer(x, mask=tf.constant(mask))
    whole = np.broadcast_to(mask, (3, 6, width))
    kept = kerasrnn.RNN(layer.cell, return_sequences=return_sequences)
    np.testing.assert_allclose(found, kept(x, mask=tf.constant(whole)), atol=1e-5)


def test_flags_of_keras_may_be_numbers(rng):
    x = rng.normal(size=(2, 5, 3)).astype("float32")
    layer = kerasrnn.VanillaRNN(4, return_sequences=1, go_backwards=0)
    assert layer(x).shape == (2, 5, 4)
    assert layer.get_config()["return_sequences"] is True
