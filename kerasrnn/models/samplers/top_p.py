"""Top-p, nucleus sampling: draw among those that together have the probability p."""

import tensorflow as tf

from kerasrnn.models.samplers.sampler import Sampler


class TopP(Sampler):
    """Keeps as few characters as together have the probability p, the most probable ones.

    Their probabilities are those among what earlier samplers kept.

    Args:
        p: a float32 scalar or a number in (0, 1]; 1: all.

    Reference: A. Holtzman, J. Buys, L. Du, M. Forbes and Y. Choi, "The curious case of
    neural text degeneration", 2020, arXiv:1904.09751.
    """

    def __init__(self, p: tf.Tensor | float):
        self.p = p

    def keep(self, scores: tf.Tensor) -> tf.Tensor:
        rank = tf.range(tf.shape(scores)[1])
        before = tf.cumsum(tf.nn.softmax(scores), axis=1, exclusive=True)
        # 1 keeps all, even what a sum of float32 probabilities rounds away.
        return (before < self.p) | (rank == 0) | (self.p >= 1)
