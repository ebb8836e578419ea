"""The loop that draws texts until they end: in their distribution, and not a token more."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from kerasrnn.models.choice import Choice
from kerasrnn.models.drawing import draw_until_end
from kerasrnn.text.tokens import END_ID

NUM_IDS = 8
PROBABILITIES = np.array([0.1, 0.05, 0.05, 0.1, 0.3, 0.2, 0.15, 0.05])
LOGITS = np.log(PROBABILITIES).astype("float32")
POSSIBLE = np.where(np.arange(NUM_IDS) < END_ID, 0, PROBABILITIES)


def constant_step(ids, states):
    return tf.repeat(LOGITS[None], tf.shape(ids)[0], 0), states


@functools.partial(tf.function, autograph=False)
def draw(batch_size, max_length, choice):
    return draw_until_end(constant_step, [], batch_size, NUM_IDS, max_length, choice)


def drawn(batch_size, max_length, temperature=1.0, seed=0, top_k=0, top_p=1.0):
    choice = Choice(*map(tf.constant, (temperature, seed, top_k, top_p)))
    return draw(tf.constant(batch_size), tf.constant(max_length), choice).numpy()


def kept(probabilities, count):
    """The most probable ones alone."""
    return np.where(probabilities >= np.sort(probabilities)[-count], probabilities, 0)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, POSSIBLE),
        ({"temperature": 0.5}, POSSIBLE**2),
        ({"temperature": 2.0}, POSSIBLE**0.5),
        ({"top_k": 2}, kept(POSSIBLE, 2)),
        ({"top_p": 0.7}, kept(POSSIBLE, 3)),  # 0.3, 0.2 and 0.15 of 0.8
        ({"top_k": 3, "top_p": 0.5, "temperature": 2.0}, kept(POSSIBLE**0.5, 2)),
    ],
    ids=str,
)
def test_tokens_come_as_often_as_their_probability_says(how, expected):
    """Tokens before the end are never drawn, though they are probable."""
    ids = drawn(6000, 1, seed=1, **how)[:, 0]
    found = np.bincount(np.where(ids == 0, END_ID, ids), minlength=NUM_IDS)
    expected = len(ids) * expected / expected.sum()
    assert not found[expected == 0].any()
    drawable = expected > 0
    assert stats.chisquare(found[drawable], expected[drawable]).pvalue > 0.001


def test_texts_end_and_are_padded():
    ids = drawn(200, 30)
    lengths = (ids != 0).sum(1)
    assert len(set(lengths)) > 5
    np.testing.assert_array_equal(ids != 0, np.arange(30) < lengths[:, None])
    assert ids.max() < NUM_IDS
    assert ids[ids != 0].min() > END_ID
    share = POSSIBLE[END_ID] / POSSIBLE.sum()  # lengths are geometric
    assert lengths.mean() == pytest.approx((1 - share) / share, rel=0.2)


def test_a_seed_gives_the_same_texts_and_places_differ():
    first = drawn(50, 10, seed=3)
    np.testing.assert_array_equal(drawn(50, 10, seed=3), first)
    assert (drawn(50, 10, seed=4) != first).any()
    assert len({tuple(row) for row in first.tolist()}) > 20


def test_temperature_0_takes_the_most_probable_token_up_to_max_length():
    for max_length in (1, 4):
        np.testing.assert_array_equal(drawn(2, max_length, 0.0), [[4] * max_length] * 2)


def test_no_texts_are_drawn_of_no_rows():
    assert drawn(0, 3).shape == (0, 3)


def test_it_stops_when_all_texts_have_ended():
    """Row r ends after r tokens; an eager loop shows how many steps there were."""
    steps = []

    def counting_step(ids, states):
        (t,) = states
        steps.append(ids.numpy().tolist())
        wanted = tf.where(t == tf.range(len(ids)), END_ID, 5)
        return tf.one_hot(wanted, NUM_IDS), [t + 1]

    ids = draw_until_end(counting_step, [tf.zeros([3], tf.int32)], 3, NUM_IDS, 50, None)
    assert ids.numpy()[:, :3].tolist() == [[0, 0, 0], [5, 0, 0], [5, 5, 0]]
    assert not ids.numpy()[:, 3:].any()
    assert [row[2] for row in steps] == [2, 5, 5]  # the start, and what was drawn
