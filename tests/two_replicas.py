"""Trains under `tf.distribute` on two replicas, and alone: `python -m tests.two_replicas`.

Prints the largest difference between the weights. It runs in a process of its
own, since TensorFlow divides the CPU into two devices only before it starts.
"""

import keras
import numpy as np
import tensorflow as tf

import kerasrnn
from kerasrnn.training.data import as_batches
from kerasrnn.training.loop import update

BATCH, WINDOW, NUM_WINDOWS = 8, 6, 3


def make_model():
    keras.utils.set_random_seed(1)
    model = kerasrnn.SequenceModel(
        [
            keras.layers.Embedding(9, 4),
            kerasrnn.VanillaRNN(5, return_sequences=True),
            keras.layers.Dense(9),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, window=WINDOW, global_clipnorm=0.1)
    return model


def main():
    cpu = tf.config.list_physical_devices("CPU")[0]
    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, halves)
    rng = np.random.default_rng(0)
    # Sequences of different lengths: the replicas count different numbers of steps.
    lengths = rng.integers(2, WINDOW * NUM_WINDOWS, size=BATCH)
    lengths[0] = WINDOW * NUM_WINDOWS
    sequences = [rng.integers(0, 9, size=n + 1) for n in lengths]
    stream = kerasrnn.Stream(sequences, batch_size=BATCH)
    alone = make_model()
    kerasrnn.train(alone, stream, verbose=0)

    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = make_model()
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
    pairs = zip(model.get_weights(), alone.get_weights(), strict=True)
    print(max(np.abs(a - b).max() for a, b in pairs))


if __name__ == "__main__":
    main()
