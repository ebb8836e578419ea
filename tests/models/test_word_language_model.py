"""A language model over words: its loss against all words, and what a classifier takes over."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from tests.seeds import set_seed


def make_model(num_words=40, **options):
    model = kerasrnn.WordLanguageModel(
        num_words, **{"embedding_dim": 6, "units": 8, "num_sampled": 4000, **options}
    )
    model(tf.zeros([1, 1], tf.int32))
    for weight in model.weights[:-1]:
        if weight.dtype.startswith("float"):
            weight.assign(keras.random.normal(weight.shape, stddev=0.5, seed=1))
    return model


@pytest.fixture
def ids(rng):
    return tf.constant(rng.integers(0, 40, size=(3, 7)), tf.int32)


def test_a_large_sample_gives_the_loss_among_all_words(ids):
    model = make_model()
    outputs = model(ids)
    expected = keras.ops.sparse_categorical_crossentropy(
        ids, model.logits(outputs), from_logits=True
    )
    losses = model.next_word.sampled_loss(ids, outputs)
    np.testing.assert_allclose(losses, expected, rtol=0.02)


def test_its_gradient_is_that_of_the_loss_among_all_words(ids):
    model = make_model()
    variables = [v.value for v in model.trainable_variables]
    with tf.GradientTape(persistent=True) as tape:
        outputs = model(ids)
        exact = keras.ops.sparse_categorical_crossentropy(
            ids, model.logits(outputs), from_logits=True
        )
        exact = tf.reduce_sum(exact)
        sampled = tf.reduce_sum(model.next_word.sampled_loss(ids, outputs))
    for a, b in zip(
        tape.gradient(sampled, variables), tape.gradient(exact, variables), strict=True
    ):
        a, b = tf.convert_to_tensor(a), tf.convert_to_tensor(b)
        assert tf.norm(a - b) < 0.03 * tf.norm(b)


def test_the_sum_over_words_is_unbiased(ids):
    model = make_model(num_sampled=3)
    outputs = model(ids)
    logits = model.logits(outputs)
    true = tf.gather(logits, ids, batch_dims=2)
    sums = [tf.exp(model.next_word.sampled_loss(ids, outputs) + true) for _ in range(1500)]
    np.testing.assert_allclose(np.mean(sums, 0), tf.reduce_sum(tf.exp(logits), -1), rtol=0.2)


def test_a_large_logit_gives_a_finite_loss():
    model = make_model()
    vectors = tf.fill([1, 2, 6], 1e20)
    losses = model.next_word.sampled_loss(tf.constant([[1, 2]]), vectors)
    assert np.all(np.isfinite(losses))
    assert np.all(losses >= 0)


def test_it_learns_an_order_of_words():
    set_seed(0)
    model = kerasrnn.WordLanguageModel(12, embedding_dim=8, units=16, num_sampled=12)
    model.compile(keras.optimizers.Adam(0.03), window=8, global_clipnorm=1.0)
    words = np.tile(np.arange(2, 12), 60)
    stream = kerasrnn.Stream.from_tokens(words, batch_size=4)
    model.fit(stream, epochs=10, verbose=0)
    predicted = tf.argmax(model.logits(model(words[None, :10])), -1)
    assert np.mean(predicted[0, 1:] == words[2:11]) == 1


def test_a_saved_model_is_the_same_model(ids, tmp_path):
    model = make_model(cell="gru", dropout=0.1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(loaded(ids), model(ids))


@pytest.mark.parametrize("argument", ["metrics", "weighted_metrics"])
def test_metrics_of_words_are_refused(argument):
    model = kerasrnn.WordLanguageModel(12, embedding_dim=4, units=3)
    with pytest.raises(ValueError, match="so the metrics .*'accuracy'.* would say nothing"):
        model.compile("adam", **{argument: ["accuracy"]}, window=4)


@pytest.mark.parametrize("policy", ["float64", "float16", "mixed_bfloat16"])
def test_it_learns_in_other_precisions(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = kerasrnn.WordLanguageModel(12, embedding_dim=4, units=3, num_sampled=6)
        model.compile(keras.optimizers.Adam(0.01, epsilon=1e-3), window=4)
        stream = kerasrnn.Stream.from_tokens(np.tile(np.arange(2, 12), 4), batch_size=2)
        assert np.isfinite(model.fit(stream, verbose=0).history["loss"][0])
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_compiled_model_can_be_saved_and_trained_on(tmp_path):
    model = kerasrnn.WordLanguageModel(12, embedding_dim=4, units=3, num_sampled=6)
    model.compile(keras.optimizers.Adam(0.01), window=4)
    stream = kerasrnn.Stream.from_tokens(np.tile(np.arange(2, 12), 4), batch_size=2)
    model.fit(stream, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(np.array([[3]])), model(np.array([[3]])))
    assert loaded.fit(stream, verbose=0).history["loss"][0] > 0


def test_vectors_cannot_be_fed_back():
    with pytest.raises(ValueError, match="cannot be fed its own outputs"):
        kerasrnn.WordLanguageModel(12).compile(window=4, teacher_forcing=0.5)


@pytest.mark.parametrize(
    "wrong",
    [{"num_words": 0}, {"embedding_dim": -1}, {"cell": "rnn"}, {"units": 1.5}, {"dropout": 1}],
)
def test_wrong_arguments_are_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        kerasrnn.WordLanguageModel(**{"num_words": 10, **wrong})


def test_ids_beyond_the_vocabulary_are_an_error():
    with pytest.raises(ValueError, match="ids from 0 to 39"):
        make_model()(np.array([[1, 40]]))
