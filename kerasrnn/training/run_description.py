"""What a training run is, so that another one is not taken for it."""

from typing import Any

import keras
import numpy as np


def describe(model: keras.Model) -> dict:
    """What must be the same to continue a run: the model, its optimizer, its training."""
    configuration: dict[str, Any] = {"model": type(model).__name__}
    try:
        configuration["architecture"] = model.get_config()
    except NotImplementedError:
        configuration["architecture"] = {}
    configuration["optimizer"] = model.training_step.optimizer_at_first
    compiled = model.get_compile_config()
    configuration["training"] = {k: v for k, v in compiled.items() if k != "optimizer"}
    return configuration


def find_difference(a: Any, b: Any) -> str | None:
    """The path to the first difference between two configurations; `None` if they agree."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in [*a, *(k for k in b if k not in a)]:
            below = find_difference(a.get(key), b.get(key))
            if below is not None:
                return f"{key}.{below}".rstrip(".")
        return None
    return None if a == b else ""


def without_names(configuration: Any) -> Any:
    """A configuration as JSON holds it, without names, which depend on what came before."""
    if isinstance(configuration, dict):
        if str(configuration.get("class_name")).endswith("DTypePolicy"):
            return configuration["config"]["name"]
        return {str(k): without_names(v) for k, v in configuration.items() if k != "name"}
    if isinstance(configuration, (list, tuple)):
        return [without_names(v) for v in configuration]
    if isinstance(configuration, (np.floating, np.integer)):
        return configuration.item()
    simple = isinstance(configuration, (str, int, float, bool, type(None)))
    return configuration if simple else repr(type(configuration))
