"""The Jacobian between two states: masks, half precision and what is refused.

That it is the one of autodiff, for any cell: see test_gradient_flow.py, test_probes.py.
"""

import keras
import numpy as np
import pytest

import kerasrnn
from tests.analysis.models import BATCH, FEATURES, TIME, UNITS, compiled, linear_rnn


def test_a_masked_step_has_the_identity_as_its_jacobian(batch):
    x, _ = batch
    model = compiled(keras.layers.Masking(), kerasrnn.VanillaRNN(UNITS), keras.layers.Dense(1))
    padded = np.zeros((BATCH, TIME + 3, FEATURES), "float32")
    padded[0, :TIME], padded[1, 3:], padded[2, 1 : TIME + 1] = x
    jacobian = kerasrnn.state_jacobian(model, padded, 4)
    expected = kerasrnn.state_jacobian(model, x, 1)  # three of these four steps are padding
    np.testing.assert_allclose(jacobian.matrices[0], expected.matrices[0], rtol=1e-4)
    assert (jacobian.singular_values <= jacobian.bound * 1.0001).all()


def test_a_kernel_that_is_not_finite_has_no_singular_values(batch):
    found = kerasrnn.state_jacobian(linear_rnn(np.nan), batch[0], 2)
    assert np.isnan(found.singular_values).all()


def test_half_precision_is_no_obstacle(rng):
    x = rng.normal(size=(2, 8, FEATURES)).astype("float32")
    layer = kerasrnn.VanillaRNN(
        UNITS, activation=None, recurrent_initializer="identity", dtype="mixed_float16"
    )
    jacobian = kerasrnn.state_jacobian(layer, x, 5)
    np.testing.assert_allclose(jacobian.matrices[0], np.eye(UNITS), atol=1e-3)


def test_steps_and_layers_that_are_not_there_are_named(batch):
    x, _ = batch
    model = compiled(kerasrnn.VanillaRNN(UNITS), keras.layers.Dense(1))
    with pytest.raises(ValueError, match="from 1 to 6, got lag=7"):
        kerasrnn.state_jacobian(model, x, 7)
    with pytest.raises(ValueError, match=r"one of vanilla_rnn.* got layer=1"):
        kerasrnn.state_jacobian(model, x, 1, layer=1)
    with pytest.raises(ValueError, match="one of 7 steps"):
        kerasrnn.state_jacobian(model, x, 1, step=7)
    with pytest.raises(ValueError, match="has no recurrent layer"):
        kerasrnn.state_jacobian(compiled(keras.layers.Dense(1)), x, 1)
