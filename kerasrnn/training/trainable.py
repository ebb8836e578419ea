"""Training over windows with carried states, for every model that passes its states on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from kerasrnn.checks import (
    check_flags,
    check_positive_integer,
    check_rate,
    from_config_of,
    shown,
)
from kerasrnn.layers import rnn
from kerasrnn.layers.truncation import TruncatedBPTT, Truncation
from kerasrnn.models.lookup import InputTable, check_whole
from kerasrnn.training import data as training_data
from kerasrnn.training import feedback as teacher_forcing
from kerasrnn.training import step as training_step
from kerasrnn.training import streams
from kerasrnn.training.carrying import cannot_carry, held_recurrence
from kerasrnn.training.errors import clear_errors
from kerasrnn.training.feedback import Feedback, ScheduledSampling
from kerasrnn.training.losses import loss_of_each
from kerasrnn.training.options import TrainingOptions
from kerasrnn.training.resumable import ResumableModel
from kerasrnn.training.streams import RandomWindow, Stream


class TrainableModel(ResumableModel):
    """What `SequenceModel` adds to `keras.Model` for training: `compile`, `fit`, `evaluate`.

    A subclass has `sequence_layers`, `recurrent_layers`, `initial_states` and
    a `call` that takes and returns states; see `SequenceModel`.
    """

    sequence_layers: list[keras.layers.Layer]

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._untracked: _Training | None = None

    @property
    def recurrent_layers(self) -> list[keras.layers.RNN]:
        """The layers whose states are carried, in order."""
        raise NotImplementedError

    def initial_states(self, batch_size: int | tf.Tensor) -> list:
        """The states before the first step of `batch_size` sequences."""
        raise NotImplementedError

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
        clip_norm: float | None = None,
        clip_value: float | None = None,
        time_reduction: str = "mean",
        accumulation_steps: int = 1,
        parallel_parts: int = 1,
        recompute: bool = False,
        non_finite: str = "raise",
        **options: Any,
    ) -> None:
        """Says how to train.

        Args:
            optimizer, loss, metrics, weighted_metrics: as in
                `keras.Model.compile`. The loss is taken at every step:
                `(batch, time)`, and the mean over all axes that follow.
                `time_reduction` takes the place of a reduction of its own. A
                loss function may return the mean over all steps, but only
                where every step counts alike: with no mask, no
                `sample_weight` and no `Stream`.
                Metrics see the steps that count and no others.
            window: steps on a tape: an update is made of the gradients that
                flow back through that many steps. An integer, a
                `kerasrnn.RandomWindow`, or `None`: a batch holds whole
                sequences, and each is read in one piece. Default: `None`.
            stride: steps from one update to the next, at most `window`; 1 is
                the sliding window. Each step's loss counts once. Default:
                `window`. (`stride` and `window` are the k1 and k2, or h' and h,
                of Williams & Peng 1990, doi:10.1162/neco.1990.2.4.490.)
            carry_state: whether the states of a window, detached, are the
                initial states of the next. Default: `True`.
            truncation: a policy for every recurrent layer; `"full"` for full
                BPTT. Default: each layer's own.
            teacher_forcing: the chance that the true previous output is fed
                and not the model's own, or a `kerasrnn.ScheduledSampling`.
                Default: 1, pure teacher forcing.
            clip_norm: the gradient is projected onto a ball of this radius.
                Its norm before that is logged as `gradient_norm`.
            clip_value: entries of the gradient are clipped to this size.
            time_reduction: `"mean"` of the losses over all steps that count,
                or their `"sum"` over time, divided by the batch size. Masked
                steps and steps of weight 0 do not count. Default: `"mean"`.
            accumulation_steps: a batch is split into that many parts, one
                after the other in memory, whose gradients are added up; the
                update is that of the whole batch. Default: 1.
            parallel_parts: a batch is split into that many parts, computed
                side by side, and the update is that of the whole batch. On a
                CPU this is faster than many threads for each operation, if
                TensorFlow is told so before it starts:
                `tf.config.threading.set_intra_op_parallelism_threads(1)`.
                A good number is that of the cores. Default: 1.
            recompute: keeps the states at about sqrt(window) steps only, and
                runs what lies between once more on the way back: full BPTT
                in less memory and more time. Default: `False`.
            non_finite: what becomes of a step whose loss or gradient is not
                finite: `"raise"` an error before any weight changes, or
                `"skip"` it. With `"raise"` a validation loss that is not
                finite stops training, too. Default: `"raise"`.
            **options: `run_eagerly`, `steps_per_execution`,
                `auto_scale_loss`.

        Raises:
            ValueError: for an option out of its range, two that do not go
                together, or layers that cannot do what is asked.
        """
        checked = TrainingOptions(
            window=window,
            stride=stride,
            carry_state=carry_state,
            truncation=truncation,
            teacher_forcing=teacher_forcing,
            clip_norm=clip_norm,
            clip_value=clip_value,
            time_reduction=time_reduction,
            accumulation_steps=accumulation_steps,
            parallel_parts=parallel_parts,
            recompute=recompute,
            non_finite=non_finite,
        )
        self._check_layers(checked)
        if options.get("jit_compile") is True:
            raise ValueError(
                "jit_compile=True would leave out the checks inside a step. Leave it away: "
                "the scans compile themselves."
            )
        if loss is None:
            raise ValueError("compile needs a loss.")
        ignored = getattr(keras.losses.get(loss), "ignore_class", None)
        if ignored is not None:
            raise ValueError(
                f"ignore_class={ignored} of the loss does not go "
                "with a mean over the steps that count. Use sample_weight: 0 for such steps."
            )
        if optimizer is None:
            raise ValueError("compile needs an optimizer, got optimizer=None.")
        if isinstance(optimizer, dict):
            optimizer = from_config_of("optimizer", optimizer, keras.optimizers.get)
        flags = {n: options[n] for n in ("run_eagerly", "auto_scale_loss") if n in options}
        check_flags(**flags)
        if "steps_per_execution" in options:
            check_positive_integer("steps_per_execution", options["steps_per_execution"])
        for name, given in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if given is not None and not isinstance(given, (list, tuple, dict)):
                raise ValueError(f"{name} must be a list, got {name}={shown(given)}.")
        options["jit_compile"] = False
        super().compile(optimizer, loss, None, metrics, weighted_metrics, **options)
        rate = self.optimizer.learning_rate
        if isinstance(window, RandomWindow) and not isinstance(rate, keras.Variable):
            raise ValueError(
                "A RandomWindow rescales the learning rate, which must be a number then. "
                "Use keras.callbacks.LearningRateScheduler in place of a schedule."
            )
        if checked.truncation is not None:
            for layer in self.recurrent_layers:
                layer.truncation = checked.truncation
        self._untracked = _Training(self, checked, loss)

    def _check_layers(self, options: TrainingOptions) -> None:
        own_outputs = not options.sampling.feeds_only_the_truth
        carried = options.in_pieces or own_outputs
        for layer in self.sequence_layers:
            recurrent = isinstance(layer, keras.layers.RNN)
            reason = cannot_carry(layer) if carried else None
            if reason is not None:
                raise ValueError(
                    f"{reason} List recurrent layers themselves, or use window=None, "
                    "recompute=False and teacher_forcing=1.0."
                )
            if carried and recurrent and not layer.return_sequences:
                raise ValueError(
                    f"{layer.name} puts out its last step alone. Training over windows, "
                    "recomputation and scheduled sampling need return_sequences=True."
                )
            if own_outputs and getattr(layer, "activity_regularizer", None):
                raise ValueError(
                    f"The activity_regularizer of {layer.name} needs teacher_forcing=1.0."
                )
            if options.truncation is not None and held_recurrence(layer):
                raise ValueError(f"Set the truncation on the layers inside {layer.name}.")
            if options.truncation is not None and recurrent and not isinstance(layer, rnn.RNN):
                raise ValueError(
                    f"{layer.name} is a keras.layers.{type(layer).__name__}, which cannot "
                    "truncate. Use kerasrnn.RNN with its cell, or truncation=None."
                )
            cut = isinstance(getattr(layer, "truncation", None), TruncatedBPTT)
            if (
                cut
                and options.truncation is None
                and (options.recompute or options.overlapping)
            ):
                raise ValueError(
                    f"{layer.name} has {layer.truncation}, whose boundaries would move with "
                    'recompute=True or a stride below window. Use truncation="full".'
                )

    @property
    def training_options(self) -> TrainingOptions:
        """What `compile` was given."""
        return self._compiled_training().options

    @property
    def gradient_norm(self) -> keras.metrics.Mean:
        """The mean norm of the gradient, before clipping, of this epoch."""
        return self._compiled_training().gradient_norm

    @property
    def num_skipped(self) -> tf.Variable:
        """How many steps were left out because they were not finite, since `compile`."""
        return self._compiled_training().num_skipped

    @property
    def stops_where_not_finite(self) -> bool:  # type: ignore[override]
        """Whether `fit` stops after an epoch that is not finite."""
        return self.training_options.non_finite == "raise"

    @property
    def every_output(self) -> bool:
        """Whether there is an output, and a loss, for every step."""
        return self._compiled_training().every_output

    def _compiled_training(self):
        if self._untracked is None:
            raise ValueError("You must call compile() before training or evaluating the model.")
        return self._untracked

    def step_losses(
        self, targets: tf.Tensor, outputs: tf.Tensor, counts_alike: bool = False
    ) -> tf.Tensor:
        """The loss at every step, `(batch, time)`; `(batch,)` without a time axis.

        Args:
            targets, outputs: `(batch, time, ...)`.
            counts_alike: whether every step counts alike: then a loss function
                may return the mean over all of them. Default: `False`.

        Raises:
            ValueError: if the loss does not tell steps apart and must.
        """
        state = self._compiled_training()
        num_axes = 2 if state.every_output else 1
        return loss_of_each(state.loss, targets, outputs, num_axes, counts_alike)

    @property
    def from_logits(self) -> bool:
        """Whether the loss takes the outputs as logits, not as probabilities."""
        return self._compiled_training().from_logits

    def feedback(self, inputs: tf.Tensor) -> Feedback | None:
        """What the model is fed in this training step; `None` for pure teacher forcing."""
        state = self._compiled_training()
        policy = state.options.sampling
        if state.feedback_seeds is None:
            return None
        seed = tf.cast(state.feedback_seeds.next(), tf.int32)
        probability = policy.probability(tf.convert_to_tensor(self.optimizer.iterations))
        return teacher_forcing.make_feedback(
            probability, inputs, policy.draw, self.from_logits, seed
        )

    def train_step(self, data):
        self._prepare_for(data)
        carried = self._compiled_training().carried["training"]
        logs, states = training_step.training_step(self, data, carried and carried.read())
        if carried:
            carried.write(states)
        return logs

    def test_step(self, data):
        self._prepare_for(data)
        carried = self._compiled_training().carried["evaluation"]
        logs, states = training_step.evaluation_step(self, data, carried and carried.read())
        if carried:
            carried.write(states)
        return logs

    def _prepare_for(self, data):
        """Builds what `fit` builds, for a step that comes without it."""
        if self._compiled_training().prepared:
            return
        inputs, targets, _ = keras.utils.unpack_x_y_sample_weight(data)
        if targets is None:
            return  # the step says so
        specs = tf.nest.map_structure(
            lambda x: tf.TensorSpec(x.shape, x.dtype), (inputs, targets)
        )
        with tf.init_scope():
            example = tf.nest.map_structure(self.smallest_example, specs)
            self.prepare(tf.data.Dataset.from_tensors(example))

    def reset_metrics(self) -> None:
        super().reset_metrics()
        if self._untracked is not None:
            self.gradient_norm.reset_state()

    def batches(self, data: Any, *, for_training: bool) -> tf.data.Dataset:
        """The batches that `data` comes to: those of a dataset, or the windows of a stream.

        Args:
            data: a `kerasrnn.Stream` (then `compile` needs a `window`), or a
                `tf.data.Dataset` of `(inputs, targets[, sample_weight])`.
                Where there is a `window`, each batch is one, states are
                carried from batch to batch, and inputs may be
                `{"inputs", "reset"}`, with booleans `(batch,)` that are true
                where a sequence begins.
            for_training: whether windows overlap as `stride` says.
        """
        options = self.training_options
        if isinstance(data, Stream):
            self._check_ids(data)
            if options.window is None:
                raise ValueError("A Stream is read in windows: compile with window=.")
            window, stride = options.window, options.stride
            if not for_training:
                window = window.mean if isinstance(window, RandomWindow) else window
                stride = None
            data = data.windows(window, stride)
        if isinstance(data, keras.utils.PyDataset):
            time = None
            if for_training and isinstance(options.window, int):
                length = _inputs(data[0][0]).shape[1]
                self._check_length(length, options, options.overlapping)
                time = length if options.overlapping else None
            data = training_data.read_in_order(data, time)
        if not isinstance(data, tf.data.Dataset):
            raise ValueError(
                "data must be a kerasrnn.Stream, a tf.data.Dataset or a "
                f"keras.utils.PyDataset, got {type(data).__name__}."
            )
        if options.window is None:
            return data
        if for_training and not isinstance(options.window, RandomWindow):
            self._check_length(_inputs_of(data).shape[1], options, options.overlapping)
        return streams.start_afresh(data)

    def _check_length(self, length, options, overlapping):
        """A batch is a window: it must not be longer than one."""
        if overlapping and length != options.window:
            raise ValueError(
                f"stride={options.stride} needs batches of window={options.window} steps, "
                f"got {length}. Use a kerasrnn.Stream, which cuts them."
            )
        if length is not None and length > options.window:
            raise ValueError(
                f"Each batch is one window, but a batch has {length} steps and "
                f"window={options.window}. Use a kerasrnn.Stream, which cuts them."
            )

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
        **options: Any,
    ) -> keras.callbacks.History:
        """Trains: `keras.Model.fit`, which also takes streams and continues what was cut off.

        Args:
            x: a `kerasrnn.Stream`, a `tf.data.Dataset` or arrays. With a
                `window`, arrays `(sequences, time, ...)` are read as a stream
                of `batch_size` sequences side by side.
            y, batch_size, epochs, verbose, callbacks, validation_split,
                sample_weight: as in Keras.
            validation_data: a stream, a dataset, or a tuple of arrays.
            **options: `run_dir`, `resume` and `checkpoint_every`, see
                `kerasrnn.train`; the rest as in Keras.

        Returns:
            A `History`. `gradient_norm` in it is the mean of the norms before
            clipping.

        Raises:
            FloatingPointError: if a step or the validation loss is not finite.
            ValueError: for data that does not go with what `compile` was given.
        """
        if validation_split is not None:
            check_rate("validation_split", validation_split)
        if self.training_options.window is not None:
            if validation_split:
                raise ValueError(
                    "Use validation_data: a window cannot go with validation_split."
                )
            x = self._windows(x, y, sample_weight, batch_size, for_training=True)
            size, y, sample_weight, batch_size = batch_size, None, None, None
            if validation_data is not None:
                x_val, y_val, weight_val = _unpack_validation_data(validation_data)
                validation_data = self._windows(
                    x_val, y_val, weight_val, size, for_training=False
                )
        self.prepare(self._example(x, y))
        self._check_class_weight(options.get("class_weight"))
        with self.forgetting("training"):
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

        With a `window`, states are carried over the whole of the data, so that
        nothing is forgotten at the boundaries.
        """
        if self.training_options.window is not None:
            x = self._windows(x, y, sample_weight, batch_size, for_training=False)
            y = sample_weight = batch_size = None
        if not options.get("_use_cached_eval_dataset"):
            self.prepare(self._example(x, y))
        with self.forgetting("evaluation"), clear_errors():
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
            ValueError: for what holds no whole sequences of one length, a stream for example.
        """
        arrays = _inputs(x) if isinstance(x, dict) and "inputs" in x else x
        ragged = isinstance(x, (Stream, tf.RaggedTensor)) or _dtype_of(arrays) == "object"
        if ragged or arrays is None or isinstance(x, (str, bytes, int, float)):
            raise ValueError(
                f"predict takes whole sequences of one length, got {type(x).__name__}. Pad "
                "them, or call model(x, states=states, return_states=True) for one window "
                "after the other."
            )
        self._check_ids(arrays)
        return super().predict(x, *arguments, **options)

    def _check_ids(self, inputs):
        """Numbers of an array or a stream that are looked up must be whole."""
        if isinstance(self.sequence_layers[0], InputTable):
            for sequence in inputs.inputs if isinstance(inputs, Stream) else [inputs]:
                if "float" in _dtype_of(sequence):
                    check_whole("ids", sequence)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict | None = None,
        return_dict: bool = False,
    ):
        """One update: `keras.Model.train_on_batch`, which with a `window` carries states on.

        With a `window` the batch is one window. It starts from the last states
        of the batch before; from the initial states if there was none, and after
        `fit` or `reset_states`. A loop over the windows of a stream ends with the
        weights that `fit` ends with.

        Args:
            x: `(batch, time, ...)`, or `{"inputs", "reset"}` with booleans
                `(batch,)` that are true where a sequence begins.
            y: `(batch, time, ...)`.
            sample_weight: `(batch, time)` or `(batch,)`.
            class_weight: for models with one output a sequence.
            return_dict: whether to return scores by name. Default: `False`.

        Returns:
            The loss, the metrics and the norm of the gradient, of this batch.

        Raises:
            FloatingPointError: if the loss or a gradient is not finite.
            ValueError: for a batch that is no window, or whose size is not
                that of the carried states.

        Example:

        >>> from kerasrnn import SequenceModel, Stream, VanillaRNN
        >>> layers = [VanillaRNN(4, return_sequences=True), keras.layers.Dense(1)]
        >>> model = SequenceModel(layers)
        >>> model.compile("adam", "mse", window=5)
        >>> wave = tf.sin(tf.range(21.0))[None, :, None]
        >>> for window in (slice(0, 5), slice(5, 10), slice(10, 15), slice(15, 20)):
        ...     targets = wave[:, window.start + 1 : window.stop + 1]
        ...     loss = model.train_on_batch(wave[:, window], targets)
        >>> model.reset_states()  # another sequence comes now
        """
        self._check_batch("train_on_batch", x, y)
        options = self.training_options
        if options.window is not None and not isinstance(options.window, RandomWindow):
            self._check_length(_inputs(x).shape[1], options, options.overlapping)
        self._check_class_weight(class_weight)
        return super().train_on_batch(x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ):
        """The scores of one batch: `keras.Model.test_on_batch`.

        With a `window` it goes on from the states after the batch before, as
        in `train_on_batch`; `evaluate` and `reset_states` forget them.
        """
        self._check_batch("test_on_batch", x, y)
        with clear_errors():
            return super().test_on_batch(x, y, sample_weight, return_dict)

    def predict_on_batch(self, x: Any):
        """The outputs for one batch of whole sequences: `keras.Model.predict_on_batch`.

        Raises:
            ValueError: if states are carried from window to window, which this
                does not do.
        """
        options = self._untracked and self._untracked.options
        if options and options.window is not None and options.carry_state:
            raise ValueError(
                "predict_on_batch carries no states from window to window. Use predict for "
                "whole sequences, or outputs, states = model(x, states=states, "
                "return_states=True) for one window after the other."
            )
        return super().predict_on_batch(x)

    def _check_batch(self, name, x, y):
        """A batch is arrays, with targets."""
        if isinstance(x, training_data.BATCHES):
            raise ValueError(
                f"{name} takes the arrays of one batch, got {type(x).__name__}. Use fit or "
                "evaluate, or give its batches one after the other: those of a Stream are "
                "stream.windows(window)."
            )
        if x is None or y is None:
            raise ValueError(f"{name} needs inputs and targets, got {name}(x, y=None).")
        if not hasattr(_inputs(x), "shape"):
            raise ValueError(f"{name} takes arrays, got {type(_inputs(x)).__name__}.")
        if len(_inputs(x)) != len(y):
            raise ValueError(
                f"{name} needs a target for each sequence, got {len(_inputs(x))} sequences and "
                f"{len(y)} targets."
            )

    def reset_states(self) -> None:
        """Forgets carried states: the next `train_on_batch` or `test_on_batch` begins afresh.

        `fit`, `evaluate` and `kerasrnn.train` begin afresh by themselves.

        Example:

        >>> from kerasrnn import SequenceModel, VanillaRNN
        >>> layers = [VanillaRNN(4, return_sequences=True), keras.layers.Dense(1)]
        >>> model = SequenceModel(layers)
        >>> model.compile("adam", "mse", window=5)
        >>> x, y = tf.ones([2, 5, 3]), tf.ones([2, 5, 1])
        >>> first = model.test_on_batch(x, y)
        >>> model.test_on_batch(x, y) == first  # it went on from there
        False
        >>> model.reset_states()
        >>> model.test_on_batch(x, y) == first
        True
        """
        for name in ("training", "evaluation"):
            with self.forgetting(name):
                pass

    @contextmanager
    def forgetting(self, name: str) -> Iterator[None]:
        """Forgets the states of `"training"` or `"evaluation"` when what is inside ends."""
        try:
            yield
        finally:
            carried = self._untracked and self._untracked.carried[name]
            if carried:
                carried.write(carried.structure)  # those of no sequences

    def _windows(self, x, y, sample_weight, batch_size, *, for_training):
        training_data.check_given(x, y, sample_weight)
        if not isinstance(x, training_data.BATCHES):
            x = training_data.as_stream(x, y, sample_weight, batch_size)
        return self.batches(x, for_training=for_training)

    def _check_class_weight(self, class_weight):
        if class_weight is not None and self.every_output:
            raise ValueError(
                "class_weight is one weight a sequence, but the model has an output at every "
                "step. Use sample_weight, (batch, time), with the weight of each step's class."
            )

    def _example(self, x, y):
        """A dataset of such batches, to build from."""
        if isinstance(x, Stream):
            return self.batches(x, for_training=True)
        if isinstance(x, tf.data.Dataset):
            return x
        if isinstance(x, keras.utils.PyDataset):
            return tf.data.Dataset.from_tensors(x[0])
        training_data.check_given(x, y, None)
        self._check_ids(x)
        return tf.data.Dataset.from_tensors((x[:1], y[:1]))

    def carried_states(self) -> list:
        """The states that training would carry on; empty where it carries none."""
        carried = self._compiled_training().carried["training"]
        return carried.read() if carried else []

    def keep_carried_states(self, states: list) -> None:
        """Keeps the states of an explicit loop, for checkpoints."""
        carried = self._compiled_training().carried["training"]
        if carried:
            carried.write(states)

    def prepare(self, batches: tf.data.Dataset) -> tf.Tensor:
        self._check_spec(batches.element_spec)
        outputs = super().prepare(batches)
        self._check_layers(self.training_options)  # some layers make others when they are built
        time = self.smallest_example(_inputs_of(batches)).shape[1]
        every_output = len(outputs.shape) > 2 and outputs.shape[1] == time
        self._compiled_training().every_output = every_output
        self._compiled_training().prepared = True
        return outputs

    def _check_spec(self, spec):
        inputs, *_ = keras.utils.unpack_x_y_sample_weight(spec)
        inputs = _inputs(inputs)
        if any(isinstance(part, tf.RaggedTensorSpec) for part in tf.nest.flatten(spec)):
            raise ValueError(
                "A batch must be whole, got a ragged one. Use x.to_tensor() and a mask, or "
                "compile with window= and give sequences of any lengths to fit."
            )
        if isinstance(self.sequence_layers[0], keras.layers.Embedding) and (
            not inputs.dtype.is_integer
        ):
            raise ValueError(
                f"{self.sequence_layers[0].name} takes integers as ids, got inputs of type "
                f'{inputs.dtype.name}. Use x.astype("int32").'
            )

    def smallest_example(self, spec: tf.TensorSpec) -> tf.Tensor:
        example = super().smallest_example(spec)
        windowed = self.training_options.window is not None and len(spec.shape) > 1
        return example[:, :1] if windowed else example

    def extra_variables(self) -> list[tf.Variable]:
        return self._compiled_training().variables()

    def get_compile_config(self) -> dict:
        config = super().get_compile_config()
        if self._untracked is not None:
            config["training_options"] = keras.saving.serialize_keras_object(
                self.training_options
            )
        return config

    def compile_from_config(self, config: dict) -> None:
        config = keras.saving.deserialize_keras_object(config)
        options = config.pop("training_options").__dict__
        names = ("optimizer", "loss", "metrics", "weighted_metrics")
        config = {k: v for k, v in config.items() if k != "loss_weights"}
        self.compile(**{k: config.pop(k) for k in names}, **options, **config)
        if self.built:
            self.build_optimizer()


def _unpack_validation_data(given):
    """Inputs, targets and weights; the last two are `None` where the first holds them."""
    if not isinstance(given, (tuple, list)):
        return given, None, None
    if not 0 < len(given) < 4:
        raise ValueError(
            "validation_data must be (x, y) or (x, y, sample_weight), a stream or a dataset, "
            f"got {len(given)} parts."
        )
    return (*given, None, None)[:3]


def _inputs_of(batches):
    inputs, *_ = keras.utils.unpack_x_y_sample_weight(batches.element_spec)
    return _inputs(inputs)


def _dtype_of(x):
    """The name of the type of an array, or nothing."""
    dtype = getattr(x, "dtype", "")
    return getattr(dtype, "name", str(dtype))


def _inputs(x):
    return x["inputs"] if isinstance(x, dict) else x


class _Training:
    """What training needs and no checkpoint of the model itself should hold."""

    def __init__(self, model, options: TrainingOptions, loss):
        self.options = options
        self.prepared = False
        self.gradient_norm = keras.metrics.Mean("gradient_norm")
        self.num_skipped = tf.Variable(0, trainable=False, dtype=tf.int64)
        loss = keras.losses.get(loss)
        configured = loss.get_config() if isinstance(loss, keras.losses.Loss) else {}
        self.from_logits = bool(configured.get("from_logits", False))
        self.loss = loss
        recurrent = model.recurrent_layers
        self.every_output = not recurrent or recurrent[-1].return_sequences
        carries = options.window is not None and bool(recurrent)
        self.carried: dict[str, _Carried | None] = {
            name: _Carried(model.initial_states(0)) if carries else None
            for name in ("training", "evaluation")
        }
        self.feedback_seeds: keras.random.SeedGenerator | None = None
        if not options.sampling.feeds_only_the_truth:
            self.feedback_seeds = keras.random.SeedGenerator()

    def variables(self):
        variables = [v.value for v in self.gradient_norm.variables] + [self.num_skipped]
        if self.feedback_seeds is not None:
            variables.append(self.feedback_seeds.state.value)
        carried = self.carried["training"]
        return variables + (carried.variables if carried else [])


class _Carried:
    """States between two calls of `train_step`; the batch size may be any."""

    def __init__(self, states):
        self.structure = states
        self.batch_size = tf.Variable(0, trainable=False)
        self.flat = [
            tf.Variable(s, trainable=False, shape=[None, *s.shape[1:]])
            for s in tf.nest.flatten(states)
        ]

    @property
    def variables(self):
        return [self.batch_size, *self.flat]

    def read(self):
        # The slice is the whole. It hides from TensorFlow's optimizer that the same graph
        # assigns states of a known shape, which it takes for the shape that is read.
        size = tf.identity(self.batch_size)
        flat = [v[:size] for v in self.flat]
        return tf.nest.pack_sequence_as(self.structure, flat)

    def write(self, states):
        flat = tf.nest.flatten(states)
        self.batch_size.assign(tf.shape(flat[0])[0])
        for variable, state in zip(self.flat, flat, strict=True):
            variable.assign(state)
