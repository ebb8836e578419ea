"""Export: what stands beside the graph, and that nothing half-written is ever seen."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from tests.small_models import WORDS


def test_a_plain_keras_export_holds_plain_ops_too(tmp_path):
    inputs = tf.keras.Input((None, 3))
    model = tf.keras.Model(inputs, kerasrnn.VanillaRNN(4, return_sequences=True)(inputs))
    model.export(tmp_path / "exported", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    library = loaded.signatures["serving_default"].graph.as_graph_def().library
    assert not any(f.attr["_XlaMustCompile"].b for f in library.function)
    x = np.ones((2, 5, 3), "float32")
    np.testing.assert_allclose(loaded.serve(x), model(x), atol=1e-6)


def test_vocabulary_config_and_model_card_travel_along(exported_classifier):
    lines = (exported_classifier / "assets" / "vocabulary.txt").read_text("utf-8").split("\n")
    assert lines[:-1] == WORDS
    extra = exported_classifier / "assets.extra"
    assert json.loads((extra / "config.json").read_text()) == {"units": 3}
    assert (extra / "model_card.md").read_text() == "# Card\n"


def test_the_labels_travel_along_in_their_order(
    exported_classifier, exported_classifier_of_three
):
    files = [
        folder / "assets" / "labels.txt"
        for folder in (exported_classifier, exported_classifier_of_three)
    ]
    texts = [file.read_text("utf-8") for file in files]
    assert texts == ["negative\npositive\n", "1\n2\ndrei\n"]


@pytest.mark.slow
def test_the_vocabulary_of_characters_can_be_loaded(language_model, exported_language_model):
    file = exported_language_model / "assets" / "vocabulary.txt"
    assert kerasrnn.CharacterVocabulary.load(file) == language_model.vocabulary


def test_a_stateful_model_is_refused(tmp_path):
    x = keras.Input([4, 3], batch_size=2)
    model = keras.Model(x, kerasrnn.VanillaRNN(2, stateful=True)(x))
    with pytest.raises(ValueError, match="Use stateful=False"):
        kerasrnn.export(model, tmp_path)
    assert not any(tmp_path.iterdir())


def test_nothing_but_the_weights_of_the_model_is_saved(tmp_path):
    trained = kerasrnn.TextClassifier(
        WORDS, max_length=8, embedding_dim=4, units=3, bidirectional=False, pooling="last"
    )
    trained.compile("adam", "binary_crossentropy")
    trained.fit(np.array([[2, 4], [3, 0]]), np.array([1, 0]), verbose=0)
    folder = kerasrnn.export(trained, tmp_path)
    shapes = dict(tf.train.list_variables(str(folder / "variables" / "variables")))
    saved = sorted(shape for name, shape in shapes.items() if name.startswith("weights/"))
    assert saved == sorted(list(variable.shape) for variable in trained.weights)
    assert not any("optimizer" in name for name in shapes)


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_nothing_is_left_of_an_export_that_failed(small_model, tmp_path, monkeypatch, error):
    def fail(module, path, signatures):
        (tmp_path / "probe").touch()
        raise error

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(type(error)):
        kerasrnn.export(small_model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["probe"]


def test_what_a_killed_export_left_is_removed(small_model, tmp_path):
    (tmp_path / ".writing-abc" / "model").mkdir(parents=True)
    kerasrnn.export(small_model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_an_error_of_tensorflows_file_system_is_an_os_error(small_model, tmp_path, monkeypatch):
    def fail(*_):
        raise tf.errors.ResourceExhaustedError(
            None, None, "{{function_node SaveV2}} a.data; No space left on device [Op:SaveV2]"
        )

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(OSError, match=r": a.data; No space left on device$"):
        kerasrnn.export(small_model, tmp_path)
    assert not any(tmp_path.iterdir())


def test_an_unbuilt_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match="built"):
        kerasrnn.export(kerasrnn.TextClassifier(WORDS), tmp_path)
