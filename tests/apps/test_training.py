"""Why a training of an app ends: with an error, or early."""

import types

import keras
import pytest

from apps import training
from apps.errors import UserError
from kerasrnn.training.divergence import ADVICE


class Model:
    """A model whose training comes to these figures, or to this error."""

    def __init__(self, outcome):
        self.outcome = outcome

    def fit(self, data, **_):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return types.SimpleNamespace(history=self.outcome)


HISTORY = {"val_loss": [800.0, 701.0, 2e31], "val_accuracy": [0.4, 0.5, 0.6]}


@pytest.mark.parametrize(
    ("outcome", "chosen_by", "mode", "reason"),
    [
        (HISTORY, "val_loss", "min", "epoch 2, the best one, has val_loss=701."),
        (HISTORY, "val_accuracy", "max", "epoch 3, the best one, has val_loss=2e+31."),
        (
            FloatingPointError(f"epoch 1 has loss=inf. {ADVICE}"),
            "val_loss",
            "min",
            "epoch 1 has loss=inf.",
        ),
        (
            FloatingPointError(
                "step 3 is not finite. The weights are those of the step before."
            ),
            "val_loss",
            "min",
            "step 3 is not finite.",
        ),
    ],
)
def test_a_training_that_diverges_is_told_with_the_options_of_the_app(
    tmp_path, outcome, chosen_by, mode, reason
):
    options = {"epochs": 3, "patience": 3, "chosen_by": chosen_by, "mode": mode}
    with pytest.raises(UserError) as caught:
        training.fit(Model(outcome), None, None, folder=tmp_path, **options)
    assert str(caught.value) == (
        f"the training has diverged: {reason} Use a smaller --learning-rate or "
        "--global-clipnorm."
    )


class StoppedModel(Model):
    """A model whose validation loss is best in epoch 2 of 3."""

    def fit(self, *data, callbacks, **options):
        for callback in callbacks:
            if isinstance(callback, keras.callbacks.EarlyStopping):
                callback.stopped_epoch, callback.best_epoch = 2, 1
            if isinstance(callback, training.HistoryFile):
                callback.rows = [{"val_loss": loss} for loss in self.outcome["val_loss"]]
        return super().fit(*data)

    def save(self, path):
        path.touch()


def test_a_training_that_stops_early_says_which_model_is_kept(tmp_path, capsys):
    (tmp_path / "checkpoints").mkdir()
    model = StoppedModel({"val_loss": [3.0, 1.0, 2.0]})
    options = {"epochs": 9, "patience": 2, "chosen_by": "val_loss", "mode": "min"}
    training.fit(model, None, None, folder=tmp_path, **options)
    assert capsys.readouterr().out == (
        "stopped early: patience is 2, and val_loss was best in epoch 2. "
        "The model is the one of that epoch.\n"
    )
