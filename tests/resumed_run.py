"""A training run to kill: `python -m tests.resumed_run FOLDER [DELAY]`.

With a DELAY it trains by `kerasrnn.train` in FOLDER/killed, and kills itself with SIGKILL
DELAY seconds after its fourth step of training, at whatever it is doing then. Without one it
goes on there to the end, then trains in FOLDER/whole by `fit` from the beginning, and writes
how both have ended into FOLDER/killed.npz and FOLDER/whole.npz. The end depends on everything
that a checkpoint has to hold: dropout, random gates, coins of scheduled sampling, Adam, the
schedule of the learning rate, carried states, early stopping with its best weights, and
numbers drawn from the global generators.
"""

import os
import random
import signal
import sys
import threading

import keras
import numpy as np
import tensorflow as tf

import kerasrnn
from tests import quick_graphs  # noqa: F401


class KillAfter(keras.callbacks.Callback):
    """Kills this process, and leaves time to be killed in."""

    def __init__(self, delay):
        super().__init__()
        self._timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL))
        self._timer.daemon = True
        self._steps = iter(range(1000))

    def on_train_batch_end(self, batch, logs=None):
        if next(self._steps) == 3:
            self._timer.start()
        threading.Event().wait(0.05)


class GlobalNoise(keras.callbacks.Callback):
    """Perturbs a weight by numbers of the global generators."""

    def on_train_batch_end(self, batch, logs=None):
        bias = self.model.layers[-1].bias
        bias.assign_add(np.full(bias.shape, 1e-3 * (np.random.normal() + random.random())))


def sequence_model():
    cell = keras.layers.GRUCell(6, recurrent_dropout=0.1)
    model = kerasrnn.SequenceModel(
        [
            keras.layers.Embedding(9, 5),
            kerasrnn.RNN(
                cell, return_sequences=True, truncation=kerasrnn.RandomizedTruncation(0.9)
            ),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(9),
        ]
    )
    rate = keras.optimizers.schedules.CosineDecay(0.02, 40)
    model.compile(
        keras.optimizers.Adam(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        window=6,
        global_clipnorm=1.0,
        teacher_forcing=kerasrnn.ScheduledSampling(
            kerasrnn.LinearSchedule(30, end=0.5), draw="sample"
        ),
    )
    return model


def classifier():
    model = kerasrnn.TextClassifier(
        ["[PAD]", "[UNK]", *"abcdefg"], max_length=8, units=4, embedding_dim=4, dropout=0.3
    )
    model.compile(keras.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    return model


def run(way, run_dir, *callbacks):
    """Trains by `fit` or by `train`, from wherever the run in this folder stands."""
    keras.utils.set_random_seed(11)
    tf.config.experimental.enable_op_determinism()
    tokens = np.random.default_rng(0).integers(0, 9, size=200)
    stream = kerasrnn.Stream.from_tokens(tokens, batch_size=4)
    options = {
        "epochs": 4,
        "callbacks": [
            GlobalNoise(),
            keras.callbacks.EarlyStopping("val_loss", patience=3, restore_best_weights=True),
            keras.callbacks.ModelCheckpoint(f"{run_dir}/best.keras", save_best_only=True),
            *callbacks,
        ],
        "verbose": 0,
        "run_dir": run_dir,
        "checkpoint_every": 3,
    }
    model = sequence_model()
    train = model.fit if way == "fit" else lambda *a, **k: kerasrnn.train(model, *a, **k)
    history = train(stream, validation_data=stream, **options).history
    arrays = {f"weight{n}": w for n, w in enumerate(model.get_weights())}
    losses, val_losses = history["loss"], history["val_loss"]
    np.savez(f"{run_dir}.npz", losses=losses, val_losses=val_losses, **arrays)


def main(folder, delay=None):
    if delay is not None:
        run("train", f"{folder}/killed", KillAfter(float(delay)))
        return
    run("train", f"{folder}/killed")
    run("fit", f"{folder}/whole")


if __name__ == "__main__":
    main(*sys.argv[1:])
