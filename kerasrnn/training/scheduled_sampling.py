"""Which inputs a model is fed in training: the true ones, or its own outputs.

Teacher forcing feeds the true previous output; free running feeds the model's own output from
the previous step; scheduled sampling tosses a coin for each step and each sequence.
`sampling_probability` is always the probability of the model's **own** output: 0 is pure
teacher forcing, 1 is free running. (The epsilon of Bengio et al. is the probability of the
true output, 1 - sampling_probability.)

Reference: S. Bengio, O. Vinyals, N. Jaitly and N. Shazeer, "Scheduled sampling
for sequence prediction with recurrent neural networks", 2015, arXiv:1506.03099.
"""

import dataclasses
from typing import Any

import keras
import tensorflow as tf

from kerasrnn.checks import check_one_of, check_probability, from_config_of, is_number, shown
from kerasrnn.training.schedules import SamplingSchedule

DRAWS = ("greedy", "sample")


@keras.saving.register_keras_serializable(package="kerasrnn")
@dataclasses.dataclass(frozen=True)
class ScheduledSampling:
    """Feeds a model its own previous output with a given probability, else the true one.

    A coin is tossed for each step and sequence; the first input of a window is always the
    true one. Integer inputs are ids: the model's own output is an id drawn from the scores of
    the previous step. Other inputs are values: the model's own output is the output of the
    previous step, which must have the same size. No gradient flows through the outputs that
    are fed back.

    Args:
        sampling_probability: the probability of the model's own output: a number in [0, 1],
            or a schedule: `LinearSchedule`, `ExponentialSchedule` or
            `InverseSigmoidSchedule`.
        draw: how ids are drawn: `"greedy"`, the most probable, or `"sample"`,
            from the distribution. Default: `"greedy"`.

    Raises:
        ValueError: if a probability is outside [0, 1], or `draw` is unknown.

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
        """Whether this is pure teacher forcing at every training step."""
        return self.sampling_probability == 0

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
        identifier: the probability of the true output, in [0, 1]; `None`; a
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
