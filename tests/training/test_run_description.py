"""A run that is another one is not gone on with."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.training.run_description import describe, find_difference, without_names
from tests import resumed_run
from tests.training.runs import contents, fit, small_model


def other_optimizer():
    model = small_model()
    model.compile("sgd", model.loss, window=6)
    return model


def other_architecture():
    model = small_model()
    model.sequence_layers[1] = kerasrnn.VanillaRNN(7, return_sequences=True)
    return model


def other_window():
    model = small_model()
    model.compile(
        model.optimizer,
        model.loss,
        metrics=["accuracy"],
        window=7,
        global_clipnorm=1.0,
    )
    return model


@pytest.mark.parametrize(
    ("make", "difference"),
    [
        (other_optimizer, r"optimizer\.class"),
        (other_architecture, r"architecture\.layers"),
        (other_window, r"training\.training_options\.config\.window"),
        (resumed_run.classifier, "model"),
    ],
)
def test_another_run_is_refused_and_nothing_is_overwritten(run_dir, make, difference):
    before = contents(run_dir)
    model, data = make(), None
    if isinstance(model, kerasrnn.TextClassifier):
        ids = np.ones((4, 8), "int32")
        data = tf.data.Dataset.from_tensor_slices((ids, np.ones(4, "float32"))).batch(4)
    with pytest.raises(ValueError, match=f"belongs to another run: it differs in {difference}"):
        fit(run_dir, model, data)
    assert contents(run_dir) == before


def test_another_vocabulary_is_refused(tmp_path):
    ids = np.full((8, 8), 3, "int32")
    data = tf.data.Dataset.from_tensor_slices((ids, np.ones(8, "float32"))).batch(4)

    def make(words):
        model = kerasrnn.TextClassifier(["[PAD]", "[UNK]", *words], max_length=8, units=2)
        model.compile("adam", "binary_crossentropy")
        return model

    fit(tmp_path, make("ab"), data)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r"differs in architecture\.vocabulary"):
        fit(tmp_path, make("ba"), data)
    assert contents(tmp_path) == before


def test_another_dtype_policy_is_refused(tmp_path):
    ids = np.full((8, 8), 3, "int32")
    data = tf.data.Dataset.from_tensor_slices((ids, np.ones(8, "float32"))).batch(4)
    fit(tmp_path, resumed_run.classifier(), data)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = resumed_run.classifier()
    finally:
        keras.config.set_dtype_policy("float32")
    with pytest.raises(ValueError, match=r"differs in architecture\.dtype"):
        fit(tmp_path, model, data)


@pytest.mark.parametrize(
    ("a", "b", "path"),
    [
        ({}, {}, None),
        ({"a": 1, "b": {"c": [1, 2]}}, {"b": {"c": [1, 2]}, "a": 1}, None),
        ({"a": 1}, {"a": 2}, "a"),
        ({"a": {"b": {"c": 1, "d": 2}}}, {"a": {"b": {"c": 1, "d": 3}}}, "a.b.d"),
        ({"a": [1, 2]}, {"a": [1, 3]}, "a"),
        ({"a": 1}, {"a": 1, "b": 2}, "b"),
        ({"a": 1, "b": 2}, {"a": 1}, "b"),
        ({"a": {"b": 1}}, {"a": 3}, "a"),
        ({"a": 1, "b": {"c": 1}}, {"a": 2, "b": {"c": 2}}, "a"),
    ],
)
def test_the_path_leads_to_the_first_difference(a, b, path):
    assert find_difference(a, b) == path


def test_a_description_is_json_without_names():
    configuration = {
        "name": "dense_7",
        "units": np.int64(3),
        "rate": np.float64(0.5),
        "shape": (None, 4),
        "dtype": {"class_name": "DTypePolicy", "config": {"name": "float32"}},
        "loss": keras.losses.MeanSquaredError(),
        1: "a key that is no text",
    }
    assert without_names(configuration) == {
        "units": 3,
        "rate": 0.5,
        "shape": [None, 4],
        "dtype": "float32",
        "loss": repr(keras.losses.MeanSquaredError),
        "1": "a key that is no text",
    }


def test_the_same_model_made_twice_has_one_description():
    first, second = (without_names(describe(small_model())) for _ in range(2))
    assert find_difference(first, second) is None
    assert json.loads(json.dumps(first)) == first
