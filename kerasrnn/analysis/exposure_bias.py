"""Exposure bias: how much worse a model gets when it is fed its own outputs."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.analysis.batch import as_tensors
from kerasrnn.analysis.figures import make_figure, save_figure
from kerasrnn.checks import check_one_of, check_positive_integer, is_integer, shown
from kerasrnn.models.sequence import SequenceModel
from kerasrnn.training.feedback import make_feedback
from kerasrnn.training.scheduled_sampling import DRAWS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class ExposureBias:
    """The loss at each horizon, with true inputs and with the model's own outputs."""

    teacher_forcing: list[float]
    """Mean loss at horizon 1, 2, ..., if each input is the true previous output."""
    free_running: list[float]
    """The same if each input after the context is the model's own previous output."""
    num_sequences: int
    """The number of sequences in these means."""

    @property
    def gap(self) -> list[float]:
        """Free running minus teacher forcing, at each horizon; 0 at the first."""
        pairs = zip(self.free_running, self.teacher_forcing, strict=True)
        return [own - true for own, true in pairs]

    def to_dict(self) -> dict:
        """All values, in a form that JSON can hold."""
        return {**dataclasses.asdict(self), "gap": self.gap}

    def plot(self, path: str | Path | None = None) -> "Figure":
        """Draws both curves.

        Args:
            path: an image file to write. Default: none is written.

        Returns:
            A matplotlib figure, which a notebook shows.

        Raises:
            ImportError: if matplotlib is not installed.
        """
        figure = make_figure(6, 3.5)
        axes = figure.subplots()
        horizons = range(1, len(self.teacher_forcing) + 1)
        axes.plot(horizons, self.teacher_forcing, label="teacher forcing")
        axes.plot(horizons, self.free_running, label="free running")
        axes.fill_between(horizons, self.teacher_forcing, self.free_running, alpha=0.15)
        axes.set(xlabel="steps since the last true input", ylabel="loss")
        axes.grid(alpha=0.3)
        axes.legend()
        return save_figure(figure, path)


def exposure_bias(
    model: SequenceModel,
    inputs: np.ndarray | tf.Tensor,
    targets: np.ndarray | tf.Tensor,
    *,
    context: int = 1,
    draw: str = "greedy",
    seed: int = 0,
    batch_size: int = 128,
) -> ExposureBias:
    """Measures how much worse a model gets when it is fed its own outputs.

    The model reads each sequence twice. Both times it reads the first `context` inputs as
    they are. Then it is fed the true inputs the first time (teacher forcing), and its own
    previous outputs the second time (free running). Horizon 1 is the output after the last
    input of the context, where both losses are equal. So the gap begins at 0, and grows as
    errors add up. Masked steps do not count.

    Args:
        model: a compiled `SequenceModel`.
        inputs: `(sequences, time, ...)`: ids, or values of the same size as the outputs.
        targets: `(sequences, time, ...)`.
        context: how many true inputs are read first. Default: 1.
        draw: how ids are chosen from the outputs: `"greedy"` or `"sample"`. Default:
            `"greedy"`.
        seed: seed of the draws. Default: 0.
        batch_size: how many sequences are read at a time. Default: 128.

    Returns:
        An `ExposureBias` with `time - context + 1` horizons.

    Raises:
        ValueError: if an argument is out of range, or inputs and targets differ in sequences
            or time.

    Reference: S. Bengio et al., "Scheduled sampling for sequence prediction
    with recurrent neural networks", 2015, arXiv:1506.03099.
    """
    if not isinstance(model, SequenceModel):
        raise ValueError(f"model must be a kerasrnn.SequenceModel, got model={shown(model)}.")
    check_one_of("draw", draw, DRAWS)
    check_positive_integer("batch_size", batch_size)
    if not is_integer(seed) or not -(2**31) <= seed < 2**31:
        raise ValueError(f"seed must be an integer of 32 bits, got seed={shown(seed)}.")
    inputs, targets = as_tensors(inputs), as_tensors(targets)
    shapes = [getattr(tensor, "shape", ()) for tensor in (inputs, targets)]
    if len(shapes[0]) < 2 or shapes[0][:2] != shapes[1][:2]:
        raise ValueError(
            "inputs and targets must be (sequences, time, ...), got shapes "
            f"{tuple(shapes[0])} and {tuple(shapes[1])}."
        )
    time = inputs.shape[1]
    if not is_integer(context) or not 1 <= context <= time:
        raise ValueError(
            f"context must lie between 1 and the {time} steps there are, "
            f"got context={shown(context)}."
        )
    step = model.training_step
    model.prepare(tf.data.Dataset.from_tensors((inputs[:1], targets[:1])).element_spec)

    @tf.function(autograph=False, reduce_retracing=True)
    def losses(inputs, targets, seed):
        before = inputs[:, : context - 1]
        states = model.initial_states(tf.shape(inputs)[0])
        if context > 1:
            _, states = model(before, states=states, return_states=True)
        rest, expected = inputs[:, context - 1 :], targets[:, context - 1 :]
        feedback = make_feedback(1.0, rest, draw, step.from_logits, seed)
        forced = model(rest, states=states)
        own = model(rest, states=states, feedback=feedback)
        mask = model.compute_mask(rest)
        used = tf.ones(tf.shape(rest)[:2]) if mask is None else tf.cast(mask, tf.float32)
        both = [
            tf.cast(step.losses(expected, tf.cast(outputs, tf.float32)), tf.float32)
            for outputs in (forced, own)
        ]
        return [tf.reduce_sum(used * losses, 0) for losses in both], tf.reduce_sum(used, 0)

    sums, used, count = np.zeros((2, time - context + 1)), 0.0, len(inputs)
    progress = keras.utils.Progbar(count) if count > batch_size else None
    for start in range(0, count, batch_size):
        rows = slice(start, start + batch_size)
        batch_sums, batch_used = losses(inputs[rows], targets[rows], tf.constant([seed, start]))
        sums += np.stack([s.numpy() for s in batch_sums])
        used = used + batch_used.numpy()
        if progress:
            progress.update(min(start + batch_size, count))
    forced, own = (sums / np.maximum(used, 1)).tolist()
    return ExposureBias(forced, own, count)
