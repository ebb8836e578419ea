"""What would not fit into memory is refused before it is tried."""

import numpy as np
import pytest

import kerasrnn
from apps import memory
from apps.chargen import config as chargen
from apps.chargen import sizes as chargen_sizes
from apps.errors import UserError
from apps.sentiment import config as sentiment
from apps.sentiment import sizes as sentiment_sizes
from apps.sentiment.data import Reviews
from tests.small_models import CLASSIFIERS

GIB = 2**30


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "vanilla", "num_layers": 1},
        {"cell": "vanilla", "num_layers": 3, "embedding_dim": 5},
        {"cell": "vanilla", "num_layers": 3, "residual": False},
        {"cell": "vanilla", "num_layers": 1, "embedding_dim": 5, "tie_weights": True},
        {"cell": "vanilla", "num_layers": 3, "tie_weights": True},
        {"cell": "lstm", "num_layers": 3},
        {"cell": "lstm", "num_layers": 1, "embedding_dim": 5},
        {"cell": "lstm", "num_layers": 1, "tie_weights": True},
        {"cell": "gru", "num_layers": 1},
        {"cell": "gru", "num_layers": 3, "residual": False, "embedding_dim": 5},
        {"cell": "gru", "num_layers": 3, "tie_weights": True},
    ],
)
def test_the_weights_of_a_language_model_are_counted_as_keras_does(options):
    model = kerasrnn.CharLanguageModel("abcdef", units=4, **options)
    model(np.array([[1, 2]]))
    same = chargen.Train(units=4, **{"embedding_dim": None, **options})
    counted = chargen_sizes.count_weights(same, 7)
    assert counted == model.count_params()


@pytest.mark.parametrize("word_pairs", [None, 20])
@pytest.mark.parametrize(
    ("cell", "bidirectional", "pooling", "filters", "stacked"), CLASSIFIERS
)
def test_the_weights_of_a_classifier_are_counted_as_keras_does(
    cell, bidirectional, pooling, filters, stacked, word_pairs
):
    layers = {"cell": cell, "bidirectional": bidirectional, "pooling": pooling}
    layers |= {"filters": filters, "stacked": stacked, "word_pairs": word_pairs}
    layers |= {"units": 3, "embedding_dim": 5}
    model = kerasrnn.TextClassifier(["[PAD]", "[UNK]", "good", "bad"], **layers)
    model(np.array([[2, 0]]))
    counted = sentiment_sizes.count_weights(sentiment.Train(**layers), 4)
    assert counted == model.count_params()


def test_more_than_two_labels_have_weights_each():
    model = kerasrnn.TextClassifier(["[PAD]", "[UNK]", "good"], ["a", "b", "c"])
    model(np.array([[2, 0]]))
    options = sentiment.Train(units=128, embedding_dim=128, filters=None, word_pairs=None)
    assert sentiment_sizes.count_weights(options, 3, 3) == model.count_params()


@pytest.fixture
def gib_of_memory(monkeypatch):
    """Sets how much memory there is."""
    return lambda gib: monkeypatch.setattr(memory, "find_limit", lambda: round(gib * GIB))


PART = memory.Part("the weights take", 3 * GIB, ("units", "num_layers"))


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({"units": 9000}, "--units: the weights take 3.0 GiB, and this .* Use a smaller one"),
        ({"num_layers": 9, "units": 9}, "--num-layers: the weights take"),
        ({"units": 9000, "num_layers": 9}, "--units and --num-layers: .* Use smaller ones"),
        ({}, "--units and --num-layers: the weights take"),
    ],
)
def test_the_raised_options_are_named(gib_of_memory, options, flags):
    gib_of_memory(2)
    with pytest.raises(UserError, match=flags):
        memory.check_memory(chargen.Train(**options), chargen.Train(), [PART])


def test_what_fits_is_left_alone(gib_of_memory, monkeypatch):
    gib_of_memory(3)
    memory.check_memory(chargen.Train(), chargen.Train(), [PART])
    with pytest.raises(
        UserError, match="take 3.0 GiB of 4.0 GiB in all, and this machine has 3"
    ):
        memory.check_memory(
            chargen.Train(), chargen.Train(), [PART, memory.Part("else", GIB, ["window"])]
        )
    monkeypatch.setattr(memory, "find_limit", lambda: None)
    memory.check_memory(chargen.Train(), chargen.Train(), [PART] * 99)


