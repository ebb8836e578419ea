"""The recurrent layers by the names that models give them."""

from kerasrnn.layers.gru import GRU
from kerasrnn.layers.lstm import LSTM
from kerasrnn.layers.vanilla_rnn import VanillaRNN

CELLS = {"vanilla": VanillaRNN, "lstm": LSTM, "gru": GRU}
