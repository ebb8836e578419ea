"""Exported models as ONNX and LiteRT; tests/clients asks the files that come out."""

import importlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.serving import conversion
from kerasrnn.serving.conversion import convert


def make_functional():
    """Two inputs; an output that has the name of one of them."""
    left, right = (keras.Input([None, 3], name=name) for name in ("left", "right"))
    read = kerasrnn.VanillaRNN(4)
    difference = keras.layers.Subtract()([read(left), read(right)])
    return keras.Model([left, right], {"left": difference, "new_left": difference * 2})


def make_sequential():
    """Time is fixed."""
    return keras.Sequential(
        [keras.Input([5, 3], name="x"), keras.layers.GRU(4), keras.layers.Dense(2, name="y")]
    )


def make_sequence_model():
    model = kerasrnn.SequenceModel(
        [keras.layers.Embedding(9, 4), kerasrnn.VanillaRNN(3, return_sequences=True)]
    )
    model(np.array([[1, 2]]))
    return model


def make_of_two_names():
    """Signatures of numbers that have names of one's own, and one of texts."""
    model = tf.Module()
    numbers = tf.function(lambda x: {"y": x + 1}, [tf.TensorSpec([None], tf.float32, "x")])
    texts = tf.function(lambda x: {"y": x}, [tf.TensorSpec([None], tf.string, "x")])
    model.numbers, model.texts = numbers, texts
    return model, {"serving_default": texts, "own": numbers}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The folders of models of one's own."""
    folder = tmp_path_factory.mktemp("models")
    makers = (make_functional, make_sequential, make_sequence_model)
    folders = {
        make.__name__: kerasrnn.export(make(), folder / make.__name__) for make in makers
    }
    model, signatures = make_of_two_names()
    tf.saved_model.save(model, str(folder / "own"), signatures)
    return {**folders, "make_of_two_names": folder / "own"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "signature", "inputs", "outputs"),
    [
        (
            "make_functional",
            "serving_default",
            {"left": ["N", "T", 3], "right": ["N", "T", 3]},
            {"new_new_left": 4, "new_left": 4},
        ),
        ("make_sequential", "serving_default", {"x": ["N", 5, 3]}, {"y": 2}),
        ("make_sequence_model", "serving_default", {"inputs": ["N", "T"]}, {"outputs": 3}),
        (
            "make_sequence_model",
            "window",
            {"inputs": ["N", "T"], "state_0": ["N", 3]},
            {"outputs": 3, "new_state_0": 3},
        ),
        ("make_of_two_names", "own", {"x": ["N"]}, {"y": "N"}),
    ],
)
def test_every_signature_of_numbers_is_converted_to_onnx(
    exported, tmp_path, model, signature, inputs, outputs
):
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    import onnx

    asked = signature if signature == "window" else None
    file, name = convert(exported[model], tmp_path / "x.onnx", signature=asked)
    assert (file, name) == (tmp_path / "x.onnx", signature)
    graph = onnx.load(file).graph
    assert {value.name: sizes(value) for value in graph.input} == {
        name: [size if isinstance(size, int) else None for size in shape]
        for name, shape in inputs.items()
    }
    found = {value.name: sizes(value)[-1] for value in graph.output}
    assert found == {name: size if size != "N" else None for name, size in outputs.items()}


