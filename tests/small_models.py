"""Small models of every kind, untrained, whose outputs are far enough apart to compare."""

import numpy as np
import tensorflow as tf

import kerasrnn
from tests.seeds import set_seed

TEXT = "Être ou ne pas être: 問題だ 🎭.\n" * 30
WORDS = ["[PAD]", "[UNK]", "good", "bad", "film", "été"]
LANGUAGE_MODELS = {
    "deep": {"num_layers": 2, "dropout": 0.2, "recurrent_dropout": 0.1},
    "embedded": {"embedding_dim": 3, "num_layers": 2, "residual": False},
    "tied": {"tie_weights": True},
    "lstm": {"cell": "lstm", "num_layers": 2, "embedding_dim": 3, "recurrent_dropout": 0.1},
    "gru": {"cell": "gru", "tie_weights": True, "recurrent_dropout": 0.1},
}
CLASSIFIERS = [
    ("vanilla", True, "mean_max", 5, True),
    ("vanilla", False, "last", None, True),
    ("lstm", True, "last", None, True),
    ("lstm", False, "mean_max", 5, False),
    ("gru", True, "last", 5, True),
    ("gru", False, "mean_max", None, True),
]
"""Cell, `bidirectional`, pooling, `filters` and `stacked` of a `TextClassifier`: each pair of
the first four."""


def make_language_model(**options):
    set_seed(1)
    vocabulary = kerasrnn.CharacterVocabulary.from_text(TEXT)
    model = kerasrnn.CharLanguageModel(vocabulary, units=6, **options)
    model(tf.zeros([1, 1], tf.int32))
    return spread(model)


def make_classifier(**options):
    set_seed(0)
    model = kerasrnn.TextClassifier(WORDS, max_length=8, embedding_dim=4, units=3, **options)
    model(np.array([[2, 0]]))
    return model


def make_seq2seq(**options):
    """From letters to words."""
    set_seed(3)
    sides = (
        kerasrnn.TokenVocabulary.from_texts(["abcé"], "character"),
        kerasrnn.TokenVocabulary.from_texts(["no yes été 問題"], "whitespace"),
    )
    sizes = {"units": 4, "embedding_dim": 3, "max_source_length": 6, "max_target_length": 5}
    model = kerasrnn.Seq2Seq(*sides, **{**sizes, **options})
    model({"source": np.array([[4, 5]]), "inputs": np.array([[2]])})
    return spread(model)


def make_sequence_decoder(source=(1.0, -1.0, 0.5), encoder=None, **options):
    """From a source to letters."""
    set_seed(4)
    letters = kerasrnn.TokenVocabulary.from_texts(["abcé"], "character")
    sizes = {"units": 4, "embedding_dim": 3, "max_length": 5}
    model = kerasrnn.SequenceDecoder(letters, encoder, **{**sizes, **options})
    model({"source": np.array([source]), "inputs": np.array([[2]])})
    return spread(model)


def spread(model):
    """The model, with larger weights."""
    for variable in model.trainable_variables:
        variable.assign(2 * variable + 0.1)
    return model
