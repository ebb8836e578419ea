"""What `compile` can be asked for."""

import dataclasses

import keras
import numpy as np
import pytest

import kerasrnn
from kerasrnn.training.options import TrainingOptions
from tests.training.models import make_model


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "window must be a positive integer, got window=0. Use window=None"),
        ({"window": 5, "stride": 0}, "stride must be a positive integer"),
        ({"window": 5, "stride": 6}, "stride must not be above window"),
        ({"stride": 6}, "needs a window of fixed length"),
        (
            {"global_clipnorm": 0},
            "global_clipnorm must be a positive number, got global_clipnorm=0",
        ),
        ({"clipvalue": -1.0}, "clipvalue must be a positive number"),
        (
            {"clipvalue": 1.0, "global_clipnorm": 1.0},
            "Use one of global_clipnorm and clipvalue",
        ),
        ({"time_reduction": "max"}, "time_reduction must be one of mean, sum"),
        ({"non_finite": "ignore"}, "non_finite must be one of raise, skip"),
        ({"parallel_parts": 0}, "parallel_parts must be a positive integer"),
        ({"window": 5, "stride": 2, "teacher_forcing": 0.5}, "needs teacher_forcing=1.0"),
        (
            {"window": 5, "stride": 2, "truncation": kerasrnn.TruncatedBPTT(2)},
            "truncates already",
        ),
        ({"window": 5, "stride": 2, "recompute": True}, "needs stride=window"),
        ({"recompute": True, "teacher_forcing": 0.5}, "needs teacher_forcing=1.0"),
        ({"recompute": True, "truncation": kerasrnn.TruncatedBPTT(2)}, "saves memory of full"),
    ],
    ids=str,
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        make_model(**options)


def test_what_keras_would_take_silently_is_refused():
    with pytest.raises(ValueError, match="jit_compile=True would leave out the checks"):
        make_model(jit_compile=True)
    with pytest.raises(ValueError, match="compile needs a loss"):
        kerasrnn.SequenceModel([keras.layers.Dense(2)]).compile("sgd")
    make_model(loss_weights=None)
    with pytest.raises(ValueError, match="loss_weights weighs several outputs"):
        make_model(loss_weights=[2.0])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"window": 6, "stride": 2, "carry_state": False, "global_clipnorm": 0.5},
        {"window": kerasrnn.RandomWindow(7, seed=2), "time_reduction": "sum"},
        {"recompute": True, "truncation": kerasrnn.RandomizedTruncation(0.5)},
        {"teacher_forcing": kerasrnn.ScheduledSampling(kerasrnn.LinearSchedule(5), "sample")},
        {"clipvalue": 0.1, "parallel_parts": 2, "non_finite": "skip", "truncation": "full"},
    ],
    ids=str,
)
def test_a_saved_configuration_makes_the_same_options(options):
    made = TrainingOptions(**options)
    config = keras.saving.serialize_keras_object(made)
    assert keras.saving.deserialize_keras_object(config) == made
    assert {f.name for f in dataclasses.fields(made)} == set(made.get_config())


@pytest.mark.parametrize("integer", [np.int64, np.int32, np.uint8])
def test_numbers_of_numpy_are_those_of_python(integer):
    made = TrainingOptions(window=integer(6), stride=integer(2))
    assert made == TrainingOptions(window=6, stride=2)
    assert type(made.window) is type(made.stride) is int


def test_a_number_is_the_chance_of_the_truth():
    for given, own in [(None, 0.0), (1.0, 0.0), (0.75, 0.25), (0.0, 1.0)]:
        assert TrainingOptions(teacher_forcing=given).sampling.sampling_probability == own


@pytest.mark.parametrize(
    ("options", "in_pieces", "overlapping"),
    [
        ({}, False, False),
        ({"recompute": True}, True, False),
        ({"window": 4, "stride": 4}, True, False),
        ({"window": 4, "stride": 3}, True, True),
        ({"window": kerasrnn.RandomWindow(9)}, True, False),
    ],
    ids=str,
)
def test_what_follows_from_the_options(options, in_pieces, overlapping):
    made = TrainingOptions(**options)
    assert (made.in_pieces, made.overlapping) == (in_pieces, overlapping)
