"""Models, and what they were exported to, that the tests of this folder share."""

import keras
import pytest
import tensorflow as tf

import kerasrnn
from tests.small_models import (
    LANGUAGE_MODELS,
    make_classifier,
    make_language_model,
    make_seq2seq,
    make_sequence_decoder,
)


@pytest.fixture(scope="session")
def classifier():
    return make_classifier(dropout=0.3)


@pytest.fixture(scope="session")
def exported_classifier(classifier, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "sentiment"
    return kerasrnn.export(classifier, folder, config={"units": 3}, model_card="# Card\n")


@pytest.fixture(scope="session")
def loaded_classifier(exported_classifier):
    return tf.saved_model.load(str(exported_classifier))


@pytest.fixture(scope="session")
def classifier_of_three():
    return make_classifier(labels=["1", "2", "drei"], filters=5)


@pytest.fixture(scope="session")
def exported_classifier_of_three(classifier_of_three, tmp_path_factory):
    return kerasrnn.export(classifier_of_three, tmp_path_factory.mktemp("models") / "stars")


@pytest.fixture(scope="session")
def loaded_classifier_of_three(exported_classifier_of_three):
    return tf.saved_model.load(str(exported_classifier_of_three))


@pytest.fixture(scope="session")
def small_model():
    """A model that is exported in no time."""
    return keras.Sequential([keras.Input([2]), keras.layers.Dense(1)])


@pytest.fixture(scope="session")
def language_model():
    return make_language_model(**LANGUAGE_MODELS["deep"])


@pytest.fixture(scope="session")
def exported_language_model(language_model, tmp_path_factory):
    return kerasrnn.export(language_model, tmp_path_factory.mktemp("models") / "chargen")


@pytest.fixture(scope="session")
def loaded_language_model(exported_language_model):
    return tf.saved_model.load(str(exported_language_model))


@pytest.fixture(scope="session")
def seq2seq():
    return make_seq2seq(cell="vanilla", dropout=0.2, recurrent_dropout=0.1)


@pytest.fixture(scope="session")
def exported_seq2seq(seq2seq, tmp_path_factory):
    return kerasrnn.export(seq2seq, tmp_path_factory.mktemp("models") / "translate")


@pytest.fixture(scope="session")
def sequence_decoder():
    encoder = keras.Sequential([keras.layers.Dense(2), keras.layers.Dropout(0.5)])
    return make_sequence_decoder(encoder=encoder, feed="zero")


@pytest.fixture(scope="session")
def exported_sequence_decoder(sequence_decoder, tmp_path_factory):
    return kerasrnn.export(sequence_decoder, tmp_path_factory.mktemp("models") / "describe")
