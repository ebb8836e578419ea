"""Training that diverges stops: what is looked at between the steps."""

import math
from typing import Any

import keras
import tensorflow as tf

ADVICE = "Lower the learning rate, or clip the gradient."


class StopWhereNotFinite(keras.callbacks.Callback):
    """Stops training after an epoch whose loss, validation loss or weights are not finite.

    Raises:
        FloatingPointError: that names the epoch.
    """

    def on_epoch_end(self, epoch, logs=None):
        for name in ("loss", "val_loss"):
            value = (logs or {}).get(name, 0.0)
            if not math.isfinite(value):
                raise FloatingPointError(f"epoch {epoch + 1} has {name}={value}. {ADVICE}")
        check_weights(self.model, f"after epoch {epoch + 1}")


def check_weights(model: keras.Model, when: str) -> None:
    """Raises a `FloatingPointError` if a trained weight is not finite."""
    for weight in model.trainable_variables:
        if not bool(tf.reduce_all(tf.math.is_finite(weight.value))):
            raise FloatingPointError(f"{weight.path} is not finite {when}. {ADVICE}")


def stopped_where_not_finite(callbacks: Any, model: keras.Model) -> Any:
    """The callbacks after a `StopWhereNotFinite`, so that none of them keeps such weights."""
    first = StopWhereNotFinite()
    if isinstance(callbacks, keras.callbacks.CallbackList):
        first.set_model(model)
        callbacks.callbacks.insert(0, first)
        return callbacks
    return [first, *keras.tree.flatten(callbacks or [])]
