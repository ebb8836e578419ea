"""A Keras model whose `compile`, `fit` and `evaluate` run a `TrainingStep`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.checks import (
    check_flags,
    check_path,
    check_positive_integer,
    from_config_of,
)
from kerasrnn.layers.nested_layers import recurrent_layers
from kerasrnn.layers.truncation import Truncation
from kerasrnn.training import data as training_data
from kerasrnn.training.carried_states import forgetting
from kerasrnn.training.data import as_batches, inputs_of
from kerasrnn.training.divergence import stopped_where_not_finite
from kerasrnn.training.errors import clear_errors
from kerasrnn.training.fit_checks import check_fit
from kerasrnn.training.layer_checks import check_batch, check_layers
from kerasrnn.training.loop import train, update
from kerasrnn.training.on_batch import OnBatch, check_class_weight
from kerasrnn.training.options import TrainingOptions, check_keras_arguments
from kerasrnn.training.preparation import prepare
from kerasrnn.training.random_window import RandomWindow, check_learning_rate
from kerasrnn.training.resuming import CHECKPOINT_EVERY, check_for_run
from kerasrnn.training.scheduled_sampling import ScheduledSampling
from kerasrnn.training.step import TrainingStep


class TrainableModel(OnBatch, keras.Model):
    """A `keras.Model` that is trained by a `TrainingStep`.

    Everything about training is in `training_step`, which `compile` creates. A subclass
    defines `call`. It overrides the methods and class attributes from `carries_states` to
    `check_inputs` where it needs more than the defaults here.
    """

    carries_states = False
    """Whether `call` takes `states`, and returns the new ones with `return_states`."""
    takes_feedback = False
    """Whether `call` takes `feedback`, and so can read the model's own outputs."""
    alternative_with_feedback = "a kerasrnn.SequenceModel"
    """What to use instead, if this model does not."""
    takes_vectors = False
    """Whether there is an `embedding`, and `call` takes `vectors` in place of its outputs."""
    target_shape: tuple[int | None, int] | None = None
    """`(time, variables)` if each variable of each step has a loss of its own. Then targets are
    `(batch, time, variables)`, those that are NaN do not count, and outputs have one axis
    more."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._training_step: TrainingStep | None = None

    def initial_states(self, batch_size: int | tf.Tensor) -> list:
        """The states before the first step; empty for a model that does not carry states."""
        return []

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> tf.Tensor | None:
        """Which steps count, `(batch, time)`; `None`: all."""
        return None

    def as_the_loss_compares(
        self, inputs: Any, targets: tf.Tensor, outputs: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Targets and outputs in the units of the loss."""
        return targets, outputs

    def as_metrics_compare(self, outputs: tf.Tensor) -> tf.Tensor:
        """What metrics compare with the targets."""
        return outputs

    def check_inputs(self, inputs: Any) -> None:
        """Raises a `ValueError` for inputs that the model cannot take."""

    @property
    def ordered_layers(self) -> Sequence[keras.layers.Layer]:
        """The layers that training checks: those that may be recurrent."""
        return recurrent_layers(self)

    @property
    def training_step(self) -> TrainingStep:
        """Everything that training needs: options, loss, optimizer, carried states, counters.

        Raises:
            ValueError: before `compile`.
        """
        if self._training_step is None:
            raise ValueError("You must call compile() before training or evaluating the model.")
        return self._training_step

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        given = [*arguments, *(options[name] for name in ("ids", "inputs") if name in options)]
        if given:
            self.check_inputs(inputs_of(given[0]))
        return super().__call__(*arguments, **options)

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "rmsprop",
        loss: str | Callable | keras.losses.Loss | None = None,
        metrics: list | None = None,
        weighted_metrics: list | None = None,
        *,
        window: int | RandomWindow | None = None,
        stride: int | None = None,
        carry_state: bool = True,
        truncation: Truncation | str | None = None,
        teacher_forcing: ScheduledSampling | float | None = None,
        global_clipnorm: float | None = None,
        clipvalue: float | None = None,
        adversarial_noise: float | None = None,
        time_reduction: str = "mean",
        parallel_parts: int = 1,
        recompute: bool = False,
        non_finite: str = "raise",
        **options: Any,
    ) -> None:
        """Sets how the model is trained.

        Args:
            optimizer, loss, metrics, weighted_metrics: as in `keras.Model.compile`. The loss
                is computed at every step, `(batch, time)`; any further axes are averaged.
                `time_reduction` replaces the loss's own reduction. A loss function may return
                the mean over all steps, but only if every step counts equally: without a
                mask, a `sample_weight` or a `Stream`. Metrics use only the steps that count.
            window: the number of steps that the gradients of one update flow back: an integer
                or a `kerasrnn.RandomWindow`. With `None`, a batch holds whole sequences, and
                each is read in one piece. Default: `None`.
            stride: steps from one update to the next, at most `window`; 1 is
                the sliding window. Each step's loss counts once. Default:
                `window`. (`stride` and `window` are the k1 and k2, or h' and h,
                of Williams & Peng 1990, doi:10.1162/neco.1990.2.4.490.)
            carry_state: whether each window starts from the states that the previous window
                reached there, detached, and not from the initial states. Default: `True`.
            truncation: a policy for every recurrent layer, while this model trains; `"full"`
                for full BPTT. The layers themselves do not change. Default: each layer's own
                policy.
            teacher_forcing: the teacher forcing ratio: the probability, in [0, 1], that the
                model is fed the true previous output and not its own. Or a
                `kerasrnn.ScheduledSampling`, which can change it during training. Default: 1,
                pure teacher forcing.
            global_clipnorm: the largest norm of all gradients together; larger gradients are
                scaled down to it. The norm before clipping is logged as `gradient_norm`.
            clipvalue: the largest absolute value of an entry of the gradient; larger entries
                are clipped.
            adversarial_noise: adversarial training: adds noise to the word vectors in the
                direction that increases the loss (Miyato et al. 2017, arXiv:1605.07725). The
                value is the norm of the noise on a whole text, divided by the norm of one word
                vector. Each step takes twice as long. Only for a `TextClassifier`. Default:
                `None`, no noise.
            time_reduction: `"mean"` of the losses over all steps that count,
                or their `"sum"` over time, divided by the batch size. Masked
                steps and steps of weight 0 do not count. Default: `"mean"`.
            parallel_parts: how many parts a batch is split into. They are computed side by
                side, and the update is that of the whole batch. On a CPU this is faster than
                many threads for each operation, if you call
                `tf.config.threading.set_intra_op_parallelism_threads(1)` before TensorFlow
                starts. A good value is the number of cores. Default: 1.
            recompute: whether to keep the states of only about sqrt(window) steps, and to
                compute the steps between them again in the backward pass: full BPTT with less
                memory and more time. Default: `False`.
            non_finite: what to do if the loss or the gradient of a step is not finite:
                `"raise"` an error before any weight changes, or `"skip"` the step. With
                `"raise"`, a validation loss that is not finite also stops training. Default:
                `"raise"`.
            **options: `run_eagerly`, `steps_per_execution`,
                `auto_scale_loss`.

        Raises:
            ValueError: if an option is out of range, if two options conflict, or if a layer
                does not support an option.
        """
        checked = TrainingOptions(
            window=window,
            stride=stride,
            carry_state=carry_state,
            truncation=truncation,
            teacher_forcing=teacher_forcing,
            global_clipnorm=global_clipnorm,
            clipvalue=clipvalue,
            adversarial_noise=adversarial_noise,
            time_reduction=time_reduction,
            parallel_parts=parallel_parts,
            recompute=recompute,
            non_finite=non_finite,
        )
        if checked.in_pieces and not self.carries_states:
            raise ValueError(
                f"{type(self).__name__} reads whole sequences. Use window=None and "
                "recompute=False, or a kerasrnn.SequenceModel."
            )
        if not (checked.sampling.feeds_only_the_truth or self.takes_feedback):
            raise ValueError(
                f"{type(self).__name__} does not read its own outputs. Use "
                f"teacher_forcing=1.0, or {self.alternative_with_feedback}."
            )
        if checked.adversarial_noise is not None and not self.takes_vectors:
            raise ValueError(
                f"{type(self).__name__} has no word vectors. Use adversarial_noise=None, or a "
                "kerasrnn.TextClassifier."
            )
        check_layers(self.ordered_layers, checked)
        if isinstance(optimizer, dict):
            optimizer = from_config_of("optimizer", optimizer, keras.optimizers.get)
        check_keras_arguments(optimizer, loss, metrics, weighted_metrics, options)
        options["jit_compile"] = False
        super().compile(optimizer, loss, None, metrics, weighted_metrics, **options)
        check_learning_rate(self.optimizer, window)
        self._training_step = TrainingStep(self, checked, loss, self.optimizer)

    def train_step(self, data):
        """One update, for `fit`: `kerasrnn.training.loop.update`."""
        self._prepare_for(data)
        carried = self.training_step.carried
        logs, states = update(self.training_step, data, carried and carried.read())
        if carried:
            carried.write(states)
        return logs

    def test_step(self, data):
        """Scores of one batch, for `evaluate`."""
        self._prepare_for(data)
        carried = self.training_step.carried_in_evaluation
        logs, states = self.training_step.evaluate(data, carried and carried.read())
        if carried:
            carried.write(states)
        return logs

    def _prepare_for(self, data):
        """Builds what `fit` builds, for a step outside `fit`."""
        inputs, targets, _ = keras.utils.unpack_x_y_sample_weight(data)
        if self.training_step.prepared or targets is None:
            return  # without targets the step says so
        with tf.init_scope():
            self.prepare(
                tf.nest.map_structure(
                    lambda x: tf.TensorSpec(x.shape, x.dtype), (inputs, targets)
                )
            )

    def prepare(self, batch: Any) -> None:
        """Builds the model, its metrics and its optimizer for such batches.

        Args:
            batch: `tf.TensorSpec`s of `(inputs, targets[, sample_weight])`.

        Raises:
            ValueError: if the model cannot be trained on such batches.
        """
        prepare(self.training_step, batch)

    def reset_metrics(self) -> None:
        super().reset_metrics()
        if self._training_step is not None:
            self._training_step.gradient_norm.reset_state()

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        sample_weight: Any = None,
        *,
        run_dir: str | Path | None = None,
        resume: bool = True,
        checkpoint_every: int = CHECKPOINT_EVERY,
        **options: Any,
    ) -> keras.callbacks.History:
        """Trains: `keras.Model.fit`, which also takes streams and can continue a run.

        Args:
            x: a `kerasrnn.Stream`, a `tf.data.Dataset` or arrays. With a
                `window`, arrays `(sequences, time, ...)` are read as a stream
                of `batch_size` sequences side by side.
            y, batch_size, epochs, verbose, callbacks, validation_split,
                sample_weight: as in Keras.
            validation_data: a stream, a dataset, or a tuple of arrays.
            run_dir, resume, checkpoint_every: a folder for checkpoints, as in
                `kerasrnn.train`, which then does the training: `run_eagerly` and
                `steps_per_execution` have no effect. `x` must give the same batches each
                time: a stream or a dataset; with a `window`, arrays work, too.
            **options: as in Keras; not allowed with a `run_dir`.

        Returns:
            A `History`. Its `gradient_norm` is the mean of the norms before clipping.

        Raises:
            FloatingPointError: if a step or the validation loss is not finite.
            ValueError: if the data does not fit the options of `compile`.
        """
        step = self.training_step
        check_flags(resume=resume)
        check_fit(
            step.options,
            self.distribute_strategy.num_replicas_in_sync,
            epochs=epochs,
            batch_size=batch_size,
            validation_split=validation_split,
        )
        check_positive_integer("checkpoint_every", checkpoint_every)
        if step.options.window is not None:
            x = training_data.as_batches_or_stream(x, y, sample_weight, batch_size)
            if validation_data is not None:
                parts = training_data.unpack_validation_data(validation_data)
                validation_data = training_data.as_batches_or_stream(*parts, batch_size)
            y = sample_weight = batch_size = None
        if run_dir is not None:
            check_path("run_dir", run_dir)
            check_for_run(run_dir, x, validation_split, options)
            training_data.check_given(x, y, sample_weight)
            if isinstance(validation_data, (tuple, list)):
                validation_data = training_data.as_dataset(validation_data, batch_size)
            return train(
                self,
                x,
                epochs=epochs,
                validation_data=validation_data,
                callbacks=callbacks,
                verbose=verbose,
                run_dir=run_dir,
                resume=resume,
                checkpoint_every=checkpoint_every,
            )
        if step.options.window is not None:
            x = self._windows(x, for_training=True)
            if validation_data is not None:
                validation_data = self._windows(validation_data, for_training=False)
        self.prepare(training_data.spec_of(x, y, self.check_inputs))
        check_class_weight(options.get("class_weight"), step)
        if step.options.non_finite == "raise":
            callbacks = stopped_where_not_finite(callbacks, self)
        if isinstance(x, tf.data.Dataset):
            options.setdefault("shuffle", False)  # a dataset shuffles itself
        with forgetting(step.carried), clear_errors():
            return super().fit(
                x,
                y,
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=callbacks,
                validation_split=validation_split,
                validation_data=validation_data,
                sample_weight=sample_weight,
                **options,
            )

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Any = None,
        **options: Any,
    ):
        """Loss and metrics: `keras.Model.evaluate`, which also takes streams.

        With a `window`, states are carried from window to window through all of the data.
        """
        step = self.training_step
        if step.options.window is not None:
            x = training_data.as_batches_or_stream(x, y, sample_weight, batch_size)
            x = self._windows(x, for_training=False)
            y = sample_weight = batch_size = None
        batch = training_data.spec_of(x, y, self.check_inputs)
        if step.prepared:
            check_batch(self.ordered_layers, batch)
        else:
            self.prepare(batch)  # which checks it, too
        with forgetting(step.carried_in_evaluation), clear_errors():
            return super().evaluate(
                x,
                y,
                batch_size=batch_size,
                verbose=verbose,
                sample_weight=sample_weight,
                **options,
            )

    def predict(self, x: Any, *arguments: Any, **options: Any) -> Any:
        """The outputs for whole sequences: `keras.Model.predict`.

        Raises:
            ValueError: if `x` does not hold whole sequences of one length, for example if it
                is a stream.
        """
        arrays = training_data.whole_sequences(x)
        self.check_inputs(arrays)
        if isinstance(x, np.ndarray) and not len(x):  # Keras cannot
            return np.asarray(self(x))
        with clear_errors():
            return super().predict(x, *arguments, **options)

    def _windows(self, data, *, for_training):
        options = self.training_step.options
        return as_batches(data, options, self.check_inputs, for_training=for_training)

    def get_compile_config(self) -> dict:
        config = super().get_compile_config()
        if self._training_step is not None:
            config["training_options"] = keras.saving.serialize_keras_object(
                self._training_step.options
            )
        return config

    def compile_from_config(self, config: dict) -> None:
        config = keras.saving.deserialize_keras_object(config)
        options = config.pop("training_options").__dict__
        names = ("optimizer", "loss", "metrics", "weighted_metrics")
        self.compile(**{k: config.pop(k) for k in names}, **options, **config)
        if self.built and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
