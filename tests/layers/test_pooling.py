"""Pooling over time."""

import numpy as np
import pytest
import tensorflow as tf

from kerasrnn import GlobalMeanMaxPooling1D

SEQUENCES = np.array([[[1.0, -1.0], [3.0, -3.0], [9.0, -9.0]]], "float32")


def test_every_step_counts_without_a_mask():
    np.testing.assert_allclose(
        GlobalMeanMaxPooling1D()(SEQUENCES), [[13 / 3, -13 / 3, 9, -1]], rtol=1e-6
    )


def test_masked_steps_do_not_count():
    mask = tf.constant([[True, True, False]])
    np.testing.assert_allclose(GlobalMeanMaxPooling1D()(SEQUENCES, mask=mask), [[2, -2, 3, -1]])


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_a_fully_masked_sequence_gives_zeros_and_finite_gradients(dtype):
    sequences = tf.constant(SEQUENCES)
    with tf.GradientTape() as tape:
        tape.watch(sequences)
        pooled = GlobalMeanMaxPooling1D(dtype=dtype)(sequences, mask=tf.zeros([1, 3], tf.bool))
    np.testing.assert_array_equal(pooled, np.zeros((1, 4)))
    np.testing.assert_array_equal(tape.gradient(pooled, sequences), np.zeros((1, 3, 2)))
