"""How far back gradients should flow: the loss, the time, the bias and the variance of it.

    python -m examples.truncation_tradeoff

One character model on tiny_shakespeare, trained again and again from the same
weights on the same text with carried states:

- an update a window: truncated BPTT as it is mostly used; short windows make more updates;
- truncated, randomized: an update every 128 steps whatever the policy, whose gradients
  flow back `window` steps at most (`TruncatedBPTT`), or on average
  (`RandomizedTruncation`, Tallec & Ollivier 2017, arXiv:1705.08209), beside full BPTT.

Beside the validation loss stand the bias and the variance of each policy's gradient for
the recurrent kernel, over windows and draws, before training; in units of the size of the
full gradient's mean, and of its variance.
"""

import dataclasses
import sys
import time
from pathlib import Path
from typing import NamedTuple

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import numpy as np
    import tensorflow as tf

    import kerasrnn

from apps import cli
from apps.chargen import data
from apps.errors import UserError
from examples import experiment

UNITS, BATCH_SIZE, STEPS, LEARNING_RATE = 128, 32, 128, 0.002
WINDOWS = (4, 8, 16, 32, 64)
KINDS = ("an update a window", "truncated", "randomized", "full")


@dataclasses.dataclass(frozen=True)
class Options(experiment.Options):
    """Compares windows and policies of truncation on tiny_shakespeare."""

    data: str = "auto"
    """auto, tfds, packaged, or the path of a text."""
    data_dir: Path | None = None
    """Where tensorflow_datasets keeps its data."""
    epochs: int = 2
    """Over the training text."""


class Run(NamedTuple):
    """One row of the table."""

    kind: str
    window: int

    @property
    def policy(self) -> kerasrnn.layers.truncation.Truncation | None:
        if self.kind == "truncated":
            return kerasrnn.TruncatedBPTT(self.window)
        if self.kind == "randomized":
            return kerasrnn.RandomizedTruncation(1 - 1 / self.window)
        return None


class Result(NamedTuple):
    """What came out of a run."""

    run: Run
    loss: float
    """Of validation, in nats per character."""
    seconds: float
    """Of training."""
    bias: float | None
    """||E g - E g_full|| / ||E g_full||."""
    variance: float | None
    """tr Cov g / tr Cov g_full."""


class Stopwatch(keras.callbacks.Callback):
    """Seconds of training, as if the first step, which compiles, took as long as others."""

    def on_train_batch_end(self, batch, logs=None):
        if self.steps == 0:
            self.start = time.perf_counter()
        self.steps += 1

    def on_train_begin(self, logs=None):
        self.steps = 0

    @property
    def seconds(self):
        return (self.end - self.start) * self.steps / (self.steps - 1)

    def on_train_end(self, logs=None):
        self.end = time.perf_counter()


def make_model(vocabulary, seed, run=None):
    keras.utils.set_random_seed(seed)
    model = kerasrnn.CharLanguageModel(vocabulary, units=UNITS)
    window = run.window if run and run.kind == KINDS[0] else STEPS
    model.compile(
        keras.optimizers.Adam(LEARNING_RATE),
        window=window,
        truncation=run and run.policy,
        global_clipnorm=1.0,
    )
    return model


def measure_gradients(model, windows, policy):
    """dL/dW_h for each batch of windows, `(batches, units * units)`."""
    (layer,) = model.recurrent_layers
    layer.truncation = policy

    @tf.function(autograph=False)
    def gradient(inputs, targets):
        with tf.GradientTape() as tape:
            outputs = model(inputs, training=True)
            loss = model.compute_loss(y=targets, y_pred=outputs)
        return tape.gradient(loss, layer.cell.recurrent_kernel.value)

    return np.stack([gradient(*window).numpy().ravel() for window in windows], dtype="float64")


def compare_gradients(found, full):
    """The bias of gradients, without the part that is noise, and their variance."""
    difference = found - full  # for the same windows
    noise = difference.var(0, ddof=1).sum() / len(difference)
    bias = np.sqrt(max(np.sum(difference.mean(0) ** 2) - noise, 0))
    noise = full.var(0, ddof=1).sum() / len(full)
    size = np.sqrt(max(np.sum(full.mean(0) ** 2) - noise, 1e-12))
    return bias / size, found.var(0, ddof=1).sum() / full.var(0, ddof=1).sum()


