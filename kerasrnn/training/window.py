"""A batch of windows: what is in it, and which of its steps count."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf


class Window(NamedTuple):
    """A batch of windows; a batch of whole sequences is one, too."""

    inputs: tf.Tensor
    """`(batch, time, ...)`."""
    reset: tf.Tensor | None
    """Booleans `(batch,)`, true where a sequence begins; `None`: nowhere but at first."""
    targets: tf.Tensor
    """`(batch, time, ...)`, or `(batch, ...)` for one output a sequence."""
    counted: tf.Tensor | None
    """float32 `(batch, time)`: 1 for steps that count, else 0; `None`: all count."""
    sample_weight: tf.Tensor | None
    """float32 `(batch, time)`, or `(batch,)` for one output a sequence; `None`: all 1."""

    def rows(self, rows: slice) -> "Window":
        """Some of the sequences."""
        return Window(*(None if part is None else part[rows] for part in self))

    def steps(self, steps: slice) -> "Window":
        """Some of the steps, of sequences that go on."""
        parts = self._replace(reset=None)
        return Window(*(None if part is None else part[:, steps] for part in parts))


def read_window(batch: Any, compute_mask: Callable, every_output: bool) -> Window:
    """The parts of a batch `(inputs, targets[, sample_weight])`.

    Args:
        batch: inputs are `(batch, time, ...)`, or a dictionary of `"inputs"` and
            `"reset"`.
        compute_mask: from inputs to which steps count, `(batch, time)`, or `None`.
        every_output: whether there is an output at every step.

    Raises:
        ValueError: for a batch without targets.
    """
    inputs, targets, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    reset = None
    if isinstance(inputs, dict):
        inputs, reset = inputs["inputs"], inputs.get("reset")
    if targets is None:
        raise ValueError(
            "A batch must be (inputs, targets) or (inputs, targets, sample_weight)."
        )
    inputs, targets = tf.convert_to_tensor(inputs), tf.convert_to_tensor(targets)
    num_axes = 2 if every_output else 1
    mask = compute_mask(inputs) if every_output else None
    counted = None if mask is None else tf.cast(mask, tf.float32)
    if sample_weight is not None:
        sample_weight = tf.cast(sample_weight, tf.float32)
        if sample_weight.shape.rank == num_axes + 1:
            sample_weight = tf.squeeze(sample_weight, -1)
        if sample_weight.shape.rank == 1 and every_output:
            sample_weight = sample_weight[:, None]
        sample_weight = tf.broadcast_to(sample_weight, tf.shape(inputs)[:num_axes])
        present = tf.cast(sample_weight != 0, tf.float32)
        counted = present if counted is None else counted * present
    return Window(inputs, reset, targets, counted, sample_weight)
