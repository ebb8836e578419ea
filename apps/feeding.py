"""What `--truncation`, `--teacher-forcing` and `--schedule` mean in a training."""

import math
from typing import Any

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import kerasrnn
    from kerasrnn.layers.truncation import Truncation

KEEP_PROBABILITY = 0.9
"""For `--truncation randomized`: the probability that a gradient passes a step."""


def truncation_policy(truncation: str) -> Truncation | None:
    """The policy that `--truncation` names; `None` for full, which needs none."""
    if truncation == "randomized":
        return kerasrnn.RandomizedTruncation(KEEP_PROBABILITY)
    if truncation.isdecimal():
        return kerasrnn.TruncatedBPTT(int(truncation))
    return None


def feeding_policy(options: Any, num_steps: int) -> kerasrnn.ScheduledSampling | None:
    """How often the model is fed its own output, drawn from its distribution.

    Args:
        options: with `teacher_forcing` and `schedule`.
        num_steps: training steps; the schedules end with `--teacher-forcing` at the last.
    """
    ratio = options.teacher_forcing
    if ratio == 1:
        return None
    probability: Any = 1 - ratio
    if options.schedule == "linear":
        probability = kerasrnn.LinearSchedule(num_steps, end=1 - ratio)
    elif options.schedule == "exponential":
        probability = kerasrnn.ExponentialSchedule(ratio ** (1 / num_steps))
    elif options.schedule == "inverse_sigmoid":
        probability = kerasrnn.InverseSigmoidSchedule(_sigmoid_constant(ratio, num_steps))
    return kerasrnn.ScheduledSampling(probability, draw="sample")


def _sigmoid_constant(ratio: float, num_steps: int) -> float:
    """The k for which k / (k + exp(i / k)) comes to `ratio` at step i = `num_steps`."""
    low, high = 1.0, float(max(num_steps, 2))
    for _ in range(60):  # it grows with k
        k = (low + high) / 2
        reached = 1 / (1 + math.exp(min(num_steps / k - math.log(k), 700)))
        low, high = (k, high) if reached < ratio else (low, k)
    return high
