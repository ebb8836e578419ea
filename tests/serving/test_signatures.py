"""What the signatures of every kind of model take, and that they answer as the model does."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.text.batches import pad
from tests.plain_ops import assert_plain

TEXTS = ["A GOOD film!<br />", "bad", "", "été 素晴らしい 😀", "good " * 50]


def test_text_signature_gives_the_numbers_of_the_model(classifier, loaded_classifier):
    signature = loaded_classifier.signatures["serving_default"]
    outputs = signature(text=tf.constant(TEXTS))
    ids = pad(classifier.vocabulary.encode(tf.constant(TEXTS), classifier.max_length))
    expected = classifier(ids)[:, 0]
    np.testing.assert_allclose(outputs["probability"], expected, atol=1e-6)
    assert outputs["probability"].shape == (len(TEXTS),)
    labels = ["positive" if p >= 0.5 else "negative" for p in expected]
    assert [label.decode() for label in outputs["label"].numpy()] == labels


def test_no_texts_get_no_answers(tmp_path):
    model = kerasrnn.TextClassifier(
        ["[PAD]", "[UNK]", "a"], embedding_dim=4, filters=2, units=3
    )
    model(np.array([[2]]))
    loaded = tf.saved_model.load(str(kerasrnn.export(model, tmp_path)))
    outputs = loaded.signatures["serving_default"](text=tf.constant([], tf.string))
    assert outputs["label"].shape == outputs["probability"].shape == (0,)


def test_ids_signature_gives_the_numbers_of_the_model(classifier, loaded_classifier):
    signature = loaded_classifier.signatures["ids"]
    ids = np.array([[2, 4, 0], [3, 0, 0]], "int32")
    outputs = signature(ids=tf.constant(ids))
    assert set(outputs) == {"probability"}
    np.testing.assert_allclose(outputs["probability"], classifier(ids)[:, 0], atol=1e-6)
    assert np.isfinite(signature(ids=tf.zeros([1, 0], tf.int32))["probability"]).all()


def test_signatures_of_a_classifier_have_the_documented_names_types_and_shapes(
    loaded_classifier,
):
    signatures = loaded_classifier.signatures
    assert set(signatures) == {"serving_default", "ids"}
    text = signatures["serving_default"]
    assert text.structured_input_signature[1]["text"] == tf.TensorSpec(
        [None], tf.string, "text"
    )
    assert text.structured_outputs["probability"].dtype == tf.float32
    assert text.structured_outputs["label"].dtype == tf.string
    for output in text.structured_outputs.values():
        assert output.shape.as_list() == [None]
    ids = signatures["ids"].structured_input_signature[1]["ids"]
    assert (ids.dtype, ids.shape.as_list()) == (tf.int32, [None, None])


def test_more_than_two_labels_have_a_probability_each(
    classifier_of_three, loaded_classifier_of_three
):
    ids = pad(classifier_of_three.vocabulary.encode(tf.constant(TEXTS), 8))
    expected = classifier_of_three(ids).numpy()
    signatures = loaded_classifier_of_three.signatures
    of_texts = signatures["serving_default"](text=tf.constant(TEXTS))
    for outputs in (of_texts, signatures["ids"](ids=ids)):
        np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-6)
        np.testing.assert_allclose(outputs["probability"], expected.max(1), atol=1e-6)
    labels = [classifier_of_three.labels[n] for n in expected.argmax(1)]
    assert [label.decode() for label in of_texts["label"].numpy()] == labels
    assert len(set(labels)) > 1
    assert signatures["ids"].structured_outputs["probabilities"].shape.as_list() == [None, 3]


def test_an_answer_does_not_depend_on_the_rest_of_the_batch(loaded_classifier):
    signature = loaded_classifier.signatures["serving_default"]
    together = signature(text=tf.constant(TEXTS))["probability"]
    alone = [signature(text=tf.constant([text]))["probability"][0] for text in TEXTS]
    np.testing.assert_allclose(together, alone, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("many", [False, True])
def test_an_exported_language_model_writes_the_same_text(
    language_model, loaded_language_model, many
):
    signature = loaded_language_model.signatures["serving_default"]
    prompts = ["Être", "", "問題", "unknown: Z"] * (4 if many else 1)
    for temperature, seed, length in ((0.0, 0, 10), (0.8, 1, 70), (1.5, -5, 40)):
        written = signature(
            text=tf.constant(prompts),
            length=tf.constant(length),
            temperature=tf.constant(temperature),
            seed=tf.constant(seed),
        )["text"]
        expected = language_model.generate(prompts, length, temperature, seed=seed)
        assert [text.decode("utf-8") for text in written.numpy()] == expected


@pytest.mark.parametrize(
    ("prompts", "top_k", "top_p"), [(["Être"], 5, 0.9), (["Être", "", "問題"] * 6, 0, 1.0)]
)
def test_an_exported_language_model_goes_on_piece_by_piece(
    language_model, loaded_language_model, prompts, top_k, top_p
):
    signatures = loaded_language_model.signatures
    state, texts = signatures["read"](text=tf.constant(prompts)), [""] * len(prompts)
    for position in (0, 16, 32):
        state = signatures["write"](
            length=tf.constant(16),
            temperature=tf.constant(1.0),
            top_k=tf.constant(top_k),
            top_p=tf.constant(top_p),
            seed=tf.constant(3),
            position=tf.constant(position),
            **state,
        )
        pieces = state.pop("text").numpy()
        texts = [
            text + piece.decode("utf-8") for text, piece in zip(texts, pieces, strict=True)
        ]
    assert texts == language_model.generate(
        prompts, 48, top_k=top_k or None, top_p=top_p, seed=3
    )


def test_an_exported_step_is_that_of_the_model(language_model, loaded_language_model):
    step = loaded_language_model.signatures["step"]
    ids = tf.constant([1, 5])
    states = language_model.initial_states(2)
    flat = {f"state_{n}": state for n, state in enumerate(tf.nest.flatten(states))}
    outputs = step(ids=ids, **flat)
    logits, states = language_model.step(ids, states)
    np.testing.assert_allclose(outputs["logits"], logits, atol=1e-6)
    assert outputs["logits"].shape == (2, len(language_model.vocabulary))
    for n, state in enumerate(tf.nest.flatten(states)):
        np.testing.assert_allclose(outputs[f"state_{n}"], state, atol=1e-6)


def test_an_exported_language_model_scores_as_the_model(language_model, loaded_language_model):
    signatures = loaded_language_model.signatures
    state = signatures["read"](text=tf.constant(["Ê", "n"]))
    outputs = signatures["score"](text=tf.constant(["tre oü", "e pas"]), **state)
    for row, text in enumerate(["Être oü", "ne pas"]):
        score = language_model.score(text)
        nats = score.nats_per_character * score.num_characters
        assert float(outputs["nats"][row]) == pytest.approx(nats, rel=1e-5)
        assert int(outputs["num_characters"][row]) == score.num_characters
        assert int(outputs["num_unknown"][row]) == score.num_unknown


def test_signatures_of_a_language_model_have_the_documented_names_types_and_shapes(
    loaded_language_model,
):
    signatures = loaded_language_model.signatures
    assert set(signatures) == {"serving_default", "step", "read", "write", "score"}

    def described(specs):
        return {name: (spec.dtype, spec.shape.as_list()) for name, spec in specs.items()}

    text = (tf.string, [None])
    states = {f"state_{n}": (tf.float32, [None, 6]) for n in range(2)}
    default, step = signatures["serving_default"], signatures["step"]
    assert described(default.structured_input_signature[1]) == {
        "text": text,
        "length": (tf.int32, []),
        "temperature": (tf.float32, []),
        "seed": (tf.int32, []),
    }
    assert described(default.structured_outputs) == {"text": text}
    ids = {"ids": (tf.int32, [None])}
    assert described(step.structured_input_signature[1]) == {**ids, **states}
    num_ids = step.structured_outputs["logits"].shape[1]
    assert described(step.structured_outputs) == {
        "logits": (tf.float32, [None, num_ids]),
        **states,
    }
    assert described(signatures["read"].structured_outputs) == {**ids, **states}


def test_an_exported_language_model_refuses_numbers_out_of_range(loaded_language_model):
    signature = loaded_language_model.signatures["serving_default"]
    numbers = {
        "length": tf.constant(5),
        "temperature": tf.constant(1.0),
        "seed": tf.constant(0),
    }
    for wrong, message in (
        ({"temperature": tf.constant(-1.0)}, r"temperature must lie in \[0, 1e\+06\]"),
        ({"temperature": tf.constant(float("inf"))}, "temperature must lie in"),
        ({"length": tf.constant(-1)}, "length must be 0 or more"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            signature(text=tf.constant(["a"]), **{**numbers, **wrong})


def test_the_default_graph_has_no_samplers(loaded_language_model):
    """Sorting all scores at each step would slow down every request."""
    graph = loaded_language_model.signatures["serving_default"].graph.as_graph_def()
    ops = {node.op for function in graph.library.function for node in function.node_def}
    assert "TopKV2" not in ops
    assert "ArgMax" in ops


def test_any_sequence_model_is_exported_with_its_states(tmp_path, rng):
    model = kerasrnn.SequenceModel(
        [
            keras.layers.LSTM(4, return_sequences=True),
            kerasrnn.VanillaRNN(
                3,
                return_sequences=True,
                recurrent_dropout=0.2,
                zoneout=0.1,
                leak_rate=0.5,
                learn_leak_rate=True,
            ),
            keras.layers.Dense(2),
        ]
    )
    x = rng.normal(size=[2, 6, 5]).astype("float32")
    expected = model(x)
    exported = kerasrnn.export(model, tmp_path)
    assert_plain(exported)
    signatures = tf.saved_model.load(str(exported)).signatures
    outputs = signatures["serving_default"](inputs=tf.constant(x))["outputs"]
    np.testing.assert_allclose(outputs, expected, atol=1e-6)
    states = {f"state_{n}": tf.zeros([2, size]) for n, size in enumerate((4, 4, 3))}
    for start, end in ((0, 2), (2, 6)):
        states = signatures["window"](inputs=tf.constant(x[:, start:end]), **states)
        found = states.pop("outputs")
        np.testing.assert_allclose(found, expected[:, start:end], atol=1e-6)
    assert found.shape == (2, 4, 2)


def test_any_functional_or_sequential_model_is_exported_with_its_names(tmp_path, rng):
    inputs = {name: keras.Input([None, 3], name=name) for name in ("left", "right")}
    read = keras.layers.LSTM(4, recurrent_dropout=0.1)
    scores = keras.layers.Dense(2, name="scores")(read(inputs["left"]) - read(inputs["right"]))
    x = {name: rng.normal(size=[2, 5, 3]).astype("float32") for name in inputs}
    model = keras.Model(inputs, scores)
    signature = tf.saved_model.load(str(kerasrnn.export(model, tmp_path / "functional")))
    outputs = signature.signatures["serving_default"](**tf.nest.map_structure(tf.constant, x))
    np.testing.assert_allclose(outputs["scores"], model(x), atol=1e-6)

    model = keras.Sequential(
        [keras.Input([None, 3], name="x"), kerasrnn.VanillaRNN(4, dropout=0.1)]
    )
    exported = kerasrnn.export(model, tmp_path / "sequential")
    assert_plain(exported)
    (outputs,) = (
        tf.saved_model.load(str(exported))
        .signatures["serving_default"](x=tf.constant(x["left"]))
        .values()
    )
    np.testing.assert_allclose(outputs, model(x["left"]), atol=1e-6)


@pytest.mark.parametrize(
    ("outputs", "names"),
    [
        (
            lambda x: keras.layers.LSTM(2, return_state=True, name="lstm")(x),
            "lstm_0 lstm_1 lstm_2",
        ),
        (lambda x: {"b": x[..., :1], "a": x[..., 1:]}, "a b"),
        (
            lambda x: [keras.layers.Dense(1, name="p")(x), keras.layers.Dense(1, name="q")(x)],
            "p q",
        ),
    ],
    ids=["states", "dictionary", "list"],
)
def test_every_output_of_a_model_is_exported(tmp_path, outputs, names):
    x = keras.Input([None, 3])
    exported = kerasrnn.export(keras.Model(x, outputs(x)), tmp_path)
    signature = tf.saved_model.load(str(exported)).signatures["serving_default"]
    assert sorted(signature.structured_outputs) == names.split()


def test_the_batch_of_a_model_built_by_a_call_is_free(tmp_path):
    model = keras.Sequential([kerasrnn.VanillaRNN(2)])
    model(np.zeros([2, 5, 3], "float32"))
    loaded = tf.saved_model.load(str(kerasrnn.export(model, tmp_path)))
    signature = loaded.signatures["serving_default"]
    (spec,) = signature.structured_input_signature[1].values()
    assert spec.shape.as_list() == [None, 5, 3]


def test_models_that_read_backwards_have_no_windows(tmp_path):
    read = keras.layers.Bidirectional(kerasrnn.VanillaRNN(2, return_sequences=True))
    model = kerasrnn.SequenceModel([read])
    model(np.zeros([1, 4, 3], "float32"))
    loaded = tf.saved_model.load(str(kerasrnn.export(model, tmp_path)))
    assert set(loaded.signatures) == {"serving_default"}


def test_a_model_whose_inputs_are_not_known_is_refused(tmp_path):
    class Own(keras.Model):
        def call(self, x):
            return x

    model = Own()
    model(np.zeros([1, 2]))
    with pytest.raises(ValueError, match="are not known. Use a functional"):
        kerasrnn.export(model, tmp_path)
    assert not any(tmp_path.iterdir())


def test_graphs_hold_plain_ops_only(
    exported_classifier, exported_classifier_of_three, exported_language_model
):
    assert_plain(exported_classifier)
    assert_plain(exported_classifier_of_three)
    assert_plain(exported_language_model)
