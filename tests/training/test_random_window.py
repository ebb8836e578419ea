"""Windows of random length, and the learning rate that goes with them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.training.loop import update
from kerasrnn.training.random_window import rescaled_learning_rate
from tests.training.models import BATCH, make_model


def test_the_learning_rate_follows_the_length_of_a_random_window(ids):
    model = make_model(window=kerasrnn.RandomWindow(10, seed=1))
    model.prepare(tf.data.Dataset.from_tensors((ids[:, :-1], ids[:, 1:])).element_spec)
    start = model.get_weights()
    changes = {}
    for length in (5, 20):
        model.set_weights(start)
        inputs = {"inputs": tf.constant(ids[:, :length]), "reset": tf.ones(BATCH, tf.bool)}
        data = (inputs, tf.constant(ids[:, 1 : length + 1]))
        update(model.training_step, data, model.initial_states(0))
        changes[length] = model.get_weights()[-1] - start[-1]
        plain = make_model()
        plain(ids)
        plain.set_weights(start)
        plain.train_on_batch(ids[:, :length], ids[:, 1 : length + 1])
        expected = (plain.get_weights()[-1] - start[-1]) * length / 10
        np.testing.assert_allclose(changes[length], expected, rtol=1e-4, atol=1e-7)
    assert float(model.optimizer.learning_rate) == 0.5
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 100)
    with pytest.raises(ValueError, match="rescales the learning rate"):
        make_model(optimizer=keras.optimizers.Adam(schedule), window=kerasrnn.RandomWindow(10))


def test_outside_an_update_and_with_other_windows_the_learning_rate_stays():
    optimizer = keras.optimizers.SGD(0.5)
    with rescaled_learning_rate(optimizer, kerasrnn.RandomWindow(10), tf.constant(4)):
        assert float(optimizer.learning_rate) == pytest.approx(0.5 * 4 / 10)
    assert float(optimizer.learning_rate) == 0.5
    for window in (10, None):
        with rescaled_learning_rate(optimizer, window, tf.constant(4)):
            assert float(optimizer.learning_rate) == 0.5


@pytest.mark.parametrize("length", [1, 7, 20000])
@pytest.mark.parametrize(("mean", "min_length"), [(1, 1), (5, 5), (70, 5)])
def test_random_windows_are_never_empty_and_follow_the_mean(length, mean, min_length):
    window = kerasrnn.RandomWindow(mean, min_length=min_length)
    counts = set()
    for epoch in range(5):
        bounds = window.boundaries(length, epoch)
        assert (bounds[0], bounds[-1]) == (0, length)
        assert min(np.diff(bounds)) >= 1
        counts.add(len(bounds))
    assert len(counts) == 1
    if length == 20000 and mean == 70:
        assert np.median(np.diff(bounds)) == pytest.approx(70, abs=3)
