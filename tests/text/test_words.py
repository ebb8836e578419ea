"""Words and their vocabularies."""

import pytest
import tensorflow as tf

from kerasrnn.text import words as text


def words(value):
    return [w.decode() for w in text.split_words(tf.constant([value]))[0].numpy()]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("I LOVED it.", ["i", "loved", "it"]),
        ("one<br />two<br>three<br/>four", ["one", "two", "three", "four"]),
        ("good.But bad", ["good", "but", "bad"]),
        ("don't — really?!", ["don't", "really"]),
        ("ÉTÉ Ünïcode 8/10", ["été", "ünïcode", "8", "10"]),
        ("😀 素晴らしい", ["素晴らしい"]),
        ("", []),
        (" \n\t...", []),
    ],
)
def test_texts_are_split_into_lower_case_words(value, expected):
    assert words(value) == expected


def test_bytes_that_are_not_utf8_do_not_stop_the_graph():
    assert text.split_words(tf.constant([b"good \xff\xfe film"])).to_list() == [
        [b"good", b"film"]
    ]


def test_a_vocabulary_holds_the_most_frequent_words():
    vocabulary = text.Vocabulary.from_texts(["b b b a a c", "c d"], size=5)
    assert vocabulary.words == ("[PAD]", "[UNK]", "b", "a", "c")
    ids = vocabulary.encode(tf.constant(["d a B", ""]), max_length=10)
    assert ids.to_list() == [[1, 3, 2], []]
    assert ids.dtype == tf.int32


def test_the_last_words_of_a_long_text_are_kept():
    vocabulary = text.Vocabulary(["[PAD]", "[UNK]", "a", "b", "c"])
    assert vocabulary.encode(tf.constant(["a b c"]), max_length=2).to_list() == [[3, 4]]


def test_a_vocabulary_survives_its_file(tmp_path):
    vocabulary = text.Vocabulary.from_texts(["naïve été 素 plain"], size=10)
    vocabulary.save(tmp_path / "words.txt")
    assert text.Vocabulary.load(tmp_path / "words.txt").words == vocabulary.words


@pytest.mark.parametrize("wrong", [["a", "b"], ["[PAD]", "[UNK]", "a", "a"]])
def test_wrong_words_are_refused(wrong):
    with pytest.raises(ValueError, match="words must"):
        text.Vocabulary(wrong)
