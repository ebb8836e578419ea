"""The forecaster, against NumPy and on series whose future is known."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import kerasrnn
from tests.plain_ops import assert_plain
from tests.reference import forward
from tests.seeds import set_seed

NAN = np.nan
VARIANTS = [
    (method, output)
    for method in ("direct", "recursive")
    for output in ("point", "quantiles", "gaussian")
]
each_variant = pytest.mark.parametrize(("method", "output"), VARIANTS)


def make_model(method="direct", output="point", num_variables=2, num_known=1, **options):
    model = kerasrnn.Forecaster(
        4, num_variables, num_known, method, output, cell="vanilla", units=5, **options
    )
    model.build()
    for variable in model.trainable_variables:
        variable.assign(variable + 0.1)
    return model


@pytest.fixture
def past(rng):
    """Two series of two variables, of different units, with gaps; and what is known."""
    values = rng.normal(size=(2, 7, 2)) * [3, 0.5] + [10, -2]
    values[0, 3:5, 0] = values[1, 0] = values[1, -1, 1] = NAN
    return values.astype("float32"), rng.normal(size=(2, 11, 1)).astype("float32")


def scaled_by_hand(past):
    """Each window minus the mean of what was observed, over its standard deviation."""
    center, size = np.nanmean(past, 1, keepdims=True), np.nanstd(past, 1, keepdims=True)
    return (past - center) / size, center, size


def features(values, known):
    return np.concatenate([np.nan_to_num(values), ~np.isnan(values), known], -1)


def split(outputs, output, last):
    """Outputs of the last layer, changes since the last value, as numbers of each variable."""
    numbers = outputs.reshape(*outputs.shape[:-1], 2, -1)
    if output == "gaussian":
        deviation = np.log1p(np.exp(numbers[..., 1])) + 1e-3
        return np.stack([last + numbers[..., 0], deviation], -1)
    return np.sort(last[..., None] + numbers)


def raw(numbers, center, size, output):
    shift = np.array([1, 0]) if output == "gaussian" else 1  # a deviation is not moved
    return center[..., None] * shift + size[..., None] * numbers


@pytest.mark.parametrize("output", ["point", "quantiles", "gaussian"])
def test_a_direct_forecast_equals_numpy(past, output):
    values, known = past
    model = make_model("direct", output)
    W_x, W_h, b = model.recurrent.get_weights()
    W_o, b_o = model.output_layer.get_weights()
    scaled, center, size = scaled_by_hand(values)
    for row in range(2):
        first = row  # the second series begins with a step without values, which is not read
        x = features(scaled, known[:, :7])[row : row + 1, first:]
        h = forward(x, W_x, W_h, b, np.zeros((1, 5)))[:, -1]
        outputs = np.concatenate([h, known[row : row + 1, 7:, 0]], -1) @ W_o + b_o
        last = [column[~np.isnan(column)][-1] for column in scaled[row].T]
        numbers = split(outputs.reshape(4, -1), output, np.array(last))
        expected = raw(numbers, center[row], size[row], output)
        found = model({"inputs": values, "known": known})[row]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def recursion(model, values, known, output, future=None):
    """Feeds back the value before, true where there is a future, else the model's own."""
    W_x, W_h, b = model.recurrent.get_weights()
    W_o, b_o = model.output_layer.get_weights()
    scaled, center, size = scaled_by_hand(values)
    h, read, result = np.zeros((len(values), 5)), np.zeros((len(values), 1), bool), []
    value = np.full_like(scaled[:, 0], NAN)
    last = np.zeros_like(value)
    for t in range(11):
        last = np.where(np.isnan(value), last, value)
        new = np.tanh(features(value, known[:, t]) @ W_x + h @ W_h + b)
        read |= ~np.isnan(value).all(-1, keepdims=True)
        h = np.where(read, new, h)
        if t < 7:
            value = scaled[:, t]
            continue
        numbers = split(h @ W_o + b_o, output, last)
        value = numbers[..., {"point": 0, "quantiles": 1, "gaussian": 0}[output]]
        result.append(raw(numbers, center[:, 0], size[:, 0], output))
        if future is not None:
            value = (future[:, t - 7] - center[:, 0]) / size[:, 0]
    return np.stack(result, 1)


