"""What training and evaluation are given: arrays, ragged ones too, or batches."""

import itertools
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.checks import check_positive_integer
from kerasrnn.training.streams import Stream

TAKEN = "a kerasrnn.Stream, a tf.data.Dataset, a keras.utils.PyDataset, or arrays with targets"
BATCHES = (Stream, tf.data.Dataset, keras.utils.PyDataset)


def check_given(x: Any, y: Any, sample_weight: Any) -> None:
    """Raises a `ValueError` for what is neither batches nor arrays with targets.

    Args:
        x: `TAKEN`, without targets.
        y: targets of arrays; batches hold their own.
        sample_weight: weights of arrays; batches hold their own.
    """
    kind = type(x).__name__
    if isinstance(x, BATCHES):
        for name, value in (("y", y), ("sample_weight", sample_weight)):
            if value is not None:
                raise ValueError(
                    f"x is a {kind}, which already contains {name}. Do not pass {name}, "
                    f"got {name} of type {type(value).__name__}."
                )
    elif isinstance(x, Iterator):
        raise ValueError(
            f"x must be {TAKEN}, got a {kind}. It does not show where sequences begin. "
            "Use tf.data.Dataset.from_generator."
        )
    elif y is None or not _has_rows(x):
        raise ValueError(
            f"x must be {TAKEN}, got x of type {kind} and y of type {type(y).__name__}."
        )


def _has_rows(x):
    if isinstance(x, tf.RaggedTensor):
        return True
    return hasattr(x, "__len__") and not isinstance(x, (str, bytes, dict))


def as_stream(x: Any, y: Any, sample_weight: Any, batch_size: int | None) -> Stream:
    """Arrays as a stream of `batch_size` sequences side by side; default 32, or all of fewer.

    Args:
        x: `(sequences, time, ...)`, a ragged tensor or a list of arrays.
        y: targets, likewise.
        sample_weight: `(sequences, time)`, or one number for each sequence.
        batch_size: how many sequences are read side by side.
    """
    if batch_size is not None:
        check_positive_integer("batch_size", batch_size)
    inputs, targets, weights = _rows(x), _rows(y), _rows(sample_weight)
    if not len(inputs):
        raise ValueError("x must hold a sequence at least, got none.")
    return Stream(inputs, targets, weights, batch_size=min(batch_size or 32, len(inputs)))


def _rows(given):
    if not isinstance(given, tf.RaggedTensor):
        return given
    return [row.numpy() for row in given]


def read_in_order(data: keras.utils.PyDataset, time: int | None) -> tf.data.Dataset:
    """The batches of a `PyDataset`, in their order; each of them is a window.

    Args:
        data: of `(inputs, targets[, sample_weight])`.
        time: how long each batch is; `None`: batches may differ.
    """

    def batches():
        data.on_epoch_begin()
        numbers = itertools.count() if data.num_batches is None else range(data.num_batches)
        for number in numbers:
            batch = _arrays(data[number])
            if number + 1 == data.num_batches:
                data.on_epoch_end()  # nobody asks for more after the last one
            yield batch

    signature = tf.nest.map_structure(lambda array: _spec(array, time), _arrays(data[0]))
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    if data.num_batches is None:
        return dataset
    return dataset.apply(tf.data.experimental.assert_cardinality(data.num_batches))


def _arrays(batch):
    parts = [batch] if not isinstance(batch, (list, tuple)) else batch
    return tf.nest.map_structure(np.asarray, tuple(p for p in parts if p is not None))


def _spec(array, time):
    sizes = [None, time, *array.shape[2:]] if array.ndim > 1 else [None] * array.ndim
    return tf.TensorSpec(sizes, array.dtype)
