"""How long a training is, and in which batches, by the number of its texts."""

import pytest

from apps.sentiment.config import PRESETS, Train
from apps.sentiment.fitting import (
    choose_batch_size,
    choose_epochs,
    choose_patience,
    find_misfits,
)


@pytest.mark.parametrize(
    ("num_texts", "size"),
    [(5, 5), (8, 8), (216, 8), (400, 16), (700, 32), (1279, 32), (1280, 64), (22_500, 64)],
)
def test_few_texts_have_small_batches(num_texts, size):
    assert choose_batch_size(Train(), num_texts) == size


def test_a_given_batch_size_is_kept_unless_there_are_fewer_texts():
    options = Train(batch_size=100)
    assert [choose_batch_size(options, n) for n in (10, 100, 1000)] == [10, 100, 100]


@pytest.mark.parametrize(
    ("preset", "num_steps", "epochs"),
    [
        ("default", 349, 3),  # IMDB
        ("classic", 349, 5),
        ("default", 278, 3),  # the packaged reviews
        ("default", 1, 30),
        ("default", 27, 30),
        ("default", 90, 10),
        ("default", 100_000, 2),
        ("best", 349, 2),
    ],
)
def test_epochs_follow_a_number_of_steps(preset, num_steps, epochs):
    assert choose_epochs(PRESETS[preset], num_steps) == epochs


def test_given_epochs_and_patience_are_kept():
    assert choose_epochs(Train(epochs=1), 349) == 1
    assert choose_patience(Train(patience=0), 30) == 0
    assert [choose_patience(Train(), epochs) for epochs in (1, 3, 9, 30)] == [2, 2, 3, 10]


def test_a_preset_that_does_not_fit_is_said():
    fits = ["a text of six words here"] * 1000
    assert find_misfits(Train(vocabulary_size=20_000), fits, 10_000) == []
    assert find_misfits(Train(vocabulary_size=20_000, max_length=6), fits, 10_000) == []
    options = Train(vocabulary_size=20_000, max_length=5)
    few, words, long = find_misfits(options, fits[:9], 9999)
    assert few == "9 training texts are few, so scores vary with --seed"
    assert (
        words
        == "the training texts have 9,999 different words, and --vocabulary-size is 20,000"
    )
    assert long == (
        "most training texts have more words than --max-length 5, and only the last are read"
    )
