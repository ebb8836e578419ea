"""What can go on from checkpoints, and what is left to do."""

import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from tests import resumed_run
from tests.training.runs import fit, small_model


def test_a_finished_run_is_not_trained_again(finished, run_dir):
    _, model, history = finished
    again, found = fit(run_dir)
    assert found.history == history.history
    for a, b in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_finished_run_goes_on_for_more_epochs(finished, run_dir):
    _, history = fit(run_dir, epochs=2)
    assert len(history.history["loss"]) == 2
    assert history.history["loss"][0] == finished[2].history["loss"][0]
    assert history.epoch == [0, 1]


def test_what_the_loop_cannot_do_is_named(tmp_path):
    data = tf.data.Dataset.from_tensors((np.ones((4, 8), "int32"), np.ones(4)))
    options = {"validation_split": 0.5, "class_weight": {0: 1.0, 1: 2.0}}
    model = resumed_run.classifier()
    with pytest.raises(ValueError, match="class_weight, validation_split cannot be used with"):
        model.fit(data, run_dir=tmp_path, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("way", ["fit", "train"])
def test_what_cannot_be_resumed_is_named(tmp_path, way):
    unknown = tf.data.Dataset.from_generator(
        lambda: iter([]), output_signature=(tf.TensorSpec([4, 6], tf.int32),) * 2
    )
    model = small_model()
    train = model.fit if way == "fit" else lambda *a, **k: kerasrnn.train(model, *a, **k)
    with pytest.raises(ValueError, match="needs to know how many batches an epoch has"):
        train(unknown, run_dir=tmp_path)
    if way == "fit":
        ids = np.zeros((4, 8), "int32")
        with pytest.raises(ValueError, match=r"needs a tf\.data\.Dataset, got ndarray"):
            resumed_run.classifier().fit(ids, ids[:, 0], run_dir=tmp_path)
    with pytest.raises(ValueError, match="checkpoint_every must be a positive integer"):
        train(unknown, run_dir=tmp_path, checkpoint_every=0)
    assert not list(tmp_path.iterdir())
