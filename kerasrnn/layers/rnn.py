"""`keras.layers.RNN` for any cell, with a policy for how far gradients flow back in time."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from kerasrnn.checks import check_flags, shown
from kerasrnn.layers import call_shapes
from kerasrnn.layers import truncation as truncations
from kerasrnn.layers.dropout import draw_masks, keeping_masks, masks_kept_by_keras
from kerasrnn.layers.steps import call_cell, output_size, take_step
from kerasrnn.layers.truncation import FullBPTT, Truncation
from kerasrnn.layers.whole_sequences import by_time, run_whole, runs_whole

FLAGS = {
    "return_sequences",
    "return_state",
    "go_backwards",
    "stateful",
    "unroll",
    "zero_output_for_mask",
}


@keras.saving.register_keras_serializable(package="kerasrnn")
class RNN(keras.layers.RNN):
    """`keras.layers.RNN` that can truncate backpropagation through time.

    Takes any Keras cell, or a list of cells. Without a truncation it computes the same
    numbers as `keras.layers.RNN`. With one, each state passes through a gradient gate before
    each step in training; the outputs stay the same. A single `kerasrnn.RecurrentCell`, such
    as `kerasrnn.LSTMCell` or your own, runs as two loops compiled by XLA; any other cell runs
    step by step.

    Several threads may call one layer at the same time if its cells are
    `kerasrnn.RecurrentCell`s, or have no dropout. For the dropout of Keras' own cells see
    `kerasrnn.layers.dropout.masks_kept_by_keras`.

    Args:
        cell: a Keras RNN cell, or a list of cells to stack.
        truncation: how gradients flow back through time: `None` or `"full"`,
            `kerasrnn.TruncatedBPTT(window)` or
            `kerasrnn.RandomizedTruncation(keep_probability)`, whose draws
            follow the `seed` of the cell. Default: `None`.
        **kwargs: the other arguments of `keras.layers.RNN`:
            `return_sequences`, `return_state`, `go_backwards`, `stateful`, `unroll` (which
            has no effect with a truncation), `zero_output_for_mask`.

    Call arguments, returns: those of `keras.layers.RNN`.

    Raises:
        ValueError: if `truncation` is none of the above. When called: if the shapes of
            inputs, mask and initial state do not match; if the length is unknown although
            `unroll=True`; if the batch size changes although `stateful=True`.

    Example:

    >>> layer = RNN(keras.layers.LSTMCell(4), truncation=truncations.TruncatedBPTT(20))
    >>> layer(keras.ops.zeros((2, 50, 3)), training=True).shape
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
        """Makes the gates xi of the policy for one batch of sequences.

        Inside `kerasrnn.layers.truncation.imposed` the imposed policy is used, otherwise the
        layer's own `truncation`.

        Args:
            sequences: `(batch, time, ...)`.
            training: outside training all gates are 1.

        Returns:
            `(time, batch, 1)` or `(time, 1, 1)`; `None` if all gates are 1.
        """
        if not training:
            return None
        shape = tf.shape(sequences)
        policy = truncations.in_force(self.truncation)
        return policy.gates(shape[1], shape[0], self._find_seed_generator())

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
        if self.unroll and sequences.shape[1] is None:
            raise ValueError(
                f"unroll=True needs sequences of a known length, got shape "
                f"{tuple(sequences.shape)} for {self.name}. Use unroll=False."
            )
        states = self._first_states(sequences, initial_state)
        with masks_kept_by_keras(keeping_masks(self.cell), training):
            dropout_masks = self._draw_masks(sequences, states) if training else None
            last_output, outputs, states = self.inner_loop(
                sequences, states, mask, training, dropout_masks
            )
        states = [*keras.tree.map_structure(self._as_output, states)]
        if self.stateful:
            flat = keras.tree.flatten(self.states), keras.tree.flatten(states)
            for variable, state in zip(*flat, strict=True):
                variable.assign(state)
        output = self._as_output(outputs if self.return_sequences else last_output)
        return (output, *states) if self.return_state else output

    def _first_states(self, sequences, initial_state):
        """The states before the first step, as a list of tensors."""
        batch_size = keras.ops.shape(sequences)[0]
        if initial_state is None:
            own = self.states if self.stateful else None
            initial_state = self.get_initial_state(batch_size) if own is None else own
        if self.stateful and self.states:
            expected = keras.tree.flatten(self.states)[0].shape[0]
            if sequences.shape[0] not in (None, expected):
                raise ValueError(
                    f"{self.name} is stateful, and its states have a batch size of {expected}, "
                    f"got inputs of shape {tuple(sequences.shape)}. Use batches of {expected}."
                )
        if not keras.tree.is_nested(initial_state):
            initial_state = [initial_state]
        dtype = self.cell.compute_dtype
        return keras.tree.map_structure(
            lambda state: keras.ops.convert_to_tensor(state, dtype), list(initial_state)
        )

    def _draw_masks(self, sequences, states):
        masks = draw_masks(self.cell, keras.ops.shape(sequences)[0], sequences.shape[-1])
        if hasattr(self.cell, "cells"):
            # keras.layers.RNN calls a stack once before its loop, and zoneout draws then.
            # So do we: the same seed gives the same numbers.
            call_cell(self.cell, sequences[:, 0], states, True, masks)
        return masks

    def _as_output(self, tensor):
        return keras.ops.cast(tensor, self.compute_dtype)

    def inner_loop(self, sequences, initial_state, mask, training=False, dropout_masks=None):
        """Runs the cell over time, as `keras.layers.RNN.inner_loop` does.

        Args:
            sequences: `(batch, time, ...)`.
            initial_state: the states before the first step, a list.
            mask: `None`, or `(batch, time)`.
            training: whether dropout, zoneout and truncation apply.
            dropout_masks: what `kerasrnn.layers.dropout.draw_masks` gave. Default: `None`.

        Returns:
            The last output, all outputs and the last states.
        """
        gates = self.gates(sequences, training)
        if runs_whole(self, mask):
            return run_whole(
                self, sequences, initial_state, mask, gates, training, dropout_masks
            )
        if gates is not None:
            return self.gated_loop(sequences, initial_state, mask, gates, dropout_masks)
        if dropout_masks is None:
            return super().inner_loop(sequences, initial_state, mask, training)
        flags = {name: getattr(self, name) for name in FLAGS - {"stateful"}}
        masked_cell = _MaskedCell(self.cell, dropout_masks)
        loop = keras.layers.RNN(masked_cell, name=self.name, **flags)
        return loop.inner_loop(sequences, initial_state, mask)

    def gated_loop(self, sequences, initial_state, mask, gates, dropout_masks=None):
        """Runs the cell in training, with a gradient gate before each step."""

        def step(x_t, states):
            return *call_cell(self.cell, x_t, states, True, dropout_masks), []

        last_output, outputs, last_states, _ = run_step_by_step(
            self, step, sequences, initial_state, mask, gates
        )
        return last_output, outputs, last_states

    def reset_state(self) -> None:
        """Restores the states that `get_initial_state` gives."""
        if self.states is not None:
            states = tf.nest.flatten(list(self.states))
            initial_state = self.get_initial_state(states[0].shape[0])
            for state, value in zip(states, tf.nest.flatten(initial_state), strict=True):
                state.assign(value)

    def get_config(self) -> dict:
        full = isinstance(self.truncation, FullBPTT)
        truncation = None if full else keras.saving.serialize_keras_object(self.truncation)
        return {**super().get_config(), "truncation": truncation}


