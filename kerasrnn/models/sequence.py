"""Many-to-many: an output at every step, trained over windows with carried states."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.checks import shown
from kerasrnn.models import connected
from kerasrnn.models.lookup import InputTable, check_whole
from kerasrnn.training.carrying import cannot_carry, held_recurrence
from kerasrnn.training.feedback import Feedback
from kerasrnn.training.trainable import TrainableModel


@keras.saving.register_keras_serializable(package="kerasrnn")
class SequenceModel(TrainableModel):
    """A stack of layers over sequences, with states that you can pass in and get back.

    It is like `keras.Sequential`, with two differences. You can pass in the states of its
    recurrent layers and get the new ones back, and so read a long sequence window by window.
    And `compile` has the options that recurrent networks need: windows, truncation, teacher
    forcing, clipping. Train it with `fit` or with `kerasrnn.train`; both run the same step.

    Args:
        layers: Keras layers. The model sets `return_state=True` for recurrent ones
            (`kerasrnn.VanillaRNN`, `kerasrnn.LSTM`, `keras.layers.RNN`, ...). To train over
            windows, they need `return_sequences=True`. `keras.layers.Bidirectional`, and
            layers that contain a recurrent layer, work only on whole sequences.
        **kwargs: `name`.

    Call arguments:
        inputs: `(batch, time, ...)`.
        states: what `initial_states` or an earlier call returned. Default: initial states.
        return_states: whether to return the new states too. Default: `False`.
        training: whether dropout and truncation apply.

    Returns:
        Outputs, `(batch, time, ...)`; with `return_states` also the states
        after the last step.

    Raises:
        ValueError: if `layers` is empty, or contains something that is not a Keras layer; if
            a recurrent layer is `stateful` or listed twice; when called with `states` or
            `return_states`, if a layer contains a recurrent layer.

    Example:

    >>> from kerasrnn.layers.lstm import LSTM
    >>> model = SequenceModel(
    ...     [
    ...         keras.layers.Embedding(10, 4),
    ...         LSTM(8, return_sequences=True),
    ...         keras.layers.Dense(10),
    ...     ]
    ... )
    >>> ids = keras.ops.array([[1, 2, 3, 4, 5, 6]])
    >>> head, states = model(ids[:, :2], return_states=True)
    >>> tail = model(ids[:, 2:], states=states)
    >>> bool(keras.ops.max(keras.ops.abs(model(ids)[:, 2:] - tail)) < 1e-5)
    True
    """

    carries_states = takes_feedback = True

    def __init__(self, layers: Sequence[keras.layers.Layer], **kwargs: Any):
        if isinstance(layers, (str, bytes, dict)) or not isinstance(layers, Iterable):
            raise ValueError(
                f"layers must be a list of Keras layers, got layers={shown(layers)}."
            )
        layers = list(layers)
        for layer in layers:
            if not isinstance(layer, keras.layers.Layer):
                raise ValueError(
                    f"layers must be a list of Keras layers, got {shown(layer)} among them."
                )
        if not layers:
            raise ValueError("layers must hold a Keras layer at least, got layers=[].")
        super().__init__(**kwargs)
        self.sequence_layers = layers
        recurrent = self.recurrent_layers
        for number, layer in enumerate(recurrent):
            if any(layer is earlier for earlier in recurrent[:number]):
                raise ValueError(
                    f"{layer.name} is listed twice, but a recurrent layer has one state to "
                    "carry. Use a second layer."
                )
            if layer.stateful:
                raise ValueError(
                    f"{layer.name} is stateful, but this model carries states itself. "
                    "Use stateful=False."
                )
            layer.return_state = True
        for layer in self.sequence_layers[1:]:
            if isinstance(layer, keras.layers.Masking) or getattr(layer, "mask_zero", False):
                raise ValueError(f"{layer.name} must be the first layer, which makes the mask.")

    @property
    def recurrent_layers(self) -> list[keras.layers.RNN]:
        """The recurrent layers, in order. Their states are carried."""
        return [layer for layer in self.sequence_layers if isinstance(layer, keras.layers.RNN)]

    @property
    def ordered_layers(self) -> list[keras.layers.Layer]:
        return self.sequence_layers

    def check_inputs(self, inputs: Any) -> None:
        """Ids that are looked up in a table must be whole numbers."""
        known = isinstance(inputs, (np.ndarray, tf.Tensor)) and tf.executing_eagerly()
        if known and isinstance(self.sequence_layers[0], InputTable):
            check_whole("ids", inputs)

    def initial_states(self, batch_size: int | tf.Tensor) -> list[list[tf.Tensor]]:
        """For each recurrent layer the states before the first step, `(batch_size, units)`."""
        return [layer.get_initial_state(batch_size) for layer in self.recurrent_layers]

    def connect(self, inputs: tf.Tensor, recur: Callable) -> tf.Tensor:
        """Connects the layers. Override it for another graph of layers.

        The same method is used for whole sequences and for single steps.

        Args:
            inputs: `(batch, time, ...)`; a single step has `time` 1.
            recur: call `recur(layer, x)` in place of `layer(x)` for each of
                `recurrent_layers`, once.

        Returns:
            Outputs, `(batch, time, ...)`.
        """
        x = inputs
        for layer in self.sequence_layers:
            x = recur(layer, x) if isinstance(layer, keras.layers.RNN) else layer(x)
        return x

    def build(self, inputs_shape: Any) -> None:
        shape = inputs_shape["inputs"] if isinstance(inputs_shape, dict) else inputs_shape
        self.feature_shape = tuple(shape[2:])
        with tf.init_scope():  # variables belong to no graph that may be being traced
            self.connect(
                tf.zeros([1, 1, *self.feature_shape], self.feature_dtype),
                lambda layer, x: layer(x, training=False)[0],
            )

    @property
    def feature_dtype(self) -> str:
        """Of built models: `int32` where each step is an id, else that of values."""
        return self.compute_dtype if self.feature_shape else "int32"

    def compute_mask(self, inputs, previous_mask=None):
        """Which steps count, `(batch, time)`; `None`: all."""
        mask = previous_mask
        for layer in self.sequence_layers:
            if not isinstance(layer, keras.layers.RNN):
                mask = layer.compute_mask(inputs, mask)
        return mask

    def call(
        self,
        inputs: tf.Tensor,
        states: list | None = None,
        training: bool = False,
        return_states: bool = False,
        feedback: Feedback | None = None,
    ):
        if isinstance(inputs, dict):
            inputs = inputs["inputs"]
        if (states is not None or return_states) and self._holding:
            raise ValueError(
                f"{self._holding} Do not use states= or return_states=True: put "
                "the recurrent layer itself into layers, or call the model on whole sequences."
            )
        if states is None:
            states = self.initial_states(tf.shape(inputs)[0])
        mask = self.compute_mask(inputs)
        run = (self.connect, self.recurrent_layers, inputs, states, mask, bool(training))
        if feedback is None:
            outputs, states = connected.run_whole(*run)
        else:
            self._check_steps()
            outputs, states = connected.run_with_own_outputs(*run, feedback)
        return (outputs, states) if return_states else outputs

    def _check_steps(self):
        reason = next(filter(None, map(cannot_carry, self.sequence_layers)), None)
        if reason is not None:
            raise ValueError(f"{reason} The model cannot go step by step.")

    @functools.cached_property
    def _holding(self) -> str | None:
        """Why the states of a built model are incomplete; `None` if they are complete."""
        layers = (layer for layer in self.sequence_layers if held_recurrence(layer))
        return next(map(cannot_carry, layers), None)

    def get_config(self) -> dict:
        layers = [keras.saving.serialize_keras_object(layer) for layer in self.sequence_layers]
        return {"name": self.name, "layers": layers}

    @classmethod
    def from_config(cls, config: dict) -> "SequenceModel":
        layers = [keras.saving.deserialize_keras_object(c) for c in config.pop("layers")]
        return cls(layers, **config)
