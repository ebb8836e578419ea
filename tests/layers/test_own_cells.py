"""A `RecurrentCell` of a user's own, with one gate: h_t = f h_{t-1} + (1 - f) n."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.layers.truncation import products_between

F, N = range(2)
WITH_GAPS = tf.constant([[1, 1, 0, 0, 0, 1, 0, 0, 0], [0, 1, 1, 0, 1, 1, 1, 1, 1], [0] * 9]) > 0


def step(p, states, product):
    (h,) = states
    f = tf.sigmoid(p[F] + product(h, F))
    n = tf.tanh(p[N] + product(h, N))
    return [f * h + (1 - f) * n], [f, n]


def adjoint(kept, before, after, gradients, product):
    (f, n), (h,), (delta_h,) = kept, before, gradients
    delta_f = delta_h * (h - n) * f * (1 - f)
    delta_n = delta_h * (1 - f) * (1 - n * n)
    return [delta_f, delta_n], [
        delta_h * f + product.back(delta_f, F, h) + product.back(delta_n, N, h)
    ]


class Cell(kerasrnn.RecurrentCell):
    EQUATIONS = kerasrnn.Equations(step, adjoint)

    def __init__(self, units=4, **remedies):
        super().__init__()
        self.units = self.state_size = units
        self.seed_generator = keras.random.SeedGenerator(0)
        for name, value in remedies.items():
            setattr(self, name, value)

    def build(self, input_shape):
        size = 2 * self.units
        self.kernel = self.add_weight((input_shape[-1], size), name="kernel")
        self.recurrent_kernel = self.add_weight((self.units, size), name="recurrent_kernel")
        self.bias = self.add_weight((size,), "ones", name="bias")

    def equations(self):
        return self.EQUATIONS


class DifferentiatedCell(Cell):
    EQUATIONS = kerasrnn.Equations(step)


def outputs_and_gradients(cell, **options):
    mask = options.pop("mask", None)
    layer = kerasrnn.RNN(cell, return_sequences=True, **options)
    x = tf.random.stateless_normal([3, 9, 4], [0, 0])
    layer.build(x.shape)
    layer.set_weights(
        [tf.random.stateless_normal(w.shape, [1, n]) for n, w in enumerate(layer.weights[:3])]
        + layer.get_weights()[3:]
    )
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, mask=mask, training=True)
        loss = tf.reduce_sum(outputs * tf.range(4.0))
    return [outputs, *tape.gradient(loss, [x, *layer.trainable_variables])]


@pytest.mark.parametrize(
    ("remedies", "options"),
    [
        ({}, {}),
        ({"dropout": 0.3, "recurrent_dropout": 0.4}, {}),
        ({"residual": True}, {"mask": tf.sequence_mask([9, 4, 1], 9)}),
        ({}, {"truncation": kerasrnn.TruncatedBPTT(4)}),
        ({"residual": True}, {"mask": WITH_GAPS, "truncation": kerasrnn.TruncatedBPTT(2)}),
    ],
)
def test_the_adjoint_gives_the_gradients_of_the_steps(remedies, options):
    found = outputs_and_gradients(Cell(**remedies), **options)
    expected = outputs_and_gradients(DifferentiatedCell(**remedies), **options)
    for one, other in zip(found, expected, strict=True):
        tf.debugging.assert_near(one, other, atol=1e-5, rtol=1e-5)


def test_zoneout_keeps_states_in_training_and_their_mean_in_inference():
    layer = kerasrnn.RNN(Cell(zoneout=0.5))
    x = tf.ones([2, 1, 3])
    new = kerasrnn.RNN(Cell())
    new.build(x.shape)
    layer.build(x.shape)
    new.set_weights(layer.get_weights()[:3] + new.get_weights()[3:])
    trained, expected = layer(x, training=True), new(x)
    kept = trained == 0  # the first state
    assert 0 < tf.math.count_nonzero(kept) < 8
    tf.debugging.assert_near(trained[~kept], expected[~kept])
    tf.debugging.assert_near(layer(x), 0.5 * expected)


def test_residual_rejects_inputs_of_another_size():
    for layer in (kerasrnn.RNN, keras.layers.RNN):
        with pytest.raises(ValueError, match="residual=True takes inputs of units=4 features"):
            layer(Cell(residual=True))(tf.ones([2, 5, 1]))


@pytest.mark.parametrize("rate", ["dropout", "recurrent_dropout"])
def test_dropout_without_masks_says_who_draws_them(rate):
    with pytest.raises(ValueError, match=r"Cell has dropout.* Run it in kerasrnn\.RNN"):
        keras.layers.RNN(Cell(**{rate: 0.5}))(tf.ones([2, 5, 3]), training=True)
    assert kerasrnn.RNN(Cell(**{rate: 0.5}))(tf.ones([2, 5, 3]), training=True).shape == (2, 4)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"zoneout": 1.5}, "zoneout must lie in"),
        ({"dropout": 1.0}, "dropout must lie in"),
        ({"recurrent_dropout": -0.1}, "recurrent_dropout must lie in"),
        (
            {"zoneout": [0.1, 0.2]},
            "zoneout of Cell must be one rate, or one for each",
        ),
        ({"zoneout": 0.1, "seed_generator": None}, "no seed_generator"),
    ],
)
def test_wrong_rates_are_refused(attributes, message):
    cell = Cell()
    for name, value in attributes.items():
        setattr(cell, name, value)
    with pytest.raises(ValueError, match=message):
        kerasrnn.RNN(cell)(tf.ones([2, 5, 3]))


def test_inputs_with_other_features_are_refused():
    layer = kerasrnn.RNN(Cell())
    layer.build([2, 5, 3])
    with pytest.raises(ValueError, match="was built for inputs of 3 features"):
        layer(tf.ones([2, 5, 4]))


def test_equations_that_are_new_at_each_call_are_refused():
    class Forgetful(Cell):
        def equations(self):
            step, adjoint = super().equations()
            return kerasrnn.Equations(lambda *a: step(*a), lambda *a: adjoint(*a))

    with pytest.raises(ValueError, match="Forgetful returns new functions at each call"):
        kerasrnn.RNN(Forgetful())(tf.ones([2, 5, 3]))


def test_gradients_of_repeated_inputs_pass_the_gates_in_between():
    gates = np.array([[0.5, 2.0, 0.0, 3.0, 2.0], [2.0, 2.0, 2.0, 2.0, 2.0]], "float32")
    first = np.array([[0, 0, 1, 2, 2], [0, 1, 0, 0, 4]])
    found = products_between(tf.constant(gates), tf.constant(first))
    expected = [
        [np.prod(row[s + 1 : t + 1]) for t, s in enumerate(starts)]
        for row, starts in zip(gates, first, strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def returning(step=step, adjoint=adjoint):
    """A cell with one wrong function."""
    cell = Cell()
    cell.EQUATIONS = kerasrnn.Equations(step, adjoint)
    return cell


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda *a: [*step(*a)[0], *step(*a)[0]],
            "A step must return two lists, .* as one",
        ),
        (lambda *a: step(*a)[0][0], "A step must return two lists, .* got a tensor of shape"),
        (
            lambda *a: (step(*a)[0] * 2, []),
            "A step must return 1 new states, .* got 2",
        ),
        (
            lambda *a: (step(*a)[0], [None]),
            "A step .* lists of tensors, got NoneType",
        ),
    ],
)
def test_a_wrong_step_is_explained(wrong, message):
    for layer in (kerasrnn.RNN, keras.layers.RNN):
        with pytest.raises(ValueError, match=message):
            layer(returning(step=wrong))(tf.ones([2, 5, 3]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda *a: adjoint(*a)[0], "An adjoint must return two lists, .* got"),
        (
            lambda *a: (adjoint(*a)[0][:1], adjoint(*a)[1]),
            "must return 2 gradients of p, .* got 1",
        ),
        (
            lambda *a: (adjoint(*a)[0], adjoint(*a)[1] * 2),
            "must return 1 gradients of st.* got 2",
        ),
        (
            lambda *a: (adjoint(*a)[0], [None]),
            "An adjoint .* of tensors, got NoneType",
        ),
        (
            lambda *a: ([0.0, 0.0], adjoint(*a)[1]),
            "An adjoint .* of tensors, got float",
        ),
    ],
)
def test_a_wrong_adjoint_is_explained(wrong, message):
    x = tf.ones([2, 5, 3])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = kerasrnn.RNN(returning(adjoint=wrong))(x, training=True)
    with pytest.raises(ValueError, match=message):
        tape.gradient(y, x)


def test_a_step_that_returns_states_of_another_size_is_explained():
    cell = returning(step=lambda *a: ([step(*a)[0][0][:, :1]], []))
    with pytest.raises(ValueError, match=r"of shape \(2, 4\), got shape \(2, 1\)"):
        keras.layers.RNN(cell)(tf.ones([2, 5, 3]))


def test_what_is_no_equations_is_refused():
    cell = Cell()
    cell.EQUATIONS = (step, adjoint)
    with pytest.raises(TypeError, match=r"must return kerasrnn\.Equations\(step, adjoint\)"):
        kerasrnn.RNN(cell)(tf.ones([2, 5, 3]))
    without = type("Without", (kerasrnn.RecurrentCell,), {"units": 4, "state_size": 4})
    with pytest.raises(NotImplementedError, match="Without has no method `equations`"):
        without().equations()
