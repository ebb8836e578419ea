"""Loss functions of every kind and shape, beside Keras and beside NumPy."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from tests.seeds import set_seed

BATCH, TIME, FEATURES = 8, 12, 3


def square(y, p):
    return tf.square(y - p)  # (batch, time, outputs)


def square_of_steps(y, p):
    return tf.reduce_mean(tf.square(y - p), -1)


def whole(y, p):
    return tf.reduce_mean(tf.square(y - p))


def of_sequences(y, p):
    return tf.reduce_mean(tf.square(y - p), [1, 2])


def over_time(y, p):
    return tf.reduce_mean(tf.square(y - p), 1)  # (batch, outputs): the steps are gone


class Square(keras.losses.Loss):
    def call(self, y, p):
        return tf.square(y - p)


class Whole(keras.losses.Loss):
    def call(self, y, p):
        return whole(y, p)


BY_STEP = {
    "function": square,
    "function of steps": square_of_steps,
    "subclass": Square(),
    "keras object": keras.losses.MeanSquaredError(),
    "keras name": "mse",
}
BY_BATCH = {
    "scalar": whole,
    "sequences": of_sequences,
    "over time": over_time,
    "subclass": Whole(name="whole_of_it"),
}


def data(num_outputs):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH, TIME, FEATURES)).astype("float32")
    return x, rng.normal(size=(BATCH, TIME, num_outputs)).astype("float32")


def make(num_outputs, loss, mask=False, **options):
    """A compiled model with the same weights each time; of a few steps, without a graph."""
    set_seed(2)
    layers = [keras.layers.Masking()] if mask else []
    layers += [kerasrnn.VanillaRNN(4, return_sequences=True), keras.layers.Dense(num_outputs)]
    model = kerasrnn.SequenceModel(layers)
    model.compile(keras.optimizers.SGD(0.1), loss, **{"run_eagerly": True, **options})
    return model


def squares(model, x, y):
    return ((model(x).numpy() - y) ** 2).mean(-1)


def datasets(x, y, window):
    """The windows one after the other, with no weights."""
    pieces = range(0, TIME, window or TIME)
    windows = [(x[:, s : s + (window or TIME)], y[:, s : s + (window or TIME)]) for s in pieces]
    return tf.data.Dataset.from_generator(
        lambda: iter(windows),
        output_signature=(
            tf.TensorSpec([BATCH, window or TIME, FEATURES]),
            tf.TensorSpec([BATCH, window or TIME, y.shape[-1]]),
        ),
    ).apply(tf.data.experimental.assert_cardinality(len(windows)))


@pytest.mark.parametrize("num_outputs", [1, 3])
@pytest.mark.parametrize("kind", BY_STEP)
def test_each_loss_is_that_of_keras(kind, num_outputs):
    x, y = data(num_outputs)
    model = make(num_outputs, BY_STEP[kind])
    found = model.test_on_batch(x, y)
    layers = [keras.layers.SimpleRNN(4, return_sequences=True), keras.layers.Dense(num_outputs)]
    theirs = keras.Sequential(layers)
    theirs.build(x.shape)
    theirs.set_weights(model.get_weights())
    theirs.compile("sgd", BY_STEP[kind], run_eagerly=True)
    np.testing.assert_allclose(found, theirs.test_on_batch(x, y), rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "window", "time_reduction", "factor"),
    # The loss of an epoch under "sum" is the mean of those of its windows.
    [
        *((kind, None, "mean", 1) for kind in BY_STEP),
        ("function", 4, "mean", 1),
        ("function of steps", 8, "sum", TIME / 2),
        ("subclass", 12, "sum", TIME),
        ("keras object", 8, "sum", TIME / 2),
        ("keras name", 4, "mean", 1),
    ],
)
def test_every_step_has_the_mean_over_what_follows_it(kind, window, time_reduction, factor):
    x, y = data(3)
    weights = np.random.default_rng(1).uniform(0.5, 2, size=(BATCH, TIME)).astype("float32")
    model = make(3, BY_STEP[kind], window=window, time_reduction=time_reduction)
    losses = factor * squares(model, x, y)
    found = model.evaluate(x, y, batch_size=BATCH, verbose=0)
    np.testing.assert_allclose(found, losses.mean(), rtol=1e-5)
    found = model.evaluate(x, y, batch_size=BATCH, sample_weight=weights, verbose=0)
    np.testing.assert_allclose(found, (weights * losses).mean(), rtol=1e-5)


@pytest.mark.parametrize("kind", BY_STEP)
def test_masked_steps_have_no_loss(kind):
    x, y = data(3)
    lengths = np.arange(BATCH) + 3
    present = np.arange(TIME) < lengths[:, None]
    x = x * present[..., None]
    model = make(3, BY_STEP[kind], mask=True, window=8)
    found = model.evaluate(x, y, batch_size=BATCH, verbose=0)
    np.testing.assert_allclose(found, squares(model, x, y)[present].mean(), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"window": 8, "run_eagerly": False},
        {"window": 8, "stride": 4},
        pytest.param({"window": 12, "recompute": True}, marks=pytest.mark.slow),
        pytest.param({"window": 4, "parallel_parts": 4}, marks=pytest.mark.slow),
        pytest.param({"parallel_parts": 2}, marks=pytest.mark.slow),
        pytest.param({"window": 4, "time_reduction": "sum"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_weights_end_as_with_a_loss_of_steps(options):
    x, y = data(3)
    source = datasets(x, y, None)
    if "window" in options:
        source = kerasrnn.Stream(list(x), list(y), batch_size=BATCH)
    results = []
    for loss in (square, "mse"):
        model = make(3, loss, **options)
        history = model.fit(source, verbose=0).history
        results.append([history["loss"], *model.get_weights()])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


EACH_STEP_COUNTS = {
    "whole sequences": {},
    "windows": {"window": 4},
    "parts": {"window": 4, "time_reduction": "sum", "parallel_parts": 2},
}


def trained(loss, case):
    """The losses and the weights at the end of a training in which all steps count alike."""
    options = EACH_STEP_COUNTS[case]
    model = make(3, loss, **options)
    history = model.fit(datasets(*data(3), options.get("window")), verbose=0).history
    return [history["loss"], *model.get_weights()]


@functools.cache
def trained_with_mse(case):
    return trained("mse", case)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "case"),
    [
        *((kind, "whole sequences") for kind in BY_BATCH),
        ("scalar", "parts"),
        ("sequences", "windows"),
        ("over time", "windows"),
        ("subclass", "parts"),
    ],
)
def test_a_mean_over_steps_is_fine_where_all_count_alike(kind, case):
    results = trained(BY_BATCH[kind], case), trained_with_mse(case)
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


REFUSED = r"returned shape .*Return one loss per step, \(batch, time\)"


@pytest.mark.parametrize("kind", BY_BATCH)
def test_a_mean_over_steps_is_refused_where_they_count_differently(kind):
    x, y = data(3)
    loss = BY_BATCH[kind]
    name = getattr(loss, "name", None) or loss.__name__
    with pytest.raises(ValueError, match=f"The loss {name} {REFUSED}"):
        make(3, loss, mask=True).test_on_batch(x, y)


def test_steps_count_differently_in_streams_and_with_a_mask_or_weights():
    x, y = data(3)
    stream = kerasrnn.Stream(list(x), list(y), batch_size=BATCH)
    weights = np.ones((BATCH, TIME), "float32")
    refused = [
        lambda: make(3, whole, window=4).fit(stream, verbose=0),
        lambda: kerasrnn.train(make(3, whole, window=8), stream, verbose=0),
        lambda: make(3, whole, window=4).evaluate(x, y, verbose=0),
        lambda: make(3, whole, mask=True).fit(x, y, verbose=0),
        lambda: make(3, whole).test_on_batch(x, y, weights),
    ]
    for call in refused:
        with pytest.raises(ValueError, match=REFUSED):
            call()


@pytest.mark.parametrize(
    "loss", [square, Square(), "mse", whole], ids=["function", "Loss", "name", "whole"]
)
def test_one_output_a_sequence(loss):
    x, y = data(3)
    y = y[:, 0]
    model = kerasrnn.SequenceModel([kerasrnn.VanillaRNN(4), keras.layers.Dense(3)])
    model.compile("sgd", loss, run_eagerly=True)
    found = model.test_on_batch(x, y)
    losses = squares(model, x, y)
    np.testing.assert_allclose(found, losses.mean(), rtol=1e-5)
    weights = np.random.default_rng(1).uniform(0.5, 2, size=BATCH).astype("float32")
    if loss is whole:
        with pytest.raises(ValueError, match=r"whole returned .* per sequence, \(batch,\)"):
            model.test_on_batch(x, y, weights)
        return
    found = model.test_on_batch(x, y, weights)
    np.testing.assert_allclose(found, (weights * losses).mean(), rtol=1e-5)


def test_steps_that_are_gone_are_noticed_where_shapes_are_known_only_at_run_time():
    x, y = data(1)
    batches = tf.data.Dataset.from_generator(
        lambda: iter([(x, y)]),
        output_signature=(
            tf.TensorSpec([None, None, FEATURES]),
            tf.TensorSpec([None, None, 1]),
        ),
    ).apply(tf.data.experimental.assert_cardinality(1))
    model = make(1, square, run_eagerly=False)
    found = model.evaluate(batches, verbose=0)
    np.testing.assert_allclose(found, squares(model, x, y).mean(), rtol=1e-6)
    message = r"shape \(8, 1\) .* outputs of shape \(8, 12\). Return one loss per step"
    for name in ("fit", "evaluate"):
        with pytest.raises(ValueError, match=message):
            getattr(make(1, over_time, run_eagerly=False), name)(batches, verbose=0)


def test_targets_may_differ_by_an_axis_of_size_one():
    x, y = data(1)
    whole_targets = make(1, square).test_on_batch(x, y)
    for targets in (y[..., 0], y.astype("float64")):
        found = make(1, square).test_on_batch(x, targets)
        np.testing.assert_allclose(found, whole_targets, rtol=1e-6)


@pytest.mark.parametrize("loss", [square, "mse"], ids=["function", "name"])
def test_exposure_bias_has_a_loss_for_each_horizon(loss):
    x, _ = data(1)
    y = np.roll(x, -1, axis=1)
    model = make(FEATURES, loss)
    found = kerasrnn.exposure_bias(model, x, y).teacher_forcing
    np.testing.assert_allclose(found, squares(model, x, y).mean(0), rtol=1e-4)


def test_exposure_bias_refuses_a_loss_of_all_horizons():
    x, _ = data(1)
    with pytest.raises(ValueError, match="The loss whole returned"):
        kerasrnn.exposure_bias(make(FEATURES, whole), x, x)


class Gap(keras.losses.Loss):
    """A loss that computes with its targets as they come, as Keras lets it."""

    def call(self, y_true, y_pred):
        return tf.reduce_sum(tf.square(y_true - y_pred), -1)


@pytest.mark.parametrize("window", [None, 4])
def test_a_loss_of_ones_own_gets_targets_of_its_type(window):
    x, _ = data(1)
    y = np.arange(BATCH * TIME).reshape(BATCH, TIME, 1) % 3
    model = make(1, Gap(), window=window)
    expected = np.mean(np.square(model(x).numpy() - y))
    assert model.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_leaves_a_class_out_is_refused():
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    model = kerasrnn.SequenceModel([keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="ignore_class=0 of the loss .* Use sample_weight"):
        model.compile("sgd", loss)


@pytest.mark.parametrize("window", [None, TIME])
def test_weights_may_have_an_axis_of_size_one(window):
    x, y = data(1)
    weights = np.linspace(0.5, 2, BATCH * TIME).reshape(BATCH, TIME).astype("float32")
    model = make(1, "mse", window=window)
    batches = tf.data.Dataset.from_tensors((x, y, weights[..., None]))
    expected = np.mean(weights * np.square(model(x).numpy() - y)[..., 0])
    assert model.evaluate(batches, verbose=0) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("via", "features"), [("fit", 1), ("train", 1), ("evaluate", 1), ("evaluate", 3)]
)
def test_targets_for_every_step_need_an_output_for_every_step(rng, via, features):
    x = rng.normal(size=(8, 5, 2)).astype("float32")
    y = rng.normal(size=(8, 5, features)).astype("float32")
    model = kerasrnn.SequenceModel([kerasrnn.VanillaRNN(4), keras.layers.Dense(features)])
    model.compile("sgd", "mse", run_eagerly=True)
    dataset = tf.data.Dataset.from_tensors((x, y))
    run = {
        "fit": lambda: model.fit(x, y, verbose=0),
        "train": lambda: kerasrnn.train(model, dataset, verbose=0),
        "evaluate": lambda: model.evaluate(x, y, verbose=0),
    }[via]
    with pytest.raises(ValueError, match="one for every step. Give one target a sequence, or"):
        run()
