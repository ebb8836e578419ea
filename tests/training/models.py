"""A small model of ids, of every cell, and the two ways to train it."""

import keras

import kerasrnn
from tests.seeds import set_seed

VOCABULARY, UNITS, BATCH, TIME = 11, 6, 4, 26
WAYS = ["fit", "train"]


def make_model(
    cell="vanilla", optimizer=None, metrics=(), mask_zero=False, dtype=None, **options
):
    """Scores of the next id, compiled with these options; the same weights each time."""
    set_seed(4)
    layer = {
        "vanilla": kerasrnn.VanillaRNN,
        "lstm": keras.layers.LSTM,
        "gru": keras.layers.GRU,
    }[cell](UNITS, return_sequences=True, dtype=dtype)
    model = kerasrnn.SequenceModel(
        [
            keras.layers.Embedding(VOCABULARY, 5, mask_zero=mask_zero, dtype=dtype),
            layer,
            keras.layers.Dense(VOCABULARY, dtype=dtype),
        ]
    )
    model.compile(
        optimizer or keras.optimizers.SGD(0.5),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=list(metrics),
        **options,
    )
    return model


def train_by(way, model, data, **options):
    """Trains through `fit` or through `train`."""
    if way == "fit":
        return model.fit(data, verbose=0, **options)
    return kerasrnn.train(model, data, verbose=0, **options)
