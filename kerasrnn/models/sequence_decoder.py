"""One-to-many: one vector in, a text out."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.checks import check_one_of, check_positive_integer, plain, shown
from kerasrnn.models.cells import CELLS
from kerasrnn.models.lookup import check_whole
from kerasrnn.models.text_decoder import TextDecoder
from kerasrnn.text.tokens import TokenVocabulary

FED = ("previous", "zero")


@keras.saving.register_keras_serializable(package="kerasrnn")
class SequenceDecoder(TextDecoder):
    """Writes a text from one vector: from features of an image, or from a class.

    With v the vector, and y_1 ... y_T the tokens of the text:

        s_0 = tanh(v W_0 + b_0)      s_t = decoder(y_{t-1}, s_{t-1})
        p(y_t | y_1 ... y_{t-1}, v) = softmax(s_t W + b)

    With `feed="zero"` the decoder reads zeros in place of y_{t-1}. Then all it knows of the
    text so far is how many steps it took, so the tokens are independent, given v.

    Args:
        vocabulary: a `kerasrnn.TokenVocabulary`: the tokens that can be written.
        encoder: a Keras layer or model that makes the vector, `(batch, features)`, of a source.
            For images a convolutional network, for class indices a
            `keras.layers.Embedding`. It is trained, too. Default: `None`, the source is the
            vector.
        units: the size of each layer's state. Default: 256.
        num_layers: how many recurrent layers. Default: 1.
        cell: `"vanilla"` (`VanillaRNN`), `"lstm"` (`LSTM`) or `"gru"` (`GRU`). Default:
            `"lstm"`.
        embedding_dim: the size of the token embeddings. Default: 64.
        feed: what each step reads: `"previous"`, the token before, or `"zero"`. Default:
            `"previous"`.
        dropout: the fraction of each layer's outputs to drop, the same at all steps, except
            with scheduled sampling. Default: 0.
        recurrent_dropout: the fraction of the previous state to drop, the same at all steps.
            Default: 0.
        max_length: the maximum number of tokens in a text, without its end. Default: 100.
        **kwargs: `name`. The dtype is that of the global Keras policy.

    Call arguments:
        inputs: a dictionary of `"source"`, `(batch, ...)`, and `"inputs"`, the ids that the
            decoder reads, a start and then the text, `(batch, time)`, padded with 0 at the end.
            `make_batches` makes such batches.
        training: whether dropout and truncation apply.

    Returns:
        Logits, float32 `(batch, time, len(vocabulary))`.

    Raises:
        ValueError: if an argument is out of range; in eager calls, if an id is out of range.

    Reference: O. Vinyals et al., "Show and tell: a neural image caption generator", 2015,
    arXiv:1411.4555 (which feeds the vector as the first input).

    Example:

    >>> vocabulary = TokenVocabulary.from_texts(["to be", "or not"], "whitespace")
    >>> keras.utils.set_random_seed(0)
    >>> model = SequenceDecoder(vocabulary, units=8)
    >>> model.compile(keras.optimizers.Adam(0.05))
    >>> classes = np.eye(2)
    >>> batches = model.make_batches(classes, ["to be", "or not"], batch_size=2)
    >>> history = model.fit(batches, epochs=20, verbose=0)
    >>> model.generate(classes)
    ['to be', 'or not']
    """

    def __init__(
        self,
        vocabulary: TokenVocabulary,
        encoder: keras.layers.Layer | None = None,
        units: int = 256,
        num_layers: int = 1,
        cell: str = "lstm",
        embedding_dim: int = 64,
        feed: str = "previous",
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        max_length: int = 100,
        **kwargs: Any,
    ):
        if encoder is not None and not isinstance(encoder, keras.layers.Layer):
            raise ValueError(
                f"encoder must be a Keras layer or model, got encoder={shown(encoder)}."
            )
        check_one_of("feed", feed, FED)
        check_positive_integer("max_length", max_length)
        arguments = {
            "units": plain(units),
            "num_layers": plain(num_layers),
            "cell": cell,
            "embedding_dim": plain(embedding_dim),
            "dropout": plain(dropout),
            "recurrent_dropout": plain(recurrent_dropout),
            "max_length": plain(max_length),
        }
        super().__init__(
            vocabulary,
            attention=None,
            feeds_previous=feed == "previous",
            **arguments,
            **kwargs,
        )
        self._arguments = {**arguments, "feed": feed}
        self.encoder = encoder
        num_states = len(tf.nest.flatten(CELLS[cell](1).cell.state_size))
        self.to_states = [
            [keras.layers.Dense(plain(units), activation="tanh") for _ in range(num_states)]
            for _ in range(num_layers)
        ]

    def start(self, source: tf.Tensor, training: bool) -> tuple[list, None]:
        if self.encoder is not None:
            source = self.encoder(source)  # Keras passes `training` on
        if len(source.shape) != 2:
            raise ValueError(
                "the source must be a vector for each text, (batch, features), got shape "
                f"{tuple(source.shape)}. Use an encoder that makes one."
            )
        return [[layer(source) for layer in of_layer] for of_layer in self.to_states], None

    def read(self, source: tf.Tensor) -> tf.Tensor:
        return source

    def example_source(self) -> tf.Tensor:
        return tf.zeros([1, *self.source_shape], self.source_dtype)

    @property
    def source_dtype(self) -> str:
        """`int32` for the numbers of classes, else that of values."""
        return "float32" if self.source_shape else "int32"

    def source_spec(self) -> tf.TensorSpec:
        return tf.TensorSpec([None, *self.source_shape], self.source_dtype, "source")

    def as_batch(self, sources: Any) -> tuple[tf.Tensor, bool]:
        if not self.built:
            raise ValueError(f"{self.name} has no weights yet. Call fit first.")
        sources = _as_array(sources)
        single = sources.shape == self.source_shape
        if single:
            sources = sources[None]
        self._check_shape(sources)
        sources = sources if self.source_shape else _as_classes(sources)
        return tf.constant(sources, self.source_dtype), single

    def as_sources(self, sources: Any) -> tf.Tensor:
        sources = _as_array(sources)
        if not sources.ndim:
            raise ValueError(f"sources must be several, (batch, ...), got {sources}.")
        if sources.ndim == 1:
            sources = _as_classes(sources)
        if self.built:
            self._check_shape(sources)
        return tf.constant(sources)

    def _check_shape(self, sources):
        if sources.shape[1:] != self.source_shape:
            sizes = ", ".join(map(str, self.source_shape))
            raise ValueError(f"sources must have shape (batch, {sizes}), got {sources.shape}.")

    def get_config(self) -> dict:
        vocabulary = {"tokens": list(self.vocabulary.tokens), "split": self.vocabulary.split}
        encoder = self.encoder and keras.saving.serialize_keras_object(self.encoder)
        return {
            "name": self.name,
            "vocabulary": vocabulary,
            "encoder": encoder,
            **self._arguments,
        }

    @classmethod
    def from_config(cls, config: dict) -> "SequenceDecoder":
        config = {**config, "vocabulary": TokenVocabulary(**config["vocabulary"])}
        if config["encoder"] is not None:
            config["encoder"] = keras.saving.deserialize_keras_object(config["encoder"])
        return cls(**config)


def _as_classes(sources: np.ndarray) -> np.ndarray:
    """The numbers of classes, int32 `(batch,)`, also of an array of floats."""
    check_whole("sources that are the numbers of classes", sources)
    return sources.astype("int32")


def _as_array(sources: Any) -> np.ndarray:
    """Finite sources, `(batch, ...)`: float32, or int32 for what may be numbers of classes."""
    try:
        given = np.asarray(sources)
    except (TypeError, ValueError):  # rows of different lengths
        given = np.asarray("")
    if given.dtype.kind not in "biuf":
        raise ValueError(
            f"sources must be numbers, (batch, ...), got sources={shown(sources)}."
        )
    are_classes = given.ndim < 2 and given.dtype.kind in "iu"
    with np.errstate(over="ignore"):
        array = given.astype("int32" if are_classes else "float32")
    if are_classes and (array != given).any():
        raise ValueError(f"sources must be 32-bit integers, got sources={shown(sources)}.")
    if not np.isfinite(array).all():
        raise ValueError("sources must be finite, but a value is NaN or infinite.")
    return array
