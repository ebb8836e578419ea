"""The measured flow of gradients, beside NumPy, autodiff step by step and closed forms."""

import json
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.analysis.measurement import Measurement
from kerasrnn.analysis.spectrum import spectra
from kerasrnn.layers.nested_layers import recurrent_layers

BATCH, TIME, FEATURES, UNITS = 3, 7, 2, 4


@pytest.fixture
def batch(rng):
    x = rng.normal(size=(BATCH, TIME, FEATURES)).astype("float32")
    return x, rng.normal(size=(BATCH, 1)).astype("float32")


def compiled(*layers):
    model = keras.Sequential(layers)
    model.compile("sgd", "mse")
    return model


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


def numpy_rnn(model, x):
    """States and weights of a plain tanh layer under a Dense(1)."""
    W_x, W_h, b, W_o, b_o = (w.numpy().astype("float64") for w in model.weights)
    h, states = np.zeros((len(x), len(W_h))), []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ W_x + h @ W_h + b)
        states.append(h)
    return np.stack(states), W_h, W_o, b_o


@pytest.mark.parametrize("traced", [True, False], ids=["graph", "eager"])
def test_norms_are_those_of_products_of_explicit_jacobians(batch, traced):
    x, y = batch
    model = compiled(kerasrnn.VanillaRNN(UNITS), keras.layers.Dense(1))
    layer = Measurement(model, traced=traced)(x, y).layers[0]
    states, W_h, W_o, b_o = numpy_rnn(model, x)
    delta = 2 / BATCH * (states[-1] @ W_o + b_o - y) @ W_o.T
    product = np.stack([np.eye(UNITS)] * BATCH)
    for lag in range(TIME):
        t = TIME - 1 - lag
        norm = np.linalg.norm(np.einsum("bi,bij->bj", delta, product))
        np.testing.assert_allclose(layer.norms[t], norm, rtol=1e-4)
        np.testing.assert_allclose(
            layer.remaining[lag], norm / np.linalg.norm(delta), rtol=1e-4
        )
        if lag in (1, TIME - 1):
            found = kerasrnn.state_jacobian(model, x, lag)
            np.testing.assert_allclose(found.matrices, product, rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(
                found.singular_values, np.linalg.svd(product)[1], rtol=1e-3, atol=1e-6
            )
            slopes = 1 - states[t + 1 :] ** 2
            bound = (slopes.max() * np.linalg.norm(W_h, 2)) ** lag
            np.testing.assert_allclose(found.bound, bound, rtol=1e-4)
            assert (found.singular_values <= bound * 1.0001).all()
        jacobian = (1 - states[t] ** 2)[:, :, None] * W_h.T  # dh_t / dh_{t-1}
        product = product @ jacobian
    gamma = (1 - states**2).max()
    np.testing.assert_allclose(layer.gamma, gamma, rtol=1e-5)
    expected = (gamma * np.linalg.norm(W_h, 2)) ** np.arange(TIME)
    np.testing.assert_allclose(layer.bound, expected, rtol=1e-4)


CELLS = {
    "simple": lambda: keras.layers.SimpleRNNCell(UNITS),
    "lstm": lambda: keras.layers.LSTMCell(UNITS),
    "gru": lambda: keras.layers.GRUCell(UNITS, reset_after=False),
    "vanilla": lambda: kerasrnn.VanillaRNNCell(UNITS, alpha=0.4, zoneout=0.1),
    "residual": lambda: kerasrnn.VanillaRNNCell(FEATURES, residual=True),
}


@pytest.mark.parametrize("kind", CELLS)
def test_norms_and_jacobians_of_any_cell_are_those_of_autodiff_step_by_step(batch, kind):
    x, _ = batch
    y = np.ones((BATCH, TIME, 1), "float32")
    cell, dense = CELLS[kind](), keras.layers.Dense(1)
    model = compiled(keras.layers.RNN(cell, return_sequences=True), dense)
    layer = kerasrnn.gradient_flow(model, x, y).layers[0]
    with tf.GradientTape(persistent=True) as tape:
        states, all_h, outputs = cell.get_initial_state(BATCH), [], []
        for t in range(TIME):
            _, states = cell(x[:, t], states if isinstance(states, list) else [states])
            h = states[0]
            all_h.append(h)
            outputs.append(dense(h + x[:, t] if kind == "residual" else h))
        loss = tf.reduce_mean((tf.stack(outputs, 1) - y) ** 2)
    gradients = tape.gradient(loss, all_h)
    expected = [np.linalg.norm(gradient) for gradient in gradients]
    np.testing.assert_allclose(layer.norms, expected, rtol=1e-4)
    found = kerasrnn.state_jacobian(model, x, 3, step=5)
    expected = tape.batch_jacobian(all_h[5], all_h[2], experimental_use_pfor=False)
    np.testing.assert_allclose(found.matrices, expected, rtol=1e-4, atol=1e-6)
    assert (layer.bound is None) is (kind in ("lstm", "gru"))
    assert (found.bound is None) is (kind in ("lstm", "gru"))


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


def test_what_an_lstm_carries_in_its_cell_state_is_not_lost(batch):
    x, y = batch
    model = compiled(keras.layers.LSTM(UNITS), keras.layers.Dense(1))
    model.build(x.shape)
    cell = model.layers[0].cell
    cell.recurrent_kernel.assign(np.zeros((UNITS, 4 * UNITS)))
    cell.bias.assign(np.repeat([0.0, 30.0, 0.0, 30.0], UNITS))  # forgets nothing
    layer = kerasrnn.gradient_flow(model, x, y).layers[0]
    assert layer.norms[:-1].max() == 0  # h_t itself is not read
    assert layer.remaining[1] > 0.1
    np.testing.assert_allclose(layer.remaining[1:], layer.remaining[1], rtol=1e-5)
    assert layer.state == "healthy"


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


def linear_rnn(scale, **options):
    layer = kerasrnn.VanillaRNN(UNITS, activation=None, use_bias=False, **options)
    model = compiled(layer, keras.layers.Dense(1))
    model.build((None, None, FEATURES))
    layer.cell.recurrent_kernel.assign(scale * np.eye(UNITS))
    return model


@pytest.mark.parametrize(
    ("scale", "state", "lag"), [(0.5, "vanishing", 7), (1, "healthy", 11), (2, "exploding", 7)]
)
def test_the_verdict_names_the_lag_of_a_known_decay(rng, scale, state, lag):
    x = rng.normal(size=(2, 12, FEATURES)).astype("float32")
    layer = kerasrnn.gradient_flow(linear_rnn(scale), x, np.ones((2, 1))).layers[0]
    np.testing.assert_allclose(layer.remaining, scale ** np.arange(12.0), rtol=1e-5)
    np.testing.assert_allclose(layer.bound, layer.remaining, rtol=1e-5)
    assert (layer.state, layer.lag) == (state, lag)
    assert state in layer.verdict
    assert str(lag) in layer.verdict
    assert layer.spectra[0][1:] == pytest.approx((scale,) * 3)


def test_no_gradient_is_not_a_healthy_one(batch):
    x, y = batch
    model = linear_rnn(1.0)
    model.layers[-1].kernel.assign(np.zeros((UNITS, 1)))
    report = kerasrnn.gradient_flow(model, x, y)
    assert report.layers[0].state == "none"
    assert "no gradient" in report.verdict


def test_what_is_not_finite_is_said(batch):
    x, y = batch
    report = kerasrnn.gradient_flow(linear_rnn(np.nan), x, y)
    assert report.layers[0].state == "not finite"
    assert np.isnan(report.layers[0].spectra[0].spectral_radius)
    json.dumps(report.to_dict(), allow_nan=False)
    found = kerasrnn.state_jacobian(linear_rnn(np.nan), x, 2)
    assert np.isnan(found.singular_values).all()
    exploded = kerasrnn.gradient_flow(linear_rnn(1e4), x, y).layers[0]
    assert (exploded.state, exploded.lag) == ("exploding", 1)


def test_truncation_shows_in_training(rng):
    x = rng.normal(size=(2, 12, FEATURES)).astype("float32")
    model = linear_rnn(1.0, truncation=kerasrnn.TruncatedBPTT(5))
    remaining = kerasrnn.gradient_flow(model, x, np.ones((2, 1)), training=True)
    np.testing.assert_allclose(remaining.layers[0].remaining, [1, 1] + [0] * 10, atol=1e-6)
    remaining = kerasrnn.gradient_flow(model, x, np.ones((2, 1)))
    np.testing.assert_allclose(remaining.layers[0].remaining, np.ones(12), atol=1e-6)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"alpha": 0.3, "learn_alpha": True, "activation": "sigmoid"},
        {"zoneout": 0.5},
        {"recurrent_dropout": 0.5, "alpha": 0.5},
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
    jacobian = kerasrnn.state_jacobian(model, padded, 4)
    np.testing.assert_allclose(
        jacobian.matrices[0], kerasrnn.state_jacobian(model, x, 1).matrices[0], rtol=1e-4
    )  # three of these four steps are padding
    assert (jacobian.singular_values <= jacobian.bound * 1.0001).all()
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


