"""The training step beside a plain loop in Keras, through `fit` and through `train`."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.training.loop import compile_update, update
from kerasrnn.training.recompute import recomputed_gradients

VOCABULARY, UNITS, BATCH, TIME = 11, 6, 4, 26
WAYS = ["fit", "train"]


def make(cell="vanilla", optimizer=None, metrics=(), mask_zero=False, dtype=None, **options):
    keras.utils.set_random_seed(4)
    layer = {
        "vanilla": kerasrnn.VanillaRNN,
        "lstm": keras.layers.LSTM,
        "gru": keras.layers.GRU,
    }[cell](UNITS, return_sequences=True, dtype=dtype)
    model = kerasrnn.SequenceModel(
        [
            keras.layers.Embedding(VOCABULARY, 5, mask_zero=mask_zero, dtype=dtype),
            layer,
            keras.layers.Dense(VOCABULARY, dtype=dtype),
        ]
    )
    model.compile(
        optimizer or keras.optimizers.SGD(0.5),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=list(metrics),
        **options,
    )
    return model


@pytest.fixture
def ids(rng):
    return rng.integers(1, VOCABULARY, size=(BATCH, TIME + 1))


@pytest.fixture
def stream(ids):
    return kerasrnn.Stream(list(ids), batch_size=BATCH)


def run(way, model, data, **options):
    if way == "fit":
        return model.fit(data, verbose=0, **options)
    return kerasrnn.train(model, data, verbose=0, **options)


def by_hand(ids, window, stride, carry_state=True, global_clipnorm=None, cell="vanilla"):
    """Truncated BPTT, written out with the layers of Keras; the weights at the end."""
    model = make(cell)
    model(ids[:, :1])
    embedding, recurrent, dense = model.sequence_layers
    kind = keras.layers.SimpleRNN if cell == "vanilla" else keras.layers.LSTM
    layer = kind(UNITS, return_sequences=True, return_state=True)
    layer.build((None, None, 5))
    layer.set_weights(recurrent.get_weights())
    weights = [
        *embedding.trainable_variables,
        *layer.trainable_variables,
        *dense.trainable_variables,
    ]
    inputs, targets = ids[:, :-1], ids[:, 1:]
    state = layer.get_initial_state(BATCH)
    for start in range(0, TIME - window + stride, stride):
        if not carry_state:
            state = layer.get_initial_state(BATCH)
        steps = slice(start, min(start + window, TIME))
        first_counted = start + window - stride if start else 0
        with tf.GradientTape() as tape:
            # The states after each step, to find the one where the next window begins.
            h, states, outputs = state, [], []
            for t in range(steps.start, steps.stop):
                y, h = layer.cell(embedding(inputs[:, t]), h)
                states.append(h)
                outputs.append(dense(y)[:, None])
            losses = keras.losses.sparse_categorical_crossentropy(
                targets[:, steps], tf.concat(outputs, 1), from_logits=True
            )
            loss = tf.reduce_mean(losses[:, first_counted - start :])
        gradients = tape.gradient(loss, [w.value for w in weights])
        gradients = [tf.convert_to_tensor(g) for g in gradients]
        if global_clipnorm:
            norm = np.sqrt(sum(float(tf.reduce_sum(g**2)) for g in gradients))
            gradients = [g * min(1, global_clipnorm / norm) for g in gradients]
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.assign_sub(0.5 * gradient)
        state = [tf.stop_gradient(s) for s in states[min(stride, len(states)) - 1]]
    return [w.numpy() for w in weights]


@pytest.mark.parametrize(
    "options",
    [
        {"window": 8, "global_clipnorm": 0.3},
        {"window": 6, "stride": 2},
        {"window": 4, "stride": 1},
        {"window": 7, "carry_state": False},
        {"window": 2 * TIME},
    ],
    ids=str,
)
def test_windows_and_strides_equal_a_loop_by_hand(ids, stream, options):
    model = make(**options)
    model.fit(stream, verbose=0)
    window = min(options["window"], TIME)
    by_hand_options = {**options, "window": window, "stride": options.get("stride", window)}
    expected = by_hand(ids, **by_hand_options)
    for a, b in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)


def test_lstm_states_are_carried_too(ids, stream):
    model = make("lstm", window=6, stride=2)
    model.fit(stream, verbose=0)
    for a, b in zip(model.get_weights(), by_hand(ids, 6, 2, cell="lstm"), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "gru", "window": 6, "parallel_parts": 2, "clipvalue": 0.1},
        {"window": 6, "stride": 3, "time_reduction": "sum"},
        {"window": 9, "recompute": True},
        {"window": kerasrnn.RandomWindow(7, 2.0)},
        {"teacher_forcing": 0.6, "window": 6},
        {},
    ],
    ids=str,
)
def test_both_ways_in_end_with_the_same_weights(ids, stream, options):
    inputs, targets = ids[:, :-1], ids[:, 1:]
    dataset = tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(2)
    data = stream if "window" in options else dataset
    results = {}
    for way in WAYS:
        model = make(optimizer=keras.optimizers.Adam(), metrics=["accuracy"], **options)
        validation = data if options.get("cell") == "gru" else None
        history = run(way, model, data, epochs=2, validation_data=validation)
        results[way] = model.get_weights(), history.history
    for a, b in zip(results["fit"][0], results["train"][0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert results["fit"][1] == results["train"][1]
    assert {"loss", "accuracy", "gradient_norm"} <= set(results["fit"][1])
    assert ("val_loss" in results["fit"][1]) is (validation is not None)


def test_a_whole_batch_equals_keras_own_training_step(ids):
    # Without windows, truncation and clipping this is what keras.Model.fit does.
    inputs, targets = ids[:, :-1], ids[:, 1:]
    weight = np.random.default_rng(0).uniform(0.5, 2, size=targets.shape)
    ours = make(metrics=["accuracy"])
    ours(inputs)
    layers = [keras.layers.Embedding.from_config(ours.sequence_layers[0].get_config())]
    layers.append(keras.layers.SimpleRNN(UNITS, return_sequences=True))
    layers.append(keras.layers.Dense(VOCABULARY))
    theirs = keras.Sequential(layers)
    theirs(inputs)
    theirs.set_weights(ours.get_weights())
    theirs.compile(keras.optimizers.SGD(0.5), ours.loss, metrics=["accuracy"])
    for model in (ours, theirs):
        model.history_found = model.fit(
            inputs,
            targets,
            sample_weight=weight,
            batch_size=2,
            epochs=3,
            verbose=0,
            shuffle=False,
        ).history
    for name, values in theirs.history_found.items():
        np.testing.assert_allclose(ours.history_found[name], values, rtol=1e-4)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("time_reduction", ["mean", "sum"])
def test_masked_steps_and_steps_of_weight_zero_do_not_count(rng, time_reduction):
    lengths = [26, 3, 11, 1]
    inputs, targets = rng.integers(1, VOCABULARY, size=(2, BATCH, TIME))
    present = np.arange(TIME) < np.array(lengths)[:, None]
    padded, weights = inputs * present, present.astype("float32")
    junk = np.where(present, inputs, rng.integers(1, VOCABULARY, size=inputs.shape))
    metrics = ["accuracy", kerasrnn.Perplexity(from_logits=True)]
    by_mask = make(metrics=metrics, mask_zero=True, time_reduction=time_reduction)
    by_weight = make(metrics=metrics, time_reduction=time_reduction)
    found = by_mask.evaluate(padded, targets, verbose=0, return_dict=True)
    also = by_weight.evaluate(junk, targets, sample_weight=weights, verbose=0, return_dict=True)
    losses, correct = [], []
    for row, length in enumerate(lengths):
        logits = by_weight(inputs[row : row + 1, :length])
        true = targets[row : row + 1, :length]
        losses.append(
            keras.losses.sparse_categorical_crossentropy(true, logits, from_logits=True)
        )
        correct.append(np.argmax(logits, -1) == true)
    losses = np.concatenate([np.ravel(x) for x in losses])
    expected = losses.mean() if time_reduction == "mean" else losses.sum() / BATCH
    for scores in (found, also):
        np.testing.assert_allclose(scores["loss"], expected, rtol=1e-5)
        np.testing.assert_allclose(
            scores["accuracy"], np.concatenate([np.ravel(c) for c in correct]).mean()
        )
        np.testing.assert_allclose(scores["perplexity"], np.exp(losses.mean()), rtol=1e-4)
    history = [
        model.fit(x, targets, sample_weight=w, verbose=0).history
        for model, x, w in ((by_mask, padded, None), (by_weight, junk, weights))
    ]
    for name, values in history[0].items():
        np.testing.assert_allclose(history[1][name], values, rtol=1e-4)


def test_sequences_of_a_stream_do_not_see_each_other(rng):
    lengths = [7, 4, 9, 2, 5]
    sequences = [rng.integers(1, VOCABULARY, size=n + 1) for n in lengths]
    model = make(window=3)
    together = model.evaluate(
        kerasrnn.Stream(sequences, batch_size=2), verbose=0, return_dict=True
    )
    losses = [
        keras.losses.sparse_categorical_crossentropy(
            s[None, 1:], model(s[None, :-1]), from_logits=True
        )
        for s in sequences
    ]
    expected = np.concatenate([np.ravel(x) for x in losses]).mean()
    np.testing.assert_allclose(together["loss"], expected, rtol=1e-5)


@pytest.mark.parametrize("options", [{"window": 5}, {"window": kerasrnn.RandomWindow(6)}])
def test_evaluation_forgets_nothing_at_boundaries(ids, stream, options):
    whole = make().evaluate(ids[:, :-1], ids[:, 1:], verbose=0)
    windowed = make(**options).evaluate(stream, verbose=0)
    np.testing.assert_allclose(windowed, whole, rtol=1e-5)
    arrays = make(**options).evaluate(ids[:, :-1], ids[:, 1:], verbose=0)
    np.testing.assert_allclose(arrays, whole, rtol=1e-5)
    forgetful = make(**{**options, "carry_state": False}).evaluate(stream, verbose=0)
    assert abs(forgetful - whole) > 1e-4


def test_predict_reads_whole_sequences(ids):
    model = make(window=5)
    np.testing.assert_allclose(model.predict(ids, verbose=0), model(ids), rtol=1e-4, atol=1e-5)


def test_gradients_in_parts_are_those_of_the_whole_batch(stream):
    whole, *others = (
        make(window=6, global_clipnorm=0.2, optimizer=keras.optimizers.Adam(), **parts)
        for parts in ({}, {"parallel_parts": 4}, {"parallel_parts": 2})
    )
    history = whole.fit(stream, epochs=2, verbose=0).history
    for model in others:
        found = model.fit(stream, epochs=2, verbose=0).history
        for name, values in history.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-4)
        for a, b in zip(model.get_weights(), whole.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-4)


def test_parts_that_differ_are_refused(ids, stream):
    model = make(window=6, parallel_parts=3)
    with pytest.raises(ValueError, match="batch of 4 sequences cannot be split into"):
        model.fit(stream, verbose=0)
    dataset = tf.data.Dataset.from_tensor_slices((ids[:, :-1], ids[:, 1:])).batch(2)
    model = make(parallel_parts=3)
    with pytest.raises(ValueError, match="into 3 equal parts"):
        model.fit(dataset, verbose=0)


def test_optimizers_can_accumulate_over_batches_too(stream):
    adam = keras.optimizers.Adam(gradient_accumulation_steps=2)
    model = make(window=6, optimizer=adam)
    losses = model.fit(stream, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(("cell", "time"), [("vanilla", 1), ("lstm", 26)])
def test_recomputing_gives_the_gradient_of_one_tape(rng, cell, time):
    ids = rng.integers(1, VOCABULARY, size=(BATCH, time + 1))
    stream = kerasrnn.Stream(list(ids), batch_size=BATCH)
    models = [make(cell, window=time, recompute=r) for r in (False, True)]
    histories = [m.fit(stream, epochs=2, verbose=0).history for m in models]
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=1e-4)
    for a, b in zip(*(m.get_weights() for m in models), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_recomputing_draws_the_same_dropout_masks_again(ids):
    # If it did not, the gradient would not be that of the loss: finite differences show it.
    keras.utils.set_random_seed(3)
    layer = kerasrnn.VanillaRNN(UNITS, return_sequences=True, dropout=0.4, zoneout=0.2)
    model = kerasrnn.SequenceModel([layer, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), "mse", window=9, recompute=True)
    x = np.random.default_rng(1).normal(size=(2, 9, 3)).astype("float32")
    x, targets = tf.constant(x), tf.constant(x[..., :1])
    model.prepare(tf.data.Dataset.from_tensors((x, targets)).element_spec)
    step = model.training_step
    seeds = [v for v in model.non_trainable_variables if "seed" in v.path]
    before = [v.numpy() for v in seeds]
    data = ({"inputs": x, "reset": tf.constant([True, True])}, targets)

    @tf.function(autograph=False)
    def loss_and_gradient():
        window = step.read(data)
        states = model.initial_states(2)
        outcome, gradients = recomputed_gradients(
            step, window, states, step.count(window), tf.constant(1.0)
        )
        return outcome.loss, gradients

    def evaluate():
        for variable, value in zip(seeds, before, strict=True):
            variable.assign(value)
        return loss_and_gradient()

    _, gradients = evaluate()
    kernel = layer.cell.kernel
    for index in [(0, 0), (2, 4)]:
        value, epsilon = kernel.numpy(), 1e-2
        losses = []
        for sign in (1, -1):
            moved = value.copy()
            moved[index] += sign * epsilon
            kernel.assign(moved)
            losses.append(float(evaluate()[0]))
        kernel.assign(value)
        slope = (losses[0] - losses[1]) / (2 * epsilon)
        assert slope == pytest.approx(float(gradients[0][index]), rel=1e-2)


def test_the_learning_rate_follows_the_length_of_a_random_window(ids):
    model = make(window=kerasrnn.RandomWindow(10, seed=1))
    model.prepare(tf.data.Dataset.from_tensors((ids[:, :-1], ids[:, 1:])).element_spec)
    start = model.get_weights()
    changes = {}
    for length in (5, 20):
        model.set_weights(start)
        inputs = {"inputs": tf.constant(ids[:, :length]), "reset": tf.ones(BATCH, tf.bool)}
        data = (inputs, tf.constant(ids[:, 1 : length + 1]))
        update(model.training_step, data, model.initial_states(0))
        changes[length] = model.get_weights()[-1] - start[-1]
        plain = make()
        plain(ids)
        plain.set_weights(start)
        plain.train_on_batch(ids[:, :length], ids[:, 1 : length + 1])
        expected = (plain.get_weights()[-1] - start[-1]) * length / 10
        np.testing.assert_allclose(changes[length], expected, rtol=1e-4, atol=1e-7)
    assert float(model.optimizer.learning_rate) == 0.5
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 100)
    with pytest.raises(ValueError, match="rescales the learning rate"):
        make(optimizer=keras.optimizers.Adam(schedule), window=kerasrnn.RandomWindow(10))


def test_clipping_bounds_the_update_and_the_norm_before_is_logged(ids, stream):
    model = make(window=TIME, global_clipnorm=1e-3)
    model(ids)
    before = model.get_weights()
    logs = model.fit(stream, verbose=0).history
    change = np.sqrt(
        sum(((a - b) ** 2).sum() for a, b in zip(model.get_weights(), before, strict=True))
    )
    np.testing.assert_allclose(change, 0.5 * 1e-3, rtol=1e-2)
    assert logs["gradient_norm"][0] > 0.05


class Poison(keras.layers.Layer):
    """Makes outputs infinite where the input is the last id."""

    def call(self, inputs):
        features, bad = inputs[..., :-1], inputs[..., -1:]
        return features * tf.where(bad > 100, np.float32("inf"), 1.0)


def poisoned_model(**options):
    keras.utils.set_random_seed(4)
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
        run(way, model, stream, **options)
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
    logs = run(way, model, stream, epochs=2).history
    assert logs["skipped_steps"] == [1, 2]
    assert np.isfinite(logs["loss"]).all()
    assert np.isfinite(logs["gradient_norm"]).all()
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert int(model.optimizer.iterations) == 2 * 5


@pytest.mark.parametrize(
    ("way", "policy"),
    [
        ("fit", "mixed_float16"),
        ("train", "mixed_float16"),
        ("fit", "mixed_bfloat16"),
        ("fit", "float64"),
    ],
)
def test_every_precision_learns(way, policy):
    ids = np.tile(np.arange(1, 9), 100)
    stream = kerasrnn.Stream.from_tokens(ids, batch_size=BATCH)
    keras.config.set_dtype_policy(policy)
    try:
        model = make(optimizer=keras.optimizers.Adam(0.02), window=10, global_clipnorm=1.0)
    finally:
        keras.config.set_dtype_policy("float32")
    losses = run(way, model, stream, epochs=3).history
    assert losses["loss"][-1] < 0.5 * losses["loss"][0]
    assert np.isfinite(losses["gradient_norm"]).all()
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled is (policy == "mixed_float16")
    dtype = "float64" if policy == "float64" else "float32"
    assert all(w.dtype == dtype for w in model.trainable_variables)


def test_loss_scaling_changes_no_update(stream):
    plain = make(window=6, global_clipnorm=0.3, optimizer=keras.optimizers.Adam())
    scaler = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(), initial_scale=2**10)
    scaled = make(window=6, global_clipnorm=0.3, optimizer=scaler)
    histories = [m.fit(stream, epochs=2, verbose=0).history for m in (plain, scaled)]
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=1e-4)


def test_an_overflow_of_scaled_gradients_lowers_the_scale(stream):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        scaler = keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(0.1), initial_scale=2.0**30
        )
        model = make(window=6, optimizer=scaler, global_clipnorm=1.0)
    finally:
        keras.config.set_dtype_policy("float32")
    logs = model.fit(stream, epochs=6, verbose=0).history
    assert float(scaler.dynamic_scale) < 2**30
    assert 0 < int(scaler.iterations) < 6 * 5  # some steps were left out
    assert np.isfinite(logs["gradient_norm"]).all()
    assert logs["loss"][-1] < logs["loss"][0]


@pytest.mark.parametrize("way", ["fit", "train"])
def test_the_scale_of_losses_is_kept_from_training_to_training(stream, way):
    scaler = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.01), initial_scale=2.0, dynamic_growth_steps=1
    )
    model = make(window=6, optimizer=scaler)
    for _ in range(2):
        run(way, model, stream, epochs=1)
    assert float(scaler.dynamic_scale) == 2.0 * 2 ** int(scaler.iterations)
    assert int(scaler.iterations) == 2 * 5


def test_every_callback_of_keras_works(stream, tmp_path):
    model = make(window=6, metrics=["accuracy"])
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
    model = make(
        window=6,
        truncation=kerasrnn.TruncatedBPTT(3),
        teacher_forcing=kerasrnn.ScheduledSampling(kerasrnn.ExponentialSchedule(0.9)),
        global_clipnorm=0.5,
        metrics=[kerasrnn.BitsPerCharacter(from_logits=True)],
    )
    model.fit(stream, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.training_step.options == model.training_step.options
    assert loaded.sequence_layers[1].truncation == kerasrnn.FullBPTT()
    np.testing.assert_allclose(loaded(ids), model(ids), atol=1e-6)
    loaded.fit(stream, verbose=0)


def test_states_pass_through_pure_functions(ids):
    model = make("lstm", window=6)
    inputs, targets = ids[:, :-1], ids[:, 1:]
    whole, end = model(inputs, return_states=True)
    states, outputs = model.initial_states(BATCH), []
    for start in range(0, TIME, 7):
        y, states = model(inputs[:, start : start + 7], states=states, return_states=True)
        outputs.append(y)
    np.testing.assert_allclose(tf.concat(outputs, 1), whole, atol=1e-5)
    for a, b in zip(tf.nest.flatten(states), tf.nest.flatten(end), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    batches = tf.data.Dataset.from_tensors(({"inputs": inputs, "reset": [True] * 4}, targets))
    model.prepare(batches.element_spec)
    step, batch = compile_update(model.training_step, batches), next(iter(batches))
    model.optimizer.learning_rate = 0.0
    _, once = step(batch, model.initial_states(0))
    _, again = step(batch, model.initial_states(0))
    for a, b in zip(tf.nest.flatten(once), tf.nest.flatten(again), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_batch_size_that_changes_while_states_are_carried_is_an_error(ids):
    x = tf.constant(ids[:, :5])
    sizes = [x, x[:3]]
    batches = tf.data.Dataset.from_generator(
        lambda: ((b, b) for b in sizes),
        output_signature=(tf.TensorSpec([None, 5], x.dtype),) * 2,
    ).apply(tf.data.experimental.assert_cardinality(2))
    for way in WAYS:
        model = make(window=5)
        with pytest.raises(ValueError, match="the batch size changed from 4 to 3 while states"):
            run(way, model, batches)
    make(window=5, carry_state=False).fit(batches, verbose=0)
    model = make(window=5)
    model.fit(batches.take(1), verbose=0)
    model.fit(batches.skip(1), verbose=0)  # another stream begins: any size will do


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
        ({"cell": "lstm", "truncation": kerasrnn.TruncatedBPTT(2)}, "which cannot truncate"),
    ],
    ids=str,
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_moving_averages_of_weights_end_alike(stream):
    weights = []
    for way in WAYS:
        model = make(window=6, optimizer=keras.optimizers.Adam(0.1, use_ema=True))
        run(way, model, stream)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_bytes_as_ids_and_accumulating_optimizers_go_with_scheduled_sampling(ids):
    stream = kerasrnn.Stream(list(ids.astype("uint8")), batch_size=BATCH)
    adam = keras.optimizers.Adam(gradient_accumulation_steps=2)
    forcing = kerasrnn.ScheduledSampling(0.5, draw="sample")
    model = make(window=6, optimizer=adam, teacher_forcing=forcing)
    assert np.isfinite(model.fit(stream, verbose=0).history["loss"]).all()


def test_states_are_carried_by_train_on_batch_too(ids):
    whole, pieces = make(), make(window=13)
    for model in (whole, pieces):
        model.optimizer.learning_rate = 0.0
    halves = [slice(0, 13), slice(13, 26)]
    losses = [
        pieces.train_on_batch(
            {"inputs": ids[:, :-1][:, half], "reset": np.full(BATCH, not n)},
            ids[:, 1:][:, half],
            return_dict=True,
        )["loss"]
        for n, half in enumerate(halves)
    ]
    expected = whole.train_on_batch(ids[:, :-1], ids[:, 1:], return_dict=True)["loss"]
    np.testing.assert_allclose(np.mean(losses), expected, rtol=1e-5)


def test_layers_and_data_that_cannot_be_windowed_are_named(ids, stream):
    def compiled(layer, **options):
        model = kerasrnn.SequenceModel([layer, keras.layers.Dense(2)])
        model.compile("sgd", "mse", **options)
        return model

    sequences = {"return_sequences": True}
    both_ways = keras.layers.Bidirectional(keras.layers.GRU(2, **sequences))
    with pytest.raises(ValueError, match="reads backwards"):
        compiled(both_ways, window=3)
    with pytest.raises(ValueError, match="is a keras.layers.GRU, which cannot truncate"):
        compiled(both_ways, truncation="full")
    with pytest.raises(ValueError, match="reads backwards"):
        compiled(keras.layers.GRU(2, go_backwards=True, **sequences), window=3)
    for options in ({"recompute": True}, {"teacher_forcing": 0.5}):
        with pytest.raises(ValueError, match="reads backwards"):
            compiled(both_ways, **options)
        with pytest.raises(ValueError, match="puts out its last step alone"):
            compiled(keras.layers.GRU(2), **options)
    with pytest.raises(ValueError, match="puts out its last step alone"):
        compiled(keras.layers.GRU(2), window=3)
    cut = kerasrnn.VanillaRNN(2, truncation=kerasrnn.TruncatedBPTT(2), **sequences)
    for options in ({"recompute": True}, {"window": 4, "stride": 2}):
        with pytest.raises(ValueError, match="whose boundaries would move"):
            compiled(cut, **options)
    penalized = keras.layers.Dense(2, activity_regularizer="l2")
    with pytest.raises(ValueError, match="activity_regularizer of"):
        compiled(penalized, teacher_forcing=0.5)
    with pytest.raises(ValueError, match="must be the first layer"):
        kerasrnn.SequenceModel([keras.layers.Dense(2), keras.layers.Masking()])
    with pytest.raises(ValueError, match="jit_compile=True would leave out the checks"):
        make(jit_compile=True)
    with pytest.raises(ValueError, match="compile needs a loss"):
        kerasrnn.SequenceModel([keras.layers.Dense(2)]).compile("sgd")
    long = tf.data.Dataset.from_tensors((ids[:, :-1], ids[:, 1:]))
    with pytest.raises(ValueError, match="a batch has 26 steps and window=5"):
        make(window=5).fit(long, verbose=0)
    with pytest.raises(ValueError, match="is stateful"):
        compiled(keras.layers.GRU(2, stateful=True))
    with pytest.raises(ValueError, match="compile with window="):
        make().fit(stream, verbose=0)
    with pytest.raises(ValueError, match="You must call compile"):
        kerasrnn.SequenceModel([keras.layers.Dense(2)]).fit(ids, ids)
    with pytest.raises(
        ValueError, match="data must be a kerasrnn.Stream, a tf.data.Dataset or"
    ):
        kerasrnn.train(make(), ids)
    batches = tf.data.Dataset.from_tensors((ids[:, :-1], ids[:, 1:]))
    with pytest.raises(ValueError, match="needs batches of window=5 steps, got 26"):
        make(window=5, stride=2).fit(batches, verbose=0)


def test_a_model_that_puts_out_its_last_step_alone_trains_on_whole_sequences(rng):
    x = rng.normal(size=(20, 6, 3)).astype("float32")
    y = x.sum((1, 2))
    model = kerasrnn.SequenceModel([kerasrnn.VanillaRNN(5), keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"], global_clipnorm=1.0)
    weights = rng.uniform(size=20)
    losses = model.fit(x, y, sample_weight=weights, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    outputs = np.ravel(model.predict(x, verbose=0))
    expected = (weights * (outputs - y) ** 2).mean()
    found = model.evaluate(x, y, sample_weight=weights, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["loss"], expected, rtol=1e-4)


def test_a_cell_with_a_dropout_of_its_own_works_in_inference():
    class DroppingCell(keras.layers.Layer):
        state_size = 3

        def __init__(self):
            super().__init__()
            self.dropout = keras.layers.Dropout(0.5)

        def call(self, inputs, states, training=False):
            h_t = states[0] + self.dropout(inputs, training=training)
            return h_t, [h_t]

    model = kerasrnn.SequenceModel([kerasrnn.RNN(DroppingCell(), return_sequences=True)])
    x = np.ones((2, 4, 3), "float32")
    np.testing.assert_allclose(model(x)[:, -1], 4.0)
    assert not np.allclose(model(x, training=True)[:, -1], 4.0)


@pytest.mark.slow
def test_the_step_runs_on_two_replicas_without_change():
    done = subprocess.run(
        [sys.executable, "-m", "tests.two_replicas"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout.splitlines()[-1]) < 1e-4


def test_a_pydataset_feeds_fit(ids):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            rows = slice(2 * index, 2 * index + 2)
            return ids[rows, :-1], ids[rows, 1:]

    history = make().fit(Batches(), epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]
