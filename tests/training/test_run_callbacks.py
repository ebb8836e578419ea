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


@pytest.mark.parametrize(
    ("moment", "way"),
    [
        ("on_test_begin", "fit"),
        pytest.param("on_test_begin", "train", marks=pytest.mark.slow),
        ("on_train_end", "fit"),
    ],
)
def test_a_run_that_stops_at_an_awkward_moment_loses_nothing(tmp_path, way, moment):
    ends = []
    for run_dir, callbacks in [("stopped", [Stop(moment)]), ("stopped", []), ("whole", [])]:
        tokens = np.random.default_rng(0).integers(0, 9, size=200)
        stream = kerasrnn.Stream.from_tokens(tokens, batch_size=4)
        model = compiled()
        train = model.fit if way == "fit" else lambda *a, **k: kerasrnn.train(model, *a, **k)  # noqa: B023
        stopping = keras.callbacks.EarlyStopping(
            "loss", mode="max", patience=2, restore_best_weights=True
        )
        options = {
            "epochs": 2,
            "verbose": 0,
            "validation_data": stream,
            "checkpoint_every": 3,  # of 9 steps
            "run_dir": tmp_path / run_dir,
            "callbacks": [stopping, *callbacks],
        }
        if callbacks:
            with pytest.raises(RuntimeError, match="stopped here"):
                train(stream, **options)
            continue
        history = train(stream, **options).history
        ends.append((model.get_weights(), history))
    assert ends[0][1] == ends[1][1]
    for a, b in zip(ends[0][0], ends[1][0], strict=True):
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
