"""A language model over characters: against NumPy, and against itself step by step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.models.lookup import InputTable
from tests import reference
from tests.seeds import set_seed
from tests.small_models import TEXT, make_language_model


@pytest.fixture(params=["deep", "embedded", "tied", "lstm"])
def each(language_models, request):
    return language_models[request.param]


def test_logits_are_those_of_numpy(model, rng):
    ids = rng.integers(0, len(model.vocabulary), size=(2, 7))
    tables = [a.table().numpy() for a in model.sequence_layers if isinstance(a, InputTable)]
    layers = []
    for layer in model.recurrent_layers:
        *kernel, recurrent_kernel, bias = layer.get_weights()
        layers.append((kernel[0] if kernel else None, recurrent_kernel, bias))
    output = model.sequence_layers[-1].get_weights()
    expected = reference.language_model_logits(ids, tables, layers, *output)
    np.testing.assert_allclose(model(ids), expected, atol=1e-4)


def test_single_steps_give_what_the_whole_sequence_gives(each, rng):
    ids = rng.integers(0, len(each.vocabulary), size=(3, 5))
    states = each.initial_states(3)
    whole, last = each(ids, return_states=True)
    for t in range(5):
        logits, states = each.step(tf.constant(ids[:, t]), states)
        np.testing.assert_allclose(logits, whole[:, t], atol=1e-5)
    for a, b in zip(tf.nest.flatten(states), tf.nest.flatten(last), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_it_learns_a_text():
    set_seed(0)
    vocabulary = kerasrnn.CharacterVocabulary.from_text(TEXT)
    model = kerasrnn.CharLanguageModel(vocabulary, units=24, num_layers=2, dropout=0.1)
    model.compile(keras.optimizers.Adam(0.04), window=15, global_clipnorm=1.0)
    stream = kerasrnn.Stream.from_tokens(vocabulary.encode(TEXT), batch_size=4)
    model.fit(stream, epochs=4, verbose=0)
    assert model.score(TEXT).nats_per_character < 0.3
    assert model.generate("Être ou", 40, temperature=0) == TEXT[7:47]


def test_a_saved_model_is_the_same_model(each, tmp_path):
    each.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.vocabulary == each.vocabulary
    assert loaded.get_config() == each.get_config()
    ids = np.array([[1, 2, 3]])
    np.testing.assert_array_equal(loaded(ids), each(ids))


def test_half_precision_writes_too():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = make_language_model(num_layers=2)
        assert len(model.generate("ou", 20, seed=0)) == 20
        assert model(np.array([[1]])).dtype == tf.float32
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocabulary": "a"}, "at least two characters, got 'a'"),
        ({"units": 0}, "units must be a positive integer"),
        ({"num_layers": 0}, "num_layers must be a positive integer"),
        ({"embedding_dim": -1}, "embedding_dim must be a positive integer"),
        ({"cell": "rnn"}, "cell must be one of vanilla, lstm, gru, got cell='rnn'"),
        ({"cell": "gru", "embedding_dim": 3, "tie_weights": True}, "needs embedding_dim=512"),
    ],
)
def test_what_makes_no_model_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        kerasrnn.CharLanguageModel(**{"vocabulary": "abc", **options})
