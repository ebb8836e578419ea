"""Which recurrent layers learn to remember: the adding problem, with and without clipping.

    python -m examples.adding_problem

A sequence of T pairs: a value, uniform in [0, 1], and a marker, 1 at one step of the
first half and at one of the second, else 0. The target is the sum of the two marked
values; always to say 1 has a mean squared error of 0.167. The first mark lies T/2 to T
steps before the end, and nothing can be learned from it unless a gradient gets there.
The figure shows the learning curves beside the gradients' way back before training.

References: S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural
Computation 9(8), 1997, doi:10.1162/neco.1997.9.8.1735. Q. Le et al., "A simple way to
initialize recurrent networks of rectified linear units", 2015, arXiv:1504.00941.
"""

import dataclasses
import itertools
import math
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import numpy as np
    import tensorflow as tf

    import kerasrnn

from apps import cli
from examples import experiment

UNITS, BATCH_SIZE, NUM_VALIDATED = 32, 32, 500
LENGTHS = (50, 100, 200, 400)
STEPS_BETWEEN = 50
"""Steps from one validation to the next."""
CHANCE, SOLVED = 1 / 6, 0.01
CLIP_NORM = 1.0
NUM_DRAWS = 5
"""Initial weights whose gradient flow is measured before training."""


@dataclasses.dataclass(frozen=True)
class Options(experiment.Options):
    """Trains plain, remedied and gated recurrent layers on the adding problem."""

    steps: int = 1500
    """The most training steps a run gets; two thirds of it with --quick."""


class Contender(NamedTuple):
    """A recurrent layer, and the learning rate of Adam that suits it."""

    name: str
    make: Callable[[], keras.layers.RNN]
    learning_rate: float


def plain(kernel_stddev=None, **options):
    def make():
        initial = {}
        if kernel_stddev is not None:
            initial["kernel_initializer"] = keras.initializers.RandomNormal(
                stddev=kernel_stddev
            )
        return kerasrnn.VanillaRNN(UNITS, **initial, **options)

    return make


IRNN = {"activation": "relu", "recurrent_initializer": "identity"}
CONTENDERS = (
    Contender("tanh, Glorot", plain(recurrent_initializer="glorot_uniform"), 0.003),
    Contender("tanh, orthogonal", plain(), 0.003),
    Contender("tanh, skip over time", plain(leak_rate=0.1, kernel_stddev=3.0), 0.003),
    Contender("ReLU, identity", plain(**IRNN), 0.001),
    Contender("ReLU, identity, skip", plain(leak_rate=0.02, kernel_stddev=1.0, **IRNN), 0.01),
    Contender("LSTM", lambda: kerasrnn.LSTM(UNITS), 0.02),
    Contender("GRU", lambda: kerasrnn.GRU(UNITS), 0.01),
)


class Run(NamedTuple):
    """One training."""

    contender: Contender
    length: int
    clipped: bool
    curve: list[tuple[int, float]]
    """Steps, and the validation error after them."""
    seconds: float
    """Of training and validation, without compiling."""

    @property
    def outcome(self) -> str:
        steps, error = self.curve[-1]
        if error < SOLVED:
            return f"{steps:,} steps, {self.seconds:.1f} s"
        if not math.isfinite(error):
            return f"diverged by {steps:,}"
        return f"not within {steps:,}"


def draw(length, count, seed):
    """Sequences `(count, length, 2)` and targets `(count, 1)`."""
    seeds = tf.random.experimental.stateless_split(seed, 3)
    values = tf.random.stateless_uniform([count, length], seeds[0])
    half = length // 2
    first = tf.random.stateless_uniform([count], seeds[1], 0, half, tf.int32)
    second = tf.random.stateless_uniform([count], seeds[2], half, length, tf.int32)
    markers = tf.one_hot(first, length) + tf.one_hot(second, length)
    targets = tf.reduce_sum(values * markers, axis=1, keepdims=True)
    return tf.stack([values, markers], axis=-1), targets


def make_model(contender, length, seed):
    keras.utils.set_random_seed(seed)
    layers = [keras.Input([length, 2]), contender.make(), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(contender.learning_rate), "mse")
    return model


def compile_training(model, length, seed):
    """A function that trains for some steps and validates, compiled as a whole."""
    optimizer, variables = model.optimizer, model.trainable_variables
    optimizer.build(variables)
    held_out = draw(length, NUM_VALIDATED, tf.constant([seed, -1]))

    def step(number, last, global_clipnorm):
        inputs, targets = draw(length, BATCH_SIZE, tf.stack([seed, number]))
        with tf.GradientTape() as tape:
            error = tf.reduce_mean(tf.square(model(inputs, training=True) - targets))
        gradients = tape.gradient(error, variables)
        scale = tf.minimum(1.0, global_clipnorm / tf.linalg.global_norm(gradients))
        optimizer.apply([scale * gradient for gradient in gradients], variables)
        return number + 1, last, global_clipnorm

    @tf.function(jit_compile=True, autograph=False)
    def train(first, last, global_clipnorm):
        tf.while_loop(lambda number, *_: number < last, step, (first, last, global_clipnorm))
        return tf.reduce_mean(tf.square(model(held_out[0]) - held_out[1]))

    return train


