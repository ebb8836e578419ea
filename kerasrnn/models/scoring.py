"""How well a language model predicts a text."""

import math
from typing import TYPE_CHECKING, NamedTuple

import tensorflow as tf

from kerasrnn.checks import check_text
from kerasrnn.models import text_graph
from kerasrnn.text.characters import to_utf8

if TYPE_CHECKING:  # it imports this module
    from kerasrnn.models.language_model import CharLanguageModel

PIECE = 4096
"""Characters that are scored in one call; the states are carried over."""


class Score(NamedTuple):
    """How well a text is predicted, character by character."""

    nats_per_character: float
    """The mean of -ln p of the right character."""
    bits_per_character: float
    """The same in bits."""
    num_characters: int
    """How many were predicted: all but the first."""
    num_unknown: int
    """How many of them are not in the vocabulary."""


class Scorer:
    """Scores texts; see `CharLanguageModel.score`. Its graph is traced once.

    Args:
        model: a built `CharLanguageModel`.
    """

    def __init__(self, model: "CharLanguageModel"):
        self.model = model
        self._nats_of = tf.function(
            lambda *inputs: text_graph.nats_of(model, *inputs),
            text_graph.input_specs(model),
            autograph=False,
        )

    def score(self, text: str) -> Score:
        """How well the model predicts a text.

        Raises:
            ValueError: if it is shorter than two characters, or not a `str`.
        """
        check_text("text", text)
        if len(text) < 2:
            raise ValueError(f"text must have at least two characters, got {text!r}.")
        ids, states = self.model.vocabulary.encode(text[:1]), self.model.initial_states(1)
        nats, num_unknown = 0.0, 0
        for start in range(1, len(text), PIECE):
            piece = tf.constant([to_utf8(text[start : start + PIECE])])
            of_piece, _, unknown, ids, states = self._nats_of(piece, ids, states)
            nats += float(of_piece[0])
            num_unknown += int(unknown[0])
        mean = nats / (len(text) - 1)
        return Score(mean, mean / math.log(2), len(text) - 1, num_unknown)
