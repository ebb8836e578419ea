"""Why a training of an app ends with an error."""

import types

import pytest

from apps import training
from apps.cli import UserError
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
