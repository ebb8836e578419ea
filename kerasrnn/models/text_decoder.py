"""One-to-many: a sequence of tokens, written from a state. Two models share this."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from kerasrnn.checks import (
    as_texts,
    check_one_of,
    check_positive_integer,
    check_rate,
    is_integer,
    plain,
    shown,
)
from kerasrnn.layers.nested_layers import recurrent_layers
from kerasrnn.models import connected
from kerasrnn.models.attention import ContextLayer, Memory
from kerasrnn.models.cells import CELLS
from kerasrnn.models.drawing import never_written
from kerasrnn.models.generating import Generating
from kerasrnn.models.lookup import InputTable, check_ids
from kerasrnn.text.pairs import bucket_pairs
from kerasrnn.text.tokens import END_ID, START_ID, TokenVocabulary
from kerasrnn.text.words import PADDING_ID
from kerasrnn.training.data import inputs_of
from kerasrnn.training.feedback import Feedback
from kerasrnn.training.layer_checks import check_truncation
from kerasrnn.training.options import TrainingOptions
from kerasrnn.training.smoothing import SmoothedCrossentropy
from kerasrnn.training.trainable import TrainableModel


class TextDecoder(Generating, TrainableModel):
    """Writes a text, token by token, from the states that a source gives it.

    This is the base of `Seq2Seq` and `SequenceDecoder`, which define `start`.
    """

    takes_feedback = True

    def __init__(
        self,
        vocabulary: TokenVocabulary,
        *,
        units: int,
        num_layers: int,
        cell: str,
        embedding_dim: int,
        attention: str | None,
        feeds_previous: bool,
        dropout: float,
        recurrent_dropout: float,
        max_length: int,
        **kwargs: Any,
    ):
        if not isinstance(vocabulary, TokenVocabulary):
            raise ValueError(
                "the vocabulary of the targets must be a kerasrnn.TokenVocabulary, got "
                f"{type(vocabulary).__name__}. Use TokenVocabulary.from_texts."
            )
        if not vocabulary.tokens:
            raise ValueError(
                "the vocabulary of the texts has no tokens: nothing can be written."
            )
        check_positive_integer("units", units)
        check_positive_integer("num_layers", num_layers)
        check_positive_integer("embedding_dim", embedding_dim)
        check_one_of("cell", cell, CELLS)
        check_rate("dropout", dropout)
        check_rate("recurrent_dropout", recurrent_dropout)
        super().__init__(**kwargs)
        self.autocast = False  # in low precision, ids would be rounded
        self.vocabulary = vocabulary
        self.max_length = plain(max_length)
        self.target_table = None
        if feeds_previous:
            self.target_table = InputTable(len(vocabulary), plain(embedding_dim))
        self.decoder_layers = [
            CELLS[cell](
                plain(units),
                return_sequences=True,
                return_state=True,
                recurrent_dropout=plain(recurrent_dropout),
            )
            for _ in range(num_layers)
        ]
        self.decoder_dropouts = [
            keras.layers.SpatialDropout1D(plain(dropout)) for _ in range(num_layers)
        ]
        self.context = None if attention is None else ContextLayer(attention, plain(units))
        self.output_layer = keras.layers.Dense(len(vocabulary), dtype="float32")

    @property
    def ordered_layers(self) -> Sequence[keras.layers.Layer]:
        return self.decoder_layers

    def start(self, source: tf.Tensor, training: bool) -> tuple[list, Memory | None]:
        """What the decoder begins with.

        Args:
            source: `(batch, ...)`.
            training: whether dropout and truncation apply.

        Returns:
            The states of each of the decoder's layers, and the memory, if there is attention.
        """
        raise NotImplementedError

    def read(self, source: tf.Tensor) -> tf.Tensor:
        """A source as `start` takes it, in a graph, from what `generate` takes."""
        raise NotImplementedError

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        *arguments: Any,
        label_smoothing: float | None = None,
        **options: Any,
    ) -> None:
        """Like `SequenceModel.compile`, but for whole sequences: without `window`.

        Args:
            optimizer, loss, *arguments, **options: as in `SequenceModel.compile`. The default
                loss is the cross-entropy in nats.
            label_smoothing: the fraction of the target probability that is spread evenly over
                all tokens, in [0, 1). Not together with `loss`. Default: `None`, nothing.
        """
        if loss is not None and label_smoothing is not None:
            raise ValueError(
                "label_smoothing works only with the default loss. Remove loss= or "
                "label_smoothing=."
            )
        if loss is None:
            loss = SmoothedCrossentropy(0.0 if label_smoothing is None else label_smoothing)
        truncation = TrainingOptions(truncation=options.get("truncation"))
        check_truncation(recurrent_layers(self), truncation)  # those of the encoder, too
        super().compile(optimizer, loss, *arguments, **options)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> tf.Tensor:
        """Which steps of the targets count, `(batch, time)`: all but padding."""
        return inputs_of(inputs) != PADDING_ID

    def __call__(self, inputs: Any, *arguments: Any, **options: Any) -> Any:
        if not isinstance(inputs, dict) or "source" not in inputs:
            got = sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__
            raise ValueError(
                f'inputs must be a dictionary of "source" and "inputs", got {shown(got)}. Use '
                "make_batches."
            )
        self.check_source(inputs["source"])
        return super().__call__(inputs, *arguments, **options)

    def check_source(self, source: Any) -> None:
        """Raises a `ValueError` for sources that the model cannot take."""

    def check_inputs(self, inputs: Any) -> None:
        """Ids must be whole numbers, and lie in the vocabulary."""
        check_ids(self.name, inputs, len(self.vocabulary))

    def connect(
        self, inputs: tf.Tensor, recur: Callable, memory: Memory | None
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """The layers of the decoder, for sequences `(batch, time)` or a step `(batch,)`.

        Returns:
            Logits, float32 `(..., len(vocabulary))`; and the weights of the attention,
            `(batch, time, source_time)`, or `None`.
        """
        if self.target_table is None:
            x = tf.zeros([*tf.unstack(tf.shape(inputs)), 1], self.compute_dtype)
        else:
            x = self.target_table(inputs)
        in_sequence = len(x.shape) == 3  # a single step is inference
        for layer, dropout in zip(self.decoder_layers, self.decoder_dropouts, strict=True):
            x = recur(layer, x)
            x = dropout(x) if in_sequence else x
        weights = None
        if self.context is not None:
            queries = x if in_sequence else x[:, None]
            outputs, weights = self.context(queries, memory)
            x = outputs if in_sequence else outputs[:, 0]
        return self.output_layer(x), weights

    def call(
        self,
        inputs: dict[str, tf.Tensor],
        training: bool = False,
        feedback: Feedback | None = None,
        return_weights: bool = False,
    ):
        ids, source = inputs_of(inputs), inputs["source"]
        states, memory = self.start(source, training)
        mask, found = self.compute_mask(ids), []

        def connect(x, recur):
            logits, weights = self.connect(x, recur, memory)
            found.append(weights)
            return logits

        run = (connect, self.decoder_layers, ids, states, mask, bool(training))
        if feedback is None:
            logits, _ = connected.run_whole(*run)
            return (logits, found[-1]) if return_weights else logits

        def draw(logits, t):  # what is never written is never read, either
            barred = tf.where(never_written(len(self.vocabulary)), logits.dtype.min, logits)
            return feedback.draw(barred, t)

        own = dataclasses.replace(feedback, draw=draw)
        return connected.run_with_own_outputs(*run, own)[0]

    def step(self, memory: Memory | None, ids: tf.Tensor, states: list) -> tuple:
        """One step, in inference.

        Args:
            memory: that of the rows of `ids`.
            ids: the tokens before, `(rows,)`.
            states: those before the step.

        Returns:
            Logits, float32 `(rows, len(vocabulary))`, and the new states.
        """

        def connect(x, recur):
            return self.connect(x, recur, memory)[0]

        return connected.run_one_step(connect, ids, states)

    def build(self, shapes: Any) -> None:
        shape = shapes["source"] if isinstance(shapes, dict) else (None, None)
        self.source_shape = tuple(shape[1:])
        with tf.init_scope():  # variables belong to no graph that may be being traced
            self.call({"inputs": tf.zeros([1, 1], tf.int32), "source": self.example_source()})

    def call_once(self) -> None:
        """Builds the model."""
        self({"inputs": tf.zeros([1, 1], tf.int32), "source": self.example_source()})

    def example_source(self) -> tf.Tensor:
        """A source to build the model with, of one sequence."""
        raise NotImplementedError

    def make_batches(
        self,
        sources: Any,
        targets: Sequence[str],
        *,
        batch_size: int = 64,
        seed: int | None = None,
    ) -> tf.data.Dataset:
        """Batches for `fit` and `evaluate`, pairs of similar length together.

        Args:
            sources: as `generate` takes them.
            targets: the text that belongs to each source.
            batch_size: pairs in a batch. Default: 64.
            seed: for training: shuffles in each epoch, and leaves out pairs that do not fill a
                batch, different ones in each epoch. Default: `None`: every pair, in a fixed
                order.

        Returns:
            A dataset of `({"source", "inputs"}, targets)`. Targets are the tokens with an end,
            int32 `(batch, time)`; inputs are the same ids one step later, after a start.

        Raises:
            ValueError: if there is not one target for each source, or one is too long.
        """
        check_positive_integer("batch_size", batch_size)
        if seed is not None and not is_integer(seed):
            raise ValueError(f"seed must be an integer or None, got seed={shown(seed)}.")
        sources, targets = self.as_sources(sources), as_texts("targets", targets)
        ids = self.vocabulary.encode(targets)
        if len(targets) != sources.shape[0]:
            raise ValueError(
                f"there must be a target for each source, got {sources.shape[0]} sources and "
                f"{len(targets)} targets."
            )
        check_lengths("targets", ids, "max_target_length", self.max_length)
        rows = ids.nrows()
        ends = tf.RaggedTensor.from_tensor(tf.fill([rows, 1], END_ID))
        starts = tf.RaggedTensor.from_tensor(tf.fill([rows, 1], START_ID))
        whole = tf.concat([starts, ids, ends], axis=1)
        batches = bucket_pairs(sources, whole, batch_size=batch_size, seed=seed)
        return batches.map(_as_example)

    def as_sources(self, sources: Any) -> tf.Tensor | tf.RaggedTensor:
        """Checked sources, as rows of `make_batches`."""
        raise NotImplementedError


def _as_example(source, whole):
    # The end is followed by padding, so the last step of the inputs may be one.
    inputs = tf.where(whole[:, :-1] == END_ID, PADDING_ID, whole[:, :-1])
    return {"source": source, "inputs": inputs}, whole[:, 1:]


def check_lengths(name: str, ids: tf.RaggedTensor, limit: str, most: int) -> None:
    """Raises a `ValueError` if a row of ids is longer than `most`."""
    lengths = ids.row_lengths().numpy()
    if len(lengths) and lengths.max() > most:
        raise ValueError(
            f"{(lengths > most).sum()} of {len(lengths)} {name} have more than {limit}={most} "
            f"tokens, the longest {lengths.max()}. Leave them out, or use a larger {limit}."
        )
