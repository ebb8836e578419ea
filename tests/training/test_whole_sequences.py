"""What holds no whole sequences, or no ids, is one line; what Keras takes is taken."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn

X = np.random.default_rng(0).normal(size=(4, 6, 3)).astype("float32")
Y = np.random.default_rng(1).normal(size=(4, 6, 1)).astype("float32")
IDS = np.random.default_rng(2).integers(1, 6, (4, 7))


def layers():
    keras.utils.set_random_seed(1)
    return [keras.layers.SimpleRNN(5, return_sequences=True), keras.layers.Dense(1)]


def make(window):
    model = kerasrnn.SequenceModel(layers())
    model.compile("sgd", "mse", window=window)
    return model


def refuse(call, message):
    with pytest.raises(ValueError, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("window", [4, None])
def test_predict_takes_whole_sequences_of_one_length(window):
    model = make(window)
    expected = keras.Sequential(layers()).predict(X, verbose=0)
    for given in (X, {"inputs": X}, tf.constant(X), tf.data.Dataset.from_tensors(X)):
        np.testing.assert_allclose(model.predict(given, verbose=0), expected, atol=1e-6)
    ragged = tf.ragged.constant([[[1.0, 2, 3]], [[1.0, 2, 3]] * 2], ragged_rank=1)
    objects = np.empty(2, object)
    objects[:] = [X[0], X[1, :2]]
    for given in (kerasrnn.Stream(X, Y, batch_size=2), ragged, objects, None, "abc", 3):
        refuse(
            lambda given=given: model.predict(given, verbose=0),
            f"predict takes whole sequences of one length, got {type(given).__name__}",
        )


@pytest.mark.parametrize("window", [4, None])
def test_ids_of_a_language_model_are_whole_numbers_of_any_type(window):
    model = kerasrnn.CharLanguageModel("abcde", units=4)
    model.compile(window=window)
    x, y = IDS[:, :-1], IDS[:, 1:]
    loss = model.evaluate(x, y, verbose=0)
    assert model.evaluate(x.astype("float32"), y, verbose=0) == loss
    for wrong in (x - 0.5, np.full(x.shape, np.nan)):
        for call in (model.fit, model.evaluate):
            refuse(lambda call=call, wrong=wrong: call(wrong, y, verbose=0), "whole numbers")
        refuse(lambda wrong=wrong: model.predict(wrong, verbose=0), "whole numbers")
        refuse(lambda wrong=wrong: model(wrong), "takes ids from|must be whole numbers")
        if window:
            stream = kerasrnn.Stream(wrong, y, batch_size=2)
            refuse(lambda stream=stream: model.fit(stream, verbose=0), "whole numbers")


def test_validation_data_may_be_a_list_as_in_keras():
    for window in (4, None):
        given = ([X, Y], (X, Y))
        first, second = (make(window).fit(X, Y, validation_data=v, verbose=0) for v in given)
        assert first.history == second.history
    for given in [(), (X, Y, None, None)]:
        refuse(lambda given=given: make(4).fit(X, Y, validation_data=given), "parts")


@pytest.mark.parametrize("window", [4, None])
def test_a_share_to_split_off_is_a_rate(window):
    for split in ("a", 2.0, 1, -0.5, True, np.nan):
        refuse(
            lambda split=split: make(window).fit(X, Y, validation_split=split),
            "validation_split must lie in",
        )
