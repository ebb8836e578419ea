"""Activations whose derivative is a function of their output."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf


class Activation(NamedTuple):
    """An activation phi whose derivative is a function of its own output."""

    function: Callable[[tf.Tensor], tf.Tensor]
    """phi(a)."""
    derivative: Callable[[tf.Tensor], tf.Tensor] | None
    """phi'(a), written in terms of h = phi(a); `None`: not known."""


_CLOSED_DERIVATIVES = {
    keras.activations.tanh: Activation(tf.tanh, lambda h: 1 - h * h),
    keras.activations.relu: Activation(tf.nn.relu, lambda h: tf.cast(h > 0, h.dtype)),
    keras.activations.sigmoid: Activation(tf.sigmoid, lambda h: h * (1 - h)),
    keras.activations.linear: Activation(tf.identity, tf.ones_like),
    keras.activations.hard_sigmoid: Activation(
        lambda a: tf.nn.relu6(a + 3) / 6, lambda h: tf.cast((h > 0) & (h < 1), h.dtype) / 6
    ),
}


# The same functions under the names of other modules.
for _name in ("tanh", "relu", "sigmoid", "hard_sigmoid"):
    _known = _CLOSED_DERIVATIVES[getattr(keras.activations, _name)]
    _CLOSED_DERIVATIVES[getattr(keras.ops, _name)] = _known
    if hasattr(tf.nn, _name):
        _CLOSED_DERIVATIVES[getattr(tf.nn, _name)] = _known


def closed_derivative(activation: Callable) -> Activation | None:
    """The `Activation` of a Keras activation function, if one is known here.

    Args:
        activation: what `keras.activations.get` returns.

    Returns:
        An `Activation` for `tanh`, `relu`, `sigmoid`, `hard_sigmoid` and `linear`, those of
        `keras.ops` and `tf.nn` too; `None` for any other, which TensorFlow has to
        differentiate step by step.
    """
    try:
        return _CLOSED_DERIVATIVES.get(activation)
    except TypeError:  # an activation object that is not hashable
        return None
