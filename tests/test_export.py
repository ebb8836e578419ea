"""SavedModels: signatures, plain ops, versions, nothing half-written."""

import json

import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.export import list_versions
from kerasrnn.text import pad
from tests.plain_ops import assert_plain

WORDS = ["[PAD]", "[UNK]", "good", "bad", "film", "été"]
TEXTS = ["A GOOD film!<br />", "bad", "", "été 素晴らしい 😀", "good " * 50]


@pytest.fixture(scope="module")
def model():
    tf.keras.utils.set_random_seed(0)
    model = kerasrnn.TextClassifier(WORDS, max_length=8, embedding_dim=4, units=3, dropout=0.3)
    model(np.array([[2, 0]]))
    return model


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "sentiment"
    return kerasrnn.export(model, folder, config={"units": 3}, model_card="# Card\n")


def test_text_signature_gives_the_numbers_of_the_model(model, exported):
    signature = tf.saved_model.load(str(exported)).signatures["serving_default"]
    outputs = signature(text=tf.constant(TEXTS))
    ids = pad(model.vocabulary.encode(tf.constant(TEXTS), model.max_length))
    expected = model(ids)[:, 0]
    np.testing.assert_allclose(outputs["probability"], expected, atol=1e-6)
    assert outputs["probability"].shape == (len(TEXTS),)
    labels = ["positive" if p >= 0.5 else "negative" for p in expected]
    assert [label.decode() for label in outputs["label"].numpy()] == labels


def test_ids_signature_gives_the_numbers_of_the_model(model, exported):
    signature = tf.saved_model.load(str(exported)).signatures["ids"]
    ids = np.array([[2, 4, 0], [3, 0, 0]], "int32")
    outputs = signature(ids=tf.constant(ids))
    assert set(outputs) == {"probability"}
    np.testing.assert_allclose(outputs["probability"], model(ids)[:, 0], atol=1e-6)
    assert np.isfinite(signature(ids=tf.zeros([1, 0], tf.int32))["probability"]).all()


def test_signatures_have_the_documented_names_types_and_shapes(exported):
    signatures = tf.saved_model.load(str(exported)).signatures
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


def test_an_answer_does_not_depend_on_the_rest_of_the_batch(exported):
    signature = tf.saved_model.load(str(exported)).signatures["serving_default"]
    together = signature(text=tf.constant(TEXTS))["probability"]
    alone = [signature(text=tf.constant([text]))["probability"][0] for text in TEXTS]
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_the_graph_holds_plain_ops_only(exported):
    assert_plain(exported)


def test_a_plain_keras_export_holds_plain_ops_too(tmp_path):
    inputs = tf.keras.Input((None, 3))
    model = tf.keras.Model(inputs, kerasrnn.VanillaRNN(4, return_sequences=True)(inputs))
    model.export(tmp_path / "exported", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    library = loaded.signatures["serving_default"].graph.as_graph_def().library
    assert not any(f.attr["_XlaMustCompile"].b for f in library.function)
    x = np.ones((2, 5, 3), "float32")
    np.testing.assert_allclose(loaded.serve(x), model(x), atol=1e-6)


def test_vocabulary_config_and_model_card_travel_along(exported):
    assert (exported / "assets" / "vocabulary.txt").read_text("utf-8").split("\n")[:-1] == WORDS
    assert json.loads((exported / "assets.extra" / "config.json").read_text()) == {"units": 3}
    assert (exported / "assets.extra" / "model_card.md").read_text() == "# Card\n"


def test_nothing_but_the_weights_of_the_model_is_saved(tmp_path):
    trained = kerasrnn.TextClassifier(WORDS, max_length=8, embedding_dim=4, units=3)
    trained.compile("adam", "binary_crossentropy")
    trained.fit(np.array([[2, 4], [3, 0]]), np.array([1, 0]), verbose=0)
    folder = kerasrnn.export(trained, tmp_path)
    shapes = dict(tf.train.list_variables(str(folder / "variables" / "variables")))
    saved = sorted(shape for name, shape in shapes.items() if name.startswith("weights/"))
    assert saved == sorted(list(variable.shape) for variable in trained.weights)
    assert not any("optimizer" in name for name in shapes)


def test_versions_count_up_in_integer_order(model, tmp_path):
    for name in ("1", "9", "10", "not-a-version"):
        (tmp_path / name).mkdir()
    assert list_versions(tmp_path) == [1, 9, 10]
    assert kerasrnn.export(model, tmp_path).name == "11"
    assert list_versions(tmp_path / "missing") == []
    (tmp_path / "12").write_text("a file in the way")
    assert kerasrnn.export(model, tmp_path).name == "13"


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_nothing_is_left_of_an_export_that_failed(model, tmp_path, monkeypatch, error):
    def fail(module, path, signatures):
        (tmp_path / "probe").touch()
        raise error

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(type(error)):
        kerasrnn.export(model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["probe"]


def test_an_error_of_tensorflows_file_system_is_an_os_error(model, tmp_path, monkeypatch):
    def fail(*_):
        raise tf.errors.ResourceExhaustedError(
            None, None, "{{function_node SaveV2}} a.data; No space left on device [Op:SaveV2]"
        )

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(OSError, match=r": a.data; No space left on device$"):
        kerasrnn.export(model, tmp_path)
    assert not any(tmp_path.iterdir())


def test_an_unbuilt_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match="built"):
        kerasrnn.export(kerasrnn.TextClassifier(WORDS), tmp_path)
