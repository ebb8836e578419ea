"""Pairs of sequences in batches: each of them once, with little padding."""

import numpy as np
import pytest
import tensorflow as tf

from kerasrnn.text.pairs import bucket_pairs


def pairs_of(lengths, other=None):
    """Ids that tell which pair they belong to, at most one padding long."""
    rows = [[n + 1] * length for n, length in enumerate(lengths)]
    other = lengths[::-1] if other is None else other
    others = [[n + 1] * length for n, length in enumerate(other)]
    return tuple(tf.ragged.constant(part, tf.int32, ragged_rank=1) for part in (rows, others))


def names_in(batches):
    """Which pairs are in the batches, in their order, by the second part."""
    return [tuple(second[:, 0].tolist()) for _, second in batches.as_numpy_iterator()]


LENGTHS = [1, 9, 2, 8, 3, 7, 4, 6, 5, 5, 1]


def test_every_pair_comes_once_in_a_fixed_order():
    first, second = pairs_of(LENGTHS)
    batches = bucket_pairs(first, second, batch_size=2, num_buckets=3)
    found = list(batches.as_numpy_iterator())
    assert len(found) == int(batches.cardinality())
    for a, b in found:
        assert len(a) == len(b)
        for row_a, row_b in zip(a, b, strict=True):
            number = row_a[0] - 1
            for row, part in ((row_a, first), (row_b, second)):  # padding only at the end
                ids = part[number].numpy()
                np.testing.assert_array_equal(row[: len(ids)], ids)
                assert not row[len(ids) :].any()
    names = names_in(batches)
    assert sorted(sum(names, ())) == list(range(1, 12))
    assert names == names_in(batches)


def test_batches_of_a_bucket_have_one_shape_without_waste():
    lengths = list(range(1, 13))
    batches = bucket_pairs(*pairs_of(lengths, lengths), batch_size=2, num_buckets=3)
    shapes = [a.shape for a, _ in batches.as_numpy_iterator()]
    assert set(shapes) == {(2, 4), (2, 8), (2, 12)}
    one = bucket_pairs(*pairs_of(lengths, lengths), batch_size=4, num_buckets=9)
    assert {a.shape for a, _ in one.as_numpy_iterator()} == {(4, 12)}


def test_a_seed_gives_another_order_in_each_epoch_and_the_same_in_each_run():
    parts = pairs_of(LENGTHS)
    batches = bucket_pairs(*parts, batch_size=2, num_buckets=2, seed=1)
    epochs = [names_in(batches) for _ in range(4)]
    assert all(len(epoch) == int(batches.cardinality()) == 5 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    for epoch in epochs:
        names = sum(epoch, ())
        assert len(set(names)) == len(names) == 10  # one pair fills no batch
    assert len({frozenset(sum(epoch, ())) for epoch in epochs}) > 1  # not always the same one
    again = bucket_pairs(*parts, batch_size=2, num_buckets=2, seed=1)
    assert [names_in(again) for _ in range(4)] == epochs
    other = bucket_pairs(*parts, batch_size=2, num_buckets=2, seed=2)
    assert names_in(other) != epochs[0]


@pytest.mark.parametrize("seed", [None, 5])
def test_an_epoch_goes_on_where_it_was_left(seed):
    parts = pairs_of(LENGTHS)
    whole = names_in(bucket_pairs(*parts, batch_size=2, seed=seed))
    rest = bucket_pairs(*parts, batch_size=2, seed=seed).skip(2)
    assert names_in(rest) == whole[2:]
    assert int(rest.cardinality()) == len(whole) - 2


def test_fewer_pairs_than_a_batch_are_a_smaller_batch():
    parts = pairs_of([2, 1])
    for seed in (None, 0):
        batches = bucket_pairs(*parts, batch_size=3, seed=seed)
        assert int(batches.cardinality()) == 1
        assert sorted(sum(names_in(batches), ())) == [1, 2]


@pytest.mark.parametrize("few", [3, 30])
def test_no_pair_is_left_out_of_all_epochs(few):
    lengths = [5] * 60 + [9] * few + [2] * 3  # few pairs are longer, or shorter, than the rest
    batches = bucket_pairs(*pairs_of(lengths, lengths), batch_size=8, seed=0)
    found = {name for _ in range(30) for name in sum(names_in(batches), ())}
    assert found == set(range(1, len(lengths) + 1))


def test_one_pair_and_none():
    ((first, second),) = bucket_pairs(*pairs_of([1]), batch_size=4).as_numpy_iterator()
    assert first.tolist() == second.tolist() == [[1, 0]]  # Keras warns of a single step
    nothing = tf.RaggedTensor.from_row_splits(tf.zeros([0], tf.int32), [0])
    for seed in (None, 0):
        empty = bucket_pairs(nothing, nothing, batch_size=2, seed=seed)
        assert int(empty.cardinality()) == 0
        assert list(empty) == []


def test_empty_texts_are_padding():
    ((first, second),) = bucket_pairs(
        *pairs_of([0, 0], [1, 2]), batch_size=2
    ).as_numpy_iterator()
    assert first.tolist() == [[0, 0], [0, 0]]
    assert second.tolist() == [[1, 0], [2, 2]]


@pytest.mark.parametrize("seed", [None, 0])
def test_features_of_a_fixed_size_stay_beside_their_sequences(seed):
    _, second = pairs_of([1, 2, 3, 1, 2, 3])
    features = np.arange(1, 7, dtype="float32")[:, None, None] * np.ones((2, 3), "float32")
    for first in (features, tf.constant(features)):
        batches = bucket_pairs(first, second, batch_size=2, seed=seed)
        assert batches.element_spec[0].shape[1:].as_list() == [2, 3]
        found = list(batches.as_numpy_iterator())
        assert len(found) == 3
        for a, b in found:
            np.testing.assert_array_equal(a[:, 1, 2], b[:, 0])
    classes = tf.constant([4, 5, 6, 7, 8, 9])
    for a, b in bucket_pairs(classes, second, batch_size=4, seed=seed).as_numpy_iterator():
        np.testing.assert_array_equal(a, b[:, 0] + 3)
