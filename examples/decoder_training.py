"""What the examples that train a text decoder share: options, command line, progress."""

import dataclasses
import sys
import time
from collections.abc import Callable
from typing import Any

from apps import cli

PATIENCE = 3
"""Epochs without a better validation loss, after which a training ends."""


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of these examples."""

    epochs: int = 20
    """Maximum number of epochs."""
    seed: int = 0
    """Of initial weights, batches and samples. The data do not depend on it."""


def main(name: str, description: str, options: type, run: Callable) -> int:
    """Runs `python -m examples.<name>`; says at the end how long it took."""

    def timed_run(options: Options) -> None:
        cli.check_option(options, "seed", 0 <= options.seed < 2**31, "must be from 0 to 2^31")
        cli.check_numbers(options, "epochs", 1, cli.COUNT)
        start = time.perf_counter()
        run(options)
        print(f"seed {options.seed}, {time.perf_counter() - start:.0f} seconds")

    return cli.main(f"examples.{name}", description, {"run": cli.Command(options, timed_run)})


def fit(model: Any, batches: Any, validation: Any, epochs: int, name: str) -> None:
    """Trains while the validation loss gets better, and keeps the best weights.

    Args:
        model: compiled.
        batches, validation: as `fit` takes them.
        epochs: the most epochs.
        name: begins the line that standard error gets in each epoch.
    """
    import keras

    start = time.perf_counter()

    def show(epoch: int, logs: dict[str, float]) -> None:
        print(
            f"{name}: epoch {epoch + 1} of {epochs}, loss {logs['loss']:.3f}, "
            f"validation loss {logs['val_loss']:.3f}, {time.perf_counter() - start:.0f} s",
            file=sys.stderr,
            flush=True,
        )

    best = keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)
    callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=show), best]
    model.fit(
        batches,
        validation_data=validation,
        epochs=epochs,
        verbose=0,
        callbacks=callbacks,
    )
