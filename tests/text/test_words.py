"""Words, vocabularies, and batches of similar length."""

import numpy as np
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


def test_padding_is_at_the_end_and_at_least_one_step():
    assert text.pad(tf.ragged.constant([[1, 2], [3]])).numpy().tolist() == [[1, 2], [3, 0]]
    assert text.pad(tf.ragged.constant([[], []], tf.int32)).shape == (2, 1)
    assert text.pad(tf.zeros([2, 0], tf.int32)).shape == (2, 1)


@pytest.fixture
def sequences(rng):
    lengths = [*rng.integers(0, 60, size=199), 60]
    ids = tf.ragged.constant([[i + 2] * n for i, n in enumerate(lengths)], dtype=tf.int32)
    return ids, [i % 2 for i in range(200)]


def buckets(sequences, **options):
    return text.bucket_by_length(*sequences, batch_size=16, max_length=60, **options)


def test_without_a_seed_every_example_comes_once(sequences):
    dataset = buckets(sequences)
    batches = list(dataset)
    assert len(batches) == int(dataset.cardinality())
    assert sum(len(labels) for _, labels in batches) == 200
    found = [tuple(row[row > 0]) for ids, _ in batches for row in ids.numpy()]
    assert sorted(found) == sorted(tuple(row) for row in sequences[0].to_list())
    assert len({ids.shape[1] for ids, _ in batches}) <= 6


def test_with_a_seed_batches_are_full_and_differ_between_epochs(sequences):
    dataset = buckets(sequences, seed=3)
    first, second = list(dataset), list(dataset)
    assert len(first) == len(second) == int(dataset.cardinality())
    assert {len(labels) for _, labels in first} == {16}
    assert not all(np.array_equal(a[0], b[0]) for a, b in zip(first, second, strict=True))
    again = list(buckets(sequences, seed=3))
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first, again, strict=True))


def test_labels_stay_with_their_sequences(sequences):
    for ids, labels in buckets(sequences, seed=0):
        for row, label in zip(ids.numpy(), labels.numpy(), strict=True):
            if row[0]:
                assert (row[0] - 2) % 2 == label
