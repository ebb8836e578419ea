"""Dropout in recurrent cells: one mask per sequence, used at every step.

Masks are drawn in training only, before the loop over time. A cell that takes its masks as
arguments, as `kerasrnn.VanillaRNNCell` does, gets those of the current call at each step.
Nothing is stored, so that several threads can call one layer at the same time. Keras' own
cells store their masks as attributes instead; `masks_kept_by_keras` deals with that.

Reference: Y. Gal and Z. Ghahramani, "A theoretically grounded application of dropout in
recurrent neural networks", 2016, arXiv:1512.05287.
"""

import contextlib
import inspect
import threading
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import keras
import tensorflow as tf

_changing_rates = threading.RLock()


class DropoutMasks(NamedTuple):
    """The dropout masks of one cell for one batch of sequences; `None` drops nothing."""

    inputs: tuple[tf.Tensor, ...] | None = None
    """For every x_t, one for each gate, each `(batch, features)`."""
    states: tuple[tf.Tensor, ...] | None = None
    """For every h_{t-1} that a step reads, one for each gate, each `(batch, units)`."""


def takes_masks(cell: Any) -> bool:
    """Whether a cell draws masks for its caller, and takes them as arguments of `call`."""
    arguments = {"dropout_mask", "recurrent_dropout_mask"}
    return hasattr(cell, "draw_dropout_masks") and arguments <= set(
        inspect.signature(cell.call).parameters
    )


def keeping_masks(cell: Any) -> list[Any]:
    """The cells inside a cell that take no masks as arguments.

    These are all cells of a stack that has a `call` of its own, since only that knows how
    its cells are called.

    Args:
        cell: a cell, or a stack of cells.
    """
    if hasattr(cell, "cells") and type(cell) is not keras.layers.StackedRNNCells:
        return cell.cells
    return [each for each in getattr(cell, "cells", [cell]) if not takes_masks(each)]


def draw_masks(
    cell: Any, batch_size: int | tf.Tensor, num_features: int | None = None
) -> DropoutMasks | list | None:
    """Draws the dropout masks of a cell for one batch of sequences, in training.

    Keras' cells draw theirs, too, and keep them: call this function and run all steps
    inside `masks_kept_by_keras`.

    Args:
        cell: a built cell, or a stack of cells.
        batch_size: number of sequences.
        num_features: the size of x_t. Default: that of the cell's kernel.

    Returns:
        The `masks` for `kerasrnn.layers.steps.call_cell`: a list for a stack, or `None`.
    """
    keeping = keeping_masks(cell)
    masks = []
    for each in getattr(cell, "cells", [cell]):
        drawn = DropoutMasks()
        if not any(each is one for one in keeping):
            drawn = each.draw_dropout_masks(batch_size)
        elif hasattr(each, "get_recurrent_dropout_mask"):
            size, dtype = num_features or _num_features(each), each.compute_dtype
            each.get_dropout_mask(tf.ones([batch_size, size], dtype))
            each.get_recurrent_dropout_mask(tf.ones([batch_size, each.units], dtype))
        masks.append(None if drawn.inputs is None and drawn.states is None else drawn)
        num_features = None
    if all(mask is None for mask in masks):
        return None
    return masks if hasattr(cell, "cells") else masks[0]


def _num_features(cell):
    return cell.units if cell.kernel is None else cell.kernel.shape[0]


@contextlib.contextmanager
def masks_kept_by_keras(cells: Iterable[Any], training: bool) -> Iterator[None]:
    """Surrounds all steps of cells that keep their dropout masks themselves.

    Keras' cells draw a mask when it is first asked for, even in inference, and keep it until
    `reset_dropout_mask`. In training this function resets the masks at the end. In
    inference it sets the rates of the cells to 0 until the end, so that no mask is drawn,
    and an exported graph changes no random state.

    Limits: inference holds a lock, but training does not. A thread that trains such a cell
    may find rates of 0 while another thread runs it in inference, and may get the masks of
    another thread that trains it. Cells of which `takes_masks` is true have no such limits.

    Args:
        cells: those of other kinds than Keras' are left alone.
        training: whether dropout applies.
    """
    keeping = [cell for cell in cells if hasattr(cell, "get_recurrent_dropout_mask")]
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
