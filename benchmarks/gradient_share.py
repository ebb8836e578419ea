"""How much of a gradient must be left for a layer to learn from the step it reaches.

The task is to recall the first of T + 1 random values, T steps later. Before training
`gradient_flow` measures the share of the last state's gradient that is left at this lag.
Then the model is trained: Adam at 0.003, clipped to a norm of 1, 2,000 batches of 32.
It has learned if its error falls below a tenth of the variance of the target.

Recurrent kernels are scaled, or biases of forget gates set, so that the share differs.
The thresholds of `kerasrnn.analysis.verdict` follow this table. About 16 minutes.
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

from benchmarks.options import Options
from benchmarks.tables import Table, tell

LAGS = (20, 50, 100)
SEEDS = (0, 1)
UNITS, BATCH_SIZE, NUM_VALIDATED = 32, 32, 500
LEARNING_RATE, CLIPNORM = 0.003, 1.0
STEPS, STEPS_BETWEEN = 2000, 100
QUICK_LAGS, QUICK_SEEDS, QUICK_VALUES, QUICK_STEPS = (5,), (0,), 2, 100
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
        lambda: kerasrnn.LSTM(UNITS),
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


def train_all(kind: Kind, lag: int, quick: bool) -> Iterator[Run]:
    """The trainings of a layer from all its initial weights; they share one graph."""
    seeds, steps = (QUICK_SEEDS, QUICK_STEPS) if quick else (SEEDS, STEPS)
    values = kind.values[:QUICK_VALUES] if quick else kind.values
    model = make_model(kind, lag)
    train = compile_training(model, lag)
    optimizer_at_first = [variable.numpy() for variable in model.optimizer.variables]
    for seed, value in itertools.product(seeds, values):
        keras.utils.set_random_seed(seed)
        model.set_weights(make_model(kind, lag).get_weights())
        for variable, first in zip(model.optimizer.variables, optimizer_at_first, strict=True):
            variable.assign(first)
        kind.change(model.layers[0], value)
        batch = draw(lag, BATCH_SIZE, tf.constant([seed, 0]))
        share = float(kerasrnn.gradient_flow(model, *batch).layers[0].remaining[lag])
        learned_after = None
        for first in range(0, steps, STEPS_BETWEEN):
            last = first + STEPS_BETWEEN
            error = float(train(*map(tf.constant, (first, last, seed))))
            if error < LEARNED * VARIANCE:
                learned_after = last
                break
            if not np.isfinite(error):
                break
        yield Run(kind.name, lag, value, share, learned_after)


def run(options: Options) -> Iterator[Table]:
    """Each training, and how many have learned for each share."""
    trainings = Table(
        "gradient_share_trainings",
        "Recall: the share of the gradient that is left, and the steps until it was learned",
        {"layer": "{}", "value": "{}", "lag": "{}", "share": "{:.2g}", "steps": "{:,}"},
    )
    runs = []
    kinds = KINDS[:1] if options.quick else KINDS
    for lag, kind in itertools.product(QUICK_LAGS if options.quick else LAGS, kinds):
        for training in train_all(kind, lag, options.quick):
            runs.append(training)
            trainings.add(kind.name, training.value, lag, training.share, training.steps)
            tell(f"{kind.name} {training.value}, lag {lag}: steps {training.steps}")
    yield trainings
    summary = Table(
        "gradient_share",
        "Trainings that learned to recall, by the share of the gradient left before",
        {
            "from": "{:.2g}",
            "to": "{:.2g}",
            "learned": "{}",
            "of": "{}",
            "median steps": "{:,.0f}",
        },
    )
    for low, high in itertools.pairwise(BOUNDS):
        chosen = [training for training in runs if low <= training.share < high]
        steps = [training.steps for training in chosen if training.steps is not None]
        median = float(np.median(steps)) if steps else None
        summary.add(low, high if np.isfinite(high) else None, len(steps), len(chosen), median)
    yield summary
