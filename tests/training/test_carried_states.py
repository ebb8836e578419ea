"""States that pass from window to window, and where they begin anew."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.training.carried_states import CarriedStates, forgetting, start_from
from kerasrnn.training.errors import clear_errors
from kerasrnn.training.window import Window
from tests.training.models import BATCH, VOCABULARY, WAYS, make_model, train_by


def test_sequences_of_a_stream_do_not_see_each_other(rng):
    lengths = [7, 4, 9, 2, 5]
    sequences = [rng.integers(1, VOCABULARY, size=n + 1) for n in lengths]
    model = make_model(window=3)
    together = model.evaluate(
        kerasrnn.Stream(sequences, batch_size=2), verbose=0, return_dict=True
    )
    losses = [
        keras.losses.sparse_categorical_crossentropy(
            s[None, 1:], model(s[None, :-1]), from_logits=True
        )
        for s in sequences
    ]
    expected = np.concatenate([np.ravel(x) for x in losses]).mean()
    np.testing.assert_allclose(together["loss"], expected, rtol=1e-5)


@pytest.mark.slow
def test_a_batch_size_that_changes_while_states_are_carried_is_an_error(ids):
    x = tf.constant(ids[:, :5])
    sizes = [x, x[:3]]
    batches = tf.data.Dataset.from_generator(
        lambda: ((b, b) for b in sizes),
        output_signature=(tf.TensorSpec([None, 5], x.dtype),) * 2,
    ).apply(tf.data.experimental.assert_cardinality(2))
    for way in WAYS:
        model = make_model(window=5)
        with pytest.raises(ValueError, match="the batch size changed from 4 to 3 while states"):
            train_by(way, model, batches)
    make_model(window=5, carry_state=False).fit(batches, verbose=0)
    model = make_model(window=5)
    model.fit(batches.take(1), verbose=0)
    model.fit(batches.skip(1), verbose=0)  # another stream begins: any size will do


@pytest.mark.slow
def test_states_are_carried_by_train_on_batch_too(ids):
    whole, pieces = make_model(), make_model(window=13)
    for model in (whole, pieces):
        model.optimizer.learning_rate = 0.0
    halves = [slice(0, 13), slice(13, 26)]
    losses = [
        pieces.train_on_batch(
            {"inputs": ids[:, :-1][:, half], "reset": np.full(BATCH, not n)},
            ids[:, 1:][:, half],
            return_dict=True,
        )["loss"]
        for n, half in enumerate(halves)
    ]
    expected = whole.train_on_batch(ids[:, :-1], ids[:, 1:], return_dict=True)["loss"]
    np.testing.assert_allclose(np.mean(losses), expected, rtol=1e-5)


def carried_states(units=2):
    """A nest of two states, of no sequences yet."""
    return CarriedStates([tf.zeros([0, units]), [tf.zeros([0, 1], tf.float64)]])


def states_of(batch_size, value, units=2):
    return [
        tf.fill([batch_size, units], float(value)),
        [tf.fill([batch_size, 1], tf.constant(value, tf.float64))],
    ]


def test_what_is_written_is_read_whatever_the_batch_size():
    carried = carried_states()
    assert [s.shape[0] for s in tf.nest.flatten(carried.read())] == [0, 0]
    for batch_size in (3, 1, 5):
        given = states_of(batch_size, batch_size)
        carried.write(given)
        found = carried.read()
        tf.nest.assert_same_structure(found, given)
        for a, b in zip(tf.nest.flatten(found), tf.nest.flatten(given), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
        assert [v.shape[0] for v in map(np.asarray, carried.variables[1:])] == [batch_size] * 2
    carried.forget()
    assert [s.shape[0] for s in tf.nest.flatten(carried.read())] == [0, 0]


def test_a_graph_reads_the_states_of_any_batch_size():
    carried = carried_states()

    @tf.function
    def add_one():
        carried.write(tf.nest.map_structure(lambda s: s + 1, carried.read()))

    for batch_size in (3, 5):
        carried.write(states_of(batch_size, 0))
        for _ in range(2):
            add_one()
        for state in tf.nest.flatten(carried.read()):
            np.testing.assert_array_equal(state, np.full([batch_size, *state.shape[1:]], 2.0))


def test_states_are_forgotten_also_after_an_error():
    carried = carried_states()
    carried.write(states_of(3, 1))
    with pytest.raises(KeyError), forgetting(carried):
        raise KeyError
    assert int(carried.batch_size) == 0
    with forgetting(None):
        pass


def window_of(batch_size, reset=None):
    return Window(tf.zeros([batch_size, 4]), reset, tf.zeros([batch_size, 4]), None, None)


@pytest.mark.parametrize("graph", [False, True])
def test_a_window_starts_from_what_was_carried_or_anew_where_it_resets(graph):
    start = tf.function(start_from) if graph else start_from
    initial, carried = states_of(3, 7), states_of(3, 2)
    for reset, expected in [
        (None, [2, 2, 2]),
        ([False] * 3, [2, 2, 2]),
        ([False, True, False], [2, 7, 2]),
        ([0, 0, 1], [2, 2, 7]),
        ([True] * 3, [7, 7, 7]),
    ]:
        window = window_of(3, None if reset is None else tf.constant(reset))
        for state in tf.nest.flatten(start(initial, carried, window)):
            np.testing.assert_array_equal(state, np.tile(np.c_[expected], state.shape[1]))


@pytest.mark.parametrize("graph", [False, True])
def test_another_batch_size_is_possible_only_where_all_sequences_begin(graph):
    start = tf.function(start_from) if graph else start_from
    initial = states_of(3, 7)
    for carried, reset in [(states_of(0, 2), None), (states_of(5, 2), tf.fill([3], True))]:
        for state in tf.nest.flatten(start(initial, carried, window_of(3, reset))):
            np.testing.assert_array_equal(state, np.full(state.shape, 7.0))
    message = "the batch size changed from 5 to 3 while states"
    for reset in (None, tf.constant([True, False, True])):
        with pytest.raises(ValueError, match=message), clear_errors():
            start(initial, states_of(5, 2), window_of(3, reset))


def test_no_gradient_flows_into_carried_states():
    initial, carried = states_of(3, 7), states_of(3, 2)
    with tf.GradientTape() as tape:
        tape.watch(carried)
        total = tf.reduce_sum(start_from(initial, carried, window_of(3))[0])
    assert tape.gradient(total, carried[0]) is None
