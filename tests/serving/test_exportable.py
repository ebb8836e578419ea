"""Exported preprocessing layers answer as the model does; what cannot be saved is named."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn

TEXTS = ["good film", "bad film", "a bad day"]
WORDS = tf.constant([["good", "film", "never seen"]])
INTEGERS = tf.constant([[5, 9, 4]], tf.int64)
REALS = tf.constant(np.random.default_rng(0).normal(size=(2, 3)), tf.float32)


def adapted(layer, data):
    layer.adapt(data)
    return layer


def words_as(**options):
    return adapted(keras.layers.TextVectorization(**options), TEXTS)


SENTENCES = tf.constant(["a good day", "never seen", ""])
LAYERS = {
    "texts to ids": (lambda: words_as(output_sequence_length=5), SENTENCES),
    "texts to ids, padded to the longest": (words_as, SENTENCES),
    "texts to counts": (lambda: words_as(output_mode="count"), SENTENCES),
    "texts to tf-idf": (lambda: words_as(output_mode="tf_idf"), SENTENCES),
    "words to ids": (lambda: keras.layers.StringLookup(vocabulary=["film", "good"]), WORDS),
    "words to one-hot": (
        lambda: keras.layers.StringLookup(vocabulary=["film"], output_mode="multi_hot"),
        WORDS,
    ),
    "ids to words": (
        lambda: keras.layers.StringLookup(vocabulary=["film", "good"], invert=True),
        tf.constant([[0, 1, 2]], tf.int64),
    ),
    "integers to ids": (
        lambda: adapted(keras.layers.IntegerLookup(), [[5], [7], [9]]),
        INTEGERS,
    ),
    "normalized": (lambda: adapted(keras.layers.Normalization(), REALS.numpy()), REALS),
    "categories": (lambda: keras.layers.CategoryEncoding(num_tokens=10), INTEGERS),
    "hashes": (lambda: keras.layers.Hashing(num_bins=7), WORDS),
    "hashes of integers": (lambda: keras.layers.Hashing(num_bins=7), INTEGERS),
    "intervals": (lambda: keras.layers.Discretization(bin_boundaries=[-0.5, 0.5]), REALS),
}


def assert_answers_alike(model, folder, x):
    exported = kerasrnn.export(model, folder)
    signature = tf.saved_model.load(str(exported)).signatures["serving_default"]
    (found,) = signature(x=x).values()
    expected = model(x)
    if found.dtype == tf.string:
        assert found.numpy().tolist() == expected.numpy().tolist()
    else:
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", LAYERS)
def test_exported_preprocessing_answers_as_the_model(tmp_path, kind):
    make, x = LAYERS[kind]
    inputs = keras.Input(x.shape[1:], dtype=x.dtype.name, name="x")
    assert_answers_alike(keras.Model(inputs, make()(inputs)), tmp_path, x)


@pytest.mark.parametrize("nested", [False, True])
def test_a_trained_model_with_text_inside_is_exported_without_its_optimizer(tmp_path, nested):
    prepare = words_as(output_sequence_length=5)
    if nested:
        prepare = keras.Sequential([keras.Input([], dtype="string"), prepare])
    model = keras.Sequential(
        [
            keras.Input([], dtype="string", name="x"),
            prepare,
            keras.layers.Embedding(10, 4, mask_zero=True),
            kerasrnn.VanillaRNN(3),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", run_eagerly=True)
    model.train_on_batch(tf.constant(TEXTS), np.array([1, 0, 0]))
    assert_answers_alike(model, tmp_path, SENTENCES)
    names = [
        name for name, _ in tf.train.list_variables(str(tmp_path / "1/variables/variables"))
    ]
    assert not any("adam" in name or "optimizer" in name for name in names)
    saved = [name for name in names if name.startswith("weights/")]
    assert len(saved) == len(model.weights)


class Remembering(keras.layers.Layer):
    """Holds a table where nobody looks for it."""

    def __init__(self, **options):
        super().__init__(**options)
        initializer = tf.lookup.KeyValueTensorInitializer(["a"], tf.constant([1]))
        table = tf.lookup.StaticHashTable(initializer, 0)
        self.find = lambda texts: table.lookup(texts)

    def call(self, texts):
        return self.find(texts)

    def compute_output_spec(self, texts):
        return keras.KerasTensor(texts.shape, "int32")


def test_a_layer_whose_state_cannot_be_saved_is_named(tmp_path):
    x = keras.Input([2], dtype="string")
    model = keras.Model(x, Remembering(name="own_table")(x))
    with pytest.raises(ValueError, match="own_table holds state beside the weights"):
        kerasrnn.export(model, tmp_path)
    x = keras.Input([4, 3], batch_size=2)
    layer = kerasrnn.VanillaRNN(2, stateful=True, name="carries")
    with pytest.raises(ValueError, match="carries holds state .* Use stateful=False"):
        kerasrnn.export(keras.Model(x, layer(x)), tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_that_has_diverged_is_not_exported(tmp_path, value, dtype):
    inputs = keras.Input([None, 3])
    first = kerasrnn.VanillaRNN(2, name="first", dtype=dtype, recurrent_initializer="zeros")
    model = keras.Model(inputs, keras.layers.Dense(2, name="last")(first(inputs)))
    weights = model.get_weights()
    for place in (4, 1):
        wrong = np.array(weights[place], "float32")
        wrong.flat[1] = value
        model.weights[place].assign(wrong)
    with pytest.raises(ValueError, match="weight first/.*recurrent_kernel of .* is not finite"):
        kerasrnn.export(model, tmp_path)
    assert not any(tmp_path.iterdir())
