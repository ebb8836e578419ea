"""A network and a linear model together."""

import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.models.word_pairs import WordPairs
from kerasrnn.text.batches import bucket_by_length
from tests.apps.test_baseline import make_reviews

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from apps.sentiment import linear


def make_classifier(training, num_labels):
    vocabulary = kerasrnn.Vocabulary.from_texts(training.texts, 100)
    names = list("abc")[:num_labels]
    model = kerasrnn.TextClassifier(vocabulary, names, units=3, embedding_dim=4)
    model(tf.zeros([1, 1], tf.int32))
    return model


def batches_of(reviews, model):
    ids = model.vocabulary.encode(reviews.texts, 50)
    return bucket_by_length(ids, reviews.labels, batch_size=16, max_length=16)


@pytest.mark.parametrize("num_labels", [2, 3])
def test_it_knows_what_the_linear_model_knows(num_labels, capsys):
    """The network is untrained, so the linear model decides."""
    training, validation, test = (
        make_reviews(120, num_labels=num_labels, seed=seed) for seed in range(3)
    )
    network = make_classifier(training, num_labels)
    parts = (batches_of(part, network) for part in (training, validation))
    model, seconds = linear.with_linear(network, 200, *parts, seed=0)
    probabilities = model.predict(test.texts, verbose=0)
    predicted = (
        probabilities[:, 0] > 0.5 if num_labels == 2 else np.argmax(probabilities, axis=1)
    )
    assert np.mean(predicted == np.array(test.labels)) > 0.95
    assert seconds > 0
    assert "* linear model" in capsys.readouterr().out


@pytest.mark.parametrize("num_labels", [2, 3])
def test_the_outputs_are_those_of_the_linear_model_itself(num_labels):
    training = make_reviews(90, num_labels=num_labels)
    network = make_classifier(training, num_labels)
    pair = linear.read_features(
        WordPairs(len(network.vocabulary), 200, 1), batches_of(training, network)
    )
    chosen, _, _ = linear.choose_model(pair, pair, seed=0)
    table, bias = linear.weights_of(chosen, num_labels)
    found, expected = pair[0] @ table + bias, chosen.decision_function(pair[0])
    np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=1e-9)
    model = network.with_linear(table, bias, share=0.0)
    outputs = np.concatenate(
        [linear.outputs_of(model(ids).numpy()) for ids, _ in batches_of(training, network)]
    )
    if num_labels == 3:  # of a softmax, only differences are known
        outputs, found = (x - x.mean(1, keepdims=True) for x in (outputs, found))
    np.testing.assert_allclose(outputs, found, atol=1e-3)


def test_a_label_without_training_texts_is_improbable():
    training = make_reviews(90)
    training.labels[:] = [2 * label for label in training.labels]
    network = make_classifier(training, 3)
    pair = linear.read_features(
        WordPairs(len(network.vocabulary), 200, 1), batches_of(training, network)
    )
    chosen, _, _ = linear.choose_model(pair, pair, seed=0)
    table, bias = linear.weights_of(chosen, 3)
    assert np.all(table[:, 1] == 0)
    assert bias[1] < -15


def test_shares_are_where_the_loss_is_lowest(rng):
    labels = rng.integers(0, 2, size=4000)
    signs = 2 * labels[:, None] - 1
    good, bad = signs + rng.normal(size=(4000, 1)), 10 * rng.normal(size=(4000, 1))
    of_good, of_bad = linear.find_shares(4 * good, bad, labels)
    assert of_good == pytest.approx(0.5, rel=0.15)  # 2 / (4 variances)
    assert of_bad == pytest.approx(0, abs=0.01)


def test_few_texts_change_the_shares_little():
    """Of one text, right in both models, the loss would be lowest for shares of 1."""
    outputs = np.array([[3.0]])
    assert linear.find_shares(outputs, outputs, [1]) == pytest.approx((0.5, 0.5), abs=0.1)