def run_pair(contender, length, options):
    """The same training without and with clipping, from the same weights."""
    model = make_model(contender, length, options.seed)
    train = compile_training(model, length, options.seed)
    variables = [*model.variables, *model.optimizer.variables]
    initial = [variable.numpy() for variable in variables]
    for clipped in (False, True):
        for variable, value in zip(variables, initial, strict=True):
            variable.assign(value)
        global_clipnorm = tf.constant(CLIP_NORM if clipped else math.inf)
        curve = [(0, float(train(tf.constant(0), tf.constant(0), global_clipnorm)))]  # compiles
        start = time.perf_counter()
        while SOLVED <= curve[-1][1] < math.inf and curve[-1][0] < options.steps:
            done = curve[-1][0]
            last = min(done + STEPS_BETWEEN, options.steps)
            error = train(tf.constant(done), tf.constant(last), global_clipnorm)
            curve.append((last, float(error)))
        yield Run(contender, length, clipped, curve, time.perf_counter() - start)


def measure_flow(contender, length, seed):
    """The gradient flow before training: the median of several initial weights.

    The first mark lies from half the sequence to all of it before the end.
    """
    flows = []
    for number in range(NUM_DRAWS):
        model = make_model(contender, length, seed + number)
        batch = draw(length, BATCH_SIZE, tf.constant([seed + number, 0]))
        flows += kerasrnn.gradient_flow(model, *batch, lag=(length // 2, length - 1)).layers
    remaining = np.median([flow.remaining for flow in flows], axis=0)
    return dataclasses.replace(flows[0], remaining=remaining)


def run(options):
    cli.check_option(options, "steps", options.steps > 0, "must be positive")
    lengths = LENGTHS
    if options.quick:
        lengths, options = (
            LENGTHS[:1],
            dataclasses.replace(options, steps=options.steps * 2 // 3),
        )
    pairs = list(itertools.product(CONTENDERS, lengths))
    runs = [
        one
        for contender, length in experiment.each(pairs, lambda p: f"{p[0].name}, T = {p[1]}")
        for one in run_pair(contender, length, options)
    ]
    flows = {
        contender.name: measure_flow(contender, lengths[-1], options.seed)
        for contender in experiment.each(CONTENDERS, lambda c: f"gradient flow of {c.name}")
    }
    report(runs, flows)
    plot(runs, flows, options.output / "adding_problem.png")


def report(runs, flows):
    lengths = sorted({run.length for run in runs})
    print(f"until the mean squared error is below {SOLVED}, without compiling:")
    rows = []
    for contender, clipped in itertools.product(CONTENDERS, (False, True)):
        chosen = [r for r in runs if r.contender is contender and r.clipped is clipped]
        name = contender.name + (", clipped" if clipped else "")
        rows.append([name, *(one.outcome for one in chosen)])
    experiment.print_table(["", *(f"T = {length}" for length in lengths)], rows)
    print("what is left of the last state's gradient, before training:")
    rows = [
        [name, *(f"{flow.remaining[lag]:.2g} ({flow.statuses[lag]})" for lag in flow.lags)]
        for name, flow in flows.items()
    ]
    lags = next(iter(flows.values())).lags
    title = f"median of {NUM_DRAWS} initial weights"
    experiment.print_table([title, *(f"{lag} steps back" for lag in lags)], rows)


def plot(runs, flows, path):
    lengths = sorted({run.length for run in runs})
    figure = experiment.new_figure(4.2 + 3.2 * len(lengths), 4)
    ratios = [1.3] + [1] * len(lengths)
    left, *others = figure.subplots(1, 1 + len(lengths), width_ratios=ratios)
    colors = {contender.name: f"C{n}" for n, contender in enumerate(CONTENDERS)}
    for name, flow in flows.items():
        remaining = np.maximum(flow.remaining, 1e-12)
        left.plot(np.arange(len(remaining)), remaining, color=colors[name], label=name)
    left.set(
        title="gradient left, before training",
        xlabel="steps before the last",
        yscale="log",
        ylim=(1e-9, 1e5),
    )
    left.legend(fontsize="x-small", loc="upper right", ncols=2)
    for axes, length in zip(others, lengths, strict=True):
        for one in (run for run in runs if run.length == length):
            steps, errors = zip(*one.curve, strict=True)
            style = "-" if one.clipped else ":"
            axes.plot(steps, errors, style, color=colors[one.contender.name])
        axes.axhline(CHANCE, color="black", lw=0.8)
        axes.set(title=f"T = {length}", xlabel="steps", yscale="log", ylim=(SOLVED / 3, 1))
    others[0].set_ylabel("validation MSE (solid: clipped, dotted: not)")
    for axes in (left, *others):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    print(f"figure: {path}")


if __name__ == "__main__":
    sys.exit(experiment.main("adding_problem", __doc__.splitlines()[0], Options, run))
