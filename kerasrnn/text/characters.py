"""Characters and their ids: Unicode code points in order, the same in Python and in a graph."""

import functools
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tensorflow as tf

from kerasrnn.checks import as_texts, check_text
from kerasrnn.files import write_text

UNKNOWN_CHARACTER = "\ufffd"
UNKNOWN_CHARACTER_ID = 0


class CharacterVocabulary:
    """The characters that a model knows, in the order of their ids.

    Characters are Unicode code points. Id 0 is U+FFFD, Unicode's replacement
    character; it stands for every character that the vocabulary lacks.

    Args:
        characters: in the order of their ids. U+FFFD is added in front if it is
            missing.

    Raises:
        ValueError: if a character appears twice, is not a single code point, or is
            half of a surrogate pair.

    Example:

    >>> vocabulary = CharacterVocabulary.from_text("to be, or not to be")
    >>> "".join(vocabulary.characters[1:])
    ' ,benort'
    >>> vocabulary.encode("robot: ß")
    array([7, 6, 3, 6, 8, 0, 1, 0], dtype=int32)
    >>> vocabulary.decode([3, 6, 8, 0])
    'bot\ufffd'
    """

    def __init__(self, characters: Iterable[str]):
        if isinstance(characters, str):
            listed = list(characters)
        else:
            listed = as_texts("characters", characters)
        if listed[:1] != [UNKNOWN_CHARACTER]:
            listed = [UNKNOWN_CHARACTER, *listed]
        for character in listed:
            if len(character) != 1 or 0xD800 <= ord(character) <= 0xDFFF:
                raise ValueError(f"characters must be single code points, got {character!r}.")
        if len(set(listed)) != len(listed):
            twice = next(c for c in listed if listed.count(c) > 1)
            raise ValueError(f"characters must be unique, but {twice!r} appears twice.")
        self.characters = tuple(listed)
        self.code_points = np.array([ord(c) for c in listed], np.int32)
        self._ids = np.zeros(self.code_points.max() + 2, np.int32)  # by code point
        self._ids[self.code_points] = np.arange(len(listed))

    @classmethod
    def from_text(cls, text: str | Iterable[str]) -> "CharacterVocabulary":
        """The characters of a text, or of its pieces, by code point.

        Raises:
            ValueError: if a piece is not a `str`, or holds half of a surrogate pair.
        """
        if isinstance(text, (str, bytes, dict)) or not np.iterable(text):
            text = as_texts("text", text)
        found: set[str] = set()
        for piece in text:  # one at a time: together they may not fit in memory
            check_text("text", piece)
            found.update(piece)
        return cls(sorted(found - {UNKNOWN_CHARACTER}))

    @classmethod
    def load(cls, path: str | Path) -> "CharacterVocabulary":
        """Reads a file written by `save`."""
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        return cls(chr(int(line.split("\t")[0])) for line in lines)

    def save(self, path: str | Path) -> None:
        """Writes one line per id, from 0: code point, character and name.

        The columns are separated by tabs. A character that cannot be printed is
        written as in Python, a line feed as `\\n`.
        """
        lines = (
            f"{ord(c)}\t{c if c.isprintable() else ascii(c)[1:-1]}\t"
            f"{unicodedata.name(c, 'unnamed')}\n"
            for c in self.characters
        )
        write_text(Path(path), "".join(lines))

    def __len__(self) -> int:
        return len(self.characters)

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, CharacterVocabulary)
        return same and self.characters == other.characters  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(self.characters)

    def encode(self, text: str) -> np.ndarray:
        """The ids of the characters of a text, int32 `(length,)`; 0 for unknown ones."""
        check_text("text", text)
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        return self._ids[np.minimum(codes, len(self._ids) - 1)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, `(length,)`.

        Raises:
            ValueError: if one of them is not an id of this vocabulary.
        """
        try:
            listed = np.asarray(ids if hasattr(ids, "shape") else list(ids))
        except TypeError:
            listed = np.asarray(ids)
        numbers = listed.size == 0 or listed.dtype.kind in "iu"
        if listed.ndim != 1 or not numbers:
            raise ValueError(f"ids must be a list of integers, got ids={ids!r}.")
        if listed.size and not 0 <= listed.min() <= listed.max() < len(self):
            raise ValueError(
                f"ids must lie from 0 to {len(self) - 1}, the characters of the vocabulary, "
                f"got ids from {listed.min()} to {listed.max()}."
            )
        codes = self.code_points[listed.astype(np.int64)]
        return codes.astype("<u4").tobytes().decode("utf-32-le")

    def ids_of(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """The ids of texts, with plain graph ops.

        Args:
            texts: strings in UTF-8, `(batch,)`. Bytes that are not UTF-8 are unknown
                characters.

        Returns:
            int32, `(batch, None)`.
        """
        codes = tf.strings.unicode_decode(texts, "UTF-8")
        return tf.ragged.map_flat_values(self.table.lookup, codes)

    def texts_of(self, ids: tf.Tensor) -> tf.Tensor:
        """The texts of ids `(batch, length)`, strings `(batch,)`, with plain graph ops."""
        codes = tf.gather(tf.constant(self.code_points), ids)
        return tf.strings.unicode_encode(codes, "UTF-8")

    @functools.cached_property
    def table(self) -> tf.lookup.StaticHashTable:
        """From code points to ids, int32; part of exported graphs."""
        with tf.init_scope():  # outside of any graph that is being traced
            initializer = tf.lookup.KeyValueTensorInitializer(
                self.code_points, tf.range(len(self))
            )
            return tf.lookup.StaticHashTable(initializer, UNKNOWN_CHARACTER_ID)


def to_utf8(text: str) -> bytes:
    """A text in UTF-8; half of a surrogate pair becomes U+FFFD."""
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.encode("utf-8")
