"""One update beside a plain loop in Keras, and the loop around it, by `fit` and by `train`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.training.loop import compile_update
from tests.training.models import BATCH, TIME, UNITS, VOCABULARY, WAYS, make_model, train_by


def by_hand(ids, window, stride, carry_state=True, global_clipnorm=None, cell="vanilla"):
    """Truncated BPTT, written out with the layers of Keras; the weights at the end."""
    time = ids.shape[1] - 1
    model = make_model(cell)
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
    for start in range(0, time - window + stride, stride):
        if not carry_state:
            state = layer.get_initial_state(BATCH)
        steps = slice(start, min(start + window, time))
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
        {"window": 8, "global_clipnorm": 0.3, "run_eagerly": False},
        pytest.param({"window": 6, "stride": 2}, marks=pytest.mark.slow),
        pytest.param({"window": 4, "stride": 1}, marks=pytest.mark.slow),
        {"window": 7, "carry_state": False},
        {"window": 2 * TIME},
        {"window": 6, "stride": 2, "cell": "lstm"},
    ],
    ids=str,
)
def test_windows_and_strides_equal_a_loop_by_hand(ids, options):
    ids = ids[:, :14]
    model = make_model(**{"run_eagerly": True, **options})
    model.fit(kerasrnn.Stream(list(ids), batch_size=BATCH), verbose=0)
    window = min(options["window"], 13)
    by_hand_options = {**options, "window": window, "stride": options.get("stride", window)}
    by_hand_options.pop("run_eagerly", None)
    expected = by_hand(ids, **by_hand_options)
    for a, b in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"window": kerasrnn.RandomWindow(7, 2.0), "teacher_forcing": 0.6},
        pytest.param({"use_ema": True}, marks=pytest.mark.slow),
        pytest.param(
            {"cell": "gru", "window": 6, "stride": 3, "time_reduction": "sum"},
            marks=pytest.mark.slow,
        ),
        pytest.param({"window": 9, "recompute": True}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_both_ways_in_end_with_the_same_weights(ids, stream, options):
    inputs, targets = ids[:, :-1], ids[:, 1:]
    dataset = tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(2)
    data = stream if "window" in options else dataset
    use_ema = options.get("use_ema", False)  # moving averages of the weights
    options = {name: value for name, value in options.items() if name != "use_ema"}
    results = {}
    for way in WAYS:
        adam = keras.optimizers.Adam(0.1, use_ema=use_ema)
        model = make_model(optimizer=adam, metrics=["accuracy"], **options)
        validation = data if options.get("cell") == "gru" else None
        history = train_by(way, model, data, epochs=2, validation_data=validation)
        results[way] = model.get_weights(), history.history
    for a, b in zip(results["fit"][0], results["train"][0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert results["fit"][1] == results["train"][1]
    assert {"loss", "accuracy", "gradient_norm"} <= set(results["fit"][1])
    assert ("val_loss" in results["fit"][1]) is (validation is not None)


def test_a_whole_batch_equals_keras_own_training_step(ids):
    # Without windows, truncation and clipping this is what keras.Model.fit does.
    inputs, targets = ids[:, :8], ids[:, 1:9]
    weight = np.random.default_rng(0).uniform(0.5, 2, size=targets.shape)
    ours = make_model(metrics=["accuracy"], run_eagerly=True)
    ours(inputs)
    layers = [keras.layers.Embedding.from_config(ours.sequence_layers[0].get_config())]
    layers.append(keras.layers.SimpleRNN(UNITS, return_sequences=True))
    layers.append(keras.layers.Dense(VOCABULARY))
    theirs = keras.Sequential(layers)
    theirs(inputs)
    theirs.set_weights(ours.get_weights())
    theirs.compile(keras.optimizers.SGD(0.5), ours.loss, metrics=["accuracy"], run_eagerly=True)
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


@pytest.mark.parametrize(
    "time_reduction", ["mean", pytest.param("sum", marks=pytest.mark.slow)]
)
def test_masked_steps_and_steps_of_weight_zero_do_not_count(rng, time_reduction):
    lengths = [26, 3, 11, 1]
    inputs, targets = rng.integers(1, VOCABULARY, size=(2, BATCH, TIME))
    present = np.arange(TIME) < np.array(lengths)[:, None]
    padded, weights = inputs * present, present.astype("float32")
    junk = np.where(present, inputs, rng.integers(1, VOCABULARY, size=inputs.shape))
    metrics = ["accuracy", kerasrnn.Perplexity(from_logits=True)]
    options = {"metrics": metrics, "time_reduction": time_reduction, "run_eagerly": True}
    by_mask, by_weight = make_model(mask_zero=True, **options), make_model(**options)
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


def test_optimizers_can_accumulate_over_batches_too(stream):
    adam = keras.optimizers.Adam(gradient_accumulation_steps=2)
    model = make_model(window=13, optimizer=adam, run_eagerly=True)
    losses = model.fit(stream, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_the_compiled_step_takes_states_and_returns_them(ids):
    model = make_model("lstm", window=6)
    inputs, targets = ids[:, :-1], ids[:, 1:]
    batches = tf.data.Dataset.from_tensors(({"inputs": inputs, "reset": [True] * 4}, targets))
    model.prepare(batches.element_spec)
    step, batch = compile_update(model.training_step, batches), next(iter(batches))
    model.optimizer.learning_rate = 0.0
    _, once = step(batch, model.initial_states(0))
    _, again = step(batch, model.initial_states(0))
    _, expected = model(inputs, return_states=True)
    flat = (tf.nest.flatten(states) for states in (once, again, expected))
    for a, b, c in zip(*flat, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(a, c, atol=1e-5)


def test_data_that_cannot_be_windowed_are_named(ids, stream):
    batches = tf.data.Dataset.from_tensors((ids[:, :-1], ids[:, 1:]))
    with pytest.raises(ValueError, match="a batch has 26 steps and window=5"):
        make_model(window=5).fit(batches, verbose=0)
    with pytest.raises(ValueError, match="needs batches of window=5 steps, got 26"):
        make_model(window=5, stride=2).fit(batches, verbose=0)
    with pytest.raises(ValueError, match="compile with window="):
        make_model().fit(stream, verbose=0)
    with pytest.raises(
        ValueError, match="data must be a kerasrnn.Stream, a tf.data.Dataset or"
    ):
        kerasrnn.train(make_model(), ids)
