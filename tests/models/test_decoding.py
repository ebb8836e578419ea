"""The loop that draws characters: in their distribution, and the same in any pieces."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from kerasrnn.models.decoding import BLOCK, extend
from kerasrnn.models.samplers.top_k import TopK
from kerasrnn.models.samplers.top_p import TopP

NUM_IDS = 6
LOGITS = np.log([[1e-9, 0.4, 0.3, 0.15, 0.1, 0.05]]).astype("float32")


def constant_step(ids, states):
    """A model whose scores are always the same; it counts its steps."""
    return tf.repeat(tf.constant(LOGITS), tf.shape(ids)[0], 0), [states[0] + 1]


def scores_of_previous(ids, states):
    """A model that always wants the id after the last one."""
    wanted = tf.one_hot(1 + ids % (NUM_IDS - 1), NUM_IDS) * 50.0
    return wanted, states


@functools.partial(tf.function, autograph=False)
def draw(
    length, temperature, top_k, top_p, seed, position, batch_size=1, num_loops=1, filtered=False
):
    ids = tf.ones([batch_size], tf.int32)  # a tensor: one trace for all sizes
    return extend(
        constant_step,
        ids,
        [tf.zeros([batch_size, 1])],
        length,
        NUM_IDS,
        temperature=temperature,
        seed=seed,
        samplers=(TopK(top_k), TopP(top_p)) if filtered else (),
        position=position,
        num_loops=num_loops,
    )


def drawn(length, temperature=1.0, top_k=0, top_p=1.0, seed=0, position=0, batch_size=1, **how):
    numbers = (length, temperature, top_k, top_p, seed, position, batch_size)
    return draw(*map(tf.constant, numbers), **how)


def frequencies(ids):
    return np.bincount(np.ravel(ids), minlength=NUM_IDS) / np.size(ids)


def softmax(logits):
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_characters_come_as_often_as_their_probability_says(temperature):
    ids, _, _ = drawn(400, temperature, batch_size=50)
    expected = softmax(LOGITS[0, 1:] / temperature)
    found = frequencies(ids)
    error = 5 * np.sqrt(expected * (1 - expected) / 20_000)
    assert np.all(np.abs(found[1:] - expected) < error)
    assert found[0] == 0


def test_temperature_0_takes_the_most_probable_one():
    ids, _, _ = drawn(2 * BLOCK + 3, temperature=0.0)
    assert np.all(ids == 1)


def test_each_step_is_fed_what_was_drawn_before():
    ids = tf.constant([1, 4])
    found, last, _ = extend(scores_of_previous, ids, [tf.zeros([2, 1])], BLOCK + 3, NUM_IDS)
    expected = [[1 + (start + t) % 5 for t in range(BLOCK + 3)] for start in (1, 4)]
    assert found.numpy().tolist() == expected
    assert last.numpy().tolist() == [row[-1] for row in expected]


@pytest.mark.parametrize("length", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_exactly_as_many_steps_are_taken_as_are_asked_for(length):
    ids, _, (count,) = drawn(length, batch_size=3)
    assert ids.shape == (3, length)
    assert count.numpy().tolist() == [[length]] * 3


def test_the_draws_depend_on_the_seed_and_the_step_alone():
    whole, _, _ = drawn(5 * BLOCK + 2, seed=7)
    shorter, _, _ = drawn(3 * BLOCK + 1, seed=7)
    rest, _, _ = drawn(2 * BLOCK + 2, seed=7, position=3 * BLOCK)
    other, _, _ = drawn(5 * BLOCK + 2, seed=8)
    np.testing.assert_array_equal(shorter, whole[:, : 3 * BLOCK + 1])
    np.testing.assert_array_equal(rest, whole[:, 3 * BLOCK :])
    assert np.any(other != whole)


@pytest.mark.parametrize("batch_size", [3, 17])
def test_one_loop_and_two_draw_the_same(batch_size):
    one, two, either = (
        drawn(BLOCK + 1, batch_size=batch_size, num_loops=num_loops)[0]
        for num_loops in (1, 2, None)
    )
    np.testing.assert_array_equal(two, one)
    np.testing.assert_array_equal(either, one)


@pytest.mark.parametrize("num_loops", [1, 2])
def test_texts_side_by_side_are_drawn_apart(num_loops):
    ids, _, (counts,) = drawn(10 * BLOCK + 1, batch_size=17, num_loops=num_loops)
    assert ids.shape == (17, 10 * BLOCK + 1)
    assert len({tuple(row) for row in ids.numpy()}) == 17
    assert np.all(counts == 10 * BLOCK + 1)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"top_k": 1}, {1}),
        ({"top_k": 3}, {1, 2, 3}),
        ({"top_k": 5}, {1, 2, 3, 4, 5}),
        ({"top_p": 0.3}, {1}),
        ({"top_p": 0.4}, {1}),
        ({"top_p": 0.69}, {1, 2}),
        ({"top_p": 0.75}, {1, 2, 3}),
        ({"top_k": 2, "top_p": 0.99}, {1, 2}),
        ({"top_k": 3, "top_p": 0.5}, {1, 2}),  # 0.4 / 0.85 is below 0.5
        ({"top_p": 0.5, "temperature": 100.0}, {1, 2, 3}),  # all about equally probable
    ],
)
def test_top_k_and_top_p_leave_out_the_improbable(options, kept):
    ids, _, _ = drawn(400, filtered=True, **options)
    assert set(np.ravel(ids)) == kept


def test_what_remains_keeps_its_proportions():
    ids, _, _ = drawn(400, filtered=True, top_k=2, batch_size=50)
    assert frequencies(ids)[1] == pytest.approx(0.4 / 0.7, abs=0.02)
