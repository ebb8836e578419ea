"""The replicas of a `tf.distribute` strategy; all of this does nothing on a single device.

`fit` and a step inside `strategy.run` reduce over them, so that the update is
that of the whole batch.
"""

from contextlib import AbstractContextManager, nullcontext

import tensorflow as tf

from kerasrnn.training.clipping import Gradient


def num_replicas() -> int:
    """How many replicas run this step."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def sum_over_replicas(tensor: tf.Tensor) -> tf.Tensor:
    """The sum of a tensor of each replica."""
    if num_replicas() == 1:
        return tensor
    return tf.distribute.get_replica_context().all_reduce("SUM", tensor)


def sum_gradients(gradients: list[Gradient]) -> list[Gradient]:
    """The sums of the gradients of all replicas; dense where there are several."""
    if num_replicas() == 1:
        return gradients
    present = [g for g in gradients if g is not None]
    reduced = iter(tf.distribute.get_replica_context().all_reduce("SUM", present))
    # Dense from here on: the optimizer would add rows of equal index anew.
    return [None if g is None else tf.convert_to_tensor(next(reduced)) for g in gradients]


def scope_of(strategy: tf.distribute.Strategy) -> AbstractContextManager:
    """The scope of a strategy; nothing is done inside a scope already, or on a replica."""
    return nullcontext() if tf.distribute.has_strategy() else strategy.scope()
