"""All layers of a model, at any depth."""

import keras


def nested_layers(
    model: keras.layers.Layer, except_in: type | tuple[type, ...] = ()
) -> list[keras.layers.Layer]:
    """A model and all its layers, also those inside layers, lists and dictionaries.

    Args:
        model: a model, or any layer.
        except_in: classes of layers that are left out, with all that they contain.
            Default: none.

    Returns:
        Each layer once.
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
    """All recurrent layers of a model, at any depth.

    Args:
        model: a model, or any layer.
        except_in: classes of layers that are left out, with all that they contain.
            Default: none.
    """
    layers = nested_layers(model, except_in)
    return [layer for layer in layers if isinstance(layer, keras.layers.RNN)]
