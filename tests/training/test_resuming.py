"""What can go on from checkpoints, and what is left to do."""

import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.training.data import as_dataset
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
        with pytest.raises(ValueError, match=r"or a keras.utils.PyDataset, got ndarray"):
            resumed_run.classifier().fit(ids, ids[:, 0], run_dir=tmp_path)
    with pytest.raises(ValueError, match="checkpoint_every must be a positive integer"):
        train(unknown, run_dir=tmp_path, checkpoint_every=0)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_fit_with_checkpoints_validates_on_arrays(tmp_path):
    ids = np.arange(30).reshape(6, 5) % 8 + 1
    arrays = [ids, np.arange(6) % 2, np.arange(6.0)]
    data = tf.data.Dataset.from_tensor_slices((ids, np.arange(6) % 2)).batch(3)
    model = resumed_run.classifier()
    options = {"validation_data": arrays, "batch_size": 4, "class_weight": None, "verbose": 0}
    history = model.fit(data, run_dir=tmp_path, **options).history
    scores = model.evaluate(
        *arrays[:2], 4, sample_weight=arrays[2], verbose=0, return_dict=True
    )
    assert history["val_loss"] == [pytest.approx(scores["loss"], rel=1e-5)]


def test_arrays_become_batches():
    ids, labels, weights = np.arange(10).reshape(5, 2), np.arange(5), np.arange(5.0)
    for given in ((ids, labels), [ids, labels, weights]):
        batches = list(as_dataset(given, 3).as_numpy_iterator())
        assert [len(batch) for batch in batches] == [len(given)] * 2
        for number, part in enumerate(given):
            joined = np.concatenate([batch[number] for batch in batches])
            np.testing.assert_array_equal(joined, part)


@pytest.mark.parametrize("name", ["y", "sample_weight"])
def test_a_fit_with_checkpoints_ignores_no_array(tmp_path, name):
    ids = np.ones((4, 8), "int32")
    data = tf.data.Dataset.from_tensors((ids, ids[:, 0]))
    with pytest.raises(ValueError, match=f"already contains {name}. Do not pass {name}"):
        resumed_run.classifier().fit(data, run_dir=tmp_path, verbose=0, **{name: ids[:, 0]})
    assert not list(tmp_path.iterdir())
