"""Scheduled sampling in training: its chance follows the schedule, its mistakes are named."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from tests.seeds import set_seed
from tests.training.echo_models import value_model
from tests.training.models import BATCH, make_model


def test_bytes_as_ids_and_accumulating_optimizers_go_with_scheduled_sampling(ids):
    stream = kerasrnn.Stream(list(ids.astype("uint8")), batch_size=BATCH)
    adam = keras.optimizers.Adam(gradient_accumulation_steps=2)
    forcing = kerasrnn.ScheduledSampling(0.5, draw="sample")
    model = make_model(window=6, optimizer=adam, teacher_forcing=forcing)
    assert np.isfinite(model.fit(stream, verbose=0).history["loss"]).all()


def test_the_schedule_follows_the_training_step():
    model = value_model(kerasrnn.ScheduledSampling(kerasrnn.LinearSchedule(4)))
    inputs = tf.ones((1, 3, 1))
    probabilities = []
    for step in range(6):
        model.optimizer.iterations.assign(step)
        probabilities.append(float(model.training_step.feedback(inputs).probability))
    assert probabilities == [0, 0.25, 0.5, 0.75, 1, 1]


@pytest.mark.slow
def test_fit_follows_a_schedule(rng):
    x = rng.normal(size=(16, 12, 2)).astype("float32")
    losses = {}
    for name, forcing in {
        "truth": 1.0,
        "schedule": kerasrnn.ScheduledSampling(kerasrnn.LinearSchedule(8)),
        "free": 0.0,
    }.items():
        set_seed(2)
        model = kerasrnn.SequenceModel(
            [kerasrnn.VanillaRNN(4, return_sequences=True), keras.layers.Dense(2)]
        )
        model.compile(keras.optimizers.SGD(1e-6), "mse", teacher_forcing=forcing)
        losses[name] = model.fit(x, x, batch_size=16, epochs=9, verbose=0).history["loss"]
    # All but untrained, the model meets at first the loss of the one, at last of the other.
    np.testing.assert_allclose(losses["schedule"][0], losses["truth"][0], rtol=1e-4)
    np.testing.assert_allclose(losses["schedule"][8], losses["free"][8], rtol=1e-4)
    apart = abs(losses["free"][0] - losses["truth"][0])
    for name in ("truth", "free"):
        assert abs(losses["schedule"][4] - losses[name][4]) > 1e-4 * apart


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: value_model(1.5), r"teacher_forcing must lie in \[0, 1\], got .*=1.5"),
        (lambda: value_model("yes"), "teacher_forcing must be a number in"),
        (lambda: kerasrnn.ScheduledSampling(-0.1), "sampling_probability must lie in"),
        (lambda: kerasrnn.ScheduledSampling(0.1, draw="best"), "draw must be one of greedy"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
