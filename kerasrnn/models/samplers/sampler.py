"""What all samplers have in common: they leave out improbable characters."""

from collections.abc import Iterable

import tensorflow as tf

_COLDEST = 1e-6
"""The temperature that stands for 0 where logits are divided by it."""


class Sampler:
    """Decides which characters are probable enough to be drawn.

    A subclass overrides `keep`. What it needs it takes in its constructor, as a number
    or as a scalar tensor, for example an input of an exported graph.

    Example:

    >>> class MinP(Sampler):
    ...     def __init__(self, min_p):
    ...         self.min_p = min_p
    ...
    ...     def keep(self, scores):
    ...         return tf.exp(scores) >= self.min_p
    >>> logits = tf.constant([[1.0, 4.0, 3.5]])
    >>> leave_out(logits, 1.0, [MinP(0.5)]).numpy().tolist()
    [[-inf, 4.0, 3.5]]
    """

    def keep(self, scores: tf.Tensor) -> tf.Tensor:
        """Which characters may be drawn, with plain graph ops.

        Args:
            scores: the logits of each text in descending order, divided by the
                temperature, minus the largest of them, `(batch, num_ids)`. So the first
                one is 0. Minus infinity for what an earlier sampler left out.

        Returns:
            Booleans, `(batch, num_ids)` or `(num_ids,)`: `True` for those to keep, the
            first one always.
        """
        raise NotImplementedError


def leave_out(
    logits: tf.Tensor, temperature: tf.Tensor | float, samplers: Iterable[Sampler]
) -> tf.Tensor:
    """`logits`, `(batch, num_ids)`, minus infinity for what the samplers do not keep.

    Logits are sorted once, and the samplers follow one another. Characters that are as
    probable as one that is kept are kept, too.
    """
    ranked = tf.sort(logits, direction="DESCENDING")
    scores = (ranked - ranked[:, :1]) / tf.maximum(temperature, _COLDEST)
    for sampler in samplers:
        scores = tf.where(sampler.keep(scores), scores, -float("inf"))
    kept = tf.where(scores > -float("inf"), ranked, float("inf"))
    least = tf.reduce_min(kept, axis=1, keepdims=True)
    return tf.where(logits < least, -float("inf"), logits)
