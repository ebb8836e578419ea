"""Pairs of texts: how they are read, split and counted."""

import json

import numpy as np
import pytest

from apps import cli
from apps.errors import UserError
from apps.transduce import data
from apps.transduce.__main__ import COMMANDS
from apps.transduce.config import Baseline, Evaluate, Train
from apps.transduce.fitting import choose_batch_size, choose_epochs
from apps.transduce.rates import error_rates

PAIRS = {f"{a}{b}{c}": [f"{c} {b} {a}"] for a in "abcd" for b in "efgh" for c in "ijkl"}


def write(path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_pairs_are_read_with_all_targets_of_a_source(tmp_path):
    path = write(
        tmp_path / "a.tsv", "read\tR EH D", "", "read\tR IY D", "a b\té", "read\tR EH D"
    )
    loaded = data.read_pairs(path)
    assert loaded.pairs.targets == {"read": ["R EH D", "R IY D"], "a b": ["é"]}
    assert (len(loaded.pairs), loaded.num_dropped) == (3, 1)


def test_a_byte_order_mark_and_line_ends_of_windows_are_no_text(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes("a\tb\r\nc\td\r\n".encode("utf-8-sig"))
    assert data.read_pairs(path).pairs.targets == {"a": ["b"], "c": ["d"]}


def test_further_columns_are_left_out_and_said(tmp_path, capsys):
    path = write(tmp_path / "a.tsv", "go\tva\tCC-BY", "come\tviens")
    assert data.read_pairs(path).pairs.targets == {"go": ["va"], "come": ["viens"]}
    assert "1 lines have more than two columns" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\tb\nno tab here\n", "line 2: there is no tab. Write a source, a tab"),
        (b"a\tb\n\tb\n", "line 2: the source is empty. Fill it in"),
        (b"a\t \n", "line 1: the target is empty. Fill it in"),
        (b"", "the file has no pairs"),
        (b"\n\n", "the file has no pairs"),
        (b"a\t\xff\n", "line 1: byte 3 of the line is not UTF-8"),
    ],
)
def test_what_is_no_pair_is_named_with_its_line(tmp_path, content, message):
    path = tmp_path / "a.tsv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        data.read_pairs(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(UserError, match="there is no such file. Use auto, packaged, or a file"):
        data.load(str(tmp_path / "none.tsv"))
    with pytest.raises(UserError, match="this is a folder"):
        data.load(str(tmp_path))


def test_the_split_of_a_source_depends_on_nothing_else():
    whole = data.split(data.Data("x", data.Pairs(PAIRS)), Train())
    assert sum(map(len, whole.values())) == len(PAIRS)
    half = {source: [*PAIRS[source], "other"] for source in list(PAIRS)[::-2]}
    options = Train(validation_fraction=0.3)
    parts = data.split(data.Data("x", data.Pairs(half)), options)
    assert set(parts["test"].targets) == set(whole["test"].targets) & set(half)
    assert not set(parts["train"].targets) & set(whole["test"].targets)


def test_few_examples_are_always_the_same_ones():
    pairs = data.Pairs(PAIRS)
    few = data.split(data.Data("x", pairs), Train(max_examples=3))
    assert [len(part.targets) for part in few.values()] == [3, 3, 3]
    whole = data.split(data.Data("x", pairs), Train())
    assert set(few["train"].targets) <= set(whole["train"].targets)


def test_too_few_sources_cannot_be_split():
    few = data.Data("x", data.Pairs({"a": ["b", "c"]}))
    with pytest.raises(UserError, match="1 different sources are too few to split"):
        data.split(few, Train())


def test_long_pairs_are_left_out_and_counted():
    pairs = data.Pairs({"abc": ["x y", "x y z"], "a": ["x"]})
    units = {"source": "character", "target": "whitespace"}
    kept, num_long = data.without_long(pairs, units, {"source": 3, "target": 2})
    assert kept.targets == {"abc": ["x y"], "a": ["x"]}
    assert num_long == {"source": 0, "target": 1}
    _, num_long = data.without_long(pairs, units, {"source": 2, "target": 2})
    assert num_long == {"source": 2, "target": 1}


