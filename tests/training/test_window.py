"""A batch of windows: its parts, and which of its steps count."""

import numpy as np
import pytest
import tensorflow as tf

from kerasrnn.training.window import Window, read_window

BATCH, TIME = 3, 4
IDS = np.array([[3, 1, 2, 0], [5, 0, 0, 0], [1, 1, 1, 1]])
TARGETS = IDS + 1


def is_id(inputs):
    return inputs != 0


def no_mask(inputs):
    return None


def test_inputs_and_targets_alone_count_everywhere():
    window = read_window((IDS, TARGETS), no_mask, True)
    np.testing.assert_array_equal(window.inputs, IDS)
    np.testing.assert_array_equal(window.targets, TARGETS)
    assert (window.reset, window.counted, window.sample_weight) == (None, None, None)


def test_inputs_may_say_where_sequences_begin():
    reset = [True, False, True]
    window = read_window(({"inputs": IDS, "reset": reset}, TARGETS), no_mask, True)
    np.testing.assert_array_equal(window.inputs, IDS)
    np.testing.assert_array_equal(window.reset, reset)
    assert read_window(({"inputs": IDS}, TARGETS), no_mask, True).reset is None


WEIGHTS = {
    "a step": np.array([[1.0, 0, 2, 3], [0, 1, 1, 1], [0.5, 0.5, 0, 0]]),
    "a sequence": np.array([1.0, 0, 2]),
    "a step, with an axis": np.arange(12.0).reshape(BATCH, TIME, 1) % 3,
    "a sequence, with an axis": np.array([[1.0], [0], [2]]),
}


@pytest.mark.parametrize("mask", [no_mask, is_id])
@pytest.mark.parametrize("kind", WEIGHTS)
def test_steps_count_that_are_not_masked_and_have_a_weight(kind, mask):
    weights = WEIGHTS[kind]
    window = read_window((IDS, TARGETS, weights), mask, True)
    expected = np.zeros((BATCH, TIME))
    for row in range(BATCH):
        for step in range(TIME):
            weight = weights[row] if kind.startswith("a sequence") else weights[row, step]
            expected[row, step] = np.ravel(weight)[0]
    np.testing.assert_array_equal(window.sample_weight, expected)
    used = IDS != 0 if mask is is_id else np.ones_like(IDS)
    np.testing.assert_array_equal(window.counted, used * (expected != 0))
    assert window.counted.dtype == window.sample_weight.dtype == tf.float32


def test_a_mask_alone_decides_what_counts():
    window = read_window((IDS, TARGETS), is_id, True)
    np.testing.assert_array_equal(window.counted, IDS != 0)
    assert window.sample_weight is None


@pytest.mark.parametrize("weights", [np.array([1.0, 0, 2]), np.array([[1.0], [0], [2]])])
def test_one_output_a_sequence_has_one_weight_and_no_mask(weights):
    window = read_window((IDS, TARGETS[:, 0], weights), is_id, False)
    np.testing.assert_array_equal(window.sample_weight, [1, 0, 2])
    np.testing.assert_array_equal(window.counted, [1, 0, 1])
    assert read_window((IDS, TARGETS[:, 0]), is_id, False).counted is None


@pytest.mark.parametrize("mask", [no_mask, is_id])
def test_a_variable_counts_where_its_step_does_and_it_is_not_missing(mask):
    targets = np.stack([TARGETS, np.where(IDS == 1, np.nan, TARGETS)], -1)  # float64
    window = read_window((IDS, targets), mask, True, (TIME, 2))
    steps = np.ones_like(IDS) if mask is no_mask else IDS != 0
    np.testing.assert_array_equal(window.counted, steps[..., None] * ~np.isnan(targets))
    np.testing.assert_array_equal(window.targets, np.nan_to_num(targets))
    assert window.targets.dtype == window.counted.dtype == tf.float32
    weighted = read_window((IDS, targets, np.array([1.0, 0, 2])), mask, True, (TIME, 2))
    expected = window.counted * np.array([1, 0, 1])[:, None, None]
    np.testing.assert_array_equal(weighted.counted, expected)
    assert weighted.sample_weight.shape == (BATCH, TIME, 2)


def test_the_number_of_steps_of_targets_may_be_free():
    window = read_window((IDS, TARGETS[..., None]), no_mask, True, (None, 1))
    assert window.counted.shape == (BATCH, TIME, 1)
    with pytest.raises(ValueError, match=r"shape .batch, None, 2.: .* got .3, 4, 1."):
        read_window((IDS, TARGETS[..., None]), no_mask, True, (None, 2))


def test_a_batch_needs_targets():
    for batch in (IDS, (IDS,), ({"inputs": IDS, "reset": [True] * BATCH},)):
        with pytest.raises(ValueError, match="A batch must be .inputs, targets. or"):
            read_window(batch, no_mask, True)


def test_some_rows_and_some_steps():
    parts = {
        "inputs": tf.constant(IDS),
        "reset": tf.constant([True, False, True]),
        "targets": tf.constant(TARGETS),
        "counted": tf.cast(IDS != 0, tf.float32),
        "sample_weight": tf.constant(WEIGHTS["a step"]),
    }
    window = Window(**parts)
    rows, steps = window.rows(slice(1, 3)), window.steps(slice(1, 3))
    for name, part in parts.items():
        np.testing.assert_array_equal(getattr(rows, name), part.numpy()[1:3])
        if name != "reset":
            np.testing.assert_array_equal(getattr(steps, name), part.numpy()[:, 1:3])
    assert steps.reset is None  # these sequences go on
    whole = Window(parts["inputs"], None, parts["targets"], None, None)
    assert whole.rows(slice(1)).counted is whole.steps(slice(1)).sample_weight is None


def test_the_model_is_given_what_else_there_is():
    source = np.arange(6.0).reshape(BATCH, 2)
    window = read_window(({"inputs": IDS, "source": source}, TARGETS), no_mask, True)
    np.testing.assert_array_equal(window.of_model["source"], source)
    np.testing.assert_array_equal(window.rows(slice(1, 3)).of_model["source"], source[1:])
    np.testing.assert_array_equal(window.rows(slice(1, 3)).of_model["inputs"], IDS[1:])
    np.testing.assert_array_equal(window.steps(slice(1, 3)).of_model["source"], source)
    alone = read_window((IDS, TARGETS), no_mask, True)
    np.testing.assert_array_equal(alone.of_model, IDS)


def test_a_dictionary_needs_inputs():
    with pytest.raises(ValueError, match='must have "inputs", got'):
        read_window(({"source": IDS}, TARGETS), no_mask, True)
