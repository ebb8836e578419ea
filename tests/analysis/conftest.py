"""A small batch of sequences."""

import pytest

from tests.analysis.models import BATCH, FEATURES, TIME


@pytest.fixture
def batch(rng):
    x = rng.normal(size=(BATCH, TIME, FEATURES)).astype("float32")
    return x, rng.normal(size=(BATCH, 1)).astype("float32")
