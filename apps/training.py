"""What the trainings of the apps share: the fit, what it leaves behind, why it ends."""

from pathlib import Path
from typing import Any

from apps import run_dir
from apps.errors import UserError
from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras

    from apps.clock import TrainingClock
    from kerasrnn import files
    from kerasrnn.training.checkpoints import RunError

ADVICE = "Use a smaller --learning-rate or --global-clipnorm."
CHECKPOINT_EVERY = 100  # training steps: a few seconds
WORST_LOSS = 700.0
"""A validation loss that only a model that has diverged reaches, in nats."""


class HistoryFile(keras.callbacks.Callback):
    """Writes the figures of all epochs into a CSV file after each of them.

    `rows` are saved in the checkpoint, like every attribute of a callback. So the file is
    never read. It is always written completely, even if it was damaged.
    """

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.rows: list[dict[str, float]] = []

    def on_epoch_end(self, epoch, logs=None):
        self.rows.append({name: float(value) for name, value in logs.items()})
        run_dir.write_history(self.path, self.rows)


def fit(
    model: Any,
    data: Any,
    validation_data: Any,
    *,
    folder: Path,
    epochs: int,
    chosen_by: str,
    mode: str,
    patience: int,
    callbacks: tuple[keras.callbacks.Callback, ...] = (),
    seconds_before: float = 0.0,
    advice: str = ADVICE,
) -> tuple[dict[str, list[float]], float]:
    """Trains with `model.fit`; the best weights are in the model afterwards.

    Goes on from the newest checkpoint in `folder`, if there is one.

    Args:
        model: compiled.
        data, validation_data: as `fit` takes them.
        folder: of the run.
        epochs, patience: how long to train, as the options have it.
        chosen_by, mode: the figure that the best epoch is best in, and which way.
        callbacks: those of the app, before the shared ones.
        seconds_before: what the preparations took, which counts, too.
        advice: what to do if the training diverges.

    Returns:
        The history, and the seconds it took.

    Raises:
        UserError: if the training diverges, or the run in `folder` cannot go on.
    """
    finished = (folder / run_dir.METRICS).exists()
    if finished:
        print(f"the run in {folder} is finished. Use --no-resume to start again.", flush=True)
    clock = TrainingClock(seconds_before)
    best = keras.callbacks.EarlyStopping(
        chosen_by, mode=mode, patience=patience, restore_best_weights=True
    )
    history_file = HistoryFile(folder / "history.csv")
    try:
        history = model.fit(
            data,
            validation_data=validation_data,
            epochs=epochs,
            verbose=0 if finished else "auto",
            callbacks=[*callbacks, history_file, best, clock],
            run_dir=folder,
            checkpoint_every=CHECKPOINT_EVERY,
        ).history
    except FloatingPointError as error:
        reason = str(error).partition(" The weights")[0].partition(" Lower the")[0]
        raise _diverged(reason, advice) from error
    except RunError as error:
        reason = str(error).replace("resume=False", "--no-resume")
        raise UserError(reason.replace("another run_dir", "another --run-dir")) from error
    _check_useful(history, chosen_by, mode, advice)
    if best.stopped_epoch:
        print(
            f"stopped early: patience is {patience}, and {chosen_by} was best in epoch "
            f"{best.best_epoch + 1}. The model is the one of that epoch.",
            flush=True,
        )
    run_dir.write_history(history_file.path, history_file.rows)  # it may have been damaged
    return history, clock.seconds


def warmed_cosine(options: Any, num_steps: int) -> keras.optimizers.schedules.CosineDecay:
    """A learning rate that rises for `--warmup-steps` to its highest, and falls to 0.

    Args:
        options: with `learning_rate` and `warmup_steps`.
        num_steps: training steps in all; at most a tenth of them is for the rise.
    """
    warmup_steps = min(options.warmup_steps, num_steps // 10)
    return keras.optimizers.schedules.CosineDecay(
        0.0 if warmup_steps else options.learning_rate,
        num_steps - warmup_steps,
        warmup_target=options.learning_rate if warmup_steps else None,
        warmup_steps=warmup_steps,
    )


def save_best(model: keras.Model, folder: Path) -> None:
    """Saves the model that is exported, for Keras, beside the checkpoints of its run."""
    with files.writing(folder / "checkpoints" / "best.keras") as hidden:
        model.save(hidden)


def _check_useful(
    history: dict[str, list[float]], chosen_by: str, mode: str, advice: str
) -> None:
    """Raises an error if the loss is finite, but far worse than that of an untrained model."""
    figures = history[chosen_by]
    best = figures.index(max(figures) if mode == "max" else min(figures))
    loss = history["val_loss"][best]
    if loss > WORST_LOSS:
        raise _diverged(f"epoch {best + 1}, the best one, has val_loss={loss:g}.", advice)


def _diverged(reason: str, advice: str) -> UserError:
    return UserError(f"the training has diverged: {reason} {advice}")
