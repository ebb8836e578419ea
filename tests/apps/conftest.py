"""What the tests of both apps share."""

import functools

import pytest
import tensorflow as tf


@pytest.fixture(scope="module")
def loaded_once():
    """Loads each exported model once in a module: its first answers take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.saved_model, "load", functools.cache(tf.saved_model.load))
        yield
