"""The slopes of activations, and by how much one step can multiply a gradient."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.analysis.probes import CellRecord
from kerasrnn.analysis.spectrum import KernelSpectrum
from kerasrnn.layers.vanilla_cell import VanillaRNNCell

SATURATED = 0.1
"""A unit is saturated at a step if its slope is less than this share of the steepest."""


def measure_slopes(record: CellRecord, steps: slice = slice(None)) -> dict[str, tf.Tensor]:
    """The share of saturated units at each step, and the steepest slope of any unit.

    The share is NaN at a step where every sequence is masked. Empty for a cell without an
    `activation` or `recurrent_activation`.
    """
    if not record.pre_activations:
        return {}
    grid = tf.linspace(-8.0, 8.0, 1601)
    slopes, saturated = [], []
    for function, arguments in record.pre_activations:
        slope = _slope(function, arguments[steps])
        steepest = tf.reduce_max(_slope(function, tf.cast(grid, slope.dtype)))
        slopes.append(slope)
        saturated.append(tf.cast(slope < SATURATED * steepest, tf.float32))
    mask = tf.ones([]) if record.mask is None else tf.cast(record.mask[steps], tf.float32)
    slope, all_saturated = tf.concat(slopes, -1), tf.concat(saturated, -1)
    used = mask * tf.ones_like(all_saturated)
    return {
        "gamma": tf.reduce_max(tf.cast(slope, tf.float32) * used),
        "saturated": tf.reduce_sum(all_saturated * used, [1, 2]) / tf.reduce_sum(used, [1, 2]),
    }


def _slope(function, arguments: tf.Tensor) -> tf.Tensor:
    """|phi'(a)|."""
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        values = function(arguments)
    return tf.abs(tape.gradient(values, arguments, unconnected_gradients="zero"))


def growth_of(
    cell, spectrum: Sequence[KernelSpectrum], gamma: Any, training: bool = False
) -> np.float64 | None:
    """The most by which one step of a plain cell can multiply a gradient.

    `None` for cells with gates and cells of a user's own.
    """
    plain = (keras.layers.SimpleRNNCell.call, VanillaRNNCell.call)
    is_plain = isinstance(cell, keras.layers.SimpleRNNCell) and type(cell).call in plain
    if not is_plain or gamma is None:
        return None
    through_kernel = np.float64(gamma) * spectrum[0].largest_singular_value
    if training:
        through_kernel /= 1 - cell.recurrent_dropout
    updates = None
    if isinstance(cell, VanillaRNNCell):
        updates = cell.draw_updates([cell.units], False)
    if updates is None:
        return through_kernel
    update = np.asarray(updates[0], "float64")
    if training and cell.zoneout:  # units that keep their state, and units that do not
        return 1 + update.max() / (1 - cell.zoneout) * through_kernel
    return (1 - update).max() + update.max() * through_kernel
