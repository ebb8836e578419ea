"""Recurrent networks for Keras: the theory visible, the training fast."""

from kerasrnn.cells import VanillaRNNCell
from kerasrnn.export import export
from kerasrnn.layers import VanillaRNN
from kerasrnn.models.classifier import TextClassifier
from kerasrnn.pooling import MeanMaxPooling1D
from kerasrnn.text import Vocabulary

__all__ = [
    "MeanMaxPooling1D",
    "TextClassifier",
    "VanillaRNN",
    "VanillaRNNCell",
    "Vocabulary",
    "export",
]
