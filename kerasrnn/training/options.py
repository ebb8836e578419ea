"""The options of `SequenceModel.compile`, checked before anything runs."""

import dataclasses
import math
from typing import Any

import keras

from kerasrnn.checks import (
    check_flags,
    check_one_of,
    check_positive_integer,
    is_number,
    plain,
    shown,
)
from kerasrnn.layers import truncation
from kerasrnn.layers.truncation import FullBPTT, RandomizedTruncation, TruncatedBPTT, Truncation
from kerasrnn.training import scheduled_sampling
from kerasrnn.training.random_window import RandomWindow, check_window
from kerasrnn.training.scheduled_sampling import ScheduledSampling

TIME_REDUCTIONS = ("mean", "sum")
NON_FINITE = ("raise", "skip")


@keras.saving.register_keras_serializable(package="kerasrnn")
@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """The options of `SequenceModel.compile`, checked.

    Args:
        window: steps on the tape, a `RandomWindow`, or `None`: whole sequences.
        stride: steps from one update to the next; `None`: `window`.
        carry_state: whether states pass from window to window.
        truncation: policy for every recurrent layer; `None`: its own.
        teacher_forcing: a `ScheduledSampling`, or the probability of the true input.
        global_clipnorm: largest global norm of the gradient.
        clipvalue: largest absolute entry of the gradient.
        adversarial_noise: norm of the noise on a text, divided by that of a word vector.
        time_reduction: `"mean"` or `"sum"` of the losses over time steps.
        parallel_parts: parts of a batch that are computed side by side.
        recompute: whether to keep about sqrt(T) states instead of a tape.
        non_finite: `"raise"` or `"skip"` a step that is not finite.

    Raises:
        ValueError: if an argument is out of range, or two arguments conflict.
    """

    window: int | RandomWindow | None = None
    stride: int | None = None
    carry_state: bool = True
    truncation: Truncation | str | None = None
    teacher_forcing: ScheduledSampling | float | None = None
    global_clipnorm: float | None = None
    clipvalue: float | None = None
    adversarial_noise: float | None = None
    time_reduction: str = "mean"
    parallel_parts: int = 1
    recompute: bool = False
    non_finite: str = "raise"

    def __post_init__(self):
        check_window(self.window, self.stride)
        for name in ("window", "stride"):  # numbers of NumPy, too
            object.__setattr__(self, name, plain(getattr(self, name)))
        object.__setattr__(
            self, "teacher_forcing", scheduled_sampling.get(self.teacher_forcing)
        )
        if self.truncation is not None:
            object.__setattr__(self, "truncation", truncation.get(self.truncation))
        check_positive_integer("parallel_parts", self.parallel_parts)
        check_flags(carry_state=self.carry_state, recompute=self.recompute)
        for name in ("global_clipnorm", "clipvalue", "adversarial_noise"):
            value = getattr(self, name)
            if value is not None and not (is_number(value) and 0 < value < math.inf):
                raise ValueError(f"{name} must be a positive number, got {name}={value!r}.")
        if self.global_clipnorm and self.clipvalue:
            raise ValueError("Use one of global_clipnorm and clipvalue, not both.")
        check_one_of("time_reduction", self.time_reduction, TIME_REDUCTIONS)
        check_one_of("non_finite", self.non_finite, NON_FINITE)
        self._check_pairs()

    def _check_pairs(self):
        own_outputs = not self.sampling.feeds_only_the_truth
        if self.overlapping:
            if own_outputs:
                raise ValueError(
                    f"stride={self.stride} below window={self.window} needs "
                    "teacher_forcing=1.0: overlapping windows would draw other inputs for "
                    "the same steps."
                )
            if isinstance(self.truncation, TruncatedBPTT):
                raise ValueError(
                    f"stride={self.stride} below window={self.window} truncates already. "
                    "Use a smaller window in place of TruncatedBPTT."
                )
        if not self.recompute:
            return
        if self.overlapping or self.parallel_parts > 1:
            raise ValueError(
                "recompute=True needs stride=window and parallel_parts=1: it splits a window "
                "along time by itself."
            )
        if own_outputs:
            raise ValueError("recompute=True needs teacher_forcing=1.0.")
        if not isinstance(self.truncation, (FullBPTT, RandomizedTruncation, type(None))):
            raise ValueError(
                "recompute=True saves memory of full BPTT. Use a smaller window in place of "
                f"truncation={self.truncation!r}."
            )

    @property
    def sampling(self) -> ScheduledSampling:
        """`teacher_forcing`, always as a `ScheduledSampling`."""
        return scheduled_sampling.get(self.teacher_forcing)

    @property
    def in_pieces(self) -> bool:
        """Whether a sequence is read in pieces, with states that go from one to the next."""
        return self.window is not None or self.recompute

    @property
    def overlapping(self) -> bool:
        """Whether an update comes more often than once a window."""
        return self.stride is not None and self.stride != self.window

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, serialized."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: keras.saving.serialize_keras_object(v) for name, v in values.items()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TrainingOptions":
        """The object with these arguments."""
        return cls(**{k: keras.saving.deserialize_keras_object(v) for k, v in config.items()})


def check_keras_arguments(
    optimizer: Any, loss: Any, metrics: Any, weighted_metrics: Any, options: dict[str, Any]
) -> None:
    """Rejects what `keras.Model.compile` would silently accept although it makes no sense.

    Args:
        optimizer, loss, metrics, weighted_metrics: as given.
        options: the others; `loss_weights=None` is taken out.

    Raises:
        ValueError: if an argument makes no sense; the message names it.
    """
    if options.get("jit_compile") is True:
        raise ValueError(
            "jit_compile=True would leave out the checks inside a step. Remove it: the scans "
            "compile themselves."
        )
    if loss is None:
        raise ValueError("compile needs a loss.")
    ignored = getattr(keras.losses.get(loss), "ignore_class", None)
    if ignored is not None:
        raise ValueError(
            f"ignore_class={ignored} of the loss does not go "
            "with a mean over the steps that count. Use sample_weight: 0 for such steps."
        )
    if options.pop("loss_weights", None) is not None:
        raise ValueError(
            "loss_weights weighs several outputs, but there is one. Remove it, or use "
            "sample_weight."
        )
    if optimizer is None:
        raise ValueError("compile needs an optimizer, got optimizer=None.")
    check_flags(**{n: options[n] for n in ("run_eagerly", "auto_scale_loss") if n in options})
    if "steps_per_execution" in options:
        check_positive_integer("steps_per_execution", options["steps_per_execution"])
    for name, given in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
        if given is not None and not isinstance(given, (list, tuple, dict)):
            raise ValueError(f"{name} must be a list, got {name}={shown(given)}.")
