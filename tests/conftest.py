"""Fixed seeds and a quiet TensorFlow for all tests."""

import os
import tempfile
from pathlib import Path

from apps.quiet import quiet_tensorflow

# Matplotlib and others write their caches here, not into a home that may be read-only.
os.environ.setdefault("MPLCONFIGDIR", str(Path(tempfile.gettempdir()) / "kerasrnn-matplotlib"))

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
