"""Text from a language model: in one call of a graph, or piece by piece as it comes."""

import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

from kerasrnn.checks import as_texts, is_integer
from kerasrnn.models import text_graph
from kerasrnn.models.choice import Choice
from kerasrnn.models.decoding import BLOCK, SPLIT_FROM
from kerasrnn.text.characters import to_utf8

if TYPE_CHECKING:  # it imports this module
    from kerasrnn.models.language_model import CharLanguageModel

PIECE = 8 * BLOCK
"""How many characters are drawn at a time where a text comes piece by piece."""


class Generator:
    """Writes texts; see `CharLanguageModel.generate`.

    Each graph is traced once, for all sizes, when it is first needed.

    Args:
        model: a built `CharLanguageModel`.
    """

    def __init__(self, model: "CharLanguageModel"):
        self.model = model
        self.texts, self.ids, self.states = text_graph.input_specs(model)
        integer, real = tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.float32)
        self.integer, self.choice = integer, Choice(real, integer, integer, real)
        self.read = self._trace(lambda texts: text_graph.read(model, texts), self.texts)
        self.whole_graph = functools.cache(self._make_whole_graph)
        self.piece_graph = functools.cache(self._make_piece_graph)

    @staticmethod
    def _trace(function, *signature):
        return tf.function(function, signature, autograph=False)

    def _make_whole_graph(self, filtered: bool, num_loops: int):
        variant = {"filtered": filtered, "num_loops": num_loops}

        def write_all(texts, length, choice):
            ids, states = text_graph.read(self.model, texts)
            return text_graph.write(self.model, ids, states, length, choice, **variant)[0]

        return self._trace(write_all, self.texts, self.integer, self.choice)

    def _make_piece_graph(self, filtered: bool, num_loops: int):
        write_piece = functools.partial(
            text_graph.write, self.model, filtered=filtered, num_loops=num_loops
        )
        return self._trace(
            lambda *inputs: write_piece(*inputs),
            *(self.ids, self.states, self.integer, self.choice, self.integer),
        )

    def generate(
        self, prompts: list[str], length: int, choice: Choice, stops: tuple[str, ...]
    ) -> list[str]:
        """The text that follows each prompt."""
        if stops:
            texts = [""] * len(prompts)
            for pieces in self._write_pieces(prompts, length, choice):
                texts = [text + piece for text, piece in zip(texts, pieces, strict=True)]
                if all(find_stop(text, stops) is not None for text in texts):
                    break
            return [text[: find_stop(text, stops)] for text in texts]
        write_all = self.whole_graph(*_variant(prompts, choice))
        written = write_all(_as_tensor(prompts), tf.constant(length), _as_tensors(choice))
        return [text.decode("utf-8") for text in written.numpy()]

    def stream(
        self, prompt: str, length: int, choice: Choice, stops: tuple[str, ...]
    ) -> Iterator[str]:
        """The text that follows one prompt, in pieces."""
        held_back = max(map(len, stops), default=1) - 1  # it may be the start of a stop
        text, shown = "", 0
        for (piece,) in self._write_pieces([prompt], length, choice):
            text += piece
            end = find_stop(text, stops)
            until = max(len(text) - held_back, shown) if end is None else end
            yield text[shown:until]
            shown = until
            if end is not None:
                return
        yield text[shown:]

    def _write_pieces(self, prompts, length, choice):
        """The next `PIECE` characters for each prompt, list by list."""
        write_piece = self.piece_graph(*_variant(prompts, choice))
        choice = _as_tensors(choice)
        ids, states = self.read(_as_tensor(prompts))
        for position in range(0, length, PIECE):
            size = tf.constant(min(PIECE, length - position))
            written, ids, states = write_piece(ids, states, size, choice, tf.constant(position))
            yield [text.decode("utf-8") for text in written.numpy()]


def check_length(length: int) -> int:
    """The number of characters to write, as an `int`.

    Raises:
        ValueError: if it is not an integer of 0 or more that fits in 32 bits.
    """
    if not is_integer(length) or not 0 <= length < 2**31:
        raise ValueError(
            f"length must be an integer of 0 or more, at most {2**31 - 1}, "
            f"got length={length!r}."
        )
    return int(length)


def check_stops(stop: str | Sequence[str]) -> tuple[str, ...]:
    """One stop text, or several, as a tuple.

    Raises:
        ValueError: if one of them is empty, or not a `str`.
    """
    stops = tuple(as_texts("stop", stop))
    if not all(stops):
        raise ValueError(f"the texts of stop must not be empty, got stop={stop!r}.")
    return stops


def find_stop(text: str, stops: tuple[str, ...]) -> int | None:
    """The start of the stop that is complete first; `None` if there is none."""
    found = [(text.index(stop) + len(stop), text.index(stop)) for stop in stops if stop in text]
    return min(found)[1] if found else None


def _variant(prompts, choice) -> tuple[bool, int]:
    """Which graph these need: whether it has samplers, and its number of loops."""
    filtered = choice.top_k > 0 or choice.top_p < 1
    return filtered, 1 if len(prompts) < SPLIT_FROM else 2


def _as_tensor(texts: list[str]) -> tf.Tensor:
    return tf.constant([to_utf8(text) for text in texts], tf.string)


def _as_tensors(choice: Choice) -> Choice:
    types = Choice(tf.float32, tf.int32, tf.int32, tf.float32)
    return Choice(
        *(tf.constant(value, dtype) for value, dtype in zip(choice, types, strict=True))
    )
