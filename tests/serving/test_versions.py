"""Numbered versions in one folder."""

import pytest

import kerasrnn
from kerasrnn.serving.versions import list_versions


def test_versions_count_up_in_integer_order(small_model, tmp_path):
    for name in ("1", "9", "10", "not-a-version"):
        (tmp_path / name).mkdir()
    assert list_versions(tmp_path) == [1, 9, 10]
    assert kerasrnn.export(small_model, tmp_path).name == "11"
    assert list_versions(tmp_path / "missing") == []
    (tmp_path / "12").write_text("a file in the way")
    assert kerasrnn.export(small_model, tmp_path).name == "13"


def test_the_newest_versions_are_kept(small_model, tmp_path):
    for name in ("1", "002", "9", "10", "notes"):
        (tmp_path / name).mkdir()
    assert kerasrnn.export(small_model, tmp_path, keep=2).name == "11"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["10", "11", "notes"]
    with pytest.raises(ValueError, match="keep must be a positive integer, got keep=0"):
        kerasrnn.export(small_model, tmp_path, keep=0)
    assert list_versions(tmp_path) == [10, 11]
