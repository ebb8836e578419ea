"""The time of an epoch of `model.fit`, with layers of Keras and of kerasrnn in their place.

The textbook sentiment model: 10,000 words, 200 tokens, word vectors and a recurrent layer of
128 units, batches of 32. The reviews are random, as long as real ones, and masked. The models
train in turn, an epoch each.
"""

from collections.abc import Iterator

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import numpy as np
    import tensorflow as tf

    import kerasrnn
    from kerasrnn.text.batches import prefetch

from benchmarks import tables
from benchmarks.options import Options
from benchmarks.problems import draw_lengths
from benchmarks.tables import Table
from benchmarks.timing import time_calls

NUM_WORDS, SIZE, BATCH_SIZE = 10_000, 128, 32
NUM_REVIEWS, LENGTH = 2048, 200
QUICK_NUM_REVIEWS, QUICK_LENGTH = 64, 10
PAIRS = {"SimpleRNN": "VanillaRNN", "LSTM": "LSTM", "GRU": "GRU"}
"""Layers of Keras, and those of kerasrnn in their place."""


def make_model(recurrent: keras.layers.Layer) -> keras.Model:
    layers = [
        keras.layers.Embedding(NUM_WORDS, SIZE, mask_zero=True),
        recurrent,
        keras.layers.Dense(1, activation="sigmoid"),
    ]
    model = keras.Sequential(layers)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


def run(options: Options) -> Iterator[Table]:
    """Seconds of an epoch, for each pair of layers."""
    count = QUICK_NUM_REVIEWS if options.quick else NUM_REVIEWS
    time = QUICK_LENGTH if options.quick else LENGTH
    rng = np.random.default_rng(0)
    lengths = draw_lengths(count, time)
    ids = rng.integers(1, NUM_WORDS, size=(count, time)) * (np.arange(time) < lengths[:, None])
    reviews = tf.data.Dataset.from_tensor_slices((ids, rng.integers(0, 2, size=count)))
    batches = prefetch(reviews.shuffle(count).batch(BATCH_SIZE))
    rows: list[tables.Row] = []
    for theirs, ours in list(PAIRS.items())[: 1 if options.quick else None]:
        layers = {
            "kerasrnn": getattr(kerasrnn, ours)(SIZE),
            "Keras": getattr(keras.layers, theirs)(SIZE),
        }
        models = {name: make_model(layer) for name, layer in layers.items()}
        epochs = {
            name: lambda model=model: model.fit(batches, shuffle=False, verbose=0)
            for name, model in models.items()
        }
        seconds = time_calls(epochs, options.rounds_of_a_row, options.seconds_of_a_row)
        rows.append(((theirs, ours), seconds))
    title = f"model.fit: seconds an epoch of {count:,} reviews, and the ratio to kerasrnn"
    yield tables.ratio_table(
        "fit", title, ("layer of Keras", "of kerasrnn"), rows, ("kerasrnn", "Keras")
    )
