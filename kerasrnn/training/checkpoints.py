"""Checkpoints of a training run: whole or absent, and enough to go on bit for bit."""

import contextlib
import errno
import io
import json
import random
import sys
from pathlib import Path
from typing import Any, BinaryIO

import keras
import numpy as np
import tensorflow as tf

from kerasrnn import files

_PREFIX, _SUFFIX = "step-", ".npz"
_NUM_KEPT = 2
_OF_THE_MACHINE = (
    errno.EIO,
    errno.EACCES,
    errno.EPERM,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
)
"""Errors in reading that say nothing of the file."""
_PIECE = 2**20  # bytes written at a time
_NEW = object()
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


class RunError(ValueError):
    """A run that cannot go on from what lies in its folder."""


class DamagedCheckpointError(RunError):
    """A checkpoint that is not what a training has written."""


def save(folder: Path, step: int, arrays: dict[str, np.ndarray], notes: dict) -> Path:
    """Writes a checkpoint under its step, and then removes all but the newest two.

    A reader, or a process killed at any moment, finds a whole file or none.

    Args:
        folder: made if it is missing.
        step: the number of training steps done.
        arrays: by name.
        notes: anything JSON holds.

    Returns:
        The file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_PREFIX}{step:010}{_SUFFIX}"
    with files.writing(path) as hidden, open(hidden, "wb", _PIECE) as file:
        notes_array = np.array(json.dumps(notes))
        np.savez(_Forwards(file), allow_pickle=False, notes=notes_array, **arrays)
    for old in list_checkpoints(folder)[:-_NUM_KEPT]:
        old.unlink(missing_ok=True)
    return path


class _Forwards(io.BufferedIOBase):
    """A file to write from its beginning to its end: so it is written in large pieces."""

    def __init__(self, file: BinaryIO):
        self._file = file

    def write(self, data: Any) -> int:
        return self._file.write(data)


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, oldest first."""
    return sorted(Path(folder).glob(f"{_PREFIX}*{_SUFFIX}"))


