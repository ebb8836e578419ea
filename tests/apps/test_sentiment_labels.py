"""The names of labels."""

import pytest

from apps.sentiment.labels import LABELS, find_labels, listed, number_of, read_name


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (" ham ", "ham"),
        ("not\nspam", "not spam"),
        (5, "5"),
        (5.0, "5"),
        ("5.0", "5"),
        ("-1.00", "-1"),
        ("5.5", "5.5"),
        ("v1.0", "v1.0"),
        ("007", "007"),
        (True, "True"),
        ("", ""),
        (float("nan"), ""),
    ],
)
def test_a_label_is_one_line_and_a_whole_number_has_no_fraction(value, name):
    assert read_name(value) == name


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["10", "9", "9", "-1"], ("-1", "9", "10")),
        (["1.5", "2", "+1"], ("+1", "1.5", "2")),
        (["spam", "Ham", "eggs"], ("eggs", "Ham", "spam")),
        (["10", "9", "none"], ("10", "9", "none")),
        (["0", "1"], LABELS),
        (["pos", "NEG"], LABELS),
        (["1"], LABELS),
        (["0", "1", "2"], ("0", "1", "2")),
        (["pos", "neg", "neutral"], ("neg", "neutral", "pos")),
        ([], ()),
    ],
)
def test_labels_are_sorted_as_one_would_sort_them(names, labels):
    assert find_labels(names) == labels


def test_names_of_sentiment_are_the_numbers_of_its_labels():
    names = ("0", "neg", "Negative", "1", "pos", "positive")
    assert [number_of(name, LABELS) for name in names] == [0, 0, 0, 1, 1, 1]
    assert number_of("2", LABELS) is None


def test_other_labels_have_the_numbers_of_their_order():
    assert [number_of(name, ("1", "0")) for name in ("0", "1", "pos")] == [1, 0, None]


def test_a_list_in_a_message_is_short():
    assert listed(["a", "b"]) == "a, b"
    assert listed([str(n) for n in range(1234)], 2) == "0, 1 and 1,232 more"
    assert listed(["x" * 99]) == "x" * 39 + "…"
