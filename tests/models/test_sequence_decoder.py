"""A vector in, a text out: against NumPy, and with an encoder that is trained, too."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from tests import reference
from tests.small_models import make_sequence_decoder

VECTORS = np.array([[1.0, -1.0, 0.5], [0.0, 2.0, 1.0], [-1.0, 0.0, 0.0]], "float32")
INPUTS = np.array([[2, 4, 5, 7], [2, 6, 0, 0], [2, 0, 0, 0]])
STEPS = {"vanilla": reference.vanilla_step, "lstm": reference.lstm_step}


@pytest.fixture(scope="module")
def models():
    return {
        "previous": make_sequence_decoder(num_layers=2, cell="vanilla"),
        "zero": make_sequence_decoder(feed="zero", dropout=0.1, recurrent_dropout=0.1),
    }


@pytest.fixture(params=["previous", "zero"])
def model(models, request):
    return models[request.param]


def numpy_logits(model, vectors, inputs):
    """The equations of the model, in NumPy."""
    config = model.get_config()
    if config["feed"] == "zero":
        y = np.zeros([*inputs.shape, 1])
    else:
        y = model.target_table.get_weights()[0][inputs]
    for layer, to_states in zip(model.decoder_layers, model.to_states, strict=True):
        first = []
        for dense in to_states:
            kernel, bias = dense.get_weights()
            first.append(np.tanh(vectors @ kernel + bias))
        step, weights = STEPS[config["cell"]], layer.get_weights()
        y, _ = reference.read_sequence(step, weights, y, inputs != 0, first)
    kernel, bias = model.output_layer.get_weights()
    return y @ kernel + bias


def test_logits_are_those_of_numpy(model):
    found = model({"source": VECTORS, "inputs": INPUTS})
    np.testing.assert_allclose(found, numpy_logits(model, VECTORS, INPUTS), atol=1e-5)


def test_fed_zeros_the_text_before_does_not_matter(models):
    other = np.where(INPUTS > 2, 4, INPUTS)
    for name, same in (("previous", False), ("zero", True)):
        found, expected = (
            models[name]({"source": VECTORS, "inputs": ids}).numpy() for ids in (INPUTS, other)
        )
        assert np.allclose(found, expected) is same


def test_one_row_or_many(model):
    found = model.generate(VECTORS)
    beams = model.nbest(VECTORS, 3, max_length=3)
    for row, vector in enumerate(VECTORS):
        assert model.generate(vector) == found[row]
        assert model.generate(vector.tolist()) == found[row]
        texts = [text for text, _ in model.nbest(vector, 3, max_length=3)]
        assert texts == [text for text, _ in beams[row]]
    assert model.generate(np.zeros([0, 3])) == []
    assert model.generate([1, 2, 3]) == model.generate([1.0, 2.0, 3.0])
    assert model.generate(tf.constant(VECTORS), beam=3, max_length=3) == [
        texts[0].text for texts in beams
    ]


def test_greedy_decoding_is_that_of_numpy(model):
    (written,) = model.generate(VECTORS[:1], max_length=4)
    ids = [2]
    while len(ids) < 5:
        logits = numpy_logits(model, VECTORS[:1], np.array([ids]))[0, -1]
        token = 3 + int(np.argmax(logits[3:]))
        if token == 3:
            break
        ids.append(token)
    assert written == "".join(model.vocabulary.tokens[token - 4] for token in ids[1:])


def make_network():
    """Reads small pictures."""
    return keras.Sequential(
        [
            keras.layers.Conv2D(2, 2, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )


ENCODERS = {
    "classes": (lambda: keras.layers.Embedding(3, 4), 0, np.array([0, 2, 1])),
    "pictures": (
        make_network,
        np.zeros([4, 4, 1]),
        np.random.default_rng(0).normal(size=(3, 4, 4, 1)),
    ),
}


@pytest.mark.parametrize("kind", ENCODERS)
def test_an_encoder_is_trained_and_saved_with_the_model(tmp_path, kind):
    make_encoder, example, sources = ENCODERS[kind]
    model = make_sequence_decoder(example, make_encoder(), cell="vanilla")
    before = model.encoder.get_weights()
    model.compile(keras.optimizers.Adam(0.05), run_eagerly=True)
    batches = model.make_batches(sources, ["ab", "éa", ""], batch_size=3)
    losses = model.fit(batches, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert all((a != b).any() for a, b in zip(before, model.encoder.get_weights(), strict=True))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = next(iter(batches))[0]
    np.testing.assert_allclose(loaded(x), model(x), atol=1e-6)
    assert loaded.generate(sources) == model.generate(sources)
    assert loaded.generate(sources[1]) == model.generate(sources[1])
    assert loaded.encoder.get_config().keys() == model.encoder.get_config().keys()
    assert loaded.source_spec() == model.source_spec()


@pytest.fixture(scope="module")
def of_classes():
    return make_sequence_decoder(0, keras.layers.Embedding(3, 4), cell="vanilla")


def test_classes_are_whole_numbers(of_classes):
    assert of_classes.generate(np.array([2.0, 1.0])) == of_classes.generate([2, 1])
    assert of_classes.generate(2) == of_classes.generate([2])[0]
    assert of_classes.generate([]) == []
    with pytest.raises(ValueError, match="from 0 to 2, .* got 5"):
        of_classes.generate([0, 5])
    with pytest.raises(ValueError, match="must be whole numbers, got 1.5"):
        of_classes.generate([1.5])
    with pytest.raises(ValueError, match="must be whole numbers, got 1.5"):
        of_classes.make_batches([1.5], ["a"])
    with pytest.raises(ValueError, match=r"sources must be 32-bit integers"):
        of_classes.generate([2**40])


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([[1.0, float("nan"), 0.0]], "sources must be finite"),
        ([[1.0, float("inf"), 0.0]], "sources must be finite"),
        ([[1e300, 0.0, 0.0]], "sources must be finite"),
        ([[1.0, 2.0]], r"sources must have shape \(batch, 3\), got \(1, 2\)"),
        ([[[1.0, 2.0, 3.0]]], r"sources must have shape \(batch, 3\), got \(1, 1, 3\)"),
        ([1.0, 2.0], r"sources must"),
        ([["a", "b", "c"]], "sources must be numbers"),
        ([["1", "2", "3"]], "sources must be numbers"),
        ([[1j, 0, 0]], "sources must be numbers"),
        ([[1.0, 2.0, 3.0], [1.0]], "sources must be numbers"),
        ("abc", "sources must be numbers"),
        (None, "sources must be numbers"),
        (3, "sources must"),
    ],
)
def test_sources_that_are_no_vectors_are_refused(models, sources, message):
    with pytest.raises(ValueError, match=message):
        models["previous"].generate(sources)
    with pytest.raises(ValueError, match=message):
        models["previous"].make_batches(sources, ["a"] * 3)


def test_an_encoder_must_make_vectors():
    model = kerasrnn.SequenceDecoder(make_sequence_decoder().vocabulary, units=2)
    with pytest.raises(ValueError, match=r"a vector for each text, .* got shape \(1, 2, 3\)"):
        model({"source": np.zeros([1, 2, 3]), "inputs": np.array([[2]])})
    with pytest.raises(ValueError, match="has no weights yet. Call fit first"):
        model.generate([[1.0]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"feed": "nothing"}, "feed must be one of previous, zero, got feed='nothing'"),
        ({"encoder": "cnn"}, "encoder must be a Keras layer or model, got encoder='cnn'"),
        ({"cell": "elman"}, "cell must be one of vanilla, lstm, gru"),
        ({"units": 0}, "units must be a positive integer"),
        ({"num_layers": 1.5}, "num_layers must be a positive integer"),
        ({"max_length": 0}, "max_length must be a positive integer"),
        ({"vocabulary": "abc"}, "must be a kerasrnn.TokenVocabulary, got str"),
        ({"vocabulary": kerasrnn.TokenVocabulary([], "whitespace")}, "has no tokens"),
    ],
)
def test_what_makes_no_model_is_refused(options, message):
    letters = kerasrnn.TokenVocabulary(["a"], "character")
    with pytest.raises(ValueError, match=message):
        kerasrnn.SequenceDecoder(**{"vocabulary": letters, **options})


def test_a_configuration_can_be_used_again():
    vocabulary = kerasrnn.TokenVocabulary(["a", "b"], "character")
    config = kerasrnn.SequenceDecoder(vocabulary, keras.layers.Dense(2), units=2).get_config()
    first, second = (kerasrnn.SequenceDecoder.from_config(config) for _ in range(2))
    assert first.vocabulary.tokens == second.vocabulary.tokens == ("a", "b")
