"""Many-to-many, not aligned: one text in, another text out."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from kerasrnn.checks import (
    as_texts,
    check_flags,
    check_one_of,
    check_positive_integer,
    check_rate,
    plain,
)
from kerasrnn.models.attention import SCORES, Memory
from kerasrnn.models.cells import CELLS
from kerasrnn.models.lookup import InputTable, check_ids
from kerasrnn.models.text_decoder import TextDecoder, check_lengths
from kerasrnn.text.batches import pad
from kerasrnn.text.characters import to_utf8
from kerasrnn.text.tokens import TokenVocabulary
from kerasrnn.text.words import PADDING_ID


@keras.saving.register_keras_serializable(package="kerasrnn")
class Seq2Seq(TextDecoder):
    """An encoder reads a text; a decoder, started from its states, writes another one.

    With x_1 ... x_S the tokens of the source and y_1 ... y_T those of the target:

        h_i = encoder(x_i, h_{i-1})      s_0 = h_S      s_t = decoder(y_{t-1}, s_{t-1})
        p(y_t | y_1 ... y_{t-1}, x) = softmax(s_t W + b)

    With attention, the decoder also reads all outputs of the encoder
    (`kerasrnn.models.attention`).

    Args:
        source_vocabulary: a `kerasrnn.TokenVocabulary`. Tokens outside it are read as unknown.
        target_vocabulary: the tokens that can be written.
        units: the size of each layer's state, in encoder and decoder. Default: 256.
        num_layers: layers of the encoder, and of the decoder. Each layer of the decoder starts
            from the states of the same layer of the encoder. Default: 1.
        cell: `"vanilla"` (`VanillaRNN`), `"lstm"` (`LSTM`) or `"gru"` (`GRU`). Default:
            `"lstm"`.
        embedding_dim: the size of the token embeddings. Default: 128.
        bidirectional: whether the encoder reads in both directions. Each of them has half of
            the units. Default: `True`.
        attention: `"dot"`, `"additive"` or `None`. Default: `"dot"`.
        dropout: the fraction of the source embeddings, and of each layer's outputs, to drop;
            the same at all steps, except with scheduled sampling. Default: 0.
        recurrent_dropout: the fraction of the previous state to drop, the same at all steps.
            Default: 0.
        max_source_length: the maximum number of tokens in a source; the rest is ignored.
            Default: 100.
        max_target_length: the maximum number of tokens in a target, without its end. Default:
            100.
        **kwargs: `name`. The dtype is that of the global Keras policy.

    Call arguments:
        inputs: a dictionary of `"source"`, the ids of the source, `(batch, source_time)`, and
            `"inputs"`, the inputs of the decoder, a start token and then the target,
            `(batch, time)`; both padded with 0 at the end, which is masked. `make_batches`
            makes such batches.
        training: whether dropout and truncation apply.

    Returns:
        Logits, float32 `(batch, time, len(target_vocabulary))`.

    Raises:
        ValueError: if an argument is out of range, or if `units` is odd though the encoder is
            bidirectional; in eager calls, if an id is out of range.

    References: I. Sutskever, O. Vinyals and Q. Le, "Sequence to sequence learning with neural
    networks", 2014, arXiv:1409.3215. K. Cho et al., "Learning phrase representations using RNN
    encoder-decoder for statistical machine translation", 2014, arXiv:1406.1078.

    Example:

    >>> words = ["no", "on", "son", "nose", "one", "ten", "net", "tone"] * 8
    >>> turned = [word[::-1] for word in words]
    >>> letters = TokenVocabulary.from_texts(words, "character")
    >>> keras.utils.set_random_seed(0)
    >>> model = Seq2Seq(letters, letters, units=32, embedding_dim=16)
    >>> model.compile(keras.optimizers.Adam(0.02))
    >>> batches = model.make_batches(words, turned, batch_size=8, seed=0)
    >>> history = model.fit(batches, epochs=15, verbose=0)
    >>> model.generate(["ten", "nose"])
    ['net', 'eson']
    """

    def __init__(
        self,
        source_vocabulary: TokenVocabulary,
        target_vocabulary: TokenVocabulary,
        units: int = 256,
        num_layers: int = 1,
        cell: str = "lstm",
        embedding_dim: int = 128,
        bidirectional: bool = True,
        attention: str | None = "dot",
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        max_source_length: int = 100,
        max_target_length: int = 100,
        **kwargs: Any,
    ):
        if not isinstance(source_vocabulary, TokenVocabulary):
            raise ValueError(
                "source_vocabulary must be a kerasrnn.TokenVocabulary, got "
                f"{type(source_vocabulary).__name__}. Use TokenVocabulary.from_texts."
            )
        check_positive_integer("max_source_length", max_source_length)
        check_positive_integer("max_target_length", max_target_length)
        check_flags(bidirectional=bidirectional)
        if attention is not None:
            check_one_of("attention", attention, SCORES)
        check_rate("dropout", dropout)
        check_positive_integer("units", units)
        if bidirectional and units % 2:
            raise ValueError(
                f"units must be even if bidirectional=True, since each direction has half of "
                f"them, got units={units}."
            )
        self._arguments = {
            "units": plain(units),
            "num_layers": plain(num_layers),
            "cell": cell,
            "embedding_dim": plain(embedding_dim),
            "bidirectional": plain(bidirectional),
            "attention": attention,
            "dropout": plain(dropout),
            "recurrent_dropout": plain(recurrent_dropout),
            "max_source_length": plain(max_source_length),
            "max_target_length": plain(max_target_length),
        }
        super().__init__(
            target_vocabulary,
            units=units,
            num_layers=num_layers,
            cell=cell,
            embedding_dim=embedding_dim,
            attention=attention,
            feeds_previous=True,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            max_length=max_target_length,
            **kwargs,
        )
        self.source_vocabulary = source_vocabulary
        self.max_source_length = plain(max_source_length)
        self.source_table = InputTable(len(source_vocabulary), plain(embedding_dim))
        self.source_dropout = keras.layers.SpatialDropout1D(plain(dropout))
        size = plain(units) // 2 if bidirectional else plain(units)
        layers = [
            CELLS[cell](
                size,
                return_sequences=True,
                return_state=True,
                recurrent_dropout=plain(recurrent_dropout),
            )
            for _ in range(num_layers)
        ]
        self.encoder_layers = [
            keras.layers.Bidirectional(layer) if bidirectional else layer for layer in layers
        ]
        self.encoder_dropouts = [
            keras.layers.SpatialDropout1D(plain(dropout)) for _ in range(num_layers)
        ]

    def start(self, source: tf.Tensor, training: bool) -> tuple[list, Memory | None]:
        mask = source != PADDING_ID
        x = self.source_dropout(self.source_table(source), training=training)
        states = []
        for layer, dropout in zip(self.encoder_layers, self.encoder_dropouts, strict=True):
            x, *last = layer(x, mask=mask, training=training)
            if isinstance(layer, keras.layers.Bidirectional):
                half = len(last) // 2
                last = [
                    tf.concat(pair, -1) for pair in zip(last[:half], last[half:], strict=True)
                ]
            states.append(last)
            x = dropout(x, training=training)
        memory = None if self.context is None else self.context.remember(x, mask)
        return states, memory

    def read(self, source: tf.Tensor) -> tf.Tensor:
        return pad(self.source_vocabulary.encode(source))[:, : self.max_source_length]

    def example_source(self) -> tf.Tensor:
        return tf.zeros([1, 2], tf.int32)

    def source_spec(self) -> tf.TensorSpec:
        return tf.TensorSpec([None], tf.string, "text")

    def as_batch(self, sources: str | Sequence[str]) -> tuple[tf.Tensor, bool]:
        texts = as_texts("sources", sources)
        tensor = tf.constant([to_utf8(text) for text in texts], tf.string)
        return tensor, isinstance(sources, str)

    def as_sources(self, sources: Sequence[str]) -> tf.RaggedTensor:
        ids = self.source_vocabulary.encode(as_texts("sources", sources))
        check_lengths("sources", ids, "max_source_length", self.max_source_length)
        return ids

    def check_source(self, source: Any) -> None:
        """Ids must be whole numbers, and lie in the vocabulary."""
        check_ids(f"the encoder of {self.name}", source, len(self.source_vocabulary))

    def get_config(self) -> dict:
        vocabularies = {"source": self.source_vocabulary, "target": self.vocabulary}
        return {
            "name": self.name,
            **{
                f"{side}_vocabulary": {"tokens": list(v.tokens), "split": v.split}
                for side, v in vocabularies.items()
            },
            **self._arguments,
        }

    @classmethod
    def from_config(cls, config: dict) -> "Seq2Seq":
        sides = ("source_vocabulary", "target_vocabulary")
        return cls(**{**config, **{side: TokenVocabulary(**config[side]) for side in sides}})
