"""Windows of time series to train a `Forecaster` on."""

from typing import Any

import numpy as np
import tensorflow as tf

from kerasrnn.checks import check_positive_integer, check_seed, is_integer, plain, shown
from kerasrnn.models.series import as_series, check_known, check_observed, place


def forecast_windows(
    series: Any,
    past: int,
    horizon: int,
    *,
    known: Any = None,
    batch_size: int = 32,
    seed: int | None = None,
) -> tf.data.Dataset:
    """Every window of `past + horizon` steps, in batches for `Forecaster.fit`.

    The series are held once. A batch is cut from them when it is read. Windows without an
    observed value of some variable in the past, or of any in the horizon, are left out.

    Args:
        series: one series, an array `(time,)` or `(time, variables)`, or a list of them. NaN
            is a missing value.
        past: how many steps the model reads.
        horizon: how many steps it forecasts.
        known: what is known in advance, at each step of each series, for example the hour of
            the day: arrays `(time, known)`, in the form of `series`. Default: `None`, nothing.
        batch_size: windows in a batch. Default: 32.
        seed: shuffles the windows anew in every epoch. Default: `None`, in their order.

    Returns:
        A dataset of `(inputs, targets)`. `inputs` are `{"inputs", "known", "future"}`: the
        past, `(batch, past, variables)`; what is known of the past and the horizon, `(batch,
        past + horizon, known)`, if it was given; and the true values of the horizon, `(batch,
        horizon, variables)`, for teacher forcing. `targets` are the same values; NaN has no
        weight.

    Raises:
        ValueError: if a series is shorter than a window, has an infinite value or no observed
            one, if `known` has another length than its series, or if a number is out of range.

    Example:

    >>> batches = forecast_windows(np.arange(10.0), past=4, horizon=2)
    >>> [(inputs["inputs"].shape, targets.shape) for inputs, targets in batches]
    [(TensorShape([5, 4, 1]), TensorShape([5, 2, 1]))]
    """
    check_positive_integer("past", past)
    check_positive_integer("horizon", horizon)
    check_positive_integer("batch_size", batch_size)
    check_seed(seed)
    if seed is not None and not is_integer(seed):
        raise ValueError(f"seed must be an integer or None, got seed={shown(seed)}.")
    past, horizon = plain(past), plain(horizon)
    arrays = as_series("series", series)
    check_observed("series", arrays)
    length = past + horizon
    for number, one in enumerate(arrays):
        if len(one) < length:
            raise ValueError(
                f"{place('series', number, arrays)} must have past + horizon = {length} steps "
                f"or more, got {len(one)}. Use a shorter past or horizon, or leave it out."
            )
    parts = {"values": np.concatenate(arrays)}
    if known is not None:
        known = as_series("known", known)
        check_known("known", known, list(map(len, arrays)), "as its series")
        parts["known"] = np.concatenate(known)
    starts = _starts(arrays, past, horizon)
    if not len(starts):
        raise ValueError(
            "series must have a window with an observed value in its past and in its horizon, "
            f"got none of {length} steps. Use a longer past."
        )
    tensors = {name: tf.constant(part) for name, part in parts.items()}
    first, steps = tf.constant(starts, tf.int64), tf.range(length, dtype=tf.int64)

    def cut(numbers):
        rows = tf.gather(first, numbers)[:, None] + steps
        windows = {name: tf.gather(part, rows) for name, part in tensors.items()}
        windows = {
            name: tf.ensure_shape(part, [None, length, part.shape[-1]])
            for name, part in windows.items()
        }
        values = windows.pop("values")
        future = values[:, past:]
        return {"inputs": values[:, :past], **windows, "future": future}, future

    numbers = tf.data.Dataset.range(len(starts))
    if seed is not None:
        numbers = numbers.shuffle(len(starts), seed=plain(seed))
    return numbers.batch(plain(batch_size)).map(cut, num_parallel_calls=tf.data.AUTOTUNE)


def _starts(series, past, horizon):
    """The first step of each window with observed values, in all series behind one another."""
    starts, offset = [], 0
    for one in series:
        before = np.zeros((len(one) + 1, one.shape[1]), int)  # observed before each step
        np.cumsum(~np.isnan(one), axis=0, out=before[1:])
        first = np.arange(len(one) - past - horizon + 1)
        in_past = (before[first + past] > before[first]).all(1)
        in_horizon = (before[first + past + horizon] > before[first + past]).any(1)
        starts.append(offset + first[in_past & in_horizon])
        offset += len(one)
    return np.concatenate(starts)
