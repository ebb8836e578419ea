"""Callbacks and checkpoints of a run that may stop at any moment."""

import keras
import numpy as np
import pytest

import kerasrnn
from tests.training.runs import compiled, fit


class Stop(keras.callbacks.Callback):
    """Fails at a given moment, as a process that is killed there leaves its folder."""

    def __init__(self, moment):
        super().__init__()
        # At the second call of its kind; at the end there is only one.
        self.calls = iter([True] if moment == "on_train_end" else [False, True])
        setattr(self, moment, self.fail)

    def fail(self, *_, **__):
        if next(self.calls):
            raise RuntimeError("stopped here")


def train(run_dir, *callbacks):
    """Two epochs of nine steps, which end with the best weights of the first."""
    tokens = np.random.default_rng(0).integers(0, 9, size=200)
    stream = kerasrnn.Stream.from_tokens(tokens, batch_size=4)
    model = compiled()
    stopping = keras.callbacks.EarlyStopping(
        "loss", mode="max", patience=2, restore_best_weights=True
    )
    history = model.fit(
        stream,
        validation_data=stream,
        epochs=2,
        run_dir=run_dir,
        checkpoint_every=3,
        callbacks=[stopping, *callbacks],
        verbose=0,
    ).history
    return model.get_weights(), history


@pytest.mark.slow
def test_a_run_that_stops_at_awkward_moments_loses_nothing(tmp_path):
    for moment in ("on_test_begin", "on_train_end"):  # each goes on from the one before
        with pytest.raises(RuntimeError, match="stopped here"):
            train(tmp_path / "stopped", Stop(moment))
    weights, history = train(tmp_path / "stopped")
    weights_of_whole, history_of_whole = train(tmp_path / "whole")
    assert history == history_of_whole
    for a, b in zip(weights, weights_of_whole, strict=True):
        np.testing.assert_array_equal(a, b)


def test_with_checkpoints_each_step_is_an_execution(tmp_path):
    steps = []
    reports = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: steps.append(batch)
    )
    fit(tmp_path, compiled(3), callbacks=[reports])
    assert steps == list(range(9))


def test_a_finished_run_says_so_and_how_to_begin_anew(finished, run_dir, capsys):
    fit(run_dir, verbose=2)
    said = capsys.readouterr().out
    assert f"the run in {run_dir} is finished: 1 of 1 epochs are done" in said
    assert "resume=False" in said
