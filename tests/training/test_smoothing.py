"""Cross-entropy with label smoothing, against that of Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn

TARGETS = np.array([[0, 3, 2], [1, 1, 0]])


@pytest.mark.parametrize("part", [0.0, 0.1, 0.9, np.float32(0.25)])
def test_it_is_the_loss_of_keras_on_one_hot_targets(rng, part):
    logits = 5 * rng.normal(size=(2, 3, 4)).astype("float32")
    of_keras = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=float(part), reduction=None
    )
    expected = of_keras(np.eye(4)[TARGETS], logits)
    loss = kerasrnn.SmoothedCrossentropy(part)
    np.testing.assert_allclose(loss.call(TARGETS, logits), expected, rtol=1e-5)
    assert float(loss(TARGETS, logits)) == pytest.approx(float(np.mean(expected)), rel=1e-5)


def test_its_gradient_is_that_of_the_smoothed_probabilities(rng):
    logits = tf.constant(rng.normal(size=(2, 3, 4)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = tf.reduce_sum(kerasrnn.SmoothedCrossentropy(0.2).call(TARGETS, logits))
    expected = tf.nn.softmax(logits) - (0.8 * np.eye(4)[TARGETS] + 0.2 / 4)
    np.testing.assert_allclose(tape.gradient(loss, logits), expected, atol=1e-6)


def test_keras_makes_it_of_its_configuration():
    loss = kerasrnn.SmoothedCrossentropy(np.float32(0.5), name="mine")
    copy = keras.losses.get(keras.losses.serialize(loss))
    assert isinstance(copy, kerasrnn.SmoothedCrossentropy)
    assert (copy.label_smoothing, copy.name) == (0.5, "mine")


@pytest.mark.parametrize("part", [1, -0.1, True, None, "0.1", float("nan")])
def test_a_part_outside_its_range_is_refused(part):
    with pytest.raises(ValueError, match="label_smoothing must lie in"):
        kerasrnn.SmoothedCrossentropy(part)
