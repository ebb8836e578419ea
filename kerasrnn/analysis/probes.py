"""Records what happens inside the recurrent layers of a model, with any Keras cell.

While `recording`, each recurrent layer runs step by step. After each step a probe, a
tensor of zeros, is added to each state. The gradient of a loss with respect to a probe
is its gradient with respect to the state. The output of a cell gets a probe, too, if it
is another tensor than its state.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from kerasrnn.layers import rnn
from kerasrnn.layers.dropout import masks_kept_by_keras
from kerasrnn.layers.nested_layers import recurrent_layers
from kerasrnn.layers.steps import call_cell

ACTIVATIONS = ("activation", "recurrent_activation")


@dataclasses.dataclass
class CellRecord:
    """One cell over one batch, time-major; `time` is in the order the layer goes."""

    name: str
    """The name of the layer; for a cell in a stack followed by its number."""
    cell: Any
    inputs: tf.Tensor
    """x_t, `(time, batch, features)`."""
    before: list[tf.Tensor]
    """The states that each step began with, each `(time, batch, units)`."""
    states: list[tf.Tensor]
    """The states after each step, h_t first, each `(time, batch, units)`."""
    probes: list[tf.Tensor]
    """The zeros in these states."""
    output_probes: tf.Tensor | None
    """The zeros in the outputs; `None` where the output is h_t, with its probe."""
    pre_activations: list[tuple[Callable, tf.Tensor]]
    """Each activation function of a step and its arguments, `(time, batch, units)`."""
    mask: tf.Tensor | None
    """Which steps count, `(time, batch, 1)`; `None`: all."""
    gates: tf.Tensor | None
    """Gates on gradients, as `kerasrnn.layers.truncation` draws them; `None`: all 1."""


@contextlib.contextmanager
def recording(
    model: keras.layers.Layer, tape: tf.GradientTape, training: bool = False
) -> Iterator[list[CellRecord]]:
    """While this context is open, calls of the model record what its recurrent cells do.

    At the end the states, metrics and random generators of the model are restored.

    Args:
        model: its layers are changed inside, so only one thread may use it.
        tape: the tape that watches the probes.
        training: whether cells may draw dropout masks. Default: `False`.

    Yields:
        The records of all cells, in the order in which they are called.
    """
    records: list[CellRecord] = []
    layers = recurrent_layers(model)
    others = [layer for layer in layers if not isinstance(layer, rnn.RNN)]
    cells = [cell for layer in others for cell in getattr(layer.cell, "cells", [layer.cell])]
    changing = [*model.non_trainable_variables]
    if isinstance(model, keras.Model):
        changing += model.metrics_variables
    for layer in layers:
        changing += tf.nest.flatten(layer.states) if layer.stateful and layer.states else []
    kept = [(variable, tf.identity(variable)) for variable in changing]
    try:
        for layer in layers:
            layer.inner_loop = _recorded_loop(layer, tape, records)
        with masks_kept_by_keras(cells, training):
            yield records
    finally:
        for layer in layers:
            del layer.inner_loop
        for variable, value in kept:
            variable.assign(value)


def _recorded_loop(layer, tape, records):
    stacked = hasattr(layer.cell, "cells")
    cells = layer.cell.cells if stacked else [layer.cell]

    def inner_loop(sequences, initial_state, mask, training=False, dropout_masks=None):
        gates = layer.gates(sequences, training) if isinstance(layer, rnn.RNN) else None
        entries = initial_state if stacked else [initial_state]
        if any(len(state.shape) != 2 for state in tf.nest.flatten(initial_state)):
            raise ValueError(f"{layer.name} has states that are no vectors, (batch, units).")
        of_stack = isinstance(dropout_masks, list)
        masks_of_cells = dropout_masks if of_stack else [dropout_masks] * len(cells)
        time = tf.shape(sequences)[1]

        def zeros_like(tensor):
            zeros = tf.zeros(tf.concat([time[None], tf.shape(tensor)], 0), tensor.dtype)
            return tf.ensure_shape(zeros, [None, *tensor.shape])

        probes = [[zeros_like(state) for state in tf.nest.flatten(entry)] for entry in entries]
        functions: list[list[Callable]] = []  # of each cell, as its step calls them
        own_outputs: list[bool] = []  # of each cell, whether its output is not its state

        def run_cells(x_t, states, probes_t):
            functions.clear()
            own_outputs.clear()
            new_states, recorded = [], []
            for cell, entry, added, masks in zip(
                cells, states if stacked else [states], probes_t, masks_of_cells, strict=True
            ):
                before = tf.nest.flatten(entry)
                with _watched_activations(cell) as seen:
                    output, after = call_cell(cell, x_t, before, training, masks)
                functions.append([function for function, _ in seen])
                own_outputs.append(output is not after[0])
                probed = [s + p for s, p in zip(after, added[: len(after)], strict=True)]
                arguments = [tf.identity(argument) for _, argument in seen]
                recorded.append([x_t, before, probed, arguments])
                x_t = probed[0]
                if own_outputs[-1]:
                    x_t = output + added[-1] if len(added) > len(after) else output
                new_states.append(tf.nest.pack_sequence_as(entry, probed))
            return x_t, new_states if stacked else new_states[0], recorded

        first = tf.nest.map_structure(lambda p: p[0], probes)
        output, _, recorded = run_cells(sequences[:, 0], initial_state, first)
        templates = tf.nest.map_structure(tf.zeros_like, recorded)
        outputs = [*(inputs for inputs, *_ in recorded[1:]), output]  # the next cell reads them
        for number, own in enumerate(own_outputs):
            if own:
                probes[number].append(zeros_like(outputs[number]))
        tape.watch(probes)

        def step(x_t, states, *probes_t):
            return run_cells(x_t, states, tf.nest.pack_sequence_as(probes, probes_t))

        *results, recorded = rnn.run_step_by_step(
            layer,
            step,
            sequences,
            initial_state,
            mask,
            gates,
            tf.nest.flatten(probes),
            templates,
        )
        counted = None if mask is None else rnn.by_time(layer, sequences, mask)[1]
        for number, (inputs, before, states, arguments) in enumerate(recorded):
            records.append(
                CellRecord(
                    f"{layer.name}/{number}" if stacked else layer.name,
                    cells[number],
                    inputs,
                    before,
                    states,
                    probes[number][: len(states)],
                    probes[number][-1] if own_outputs[number] else None,
                    list(zip(functions[number], arguments, strict=True)),
                    counted,
                    gates,
                )
            )
        return tuple(results)

    return inner_loop


@contextlib.contextmanager
def _watched_activations(cell) -> Iterator[list[tuple[Callable, tf.Tensor]]]:
    """Records the arguments of the cell's activation functions."""
    seen: list[tuple[Callable, tf.Tensor]] = []
    functions = {name: getattr(cell, name) for name in ACTIVATIONS if hasattr(cell, name)}

    def watched(function):
        def call(argument):
            seen.append((function, argument))
            return function(argument)

        return call

    try:
        for name, function in functions.items():
            setattr(cell, name, watched(function))
        yield seen
    finally:
        for name, function in functions.items():
            setattr(cell, name, function)
