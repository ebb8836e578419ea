"""Many-to-one: a text in, the probabilities of its labels out."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.checks import (
    as_texts,
    check_flags,
    check_one_of,
    check_positive_integer,
    check_rate,
    plain,
    shown,
)
from kerasrnn.layers.pooling import GlobalMeanMaxPooling1D
from kerasrnn.models.cells import CELLS
from kerasrnn.models.given_weights import GivenWeights
from kerasrnn.models.lookup import check_ids
from kerasrnn.models.word_pairs import WordPairs
from kerasrnn.text.batches import pad
from kerasrnn.text.words import PADDING_ID, Vocabulary, is_line
from kerasrnn.training.errors import TARGETS, required
from kerasrnn.training.trainable import TrainableModel

POOLINGS = ("mean_max", "last")
WORDS_OF_CONVOLUTION = 3


@keras.saving.register_keras_serializable(package="kerasrnn")
def binary_crossentropy(targets: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    """The loss of Keras with this name, but targets must lie from 0 to 1.

    With other targets, the loss of Keras has no lower bound.

    Args:
        targets: the probability of label 1, `(batch, 1)`: 0, 1, or a number between them.
        probabilities: those of the model, `(batch, 1)`.

    Returns:
        The loss in nats, `(batch,)`.

    Raises:
        ValueError: in `fit` and `evaluate`, if a target is out of range.
    """
    smallest, largest = tf.reduce_min(targets), tf.reduce_max(targets)
    with required((smallest >= 0) & (largest <= 1), TARGETS, smallest, largest):
        targets = tf.cast(targets, probabilities.dtype)
    return keras.losses.binary_crossentropy(targets, probabilities)


@keras.saving.register_keras_serializable(package="kerasrnn")
class TextClassifier(GivenWeights, TrainableModel):
    """Embedding, a convolution, a recurrent layer, pooling over time, a sigmoid or a softmax.

    It takes the ids of its `vocabulary`. `kerasrnn.export` includes the text processing in
    the exported model. Two labels have one sigmoid output and the loss
    `"binary_crossentropy"`; more labels have a softmax over them and the loss
    `"sparse_categorical_crossentropy"`. Either way, targets are the numbers of the labels.

    Args:
        vocabulary: a `kerasrnn.Vocabulary`, or its words.
        labels: the names of the labels 0, 1 and so on; at least two. Default: `"negative"` and
            `"positive"`.
        max_length: how many words of a long text `predict` and an exported model read: the
            last ones.
        embedding_dim: size of the word vectors. Default: 128.
        cell: `"vanilla"` (`VanillaRNN`), `"lstm"` (`LSTM`) or `"gru"` (`GRU`). Default:
            `"vanilla"`.
        units: size of the recurrent state, in each direction. Default: 128.
        bidirectional: whether a second layer reads backwards. Default: `True`.
        pooling: `"mean_max"`, the mean and the maximum of the outputs over
            the unmasked steps, or `"last"`, the last output. Default:
            `"mean_max"`.
        filters: the number of filters of a convolution over three words, with a ReLU. With the
            pooling `"mean_max"`, its outputs are pooled, too. Default: `None`, no convolution.
        stacked: whether the recurrent layer reads the outputs of the convolution, and not the
            word vectors. `False` needs the pooling `"mean_max"`. Default: `True`.
        dropout: fraction to drop of the word vectors' features (one mask per sequence) and of
            the output layer's inputs. Default: 0.
        embedding_dropout: dropout rate of the word vectors' features. Default: `None`, the same
            as `dropout`.
        word_pairs: adds a linear model of words and bigrams with this many hash buckets for
            bigrams (`kerasrnn.models.word_pairs`). Its weights are zero, and `fit` does not
            train them. Do not set this yourself: `with_linear` returns a model that has the
            weights. Default: `None`, no linear model.
        **kwargs: `name`. The dtype is that of the global Keras policy.

    Call arguments:
        ids: int32 `(batch, time)`, padded with 0, which is masked.
        vectors: the word vectors to use in place of those of the ids, `(batch, time,
            embedding_dim)`. Default: `None`.

    Returns:
        Of two labels, the probability of label 1, `(batch, 1)`. Of more, the probability of
        each, `(batch, labels)`. Also finite for a sequence of padding only.

    Raises:
        ValueError: if `cell` or `pooling` is unknown, if a size or a rate is out of range, or
            if `labels` are not two or more different names, each a line of text; in calls, if
            an id is out of range.

    Example:

    >>> model = TextClassifier(["[PAD]", "[UNK]", "good", "bad"], max_length=8, units=4)
    >>> model(keras.ops.array([[2, 0], [0, 0]])).shape
    TensorShape([2, 1])
    """

    takes_vectors = True

    def __init__(
        self,
        vocabulary: Vocabulary | Sequence[str],
        labels: Sequence[str] = ("negative", "positive"),
        max_length: int = 400,
        embedding_dim: int = 128,
        cell: str = "vanilla",
        units: int = 128,
        bidirectional: bool = True,
        pooling: str = "mean_max",
        filters: int | None = None,
        stacked: bool = True,
        dropout: float = 0.0,
        embedding_dropout: float | None = None,
        word_pairs: int | None = None,
        **kwargs,
    ):
        check_one_of("cell", cell, CELLS)
        check_one_of("pooling", pooling, POOLINGS)
        check_positive_integer("max_length", max_length)
        check_positive_integer("embedding_dim", embedding_dim)
        check_positive_integer("units", units)
        if filters is not None:
            check_positive_integer("filters", filters)
        check_rate("dropout", dropout)
        if embedding_dropout is not None:
            check_rate("embedding_dropout", embedding_dropout)
        if word_pairs is not None:
            check_positive_integer("word_pairs", word_pairs)
        check_flags(bidirectional=bidirectional, stacked=stacked)
        if not stacked and pooling != "mean_max":
            raise ValueError(
                f'stacked=False needs pooling="mean_max", got pooling={pooling!r}: nothing '
                "else reads the convolution."
            )
        names = [] if isinstance(labels, str) else as_texts("labels", labels)
        are_names = len(set(names)) == len(names) >= 2 and all(map(is_line, names))
        if not are_names:
            raise ValueError(
                "labels must be two names or more that differ, each a line of text, "
                f"got labels={shown(labels)}."
            )
        max_length, embedding_dim = plain(max_length), plain(embedding_dim)
        units, filters = plain(units), plain(filters)
        dropout, bidirectional = plain(dropout), plain(bidirectional)
        stacked, embedding_dropout = plain(stacked), plain(embedding_dropout)
        super().__init__(**kwargs)
        self.autocast = False  # in low precision, ids would be rounded
        if not isinstance(vocabulary, Vocabulary):
            vocabulary = Vocabulary(vocabulary)
        self.vocabulary = vocabulary
        self.labels = tuple(names)
        self.max_length = max_length
        self._arguments = {
            "embedding_dim": embedding_dim,
            "cell": cell,
            "units": units,
            "bidirectional": bidirectional,
            "pooling": pooling,
            "filters": filters,
            "stacked": stacked,
            "dropout": dropout,
            "embedding_dropout": embedding_dropout,
            "word_pairs": plain(word_pairs),
        }
        self.embedding = keras.layers.Embedding(len(vocabulary), embedding_dim, mask_zero=True)
        self.feature_dropout = keras.layers.SpatialDropout1D(
            dropout if embedding_dropout is None else embedding_dropout
        )
        self.stacked, self.convolution = stacked, None
        if filters is not None:
            self.convolution = keras.layers.Conv1D(
                filters, WORDS_OF_CONVOLUTION, padding="same", activation="relu"
            )
        every_output = pooling == "mean_max"
        recurrent = CELLS[cell](units, return_sequences=every_output)
        self.recurrent = keras.layers.Bidirectional(recurrent) if bidirectional else recurrent
        self.pooling = GlobalMeanMaxPooling1D() if every_output else None
        self.output_dropout = keras.layers.Dropout(dropout)
        num_outputs, activation = (1, "sigmoid") if len(names) == 2 else (len(names), "softmax")
        self.output_layer = keras.layers.Dense(num_outputs, dtype="float32")
        self.output_activation = keras.activations.get(activation)
        self.word_pairs = None
        if word_pairs is not None:
            self.word_pairs = WordPairs(
                len(vocabulary),
                plain(word_pairs),
                num_outputs,
                dtype="float32",
                trainable=False,
            )

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        *arguments: Any,
        **options: Any,
    ) -> None:
        """`SequenceModel.compile` for whole texts: without windows and teacher forcing.

        The default loss is `"binary_crossentropy"` for two labels, and
        `"sparse_categorical_crossentropy"` for more.
        """
        if loss is None:
            two = len(self.labels) == 2
            loss = binary_crossentropy if two else "sparse_categorical_crossentropy"
        super().compile(optimizer, loss, *arguments, **options)

    def check_inputs(self, inputs: Any) -> None:
        """Ids must be whole numbers, and lie in the vocabulary."""
        check_ids(self.name, inputs, len(self.vocabulary))

    def predict(self, x: Any, *arguments: Any, **options: Any) -> np.ndarray:
        """The probabilities of the labels: `keras.Model.predict`, which also takes texts.

        Args:
            x: texts, a list or an array of strings; or what `keras.Model.predict` takes,
                ids `(batch, time)` for example.
            *arguments, **options: as in Keras.

        Returns:
            `(batch, 1)`, the probability of label 1; with more than two labels
            `(batch, labels)`.

        Example:

        >>> model = TextClassifier(["[PAD]", "[UNK]", "good", "bad"], units=4)
        >>> model.predict(["Good!", "Not bad.", ""], verbose=0).shape
        (3, 1)
        """
        texts = isinstance(x, (list, tuple)) and all(isinstance(text, str) for text in x)
        if texts or getattr(getattr(x, "dtype", None), "kind", "") == "U":
            x = pad(self.vocabulary.encode(tf.constant(list(x), tf.string), self.max_length))
            x = x.numpy()
        return super().predict(x, *arguments, **options)

    def call(self, ids, training: bool = False, vectors=None):
        if ids.shape[0] == 0:  # layers of Keras cannot take an empty batch: one, left out
            return self.call(tf.zeros([1, 1], ids.dtype), training=training)[:0]
        mask = ids != PADDING_ID
        vectors = self.embedding(ids) if vectors is None else vectors
        vectors = self.feature_dropout(vectors, training=training)
        convolved = None
        if self.convolution is not None:
            # Padding is set to zeros, as the convolution does beyond the ends of a text.
            words = keras.ops.expand_dims(keras.ops.cast(mask, vectors.dtype), -1)
            convolved = self.convolution(vectors * words)
        read = convolved if self.stacked and convolved is not None else vectors
        features = self.recurrent(read, mask=mask, training=training)
        if self.pooling is not None:
            if convolved is not None:
                features = keras.ops.concatenate([features, convolved], axis=-1)
            features = self.pooling(features, mask=mask)
        outputs = self.output_layer(self.output_dropout(features, training=training))
        if self.word_pairs is not None:
            outputs += self.word_pairs(ids)
        return self.output_activation(outputs)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            **self._arguments,
            "vocabulary": list(self.vocabulary.words),
            "labels": list(self.labels),
            "max_length": self.max_length,
        }
