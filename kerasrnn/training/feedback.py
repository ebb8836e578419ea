"""What a model is fed at each step: the true previous output, or its own.

Teacher forcing feeds the truth; free running feeds what the model itself put
out at the step before; scheduled sampling tosses a coin for each step and each
sequence. `sampling_probability` is always the chance of the model's **own**
output: 0 is pure teacher forcing, 1 is free running. (The epsilon of Bengio et
al. is the chance of the truth, 1 - sampling_probability.)

Reference: S. Bengio, O. Vinyals, N. Jaitly and N. Shazeer, "Scheduled sampling
for sequence prediction with recurrent neural networks", 2015, arXiv:1506.03099.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from kerasrnn.checks import check_one_of, check_probability, from_config_of, is_number, shown

DRAWS = ("greedy", "sample")


@dataclasses.dataclass(frozen=True)
class SamplingSchedule:
    """The sampling probability as a function of the training step, counted from 0."""

    def __call__(self, step: tf.Tensor | int) -> tf.Tensor:
        """The probability, a float32 scalar, at a training step."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "SamplingSchedule":
        """The schedule with these arguments."""
        return cls(**config)


@keras.saving.register_keras_serializable(package="kerasrnn")
@dataclasses.dataclass(frozen=True)
class ConstantSampling(SamplingSchedule):
    """The same probability throughout.

    Args:
        probability: in [0, 1].
    """

    probability: float

    def __post_init__(self):
        check_probability("probability", self.probability)

    def __call__(self, step):
        return tf.constant(self.probability, tf.float32)


@keras.saving.register_keras_serializable(package="kerasrnn")
@dataclasses.dataclass(frozen=True)
class LinearSampling(SamplingSchedule):
    """From `start` to `end` along a straight line, then constant.

    Args:
        num_steps: positive, the training steps from `start` to `end`.
        start: probability at step 0. Default: 0.
        end: probability from `num_steps` on. Default: 1.

    Example:

    >>> [float(LinearSampling(100, end=0.5)(step)) for step in (0, 50, 200)]
    [0.0, 0.25, 0.5]
    """

    num_steps: int
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self):
        _check_positive("num_steps", self.num_steps)
        check_probability("start", self.start)
        check_probability("end", self.end)

    def __call__(self, step):
        done = tf.minimum(tf.cast(step, tf.float32) / self.num_steps, 1.0)
        return self.start + (self.end - self.start) * done


@keras.saving.register_keras_serializable(package="kerasrnn")
@dataclasses.dataclass(frozen=True)
class ExponentialSampling(SamplingSchedule):
    """1 - k^i at training step i: soon free running.

    Args:
        k: in (0, 1). The truth's share halves every `ln(1/2) / ln(k)` steps.
    """

    k: float

    def __post_init__(self):
        if not is_number(self.k) or not 0 < self.k < 1:
            raise ValueError(f"k must lie in (0, 1), got k={self.k!r}.")

    def __call__(self, step):
        return 1 - tf.pow(self.k, tf.cast(step, tf.float32))


@keras.saving.register_keras_serializable(package="kerasrnn")
@dataclasses.dataclass(frozen=True)
class InverseSigmoidSampling(SamplingSchedule):
    """1 - k / (k + exp(i / k)) at training step i: slow, then fast, then slow.

    Args:
        k: at least 1. The probability is 1/2 at step `k ln k`.
    """

    k: float

    def __post_init__(self):
        if not is_number(self.k) or not 1 <= self.k < math.inf:
            raise ValueError(f"k must be at least 1, got k={self.k!r}.")

    def __call__(self, step):
        # exp(i/k) / (k + exp(i/k)), written so that it cannot overflow
        return tf.sigmoid(tf.cast(step, tf.float32) / self.k - tf.math.log(float(self.k)))


@keras.saving.register_keras_serializable(package="kerasrnn")
@dataclasses.dataclass(frozen=True)
class ScheduledSampling:
    """Feeds the model's own previous output with a probability, else the true one.

    A coin is tossed for each step and sequence; the first input of a window is
    always the true one. Inputs that are integers are ids: the own output is
    the id drawn from the previous step's scores. Other inputs are values: the
    own output is the previous step's output, of the same size. No gradient
    flows through what is fed back.

    Args:
        sampling_probability: the chance of the model's own output: a number in
            [0, 1], or a `ConstantSampling`, `LinearSampling`,
            `ExponentialSampling` or `InverseSigmoidSampling`.
        draw: how ids are drawn: `"greedy"`, the most probable, or `"sample"`,
            from the distribution. Default: `"greedy"`.

    Raises:
        ValueError: for a probability outside [0, 1] or an unknown `draw`.

    Reference: S. Bengio et al., 2015, arXiv:1506.03099.
    """

    sampling_probability: float | SamplingSchedule
    draw: str = "greedy"

    def __post_init__(self):
        if not isinstance(self.sampling_probability, SamplingSchedule):
            check_probability("sampling_probability", self.sampling_probability)
        check_one_of("draw", self.draw, DRAWS)

    @property
    def feeds_only_the_truth(self) -> bool:
        """Whether this is pure teacher forcing at every step of the training."""
        probability = self.sampling_probability
        if isinstance(probability, ConstantSampling):
            probability = probability.probability
        return probability == 0

    def probability(self, step: tf.Tensor | int) -> tf.Tensor:
        """The sampling probability at a training step, a float32 scalar."""
        if isinstance(self.sampling_probability, SamplingSchedule):
            return self.sampling_probability(step)
        return tf.constant(self.sampling_probability, tf.float32)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, serialized."""
        probability = self.sampling_probability
        if isinstance(probability, SamplingSchedule):
            probability = keras.saving.serialize_keras_object(probability)
        return {"sampling_probability": probability, "draw": self.draw}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ScheduledSampling":
        """The object with these arguments."""
        probability = config["sampling_probability"]
        if isinstance(probability, dict):
            probability = keras.saving.deserialize_keras_object(probability)
        return cls(**{**config, "sampling_probability": probability})


def get(identifier: "ScheduledSampling | float | dict | None") -> ScheduledSampling:
    """What `teacher_forcing=` means: `None` or 1.0 is pure teacher forcing, 0.0 free running.

    Args:
        identifier: the chance of the true output, in [0, 1]; `None`; a
            `ScheduledSampling` or its configuration.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(identifier, dict):
        identifier = from_config_of("teacher_forcing", identifier)
    if isinstance(identifier, ScheduledSampling):
        return identifier
    if identifier is None:
        return ScheduledSampling(0.0)
    if not is_number(identifier):
        raise ValueError(
            "teacher_forcing must be a number in [0, 1] or a kerasrnn.ScheduledSampling, "
            f"got teacher_forcing={shown(identifier)}."
        )
    check_probability("teacher_forcing", identifier)
    return ScheduledSampling(1.0 - float(identifier))


