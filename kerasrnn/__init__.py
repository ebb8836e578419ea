"""Recurrent networks for Keras: the theory visible, the training fast."""

from kerasrnn.cells import VanillaRNNCell
from kerasrnn.characters import CharacterVocabulary
from kerasrnn.conversion import convert
from kerasrnn.diagnostics import GradientFlow, StateJacobian, gradient_flow, state_jacobian
from kerasrnn.export import export
from kerasrnn.exposure_bias import ExposureBias, exposure_bias
from kerasrnn.flow_report import GradientFlowReport
from kerasrnn.initializers import SpectralRadius
from kerasrnn.layers import VanillaRNN
from kerasrnn.metrics import BitsPerCharacter, Perplexity
from kerasrnn.models.classifier import TextClassifier
from kerasrnn.models.language_model import CharLanguageModel
from kerasrnn.models.sequence import SequenceModel
from kerasrnn.pooling import MeanMaxPooling1D
from kerasrnn.rnn import RNN
from kerasrnn.streams import RandomWindow, Stream
from kerasrnn.teacher_forcing import (
    ConstantSampling,
    ExponentialSampling,
    InverseSigmoidSampling,
    LinearSampling,
    ScheduledSampling,
)
from kerasrnn.text import Vocabulary
from kerasrnn.training import train
from kerasrnn.truncation import FullBPTT, RandomizedTruncation, TruncatedBPTT

__all__ = [
    "RNN",
    "BitsPerCharacter",
    "CharLanguageModel",
    "CharacterVocabulary",
    "ConstantSampling",
    "ExponentialSampling",
    "ExposureBias",
    "FullBPTT",
    "GradientFlow",
    "GradientFlowReport",
    "InverseSigmoidSampling",
    "LinearSampling",
    "MeanMaxPooling1D",
    "Perplexity",
    "RandomWindow",
    "RandomizedTruncation",
    "ScheduledSampling",
    "SequenceModel",
    "SpectralRadius",
    "StateJacobian",
    "Stream",
    "TextClassifier",
    "TruncatedBPTT",
    "VanillaRNN",
    "VanillaRNNCell",
    "Vocabulary",
    "convert",
    "export",
    "exposure_bias",
    "gradient_flow",
    "state_jacobian",
    "train",
]