def load(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """The arrays and the notes of a checkpoint.

    Raises:
        DamagedCheckpointError: if the file is damaged, for example cut short.
        OSError: if the machine cannot read it now.
    """
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        notes = json.loads(str(arrays.pop("notes")))
    except MemoryError:
        raise
    except Exception as error:  # what a damaged file makes of zipfile, zlib, NumPy and JSON
        if getattr(error, "errno", None) in _OF_THE_MACHINE:
            raise
        raise DamagedCheckpointError(f"{path} is damaged and cannot be read.") from error
    return arrays, notes


class TrainingRun:
    """Where a training run stands, on disk and in memory.

    Args:
        model: a compiled model, built, with a built optimizer.
        run_dir: checkpoints go into its folder `checkpoints`.
        epochs: the epoch to end at.
        steps_per_epoch: training steps in an epoch.
        checkpoint_every: training steps between two checkpoints; there is one
            after every epoch, too.
        resume: whether to go on from the newest checkpoint, if there is one, or
            from the one before where the newest is damaged. If not, checkpoints of
            an earlier run there are removed.

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
        self.variables = _variables(model)
        self.configuration = plain({**describe(model), "steps_per_epoch": steps_per_epoch})
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
        raise RunError(f"{damage} Use resume=False to begin anew.")

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
                "Use another run_dir, or resume=False to begin anew."
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
                f"random generators cannot be read ({error}). Use resume=False to begin anew."
            ) from error

    def _assign_callbacks(self, remaining, arrays, notes):
        for kind, state in notes["callbacks"]:
            same = (c for c in remaining if type(c).__name__ == kind)
            callback = next(same, None)
            if callback is not None:
                remaining.remove(callback)
                vars(callback).update(_decode(state, arrays))
            elif state:
                raise RunError(
                    f"The run in {self.folder.parent} had a callback {kind}, which is missing "
                    "now. Give the same callbacks, or use resume=False to begin anew."
                )

    def forget(self) -> None:
        """Lets go of what was loaded, when all of it is in place."""
        self._loaded = None

    def save(
        self, callbacks: list[keras.callbacks.Callback], initial: list[dict] | None = None
    ) -> None:
        """Writes a checkpoint of everything as it is now.

        Args:
            callbacks: their attributes are saved.
            initial: the attributes that callbacks had at first; what has not
                changed since is left to whoever makes them again.
        """
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
                    _without(_encode_attributes(callback, arrays), before),
                )
                for callback, before in zip(
                    callbacks, initial or [{}] * len(callbacks), strict=True
                )
            ],
        }
        save(self.folder, self.epoch * self.steps_per_epoch + self.step, arrays, notes)


class RunCallbacks(keras.callbacks.CallbackList):
    """Callbacks of a run that may have been cut off: they go on from where they were.

    Steps that were done before are not reported again. Checkpoints are made
    when every other callback has had its turn.
    """

    def __init__(self, run: TrainingRun, callbacks: Any, verbose: str | int):
        self.run = run
        super().__init__(
            callbacks,
            add_history=True,
            add_progbar=verbose != 0,
            verbose=verbose,
            epochs=run.epochs,
            steps=run.steps_per_epoch,
            model=run.model,
        )
        self._initial = [_encode_attributes(callback, {}) for callback in self.callbacks]
        if run.resumed and verbose != 0:
            steps = f" and {run.step} steps" if run.step else ""
            print(
                f"going on with the run in {run.folder.parent}: {run.epoch} of {run.epochs} "
                f"epochs{steps} are done",
                flush=True,
            )
        self._done = run.step  # steps of the first epoch that are not to be repeated

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.run.assign_callbacks(self.callbacks)

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        if self._done:  # what an epoch resets when it begins
            self.run.assign_variables()
            self.run.assign_callbacks(self.callbacks)
        self.run.forget()

    def on_train_batch_begin(self, batch, logs=None):
        if batch >= self._done:
            super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        if batch < self._done:
            return
        super().on_train_batch_end(batch, logs)
        every, before, self.run.step = self.run.checkpoint_every, self.run.step, batch + 1
        last = self.run.step >= self.run.steps_per_epoch  # on_epoch_end comes soon
        if not last and self.run.step // every > before // every:
            self.run.save(self.callbacks, self._initial)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        self._done = 0
        self.run.epoch, self.run.step, self.run.ended = epoch + 1, 0, False
        self.run.stopped = bool(self.run.model.stop_training)
        self.run.save(self.callbacks, self._initial)

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        self.run.forget()
        self.run.ended = True
        self.run.save(self.callbacks, self._initial)


def describe(model: keras.Model) -> dict:
    """What must be the same for a run to go on: the model, its optimizer, its training."""
    configuration: dict[str, Any] = {"model": type(model).__name__}
    try:
        configuration["architecture"] = model.get_config()
    except NotImplementedError:
        configuration["architecture"] = {}
    configuration["optimizer"] = model.compiled_optimizer()
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


def plain(configuration: Any) -> Any:
    """A configuration as JSON holds it, without names, which depend on what came before."""
    if isinstance(configuration, dict):
        if str(configuration.get("class_name")).endswith("DTypePolicy"):
            return configuration["config"]["name"]
        return {str(k): plain(v) for k, v in configuration.items() if k != "name"}
    if isinstance(configuration, (list, tuple)):
        return [plain(v) for v in configuration]
    if isinstance(configuration, (np.floating, np.integer)):
        return configuration.item()
    simple = isinstance(configuration, (str, int, float, bool, type(None)))
    return configuration if simple else repr(type(configuration))


def _variables(model) -> list[tf.Variable]:
    """Every variable that training changes, each once."""
    of_keras = [*model.variables, *model.metrics_variables]
    if model.optimizer is not None:
        of_keras += model.optimizer.variables
    found = [v.value for v in of_keras] + list(model.extra_variables())
    return list({id(v): v for v in found}.values())


def _encode_attributes(callback, arrays) -> dict:
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


def _without(state: dict, initial: dict) -> dict:
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


def _decode(value, arrays):
    if isinstance(value, list):
        return [_decode(v, arrays) for v in value]
    if not isinstance(value, dict):
        return value
    if "array" in value and value["array"] in arrays:
        return arrays[value["array"]]
    if "op" in value:
        return getattr(keras.ops, value["op"])
    return {k: _decode(v, arrays) for k, v in value.get("dict", value).items()}
