"""The layers of a model, however deep they lie in it."""

import keras


def nested_layers(
    model: keras.layers.Layer, except_in: type | tuple[type, ...] = ()
) -> list[keras.layers.Layer]:
    """A model and all layers in it, in other layers, in lists and dictionaries; each once.

    Args:
        model: a model, or any layer.
        except_in: kinds of layers that are left out, with all that lies in
            them. Default: none.
    """
    found: list[keras.layers.Layer] = []
    seen: set[int] = set()

    def visit(thing):
        if id(thing) in seen or not isinstance(thing, (dict, list, tuple, keras.layers.Layer)):
            return
        seen.add(id(thing))
        if isinstance(thing, except_in):
            return
        if isinstance(thing, keras.layers.Layer):
            found.append(thing)
            thing = vars(thing)
        for part in thing.values() if isinstance(thing, dict) else thing:
            visit(part)

    visit(model)
    return found


def recurrent_layers(
    model: keras.layers.Layer, except_in: type | tuple[type, ...] = ()
) -> list[keras.layers.RNN]:
    """All recurrent layers of a model, however deep they lie in it.

    Args:
        model: a model, or any layer.
        except_in: kinds of layers that are not looked into. Default: none.
    """
    layers = nested_layers(model, except_in)
    return [layer for layer in layers if isinstance(layer, keras.layers.RNN)]
