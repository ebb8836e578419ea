"""Receipts: the same weights are exported once."""

import shutil

import keras
import pytest

import kerasrnn
from kerasrnn.serving.versions import list_versions


def test_with_a_receipt_the_same_weights_are_published_once(small_model, tmp_path):
    models, receipt = tmp_path / "models", tmp_path / "receipt.json"
    first = kerasrnn.export(small_model, models, receipt=receipt)
    assert kerasrnn.export(small_model, models, receipt=receipt) == first
    assert list_versions(models) == [1]
    assert kerasrnn.export(small_model, models).name == "2"  # without one each is a version
    other = keras.models.clone_model(small_model)  # has weights of its own
    assert kerasrnn.export(other, models, receipt=receipt).name == "3"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "7", "null", '{"weights": 1}', b"\xff", "[" * 100_000]
)
def test_a_damaged_receipt_is_none(small_model, tmp_path, content):
    receipt = tmp_path / "receipt.json"
    receipt.write_bytes(content if isinstance(content, bytes) else content.encode())
    exported = kerasrnn.export(small_model, tmp_path / "models", receipt=receipt)
    assert kerasrnn.export(small_model, tmp_path / "models", receipt=receipt) == exported


def test_a_receipt_of_a_version_that_is_gone_or_changed_is_none(small_model, tmp_path):
    receipt = tmp_path / "receipt.json"
    first = kerasrnn.export(small_model, tmp_path / "models", receipt=receipt)
    (first / "assets.extra" / "SHA256SUMS").write_text("changed")
    second = kerasrnn.export(small_model, tmp_path / "models", receipt=receipt)
    assert second.name == "2"
    shutil.rmtree(second)
    assert kerasrnn.export(small_model, tmp_path / "models", receipt=receipt).name == "2"


def test_a_version_that_a_receipt_names_is_kept(small_model, tmp_path):
    models, receipt = tmp_path / "models", tmp_path / "receipt.json"
    first = kerasrnn.export(small_model, models, receipt=receipt)
    kerasrnn.export(small_model, models)
    assert kerasrnn.export(small_model, models, receipt=receipt, keep=1) == first
    assert list_versions(models) == [1, 2]
