"""What `--truncation`, `--teacher-forcing` and `--schedule` come to, and what they refuse."""

import pytest

import kerasrnn
from apps.chargen.config import Train
from apps.errors import UserError
from apps.feeding import feeding_policy, truncation_policy
from apps.sentiment.config import Train as TrainSentiment

NUM_STEPS = 400


def test_a_truncation_is_the_policy_of_its_name():
    assert truncation_policy("full") is None
    assert truncation_policy("20") == kerasrnn.TruncatedBPTT(20)
    assert truncation_policy("randomized") == kerasrnn.RandomizedTruncation(0.9)


@pytest.mark.parametrize("ratio", [0.25, 0.9])
@pytest.mark.parametrize("schedule", ["linear", "exponential", "inverse_sigmoid"])
def test_a_schedule_falls_from_the_truth_to_the_ratio(schedule, ratio):
    policy = feeding_policy(Train(teacher_forcing=ratio, schedule=schedule), NUM_STEPS)
    ratios = [1 - float(policy.probability(step)) for step in range(NUM_STEPS + 1)]
    assert ratios[0] > 0.95
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[-1] == pytest.approx(ratio, abs=1e-3)


def test_without_a_schedule_the_ratio_is_constant():
    assert feeding_policy(Train(), NUM_STEPS) is None
    policy = feeding_policy(Train(teacher_forcing=0.75), NUM_STEPS)
    assert [float(policy.probability(step)) for step in (0, NUM_STEPS)] == [0.25, 0.25]


@pytest.mark.parametrize("cell", ["vanilla", "lstm", "gru"])
def test_every_cell_can_truncate(cell):
    for kind in (Train, TrainSentiment):
        for truncation in ("full", "randomized", "5"):
            assert kind(cell=cell, truncation=truncation).truncation == truncation


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (Train, {"truncation": "often"}, "--truncation must be full, randomized or a number"),
        (Train, {"truncation": "0"}, "--truncation must be full, randomized or a number"),
        (TrainSentiment, {"truncation": "-5"}, "--truncation must be full, randomized or"),
        (Train, {"stride": 65}, "--stride must not be above 64"),
        (Train, {"stride": 8, "truncation": "4"}, "must not be a number if --stride is below"),
        (Train, {"stride": 8, "teacher_forcing": 0.5}, "must be 1 if --stride is below"),
        (Train, {"teacher_forcing": 1.5}, r"--teacher-forcing must lie in \[0, 1\]"),
        (Train, {"schedule": "linear"}, "must be below 1 with --schedule linear"),
        (
            Train,
            {"schedule": "exponential", "teacher_forcing": 0.0},
            "must be above 0 with --schedule exponential",
        ),
    ],
)
def test_options_that_conflict_are_named(kind, options, message):
    with pytest.raises(UserError, match=message):
        kind(**options)
