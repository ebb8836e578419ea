"""The losses of forecasts, by hand and by SciPy."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from kerasrnn.models.forecast_losses import NormalLoss, PinballLoss
from kerasrnn.models.forecast_outputs import Normal, Quantiles, check_quantiles


def test_the_pinball_loss_by_hand():
    loss = PinballLoss([0.1, 0.5, 0.9])
    outputs = tf.constant([[[[0.0, 1.0, 3.0]]]])  # one step of one variable
    # 2 - (0, 1, 3) = (2, 1, -1): costs 0.1 * 2, 0.5 * 1 and 0.1 * 1.
    expected = [[[(0.2 + 0.5 + 0.1) / 3]]]
    for targets in (tf.fill((1, 1, 1), 2.0), tf.fill((1, 1, 1, 1), 2.0)):
        np.testing.assert_allclose(loss.call(targets, outputs), expected, rtol=1e-6)


def test_its_minimum_is_the_quantile(rng):
    values = rng.exponential(size=1001).astype("float32")
    candidates = np.linspace(0, 4, 401, dtype="float32")
    for q in (0.1, 0.5, 0.9):
        costs = [float(PinballLoss([q])(values, np.full((1001, 1), c))) for c in candidates]
        assert candidates[np.argmin(costs)] == pytest.approx(np.quantile(values, q), abs=0.02)


def test_the_normal_loss_is_that_of_scipy(rng):
    targets = rng.normal(size=(2, 3, 1)).astype("float32")
    mean, deviation = rng.normal(size=(2, 3, 1)), rng.uniform(0.5, 2, size=(2, 3, 1))
    outputs = tf.constant(np.stack([mean, deviation], -1), tf.float32)
    expected = -scipy.stats.norm(mean, deviation).logpdf(targets)
    found = NormalLoss().call(tf.constant(targets), outputs)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("loss", [PinballLoss([0.1, 0.5], name="p"), NormalLoss()])
def test_losses_survive_serialization(loss):
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()


def test_quantiles_never_cross_and_normal_ones_are_those_of_scipy():
    last = np.array([[[10.0]]], "float32")
    crossed = np.array([[[[1.0, -1.0, 0.0]]]], "float32")
    numbers = Quantiles([0.1, 0.5, 0.9]).numbers(crossed, last)
    np.testing.assert_array_equal(numbers[0, 0, 0], [9, 10, 11])
    normal = Normal([0.2, 0.5])
    found = normal.quantiles(np.array([[3.0, 2.0]], "float32"))
    np.testing.assert_allclose(found[0], scipy.stats.norm(3, 2).ppf([0.2, 0.5]), rtol=1e-5)


@pytest.mark.parametrize("wrong", [(), (0.5, 0.5), (0, 0.5), 0.5, "ab", (0.5, np.nan), None])
def test_what_are_no_quantiles_is_refused(wrong):
    with pytest.raises(ValueError, match="quantiles must be numbers between 0 and 1"):
        check_quantiles(wrong)
