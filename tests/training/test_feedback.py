"""What the cell really receives, step by step, under each kind of teacher forcing."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.layers import compilation, scans
from kerasrnn.models import connected
from kerasrnn.training import feedback as feedback_module
from tests.training.echo_models import EchoCell, id_model, value_model

BATCH, TIME = 4, 12


def received(model, inputs):
    """What the cell was given at each step, read off the outputs."""
    outputs = model(inputs, training=True, feedback=model.training_step.feedback(inputs))
    if inputs.dtype.is_integer:
        return (tf.argmax(outputs, -1).numpy() - 1) % 20
    return outputs.numpy()[..., 0] - 1


@pytest.fixture(params=["values", "ids"])
def case(request):
    # True inputs stay at 5, 6, 7, 8; a model that runs freely counts up from there.
    start = np.arange(5, 5 + BATCH)[:, None]
    true = np.repeat(start, TIME, 1)
    own = start + np.arange(TIME)
    if request.param == "ids":
        return id_model, tf.constant(true, tf.int32), true, own % 20
    return value_model, tf.constant(true[..., None], tf.float32), true, own


def test_teacher_forcing_feeds_the_truth(case):
    make, inputs, true, _ = case
    np.testing.assert_array_equal(received(make(1.0), inputs), true)


@pytest.mark.parametrize("draw", ["greedy", "sample"])
def test_free_running_feeds_the_models_own_outputs(case, draw):
    make, inputs, _, own = case
    policy = kerasrnn.ScheduledSampling(1.0, draw=draw)
    if draw == "sample" and not inputs.dtype.is_integer:
        with pytest.raises(ValueError, match="needs inputs that are ids"):
            received(make(policy), inputs)
        return
    np.testing.assert_array_equal(received(make(policy), inputs), own)


def test_a_mixture_is_tossed_for_each_step_and_sequence(case):
    make, inputs, true, _ = case
    model = make(0.5)
    num_draws = 400
    many = tf.tile(inputs, [num_draws, *[1] * (len(inputs.shape) - 1)])
    draws = received(model, many).reshape(num_draws, BATCH, TIME)
    fed_own = draws[..., 1:] != true[:, 1:]
    # An own output is the input before plus one; a true one starts again.
    expected = np.where(fed_own, (draws[..., :-1] + 1) % 20, true[:, 1:])
    np.testing.assert_array_equal(draws[..., 1:], expected)
    assert (draws[..., 0] == true[:, 0]).all()  # the first is always true
    assert abs(fed_own.mean() - 0.5) < 0.02
    assert abs(fed_own.mean(0) - 0.5).max() < 0.15  # at every step of every sequence
    assert abs(np.corrcoef(fed_own[:, 0, 3], fed_own[:, 1, 3])[0, 1]) < 0.2
    assert abs(np.corrcoef(fed_own[:, 0, 3], fed_own[:, 0, 4])[0, 1]) < 0.2


def test_drawn_ids_follow_the_distribution():
    probabilities = tf.constant([0.7, 0.2, 0.1])

    class Fixed(keras.layers.Layer):
        def call(self, inputs):
            return tf.zeros_like(inputs) + probabilities

    echo = kerasrnn.RNN(EchoCell(3), return_sequences=True)
    model = kerasrnn.SequenceModel([keras.layers.Embedding(3, 3), echo, Fixed()])
    policy = kerasrnn.ScheduledSampling(1.0, draw="sample")
    model.compile("sgd", "sparse_categorical_crossentropy", teacher_forcing=policy)
    assert not model.training_step.from_logits
    seen = []
    table = np.eye(3, dtype="float32")
    model(tf.zeros((1, 1), tf.int32))
    model.sequence_layers[0].set_weights([table])
    inputs = tf.zeros((500, 8), tf.int32)
    feedback = model.training_step.feedback(inputs)

    def spy(output, t):
        seen.append(feedback.draw(output, t))
        return seen[-1]

    spying = feedback_module.Feedback(feedback.probability, spy, feedback.seed)
    model(inputs, feedback=spying)
    frequencies = np.bincount(np.ravel(seen), minlength=3) / np.size(seen)
    np.testing.assert_allclose(frequencies, probabilities, atol=0.03)
    assert not np.array_equal(seen[0], seen[1])


def test_no_gradient_flows_through_what_is_fed_back():
    # Output_t = w * input_t: with feedback the value is w^t, but dL/dw sees one factor a step.
    scale = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    echo = kerasrnn.RNN(EchoCell(), return_sequences=True)
    model = kerasrnn.SequenceModel([echo, scale])
    model.compile("sgd", "mse", teacher_forcing=0.0)
    inputs = tf.ones((1, 4, 1))
    model(inputs)
    scale.set_weights([np.array([[2.0]])])
    with tf.GradientTape() as tape:
        outputs = model(inputs, training=True, feedback=model.training_step.feedback(inputs))
        last = outputs[0, -1, 0]
    assert float(last) == 16  # 2^4
    assert float(tape.gradient(last, scale.kernel.value)[0, 0]) == 8  # its own input, 2^3


@pytest.mark.parametrize("layer", ["vanilla", "lstm", "gru", "stacked", "masked"])
def test_the_step_by_step_path_equals_the_fast_one(rng, layer):
    make = {
        "vanilla": lambda: kerasrnn.VanillaRNN(6, return_sequences=True),
        "lstm": lambda: keras.layers.LSTM(6, return_sequences=True),
        "gru": lambda: keras.layers.GRU(6, return_sequences=True),
        "stacked": lambda: kerasrnn.RNN(
            [keras.layers.LSTMCell(6), keras.layers.GRUCell(6)], return_sequences=True
        ),
        "masked": lambda: kerasrnn.VanillaRNN(6, return_sequences=True),
    }[layer]
    embedding = keras.layers.Embedding(9, 3, mask_zero=layer == "masked")
    norm = keras.layers.LayerNormalization()
    model = kerasrnn.SequenceModel([embedding, make(), norm, make(), keras.layers.Dense(9)])
    model.compile("sgd", "mse", teacher_forcing=0.5)
    inputs = tf.constant(rng.integers(0, 9, size=(BATCH, TIME)))
    expected, states = model(inputs, return_states=True)
    truth = feedback_module.make_feedback(0.0, inputs, "greedy", True, tf.constant([1, 2]))
    found, states_found = model(inputs, feedback=truth, return_states=True)
    if layer == "masked":  # what stands at masked steps is not compared
        used = (inputs.numpy() != 0)[..., None]
        expected, found = expected * used, found * used
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for a, b in zip(tf.nest.flatten(states_found), tf.nest.flatten(states), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_dropout_and_truncation_act_on_the_step_by_step_path(rng):
    cell = keras.layers.LSTMCell(5, dropout=0.5, recurrent_dropout=0.5)
    layer = kerasrnn.RNN(cell, return_sequences=True, truncation=kerasrnn.TruncatedBPTT(4))
    model = kerasrnn.SequenceModel([layer, keras.layers.Dense(2)])
    model.compile("sgd", "mse", teacher_forcing=0.5)
    inputs = tf.constant(rng.normal(size=(BATCH, TIME, 2)), tf.float32)
    model(inputs)
    truth = feedback_module.make_feedback(0.0, inputs, "greedy", True, tf.constant([1, 2]))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = model(inputs, feedback=truth, training=True)
        last = tf.reduce_sum(outputs[:, -1])
    gradient = tape.gradient(last, inputs).numpy()
    np.testing.assert_array_equal(gradient[:, :8], 0)
    assert (np.abs(gradient[:, 8:]).max(-1) > 0).any()
    assert not np.allclose(outputs, model(inputs, feedback=truth))
    assert not np.allclose(outputs, model(inputs, feedback=truth, training=True))


@pytest.mark.slow
def test_pure_teacher_forcing_takes_the_fast_scan(rng, monkeypatch):
    calls = []
    scan = scans.scan_forward_and_keep
    monkeypatch.setattr(
        scans, "scan_forward_and_keep", lambda *a, **k: calls.append("scan") or scan(*a, **k)
    )
    loop = feedback_module.run_with_feedback
    monkeypatch.setattr(
        connected,
        "run_with_feedback",
        lambda *a, **k: calls.append("loop") or loop(*a, **k),
    )
    compilation._trace.cache_clear()
    x = rng.normal(size=(8, TIME, 2)).astype("float32")
    for forcing, expected in [(1.0, "scan"), (None, "scan"), (0.9, "loop")]:
        model = kerasrnn.SequenceModel(
            [kerasrnn.VanillaRNN(4, return_sequences=True), keras.layers.Dense(2)]
        )
        model.compile("sgd", "mse", teacher_forcing=forcing)
        model(x)
        calls.clear()
        compilation._trace.cache_clear()
        model.train_on_batch(x, x)
        assert expected in calls
        assert ("loop" in calls) is (expected == "loop")
    compilation._trace.cache_clear()


def test_outputs_of_another_size_cannot_be_fed_back():
    model = kerasrnn.SequenceModel(
        [kerasrnn.VanillaRNN(4, return_sequences=True), keras.layers.Dense(3)]
    )
    model.compile("sgd", "mse", teacher_forcing=0.5)
    x = np.zeros((2, 5, 2), "float32")
    with pytest.raises(ValueError, match=r"outputs \(3,\) and inputs \(2,\) a step"):
        model.fit(x, np.zeros((2, 5, 3)), verbose=0)
    with pytest.raises(ValueError, match="context must lie between 1 and the 5 steps"):
        kerasrnn.exposure_bias(model, x, np.zeros((2, 5, 3)), context=6)
