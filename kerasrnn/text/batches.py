"""Batches of sequences: padded to one length, and of similar lengths."""

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from kerasrnn.text.words import PADDING_ID


def pad(ids: tf.Tensor | tf.RaggedTensor) -> tf.Tensor:
    """Ids as one tensor, padded at the end with 0; at least one step long."""
    if isinstance(ids, tf.RaggedTensor):
        ids = ids.to_tensor(PADDING_ID)
    missing = tf.maximum(1 - tf.shape(ids)[1], 0)
    return tf.pad(ids, [[0, 0], [0, missing]], constant_values=PADDING_ID)


def prefetch(batches: tf.data.Dataset) -> tf.data.Dataset:
    """The batches, the next ones prepared meanwhile, and without autotuning.

    When an iterator ends, autotuning can wait for tens of seconds for nothing.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(4).with_options(options)


def bucket_by_length(
    ids: tf.RaggedTensor,
    labels: Sequence[float],
    *,
    batch_size: int,
    max_length: int,
    num_buckets: int = 6,
    seed: int | None = None,
) -> tf.data.Dataset:
    """Batches of sequences of similar length, so that there is little padding.

    The batches have few different lengths, so XLA compiles few shapes. With a
    seed, examples that do not fill a batch are left out, different ones in each
    epoch.

    Args:
        ids: `(examples, None)`, none longer than `max_length`.
        labels: one number per example.
        batch_size: examples per batch.
        max_length: the length of the longest bucket.
        num_buckets: the maximum number of different lengths. Each bucket gets
            about as many examples, at least two batches.
        seed: shuffles in each epoch, and drops incomplete batches. Default:
            `None`: every example, in a fixed order.

    Returns:
        A dataset of `(ids, labels)`: int32 `(batch, time)`, padded at the end
        with 0, and float32 `(batch,)`. Its cardinality is known.
    """
    lengths = ids.row_lengths().numpy()
    num_buckets = max(1, min(num_buckets, len(lengths) // (2 * batch_size)))
    quantiles = np.quantile(lengths, np.arange(1, num_buckets) / num_buckets)
    rounded = {min(8 * math.ceil(max(q, 1) / 8), max_length) for q in quantiles}
    bounds = sorted(rounded | {max_length})
    dataset = tf.data.Dataset.from_tensor_slices((ids, tf.constant(labels, tf.float32)))
    if seed is not None:
        dataset = dataset.shuffle(len(lengths), seed=seed)
    dataset = dataset.map(lambda row, label: (tf.convert_to_tensor(row), label))
    dataset = dataset.bucket_by_sequence_length(
        lambda sequence, _: tf.shape(sequence)[0],
        bucket_boundaries=[bound + 1 for bound in bounds],
        bucket_batch_sizes=[batch_size] * (len(bounds) + 1),
        pad_to_bucket_boundary=True,
        drop_remainder=seed is not None,
    )
    counts, _ = np.histogram(lengths, [0, *(bound + 1 for bound in bounds)])
    num_batches = (counts if seed is not None else counts + batch_size - 1) // batch_size
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(num_batches.sum()))
    return prefetch(dataset)
