"""Recurrent networks for Keras: the theory visible, the training fast."""

from kerasrnn.cells import VanillaRNNCell
from kerasrnn.export import export
from kerasrnn.layers import VanillaRNN
from kerasrnn.models.classifier import TextClassifier
from kerasrnn.pooling import MeanMaxPooling1D
from kerasrnn.rnn import RNN
from kerasrnn.text import Vocabulary
from kerasrnn.truncation import FullBPTT, RandomizedTruncation, TruncatedBPTT

__all__ = [
    "RNN",
    "FullBPTT",
    "MeanMaxPooling1D",
    "RandomizedTruncation",
    "TextClassifier",
    "TruncatedBPTT",
    "VanillaRNN",
    "VanillaRNNCell",
    "Vocabulary",
    "export",
]
