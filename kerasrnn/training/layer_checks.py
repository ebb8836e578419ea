"""Which layers can do what `compile` asks for."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from kerasrnn.layers import rnn
from kerasrnn.layers.nested_layers import recurrent_layers
from kerasrnn.layers.truncation import TruncatedBPTT
from kerasrnn.training.carrying import cannot_carry
from kerasrnn.training.data import inputs_of
from kerasrnn.training.options import TrainingOptions

_INSTEAD = {"SimpleRNN": "kerasrnn.VanillaRNN", "LSTM": "kerasrnn.LSTM", "GRU": "kerasrnn.GRU"}


def check_layers(layers: Sequence[keras.layers.Layer], options: TrainingOptions) -> None:
    """Checks the layers of a model, in their order.

    Raises:
        ValueError: that names a layer which cannot do what the options ask for.
    """
    own_outputs = not options.sampling.feeds_only_the_truth
    carried = options.in_pieces or own_outputs
    for layer in layers:
        reason = cannot_carry(layer) if carried else None
        if reason is not None:
            raise ValueError(
                f"{reason} List recurrent layers themselves, or use window=None, "
                "recompute=False and teacher_forcing=1.0."
            )
        recurrent = isinstance(layer, keras.layers.RNN)
        if carried and recurrent and not layer.return_sequences:
            raise ValueError(
                f"{layer.name} puts out its last step alone. Training over windows, "
                "recomputation and scheduled sampling need return_sequences=True."
            )
        if own_outputs and getattr(layer, "activity_regularizer", None):
            raise ValueError(
                f"The activity_regularizer of {layer.name} needs teacher_forcing=1.0."
            )
    for layer in layers:
        inner = recurrent_layers(layer, except_in=keras.layers.TimeDistributed)
        check_truncation(inner, options)


def check_truncation(layers: Sequence[keras.layers.RNN], options: TrainingOptions) -> None:
    """Raises a `ValueError` for a recurrent layer that cannot truncate as the options ask."""
    for layer in layers:
        _check_truncation(layer, options)


def _check_truncation(layer, options):
    if options.truncation is not None and not isinstance(layer, rnn.RNN):
        kind = type(layer).__name__
        raise ValueError(
            f"{layer.name} is a keras.layers.{kind}, which cannot truncate. "
            f"Use {_INSTEAD.get(kind, 'kerasrnn.RNN with its cell')}, or truncation=None."
        )
    cut = isinstance(getattr(layer, "truncation", None), TruncatedBPTT)
    if cut and options.truncation is None and (options.recompute or options.overlapping):
        raise ValueError(
            f"{layer.name} has {layer.truncation}, whose boundaries would move with "
            'recompute=True or a stride below window. Use truncation="full".'
        )


def check_batch(layers: Sequence[keras.layers.Layer], batch: Any) -> None:
    """Checks the `tf.TensorSpec`s of a batch `(inputs, targets[, sample_weight])`.

    Raises:
        ValueError: for a ragged batch, and for ids that are not integers.
    """
    if any(isinstance(part, tf.RaggedTensorSpec) for part in tf.nest.flatten(batch)):
        raise ValueError(
            "A batch must be whole, got a ragged one. Use x.to_tensor() and a mask. A "
            "SequenceModel compiled with window= takes sequences of any lengths."
        )
    inputs, *_ = keras.utils.unpack_x_y_sample_weight(batch)
    inputs, first = inputs_of(inputs), next(iter(layers), None)
    if isinstance(first, keras.layers.Embedding) and not inputs.dtype.is_integer:
        raise ValueError(
            f"{first.name} takes integers as ids, got inputs of type {inputs.dtype.name}. "
            'Use x.astype("int32").'
        )
