"""The recurrence against NumPy, finite differences and itself."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasrnn.layers import compilation, recurrence
from kerasrnn.layers.activations import closed_derivative
from kerasrnn.layers.compilation import Execution
from tests import reference

BATCH, TIME, FEATURES, UNITS = 3, 6, 4, 5
MASK = np.array([[1, 1, 0, 1, 1, 0], [0, 0, 1, 1, 0, 1], [0, 0, 0, 0, 0, 0]], bool)
PHI = {name: closed_derivative(keras.activations.get(name)) for name in reference.ACTIVATIONS}
EXECUTIONS = [Execution.COMPILED, Execution.TRACED, Execution.IN_PLACE]


@pytest.fixture
def arrays(rng):
    """Inputs, weights and the initial state, in float64."""
    return {
        "x": rng.normal(size=(BATCH, TIME, FEATURES)),
        "W_x": rng.normal(size=(FEATURES, UNITS)) / 2,
        "W_h": rng.normal(size=(UNITS, UNITS)) / 2,
        "b": rng.normal(size=UNITS) / 2,
        "h_0": rng.normal(size=(BATCH, UNITS)),
    }


@pytest.fixture
def dropout_mask(rng):
    return rng.integers(0, 2, size=(BATCH, UNITS)) * 2.0


def shares(rng, kind):
    """The shares of the state that steps renew: as a leak rate and as zoneout make them."""
    if kind == "a unit":
        return rng.uniform(0.1, 1, size=UNITS)
    return rng.uniform(0.1, 1, size=UNITS) * rng.integers(0, 2, size=(TIME, BATCH, UNITS))


def run(x, W_x, W_h, b, h_0, *, activation="tanh", mask=None, **options):
    """States `(batch, time, units)`, or the last one, from batch-major inputs."""
    projected = tf.transpose(tf.einsum("btf,fu->btu", x, W_x) + b, [1, 0, 2])
    mask = None if mask is None else tf.constant(mask.T[..., None])
    states = recurrence.recur(projected, W_h, h_0, PHI[activation], mask=mask, **options)
    return tf.transpose(states, [1, 0, 2]) if len(states.shape) == 3 else states


def differentiate(arrays, upstream, **options):
    tensors = {name: tf.constant(value) for name, value in arrays.items()}
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        states = run(**tensors, **options)
        loss = tf.reduce_sum(states * upstream)
    return states, tape.gradient(loss, tensors)


def name_of(value):
    """What a parameter is called in the name of a test."""
    return getattr(value, "name", "masked" if value is MASK else None)


@pytest.mark.parametrize(
    ("activation", "mask", "execution"),
    [("tanh", mask, execution) for mask in (None, MASK) for execution in EXECUTIONS]
    + [(name, MASK, Execution.COMPILED) for name in ("linear", "relu", "sigmoid")],
    ids=name_of,
)
def test_states_and_gradients_equal_those_of_numpy(arrays, rng, activation, mask, execution):
    upstream = rng.normal(size=(BATCH, TIME, UNITS))
    states, gradients = differentiate(
        arrays, upstream, activation=activation, mask=mask, execution=execution
    )
    expected, _ = reference.forward(**arrays, activation=activation, mask=mask)
    np.testing.assert_allclose(states, expected, rtol=1e-10, atol=1e-12)
    for name, value in reference.backward(
        **arrays, upstream=upstream, activation=activation, mask=mask
    ).items():
        np.testing.assert_allclose(gradients[name], value, rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.parametrize(
    ("mask", "execution"),
    [(None, Execution.COMPILED), *((MASK, execution) for execution in EXECUTIONS)],
    ids=name_of,
)
@pytest.mark.parametrize(("kind", "activation"), [("a unit", "tanh"), ("a step", "relu")])
def test_partial_updates_and_dropout_equal_those_of_numpy(
    arrays, rng, dropout_mask, kind, activation, mask, execution
):
    upstream = rng.normal(size=(BATCH, TIME, UNITS))
    gates = rng.integers(0, 2, size=(TIME, BATCH, 1)) * 2.0
    arrays["update"] = shares(rng, kind)
    options = {"activation": activation, "mask": mask, "dropout_mask": dropout_mask}
    states, gradients = differentiate(
        arrays, upstream, execution=execution, gates=gates, **options
    )
    expected, _ = reference.forward(**arrays, **options)
    np.testing.assert_allclose(states, expected, rtol=1e-10, atol=1e-12)
    expected = reference.backward(**arrays, upstream=upstream, gates=gates, **options)
    for name, value in expected.items():
        np.testing.assert_allclose(gradients[name], value, rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.parametrize(
    ("kind", "mask", "every_state"),
    [
        (None, None, True),
        (None, MASK, False),
        ("a unit", MASK, True),
        ("a unit", None, False),
        ("a step", MASK, True),
        ("a step", None, False),
    ],
    ids=name_of,
)
def test_gradients_equal_finite_differences(arrays, rng, dropout_mask, kind, mask, every_state):
    upstream = rng.normal(size=(BATCH, TIME, UNITS) if every_state else (BATCH, UNITS))
    options = {"mask": mask, "every_state": every_state, "execution": Execution.IN_PLACE}
    if kind:
        arrays["update"] = shares(rng, kind)
        options["dropout_mask"] = dropout_mask
    _, gradients = differentiate(arrays, upstream, **options)

    @functools.partial(tf.function, autograph=False)
    def loss_of(arrays):
        return tf.reduce_sum(run(**arrays, **options) * upstream)

    def loss(**changed):
        return float(loss_of({k: tf.constant(v) for k, v in {**arrays, **changed}.items()}))

    step = 1e-6
    for name, value in arrays.items():
        for _ in range(5):
            direction = rng.normal(size=value.shape)
            ahead = loss(**{name: value + step * direction})
            behind = loss(**{name: value - step * direction})
            np.testing.assert_allclose(
                np.sum(gradients[name] * direction),
                (ahead - behind) / (2 * step),
                rtol=1e-6,
                atol=1e-7,
            )


def test_only_the_last_state_gives_the_gradient_of_the_last_state(arrays, rng):
    last = rng.normal(size=(BATCH, UNITS))
    every = np.zeros((BATCH, TIME, UNITS))
    every[:, -1] = last
    _, expected = differentiate(arrays, every)
    _, gradients = differentiate(arrays, last, every_state=False)
    for name in arrays:
        np.testing.assert_allclose(gradients[name], expected[name], rtol=1e-10, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "execution", "graph"),
    [
        (None, Execution.COMPILED, False),
        ("a unit", Execution.COMPILED, True),
        ("a unit", Execution.TRACED, False),
        ("a unit", Execution.IN_PLACE, True),
    ],
    ids=name_of,
)
def test_gradients_of_gradients_equal_those_of_a_python_loop(
    arrays, rng, kind, execution, graph
):
    if kind:
        arrays["update"] = shares(rng, kind)

    def by_loop(x, W_x, W_h, b, h_0, update=1):
        states = []
        for t in range(TIME):
            h_0 = h_0 + update * (tf.tanh(x[:, t] @ W_x + h_0 @ W_h + b) - h_0)
            states.append(h_0)
        return tf.stack(states, 1)

    def penalty_gradients(function):
        tensors = {name: tf.constant(value) for name, value in arrays.items()}
        with tf.GradientTape() as outer:
            outer.watch(tensors)
            with tf.GradientTape() as inner:
                inner.watch(tensors)
                loss = tf.reduce_sum(function(**tensors) ** 2)
            first = inner.gradient(loss, tensors)
            penalty = tf.add_n([tf.reduce_sum(first[name] ** 2) for name in arrays])
        return outer.gradient(penalty, tensors)

    expected = penalty_gradients(by_loop)
    compute = tf.function(penalty_gradients, autograph=False) if graph else penalty_gradients
    found = compute(functools.partial(run, execution=execution))
    for name in arrays:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-8, err_msg=name)


def test_gradients_of_gradients_know_masks_and_gates(arrays, rng, dropout_mask):
    options = {
        "mask": MASK,
        "gates": rng.integers(0, 2, size=(TIME, BATCH, 1)) * 2.0,
        "dropout_mask": dropout_mask,
    }

    def penalty_gradients(execution):
        tensors = {name: tf.constant(value) for name, value in arrays.items()}
        with tf.GradientTape() as outer:
            outer.watch(tensors)
            with tf.GradientTape() as inner:
                inner.watch(tensors)
                loss = tf.reduce_sum(run(**tensors, **options, execution=execution) ** 2)
            first = inner.gradient(loss, tensors)
            penalty = tf.add_n([tf.reduce_sum(first[name] ** 2) for name in arrays])
        return outer.gradient(penalty, tensors)

    found, expected = map(penalty_gradients, (Execution.COMPILED, Execution.IN_PLACE))
    for name in arrays:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-8, err_msg=name)


def test_an_unknown_length_gives_the_same_numbers(rng):
    W_h = rng.normal(size=(UNITS, UNITS)) / 3

    def differentiate(projected, h_0, mask, update, upstream, execution):
        with tf.GradientTape() as tape:
            tape.watch([projected, update])
            states = recurrence.recur(
                projected, W_h, h_0, PHI["tanh"], mask=mask, update=update, execution=execution
            )
        return states, *tape.gradient(states, [projected, update], upstream)

    unknown = tf.TensorSpec([None, None, UNITS], tf.float64)
    in_graph = tf.function(
        lambda *arguments: differentiate(*arguments, Execution.COMPILED),
        [
            unknown,
            tf.TensorSpec([None, UNITS], tf.float64),
            tf.TensorSpec([None, None, 1], tf.bool),
            unknown,
            unknown,
        ],
        autograph=False,
    )
    for length in (1, 8, 9):
        projected, upstream = map(tf.constant, rng.normal(size=(2, length, 2, UNITS)))
        update = tf.constant(rng.uniform(size=(length, 2, UNITS)))
        h_0 = tf.constant(rng.normal(size=(2, UNITS)))
        mask = tf.constant(rng.integers(0, 2, size=(length, 2, 1)).astype(bool))
        found = in_graph(projected, h_0, mask, update, upstream)
        expected = differentiate(projected, h_0, mask, update, upstream, Execution.IN_PLACE)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12, err_msg=str(length))


def test_many_lengths_meet_few_buffer_lengths():
    padded = {
        n: len(compilation.pad_time(tf.zeros([n, 1, 1]), tf.constant(n)))
        for n in [*range(1, 130), *range(136, 1025, 8)]
    }
    assert len(set(padded.values())) == 24
    for length, buffer_length in padded.items():
        assert length <= buffer_length <= max(8, length + 8, 1.25 * length)
