"""How the sampling probability of scheduled sampling changes during training.

Reference: S. Bengio, O. Vinyals, N. Jaitly and N. Shazeer, "Scheduled sampling
for sequence prediction with recurrent neural networks", 2015, arXiv:1506.03099.
"""

import dataclasses
import math
from typing import Any

import keras
import tensorflow as tf

from kerasrnn.checks import check_probability, is_number


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
class LinearSchedule(SamplingSchedule):
    """From `start` to `end` along a straight line, then constant.

    Args:
        num_steps: positive, the training steps from `start` to `end`.
        start: probability at step 0. Default: 0.
        end: probability from `num_steps` on. Default: 1.

    Example:

    >>> [float(LinearSchedule(100, end=0.5)(step)) for step in (0, 50, 200)]
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
class ExponentialSchedule(SamplingSchedule):
    """1 - k^i at training step i: fast at first, then slower.

    Args:
        k: in (0, 1). The probability of the true output halves every `ln(1/2) / ln(k)`
            steps.
    """

    k: float

    def __post_init__(self):
        if not is_number(self.k) or not 0 < self.k < 1:
            raise ValueError(f"k must lie in (0, 1), got k={self.k!r}.")

    def __call__(self, step):
        return 1 - tf.pow(self.k, tf.cast(step, tf.float32))


@keras.saving.register_keras_serializable(package="kerasrnn")
@dataclasses.dataclass(frozen=True)
class InverseSigmoidSchedule(SamplingSchedule):
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


def _check_positive(name, value):
    if not is_number(value) or not 0 < value < math.inf:
        raise ValueError(f"{name} must be a positive number, got {name}={value!r}.")
