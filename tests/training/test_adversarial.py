"""Noise on word vectors that makes the loss larger."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.training.adversarial import with_noise

WORDS = ["[PAD]", "[UNK]", "good", "bad", "film", "the"]
IDS = np.array([[2, 4, 5, 1], [3, 4, 0, 0], [5, 5, 5, 0]], "int32")
LABELS = np.array([1, 0, 1])


def make_model(**options):
    keras.utils.set_random_seed(0)
    model = kerasrnn.TextClassifier(WORDS, embedding_dim=4, units=3, filters=5)
    model.compile(keras.optimizers.SGD(0.1), **options)
    model(IDS)
    vectors = np.random.default_rng(0).normal(size=(len(WORDS), 4))
    model.embedding.embeddings.assign(vectors)
    return model


def loss_with(model, vectors):
    probabilities = model(IDS, vectors=vectors).numpy()[:, 0]
    return -np.log(np.where(LABELS, probabilities, 1 - probabilities))


def noise_of(model):
    step = model.training_step
    window = step.read((tf.constant(IDS), tf.constant(LABELS)))
    vectors = model.embedding(IDS).numpy()
    return vectors, with_noise(step, window, step.count(window)).numpy() - vectors


def test_vectors_replace_those_of_the_ids():
    model = make_model()
    same = model(IDS, vectors=model.embedding(IDS))
    np.testing.assert_allclose(same, model(IDS), atol=1e-6)
    assert np.abs(model(IDS, vectors=-model.embedding(IDS)) - same).min() > 1e-3


def test_noise_goes_where_the_loss_grows_fastest():
    """By finite differences."""
    model = make_model(adversarial_noise=0.1)
    vectors, noise = noise_of(model)
    gradient = np.zeros_like(vectors)
    for place in np.ndindex(vectors.shape):
        for sign in (1, -1):
            moved = vectors.copy()
            moved[place] += sign * 1e-2
            gradient[place] += sign * loss_with(model, moved)[place[0]] / 2e-2
    gradient /= np.sqrt((gradient**2).sum((1, 2), keepdims=True))
    counted = IDS != 0
    mean_square = ((vectors**2).sum(-1) * counted).sum(1) / counted.sum(1)
    norms = np.sqrt(mean_square)[:, None, None]
    np.testing.assert_allclose(noise, 0.1 * norms * gradient, atol=1e-3)
    assert not noise[IDS == 0].any()
    assert (loss_with(model, vectors + noise) > loss_with(model, vectors)).all()


def test_an_update_is_that_of_the_vectors_with_noise():
    model, expected = make_model(adversarial_noise=0.5), make_model()
    _, noise = noise_of(make_model(adversarial_noise=0.5))
    model.train_on_batch(IDS, LABELS)
    variables = [variable.value for variable in expected.trainable_variables]
    with tf.GradientTape() as tape:
        outputs = expected(IDS, vectors=expected.embedding(IDS) + noise)
        loss = tf.reduce_mean(keras.losses.binary_crossentropy(LABELS[:, None], outputs))
    for found, before, gradient in zip(
        model.get_weights(), expected.get_weights(), tape.gradient(loss, variables), strict=True
    ):
        gradient = tf.convert_to_tensor(gradient)
        np.testing.assert_allclose(found, before - 0.1 * gradient, atol=1e-6)


def test_parts_make_the_update_of_the_whole_batch():
    models = [make_model(adversarial_noise=0.5, parallel_parts=parts) for parts in (1, 3)]
    for model in models:
        model.train_on_batch(IDS, LABELS)
    for found, expected in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_noise_does_not_vanish_in_half_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = make_model(adversarial_noise=0.5)
    finally:
        keras.config.set_dtype_policy("float32")
    model.output_layer.kernel.assign(1e-4 * model.output_layer.kernel)
    vectors, noise = noise_of(model)
    for number, counted in enumerate(IDS != 0):
        norm = np.sqrt((vectors[number].astype("f") ** 2).sum(-1)[counted].mean())
        assert np.linalg.norm(noise[number]) == pytest.approx(0.5 * norm, rel=0.05)


def test_padding_does_not_change_an_update():
    models = [make_model(adversarial_noise=0.5) for _ in range(2)]
    models[0].train_on_batch(IDS, LABELS)
    models[1].train_on_batch(np.pad(IDS, ((0, 0), (0, 3))), LABELS)
    for found, expected in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_no_gradient_is_no_noise():
    model = make_model(adversarial_noise=0.5)
    model.output_layer.kernel.assign(tf.zeros_like(model.output_layer.kernel))
    _, noise = noise_of(model)
    assert not noise.any()


def test_models_without_word_vectors_refuse_it():
    model = kerasrnn.SequenceModel([keras.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"no word vectors\. Use adversarial_noise=None"):
        model.compile(loss="mse", adversarial_noise=0.5)
