"""Windows given one by one, beside `fit` and `evaluate` over the whole stream."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from tests.seeds import set_seed

BATCH, TIME, FEATURES = 4, 12, 3


def make(cell="vanilla", optimizer="adam", metrics=(), **options):
    set_seed(2)
    kind = kerasrnn.VanillaRNN if cell == "vanilla" else keras.layers.LSTM
    model = kerasrnn.SequenceModel([kind(4, return_sequences=True), keras.layers.Dense(1)])
    model.compile(optimizer, "mse", metrics=list(metrics), **options)
    return model


def make_data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH, TIME, FEATURES)).astype("float32")
    return x, rng.normal(size=(BATCH, TIME, 1)).astype("float32")


@pytest.fixture
def data():
    return make_data()


def stream_of(data):
    return kerasrnn.Stream(list(data[0]), list(data[1]), batch_size=BATCH)


class EachLoss(keras.callbacks.Callback):
    """The loss of every single batch."""

    def __init__(self):
        super().__init__()
        self.losses = []

    def on_train_batch_begin(self, batch, logs=None):
        self.model.reset_metrics()

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(float(logs["loss"]))


def fitted(data, *arguments, **options):
    model, each = make(*arguments, **options), EachLoss()
    model.fit(stream_of(data), verbose=0, callbacks=[each])
    return model.get_weights(), each.losses


def loss_of(model, *batch):
    return model.train_on_batch(*batch, return_dict=True)["loss"]


@pytest.fixture(scope="module")
def fitted_by_windows():
    """What `fit` ends with where nothing but the window is set."""
    return fitted(make_data(), window=4)


def loop_over_windows(data, *arguments, **options):
    model, losses = make(*arguments, window=4, **options), []
    for start in range(0, TIME, 4):
        losses.append(loss_of(model, *(a[:, start : start + 4] for a in data)))
    return model.get_weights(), losses


def assert_same(found, expected):
    for a, b in zip(found[0], expected[0], strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(found[1], expected[1])


def test_a_loop_over_windows_ends_with_the_weights_of_fit(data, fitted_by_windows):
    assert_same(loop_over_windows(data), fitted_by_windows)


@pytest.mark.parametrize(
    ("cell", "options"),
    [
        ("vanilla", {"run_eagerly": True, "carry_state": False}),
        ("lstm", {"run_eagerly": True}),
        pytest.param(
            "vanilla", {"run_eagerly": True, "recompute": True}, marks=pytest.mark.slow
        ),
        pytest.param(
            "lstm", {"global_clipnorm": 0.1, "parallel_parts": 2}, marks=pytest.mark.slow
        ),
    ],
    ids=str,
)
def test_so_it_does_with_other_options(data, cell, options):
    expected = fitted(data, cell, window=4, **options)
    assert_same(loop_over_windows(data, cell, **options), expected)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"window": 5}, marks=pytest.mark.slow),
        pytest.param({"window": 4, "stride": 2, "run_eagerly": True}, marks=pytest.mark.slow),
        {
            "window": kerasrnn.RandomWindow(5, 1.0, min_length=2),
            "optimizer": "sgd",
            "run_eagerly": True,
        },
    ],
    ids=str,
)
def test_so_does_a_loop_over_what_a_stream_is_cut_into(data, options):
    model, losses = make(**options), []
    for batch in stream_of(data).windows(options["window"], options.get("stride")):
        losses.append(loss_of(model, *batch))
    expected = fitted(data, **options)
    for a, b in zip([*model.get_weights(), losses], [*expected[0], expected[1]], strict=True):
        # Lengths that vary are compiled for each length here, and once for all in fit.
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_sequences_of_several_lengths_begin_where_reset_says(rng):
    lengths = [7, 4, 9, 2, 5]
    x = [rng.normal(size=(n, FEATURES)).astype("float32") for n in lengths]
    stream = kerasrnn.Stream(x, [s[:, :1] for s in x], batch_size=2)
    whole, model = (make(window=3, run_eagerly=True) for _ in range(2))
    whole.fit(stream, verbose=0)
    for batch in stream.windows(3):
        model.train_on_batch(*batch)
    for a, b in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_loop_of_ones_own_around_train_step_carries_too(data, fitted_by_windows, compiled):
    model, losses = make(window=4), []
    step = tf.function(model.train_step, autograph=False) if compiled else model.train_step
    for start in range(0, TIME, 4):
        model.reset_metrics()
        batch = tuple(tf.constant(a[:, start : start + 4]) for a in data)
        losses.append(float(step(batch)["loss"]))
    weights, expected = fitted_by_windows
    for a, b in zip([*model.get_weights(), losses], [*weights, expected], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("cell", "run_eagerly"),
    [("vanilla", False), pytest.param("lstm", True, marks=pytest.mark.slow)],
)
def test_scores_of_windows_are_those_of_evaluate(data, cell, run_eagerly):
    model = make(cell, window=4, metrics=["mae"], run_eagerly=run_eagerly)
    for _ in range(2):
        scores = [
            model.test_on_batch(*(a[:, s : s + 4] for a in data), return_dict=True)
            for s in range(0, TIME, 4)
        ]
        expected = model.evaluate(*data, verbose=0, return_dict=True)  # and forgets
        assert set(scores[0]) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(np.mean([s[name] for s in scores]), value, rtol=1e-5)


def frozen():
    """A model whose weights stay as they are: a loss depends on the states alone."""
    return make(window=4, optimizer=keras.optimizers.SGD(0.0), run_eagerly=True)


def test_states_begin_afresh_after_fit_train_and_reset_states(data):
    first = [a[:, :4] for a in data]

    def loss_of_first(model):
        return loss_of(model, *first)

    afresh = loss_of_first(frozen())
    model = frozen()
    assert loss_of_first(model) == afresh
    assert loss_of_first(model) != afresh  # it went on
    model.evaluate(*data, verbose=0)
    assert loss_of_first(model) != afresh  # another sequence, with states of its own
    model.fit(stream_of(data), verbose=0)
    assert loss_of_first(model) == afresh
    kerasrnn.train(model, stream_of(data), verbose=0)
    assert loss_of_first(model) == afresh
    model.reset_states()
    assert loss_of_first(model) == afresh
    smaller = [a[:2] for a in first]
    with pytest.raises(ValueError, match="the batch size changed from 4 to 2 while states"):
        model.train_on_batch(*smaller)
    model.reset_states()
    assert np.isfinite(loss_of(model, *smaller))


def test_states_begin_afresh_after_a_run_with_checkpoints(data, tmp_path):
    first = [a[:, :4] for a in data]
    afresh = loss_of(frozen(), *first)
    model, again = frozen(), frozen()
    model.fit(stream_of(data), verbose=0, run_dir=tmp_path)
    assert loss_of(model, *first) == afresh
    kerasrnn.train(again, stream_of(data), verbose=0, run_dir=tmp_path)  # it is done already
    assert loss_of(again, *first) == afresh


def test_whole_sequences_on_a_fresh_model(data):
    model, other = make(metrics=["mae"]), make(metrics=["mae"], run_eagerly=True)
    expected = other.fit(*data, batch_size=BATCH, verbose=0).history
    found = model.train_on_batch(*data, return_dict=True)
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name][0], rtol=1e-6)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_a_step_that_is_not_finite_is_told_clearly(data):
    x, y = data
    model = make(window=4)
    with pytest.raises(FloatingPointError, match="step 1 is not finite"):
        model.train_on_batch(x[:, :4] * np.float32("nan"), y[:, :4])


def test_what_is_no_window_is_named(data):
    x, y = data
    model = make(window=4)
    with pytest.raises(ValueError, match="a batch has 12 steps and window=4"):
        model.train_on_batch(x, y)
    with pytest.raises(ValueError, match="stride=2 needs batches of window=4 steps, got 3"):
        make(window=4, stride=2).train_on_batch(x[:, :3], y[:, :3])
    for name in ("train_on_batch", "test_on_batch"):
        on_batch = getattr(model, name)
        with pytest.raises(ValueError, match=f"{name} takes the arrays of one .* got Stream"):
            on_batch(stream_of(data))
        with pytest.raises(ValueError, match=f"{name} needs inputs and targets"):
            on_batch(x[:, :4])
        with pytest.raises(ValueError, match="got 4 sequences and 3 targets"):
            on_batch(x[:, :4], y[:3, :4])
        with pytest.raises(ValueError, match=f"{name} takes arrays, got list"):
            on_batch(x[:, :4].tolist(), y[:, :4])
    with pytest.raises(ValueError, match="You must call compile"):
        kerasrnn.SequenceModel([keras.layers.Dense(1)]).train_on_batch(x, y)


def test_predict_on_batch_says_that_it_carries_nothing(data):
    x, _ = data
    with pytest.raises(
        ValueError, match=r"Use predict for whole sequences, or outputs, states"
    ):
        make(window=4).predict_on_batch(x)
    for model in (make(), make(window=4, carry_state=False, run_eagerly=True)):
        np.testing.assert_allclose(model.predict_on_batch(x), model(x), rtol=1e-5, atol=1e-6)
    kerasrnn.SequenceModel([keras.layers.Dense(1)]).predict_on_batch(x)
