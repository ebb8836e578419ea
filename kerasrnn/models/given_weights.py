"""Weights of a classifier that another model has learned."""

import keras
import numpy as np

from kerasrnn.models.lookup import build_from_ids
from kerasrnn.models.word_language_model import WordLanguageModel


class GivenWeights(keras.Model):
    """`start_from` and `with_linear`, for a `kerasrnn.TextClassifier`."""

    def start_from(self, language_model: WordLanguageModel) -> None:
        """Copies the weights of a language model: its word vectors and its recurrent layer.

        Only shapes are checked, so use the same vocabulary.

        Args:
            language_model: built, with the same vocabulary, cell, units and embedding_dim.

        Raises:
            ValueError: if the language model is not built, if its weights have other shapes,
                or if this classifier is bidirectional, or its recurrent layer reads a
                convolution (`stacked=True` with `filters`).

        Reference: A. Dai and Q. Le, "Semi-supervised sequence learning", 2015,
        arXiv:1511.01432.

        Example:

        >>> from kerasrnn.models.classifier import TextClassifier
        >>> options = {"cell": "gru", "units": 4, "embedding_dim": 3}
        >>> language_model = WordLanguageModel(num_words=4, **options)
        >>> ids = keras.ops.array([[2, 3]])
        >>> language_model(ids).shape  # train it first
        TensorShape([1, 2, 3])
        >>> words = ["[PAD]", "[UNK]", "good", "bad"]
        >>> model = TextClassifier(words, bidirectional=False, **options)
        >>> model.start_from(language_model)
        >>> bool(keras.ops.all(model.embedding(ids) == language_model.embedding(ids)))
        True
        """
        if self.convolution is not None and self.stacked:
            raise ValueError("start_from needs a model with stacked=False, or without filters.")
        if not language_model.built:
            raise ValueError(
                "The language model has no weights yet. Train it, or call it once."
            )
        build_from_ids(self)
        names = ("embedding", "recurrent")
        for name in names:
            layers = (getattr(model, name) for model in (self, language_model))
            ours, theirs = ([tuple(w.shape) for w in layer.weights] for layer in layers)
            if ours != theirs:
                raise ValueError(
                    f"The language model's {name} layer has weights of the shapes {theirs}, "
                    f"but this classifier's has {ours}. Use the same vocabulary, cell, "
                    "units and embedding_dim, and bidirectional=False."
                )
        for name in names:
            getattr(self, name).set_weights(getattr(language_model, name).get_weights())

    def with_linear(
        self, table: np.ndarray, bias: np.ndarray, share: float = 1.0
    ) -> "GivenWeights":
        """Returns a new classifier that adds a linear model of words and bigrams to this one.

        This model stays as it is. The logits of the new one are

            share * network + linear

        Args:
            table: the weights of the words and of the buckets of bigrams, in the order of
                `kerasrnn.models.word_pairs`, `(words + buckets, num_outputs)`. With two labels
                there is one output, else one for each label.
            bias: those of the linear model, `(num_outputs,)`.
            share: the factor of the network. Default: 1.

        Returns:
            A new model, not compiled.

        Raises:
            ValueError: if this model has a linear model already, if shapes do not fit, or if a
                number is not finite.

        Example:

        >>> from kerasrnn.models.classifier import TextClassifier
        >>> network = TextClassifier(["[PAD]", "[UNK]", "good", "bad"], units=4)
        >>> table = np.zeros([4 + 10, 1])  # four words, ten buckets for bigrams
        >>> table[2], table[3] = 3.0, -3.0
        >>> model = network.with_linear(table, bias=np.zeros(1))
        >>> good, bad = model.predict(["good", "bad"], verbose=0).ravel()
        >>> bool(good > bad)
        True
        """
        if self.word_pairs is not None:
            raise ValueError(f"{self.name} has a linear model already.")
        table, bias = np.asarray(table), np.asarray(bias)
        num_words, num_outputs = len(self.vocabulary), self.output_layer.units
        fits = table.ndim == 2 and table.shape[1] == num_outputs and len(table) > num_words
        if not fits or bias.shape != (num_outputs,):
            raise ValueError(
                f"table must have the shape (more than {num_words}, {num_outputs}) and bias "
                f"({num_outputs},), got {table.shape} and {bias.shape}."
            )
        if not (np.isfinite(table).all() and np.isfinite(bias).all() and np.isfinite(share)):
            raise ValueError("table, bias and share must be finite.")
        model = type(self).from_config(
            {**self.get_config(), "word_pairs": len(table) - num_words}
        )
        for each in (self, model):
            build_from_ids(each)
        for name in ("embedding", "convolution", "recurrent", "output_layer"):
            layer = getattr(self, name)
            if layer is not None:
                getattr(model, name).set_weights(layer.get_weights())
        for new, old in zip(_seed_states(model), _seed_states(self), strict=True):
            new.assign(old)
        model.word_pairs.table.assign(table)
        kernel, constant = model.output_layer.weights
        kernel.assign(share * kernel)
        constant.assign(share * constant + bias)
        return model


def _seed_states(model):
    """The states of a model's random numbers, for dropout."""
    return [variable for variable in model.variables if variable.name == "seed_generator_state"]
