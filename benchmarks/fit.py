"""Seconds an epoch of `model.fit`, with `SimpleRNN` and with `VanillaRNN` in its place.

    python -m benchmarks.fit

The textbook sentiment model (10,000 words, 200 tokens, word vectors and RNN of
128 units) on random reviews of random length, masked. The two models train in
turn, an epoch each.
"""

import statistics
import time

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import numpy as np

    import kerasrnn

NUM_REVIEWS, NUM_WORDS, LENGTH, SIZE, BATCH_SIZE, EPOCHS = 4096, 10_000, 200, 128, 128, 4


def make_model(recurrent):
    model = keras.Sequential(
        [
            keras.layers.Embedding(NUM_WORDS, SIZE, mask_zero=True),
            recurrent,
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


def main():
    rng = np.random.default_rng(0)
    ids = rng.integers(1, NUM_WORDS, size=(NUM_REVIEWS, LENGTH))
    ids *= np.arange(LENGTH) < rng.integers(20, LENGTH + 1, size=(NUM_REVIEWS, 1))
    labels = rng.integers(0, 2, size=NUM_REVIEWS)
    models = {
        "SimpleRNN": make_model(keras.layers.SimpleRNN(SIZE)),
        "VanillaRNN": make_model(kerasrnn.VanillaRNN(SIZE)),
    }
    seconds = {name: [] for name in models}
    for epoch in range(EPOCHS + 1):
        for name, model in models.items():
            start = time.perf_counter()
            model.fit(ids, labels, batch_size=BATCH_SIZE, verbose=0)
            if epoch:  # the first one traces and compiles
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    for name, median in medians.items():
        print(f"{name:12}{median:6.2f} s an epoch of {NUM_REVIEWS:,} reviews")
    print(f"ratio       {medians['SimpleRNN'] / medians['VanillaRNN']:6.2f}")


if __name__ == "__main__":
    main()
