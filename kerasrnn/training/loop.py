"""Training under `tf.GradientTape`: one update, and the loop around it.

`update` is the step that `fit` and `train` both run. `train` is the loop: epochs,
windows, updates, and the state that is carried from each window to the next.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kerasrnn.checks import check_epochs, check_flags, check_path, check_positive_integer, shown
from kerasrnn.training import clipping
from kerasrnn.training.carried_states import forgetting
from kerasrnn.training.data import as_batches
from kerasrnn.training.divergence import stopped_where_not_finite
from kerasrnn.training.errors import clear_errors
from kerasrnn.training.finite_steps import if_finite
from kerasrnn.training.parallel_parts import gradients_of_parts
from kerasrnn.training.random_window import rescaled_learning_rate
from kerasrnn.training.recompute import recomputed_gradients
from kerasrnn.training.replicas import num_replicas, sum_gradients, sum_over_replicas
from kerasrnn.training.resuming import CHECKPOINT_EVERY, epochs_to_go, open_run
from kerasrnn.training.run_callbacks import make_callbacks
from kerasrnn.training.step import TrainingStep
from kerasrnn.training.streams import Stream


def update(step: TrainingStep, batch: Any, carried: list | None) -> tuple[dict, list | None]:
    """One update: the tape, the gradient, clipping, the optimizer.

    Args:
        step: the training step of a built model, with a built optimizer.
        batch: `(inputs, targets[, sample_weight])`, where inputs are `(batch, time, ...)`
            or a dictionary of `"inputs"` and `"reset"`.
        carried: the states after the previous window; `None` or empty if every batch holds
            whole sequences.

    Returns:
        The metrics by name, and the detached states for the next window; `carried` itself if
        it was empty.
    """
    model, options, optimizer = step.model, step.options, step.optimizer
    variables = [variable.value for variable in model.trainable_variables]
    window = step.read(batch)
    counts = step.count(window)
    states = step.starting_states(window, carried)
    scale = optimizer.scale_loss(tf.constant(1.0))  # 1, but in mixed precision

    if options.recompute:
        outcome, gradients = recomputed_gradients(step, window, states, counts, scale)
    elif options.parallel_parts > 1:
        outcome, gradients = gradients_of_parts(step, window, states, counts, scale)
    else:
        with tf.GradientTape() as tape:
            outcome = step.run(window, states, counts)
            scaled_loss = outcome.loss * tf.cast(scale, outcome.loss.dtype)
        gradients = tape.gradient(scaled_loss, variables)

    gradients = sum_gradients(gradients)
    # Adam squares each row that it is given: rows of one index must be added up before.
    gradients = [clipping.sum_duplicates(g) for g in gradients]
    gradients = [clipping.scale(g, 1 / scale) for g in gradients]
    norm = clipping.norm_of_distinct_rows(gradients)
    if options.global_clipnorm is not None:
        gradients = clipping.clip_by_global_norm(gradients, options.global_clipnorm, norm)
    elif options.clipvalue is not None:
        gradients = clipping.clip_by_value(gradients, options.clipvalue)
    # The optimizer divides by the loss scale, and adds up over the replicas, itself.
    gradients = [clipping.scale(g, scale / num_replicas()) for g in gradients]
    outcome = outcome._replace(loss=sum_over_replicas(outcome.loss))

    def apply():
        with rescaled_learning_rate(optimizer, options.window, tf.shape(window.inputs)[1]):
            optimizer.apply(gradients, model.trainable_variables)
        logs = step.update_metrics(window, outcome, counts)
        step.count_norm(norm)
        return logs, outcome.states

    logs, states = if_finite(step, apply, states, outcome.loss, norm, scale)
    logs["gradient_norm"] = step.gradient_norm.result()
    return logs, tf.nest.map_structure(tf.stop_gradient, states) if carried else carried


def train(
    model: keras.Model,
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
    """Trains a compiled model of this package in an explicit loop.

    It runs the same steps, metrics and callbacks as `model.fit`, and for batches in the same
    order it ends with the same weights. (The `fit` of Keras reads a dataset that shuffles in
    another order, from the second epoch on.) But here you can see how the states pass from
    step to step, as values. The step is always compiled, and each execution runs one step:
    `run_eagerly` and `steps_per_execution` work only with `fit`.

    Args:
        model: a compiled model.
        data: a `kerasrnn.Stream`, or a dataset of batches
            `(inputs, targets[, sample_weight])`.
        epochs: how many times to go through `data`. Default: 1.
        validation_data: evaluated after each epoch.
        callbacks: Keras callbacks.
        verbose: 0 is silent, 1 a progress bar, 2 one line per epoch. Default: `"auto"`, a
            progress bar.
        run_dir: a folder for checkpoints. If the run is killed at any moment, make the same
            call again: it continues, bit for bit. Default: `None`, no checkpoints.
        resume: whether to continue from a checkpoint in `run_dir`. `False` removes the
            checkpoint and starts a new run. Default: `True`.
        checkpoint_every: training steps between two checkpoints; there is also one after
            every epoch. Default: 1000.

    Returns:
        A `History` of the whole run, as from `fit`.

    Raises:
        FloatingPointError: if a step or the validation loss is not finite.
        ValueError: if the checkpoint in `run_dir` belongs to another configuration, if all
            checkpoints are damaged, or if the batches do not fit the options of `compile`.
        BlockingIOError: if another process trains in `run_dir`.
    """
    step = _check(model, epochs, verbose, run_dir, resume, checkpoint_every)
    batches = as_batches(data, step.options, model.check_inputs, for_training=True)
    if validation_data is not None:
        validation_data = as_batches(
            validation_data, step.options, model.check_inputs, for_training=False
        )
    model.prepare(batches.element_spec)
    opened = open_run(model, batches, run_dir, epochs, checkpoint_every, resume)
    with opened as run, forgetting(step.carried), clear_errors():
        if step.options.non_finite == "raise":
            callbacks = stopped_where_not_finite(callbacks, model)
        listeners = make_callbacks(model, callbacks, epochs, batches, verbose, run)
        if run and run.ended and run.finished:
            return listeners.of_finished_run()
        compiled_update = compile_update(step, batches)
        states = step.carried.read() if step.carried else []
        if run and step.carried:
            run.before_saving = lambda: step.carried.write(states)

        model.stop_training = False
        logs: dict = {}
        listeners.on_train_begin()
        for epoch, numbered_batches in epochs_to_go(batches, epochs, run):
            model.reset_metrics()
            listeners.on_epoch_begin(epoch)
            for number, batch in numbered_batches:
                listeners.on_train_batch_begin(number)
                logs, states = compiled_update(batch, states)
                listeners.on_train_batch_end(number, logs)
                if model.stop_training:
                    break
            epoch_logs = dict(logs)
            if validation_data is not None:
                scores = model.evaluate(
                    validation_data, verbose=0, return_dict=True, callbacks=listeners
                )
                epoch_logs.update({f"val_{name}": value for name, value in scores.items()})
            listeners.on_epoch_end(epoch, epoch_logs)
            if model.stop_training:
                break
        if epochs > 0:  # the averages of use_ema=True, for example
            step.optimizer.finalize_variable_values(model.trainable_weights)
        listeners.on_train_end(logs)
    return model.history


def compile_update(step: TrainingStep, batches: tf.data.Dataset) -> Callable:
    """`update` as one graph: `(batch, states) -> (logs, states)`."""
    states = tf.nest.map_structure(
        lambda s: tf.TensorSpec([None, *s.shape[1:]], s.dtype),
        step.carried.structure if step.carried else [],
    )

    def run(batch, states):
        return update(step, batch, states)

    return tf.function(run, [batches.element_spec, states], autograph=False)


def _check(model, epochs, verbose, run_dir, resume, checkpoint_every) -> TrainingStep:
    if not hasattr(model, "training_step"):
        raise ValueError(
            "model must be a kerasrnn.SequenceModel or another model of this package, "
            f"got model={shown(model)}."
        )
    check_epochs(epochs)
    check_flags(resume=resume)
    if not isinstance(verbose, (str, int)) or verbose not in ("auto", 0, 1, 2):
        raise ValueError(f'verbose must be 0, 1, 2 or "auto", got verbose={shown(verbose)}.')
    check_positive_integer("checkpoint_every", checkpoint_every)
    if run_dir is not None:
        check_path("run_dir", run_dir)
    return model.training_step
