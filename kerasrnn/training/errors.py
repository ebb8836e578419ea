"""What a training step finds wrong inside its graph, said as a clear error."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import tensorflow as tf

NOT_FINITE = "kerasrnn: not finite"
BATCH_SIZE = "kerasrnn: batch size"
PARTS = "kerasrnn: parts"
LOSS_SHAPE = "kerasrnn: loss shape"
TARGET_SHAPE = "kerasrnn: target shape"
TARGETS = "kerasrnn: targets"

ONE_LOSS = {
    1: "one loss per sequence, (batch,)",
    2: "one loss per step, (batch, time)",
    3: "one loss per variable of each step, (batch, time, variables)",
}
"""What a loss function must return, by how many axes it has."""


@contextmanager
def required(condition: tf.Tensor, kind: str, *values: tf.Tensor | int) -> Iterator[None]:
    """What is made inside runs only if `condition` holds; else `clear_errors` says why.

    Args:
        condition: a boolean scalar.
        kind: `NOT_FINITE`, `BATCH_SIZE`, `PARTS`, `LOSS_SHAPE`, `TARGET_SHAPE` or
            `TARGETS`.
        *values: what the error tells, in its order.
    """
    check = tf.debugging.Assert(condition, [kind, *values])
    with tf.control_dependencies([] if check is None else [check]):  # eagerly there is no op
        yield


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turns what a step finds wrong inside its graph into the error that says so.

    Raises:
        FloatingPointError: for a loss or a gradient that is not finite.
        ValueError: for a batch size that changes while states are carried, a
            batch that cannot be split into equal parts, losses of a shape that
            is not that of the outputs, targets of a shape that the model cannot
            be compared with, or an id or a target that the vocabulary does not have.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        message = str(error)
        make: Callable | None = next(
            (f for key, f in _MESSAGES.items() if key in message), None
        )
        if make is None:
            _raise_out_of_range(message, error)
            raise
        values = re.findall(r"[\[\n]([^\[\]\n]+)", message[message.index("kerasrnn: ") :])
        raise make(*values) from None


def _raise_out_of_range(message: str, error: Exception) -> None:
    """Raises the clear error of an id that a table of a graph does not have, if it is one."""
    of_loss = "SparseSoftmaxCrossEntropy" in message
    if of_loss and "segment_ids[" in message:  # told by the gradient, without the value
        raise ValueError(
            "targets must lie among the outputs of the model, but one does not."
        ) from error
    for what, pattern in _OUT_OF_RANGE.items():
        found = re.search(pattern, message)
        if found:
            value, size = found.groups()
            what = "targets" if of_loss else what
            of = "outputs of the model" if what == "targets" else "entries of the vocabulary"
            raise ValueError(
                f"{what} must lie from 0 to {int(size) - 1}, the {size} {of}, got {value}."
            ) from error


def _not_finite(step, loss, norm, *_):
    return FloatingPointError(
        f"step {step} is not finite: its loss is {loss.removeprefix('-')}, the norm of its "
        f"gradient {norm.removeprefix('-')}. "
        "The weights are those of the step before. Lower the learning rate, use "
        'global_clipnorm=, or compile with non_finite="skip" to leave such steps out.'
    )


def _batch_size_changed(before, now, *_):
    return ValueError(
        f"the batch size changed from {before} to {now} while states are carried from batch "
        "to batch. Keep it, call reset_states() where other sequences begin, or use "
        "carry_state=False."
    )


def parts_differ(size: int | str, parts: int | str, *_: str) -> ValueError:
    """The error for a batch that cannot be split into equal parts."""
    return ValueError(
        f"A batch of {size} sequences cannot be split into {parts} equal parts: "
        "parallel_parts must divide it."
    )


_OUT_OF_RANGE = {
    "ids": r"indices\[[\d,]*\] = (-?\d+) is not in \[0, (\d+)\)",
    "targets": r"label value of (-?\d+) which is outside the valid range of \[0, (\d+)\)",
}


def _loss_shape(found, expected, *_):
    found, expected = _sizes(found), _sizes(expected)
    return ValueError(
        f"The loss returned shape ({', '.join(found)}) for outputs of shape "
        f"({', '.join(expected)}). Return {ONE_LOSS[len(expected)]}."
    )


def _target_shape(found, expected, *_):
    return target_shape_differs(("batch", *_sizes(found)), _sizes(expected))


def target_shape_differs(found: Sequence, expected: Sequence) -> ValueError:
    """The error for targets that do not have an entry for each variable of each step.

    Args:
        found: the shape of a batch.
        expected: `(time, variables)`.
    """
    expected, found = (", ".join(map(str, shape)) for shape in (expected, found))
    return ValueError(
        f"targets must have the shape (batch, {expected}): batch, steps and variables, got "
        f"({found}). Use kerasrnn.forecast_windows, or give a single variable an axis of its "
        "own, targets[..., None]."
    )


def _sizes(shape):
    """A graph says "4 3", and a step that runs eagerly "4, 3"."""
    return shape.replace(",", " ").split()


def _targets_out_of_range(smallest, largest, *_):
    return ValueError(
        "targets must lie from 0 to 1, with 1 for the second label, got targets from "
        f"{smallest} to {largest}."
    )


_MESSAGES = {
    NOT_FINITE: _not_finite,
    BATCH_SIZE: _batch_size_changed,
    PARTS: parts_differ,
    LOSS_SHAPE: _loss_shape,
    TARGET_SHAPE: _target_shape,
    TARGETS: _targets_out_of_range,
}
