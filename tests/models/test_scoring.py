"""How well a text is predicted: against Keras' cross-entropy."""

import math

import keras
import numpy as np
import pytest

from tests.small_models import TEXT


def test_the_score_is_the_mean_of_the_cross_entropies(model):
    text = TEXT[:200]
    ids = model.vocabulary.encode(text)
    losses = keras.losses.sparse_categorical_crossentropy(
        ids[None, 1:], model(ids[None, :-1]), from_logits=True
    )
    score = model.score(text)
    assert score.nats_per_character == pytest.approx(float(np.mean(losses)), rel=1e-5)
    assert score.bits_per_character == pytest.approx(score.nats_per_character / math.log(2))
    assert (score.num_characters, score.num_unknown) == (199, 0)


def test_the_score_of_a_long_text_is_carried_over_its_pieces(model, monkeypatch):
    whole = model.score(TEXT + "ZZZ")
    monkeypatch.setattr("kerasrnn.models.scoring.PIECE", 7)
    pieces = model.score(TEXT + "ZZZ")
    assert pieces.nats_per_character == pytest.approx(whole.nats_per_character, rel=1e-5)
    assert pieces[2:] == whole[2:] == (len(TEXT) + 2, 3)


def test_a_text_too_short_to_be_scored_is_refused(model):
    with pytest.raises(ValueError, match="at least two characters, got 'o'"):
        model.score("o")
