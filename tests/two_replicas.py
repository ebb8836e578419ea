"""Trains under `tf.distribute` on two replicas, and alone: `python -m tests.two_replicas`.

Prints the largest differences, as JSON: for windows given to `update` inside `strategy.run`,
for whole sequences given to `fit`, and for texts given to the `fit` of a classifier; and what
`fit` says of windows. It runs in a process of its own, since TensorFlow divides the CPU into
two devices only before it starts.
"""

import json

import keras
import numpy as np
import tensorflow as tf

import kerasrnn
from kerasrnn.training.data import as_batches
from kerasrnn.training.loop import update
from tests import quick_graphs  # noqa: F401

BATCH, WINDOW, NUM_WINDOWS = 8, 4, 3
WORDS = ["[PAD]", "[UNK]", "good", "bad"]


def make_model(window=None):
    keras.utils.set_random_seed(1)
    model = kerasrnn.SequenceModel(
        [
            keras.layers.Embedding(9, 4),
            kerasrnn.VanillaRNN(5, return_sequences=True),
            keras.layers.Dense(9),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, window=window, global_clipnorm=0.1)
    return model


def make_classifier():
    keras.utils.set_random_seed(1)
    sizes = {"max_length": 5, "embedding_dim": 3, "units": 2}
    model = kerasrnn.TextClassifier(WORDS, **sizes, bidirectional=False)
    model.compile(keras.optimizers.SGD(0.5))
    return model


def some_sequences(rng):
    """Sequences of different lengths: the replicas count different numbers of steps."""
    lengths = rng.integers(2, WINDOW * NUM_WINDOWS, size=BATCH)
    lengths[0] = WINDOW * NUM_WINDOWS
    return [rng.integers(0, 9, size=n + 1) for n in lengths]


def padded(rng):
    """The same as arrays; padding has a weight of 0."""
    sequences = [*some_sequences(rng), *some_sequences(rng)]
    ids = np.zeros((len(sequences), WINDOW * NUM_WINDOWS + 1), "int32")
    weights = np.zeros((len(sequences), WINDOW * NUM_WINDOWS), "float32")
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = sequence
        weights[row, : len(sequence) - 1] = 1
    return ids[:, :-1], ids[:, 1:], weights


def texts(rng):
    """Ids of words and labels."""
    ids = rng.integers(1, len(WORDS), size=(8, 5)).astype("int32")
    return ids, rng.integers(0, 2, size=(8, 1)).astype("float32")


def difference(found, expected):
    pairs = zip(found, expected, strict=True)
    return float(max(np.abs(np.subtract(a, b)).max() for a, b in pairs))


def by_update(strategy, rng):
    """An explicit loop over windows, with carried states as values."""
    stream = kerasrnn.Stream(some_sequences(rng), batch_size=BATCH)
    alone = make_model(WINDOW)
    kerasrnn.train(alone, stream, verbose=0)
    with strategy.scope():
        model = make_model(WINDOW)
        batches = as_batches(
            stream, model.training_step.options, model.check_inputs, for_training=True
        )
        model.prepare(batches.element_spec)
    shared = strategy.experimental_distribute_dataset(batches)

    @tf.function(autograph=False)
    def step(batch, states):
        return strategy.run(
            lambda b, s: update(model.training_step, b, s), args=(batch, states)
        )

    states = model.initial_states(BATCH // 2)
    for batch in shared:
        _, states = step(batch, states)
    return difference(model.get_weights(), alone.get_weights())


def by_fit(strategy, make, arrays):
    """Weights and losses of `fit`, with validation, and of `test_on_batch`."""

    def train(model):
        data = tf.data.Dataset.from_tensor_slices(arrays).batch(len(arrays[0]) // 2)
        history = model.fit(data, validation_data=data, epochs=2, verbose=0).history
        half = [array[: len(array) // 2] for array in arrays]
        on_batch = model.test_on_batch(*half, return_dict=True)["loss"]
        return [*model.get_weights(), history["loss"], history["val_loss"], on_batch]

    alone = train(make())
    with strategy.scope():
        model = make()
    return difference(train(model), alone)


def of_windows(strategy, arrays):
    """What `fit` says of windows on two replicas."""
    with strategy.scope():
        model = make_model(WINDOW)
    try:
        model.fit(*arrays, verbose=0)
    except ValueError as error:
        return str(error)
    return "nothing"


def main():
    cpu = tf.config.list_physical_devices("CPU")[0]
    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, halves)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    rng = np.random.default_rng(0)
    found = {
        "update": by_update(strategy, rng),
        "fit": by_fit(strategy, make_model, padded(rng)),
        "classifier": by_fit(strategy, make_classifier, texts(rng)),
        "windows": of_windows(strategy, padded(rng)[:2]),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
