"""Word vectors from how often words stand near each other."""

import numpy as np
import pytest
import tensorflow as tf

from kerasrnn.text.word_vectors import word_vectors

NUM_WORDS = 12


def make_ids(rng):
    rows = [rng.integers(1, NUM_WORDS - 1, size=length) for length in (9, 1, 0, 14, 2, 30)]
    return tf.ragged.constant([row.tolist() for row in rows], dtype=tf.int32)


def information(ids, window):
    """The matrix that is approximated, pair by pair."""
    counts = np.zeros([NUM_WORDS, NUM_WORDS])
    for row in ids.to_list():
        for i, word in enumerate(row):
            for j, context in enumerate(row):
                distance = abs(i - j)
                if 1 <= distance <= window and min(word, context) > 1:
                    counts[word, context] += (window + 1 - distance) / window
    smoothed = counts.sum(0) ** 0.75
    expected = np.outer(counts.sum(1), smoothed / smoothed.sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.maximum(np.nan_to_num(np.log(counts / expected), neginf=0), 0)


@pytest.mark.parametrize("window", [1, 2, 5, 50])
def test_vectors_are_the_best_of_their_rank(rng, window):
    ids = make_ids(rng)
    left, values, _ = np.linalg.svd(information(ids, window))
    vectors = word_vectors(ids, NUM_WORDS, 3, window)
    assert vectors.dtype == np.float32
    expected = left[2:-1, :3] * np.sqrt(values[:3])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    vectors = vectors[2:-1]
    np.testing.assert_allclose(vectors @ vectors.T, expected @ expected.T, atol=1e-4)


def test_the_same_texts_give_the_same_vectors(rng):
    ids = make_ids(rng)
    for size in (4, 20):
        first, second = (word_vectors(ids, NUM_WORDS, size) for _ in range(2))
        np.testing.assert_array_equal(first, second)


def test_words_that_are_padding_unknown_or_absent_have_zeros(rng):
    vectors = word_vectors(make_ids(rng), NUM_WORDS, 4)
    assert not vectors[[0, 1, NUM_WORDS - 1]].any()
    assert vectors[2:-1].any()


@pytest.mark.parametrize("rows", [[], [[]], [[2]], [[1, 1, 1]]])
def test_without_pairs_all_are_zeros(rows):
    words = tf.constant([word for row in rows for word in row], tf.int32)
    ids = tf.RaggedTensor.from_row_lengths(words, list(map(len, rows)))
    assert not word_vectors(ids, 4, 3).any()


def test_more_features_than_words_leave_zeros(rng):
    vectors = word_vectors(make_ids(rng), NUM_WORDS, 20)
    assert vectors.shape == (NUM_WORDS, 20)
    assert not vectors[:, NUM_WORDS - 1 :].any()


def test_many_words_have_the_vectors_of_few(rng, monkeypatch):
    """They are decomposed in another way."""
    ids = make_ids(rng)
    few = word_vectors(ids, NUM_WORDS, 3)
    monkeypatch.setattr("kerasrnn.text.word_vectors.MANY_WORDS", 1)
    many = word_vectors(ids, NUM_WORDS, 3)
    np.testing.assert_allclose(many @ many.T, few @ few.T, atol=1e-4)


def test_ids_of_one_length_are_refused():
    with pytest.raises(ValueError, match="must be a tf.RaggedTensor, got EagerTensor"):
        word_vectors(tf.constant([[2, 3]]), 4, 2)


@pytest.mark.parametrize("name", ["num_words", "size", "window"])
def test_wrong_sizes_are_refused(name):
    arguments = {"num_words": 4, "size": 2, "window": 5, name: 0}
    with pytest.raises(ValueError, match=f"{name} must be a positive integer"):
        word_vectors(tf.ragged.constant([[2, 3]]), **arguments)
