"""The linear model of words and pairs: against sets of words, counted in Python."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.models.word_pairs import NONE, WordPairs

WORDS = ["[PAD]", "[UNK]", "good", "bad", "film", "the"]


def features_in_python(ids, num_words, num_buckets):
    """The words and pairs of one text, each once."""
    ids = [i for i in ids if i]
    pairs = itertools.pairwise(ids)
    return {*ids, *(num_words + hash_of(a, b) % num_buckets for a, b in pairs)}


def hash_of(a, b):
    first = 262_139 * (a % 4096) + 196_613 * (a // 4096)
    return first + 220_009 * (b % 4096) + 241_511 * (b // 4096)


@pytest.mark.parametrize("num_buckets", [1000, 10**6, 500_001, 1_000_003, 2**20])
def test_pairs_are_spread_evenly(rng, num_buckets):
    """As many buckets are used as by drawing them at random."""
    words = np.minimum(rng.zipf(1.2, size=(20, 4000)), 29_999)
    pairs = {tuple(p) for row in words.tolist() for p in itertools.pairwise(row)}
    layer = WordPairs(30_000, num_buckets, 1)
    used = np.unique(layer.features(words).numpy())
    used = len(used[used >= 30_000])
    expected = num_buckets * (1 - np.exp(-len(pairs) / num_buckets))
    assert used > 0.97 * expected


def test_padding_is_in_no_pair_wherever_it_stands():
    layer = WordPairs(6, 50, 1)
    for row in ([2, 4, 0, 0], [0, 0, 2, 4]):
        found = layer.features(np.array([row])).numpy()[0].tolist()
        assert set(found) - {NONE} == features_in_python([2, 4], 6, 50)


def test_more_numbers_than_float32_can_tell_apart_are_refused():
    with pytest.raises(ValueError, match="at most 16,777,216 words and buckets"):
        WordPairs(30_000, 2**24, 1)


@pytest.mark.parametrize("time", [1, 2, 9])
def test_features_are_the_different_words_and_pairs(rng, time):
    ids = rng.integers(1, 30_000, size=(20, time))
    ids[:, time // 2 :] = ids[:, : time - time // 2]  # words and pairs that come again
    for row, length in enumerate(rng.integers(1, time + 1, size=20)):
        ids[row, length:] = 0
    layer = WordPairs(30_000, 1000, 1)
    for row, found in zip(ids.tolist(), layer.features(ids).numpy(), strict=True):
        present = [number for number in found.tolist() if number != NONE]
        assert len(present) == len(set(present))
        assert set(present) == features_in_python(row, 30_000, 1000)


def test_padding_does_not_change_the_sum(rng):
    layer = WordPairs(6, 10, 2)
    layer.build(None)
    layer.table.assign(rng.normal(size=layer.table.shape))
    sums = layer(np.array([[2, 4], [3, 0]]))
    np.testing.assert_allclose(layer(np.array([[2, 4, 0], [3, 0, 0]])), sums, rtol=1e-6)
    (pair,) = features_in_python([2, 4], 6, 10) - {2, 4}
    table = layer.table.numpy()
    np.testing.assert_allclose(sums[0], table[2] + table[4] + table[pair], rtol=1e-5)
    np.testing.assert_allclose(layer(np.zeros([1, 3], "int32")), [[0, 0]])


@pytest.mark.parametrize("labels", [("no", "yes"), ("no", "maybe", "yes")])
def test_the_sum_is_of_the_outputs_before_the_sigmoid_or_the_softmax(rng, tmp_path, labels):
    network = kerasrnn.TextClassifier(WORDS, labels, units=3, embedding_dim=4, filters=5)
    ids = np.array([[2, 4, 0], [3, 2, 4]])
    before = network(ids).numpy()
    num_outputs = 1 if len(labels) == 2 else len(labels)
    table, bias = rng.normal(size=(56, num_outputs)), rng.normal(size=num_outputs)
    model = network.with_linear(table, bias, share=0.5)
    np.testing.assert_array_equal(network(ids), before)
    linear = bias + [
        sum(table[f] for f in features_in_python(row, 6, 50)) for row in ids.tolist()
    ]
    if len(labels) == 2:
        expected = 1 / (1 + np.exp(-0.5 * np.log(before / (1 - before)) - linear))
    else:
        expected = tf.nn.softmax(0.5 * np.log(before) + linear)
    np.testing.assert_allclose(model(ids), expected, rtol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(ids), model(ids))


def test_training_leaves_it_alone(rng):
    network = kerasrnn.TextClassifier(WORDS, units=3, embedding_dim=4)
    model = network.with_linear(np.ones([56, 1]), np.zeros(1))
    model.compile(keras.optimizers.Adam(0.1))
    model.fit(np.array([[2, 4], [3, 4]]), np.array([1, 0]), epochs=2, verbose=0)
    assert np.all(model.word_pairs.table.numpy() == 1)
    assert not np.array_equal(
        model.embedding(np.array([[2]])), network.embedding(np.array([[2]]))
    )
    assert not any("table" in v.path for v in model.trainable_variables)


def test_other_shapes_or_numbers_and_a_second_linear_model_are_refused():
    network = kerasrnn.TextClassifier(WORDS, ["a", "b", "c"], units=3)
    for table, bias in ([[56, 1], [3]], [[56, 3], [1]], [[6, 3], [3]], [[56], [3]]):
        with pytest.raises(ValueError, match=r"table must have the shape \(more than 6, 3\)"):
            network.with_linear(np.zeros(table), np.zeros(bias))
    with pytest.raises(ValueError, match="table, bias and share must be finite"):
        network.with_linear(np.full([56, 3], np.nan), np.zeros(3))
    both = network.with_linear(np.zeros([56, 3]), np.zeros(3))
    with pytest.raises(ValueError, match="has a linear model already"):
        both.with_linear(np.zeros([56, 3]), np.zeros(3))
