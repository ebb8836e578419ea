"""A run that is cut off and started again ends as if nothing had happened."""

import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.training import checkpoints
from kerasrnn.training.run import TrainingRun
from tests.training.runs import contents, cut, fit, rewritten, small_model

ROOT = Path(__file__).parents[2]


def start(folder, *delay):
    command = [sys.executable, "-m", "tests.resumed_run", str(folder), *map(str, delay)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


@pytest.mark.slow
def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(tmp_path):
    """Here by `train`; the tests of the apps kill `fit`."""
    delay = np.random.default_rng(0).uniform(0.05, 0.5)
    assert start(tmp_path, delay) == -signal.SIGKILL
    assert checkpoints.list_checkpoints(tmp_path / "killed" / "checkpoints")
    assert not (tmp_path / "killed.npz").exists()
    assert start(tmp_path) == 0
    assert not list((tmp_path / "killed").rglob(".writing-*"))
    with np.load(tmp_path / "whole.npz") as whole, np.load(tmp_path / "killed.npz") as resumed:
        assert whole.files == resumed.files
        for name in whole.files:
            np.testing.assert_array_equal(resumed[name], whole[name], err_msg=name)


@pytest.fixture(scope="module")
def open_run():
    """Opens the run in a folder, with a model that nothing else has trained."""
    model = small_model()
    model.prepare((tf.TensorSpec([4, 6], tf.int32),) * 2)
    return functools.partial(
        TrainingRun, model, epochs=1, steps_per_epoch=9, checkpoint_every=2
    )


def test_resume_false_begins_anew(finished, run_dir):
    model, _ = fit(run_dir, resume=False)
    for a, b in zip(model.get_weights(), finished[1].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)  # the same seed
    assert sorted(contents(run_dir)) == ["step-0000000008.npz", "step-0000000009.npz"]


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def become_a_folder(path):
    path.unlink()
    path.mkdir()


DAMAGE = {
    "empty": functools.partial(cut, part=0),
    "half": functools.partial(cut, part=0.5),
    "its end missing": functools.partial(cut, part=0.99),
    "a bit flipped": flip,
    "another file": lambda path: path.write_text("hello"),
    "a folder": become_a_folder,
    "no notes of a run": rewritten(lambda arrays, notes: (arrays, [1, 2])),
    "a note missing": rewritten(lambda arrays, notes: (arrays, {**notes, "epoch": None})),
    "no arrays": rewritten(lambda arrays, notes: ({}, notes)),
    "arrays of other sizes": rewritten(
        lambda arrays, notes: ({name: a[..., None] for name, a in arrays.items()}, notes)
    ),
    "a pickle": lambda path: np.savez(path, notes=np.array([{}], object)),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_checkpoint_is_said_and_the_one_before_it_taken(
    run_dir, open_run, capsys, kind
):
    before, newest = checkpoints.list_checkpoints(run_dir / "checkpoints")
    DAMAGE[kind](newest)
    with open_run(run_dir, resume=True) as run:
        assert (run.epoch, run.step, run.finished) == (0, 8, False)
    said = capsys.readouterr().err
    assert f"{newest} is damaged" in said
    assert said.endswith(" Going on from step-0000000008.npz.\n")
    assert checkpoints.list_checkpoints(run_dir / "checkpoints") == [before]


def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(finished, run_dir):
    cut(checkpoints.list_checkpoints(run_dir / "checkpoints")[-1], 0.5)
    model, history = fit(run_dir)
    assert history.history == finished[2].history
    for a, b in zip(model.get_weights(), finished[1].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_where_all_checkpoints_are_damaged_they_are_named_and_left_alone(run_dir, open_run):
    for path in checkpoints.list_checkpoints(run_dir / "checkpoints"):
        cut(path, 0.5)
    before = contents(run_dir)
    with pytest.raises(ValueError, match=r"0009.npz is damaged.* Use resume=False"):
        fit(run_dir)
    assert contents(run_dir) == before
    with open_run(run_dir, resume=False) as run:  # as the message says
        assert (run.epoch, run.step) == (0, 0)
    assert contents(run_dir) == {}


@pytest.mark.parametrize("name", ["callbacks", "python_random", "numpy_random"])
def test_notes_that_say_nothing_are_damage(run_dir, name):
    for path in checkpoints.list_checkpoints(run_dir / "checkpoints"):
        rewritten(lambda arrays, notes: (arrays, {**notes, name: [1, 2]}))(path)
    with pytest.raises(ValueError, match=r"is damaged.* Use resume=False"):
        fit(run_dir)


def test_an_error_before_the_loop_leaves_no_lock(tmp_path, open_run):
    class Counter(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.count = 0

        def on_epoch_end(self, epoch, logs=None):
            self.count += 1

    fit(tmp_path, callbacks=[Counter()])
    try:
        fit(tmp_path, epochs=2)
    except ValueError as error:
        kept = error  # with its frames, as a notebook does
    assert "had a callback Counter" in str(kept)
    with open_run(tmp_path, resume=True) as run:
        assert run.epoch == 1


def test_a_run_is_trained_by_one_process_at_a_time(tmp_path, open_run):
    class TrainAgain(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            with pytest.raises(BlockingIOError, match="another process") as caught:
                fit(tmp_path)
            assert caught.value.filename == str(tmp_path / "checkpoints")
            refused.append(epoch)

    refused = []
    fit(tmp_path, callbacks=[TrainAgain()])
    assert refused == [0]
    with open_run(tmp_path, resume=True) as run:  # the lock has gone with its end
        assert run.epoch == 1


def test_a_metric_of_several_numbers_is_kept(tmp_path):
    class Both(keras.metrics.Metric):
        def __init__(self):
            super().__init__(name="both")
            self.total = self.add_weight(shape=(2,), initializer="zeros")

        def update_state(self, targets, outputs, sample_weight=None):
            self.total.assign_add([1.0, 2.0])

        def result(self):
            return self.total.value

    def trained(epochs):
        model = small_model()
        model.compile("sgd", model.loss, metrics=[Both()], window=6)
        ids = np.ones((4, 12), "int32")
        stream = kerasrnn.Stream(ids, ids, batch_size=4)
        return fit(tmp_path, model, stream, validation_data=stream, epochs=epochs)[1].history

    for history in (trained(2), trained(2)):  # the second time it is read from the run
        np.testing.assert_allclose(history["both"], [[2.0, 4.0]] * 2)
        np.testing.assert_allclose(history["val_both"], [[2.0, 4.0]] * 2)
