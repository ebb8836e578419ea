"""What a step finds wrong inside its graph is a clear error, or it is left out."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.training.errors import (
    BATCH_SIZE,
    LOSS_SHAPE,
    NOT_FINITE,
    PARTS,
    TARGET_SHAPE,
    clear_errors,
    required,
)
from tests.seeds import set_seed
from tests.training.models import BATCH, UNITS, VOCABULARY, WAYS, train_by


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
            r"^The loss returned shape \(4, 3\) for outputs of shape \(4, 3, 1\). Return one "
            r"loss per variable of each step, \(batch, time, variables\).$",
        ),
        (
            TARGET_SHAPE,
            ([4, 3], [5, 3]),
            ValueError,
            r"^targets must have the shape \(batch, 5, 3\): .*, got \(batch, 4, 3\). Use",
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
    message = "among the outputs" if expected is None else f"from 0 to 3, .* got {expected}"
    with pytest.raises(ValueError, match=f"^{what} must lie {message}"), clear_errors():
        raise tf.errors.InvalidArgumentError(None, None, said)


class Poison(keras.layers.Layer):
    """Makes outputs infinite where the input is the last id."""

    def call(self, inputs):
        features, bad = inputs[..., :-1], inputs[..., -1:]
        return features * tf.where(bad > 100, np.float32("inf"), 1.0)


def poisoned_model(**options):
    set_seed(4)
    table = np.zeros((VOCABULARY, 4), "float32")
    table[:, :3] = np.random.default_rng(0).normal(size=(VOCABULARY, 3))
    table[-1, 3] = 1000
    embedding = keras.layers.Embedding(VOCABULARY, 4, trainable=False)
    model = kerasrnn.SequenceModel(
        [
            embedding,
            Poison(),
            kerasrnn.VanillaRNN(UNITS, return_sequences=True, activation="relu"),
            keras.layers.Dense(VOCABULARY),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(), loss, window=5, **options)
    model(np.zeros((1, 1), "int32"))
    embedding.set_weights([table])
    return model


@pytest.mark.parametrize(("way", "eager"), [("fit", False), ("fit", True), ("train", False)])
def test_a_step_that_is_not_finite_is_refused(ids, way, eager, tmp_path):
    ids = ids % (VOCABULARY - 1)
    ids[2, 12] = VOCABULARY - 1  # in the third window
    stream = kerasrnn.Stream(list(ids), batch_size=BATCH)
    model = poisoned_model(run_eagerly=eager)
    options = {} if eager else {"run_dir": tmp_path, "checkpoint_every": 1}
    with pytest.raises(FloatingPointError, match=r"step 3 is not finite: its loss is nan"):
        train_by(way, model, stream, **options)
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert int(model.optimizer.iterations) == 2
    if not eager:
        newest = sorted((tmp_path / "checkpoints").iterdir())[-1]
        assert newest.name == "step-0000000002.npz"
        with np.load(newest) as file:
            arrays = [file[n] for n in file.files if n.startswith("variable/")]
        assert all(np.isfinite(a).all() for a in arrays if a.dtype.kind == "f")


@pytest.mark.parametrize("way", WAYS)
def test_a_step_that_is_not_finite_is_skipped_if_asked(ids, way):
    ids = ids % (VOCABULARY - 1)
    ids[2, 12] = VOCABULARY - 1
    stream = kerasrnn.Stream(list(ids), batch_size=BATCH)
    model = poisoned_model(non_finite="skip")
    logs = train_by(way, model, stream, epochs=2).history
    assert logs["skipped_steps"] == [1, 2]
    assert np.isfinite(logs["loss"]).all()
    assert np.isfinite(logs["gradient_norm"]).all()
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert int(model.optimizer.iterations) == 2 * 5
