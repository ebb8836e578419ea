"""SavedModels: signatures, plain ops, versions, nothing half-written."""

import json
import shutil
import subprocess

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

import kerasrnn
from kerasrnn.serving.saved_model import list_versions
from kerasrnn.text.batches import pad
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


def test_the_checksums_are_those_of_all_files(exported):
    command = ["sha256sum", "--check", "--quiet", "assets.extra/SHA256SUMS"]
    if shutil.which(command[0]) is None:
        pytest.skip("sha256sum is not installed")
    assert subprocess.run(command, cwd=exported, check=False).returncode == 0
    listed = (exported / "assets.extra" / "SHA256SUMS").read_text().splitlines()
    names = {line.split("  ")[1] for line in listed}
    assert {"saved_model.pb", "assets/vocabulary.txt", "variables/variables.index"} <= names
    files = {p.relative_to(exported).as_posix() for p in exported.rglob("*") if p.is_file()}
    assert names == files - {"assets.extra/SHA256SUMS"}


def test_serving_warms_up_with_a_request_for_each_signature(exported):
    loaded = tf.saved_model.load(str(exported))
    file = exported / "assets.extra" / "tf_serving_warmup_requests"
    asked = set()
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        request = log.predict_log.request
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        signature = loaded.signatures[request.model_spec.signature_name]
        outputs = signature(**{name: tf.constant(value) for name, value in inputs.items()})
        assert all(len(value) == 1 for value in outputs.values())
        asked.add(request.model_spec.signature_name)
    assert asked == set(loaded.signatures)


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


def test_a_stateful_model_is_refused(tmp_path):
    x = keras.Input([4, 3], batch_size=2)
    model = keras.Model(x, kerasrnn.VanillaRNN(2, stateful=True)(x))
    with pytest.raises(ValueError, match="Use stateful=False"):
        kerasrnn.export(model, tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_model_that_does_not_say_what_it_takes_is_refused(tmp_path):
    class Own(keras.Model):
        def call(self, x):
            return x

    model = Own()
    model(np.zeros([1, 2]))
    with pytest.raises(ValueError, match="does not say what it takes. Make it a functional"):
        kerasrnn.export(model, tmp_path)
    assert not any(tmp_path.iterdir())


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


def test_the_newest_versions_are_kept(model, tmp_path):
    for name in ("1", "002", "9", "10", "notes"):
        (tmp_path / name).mkdir()
    assert kerasrnn.export(model, tmp_path, keep=2).name == "11"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["10", "11", "notes"]
    with pytest.raises(ValueError, match="keep must be a positive integer, got keep=0"):
        kerasrnn.export(model, tmp_path, keep=0)
    assert list_versions(tmp_path) == [10, 11]


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_nothing_is_left_of_an_export_that_failed(model, tmp_path, monkeypatch, error):
    def fail(module, path, signatures):
        (tmp_path / "probe").touch()
        raise error

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(type(error)):
        kerasrnn.export(model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["probe"]


def test_with_a_receipt_the_same_weights_are_published_once(model, tmp_path):
    models, receipt = tmp_path / "models", tmp_path / "receipt.json"
    first = kerasrnn.export(model, models, receipt=receipt)
    assert kerasrnn.export(model, models, receipt=receipt) == first
    assert list_versions(models) == [1]
    assert kerasrnn.export(model, models).name == "2"  # without one each is a version
    other = kerasrnn.TextClassifier(WORDS, max_length=8, embedding_dim=4, units=3)
    other(np.array([[2, 0]]))
    assert kerasrnn.export(other, models, receipt=receipt).name == "3"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "7", "null", '{"weights": 1}', b"\xff", "[" * 100_000]
)
def test_a_damaged_receipt_is_none(model, tmp_path, content):
    receipt = tmp_path / "receipt.json"
    receipt.write_bytes(content if isinstance(content, bytes) else content.encode())
    exported = kerasrnn.export(model, tmp_path / "models", receipt=receipt)
    assert kerasrnn.export(model, tmp_path / "models", receipt=receipt) == exported


def test_a_receipt_of_a_version_that_is_gone_or_changed_is_none(model, tmp_path):
    receipt = tmp_path / "receipt.json"
    first = kerasrnn.export(model, tmp_path / "models", receipt=receipt)
    (first / "assets.extra" / "SHA256SUMS").write_text("changed")
    second = kerasrnn.export(model, tmp_path / "models", receipt=receipt)
    assert second.name == "2"
    shutil.rmtree(second)
    assert kerasrnn.export(model, tmp_path / "models", receipt=receipt).name == "2"


def test_what_a_killed_export_left_is_removed(model, tmp_path):
    (tmp_path / ".writing-abc" / "model").mkdir(parents=True)
    kerasrnn.export(model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


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


def test_a_version_that_a_receipt_names_is_kept(model, tmp_path):
    models, receipt = tmp_path / "models", tmp_path / "receipt.json"
    first = kerasrnn.export(model, models, receipt=receipt)
    kerasrnn.export(model, models)
    assert kerasrnn.export(model, models, receipt=receipt, keep=1) == first
    assert list_versions(models) == [1, 2]
