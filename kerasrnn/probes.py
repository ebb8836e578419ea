"""What happens inside recurrent layers, recorded while a model runs: any Keras cell.

While `recording`, each recurrent layer runs step by step, and a probe of zeros is
added to each h_t: the gradient of a loss for the probe is dL/dh_t, through all that
reads h_t, at the same step and later.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from kerasrnn import rnn

ACTIVATIONS = ("activation", "recurrent_activation")


@dataclasses.dataclass
class CellRecord:
    """One cell over one batch, time-major; `time` is in the order the layer goes."""

    name: str
    """That of the layer; for a cell in a stack with its number."""
    cell: Any
    inputs: tf.Tensor
    """x_t, `(time, batch, features)`."""
    before: list[tf.Tensor]
    """The states that each step began with, each `(time, batch, units)`."""
    structure: Any
    """How the cell takes these states: a tensor, or a list."""
    states: tf.Tensor
    """h_t, the first state after each step, `(time, batch, units)`."""
    probes: tf.Tensor
    """The zeros in h_t, `(time, batch, units)`."""
    pre_activations: list[tuple[Callable, tf.Tensor]]
    """Each activation function of a step and its arguments, `(time, batch, units)`."""
    mask: tf.Tensor | None
    """Which steps count, `(time, batch, 1)`; `None`: all."""
    gates: tf.Tensor | None
    """Gates on gradients, as `kerasrnn.truncation` draws them; `None`: all 1."""


def recurrent_layers(model: keras.layers.Layer) -> list[keras.layers.RNN]:
    """All recurrent layers of a model, however deep they lie in it."""
    found: dict[int, keras.layers.RNN] = {}
    seen: set[int] = set()

    def visit(thing):
        if isinstance(thing, dict):
            thing = list(thing.values())
        if id(thing) in seen or not isinstance(thing, (list, tuple, keras.layers.Layer)):
            return
        seen.add(id(thing))
        if isinstance(thing, keras.layers.RNN):
            found.setdefault(id(thing), thing)
        elif isinstance(thing, (list, tuple)):
            for part in thing:
                visit(part)
        else:
            for part in vars(thing).values():
                visit(part)

    visit(model)
    return list(found.values())


@contextlib.contextmanager
def recording(model: keras.layers.Layer, tape: tf.GradientTape) -> Iterator[list[CellRecord]]:
    """Inside, calls of the model note what its recurrent cells do.

    Args:
        model: its layers are changed meanwhile: for one thread at a time.
        tape: watches the probes.

    Yields:
        The records, filled as layers are called, in the order of the calls.
    """
    records: list[CellRecord] = []
    layers = recurrent_layers(model)
    carried = [layer.states for layer in layers]
    carried = [
        s if s is None else [tf.identity(v) for v in tf.nest.flatten(s)] for s in carried
    ]
    try:
        for layer in layers:
            layer.inner_loop = _recorded_loop(layer, tape, records)
        yield records
    finally:
        for layer, states in zip(layers, carried, strict=True):
            del layer.inner_loop
            if layer.stateful and states is not None:
                for variable, state in zip(tf.nest.flatten(layer.states), states, strict=True):
                    variable.assign(state)


def _recorded_loop(layer, tape, records):
    stacked = hasattr(layer.cell, "cells")
    cells = layer.cell.cells if stacked else [layer.cell]

    def inner_loop(sequences, initial_state, mask, training=False):
        gates = layer.gates(sequences, training) if isinstance(layer, rnn.RNN) else None
        entries = list(initial_state) if stacked else [list(initial_state)]
        time = tf.shape(sequences)[1]
        probes = []
        for entry in entries:
            h_0 = tf.nest.flatten(entry)[0]
            probes.append(tf.zeros(tf.concat([time[None], tf.shape(h_0)], 0), h_0.dtype))
            probes[-1] = tf.ensure_shape(probes[-1], [None, *h_0.shape])
        tape.watch(probes)
        functions: list[list[Callable]] = []  # of each cell, as its step calls them

        def step(x_t, states, *probes_t):
            new_states, recorded = [], []
            functions.clear()
            for cell, before, probe in zip(
                cells, states if stacked else [states], probes_t, strict=True
            ):
                with _watched_activations(cell) as seen:
                    output, after = rnn.call_cell(cell, x_t, before, training)
                flat = tf.nest.flatten(after)
                shows_state = output is flat[0] or getattr(cell, "residual", False)
                flat[0] = flat[0] + probe
                arguments = [tf.identity(argument) for _, argument in seen]
                functions.append([function for function, _ in seen])
                recorded.append([x_t, flat[0], tf.nest.flatten(before), arguments])
                x_t = output + probe if shows_state else output
                new_states.append(tf.nest.pack_sequence_as(before, flat))
            return x_t, new_states if stacked else new_states[0], recorded

        first = step(sequences[:, 0], initial_state, *(p[0] for p in probes))[2]
        templates = tf.nest.map_structure(tf.zeros_like, first)
        *results, recorded = rnn.run_step_by_step(
            layer, step, sequences, initial_state, mask, gates, probes, templates
        )
        counted = None if mask is None else rnn.by_time(layer, sequences, mask)[1]
        for number, (inputs, states, before, arguments) in enumerate(recorded):
            records.append(
                CellRecord(
                    f"{layer.name}/{number}" if stacked else layer.name,
                    cells[number],
                    inputs,
                    before,
                    entries[number],
                    states,
                    probes[number],
                    list(zip(functions[number], arguments, strict=True)),
                    counted,
                    gates,
                )
            )
        return tuple(results)

    return inner_loop


@contextlib.contextmanager
def _watched_activations(cell) -> Iterator[list[tuple[Callable, tf.Tensor]]]:
    """Notes the arguments of the cell's activation functions."""
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
