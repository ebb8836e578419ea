"""What an update does where its loss or its gradient is not finite: an error, or no update."""

from collections.abc import Callable

import tensorflow as tf

from kerasrnn.training.errors import NOT_FINITE, required
from kerasrnn.training.replicas import num_replicas
from kerasrnn.training.step import TrainingStep


def if_finite(
    step: TrainingStep,
    apply: Callable,
    states: list,
    loss: tf.Tensor,
    norm: tf.Tensor,
    scale: tf.Tensor,
) -> tuple[dict, list]:
    """Calls `apply` if the step is finite. If not, raises an error or skips the step.

    Args:
        step: whose options say which, and which counts the skipped steps.
        apply: makes the update; returns the logs and the states for the next window.
        states: the states to carry over if the step is skipped.
        loss: of this step.
        norm: of its gradient.
        scale: of the loss, in mixed precision.
    """
    # An overflow of scaled gradients is no mishap: the optimizer skips it itself.
    overflow = (scale > 1) & ~tf.math.is_finite(norm)
    finite = tf.math.is_finite(loss) & (tf.math.is_finite(norm) | overflow)
    if step.options.non_finite == "raise":
        with required(finite, NOT_FINITE, step.optimizer.iterations + 1, loss, norm):
            return apply()

    if num_replicas() > 1:
        raise ValueError(f'non_finite="skip" needs a single replica, got {num_replicas()}.')

    def skip():
        step.num_skipped.assign_add(1)
        return step.model.get_metrics_result(), states

    logs, states = tf.cond(finite, apply, skip)
    logs["skipped_steps"] = tf.identity(step.num_skipped)
    return logs, states
