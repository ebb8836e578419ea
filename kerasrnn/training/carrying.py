"""Which layers cannot carry their states from window to window, or from step to step."""

import keras

from kerasrnn.layers.nested_layers import recurrent_layers


def held_recurrence(layer: keras.layers.Layer) -> keras.layers.RNN | None:
    """A recurrent layer inside `layer` that reads the same steps; `None` if there is none.

    `keras.layers.TimeDistributed` runs its inner layer again at each step, along another
    axis: there is nothing to carry.
    """
    if isinstance(layer, keras.layers.RNN):
        return None
    found = recurrent_layers(layer, except_in=keras.layers.TimeDistributed)
    return found[0] if found else None


def cannot_carry(layer: keras.layers.Layer) -> str | None:
    """Why `layer` cannot continue from states, as a sentence; `None` if it can.

    Example:

    >>> lstm = keras.layers.LSTM(4, return_sequences=True, name="memory")
    >>> cannot_carry(lstm) is None
    True
    >>> cannot_carry(keras.Sequential([lstm], name="block"))
    'block contains the recurrent layer memory, whose state cannot be carried.'
    """
    backwards = isinstance(layer, keras.layers.RNN) and layer.go_backwards
    if backwards or isinstance(layer, keras.layers.Bidirectional):
        return f"{layer.name} reads backwards, so its state cannot be carried."
    held = held_recurrence(layer)
    if held is None:
        return None
    return (
        f"{layer.name} contains the recurrent layer {held.name}, whose state cannot be carried."
    )
