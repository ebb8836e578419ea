"""Exported models as ONNX and LiteRT; tests/clients asks the files that come out."""

import importlib

import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.serving import conversion
from kerasrnn.serving.conversion import convert

WORDS = ["[PAD]", "[UNK]", "good", "bad"]


def export(folder, **options):
    model = kerasrnn.TextClassifier(WORDS, max_length=8, embedding_dim=4, units=3, **options)
    model(np.array([[2, 0]]))
    return kerasrnn.export(model, folder)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return export(tmp_path_factory.mktemp("models"))


def test_an_unknown_format_is_refused(exported, tmp_path):
    with pytest.raises(ValueError, match="format must be one of onnx, litert, got format='pt'"):
        convert(exported, tmp_path / "x", "pt")


def test_a_model_without_such_a_signature_is_refused(tmp_path):
    model = tf.Module()
    model.f = tf.function(lambda x: {"y": x}, [tf.TensorSpec([None], tf.float32, "x")])
    tf.saved_model.save(model, str(tmp_path / "1"), {"serving_default": model.f})
    with pytest.raises(ValueError, match="it has serving_default, and one of ids, step"):
        convert(tmp_path / "1", tmp_path / "x.onnx")


@pytest.mark.parametrize("format", ["onnx", "litert"])
def test_what_is_not_installed_is_said(exported, tmp_path, monkeypatch, format):
    def lacks(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", lacks)
    with pytest.raises(ImportError, match=rf"python -m pip install 'kerasrnn\[{format}\]'"):
        convert(exported, tmp_path / "x", format)
    assert not any(tmp_path.iterdir())


def test_a_model_that_answers_otherwise_is_not_written(exported, tmp_path, monkeypatch):
    def to_wrong(signature, name):
        return b"", lambda inputs: {"probability": np.zeros(len(inputs["ids"]), "float32")}

    monkeypatch.setitem(conversion.FORMATS, "onnx", to_wrong)
    with pytest.raises(ValueError, match="answers probability otherwise than the SavedModel"):
        convert(exported, tmp_path / "x.onnx")
    assert not any(tmp_path.iterdir())


def test_what_a_converter_cannot_do_is_said(exported, tmp_path, monkeypatch):
    def fail(signature, name):
        raise RuntimeError("no such op: Frobnicate\nat line 3")

    monkeypatch.setitem(conversion.FORMATS, "onnx", fail)
    with pytest.raises(
        ValueError, match="onnx cannot hold this model: no such op: Frobnicate$"
    ):
        convert(exported, tmp_path / "x.onnx")
    assert not any(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_leaves_nothing(exported, tmp_path, monkeypatch):
    monkeypatch.setitem(conversion.FORMATS, "onnx", lambda *_: (b"", lambda _: {}))
    monkeypatch.setattr(conversion, "_compare", lambda *_: None)
    (tmp_path / "x.onnx").mkdir()
    with pytest.raises(OSError, match="directory"):
        convert(exported, tmp_path / "x.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["x.onnx"]


@pytest.mark.slow
def test_loops_that_litert_cannot_hold_are_refused(tmp_path):
    pytest.importorskip("ai_edge_litert")
    exported = export(tmp_path, cell="gru", bidirectional=False)
    with pytest.raises(ValueError, match="Use the format onnx, or vanilla cells"):
        convert(exported, tmp_path / "x.tflite", "litert")
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    written, signature = convert(exported, tmp_path / "x.onnx")
    assert written.stat().st_size > 0
    assert signature == "ids"
