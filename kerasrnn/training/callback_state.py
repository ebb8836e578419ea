"""The state of Keras callbacks, as JSON and arrays."""

import keras
import numpy as np

_NEW = object()


def encode_attributes(callback, arrays) -> dict:
    """The attributes of a callback that can be written; arrays are put into `arrays`."""
    if isinstance(callback, keras.callbacks.ProgbarLogger):
        return {}
    encoded = {}
    for name, value in vars(callback).items():
        if name not in ("_model", "_params", "params"):
            try:
                encoded[name] = _encode(value, arrays)
            except TypeError:
                continue
    return encoded


def without(state: dict, initial: dict) -> dict:
    return {name: value for name, value in state.items() if initial.get(name, _NEW) != value}


def _encode(value, arrays):
    if isinstance(value, (bool, int, float, str, type(None))):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype != object:
        name = f"callback/{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, (list, tuple)):
        return [_encode(v, arrays) for v in value]
    if isinstance(value, dict) and all(isinstance(k, str) for k in value):
        return {"dict": {k: _encode(v, arrays) for k, v in value.items()}}
    if callable(value) and getattr(keras.ops, getattr(value, "__name__", ""), None) is value:
        return {"op": value.__name__}
    raise TypeError(type(value))


def decode(value, arrays):
    if isinstance(value, list):
        return [decode(v, arrays) for v in value]
    if not isinstance(value, dict):
        return value
    if "array" in value and value["array"] in arrays:
        return arrays[value["array"]]
    if "op" in value:
        return getattr(keras.ops, value["op"])
    return {k: decode(v, arrays) for k, v in value.get("dict", value).items()}
