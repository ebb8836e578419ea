"""Beam search: against NumPy, against all texts there are, and how little it runs."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from kerasrnn.models.beam_search import beam_search
from kerasrnn.text.tokens import END_ID, START_ID
from tests import reference

NUM_IDS, NUM_TABLE = 8, 997
TOKENS = range(END_ID + 1, NUM_IDS)
LOGITS = np.random.default_rng(7).normal(scale=2, size=(NUM_TABLE, NUM_IDS)).astype("float32")


def next_place(place, token):
    return (31 * place + token + 1) % NUM_TABLE


def step(ids, states):
    """A model whose logits depend on its row and on all tokens before."""
    (place,) = states
    place = next_place(place, ids[:, None])
    return tf.gather(LOGITS, place[:, 0]), [place]


@functools.partial(tf.function, autograph=False)
def search(rows, max_length, beam, penalty):
    batch_size = tf.shape(rows)[0]
    return beam_search(step, [rows[:, None]], batch_size, NUM_IDS, max_length, beam, penalty)


def searched(rows, max_length, beam, penalty):
    """The texts of each row as tuples, with their scores."""
    given = map(tf.constant, (rows, max_length, beam, float(penalty)))
    ids, scores = (part.numpy() for part in search(*given))
    assert ids.shape == (len(rows), beam, max_length)
    lengths = (ids != 0).sum(-1)
    assert (ids == np.where(np.arange(max_length) < lengths[..., None], ids, 0)).all()
    return [
        [(tuple(text[text != 0].tolist()), score) for text, score in zip(*row, strict=True)]
        for row in zip(ids, scores, strict=True)
    ]


def log_p_after(row):
    """What `step` says, for the functions in NumPy."""

    def of_text(text):
        place = functools.reduce(next_place, (START_ID, *text), row)
        logits = LOGITS[place].astype("float64")
        return logits - np.log(np.exp(logits).sum())

    return of_text


def assert_found(found, expected):
    assert [text for text, _ in found] == [text for text, _ in expected]
    np.testing.assert_allclose(
        [score for _, score in found], [score for _, score in expected], rtol=1e-5
    )


@pytest.mark.parametrize("max_length", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("penalty", [0, 0.6, 2])
def test_it_finds_what_the_search_in_numpy_finds(max_length, penalty):
    """Which never stops early; and each row is searched alone there."""
    rows = [0, 100, 200]
    for beam in (1, 2, 3, 5):
        for row, found in zip(rows, searched(rows, max_length, beam, penalty), strict=True):
            expected = reference.beam_search(
                log_p_after(row), TOKENS, END_ID, max_length, beam, penalty
            )
            texts = [text for text, _ in expected]
            assert len(set(texts)) == len(texts)
            assert_found(found[: len(expected)], expected)
            assert all(score == -np.inf for _, score in found[len(expected) :])


@pytest.mark.parametrize("penalty", [0, 0.6, 2])
def test_a_beam_of_all_texts_is_exact(penalty):
    rows, max_length = [5, 50, 500], 3
    beam = len(TOKENS) ** max_length
    for row, found in zip(rows, searched(rows, max_length, beam, penalty), strict=True):
        expected = reference.all_texts(log_p_after(row), TOKENS, END_ID, max_length, penalty)
        assert_found(found, expected[:beam])


def test_where_there_are_fewer_texts_than_the_beam_the_rest_is_minus_infinity():
    ((*found, last),) = searched([1], 1, len(TOKENS) + 2, 0.6)
    expected = reference.all_texts(log_p_after(1), TOKENS, END_ID, 1, 0.6)
    assert_found(found, expected)
    assert last == ((), -np.inf)


def test_no_rows_have_no_texts():
    ids, scores = search(tf.zeros([0], tf.int32), 3, 2, 0.6)
    assert ids.shape == (0, 2, 3)
    assert scores.shape == (0, 2)


def test_it_stops_when_no_unfinished_text_can_be_better():
    steps = []

    def almost_surely_ends(ids, states):
        steps.append(len(ids))
        logits = tf.one_hot([END_ID], NUM_IDS, 50.0, 0.0)
        return tf.repeat(logits, len(ids), 0), states

    ids, scores = beam_search(almost_surely_ends, [], 2, NUM_IDS, 100, 1)
    assert steps == [2]
    assert not ids.numpy().any()
    np.testing.assert_allclose(scores, 0, atol=1e-6)


def test_it_does_not_stop_while_a_long_text_can_still_win():
    """The end has p = 0.6 at first; the other token leads to a text of 10, surely."""

    def begins_or_goes_on(ids, states):
        (t,) = states
        first = np.full(NUM_IDS, -50, "float32")
        first[[END_ID, 5]] = np.log([0.6, 0.4])
        wanted = tf.where(t[:, 0] < 10, 5, END_ID)
        later = tf.one_hot(wanted, NUM_IDS, 0.0, -50.0)
        return tf.where(t == 0, first, later), [t + 1]

    for penalty, best in ((0, 0), (1, 10)):
        states = [tf.zeros([1, 1], tf.int32)]
        ids, scores = beam_search(begins_or_goes_on, states, 1, NUM_IDS, 10, 1, penalty)
        assert (ids.numpy() != 0).sum() == best
        expected = np.log(0.4) / ((5 + 11) / 6) if best else np.log(0.6)
        np.testing.assert_allclose(scores, [[expected]], rtol=1e-5)


@pytest.mark.parametrize("penalty", [0.0, 10.0])
def test_scores_of_long_texts_are_numbers(penalty):
    ((best, *_),) = searched([3], 300, 3, penalty)
    assert np.isfinite(best[1])
    assert best[1] < 0
