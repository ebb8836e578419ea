"""A layer that makes its own cell: what `VanillaRNN`, `LSTM` and `GRU` share."""

import inspect
import operator
from typing import Any

import keras

from kerasrnn.layers.rnn import RNN

_OF_LAYER = (
    "truncation",
    "return_sequences",
    "return_state",
    "go_backwards",
    "stateful",
    "unroll",
    "activity_regularizer",
)


class CellLayer(RNN):
    """A recurrent layer that has the arguments of its cell, and those of `kerasrnn.RNN`.

    Args:
        given: all arguments by name.
        kwargs: what every Keras layer takes.
    """

    cell_class: type
    cell_name: str

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        for name in _arguments_of(cls.cell_class):  # readable as attributes of the layer, too
            if name not in cls.__dict__:
                setattr(cls, name, property(operator.attrgetter(f"cell.{name}")))

    def __init__(self, given: dict[str, Any], kwargs: dict[str, Any]):
        of_cell = kwargs.keys() & {"implementation"}
        options = {name: kwargs.pop(name) for name in of_cell}
        cell = self.cell_class(
            **{name: given[name] for name in _arguments_of(self.cell_class)},
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name=self.cell_name,
            **options,
        )
        super().__init__(cell, **{name: given[name] for name in _OF_LAYER}, **kwargs)
        self.input_spec = [keras.layers.InputSpec(ndim=3)]

    def get_config(self) -> dict:
        config = super().get_config()
        del config["cell"]
        arguments_of_cell = self.cell.get_config()  # the seed, too
        for key in ("name", "trainable", "dtype"):
            arguments_of_cell.pop(key)
        activity_regularizer = keras.regularizers.serialize(self.activity_regularizer)
        return {**config, **arguments_of_cell, "activity_regularizer": activity_regularizer}

    @classmethod
    def from_config(cls, config: dict) -> "CellLayer":
        return cls(**config)


def _arguments_of(cell_class: type) -> list[str]:
    """The arguments of a cell that have names."""
    parameters = inspect.signature(cell_class).parameters.values()
    return [p.name for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD]
