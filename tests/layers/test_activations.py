"""Derivatives that are written in terms of the output, beside finite differences."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasrnn.layers.activations import closed_derivative

# Between the points lies 0, where ReLU has no derivative.
POINTS = np.linspace(-4, 4, 30)
NAMES = ["tanh", "relu", "sigmoid", "hard_sigmoid", "linear"]
TOLERANCES = {"float16": 1e-3, "float32": 1e-6, "float64": 1e-12}


@pytest.mark.parametrize("name", NAMES)
def test_the_derivative_is_the_slope_of_the_function(name):
    activation = closed_derivative(keras.activations.get(name))
    epsilon = 1e-6
    above, below = (activation.function(tf.constant(POINTS + e)) for e in (epsilon, -epsilon))
    slope = (above - below) / (2 * epsilon)
    found = activation.derivative(activation.function(tf.constant(POINTS)))
    np.testing.assert_allclose(found, slope, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_function_is_that_of_keras_in_every_precision(name, dtype):
    of_keras = keras.activations.get(name)
    activation, points = closed_derivative(of_keras), tf.constant(POINTS, dtype)
    outputs = activation.function(points)
    np.testing.assert_allclose(outputs, of_keras(points), rtol=TOLERANCES[dtype])
    assert outputs.dtype == activation.derivative(outputs).dtype == dtype


@pytest.mark.parametrize("function", [tf.tanh, tf.nn.tanh, keras.ops.tanh, tf.nn.sigmoid])
def test_other_names_of_a_function_are_known(function):
    assert closed_derivative(function).function in (tf.tanh, tf.sigmoid)


def test_an_unknown_activation_has_no_closed_derivative():
    class Unhashable:
        __hash__ = None

        def __call__(self, x):
            return x

    for activation in (keras.activations.gelu, tf.sin, Unhashable()):
        assert closed_derivative(activation) is None
