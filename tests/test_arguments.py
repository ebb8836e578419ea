"""Nonsense as an argument is one clear `ValueError`; numbers of NumPy are numbers."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.models.lookup import InputTable, TiedDense
from tests.plain_ops import assert_plain

WORDS = ["[PAD]", "[UNK]", "a", "b"]
NO_NUMBERS = [None, "a", b"to", [], [1], {}, object(), float("nan")]
NO_INTEGERS = [*NO_NUMBERS[1:], True, 2.5, -1]
NO_TEXTS = [None, b"to", 3, [b"to"], ["a", None], {"a": "b"}, object()]
LETTERS = kerasrnn.TokenVocabulary(["a", "b"], "character")
SIDES = ("source_vocabulary", "target_vocabulary")


@pytest.fixture(scope="module")
def language_model():
    model = kerasrnn.CharLanguageModel("abc", units=4)
    model(np.array([[1]]))
    return model


@pytest.fixture(scope="module")
def classifier():
    model = kerasrnn.TextClassifier(WORDS, max_length=8, embedding_dim=4, units=3)
    model(np.array([[1]]))
    return model


def make(kind):
    defaults = {
        "layer": (kerasrnn.VanillaRNN, {"units": 3}),
        "cell": (kerasrnn.VanillaRNNCell, {"units": 3}),
        "classifier": (kerasrnn.TextClassifier, {"vocabulary": WORDS}),
        "language model": (kerasrnn.CharLanguageModel, {"vocabulary": "abc"}),
        "table": (InputTable, {"num_ids": 4, "units": 2}),
        "tied": (TiedDense, {}),
        "randomized": (kerasrnn.RandomizedTruncation, {}),
        "spectral radius": (kerasrnn.SpectralRadius, {}),
        "words": (kerasrnn.Vocabulary, {}),
        "words of texts": (kerasrnn.Vocabulary.from_texts, {"texts": ["a"], "size": 3}),
        "characters": (kerasrnn.CharacterVocabulary, {}),
        "characters of text": (kerasrnn.CharacterVocabulary.from_text, {}),
        "tokens": (kerasrnn.TokenVocabulary, {"tokens": ["a"], "split": "whitespace"}),
        "tokens of texts": (
            kerasrnn.TokenVocabulary.from_texts,
            {"texts": ["a"], "split": "whitespace"},
        ),
        "texts to texts": (kerasrnn.Seq2Seq, dict.fromkeys(SIDES, LETTERS)),
        "vectors to texts": (kerasrnn.SequenceDecoder, {"vocabulary": LETTERS}),
        "smoothed loss": (kerasrnn.SmoothedCrossentropy, {}),
    }
    function, options = defaults[kind]
    return lambda **given: function(**{**options, **given})


CONSTRUCTED = [
    *(("layer", name, [*NO_INTEGERS, None]) for name in ["units"]),
    *(("cell", name, [*NO_INTEGERS, None, 0]) for name in ["units"]),
    *(
        ("layer", name, [*NO_NUMBERS, 1, 2, -0.1])
        for name in ("dropout", "recurrent_dropout", "zoneout")
    ),
    ("cell", "leak_rate", [*NO_NUMBERS, 0, -1, 2]),
    *(
        ("classifier", name, [*NO_INTEGERS, None, 0])
        for name in ("units", "embedding_dim", "max_length")
    ),
    ("classifier", "dropout", [*NO_NUMBERS, 2, 1]),
    ("classifier", "labels", [*NO_TEXTS, "ab", ["a"], ["a", "a"], ["a", "b", "a"], ["a", ""]]),
    ("classifier", "cell", [None, [], {}, "rnn", 3]),
    ("classifier", "pooling", [None, [], {}, "max", 3]),
    ("classifier", "vocabulary", [*NO_TEXTS, "abc"]),
    ("language model", "vocabulary", NO_TEXTS),
    *(
        ("language model", name, [*NO_INTEGERS, 0])
        for name in ("units", "num_layers", "embedding_dim")
    ),
    *(("language model", n, [*NO_NUMBERS, 1, -1]) for n in ("dropout", "recurrent_dropout")),
    ("language model", "cell", [None, [], {}, "rnn"]),
    *(("table", name, [*NO_INTEGERS, 0]) for name in ("num_ids", "units", "embedding_dim")),
    ("tied", "input_table", [None, 3, keras.layers.Dense(2)]),
    ("randomized", "keep_probability", [*NO_NUMBERS, 0, 2]),
    ("spectral radius", "radius", [*NO_NUMBERS, 0, -1, float("inf")]),
    ("words", "words", [*NO_TEXTS, "ab", *([*WORDS, w] for w in ("", "a\n", "\r", "\ud800"))]),
    ("words", "words", [[*WORDS, "c\u2028d"], [*WORDS, "\x1c"], [*WORDS, "a"]]),
    ("words of texts", "texts", [*NO_TEXTS, "ab"]),
    ("words of texts", "size", [*NO_INTEGERS, None, 0]),
    ("characters", "characters", [*NO_TEXTS, ["ab"], ["\ud800"], ["", "a"]]),
    ("characters of text", "text", [*NO_TEXTS, "\ud800"]),
    ("tokens", "tokens", [*NO_TEXTS, [""], ["a b"], ["a\n"], ["\ud800"], ["[PAD]"], ["a"] * 2]),
    ("tokens", "split", [None, [], {}, "lines", 3]),
    ("tokens of texts", "texts", [*NO_TEXTS, "ab"]),
    ("tokens of texts", "size", [*NO_INTEGERS, 0]),
    *(("texts to texts", name, [*NO_TEXTS, "ab", ["a"]]) for name in SIDES),
    *(
        ("texts to texts", name, [*NO_INTEGERS, None, 0])
        for name in ("units", "num_layers", "embedding_dim", "max_source_length")
    ),
    ("texts to texts", "units", [3]),
    ("texts to texts", "max_target_length", [*NO_INTEGERS, None, 0]),
    ("texts to texts", "cell", [None, [], {}, "rnn", 3]),
    ("texts to texts", "attention", [[], {}, "cosine", 3, True]),
    ("texts to texts", "bidirectional", [None, 0, 1, "yes", []]),
    ("vectors to texts", "vocabulary", [*NO_TEXTS, "ab", ["a"]]),
    ("vectors to texts", "encoder", ["cnn", 3, [], keras.layers.Dense]),
    ("vectors to texts", "feed", [None, [], {}, "nothing", 3]),
    *(
        ("vectors to texts", name, [*NO_INTEGERS, None, 0])
        for name in ("units", "num_layers", "embedding_dim", "max_length")
    ),
    *(
        (kind, name, [*NO_NUMBERS, 1, -1, True])
        for kind in ("texts to texts", "vectors to texts")
        for name in ("dropout", "recurrent_dropout")
    ),
    ("smoothed loss", "label_smoothing", [*NO_NUMBERS, 1, -1, True]),
]


@pytest.mark.parametrize(("kind", "name", "values"), CONSTRUCTED)
def test_nothing_is_made_of_nonsense(kind, name, values):
    for value in values:
        with pytest.raises(ValueError, match=r"\bgot |appears twice"):
            make(kind)(**{name: value})


def made_of(integer, real):
    """Models whose sizes and rates are numbers of these types, each with a batch for it."""
    rates = {"dropout": real(0.5), "recurrent_dropout": real(0.25)}
    layer = kerasrnn.VanillaRNN(
        integer(3), zoneout=real(0.5), leak_rate=real(0.5), seed=integer(1), **rates
    )
    sizes = {"units": integer(3), "embedding_dim": integer(4)}
    classifier = kerasrnn.TextClassifier(
        WORDS, max_length=integer(5), dropout=real(0.5), **sizes
    )
    writer = kerasrnn.CharLanguageModel("abc", num_layers=integer(2), **sizes, **rates)
    ids = np.array([[1, 2]])
    return [(layer, np.ones([2, 5, 4], "float32")), (classifier, ids), (writer, ids)]


NUMPY = [(np.int64, np.float32), (np.int32, np.float64), (np.uint8, np.float32)]


@pytest.mark.slow
@pytest.mark.parametrize(("integer", "real"), NUMPY)
def test_numbers_of_numpy_are_numbers(integer, real):
    for (model, data), (plain, _) in zip(
        made_of(integer, real), made_of(int, float), strict=True
    ):
        config, expected = (json.loads(json.dumps(m.get_config())) for m in (model, plain))
        assert config.pop("name") != expected.pop("name")
        assert config == expected
        assert model(data).shape == plain(data).shape
        assert [w.shape for w in model.weights] == [w.shape for w in plain.weights]


@pytest.mark.parametrize(("integer", "real"), NUMPY)
def test_numbers_of_numpy_say_how_to_write(language_model, integer, real):
    options = {"length": integer(3), "seed": integer(1), "top_k": integer(2)}
    options |= {"temperature": real(0.5), "top_p": real(0.5)}
    plain = {key: value.item() for key, value in options.items()}
    expected = language_model.generate("a", **plain)
    assert language_model.generate("a", **options) == expected
    assert "".join(language_model.stream("a", **options)) == expected
    assert len(language_model.generate("a", length=integer(70), stop="@")) == 70


def test_models_made_of_numbers_of_numpy_can_be_saved(tmp_path):
    (layer, x), *models = made_of(np.int64, np.float32)
    inputs = keras.Input([None, 4])
    models = [(keras.Model(inputs, layer(inputs)), x), *models]
    for number, (model, data) in enumerate(models):
        expected = model(data)
        model.save(tmp_path / f"{number}.keras")
        loaded = keras.saving.load_model(tmp_path / f"{number}.keras")
        np.testing.assert_allclose(loaded(data), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("length", [*NO_INTEGERS, None, 2**31]),
        ("temperature", [*NO_NUMBERS, -1, float("inf")]),
        ("top_k", [*NO_INTEGERS, 0, 4]),
        ("top_p", [*NO_NUMBERS[1:], 0, 1.5, float("inf")]),
        ("seed", ["a", b"to", [], {}, True, 2.5, 2**31, object()]),
        ("stop", [*NO_TEXTS, "", ["a", ""]]),
    ],
)
def test_nothing_is_written_for_nonsense(language_model, name, values):
    for value in values:
        for write in (language_model.generate, language_model.stream):
            with pytest.raises(ValueError, match=f"{name} must"):
                write("a", **{"length": 3, name: value})


def test_nothing_but_texts_are_prompts_and_scored(language_model):
    for value in NO_TEXTS:
        with pytest.raises(ValueError, match="prompts must be a str or a list of str"):
            language_model.generate(value)
    for value in [*NO_TEXTS, ["ab", "cd"]]:
        with pytest.raises(ValueError, match="prompt must be a str"):
            language_model.stream(value)
        with pytest.raises(ValueError, match="text must be a str"):
            language_model.score(value)
        with pytest.raises(ValueError, match="text must be a str"):
            language_model.vocabulary.encode(value)


def test_nothing_but_ids_are_decoded(language_model):
    for value in [None, 3, "ab", [-1], [4], [1.5], ["a"], [[1, 2]], [True, None], np.int64(1)]:
        with pytest.raises(ValueError, match="ids must"):
            language_model.vocabulary.decode(value)


def test_nothing_but_texts_become_ids_of_words():
    vocabulary = kerasrnn.Vocabulary(WORDS)
    assert vocabulary.encode(["b a"], 5).to_list() == [[3, 2]]
    for value in [*NO_TEXTS]:
        with pytest.raises(ValueError, match="texts must"):
            vocabulary.encode(value, 5)
    for value in [*NO_INTEGERS, None, 0]:
        with pytest.raises(ValueError, match="max_length must be a positive integer"):
            vocabulary.encode(tf.constant(["a"]), value)


@pytest.mark.parametrize("wrong", [4, -1, 2**40])
def test_ids_out_of_range_are_one_line(language_model, classifier, wrong):
    ids = np.array([[1, wrong]])
    table = InputTable(4, units=3)
    for model in (language_model, classifier, table):
        for given in (ids, ids.tolist(), tf.constant(ids)):
            with pytest.raises(ValueError, match=r"ids from 0 to 3, the 4 entries") as raised:
                model(given)
            assert str(raised.value).count("\n") == 0
            assert str(wrong) in str(raised.value)
    with pytest.raises(ValueError, match="ids from 0 to 3"):
        classifier(ids=ids)
    with pytest.raises(ValueError, match="takes integers as ids, got texts. Encode them"):
        language_model(tf.constant([["a"]]))


def test_fit_and_predict_say_which_id_is_out_of_range():
    wrong, right = np.full([4, 8], 9), np.ones([4, 8], "int32")
    classifier = kerasrnn.TextClassifier(WORDS, embedding_dim=4, units=3)
    classifier.compile("adam", "binary_crossentropy")
    writer = kerasrnn.CharLanguageModel("abc", units=3)
    writer.compile(window=4)
    message = "ids (must lie )?from 0 to 3, the 4 entries of .* vocabulary, got (ids from )?9"
    for model, targets in ((classifier, np.ones(4)), (writer, right)):
        for method in (model.fit, model.evaluate):
            with pytest.raises(ValueError, match=message):
                method(wrong, targets, verbose=0)
        with pytest.raises(ValueError, match=message):
            model.predict(wrong, verbose=0)
    # Where operations are deterministic, the gradient may tell it first, without the value.
    with pytest.raises(ValueError, match="targets must lie (from 0 to 3, .* got 9|among the)"):
        writer.fit(right, wrong, verbose=0)


@pytest.mark.parametrize(
    ("cell", "pooling", "labels"), [("vanilla", "last", "no"), ("lstm", "mean_max", "abc")]
)
def test_an_empty_batch_has_an_empty_answer(tmp_path, cell, pooling, labels):
    layers = {"cell": cell, "pooling": pooling, "bidirectional": False}
    model = kerasrnn.TextClassifier(WORDS, list(labels), embedding_dim=4, units=3, **layers)
    expected = (0, 1) if len(labels) == 2 else (0, 3)
    assert model(np.zeros([0, 3], "int32")).shape == expected
    assert model.predict(np.zeros([0, 3], "int32"), verbose=0).shape == expected
    assert model(np.zeros([0, 0], "int32"), training=True).shape == expected
    signatures = tf.saved_model.load(str(kerasrnn.export(model, tmp_path))).signatures
    for size in (0, 3):
        ids = signatures["ids"](ids=tf.zeros([0, size], tf.int32))
        assert ids["probability"].shape == (0,)
    texts = signatures["serving_default"](text=tf.zeros([0], tf.string))
    shapes = {"probability": (0,), "label": (0,), "probabilities": (0, len(labels))}
    assert {name: value.shape for name, value in texts.items()} == {
        name: shape for name, shape in shapes.items() if name in texts
    }
    assert ("probabilities" in texts) == (len(labels) > 2)


@pytest.mark.slow
def test_an_exported_write_refuses_nonsense(language_model, tmp_path):
    exported = kerasrnn.export(language_model, tmp_path)
    assert_plain(exported)
    signatures = tf.saved_model.load(str(exported)).signatures
    start = signatures["read"](text=tf.constant(["ab"]))
    right = {"length": 4, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": -5}
    right["position"] = 8

    def write(**given):
        numbers = {name: tf.constant(v) for name, v in {**right, **given}.items()}
        return signatures["write"](**numbers, **start)["text"]

    assert len(write().numpy()[0]) == 4
    nan, infinite = float("nan"), float("inf")
    for name, values in {
        "length": [-1],
        "temperature": [-0.5, nan, infinite, 2e6],
        "top_k": [-1],
        "top_p": [nan, 0.0, -1.0, 1.5, infinite],
        "position": [-8, 4, 9],
    }.items():
        for value in values:
            with pytest.raises(tf.errors.InvalidArgumentError, match=f"{name} must"):
                write(**{name: value})
    for value in (-1.0, nan, infinite):
        with pytest.raises(tf.errors.InvalidArgumentError, match="temperature must lie"):
            signatures["serving_default"](
                text=tf.constant(["a"]),
                length=tf.constant(3),
                temperature=tf.constant(value),
                seed=tf.constant(0),
            )


def test_nothing_is_measured_of_nonsense():
    model = keras.Sequential([kerasrnn.VanillaRNN(3), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.ones([2, 5, 3], "float32"), np.ones([2, 1], "float32")
    kerasrnn.state_jacobian(model, x, np.int64(2), step=np.int64(3), layer=np.int64(0))
    for wrong in (None, "a", 3, keras.layers.Dense(1)):
        with pytest.raises(ValueError, match="model must be a keras.Model"):
            kerasrnn.gradient_flow(wrong, x, y)
    for wrong in (None, "a", 3):
        with pytest.raises(ValueError, match="model must be a Keras model"):
            kerasrnn.state_jacobian(wrong, x, 1)
    for wrong in (None, "a", [["a", "b"]], object()):
        for call in (
            lambda wrong=wrong: kerasrnn.gradient_flow(model, wrong, y),
            lambda wrong=wrong: kerasrnn.gradient_flow(model, x, wrong),
            lambda wrong=wrong: kerasrnn.state_jacobian(model, wrong, 1),
        ):
            with pytest.raises(ValueError, match="A batch is an array|sequences|cannot take"):
                call()
    for name, values in {
        "lag": [None, "a", True, 2.5, 0, -1, 5],
        "step": [None, "a", True, 2.5, 0, 7],
        "layer": [None, "a", True, 2.5, 3, []],
    }.items():
        for value in values:
            with pytest.raises(ValueError, match=f"{name} must .* got {name}="):
                kerasrnn.state_jacobian(model, x, **{"lag": 1, name: value})
