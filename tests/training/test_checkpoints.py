"""Checkpoint files: whole or absent, and every array as it was."""

import os

import numpy as np
import pytest
import tensorflow as tf

from kerasrnn.training import checkpoints
from tests.training.runs import contents, fit


def test_the_newest_two_checkpoints_are_kept(finished):
    names = sorted(p.name for p in (finished[0] / "checkpoints").iterdir())
    assert names == ["step-0000000008.npz", "step-0000000009.npz"]


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    checkpoints.save(tmp_path, 1, {"a": np.arange(3)}, {})

    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(tmp_path, 2, {"a": np.arange(4)}, {})
    assert [p.name for p in tmp_path.iterdir()] == ["step-0000000001.npz"]


def test_every_dtype_survives(tmp_path):
    values = {
        "half": tf.constant([1.5, 2.0], tf.bfloat16).numpy(),
        "integer": np.array(7, "int64"),
        "empty": np.zeros((0, 3), "float32"),
    }
    path = checkpoints.save(tmp_path, 1, values, {"nested": [1, None, 0.1]})
    arrays, notes = checkpoints.load(path)
    assert notes == {"nested": [1, None, 0.1]}
    assert arrays["half"].view(tf.bfloat16.as_numpy_dtype).tolist() == [1.5, 2.0]
    assert arrays["empty"].shape == (0, 3)


@pytest.mark.parametrize(
    "error", [MemoryError(), *(OSError(n, os.strerror(n)) for n in (5, 13, 24))]
)
def test_what_the_machine_cannot_read_now_is_not_damaged(run_dir, monkeypatch, error):
    before = contents(run_dir)

    def load(*_, **__):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(np, "load", load)
        with pytest.raises(type(error)):
            fit(run_dir)
    assert contents(run_dir) == before
