"""The units of a window, by hand."""

import numpy as np
import pytest
import tensorflow as tf

from kerasrnn.models.window_scale import last_observed, last_observed_of_steps, window_scale

NAN = np.nan
PAST = np.array([[[1, 5], [NAN, 5], [3, NAN], [NAN, 5]], [[0, NAN], [0, 2], [0, 4], [0, NAN]]])


def test_only_what_is_observed_counts():
    scale = window_scale(tf.constant(PAST, tf.float32))
    np.testing.assert_allclose(scale.center[:, 0], [[2, 5], [0, 3]])
    # Constant values have a thousandth of their size; zeros have 1.
    np.testing.assert_allclose(scale.size[:, 0], [[1, 0.005], [1, 1]], rtol=1e-6)
    scaled = scale.scaled(tf.constant(PAST, tf.float32))
    np.testing.assert_allclose(scaled[0, :, 0], [-1, NAN, 1, NAN])
    np.testing.assert_allclose(scale.raw(scaled), PAST, rtol=1e-6)


def test_the_last_observed_value():
    found = last_observed(tf.constant(PAST, tf.float32))
    np.testing.assert_array_equal(found, [[[3, 5]], [[0, 4]]])
    missing = tf.fill([1, 3, 1], NAN)
    np.testing.assert_array_equal(last_observed(missing), [[[0]]])
    scale = window_scale(missing)
    assert (float(scale.center[0, 0, 0]), float(scale.size[0, 0, 0])) == (0, 1)


def test_the_last_observed_value_of_each_step():
    before = tf.constant([[[7, 8]], [[9, NAN]]], tf.float32)
    found = last_observed_of_steps(tf.constant(PAST, tf.float32), before)
    expected = [[[1, 5], [1, 5], [3, 5], [3, 5]], [[0, NAN], [0, 2], [0, 4], [0, 4]]]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("offset", [1e4, -1e6])
def test_large_values_keep_their_shape(offset):
    wave = np.sin(np.arange(20.0)) * abs(offset) / 100
    past = tf.constant((offset + wave)[None, :, None], tf.float32)
    scaled = window_scale(past).scaled(past)[0, :, 0]
    np.testing.assert_allclose(scaled, (wave - wave.mean()) / wave.std(), atol=1e-4)
