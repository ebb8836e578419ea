"""Recomputation gives the gradient of one tape over all steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.training.recompute import recomputed_gradients
from tests.seeds import set_seed
from tests.training.models import BATCH, UNITS, VOCABULARY, make_model


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "time"), [("vanilla", 26), ("lstm", 1)])
def test_recomputing_gives_the_gradient_of_one_tape(rng, cell, time):
    ids = rng.integers(1, VOCABULARY, size=(BATCH, time + 1))
    stream = kerasrnn.Stream(list(ids), batch_size=BATCH)
    models = [make_model(cell, window=time, recompute=r) for r in (False, True)]
    histories = [m.fit(stream, epochs=2, verbose=0).history for m in models]
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=1e-4)
    for a, b in zip(*(m.get_weights() for m in models), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_recomputing_draws_the_same_dropout_masks_again(ids):
    # If it did not, the gradient would not be that of the loss: finite differences show it.
    set_seed(3)
    layer = kerasrnn.VanillaRNN(UNITS, return_sequences=True, dropout=0.4, zoneout=0.2)
    model = kerasrnn.SequenceModel([layer, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), "mse", window=9, recompute=True)
    x = np.random.default_rng(1).normal(size=(2, 9, 3)).astype("float32")
    x, targets = tf.constant(x), tf.constant(x[..., :1])
    model.prepare(tf.data.Dataset.from_tensors((x, targets)).element_spec)
    step = model.training_step
    seeds = [v for v in model.non_trainable_variables if "seed" in v.path]
    before = [v.numpy() for v in seeds]
    data = ({"inputs": x, "reset": tf.constant([True, True])}, targets)

    @tf.function(autograph=False)
    def loss_and_gradient():
        window = step.read(data)
        states = model.initial_states(2)
        outcome, gradients = recomputed_gradients(
            step, window, states, step.count(window), tf.constant(1.0)
        )
        return outcome.loss, gradients

    def evaluate():
        for variable, value in zip(seeds, before, strict=True):
            variable.assign(value)
        return loss_and_gradient()

    _, gradients = evaluate()
    kernel = layer.cell.kernel
    for index in [(0, 0), (2, 4)]:
        value, epsilon = kernel.numpy(), 1e-2
        losses = []
        for sign in (1, -1):
            moved = value.copy()
            moved[index] += sign * epsilon
            kernel.assign(moved)
            losses.append(float(evaluate()[0]))
        kernel.assign(value)
        slope = (losses[0] - losses[1]) / (2 * epsilon)
        assert slope == pytest.approx(float(gradients[0][index]), rel=1e-2)