def sizes(value):
    """The shape of an input or output in ONNX; `None` where it is free."""
    return [dim.dim_value or None for dim in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("model", ["make_functional", "make_sequence_model"])
def test_a_model_of_ones_own_is_converted_to_litert(exported, tmp_path, model):
    interpreters = pytest.importorskip("ai_edge_litert.interpreter")
    file, name = convert(exported[model], tmp_path / "x.tflite", "litert")
    assert name == "serving_default"
    assert name in interpreters.Interpreter(str(file)).get_signature_list()


@pytest.mark.parametrize(
    "make_layer",
    [
        pytest.param(lambda: kerasrnn.LSTM(3), id="lstm"),
        pytest.param(
            lambda: keras.layers.Bidirectional(kerasrnn.GRU(3, return_sequences=True)),
            id="gru",
        ),
        pytest.param(
            lambda: kerasrnn.GRU(3, reset_after=False),
            id="reset before",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_own_layers_with_gates_are_converted_to_litert(tmp_path, make_layer):
    pytest.importorskip("ai_edge_litert.interpreter")
    embedding = keras.layers.Embedding(9, 4, mask_zero=True)
    model = keras.Sequential([keras.Input([None], name="ids"), embedding, make_layer()])
    exported = kerasrnn.export(model, tmp_path)
    file, _ = convert(exported, tmp_path / "x.tflite", "litert")  # the outputs are compared
    assert file.stat().st_size > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("format", "needed"), [("onnx", "tf2onnx"), ("litert", "ai_edge_litert.interpreter")]
)
def test_a_classifier_of_more_than_two_labels_is_converted(
    exported_classifier_of_three, tmp_path, format, needed
):
    pytest.importorskip(needed)
    file, signature = convert(exported_classifier_of_three, tmp_path / "x", format)
    assert file.stat().st_size > 0  # the outputs are compared
    assert signature == "ids"


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("serving_default", "numbers only, own, got signature='serving_default'"),
        ("else", "numbers only, own, got signature='else'"),
        (3, "got signature=3"),
    ],
)
def test_a_signature_of_texts_or_none_is_refused(exported, tmp_path, signature, message):
    with pytest.raises(ValueError, match=message):
        convert(exported["make_of_two_names"], tmp_path / "x.onnx", signature=signature)
    assert not any(tmp_path.iterdir())


def test_a_model_whose_signatures_all_hold_texts_is_refused(tmp_path):
    model, signatures = make_of_two_names()
    tf.saved_model.save(model, str(tmp_path / "1"), {"ask": signatures["serving_default"]})
    with pytest.raises(ValueError, match="all of them take or return texts: ask"):
        convert(tmp_path / "1", tmp_path / "x.onnx")


def test_names_in_onnx_differ():
    names = conversion._onnx_names({"a": 0, "new_a": 0}, {"a": 0, "b": 0, "new_new_a": 0})
    assert names == {"a": "new_new_new_a", "b": "b", "new_new_a": "new_new_a"}


def test_an_unknown_format_is_refused(exported_classifier, tmp_path):
    with pytest.raises(ValueError, match="format must be one of onnx, litert, got format='pt'"):
        convert(exported_classifier, tmp_path / "x", "pt")


@pytest.mark.parametrize("format", ["onnx", "litert"])
def test_a_missing_converter_is_named(exported_classifier, tmp_path, monkeypatch, format):
    def lacks(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", lacks)
    with pytest.raises(ImportError, match=rf"python -m pip install 'kerasrnn\[{format}\]'"):
        convert(exported_classifier, tmp_path / "x", format)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.zeros([1]), "output probability in the format onnx differs from the SavedModel's"),
        (np.zeros([7]), r"output probability has the shape \(7,\) in the format onnx"),
    ],
)
def test_a_model_with_other_outputs_is_not_written(
    exported_classifier, tmp_path, monkeypatch, answer, message
):
    wrong = (b"", lambda inputs: {"probability": answer})
    monkeypatch.setitem(conversion.FORMATS, "onnx", lambda signature, name: wrong)
    with pytest.raises(ValueError, match=message):
        convert(exported_classifier, tmp_path / "x.onnx")
    assert not any(tmp_path.iterdir())


def test_what_a_converter_cannot_do_is_said(exported_classifier, tmp_path, monkeypatch):
    def fail(signature, name):
        raise RuntimeError("no such op: Frobnicate\nat line 3")

    monkeypatch.setitem(conversion.FORMATS, "onnx", fail)
    with pytest.raises(
        ValueError, match="onnx cannot hold the signature ids: no such op: Frobnicate$"
    ):
        convert(exported_classifier, tmp_path / "x.onnx")
    assert not any(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_leaves_nothing(
    exported_classifier, tmp_path, monkeypatch
):
    monkeypatch.setitem(conversion.FORMATS, "onnx", lambda *_: (b"", lambda _: {}))
    monkeypatch.setattr(conversion, "_compare", lambda *_: None)
    (tmp_path / "x.onnx").mkdir()
    with pytest.raises(OSError, match="directory"):
        convert(exported_classifier, tmp_path / "x.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["x.onnx"]


def test_loops_that_litert_cannot_hold_are_refused(tmp_path):
    pytest.importorskip("ai_edge_litert")
    embedding = keras.layers.Embedding(9, 4, mask_zero=True)
    model = keras.Sequential([keras.Input([None], name="ids"), embedding, keras.layers.GRU(3)])
    exported = kerasrnn.export(model, tmp_path)
    with pytest.raises(ValueError, match="Use the format onnx, or kerasrnn's own"):
        convert(exported, tmp_path / "x.tflite", "litert")
    assert not (tmp_path / "x.tflite").exists()
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    written, signature = convert(exported, tmp_path / "x.onnx")
    assert written.stat().st_size > 0
    assert signature == "serving_default"