@pytest.mark.parametrize("output", ["point", "quantiles", "gaussian"])
def test_a_recursive_forecast_feeds_itself_as_numpy_does(past, output):
    values, known = past
    model = make_model("recursive", output)
    expected = recursion(model, values, known, output)
    found = model({"inputs": values, "known": known})
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    future = np.full((2, 4, 2), 1e6, "float32")  # never read in inference
    cheating = model({"inputs": values, "known": known, "future": future})
    np.testing.assert_array_equal(cheating, found)


@pytest.mark.parametrize("output", ["point", "quantiles", "gaussian"])
def test_in_training_the_true_value_is_fed(past, rng, output):
    values, known = past
    future = rng.normal(size=(2, 4, 2)).astype("float32")
    future[0, 1, 0] = NAN
    model = make_model("recursive", output)
    inputs = {"inputs": values, "known": known, "future": future}
    expected = recursion(model, values, known, output, future)
    np.testing.assert_allclose(model(inputs, training=True), expected, rtol=1e-4, atol=1e-4)
    model.compile(teacher_forcing=0.0)
    feedback = model.training_step.feedback(tf.constant(values))
    found = model(inputs, training=True, feedback=feedback)
    np.testing.assert_allclose(found, recursion(model, values, known, output), rtol=1e-4)


def test_teacher_forcing_mixes_true_values_with_its_own(past, rng):
    """Each step of each series is what one of the two kinds of input gives it."""
    values, known = past
    model = make_model("recursive")
    many = {"inputs": np.repeat(values, 200, 0), "known": np.repeat(known, 200, 0)}
    many["future"] = np.repeat(rng.normal(size=(2, 4, 2)), 200, 0).astype("float32")
    model.compile(teacher_forcing=kerasrnn.ScheduledSampling(0.25))
    feedback = model.training_step.feedback(tf.constant(values))
    found = model(many, training=True, feedback=feedback).numpy()[:, 1, 0, 0]
    true = recursion(model, many["inputs"], many["known"], "point", many["future"])[:, 1, 0, 0]
    own = recursion(model, many["inputs"], many["known"], "point")[:, 1, 0, 0]
    is_own = np.isclose(found, own, rtol=1e-4)
    np.testing.assert_allclose(found[~is_own], true[~is_own], rtol=1e-4)
    assert abs(is_own.mean() - 0.25) < 0.06


@each_variant
def test_a_forecast_is_raw_and_has_the_documented_shapes(rng, method, output):
    series = [rng.normal(size=(9, 2)), rng.normal(size=(6, 2)) + 100]
    model = make_model(method, output, num_known=0)
    forecast = model.forecast(series)
    assert forecast.values.shape == (2, 4, 2)
    assert (np.abs(forecast.values[1]) > 50).all()
    if output == "point":
        assert forecast.quantiles is None
        return
    assert forecast.quantiles.shape == (2, 4, 2, 3)
    assert (np.diff(forecast.quantiles) >= 0).all()
    np.testing.assert_allclose(forecast.quantiles[..., 1], forecast.values, rtol=1e-6)
    if output == "gaussian":
        mean, deviation = np.moveaxis(model.predict(series[0][None], verbose=0), -1, 0)
        expected = scipy.stats.norm(mean[..., None], deviation[..., None]).ppf(model.quantiles)
        np.testing.assert_allclose(forecast.quantiles[:1], expected, rtol=1e-4)


@each_variant
def test_ten_times_a_series_has_ten_times_the_forecast(rng, method, output):
    series = rng.normal(size=(9, 2)) * 3 + 5
    model = make_model(method, output, num_known=0)
    once, ten_times = model.forecast(series), model.forecast(10 * series)
    np.testing.assert_allclose(ten_times.values, 10 * once.values, rtol=1e-3)
    if output != "point":
        np.testing.assert_allclose(ten_times.quantiles, 10 * once.quantiles, rtol=1e-3)


