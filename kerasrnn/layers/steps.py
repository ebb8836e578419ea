"""One step of a cell, and what surrounds it: dropout masks, gradient gates, masks of time.

Dropout in recurrent cells takes one mask a sequence (Gal & Ghahramani 2016,
arXiv:1512.05287). Masks are drawn in training alone, before the loop over time. A cell that
takes them as arguments, as `kerasrnn.VanillaRNNCell` does, is handed those of the call that
it is part of: two threads that run one layer share nothing. Keras' own cells keep their
masks as attributes instead; `masks_kept_by_keras` is all that is done about that.
"""

import contextlib
import inspect
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from kerasrnn.layers.truncation import gate_gradient

_changing_rates = threading.RLock()


class DropoutMasks(NamedTuple):
    """The dropout masks of one cell for a batch of sequences; `None` drops nothing."""

    inputs: tf.Tensor | None = None
    """On every x_t, `(batch, features)`."""
    states: tf.Tensor | None = None
    """On what every step reads of h_{t-1}, `(batch, units)`."""


def takes_masks(cell: Any) -> bool:
    """Whether a cell draws its masks for the caller, who hands them back at each step."""
    arguments = {"dropout_mask", "recurrent_dropout_mask"}
    return hasattr(cell, "draw_dropout_masks") and arguments <= set(
        inspect.signature(cell.call).parameters
    )


def draw_masks(
    cell: Any, batch_size: int | tf.Tensor, num_features: int | None = None
) -> DropoutMasks | list | None:
    """The dropout masks of a cell for one batch of sequences, in training.

    Cells that keep masks themselves draw them, too; call this, and the steps that follow,
    inside `masks_kept_by_keras`.

    Args:
        cell: a built cell, or a stack of cells.
        batch_size: how many sequences.
        num_features: the size of x_t. Default: as the kernel of the cell says.

    Returns:
        What `call_cell` takes: `None` where nothing is to be handed to the cell; a list for
        a `keras.layers.StackedRNNCells`.
    """
    keeping = keeping_masks(cell)
    masks = []
    for each in getattr(cell, "cells", [cell]):
        drawn = None
        if not any(each is one for one in keeping):
            drawn = each.draw_dropout_masks(batch_size)
        elif hasattr(each, "get_recurrent_dropout_mask"):
            size = num_features or each.kernel.shape[0]
            each.get_dropout_mask(tf.ones([batch_size, size], each.compute_dtype))
            each.get_recurrent_dropout_mask(
                tf.ones([batch_size, each.units], each.compute_dtype)
            )
        masks.append(drawn if any(mask is not None for mask in drawn or ()) else None)
        num_features = output_size(each)
    if all(mask is None for mask in masks):
        return None
    return masks if hasattr(cell, "cells") else masks[0]


@contextlib.contextmanager
def masks_kept_by_keras(cells: Iterable[Any], training: bool) -> Iterator[None]:
    """Around all steps of cells that keep their dropout masks themselves.

    Keras' cells draw a mask when they are first asked for it, in inference, too, and keep it
    until `reset_dropout_mask`. In training they forget theirs at the end. In inference
    their rates are 0 meanwhile, so that an exported graph changes no random state; a lock
    lets one thread do so at a time. Training takes no lock: a thread that trains such a cell
    while another runs it in inference may meet rates of 0, and two that train it may meet
    each other's masks. Cells of which `takes_masks` is true know none of these limits.

    Args:
        cells: others than Keras' are left alone.
        training: whether dropout applies.
    """
    keeping = [
        cell
        for cell in cells
        if hasattr(cell, "get_recurrent_dropout_mask")
        and (cell.dropout or cell.recurrent_dropout)
    ]
    if not keeping:
        yield
    elif training:
        try:
            yield
        finally:
            for cell in keeping:
                cell.reset_dropout_mask()
                cell.reset_recurrent_dropout_mask()
    else:
        with _changing_rates:
            rates = [(cell.dropout, cell.recurrent_dropout) for cell in keeping]
            try:
                for cell in keeping:
                    cell.dropout = cell.recurrent_dropout = 0.0
                yield
            finally:
                for cell, (dropout, recurrent_dropout) in zip(keeping, rates, strict=True):
                    cell.dropout, cell.recurrent_dropout = dropout, recurrent_dropout


def keeping_masks(cell: Any) -> list[Any]:
    """The cells of a stack, or the only one, to which `call_cell` can hand no masks.

    A stack that is called in another way than Keras' is left to call its cells itself.
    """
    if hasattr(cell, "cells") and type(cell) is not keras.layers.StackedRNNCells:
        return cell.cells
    return [each for each in getattr(cell, "cells", [cell]) if not takes_masks(each)]


def call_cell(
    cell: Any,
    x_t: tf.Tensor,
    states: Any,
    training: bool,
    masks: DropoutMasks | list | None = None,
) -> tuple[tf.Tensor, Any]:
    """One step of any Keras cell.

    Args:
        cell: a cell, or a stack of cells.
        x_t: `(batch, features)`.
        states: those before the step, a list; for a stack, one entry a cell.
        training: whether dropout and zoneout apply.
        masks: what `draw_masks` gave. Default: no dropout, except in cells that keep masks
            themselves.

    Returns:
        The output, `(batch, ...)`, and the new states, nested as `states` is.
    """
    if isinstance(masks, list):
        new_states = []
        for each, before, masks_of_cell in zip(cell.cells, states, masks, strict=True):
            before = before if tf.nest.is_nested(before) else [before]
            x_t, after = call_cell(each, x_t, before, training, masks_of_cell)
            new_states.append(after)
        return x_t, tf.nest.pack_sequence_as(states, tf.nest.flatten(new_states))
    options: dict[str, Any] = {}
    if "training" in inspect.signature(cell.call).parameters:
        options["training"] = training
    if masks is not None:
        options.update(dropout_mask=masks.inputs, recurrent_dropout_mask=masks.states)
    kept = [] if training else keeping_masks(cell)
    with masks_kept_by_keras(kept, training):
        output, new_states = cell(x_t, states, **options)
    return output, tf.nest.pack_sequence_as(states, tf.nest.flatten(new_states))


def take_step(
    step: Callable[[Any], tuple[Any, Any]],
    states: Any,
    gate: tf.Tensor | None = None,
    mask: tf.Tensor | None = None,
) -> tuple[Any, Any]:
    """One step with a gradient gate before it and a mask after it.

    Args:
        step: from states to new states, nested alike, and whatever else it gives.
        states: any nest of tensors, `(batch, units)`.
        gate: xi_t, which multiplies the gradient that the step hands back to `states`,
            `(batch, 1)` or `(1, 1)`. Default: 1.
        mask: where it is `False`, `states` stay, `(batch, 1)`. Default: `True`.

    Returns:
        The states after the step, and what else it gave.
    """
    if gate is not None:
        states = tf.nest.map_structure(lambda state: gate_gradient(state, gate), states)
    new_states, others = step(states)
    if mask is not None:
        new_states = tf.nest.map_structure(
            lambda new, old: tf.where(mask, new, old), new_states, states
        )
    return new_states, others


def output_size(cell: Any) -> int:
    """The size of what the cell puts out at each step."""
    size = getattr(cell, "output_size", None)
    if size is not None:
        return size
    return cell.state_size if isinstance(cell.state_size, int) else cell.state_size[0]
