"""The matrix products that no layer can avoid, in TensorFlow, compiled by XLA.

In the loops each product needs the one before, so that none can be left out. The recurrent
kernel is the same orthogonal matrix for each gate: states keep their size.
"""

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import numpy as np
    import tensorflow as tf

from benchmarks.peers.prepared import Prepared
from benchmarks.problems import Problem


def prepare_part(problem: Problem, part: str) -> Prepared:
    """One part of the products, compiled."""
    make = {
        "inputs": make_inputs,
        "steps": make_steps,
        "steps back": make_steps_back,
        "gradients": make_gradients,
    }[part]
    function, arguments = make(problem)
    compiled = tf.function(function, autograph=False, jit_compile=True)
    return Prepared(lambda: compiled(*arguments))


def make_inputs(problem):
    batch, time, features, units = problem.shape
    width = problem.num_gates * units
    return tf.matmul, [tf.random.normal([time * batch, features]), random(features, width)]


def make_steps(problem):
    batch, time, _, units = problem.shape
    gates = problem.num_gates

    def advance(h, kernel):
        return tf.reduce_mean(tf.reshape(h @ kernel, [batch, gates, units]), 1)

    kernel = tf.tile(orthogonal(units), [1, gates])
    return loop(advance, time), [random(batch, units), kernel]


def make_steps_back(problem):
    batch, time, _, units = problem.shape
    gates = problem.num_gates

    def advance(delta, kernel):
        return tf.tile(delta @ kernel, [1, gates])

    kernel = tf.tile(orthogonal(units) / gates, [gates, 1])
    return loop(advance, time), [tf.tile(random(batch, units), [1, gates]), kernel]


def make_gradients(problem):
    batch, time, features, units = problem.shape
    rows, width = time * batch, problem.num_gates * units

    def multiply(h, x, delta, kernel):
        return (
            tf.matmul(h, delta, transpose_a=True),
            tf.matmul(x, delta, transpose_a=True),
            tf.matmul(delta, kernel, transpose_b=True),
        )

    sizes = [(rows, units), (rows, features), (rows, width), (features, width)]
    return multiply, [random(*size) for size in sizes]


def loop(advance, time):
    """A function that advances a state `time` times."""

    def run(state, kernel):
        _, state = tf.while_loop(
            lambda number, _: number < time,
            lambda number, state: (number + 1, advance(state, kernel)),
            (tf.constant(0), state),
        )
        return state

    return run


def random(*shape):
    return tf.random.normal(shape)


def orthogonal(size):
    matrix, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(size, size)))
    return tf.constant(matrix.astype("float32"))
