"""The recurrence of every cell against NumPy, finite differences and itself."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from kerasrnn.layers import compilation, inference_scan, recurrence
from kerasrnn.layers.compilation import Execution
from kerasrnn.layers.equations import Product
from tests import reference
from tests.cells import (
    BATCH,
    CELLS,
    MAIN,
    MASK,
    TIME,
    UNITS,
    assert_nests_close,
    gradients_of,
    make_cell,
    tensors_of,
)

EXECUTIONS = [Execution.COMPILED, Execution.TRACED, Execution.IN_PLACE]


def name_of(value):
    """What a parameter is called in the name of a test."""
    if isinstance(value, tuple):
        return ", ".join(value) or "tanh"
    return getattr(value, "name", "masked" if value is MASK else None)


def run(cell, inputs, weights, states, updates=None, *, mask=None, **options):
    """The outputs, `(time, batch, units)`, or the last one, and all last states."""
    mask = None if mask is None else tf.convert_to_tensor(mask)[..., None]
    return recurrence.recur(
        cell.equations, inputs, weights, states, mask=mask, updates=updates, **options
    )


def differentiate(cell, arrays, upstream, last_upstream, **options):
    """The outputs, the last states, and the gradients of all that the arrays hold."""
    tensors = tensors_of(arrays)
    with tf.GradientTape() as tape:
        tape.watch([x for x in tf.nest.flatten(tensors) if x is not None])
        outputs, last = run(cell, **tensors, **options)
        loss = tf.reduce_sum(outputs * upstream)
        loss += tf.reduce_sum(tf.stack(last) * last_upstream)
    return outputs, last, gradients_of(tape, loss, tensors)


def upstream_of(cell, rng, every_output=True):
    """Gradients that reach the outputs and the last states."""
    outputs = rng.normal(size=(TIME, BATCH, UNITS) if every_output else (BATCH, UNITS))
    return outputs, rng.normal(size=(cell.num_states, BATCH, UNITS))


def assert_equal_to_numpy(cell, arrays, rng, gates=None, execution=None, **options):
    upstream = upstream_of(cell, rng)
    outputs, last, gradients = differentiate(
        cell, arrays, *upstream, gates=gates, execution=execution, **options
    )
    scan = reference.Scan(cell.step, **arrays, **options)
    np.testing.assert_allclose(outputs, scan.histories[0], rtol=1e-10, atol=1e-12)
    for found, history in zip(last, scan.histories, strict=True):
        np.testing.assert_allclose(found, history[-1], rtol=1e-10, atol=1e-12)
    assert_nests_close(gradients, scan.back(*upstream, gates=gates))


@pytest.mark.parametrize(
    ("kind", "activations", "mask", "execution"),
    [(kind, (), MASK, execution) for kind in MAIN for execution in EXECUTIONS]
    + [("vanilla", (), None, execution) for execution in EXECUTIONS]
    + [("gru without bias", (), None, Execution.COMPILED)]
    + [("lstm", (), None, Execution.COMPILED)]
    + [
        ("vanilla", ("linear",), MASK, Execution.COMPILED),
        ("vanilla", ("relu",), MASK, Execution.COMPILED),
        ("vanilla", ("sigmoid",), MASK, Execution.COMPILED),
        ("lstm", ("sigmoid", "tanh"), MASK, Execution.COMPILED),
        ("gru", ("linear", "hard_sigmoid"), MASK, Execution.COMPILED),
    ],
    ids=name_of,
)
def test_states_and_gradients_equal_those_of_numpy(rng, kind, activations, mask, execution):
    cell = make_cell(kind, *activations)
    assert_equal_to_numpy(cell, cell.arrays(rng), rng, mask=mask, execution=execution)


@pytest.mark.parametrize(
    ("kind", "shares", "mask", "execution"),
    [
        *((kind, "a unit", MASK, Execution.COMPILED) for kind in CELLS),
        *((kind, "a step", None, Execution.COMPILED) for kind in MAIN),
        ("vanilla", "a unit", MASK, Execution.TRACED),
        ("vanilla", "a step", MASK, Execution.IN_PLACE),
        ("lstm", "a step", MASK, Execution.TRACED),
        ("lstm", "a unit", MASK, Execution.IN_PLACE),
        ("lstm", "the last state", MASK, Execution.COMPILED),
        ("gru", "a step", MASK, Execution.IN_PLACE),
    ],
    ids=name_of,
)
def test_partial_updates_dropout_and_gates_equal_those_of_numpy(
    rng, kind, shares, mask, execution
):
    cell = make_cell(kind)
    arrays = {**cell.arrays(rng), "updates": cell.updates(rng, shares)}
    gates = rng.integers(0, 2, size=(TIME, BATCH, 1)) * 2.0
    masks = cell.dropout_masks(rng)
    assert_equal_to_numpy(
        cell, arrays, rng, gates=gates, execution=execution, mask=mask, dropout_masks=masks
    )


@pytest.mark.parametrize("shape", [(TIME, 1, 1), (TIME, BATCH, 1)], ids=str)
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_gates_stand_on_every_state(rng, kind, shape):
    cell = make_cell(kind)
    gates = rng.uniform(0, 2, size=shape)
    assert_equal_to_numpy(
        cell, cell.arrays(rng), rng, gates=gates, execution=Execution.COMPILED, mask=MASK
    )


@pytest.mark.parametrize(
    ("kind", "shares", "mask", "every_output"),
    [
        *((kind, None, None, True) for kind in CELLS),
        *((kind, None, MASK, False) for kind in ("vanilla", "lstm")),
        *((kind, "a unit", MASK, True) for kind in ("vanilla", "gru")),
        ("vanilla", "a unit", None, False),
        *((kind, "a step", MASK, True) for kind in MAIN),
        *((kind, "a step", None, False) for kind in ("vanilla", "lstm")),
        ("lstm", "the last state", None, True),
    ],
    ids=name_of,
)
def test_gradients_equal_finite_differences(rng, kind, shares, mask, every_output):
    cell = make_cell(kind)
    arrays, upstream = cell.arrays(rng), upstream_of(cell, rng, every_output)
    options = {"mask": mask, "every_output": every_output, "execution": Execution.IN_PLACE}
    if shares:
        arrays["updates"] = cell.updates(rng, shares)
        options["dropout_masks"] = cell.dropout_masks(rng)
    *_, gradients = differentiate(cell, arrays, *upstream, **options)

    @functools.partial(tf.function, autograph=False)
    def loss(arrays):
        outputs, last = run(cell, **arrays, **options)
        total = tf.reduce_sum(outputs * upstream[0])
        return total + tf.reduce_sum(tf.stack(last) * upstream[1])

    step = 1e-6
    for name, values in arrays.items():
        for _ in range(3):
            directions = [None if v is None else rng.normal(size=v.shape) for v in values]
            ahead, behind = (
                loss(tensors_of({**arrays, name: moved(values, directions, sign * step)}))
                for sign in (1, -1)
            )
            slope = sum(
                np.sum(g * d)
                for g, d in zip(gradients[name], directions, strict=True)
                if d is not None
            )
            np.testing.assert_allclose((ahead - behind) / (2 * step), slope, 1e-6, 1e-7)


def moved(values, directions, step):
    """The values, each a step in its direction."""
    pairs = zip(values, directions, strict=True)
    return [None if v is None else v + step * d for v, d in pairs]


@pytest.mark.parametrize("kind", MAIN)
def test_only_the_last_output_gives_the_gradient_of_the_last_output(rng, kind):
    cell = make_cell(kind)
    arrays, (last, of_states) = cell.arrays(rng), upstream_of(cell, rng, every_output=False)
    every = np.zeros((TIME, BATCH, UNITS))
    every[-1] = last
    outputs, states, expected = differentiate(cell, arrays, every, of_states)
    output, last_states, gradients = differentiate(
        cell, arrays, last, of_states, every_output=False
    )
    np.testing.assert_allclose(output, outputs[-1], rtol=1e-12)
    np.testing.assert_allclose(last_states, states, rtol=1e-12)
    assert_nests_close(gradients, expected, rtol=1e-10, atol=1e-12)


def test_the_only_steps_kept_are_those_of_a_sequence_of_one(rng):
    cell = make_cell("lstm")
    arrays = cell.arrays(rng)
    arrays["inputs"] = [p[:1] for p in arrays["inputs"]]
    upstream = [u[-1:] if k == 0 else u for k, u in enumerate(upstream_of(cell, rng))]
    outputs, _, gradients = differentiate(cell, arrays, *upstream)
    scan = reference.Scan(cell.step, **arrays)
    np.testing.assert_allclose(outputs, scan.histories[0], rtol=1e-10)
    assert_nests_close(gradients, scan.back(*upstream))


def penalty_gradients(function, arrays):
    """The gradients of a sum of squared gradients."""
    tensors = tensors_of(arrays)
    with tf.GradientTape() as outer:
        outer.watch(tensors)
        with tf.GradientTape() as inner:
            inner.watch(tensors)
            outputs, last = function(**tensors)
            loss = tf.reduce_sum(outputs**2) + tf.reduce_sum(tf.sin(tf.stack(last)))
        first = tf.nest.flatten(inner.gradient(loss, tensors))
        penalty = tf.add_n([tf.reduce_sum(g**2) for g in first])
    return outer.gradient(penalty, tensors)


def by_loop(cell):
    """The same as `run`, of steps that TensorFlow differentiates."""

    def loop(inputs, weights, states, updates=None):
        outputs, updates = [], updates or [1.0] * len(states)
        product = Product(weights)
        for t in range(TIME):
            new, _ = cell.equations.step([p[t] for p in inputs], states, product)
            states = [s + u * (n - s) for s, n, u in zip(states, new, updates, strict=True)]
            outputs.append(states[0])
        return tf.stack(outputs), states

    return loop


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "shares", "execution", "graph"),
    [
        ("vanilla", None, Execution.COMPILED, False),
        ("vanilla", "a unit", Execution.COMPILED, True),
        ("vanilla", "a unit", Execution.TRACED, False),
        ("vanilla", "a unit", Execution.IN_PLACE, True),
        ("lstm", None, Execution.COMPILED, False),
        ("lstm", "a unit", Execution.TRACED, True),
        ("gru", "a unit", Execution.COMPILED, False),
        ("gru, reset before", None, Execution.TRACED, False),
    ],
    ids=name_of,
)
def test_gradients_of_gradients_equal_those_of_a_python_loop(
    rng, kind, shares, execution, graph
):
    cell = make_cell(kind)
    arrays = cell.arrays(rng)
    if shares:
        arrays["updates"] = cell.updates(rng, shares)
    expected = penalty_gradients(by_loop(cell), arrays)
    compute = tf.function(penalty_gradients, autograph=False) if graph else penalty_gradients
    found = compute(functools.partial(run, cell, execution=execution), arrays)
    assert_nests_close(found, expected, rtol=1e-8)


@pytest.mark.parametrize("kind", ["vanilla", "lstm", "gru"])
def test_gradients_of_gradients_know_masks_and_gates(rng, kind):
    cell = make_cell(kind)
    arrays = cell.arrays(rng)
    options = {
        "mask": MASK,
        "gates": rng.integers(0, 2, size=(TIME, BATCH, 1)) * 2.0,
        "dropout_masks": cell.dropout_masks(rng),
    }
    found, expected = (
        penalty_gradients(functools.partial(run, cell, execution=execution, **options), arrays)
        for execution in (Execution.COMPILED, Execution.IN_PLACE)
    )
    assert_nests_close(found, expected, rtol=1e-8)


@pytest.mark.parametrize("kind", ["vanilla", "lstm", "gru"])
def test_an_unknown_length_gives_the_same_numbers(rng, kind):
    cell = make_cell(kind)
    weights = cell.arrays(rng)["weights"]

    def differentiate(inputs, states, mask, updates, upstream, execution):
        with tf.GradientTape() as tape:
            tape.watch([inputs, updates])
            outputs, _ = recurrence.recur(
                cell.equations,
                inputs,
                [tf.constant(w) for w in weights],
                states,
                mask=mask,
                updates=updates,
                execution=execution,
            )
        gradients = tape.gradient(outputs, [*inputs, *updates], upstream)
        return outputs, *gradients

    unknown = tf.TensorSpec([None, None, UNITS], tf.float64)
    in_graph = tf.function(
        lambda *arguments: differentiate(*arguments, Execution.COMPILED),
        [
            [unknown] * cell.num_gates,
            [tf.TensorSpec([None, UNITS], tf.float64)] * cell.num_states,
            tf.TensorSpec([None, None, 1], tf.bool),
            [unknown] * cell.num_states,
            unknown,
        ],
        autograph=False,
    )

    def draw(count, *shape):
        return [tf.constant(each) for each in rng.normal(size=(count, *shape))]

    for length in (1, 8, 9):
        inputs = draw(cell.num_gates, length, 2, UNITS)
        states = draw(cell.num_states, 2, UNITS)
        updates = [tf.sigmoid(u) for u in draw(cell.num_states, length, 2, UNITS)]
        mask = tf.constant(rng.integers(0, 2, size=(length, 2, 1)).astype(bool))
        (upstream,) = draw(1, length, 2, UNITS)
        found = in_graph(inputs, states, mask, updates, upstream)
        expected = differentiate(inputs, states, mask, updates, upstream, Execution.IN_PLACE)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12, err_msg=str(length))


INFERENCE = [Execution.TRACED, Execution.IN_PLACE, Execution.PORTABLE]


@pytest.mark.parametrize("execution", INFERENCE, ids=name_of)
@pytest.mark.parametrize(
    ("kind", "shares", "every_output"),
    [("lstm", "a step", True), ("gru", "a unit", False), ("vanilla", None, True)],
)
def test_inference_of_any_length_equals_numpy(rng, kind, shares, every_output, execution):
    cell, block = make_cell(kind), inference_scan.BLOCK
    weights = cell.arrays(rng)["weights"]

    def draw(count, *shape):
        return [tf.constant(each) for each in rng.normal(size=(count, *shape))]

    @functools.partial(tf.function, autograph=False, reduce_retracing=True)
    def compute(arrays, **options):
        return run(cell, **arrays, **options, every_output=every_output, execution=execution)

    for length in (1, block - 1, block, block + 1, 2 * block + 3):
        arrays = {
            "inputs": draw(cell.num_gates, length, 2, UNITS),
            "weights": [tf.constant(weight) for weight in weights],
            "states": draw(cell.num_states, 2, UNITS),
        }
        if shares:
            shape = (UNITS,) if shares == "a unit" else (length, 2, UNITS)
            arrays["updates"] = [tf.sigmoid(u) for u in draw(cell.num_states, *shape)]
        mask = rng.integers(0, 2, size=(length, 2)).astype(bool)
        call = compute.python_function if execution is Execution.TRACED else compute
        outputs, last = call(arrays, mask=tf.constant(mask))
        scan = reference.Scan(cell.step, **tf.nest.map_structure(np.asarray, arrays), mask=mask)
        expected = scan.histories[0] if every_output else scan.histories[0][-1]
        np.testing.assert_allclose(outputs, expected, rtol=1e-10, atol=1e-12)
        for found, history in zip(last, scan.histories, strict=True):
            np.testing.assert_allclose(found, history[-1], rtol=1e-10, atol=1e-12)


def test_many_lengths_meet_few_buffer_lengths():
    padded = {
        n: len(compilation.pad_time(tf.zeros([n, 1, 1]), tf.constant(n)))
        for n in [*range(1, 130), *range(136, 1025, 8)]
    }
    assert len(set(padded.values())) == 24
    for length, buffer_length in padded.items():
        assert length <= buffer_length <= max(8, length + 8, 1.25 * length)
