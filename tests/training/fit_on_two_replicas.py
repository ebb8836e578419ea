"""`fit` and `evaluate` under `tf.distribute`: `python -m tests.training.fit_on_two_replicas`.

Prints the largest difference from a single device, of weights and of losses. It runs in a
process of its own, since TensorFlow divides the CPU into two devices only before it starts.
"""

import keras
import numpy as np
import tensorflow as tf

import kerasrnn


def make_classifier():
    keras.utils.set_random_seed(1)
    model = kerasrnn.TextClassifier(
        ["[PAD]", "[UNK]", "good", "bad"], max_length=5, embedding_dim=3, units=2
    )
    model.compile(keras.optimizers.SGD(0.5))
    return model


def make_sequence_model():
    keras.utils.set_random_seed(1)
    model = kerasrnn.SequenceModel(
        [
            keras.layers.Embedding(4, 3),
            kerasrnn.VanillaRNN(5, return_sequences=True),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.5), "binary_crossentropy")
    return model


def train(model, x, y):
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(4)
    history = model.fit(data, validation_data=data, epochs=2, verbose=0).history
    on_batch = model.test_on_batch(x[:4], y[:4], return_dict=True)["loss"]
    return [*model.get_weights(), history["loss"], history["val_loss"], on_batch]


def main():
    cpu = tf.config.list_physical_devices("CPU")[0]
    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, halves)
    rng = np.random.default_rng(0)
    ids = rng.integers(1, 4, size=(8, 5)).astype("int32")
    labels = rng.integers(0, 2, size=(8, 5, 1)).astype("float32")
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for make, targets in ((make_classifier, labels[:, 0]), (make_sequence_model, labels)):
        alone = train(make(), ids, targets)
        with strategy.scope():
            model = make()
        pairs = zip(train(model, ids, targets), alone, strict=True)
        print(max(np.abs(np.subtract(a, b)).max() for a, b in pairs))
    with strategy.scope():
        model.compile("sgd", "binary_crossentropy", window=3)
    try:
        model.fit(ids, labels, verbose=0)
    except ValueError as error:
        print(error)


if __name__ == "__main__":
    main()
