"""The progress of a training run, on disk and in memory: enough to continue bit for bit."""

import contextlib
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasrnn import files
from kerasrnn.training.callback_state import decode, encode_attributes, without
from kerasrnn.training.checkpoints import (
    DamagedCheckpointError,
    RunError,
    list_checkpoints,
    load,
    save,
)
from kerasrnn.training.divergence import check_weights
from kerasrnn.training.run_description import describe, find_difference, without_names

_NOTES = {
    "configuration": dict,
    "variables": list,
    "epoch": int,
    "step": int,
    "stopped": bool,
    "ended": bool,
    "callbacks": list,
    "python_random": list,
    "numpy_random": list,
}
"""What the notes of a run hold, and its type."""


class TrainingRun:
    """Where a training run stands, on disk and in memory.

    Args:
        model: a compiled model, built, with a built optimizer.
        run_dir: checkpoints go into its folder `checkpoints`.
        epochs: the epoch to end at.
        steps_per_epoch: training steps in an epoch.
        checkpoint_every: training steps between two checkpoints; there is one
            after every epoch, too.
        resume: whether to continue from the newest checkpoint, if there is one, or from the
            one before if the newest is damaged. If `False`, the checkpoints of an earlier run
            there are removed.

    Raises:
        RunError: if there is a checkpoint of another configuration, or all are
            damaged; they stay as they are.
        BlockingIOError: if another process trains in this folder.
    """

    def __init__(
        self,
        model: keras.Model,
        run_dir: str | Path,
        *,
        epochs: int,
        steps_per_epoch: int,
        checkpoint_every: int,
        resume: bool,
    ):
        self.model, self.folder = model, Path(run_dir) / "checkpoints"
        self.epochs, self.steps_per_epoch = epochs, steps_per_epoch
        self.checkpoint_every = checkpoint_every
        self.epoch, self.step, self.stopped, self.ended = 0, 0, False, False
        self.before_saving: Callable[[], None] | None = None
        self.variables = _variables(model)
        self.configuration = without_names(
            {**describe(model), "steps_per_epoch": steps_per_epoch}
        )
        self._loaded: dict[str, Any] | None = None
        self.folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as locks:
            if locks.enter_context(files.locked(self.folder, wait=False)):
                files.remove_unfinished(self.folder)
            found = list_checkpoints(self.folder)
            if resume and found:
                self._restore(found)
            else:
                for path in found:
                    path.unlink()
            self._locks = locks.pop_all()

    def __enter__(self) -> "TrainingRun":
        return self

    def __exit__(self, *_: Any) -> None:
        self._locks.close()

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train."""
        return self.stopped or self.epoch >= self.epochs

    @property
    def resumed(self) -> bool:
        """Whether a checkpoint was found."""
        return self._loaded is not None

    def _restore(self, found):
        damage: DamagedCheckpointError | None = None
        for number, path in reversed(list(enumerate(found))):
            try:
                arrays, notes = self._load(path)
            except DamagedCheckpointError as error:
                damage = damage or error
                continue
            if damage is not None:
                print(f"{damage} Going on from {path.name}.", file=sys.stderr, flush=True)
                for damaged in found[number + 1 :]:
                    files.remove(damaged)
            self.epoch, self.step = notes["epoch"], notes["step"]
            self.stopped, self.ended = notes["stopped"], notes["ended"]
            self._loaded = {"arrays": arrays, "notes": notes}
            self.assign_variables()
            return
        raise RunError(f"{damage} Use resume=False to start again.")

    def _load(self, path):
        arrays, notes = load(path)
        damaged = DamagedCheckpointError(
            f"{path} is damaged: it is not what a training has written."
        )
        if not isinstance(notes, dict) or any(
            not isinstance(notes.get(name), kind) for name, kind in _NOTES.items()
        ):
            raise damaged
        difference = find_difference(notes["configuration"], self.configuration)
        shapes = [[list(v.shape), v.dtype.name] for v in self.variables]
        if difference is None and notes["variables"] != shapes:
            difference = "the shapes of its variables"
        if difference is not None:
            raise RunError(
                f"{path} belongs to another run: it differs in {difference}. "
                "Use another run_dir, or resume=False to start again."
            )
        values = [arrays.get(f"variable/{n}") for n in range(len(self.variables))]
        if not all(
            value is not None
            and value.dtype.itemsize == variable.dtype.size
            and variable.shape.is_compatible_with(value.shape)
            for value, variable in zip(values, self.variables, strict=True)
        ):
            raise damaged
        return arrays, notes

    def assign_variables(self) -> None:
        """Gives the variables of the model the values of the checkpoint that was found."""
        if self._loaded is None:
            return
        for number, variable in enumerate(self.variables):
            value = self._loaded["arrays"][f"variable/{number}"]
            dtype = variable.dtype.as_numpy_dtype
            variable.assign(value.view(dtype) if value.dtype.kind == "V" else value)

    def assign_callbacks(self, callbacks: list[keras.callbacks.Callback]) -> None:
        """Gives callbacks, and the global generators, the state they had at the checkpoint.

        Raises:
            RunError: if a callback is missing that had come to a state of its own, or
                what is said of one cannot be read.
        """
        if self._loaded is None:
            return
        arrays, notes = self._loaded["arrays"], self._loaded["notes"]
        try:
            self._assign_callbacks(list(callbacks), arrays, notes)
            version, internal, gauss = notes["python_random"]
            random.setstate((version, tuple(internal), gauss))
            name, position, has_gauss, cached = notes["numpy_random"]
            np.random.set_state((name, arrays["numpy_random"], position, has_gauss, cached))
        except RunError:
            raise
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise DamagedCheckpointError(
                f"The checkpoint in {self.folder} is damaged: what it says of callbacks and "
                f"random generators cannot be read ({error}). Use resume=False to start again."
            ) from error

    def _assign_callbacks(self, remaining, arrays, notes):
        for kind, state in notes["callbacks"]:
            same = (c for c in remaining if type(c).__name__ == kind)
            callback = next(same, None)
            if callback is not None:
                remaining.remove(callback)
                vars(callback).update(decode(state, arrays))
            elif state:
                raise RunError(
                    f"The run in {self.folder.parent} had a callback {kind}, which is missing "
                    "now. Give the same callbacks, or use resume=False to start again."
                )

    def forget(self) -> None:
        """Lets go of what was loaded, when all of it is in place."""
        self._loaded = None

    def save(self, callbacks: list[keras.callbacks.Callback], initial: list[dict]) -> None:
        """Writes a checkpoint of everything as it is now.

        Args:
            callbacks: their attributes are saved.
            initial: the attributes that callbacks had at first; what has not
                changed since is left to whoever makes them again.

        Raises:
            FloatingPointError: if a weight is not finite; nothing is written then.
        """
        check_weights(self.model, "where a checkpoint was due")
        if self.before_saving is not None:
            self.before_saving()
        arrays = {f"variable/{n}": v.numpy() for n, v in enumerate(self.variables)}
        name, arrays["numpy_random"], *numpy_random = np.random.get_state()
        notes = {
            "configuration": self.configuration,
            "variables": [[list(v.shape), v.dtype.name] for v in self.variables],
            "epoch": self.epoch,
            "step": self.step,
            "stopped": self.stopped,
            "ended": self.ended,
            "python_random": random.getstate(),
            "numpy_random": [name, *numpy_random],
            "callbacks": [
                (
                    type(callback).__name__,
                    without(encode_attributes(callback, arrays), before),
                )
                for callback, before in zip(callbacks, initial, strict=True)
            ],
        }
        save(self.folder, self.epoch * self.steps_per_epoch + self.step, arrays, notes)


def _variables(model) -> list[tf.Variable]:
    """Every variable that training changes, each once."""
    of_keras = [*model.variables, *model.metrics_variables]
    if model.optimizer is not None:
        of_keras += model.optimizer.variables
    found = [v.value for v in of_keras] + model.training_step.variables
    return list({id(v): v for v in found}.values())
