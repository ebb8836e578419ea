"""Perplexity and bits per character, beside NumPy."""

import keras
import numpy as np
import pytest

import kerasrnn


@pytest.mark.parametrize("from_logits", [True, False])
def test_metrics_equal_numpy(rng, from_logits):
    logits = rng.normal(size=(3, 5, 7))
    targets = rng.integers(0, 7, size=(3, 5))
    weights = rng.integers(0, 2, size=(3, 5)).astype("float32")
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    nats = -np.log(np.take_along_axis(probabilities, targets[..., None], -1)[..., 0])
    mean = (nats * weights).sum() / weights.sum()
    for metric_class, expected in [
        (kerasrnn.Perplexity, np.exp(mean)),
        (kerasrnn.BitsPerCharacter, mean / np.log(2)),
    ]:
        metric = metric_class(from_logits=from_logits)
        outputs = logits if from_logits else probabilities
        for row in range(3):
            metric.update_state(targets[row], outputs[row], weights[row])
        np.testing.assert_allclose(metric.result(), expected, rtol=1e-5)
        copy = keras.metrics.deserialize(keras.metrics.serialize(metric))
        copy.update_state(targets, outputs, weights)
        np.testing.assert_allclose(copy.result(), expected, rtol=1e-5)