class _MaskedCell:
    """A cell and the dropout masks of one call in training, as one cell for Keras' loop."""

    def __init__(self, cell, masks):
        self._cell, self._masks = cell, masks
        self.state_size = cell.state_size

    def call(self, x_t, states):
        return call_cell(self._cell, x_t, states, True, self._masks)

    __call__ = call


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
    """Does what `keras.layers.RNN.inner_loop` does, with another step function.

    Args:
        layer: its flags (`go_backwards`, `return_sequences`, `zero_output_for_mask`)
            apply.
        step: a function of x_t, the states before it and one slice of each of the
            `elements`; returns the output, the new states and a list of records.
        sequences: `(batch, time, ...)`.
        initial_state: the states before the first step.
        mask: `None` or `(batch, time)`.
        gates: the gradient gates that states pass before each step. Default:
            `None`.
        elements: more tensors that the steps read, `(time, ...)`.
        records: for each record of a step, a tensor of its shape and dtype.

    Returns:
        The last output, `(batch, ...)`; all outputs, `(batch, time, ...)`, or only the
        last without `return_sequences`; the last states; the records of all steps,
        `(time, ...)`.
    """
    inputs, mask = by_time(layer, sequences, mask)
    optional = [tensor for tensor in (gates, mask) if tensor is not None]

    def run(before, slices_t):
        output_before, states, _ = before
        x_t, *slices_t = slices_t
        optional_t, elements_t = slices_t[: len(optional)], slices_t[len(optional) :]
        if layer.zero_output_for_mask:  # what a masked step puts out
            output_before = tf.zeros_like(output_before)

        def run_cell(before):
            output, new_states, recorded = step(x_t, before[1], *elements_t)
            return (output, new_states), recorded

        (output, states), recorded = take_step(
            run_cell,
            (output_before, states),
            None if gates is None else optional_t[0],
            None if mask is None else optional_t[-1],
        )
        return output, states, recorded

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
