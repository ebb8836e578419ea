"""Two layers on the same inputs: everything that comes out of them, and how to compare it."""

import numpy as np
import tensorflow as tf

BATCH, TIME, FEATURES, UNITS = 3, 5, 6, 4
_RNG = np.random.default_rng(0)
X = tf.constant(_RNG.normal(size=(BATCH, TIME, FEATURES)), tf.float32)
STATES = tf.constant(_RNG.normal(size=(2, BATCH, UNITS)), tf.float32)
_PATTERNS = {
    "start": [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1]],
    "end": [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]],
    "middle": [[1, 1, 0, 1, 0], [1, 0, 1, 0, 1], [1, 0, 0, 1, 1]],
    "whole sequence": [[0, 0, 0, 0, 0], [0, 1, 0, 1, 0], [1, 1, 1, 1, 1]],
    "whole batch": [[0, 0, 0, 0, 0]] * 3,
}
MASKS = {name: tf.constant(pattern) > 0 for name, pattern in _PATTERNS.items()}
MIDDLE = MASKS["middle"]
TOLERANCES = {"float16": 5e-3, "bfloat16": 4e-2, "float32": 2e-5, "float64": 1e-9}


def states_for(layer, dtype="float32"):
    """A list of initial states, no two alike."""
    count = len(tf.nest.flatten(layer.get_initial_state(BATCH)))
    return list(tf.unstack(tf.cast(STATES, dtype)))[:count]


def differentiate(layer, x=X, mask=None, states=None, training=True, mode="eager"):
    """Outputs of a layer, and gradients for its weights, inputs and initial states.

    Args:
        mode: `"eager"`, `"graph"` (of unknown batch and time), `"xla"`, or both.
    """

    def compute(x, mask, states):
        with tf.GradientTape() as tape:
            tape.watch([x, states])
            outputs = layer(x, mask=mask, initial_state=states or None, training=training)
            outputs = tf.nest.flatten(outputs)
            loss = loss_of(outputs)
        weights = [variable.value for variable in layer.trainable_variables]
        return outputs, tape.gradient(loss, [weights, x, states])

    arguments = x, mask, states or []
    if mode != "eager":
        function = tf.function(compute, autograph=False, jit_compile="xla" in mode)
        compute = function.get_concrete_function(*tf.nest.map_structure(spec_of, arguments))
    return tf.nest.flatten(compute(*arguments))


def spec_of(tensor):
    """Of a tensor whose batch and time are not known."""
    if tensor is None:
        return None
    last = tensor.shape[-1] if tensor.dtype.is_floating else None
    return tf.TensorSpec([None] * (len(tensor.shape) - 1) + [last], tensor.dtype)


def loss_of(outputs):
    """A sum in which each number of each output has a gradient of its own."""
    kind = tf.float64 if outputs[0].dtype == tf.float64 else tf.float32
    return tf.add_n(
        [tf.reduce_sum(tf.sin((k + 1) * tf.cast(o, kind))) for k, o in enumerate(outputs)]
    )


def assert_close(found, expected, tolerance=None):
    for a, b in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        bound = tolerance or TOLERANCES[a.dtype.name]
        a, b = np.asarray(a, "float64"), np.asarray(b, "float64")
        scale = max(1, np.abs(b).max(initial=0))
        np.testing.assert_allclose(a, b, rtol=bound, atol=bound * scale)


def assert_differ(found, others):
    for a, b in zip(tf.nest.flatten(found), tf.nest.flatten(others), strict=True):
        assert not np.allclose(a, b, rtol=1e-3, atol=1e-4)
