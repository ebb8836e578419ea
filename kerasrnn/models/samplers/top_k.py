"""Top-k: draw among the k most probable characters."""

import tensorflow as tf

from kerasrnn.models.samplers.sampler import Sampler


class TopK(Sampler):
    """Keeps the k most probable characters.

    Args:
        k: an int32 scalar or a number; 0: all.

    Reference: A. Fan, M. Lewis and Y. Dauphin, "Hierarchical neural story generation",
    2018, arXiv:1805.04833.
    """

    def __init__(self, k: tf.Tensor | int):
        self.k = k

    def keep(self, scores: tf.Tensor) -> tf.Tensor:
        rank = tf.range(tf.shape(scores)[1])
        return (rank < self.k) | (self.k < 1)
