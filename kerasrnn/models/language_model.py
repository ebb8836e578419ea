"""A character language model: it predicts the next character, and can write text."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

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
from kerasrnn.models import connected, generation
from kerasrnn.models.cells import CELLS
from kerasrnn.models.choice import make_choice
from kerasrnn.models.lookup import InputTable, TiedDense, build_from_ids, check_ids
from kerasrnn.models.scoring import Score, Scorer
from kerasrnn.models.sequence import SequenceModel
from kerasrnn.text.characters import CharacterVocabulary


@dataclasses.dataclass(frozen=True)
class _Block:
    """A recurrent layer and the layers around it."""

    skip_table: InputTable | None
    recurrent: keras.layers.RNN
    dropout: keras.layers.Layer


@dataclasses.dataclass(frozen=True)
class _Stack:
    """The layers by their names; Keras tracks and saves those of `sequence_layers`."""

    table: InputTable
    blocks: list[_Block]
    output: keras.layers.Layer

    def layers(self) -> list[keras.layers.Layer]:
        """All of them in order, which is that of the weights."""
        inner = [
            layer
            for block in self.blocks
            for layer in (block.skip_table, block.recurrent, block.dropout)
            if layer is not None
        ]
        return [self.table, *inner, self.output]


@keras.saving.register_keras_serializable(package="kerasrnn")
class CharLanguageModel(SequenceModel):
    """Predicts the next character of a text, and can write text.

    This is a `SequenceModel`. Train it on a `Stream` of ids of its vocabulary, with carried
    states. With the vanilla cell, the first layer looks up its projected inputs in a table
    (`kerasrnn.models.lookup`).

    Args:
        vocabulary: a `kerasrnn.CharacterVocabulary`, or its characters. All
            other characters are read as U+FFFD, which is never written.
        units: the size of each layer's state. Default: 512.
        num_layers: the number of recurrent layers. Default: 1.
        cell: `"vanilla"` (`VanillaRNN`), `"lstm"` (`LSTM`) or `"gru"` (`GRU`). Default:
            `"vanilla"`.
        embedding_dim: the size of the character vectors. Default: `None`: no
            embedding for the vanilla cell, `units` for the others.
        dropout: the fraction of each layer's outputs to drop, the same outputs at all steps
            of a window. Default: 0.
        recurrent_dropout: the fraction of the previous state to drop, the same
            at all steps of a window (Gal & Ghahramani 2016, arXiv:1512.05287).
            Default: 0.
        residual: whether each layer above the first adds its input to its
            output, and also reads the characters, from a table of its own
            (Graves 2013, arXiv:1308.0850). Default: `True`.
        tie_weights: whether the output layer uses the input table as its kernel.
            Default: `False`.
        **kwargs: `name`. The dtype is that of the global Keras policy.

    Call arguments:
        inputs: integers, `(batch, time)`.
        states, return_states, training: as in `SequenceModel`.

    Returns:
        Logits, float32 `(batch, time, len(vocabulary))`; with `return_states`
        also the states after the last step.

    Raises:
        ValueError: if an argument is out of range, or the vocabulary has fewer than two
            characters; in eager calls, if an id is out of range.

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
                f"vocabulary must have at least two characters, got {known!r}: with fewer "
                "there is nothing to predict."
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
                f"got embedding_dim={embedding_dim}. Use embedding_dim=None."
            )
        num_ids = len(vocabulary)
        if vanilla:
            table = InputTable(num_ids, units, embedding_dim)
        else:
            table = InputTable(num_ids, embedding_dim or units)
        blocks = [
            _Block(
                skip_table=InputTable(num_ids, units) if number and residual else None,
                recurrent=CELLS[cell](
                    units,
                    return_sequences=True,
                    recurrent_dropout=recurrent_dropout,
                    **({"use_kernel": number > 0} if vanilla else {}),
                ),
                dropout=keras.layers.SpatialDropout1D(dropout),
            )
            for number in range(num_layers)
        ]
        if tie_weights:
            output = TiedDense(table, dtype="float32")
        else:
            output = keras.layers.Dense(num_ids, dtype="float32")
        stack = _Stack(table, blocks, output)
        super().__init__(stack.layers(), **kwargs)
        self.autocast = False  # in low precision, ids would be rounded
        self._stack = stack
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
        """As `SequenceModel.compile`; the default loss is the cross-entropy in nats."""
        if loss is None:
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        super().compile(optimizer, loss, *args, **options)

    def connect(self, inputs: tf.Tensor, recur: Callable) -> tf.Tensor:
        """The layers, for a sequence `(batch, time)` or for a step `(batch,)`."""
        x = whole = self._stack.table(inputs)
        for block in self._stack.blocks:
            below = whole
            if block.skip_table is not None:
                x = x + block.skip_table(inputs)
            whole = recur(block.recurrent, x)
            if block.skip_table is not None:
                whole = whole + below
            in_sequence = len(whole.shape) == 3  # a single step is inference
            x = block.dropout(whole) if in_sequence else whole
        return self._stack.output(x)

    def step(self, ids: tf.Tensor, states: list) -> tuple[tf.Tensor, list]:
        """One step, in inference.

        Args:
            ids: integers, `(batch,)`.
            states: those before it.

        Returns:
            Logits, float32 `(batch, len(vocabulary))`, and the new states.
        """
        return connected.run_one_step(self.connect, ids, states)

    def steps(self, ids: tf.Tensor, states: list, mask: tf.Tensor) -> tuple[tf.Tensor, list]:
        """Many steps, in inference, over sequences of different lengths.

        Args:
            ids: integers, `(batch, time)`.
            states: those before the first step.
            mask: `False` where a sequence has no step: its states stay as they are,
                `(batch, time)`.

        Returns:
            Logits, float32 `(batch, time, len(vocabulary))`, and the new states.
        """
        layers = self.recurrent_layers
        return connected.run_whole(self.connect, layers, ids, states, mask, False)

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
        """Continues prompts, all of them at once, in one call of one graph.

        Args:
            prompts: a text, or several. An empty text begins a new line.
            length: how many characters to write.
            temperature: lower is more predictable, higher is more varied; 0
                always takes the most probable character. Default: 1.
            top_k: draws only among the `top_k` most probable characters.
                Default: `None`, all.
            top_p: draws only among the most probable characters that together
                have this probability (Holtzman et al. 2020, arXiv:1904.09751).
                Default: `None`, all.
            seed: the same seed gives the same text. Default: `None`, another
                text each time, from NumPy's global generator.
            stop: a text, or several. The output ends before the first of them. With `stop`,
                the model writes `generation.PIECE` characters at a time, until all texts have
                ended.

        Returns:
            The text after the prompt, `length` characters, or fewer with `stop`;
            a list for several prompts.

        Raises:
            ValueError: if an argument is out of range.
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
        """Like `generate` for one prompt, but yields the text in pieces as it is written.

        Args: those of `generate`.

        Returns:
            Pieces of text; joined, they are what `generate` returns.

        Raises:
            ValueError: if an argument is out of range.
        """
        check_text("prompt", prompt)
        length, choice, stops = self._check(length, temperature, top_k, top_p, seed, stop)
        return self._generator.stream(prompt, length, choice, stops)

    def _check(self, length, temperature, top_k, top_p, seed, stop):
        length = generation.check_length(length)
        choice = make_choice(temperature, top_k, top_p, seed, len(self.vocabulary) - 1)
        return length, choice, generation.check_stops(stop)

    def score(self, text: str) -> Score:
        """How well the model predicts each character of a text from those before it.

        Args:
            text: two characters or more. For an unknown character, the model's probability of
                U+FFFD counts.

        Returns:
            The mean cross-entropy in nats and in bits, how many characters were
            predicted, and how many of them are unknown.

        Raises:
            ValueError: if the text is shorter than two characters, or not a `str`.
        """
        return self._scorer.score(text)

    @functools.cached_property
    def _scorer(self) -> Scorer:
        build_from_ids(self)
        return Scorer(self)

    @functools.cached_property
    def _generator(self) -> generation.Generator:
        build_from_ids(self)
        return generation.Generator(self)

    def get_config(self) -> dict:
        vocabulary = list(self.vocabulary.characters)
        return {"name": self.name, "vocabulary": vocabulary, **self._arguments}

    @classmethod
    def from_config(cls, config: dict) -> "CharLanguageModel":
        return cls(**config)
