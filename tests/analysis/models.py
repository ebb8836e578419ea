"""Small models whose gradient flow is known, or can be computed by hand."""

import keras
import numpy as np

import kerasrnn

BATCH, TIME, FEATURES, UNITS = 3, 7, 2, 4


def compiled(*layers):
    model = keras.Sequential(layers)
    model.compile("sgd", "mse")
    return model


def linear_rnn(scale, **options):
    layer = kerasrnn.VanillaRNN(UNITS, activation=None, use_bias=False, **options)
    model = compiled(layer, keras.layers.Dense(1))
    model.build((None, None, FEATURES))
    layer.cell.recurrent_kernel.assign(scale * np.eye(UNITS))
    return model