@pytest.mark.parametrize("method", ["direct", "recursive"])
def test_missing_values_at_the_beginning_change_nothing(rng, method):
    series = rng.normal(size=(6, 2)).astype("float32")
    padded = np.concatenate([np.full((3, 2), NAN), series])
    model = make_model(method, num_known=0)
    expected = model.forecast(series).values
    np.testing.assert_allclose(model.forecast(padded).values, expected, rtol=1e-5)
    together = model.forecast([series, rng.normal(size=(9, 2))]).values  # of two lengths
    np.testing.assert_allclose(together[:1], expected, rtol=1e-5)


@pytest.mark.parametrize("method", ["direct", "recursive"])
def test_constant_series_are_forecast_to_within_a_thousandth(method):
    model = make_model(method, "gaussian", num_variables=1, num_known=0)
    forecast = model.forecast([[5e5] * 6, [NAN, 5e5, NAN, 5e5, NAN, NAN], [0.0] * 6])
    np.testing.assert_allclose(forecast.values[:2], 5e5, rtol=0.01)
    assert np.isfinite(forecast.quantiles).all()


def without_change(method, output="point", **options):
    """A model whose network computes 0: it forecasts the last observed value."""
    model = make_model(method, output, num_variables=1, num_known=0, **options)
    for variable in model.output_layer.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    return model


@each_variant
def test_a_forecast_begins_at_the_last_observed_value(method, output):
    forecast = without_change(method, output).forecast([10, 30, NAN, 90, NAN, NAN])
    np.testing.assert_allclose(forecast.values, 90, rtol=1e-5)