def test_the_spectrum_of_a_known_kernel():
    cell = kerasrnn.VanillaRNNCell(2)
    cell.build((None, 1))
    cell.recurrent_kernel.assign([[0.0, 4.0], [1.0, 0.0]])
    (spectrum,) = spectra(cell)
    assert spectrum.name == "recurrent_kernel"
    assert spectrum[1:] == pytest.approx((2, 4, 1))  # eigenvalues +-2, singular values 4 and 1


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
    with pytest.raises(ValueError, match="from 1 to 6, got lag=7"):
        kerasrnn.state_jacobian(model, x, 7)
    with pytest.raises(ValueError, match=r"one of vanilla_rnn.* got layer=1"):
        kerasrnn.state_jacobian(model, x, 1, layer=1)
    with pytest.raises(ValueError, match="one of 7 steps"):
        kerasrnn.state_jacobian(model, x, 1, step=7)
    with pytest.raises(ValueError, match="hold no sequences"):
        kerasrnn.gradient_flow(model, x[:0], y[:0])
    with pytest.raises(ValueError, match="got a NoneType"):
        kerasrnn.gradient_flow(model, x, None)
    with pytest.raises(ValueError, match="has no recurrent layer"):
        kerasrnn.state_jacobian(compiled(keras.layers.Dense(1)), x, 1)


