"""Each recurrent layer beside the layer of Keras that it stands for."""

import functools

import keras
import pytest

import kerasrnn
from tests.conformance import RecurrentLayerTests, around

LSTM = functools.partial(keras.layers.LSTM, use_cudnn=False)
GRU = functools.partial(keras.layers.GRU, use_cudnn=False)
LAYERS = {
    "VanillaRNN": (kerasrnn.VanillaRNN, keras.layers.SimpleRNN),
    "LSTM": (kerasrnn.LSTM, LSTM),
    "GRU": (kerasrnn.GRU, GRU),
    "RNN(LSTMCell)": (around(keras.layers.LSTMCell), LSTM),
}


@pytest.fixture(scope="class", params=LAYERS)
def factories(request):
    """A layer's class and that of its reference."""
    return LAYERS[request.param]


class TestConformance(RecurrentLayerTests):
    """Everything that `RecurrentLayerTests` asks, of every layer in `LAYERS`."""
