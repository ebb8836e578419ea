"""A row look-up in place of a product with one-hot vectors."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.models.lookup import InputTable, TiedDense

IDS = tf.constant([[1, 2, 2], [4, 0, 1]])


@pytest.mark.parametrize("embedding_dim", [None, 2])
@pytest.mark.parametrize("training", [True, False])
def test_rows_are_the_product_with_one_hot_vectors(embedding_dim, training, rng):
    layer = InputTable(5, 3, embedding_dim)
    layer.build(None)
    upstream = rng.normal(size=(2, 3, 3)).astype("float32")
    weights = [v.value for v in layer.trainable_variables]
    with tf.GradientTape(persistent=True) as tape:
        found = layer(IDS, training=training)
        product = tf.one_hot(IDS, 5) @ weights[0]
        product = product if embedding_dim is None else product @ weights[1]
        losses = [tf.reduce_sum(x * upstream) for x in (found, product)]
    np.testing.assert_allclose(found, product, atol=1e-6)
    for gradients in zip(*(tape.gradient(loss, weights) for loss in losses), strict=True):
        np.testing.assert_allclose(*map(tf.convert_to_tensor, gradients), atol=1e-6)


def test_the_unknown_character_begins_as_nothing():
    layer = InputTable(5, 3)
    assert not np.any(layer(tf.constant([0])))
    assert np.all(layer(tf.constant([1, 2, 3, 4])) != 0)


def test_ids_may_be_bytes():
    layer = InputTable(5, 3)
    np.testing.assert_array_equal(layer(tf.cast(IDS, tf.uint8)), layer(IDS))


def test_tied_scores_come_from_the_same_table(rng):
    table = InputTable(5, 3)
    table.build(None)
    tied = TiedDense(table)
    h = rng.normal(size=(2, 4, 3)).astype("float32")
    np.testing.assert_allclose(tied(h), h @ table.embeddings.numpy().T, atol=1e-6)
    assert sorted(list(v.shape) for v in tied.trainable_variables) == [[5], [5, 3]]


def test_a_layer_without_kernel_takes_projected_inputs(rng):
    full = kerasrnn.VanillaRNN(3, return_sequences=True)
    bare = kerasrnn.VanillaRNN(3, return_sequences=True, use_kernel=False)
    cell = kerasrnn.RNN(kerasrnn.VanillaRNNCell(3, use_kernel=False), return_sequences=True)
    x = rng.normal(size=(2, 5, 4)).astype("float32")
    full.build(x.shape)
    kernel, *others = full.get_weights()
    expected = full(x)
    for layer in (bare, cell):
        layer.build((2, 5, 3))
        layer.set_weights(others)
        np.testing.assert_allclose(layer(x @ kernel), expected, atol=1e-6)
    copy = kerasrnn.VanillaRNN.from_config(bare.get_config())
    assert copy.use_kernel is False
    assert len(bare.weights) == 2


def test_projected_inputs_of_another_size_are_refused():
    with pytest.raises(ValueError, match="takes inputs of units=3 features, got 4"):
        kerasrnn.VanillaRNN(3, use_kernel=False)(np.zeros((1, 2, 4), "float32"))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_ids_that_are_floats_are_not_rounded_in_low_precision(policy, rng):
    words = ["[PAD]", "[UNK]", *(f"w{n}" for n in range(3000))]
    keras.config.set_dtype_policy(policy)
    try:
        network = kerasrnn.TextClassifier(words, embedding_dim=2, units=2)
        table = rng.normal(size=(len(words) + 9, 1))
        models = [
            network.with_linear(table, np.zeros(1)),
            kerasrnn.WordLanguageModel(len(words), embedding_dim=2, units=2),
            kerasrnn.CharLanguageModel(map(chr, range(4000, 7000)), units=2, num_layers=2),
        ]
        ids = np.array([[3, 257, 2049, 2999]])
        for model in models:
            np.testing.assert_array_equal(model(ids.astype("float32")), model(ids))
    finally:
        keras.config.set_dtype_policy("float32")