@pytest.mark.parametrize("preset", [*chargen.PRESETS.values(), *sentiment.PRESETS.values()])
def test_presets_fit_a_small_machine(gib_of_memory, preset):
    gib_of_memory(2)
    monitored = chargen_sizes if isinstance(preset, chargen.Train) else sentiment_sizes
    monitored.check_training(preset)


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({"units": 20_000}, "--units: the weights"),
        ({"num_layers": 90, "units": 4000}, "--units and --num-layers: the weights"),
        ({"embedding_dim": 90_000, "units": 10_000}, "--units and --embedding-dim: the weig"),
        ({"window": 1_000_000}, "--window: what a training step keeps"),
        ({"batch_size": 100_000}, "--batch-size: what a training step keeps"),
    ],
)
def test_a_language_model_that_is_too_large_is_refused(gib_of_memory, options, flags):
    gib_of_memory(16)
    with pytest.raises(UserError, match=flags):
        chargen_sizes.check_training(chargen.Train(**options))


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({"units": 20_000}, "--units: the weights"),
        ({"max_length": 1_000_000}, "--max-length: what a training step keeps"),
        ({"batch_size": 1_000_000}, "--batch-size: what a training step keeps"),
    ],
)
def test_a_classifier_that_is_too_large_is_refused(gib_of_memory, options, flags):
    gib_of_memory(8)
    with pytest.raises(UserError, match=flags):
        sentiment_sizes.check_training(sentiment.Train(**options))


def test_only_words_that_occur_take_memory(gib_of_memory):
    gib_of_memory(16)
    options = sentiment.Train(embedding_dim=100_000, vocabulary_size=1_000_000, batch_size=2)
    few = Reviews(["good film", "bad film"], [1, 0])
    sentiment_sizes.check_training(options, few)
    many = Reviews([" ".join(f"w{i}" for i in range(20_000))] * 2, [1, 0])
    with pytest.raises(UserError, match="--vocabulary-size and --embedding-dim: the weights"):
        sentiment_sizes.check_training(options, many)


@pytest.mark.parametrize(
    "options", [{"num": 1000}, {"output": "x.txt"}, {"prompt": "x" * 10_000, "num": 100_000}]
)
def test_texts_that_are_kept_must_fit(gib_of_memory, options):
    gib_of_memory(4)
    with pytest.raises(UserError, match="the texts take"):
        chargen_sizes.check_sample(chargen.Sample(length=2**31 - 1, **options))
    chargen_sizes.check_sample(chargen.Sample(length=2**31 - 1))  # is shown as it is written


@pytest.mark.parametrize(
    ("own", "file", "limit"),
    [
        ("0::/a/b", "a/memory.max", 2 * GIB),
        ("0::/a/b", "a/b/memory.max", 2 * GIB),
        ("0::/", "memory.max", 2 * GIB),
        ("9:pids:/\n4:memory,cpu:/a", "memory/a/memory.limit_in_bytes", 2 * GIB),
        ("4:memory:/a", "memory/memory.limit_in_bytes", 2 * GIB),
        ("4:cpu:/a", "memory/memory.limit_in_bytes", None),
        ("0::/a", "b/memory.max", None),
    ],
)
def test_limits_of_control_groups_are_found(tmp_path, monkeypatch, own, file, limit):
    (tmp_path / "own").write_text(own)
    (tmp_path / "groups" / file).parent.mkdir(parents=True)
    (tmp_path / "groups" / file).write_text(f"{2 * GIB}\n")
    monkeypatch.setattr(memory, "_OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "groups")
    monkeypatch.setattr(memory, "_physical", list)
    assert memory.find_limit() == limit
    monkeypatch.setattr(memory, "_physical", lambda: [GIB])
    assert memory.find_limit() == GIB


def test_no_limit_is_known_where_nobody_tells(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_OWN_CGROUPS", tmp_path / "none")
    monkeypatch.delattr(memory.os, "sysconf")
    assert memory.find_limit() is None
