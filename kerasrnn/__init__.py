"""Recurrent networks for Keras: the theory visible, the training fast."""

from kerasrnn.analysis.attention import AttentionWeights, attention_weights
from kerasrnn.analysis.exposure_bias import ExposureBias, exposure_bias
from kerasrnn.analysis.gradient_flow import gradient_flow
from kerasrnn.analysis.gradient_flow_callback import GradientFlow
from kerasrnn.analysis.report import GradientFlowReport
from kerasrnn.analysis.state_jacobian import StateJacobian, state_jacobian
from kerasrnn.layers.equations import Equations
from kerasrnn.layers.gru import GRU
from kerasrnn.layers.gru_cell import GRUCell
from kerasrnn.layers.initializers import SpectralRadius
from kerasrnn.layers.lstm import LSTM
from kerasrnn.layers.lstm_cell import LSTMCell
from kerasrnn.layers.pooling import GlobalMeanMaxPooling1D
from kerasrnn.layers.recurrent_cell import RecurrentCell
from kerasrnn.layers.rnn import RNN
from kerasrnn.layers.truncation import FullBPTT, RandomizedTruncation, TruncatedBPTT
from kerasrnn.layers.vanilla_cell import VanillaRNNCell
from kerasrnn.layers.vanilla_rnn import VanillaRNN
from kerasrnn.models.classifier import TextClassifier
from kerasrnn.models.forecast_windows import forecast_windows
from kerasrnn.models.forecaster import Forecast, Forecaster
from kerasrnn.models.generating import Hypothesis
from kerasrnn.models.language_model import CharLanguageModel
from kerasrnn.models.seq2seq import Seq2Seq
from kerasrnn.models.sequence import SequenceModel
from kerasrnn.models.sequence_decoder import SequenceDecoder
from kerasrnn.models.word_language_model import WordLanguageModel
from kerasrnn.serving.conversion import convert
from kerasrnn.serving.saved_model import export
from kerasrnn.text.characters import CharacterVocabulary
from kerasrnn.text.tokens import TokenVocabulary
from kerasrnn.text.word_vectors import word_vectors
from kerasrnn.text.words import Vocabulary
from kerasrnn.training.loop import train
from kerasrnn.training.metrics import BitsPerCharacter, Perplexity
from kerasrnn.training.random_window import RandomWindow
from kerasrnn.training.scheduled_sampling import ScheduledSampling
from kerasrnn.training.schedules import (
    ExponentialSchedule,
    InverseSigmoidSchedule,
    LinearSchedule,
)
from kerasrnn.training.smoothing import SmoothedCrossentropy
from kerasrnn.training.streams import Stream

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AttentionWeights",
    "BitsPerCharacter",
    "CharLanguageModel",
    "CharacterVocabulary",
    "Equations",
    "ExponentialSchedule",
    "ExposureBias",
    "Forecast",
    "Forecaster",
    "FullBPTT",
    "GRUCell",
    "GlobalMeanMaxPooling1D",
    "GradientFlow",
    "GradientFlowReport",
    "Hypothesis",
    "InverseSigmoidSchedule",
    "LSTMCell",
    "LinearSchedule",
    "Perplexity",
    "RandomWindow",
    "RandomizedTruncation",
    "RecurrentCell",
    "ScheduledSampling",
    "Seq2Seq",
    "SequenceDecoder",
    "SequenceModel",
    "SmoothedCrossentropy",
    "SpectralRadius",
    "StateJacobian",
    "Stream",
    "TextClassifier",
    "TokenVocabulary",
    "TruncatedBPTT",
    "VanillaRNN",
    "VanillaRNNCell",
    "Vocabulary",
    "WordLanguageModel",
    "attention_weights",
    "convert",
    "export",
    "exposure_bias",
    "forecast_windows",
    "gradient_flow",
    "state_jacobian",
    "train",
    "word_vectors",
]
