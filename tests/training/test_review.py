"""What a `fit` with checkpoints takes, and several replicas."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from tests.seeds import set_seed
from tests.small_models import WORDS

IDS = np.random.default_rng(0).integers(1, 6, size=(8, 5)).astype("int32")
LABELS = np.arange(8) % 2


def compiled(**options):
    set_seed(0)
    model = kerasrnn.TextClassifier(WORDS, max_length=8, embedding_dim=4, units=3)
    model.compile(keras.optimizers.SGD(0.1), **options)
    return model


def batches():
    return tf.data.Dataset.from_tensor_slices((IDS, LABELS)).batch(4)


@pytest.mark.slow
def test_fit_and_evaluate_on_two_replicas_are_those_of_one_device():
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.fit_on_two_replicas"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    *differences, said = done.stdout.splitlines()[-3:]
    assert "runs on one device, but the model was compiled for 2 replicas" in said
    assert max(map(float, differences)) < 1e-5


@pytest.mark.parametrize("arrays", [(IDS, LABELS), [IDS, LABELS, np.arange(8.0)]])
def test_a_fit_with_checkpoints_validates_on_arrays(tmp_path, arrays):
    options = {"validation_data": arrays, "batch_size": 3, "verbose": 0}
    plain = compiled().fit(batches(), **options).history
    kept = compiled().fit(batches(), run_dir=tmp_path, **options).history
    np.testing.assert_allclose(kept["val_loss"], plain["val_loss"], rtol=1e-5)


@pytest.mark.parametrize("name", ["y", "sample_weight"])
def test_a_fit_with_checkpoints_ignores_no_array(tmp_path, name):
    with pytest.raises(ValueError, match=f"already contains {name}. Do not pass {name}"):
        compiled().fit(batches(), run_dir=tmp_path, verbose=0, **{name: LABELS})
    assert not list(tmp_path.iterdir())


def test_a_fit_with_checkpoints_takes_options_that_are_none(tmp_path):
    compiled().fit(batches(), run_dir=tmp_path, class_weight=None, verbose=0)


def test_a_metric_of_several_numbers_is_kept_in_a_run(tmp_path):
    class Both(keras.metrics.Metric):
        def __init__(self):
            super().__init__(name="both")
            self.total = self.add_weight(shape=(2,), initializer="zeros")

        def update_state(self, targets, outputs, sample_weight=None):
            self.total.assign_add([1.0, 2.0])

        def result(self):
            return self.total.value

    for epochs in (1, 2):
        history = compiled(metrics=[Both()]).fit(
            batches(), validation_data=batches(), epochs=epochs, run_dir=tmp_path, verbose=0
        )
    np.testing.assert_allclose(history.history["both"], [[2.0, 4.0]] * 2)
    np.testing.assert_allclose(history.history["val_both"], [[2.0, 4.0]] * 2)


def test_class_weight_goes_with_a_classifier_that_is_not_built_yet():
    weights = np.where(LABELS, 2.0, 1.0)
    by_class = compiled().train_on_batch(IDS, LABELS, class_weight={0: 1.0, 1: 2.0})
    np.testing.assert_allclose(by_class, compiled().train_on_batch(IDS, LABELS, weights))


def test_loss_weights_are_refused_by_name():
    compiled(loss_weights=None)
    with pytest.raises(ValueError, match="loss_weights weighs several outputs"):
        compiled(loss_weights=[2.0])
