"""The noise of the Gumbel-max trick."""

import numpy as np
import pytest
import tensorflow as tf

from kerasrnn.models.samplers import gumbel


@pytest.mark.parametrize("uniform", [np.finfo(np.float32).tiny, 1 - 2**-24])
def test_the_noise_is_finite_at_both_ends(uniform):
    assert np.isfinite(gumbel._to_gumbel(tf.constant(uniform, tf.float32)))
    assert np.finfo(np.float32).tiny == gumbel._SMALLEST  # a smaller one counts as 0


def test_it_has_the_mean_and_the_variance_of_gumbel_numbers():
    noise = gumbel.gumbel([200_000], tf.constant([1, 2]))
    assert np.mean(noise) == pytest.approx(np.euler_gamma, abs=0.02)
    assert np.var(noise) == pytest.approx(np.pi**2 / 6, abs=0.05)
