"""Tokens of texts: the same in Python and in a graph, and there and back."""

import sys

import numpy as np
import pytest
import tensorflow as tf

from kerasrnn.text.tokens import END, START, TokenVocabulary

TEXTS = [
    "Être 😀 e\u0301t",
    "a\0b\0",
    "line\nbreak\u2028",
    "",
    " ",
    "[END] [PAD] [UNK]",
    "\ufffd",
]
BYTES = [b"\xffa \xe2\x80 b", b"\xc3", b"a\xc2\xa0b\xff"]


@pytest.fixture(scope="module", params=["character", "whitespace"])
def vocabulary(request):
    return TokenVocabulary.from_texts(TEXTS, request.param)


@pytest.fixture(scope="module")
def in_graph(vocabulary):
    """The same in a graph: the ids of texts, and the texts of these ids."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def there_and_back(texts):
        ids = vocabulary.encode(texts)
        return ids, vocabulary.decode(ids.to_tensor())

    return there_and_back


def test_ids_are_those_of_the_tokens_in_python(vocabulary):
    for text, ids in zip(TEXTS, vocabulary.encode(TEXTS).to_list(), strict=True):
        tokens = list(text) if vocabulary.split == "character" else text.split()
        known = {token: number for number, token in enumerate(vocabulary.tokens, start=4)}
        assert ids == [known.get(token, 1) for token in tokens]


def test_a_graph_and_eager_calls_agree(vocabulary, in_graph):
    for texts in (TEXTS, BYTES, []):
        given = tf.constant([t.encode() if isinstance(t, str) else t for t in texts], tf.string)
        ids, back = in_graph(given)
        eager = vocabulary.encode(given)
        assert ids.to_list() == eager.to_list()
        assert back.numpy().tolist() == vocabulary.decode(eager.to_tensor()).numpy().tolist()
        if texts is TEXTS:
            assert vocabulary.encode(texts).to_list() == eager.to_list()


def test_what_is_known_comes_back(vocabulary):
    known = ["Être 😀 e\u0301t", "a\0b\0", "", "😀"]
    decoded = vocabulary.decode(vocabulary.encode(known).to_tensor()).numpy()
    assert [text.decode() for text in decoded] == known
    nested = vocabulary.decode(tf.constant([[[4, 3, 0], [0, 0, 0]]])).numpy().tolist()
    assert nested == [[vocabulary.tokens[0].encode(), b""]]
    assert vocabulary.decode(tf.zeros([2, 0], tf.int32)).numpy().tolist() == [b"", b""]


def test_words_are_split_at_the_white_space_of_python():
    vocabulary = TokenVocabulary.from_texts(["a b"], "whitespace")
    spaces = [c for c in map(chr, range(sys.maxunicode)) if c.isspace()]
    assert len(spaces) > 20
    texts = [f"{c}a{c}{c}b{c}" for c in spaces]
    assert vocabulary.encode(texts).to_list() == [[4, 5]] * len(spaces)
    others = [f"a{c}b" for c in map(chr, range(1, 0x3100)) if not c.isspace()]
    assert vocabulary.encode(others).to_list() == [[1]] * len(others)
    assert TokenVocabulary.from_texts(["a\u00a0b\u3000b"], "whitespace").tokens == ("a", "b")


def test_names_of_special_tokens_are_unknown_words():
    """Padding in the middle of a text would be masked, and an end would end it."""
    text = "a [PAD] [UNK] [START] [END] b"
    vocabulary = TokenVocabulary.from_texts([text], "whitespace")
    assert vocabulary.tokens == ("a", "b")
    assert vocabulary.encode([text]).to_list() == [[4, 1, 1, 1, 1, 5]]


def test_what_no_file_can_hold_is_unknown():
    text = "a\n\r\u2028\x85\x1cb\ud800"
    vocabulary = TokenVocabulary.from_texts([text], "character")
    assert vocabulary.tokens == ("a", "b")
    assert vocabulary.encode([text]).to_list() == [[4, 1, 1, 1, 1, 1, 5, 1]]


def test_a_file_holds_a_vocabulary(vocabulary, tmp_path):
    vocabulary.save(tmp_path / "tokens.txt")
    loaded = TokenVocabulary.load(tmp_path / "tokens.txt", vocabulary.split)
    assert loaded.tokens == vocabulary.tokens
    assert len(loaded) == len(vocabulary) == 4 + len(vocabulary.tokens)
    lines = (tmp_path / "tokens.txt").read_text("utf-8").split("\n")
    assert lines[2:5] == [START, END, vocabulary.tokens[0]]


def test_an_empty_vocabulary_knows_no_token(tmp_path):
    vocabulary = TokenVocabulary([], "whitespace")
    vocabulary.save(tmp_path / "tokens.txt")
    assert TokenVocabulary.load(tmp_path / "tokens.txt", "whitespace").tokens == ()
    assert vocabulary.encode(["a b", ""]).to_list() == [[1, 1], []]
    assert vocabulary.decode(tf.constant([[1, 3]])).numpy().tolist() == [b""]


def test_a_file_of_something_else_is_refused(tmp_path):
    for text in ("", "[PAD]\n[UNK]\nno\nyes\nmaybe\n"):
        (tmp_path / "words.txt").write_text(text)
        with pytest.raises(ValueError, match=r"must begin with the lines \[PAD\], .* got \("):
            TokenVocabulary.load(tmp_path / "words.txt", "whitespace")


@pytest.mark.parametrize(
    ("size", "tokens"),
    [(1, "c"), (2, "ac"), (3, "abc"), (4, "abcd"), (9, "abcd"), (None, "abcd")],
)
def test_the_most_frequent_tokens_are_known_and_ties_go_by_the_alphabet(size, tokens):
    vocabulary = TokenVocabulary.from_texts(["dccb", "ca", "ba"], "character", size)
    assert vocabulary.tokens == tuple(tokens)


def test_numpy_arrays_are_texts_and_sizes():
    vocabulary = TokenVocabulary.from_texts(np.array(["ab", "b"]), "character", np.int64(1))
    assert vocabulary.tokens == ("b",)
    assert vocabulary.encode(np.array(["ab"])).to_list() == [[1, 4]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: TokenVocabulary(["a"], "syllables"),
            "split must be one of character, whitespace",
        ),
        (lambda: TokenVocabulary(["a", "a"], "whitespace"), "must be unique, but 'a' appears"),
        (lambda: TokenVocabulary(["ab"], "character"), "one character token, .* got 'ab'"),
        (lambda: TokenVocabulary(["a b"], "whitespace"), "one whitespace token, .* got 'a b'"),
        (lambda: TokenVocabulary(["a\u00a0b"], "whitespace"), "one whitespace token"),
        (lambda: TokenVocabulary([""], "whitespace"), "one whitespace token, .* got ''"),
        (lambda: TokenVocabulary(["\n"], "character"), "without line breaks"),
        (lambda: TokenVocabulary(["\ud800"], "character"), "one character token"),
        (lambda: TokenVocabulary(["[END]"], "whitespace"), r"got '\[END\]'"),
        (
            lambda: TokenVocabulary("ab", "whitespace"),
            "tokens must be a list of str, got the str",
        ),
        (lambda: TokenVocabulary([3], "whitespace"), "tokens must be a str or a list of str"),
        (lambda: TokenVocabulary.from_texts("ab", "whitespace"), "texts must be a list of str"),
        (
            lambda: TokenVocabulary.from_texts([b"a"], "whitespace"),
            "texts must be a str or a list",
        ),
        (lambda: TokenVocabulary.from_texts(["a"], "whitespace", 0), "size must be a positive"),
        (
            lambda: TokenVocabulary(["a"], "whitespace").encode([3]),
            "texts must be a str or a list",
        ),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