def test_lists_of_numbers_are_a_batch(batch):
    x, y = batch
    model = compiled(kerasrnn.VanillaRNN(UNITS), keras.layers.Dense(1))
    found = kerasrnn.gradient_flow(model, x.tolist(), y.tolist()).layers[0]
    expected = kerasrnn.gradient_flow(model, x, y).layers[0]
    np.testing.assert_allclose(found.norms, expected.norms, rtol=1e-5)


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
    jacobian = kerasrnn.state_jacobian(model, x, 5)
    np.testing.assert_allclose(jacobian.matrices[0], np.eye(UNITS), atol=1e-3)


def test_figures_go_into_json_and_an_image(batch, tmp_path, monkeypatch):
    x, y = batch
    model = compiled(kerasrnn.VanillaRNN(UNITS), keras.layers.Dense(1))
    report = kerasrnn.gradient_flow(model, x, y)
    figures = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert len(figures["layers"][0]["remaining"]) == TIME
    assert figures["layers"][0]["verdict"] == str(report)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        report.plot(tmp_path / "flow.png")
    monkeypatch.undo()
    pytest.importorskip("matplotlib")
    low, high = report.figure().axes[0].get_ylim()
    assert low == pytest.approx(min(report.layers[0].remaining.min(), 0.005), rel=0.9)
    assert high >= 200
    report.plot(tmp_path / "flow.png")
    assert (tmp_path / "flow.png").stat().st_size > 10_000
