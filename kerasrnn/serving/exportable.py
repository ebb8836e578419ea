"""What of a Keras model goes into a SavedModel beside its weights, and what cannot."""

from typing import Any

import keras
import tensorflow as tf

from kerasrnn.layers.nested_layers import nested_layers


def check_finite(model: keras.Model) -> None:
    """Checks that training has not diverged.

    Raises:
        ValueError: if a weight is NaN or infinite; it names the first.
    """
    for weight in model.weights:
        value = tf.convert_to_tensor(weight)
        if value.dtype.is_floating and not tf.reduce_all(tf.math.is_finite(value)):
            raise ValueError(
                f"The weight {weight.path} of {model.name} is not finite: its training has "
                "diverged. Export a model whose weights are all finite."
            )


def resources(model: keras.Model) -> list[Any]:
    """The look-up tables and variables of TensorFlow that preprocessing layers hold."""
    kinds = (tf.saved_model.experimental.TrackableResource, tf.Variable)
    held = {
        id(value): value
        for layer in nested_layers(model)
        for value in vars(layer).values()
        if isinstance(value, kinds)
    }
    return list(held.values())


def names_of_layers_with_state(model: keras.Model) -> str:
    """Which layers hold what cannot be saved: stateful ones, or else a user's own."""
    layers = nested_layers(model)[1:]
    stateful = [layer.name for layer in layers if getattr(layer, "stateful", False)]
    own = [
        layer.name
        for layer in layers
        if not type(layer).__module__.startswith(("keras.", "kerasrnn."))
    ]
    return ", ".join(stateful or own) or "A layer"
