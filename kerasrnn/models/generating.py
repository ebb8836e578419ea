"""Texts from a built model for sources: drawn token by token, or found by a beam search."""

import functools
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from kerasrnn.checks import check_positive_integer, is_integer, is_number, plain
from kerasrnn.models import writing
from kerasrnn.models.beam_search import HIGHEST_PENALTY, LENGTH_PENALTY
from kerasrnn.models.choice import Choice, make_choice
from kerasrnn.text.tokens import TokenVocabulary
from kerasrnn.training.errors import clear_errors


class Hypothesis(NamedTuple):
    """A text that a beam search found."""

    text: str
    score: float
    """Its log probability in nats, divided by the length penalty."""


class Generating(keras.Model):
    """`generate` and `nbest`, for a `kerasrnn.models.text_decoder.TextDecoder`."""

    vocabulary: TokenVocabulary
    max_length: int

    def call_once(self) -> None:
        """Builds the model."""
        raise NotImplementedError

    def generate(
        self,
        sources: Any,
        *,
        beam: int | None = None,
        length_penalty: float | None = None,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        max_length: int | None = None,
    ) -> str | list[str]:
        """Writes the text of each source, all of them at once, in one call of one graph.

        Args:
            sources: one source, or several.
            beam: the beam width of a beam search, which looks for the most probable text.
                Default: `None`, no beam search: one token is drawn at a time.
            length_penalty: of the beam search (`kerasrnn.models.beam_search`), from 0 to 10.
                Default: 0.6.
            temperature, top_k, top_p, seed: how tokens are drawn without a beam, as in
                `CharLanguageModel.generate`. Default: temperature 0, which always takes the
                most probable token: greedy decoding.
            max_length: the maximum number of tokens in a text. Default: that of the model.

        Returns:
            A text; a list for several sources.

        Raises:
            ValueError: if an argument is out of range.
        """
        if beam is None and length_penalty is not None:
            raise ValueError("length_penalty is for a beam search: give beam=, too.")
        if beam is not None:
            given = {"temperature": temperature or None, "top_k": top_k, "top_p": top_p}
            drawing = [
                name for name, value in {**given, "seed": seed}.items() if value is not None
            ]
            if drawing:
                raise ValueError(
                    f"A beam search draws nothing: leave out {', '.join(drawing)}, or beam."
                )
            penalty = LENGTH_PENALTY if length_penalty is None else length_penalty
            found = self.nbest(sources, beam, length_penalty=penalty, max_length=max_length)
            one = found and isinstance(found[0], Hypothesis)
            return found[0].text if one else [texts[0].text for texts in found]
        given, single = self.as_batch(sources)
        choice = make_choice(temperature, top_k, top_p, seed, len(self.vocabulary.tokens) + 1)
        max_length = self._check_length(max_length)
        filtered = choice.top_k > 0 or choice.top_p < 1
        types = Choice(tf.float32, tf.int32, tf.int32, tf.float32)
        tensors = Choice(*map(tf.constant, choice, types))
        with clear_errors():
            texts = self._writers.draw(filtered)(given, tf.constant(max_length), tensors)
        written = [text.decode("utf-8") for text in texts.numpy()]
        return written[0] if single else written

    def nbest(
        self,
        sources: Any,
        beam: int = 5,
        *,
        length_penalty: float = LENGTH_PENALTY,
        max_length: int | None = None,
    ) -> list:
        """The best texts of each source that a beam search finds, the best one first.

        Args:
            sources, length_penalty, max_length: see `generate`.
            beam: how many texts, from 1 to the number of tokens that can be written, the end
                included. Default: 5.

        Returns:
            A list of `Hypothesis(text, score)`; a list of such lists for several sources.

        Raises:
            ValueError: if an argument is out of range.
        """
        given, single = self.as_batch(sources)
        most = len(self.vocabulary.tokens) + 1
        if not is_integer(beam) or not 1 <= beam <= most:
            raise ValueError(
                f"beam must be an integer in [1, {most}], the number of tokens that can be "
                f"written, got beam={beam!r}."
            )
        if not is_number(length_penalty) or not 0 <= length_penalty <= HIGHEST_PENALTY:
            raise ValueError(
                f"length_penalty must lie in [0, {HIGHEST_PENALTY:g}], "
                f"got length_penalty={length_penalty!r}."
            )
        max_length = self._check_length(max_length)
        with clear_errors():
            texts, scores = self._writers.search(
                given,
                tf.constant(max_length),
                tf.constant(beam, tf.int32),
                tf.constant(length_penalty, tf.float32),
            )
        found = [
            [
                Hypothesis(text.decode("utf-8"), score)
                for text, score in zip(*row, strict=True)
                if score > -float("inf")
            ]
            for row in zip(texts.numpy().tolist(), scores.numpy().tolist(), strict=True)
        ]
        return found[0] if single else found

    def source_spec(self) -> tf.TensorSpec:
        """What `read` takes: a tensor of any batch size."""
        raise NotImplementedError

    def as_batch(self, sources: Any) -> tuple[tf.Tensor, bool]:
        """Checked sources as a tensor for the graphs, and whether it was a single one."""
        raise NotImplementedError

    def _check_length(self, max_length):
        if max_length is None:
            return self.max_length
        check_positive_integer("max_length", max_length)
        return plain(max_length)

    @functools.cached_property
    def _writers(self) -> "writing.Writers":
        if not self.built:
            self.call_once()
        return writing.Writers(self)
