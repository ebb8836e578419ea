"""`keras.layers.RNN` with a policy for the flow of gradients, for any cell."""

import contextlib
import inspect
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from kerasrnn.checks import check_flags, shown
from kerasrnn.layers import call_shapes
from kerasrnn.layers import truncation as truncations
from kerasrnn.layers.truncation import FullBPTT, Truncation, gate_gradient

FLAGS = {
    "return_sequences",
    "return_state",
    "go_backwards",
    "stateful",
    "unroll",
    "zero_output_for_mask",
}
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
        ValueError: if `truncation` is none of the above; in calls, if inputs, mask and
            initial state do not fit one another.

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
        if isinstance(cell, (list, tuple)) and not cell:
            raise ValueError(f"cell must be a cell or a list of cells, got cell={shown(cell)}.")
        flags = {name: kwargs[name] for name in kwargs.keys() & FLAGS}
        for name, flag in flags.items():
            if type(flag) is not int or flag not in (0, 1):  # which are flags in Keras, too
                check_flags(**{name: flag})
            kwargs[name] = bool(flag)
        policy = truncations.get(truncation)
        super().__init__(cell, **kwargs)
        self._truncation = policy
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
        """The gates xi for `(batch, time, ...)`, drawn anew; `None`: all are 1.

        They follow the policy of the layer, or the one that
        `kerasrnn.layers.truncation.imposed` gives for a while.
        """
        if not training:
            return None
        batch_size, length = tf.unstack(tf.shape(sequences)[:2])
        policy = truncations.in_force(self.truncation)
        return policy.gates(length, batch_size, self._find_seed_generator())

    def call(
        self,
        sequences: tf.Tensor,
        initial_state: Any = None,
        mask: tf.Tensor | None = None,
        training: bool = False,
    ):
        call_shapes.check_sequences(self, sequences)
        if initial_state is not None:
            initial_state = call_shapes.fit_states(self, initial_state, sequences)
        if mask is not None:
            mask = call_shapes.fit_mask(self, mask, sequences)
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

    def gated_loop(self, sequences, initial_state, mask, gates):
        """Runs the cell step by step, in training, each state behind a gradient gate."""

        def step(x_t, states):
            return *call_cell(self.cell, x_t, states, training=True), []

        last_output, outputs, last_states, _ = run_step_by_step(
            self, step, sequences, initial_state, mask, gates
        )
        return last_output, outputs, last_states

    def get_config(self) -> dict:
        full = isinstance(self.truncation, FullBPTT)
        truncation = None if full else keras.saving.serialize_keras_object(self.truncation)
        return {**super().get_config(), "truncation": truncation}


def by_time(
    layer: keras.layers.RNN, sequences: tf.Tensor, mask: tf.Tensor | None
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Sequences, and mask with a last axis of 1 or units, time first, in the order to go."""
    inputs = tf.transpose(sequences, [1, 0, *range(2, len(sequences.shape))])
    if mask is not None:
        mask = tf.cast(mask, tf.bool)
        if len(mask.shape) == 3:
            mask = tf.transpose(mask, [1, 0, 2])
        else:
            mask = tf.expand_dims(tf.transpose(mask), -1)
    if layer.go_backwards:
        inputs = tf.reverse(inputs, [0])
        mask = None if mask is None else tf.reverse(mask, [0])
    return inputs, mask


def run_step_by_step(
    layer: keras.layers.RNN,
    step: Callable,
    sequences: tf.Tensor,
    initial_state: list,
    mask: tf.Tensor | None,
    gates: tf.Tensor | None = None,
    elements: Sequence[tf.Tensor] = (),
    records: Sequence[tf.Tensor] = (),
) -> tuple[tf.Tensor, tf.Tensor, list, list]:
    """What `keras.layers.RNN.inner_loop` does, with a step of one's own.

    Args:
        layer: whose options say what comes out.
        step: from x_t, the states before it and one slice of each of the
            `elements` to the output, the new states and a list of records.
        sequences: `(batch, time, ...)`.
        initial_state: the states before the first step.
        mask: `None` or `(batch, time)`.
        gates: the gradient gates that states pass before each step. Default:
            `None`.
        elements: `(time, ...)`.
        records: for each record of a step, a tensor of its shape and dtype.

    Returns:
        The last output, `(batch, ...)`; all outputs, `(batch, time, ...)`, or
        the last alone without `return_sequences`; the last states; what the
        steps recorded, `(time, ...)`.
    """
    inputs, mask = by_time(layer, sequences, mask)
    optional = [tensor for tensor in (gates, mask) if tensor is not None]

    def run(before, slices_t):
        output_before, states, _ = before
        x_t, *slices_t = slices_t
        optional_t, elements_t = slices_t[: len(optional)], slices_t[len(optional) :]
        if gates is not None:
            states = tf.nest.map_structure(lambda s: gate_gradient(s, optional_t[0]), states)
            output_before = gate_gradient(output_before, optional_t[0])
        output, new_states, recorded = step(x_t, states, *elements_t)
        if mask is not None:
            mask_t = optional_t[-1]
            new_states = tf.nest.map_structure(
                lambda new, old: tf.where(mask_t, new, old), new_states, states
            )
            shown = tf.zeros_like(output) if layer.zero_output_for_mask else output_before
            output = tf.where(mask_t, output, shown)
        return output, new_states, recorded

    first_output = tf.zeros(
        [tf.shape(inputs)[1], output_size(layer.cell)], layer.cell.compute_dtype
    )
    outputs, states, recorded = tf.scan(
        run, [inputs, *optional, *elements], (first_output, list(initial_state), list(records))
    )
    last_output = outputs[-1]
    outputs = tf.transpose(outputs, [1, 0, 2]) if layer.return_sequences else None
    last_states = tf.nest.map_structure(lambda s: s[-1], states)
    return (
        last_output,
        last_output[:, None] if outputs is None else outputs,
        last_states,
        recorded,
    )


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
