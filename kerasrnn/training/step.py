"""What one update needs besides the model: options, loss, optimizer, states, counters."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from kerasrnn.layers import compilation, truncation
from kerasrnn.training.adversarial import with_noise
from kerasrnn.training.carried_states import CarriedStates, start_from
from kerasrnn.training.feedback import Feedback, make_feedback
from kerasrnn.training.losses import check_targets, loss_of_each
from kerasrnn.training.options import TrainingOptions
from kerasrnn.training.replicas import num_replicas, sum_over_replicas
from kerasrnn.training.run_description import without_names
from kerasrnn.training.window import Window, read_window


class Counts(NamedTuple):
    """How many steps of a window count."""

    num_steps: tf.Tensor
    """float32 scalar, on this replica."""
    denominator: tf.Tensor
    """The number that the summed losses of all replicas are divided by, at least 1."""


class Outcome(NamedTuple):
    """The result of running a model over a window."""

    loss: tf.Tensor
    """This replica's share of the loss, a scalar."""
    outputs: tf.Tensor | None
    """`(batch, time, ...)`; `None` if the metrics have already used them."""
    states: list
    """The states to carry on."""


class TrainingStep:
    """Everything that training needs and that the model itself does not have to know.

    Besides what every Keras model has, it asks a model only for its `initial_states` and its
    mask; for the shape of its targets, if each variable has a loss of its own; and, by two
    hooks, for what the loss and the metrics compare. `kerasrnn.training.loop.update` turns
    them into an update. With `adversarial_noise` it also uses the model's `embedding`, and
    calls it with `vectors`.

    Args:
        model: a `TrainableModel`: a Keras model with the methods `initial_states(batch_size)`,
            which returns a list (empty if the model carries no states),
            `compute_mask(inputs)`, `as_the_loss_compares(inputs, targets, outputs)` and
            `as_metrics_compare(outputs)`, and with a `target_shape` or `None`. Its `call`
            takes `training`; if it `takes_feedback`, also `feedback`; and if it
            `carries_states`, also `states` and `return_states`.
        options: the options of `compile`.
        loss: a function of targets and outputs, a `keras.losses.Loss`, or its name.
        optimizer: a Keras optimizer.
    """

    every_output = False
    """Whether there is an output, and a loss, for every step: `prepare` sees it."""
    prepared = False
    """Whether the model was built, with its metrics and its optimizer, for this step."""

    def __init__(
        self,
        model: keras.Model,
        options: TrainingOptions,
        loss: str | Callable | keras.losses.Loss,
        optimizer: keras.optimizers.Optimizer,
    ):
        self.model, self.options, self.optimizer = model, options, optimizer
        self.loss = keras.losses.get(loss)
        self.gradient_norm = keras.metrics.Mean("gradient_norm")
        self.num_skipped = tf.Variable(0, trainable=False, dtype=tf.int64)
        self.feedback_seeds: keras.random.SeedGenerator | None = None
        if not options.sampling.feeds_only_the_truth:
            self.feedback_seeds = keras.random.SeedGenerator()
        states = model.initial_states(0) if options.window is not None else []
        self.carried = CarriedStates(states) if states else None
        self.carried_in_evaluation = CarriedStates(states) if states else None
        # The optimizer as it is now: callbacks may change the learning rate later.
        described = {"class": type(optimizer).__name__, **optimizer.get_config()}
        self._optimizer_at_first = json.dumps(without_names(described))

    @property
    def optimizer_at_first(self) -> dict:
        """The configuration of the optimizer when the model was compiled."""
        return json.loads(self._optimizer_at_first)

    @property
    def from_logits(self) -> bool:
        """Whether the loss takes the outputs as logits, not as probabilities."""
        if not isinstance(self.loss, keras.losses.Loss):
            return False
        of_config = self.loss.get_config().get("from_logits", False)
        return bool(getattr(self.loss, "from_logits", of_config))

    @property
    def variables(self) -> list[tf.Variable]:
        """What training changes besides weights, optimizer and metrics."""
        variables = [v.value for v in self.gradient_norm.variables] + [self.num_skipped]
        if self.feedback_seeds is not None:
            variables.append(self.feedback_seeds.state.value)
        return variables + (self.carried.variables if self.carried else [])

    def read(self, batch: Any) -> Window:
        """The parts of a batch `(inputs, targets[, sample_weight])`."""
        model = self.model
        return read_window(batch, model.compute_mask, self.every_output, model.target_shape)

    def count(self, window: Window) -> Counts:
        """How many steps count, and the number that the sum of their losses is divided by."""
        if window.counted is None:
            shape = tf.shape(window.inputs)[: 2 if self.every_output else 1]
            num_steps = tf.cast(tf.reduce_prod(shape), tf.float32)
        else:
            num_steps = tf.reduce_sum(window.counted)
        denominator = sum_over_replicas(self._weight(window, num_steps))
        return Counts(num_steps, tf.maximum(denominator, 1.0))

    def _weight(self, window, num_steps):
        if self.options.time_reduction == "mean":
            return num_steps
        return tf.cast(tf.shape(window.inputs)[0], tf.float32)

    def starting_states(self, window: Window, carried: list | None) -> list:
        """The states that a window starts from: carried ones, detached, or initial ones."""
        initial = self.model.initial_states(tf.shape(window.inputs)[0])
        if not carried or not self.options.carry_state:
            return initial
        return start_from(initial, carried, window)

    def feedback(self, inputs: tf.Tensor) -> Feedback | None:
        """What the model is fed in this training step; `None` for pure teacher forcing."""
        if self.feedback_seeds is None:
            return None
        policy = self.options.sampling
        seed = tf.cast(self.feedback_seeds.next(), tf.int32)
        probability = policy.probability(tf.convert_to_tensor(self.optimizer.iterations))
        return make_feedback(probability, inputs, policy.draw, self.from_logits, seed)

    def run(
        self, window: Window, states: list, counts: Counts, share: float | tf.Tensor = 1.0
    ) -> Outcome:
        """Runs the model over a window, or a part of it, in training.

        Args:
            window: what to run over.
            states: those to start from.
            counts: how many steps of the whole window count.
            share: the weight of the regularization losses. Default: 1.
        """
        with truncation.imposed(self.options.truncation):
            if self.options.overlapping:
                outputs, states, penalties = self._call_overlapping(window.inputs, states)
            elif self.options.adversarial_noise is not None:
                vectors = with_noise(self, window, counts)
                outputs = self.model(window.inputs, vectors=vectors, training=True)
                penalties = self.model.losses
            else:
                feedback = self.feedback(window.inputs)
                outputs, states = self._call(window.of_model, states, True, feedback)
                penalties = self.model.losses
        return self._outcome(window, outputs, states, penalties, counts, share)

    def evaluate(self, batch: Any, carried: list | None) -> tuple[dict, list]:
        """Metrics on one batch, and the states after it."""
        window = self.read(batch)
        states, counts = self.starting_states(window, carried), self.count(window)
        with compilation.scan_mode("compiled"):
            outputs, states = self._call(window.of_model, states, False)
        penalties = self.model.losses
        outcome = self._outcome(window, outputs, states, penalties, counts)
        outcome = outcome._replace(loss=sum_over_replicas(outcome.loss))
        return self.update_metrics(window, outcome, counts), outcome.states

    def _call(self, inputs, states, training, feedback=None):
        if not self.model.carries_states:
            options = {} if feedback is None else {"feedback": feedback}
            return self.model(inputs, training=training, **options), states
        if not self.options.in_pieces and feedback is None:
            return self.model(inputs, training=training), states  # of whole sequences
        return self.model(
            inputs, states=states, training=training, return_states=True, feedback=feedback
        )

    def _call_overlapping(self, inputs, states):
        """The next window begins `stride` steps from here: its states are those there."""
        stride = self.options.stride
        head, carried = self._call(inputs[:, :stride], states, True)
        penalties = [0.5 * p for p in self.model.losses]
        tail, _ = self._call(inputs[:, stride:], carried, True)
        penalties += [0.5 * p for p in self.model.losses]
        return tf.concat([head, tail], 1), carried, penalties

    def _outcome(self, window, outputs, states, penalties, counts, share=1.0):
        if outputs.dtype.size < 4:  # metrics in single precision
            outputs = tf.cast(outputs, tf.float32)
        loss = self.loss_of(window, outputs, counts)
        if penalties:
            penalty = tf.add_n([tf.cast(p, loss.dtype) for p in penalties])
            loss += tf.cast(share / num_replicas(), loss.dtype) * penalty
        return Outcome(loss, outputs, states)

    def loss_of(self, window: Window, outputs: tf.Tensor, counts: Counts) -> tf.Tensor:
        """The loss of a window, or a part of it, without regularization losses.

        Args:
            window: with the targets, and which steps count.
            outputs: of the model.
            counts: how many steps of the whole window count.
        """
        if outputs.dtype.size < 4:  # losses in single precision
            outputs = tf.cast(outputs, tf.float32)
        if not self.every_output:
            check_targets(window.inputs.shape, window.targets.shape, outputs.shape)
        alike = window.counted is None and window.sample_weight is None
        targets, outputs = self.model.as_the_loss_compares(
            window.of_model, window.targets, outputs
        )
        losses = self.losses(targets, outputs, counts_alike=alike)
        if window.sample_weight is not None:
            losses = losses * tf.cast(window.sample_weight, losses.dtype)
        if window.counted is not None:  # where a step does not count, its loss may be anything
            losses = tf.math.multiply_no_nan(losses, tf.cast(window.counted, losses.dtype))
        return tf.reduce_sum(losses) / tf.cast(counts.denominator, losses.dtype)

    def losses(
        self, targets: tf.Tensor, outputs: tf.Tensor, counts_alike: bool = False
    ) -> tf.Tensor:
        """The loss at every step, `(batch, time)`; `(batch,)` for one output a sequence, and
        `(batch, time, variables)` where each variable has a loss of its own.

        Args:
            targets, outputs: `(batch, time, ...)`.
            counts_alike: whether every step counts equally. Then a loss function may return
                the mean over all of them. Default: `False`.

        Raises:
            ValueError: if the loss must tell steps apart but does not.
        """
        num_axes = 2 if self.every_output else 1
        num_axes += self.model.target_shape is not None
        return loss_of_each(self.loss, targets, outputs, num_axes, counts_alike)

    def update_metrics(self, window: Window, outcome: Outcome, counts: Counts) -> dict:
        """Updates the metrics with the steps that count; returns all metrics by name."""
        weight = self._weight(window, counts.num_steps)
        for metric in self.model.metrics:
            if metric.name == "loss":
                metric.update_state(outcome.loss, sample_weight=weight)
        if outcome.outputs is None:
            return self.model.get_metrics_result()
        return self.update_compiled_metrics(window, outcome.outputs)

    def update_compiled_metrics(self, window: Window, outputs: tf.Tensor) -> dict:
        """The same, without the loss."""
        outputs = self.model.as_metrics_compare(outputs)
        targets, weights = window.targets, window.sample_weight
        if window.counted is not None:
            counted = window.counted != 0
            targets, outputs = (
                tf.boolean_mask(targets, counted),
                tf.boolean_mask(outputs, counted),
            )
            weights = None if weights is None else tf.boolean_mask(weights, counted)
        return self.model.compute_metrics(window.inputs, targets, outputs, weights)

    def count_norm(self, norm: tf.Tensor) -> None:
        """Adds the norm of a gradient to the mean of the epoch, if it is finite."""
        known = tf.math.is_finite(norm)  # not so where scaled gradients overflow
        self.gradient_norm.update_state(tf.where(known, norm, 0.0), tf.cast(known, tf.float32))
