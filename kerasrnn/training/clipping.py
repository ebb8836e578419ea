"""Clipping gradients by their global norm or by value; sparse ones stay sparse."""

from typing import TypeAlias

import tensorflow as tf

Gradient: TypeAlias = tf.Tensor | tf.IndexedSlices | None


def sum_duplicates(gradient: Gradient) -> Gradient:
    """A sparse gradient with each row once, rows of one index added up; others as they are."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    indices, positions = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, positions, tf.size(indices))
    return tf.IndexedSlices(values, indices, gradient.dense_shape)


def scale(gradient: Gradient, factor: tf.Tensor | float) -> Gradient:
    """`factor * gradient`; `None` stays `None`."""
    if gradient is None:
        return None
    if isinstance(gradient, tf.IndexedSlices):
        values = gradient.values * tf.cast(factor, gradient.values.dtype)
        return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
    return gradient * tf.cast(factor, gradient.dtype)


def global_norm(gradients: list[Gradient]) -> tf.Tensor:
    """The Euclidean norm ||g|| of all gradients taken as one vector.

    Args:
        gradients: tensors, `tf.IndexedSlices` or `None`. An index may occur
            more than once: its rows are added up first, as the gradient they
            stand for has them.

    Returns:
        float32 scalar; 0 where there is no gradient at all.
    """
    return norm_of_distinct_rows([sum_duplicates(g) for g in gradients])


def norm_of_distinct_rows(gradients: list[Gradient]) -> tf.Tensor:
    """`global_norm` of gradients in which no index occurs twice: nothing is added up first."""
    values = [g.values if isinstance(g, tf.IndexedSlices) else g for g in gradients]
    squares = [tf.reduce_sum(tf.cast(v, tf.float32) ** 2) for v in values if v is not None]
    return tf.sqrt(tf.add_n(squares)) if squares else tf.constant(0.0)


def clip_by_global_norm(
    gradients: list[Gradient], clip_norm: float, norm: tf.Tensor | None = None
) -> list[Gradient]:
    """The projection g <- min(1, theta / ||g||) g onto a ball: the direction stays.

    Args:
        gradients: tensors, `tf.IndexedSlices` (which stay sparse) or `None`.
        clip_norm: theta, positive: the largest norm that remains.
        norm: ||g||, if `global_norm` has it already.

    Returns:
        The gradients, multiplied by one factor in (0, 1].

    Reference: R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of
    training recurrent neural networks", 2013, arXiv:1211.5063.

    Example:

    >>> clip_by_global_norm([tf.constant([3.0]), None, tf.constant([4.0])], 1.0)[0].numpy()
    array([0.6], dtype=float32)
    """
    norm = global_norm(gradients) if norm is None else norm
    factor = tf.where(norm > clip_norm, clip_norm / norm, 1.0)
    return [scale(gradient, factor) for gradient in gradients]


def clip_by_value(gradients: list[Gradient], clip_value: float) -> list[Gradient]:
    """Every entry of every gradient, clipped to [-clip_value, clip_value].

    Args:
        gradients: tensors, `tf.IndexedSlices` (which stay sparse) or `None`.
        clip_value: positive.
    """

    def clip(gradient):
        if gradient is None:
            return None
        if isinstance(gradient, tf.IndexedSlices):
            gradient = sum_duplicates(gradient)
            values = tf.clip_by_value(gradient.values, -clip_value, clip_value)
            return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
        return tf.clip_by_value(gradient, -clip_value, clip_value)

    return [clip(gradient) for gradient in gradients]
