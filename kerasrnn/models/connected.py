"""Recurrent layers that a function connects, run over whole sequences or step by step.

The function is `connect(inputs, recur)`: a graph of layers that calls `recur(layer, x)` in
place of `layer(x)` for each recurrent layer, once. States are a list with one entry for each of
these layers, in their order.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from kerasrnn.layers import rnn
from kerasrnn.layers.dropout import draw_masks, keeping_masks, masks_kept_by_keras
from kerasrnn.layers.steps import call_cell, take_step
from kerasrnn.training.feedback import Feedback, run_with_feedback

Connect = Callable[[tf.Tensor, Callable], tf.Tensor]


def run_whole(
    connect: Connect,
    layers: Sequence[keras.layers.RNN],
    inputs: tf.Tensor,
    states: list,
    mask: tf.Tensor | None,
    training: bool,
) -> tuple[tf.Tensor, list]:
    """Runs each layer over all steps before the next layer.

    Args:
        connect: connects the layers.
        layers: the recurrent ones, with `return_state=True`.
        inputs: `(batch, time, ...)`.
        states: those before the first step.
        mask: booleans, `(batch, time)`; `None`: all steps count.
        training: whether dropout and truncation apply.

    Returns:
        What `connect` returns, and the states after the last step.
    """
    positions = _positions(layers)
    new_states: list = [None] * len(layers)

    def recur(layer, x):
        position = positions[id(layer)]
        x, *new_states[position] = layer(
            x, initial_state=states[position], mask=mask, training=training
        )
        return x

    with masks_kept_by_keras(_cells_run_by_keras(layers), training):
        return connect(inputs, recur), new_states


def run_with_own_outputs(
    connect: Connect,
    layers: Sequence[keras.layers.RNN],
    inputs: tf.Tensor,
    states: list,
    mask: tf.Tensor | None,
    training: bool,
    feedback: Feedback,
) -> tuple[tf.Tensor, list]:
    """Runs all layers over one step before the next step, which may read their output.

    Args:
        connect: connects the layers; a single step has `time` 1.
        layers, inputs, states, mask, training: as of `run_whole`.
        feedback: what to feed.

    Returns:
        The outputs, `(batch, time, ...)`, and the states after the last step.
    """
    positions = _positions(layers)
    gates = [
        layer.gates(inputs, training) if isinstance(layer, rnn.RNN) else None
        for layer in layers
    ]

    def step(t, x_t, states):
        new_states: list = [None] * len(layers)

        def recur(layer, x):
            position = positions[id(layer)]

            def run_cell(before):
                masks = dropout_masks[position]
                output, after = call_cell(layer.cell, x[:, 0], before, training, masks)
                return after, output

            new_states[position], output = take_step(
                run_cell,
                states[position],
                None if gates[position] is None else gates[position][t],
                None if mask is None else mask[:, t, None],
            )
            return output[:, None]

        output = connect(x_t[:, None], recur)
        return output[:, 0], new_states

    keeping = [cell for layer in layers for cell in keeping_masks(layer.cell)]
    with masks_kept_by_keras(keeping, training):
        batch_size = tf.shape(inputs)[0]
        dropout_masks = [
            draw_masks(layer.cell, batch_size) if training else None for layer in layers
        ]
        return run_with_feedback(step, inputs, states, feedback, mask)


def run_one_step(connect: Connect, inputs: tf.Tensor, states: list) -> tuple[tf.Tensor, list]:
    """Runs one step in inference, with plain operations.

    Args:
        connect: connects the layers, and calls them in the order of their states.
        inputs: of the step, without an axis of time.
        states: those before it.

    Returns:
        The output of the step, and the new states.
    """
    new_states: list = []

    def recur(layer, x):
        output, after = call_cell(layer.cell, x, states[len(new_states)], training=False)
        new_states.append(after)
        return output

    return connect(inputs, recur), new_states


def _positions(layers: Sequence[keras.layers.RNN]) -> dict[int, int]:
    return {id(layer): number for number, layer in enumerate(layers)}


def _cells_run_by_keras(layers: Sequence[keras.layers.RNN]) -> Iterator[Any]:
    for layer in layers:
        if not isinstance(layer, rnn.RNN):
            yield from getattr(layer.cell, "cells", [layer.cell])
