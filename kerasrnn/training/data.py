"""What training and evaluation are given: arrays, ragged ones too, or batches."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.checks import check_positive_integer, shown
from kerasrnn.training.options import TrainingOptions
from kerasrnn.training.random_window import RandomWindow
from kerasrnn.training.streams import Stream

TAKEN = "a kerasrnn.Stream, a tf.data.Dataset, a keras.utils.PyDataset, or arrays with targets"
BATCHES = (Stream, tf.data.Dataset, keras.utils.PyDataset)


def check_given(x: Any, y: Any, sample_weight: Any) -> None:
    """Raises a `ValueError` for what is neither batches nor arrays with targets.

    Args:
        x: `TAKEN`, without targets.
        y: targets of arrays; batches hold their own.
        sample_weight: weights of arrays; batches hold their own.
    """
    kind = type(x).__name__
    if isinstance(x, BATCHES):
        for name, value in (("y", y), ("sample_weight", sample_weight)):
            if value is not None:
                raise ValueError(
                    f"x is a {kind}, which already contains {name}. Do not pass {name}, "
                    f"got {name} of type {type(value).__name__}."
                )
    elif isinstance(x, Iterator):
        raise ValueError(
            f"x must be {TAKEN}, got a {kind}. It does not show where sequences begin. "
            "Use tf.data.Dataset.from_generator."
        )
    elif y is None or not _has_rows(x):
        raise ValueError(
            f"x must be {TAKEN}, got x of type {kind} and y of type {type(y).__name__}."
        )


def _has_rows(x):
    if isinstance(x, tf.RaggedTensor):
        return True
    if isinstance(x, dict):
        return bool(x) and all(map(_has_rows, x.values()))
    return hasattr(x, "__len__") and not isinstance(x, (str, bytes))


def as_batches_or_stream(x: Any, y: Any, sample_weight: Any, batch_size: int | None) -> Any:
    """Batches as they are; arrays as a stream of `batch_size` sequences side by side.

    Args:
        x: batches, or arrays: `(sequences, time, ...)`, a ragged tensor or a list.
        y: targets, in the same form.
        sample_weight: `(sequences, time)`, or one number for each sequence.
        batch_size: how many sequences are read side by side. Default: 32, or all of fewer.

    Raises:
        ValueError: for anything else.
    """
    check_given(x, y, sample_weight)
    if isinstance(x, BATCHES):
        return x
    if isinstance(x, dict):
        raise ValueError(
            "With a window, x must be arrays or batches, got a dictionary. Use a "
            "tf.data.Dataset of windows."
        )
    if batch_size is not None:
        check_positive_integer("batch_size", batch_size)
    inputs, targets, weights = _rows(x), _rows(y), _rows(sample_weight)
    if batch_size is not None and len(inputs):
        batch_size = min(batch_size, len(inputs))
    return Stream(inputs, targets, weights, batch_size=batch_size)


def _rows(given):
    if not isinstance(given, tf.RaggedTensor):
        return given
    return [row.numpy() for row in given]


def read_in_order(data: keras.utils.PyDataset, time: int | None) -> tf.data.Dataset:
    """The batches of a `PyDataset`, in their order; each of them is a window.

    Args:
        data: of `(inputs, targets[, sample_weight])`.
        time: how long each batch is; `None`: batches may differ.
    """

    def batches():
        data.on_epoch_begin()
        numbers = itertools.count() if data.num_batches is None else range(data.num_batches)
        for number in numbers:
            batch = _arrays(data[number])
            if number + 1 == data.num_batches:
                data.on_epoch_end()  # nobody asks for more after the last one
            yield batch

    signature = tf.nest.map_structure(lambda array: _spec(array, time), _arrays(data[0]))
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    if data.num_batches is None:
        return dataset
    return dataset.apply(tf.data.experimental.assert_cardinality(data.num_batches))


def _arrays(batch):
    parts = [batch] if not isinstance(batch, (list, tuple)) else batch
    return tf.nest.map_structure(np.asarray, tuple(p for p in parts if p is not None))


def _spec(array, time):
    sizes = [None, time, *array.shape[2:]] if array.ndim > 1 else [None] * array.ndim
    return tf.TensorSpec(sizes, array.dtype)


def start_afresh(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Batches of inputs as windows that reset all states where the dataset begins.

    Args:
        dataset: of `(inputs, targets[, sample_weight])`, where inputs may be
            `{"inputs", "reset"}` already.
    """

    def convert(number, element):
        inputs, *others = element if isinstance(element, tuple) else (element,)
        if not isinstance(inputs, dict):
            inputs = {"inputs": inputs}
        batch_size = tf.shape(inputs["inputs"])[0]
        reset = inputs.get("reset", tf.zeros([batch_size], tf.bool))
        return {**inputs, "reset": tf.cast(reset, tf.bool) | (number == 0)}, *others

    return dataset.enumerate().map(convert)


