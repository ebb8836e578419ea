"""How well a model predicts the next symbol: perplexity and bits per character."""

import math

import keras

from kerasrnn.checks import check_flags


@keras.saving.register_keras_serializable(package="kerasrnn")
class Perplexity(keras.metrics.SparseCategoricalCrossentropy):
    """The exponential of the mean cross-entropy: how many symbols a model hesitates between.

    A model that gives all of n symbols the same probability has perplexity n.

    Args:
        name: default `"perplexity"`.
        from_logits: whether the model returns logits, not probabilities.
            Default: `False`.
        **kwargs: other arguments of
            `keras.metrics.SparseCategoricalCrossentropy`.

    Example:

    >>> metric = Perplexity(from_logits=True)
    >>> metric.update_state(keras.ops.array([[0, 3]]), keras.ops.zeros((1, 2, 4)))
    >>> round(float(metric.result()), 4)
    4.0
    """

    def __init__(self, name: str = "perplexity", from_logits: bool = False, **kwargs):
        check_flags(from_logits=from_logits)
        super().__init__(name=name, from_logits=bool(from_logits), **kwargs)

    def result(self):
        return keras.ops.exp(super().result())


@keras.saving.register_keras_serializable(package="kerasrnn")
class BitsPerCharacter(keras.metrics.SparseCategoricalCrossentropy):
    """The mean cross-entropy in bits, which is the one in nats divided by ln 2.

    Args:
        name: default `"bits_per_character"`.
        from_logits: whether the model returns logits, not probabilities.
            Default: `False`.
        **kwargs: other arguments of
            `keras.metrics.SparseCategoricalCrossentropy`.

    Example:

    >>> metric = BitsPerCharacter(from_logits=True)
    >>> metric.update_state(keras.ops.array([[0, 3]]), keras.ops.zeros((1, 2, 4)))
    >>> round(float(metric.result()), 4)
    2.0
    """

    def __init__(self, name: str = "bits_per_character", from_logits: bool = False, **kwargs):
        check_flags(from_logits=from_logits)
        super().__init__(name=name, from_logits=bool(from_logits), **kwargs)

    def result(self):
        return super().result() / math.log(2)
