"""Texts in one call, piece by piece, up to a stop."""

import keras
import numpy as np
import pytest

from kerasrnn.models import decoding
from kerasrnn.models.generation import PIECE


@pytest.mark.parametrize("name", ["deep", pytest.param("lstm", marks=pytest.mark.slow)])
def test_greedy_text_is_that_of_a_loop_that_calls_the_model(language_models, name):
    model = language_models[name]
    vocabulary = model.vocabulary
    written = model.generate("Être", length=6, temperature=0)
    text = "Être"
    for _ in range(6):
        logits = model(vocabulary.encode(text)[None])[0, -1].numpy()
        logits[0] = -np.inf
        text += vocabulary.decode([int(np.argmax(logits))])
    assert written == text.removeprefix("Être")


def test_streamed_text_is_the_generated_text(model):
    options = {"length": PIECE + 5, "temperature": 0.9, "top_p": 0.95, "seed": 4}
    whole = model.generate("ne pas", **options)
    pieces = list(model.stream("ne pas", **options))
    assert "".join(pieces) == whole
    assert len(whole) == PIECE + 5
    assert len(pieces) > 1


def test_a_seed_decides_the_text(model):
    first, again, other = (model.generate("", 40, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    keras.utils.set_random_seed(3)
    free = [model.generate("", 40) for _ in range(2)]
    keras.utils.set_random_seed(3)
    assert [model.generate("", 40) for _ in range(2)] == free
    assert free[0] != free[1]


def test_more_is_the_same_and_then_more(model):
    assert model.generate("a", 50, seed=1).startswith(model.generate("a", 21, seed=1))


def test_prompts_of_any_length_go_side_by_side(model):
    prompts = ["", "問", "ne pas être", "Être ou " * 9]
    together = model.generate(prompts, 12, temperature=0)
    assert together == [model.generate(prompt, 12, temperature=0) for prompt in prompts]
    assert model.generate([], 12) == []


def test_characters_never_seen_read_as_one_and_are_never_written(model):
    assert model.generate("Zürich", 30, seed=0) == model.generate(
        "\ufffd\ufffdri\ufffd\ufffd", 30, seed=0
    )
    assert model.generate("\ud800", 30, seed=0) == model.generate("\ufffd", 30, seed=0)
    assert "\ufffd" not in model.generate("Z", 500, temperature=50.0, seed=0)


def test_top_k_1_is_greedy(model):
    assert model.generate("ou", 30, top_k=1, seed=5) == model.generate("ou", 30, temperature=0)


def test_a_stop_ends_the_text_before_it(model):
    whole = model.generate("ou", 3 * PIECE, seed=1)
    for place in (0, 10, PIECE - 1, PIECE + 3):  # also across two pieces
        stop = whole[place : place + 3]
        expected = whole[: whole.index(stop)]
        assert model.generate("ou", 3 * PIECE, seed=1, stop=stop) == expected
        assert "".join(model.stream("ou", 3 * PIECE, seed=1, stop=("@@", stop))) == expected
    assert model.generate("ou", 3 * PIECE, seed=1, stop="@@") == whole
    assert "".join(model.stream("ou", 3 * PIECE, seed=1, stop="@@")) == whole


def test_a_stop_does_not_depend_on_the_other_texts(model):
    whole = model.generate("ou", 3 * PIECE, seed=1)
    long, short = whole[PIECE - 4 : PIECE + 4], whole[PIECE - 3 : PIECE - 1]
    assert long not in whole[:PIECE]
    stops = (long, short, "@@")  # the short one is complete first
    alone = model.generate("ou", 3 * PIECE, seed=1, stop=stops)
    assert alone == whole[: whole.index(short)]
    assert model.generate(["ou", "Zß"], 3 * PIECE, seed=1, stop=stops)[0] == alone


def test_the_whole_text_is_written_in_one_call_of_a_graph(model, monkeypatch):
    generator, calls = model._generator, []
    model.generate("ou", 3, seed=0)  # which traces it
    graph = generator.whole_graph(False, 1)
    extend = decoding.extend
    monkeypatch.setattr(
        decoding, "extend", lambda *a, **k: calls.append("trace") or extend(*a, **k)
    )
    monkeypatch.setattr(
        generator, "whole_graph", lambda *_: lambda *a: calls.append("call") or graph(*a)
    )
    assert len(model.generate("ou", 300, seed=0)) == 300
    assert calls == ["call"]


def test_text_follows_the_weights(model):
    weights, before = model.get_weights(), model.generate("ou", 30, seed=0)
    model.set_weights([w * 0.5 for w in weights])
    try:
        assert model.generate("ou", 30, seed=0) != before
    finally:
        model.set_weights(weights)
    assert model.generate("ou", 30, seed=0) == before


def test_arguments_out_of_range_are_refused(model):
    with pytest.raises(ValueError, match="length must be an integer .*got length=-1"):
        model.generate("ou", length=-1)
    with pytest.raises(ValueError, match="temperature must lie in"):
        model.generate("ou", temperature=-1)
    with pytest.raises(ValueError, match="top_k must be an integer in"):
        model.stream("ou", top_k=1000)
    with pytest.raises(ValueError, match="texts of stop must not be empty"):
        model.generate("ou", stop=["\n", ""])
