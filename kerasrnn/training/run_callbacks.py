"""The callbacks of a training, and the checkpoints that are made after them."""

from typing import Any

import keras
import tensorflow as tf

from kerasrnn.training.callback_state import encode_attributes
from kerasrnn.training.run import TrainingRun


class RunCallbacks(keras.callbacks.CallbackList):
    """Callbacks of a run that may have been interrupted: they continue from where they were.

    Checkpoints are made when every other callback has had its turn.
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
        self._initial = [encode_attributes(callback, {}) for callback in self.callbacks]
        if run.resumed and verbose != 0:
            print(_standing(run), flush=True)

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.run.assign_callbacks(self.callbacks)

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        if self.run.step:  # gone on with: an epoch that begins has reset metrics and more
            self.run.assign_variables()
            self.run.assign_callbacks(self.callbacks)
        self.run.forget()

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        every, before, self.run.step = self.run.checkpoint_every, self.run.step, batch + 1
        last = self.run.step >= self.run.steps_per_epoch  # on_epoch_end comes soon
        if not last and self.run.step // every > before // every:
            self.run.save(self.callbacks, self._initial)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        self.run.epoch, self.run.step, self.run.ended = epoch + 1, 0, False
        self.run.stopped = bool(self.run.model.stop_training)
        self.run.save(self.callbacks, self._initial)

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        self.run.forget()
        self.run.ended = True
        self.run.save(self.callbacks, self._initial)

    def of_finished_run(self) -> keras.callbacks.History:
        """The history of a finished run."""
        self.run.assign_callbacks(self.callbacks)
        self.run.forget()
        return self.run.model.history


def _standing(run: TrainingRun) -> str:
    """Where a run stands that was found in a folder."""
    where, done = run.folder.parent, f"{run.epoch} of {run.epochs} epochs"
    if run.finished:
        return (
            f"the run in {where} is finished: {done} are done. Use resume=False to start "
            "again, or more epochs to continue."
        )
    steps = f" and {run.step} steps" if run.step else ""
    return f"going on with the run in {where}: {done}{steps} are done"


def make_callbacks(
    model: keras.Model,
    callbacks: Any,
    epochs: int,
    batches: tf.data.Dataset,
    verbose: str | int,
    run: TrainingRun | None,
) -> keras.callbacks.CallbackList:
    """The callbacks of a training, with a history and, unless `verbose=0`, a progress bar."""
    if run is not None:
        return RunCallbacks(run, callbacks, verbose)
    num_steps = int(batches.cardinality())
    return keras.callbacks.CallbackList(
        callbacks,
        add_history=True,
        add_progbar=verbose != 0,
        model=model,
        verbose=verbose,
        epochs=epochs,
        steps=num_steps if num_steps > 0 else None,
    )
