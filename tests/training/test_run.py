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

import kerasrnn
from kerasrnn.training import checkpoints
from tests.training.runs import contents, cut, fit, rewritten, small_model

ROOT = Path(__file__).parents[2]


def start(way, run_dir, weights, delay):
    command = [sys.executable, "-m", "tests.resumed_run", way, run_dir, weights, str(delay)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    return subprocess.run(
        [str(part) for part in command], cwd=ROOT, env=environment, check=False
    ).returncode


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The end of a run that was never killed, of `fit`: that of `train` is the same."""
    folder = tmp_path_factory.mktemp("whole")
    assert start("fit", folder / "run", folder / "end.npz", -1) == 0
    return folder / "end.npz"


@pytest.mark.slow
def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(whole, tmp_path):
    """Here by `train`; the tests of the apps kill `fit`."""
    delay = np.random.default_rng(0).uniform(0.05, 0.5)
    status = start("train", tmp_path / "killed", tmp_path / "resumed.npz", delay)
    assert status == -signal.SIGKILL
    assert checkpoints.list_checkpoints(tmp_path / "killed" / "checkpoints")
    assert start("train", tmp_path / "killed", tmp_path / "resumed.npz", -1) == 0
    assert not list((tmp_path / "killed").rglob(".writing-*"))
    with np.load(whole) as expected, np.load(tmp_path / "resumed.npz") as resumed:
        assert expected.files == resumed.files
        for name in expected.files:
            np.testing.assert_array_equal(resumed[name], expected[name], err_msg=name)


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
    finished, run_dir, capsys, kind
):
    newest = checkpoints.list_checkpoints(run_dir / "checkpoints")[-1]
    DAMAGE[kind](newest)
    model, history = fit(run_dir)
    said = capsys.readouterr().err
    assert f"{newest} is damaged" in said
    assert said.endswith(" Going on from step-0000000008.npz.\n")
    assert history.history == finished[2].history
    for a, b in zip(model.get_weights(), finished[1].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_where_all_checkpoints_are_damaged_they_are_named_and_left_alone(run_dir):
    for path in checkpoints.list_checkpoints(run_dir / "checkpoints"):
        cut(path, 0.5)
    before = contents(run_dir)
    with pytest.raises(ValueError, match=r"0009.npz is damaged.* Use resume=False"):
        fit(run_dir)
    assert contents(run_dir) == before
    fit(run_dir, resume=False)  # as the message says


@pytest.mark.parametrize("name", ["callbacks", "python_random", "numpy_random"])
def test_notes_that_say_nothing_are_damage(run_dir, name):
    for path in checkpoints.list_checkpoints(run_dir / "checkpoints"):
        rewritten(lambda arrays, notes: (arrays, {**notes, name: [1, 2]}))(path)
    with pytest.raises(ValueError, match=r"is damaged.* Use resume=False"):
        fit(run_dir)


def test_an_error_before_the_loop_leaves_no_lock(tmp_path):
    class Counter(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.count = 0

        def on_epoch_end(self, epoch, logs=None):
            self.count += 1

    model = small_model()
    stream = kerasrnn.Stream.from_tokens(np.arange(80) % 9, batch_size=4)
    train = functools.partial(kerasrnn.train, model, stream, run_dir=tmp_path, verbose=0)
    train(callbacks=[Counter()])
    try:
        train(epochs=2)
    except ValueError as error:
        kept = error  # with its frames, as a notebook does
    assert "had a callback Counter" in str(kept)
    train(epochs=2, callbacks=[Counter()])


@pytest.mark.parametrize("way", ["fit", "train"])
def test_a_run_is_trained_by_one_process_at_a_time(tmp_path, way):
    class TrainAgain(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            with pytest.raises(BlockingIOError, match="another process") as caught:
                fit(tmp_path)
            assert caught.value.filename == str(tmp_path / "checkpoints")

    model = small_model()
    stream = kerasrnn.Stream.from_tokens(np.arange(80) % 9, batch_size=4)
    train = model.fit if way == "fit" else functools.partial(kerasrnn.train, model)
    train(stream, run_dir=tmp_path, verbose=0, callbacks=[TrainAgain()])
    train(stream, run_dir=tmp_path, verbose=0, epochs=2)  # the lock has gone with its end
