"""Sequences too long for one tape, read side by side in windows."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from kerasrnn.checks import check_positive_integer
from kerasrnn.text.batches import prefetch
from kerasrnn.training.random_window import RandomWindow, check_window

_NO_NUMBERS = "OSUMmc"  # kinds of NumPy: objects, bytes, texts, times, complex numbers


class Stream:
    """Long sequences, `batch_size` of them side by side, for truncated BPTT.

    Each of the `batch_size` places reads one sequence after the other, window by window. The
    model's state is carried from window to window, and is reset where a sequence begins.
    Nothing is copied until a window is read: sequences may be memory maps.

    Args:
        inputs: arrays `(time, ...)`, of any lengths.
        targets: an array for each sequence, of the same length. Default: the inputs one step
            later, as in language modelling.
        sample_weight: for each sequence the weights of its steps, `(time,)`,
            or one number for all of them; steps of weight 0 do not count.
            Default: 1.
        batch_size: how many sequences are read side by side. Default: 32, or all of
            them if there are fewer.

    Raises:
        ValueError: if there are fewer than `batch_size` sequences, a sequence is empty or
            holds no numbers, sequences differ in their features, or targets or weights do not
            match inputs.

    Example:

    >>> stream = Stream.from_tokens(np.arange(21), batch_size=2)
    >>> for inputs, targets, *_ in stream.windows(4).take(1):
    ...     print(inputs["inputs"].numpy(), inputs["reset"].numpy(), targets.numpy(), sep="\\n")
    [[ 0  1  2  3]
     [10 11 12 13]]
    [ True  True]
    [[ 1  2  3  4]
     [11 12 13 14]]
    """

    def __init__(
        self,
        inputs: Sequence[np.ndarray],
        targets: Sequence[np.ndarray] | None = None,
        sample_weight: Sequence[np.ndarray] | None = None,
        *,
        batch_size: int | None = None,
    ):
        if batch_size is not None:
            check_positive_integer("batch_size", batch_size)
        inputs = _as_arrays("inputs", inputs)
        if targets is None:
            inputs, targets = [x[:-1] for x in inputs], [x[1:] for x in inputs]
        else:
            targets = _as_arrays("targets", targets)
        if not inputs:
            raise ValueError("inputs must hold at least one sequence, got none.")
        if batch_size is None:
            batch_size = min(len(inputs), 32)
        if len(inputs) < batch_size:
            raise ValueError(
                f"batch_size={batch_size} places need as many sequences, got {len(inputs)} "
                "in inputs. "
                "Use a smaller batch_size, or Stream.from_tokens to cut one long sequence."
            )
        lengths = list(map(len, inputs))
        if lengths != list(map(len, targets)):
            raise ValueError(
                "A Stream needs a target for every step: targets must be as many and as long "
                "as inputs. For one target a sequence, leave window= out of compile and call "
                "fit(x, y)."
            )
        if not all(lengths):
            raise ValueError(
                "inputs must have at least one step with a target each, but one is empty."
            )
        self.inputs, self.targets = inputs, targets
        self.batch_size = int(batch_size)
        self.sample_weight = None
        if sample_weight is not None:
            self.sample_weight = _as_weights(sample_weight, lengths)

    @classmethod
    def from_tokens(cls, tokens: np.ndarray, batch_size: int) -> "Stream":
        """One long sequence of ids, cut into `batch_size` contiguous streams.

        Args:
            tokens: ids, `(length,)`. Up to `batch_size` ids at the end are
                left out, so that all streams have the same length.
            batch_size: how many streams.

        Raises:
            ValueError: if `tokens` are not integers, or are too few for one step in each
                stream.
        """
        check_positive_integer("batch_size", batch_size)
        (tokens,) = _as_arrays("tokens", [tokens])
        if tokens.dtype.kind not in "iu" or tokens.ndim != 1:
            raise ValueError(
                f"tokens must be integers, (length,), got {tokens.dtype} of shape "
                f"{tuple(tokens.shape)}."
            )
        length = (len(tokens) - 1) // batch_size
        if length < 1:
            raise ValueError(
                f"{len(tokens)} tokens are too few for batch_size={batch_size} streams. "
                "Use a smaller batch_size or a longer text."
            )
        starts = [length * place for place in range(batch_size)]
        return cls(
            [tokens[start : start + length] for start in starts],
            [tokens[start + 1 : start + length + 1] for start in starts],
            batch_size=batch_size,
        )

    def windows(self, window: int | RandomWindow, stride: int | None = None) -> tf.data.Dataset:
        """The batches of one epoch, in order; each step's target counts once.

        All steps of a sequence's first window count. In the windows after it only the last
        `stride` steps count; the steps before them give context.

        Args:
            window: steps on the tape, or a `RandomWindow`. Windows longer than
                the longest sequence are cut down to it.
            stride: steps from one window to the next. Default: `window`.

        Returns:
            A dataset of `({"inputs", "reset"}, targets, sample_weight)`:
            `(batch, window, ...)`, booleans `(batch,)` that are true where a
            sequence begins, `(batch, window, ...)`, and float32
            `(batch, window)`, 0 for steps that do not count. Its cardinality
            is known.

        Raises:
            ValueError: if `window` or `stride` is not a positive integer, or
                `stride` is above `window`; for a `RandomWindow` if sequences
                differ in length.
        """
        check_window(window, stride)
        if not isinstance(window, RandomWindow) and stride in (None, window):
            window = stride = min(window, max(map(len, self.inputs)))  # no padding for nothing
        if isinstance(window, RandomWindow):
            batches, num_batches = self._random_windows(window)
        else:
            places = self._places(window, stride or window)
            num_batches = max(sum(num for _, num in place) for place in places)
            batches = lambda: self._windows(  # noqa: E731
                places, num_batches, window, stride or window
            )
        time = None if isinstance(window, RandomWindow) else window
        inputs, targets = self.inputs[0], self.targets[0]
        signature = (
            {
                "inputs": tf.TensorSpec(
                    (self.batch_size, time, *inputs.shape[1:]), inputs.dtype
                ),
                "reset": tf.TensorSpec((self.batch_size,), tf.bool),
            },
            tf.TensorSpec((self.batch_size, time, *targets.shape[1:]), targets.dtype),
            tf.TensorSpec((self.batch_size, time), tf.float32),
        )
        dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(num_batches))
        return prefetch(dataset)

    def _places(self, window, stride):
        """For each place the sequences that it reads and how many windows each has."""
        places: list[list[tuple[int, int]]] = [[] for _ in range(self.batch_size)]
        totals = [0] * self.batch_size
        for index, sequence in enumerate(self.inputs):
            place = totals.index(min(totals))
            num_windows = 1 + -(-max(len(sequence) - window, 0) // stride)
            places[place].append((index, num_windows))
            totals[place] += num_windows
        return places

    def _windows(self, places, num_batches, window, stride) -> Iterator:
        def spans_of(place):
            for index, num_windows in place:
                for start in range(0, num_windows * stride, stride):
                    yield index, start, start + window - stride if start else 0, start == 0
            while True:  # this place has come to its end
                yield place[-1][0], 0, None, True

        spans = [spans_of(place) for place in places]
        for _ in range(num_batches):
            yield self._batch([next(s) for s in spans], window)

    def _random_windows(self, window):
        lengths = {len(sequence) for sequence in self.inputs}
        if len(lengths) > 1 or len(self.inputs) > self.batch_size:
            raise ValueError(
                "A RandomWindow needs one sequence of the same length for each place. "
                "Use Stream.from_tokens, or a window of fixed length."
            )
        length = lengths.pop()
        epochs = iter(range(2**62))  # each pass over the dataset is another epoch

        def batches():
            bounds = window.boundaries(length, next(epochs))
            for start, end in itertools.pairwise(bounds):
                spans = [(index, start, start, start == 0) for index in range(self.batch_size)]
                yield self._batch(spans, end - start)

        return batches, len(window.boundaries(length, 0)) - 1

    def _batch(self, spans, window):
        """Reads a window for each (sequence, first step, first counted step, reset)."""
        inputs, targets = (
            np.zeros((len(spans), window, *a[0].shape[1:]), a[0].dtype)
            for a in (self.inputs, self.targets)
        )
        weights = np.zeros((len(spans), window), np.float32)
        for row, (index, start, counted, _) in enumerate(spans):
            if counted is None:
                continue
            x, y = (a[index][start : start + window] for a in (self.inputs, self.targets))
            inputs[row, : len(x)], targets[row, : len(y)] = x, y
            weights[row, counted - start : len(x)] = 1
            if self.sample_weight is not None:
                weights[row, : len(x)] *= self.sample_weight[index][start : start + window]
        reset = np.array([reset for *_, reset in spans])
        return {"inputs": inputs, "reset": reset}, targets, weights


def _as_arrays(name, sequences):
    """A list of arrays `(time, ...)` of one type and of the same features; none is copied."""
    listed = _as_list(name, sequences)
    try:
        arrays = [
            s if isinstance(getattr(s, "dtype", None), np.dtype) else np.asarray(s)
            for s in listed
        ]
    except ValueError:  # of NumPy, for lists whose parts differ in length
        raise ValueError(
            f"{name} must be arrays (time, ...), but a list given cannot be made into one: its "
            "parts differ in length."
        ) from None
    for array in arrays:
        if array.dtype.kind in _NO_NUMBERS or not array.shape:
            raise ValueError(
                f"{name} must be arrays of real numbers, (time, ...), got one of type "
                f"{array.dtype} and shape {tuple(array.shape)}."
            )
        if array.dtype != arrays[0].dtype or array.shape[1:] != arrays[0].shape[1:]:
            raise ValueError(
                f"{name} must have one type and the same features, got {arrays[0].dtype} "
                f"(time, {_features(arrays[0])}) and {array.dtype} (time, {_features(array)})."
            )
    return arrays


def _features(array):
    return ", ".join(map(str, array.shape[1:]))


def _as_list(name, given):
    try:
        if isinstance(given, (str, bytes, dict)):
            raise TypeError
        return list(given)
    except TypeError:
        raise ValueError(
            f"{name} must be arrays, one for each sequence, got {type(given).__name__}."
        ) from None


def _as_weights(sample_weight, lengths):
    """The weights of the steps of each sequence, from these or from one for each sequence."""
    given = _as_list("sample_weight", sample_weight)
    try:
        weights = [np.asarray(weight, np.float32) for weight in given]
    except (TypeError, ValueError):
        raise ValueError("sample_weight must be numbers.") from None
    if len(weights) == len(lengths):
        pairs = zip(weights, lengths, strict=True)
        weights = [np.full(n, w.item()) if w.size == 1 else w for w, n in pairs]
    if [w.shape for w in weights] != [(length,) for length in lengths]:
        raise ValueError(
            "sample_weight must be as many and as long as inputs, or one number for each "
            "sequence."
        )
    if not all(np.isfinite(weight).all() for weight in weights):
        raise ValueError("sample_weight must be finite.")
    return weights
