"""A batch of windows: what is in it, and which of its steps count."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from kerasrnn.training.data import inputs_of


class Window(NamedTuple):
    """A batch of windows; a batch of whole sequences is one, too."""

    inputs: tf.Tensor
    """`(batch, time, ...)`."""
    reset: tf.Tensor | None
    """Booleans `(batch,)`, true where a sequence begins; `None`: nowhere but at first."""
    targets: tf.Tensor
    """`(batch, time, ...)`, or `(batch, ...)` for one output a sequence."""
    counted: tf.Tensor | None
    """float32 `(batch, time)`: 1 for steps that count, else 0; `None`: all count. With a loss
    for each variable, `(batch, time, variables)`, as `sample_weight`."""
    sample_weight: tf.Tensor | None
    """float32 `(batch, time)`, or `(batch,)` for one output a sequence; `None`: all 1."""
    others: dict[str, tf.Tensor] = {}  # noqa: RUF012 (never written to)
    """What else the model is given, by name: tensors `(batch, ...)`."""

    @property
    def of_model(self) -> tf.Tensor | dict[str, tf.Tensor]:
        """What the model is called with: the inputs, with the others if there are any."""
        return {"inputs": self.inputs, **self.others} if self.others else self.inputs

    def rows(self, rows: slice) -> "Window":
        """Some of the sequences."""
        return tf.nest.map_structure(lambda part: None if part is None else part[rows], self)

    def steps(self, steps: slice) -> "Window":
        """Some of the steps, of sequences that go on."""
        parts = self._replace(reset=None, others={})
        cut = tf.nest.map_structure(
            lambda part: None if part is None else part[:, steps], parts
        )
        return cut._replace(others=self.others)


def read_window(
    batch: Any, compute_mask: Callable, every_output: bool, each_variable: bool = False
) -> Window:
    """The parts of a batch `(inputs, targets[, sample_weight])`.

    Args:
        batch: inputs are `(batch, time, ...)`, or a dictionary of `"inputs"`, `"reset"` and
            what else the model is given.
        compute_mask: from inputs to which steps count, `(batch, time)`, or `None`.
        every_output: whether there is an output at every step.
        each_variable: whether each variable of each step counts by itself, `(batch, time,
            variables)`. Then a target that is NaN is missing: it does not count, and is 0.

    Raises:
        ValueError: for a batch without targets.
    """
    inputs, targets, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
    reset, others = None, {}
    if isinstance(inputs, dict):
        others = {name: tf.convert_to_tensor(inputs[name]) for name in inputs}
        inputs, reset = inputs_of(others), others.pop("reset", None)
        del others["inputs"]
    if targets is None:
        raise ValueError(
            "A batch must be (inputs, targets) or (inputs, targets, sample_weight)."
        )
    inputs, targets = tf.convert_to_tensor(inputs), tf.convert_to_tensor(targets)
    num_axes = 3 if each_variable else 2 if every_output else 1
    mask = compute_mask(inputs) if every_output else None
    counted = None if mask is None else tf.cast(mask, tf.float32)
    if each_variable:
        present = ~tf.math.is_nan(targets)
        counted, targets = tf.cast(present, tf.float32), tf.where(present, targets, 0)
    if sample_weight is not None:
        sample_weight = tf.cast(sample_weight, tf.float32)
        if sample_weight.shape.rank == num_axes + 1:
            sample_weight = tf.squeeze(sample_weight, -1)
        while sample_weight.shape.rank < num_axes:
            sample_weight = sample_weight[..., None]
        counting = targets if each_variable else inputs
        sample_weight = tf.broadcast_to(sample_weight, tf.shape(counting)[:num_axes])
        present = tf.cast(sample_weight != 0, tf.float32)
        counted = present if counted is None else counted * present
    return Window(inputs, reset, targets, counted, sample_weight, others)
