"""Top-p."""

import numpy as np
import pytest
import tensorflow as tf

from kerasrnn.models.samplers.top_p import TopP

SCORES = tf.math.log(tf.constant([[0.4, 0.3, 0.15, 0.1, 0.05]]) / 0.4)


@pytest.mark.parametrize(
    ("p", "number"), [(1e-6, 1), (0.3, 1), (0.4, 1), (0.69, 2), (0.75, 3), (0.99, 5), (1.0, 5)]
)
@pytest.mark.parametrize("as_tensor", [False, True])
def test_as_few_are_kept_as_together_have_the_probability(p, number, as_tensor):
    keep = TopP(tf.constant(p) if as_tensor else p).keep(SCORES)
    np.testing.assert_array_equal(keep[0], np.arange(5) < number)


def test_probabilities_are_those_among_what_is_left():
    scores = tf.where(tf.range(5) < 3, SCORES, -float("inf"))  # 0.4 / 0.85 is below 0.5
    np.testing.assert_array_equal(TopP(0.5).keep(scores)[0], np.arange(5) < 2)
