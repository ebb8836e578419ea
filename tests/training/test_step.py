"""A policy for a whole model, and a classifier, through the one training step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from tests.seeds import set_seed

CUT = kerasrnn.TruncatedBPTT(3)
PLACES = {
    "itself": lambda layer: layer,
    "inside": lambda layer: keras.Sequential([layer]),
    "both ways": keras.layers.Bidirectional,
}


@pytest.fixture
def data(rng):
    x = rng.normal(size=(8, 12, 3)).astype("float32")
    return x, x[..., :1] + np.roll(x[..., :1], 5, axis=1)


def trained(data, place="itself", own=None, *, via="eager fit", **options):
    set_seed(1)
    inner = kerasrnn.VanillaRNN(4, return_sequences=True, truncation=own)
    model = kerasrnn.SequenceModel([PLACES[place](inner), keras.layers.Dense(1)])
    run_eagerly = via == "eager fit"
    model.compile(keras.optimizers.Adam(0.01), "mse", run_eagerly=run_eagerly, **options)
    if via != "train":
        model.fit(*data, epochs=2, batch_size=8, shuffle=False, verbose=0)
    else:
        dataset = tf.data.Dataset.from_tensors(data)
        kerasrnn.train(model, dataset, epochs=2, verbose=0)
    return model, inner


def assert_same(a, b, same=True):
    pairs = zip(a.get_weights(), b.get_weights(), strict=True)
    assert all(np.array_equal(x, y) for x, y in pairs) is same


@pytest.mark.parametrize(
    ("place", "via"),
    [
        ("itself", "train"),
        pytest.param("inside", "eager fit", marks=pytest.mark.slow),
        pytest.param("both ways", "eager fit", marks=pytest.mark.slow),
    ],
)
def test_a_policy_of_compile_is_that_of_every_layer(data, place, via):
    asked, inner = trained(data, place, via=via, truncation=CUT)
    own, _ = trained(data, place, CUT, via=via)
    full, _ = trained(data, place, via=via)
    assert_same(asked, own)
    assert_same(asked, full, same=False)
    assert inner.truncation == kerasrnn.FullBPTT()  # the layer is as it was


@pytest.mark.slow
def test_compiled_again_each_layer_has_its_own_policy(data):
    own, _ = trained(data, own=CUT, via="fit")
    model, inner = trained(data, own=CUT, via="fit", truncation="full")
    full, _ = trained(data, via="fit")
    assert_same(model, full)
    assert inner.truncation == CUT
    model.set_weights(own.get_weights())
    for other in (model, own):
        other.compile(keras.optimizers.Adam(0.01), "mse")
        other.fit(*data, batch_size=8, shuffle=False, verbose=0)
    assert_same(model, own)


@pytest.fixture
def texts(rng):
    ids = rng.integers(1, 6, (32, 9)).astype("int32")
    ids[::3, 6:] = 0
    return ids, (ids == 2).any(1).astype("float32")


def classifier(**options):
    set_seed(2)
    words = ["[PAD]", "[UNK]", "good", "bad", "film", "plot"]
    model = kerasrnn.TextClassifier(words, embedding_dim=4, units=4, max_length=9, dropout=0.2)
    model.compile(keras.optimizers.Adam(0.05), metrics=["accuracy"], **options)
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"truncation": kerasrnn.RandomizedTruncation(0.7), "non_finite": "skip"},
        pytest.param({"clipvalue": 0.01, "parallel_parts": 2}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_classifier_trains_alike_both_ways(texts, options):
    dataset = tf.data.Dataset.from_tensor_slices(texts).batch(16)
    fitted, looped = classifier(**options), classifier(**options)
    history = fitted.fit(dataset, epochs=2, verbose=0, validation_data=dataset).history
    found = kerasrnn.train(looped, dataset, epochs=2, verbose=0, validation_data=dataset)
    assert_same(fitted, looped)
    assert found.history.keys() == history.keys()
    for name, values in history.items():
        np.testing.assert_allclose(found.history[name], values, rtol=1e-6)


def test_a_classifier_clips_to_the_norm_that_is_asked_for(texts):
    model = classifier()
    model.compile(
        keras.optimizers.SGD(1.0),
        "binary_crossentropy",
        global_clipnorm=1e-3,
        run_eagerly=True,
    )
    before = model(texts[0]) is not None and model.get_weights()
    model.fit(*texts, batch_size=32, verbose=0)
    moved = [a - b for a, b in zip(model.get_weights(), before, strict=True)]
    norm = np.sqrt(sum(np.sum(m.astype("float64") ** 2) for m in moved if m.dtype.kind == "f"))
    assert norm == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 4}, "TextClassifier reads whole sequences"),
        ({"recompute": True}, "TextClassifier reads whole sequences"),
        ({"teacher_forcing": 0}, "TextClassifier does not read its own outputs"),
    ],
)
def test_a_classifier_reads_whole_texts(options, message):
    with pytest.raises(ValueError, match=message):
        classifier(**options)


def test_a_classifier_answers_texts(texts):
    model = classifier(run_eagerly=True)
    said = ["good film", "Bad, bad plot!", ""]
    ids = np.array([[2, 4, 0], [3, 3, 5], [0, 0, 0]], "int32")
    expected = model.predict(ids, verbose=0)
    for given in (said, tuple(said), np.array(said)):
        np.testing.assert_allclose(model.predict(given, verbose=0), expected, atol=1e-6)
    assert model.predict([], verbose=0).shape == (0, 1)
