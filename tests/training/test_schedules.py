"""Schedules of the sampling probability, beside their formulas."""

import keras
import numpy as np
import pytest

import kerasrnn
from kerasrnn.training import scheduled_sampling


def test_schedules_follow_their_formulas():
    steps = np.array([0, 1, 10, 100, 1000, 10**9])
    linear = kerasrnn.LinearSchedule(100, start=0.1, end=0.6)
    exponential = kerasrnn.ExponentialSchedule(0.99)
    sigmoid = kerasrnn.InverseSigmoidSchedule(50.0)
    expected = {
        linear: 0.1 + 0.5 * np.minimum(steps / 100, 1),
        exponential: 1 - 0.99**steps,
        sigmoid: 1 - 50 / (50 + np.exp(np.minimum(steps / 50, 700))),
    }
    for schedule, values in expected.items():
        found = [float(schedule(step)) for step in steps]
        np.testing.assert_allclose(found, values, atol=1e-5)
        assert found == sorted(found)
        policy = kerasrnn.ScheduledSampling(schedule, draw="sample")
        copy = scheduled_sampling.get(keras.saving.serialize_keras_object(policy))
        assert copy == policy
    assert float(sigmoid(50 * np.log(50))) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kerasrnn.LinearSchedule(0), "num_steps must be a positive number"),
        (lambda: kerasrnn.LinearSchedule(10, end=2.0), "end must lie in"),
        (lambda: kerasrnn.ExponentialSchedule(1.0), r"k must lie in \(0, 1\)"),
        (lambda: kerasrnn.InverseSigmoidSchedule(0.5), "k must be at least 1"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
