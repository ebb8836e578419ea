"""Batches of pairs of sequences that belong together, padded as little as possible."""

import math

import numpy as np
import tensorflow as tf

from kerasrnn.text.batches import prefetch
from kerasrnn.text.words import PADDING_ID

FEWEST = 2
"""Sequences are padded to this many steps at least."""


def bucket_pairs(
    first: tf.RaggedTensor | tf.Tensor,
    second: tf.RaggedTensor,
    *,
    batch_size: int,
    num_buckets: int = 6,
    seed: int | None = None,
) -> tf.data.Dataset:
    """Batches of pairs, those of similar length together, so that there is little padding.

    All batches of a bucket have the same shape, so XLA compiles few shapes.

    Args:
        first: ids `(pairs, None)`; or features of a fixed size, `(pairs, ...)`.
        second: ids `(pairs, None)`.
        batch_size: pairs in a batch; fewer if there are fewer pairs.
        num_buckets: the most shapes. Each bucket has at least a batch.
        seed: shuffles in each epoch, and leaves out pairs that do not fill a batch, different
            ones in each epoch. Default: `None`: every pair, in a fixed order.

    Returns:
        A dataset of pairs of batches, `(batch, time)`, padded at the end with 0. Its
        cardinality is known.
    """
    parts = (first, second)
    lengths = np.stack([_lengths_of(part) for part in parts], axis=1)
    both = lengths.sum(axis=1)
    batch_size = max(min(batch_size, len(both)), 1)
    num_buckets = max(1, min(num_buckets, len(both) // (2 * batch_size)))
    bucket_of_each = np.searchsorted(_edges(both, num_buckets, batch_size), both)
    buckets: list[tf.data.Dataset] = []
    numbers: list[int] = []
    for number in np.unique(bucket_of_each):
        rows = np.flatnonzero(bucket_of_each == number)
        num_batches = len(rows) / batch_size
        num_batches = math.ceil(num_batches) if seed is None else math.floor(num_batches)
        if num_batches:
            longest = lengths[rows].max(axis=0)
            padded = tuple(map(_take_padded, parts, [rows] * 2, longest))
            numbers += [len(buckets)] * num_batches
            buckets.append(_batches_of(padded, batch_size, seed))
    order = tf.data.Dataset.from_tensor_slices(np.array(numbers, np.int64))
    if seed is not None:
        order = order.shuffle(max(len(numbers), 1), seed=seed)
    if not buckets:  # no pairs
        buckets = [_batches_of(tuple(map(_take_padded, parts, [[]] * 2, [0, 0])), 1, None)]
    dataset = tf.data.Dataset.choose_from_datasets(buckets, order, stop_on_empty_dataset=False)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(numbers)))
    return prefetch(dataset)


def _edges(lengths, num_buckets, fewest):
    """The largest length of each bucket but the last; each has `fewest` pairs at least."""
    quantiles = np.quantile(lengths, np.arange(1, num_buckets) / num_buckets, method="lower")
    edges: list[float] = []
    num_before = 0
    for edge in np.unique(quantiles):
        num_pairs = int((lengths <= edge).sum())
        if num_pairs - num_before >= fewest and len(lengths) - num_pairs >= fewest:
            edges.append(edge)
            num_before = num_pairs
    return edges


def _lengths_of(part):
    if isinstance(part, tf.RaggedTensor):
        return part.row_lengths().numpy()
    return np.zeros(part.shape[0], np.int64)


def _take_padded(part, rows, longest):
    """Some rows, as one array."""
    if not isinstance(part, tf.RaggedTensor):
        return np.asarray(part)[np.asarray(rows, np.int64)]
    length = max(longest, FEWEST)
    rows = tf.gather(part, np.asarray(rows, np.int64))
    return rows.to_tensor(PADDING_ID, shape=[None, length]).numpy()


def _batches_of(padded, batch_size, seed):
    """Batches of one bucket; a shuffle moves numbers of rows alone."""
    rows = tf.data.Dataset.range(len(padded[0]))
    if seed is not None:
        rows = rows.shuffle(max(len(padded[0]), 1), seed=seed)
    rows = rows.batch(batch_size, drop_remainder=seed is not None)
    arrays = tuple(map(tf.constant, padded))
    return rows.map(lambda taken: tuple(tf.gather(array, taken) for array in arrays))
