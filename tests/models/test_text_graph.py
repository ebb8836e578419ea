"""Texts read, written and scored in a graph, side by side."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.models import text_graph
from tests.plain_ops import assert_plain_graph


@pytest.mark.parametrize(("characters", "first"), [("ab \n", "\n"), ("ab ", " "), ("ba", "b")])
def test_an_empty_prompt_begins_a_line(characters, first):
    model = kerasrnn.CharLanguageModel(characters, units=3)
    ids, states = text_graph.read(model, tf.constant(["", first]))
    assert model.vocabulary.decode(ids) == first * 2
    assert not np.any(states[0][0])


def test_texts_side_by_side_are_scored_each_for_itself(model):
    ids, states = text_graph.read(model, tf.constant(["ou", "問題だ"]))
    nothing = text_graph.nats_of(model, tf.constant(["", ""]), ids, states)
    assert not np.any(nothing[0])
    texts = tf.constant([" ne pas", "🎭."])
    nats, lengths, unknown, last, _ = text_graph.nats_of(model, texts, *nothing[3:])
    for row, (before, text) in enumerate([("ou", " ne pas"), ("問題だ", "🎭.")]):
        codes = model.vocabulary.encode(before + text)
        losses = keras.losses.sparse_categorical_crossentropy(
            codes[None, 1:], model(codes[None, :-1]), from_logits=True
        )
        expected = np.sum(losses[0, len(before) - 1 :])
        np.testing.assert_allclose(nats[row], expected, rtol=1e-5)
    assert model.vocabulary.decode(last) == "s."
    assert lengths.numpy().tolist() == [7, 2]
    assert unknown.numpy().tolist() == [0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deep", "lstm", "gru"])
def test_graphs_of_every_cell_hold_plain_ops_only(language_models, name):
    model = language_models[name]
    texts, ids, states = text_graph.input_specs(model)
    read = tf.function(lambda texts: text_graph.read(model, texts))
    assert_plain_graph(read.get_concrete_function(texts).graph.as_graph_def())
    step = tf.function(model.step)
    assert_plain_graph(step.get_concrete_function(ids, states).graph.as_graph_def())
