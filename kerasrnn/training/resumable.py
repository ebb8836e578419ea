"""A Keras model whose `fit` goes on from where it was cut off."""

import json
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kerasrnn.checks import check_epochs, check_flags, check_path, check_positive_integer
from kerasrnn.training.checkpoints import RunCallbacks, TrainingRun, plain
from kerasrnn.training.divergence import check_weights, stopped_where_not_finite
from kerasrnn.training.errors import DIVERGED, clear_errors, required

CHECKPOINT_EVERY = 1000
_BEFORE_JIT_COMPILE = 8  # arguments of `keras.Model.compile`, with that one


class ResumableModel(keras.Model):
    """`keras.Model`, whose `fit` takes a `run_dir` and can be killed at any moment.

    With `fit(dataset, run_dir=...)` checkpoints are written of everything that
    training depends on: weights, optimizer, carried states, random states,
    callbacks, the position in the data. The same call, made again after the
    process was killed, ends with the weights it would have ended with, bit for
    bit: provided that the data gives the same batches, which is not compared,
    and that layers which draw numbers do so from a `keras.random.SeedGenerator`,
    as those of Keras do. (The global generators of Python and NumPy are saved;
    the one that `keras.random` uses without a seed cannot be.)
    """

    train_function: Any
    stops_where_not_finite = True

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._num_to_skip = 0
        self._without_skipping: Any = None

    def compile(self, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("jit_compile", "auto") == "auto" and len(args) < _BEFORE_JIT_COMPILE:
            # XLA would leave out the checks of a step. The scans compile themselves.
            kwargs["jit_compile"] = False
        super().compile(*args, **kwargs)
        kind = type(self.optimizer).__name__
        # As it is now: callbacks may change the learning rate later.
        self._optimizer_at_first = json.dumps(
            plain({"class": kind, **self.optimizer.get_config()})
        )

    def compile_from_config(self, config: dict) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.build_optimizer()

    def build_optimizer(self) -> None:
        """Makes the variables of the optimizer, once.

        A `LossScaleOptimizer` that is built again would go back to its first scale.
        """
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)

    def compiled_optimizer(self) -> dict:
        """The configuration of the optimizer when the model was compiled."""
        return json.loads(self._optimizer_at_first)

    def prepare(self, batches: tf.data.Dataset) -> tf.Tensor:
        """Builds the model, its metrics and its optimizer for such batches.

        Returns:
            What the model puts out for the smallest example of them.
        """
        spec = keras.utils.unpack_x_y_sample_weight(batches.element_spec)
        inputs, targets = tf.nest.map_structure(self.smallest_example, spec[:2])
        outputs = self(inputs)
        self.build_optimizer()
        self.compute_metrics(inputs, targets, outputs)
        self.reset_metrics()
        return outputs

    def smallest_example(self, spec: tf.TensorSpec) -> tf.Tensor:
        """Zeros such as the batches of a dataset hold, of one example."""
        return tf.zeros([1, *(n or 1 for n in spec.shape[1:])], spec.dtype)

    def extra_variables(self) -> list[tf.Variable]:
        """What training changes besides weights, optimizer and metrics."""
        return []

    def train_step(self, data):
        """`keras.Model.train_step`, which stops before an update that is not finite."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        optimizer = self.optimizer
        with tf.GradientTape() as tape:
            outputs = self(x, training=True)
            loss = self.compute_loss(x, y, outputs, sample_weight, training=True)
            scaled_loss = optimizer.scale_loss(loss)
        weights = self.trainable_weights
        gradients = tape.gradient(scaled_loss, weights)
        norm = tf.linalg.global_norm([g for g in gradients if g is not None])
        # An overflow of scaled gradients is no mishap: the optimizer skips it.
        overflow = (optimizer.scale_loss(tf.constant(1.0)) > 1) & ~tf.math.is_finite(norm)
        finite = tf.math.is_finite(loss) & (tf.math.is_finite(norm) | overflow)
        self.build_optimizer()  # variables cannot be made where one must wait for a check
        with required(finite, DIVERGED, optimizer.iterations + 1, loss, norm):
            optimizer.apply(gradients, weights)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        batch_size = tf.shape(tf.nest.flatten(x)[0])[0]
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss * replicas, sample_weight=batch_size)
        return self.compute_metrics(x, y, outputs, sample_weight)

    def train_on_batch(self, *args: Any, **kwargs: Any):
        """`keras.Model.train_on_batch`, which stops before an update that is not finite.

        Raises:
            FloatingPointError: if the loss or a gradient is not finite; not with
                `jit_compile=True`, where XLA leaves such checks out.
        """
        with clear_errors():
            return super().train_on_batch(*args, **kwargs)

    def make_train_function(self, force: bool = False) -> None:
        super().make_train_function(force)
        if not self._num_to_skip:
            return
        train = self._without_skipping = self.train_function

        def skip_or_train(iterator):
            if self._num_to_skip > 0:  # done before; the data begins after it
                self._num_to_skip -= self.steps_per_execution
                return {}
            return train(iterator)

        self.train_function = skip_or_train

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Any = None,
        *,
        steps_per_epoch: int | None = None,
        run_dir: str | Path | None = None,
        resume: bool = True,
        checkpoint_every: int = CHECKPOINT_EVERY,
        **options: Any,
    ) -> keras.callbacks.History:
        """`keras.Model.fit`, which with a `run_dir` can be killed and called again.

        Args:
            x, y, batch_size, epochs, verbose, callbacks, steps_per_epoch,
                **options: as in Keras. With a `run_dir`, `x` is a `tf.data.Dataset` that gives
                the same batches each time, shuffled by a seed or not at all.
            run_dir: a folder for checkpoints. Default: `None`, none are made.
            resume: whether to go on from a checkpoint there. `False` begins
                anew, and removes it. Default: `True`.
            checkpoint_every: training steps between two checkpoints; there is
                one after every epoch, too. Default: 1000.

        Returns:
            A `History` of the whole run, what came before included.

        Raises:
            FloatingPointError: if a loss, a gradient, a weight or the loss on
                `validation_data` is not finite.
            ValueError: if the checkpoint belongs to another configuration, or
                all checkpoints are damaged.
            BlockingIOError: if another process trains in `run_dir`.
        """
        check_epochs(epochs)
        check_flags(resume=resume)
        check_positive_integer("checkpoint_every", checkpoint_every)
        if run_dir is not None:
            check_path("run_dir", run_dir)
        if batch_size is not None:
            check_positive_integer("batch_size", batch_size)
        if self.stops_where_not_finite:
            callbacks = stopped_where_not_finite(callbacks, self)
        if isinstance(x, tf.data.Dataset):
            options.setdefault("shuffle", False)  # a dataset shuffles itself
        options.update(epochs=epochs, verbose=verbose)
        with clear_errors():
            if run_dir is None:
                return super().fit(
                    x,
                    y,
                    batch_size=batch_size,
                    callbacks=callbacks,
                    steps_per_epoch=steps_per_epoch,
                    **options,
                )
            if "initial_epoch" in options:
                raise ValueError("initial_epoch does not go with run_dir, which knows it.")
            with start_run(
                self, x, run_dir, epochs, steps_per_epoch, checkpoint_every, resume
            ) as run:
                return self._fit_run(run, x, callbacks, options)

    def _fit_run(self, run, x, callbacks, options):
        if run.ended and run.finished:
            return finished_history(run, callbacks, options["verbose"])
        if run.finished:
            options["epochs"] = run.epoch
        self._num_to_skip = run.step
        try:
            return super().fit(
                x.repeat().skip(run.epoch * run.steps_per_epoch + run.step),
                initial_epoch=run.epoch,
                callbacks=RunCallbacks(run, callbacks, options["verbose"]),
                steps_per_epoch=run.steps_per_epoch,
                **options,
            )
        finally:
            self._num_to_skip = 0
            if self._without_skipping is not None:
                self.train_function, self._without_skipping = self._without_skipping, None


def start_run(
    model: ResumableModel,
    batches: tf.data.Dataset,
    run_dir: str | Path,
    epochs: int,
    steps_per_epoch: int | None,
    checkpoint_every: int,
    resume: bool,
) -> TrainingRun:
    """Builds `model` and finds out where its run in `run_dir` stands.

    Raises:
        ValueError: if `batches` is no dataset of a known number of batches, or
            the run in `run_dir` is another one.
    """
    check_positive_integer("checkpoint_every", checkpoint_every)
    if not isinstance(batches, tf.data.Dataset):
        raise ValueError(
            f"run_dir={str(run_dir)!r} needs a tf.data.Dataset, got {type(batches).__name__}: "
            "a run can go on only if the order of its batches is known."
        )
    if steps_per_epoch is None:
        steps_per_epoch = int(batches.cardinality())
        if steps_per_epoch < 1:
            raise ValueError(
                f"run_dir={str(run_dir)!r} needs to know how many batches an epoch has. "
                "Use dataset.apply(tf.data.experimental.assert_cardinality(...))."
            )
    if steps_per_epoch % model.steps_per_execution:
        raise ValueError(
            f"run_dir={str(run_dir)!r} needs steps_per_execution to divide the "
            f"{steps_per_epoch} steps of an epoch, got "
            f"steps_per_execution={model.steps_per_execution}."
        )
    model.prepare(batches)
    return _FiniteRun(
        model,
        run_dir,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        checkpoint_every=checkpoint_every,
        resume=resume,
    )


class _FiniteRun(TrainingRun):
    """A run that leaves no checkpoint of weights that are not finite."""

    def save(self, callbacks, initial=None):
        check_weights(self.model, "where a checkpoint was due")
        super().save(callbacks, initial)


def finished_history(run: TrainingRun, callbacks: Any, verbose: str | int):
    """The history of a run that had come to its end."""
    callbacks = RunCallbacks(run, callbacks, verbose)
    run.assign_callbacks(callbacks.callbacks)
    run.forget()
    return run.model.history
