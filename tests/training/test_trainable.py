"""What `fit`, `evaluate` and `predict` take, in every precision; callbacks; saving."""

import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from tests.seeds import set_seed
from tests.training.models import BATCH, make_model, train_by


@pytest.mark.parametrize(
    "options",
    [
        {"window": 5},
        pytest.param({"window": kerasrnn.RandomWindow(6)}, marks=pytest.mark.slow),
    ],
)
def test_evaluation_forgets_nothing_at_boundaries(ids, stream, options):
    options = {"run_eagerly": True, **options}
    whole = make_model(run_eagerly=True).evaluate(ids[:, :-1], ids[:, 1:], verbose=0)
    model = make_model(**options)
    np.testing.assert_allclose(model.evaluate(stream, verbose=0), whole, rtol=1e-5)
    arrays = model.evaluate(ids[:, :-1], ids[:, 1:], verbose=0)
    np.testing.assert_allclose(arrays, whole, rtol=1e-5)
    forgetful = make_model(carry_state=False, **options).evaluate(stream, verbose=0)
    assert abs(forgetful - whole) > 1e-4


def test_predict_reads_whole_sequences(ids):
    model = make_model(window=5)
    np.testing.assert_allclose(model.predict(ids, verbose=0), model(ids), rtol=1e-4, atol=1e-5)


def test_a_model_that_puts_out_its_last_step_alone_trains_on_whole_sequences(rng):
    x = rng.normal(size=(20, 6, 3)).astype("float32")
    y = x.sum((1, 2))
    model = kerasrnn.SequenceModel([kerasrnn.VanillaRNN(5), keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"], global_clipnorm=1.0, run_eagerly=True)
    weights = rng.uniform(size=20)
    losses = model.fit(x, y, sample_weight=weights, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    outputs = np.ravel(model.predict(x, verbose=0))
    expected = (weights * (outputs - y) ** 2).mean()
    found = model.evaluate(x, y, sample_weight=weights, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["loss"], expected, rtol=1e-4)


def test_a_pydataset_feeds_fit(ids):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            rows = slice(2 * index, 2 * index + 2)
            return ids[rows, :-1], ids[rows, 1:]

    history = make_model(run_eagerly=True).fit(Batches(), epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]


def test_every_callback_of_keras_works(stream, tmp_path):
    model = make_model(window=6, metrics=["accuracy"])
    callbacks = [
        keras.callbacks.CSVLogger(str(tmp_path / "log.csv")),
        keras.callbacks.ModelCheckpoint(str(tmp_path / "best.keras"), monitor="loss"),
        keras.callbacks.EarlyStopping(monitor="loss", patience=1, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau(monitor="loss", patience=0),
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5),
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.BackupAndRestore(str(tmp_path / "backup")),
    ]
    if importlib.util.find_spec("tensorboard"):
        callbacks.append(keras.callbacks.TensorBoard(str(tmp_path / "tensorboard")))
    history = model.fit(stream, epochs=3, verbose=0, callbacks=callbacks)
    assert len(history.history["loss"]) == 3
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 4
    loaded = keras.saving.load_model(tmp_path / "best.keras")
    assert loaded.training_step.options == model.training_step.options
    np.testing.assert_allclose(
        loaded.evaluate(stream, verbose=0), model.evaluate(stream, verbose=0), rtol=1e-3
    )


def test_a_model_survives_saving_with_its_training(tmp_path, stream, ids):
    model = make_model(
        window=6,
        truncation=kerasrnn.TruncatedBPTT(3),
        teacher_forcing=kerasrnn.ScheduledSampling(kerasrnn.ExponentialSchedule(0.9)),
        global_clipnorm=0.5,
        metrics=[kerasrnn.BitsPerCharacter(from_logits=True)],
        run_eagerly=True,
    )
    model.fit(stream, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.training_step.options == model.training_step.options
    assert loaded.sequence_layers[1].truncation == kerasrnn.FullBPTT()
    np.testing.assert_allclose(loaded(ids), model(ids), atol=1e-6)
    loaded.fit(stream, verbose=0)


@pytest.mark.parametrize(
    ("way", "policy"),
    [
        ("train", "mixed_float16"),
        pytest.param("fit", "float64", marks=pytest.mark.slow),
    ],
)
def test_every_precision_learns(way, policy):
    ids = np.tile(np.arange(1, 9), 100)
    stream = kerasrnn.Stream.from_tokens(ids, batch_size=BATCH)
    keras.config.set_dtype_policy(policy)
    try:
        model = make_model(
            optimizer=keras.optimizers.Adam(0.02), window=10, global_clipnorm=1.0
        )
    finally:
        keras.config.set_dtype_policy("float32")
    losses = train_by(way, model, stream, epochs=3).history
    assert losses["loss"][-1] < 0.5 * losses["loss"][0]
    assert np.isfinite(losses["gradient_norm"]).all()
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled is (policy == "mixed_float16")
    dtype = "float64" if policy == "float64" else "float32"
    assert all(w.dtype == dtype for w in model.trainable_variables)


@pytest.mark.slow
def test_loss_scaling_changes_no_update(stream):
    options = {"window": 6, "global_clipnorm": 0.3, "run_eagerly": True}
    plain = make_model(optimizer=keras.optimizers.Adam(), **options)
    scaler = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(), initial_scale=2**10)
    scaled = make_model(optimizer=scaler, **options)
    histories = [m.fit(stream, verbose=0).history for m in (plain, scaled)]
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=1e-4)


def test_an_overflow_of_scaled_gradients_lowers_the_scale(stream):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        scaler = keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(0.1), initial_scale=2.0**30
        )
        model = make_model(window=6, optimizer=scaler, global_clipnorm=1.0)
    finally:
        keras.config.set_dtype_policy("float32")
    logs = model.fit(stream, epochs=6, verbose=0).history
    assert float(scaler.dynamic_scale) < 2**30
    assert 0 < int(scaler.iterations) < 6 * 5  # some steps were left out
    assert np.isfinite(logs["gradient_norm"]).all()
    assert logs["loss"][-1] < logs["loss"][0]


@pytest.mark.parametrize("way", [pytest.param("fit", marks=pytest.mark.slow), "train"])
def test_the_scale_of_losses_is_kept_from_training_to_training(stream, way):
    scaler = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.01), initial_scale=2.0, dynamic_growth_steps=1
    )
    model = make_model(window=6, optimizer=scaler, run_eagerly=True)
    for _ in range(2):
        train_by(way, model, stream, epochs=1)
    assert float(scaler.dynamic_scale) == 2.0 * 2 ** int(scaler.iterations)
    assert int(scaler.iterations) == 2 * 5


