"""Cross-entropy with label smoothing, for targets that are ids."""

from typing import Any

import keras
import tensorflow as tf

from kerasrnn.checks import check_rate, plain


@keras.saving.register_keras_serializable(package="kerasrnn")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy of ids and logits, in nats, with label smoothing.

    A part of the target probability is spread evenly over all K ids:

        loss = -(1 - label_smoothing) log p_y - label_smoothing / K (log p_1 + ... + log p_K)

    It is `keras.losses.CategoricalCrossentropy` with `label_smoothing`, for targets that are
    ids.

    Args:
        label_smoothing: in [0, 1). Default: 0, the plain cross-entropy.
        name: default `"smoothed_crossentropy"`.
        **kwargs: `reduction`, `dtype`.

    Raises:
        ValueError: if `label_smoothing` is not in [0, 1).

    Reference: C. Szegedy et al., "Rethinking the Inception architecture for computer vision",
    2016, arXiv:1512.00567.

    Example:

    >>> loss = SmoothedCrossentropy(0.1)
    >>> round(float(loss(tf.constant([1]), tf.zeros([1, 4]))), 4)
    1.3863
    """

    from_logits = True

    def __init__(
        self, label_smoothing: float = 0.0, name: str = "smoothed_crossentropy", **kwargs: Any
    ):
        check_rate("label_smoothing", label_smoothing)
        super().__init__(name=name, **kwargs)
        self.label_smoothing = plain(label_smoothing)

    def call(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """The loss of each step, `(batch, time)`."""
        targets = tf.cast(targets, tf.int32)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        if not self.label_smoothing:
            return losses
        of_all = tf.reduce_logsumexp(logits, -1) - tf.reduce_mean(logits, -1)
        return (1 - self.label_smoothing) * losses + self.label_smoothing * of_all

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}
