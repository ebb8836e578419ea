"""Training that diverges stops, and leaves nothing behind that is not finite."""

import functools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.training import checkpoints
from tests.seeds import set_seed

WORDS = ["[PAD]", "[UNK]", *"abcdefg"]
IDS = np.random.default_rng(0).integers(0, len(WORDS), size=(32, 8))
LABELS = np.random.default_rng(1).integers(0, 2, size=32)


def classifier(optimizer, kind=kerasrnn.TextClassifier, **options):
    set_seed(1)
    sizes = {"max_length": 8, "units": 4, "embedding_dim": 4}
    model = kind(WORDS, **sizes, dropout=0.3, bidirectional=False)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"], **options)
    return model


class KerasStep(kerasrnn.TextClassifier):
    train_step = keras.Model.train_step


def numbers(kind, policy, **options):
    """The history and the weights of a training under this policy."""
    keras.config.set_dtype_policy(policy)
    try:
        # Not Adam: in Keras it squares each row of a sparse gradient by itself.
        optimizer = keras.optimizers.SGD(0.5, momentum=0.9)
        model = classifier(optimizer, kind, weighted_metrics=["accuracy"], **options)
        history = model.fit(
            IDS,
            LABELS,
            sample_weight=np.linspace(0.5, 2, 32),
            batch_size=16,
            epochs=2,
            shuffle=False,
            verbose=0,
        ).history
    finally:
        keras.config.set_dtype_policy("float32")
    scores = [history[name] for name in ("loss", "accuracy", "weighted_accuracy")]
    return scores, model.get_weights()


