"""What is measured, of which layers, and that the model is the same afterwards."""

import keras
import numpy as np
import pytest

import kerasrnn
from kerasrnn.layers.nested_layers import recurrent_layers
from tests.analysis.models import BATCH, FEATURES, TIME, UNITS, compiled


class ProjectedCell(keras.layers.Layer):
    """A cell of a user's own: its output is another tensor than its state."""

    units = state_size = UNITS
    output_size = UNITS

    def __init__(self, **options):
        super().__init__(**options)
        self.inner = keras.layers.SimpleRNNCell(UNITS)

    def build(self, shape):
        self.inner.build(shape)

    def call(self, inputs, states):
        h, _ = self.inner(inputs, states)
        return 2 * h, [h]


def test_every_recurrent_layer_is_found_wherever_it_lies(batch):
    x, y = batch
    stack = keras.layers.RNN([keras.layers.GRUCell(3), kerasrnn.VanillaRNNCell(2)], name="two")
    inner = keras.Sequential([kerasrnn.VanillaRNN(3, return_sequences=True, name="inner")])
    both = keras.layers.Bidirectional(
        keras.layers.LSTM(3, return_sequences=True, name="lstm"), name="both"
    )
    model = compiled(inner, both, stack, keras.layers.Dense(1))
    report = kerasrnn.gradient_flow(model, x, y)
    names = [layer.name for layer in report.layers]
    assert names == ["inner", "forward_lstm", "backward_lstm", "two/0", "two/1"]
    assert all((layer.norms > 0).all() for layer in report.layers)
    assert [len(layer.spectra) for layer in report.layers] == [1, 4, 4, 3, 1]
    assert [s.name for s in report.layers[3].spectra] == ["update", "reset", "candidate"]
    assert report.verdict.count("\n") == 4

    assert len(recurrent_layers(model)) == 4


def test_cells_of_a_users_own_are_measured(batch):
    x, y = batch
    cell, dense = ProjectedCell(), keras.layers.Dense(1)
    layer = kerasrnn.gradient_flow(compiled(keras.layers.RNN(cell), dense), x, y).layers[0]
    plain = keras.Sequential([keras.layers.RNN(cell.inner), keras.layers.Rescaling(2.0), dense])
    plain.compile("sgd", "mse")
    expected = kerasrnn.gradient_flow(plain, x, y).layers[0]
    np.testing.assert_allclose(layer.norms, expected.norms, rtol=1e-5)
    np.testing.assert_allclose(layer.remaining, expected.remaining, rtol=1e-5)
    assert layer.spectra == ()
    assert layer.saturated is None
    stack = keras.layers.RNN([ProjectedCell(), keras.layers.GRUCell(3)])
    layers = kerasrnn.gradient_flow(compiled(stack, keras.layers.Dense(1)), x, y).layers
    assert [layer.norms.shape for layer in layers] == [(TIME,)] * 2
    assert all((layer.norms > 0).all() for layer in layers)


def test_models_of_this_package_are_measured(batch):
    classifier = kerasrnn.TextClassifier(["[PAD]", "[UNK]", "a"], embedding_dim=3, units=2)
    classifier.compile("adam", "binary_crossentropy")
    ids = np.array([[1, 2, 2, 0], [2, 2, 1, 1]])
    report = kerasrnn.gradient_flow(classifier, ids, np.array([[0.0], [1.0]]))
    assert len(report.layers) == 2
    language_model = kerasrnn.CharLanguageModel("ab", units=3, num_layers=2)
    language_model.compile(window=4, global_clipnorm=1.0)
    report = kerasrnn.gradient_flow(language_model, ids, ids)
    assert len(report.layers) == 2
    expected = language_model.compute_loss(y=ids, y_pred=language_model(ids))
    assert report.loss == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"leak_rate": 0.3, "learn_leak_rate": True, "activation": "sigmoid"},
        {"zoneout": 0.5},
        {"recurrent_dropout": 0.5, "leak_rate": 0.5},
        {"truncation": kerasrnn.RandomizedTruncation(0.7)},
    ],
    ids=str,
)
def test_the_bound_holds_under_every_remedy(batch, options, training):
    x, y = batch
    layer = kerasrnn.VanillaRNN(UNITS, **options)
    model = compiled(layer, keras.layers.Dense(1))
    model.build(x.shape)
    kernel = layer.cell.recurrent_kernel
    kernel.assign(kernel * np.array([1.5, 1, 0.7, 0.1], "float32"))
    found = kerasrnn.gradient_flow(model, x, y, training=training).layers[0]
    assert (found.remaining <= found.bound * 1.0001).all()
    assert found.remaining[1] > 0


