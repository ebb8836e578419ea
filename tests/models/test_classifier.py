"""The text classifier."""

import keras
import numpy as np
import pytest

import kerasrnn
from kerasrnn.models import classifier, language_model
from tests.small_models import CLASSIFIERS

WORDS = ["[PAD]", "[UNK]", "good", "bad", "film", "the"]


def make_model(**options):
    return kerasrnn.TextClassifier(WORDS, max_length=8, embedding_dim=4, units=3, **options)


NAMES = ("cell", "bidirectional", "pooling", "filters", "stacked")


@pytest.mark.parametrize("options", [dict(zip(NAMES, c, strict=True)) for c in CLASSIFIERS])
def test_padding_does_not_change_the_answer(options):
    model = make_model(**options)
    model(np.zeros([1, 1], "int32"))
    for variable in model.trainable_variables:
        variable.assign(variable + 0.1)  # padding has a vector, and biases are not zero
    short = model(np.array([[2, 4], [3, 0]]))
    padded = model(np.array([[2, 4, 0, 0, 0], [3, 0, 0, 0, 0]]))
    assert short.shape == (2, 1)
    np.testing.assert_allclose(padded, short, atol=1e-6)


def test_nothing_but_padding_gets_a_finite_answer():
    assert np.isfinite(make_model()(np.zeros((1, 3), "int32"))).all()


def test_it_learns_what_a_word_means(rng):
    ids = rng.integers(4, 6, size=(128, 6))
    labels = rng.integers(0, 2, size=128)
    ids[np.arange(128), rng.integers(0, 6, size=128)] = np.where(labels, 2, 3)
    model = make_model(dropout=0.1)
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(ids, labels, epochs=12, batch_size=16, verbose=0).history
    assert history["accuracy"][-1] > 0.95


def test_it_learns_more_than_two_labels(rng):
    """With the loss that follows from the labels."""
    ids, labels = rng.integers(4, 6, size=(192, 6)), rng.integers(0, 3, size=192)
    ids[np.arange(192), rng.integers(0, 6, size=192)] = np.array([2, 3, 1])[labels]
    model = make_model(labels=["1", "2", "3"])
    model.compile(keras.optimizers.Adam(0.03), metrics=["accuracy"])
    history = model.fit(ids, labels, epochs=10, batch_size=16, verbose=0).history
    assert history["accuracy"][-1] > 0.95
    probabilities = model.predict(["good", "", "bad film"], verbose=0)
    assert probabilities.shape == (3, 3)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    losses = -np.log(model.predict(ids, verbose=0)[np.arange(192), labels])
    assert model.evaluate(ids, labels, verbose=0)[0] == pytest.approx(losses.mean(), rel=1e-4)


def test_of_two_labels_the_loss_is_that_of_one_probability():
    model = make_model()
    model.compile()
    ids, labels = np.array([[2, 4], [3, 4]]), np.array([1, 0])
    probabilities = np.abs(model.predict(ids, verbose=0)[:, 0] - [0, 1])
    loss = model.evaluate(ids, labels, verbose=0)
    assert loss == pytest.approx(-np.log(probabilities).mean(), rel=1e-5)


def test_a_label_that_the_model_does_not_have_is_refused():
    model = make_model(labels=["1", "2", "3"])
    model.compile()
    with pytest.raises(ValueError, match="targets must lie from 0 to 2, the 3 outputs of the"):
        model.fit(np.ones([4, 2], "int32"), np.array([0, 1, 2, 3]), verbose=0)


def test_of_two_labels_a_target_must_lie_from_0_to_1():
    model = make_model()
    model.compile()
    ids = np.ones([2, 3], "int32")
    for labels in ([1, 2], [-1.0, 0.5], [0.5, np.nan]):
        for method in (model.fit, model.evaluate):
            with pytest.raises(
                ValueError, match="targets must lie from 0 to 1, with 1 for the"
            ):
                method(ids, np.array(labels), verbose=0)
    before = model.get_weights()
    model.fit(ids, np.array([0.1, 1.0]), verbose=0)  # probabilities of label 1 may be given
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("stacked", [True, False])
def test_the_recurrent_layer_reads_the_convolution_only_if_stacked(stacked):
    model = make_model(bidirectional=False, filters=5, stacked=stacked)
    ids = np.array([[2, 4, 3]])
    vectors = model.embedding(ids).numpy()
    convolved = keras.ops.relu(model.convolution(vectors))
    outputs = model.recurrent(convolved if stacked else vectors)
    both = np.concatenate([outputs, convolved], -1)
    features = np.concatenate([both.mean(1), both.max(1)], -1)
    expected = keras.ops.sigmoid(model.output_layer(features))
    np.testing.assert_allclose(model(ids), expected, atol=1e-6)


