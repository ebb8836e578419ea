"""Many-to-many over characters: what comes next, and again, and again."""

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from kerasrnn.checks import (
    as_texts,
    check_flags,
    check_one_of,
    check_positive_integer,
    check_rate,
    check_text,
    plain,
)
from kerasrnn.layers import rnn
from kerasrnn.models import generation, sampling
from kerasrnn.models.classifier import CELLS
from kerasrnn.models.lookup import InputTable, TiedDense, check_ids
from kerasrnn.models.sampling import Choice
from kerasrnn.models.sequence import SequenceModel
from kerasrnn.text.characters import UNKNOWN_ID, CharacterVocabulary, to_utf8
from kerasrnn.text.words import pad

SCORED_AT_ONCE = 4096


class Score(NamedTuple):
    """How well a text is predicted, character by character."""

    nats_per_character: float
    """The mean of -ln p of the right character."""
    bits_per_character: float
    """The same in bits."""
    num_characters: int
    """How many were predicted: all but the first."""
    num_unknown: int
    """How many of them the vocabulary lacks."""


@keras.saving.register_keras_serializable(package="kerasrnn")
class CharLanguageModel(SequenceModel):
    """Predicts the next character of a text, and so writes text.

    A `SequenceModel`, trained on a `Stream` of the ids of its vocabulary with
    carried states. With the vanilla cell the first layer's input projection is
    a look-up of rows (`kerasrnn.models.lookup`).

    Args:
        vocabulary: a `kerasrnn.CharacterVocabulary`, or its characters. One
            that the model has never seen reads as U+FFFD, and is never
            written.
        units: the size of each layer's state. Default: 512.
        num_layers: how many recurrent layers there are. Default: 1.
        cell: `"vanilla"` (`VanillaRNN`), `"lstm"` or `"gru"`. Default:
            `"vanilla"`.
        embedding_dim: the size of the vectors that characters become first.
            Default: `None`: none for the vanilla cell, `units` for the others.
        dropout: fraction to drop of the outputs of each layer, the same ones
            at all steps of a window. Default: 0.
        recurrent_dropout: fraction to drop of what each step reads of the state
            before it, the same ones throughout a window (Gal & Ghahramani
            2016, arXiv:1512.05287). Default: 0.
        residual: whether the layers above the first add their input to their
            output, and read the characters, too, each from a table of its own
            (Graves 2013, arXiv:1308.0850). Default: `True`.
        tie_weights: whether the output's kernel is the table of inputs.
            Default: `False`.
        **kwargs: `name`. The dtype is that of the global Keras policy.

    Call arguments:
        inputs: integers, `(batch, time)`.
        states, return_states, training: as in `SequenceModel`.

    Returns:
        Logits, float32 `(batch, time, len(vocabulary))`; with `return_states`
        also the states after the last step.

    Raises:
        ValueError: for an argument out of its range, or a vocabulary of fewer
            than two characters; in eager calls, for ids out of range.

    Example:

    >>> text = "to be, or not to be: that is the question. " * 40
    >>> lm = CharLanguageModel(CharacterVocabulary.from_text(text), units=32)
    >>> lm.compile(keras.optimizers.Adam(0.01), window=20)
    >>> from kerasrnn.training.streams import Stream
    >>> stream = Stream.from_tokens(lm.vocabulary.encode(text), batch_size=8)
    >>> history = lm.fit(stream, epochs=4, verbose=0)
    >>> history.history["loss"][-1] < history.history["loss"][0]
    True
    >>> len(lm.generate("to be", length=30, temperature=0.5, seed=0))
    30
    """

    def __init__(
        self,
        vocabulary: CharacterVocabulary | Iterable[str],
        units: int = 512,
        num_layers: int = 1,
        cell: str = "vanilla",
        embedding_dim: int | None = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        residual: bool = True,
        tie_weights: bool = False,
        **kwargs: Any,
    ):
        if not isinstance(vocabulary, CharacterVocabulary):
            vocabulary = CharacterVocabulary(vocabulary)
        if len(vocabulary) < 3:  # the unknown character is one of them
            known = "".join(vocabulary.characters[1:])
            raise ValueError(
                f"vocabulary must hold two characters or more, got {known!r}: there is nothing "
                "to predict."
            )
        check_positive_integer("units", units)
        check_positive_integer("num_layers", num_layers)
        if embedding_dim is not None:
            check_positive_integer("embedding_dim", embedding_dim)
        check_one_of("cell", cell, CELLS)
        check_rate("dropout", dropout)
        check_rate("recurrent_dropout", recurrent_dropout)
        check_flags(residual=residual, tie_weights=tie_weights)
        residual, tie_weights = bool(residual), bool(tie_weights)
        units, num_layers, embedding_dim = plain(units), plain(num_layers), plain(embedding_dim)
        dropout, recurrent_dropout = plain(dropout), plain(recurrent_dropout)
        vanilla = cell == "vanilla"
        if tie_weights and not vanilla and embedding_dim not in (None, units):
            raise ValueError(
                f"tie_weights needs embedding_dim={units}, the size of the state, "
                f"got embedding_dim={embedding_dim}."
            )
        num_ids = len(vocabulary)
        if vanilla:
            table = InputTable(num_ids, units, embedding_dim)
        else:
            table = InputTable(num_ids, embedding_dim or units)
        layers: list[keras.layers.Layer] = [table]
        for number in range(num_layers):
            projected = {"use_kernel": number > 0} if vanilla else {}
            if number and residual:
                layers.append(InputTable(num_ids, units))
            recurrent = CELLS[cell](
                units,
                return_sequences=True,
                recurrent_dropout=recurrent_dropout,
                **projected,
            )
            layers.append(recurrent)
            layers.append(keras.layers.SpatialDropout1D(dropout))
        if tie_weights:
            layers.append(TiedDense(table, dtype="float32"))
        else:
            layers.append(keras.layers.Dense(num_ids, dtype="float32"))
        super().__init__(layers, **kwargs)
        self.vocabulary = vocabulary
        self._arguments = {
            "units": units,
            "num_layers": num_layers,
            "cell": cell,
            "embedding_dim": embedding_dim,
            "dropout": dropout,
            "recurrent_dropout": recurrent_dropout,
            "residual": residual,
            "tie_weights": tie_weights,
        }

    def check_inputs(self, inputs: Any) -> None:
        """Ids must be whole numbers, and lie in the vocabulary."""
        super().check_inputs(inputs)
        check_ids(self.name, inputs, len(self.vocabulary))

    def compile(
        self, optimizer: Any = "adam", loss: Any = None, *args: Any, **options: Any
    ) -> None:
        """`SequenceModel.compile`; the loss, by default, is the cross-entropy in nats."""
        if loss is None:
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        super().compile(optimizer, loss, *args, **options)

    def connect(self, inputs: tf.Tensor, recur: Callable) -> tf.Tensor:
        """The layers, for a sequence `(batch, time)` or for a step `(batch,)`."""
        layers = iter(self.sequence_layers)
        x = whole = next(layers)(inputs)
        for number in range(len(self.recurrent_layers)):
            skips = number and self._arguments["residual"]
            below = whole
            if skips:
                x = x + next(layers)(inputs)
            whole = recur(next(layers), x)
            if skips:
                whole = whole + below
            dropout = next(layers)
            x = dropout(whole) if len(whole.shape) == 3 else whole  # a step is not training
        output = next(layers)
        return output(x)

    def step(self, ids: tf.Tensor, states: list) -> tuple[tf.Tensor, list]:
        """One step in inference.

        Args:
            ids: integers, `(batch,)`.
            states: those before it.

        Returns:
            Logits, float32 `(batch, len(vocabulary))`, and the new states.
        """
        new_states: list = []

        def recur(layer, x):
            before = states[len(new_states)]
            output, after = rnn.call_cell(layer.cell, x, before, training=False)
            new_states.append(after)
            return output

        return self.connect(ids, recur), new_states

    def read(self, texts: tf.Tensor) -> tuple[tf.Tensor, list]:
        """Reads texts up to their last character, as plain ops of a graph.

        An empty text counts as a line feed, or where there is none in the
        vocabulary as a space, or else as its first character.

        Args:
            texts: strings, `(batch,)`.

        Returns:
            The last characters, int32 `(batch,)`, and the states before them.
        """
        ragged = self.vocabulary.ids_of(texts)
        lengths, ids = tf.cast(ragged.row_lengths(), tf.int32), pad(ragged)
        before = tf.maximum(lengths - 1, 0)
        last = tf.where(lengths > 0, tf.gather(ids, before, batch_dims=1), self._start_id)
        mask = tf.sequence_mask(before, tf.shape(ids)[1])
        states = self.initial_states(tf.shape(ids)[0])
        _, states = self._run_whole(ids, states, mask, False, None)
        return last, states

    @property
    def _start_id(self) -> int:
        known = self.vocabulary.characters
        return next((known.index(c) for c in ("\n", " ") if c in known), 1)

    def write(
        self,
        ids: tf.Tensor,
        states: list,
        length: tf.Tensor,
        choice: Choice,
        position: tf.Tensor | int = 0,
        *,
        filtered: bool = True,
        num_loops: int | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor, list]:
        """Goes on from where `read` or `write` left off, as plain ops of a graph.

        Args:
            ids: the last characters, int32 `(batch,)`.
            states: those before them.
            length: how many characters to write, an int32 scalar.
            choice: how they are chosen, a `kerasrnn.models.sampling.Choice`.
            position: how many were written before, a multiple of
                `sampling.BLOCK`. Default: 0.
            filtered, num_loops: see `sampling.extend`.

        Returns:
            What was written, strings `(batch,)`; the last characters; and the
            states before them.
        """
        drawn, ids, states = sampling.extend(
            self.step,
            ids,
            states,
            length,
            choice,
            len(self.vocabulary),
            position,
            filtered=filtered,
            num_loops=num_loops,
        )
        return self.vocabulary.texts_of(drawn), ids, states

    def nats_of(
        self,
        texts: tf.Tensor,
        ids: tf.Tensor,
        states: list,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, list]:
        """How well texts are predicted after what `read` has read, as plain ops of a graph.

        Args:
            texts: strings, `(batch,)`.
            ids: the characters before them, int32 `(batch,)`.
            states: those before these characters.

        Returns:
            For each text the sum of -ln p, float32; how many characters it has
            and how many of them are unknown, int32; the last character; and
            the states before it.
        """
        ragged = self.vocabulary.ids_of(texts)
        lengths, targets = tf.cast(ragged.row_lengths(), tf.int32), pad(ragged)
        inputs = tf.concat([ids[:, None], targets[:, :-1]], axis=1)
        mask = tf.sequence_mask(lengths, tf.shape(targets)[1])
        logits, states = self._run_whole(inputs, states, mask, False, None)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        nats = tf.reduce_sum(tf.where(mask, losses, 0.0), axis=1)
        unknown = tf.reduce_sum(tf.cast(mask & (targets == UNKNOWN_ID), tf.int32), axis=1)
        last = tf.gather(targets, tf.maximum(lengths - 1, 0), batch_dims=1)
        last = tf.where(lengths > 0, last, ids)
        return nats, lengths, unknown, last, states

    def generate(
        self,
        prompts: str | Sequence[str] = "",
        length: int = 200,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        stop: str | Sequence[str] = (),
    ) -> str | list[str]:
        """Goes on with prompts; all of them at once, in one call of one graph.

        Args:
            prompts: a text, or several. An empty one begins a new line.
            length: how many characters to write.
            temperature: below 1 more predictable, above 1 more daring; 0
                always takes the most probable character. Default: 1.
            top_k: draws among the `top_k` most probable characters only.
            top_p: draws only among the most probable characters that together
                have this probability (Holtzman et al. 2020, arXiv:1904.09751).
            seed: the same seed gives the same text. Default: `None`, another
                text each time, as NumPy's global generator has it.
            stop: texts; at the one that is complete first the text ends, before
                it. Then `generation.PIECE` characters at a time are written,
                until all texts have ended.

        Returns:
            What follows the prompt, `length` characters, or fewer with `stop`;
            a list for several prompts.

        Raises:
            ValueError: for an argument out of its range.
        """
        texts = as_texts("prompts", prompts)
        length, choice, stops = self._check(length, temperature, top_k, top_p, seed, stop)
        written = self._generator.generate(texts, length, choice, stops) if texts else []
        return written[0] if isinstance(prompts, str) else written

    def stream(
        self,
        prompt: str = "",
        length: int = 200,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        stop: str | Sequence[str] = (),
    ) -> Iterator[str]:
        """What `generate` gives for one prompt, piece by piece as it comes.

        Args: those of `generate`.

        Returns:
            Pieces of text; together they are what `generate` returns.

        Raises:
            ValueError: for an argument out of its range.
        """
        check_text("prompt", prompt)
        length, choice, stops = self._check(length, temperature, top_k, top_p, seed, stop)
        return self._generator.stream(prompt, length, choice, stops)

    def _check(self, length, temperature, top_k, top_p, seed, stop):
        length = generation.check_length(length)
        choice = sampling.make_choice(temperature, top_k, top_p, seed, len(self.vocabulary))
        return length, choice, generation.check_stops(stop)

    @functools.cached_property
    def _generator(self) -> generation.Generator:
        if not getattr(self, "built", False):
            self(tf.zeros([1, 1], tf.int32))
        return generation.Generator(self)

    def score(self, text: str) -> Score:
        """How well the model predicts a text, each character after all those before it.

        Args:
            text: two characters or more. An unknown one counts with the
                probability that the model gives to U+FFFD.

        Raises:
            ValueError: if the text is shorter, or no `str`.
        """
        check_text("text", text)
        if len(text) < 2:
            raise ValueError(f"text must have two characters or more, got {text!r}.")
        generator = self._generator
        ids, states = generator.read(tf.constant([to_utf8(text[0])]))
        nats, num_unknown = 0.0, 0
        for start in range(1, len(text), SCORED_AT_ONCE):
            piece = tf.constant([to_utf8(text[start : start + SCORED_AT_ONCE])])
            of_piece, _, unknown, ids, states = self._score_graph(piece, ids, states)
            nats += float(of_piece[0])
            num_unknown += int(unknown[0])
        mean = nats / (len(text) - 1)
        return Score(mean, mean / math.log(2), len(text) - 1, num_unknown)

    @functools.cached_property
    def _score_graph(self):
        specs = (self._generator.texts, self._generator.ids, self._generator.states)
        return tf.function(self.nats_of, specs, autograph=False)

    def get_config(self) -> dict:
        vocabulary = list(self.vocabulary.characters)
        return {"name": self.name, "vocabulary": vocabulary, **self._arguments}

    @classmethod
    def from_config(cls, config: dict) -> "CharLanguageModel":
        return cls(**config)