X = np.random.default_rng(0).normal(size=(4, 6, 3)).astype("float32")
Y = np.random.default_rng(1).normal(size=(4, 6, 1)).astype("float32")
IDS = np.random.default_rng(2).integers(1, 6, (4, 7))


def layers():
    set_seed(1)
    return [keras.layers.SimpleRNN(5, return_sequences=True), keras.layers.Dense(1)]


def value_model(window):
    model = kerasrnn.SequenceModel(layers())
    model.compile("sgd", "mse", window=window, run_eagerly=True)
    return model


def refuse(call, message):
    with pytest.raises(ValueError, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("window", [4, pytest.param(None, marks=pytest.mark.slow)])
def test_predict_takes_whole_sequences_of_one_length(window):
    model = value_model(window)
    expected = keras.Sequential(layers()).predict(X, verbose=0)
    for given in (X, {"inputs": X}, tf.constant(X), tf.data.Dataset.from_tensors(X)):
        np.testing.assert_allclose(model.predict(given, verbose=0), expected, atol=1e-6)
    ragged = tf.ragged.constant([[[1.0, 2, 3]], [[1.0, 2, 3]] * 2], ragged_rank=1)
    objects = np.empty(2, object)
    objects[:] = [X[0], X[1, :2]]
    for given in (kerasrnn.Stream(X, Y, batch_size=2), ragged, objects, None, "abc", 3):
        refuse(
            lambda given=given: model.predict(given, verbose=0),
            f"predict takes whole sequences of one length, got {type(given).__name__}",
        )


@pytest.mark.parametrize("window", [4, None])
def test_ids_of_a_language_model_are_whole_numbers_of_any_type(window):
    model = kerasrnn.CharLanguageModel("abcde", units=4)
    model.compile(window=window, run_eagerly=True)
    x, y = IDS[:, :-1], IDS[:, 1:]
    loss = model.evaluate(x, y, verbose=0)
    assert model.evaluate(x.astype("float32"), y, verbose=0) == loss
    for wrong in (x - 0.5, np.full(x.shape, np.nan)):
        for call in (model.fit, model.evaluate):
            refuse(lambda call=call, wrong=wrong: call(wrong, y, verbose=0), "whole numbers")
        refuse(lambda wrong=wrong: model.predict(wrong, verbose=0), "whole numbers")
        refuse(lambda wrong=wrong: model(wrong), "takes ids from|must be whole numbers")
        if window:
            stream = kerasrnn.Stream(wrong, y, batch_size=2)
            refuse(lambda stream=stream: model.fit(stream, verbose=0), "whole numbers")


@pytest.mark.slow
def test_validation_data_may_be_a_list_as_in_keras():
    for window in (4, None):
        given = ([X, Y], (X, Y))
        first, second = (
            value_model(window).fit(X, Y, validation_data=v, shuffle=False, verbose=0)
            for v in given
        )
        assert first.history == second.history
    for given in [(), (X, Y, None, None)]:
        refuse(lambda given=given: value_model(4).fit(X, Y, validation_data=given), "parts")


@pytest.mark.parametrize("window", [4, None])
def test_a_share_to_split_off_is_a_rate(window):
    for split in ("a", 2.0, 1, -0.5, True, np.nan):
        refuse(
            lambda split=split: value_model(window).fit(X, Y, validation_split=split),
            "validation_split must lie in",
        )


def test_what_is_not_compiled_cannot_train(ids):
    model = kerasrnn.SequenceModel([keras.layers.Dense(2)])
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="You must call compile"):
            call(ids, ids)