def test_it_starts_from_a_language_model_of_the_same_words():
    options = {"cell": "gru", "embedding_dim": 4, "units": 3}
    lm = kerasrnn.WordLanguageModel(len(WORDS), **options)
    ids = np.array([[2, 4, 3]])
    lm(ids)
    model = make_model(cell="gru", bidirectional=False, filters=5, stacked=False)
    model.start_from(lm)
    expected = lm.recurrent(lm.embedding(ids))[0]
    np.testing.assert_array_equal(model.recurrent(model.embedding(ids)), expected)


@pytest.mark.parametrize(
    "different",
    [{"cell": "lstm"}, {"units": 4}, {"embedding_dim": 5}, {"num_words": 7}],
)
def test_a_language_model_with_other_layers_is_refused(different):
    options = {"num_words": len(WORDS), "cell": "gru", "embedding_dim": 4, "units": 3}
    lm = kerasrnn.WordLanguageModel(**{**options, **different})
    lm(np.array([[1]]))
    model = make_model(cell="gru", bidirectional=False)
    model(np.array([[1]]))
    before = model.get_weights()
    with pytest.raises(ValueError, match="has weights of the shapes .* Use the same voc"):
        model.start_from(lm)
    for found, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_model_that_reads_something_else_cannot_start_from_words():
    lm = kerasrnn.WordLanguageModel(len(WORDS), cell="gru", embedding_dim=4, units=3)
    stacked = make_model(cell="gru", bidirectional=False, filters=4)
    with pytest.raises(ValueError, match="start_from needs a model with stacked=False"):
        stacked.start_from(lm)
    with pytest.raises(ValueError, match="The language model has no weights yet"):
        make_model(cell="gru", bidirectional=False).start_from(lm)


@pytest.mark.parametrize("labels", [("no", "yes"), ("no", "maybe", "yes")])
def test_it_survives_keras_saving(tmp_path, labels):
    model = make_model(cell="gru", pooling="last", filters=5, dropout=0.2, labels=labels)
    ids = np.array([[2, 4, 0]])
    expected = model(ids)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(ids), expected, atol=1e-6)
    assert loaded.vocabulary.words == model.vocabulary.words
    assert loaded.labels == labels


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_weights_of_the_layers_of_keras_still_load(tmp_path, monkeypatch, cell):
    of_keras = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}
    ids, text = np.array([[2, 4, 0]]), np.array([[1, 2, 0]])
    with monkeypatch.context() as patch:
        patch.setattr(classifier, "CELLS", of_keras)
        patch.setattr(language_model, "CELLS", of_keras)
        old = make_model(cell=cell), kerasrnn.CharLanguageModel("ab", 4, cell=cell)
        expected = old[0](ids), old[1](text)
        assert isinstance(old[0].recurrent.forward_layer, of_keras[cell])
        for model in old:
            model.save_weights(tmp_path / f"{model.name}.weights.h5")
            model.save(tmp_path / f"{model.name}.keras")
    new = make_model(cell=cell), kerasrnn.CharLanguageModel("ab", 4, cell=cell)
    for before, model, inputs, outputs in zip(old, new, (ids, text), expected, strict=True):
        model(inputs)
        model.load_weights(tmp_path / f"{before.name}.weights.h5")
        np.testing.assert_allclose(model(inputs), outputs, atol=1e-6)
        loaded = keras.saving.load_model(tmp_path / f"{before.name}.keras")
        np.testing.assert_allclose(loaded(inputs), outputs, atol=1e-6)
    own = {"lstm": kerasrnn.LSTM, "gru": kerasrnn.GRU}
    assert isinstance(loaded.recurrent_layers[0], own[cell])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "elman"}, "cell must be one of vanilla, lstm, gru, got cell='elman'"),
        ({"pooling": "max"}, "pooling must be one of mean_max, last"),
        ({"labels": ("one",)}, "labels must be two names or more"),
        ({"labels": ("1", "2", "1")}, "or more that differ, .* got labels="),
        ({"labels": ("1", "2\n3")}, "each a line of text"),
        ({"pooling": "last", "stacked": False}, 'stacked=False needs pooling="mean_max"'),
        ({"embedding_dropout": 1.0}, "embedding_dropout"),
        ({"word_pairs": 0}, "word_pairs must be a positive integer"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_model(**options)
