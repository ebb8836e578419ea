"""States that pass from one window to the next."""

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from kerasrnn.training.errors import BATCH_SIZE, required
from kerasrnn.training.window import Window


class CarriedStates:
    """States between two calls of a training step; the batch size may be any.

    Args:
        states: those of no sequences, `(0, ...)`: their structure and their types.
    """

    def __init__(self, states: list):
        self.structure = states
        self.batch_size = tf.Variable(0, trainable=False)
        self.flat = [
            tf.Variable(s, trainable=False, shape=[None, *s.shape[1:]])
            for s in tf.nest.flatten(states)
        ]

    @property
    def variables(self) -> list[tf.Variable]:
        """What a checkpoint has to hold of them."""
        return [self.batch_size, *self.flat]

    def read(self) -> list:
        """The states as they are now."""
        # The slice is the whole. It hides from TensorFlow's optimizer that the same graph
        # assigns states of a known shape, which it takes for the shape that is read.
        size = tf.identity(self.batch_size)
        flat = [v[:size] for v in self.flat]
        return tf.nest.pack_sequence_as(self.structure, flat)

    def write(self, states: list) -> None:
        """Keeps states, `(batch, ...)`."""
        flat = tf.nest.flatten(states)
        self.batch_size.assign(tf.shape(flat[0])[0])
        for variable, state in zip(self.flat, flat, strict=True):
            variable.assign(state)

    def forget(self) -> None:
        """Goes back to the states of no sequences."""
        self.write(self.structure)


@contextmanager
def forgetting(carried: CarriedStates | None) -> Iterator[None]:
    """Forgets carried states, if there are any, when what is inside ends."""
    try:
        yield
    finally:
        if carried is not None:
            carried.forget()


def start_from(initial: list, carried: list, window: Window) -> list:
    """The states that a window starts from: carried ones, or initial ones where it resets.

    Where nothing has been carried yet, all sequences begin. No gradient flows into
    carried states: this is where truncated backpropagation through time truncates.

    Raises, when it runs:
        tf.errors.InvalidArgumentError: if sequences go on and the batch size
            is not that of the carried states. See `clear_errors`.
    """
    batch_size = tf.shape(window.inputs)[0]
    carried_size = tf.shape(tf.nest.flatten(carried)[0])[0]
    reset = tf.fill([batch_size], carried_size == 0)
    if window.reset is not None:
        reset |= tf.cast(window.reset, tf.bool)
    same = carried_size == batch_size
    possible = same | tf.reduce_all(reset)
    with required(possible, BATCH_SIZE, carried_size, batch_size):
        keep = tf.identity(~reset)[:, None]

    def choose(start, carried):
        carried = tf.cond(same, lambda: tf.cast(carried, start.dtype), lambda: start)
        return tf.stop_gradient(tf.where(keep, carried, start))

    return tf.nest.map_structure(choose, initial, carried)
