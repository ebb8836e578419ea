"""`GradientFlow` in `fit` and `kerasrnn.train`: history and TensorBoard."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.training.checkpoints import list_checkpoints
from tests.seeds import set_seed


@pytest.fixture
def data(rng):
    x = rng.normal(size=(24, 5, 2)).astype("float32")
    return x, np.cumsum(x, 1)[..., :1]


def make_model():
    set_seed(0)
    model = kerasrnn.SequenceModel(
        [
            kerasrnn.VanillaRNN(3, return_sequences=True, name="rnn"),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.05), "mse")
    return model


KEYS = {"rnn/gradient_remaining", "rnn/spectral_radius", "rnn/saturated"}


def test_measurements_come_every_few_steps_and_reach_the_history(data, monkeypatch):
    x, y = data
    model = make_model()
    callback = kerasrnn.GradientFlow(x[:4], y[:4], every=4)
    steps = []
    measure = callback._measure
    monkeypatch.setattr(
        callback, "_measure", lambda: steps.append(callback._step()) or measure()
    )
    history = model.fit(x, y, batch_size=4, epochs=2, verbose=0, callbacks=[callback]).history
    assert steps == [0, 4, 8, 12]
    assert set(history) >= KEYS
    expected = kerasrnn.gradient_flow(model, x[:4], y[:4]).layers[0]
    assert history["rnn/gradient_remaining"][-1] == pytest.approx(expected.remaining[-1])
    assert history["rnn/saturated"][-1] == pytest.approx(expected.saturated.mean())
    radius = expected.spectra[0].spectral_radius
    assert history["rnn/spectral_radius"][-1] == pytest.approx(radius)
    assert len(history["rnn/spectral_radius"]) == 2
    assert history["rnn/spectral_radius"][0] != history["rnn/spectral_radius"][1]


@pytest.mark.slow
def test_training_is_the_same_with_and_without_and_goes_on_after_a_stop(data, tmp_path):
    x, y = data
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)

    options = {"epochs": 2, "verbose": 0}

    def train():
        model = make_model()
        callback = kerasrnn.GradientFlow(x[:4], y[:4], every=2)
        run = {"run_dir": tmp_path, "checkpoint_every": 2, "callbacks": [callback]}
        return model, kerasrnn.train(model, batches, **run, **options).history

    plain = make_model()
    kerasrnn.train(plain, batches, **options)
    model, history = train()
    end = list_checkpoints(tmp_path / "checkpoints")[-1]
    assert end.name == "step-0000000006.npz"
    end.unlink()  # what is left is a run that stopped before its last step
    resumed, resumed_history = train()
    for a, b, c in zip(model.weights, plain.weights, resumed.weights, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    assert history == resumed_history


def first_measurement(callback, model):
    """What a training of this model would write first, without the training."""
    callback.set_model(model)
    callback.on_train_begin()
    logs = {}
    callback.on_epoch_end(0, logs)
    return logs


def test_a_dataset_and_a_lag_are_taken(data):
    x, y = data
    callback = kerasrnn.GradientFlow(tf.data.Dataset.from_tensor_slices((x, y)).batch(4), lag=2)
    found = first_measurement(callback, make_model())
    expected = kerasrnn.gradient_flow(make_model(), x[:4], y[:4]).layers[0].remaining[2]
    assert found["rnn/gradient_remaining"] == pytest.approx(expected)


def test_a_stream_is_measured_over_the_window_of_the_model(data):
    x, y = data
    model = make_model()
    model.compile("sgd", "mse", window=3)
    stream = kerasrnn.Stream(x, y, batch_size=4)
    found = first_measurement(kerasrnn.GradientFlow(stream), model)
    flow = kerasrnn.gradient_flow(make_model(), x[:4, :3], y[:4, :3]).layers[0]
    assert found["rnn/gradient_remaining"] == pytest.approx(flow.remaining[2])
    with pytest.raises(ValueError, match="compiled without one"):
        make_model().fit(x, y, verbose=0, callbacks=[kerasrnn.GradientFlow(stream)])


@pytest.mark.slow
def test_tensorboard_receives_scalars_and_the_curves(data, tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing import event_accumulator

    x, y = data
    callback = kerasrnn.GradientFlow(x[:4], y[:4], every=4, log_dir=tmp_path)
    make_model().fit(x, y, batch_size=4, verbose=0, callbacks=[callback])
    events = event_accumulator.EventAccumulator(str(tmp_path), {"tensors": 0})
    events.Reload()
    assert set(events.Tags()["tensors"]) == {
        "gradient_flow",
        *(f"gradient_flow/{key}" for key in KEYS),
    }
    images = events.Tensors("gradient_flow")
    assert [image.step for image in images] == [0, 4]
    width, height, png = images[0].tensor_proto.string_val
    assert (int(width), int(height)) > (300, 200)
    assert tf.io.decode_png(png).shape[:2] == (int(height), int(width))


def test_what_is_missing_is_said(data, tmp_path, monkeypatch):
    x, y = data
    with pytest.raises(ValueError, match="every must be a positive integer, got every=0"):
        kerasrnn.GradientFlow(x, y, every=0)
    with pytest.raises(ValueError, match="lag must be a positive integer, got lag=0"):
        kerasrnn.GradientFlow(x, y, lag=0)
    callback = kerasrnn.GradientFlow(x, y)
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="has no recurrent layer"):
        model.fit(x, y, verbose=0, callbacks=[callback])
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="pip install"):
        kerasrnn.GradientFlow(x, y, log_dir=tmp_path)
