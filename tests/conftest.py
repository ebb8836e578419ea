"""Fixed seeds and a quiet TensorFlow for all tests."""

import os

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import numpy as np
    import pytest


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def user_environment():
    """The environment of a user who set no level of TensorFlow's log.

    Without it a process started by a test inherits the level that was set here.
    """
    return {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
