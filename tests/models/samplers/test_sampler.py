"""What samplers leave out of the logits, one after the other."""

import numpy as np
import pytest
import tensorflow as tf

from kerasrnn.models.samplers.sampler import Sampler, leave_out
from kerasrnn.models.samplers.top_k import TopK
from kerasrnn.models.samplers.top_p import TopP

LOGITS = np.log([[0.3, 0.4, 0.05, 0.15, 0.1], [0.05, 0.1, 0.4, 0.15, 0.3]]).astype("float32")


class MinP(Sampler):
    """A sampler of one's own is one method."""

    def __init__(self, min_p):
        self.min_p = min_p

    def keep(self, scores):
        return tf.exp(scores) >= self.min_p


def kept(samplers, temperature=1.0, logits=LOGITS):
    return np.isfinite(leave_out(tf.constant(logits), temperature, samplers)).tolist()


def test_what_is_kept_is_as_it_was_and_where_it_was():
    found = leave_out(LOGITS, 0.7, [TopK(2)])
    expected = np.where(np.log(0.2) < LOGITS, LOGITS, -np.inf)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("samplers", [(), (TopK(0),), (TopP(1.0),), (TopK(0), TopP(1.0))])
def test_nothing_is_left_out_unasked(samplers):
    """Not even what a sum of float32 probabilities rounds away."""
    logits = tf.constant([[0.0, -20.0, -40.0]])
    np.testing.assert_array_equal(leave_out(logits, 1.0, samplers), logits)


def test_each_sampler_sees_what_those_before_it_kept():
    both = [[True, True, False, False, False], [False, False, True, False, True]]
    assert kept([TopK(3), TopP(0.5)]) == both  # 0.4 / 0.85 is below 0.5
    alone = [[True, True, False, True, False], [False, False, True, True, True]]
    assert kept([TopP(0.75)]) == alone


def test_scores_are_at_the_temperature():
    assert kept([TopP(0.5)], temperature=100.0)[0] == [True, True, False, True, False]
    assert kept([TopP(0.5)], temperature=0.0)[0] == [False, True, False, False, False]


def test_a_sampler_of_ones_own_is_one_method():
    assert kept([MinP(0.3)])[0] == [True, True, False, True, False]  # 0.15 / 0.4 is above 0.3
    assert kept([MinP(0.3), TopK(2)])[0] == [True, True, False, False, False]


def test_what_is_equally_probable_stays_together():
    logits = [[-9.0, 1.0, 1.0, 1.0, 0.0, 0.0]]
    assert kept([TopK(2)], logits=logits) == [[False, True, True, True, False, False]]
