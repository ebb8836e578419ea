"""The same update on two replicas as on one device."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from kerasrnn.training.replicas import num_replicas, sum_gradients, sum_over_replicas


@pytest.fixture(scope="module")
def differences():
    """The largest difference between weights on two replicas and on one device, by way."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.two_replicas"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split() for line in done.stdout.splitlines()[-2:])


@pytest.mark.slow
@pytest.mark.parametrize("way", ["update", "fit"])
def test_two_replicas_end_with_the_weights_of_one_device(differences, way):
    assert float(differences[way]) < 1e-4


def test_on_one_device_nothing_is_summed():
    assert num_replicas() == 1
    tensor = tf.constant([1.0, 2.0])
    rows = tf.IndexedSlices(tensor, tf.constant([0, 0]), tf.constant([3]))
    assert sum_over_replicas(tensor) is tensor
    gradients = [tensor, None, rows]
    assert sum_gradients(gradients) is gradients


def test_the_replicas_of_a_strategy_are_counted():
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        assert num_replicas() == 1
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    found = strategy.run(lambda: sum_over_replicas(tf.constant([1.0, 2.0])))
    np.testing.assert_array_equal(strategy.experimental_local_results(found)[0], [1, 2])
