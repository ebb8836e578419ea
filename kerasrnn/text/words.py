"""Words and their ids: how texts are split, and the words that a model knows."""

import collections
import functools
from collections.abc import Iterable, Sequence
from pathlib import Path

import tensorflow as tf

from kerasrnn.checks import as_texts, check_positive_integer
from kerasrnn.files import write_text
from kerasrnn.text.characters import to_utf8

PADDING, UNKNOWN_WORD = "[PAD]", "[UNK]"
PADDING_ID, UNKNOWN_WORD_ID = 0, 1


def split_words(texts: tf.Tensor) -> tf.RaggedTensor:
    """Splits texts into lower-case words, with plain graph ops.

    HTML line breaks, punctuation and symbols separate words. An apostrophe is
    part of a word.

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
        words: all words in the order of their ids. The first two are
            `PADDING` and `UNKNOWN_WORD`.

    Raises:
        ValueError: if `words` does not begin with these two, if a word appears twice, or
            if a word cannot be a line of a text file: it is empty, has a line break, or
            cannot be encoded as UTF-8.

    Example:

    >>> vocabulary = Vocabulary.from_texts(["a good film", "a film"], size=4)
    >>> vocabulary.words
    ('[PAD]', '[UNK]', 'a', 'film')
    >>> vocabulary.encode(tf.constant(["A great film!", ""]), max_length=2).to_list()
    [[1, 3], []]
    """

    def __init__(self, words: Sequence[str]):
        self.words = tuple(as_texts("words", words))
        if self.words[:2] != (PADDING, UNKNOWN_WORD):
            raise ValueError(
                f"words must begin with {PADDING!r} and {UNKNOWN_WORD!r}, got "
                f"{self.words[:2]!r}. Use Vocabulary.from_texts to make a vocabulary."
            )
        if len(set(self.words)) != len(self.words):
            ((twice, _),) = collections.Counter(self.words).most_common(1)
            raise ValueError(f"words must be unique, but {twice!r} appears twice.")
        wrong = next((word for word in self.words if not is_line(word)), None)
        if wrong is not None:
            raise ValueError(
                "words must be lines of a text file, not empty and without line breaks, "
                f"got {wrong!r}."
            )

    @classmethod
    def from_texts(cls, texts: Iterable[str], size: int) -> "Vocabulary":
        """The `size` most frequent words, including the ids for padding and unknown words.

        Words of the same frequency come in alphabetical order.

        Raises:
            ValueError: if `texts` is not a list of `str`, or `size` is not a positive integer.
        """
        check_positive_integer("size", size)
        if isinstance(texts, str):
            raise ValueError(f"texts must be a list of str, got the str {texts!r}. Use [text].")
        texts = as_texts("texts", texts)
        words = split_words(
            tf.constant([to_utf8(text) for text in texts], tf.string)
        ).flat_values
        words, _, counts = tf.unique_with_counts(words)
        ranked = sorted(zip(-counts.numpy(), words.numpy(), strict=True))
        kept = [word.decode("utf-8", "replace") for _, word in ranked[: max(size - 2, 0)]]
        return cls([PADDING, UNKNOWN_WORD, *kept])

    @classmethod
    def load(cls, path: str | Path) -> "Vocabulary":
        """Reads a file written by `save`."""
        return cls(Path(path).read_text(encoding="utf-8").removesuffix("\n").split("\n"))

    def save(self, path: str | Path) -> None:
        """Writes one word per line; a word's id is its line number, from 0."""
        lines = "".join(f"{word}\n" for word in self.words)
        write_text(Path(path), lines)

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, texts: tf.Tensor, max_length: int) -> tf.RaggedTensor:
        """The ids of the words of each text, at most the last `max_length` of them.

        Args:
            texts: strings, `(batch,)`.
            max_length: how many words to keep. The last ones are kept, since
                reviews end with their verdict.

        Returns:
            int32 ids, `(batch, None)`.

        Raises:
            ValueError: if `texts` is not a tensor or a list of strings, or
                `max_length` is not a positive integer.
        """
        check_positive_integer("max_length", max_length)
        if not isinstance(texts, tf.Tensor):
            texts = as_texts("texts", texts)
            texts = tf.constant([to_utf8(text) for text in texts], tf.string)
        words = split_words(texts)
        rows, num_rows = words.value_rowids(), tf.size(texts, tf.int64)
        # With ops that every runtime has; slices of ragged tensors are not among them.
        ends = tf.cumsum(tf.math.unsorted_segment_sum(tf.ones_like(rows), rows, num_rows))
        words_to_end = tf.gather(ends, rows) - tf.range(tf.size(rows, tf.int64))
        kept = tf.reshape(tf.where(words_to_end <= max_length), [-1])
        # One word more, since some runtimes cannot look up an empty tensor.
        looked_up = tf.concat([tf.gather(words.flat_values, kept), [PADDING]], 0)
        ids = self.table.lookup(looked_up)[:-1]
        return tf.RaggedTensor.from_value_rowids(
            ids, tf.gather(rows, kept), num_rows, validate=False
        )

    @functools.cached_property
    def table(self) -> tf.lookup.StaticHashTable:
        """From words to ids, int32; part of exported graphs."""
        with tf.init_scope():  # outside of any graph that is being traced
            ids = tf.range(len(self.words), dtype=tf.int32)
            initializer = tf.lookup.KeyValueTensorInitializer(list(self.words), ids)
            return tf.lookup.StaticHashTable(initializer, UNKNOWN_WORD_ID)


def is_line(word: str) -> bool:
    """Whether a word can be read back from a text file with one word per line."""
    return word.splitlines() == [word] and to_utf8(word).decode("utf-8") == word
