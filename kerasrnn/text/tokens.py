"""Tokens of texts to be turned into other texts: characters, or words between spaces."""

import collections
import functools
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import tensorflow as tf

from kerasrnn.checks import as_texts, check_one_of, check_positive_integer
from kerasrnn.files import write_text
from kerasrnn.text.characters import to_utf8
from kerasrnn.text.words import PADDING, UNKNOWN_WORD, is_line

START, END = "[START]", "[END]"
UNKNOWN_ID, START_ID, END_ID = 1, 2, 3
SPECIAL = (PADDING, UNKNOWN_WORD, START, END)
"""The tokens 0 to 3."""
SPLITS = ("character", "whitespace")
_WHITE_SPACE = r"[\pZ\x{9}-\x{D}\x{1C}-\x{1F}\x{85}]+"
"""What `str.split` splits at, for a graph."""


class TokenVocabulary:
    """Tokens and their ids. A text is split into characters, or into words at white space.

    Ids 0 to 3 stand for padding, an unknown token, the start and the end of a text; the tokens
    follow. Nothing else is changed: letters keep their case, and words their punctuation.

    Args:
        tokens: those that are known, in the order of their ids.
        split: what a token is: `"character"`, a character; or `"whitespace"`, a word between
            spaces. The same names as in `keras.layers.TextVectorization`.

    Raises:
        ValueError: if `split` is unknown, if `tokens` is no list of `str`, if a token appears
            twice, is empty, contains a line break, or is not a single character or word.

    Example:

    >>> vocabulary = TokenVocabulary.from_texts(["cab", "a"], "character")
    >>> vocabulary.tokens
    ('a', 'b', 'c')
    >>> ids = vocabulary.encode(["bad"])
    >>> ids.to_list()
    [[5, 4, 1]]
    >>> vocabulary.decode(ids.to_tensor()).numpy().tolist()
    [b'ba']
    """

    def __init__(self, tokens: Sequence[str], split: str):
        check_one_of("split", split, SPLITS)
        if isinstance(tokens, str):
            raise ValueError(
                f"tokens must be a list of str, got the str {tokens!r}. Use list(tokens)."
            )
        self.tokens, self.split = tuple(as_texts("tokens", tokens)), split
        ((twice, count),) = collections.Counter(self.tokens).most_common(1) or [("", 1)]
        if count > 1:
            raise ValueError(f"tokens must be unique, but {twice!r} appears twice.")
        for token in self.tokens:
            if not is_line(token) or _split(token, split) != [token] or token in SPECIAL:
                raise ValueError(
                    f"each token must be one {split} token, without line breaks, got {token!r}."
                )

    @classmethod
    def from_texts(
        cls, texts: Iterable[str], split: str, size: int | None = None
    ) -> "TokenVocabulary":
        """The tokens of texts, in alphabetical order.

        Args:
            texts: strings.
            split: see the class.
            size: at most this many tokens, the most frequent ones. Default: all.

        Raises:
            ValueError: if `texts` are not strings, or `size` is not a positive integer.
        """
        check_one_of("split", split, SPLITS)
        if size is not None:
            check_positive_integer("size", size)
        if isinstance(texts, str):
            raise ValueError(f"texts must be a list of str, got the str {texts!r}. Use [text].")
        tokens = itertools.chain.from_iterable(
            _split(text, split) for text in as_texts("texts", texts)
        )
        counts = collections.Counter(tokens)
        known = [token for token in counts if is_line(token) and token not in SPECIAL]
        known.sort(key=lambda token: (-counts[token], token))
        return cls(sorted(known[:size]), split)

    @classmethod
    def load(cls, path: str | Path, split: str) -> "TokenVocabulary":
        """Reads a file written by `save`.

        Raises:
            ValueError: if the file does not begin with the tokens 0 to 3.
        """
        lines = Path(path).read_text(encoding="utf-8").removesuffix("\n").split("\n")
        special, tokens = tuple(lines[: len(SPECIAL)]), lines[len(SPECIAL) :]
        if special != SPECIAL:
            raise ValueError(
                f"{path} must begin with the lines {', '.join(SPECIAL)}, got {special}. Use a "
                "file written by TokenVocabulary.save."
            )
        return cls(tokens, split)

    def save(self, path: str | Path) -> None:
        """Writes one token per line; a token's id is its line number, from 0."""
        lines = "".join(f"{token}\n" for token in (*SPECIAL, *self.tokens))
        write_text(Path(path), lines)

    def __len__(self) -> int:
        return len(SPECIAL) + len(self.tokens)

    def encode(self, texts: tf.Tensor | Sequence[str]) -> tf.RaggedTensor:
        """The ids of the tokens of texts, with plain graph ops.

        Args:
            texts: strings in UTF-8, `(batch,)`.

        Returns:
            int32, `(batch, None)`, without a start and an end.
        """
        if not isinstance(texts, tf.Tensor):
            texts = tf.constant(list(map(to_utf8, as_texts("texts", texts))), tf.string)
        return tf.ragged.map_flat_values(self._look_up, self.tokenize(texts))

    def _look_up(self, tokens):
        # One token more, since some runtimes cannot look up an empty tensor.
        return self.table.lookup(tf.concat([tokens, [PADDING]], 0))[:-1]

    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """The tokens of texts `(batch,)`, strings `(batch, None)`, with plain graph ops."""
        if self.split == "character":
            return tf.strings.unicode_split(texts, "UTF-8")
        return tf.strings.split(tf.strings.regex_replace(texts, _WHITE_SPACE, " "))

    def decode(self, ids: tf.Tensor) -> tf.Tensor:
        """The texts of ids, with plain graph ops; ids 0 to 3 are left out.

        Args:
            ids: integers, `(..., length)`, with nothing but padding after the end.

        Returns:
            Strings in UTF-8, `(...)`.
        """
        tokens = tf.gather(tf.constant([*[""] * len(SPECIAL), *self.tokens]), ids)
        if self.split == "character":
            return tf.strings.reduce_join(tokens, axis=-1)
        texts = tf.strings.reduce_join(tokens, axis=-1, separator=" ")
        return tf.strings.strip(tf.strings.regex_replace(texts, " +", " "))

    @functools.cached_property
    def table(self) -> tf.lookup.StaticHashTable:
        """From tokens to ids, int32; part of exported graphs."""
        with tf.init_scope():  # outside of any graph that is being traced
            tokens = [UNKNOWN_WORD, *self.tokens]  # in a text, "[PAD]" is an unknown word
            ids = [UNKNOWN_ID, *range(len(SPECIAL), len(self))]
            initializer = tf.lookup.KeyValueTensorInitializer(tokens, tf.constant(ids))
            return tf.lookup.StaticHashTable(initializer, UNKNOWN_ID)


def _split(text: str, split: str) -> list[str]:
    return list(text) if split == "character" else text.split()
