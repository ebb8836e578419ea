"""Training and evaluation batch by batch, in a loop of your own."""

from typing import Any

import tensorflow as tf

from kerasrnn.training.data import BATCHES, check_length, inputs_of
from kerasrnn.training.errors import clear_errors
from kerasrnn.training.random_window import RandomWindow
from kerasrnn.training.step import TrainingStep


class OnBatch:
    """`train_on_batch` and similar methods, for a Keras model with a `training_step`.

    With a `window`, each batch is one window and continues from the previous batch's states.
    """

    _training_step: TrainingStep | None

    @property
    def training_step(self) -> TrainingStep:
        """The training step that `compile` created."""
        raise NotImplementedError

    def prepare(self, batch: Any) -> None:
        """Builds the model for batches of such `tf.TensorSpec`s."""
        raise NotImplementedError

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict | None = None,
        return_dict: bool = False,
    ):
        """One update: `keras.Model.train_on_batch`, which also carries states.

        With a `window`, the batch is one window. It continues from the states of the previous
        batch. The first batch, and the first one after `fit` or `reset_states`, starts from
        the initial states. A loop over the windows of a stream ends with the same weights as
        `fit`.

        Args:
            x: `(batch, time, ...)`, or `{"inputs", "reset"}` with booleans
                `(batch,)` that are true where a sequence begins.
            y: `(batch, time, ...)`.
            sample_weight: `(batch, time)` or `(batch,)`.
            class_weight: for models with one output per sequence.
            return_dict: whether to return scores by name. Default: `False`.

        Returns:
            The loss, the metrics and the norm of the gradient, of this batch.

        Raises:
            FloatingPointError: if the loss or a gradient is not finite.
            ValueError: if the batch is not a window, or its size differs from that of the
                carried states.

        Example:

        >>> import keras
        >>> import tensorflow as tf
        >>> from kerasrnn import SequenceModel, Stream, VanillaRNN
        >>> layers = [VanillaRNN(4, return_sequences=True), keras.layers.Dense(1)]
        >>> model = SequenceModel(layers)
        >>> model.compile("adam", "mse", window=5)
        >>> wave = tf.sin(tf.range(21.0))[None, :, None]
        >>> for window in (slice(0, 5), slice(5, 10), slice(10, 15), slice(15, 20)):
        ...     targets = wave[:, window.start + 1 : window.stop + 1]
        ...     loss = model.train_on_batch(wave[:, window], targets)
        >>> model.reset_states()  # another sequence comes now
        """
        _check_batch("train_on_batch", x, y)
        options = self.training_step.options
        if options.window is not None and not isinstance(options.window, RandomWindow):
            check_length(inputs_of(x).shape[1], options)
        if class_weight is not None and not self.training_step.prepared:
            self.prepare(tf.data.Dataset.from_tensors((x, y)).element_spec)
        check_class_weight(class_weight, self.training_step)
        with clear_errors():
            return super().train_on_batch(x, y, sample_weight, class_weight, return_dict)  # type: ignore[misc]

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ):
        """The scores of one batch: `keras.Model.test_on_batch`.

        With a `window`, it continues from the states of the previous batch, as
        `train_on_batch` does; `evaluate` and `reset_states` forget them.
        """
        _check_batch("test_on_batch", x, y)
        with clear_errors():
            return super().test_on_batch(x, y, sample_weight, return_dict)  # type: ignore[misc]

    def predict_on_batch(self, x: Any):
        """The outputs for one batch of whole sequences: `keras.Model.predict_on_batch`.

        Raises:
            ValueError: if the model carries states from window to window; this method does
                not.
        """
        options = self._training_step and self._training_step.options
        if options and options.window is not None and options.carry_state:
            raise ValueError(
                "predict_on_batch carries no states from window to window. Use predict for "
                "whole sequences, or outputs, states = model(x, states=states, "
                "return_states=True) for one window after the other."
            )
        return super().predict_on_batch(x)  # type: ignore[misc]

    def reset_states(self) -> None:
        """Forgets carried states, so that the next batch starts from the initial states.

        `fit`, `evaluate` and `kerasrnn.train` do this themselves.

        Example:

        >>> import keras
        >>> import tensorflow as tf
        >>> from kerasrnn import SequenceModel, VanillaRNN
        >>> layers = [VanillaRNN(4, return_sequences=True), keras.layers.Dense(1)]
        >>> model = SequenceModel(layers)
        >>> model.compile("adam", "mse", window=5)
        >>> x, y = tf.ones([2, 5, 3]), tf.ones([2, 5, 1])
        >>> first = model.test_on_batch(x, y)
        >>> model.test_on_batch(x, y) == first  # it went on from there
        False
        >>> model.reset_states()
        >>> model.test_on_batch(x, y) == first
        True
        """
        for carried in (
            self.training_step.carried,
            self.training_step.carried_in_evaluation,
        ):
            if carried is not None:
                carried.forget()


def check_class_weight(class_weight: dict | None, step: TrainingStep) -> None:
    """Raises a `ValueError` for `class_weight` where every step has an output."""
    if class_weight is not None and step.every_output:
        raise ValueError(
            "class_weight is one weight a sequence, but the model has an output at every "
            "step. Use sample_weight, (batch, time), with the weight of each step's class."
        )


def _check_batch(name, x, y):
    """A batch is arrays, with targets."""
    if isinstance(x, BATCHES):
        raise ValueError(
            f"{name} takes the arrays of one batch, got {type(x).__name__}. Use fit or "
            "evaluate, or give its batches one after the other: those of a Stream are "
            "stream.windows(window)."
        )
    if x is None or y is None:
        raise ValueError(f"{name} needs inputs and targets, got {name}(x, y=None).")
    if not hasattr(inputs_of(x), "shape"):
        raise ValueError(f"{name} takes arrays, got {type(inputs_of(x)).__name__}.")
    if len(inputs_of(x)) != len(y):
        raise ValueError(
            f"{name} needs a target for each sequence, got {len(inputs_of(x))} sequences "
            f"and {len(y)} targets."
        )
