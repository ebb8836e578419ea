"""A run that is killed and started again ends as if nothing had happened."""

import functools
import json
import os
import shutil
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
from tests import resumed_run

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


def small_model():
    """Made sooner than the one that is killed; it holds random states, too."""
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
    keras.utils.set_random_seed(1)
    model = model or small_model()
    tokens = np.random.default_rng(0).integers(0, 9, size=200)
    stream = stream or kerasrnn.Stream.from_tokens(tokens, batch_size=4)
    options = {"epochs": 1, "verbose": 0, "checkpoint_every": 2, **options}
    return model, model.fit(stream, run_dir=run_dir, **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("finished")
    model, history = fit(run_dir)
    return run_dir, model, history


@pytest.fixture
def run_dir(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "run")
    return tmp_path / "run"


def contents(run_dir):
    return {p.name: p.read_bytes() for p in (run_dir / "checkpoints").iterdir()}


def test_the_newest_two_checkpoints_are_kept(finished):
    names = sorted(p.name for p in (finished[0] / "checkpoints").iterdir())
    assert names == ["step-0000000008.npz", "step-0000000009.npz"]


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


def compiled(steps_per_execution=1):
    keras.utils.set_random_seed(1)
    model = small_model()
    model.compile(
        model.optimizer,
        model.loss,
        metrics=["accuracy"],
        steps_per_execution=steps_per_execution,
        **model.training_step.options.__dict__,
    )
    return model


@pytest.mark.parametrize(
    ("moment", "way"),
    [("on_test_begin", "fit"), ("on_test_begin", "train"), ("on_train_end", "fit")],
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


def test_what_the_loop_cannot_do_is_named(tmp_path):
    data = tf.data.Dataset.from_tensors((np.ones((4, 8), "int32"), np.ones(4)))
    options = {"validation_split": 0.5, "class_weight": {0: 1.0, 1: 2.0}}
    model = resumed_run.classifier()
    with pytest.raises(ValueError, match="class_weight, validation_split cannot be used with"):
        model.fit(data, run_dir=tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_arguments_of_callbacks_are_those_given_now(tmp_path):
    def checkpoint(name):
        return keras.callbacks.ModelCheckpoint(tmp_path / f"{name}.keras", monitor="loss")

    fit(tmp_path, compiled(), callbacks=[checkpoint("before")])
    fit(tmp_path, compiled(), callbacks=[checkpoint("after")], epochs=2)
    assert (tmp_path / "after.keras").exists()
    with pytest.raises(ValueError, match="had a callback ModelCheckpoint, which is missing"):
        fit(tmp_path, compiled(), epochs=3)


def test_another_dtype_policy_is_refused(tmp_path):
    ids = np.full((8, 8), 3, "int32")
    data = tf.data.Dataset.from_tensor_slices((ids, np.ones(8, "float32"))).batch(4)
    fit(tmp_path, resumed_run.classifier(), data)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = resumed_run.classifier()
    finally:
        keras.config.set_dtype_policy("float32")
    with pytest.raises(ValueError, match=r"differs in architecture\.dtype"):
        fit(tmp_path, model, data)


def test_resume_false_begins_anew(finished, run_dir):
    model, _ = fit(run_dir, resume=False)
    for a, b in zip(model.get_weights(), finished[1].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)  # the same seed
    assert sorted(contents(run_dir)) == ["step-0000000008.npz", "step-0000000009.npz"]


def other_optimizer():
    model = small_model()
    model.compile("sgd", model.loss, window=6)
    return model


def other_architecture():
    model = small_model()
    model.sequence_layers[1] = kerasrnn.VanillaRNN(7, return_sequences=True)
    return model


def other_window():
    model = small_model()
    model.compile(
        model.optimizer,
        model.loss,
        metrics=["accuracy"],
        window=7,
        global_clipnorm=1.0,
    )
    return model


@pytest.mark.parametrize(
    ("make", "difference"),
    [
        (other_optimizer, r"optimizer\.class"),
        (other_architecture, r"architecture\.layers"),
        (other_window, r"training\.training_options\.config\.window"),
        (resumed_run.classifier, "model"),
    ],
)
def test_another_run_is_refused_and_nothing_is_overwritten(run_dir, make, difference):
    before = contents(run_dir)
    model, data = make(), None
    if isinstance(model, kerasrnn.TextClassifier):
        ids = np.ones((4, 8), "int32")
        data = tf.data.Dataset.from_tensor_slices((ids, np.ones(4, "float32"))).batch(4)
    with pytest.raises(ValueError, match=f"belongs to another run: it differs in {difference}"):
        fit(run_dir, model, data)
    assert contents(run_dir) == before


def test_another_vocabulary_is_refused(tmp_path):
    ids = np.full((8, 8), 3, "int32")
    data = tf.data.Dataset.from_tensor_slices((ids, np.ones(8, "float32"))).batch(4)

    def make(words):
        model = kerasrnn.TextClassifier(["[PAD]", "[UNK]", *words], max_length=8, units=2)
        model.compile("adam", "binary_crossentropy")
        return model

    fit(tmp_path, make("ab"), data)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r"differs in architecture\.vocabulary"):
        fit(tmp_path, make("ba"), data)
    assert contents(tmp_path) == before


def cut(path, part):
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def become_a_folder(path):
    path.unlink()
    path.mkdir()


def rewritten(change):
    """A file that NumPy reads, with other contents."""

    def rewrite(path):
        arrays, notes = checkpoints.load(path)
        arrays, notes = change(arrays, notes)
        np.savez(path, notes=np.array(json.dumps(notes)), **arrays)

    return rewrite


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


@pytest.mark.parametrize("name", ["callbacks", "python_random", "numpy_random"])
def test_notes_that_say_nothing_are_damage(run_dir, name):
    for path in checkpoints.list_checkpoints(run_dir / "checkpoints"):
        rewritten(lambda arrays, notes: (arrays, {**notes, name: [1, 2]}))(path)
    with pytest.raises(ValueError, match=r"is damaged.* Use resume=False"):
        fit(run_dir)


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