def as_batches(
    data: Any, options: TrainingOptions, check_inputs: Callable, *, for_training: bool
) -> tf.data.Dataset:
    """`data` as batches: those of a dataset, or the windows of a stream.

    Args:
        data: a `kerasrnn.Stream` (then `compile` needs a `window`), a
            `keras.utils.PyDataset`, or a `tf.data.Dataset` of
            `(inputs, targets[, sample_weight])`. With a `window`, each batch is one window,
            states are carried from batch to batch, and inputs may be `{"inputs", "reset"}`,
            with booleans `(batch,)` that are true where a sequence begins.
        options: what `compile` was given.
        check_inputs: called with the inputs of each sequence of a stream.
        for_training: whether windows overlap as `stride` says.

    Raises:
        ValueError: for anything else, and for batches that are no windows.
    """
    fixed = for_training and not isinstance(options.window, (RandomWindow, type(None)))
    if isinstance(data, Stream):
        if options.window is None:
            raise ValueError("A Stream is read in windows: compile with window=.")
        for sequence in data.inputs:
            check_inputs(sequence)
        window, stride = options.window, options.stride
        if not for_training:
            window = window.mean if isinstance(window, RandomWindow) else window
            stride = None
        data = data.windows(window, stride)
    if isinstance(data, keras.utils.PyDataset):
        time = None
        if fixed:
            length = inputs_of(data[0][0]).shape[1]
            check_length(length, options)
            time = length if options.overlapping else None
        data = read_in_order(data, time)
    if not isinstance(data, tf.data.Dataset):
        name = "data" if for_training else "validation_data"
        raise ValueError(
            f"{name} must be a kerasrnn.Stream, a tf.data.Dataset or a "
            f"keras.utils.PyDataset, got {type(data).__name__}."
        )
    if options.window is None:
        return data
    if fixed:
        inputs, *_ = keras.utils.unpack_x_y_sample_weight(data.element_spec)
        check_length(inputs_of(inputs).shape[1], options)
    return start_afresh(data)


def inputs_of(inputs: Any) -> Any:
    """The inputs themselves, also where they come as `{"inputs", ...}`.

    Raises:
        ValueError: for a dictionary without `"inputs"`.
    """
    if not isinstance(inputs, dict):
        return inputs
    if "inputs" not in inputs:
        raise ValueError(
            f'A dictionary of inputs must have "inputs", got {shown(sorted(inputs))}.'
        )
    return inputs["inputs"]


def check_length(length: int | None, options: TrainingOptions) -> None:
    """A batch is a window: raises a `ValueError` if it is longer than one."""
    if options.overlapping and length != options.window:
        raise ValueError(
            f"stride={options.stride} needs batches of window={options.window} steps, "
            f"got {length}. Use a kerasrnn.Stream, which cuts them."
        )
    if length is not None and isinstance(options.window, int) and length > options.window:
        raise ValueError(
            f"Each batch is one window, but a batch has {length} steps and "
            f"window={options.window}. Use a kerasrnn.Stream, which cuts them."
        )


def unpack_validation_data(given: Any) -> tuple[Any, Any, Any]:
    """Inputs, targets and weights; the last two are `None` where the first holds them.

    Raises:
        ValueError: for a tuple of another length.
    """
    if not isinstance(given, (tuple, list)):
        return given, None, None
    if not 0 < len(given) < 4:
        raise ValueError(
            "validation_data must be (x, y) or (x, y, sample_weight), a stream or a dataset, "
            f"got {len(given)} parts."
        )
    return (*given, None, None)[:3]


def as_dataset(given: Any, batch_size: int | None) -> tf.data.Dataset:
    """Arrays as a dataset of batches; the default size is 32, as in Keras.

    Args:
        given: inputs, targets and weights; the last may be missing.
        batch_size: how many sequences a batch holds.

    Raises:
        ValueError: for anything else.
    """
    x, y, sample_weight = unpack_validation_data(given)
    check_given(x, y, sample_weight)
    if isinstance(x, BATCHES):
        return x
    parts = (x, y) if sample_weight is None else (x, y, sample_weight)
    return tf.data.Dataset.from_tensor_slices(parts).batch(batch_size or 32)


def spec_of(x: Any, y: Any, check_inputs: Callable) -> Any:
    """What a batch of such data looks like, as `tf.TensorSpec`s.

    Raises:
        ValueError: for what is neither batches nor arrays with targets.
    """
    if isinstance(x, Stream):
        raise ValueError("A Stream is read in windows: compile with window=.")
    if isinstance(x, tf.data.Dataset):
        return x.element_spec
    if isinstance(x, keras.utils.PyDataset):
        return tf.data.Dataset.from_tensors(x[0]).element_spec
    check_given(x, y, None)
    check_inputs(inputs_of(x))
    first = {name: x[name][:1] for name in x} if isinstance(x, dict) else x[:1]
    return tf.data.Dataset.from_tensors((first, y[:1])).element_spec


def whole_sequences(x: Any) -> Any:
    """The inputs for `predict`: whole sequences of one length.

    Raises:
        ValueError: for anything else, for example a stream.
    """
    arrays = inputs_of(x) if isinstance(x, dict) and "inputs" in x else x
    ragged = isinstance(x, (Stream, tf.RaggedTensor)) or getattr(x, "dtype", None) == "object"
    if ragged or arrays is None or isinstance(x, (str, bytes, int, float)):
        raise ValueError(
            f"predict takes whole sequences of one length, got {type(x).__name__}. Pad "
            "them, or call model(x, states=states, return_states=True) for one window "
            "after the other."
        )
    return arrays
