"""The layers of a model that another training begins with."""

from pathlib import Path
from typing import Any

from apps.chargen.config import Train
from apps.chargen.sizes import count_weights
from apps.errors import UserError
from apps.exported import read_config
from apps.memory import GATES

_TYPES = {
    "cell": (str,),
    "units": (int,),
    "num_layers": (int,),
    "embedding_dim": (int, type(None)),
    "residual": (bool,),
    "tie_weights": (bool,),
}
LAYERS = tuple(_TYPES)
"""The options that `--init-from` takes from the model."""


def read_layers(folder: Path, num_ids: int, num_weights: int) -> dict[str, Any]:
    """The options of a model that say which layers it has.

    Args:
        folder: of the exported model.
        num_ids: the size of its vocabulary, the unknown character included.
        num_weights: how many numbers its weights hold.

    Raises:
        UserError: if they are not there, or are not those of such a model.
    """
    config = read_config(folder)
    layers: dict[str, Any] = {}
    for name, types in _TYPES.items():
        value = config.get(name)
        if name not in config or type(value) not in types:
            raise UserError(
                f"{name} is {str(value)[:40]!r}" if name in config else f"no {name}"
            )
        layers[name] = value
    if layers["cell"] not in GATES:
        raise UserError(f"cell is {layers['cell'][:40]!r}")
    if count_weights(Train(**layers), num_ids) != num_weights:
        raise UserError(f"its {num_weights:,} weights belong to other layers")
    return layers
