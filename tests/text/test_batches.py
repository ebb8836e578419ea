"""Padding, and batches of similar lengths."""

import numpy as np
import pytest
import tensorflow as tf

from kerasrnn.text.batches import bucket_by_length, pad


def test_padding_is_at_the_end_and_at_least_one_step():
    assert pad(tf.ragged.constant([[1, 2], [3]])).numpy().tolist() == [[1, 2], [3, 0]]
    assert pad(tf.ragged.constant([[], []], tf.int32)).shape == (2, 1)
    assert pad(tf.zeros([2, 0], tf.int32)).shape == (2, 1)


@pytest.fixture
def sequences(rng):
    lengths = [*rng.integers(0, 60, size=199), 60]
    ids = tf.ragged.constant([[i + 2] * n for i, n in enumerate(lengths)], dtype=tf.int32)
    return ids, [i % 2 for i in range(200)]


def buckets(sequences, **options):
    return bucket_by_length(*sequences, batch_size=16, max_length=60, **options)


def test_without_a_seed_every_example_comes_once(sequences):
    dataset = buckets(sequences)
    batches = list(dataset)
    assert len(batches) == int(dataset.cardinality())
    assert sum(len(labels) for _, labels in batches) == 200
    found = [tuple(row[row > 0]) for ids, _ in batches for row in ids.numpy()]
    assert sorted(found) == sorted(tuple(row) for row in sequences[0].to_list())
    assert len({ids.shape[1] for ids, _ in batches}) <= 6


def test_with_a_seed_batches_are_full_and_differ_between_epochs(sequences):
    dataset = buckets(sequences, seed=3)
    first, second = list(dataset), list(dataset)
    assert len(first) == len(second) == int(dataset.cardinality())
    assert {len(labels) for _, labels in first} == {16}
    assert not all(np.array_equal(a[0], b[0]) for a, b in zip(first, second, strict=True))
    again = list(buckets(sequences, seed=3))
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first, again, strict=True))


def test_labels_stay_with_their_sequences(sequences):
    for ids, labels in buckets(sequences, seed=0):
        for row, label in zip(ids.numpy(), labels.numpy(), strict=True):
            if row[0]:
                assert (row[0] - 2) % 2 == label
