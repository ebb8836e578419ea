"""Characters and ids, in Python and in a graph."""

import numpy as np
import pytest
import tensorflow as tf

from kerasrnn import CharacterVocabulary

TEXT = "Et tu, Brute?\n\tжёлтый 日本語 🎭 e\u0301\u2028"


@pytest.fixture
def vocabulary():
    return CharacterVocabulary.from_text(TEXT)


def test_characters_are_code_points_in_order(vocabulary):
    assert vocabulary.characters[0] == "\ufffd"
    assert list(vocabulary.characters[1:]) == sorted(set(TEXT))
    assert len(vocabulary) == len(set(TEXT)) + 1


def test_a_text_in_pieces_has_the_same_vocabulary(vocabulary):
    assert CharacterVocabulary.from_text(iter([TEXT[:7], TEXT[7:], ""])) == vocabulary


def test_a_text_in_pieces_is_read_piece_by_piece():
    alive = []

    class Piece(str):
        def __del__(self):
            alive.pop()

    def pieces():
        for number in range(50):
            assert len(alive) <= 2
            alive.append(number)
            yield Piece("abc")

    assert len(CharacterVocabulary.from_text(pieces())) == 4


def test_decoding_reverses_encoding(vocabulary):
    ids = vocabulary.encode(TEXT)
    assert (ids.dtype, ids.shape) == (np.int32, (len(TEXT),))
    assert vocabulary.decode(ids) == TEXT
    assert vocabulary.encode("").shape == (0,)


@pytest.mark.parametrize("unknown", ["q", "\U0010ffff", "\ud800"])
def test_characters_never_seen_are_the_replacement_character(vocabulary, unknown):
    ids = vocabulary.encode(f"e{unknown}t")
    assert ids[1] == 0
    assert vocabulary.decode(ids) == "e\ufffdt"


def test_a_graph_gives_the_same_ids_and_texts(vocabulary):
    texts = [TEXT, "", "quite unknown: ß", "日本"]
    ids = vocabulary.ids_of(tf.constant(texts))
    assert ids.to_list() == [vocabulary.encode(text).tolist() for text in texts]
    written = vocabulary.texts_of(tf.constant([vocabulary.encode(TEXT)]))
    assert written.numpy()[0].decode("utf-8") == TEXT


def test_bytes_that_are_not_utf8_are_unknown(vocabulary):
    assert vocabulary.ids_of(tf.constant([b"e\xfft"])).to_list() == [
        vocabulary.encode("e\ufffdt").tolist()
    ]


def test_the_file_is_readable_and_complete(vocabulary, tmp_path):
    vocabulary.save(tmp_path / "vocabulary.txt")
    assert CharacterVocabulary.load(tmp_path / "vocabulary.txt") == vocabulary
    lines = (tmp_path / "vocabulary.txt").read_text("utf-8").split("\n")[:-1]
    assert len(lines) == len(vocabulary)
    assert lines[0] == "65533\t\ufffd\tREPLACEMENT CHARACTER"
    assert lines[1] == "9\t\\t\tunnamed"
    assert f"{ord('日')}\t日\tCJK UNIFIED IDEOGRAPH-65E5" in lines


@pytest.mark.parametrize(
    ("characters", "message"),
    [
        ("aba", "'a' appears twice"),
        (["ab"], "single code points"),
        (["\ud800"], "single code points, got"),
    ],
)
def test_what_is_no_vocabulary_is_refused(characters, message):
    with pytest.raises(ValueError, match=message):
        CharacterVocabulary(characters)
