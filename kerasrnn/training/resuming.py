"""Training that continues from checkpoints: its checks, its progress, and what is left."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kerasrnn.training.data import BATCHES
from kerasrnn.training.run import TrainingRun

CHECKPOINT_EVERY = 1000
"""Training steps between two checkpoints."""


def check_for_run(
    run_dir: str | Path, x: Any, validation_split: float, options: dict[str, Any]
) -> None:
    """Checks the arguments of a `fit` with checkpoints.

    Raises:
        ValueError: for data whose order is not known, and for what it cannot do.
    """
    if not isinstance(x, BATCHES):
        raise ValueError(
            f"run_dir={str(run_dir)!r} needs a tf.data.Dataset or a keras.utils.PyDataset, got "
            f"{type(x).__name__}: a run can continue only if the order of its batches is known."
        )
    given = {**options, "validation_split": validation_split or None}
    others = sorted(name for name, value in given.items() if value is not None)
    if others:
        raise ValueError(
            f"{', '.join(others)} cannot be used with run_dir. Put weights and the number of "
            "steps into the dataset: dataset.map(...), dataset.take(...)."
        )


@contextlib.contextmanager
def open_run(
    model: keras.Model,
    batches: tf.data.Dataset,
    run_dir: str | Path | None,
    epochs: int,
    checkpoint_every: int,
    resume: bool,
) -> Iterator[TrainingRun | None]:
    """Finds out where the run of a built model in `run_dir` stands; `None` without one.

    Raises:
        ValueError: if it is not known how many batches there are, or the run in
            `run_dir` is another one.
        BlockingIOError: if another process trains there.
    """
    if run_dir is None:
        yield None
        return
    steps_per_epoch = int(batches.cardinality())
    if steps_per_epoch < 1:
        raise ValueError(
            f"run_dir={str(run_dir)!r} needs to know how many batches an epoch has. "
            "Use dataset.apply(tf.data.experimental.assert_cardinality(...))."
        )
    with TrainingRun(
        model,
        run_dir,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        checkpoint_every=checkpoint_every,
        resume=resume,
    ) as run:
        yield run


def epochs_to_go(
    batches: tf.data.Dataset, epochs: int, run: TrainingRun | None
) -> Iterator[tuple[int, Iterable]]:
    """For each epoch that is left its number, and its batches with theirs.

    Args:
        batches: of one epoch.
        epochs: the epoch to end at.
        run: where the training stands; `None`: at its beginning.
    """
    if run is None:
        for epoch in range(epochs):
            yield epoch, enumerate(batches)
        return
    if run.finished:
        return
    # One pass over all epochs, so that a data set that shuffles does so as if it had begun.
    rest = iter(batches.repeat().skip(run.epoch * run.steps_per_epoch + run.step))
    for epoch in range(run.epoch, epochs):
        yield epoch, zip(range(run.step, run.steps_per_epoch), rest, strict=False)
