"""What a decoder looks at: the weights of its attention, as numbers and as a heat map."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from kerasrnn.analysis.figures import make_figure, save_figure
from kerasrnn.checks import check_text
from kerasrnn.models import writing
from kerasrnn.models.seq2seq import Seq2Seq
from kerasrnn.text.characters import to_utf8
from kerasrnn.text.tokens import END

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INCHES, _MARGIN = 0.3, 1.2
"""The size of a cell of the heat map, and what titles need."""


@dataclasses.dataclass(frozen=True, eq=False)
class AttentionWeights:
    """How much each step of the decoder looks at each token of the source."""

    weights: np.ndarray
    """`(target_time, source_time)`; each row sums to 1."""
    source_tokens: tuple[str, ...]
    target_tokens: tuple[str, ...]
    """The last one is the end."""

    def plot(self, path: str | Path | None = None) -> "Figure":
        """A heat map: the source from left to right, the target from top to bottom.

        Args:
            path: where to write the picture. Default: `None`, nowhere.

        Returns:
            The figure.

        Raises:
            ImportError: if matplotlib is not installed.
        """
        rows, columns = self.weights.shape
        figure = make_figure(_MARGIN + _INCHES * columns, _MARGIN + _INCHES * rows)
        axes = figure.add_subplot()
        axes.imshow(self.weights, vmin=0, vmax=1, cmap="Blues", aspect="auto")
        axes.set_xticks(range(columns), self.source_tokens, parse_math=False)
        axes.set_yticks(range(rows), self.target_tokens, parse_math=False)
        axes.xaxis.tick_top()
        if max(map(len, self.source_tokens)) > 2:
            axes.tick_params("x", rotation=90)
        return save_figure(figure, path)


def attention_weights(
    model: Seq2Seq, source: str, target: str | None = None
) -> AttentionWeights:
    """What a model with attention looks at while it reads one text and writes another.

    Args:
        model: a built `Seq2Seq` with attention.
        source: the text that it reads.
        target: the text that it is made to write. Default: `None`, what it writes itself.

    Returns:
        An `AttentionWeights`.

    Raises:
        ValueError: if the model has no attention, or the source has no tokens.

    Example:

    >>> from kerasrnn.text.tokens import TokenVocabulary
    >>> letters = TokenVocabulary.from_texts(["abc"], "character")
    >>> model = Seq2Seq(letters, letters, units=8)
    >>> attention_weights(model, "abc", "ba").weights.shape
    (3, 3)
    """
    if not isinstance(model, Seq2Seq) or model.context is None:
        raise ValueError("model must be a kerasrnn.Seq2Seq with attention.")
    check_text("source", source)
    if target is None:
        target = model.generate([source])[0]
    check_text("target", target)
    texts = tf.constant([to_utf8(source)]), tf.constant([to_utf8(target)])
    sides = model.source_vocabulary, model.vocabulary
    source_tokens, target_tokens = (
        tuple(token.decode("utf-8", "replace") for token in side.tokenize(text).to_list()[0])
        for side, text in zip(sides, texts, strict=True)
    )
    if not source_tokens:
        raise ValueError(f"source must have a token, got source={source!r}.")
    source_tokens = source_tokens[: model.max_source_length]
    _, _, weights = writing.score(model, model.read(texts[0]), texts[1])
    weights = np.asarray(weights)[0, : len(target_tokens) + 1, : len(source_tokens)]
    return AttentionWeights(weights, source_tokens, (*target_tokens, END))
