"""What of a Keras model goes into a SavedModel, and what cannot."""

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


def make_module(model: keras.Model) -> tf.Module:
    """What the graphs of a model need: no optimizer, no Keras objects."""
    module = tf.Module()
    module.weights = [variable.value for variable in model.weights]
    known = {id(variable) for variable in model.weights}
    # Keras' recurrent layers draw dropout masks in inference, too, and do not use them.
    module.random_states = [v.value for v in model.variables if id(v) not in known]
    module.resources = _resources(model)
    vocabularies = vocabularies_of(model)
    module.tables = [vocabulary.table for vocabulary in vocabularies.values()]
    return module


def vocabularies_of(model: keras.Model) -> dict[str, Any]:
    """The vocabularies of a model, by the names of the files that they are exported to."""
    found = {
        "source_vocabulary.txt": getattr(model, "source_vocabulary", None),
        "vocabulary.txt": getattr(model, "vocabulary", None),
    }
    return {name: vocabulary for name, vocabulary in found.items() if vocabulary is not None}


def _resources(model: keras.Model) -> list[Any]:
    """The look-up tables and variables of TensorFlow in preprocessing layers."""
    kinds = (tf.saved_model.experimental.TrackableResource, tf.Variable)
    held = {
        id(value): value
        for layer in nested_layers(model)
        for value in vars(layer).values()
        if isinstance(value, kinds)
    }
    return list(held.values())


def names_of_layers_with_state(model: keras.Model) -> str:
    """The layers that hold state which cannot be saved: stateful ones, or else custom ones."""
    layers = nested_layers(model)[1:]
    stateful = [layer.name for layer in layers if getattr(layer, "stateful", False)]
    own = [
        layer.name
        for layer in layers
        if not type(layer).__module__.startswith(("keras.", "kerasrnn."))
    ]
    return ", ".join(stateful or own) or "A layer"
