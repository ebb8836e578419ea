"""A run with checkpoints, small and quick to make; see also tests/resumed_run.py."""

import json

import keras
import numpy as np

import kerasrnn
from kerasrnn.training import checkpoints
from tests.seeds import set_seed


def small_model():
    """Made sooner than the one of tests/resumed_run.py; it holds random states, too."""
    model = kerasrnn.SequenceModel(
        [
            keras.layers.Embedding(9, 5),
            kerasrnn.VanillaRNN(6, return_sequences=True, recurrent_dropout=0.1),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(9),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.02),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        window=6,
        global_clipnorm=1.0,
    )
    return model


def fit(run_dir, model=None, stream=None, **options):
    """Trains one epoch of nine steps, with a checkpoint after every second."""
    set_seed(1)
    model = model or small_model()
    tokens = np.random.default_rng(0).integers(0, 9, size=200)
    stream = stream or kerasrnn.Stream.from_tokens(tokens, batch_size=4)
    options = {"epochs": 1, "verbose": 0, "checkpoint_every": 2, **options}
    return model, model.fit(stream, run_dir=run_dir, **options)


def compiled(steps_per_execution=1):
    """The same model, always with the same weights."""
    set_seed(1)
    model = small_model()
    model.compile(
        model.optimizer,
        model.loss,
        metrics=["accuracy"],
        steps_per_execution=steps_per_execution,
        **model.training_step.options.__dict__,
    )
    return model


def contents(run_dir):
    """The bytes of all checkpoints, by name."""
    return {p.name: p.read_bytes() for p in (run_dir / "checkpoints").iterdir()}


def cut(path, part):
    """Leaves the first part of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])


def rewritten(change):
    """A file that NumPy reads, with other contents."""

    def rewrite(path):
        arrays, notes = checkpoints.load(path)
        arrays, notes = change(arrays, notes)
        np.savez(path, notes=np.array(json.dumps(notes)), **arrays)

    return rewrite