def test_masked_steps_are_left_out(batch, rng):
    x, y = batch
    model = compiled(keras.layers.Masking(), kerasrnn.VanillaRNN(UNITS), keras.layers.Dense(1))
    whole = kerasrnn.gradient_flow(model, x, y).layers[0]
    padded = np.zeros((BATCH, TIME + 3, FEATURES), "float32")
    padded[0, :TIME], padded[1, 3:], padded[2, 1 : TIME + 1] = x
    found = kerasrnn.gradient_flow(model, padded, y).layers[0]
    np.testing.assert_allclose(found.remaining, whole.remaining, rtol=1e-4)
    np.testing.assert_allclose(found.norms_by_lag, whole.norms_by_lag, rtol=1e-4)
    np.testing.assert_allclose(whole.norms_by_lag, whole.norms[::-1], rtol=1e-4)
    assert found.gamma == pytest.approx(whole.gamma, rel=1e-5)
    padded[1] = 0  # nothing but padding
    assert np.isfinite(kerasrnn.gradient_flow(model, padded, y).layers[0].remaining).all()
    padded[:, 0] = 0
    assert np.isnan(kerasrnn.gradient_flow(model, padded, y).layers[0].saturated[0])


def test_saturated_units_are_counted(batch):
    x, y = batch
    model = compiled(kerasrnn.VanillaRNN(4), keras.layers.Dense(1))
    model.build(x.shape)
    model.layers[0].cell.kernel.assign(np.zeros((FEATURES, 4)))
    model.layers[0].cell.recurrent_kernel.assign(np.zeros((4, 4)))
    model.layers[0].cell.bias.assign([9.0, -9.0, 0.0, 1.0])  # tanh'(1) = 0.42
    layer = kerasrnn.gradient_flow(model, x, y).layers[0]
    np.testing.assert_allclose(layer.saturated, np.full(TIME, 0.5))
    lstm = compiled(keras.layers.LSTM(4, bias_initializer="zeros"), keras.layers.Dense(1))
    lstm.build(x.shape)
    lstm.layers[0].cell.bias.assign([9.0] * 4 + [0.0] * 12)  # the input gate alone
    assert kerasrnn.gradient_flow(lstm, x / 100, y).layers[0].saturated[0] == 0.2


def test_the_model_is_as_it_was_afterwards(batch):
    x, y = batch
    layer = keras.layers.LSTM(UNITS, stateful=True, dropout=0.2, recurrent_dropout=0.2)
    simple = keras.layers.RNN(keras.layers.SimpleRNNCell(3, recurrent_dropout=0.5))
    model = compiled(
        layer,
        keras.layers.Reshape((2, 2)),
        keras.layers.BatchNormalization(),
        simple,
        keras.layers.Dense(1),
    )
    kerasrnn.gradient_flow(model, x, y)
    for state in layer.states:  # the model was not built
        np.testing.assert_array_equal(state, 0)
    model.train_on_batch(x, y)
    before = [variable.numpy() for variable in model.variables]
    activation = layer.cell.activation
    for training in (False, True):
        kerasrnn.gradient_flow(model, x, y, training=training)
    kerasrnn.state_jacobian(model, x, 1, layer=simple.name)
    with pytest.raises(ValueError, match="cannot take"):
        kerasrnn.gradient_flow(model, x, np.ones((BATCH, 5, 2)))
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value, err_msg=variable.path)
    assert layer.cell.activation is activation
    assert layer.cell.dropout == 0.2
    assert "inner_loop" not in vars(layer)
    model.train_on_batch(x, y)


def test_what_does_not_fit_is_one_clear_error(batch):
    x, y = batch
    model = compiled(kerasrnn.VanillaRNN(UNITS), keras.layers.Dense(1))
    with pytest.raises(ValueError, match="not compiled"):
        kerasrnn.gradient_flow(keras.Sequential(model.layers), x, y)
    with pytest.raises(ValueError, match="has no recurrent layer"):
        kerasrnn.gradient_flow(compiled(keras.layers.Dense(1)), x, y)
    with pytest.raises(
        ValueError, match=r"equally many sequences, got \(3, 7, 2\) and \(2, 1\)"
    ):
        kerasrnn.gradient_flow(model, x, y[:2])
    model.build(x.shape)
    with pytest.raises(
        ValueError,
        match=r"take inputs \(3, 7, 1\) and targets \(3, 1\): .* for inputs of 2 features",
    ):
        kerasrnn.gradient_flow(model, x[..., :1], y)
    with pytest.raises(ValueError, match="cannot take"):
        kerasrnn.gradient_flow(model, x[:, 0], y)
    with pytest.raises(ValueError, match="hold no sequences"):
        kerasrnn.gradient_flow(model, x[:0], y[:0])


def test_small_gradients_do_not_vanish_in_half_precision(rng):
    x = rng.normal(size=(2, 8, FEATURES)).astype("float32")
    layer = kerasrnn.VanillaRNN(
        UNITS, activation=None, recurrent_initializer="identity", dtype="mixed_float16"
    )
    model = compiled(layer, keras.layers.Dense(1, dtype="mixed_float16"))
    model(x)
    model.layers[1].kernel.assign(np.full((UNITS, 1), 1e-5))
    found = kerasrnn.gradient_flow(model, x, np.ones((2, 1))).layers[0]
    np.testing.assert_allclose(found.remaining, np.ones(8), rtol=1e-3)
