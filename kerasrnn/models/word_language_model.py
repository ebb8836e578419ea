"""A language model over words. A classifier can start from its weights."""

import math
from typing import Any

import keras
import tensorflow as tf

from kerasrnn.checks import check_one_of, check_positive_integer, check_rate, plain, shown
from kerasrnn.models.cells import CELLS
from kerasrnn.models.lookup import check_ids
from kerasrnn.models.sequence import SequenceModel


class NextWord(keras.layers.Layer):
    """Projects h_t to a vector q_t, whose dot products with the word vectors give the logits.

    With h_t the input, P and c the weights of the projection, E the table of word vectors and b
    a bias for each word:

        q_t = h_t P + c        logits_t = q_t E^T + b

    Args:
        embedding: the `keras.layers.Embedding` with E.
        num_sampled: number of words sampled to estimate the loss.
        **kwargs: `name`, `dtype`.

    Call arguments:
        inputs: h_t, `(batch, time, units)`.

    Returns:
        q_t, `(batch, time, embedding_dim)`.

    References: O. Press and L. Wolf, "Using the output embedding to improve language models",
    2017, arXiv:1608.05859; the loss: S. Jean et al., "On using very large target vocabulary
    for neural machine translation", 2015, arXiv:1412.2007.
    """

    def __init__(self, embedding: keras.layers.Embedding, num_sampled: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.embedding, self.num_sampled = embedding, num_sampled
        self.projection = keras.layers.Dense(embedding.output_dim, dtype=self.dtype_policy)
        self.seeds = keras.random.SeedGenerator()

    def build(self, inputs_shape: Any) -> None:
        self.projection.build(inputs_shape)
        self.bias = self.add_weight(
            shape=(self.embedding.input_dim,), initializer="zeros", name="bias"
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return self.projection(inputs)

    def logits(self, vectors: tf.Tensor) -> tf.Tensor:
        """The logits of all words, `(batch, time, num_words)`."""
        table = tf.cast(self.embedding.embeddings, vectors.dtype)
        return tf.matmul(vectors, table, transpose_b=True) + tf.cast(self.bias, vectors.dtype)

    def sampled_loss(self, targets: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
        """The cross-entropy, with a sum over all words that is estimated from a sample.

        With l the logits, w the true word and S the sample, in which word j is expected n_j
        times:

            loss = -l_w + log(exp(l_w) + sum over j in S, but not w, of exp(l_j) / n_j)

        The argument of the log is unbiased. Words are drawn log-uniformly: word j with the
        probability log((j + 2) / (j + 1)) / log(num_words + 1). This suits a vocabulary sorted
        by frequency. The draws are evenly spaced in the cumulative distribution, with one
        random offset (systematic sampling). All steps of a batch use the same sample.

        Args:
            targets: ids, `(batch, time)`.
            vectors: q_t, `(batch, time, embedding_dim)`.

        Returns:
            The loss in nats, `(batch, time)`.
        """
        num_words, num_sampled = self.embedding.input_dim, self.num_sampled
        seed = tf.cast(self.seeds.next(), tf.int32)
        first = tf.random.stateless_uniform([], seed)
        places = (tf.range(num_sampled, dtype=tf.float32) + first) / num_sampled
        sample = tf.cast(tf.exp(places * math.log(num_words + 1)) - 1, tf.int32)
        sample = tf.clip_by_value(sample, 0, num_words - 1)
        expected = tf.math.log1p(1 / (tf.cast(sample, tf.float32) + 1))
        expected *= num_sampled / math.log(num_words + 1)

        bias = tf.convert_to_tensor(self.bias)

        def vectors_of(ids):
            return tf.cast(tf.gather(self.embedding.embeddings, ids), bias.dtype)

        shape, size = tf.shape(targets), self.embedding.output_dim
        targets = tf.cast(tf.reshape(targets, [-1]), tf.int32)
        vectors = tf.cast(tf.reshape(vectors, [-1, size]), bias.dtype)
        true = tf.reduce_sum(vectors * vectors_of(targets), -1) + tf.gather(bias, targets)
        others = tf.matmul(vectors, vectors_of(sample), transpose_b=True)
        others += tf.gather(bias, sample) - tf.math.log(expected)
        others = tf.where(targets[:, None] == sample, others.dtype.min, others)
        others = tf.math.reduce_logsumexp(others, -1)
        return tf.reshape(tf.math.softplus(others - true), shape)


@keras.saving.register_keras_serializable(package="kerasrnn")
class WordLanguageModel(SequenceModel):
    """Predicts the next word of texts. `TextClassifier.start_from` copies its weights.

    Word vectors, a recurrent layer, and logits from the same word vectors. A loss over all
    words would take most of the time, so training compares the true word with a sample of the
    others. This is a `SequenceModel`: train it on a `Stream` of ids.

    Args:
        num_words: the size of the vocabulary. The ids are those of a `Vocabulary`, in which
            frequent words have low ids.
        embedding_dim: size of the word vectors. Default: 128.
        cell: `"vanilla"`, `"lstm"` or `"gru"`. Default: `"lstm"`.
        units: size of the recurrent state. Default: 512.
        dropout: fraction of the word vectors' features and of the outputs of the recurrent
            layer to drop, the same ones at all steps of a window. Default: 0.
        num_sampled: number of words sampled to estimate the loss. Default: 1024.
        **kwargs: `name`. The dtype is that of the global Keras policy.

    Call arguments:
        inputs: integers, `(batch, time)`.
        states, return_states, training: as in `SequenceModel`.

    Returns:
        For each step a vector, `(batch, time, embedding_dim)`, which `logits` turns into the
        logits of the next word; with `return_states` also the states after the last step.

    Raises:
        ValueError: if an argument is out of range; in eager calls, if an id is.

    References: A. Dai and Q. Le, "Semi-supervised sequence learning", 2015, arXiv:1511.01432;
    J. Howard and S. Ruder, "Universal language model fine-tuning for text classification",
    2018, arXiv:1801.06146.

    Example:

    >>> lm = WordLanguageModel(num_words=100, embedding_dim=8, units=16, num_sampled=20)
    >>> lm.compile(keras.optimizers.Adam(0.01), window=5)
    >>> from kerasrnn.training.streams import Stream
    >>> stream = Stream.from_tokens(keras.ops.arange(2, 100).numpy(), batch_size=2)
    >>> history = lm.fit(stream, epochs=2, verbose=0)
    >>> lm.logits(lm(keras.ops.array([[2, 3, 4]]))).shape
    TensorShape([1, 3, 100])
    """

    _has_own_loss = False

    def __init__(
        self,
        num_words: int,
        embedding_dim: int = 128,
        cell: str = "lstm",
        units: int = 512,
        dropout: float = 0.0,
        num_sampled: int = 1024,
        **kwargs: Any,
    ):
        check_positive_integer("num_words", num_words)
        check_positive_integer("embedding_dim", embedding_dim)
        check_one_of("cell", cell, CELLS)
        check_positive_integer("units", units)
        check_rate("dropout", dropout)
        check_positive_integer("num_sampled", num_sampled)
        self.num_words = plain(num_words)
        embedding = keras.layers.Embedding(plain(num_words), plain(embedding_dim))
        recurrent = CELLS[cell](plain(units), return_sequences=True)
        # The loss is computed in single precision.
        next_word = NextWord(embedding, plain(num_sampled), dtype="float32")
        layers = [
            embedding,
            keras.layers.SpatialDropout1D(plain(dropout)),
            recurrent,
            keras.layers.SpatialDropout1D(plain(dropout)),
            next_word,
        ]
        super().__init__(layers, **kwargs)
        self.autocast = False  # in low precision, ids would be rounded
        self.embedding, self.recurrent, self.next_word = embedding, recurrent, next_word
        self._arguments = {
            "num_words": self.num_words,
            "embedding_dim": plain(embedding_dim),
            "cell": cell,
            "units": plain(units),
            "dropout": plain(dropout),
            "num_sampled": plain(num_sampled),
        }

    def check_inputs(self, inputs: Any) -> None:
        """Ids must be whole numbers, and lie in the vocabulary."""
        check_ids(self.name, inputs, self.num_words)

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **options: Any,
    ) -> None:
        """As `SequenceModel.compile`, with a loss that is estimated from a sample of words.

        So two evaluations of the same model differ a little.

        Raises:
            ValueError: for `teacher_forcing` below 1 and for metrics by name, since outputs
                are vectors, not words.
        """
        given = tf.nest.flatten([metrics, weighted_metrics])
        names = [metric for metric in given if isinstance(metric, str)]
        if names:
            raise ValueError(
                f"The outputs of {type(self).__name__} are vectors, so the metrics "
                f"{shown(names)} would say nothing. Leave them out."
            )
        self._has_own_loss = loss is None
        loss = self.next_word.sampled_loss if loss is None else loss
        super().compile(optimizer, loss, metrics, weighted_metrics, **options)
        if not self.training_step.options.sampling.feeds_only_the_truth:
            raise ValueError(
                f"{type(self).__name__} cannot be fed its own outputs, which are vectors. Use "
                "teacher_forcing=1."
            )

    def get_compile_config(self) -> dict:
        config = super().get_compile_config()
        return {**config, "loss": None} if self._has_own_loss else config

    def logits(self, vectors: tf.Tensor) -> tf.Tensor:
        """The logits of all words, `(batch, time, num_words)`, from the outputs."""
        return self.next_word.logits(vectors)

    def get_config(self) -> dict:
        return {"name": self.name, **self._arguments}

    @classmethod
    def from_config(cls, config: dict) -> "WordLanguageModel":
        return cls(**config)