@dataclasses.dataclass(frozen=True, eq=False)
class Feedback:
    """What a model needs to know in order to feed itself."""

    probability: tf.Tensor
    """The sampling probability, a scalar."""
    draw: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    """From the output of a step and its number to the next input."""
    seed: tf.Tensor
    """Of the coins, int32 `(2,)`."""


def make_feedback(
    probability: tf.Tensor | float,
    inputs: tf.Tensor,
    draw: str,
    from_logits: bool,
    seed: tf.Tensor,
) -> Feedback:
    """Feedback for inputs of this kind: ids or values.

    Args:
        probability: the sampling probability.
        inputs: the true inputs, `(batch, time)` if they are ids, else
            `(batch, time, features)`.
        draw: `"greedy"` or `"sample"`.
        from_logits: whether outputs are logits, not probabilities.
        seed: int32 `(2,)`.

    Raises:
        ValueError: for `draw="sample"` with inputs that are values.
    """
    ids = inputs.dtype.is_integer
    if draw == "sample" and not ids:
        raise ValueError(
            f'draw="sample" needs inputs that are ids, got inputs of type {inputs.dtype.name}. '
            'Use draw="greedy": the output itself is fed back.'
        )

    def next_input(output, t):
        if not ids:
            return tf.cast(output, inputs.dtype)
        if draw == "greedy":
            return tf.cast(tf.argmax(output, -1), inputs.dtype)
        logits = tf.cast(output, tf.float32)
        logits = logits if from_logits else tf.math.log(logits)
        step_seed = tf.random.fold_in(seed, 2 * t + 1)
        drawn = tf.random.stateless_categorical(logits, 1, step_seed)
        return tf.cast(drawn[:, 0], inputs.dtype)

    return Feedback(tf.cast(probability, tf.float32), next_input, seed)


def run_with_feedback(
    step: Callable[[tf.Tensor, tf.Tensor, Any], tuple[tf.Tensor, Any]],
    inputs: tf.Tensor,
    states: Any,
    feedback: Feedback,
    mask: tf.Tensor | None = None,
) -> tuple[tf.Tensor, Any]:
    """Runs a model step by step, on true inputs mixed with its own outputs.

    Args:
        step: from the number of the step, its input `(batch, ...)` and the
            states to the output `(batch, ...)` and the new states.
        inputs: the true inputs, `(batch, time, ...)`.
        states: any nest of tensors.
        feedback: what to feed.
        mask: booleans, `(batch, time)`. What was put out at a masked step is
            not fed back; the true input is.

    Returns:
        The outputs, `(batch, time, ...)`, and the last states.

    Raises:
        ValueError: if outputs that are fed back as values have another size
            than the inputs.
    """
    batch_size, length = tf.unstack(tf.shape(inputs)[:2])
    true_inputs = tf.transpose(inputs, [1, 0, *range(2, len(inputs.shape))])
    coins = tf.random.stateless_uniform([length, batch_size], feedback.seed)
    own = coins < feedback.probability
    if mask is not None:
        own &= tf.transpose(tf.roll(mask, 1, axis=1))
    own = tf.reshape(own, [length, batch_size] + [1] * (len(inputs.shape) - 2))

    output, states = step(tf.constant(0), true_inputs[0], states)
    if not inputs.dtype.is_integer and output.shape[1:] != true_inputs.shape[2:]:
        raise ValueError(
            "An output that is fed back must have the size of the input, got outputs "
            f"{tuple(output.shape[1:])} and inputs {tuple(true_inputs.shape[2:])} a step."
        )
    outputs = tf.TensorArray(output.dtype, length, element_shape=output.shape)

    def body(t, output, states, outputs):
        previous = feedback.draw(tf.stop_gradient(output), t)
        x_t = tf.where(own[t], previous, true_inputs[t])
        output, states = step(t, x_t, states)
        return t + 1, output, states, outputs.write(t, output)

    first = (tf.constant(1), output, states, outputs.write(0, output))
    _, _, states, outputs = tf.while_loop(lambda t, *_: t < length, body, first)
    stacked = outputs.stack()
    return tf.transpose(stacked, [1, 0, *range(2, len(stacked.shape))]), states


def _check_positive(name, value):
    if not is_number(value) or not 0 < value < math.inf:
        raise ValueError(f"{name} must be a positive number, got {name}={value!r}.")
