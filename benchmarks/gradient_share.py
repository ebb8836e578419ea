"""How much of a gradient must be left for a layer to learn from the step it reaches.

    python -m benchmarks.gradient_share

The task is to recall the first of T + 1 random values, T steps later. Before training
`gradient_flow` measures the share of the last state's gradient that is left at this lag.
Then the model is trained: Adam at 0.003, clipped to a norm of 1, 2,000 batches of 32.
It has learned if its error falls below a tenth of the variance of the target.

Recurrent kernels are scaled, or biases of forget gates set, so that the share differs.
The thresholds of `kerasrnn.analysis.verdict` follow this table. About 20 minutes.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import numpy as np
    import tensorflow as tf

    import kerasrnn

LAGS = (20, 50, 100)
SEEDS = (0, 1)
UNITS, BATCH_SIZE, NUM_VALIDATED = 32, 32, 500
LEARNING_RATE, CLIPNORM = 0.003, 1.0
STEPS, STEPS_BETWEEN = 2000, 100
VARIANCE, LEARNED = 1 / 12, 0.1
"""Of the target, uniform in [0, 1]; and the share of it that the error must fall below."""
BOUNDS = (0.0, 1e-6, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 2.0, 10.0, 100.0, np.inf)
"""The shares between which the rows of the table lie."""


class Kind(NamedTuple):
    """A recurrent layer, and what is changed in it before training."""

    name: str
    make: Callable[[], keras.layers.RNN]
    change: Callable[[keras.layers.RNN, float], None]
    values: tuple[float, ...]


def scale_kernel(layer: keras.layers.RNN, gain: float) -> None:
    layer.cell.recurrent_kernel.assign(gain * layer.cell.recurrent_kernel)


def set_forget_bias(layer: keras.layers.RNN, bias: float) -> None:
    biases = layer.cell.bias.numpy()
    biases[UNITS : 2 * UNITS] = bias  # gates: input, forget, cell, output
    layer.cell.bias.assign(biases)


KINDS = (
    Kind(
        "tanh, orthogonal * gain",
        lambda: kerasrnn.VanillaRNN(UNITS),
        scale_kernel,
        (0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.5),
    ),
    Kind(
        "ReLU, identity * gain",
        lambda: kerasrnn.VanillaRNN(UNITS, activation="relu", recurrent_initializer="identity"),
        scale_kernel,
        (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0, 1.02, 1.05, 1.1, 1.2),
    ),
    Kind(
        "LSTM, forget bias",
        lambda: keras.layers.LSTM(UNITS),
        set_forget_bias,
        (0.0, 1.0, 1.5, 2.0, 3.0, 5.0),
    ),
)


class Run(NamedTuple):
    """One training."""

    kind: str
    lag: int
    value: float
    share: float
    """Of the last state's gradient, `lag` steps back, before training."""
    steps: int | None
    """After which it had learned; `None`: it did not."""


def draw(lag: int, count: int, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Random values `(count, lag + 1, 1)`, and the first of each sequence."""
    values = tf.random.stateless_uniform([count, lag + 1, 1], seed)
    return values, values[:, 0]


def make_model(kind: Kind, lag: int) -> keras.Model:
    layers = [keras.Input([lag + 1, 1]), kind.make(), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(LEARNING_RATE), "mse")
    return model


def compile_training(model: keras.Model, lag: int) -> Callable:
    """A function that trains for some steps and validates, compiled as a whole."""
    optimizer, variables = model.optimizer, model.trainable_variables
    optimizer.build(variables)
    held_out = draw(lag, NUM_VALIDATED, tf.constant([0, -1]))

    def step(number, last, seed):
        inputs, targets = draw(lag, BATCH_SIZE, tf.stack([seed, number]))
        with tf.GradientTape() as tape:
            error = tf.reduce_mean(tf.square(model(inputs, training=True) - targets))
        gradients, _ = tf.clip_by_global_norm(tape.gradient(error, variables), CLIPNORM)
        optimizer.apply(gradients, variables)
        return number + 1, last, seed

    @tf.function(jit_compile=True, autograph=False)
    def train(first, last, seed):
        tf.while_loop(lambda number, *_: number < last, step, (first, last, seed))
        return tf.reduce_mean(tf.square(model(held_out[0]) - held_out[1]))

    return train


def run_all(kind: Kind, lag: int) -> Iterator[Run]:
    """The trainings of a layer from all its initial weights; they share one graph."""
    model = make_model(kind, lag)
    train = compile_training(model, lag)
    optimizer_at_first = [variable.numpy() for variable in model.optimizer.variables]
    for seed, value in itertools.product(SEEDS, kind.values):
        keras.utils.set_random_seed(seed)
        model.set_weights(make_model(kind, lag).get_weights())
        for variable, first in zip(model.optimizer.variables, optimizer_at_first, strict=True):
            variable.assign(first)
        kind.change(model.layers[0], value)
        batch = draw(lag, BATCH_SIZE, tf.constant([seed, 0]))
        share = float(kerasrnn.gradient_flow(model, *batch).layers[0].remaining[lag])
        learned_after = None
        for first in range(0, STEPS, STEPS_BETWEEN):
            last = first + STEPS_BETWEEN
            error = float(train(*map(tf.constant, (first, last, seed))))
            if error < LEARNED * VARIANCE:
                learned_after = last
                break
            if not np.isfinite(error):
                break
        yield Run(kind.name, lag, value, share, learned_after)


def main() -> None:
    runs = []
    for lag, kind in itertools.product(LAGS, KINDS):
        for run in run_all(kind, lag):
            runs.append(run)
            outcome = "not learned" if run.steps is None else f"{run.steps:5,} steps"
            print(
                f"{kind.name:24} {run.value:4} lag {lag:4} {run.share:9.2g} {outcome}",
                flush=True,
            )
    print("\nshare left before training   learned   median steps of those")
    for low, high in itertools.pairwise(BOUNDS):
        chosen = [run for run in runs if low <= run.share < high]
        steps = [run.steps for run in chosen if run.steps is not None]
        median = f"{np.median(steps):,.0f}" if steps else ""
        print(
            f"{low:9.2g} to {high:9.2g}       {len(steps):3} of {len(chosen):3}   {median:>6}"
        )


if __name__ == "__main__":
    main()
