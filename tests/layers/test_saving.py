"""Saved Keras models of every kind load with nothing but `import kerasrnn`."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import kerasrnn

LOAD = """
import sys
import kerasrnn
import keras
import numpy as np

for folder in sys.argv[1:]:
    model = keras.saving.load_model(f"{folder}/model.keras")
    found = model(np.load(f"{folder}/inputs.npy"))
    np.testing.assert_allclose(found, np.load(f"{folder}/outputs.npy"), atol=1e-6)
"""


def make_models():
    classifier = kerasrnn.TextClassifier(
        ["[PAD]", "[UNK]", "été"], embedding_dim=4, units=3, cell="lstm"
    )
    language_model = kerasrnn.CharLanguageModel("ab\n日", units=4, num_layers=2)
    series = kerasrnn.SequenceModel(
        [kerasrnn.VanillaRNN(3, return_sequences=True), keras.layers.Dense(2)]
    )
    truncated = kerasrnn.RNN(
        keras.layers.GRUCell(3), truncation=kerasrnn.RandomizedTruncation(0.9)
    )
    plain = keras.Sequential(
        [
            keras.Input([None, 2]),
            kerasrnn.VanillaRNN(
                4, return_sequences=True, truncation=kerasrnn.TruncatedBPTT(3), dropout=0.1
            ),
            keras.layers.RNN(kerasrnn.VanillaRNNCell(3), return_sequences=True),
            truncated,
        ]
    )
    pooled = keras.Sequential(
        [keras.Input([None, 2]), kerasrnn.GlobalMeanMaxPooling1D(), keras.layers.Dense(1)]
    )
    ids, values = np.array([[1, 2, 1]]), np.ones([2, 5, 2], "float32")
    return {
        "classifier": (classifier, ids),
        "language_model": (language_model, ids),
        "series": (series, values),
        "plain": (plain, values),
        "pooled": (pooled, values),
    }


@pytest.mark.slow
def test_saved_models_load_in_a_fresh_process(tmp_path):
    models = make_models()
    for name, (model, inputs) in models.items():
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "inputs.npy", inputs)
        np.save(tmp_path / name / "outputs.npy", model(inputs))
        model.save(tmp_path / name / "model.keras")
    command = [sys.executable, "-c", LOAD, *(str(tmp_path / name) for name in models)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr[-2000:]


def test_every_public_layer_and_model_is_registered():
    for name in kerasrnn.__all__:
        thing = getattr(kerasrnn, name)
        made = thing is not kerasrnn.RecurrentCell  # which others derive from
        if made and isinstance(thing, type) and issubclass(thing, keras.layers.Layer):
            assert keras.saving.get_registered_name(thing) == f"kerasrnn>{name}"
