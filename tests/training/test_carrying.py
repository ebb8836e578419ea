"""Layers whose states cannot be carried are named; what has none is let through."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.serving.signatures import make_signatures
from tests.seeds import set_seed

UNITS, FEATURES = 4, 3


def recurrent(kind=kerasrnn.VanillaRNN, **options):
    return kind(UNITS, return_sequences=True, **options)


class Residual(keras.layers.Layer):
    """A layer of one's own around a recurrent one."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = recurrent()

    def call(self, inputs):
        return inputs[..., :1] + self.inner(inputs)


class MadeLate(Residual):
    """The same; the recurrent layer comes when the layer is built."""

    def __init__(self, **kwargs):
        keras.layers.Layer.__init__(self, **kwargs)

    def build(self, shape):
        self.inner = recurrent()
        self.inner.build(shape)


def functional():
    x = keras.Input((None, FEATURES))
    return keras.Model(x, recurrent(keras.layers.GRU)(x), name="held")


HOLDING = {
    "sequential": lambda: keras.Sequential([recurrent()], name="held"),
    "functional": functional,
    "deeper": lambda: keras.Sequential([keras.Sequential([recurrent()])], name="held"),
    "subclass": lambda: Residual(name="held"),
    "model": lambda: kerasrnn.SequenceModel([recurrent()], name="held"),
    "both ways inside": lambda: keras.Sequential(
        [keras.layers.Bidirectional(recurrent())], name="held"
    ),
    "both ways": lambda: keras.layers.Bidirectional(recurrent(), name="held"),
}
CARRIED = [
    {"window": 4},
    {"window": kerasrnn.RandomWindow(6)},
    {"recompute": True},
    {"teacher_forcing": 0.5},
]


def make(*layers, **options):
    model = kerasrnn.SequenceModel([*layers, keras.layers.Dense(1)])
    model.compile("sgd", "mse", **{"run_eagerly": True, **options})
    return model


@pytest.fixture
def data(rng):
    x = rng.normal(size=(8, 12, FEATURES)).astype("float32")
    return x, rng.normal(size=(8, 12, 1)).astype("float32")


@pytest.mark.parametrize("options", CARRIED, ids=str)
@pytest.mark.parametrize("kind", HOLDING)
def test_a_layer_that_holds_a_recurrent_one_is_named(kind, options):
    for others in ([], [recurrent()]):
        with pytest.raises(ValueError, match="^held .* state cannot be carried"):
            make(HOLDING[kind](), *others, **options)


@pytest.mark.parametrize("kind", HOLDING)
def test_states_do_not_pass_in_and_out_of_such_layers(kind, data):
    model = make(HOLDING[kind](), recurrent())
    states = model.initial_states(8)
    for call in ({"states": states}, {"return_states": True}):
        with pytest.raises(ValueError, match="held .* cannot be carried. Do not use states="):
            model(data[0], **call)
    with pytest.raises(ValueError, match="cannot be carried"):
        kerasrnn.exposure_bias(model, *data)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        *("sequential", "functional", "subclass", "both ways"),
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in ("deeper", "model", "both ways inside")
        ),
    ],
)
def test_such_layers_train_on_whole_sequences_and_serve_them(kind, data):
    model = make(HOLDING[kind](), recurrent())
    losses = model.fit(*data, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert set(make_signatures(model)) == {"serving_default"}


def test_a_model_with_such_a_layer_is_exported(data, tmp_path):
    model = make(HOLDING["subclass"](), recurrent())
    model(data[0])
    loaded = tf.saved_model.load(str(kerasrnn.export(model, tmp_path)))
    assert set(loaded.signatures) == {"serving_default"}


@pytest.mark.parametrize("options", CARRIED[:2], ids=str)
def test_a_recurrent_layer_made_when_its_layer_is_built_is_named_then(data, options):
    stream = kerasrnn.Stream(list(data[0]), list(data[1]), batch_size=8)
    model = make(MadeLate(name="held"), recurrent(), **options)
    with pytest.raises(ValueError, match="^held contains the recurrent layer"):
        model.fit(stream, verbose=0)
    with pytest.raises(ValueError, match="^held contains the recurrent layer"):
        kerasrnn.train(make(MadeLate(name="held"), **options), stream, verbose=0)


def test_a_recurrent_layer_listed_twice_is_named():
    layer = recurrent(name="twice")
    with pytest.raises(ValueError, match="twice is listed twice"):
        kerasrnn.SequenceModel([layer, keras.layers.Dense(FEATURES), layer])


@pytest.mark.slow
def test_a_recurrent_layer_over_another_axis_has_nothing_to_carry(rng):
    x = rng.normal(size=(4, 6, 3, 2)).astype("float32")
    y = rng.normal(size=(4, 6, 1)).astype("float32")

    def each_step():
        return keras.layers.TimeDistributed(keras.layers.LSTM(3))

    losses = {}
    for window in (None, 4):
        set_seed(1)
        model = make(each_step(), recurrent(), window=window)
        losses[window] = model.evaluate(x, y, verbose=0)
        head, states = model(x[:, :4], return_states=True)
        tail = model(x[:, 4:], states=states)
        np.testing.assert_allclose(tf.concat([head, tail], 1), model(x), atol=1e-5)
    np.testing.assert_allclose(losses[4], losses[None], rtol=1e-5)
    inside = keras.Sequential([each_step()])
    assert np.isfinite(make(inside, recurrent(), window=4).evaluate(x, y, verbose=0))


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 2},
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param({"recompute": True}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_model_without_states_reads_windows_too(data, options):
    x, y = data
    stream = kerasrnn.Stream(list(x), list(y), batch_size=8)
    model, whole = make(window=4, **options), make()
    again = make(window=4, **options)
    for other in (whole, model, again):
        other(x)
        other.set_weights(whole.get_weights())
    np.testing.assert_allclose(
        model.evaluate(stream, verbose=0), whole.evaluate(x, y, verbose=0), rtol=1e-5
    )
    fitted = model.fit(stream, epochs=2, verbose=0).history["loss"]
    trained = kerasrnn.train(again, stream, epochs=2, verbose=0)
    np.testing.assert_allclose(trained.history["loss"], fitted, rtol=1e-5)
    assert fitted[1] < fitted[0]