def run(options):
    cli.check_option(options, "epochs", options.epochs > 0, "must be positive")
    text = data.load(options.data, options.data_dir)
    print(f"text: {text.source}")
    training, validation = ("".join(text.part(split)) for split in data.SPLITS[:2])
    windows, num_batches = WINDOWS, 200
    if options.quick:
        training, validation = training[:200_000], validation[:20_000]
        windows, num_batches = WINDOWS[::2], 40
    vocabulary = kerasrnn.CharacterVocabulary.from_text(training)
    ids = vocabulary.encode(training)
    whole_windows = (len(ids) - 1) // (BATCH_SIZE * STEPS) * BATCH_SIZE * STEPS
    if whole_windows < 2 * BATCH_SIZE * STEPS:
        raise UserError(
            f"--data: the training text needs {2 * BATCH_SIZE * STEPS + 1:,} characters or "
            f"more, got {len(ids):,}."
        )
    ids = ids[: whole_windows + 1]
    stream = kerasrnn.Stream.from_tokens(ids, batch_size=BATCH_SIZE)
    held_out = kerasrnn.Stream.from_tokens(vocabulary.encode(validation), batch_size=8)
    rows = np.random.default_rng(options.seed).integers(
        len(ids) - STEPS, size=(num_batches, BATCH_SIZE, 1)
    ) + np.arange(STEPS + 1)
    batches = [(tf.constant(ids[r[:, :-1]]), tf.constant(ids[r[:, 1:]])) for r in rows]

    fresh = make_model(vocabulary, options.seed)
    full_gradients = measure_gradients(fresh, batches, None)

    runs = [Run(kind, window) for kind in KINDS[:3] for window in windows]
    runs.append(Run(KINDS[3], STEPS))
    results = []
    for one in experiment.each(runs, lambda r: f"{r.kind}, {r.window}"):
        model = make_model(vocabulary, options.seed, one)
        stopwatch = Stopwatch()
        model.fit(stream, epochs=options.epochs, verbose=0, callbacks=[stopwatch])
        loss = model.evaluate(held_out, verbose=0, return_dict=True)["loss"]
        bias, variance = None, None
        if one.kind != KINDS[0]:
            gradients = full_gradients
            if one.policy is not None:
                gradients = measure_gradients(fresh, batches, one.policy)
            bias, variance = compare_gradients(gradients, full_gradients)
        results.append(Result(one, loss, stopwatch.seconds, bias, variance))
    report(results)
    plot(results, options.output / "truncation_tradeoff.png")


def report(results):
    experiment.print_table(
        ("gradients", "window", "nats/character", "seconds", "bias", "variance"),
        [
            (
                run.kind,
                str(run.window),
                f"{loss:.4f}",
                f"{seconds:.1f}",
                "" if bias is None else f"{bias:.3f}",
                "" if variance is None else f"{variance:.3g}",
            )
            for run, loss, seconds, bias, variance in results
        ],
    )


def plot(results, path):
    figure = experiment.new_figure(11, 3.6)
    losses, seconds, gradients = figure.subplots(1, 3)
    full = results[-1]
    for kind in KINDS[:3]:
        chosen = [result for result in results if result.run.kind == kind]
        windows = [result.run.window for result in chosen]
        losses.plot(windows, [result.loss for result in chosen], "o-", label=kind)
        seconds.plot(windows, [result.seconds for result in chosen], "o-", label=kind)
        if chosen[0].bias is not None:
            color = losses.lines[-1].get_color()
            biases, variances = [r.bias for r in chosen], [r.variance for r in chosen]
            gradients.plot(windows, biases, "o-", color=color, label=f"{kind}, bias")
            gradients.plot(windows, variances, "s--", color=color, label=f"{kind}, variance")
    losses.axhline(full.loss, color="black", lw=1, label=f"full, {STEPS}")
    seconds.axhline(full.seconds, color="black", lw=1, label=f"full, {STEPS}")
    losses.set(ylabel="validation loss, nats a character")
    seconds.set(ylabel="seconds of training", ylim=(0, None))
    gradients.set(ylabel="of the full gradient")
    gradients.set_yscale("symlog", linthresh=0.1)
    for axes in (losses, seconds, gradients):
        axes.set(xlabel="window, steps", xscale="log")
        axes.set_xticks([result.run.window for result in chosen], minor=False)
        axes.set_xticks([], minor=True)
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="x-small")
    figure.savefig(path, dpi=110)
    print(f"figure: {path}")


if __name__ == "__main__":
    sys.exit(experiment.main("truncation_tradeoff", __doc__.splitlines()[0], Options, run))
