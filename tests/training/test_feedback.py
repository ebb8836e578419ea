"""What the cell really receives, step by step, under each kind of teacher forcing."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.layers import compilation, recurrence
from kerasrnn.models import sequence
from kerasrnn.training import feedback as feedback_module
from kerasrnn.training import scheduled_sampling

BATCH, TIME = 4, 12


class EchoCell(keras.layers.Layer):
    """Puts out its input and keeps it as its state: what it received can be read off."""

    def __init__(self, units=1, **kwargs):
        super().__init__(**kwargs)
        self.state_size = self.output_size = units

    def call(self, inputs, states):
        return inputs, [inputs]


class AddOne(keras.layers.Layer):
    def call(self, inputs):
        return inputs + 1


class NextId(keras.layers.Layer):
    """Scores of ids: the id after the one it is given has by far the highest."""

    def call(self, ids):
        following = tf.cast(ids[..., 0] + 1, tf.int32) % 20
        return 50 * tf.one_hot(following, 20)


class AsValue(keras.layers.Layer):
    def call(self, ids):
        return tf.cast(ids, tf.float32)[..., None]


def value_model(forcing):
    """Its output is its input plus one."""
    echo = kerasrnn.RNN(EchoCell(), return_sequences=True)
    model = kerasrnn.SequenceModel([echo, AddOne()])
    model.compile("sgd", "mse", teacher_forcing=forcing)
    return model


def id_model(forcing):
    """It predicts the id after the one it is given."""
    echo = kerasrnn.RNN(EchoCell(), return_sequences=True)
    model = kerasrnn.SequenceModel([AsValue(), echo, NextId()])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, teacher_forcing=forcing)
    return model


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


def test_pure_teacher_forcing_takes_the_fast_scan(rng, monkeypatch):
    calls = []
    scan = recurrence.scan_forward
    monkeypatch.setattr(
        recurrence, "scan_forward", lambda *a, **k: calls.append("scan") or scan(*a, **k)
    )
    loop = feedback_module.run_with_feedback
    monkeypatch.setattr(
        sequence,
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


def test_schedules_follow_their_formulas():
    steps = np.array([0, 1, 10, 100, 1000, 10**9])
    linear = kerasrnn.LinearSchedule(100, start=0.1, end=0.6)
    exponential = kerasrnn.ExponentialSchedule(0.99)
    sigmoid = kerasrnn.InverseSigmoidSchedule(50.0)
    expected = {
        linear: 0.1 + 0.5 * np.minimum(steps / 100, 1),
        exponential: 1 - 0.99**steps,
        sigmoid: 1 - 50 / (50 + np.exp(np.minimum(steps / 50, 700))),
    }
    for schedule, values in expected.items():
        found = [float(schedule(step)) for step in steps]
        np.testing.assert_allclose(found, values, atol=1e-5)
        assert found == sorted(found)
        policy = kerasrnn.ScheduledSampling(schedule, draw="sample")
        copy = scheduled_sampling.get(keras.saving.serialize_keras_object(policy))
        assert copy == policy
    assert float(sigmoid(50 * np.log(50))) == pytest.approx(0.5)


def test_the_schedule_follows_the_training_step():
    model = value_model(kerasrnn.ScheduledSampling(kerasrnn.LinearSchedule(4)))
    inputs = tf.ones((1, 3, 1))
    probabilities = []
    for step in range(6):
        model.optimizer.iterations.assign(step)
        probabilities.append(float(model.training_step.feedback(inputs).probability))
    assert probabilities == [0, 0.25, 0.5, 0.75, 1, 1]


def test_fit_follows_a_schedule(rng):
    x = rng.normal(size=(16, TIME, 2)).astype("float32")
    losses = {}
    for name, forcing in {
        "truth": 1.0,
        "schedule": kerasrnn.ScheduledSampling(kerasrnn.LinearSchedule(8)),
        "free": 0.0,
    }.items():
        keras.utils.set_random_seed(2)
        model = kerasrnn.SequenceModel(
            [kerasrnn.VanillaRNN(4, return_sequences=True), keras.layers.Dense(2)]
        )
        model.compile(keras.optimizers.SGD(1e-6), "mse", teacher_forcing=forcing)
        losses[name] = model.fit(x, x, batch_size=2, epochs=3, verbose=0).history["loss"]
    # All but untrained, the model meets at first the loss of the one, at last of the other.
    apart = abs(losses["free"][0] - losses["truth"][0])
    assert abs(losses["schedule"][0] - losses["truth"][0]) < 0.7 * apart
    assert abs(losses["schedule"][2] - losses["free"][2]) < 1e-4 * apart + 1e-4


def test_exposure_bias_shows_errors_that_feed_on_themselves(tmp_path):
    # The model multiplies by 1.1 where the truth stays: its error grows as it runs freely.
    scale = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    echo = kerasrnn.RNN(EchoCell(), return_sequences=True)
    model = kerasrnn.SequenceModel([echo, scale])
    model.compile("sgd", "mse")
    inputs = np.ones((300, 8, 1), "float32")
    model(inputs)
    scale.set_weights([np.array([[1.1]])])
    for context in (1, 3):
        report = kerasrnn.exposure_bias(model, inputs, inputs, context=context)
        horizons = np.arange(1, 8 - context + 2)
        np.testing.assert_allclose(report.teacher_forcing, 0.1**2, rtol=1e-4)
        np.testing.assert_allclose(report.free_running, (1.1**horizons - 1) ** 2, rtol=1e-4)
        assert report.gap[0] == pytest.approx(0, abs=1e-6)
        assert report.to_dict()["num_sequences"] == 300
    pytest.importorskip("matplotlib")
    report.plot(tmp_path / "bias.png")
    assert (tmp_path / "bias.png").read_bytes().startswith(b"\x89PNG")


def test_exposure_bias_is_there_for_ids():
    model = id_model(1.0)
    start = np.arange(5, 5 + BATCH)[:, None]
    counting = (start + np.arange(TIME + 1)) % 20
    report = kerasrnn.exposure_bias(model, counting[:, :-1], counting[:, 1:], draw="sample")
    np.testing.assert_allclose(report.free_running, 0, atol=1e-5)  # it never errs
    constant = np.repeat(start, TIME + 1, 1)
    report = kerasrnn.exposure_bias(model, constant[:, :-1], constant[:, 1:])
    np.testing.assert_allclose(report.teacher_forcing, 50, rtol=1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: value_model(1.5), r"teacher_forcing must lie in \[0, 1\], got .*=1.5"),
        (lambda: value_model("yes"), "teacher_forcing must be a number in"),
        (lambda: kerasrnn.ScheduledSampling(-0.1), "sampling_probability must lie in"),
        (lambda: kerasrnn.ScheduledSampling(0.1, draw="best"), "draw must be one of greedy"),
        (lambda: kerasrnn.LinearSchedule(0), "num_steps must be a positive number"),
        (lambda: kerasrnn.LinearSchedule(10, end=2.0), "end must lie in"),
        (lambda: kerasrnn.ExponentialSchedule(1.0), r"k must lie in \(0, 1\)"),
        (lambda: kerasrnn.InverseSigmoidSchedule(0.5), "k must be at least 1"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


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
