"""What callbacks have come to, written and read."""

import json

import keras
import numpy as np
import pytest

from kerasrnn.training.callback_state import decode, encode_attributes, without
from tests.training.runs import compiled, fit


@pytest.mark.slow
def test_arguments_of_callbacks_are_those_given_now(tmp_path):
    def checkpoint(name):
        return keras.callbacks.ModelCheckpoint(tmp_path / f"{name}.keras", monitor="loss")

    fit(tmp_path, compiled(), callbacks=[checkpoint("before")])
    fit(tmp_path, compiled(), callbacks=[checkpoint("after")], epochs=2)
    assert (tmp_path / "after.keras").exists()
    with pytest.raises(ValueError, match="had a callback ModelCheckpoint, which is missing"):
        fit(tmp_path, compiled(), epochs=3)


class Anything(keras.callbacks.Callback):
    """A callback with one attribute."""

    def __init__(self, value):
        super().__init__()
        self.value = value


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        0.1,
        float("-inf"),
        "text",
        [1, [2, None]],
        {},
        {"a": 1, "b": {"c": [0.5]}},
        {"array": "of a user", "op": "x"},
        {"dict": {"dict": 1}},
        np.arange(6.0).reshape(2, 3),
        [np.array(2, "int64"), {"deep": np.zeros((0, 3), "float32")}],
        pytest.param(keras.ops.less, id="op"),
    ],
    ids=str,
)
def test_what_is_encoded_and_written_is_decoded(value):
    arrays = {}
    encoded = encode_attributes(Anything(value), arrays)
    written = json.loads(json.dumps(encoded))
    found = decode(written, arrays)["value"]
    np.testing.assert_equal(found, value)
    assert type(found) is type(value)
    leaves = keras.tree.flatten(value), keras.tree.flatten(found)
    for a, b in zip(*leaves, strict=True):
        assert getattr(a, "dtype", None) == getattr(b, "dtype", None)


def test_numbers_of_numpy_and_tuples_become_plain():
    arrays = {}
    encoded = encode_attributes(Anything((np.float32(0.5), np.int64(3))), arrays)
    assert encoded["value"] == [0.5, 3]
    assert not arrays


def test_what_cannot_be_written_is_left_out():
    unwritable = [object(), lambda: None, {1: 2}, [object()], np.array([{}], object), {3}]
    for value in unwritable:
        assert "value" not in encode_attributes(Anything(value), {})
    bar = keras.callbacks.ProgbarLogger()
    assert encode_attributes(bar, {}) == {}
    callback = Anything(1)
    callback.set_model(compiled())
    assert not {"_model", "model", "params"} & encode_attributes(callback, {}).keys()


def test_only_what_has_changed_since_the_beginning_is_kept():
    initial = {"patience": 3, "wait": 0, "best": None}
    state = {"patience": 3, "wait": 2, "best": None, "new": None}
    assert without(state, initial) == {"wait": 2, "new": None}
