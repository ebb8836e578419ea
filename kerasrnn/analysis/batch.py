"""The batch on which a model is measured: arrays, or the first batch of a dataset."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from kerasrnn.training.streams import Stream


class Batch(NamedTuple):
    """Whole sequences, with their targets."""

    inputs: Any
    """`(batch, time, ...)`, or a structure of such tensors."""
    targets: Any
    """What the loss compares the outputs with."""
    sample_weight: Any = None
    """As Keras takes it; `None`: all weights are 1."""


def read_batch(
    model: keras.Model | None, data: Any, targets: Any = None, sample_weight: Any = None
) -> Batch:
    """The batch that a measurement uses.

    Args:
        model: compiled. A `Stream` is cut into the windows of this model; else it is
            not needed.
        data: inputs, or data with its own targets: a `tf.data.Dataset` or a
            `keras.utils.PyDataset` (their first batch is read), or a `kerasrnn.Stream` (its
            first window is read).
        targets: those of arrays.
        sample_weight: that of arrays.

    Raises:
        ValueError: if the targets are missing or given twice, if there is no batch, or
            if a stream is given for a model without a window.
    """
    kind = "tf.data.Dataset" if isinstance(data, tf.data.Dataset) else type(data).__name__
    if not isinstance(data, (Stream, tf.data.Dataset, keras.utils.PyDataset)):
        if targets is None:
            raise ValueError(
                "A batch is an array of inputs and one of targets, or a tf.data.Dataset of "
                f"both; got inputs of type {kind} and targets=None."
            )
        return _checked(Batch(as_tensors(data), as_tensors(targets), sample_weight))
    if targets is not None:
        raise ValueError(
            f"A {kind} holds its own targets. Do not pass targets beside it, "
            f"got targets of type {type(targets).__name__}."
        )
    if isinstance(data, Stream):
        window = None if model is None else getattr(training_options(model), "window", None)
        if window is None:
            raise ValueError(
                "A Stream is read in windows, but the model was compiled without one. "
                "Use a SequenceModel and compile(window=...), or pass arrays."
            )
        inputs, *rest = next(iter(data.windows(window)))
        return _checked(Batch(inputs["inputs"], *rest))
    if isinstance(data, tf.data.Dataset):
        batch = next(iter(data.take(1)), None)
    else:
        batch = data[0] if len(data) else None
    if batch is None:
        raise ValueError(f"The {kind} is empty. Pass one that holds a batch.")
    if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
        raise ValueError(
            f"A {kind} must give (inputs, targets) or (inputs, targets, sample_weight), "
            f"got {_described(batch)}."
        )
    return _checked(Batch(*(part if part is None else as_tensors(part) for part in batch)))


def _checked(batch: Batch) -> Batch:
    sizes = {tuple(tensor.shape[:1]) for tensor in tf.nest.flatten([*batch[:2]])}
    if sizes == {(0,)}:
        raise ValueError("inputs and targets hold no sequences. Give a batch of them.")
    if len(sizes) != 1 or sizes == {()}:
        raise ValueError(
            "inputs and targets must hold equally many sequences, got "
            f"{shapes_of(batch.inputs)} and {shapes_of(batch.targets)}."
        )
    return batch


def _described(batch: Any) -> str:
    if isinstance(batch, (tuple, list)):
        return f"{len(batch)} parts"
    return f"a {type(batch).__name__}"


def training_options(model: keras.Model) -> Any:
    """The training options of a compiled `SequenceModel`; `None` for other Keras models."""
    return getattr(getattr(model, "training_step", None), "options", None)


def as_tensors(tensors: Any) -> Any:
    """The arrays of a batch as tensors, in the same structure; lists of numbers are one.

    Raises:
        ValueError: if there is something else in it.
    """
    try:
        if not any(hasattr(part, "shape") for part in tf.nest.flatten(tensors)):
            return tf.convert_to_tensor(tensors)
        return tf.nest.map_structure(tf.convert_to_tensor, tensors)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "A batch is an array, or a structure of arrays, or a tf.data.Dataset; got a "
            f"{type(tensors).__name__}."
        ) from error


def shapes_of(tensors: Any) -> str:
    """The shapes of the tensors of a batch, for messages."""
    return ", ".join(str(tuple(tensor.shape)) for tensor in tf.nest.flatten(tensors))


@contextlib.contextmanager
def naming(**batch: Any) -> Iterator[None]:
    """Turns errors of Keras and TensorFlow into one line that names the batch."""
    try:
        yield
    except (ValueError, TypeError, tf.errors.OpError) as error:
        lines = re.sub(r"\x1b\[[0-9;]*m|{{.*?}}", "", str(error)).splitlines()
        said = [line.strip() for line in lines if line.strip()]
        if said and said[0].startswith("Exception encountered when calling"):
            del said[0]  # the next line of Keras says what was wrong
        reason = said[0] if said else type(error).__name__
        shapes = " and ".join(f"{name} {shapes_of(tensors)}" for name, tensors in batch.items())
        raise ValueError(f"The model cannot take {shapes}: {reason}") from error
