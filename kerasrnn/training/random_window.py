"""Windows of random length, and the learning rate that goes with them."""

import dataclasses
import math
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.checks import check_positive_integer, check_probability, is_integer, is_number


@keras.saving.register_keras_serializable(package="kerasrnn")
@dataclasses.dataclass(frozen=True)
class RandomWindow:
    """Windows of random length, so that their boundaries fall elsewhere in each epoch.

    A window is `mean` steps long with probability `full_probability`, else half of that, plus
    normal noise. The learning rate of an update is multiplied by its length over `mean`, so
    that short windows do not count more. Unlike `RandomizedTruncation` this leaves the
    gradient biased.

    The lengths drawn for an epoch are stretched by a common factor, so that
    every epoch has the same number of windows and reads every step once.

    Args:
        mean: positive integer, the length of most windows in steps.
        standard_deviation: standard deviation of the noise, in steps. Default: 5.
        full_probability: the probability of a full length, in [0, 1]. Default: 0.95.
        min_length: shortest length that is drawn, in steps. Default: 5.
        seed: seed of the random draws. Default: 0.

    Raises:
        ValueError: if an argument is out of range.

    Reference: S. Merity, N. Keskar and R. Socher, "Regularizing and optimizing
    LSTM language models", 2017, arXiv:1708.02182.
    """

    mean: int
    standard_deviation: float = 5.0
    full_probability: float = 0.95
    min_length: int = 5
    seed: int = 0

    def __post_init__(self):
        for name in ("mean", "min_length"):
            check_positive_integer(name, getattr(self, name))
        if self.min_length > self.mean:
            raise ValueError(
                "min_length must not be above mean, "
                f"got min_length={self.min_length} and mean={self.mean}."
            )
        deviation = self.standard_deviation
        if not is_number(deviation) or not 0 <= deviation < math.inf:
            raise ValueError(
                "standard_deviation must be a number of 0 or more, "
                f"got standard_deviation={deviation!r}."
            )
        check_probability("full_probability", self.full_probability)
        if not is_integer(self.seed) or self.seed < 0:
            raise ValueError(f"seed must be an integer of 0 or more, got seed={self.seed!r}.")

    def boundaries(self, length: int, epoch: int) -> list[int]:
        """Where the windows of an epoch begin and end: 0, ..., `length`."""
        first = self._draw(np.random.default_rng((self.seed, 0)), length)
        num_windows = min(1 + int(np.searchsorted(np.cumsum(first), length)), length)
        drawn = self._draw(np.random.default_rng((self.seed, epoch)), length)[:num_windows]
        ends = np.cumsum(drawn)
        bounds = [0]
        for number, end in enumerate(np.round(ends * length / ends[-1]).astype(int), 1):
            latest = length - (num_windows - number)  # each window has a step at least
            bounds.append(min(max(int(end), bounds[-1] + 1), latest))
        return bounds

    def _draw(self, rng, length):
        """Lengths that cover `length` steps for sure, before they are stretched."""
        num_draws = -(-length // self.min_length)
        full = rng.random(num_draws) < self.full_probability
        lengths = np.where(full, self.mean, self.mean / 2)
        noise = rng.normal(scale=self.standard_deviation, size=num_draws)
        return np.maximum(lengths + noise, self.min_length)

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict) -> "RandomWindow":
        """The object with these arguments."""
        return cls(**config)


@contextmanager
def rescaled_learning_rate(
    optimizer: keras.optimizers.Optimizer, window: object, length: tf.Tensor
) -> Iterator[None]:
    """Inside, with a `RandomWindow`, the learning rate is multiplied by `length / mean`.

    Args:
        optimizer: its learning rate is a number, not a schedule.
        window: what `compile` was given; anything but a `RandomWindow` changes nothing.
        length: the steps of this window.
    """
    if not isinstance(window, RandomWindow):
        yield
        return
    learning_rate = optimizer.learning_rate
    before = tf.identity(learning_rate.value)
    learning_rate.assign(before * (tf.cast(length, before.dtype) / window.mean))
    yield
    learning_rate.assign(before)


def check_window(window: int | RandomWindow | None, stride: int | None) -> None:
    """Raises a `ValueError` if the window and the stride conflict."""
    if window is not None and not isinstance(window, RandomWindow):
        check_positive_integer("window", window, " Use window=None for full BPTT.")
    if stride is None:
        return
    check_positive_integer("stride", stride)
    if not isinstance(window, (int, np.integer)):
        raise ValueError(
            f"stride={stride} needs a window of fixed length, got window={window!r}."
        )
    if stride > window:
        raise ValueError(
            f"stride must not be above window, got stride={stride} and window={window}: "
            "steps between the windows would never be learned from."
        )


def check_learning_rate(
    optimizer: keras.optimizers.Optimizer, window: int | RandomWindow | None
) -> None:
    """Raises a `ValueError` if a `RandomWindow` cannot rescale the learning rate."""
    rate = optimizer.learning_rate
    if isinstance(window, RandomWindow) and not isinstance(rate, keras.Variable):
        raise ValueError(
            "A RandomWindow rescales the learning rate, which must be a number then. "
            "Use keras.callbacks.LearningRateScheduler in place of a schedule."
        )
