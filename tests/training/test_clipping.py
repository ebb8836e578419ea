"""Clipping by global norm is a projection; sparse gradients stay sparse."""

import numpy as np
import pytest
import tensorflow as tf

from kerasrnn.training import clipping
from tests.training.models import TIME, make_model


@pytest.fixture(params=["dense", "sparse"])
def gradients(request, rng):
    dense = tf.constant(rng.normal(size=(4, 3)), tf.float32)
    other = tf.constant(rng.normal(size=5), tf.float32)
    if request.param == "dense":
        return [dense, None, other]
    rows = tf.constant(rng.normal(size=(4, 3)), tf.float32)
    table = tf.IndexedSlices(rows, tf.constant([2, 0, 2, 2]), tf.constant([6, 3]))
    return [table, None, other]


def as_vector(gradients):
    return np.concatenate(
        [np.ravel(tf.convert_to_tensor(g)) for g in gradients if g is not None]
    )


def test_the_norm_is_that_of_all_gradients_as_one_vector(gradients):
    np.testing.assert_allclose(
        clipping.global_norm(gradients), np.linalg.norm(as_vector(gradients)), rtol=1e-6
    )


@pytest.mark.parametrize("clip_norm", [0.01, 1.0])
def test_clipping_by_norm_is_a_projection(gradients, clip_norm):
    clipped = clipping.clip_by_global_norm(gradients, clip_norm)
    np.testing.assert_allclose(clipping.global_norm(clipped), clip_norm, rtol=1e-5)
    before, after = as_vector(gradients), as_vector(clipped)
    cosine = before @ after / np.linalg.norm(before) / np.linalg.norm(after)
    assert cosine == pytest.approx(1, abs=1e-6)  # the direction stays
    twice = clipping.clip_by_global_norm(clipped, clip_norm)
    np.testing.assert_allclose(as_vector(twice), after, rtol=1e-6)


def test_a_small_gradient_is_left_alone(gradients):
    clipped = clipping.clip_by_global_norm(gradients, 1e3)
    np.testing.assert_array_equal(as_vector(clipped), as_vector(gradients))
    zeros = [tf.zeros(3), None]
    np.testing.assert_array_equal(clipping.clip_by_global_norm(zeros, 1.0)[0], 0)


@pytest.mark.parametrize("clip_value", [0.1, 100.0])
def test_clipping_by_value_bounds_every_entry(gradients, clip_value):
    clipped = clipping.clip_by_value(gradients, clip_value)
    expected = np.clip(as_vector(gradients), -clip_value, clip_value)
    np.testing.assert_allclose(as_vector(clipped), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "clip", [clipping.clip_by_global_norm, clipping.clip_by_value], ids=lambda f: f.__name__
)
def test_kinds_stay_what_they_are(gradients, clip):
    for before, after in zip(gradients, clip(gradients, 0.1), strict=True):
        assert type(after) is type(before)


def test_duplicate_rows_are_added_up():
    table = tf.IndexedSlices(
        tf.constant([[1.0], [2.0], [4.0]]), tf.constant([3, 1, 3]), tf.constant([5, 1])
    )
    once = clipping.sum_duplicates(table)
    assert once.indices.numpy().tolist() == [3, 1]
    np.testing.assert_array_equal(tf.convert_to_tensor(once), tf.convert_to_tensor(table))


def test_clipping_bounds_the_update_and_the_norm_before_is_logged(ids, stream):
    model = make_model(window=TIME, global_clipnorm=1e-3)
    model(ids)
    before = model.get_weights()
    logs = model.fit(stream, verbose=0).history
    change = np.sqrt(
        sum(((a - b) ** 2).sum() for a, b in zip(model.get_weights(), before, strict=True))
    )
    np.testing.assert_allclose(change, 0.5 * 1e-3, rtol=1e-2)
    assert logs["gradient_norm"][0] > 0.05
