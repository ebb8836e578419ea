"""The loss of each step, from the values that a loss function returns."""

from collections.abc import Callable

import keras
import tensorflow as tf

from kerasrnn.training.errors import LOSS_SHAPE, ONE_LOSS, required


def loss_of_each(
    loss: Callable, targets: tf.Tensor, outputs: tf.Tensor, num_axes: int, counts_alike: bool
) -> tf.Tensor:
    """The loss of every sequence, `(batch,)`, of every step, or of every variable of a step.

    As in Keras, the mean is taken over all axes that follow. A loss function
    that has taken the mean over steps itself returns fewer axes, or a scalar:
    then each step has that mean.

    Args:
        loss: a function of targets and outputs, or a `keras.losses.Loss`.
        targets: `(batch, time, ...)`, or `(batch, ...)`.
        outputs: `(batch, time, ...)`, or `(batch, ...)`.
        num_axes: of the losses: 1, of sequences; 2, of steps, `(batch, time)`; or 3, of
            variables, `(batch, time, variables)`.
        counts_alike: whether every step counts equally. If not, `loss` must tell the steps
            apart.

    Raises:
        ValueError: if steps count differently, but `loss` does not tell them apart.
    """
    targets = _as_outputs(tf.convert_to_tensor(targets), outputs)
    call = loss
    if isinstance(loss, keras.losses.Loss):
        call = loss.call
        if not type(loss).__module__.startswith("keras."):  # those of Keras cast by themselves
            targets = tf.cast(targets, loss.dtype)
    losses = tf.convert_to_tensor(call(targets, outputs))
    expected = targets.shape[:num_axes].merge_with(outputs.shape[:num_axes])
    rank = len(losses.shape)
    if rank < num_axes or not losses.shape[:num_axes].is_compatible_with(expected):
        if not counts_alike:
            raise ValueError(_message(loss, losses, outputs, num_axes))
        shape = tf.shape(outputs)[:num_axes]
        return tf.broadcast_to(tf.reduce_mean(losses), shape)
    if losses.shape[:num_axes].as_list() != expected.as_list():  # known only when it runs
        found, shape = tf.shape(losses)[:num_axes], tf.shape(outputs)[:num_axes]
        with required(tf.reduce_all(found == shape), LOSS_SHAPE, found, shape):
            losses = tf.identity(losses)
    return tf.reduce_mean(losses, list(range(num_axes, rank))) if rank > num_axes else losses


def check_targets(
    inputs: tf.TensorShape, targets: tf.TensorShape, outputs: tf.TensorShape
) -> None:
    """Checks the targets of a model that has one output a sequence.

    Args:
        inputs, targets, outputs: the shapes of a batch.

    Raises:
        ValueError: if there is a target for every step; a loss could broadcast them.
    """
    time = inputs[1] if len(inputs) > 1 else None
    for_every_step = len(targets) > 1 and targets[1] not in (1, None) and targets[1] == time
    if for_every_step and not targets.is_compatible_with(outputs):
        raise ValueError(
            f"The model has one output a sequence, of shape {tuple(outputs)}, but targets have "
            f"shape {tuple(targets)}: one for every step. Give one target a sequence, or use "
            "return_sequences=True in the last recurrent layer."
        )


def _as_outputs(targets, outputs):
    """Targets with an axis of size 1 at the end just where outputs have it, as in Keras."""
    if targets.dtype.is_floating and outputs.dtype.is_floating:
        targets = tf.cast(targets, outputs.dtype)
    if len(targets.shape) == len(outputs.shape) - 1 and outputs.shape[-1] == 1:
        return targets[..., None]
    if len(targets.shape) == len(outputs.shape) + 1 and targets.shape[-1] == 1:
        return targets[..., 0]
    return targets


def _message(loss, losses, outputs, num_axes):
    name = getattr(loss, "name", None) or getattr(loss, "__name__", type(loss).__name__)
    why = "some steps are masked or weighted, as always with a Stream"
    if num_axes == 3:
        why = "some values may be missing"
    return (
        f"The loss {name} returned shape {tuple(losses.shape)} for outputs of shape "
        f"{tuple(outputs.shape)}, but here {why}. Return {ONE_LOSS[num_axes]}."
    )
