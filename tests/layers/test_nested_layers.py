"""Layers are found wherever they lie: in layers, lists and dictionaries, each once."""

import keras

from kerasrnn.layers.nested_layers import nested_layers, recurrent_layers


class Holder(keras.layers.Layer):
    """Holds other layers in attributes of every kind."""

    def __init__(self, **parts):
        super().__init__()
        self.parts = parts


def gru():
    return keras.layers.GRU(2)


def test_layers_in_lists_and_dictionaries_are_found_in_their_order():
    first, second, third, fourth = gru(), gru(), gru(), keras.layers.Dense(2)
    inside = Holder(deep={"a": [second, (third,)]})
    model = Holder(layer=first, many=[inside, fourth], number=3, text="abc")
    assert recurrent_layers(model) == [first, second, third]
    found = nested_layers(model)
    assert found[0] is model
    assert {id(layer) for layer in (inside, fourth)} <= {id(layer) for layer in found}


def test_what_is_held_twice_or_holds_itself_is_found_once():
    shared = gru()
    model = Holder(a=shared, b=[shared, Holder(c=shared)])
    model.again = {"model": model}
    assert recurrent_layers(model) == [shared]
    assert sum(layer is model for layer in nested_layers(model)) == 1


def test_a_layer_alone_is_found_too():
    layer = gru()
    assert recurrent_layers(layer) == [layer]
    assert recurrent_layers(keras.layers.Dense(2)) == []


def test_wrapped_and_nested_models_are_searched():
    inner, both_ways = gru(), keras.layers.Bidirectional(gru())
    model = keras.Sequential([keras.Sequential([inner]), both_ways])
    assert recurrent_layers(model) == [inner, both_ways.forward_layer, both_ways.backward_layer]


def test_what_is_left_out_is_left_out_with_all_that_it_holds():
    kept, left_out = gru(), keras.layers.TimeDistributed(gru())
    model = keras.Sequential([kept, keras.Sequential([left_out])])
    assert recurrent_layers(model, except_in=keras.layers.TimeDistributed) == [kept]
    found = nested_layers(model, except_in=(keras.layers.TimeDistributed, keras.layers.GRU))
    assert not any(layer in (kept, left_out) for layer in found)
