"""What the tests of the apps share."""

import functools

import pytest
import tensorflow as tf

import kerasrnn


@pytest.fixture(scope="module")
def loaded_once():
    """Loads each exported model once in a module: its first answers take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.saved_model, "load", functools.cache(tf.saved_model.load))
        yield


@pytest.fixture
def without_export(monkeypatch):
    """Trainings do all but export their model, which takes seconds."""
    monkeypatch.setattr(kerasrnn, "export", lambda *_, **__: "no model")
