"""Trains under `tf.distribute` on two replicas, and alone: `python -m tests.two_replicas`.

Prints the largest difference between the weights, for windows given to `update` inside
`strategy.run`, and for whole sequences given to `fit`. It runs in a process of its own,
since TensorFlow divides the CPU into two devices only before it starts.
"""

import keras
import numpy as np
import tensorflow as tf

import kerasrnn
from kerasrnn.training.data import as_batches
from kerasrnn.training.loop import update

BATCH, WINDOW, NUM_WINDOWS = 8, 6, 3


def make_model(window):
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


def some_sequences(rng):
    """Sequences of different lengths: the replicas count different numbers of steps."""
    lengths = rng.integers(2, WINDOW * NUM_WINDOWS, size=BATCH)
    lengths[0] = WINDOW * NUM_WINDOWS
    return [rng.integers(0, 9, size=n + 1) for n in lengths]


def print_difference(name, model, other):
    pairs = zip(model.get_weights(), other.get_weights(), strict=True)
    print(name, max(np.abs(a - b).max() for a, b in pairs))


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
    print_difference("update", model, alone)


def by_fit(strategy, rng):
    """Whole sequences, padded; padding has a weight of 0."""
    sequences = [*some_sequences(rng), *some_sequences(rng)]
    ids = np.zeros((len(sequences), WINDOW * NUM_WINDOWS + 1), "int32")
    weights = np.zeros((len(sequences), WINDOW * NUM_WINDOWS), "float32")
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = sequence
        weights[row, : len(sequence) - 1] = 1
    data = tf.data.Dataset.from_tensor_slices((ids[:, :-1], ids[:, 1:], weights)).batch(BATCH)
    alone = make_model(None)
    alone.fit(data, epochs=2, verbose=0)
    with strategy.scope():
        model = make_model(None)
        model.fit(data, epochs=2, verbose=0)
    print_difference("fit", model, alone)


def main():
    cpu = tf.config.list_physical_devices("CPU")[0]
    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, halves)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    rng = np.random.default_rng(0)
    by_update(strategy, rng)
    by_fit(strategy, rng)


if __name__ == "__main__":
    main()
