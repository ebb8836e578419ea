"""A batch of windows: what is in it, and which of its steps count."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from kerasrnn.training.data import inputs_of
from kerasrnn.training.errors import TARGET_SHAPE, required, target_shape_differs


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
    batch: Any,
    compute_mask: Callable,
    every_output: bool,
    target_shape: tuple[int | None, int] | None = None,
) -> Window:
    """The parts of a batch `(inputs, targets[, sample_weight])`.

    Args:
        batch: inputs are `(batch, time, ...)`, or a dictionary of `"inputs"`, `"reset"` and
            what else the model is given.
        compute_mask: from inputs to which steps count, `(batch, time)`, or `None`.
        every_output: whether there is an output at every step.
        target_shape: `(time, variables)` if each variable of each step counts by itself. Then
            targets are read as float32, and one that is NaN is missing: it does not count,
            and is 0.

    Raises:
        ValueError: for a batch without targets, or with targets of another shape.
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
    num_axes = 3 if target_shape else 2 if every_output else 1
    mask = compute_mask(inputs) if every_output else None
    counted = None if mask is None else tf.cast(mask, tf.float32)
    if target_shape:
        targets = _checked(targets, target_shape)
        present = ~tf.math.is_nan(targets)
        targets = tf.where(present, targets, 0)
        of_steps = 1.0 if counted is None else counted[..., None]
        counted = tf.cast(present, tf.float32) * of_steps
    if sample_weight is not None:
        sample_weight = tf.cast(sample_weight, tf.float32)
        if sample_weight.shape.rank == num_axes + 1:
            sample_weight = tf.squeeze(sample_weight, -1)
        while sample_weight.shape.rank < num_axes:
            sample_weight = sample_weight[..., None]
        counting = targets if target_shape else inputs
        sample_weight = tf.broadcast_to(sample_weight, tf.shape(counting)[:num_axes])
        present = tf.cast(sample_weight != 0, tf.float32)
        counted = present if counted is None else counted * present
    return Window(inputs, reset, targets, counted, sample_weight, others)


def check_target_shape(targets: tf.TensorShape, expected: tuple[int | None, int]) -> None:
    """Checks targets of which each variable counts; a loss could broadcast them.

    Args:
        targets: the shape of a batch; sizes may be `None`.
        expected: `(time, variables)`.

    Raises:
        ValueError: if they have another number of axes, or another size.
    """
    if not targets.is_compatible_with([None, *expected]):
        raise target_shape_differs(tuple(targets), expected)


def _checked(targets, expected):
    check_target_shape(targets.shape, expected)
    targets = tf.cast(targets, tf.float32)
    if None in targets.shape[1:]:  # known only when it runs
        found = tf.shape(targets)[1:]
        sizes = [found[n] if size is None else size for n, size in enumerate(expected)]
        with required(tf.reduce_all(found == sizes), TARGET_SHAPE, found, sizes):
            targets = tf.identity(targets)
    return tf.ensure_shape(targets, [None, *expected])