def test_tokens_are_words_where_most_texts_have_spaces():
    assert data.guess_split(["a b", "c d", "e"]) == "whitespace"
    assert data.guess_split(["a b", "c", "e"]) == "character"


@pytest.mark.data
def test_the_packaged_words_have_their_pronunciations():
    loaded = data.load("packaged")
    assert loaded.pairs.targets["read"] == ["R EH D", "R IY D"]
    assert loaded.pairs.targets["tensor"] == ["T EH N S ER"]
    assert (len(loaded.pairs.targets), len(loaded.pairs)) == (126_052, 134_860)
    phonemes = {token for _, target in loaded.pairs for token in target.split()}
    assert len(phonemes) == 39
    splits = data.split(loaded, Train())
    sizes = {name: len(part.targets) for name, part in splits.items()}
    assert sizes == {"train": 107_125, "validation": 6_343, "test": 12_584}


def edits(a, b):
    """The Levenshtein distance, by its definition."""
    if not a or not b:
        return len(a) + len(b)
    changed = edits(a[1:], b[1:]) + (a[0] != b[0])
    return min(changed, edits(a[1:], b) + 1, edits(a, b[1:]) + 1)


def test_error_rates_are_those_of_the_nearest_target():
    rates = error_rates(
        ["a b", "a", "x y z", ""], [["a b"], ["b c", "a c"], ["x z"], ["q"]], "whitespace"
    )
    assert rates.sequence_error_rate == 3 / 4
    assert rates.token_error_rate == (0 + 1 + 1 + 1) / (2 + 2 + 2 + 1)


def test_token_errors_are_edit_distances():
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abc"), rng.integers(1, 6))) for _ in range(24)]
    for text, target in zip(texts[:12], texts[12:], strict=True):
        rate = error_rates([text], [[target]], "character").token_error_rate
        assert rate == pytest.approx(edits(text, target) / len(target))


def test_small_data_gets_small_batches_and_more_epochs():
    assert choose_batch_size(Train(), 100_000) == 128
    assert choose_batch_size(Train(), 300) == 8
    assert choose_batch_size(Train(), 5) == 5
    assert choose_batch_size(Train(batch_size=64), 100_000) == 64
    assert choose_epochs(Train(steps=1000), 90) == 11
    assert choose_epochs(Train(steps=1000), 1) == 100
    assert choose_epochs(Train(epochs=7), 1) == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": 7}, "--units must be even unless --no-bidirectional"),
        ({"validation_fraction": 0.9}, "--validation-fraction must lie in"),
        ({"label_smoothing": 1.0}, "--label-smoothing must lie in"),
        ({"teacher_forcing": 2.0}, "--teacher-forcing must lie in"),
        ({"truncation": "none"}, "--truncation must be full"),
        ({"max_source_length": 0}, "--max-source-length must be from 1"),
    ],
)
def test_options_out_of_range_are_named(options, message):
    with pytest.raises(UserError, match=message):
        Train(**options)
    assert Evaluate().beam >= 1
    assert Baseline().data == "auto"


def test_the_baseline_answers_with_the_most_similar_source(tmp_path, capsys):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from apps.transduce.baseline import find_nearest

    training = {"walk": ["W AO K"], "talk": ["T AO K"], "sing": ["S IH NG"]}
    assert find_nearest(training, ["walks", "singer"]) == ["W AO K", "S IH NG"]
    path = write(tmp_path / "p.tsv", *(f"{s}\t{t[0]}" for s, t in PAIRS.items()))
    run = cli.main("apps.transduce", "", COMMANDS, ["baseline", "--data", str(path), "--json"])
    scores = json.loads(capsys.readouterr().out)
    assert run == 0
    assert scores["sequence_error_rate"] == 1.0  # no source of the test split is known
    assert 0 < scores["token_error_rate"] < 1
