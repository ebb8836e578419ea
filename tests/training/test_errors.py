"""What a step finds wrong inside its graph is a clear error."""

import pytest
import tensorflow as tf

from kerasrnn.training.errors import (
    BATCH_SIZE,
    LOSS_SHAPE,
    NOT_FINITE,
    PARTS,
    clear_errors,
    required,
)


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize(
    ("kind", "values", "error", "message"),
    [
        (
            NOT_FINITE,
            (7, float("nan"), float("inf")),
            FloatingPointError,
            "^step 7 is not finite: its loss is nan, the norm of its gradient inf. The weights",
        ),
        (
            NOT_FINITE,
            (7, 1.5, float("inf")),
            FloatingPointError,
            "^step 7 .* loss is 1.5, .* inf",
        ),
        (BATCH_SIZE, (12, 3), ValueError, "^the batch size changed from 12 to 3 while"),
        (PARTS, (12, 5), ValueError, "^A batch of 12 sequences cannot be split into 5 equal"),
        (
            LOSS_SHAPE,
            ([4, 3], [4, 3, 1]),
            ValueError,
            r"^The loss returned shape \(4, 3\) for outputs of shape \(4, 3, 1\)",
        ),
    ],
)
def test_each_kind_says_its_values(graph, kind, values, error, message):
    def step(condition):
        with required(condition, kind, *map(tf.constant, values)):
            return tf.constant(1.0)

    step = tf.function(step) if graph else step
    with clear_errors():
        assert float(step(tf.constant(True))) == 1.0
    with pytest.raises(error, match=message) as raised, clear_errors():
        step(tf.constant(False))
    assert "\n" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_other_errors_pass():
    with pytest.raises(tf.errors.InvalidArgumentError), clear_errors():
        tf.debugging.assert_equal(1, 2)
    with pytest.raises(KeyError), clear_errors():
        raise KeyError


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("{{node loss/SparseSoftmaxCrossEntropy/Gather}} indices[14] = 9 is not in [0, 4)", 9),
        ("{{node embedding/Gather}} indices[1,2] = -1 is not in [0, 4)", -1),
        ("Received a label value of 9 which is outside the valid range of [0, 4).", 9),
        ("SparseSoftmaxCrossEntropy: segment_ids[14] = 65 is out of range [0, 64)", None),
    ],
)
def test_whatever_operation_tells_it_the_error_is_clear(said, expected):
    what = "ids" if expected == -1 else "targets"
    message = "in the vocabulary" if expected is None else f"from 0 to 3, .* got {expected}"
    with pytest.raises(ValueError, match=f"^{what} must lie {message}"), clear_errors():
        raise tf.errors.InvalidArgumentError(None, None, said)
