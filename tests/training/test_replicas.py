"""The same update on two replicas as on one device."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from kerasrnn.training.replicas import num_replicas, sum_gradients, sum_over_replicas


@pytest.fixture(scope="module")
def two_replicas():
    """What tests/two_replicas.py has found, by its question."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.two_replicas"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "tolerance"), [("update", 1e-4), ("fit", 1e-4), ("classifier", 1e-5)]
)
def test_two_replicas_end_with_the_weights_and_losses_of_one_device(
    two_replicas, way, tolerance
):
    assert two_replicas[way] < tolerance


@pytest.mark.slow
def test_fit_over_windows_says_that_it_runs_on_one_device(two_replicas):
    said = two_replicas["windows"]
    assert "runs on one device, but the model was compiled for 2 replicas" in said


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
