"""Each cell by its equations, as the package has them and as NumPy has them."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerasrnn.layers.activations import closed_derivative
from kerasrnn.layers.equations import Equations
from kerasrnn.layers.gru_equations import gru_equations
from kerasrnn.layers.lstm_equations import lstm_equations
from kerasrnn.layers.vanilla_equations import vanilla_equations
from tests import reference

BATCH, TIME, UNITS = 3, 6, 5
MASK = np.array([[1, 1, 0, 1, 1, 0], [0, 0, 1, 1, 0, 1], [0, 0, 0, 0, 0, 0]], bool).T


class Cell(NamedTuple):
    """A cell, and how many of each it has."""

    equations: Equations
    step: Callable
    """The same in NumPy; see `tests.reference`."""
    num_gates: int
    num_states: int = 1
    has_bias: bool = False

    def arrays(self, rng):
        """Projected inputs, weights and first states, in float64."""
        weights = [rng.normal(size=(UNITS, UNITS)) / 2 for _ in range(self.num_gates)]
        if self.has_bias:
            weights.append(rng.normal(size=UNITS) / 2)
        return {
            "inputs": [rng.normal(size=(TIME, BATCH, UNITS)) for _ in range(self.num_gates)],
            "weights": weights,
            "states": [rng.normal(size=(BATCH, UNITS)) for _ in range(self.num_states)],
        }

    def dropout_masks(self, rng):
        """A mask for each weight; none for a bias."""
        masks = list(rng.integers(0, 2, size=(self.num_gates, BATCH, UNITS)) * 2.0)
        return [*masks, None] if self.has_bias else masks

    def updates(self, rng, kind):
        """The shares of the states that steps renew: as leaks and as zoneout make them.

        Args:
            kind: `"a unit"`, `"a step"`, or `"the last state"`, of which alone a unit or a
                step has a share.
        """
        alone = [None] * (self.num_states - 1) if kind == "the last state" else []
        shape = (self.num_states - len(alone), UNITS)
        if kind == "a unit":
            return list(rng.uniform(0.1, 1, size=shape))
        kept = rng.integers(0, 2, size=(shape[0], TIME, BATCH, UNITS))
        return [*alone, *(rng.uniform(0.1, 1, size=shape)[:, None, None] * kept)]


def make_cell(kind, phi="tanh", sigma="sigmoid"):
    """A cell with these activations."""
    own = [closed_derivative(keras.activations.get(name)) for name in (phi, sigma)]
    of_gates = {"phi": phi, "sigma": sigma}
    after = functools.partial(reference.gru_step, **of_gates)
    before = functools.partial(after, reset_after=False)
    makers = {
        "vanilla": lambda: Cell(
            vanilla_equations(own[0]), functools.partial(reference.vanilla_step, phi=phi), 1
        ),
        "lstm": lambda: Cell(
            lstm_equations(*own), functools.partial(reference.lstm_step, **of_gates), 4, 2
        ),
        "gru": lambda: Cell(gru_equations(*own, True, True), after, 3, 1, True),
        "gru without bias": lambda: Cell(gru_equations(*own, True, False), after, 3),
        "gru, reset before": lambda: Cell(gru_equations(*own, False, False), before, 3),
    }
    return makers[kind]()


CELLS = ["vanilla", "lstm", "gru", "gru without bias", "gru, reset before"]
MAIN = ["vanilla", "lstm", "gru", "gru, reset before"]


def tensors_of(arrays):
    """A nest of arrays as tensors."""
    return tf.nest.map_structure(
        lambda x: None if x is None else tf.convert_to_tensor(x), arrays
    )


def gradients_of(tape, target, sources):
    """The gradients of a nest in which entries may be `None`, which have none."""
    flat = tf.nest.flatten(sources)
    found = iter(tape.gradient(target, [x for x in flat if x is not None]))
    found = [None if x is None else next(found) for x in flat]
    return tf.nest.pack_sequence_as(sources, found)


def assert_nests_close(found, expected, rtol=1e-9, atol=1e-11):
    """That two nests by name have the same numbers; `None` is not compared."""
    for name in found:
        for k, (a, b) in enumerate(zip(found[name], expected[name], strict=True)):
            if a is not None:
                np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=f"{name} {k}")
