"""Layers that cannot do what `compile` asks for are named."""

import keras
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.training.layer_checks import check_batch
from tests.training.models import make_model

SEQUENCES = {"return_sequences": True}


def compiled(layer, **options):
    model = kerasrnn.SequenceModel([layer, keras.layers.Dense(2)])
    model.compile("sgd", "mse", **options)
    return model


def both_ways():
    return keras.layers.Bidirectional(keras.layers.GRU(2, **SEQUENCES))


@pytest.mark.parametrize(
    "options", [{"window": 3}, {"recompute": True}, {"teacher_forcing": 0.5}], ids=str
)
def test_layers_whose_states_cannot_be_handed_on_are_named(options):
    backwards = keras.layers.GRU(2, go_backwards=True, **SEQUENCES)
    for layer in (both_ways(), backwards):
        with pytest.raises(ValueError, match=f"{layer.name} reads backwards"):
            compiled(layer, **options)
    with pytest.raises(ValueError, match="puts out its last step alone"):
        compiled(keras.layers.GRU(2), **options)
    compiled(keras.layers.GRU(2, **SEQUENCES), **options)


def test_layers_that_cannot_truncate_are_named():
    cut = kerasrnn.TruncatedBPTT(2)
    with pytest.raises(ValueError, match="cannot truncate. Use kerasrnn.GRU, or"):
        compiled(both_ways(), truncation="full")
    with pytest.raises(ValueError, match="is a keras.layers.LSTM, which cannot truncate"):
        make_model("lstm", truncation=cut)
    stack = keras.layers.RNN(keras.layers.GRUCell(2), **SEQUENCES)
    with pytest.raises(ValueError, match="Use kerasrnn.RNN with its cell, or truncation=None"):
        compiled(stack, truncation=cut)
    layer = kerasrnn.VanillaRNN(2, truncation=cut, **SEQUENCES)
    for options in ({"recompute": True}, {"window": 4, "stride": 2}):
        with pytest.raises(ValueError, match="whose boundaries would move"):
            compiled(layer, **options)
        compiled(layer, truncation="full", **options)  # as the message says


def test_a_penalty_of_outputs_needs_the_true_inputs():
    penalized = keras.layers.Dense(2, activity_regularizer="l2")
    with pytest.raises(ValueError, match="activity_regularizer of"):
        compiled(penalized, teacher_forcing=0.5)
    compiled(penalized, teacher_forcing=1.0)


def test_batches_that_no_layer_can_read_are_named():
    embedding = keras.layers.Embedding(5, 2, name="table")
    ids, values = (tf.TensorSpec([None, 4], dtype) for dtype in ("int32", "float32"))
    check_batch([embedding], (ids, values))
    check_batch([keras.layers.Dense(2)], (values, values))
    with pytest.raises(ValueError, match="table takes integers as ids, got .* float32"):
        check_batch([embedding], ({"inputs": values}, values))
    with pytest.raises(ValueError, match="must be whole, got a ragged one"):
        check_batch([embedding], (ids, tf.RaggedTensorSpec([None, None])))
