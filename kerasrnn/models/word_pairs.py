"""A linear model of the words and the bigrams of a text, as a layer."""

from typing import Any

import keras
import tensorflow as tf

from kerasrnn.text.words import PADDING_ID

_PART = 2**12
"""Ids are hashed in two parts, since some runtimes compute int64 as int32."""
_FACTORS = (262_139, 196_613, 220_009, 241_511)  # primes below 2^18: no product overflows
LARGEST = 2**24
"""Of words and buckets together. Some runtimes sort integers as float32, which is exact only up
to 2^24."""
NONE = 0
"""The feature number that means no feature."""


class WordPairs(keras.layers.Layer):
    """A linear model: adds a weight for each distinct word and each distinct bigram of a text.

    A bigram is a pair of adjacent words. Repeats count once. The bigram of the word ids a and b
    has the feature number num_words + hash(a, b); bigrams with the same hash share a weight:

        hash(a, b) = (262139 (a mod 4096) + 196613 floor(a / 4096)
                      + 220009 (b mod 4096) + 241511 floor(b / 4096)) mod num_buckets

    Args:
        num_words: the size of the vocabulary.
        num_buckets: how many weights the bigrams share.
        num_outputs: number of outputs.
        **kwargs: `name`, `dtype`, `trainable`.

    Raises:
        ValueError: if there are more than 2^24 words and buckets together.

    Call arguments:
        ids: integers, `(batch, time)`, padded with 0.

    Returns:
        `(batch, num_outputs)`.

    Reference: H.-T. Cheng et al., "Wide & deep learning for recommender systems", 2016,
    arXiv:1606.07792.

    Example:

    >>> pairs = WordPairs(num_words=10, num_buckets=100, num_outputs=1)
    >>> pairs.features(keras.ops.array([[3, 3, 4, 0]])).numpy().tolist()
    [[4, 3, 0, 0, 63, 54, 0]]
    """

    def __init__(self, num_words: int, num_buckets: int, num_outputs: int, **kwargs: Any):
        if num_words + num_buckets > LARGEST:
            raise ValueError(
                f"There may be at most {LARGEST:,} words and buckets of pairs, got "
                f"{num_words:,} and {num_buckets:,}."
            )
        super().__init__(**kwargs)
        self.num_words, self.num_buckets = num_words, num_buckets
        self.num_outputs = num_outputs

    def build(self, _: Any) -> None:
        self.table = self.add_weight(
            shape=(self.num_words + self.num_buckets, self.num_outputs),
            initializer="zeros",
            name="table",
        )

    def features(self, ids: tf.Tensor) -> tf.Tensor:
        """The feature numbers of each text, without repeats, filled up with 0.

        Args:
            ids: as in calls.

        Returns:
            int32, `(batch, 2 * time - 1)`: words, then bigrams; do not rely on the order.
        """
        ids = tf.cast(ids, tf.int32)
        low, high = _remainder(ids, _PART), ids // _PART
        parts = (low[:, :-1], high[:, :-1], low[:, 1:], high[:, 1:])
        hashed = tf.zeros_like(parts[0])
        for part, factor in zip(parts, _FACTORS, strict=True):
            hashed += _remainder(part * factor, self.num_buckets)
        pairs = _remainder(hashed, self.num_buckets) + self.num_words
        beyond = (ids[:, :-1] == PADDING_ID) | (ids[:, 1:] == PADDING_ID)
        pairs = tf.where(beyond, NONE, pairs)
        return tf.concat([_each_once(ids), _each_once(pairs)], axis=1)

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        features = self.features(ids)
        weights = tf.gather(tf.convert_to_tensor(self.table), features)
        present = tf.cast(features != NONE, weights.dtype)
        return tf.squeeze(tf.matmul(present[:, None], weights), 1)

    def get_config(self) -> dict:
        names = ("num_words", "num_buckets", "num_outputs")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _remainder(numbers, divisor):
    """`numbers` mod `divisor`, also where a runtime divides integers as float32."""
    remainder = numbers - numbers // divisor * divisor
    remainder = tf.where(remainder < 0, remainder + divisor, remainder)
    return tf.where(remainder >= divisor, remainder - divisor, remainder)


def _each_once(numbers):
    """The numbers of each row, sorted, with `NONE` in place of repeated ones."""
    ordered, _ = tf.math.top_k(numbers, k=tf.shape(numbers)[1])
    again = ordered[:, 1:] == ordered[:, :-1]
    again = tf.concat([tf.zeros_like(ordered[:, :1], tf.bool), again], axis=1)
    return tf.where(again, NONE, ordered)
