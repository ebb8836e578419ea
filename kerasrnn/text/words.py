"""Text to numbers: words, their vocabulary, and batches of similar length."""

import functools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from kerasrnn.checks import as_texts, check_positive_integer
from kerasrnn.files import write_text
from kerasrnn.text.characters import to_utf8

PADDING, UNKNOWN = "[PAD]", "[UNK]"
PADDING_ID, UNKNOWN_ID = 0, 1


def _is_line(word: str) -> bool:
    """Whether a file of lines gives a word back."""
    return word.splitlines() == [word] and to_utf8(word).decode("utf-8") == word


def split_words(texts: tf.Tensor) -> tf.RaggedTensor:
    """Splits texts into lower-case words; a graph of plain ops.

    HTML line breaks, punctuation and symbols separate words. Apostrophes
    belong to them.

    Args:
        texts: strings in UTF-8, `(batch,)`.

    Returns:
        Strings, `(batch, None)`.

    Example:

    >>> split_words(tf.constant(["It's GOOD.<br /><br />See it!"])).to_list()
    [[b"it's", b'good', b'see', b'it']]
    """
    texts = tf.strings.lower(texts, encoding="utf-8")
    texts = tf.strings.regex_replace(texts, r"<br\s*/?>|[^\pL\pM\pN']", " ")
    return tf.strings.split(texts)


class Vocabulary:
    """Words and their ids: padding is 0, unknown words are 1, the rest follow.

    Args:
        words: all words in the order of their ids, beginning with
            `PADDING` and `UNKNOWN`.

    Raises:
        ValueError: if `words` does not begin so, holds a word twice, or one that cannot
            be a line of a text file: an empty one, one with a line break, or one that
            UTF-8 cannot hold.

    Example:

    >>> vocabulary = Vocabulary.from_texts(["a good film", "a film"], size=4)
    >>> vocabulary.words
    ('[PAD]', '[UNK]', 'a', 'film')
    >>> vocabulary.encode(tf.constant(["A great film!", ""]), max_length=2).to_list()
    [[1, 3], []]
    """

    def __init__(self, words: Sequence[str]):
        self.words = tuple(as_texts("words", words))
        if self.words[:2] != (PADDING, UNKNOWN):
            raise ValueError(
                f"words must begin with {PADDING!r} and {UNKNOWN!r}, got {self.words[:2]!r}. "
                "Use Vocabulary.from_texts to make a vocabulary."
            )
        if len(set(self.words)) != len(self.words):
            raise ValueError("words must differ from one another, but one stands twice.")
        wrong = next((word for word in self.words if not _is_line(word)), None)
        if wrong is not None:
            raise ValueError(
                "words must be lines of a text file, without line breaks and not empty, "
                f"got {wrong!r}."
            )

    @classmethod
    def from_texts(cls, texts: Iterable[str], size: int) -> "Vocabulary":
        """The `size` most frequent words, padding and unknown included.

        Words of the same frequency are taken in alphabetical order.

        Raises:
            ValueError: if `texts` are no texts, or `size` is not a positive integer.
        """
        check_positive_integer("size", size)
        if isinstance(texts, str):
            raise ValueError(f"texts must be several texts, got texts={texts!r}.")
        texts = as_texts("texts", texts)
        words = split_words(
            tf.constant([to_utf8(text) for text in texts], tf.string)
        ).flat_values
        words, _, counts = tf.unique_with_counts(words)
        ranked = sorted(zip(-counts.numpy(), words.numpy(), strict=True))
        kept = [word.decode("utf-8", "replace") for _, word in ranked[: max(size - 2, 0)]]
        return cls([PADDING, UNKNOWN, *kept])

    @classmethod
    def load(cls, path: str | Path) -> "Vocabulary":
        """Reads a file that `save` wrote."""
        return cls(Path(path).read_text(encoding="utf-8").removesuffix("\n").split("\n"))

    def save(self, path: str | Path) -> None:
        """Writes one word a line; the id of a word is its line number, from 0."""
        lines = "".join(f"{word}\n" for word in self.words)
        write_text(Path(path), lines)

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, texts: tf.Tensor, max_length: int) -> tf.RaggedTensor:
        """Ids of the words of each text; of a long text, its last `max_length`.

        Args:
            texts: strings, `(batch,)`.
            max_length: the most words to keep. The last ones are kept, since
                reviews end with their verdict.

        Returns:
            int32 ids, `(batch, None)`.

        Raises:
            ValueError: for texts that are no tensor or list of strings, or for a
                `max_length` that is not a positive integer.
        """
        check_positive_integer("max_length", max_length)
        if not isinstance(texts, tf.Tensor):
            texts = as_texts("texts", texts)
            texts = tf.constant([to_utf8(text) for text in texts], tf.string)
        words = split_words(texts)
        rows, num_rows = words.value_rowids(), tf.size(texts, tf.int64)
        # Counted with what every runtime has, as slices of ragged tensors are not.
        ends = tf.cumsum(tf.math.unsorted_segment_sum(tf.ones_like(rows), rows, num_rows))
        words_to_end = tf.gather(ends, rows) - tf.range(tf.size(rows, tf.int64))
        kept = tf.reshape(tf.where(words_to_end <= max_length), [-1])
        # One more, since some runtimes cannot look up nothing.
        looked_up = tf.concat([tf.gather(words.flat_values, kept), [PADDING]], 0)
        ids = self.table.lookup(looked_up)[:-1]
        return tf.RaggedTensor.from_value_rowids(
            ids, tf.gather(rows, kept), num_rows, validate=False
        )

    @functools.cached_property
    def table(self) -> tf.lookup.StaticHashTable:
        """From words to ids, int32; a part of exported graphs."""
        with tf.init_scope():  # it belongs to no graph that may be being traced
            ids = tf.range(len(self.words), dtype=tf.int32)
            initializer = tf.lookup.KeyValueTensorInitializer(list(self.words), ids)
            return tf.lookup.StaticHashTable(initializer, UNKNOWN_ID)


def pad(ids: tf.Tensor | tf.RaggedTensor) -> tf.Tensor:
    """Ids as one tensor, padded at the end with 0; at least one step long."""
    if isinstance(ids, tf.RaggedTensor):
        ids = ids.to_tensor(PADDING_ID)
    missing = tf.maximum(1 - tf.shape(ids)[1], 0)
    return tf.pad(ids, [[0, 0], [0, missing]], constant_values=PADDING_ID)


def bucket_by_length(
    ids: tf.RaggedTensor,
    labels: Sequence[float],
    *,
    batch_size: int,
    max_length: int,
    num_buckets: int = 6,
    seed: int | None = None,
) -> tf.data.Dataset:
    """Batches of sequences of similar length, so that little is padding.

    Few lengths occur, and so few shapes for XLA to compile. What does not fill
    a batch is left out while training, in each epoch something else.

    Args:
        ids: `(examples, None)`, none longer than `max_length`.
        labels: one number an example.
        batch_size: examples a batch.
        max_length: the length of the longest bucket.
        num_buckets: how many lengths there are at the most, spread so that
            they hold about equally many examples, two batches or more.
        seed: shuffles anew in each epoch, and drops incomplete batches.
            `None` keeps every example, in a fixed order.

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
    # Autotuning, when an iterator ends, can wait for tens of seconds for nothing.
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(4).with_options(options)
