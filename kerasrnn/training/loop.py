"""The explicit training loop, around the same step that `fit` runs."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kerasrnn.checks import check_epochs, check_flags, check_path, check_positive_integer, shown
from kerasrnn.training import step as training_step
from kerasrnn.training.checkpoints import RunCallbacks
from kerasrnn.training.divergence import stopped_where_not_finite
from kerasrnn.training.errors import clear_errors
from kerasrnn.training.resumable import CHECKPOINT_EVERY, finished_history, start_run
from kerasrnn.training.streams import Stream
from kerasrnn.training.trainable import TrainableModel


def train(
    model: TrainableModel,
    data: Stream | tf.data.Dataset,
    *,
    epochs: int = 1,
    validation_data: Stream | tf.data.Dataset | None = None,
    callbacks: Iterable[keras.callbacks.Callback] | None = None,
    verbose: str | int = "auto",
    run_dir: str | Path | None = None,
    resume: bool = True,
    checkpoint_every: int = CHECKPOINT_EVERY,
) -> keras.callbacks.History:
    """Trains a compiled `SequenceModel` in an explicit loop under `tf.GradientTape`.

    The same steps, metrics and callbacks as `model.fit`, and the same weights
    at the end; but the states pass from step to step as values, before your
    eyes. The step is always compiled, and runs once an execution: `run_eagerly`
    and `steps_per_execution` are for `fit`.

    Args:
        model: compiled.
        data: a `kerasrnn.Stream`, or a dataset of batches
            `(inputs, targets[, sample_weight])`.
        epochs: how often to go through it. Default: 1.
        validation_data: evaluated after each epoch.
        callbacks: Keras callbacks.
        verbose: 0 is silent, 1 a progress bar, 2 a line an epoch. Default:
            `"auto"`, a progress bar.
        run_dir: a folder for checkpoints, so that the run can be killed at any
            moment and go on, bit for bit, when the same call is made again.
            Default: `None`, none are made.
        resume: whether to go on from a checkpoint in `run_dir`. `False` begins
            anew, and removes it. Default: `True`.
        checkpoint_every: training steps between two checkpoints; there is one
            after every epoch, too. Default: 1000.

    Returns:
        A `History` of the whole run, as from `fit`.

    Raises:
        FloatingPointError: if a step or the validation loss is not finite.
        ValueError: if the checkpoint in `run_dir` belongs to another
            configuration, or all are damaged; for batches that do not go together
            with what `compile` was given.
        BlockingIOError: if another process trains in `run_dir`.
    """
    if not isinstance(model, TrainableModel):
        raise ValueError(f"model must be a kerasrnn.SequenceModel, got model={shown(model)}.")
    check_epochs(epochs)
    check_flags(resume=resume)
    if not isinstance(verbose, (str, int)) or verbose not in ("auto", 0, 1, 2):
        raise ValueError(f'verbose must be 0, 1, 2 or "auto", got verbose={shown(verbose)}.')
    check_positive_integer("checkpoint_every", checkpoint_every)
    if run_dir is not None:
        check_path("run_dir", run_dir)
    batches = model.batches(data, for_training=True)
    if model.stops_where_not_finite:
        callbacks = stopped_where_not_finite(callbacks, model)
    if validation_data is not None:
        validation_data = model.batches(validation_data, for_training=False)
    if run_dir is None:
        return _loop(model, batches, validation_data, callbacks, epochs, verbose, None)
    with start_run(model, batches, run_dir, epochs, None, checkpoint_every, resume) as run:
        return _loop(model, batches, validation_data, callbacks, epochs, verbose, run)


def _loop(model, batches, validation_data, callbacks, epochs, verbose, run):
    if run:
        if run.ended and run.finished:
            model.reset_states()
            return finished_history(run, callbacks, verbose)
        listeners: Any = RunCallbacks(run, callbacks, verbose)
    else:
        model.prepare(batches)
        num_steps = int(batches.cardinality())
        listeners = keras.callbacks.CallbackList(
            callbacks,
            add_history=True,
            add_progbar=verbose != 0,
            model=model,
            verbose=verbose,
            epochs=epochs,
            steps=num_steps if num_steps > 0 else None,
        )

    step = compile_step(model, batches)
    states = model.carried_states()
    first_epoch, done = (run.epoch, run.step) if run else (0, 0)
    if run:  # one pass over all epochs, from where the run stands
        rest = iter(batches.repeat().skip(run.epoch * run.steps_per_epoch + run.step))
    model.stop_training = False
    listeners.on_train_begin()
    logs: dict = {}
    with model.forgetting("training"), clear_errors():
        for epoch in range(first_epoch, first_epoch if run and run.finished else epochs):
            model.reset_metrics()
            listeners.on_epoch_begin(epoch)
            numbered: Iterable = enumerate(batches)
            if run:
                numbered = zip(range(done, run.steps_per_epoch), rest, strict=False)
            for number, batch in numbered:
                listeners.on_train_batch_begin(number)
                logs, states = step(batch, states)
                if run:
                    model.keep_carried_states(states)
                listeners.on_train_batch_end(number, logs)
                if model.stop_training:
                    break
            done = 0
            epoch_logs = {name: float(value) for name, value in logs.items()}
            if validation_data is not None:
                scores = model.evaluate(
                    validation_data, verbose=0, return_dict=True, callbacks=listeners
                )
                epoch_logs.update({f"val_{name}": value for name, value in scores.items()})
            listeners.on_epoch_end(epoch, epoch_logs)
            if model.stop_training:
                break
        if epochs > 0:  # the averages of use_ema=True, for example
            model.optimizer.finalize_variable_values(model.trainable_weights)
        listeners.on_train_end(logs)
    return model.history


def compile_step(model: TrainableModel, batches: tf.data.Dataset):
    """The training step as one graph: `(batch, states) -> (logs, states)`."""
    states = tf.nest.map_structure(
        lambda s: tf.TensorSpec([None, *s.shape[1:]], s.dtype), model.carried_states()
    )

    def step(batch, states):
        return training_step.training_step(model, batch, states)

    return tf.function(step, [batches.element_spec, states], autograph=False)