def test_in_training_each_step_begins_at_the_last_observed_value():
    past = np.array([[[10], [90], [NAN]]], "float32")
    future = np.array([[[NAN], [50], [NAN], [70]]], "float32")
    model = without_change("recursive")
    found = model({"inputs": past, "future": future}, training=True)
    np.testing.assert_allclose(found[0, :, 0, 0], [90, 90, 50, 50], rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@each_variant
def test_low_precision_does_not_round_the_last_value(method, output, policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = without_change(method, output)
    finally:
        keras.config.set_dtype_policy("float32")
    past = np.array([1000, 4000, 2500, 7700], "float32")
    np.testing.assert_allclose(model.forecast(past).values, 7700, rtol=1e-6)
    inputs = {"inputs": past[None, :, None], "future": np.full((1, 4, 1), 7701, "float32")}
    found = model.numbers.point(model(inputs, training=True))[0, :, 0]
    expected = [7700, 7701, 7701, 7701] if method == "recursive" else 7700
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@each_variant
def test_it_learns_a_wave(method, output):
    """To a fifth of its amplitude, in a short training; the series has no noise."""
    wave = 100 + 5 * np.sin(2 * np.pi * np.arange(120) / 12)
    model = kerasrnn.Forecaster(6, method=method, output=output, cell="vanilla", units=12)
    model.compile(keras.optimizers.Adam(0.02), global_clipnorm=1.0)
    windows = kerasrnn.forecast_windows(wave[:114], 12, 6, batch_size=16, seed=0)
    model.fit(windows, epochs=12, verbose=0)
    error = np.abs(model.forecast(wave[90:114]).values[0, :, 0] - wave[114:])
    assert error.mean() < 1


def test_without_a_past_a_forecast_is_finite_and_without_known_inputs_it_is_nan(rng):
    """A call and a served signature check no values; `forecast` does."""
    known = rng.normal(size=(2, 9, 1)).astype("float32")
    known[1, 6, 0] = NAN
    for method in ("direct", "recursive"):
        inputs = {"inputs": np.full((2, 5, 2), NAN, "float32"), "known": known}
        first, second = make_model(method)(inputs).numpy()
        assert np.isfinite(first).all()
        assert np.isnan(second[-1]).all()


def test_a_list_of_lists_is_several_series():
    model = without_change("direct")
    assert model.forecast([[1, 2], [3, 4], [5, 6]]).values.shape == (3, 4, 1)


def test_known_inputs_are_used():
    """A series that is noise but for what is known in advance."""
    rng = np.random.default_rng(1)
    event = rng.integers(0, 2, size=(200, 1))
    series = 10 + 4 * event[:, 0] + 0.1 * rng.normal(size=200)
    for method in ("direct", "recursive"):
        set_seed(0)
        model = kerasrnn.Forecaster(2, num_known=1, method=method, cell="vanilla", units=8)
        model.compile(keras.optimizers.Adam(0.02), global_clipnorm=1.0)
        windows = kerasrnn.forecast_windows(series, 6, 2, known=event, seed=0)
        model.fit(windows, epochs=12, verbose=0)
        for future in ([0, 1], [1, 0]):
            known = np.concatenate([event[-6:, 0], future])
            values = model.forecast(series[-6:], known).values[0, :, 0]
            np.testing.assert_allclose(values, 10 + 4 * np.array(future), atol=1)


@pytest.mark.parametrize("output", ["point", "quantiles", "gaussian"])
def test_the_loss_is_in_units_of_the_window_and_missing_targets_do_not_count(past, rng, output):
    values, known = past
    targets = rng.normal(size=(2, 4, 2)) * [3, 0.5] + [10, -2]
    targets[0, 1, 1] = targets[1, 2:] = NAN
    model = make_model("direct", output)
    model.compile(metrics=["mae"], weighted_metrics=["mse"])
    inputs = {"inputs": values, "known": known}
    found = model.evaluate(inputs, targets, verbose=0, return_dict=True)
    _, center, size = scaled_by_hand(values)
    numbers = model(inputs).numpy()
    point = numbers[..., {"point": 0, "quantiles": 1, "gaussian": 0}[output]]
    off = targets - point  # in units of the series
    assert found["mae"] == pytest.approx(np.nanmean(np.abs(off)), rel=1e-4)
    assert found["mse"] == pytest.approx(np.nanmean(off**2), rel=1e-4)
    error = (targets[..., None] - numbers) / size[..., None]
    if output == "point":
        expected = np.abs(error)
    elif output == "quantiles":
        q = np.array([0.1, 0.5, 0.9])
        expected = np.where(error > 0, q * error, (q - 1) * error)
    else:
        mean, deviation = np.moveaxis(numbers, -1, 0)
        normal = scipy.stats.norm((mean - center) / size, deviation / size)
        expected = -normal.logpdf((targets - center) / size)
    assert found["loss"] == pytest.approx(np.nanmean(expected), rel=1e-4)


WAYS = ["fit", "train_on_batch", "evaluate", "batches", "batches of any shape"]


def scores(way, inputs, targets, **options):
    """The loss of a model that is given these targets in one of several ways."""
    set_seed(0)
    model = make_model("recursive", num_known=0)
    model.compile("sgd", run_eagerly=way in ("fit", "train_on_batch"), **options)
    inputs = {**inputs, "future": inputs["inputs"][:, :4]}
    if way == "fit":
        return model.fit(inputs, targets, verbose=0).history["loss"][0]
    if way == "train_on_batch":
        return model.train_on_batch(inputs, targets)[0]
    if way == "evaluate":
        return np.ravel(model.evaluate(inputs, targets, verbose=0))[0]
    batches = tf.data.Dataset.from_tensors((inputs, targets))
    if way == "batches of any shape":
        spec = tf.TensorSpec([None] * np.ndim(targets), tf.as_dtype(targets.dtype))
        batches = tf.data.Dataset.from_generator(
            lambda: iter([(inputs, targets)]),
            output_signature=({n: tf.TensorSpec(x.shape) for n, x in inputs.items()}, spec),
        ).apply(tf.data.experimental.assert_cardinality(1))
    return model.fit(batches, verbose=0).history["loss"][0]


@pytest.mark.parametrize("way", WAYS)
def test_targets_may_have_any_type_of_numbers(past, rng, way):
    inputs = {"inputs": past[0]}
    targets = rng.integers(0, 9, size=(2, 4, 2))
    expected = scores(way, inputs, targets.astype("float32"))
    for dtype in ("float64", "int64"):
        found = scores(way, inputs, targets.astype(dtype), metrics=["mae"])
        assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("way", "shape"),
    [
        *((way, shape) for way in WAYS for shape in ((2, 4), (2, 3, 2))),
        *(("train_on_batch", shape) for shape in ((2, 1, 2), (2, 4, 1), (2, 4, 2, 1))),
    ],
)
def test_targets_of_another_shape_are_refused(past, way, shape):
    found = ", ".join(map(str, shape[1:]))
    message = rf"shape \(batch, 4, 2\): .*, got \(.*, {found}\). Use kerasrnn.forecast_wind"
    if way == "batches of any shape" and len(shape) != 3:
        message = r"shape \(batch, 4, 2\): .*, got \(None, None"
    with pytest.raises(ValueError, match=message):
        scores(way, {"inputs": past[0]}, np.zeros(shape, "float32"))


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_a_loss_that_does_not_tell_variables_apart_is_refused(past, run_eagerly):
    model = make_model(num_known=0)
    targets = np.zeros((2, 4, 2), "float32")
    for loss in (
        lambda y, p: tf.reduce_mean(tf.abs(y - p)),
        lambda y, p: tf.reduce_mean(tf.abs(y - p), [2, 3]),
    ):
        model.compile("sgd", loss, run_eagerly=run_eagerly)
        message = "here some values may be missing. Return one loss per variable of each step"
        with pytest.raises(ValueError, match=message):
            model.train_on_batch(past[0], targets)


def test_missing_targets_have_no_gradient(past, rng):
    values, known = past
    targets = rng.normal(size=(2, 4, 2)).astype("float32")
    weights = np.ones((2, 4, 2), "float32")
    weights[0, 1, 1] = weights[1, 2:] = 0
    ends = []
    for given in ((targets, weights), (np.where(weights, targets, NAN), None)):
        set_seed(0)
        model = make_model("recursive", "gaussian")
        model.compile("sgd")
        inputs = {"inputs": values, "known": known, "future": targets}
        model.train_on_batch(inputs, *given)
        ends.append(model.get_weights())
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def training_run(way, folder=None, epochs=2):
    set_seed(3)
    model = kerasrnn.Forecaster(
        3, method="recursive", output="quantiles", cell="vanilla", units=4, dropout=0.2
    )
    model.compile(
        keras.optimizers.Adam(0.01),
        truncation=kerasrnn.TruncatedBPTT(4),
        teacher_forcing=kerasrnn.ScheduledSampling(kerasrnn.LinearSchedule(10)),
        global_clipnorm=1.0,
    )
    series = np.random.default_rng(0).normal(size=40)
    seed = None if way != "run" else 5
    windows = kerasrnn.forecast_windows(series, 8, 3, batch_size=8, seed=seed)
    options = {"epochs": epochs, "verbose": 0, "validation_data": windows}
    if way == "train":
        kerasrnn.train(model, windows, **options)
    else:
        run = {} if folder is None else {"run_dir": folder, "checkpoint_every": 2}
        model.fit(windows, **options, **run)
    return model.get_weights()


def test_fit_and_train_end_with_the_same_weights():
    for one, other in zip(training_run("fit"), training_run("train"), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.skipif("not os.environ.get('THOROUGH')", reason="takes long, set THOROUGH")
def test_a_run_that_goes_on_ends_with_the_same_weights(tmp_path):
    whole = training_run("run", tmp_path / "whole")
    training_run("run", tmp_path / "parts", epochs=1)
    parts = training_run("run", tmp_path / "parts")
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)


@each_variant
def test_it_survives_keras_saving(tmp_path, past, method, output):
    values, known = past
    model = make_model(method, output, quantiles=(0.2, 0.5))
    model.compile("adam", global_clipnorm=1.0)
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = model({"inputs": values, "known": known})
    np.testing.assert_allclose(loaded({"inputs": values, "known": known}), expected, rtol=1e-6)
    assert loaded.training_step.options == model.training_step.options
    assert loaded.get_config() == model.get_config()


@pytest.mark.parametrize(
    ("method", "output", "num_known"),
    [("direct", "point", 0), ("recursive", "quantiles", 1), ("direct", "gaussian", 1)],
)
def test_an_exported_model_gives_the_same_forecast(tmp_path, past, method, output, num_known):
    values, known = past
    model = make_model(method, output, num_known=num_known)
    folder = kerasrnn.export(model, tmp_path)
    assert_plain(folder)
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    inputs = {"past": tf.constant(values)}
    if num_known:
        inputs["known"] = tf.constant(known)
    found = signature(**inputs)
    expected = model.forecast(values, known if num_known else None)
    np.testing.assert_allclose(found["forecast"], expected.values, rtol=1e-4, atol=1e-4)
    assert ("quantiles" in found) == (output != "point")
    if output != "point":
        quantiles = found["quantiles"]
        np.testing.assert_allclose(quantiles, expected.quantiles, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0}, "horizon must be a positive integer, got horizon=0"),
        ({"horizon": 2.0}, "horizon must be a positive integer"),
        ({"num_known": -1}, "num_known must be an integer of 0 or more, got num_known=-1"),
        ({"method": "both"}, "method must be one of direct, recursive, got method='both'"),
        ({"output": "mean"}, "output must be one of point, quantiles, gaussian"),
        ({"quantiles": (0.5, 1.0)}, "quantiles must be numbers between 0 and 1 in incr"),
        ({"quantiles": (0.9, 0.5)}, "in increasing order, .* got quantiles=.0.9, 0.5"),
        ({"quantiles": (0.1, 0.9)}, "among them 0.5, the point forecast"),
        ({"cell": "elman"}, "cell must be one of vanilla, lstm, gru"),
        ({"dropout": 1}, "dropout must lie in"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        kerasrnn.Forecaster(**{"horizon": 2, **options})


@pytest.mark.parametrize(
    ("past", "known", "message"),
    [
        ([1, np.inf], None, "past must be finite, got inf at step 1. Use NaN for a missing"),
        ([NAN, NAN], None, "past must have an observed value, got none of variable 0 in 2 st"),
        ([[1, 2], [NAN]], None, r"past\[1\] must have an observed value"),
        (np.ones((3, 2)), None, "past must have 1 variables, got 2"),
        ([], None, "past must be numbers of the shape"),
        ("ab", None, "past must be numbers of the shape .* got 'ab'"),
        ([1, 2], [1, 2, 3, 4], "The model has no known inputs, num_known=0, got known="),
    ],
)
def test_wrong_series_are_refused(past, known, message):
    model = kerasrnn.Forecaster(2, cell="vanilla", units=2)
    with pytest.raises(ValueError, match=message):
        model.forecast(past, known)


def test_wrong_known_inputs_are_refused():
    model = kerasrnn.Forecaster(2, num_known=1, cell="vanilla", units=2)
    for known, message in (
        (None, "The model has known inputs, num_known=1, got known=None"),
        ([1, 2, 3], "known must have 5 steps, the past and the horizon of 2, got 3 steps"),
        ([1, 2, 3, 4, NAN], "known must be known at every step, got NAN"),
        (np.ones((5, 2)), "known must have 1 variables, got 2"),
        ([np.ones(5), np.ones(5)], "known must be given for each series, got 2 for 1 series"),
    ):
        with pytest.raises(ValueError, match=f"(?i){message}"):
            model.forecast([1, 2, 3], known)
    with pytest.raises(ValueError, match='inputs must have "known" of the shape'):
        model(np.ones((1, 3, 1)))
    with pytest.raises(ValueError, match='"known" must have 5 steps, those of the past'):
        model({"inputs": np.ones((1, 3, 1)), "known": np.ones((1, 3, 1))})


def test_training_without_the_future_is_refused():
    model = kerasrnn.Forecaster(2, method="recursive", cell="vanilla", units=2)
    model.compile()
    with pytest.raises(ValueError, match='inputs must have "future", got'):
        model.fit(np.ones((2, 3, 1)), np.ones((2, 2, 1)), verbose=0)
    direct = kerasrnn.Forecaster(2, cell="vanilla", units=2)
    with pytest.raises(ValueError, match='own outputs. Use .* or method="recursive"'):
        direct.compile(teacher_forcing=0.5)
    with pytest.raises(ValueError, match="reads whole sequences"):
        direct.compile(window=2)