@functools.cache
def numbers_of_keras(policy):
    return numbers(KerasStep, policy)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "options"),
    [
        ("float32", {}),
        pytest.param("mixed_float16", {"run_eagerly": True}, marks=pytest.mark.slow),
        pytest.param("mixed_float16", {"steps_per_execution": 2}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_classifier_runs_the_numbers_of_keras_own_step(policy, options):
    scores, weights = numbers(kerasrnn.TextClassifier, policy, **options)
    scores_of_keras, weights_of_keras = numbers_of_keras(policy)
    np.testing.assert_allclose(scores, scores_of_keras, rtol=1e-4, atol=1e-5)
    for a, b in zip(weights, weights_of_keras, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def finite(arrays):
    return all(np.isfinite(a).all() for a in arrays if a.dtype.kind == "f")


def bad_from(step, value=np.nan):
    """Weights of 32 texts, 4 a step, of which one is no number."""
    weights = np.ones(32, "float32")
    weights[4 * (step - 1) + 1] = value
    return weights


@pytest.mark.parametrize("eager", [False, True])
def test_a_classifier_stops_before_an_update_that_is_not_finite(eager):
    model = classifier(keras.optimizers.Adam(), run_eagerly=eager)
    options = {"batch_size": 4, "shuffle": False, "verbose": 0, "epochs": 2}
    for done, value in [(2, np.nan), (4, np.inf), (6, 1e38)]:  # two good steps each time
        message = f"^step {done + 1} is not finite: its loss"
        with pytest.raises(FloatingPointError, match=message) as caught:
            model.fit(IDS, LABELS, sample_weight=bad_from(3, value), **options)
        assert "global_clipnorm=" in str(caught.value)
        assert finite(model.get_weights())
        assert int(model.optimizer.iterations) == done


@pytest.mark.slow
def test_so_does_train_on_batch():
    model = classifier("adam")
    model.train_on_batch(IDS, LABELS, sample_weight=np.ones(32, "float32"))
    before = model.get_weights()
    with pytest.raises(FloatingPointError, match="^step 2 is not finite"):
        model.train_on_batch(IDS, LABELS, sample_weight=bad_from(1))
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_checks_cannot_be_left_to_xla():
    with pytest.raises(ValueError, match="jit_compile=True would leave out the checks"):
        classifier("adam", jit_compile=True)


@pytest.mark.slow
def test_an_overflow_of_scaled_gradients_is_no_mishap():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        scaler = keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(0.1), initial_scale=2.0**30
        )
        model = classifier(scaler)
    finally:
        keras.config.set_dtype_policy("float32")
    history = model.fit(IDS, LABELS, batch_size=4, epochs=6, verbose=0).history
    assert float(scaler.dynamic_scale) < 2**30
    assert 0 < int(scaler.iterations) < 6 * 8
    assert np.isfinite(history["loss"]).all()


def sequence_model(optimizer="sgd", **options):
    set_seed(1)
    layers = [
        kerasrnn.VanillaRNN(4, return_sequences=True, activation="relu"),
        keras.layers.Dense(1),
    ]
    model = kerasrnn.SequenceModel(layers)
    model.compile(optimizer, "mse", **options)
    return model


@pytest.fixture
def values(rng):
    x = rng.normal(size=(4, 6, 3)).astype("float32")
    y = rng.normal(size=(4, 6, 1)).astype("float32")
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(4)


def run(way, model, data, **options):
    if way == "train":
        return kerasrnn.train(model, data, verbose=0, **options)
    return model.fit(data, verbose=0, **options)


class Recorder(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(epoch)


def overflowing(data):
    """The same data, so large that outputs or their squares overflow."""
    return data.map(lambda x, y: (x * np.float32("1e30"), y))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "kept"), [("fit", False), ("train", True), ("classifier", False)]
)
def test_a_validation_loss_that_is_not_finite_stops_the_run(way, kept, values, tmp_path):
    if way == "classifier":
        data = tf.data.Dataset.from_tensor_slices((IDS, LABELS)).batch(8)
        model = classifier("sgd")
        validation = tf.data.Dataset.from_tensors((IDS, LABELS, bad_from(1)))
        message = "^epoch 1 has val_loss=nan"
    else:
        data, model, validation = values, sequence_model(), overflowing(values)
        message = r"^epoch 1 has val_loss=inf\. Lower the learning rate"
    options = {"run_dir": tmp_path, "checkpoint_every": 1} if kept else {}
    recorder = Recorder()
    with pytest.raises(FloatingPointError, match=message):
        run(
            way,
            model,
            data,
            epochs=3,
            validation_data=validation,
            callbacks=[recorder],
            **options,
        )
    assert recorder.epochs == []  # no callback has kept this epoch


@pytest.mark.slow
@pytest.mark.parametrize("way", ["fit", "train"])
def test_steps_that_may_be_skipped_do_not_stop_for_a_validation_loss(way, values):
    model = sequence_model(non_finite="skip")
    history = run(way, model, values, epochs=2, validation_data=overflowing(values)).history
    assert history["val_loss"] == [np.inf, np.inf]


class Overflow(keras.optimizers.SGD):
    """Finite losses and gradients, and at step 3 weights beyond what is finite."""

    def update_step(self, gradient, variable, learning_rate):
        far = tf.where(tf.convert_to_tensor(self.iterations) == 2, np.float32("inf"), 0.0)
        variable.assign(variable + far)


@pytest.mark.parametrize(
    ("way", "every"),
    [("train", 1), ("fit", 1000), pytest.param("classifier", 1, marks=pytest.mark.slow)],
)
def test_no_checkpoint_holds_weights_that_are_not_finite(way, every, values, tmp_path):
    if way == "classifier":
        model, data = classifier(Overflow()), tf.data.Dataset.from_tensor_slices((IDS, LABELS))
        data = data.batch(16)  # two steps an epoch
    else:
        model, data = sequence_model(Overflow()), values.repeat(2)
    options = {"run_dir": tmp_path, "checkpoint_every": every, "epochs": 2}
    with pytest.raises(FloatingPointError):
        run(way, model, data, **options)
    written = checkpoints.list_checkpoints(tmp_path / "checkpoints")
    assert [path.name for path in written][-1] == "step-0000000002.npz"
    for path in written:
        with np.load(path) as file:
            assert json.loads(str(file["notes"]))["step"] in (0, 1)
            assert finite([file[n] for n in file.files if n.startswith("variable/")])


@pytest.mark.parametrize("way", ["fit", "train"])
def test_weights_that_are_not_finite_after_an_epoch_stop_the_run(way, values):
    model, data = sequence_model(Overflow()), values.repeat(3)
    recorder = Recorder()
    with pytest.raises(FloatingPointError, match=r"is not finite after epoch 1\."):
        run(way, model, data, epochs=3, callbacks=recorder)
    assert recorder.epochs == []


def test_a_list_of_callbacks_of_ones_own_works_too(values):
    model, recorder = sequence_model(), Recorder()
    callbacks = keras.callbacks.CallbackList([recorder], add_history=True, model=model)
    with pytest.raises(FloatingPointError, match="epoch 1 has val_loss"):
        model.fit(values, validation_data=overflowing(values), callbacks=callbacks, verbose=0)
    assert recorder.epochs == []


def test_checks_are_not_left_to_xla_on_a_machine_with_a_gpu(monkeypatch):
    devices = tf.config.list_physical_devices
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda kind=None: [kind] if kind else devices()
    )
    assert classifier("adam").jit_compile is False
