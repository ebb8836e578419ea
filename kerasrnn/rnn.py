"""`keras.layers.RNN` with a policy for the flow of gradients, for any cell."""

import contextlib
import inspect
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import tensorflow as tf

from kerasrnn import truncation as truncations
from kerasrnn.truncation import FullBPTT, Truncation, gate_gradient

_changing_rates = threading.RLock()


@keras.saving.register_keras_serializable(package="kerasrnn")
class RNN(keras.layers.RNN):
    """`keras.layers.RNN` that can truncate backpropagation through time.

    Takes any cell: `keras.layers.LSTMCell`, `keras.layers.GRUCell`,
    `kerasrnn.VanillaRNNCell`, several of them in a list, or your own. Without
    a truncation it is `keras.layers.RNN` itself; with one, each state passes a
    gradient gate before each step in training. Outputs are the same.

    Args:
        cell: a Keras RNN cell, or a list of cells to stack.
        truncation: how gradients flow back through time: `None` or `"full"`,
            `kerasrnn.TruncatedBPTT(window)` or
            `kerasrnn.RandomizedTruncation(keep_probability)`, whose draws
            follow the `seed` of the cell. Default: `None`.
        **kwargs: the other arguments of `keras.layers.RNN`:
            `return_sequences`, `return_state`, `go_backwards`, `stateful`,
            `unroll` (without effect under a truncation),
            `zero_output_for_mask`.

    Call arguments, returns: those of `keras.layers.RNN`.

    Raises:
        ValueError: if `truncation` is none of the above.

    Example:

    >>> lstm = RNN(keras.layers.LSTMCell(4), truncation=truncations.TruncatedBPTT(20))
    >>> lstm(keras.ops.zeros((2, 50, 3)), training=True).shape
    TensorShape([2, 4])
    """

    def __init__(
        self,
        cell: Any,
        truncation: Truncation | str | dict | None = None,
        **kwargs: Any,
    ):
        super().__init__(cell, **kwargs)
        self._truncation = truncations.get(truncation)
        self._gate_seed_generator = None
        if self._find_seed_generator() is None:
            self._gate_seed_generator = keras.random.SeedGenerator()

    @property
    def truncation(self) -> Truncation:
        """How gradients flow back through time in training."""
        return self._truncation

    @truncation.setter
    def truncation(self, truncation: Truncation | str | dict | None):
        self._truncation = truncations.get(truncation)

    def _find_seed_generator(self) -> keras.random.SeedGenerator | None:
        cells = getattr(self.cell, "cells", [self.cell])
        found = (getattr(cell, "seed_generator", None) for cell in cells)
        return next(filter(None, found), self._gate_seed_generator)

    def gates(self, sequences: tf.Tensor, training: bool) -> tf.Tensor | None:
        """The gates xi of the policy for `(batch, time, ...)`, drawn anew; `None`: all 1."""
        if not training:
            return None
        batch_size, length = tf.unstack(tf.shape(sequences)[:2])
        return self.truncation.gates(length, batch_size, self._find_seed_generator())

    def call(
        self,
        sequences: tf.Tensor,
        initial_state: Any = None,
        mask: tf.Tensor | None = None,
        training: bool = False,
    ):
        cells = getattr(self.cell, "cells", [self.cell])
        with contextlib.nullcontext() if training else without_dropout(cells):
            return super().call(
                sequences, initial_state=initial_state, mask=mask, training=training
            )

    def inner_loop(self, sequences, initial_state, mask, training=False):
        gates = self.gates(sequences, training)
        if gates is None:
            return super().inner_loop(sequences, initial_state, mask, training)
        return self.gated_loop(sequences, initial_state, mask, gates)

    def by_time(
        self, sequences: tf.Tensor, mask: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Sequences `(time, batch, ...)` and mask `(time, batch, 1)`, in the order to go."""
        inputs = tf.transpose(sequences, [1, 0, *range(2, len(sequences.shape))])
        if mask is not None:
            mask = tf.cast(mask, tf.bool)
            mask = tf.transpose(mask if len(mask.shape) == 2 else mask[..., 0])
            mask = tf.expand_dims(mask, -1)
        if self.go_backwards:
            inputs = tf.reverse(inputs, [0])
            mask = None if mask is None else tf.reverse(mask, [0])
        return inputs, mask

    def gated_loop(self, sequences, initial_state, mask, gates):
        """Runs the cell step by step, in training, each state behind a gradient gate."""
        inputs, mask = self.by_time(sequences, mask)
        elements = [inputs, gates] if mask is None else [inputs, gates, mask]

        def step(before, elements_t):
            output_before, states = before
            x_t, gate_t, *mask_t = elements_t
            states = tf.nest.map_structure(lambda s: gate_gradient(s, gate_t), states)
            output, new_states = call_cell(self.cell, x_t, states, training=True)
            if mask_t:
                new_states = tf.nest.map_structure(
                    lambda new, old: tf.where(mask_t[0], new, old), new_states, states
                )
                shown = gate_gradient(output_before, gate_t)
                shown = tf.zeros_like(output) if self.zero_output_for_mask else shown
                output = tf.where(mask_t[0], output, shown)
            return output, new_states

        first_output = tf.zeros(
            [tf.shape(inputs)[1], output_size(self.cell)], self.cell.compute_dtype
        )
        outputs, states = tf.scan(step, elements, (first_output, list(initial_state)))
        last_output = outputs[-1]
        outputs = tf.transpose(outputs, [1, 0, 2]) if self.return_sequences else None
        last_states = tf.nest.map_structure(lambda s: s[-1], states)
        return last_output, last_output[:, None] if outputs is None else outputs, last_states

    def get_config(self) -> dict:
        full = isinstance(self.truncation, FullBPTT)
        truncation = None if full else keras.saving.serialize_keras_object(self.truncation)
        return {**super().get_config(), "truncation": truncation}


@contextlib.contextmanager
def without_dropout(cells: Iterable) -> Iterator[None]:
    """Inside, cells of Keras' kind draw no dropout masks; one thread at a time.

    Keras draws them in inference, too, where nothing uses them: the graph of an
    exported model would change the states of random generators.
    """
    drawing = [cell for cell in cells if hasattr(cell, "get_recurrent_dropout_mask")]
    with _changing_rates:
        rates = [(cell.dropout, cell.recurrent_dropout) for cell in drawing]
        try:
            for cell in drawing:
                cell.dropout = cell.recurrent_dropout = 0.0
            yield
        finally:
            for cell, (dropout, recurrent_dropout) in zip(drawing, rates, strict=True):
                cell.dropout, cell.recurrent_dropout = dropout, recurrent_dropout


def call_cell(cell, x_t: tf.Tensor, states: list, training: bool) -> tuple[tf.Tensor, list]:
    """One step of any Keras cell: its output and its new states, nested as `states` is."""
    takes_training = "training" in inspect.signature(cell.call).parameters
    options = {"training": training} if takes_training else {}
    output, new_states = cell(x_t, states, **options)
    return output, tf.nest.pack_sequence_as(states, tf.nest.flatten(new_states))


def output_size(cell) -> int:
    """The size of what the cell puts out at each step."""
    size = getattr(cell, "output_size", None)
    if size is not None:
        return size
    return cell.state_size if isinstance(cell.state_size, int) else cell.state_size[0]
