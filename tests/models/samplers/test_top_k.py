"""Top-k."""

import numpy as np
import pytest
import tensorflow as tf

from kerasrnn.models.samplers.top_k import TopK

SCORES = tf.constant([[0.0, -1.0, -2.0, -float("inf")]])


@pytest.mark.parametrize("k", [1, 2, 4, 9])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_the_first_k_are_kept(k, as_tensor):
    keep = TopK(tf.constant(k) if as_tensor else k).keep(SCORES)
    np.testing.assert_array_equal(keep, np.arange(4) < k)


def test_0_keeps_all():
    assert np.all(TopK(0).keep(SCORES))
