"""Peak memory of training: of a step of each layer, and on one long sequence.

A step is that of `benchmarks.layers`, for a batch of 32 with 128 features and 128 units. Each
peer has a new process for each row. Its memory is what it holds at most, less what it held
when its library was imported.

On one long sequence, `train` runs twice over random ids, through an embedding, a `VanillaRNN`
of 128 units and a softmax over 64 ids: over windows, and on one tape (full BPTT), where
`recompute=True` keeps about sqrt(T) states. Memory is the peak of the whole process, most of
it TensorFlow's own (the first row trains on ten steps); time is that of the second pass. The
gradient with `recompute=True` is compared with that without.
"""

import itertools
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import tables
from benchmarks.layers import choose_peers, describe
from benchmarks.options import Options
from benchmarks.peers import OURS, Peer
from benchmarks.problems import QUICK_SHAPES, Problem, Shape
from benchmarks.tables import Table, tell
from benchmarks.workers import PeerError, read_memory, start_workers

SHAPES = tuple(Shape(32, steps, 128, 128) for steps in (200, 1000, 5000))
UNITS, NUM_IDS, WINDOW = 128, 64, 100


class Case(NamedTuple):
    """A training on one long sequence."""

    steps: int
    window: int
    recompute: bool


STREAMS = [Case(steps, min(steps, WINDOW), False) for steps in (10, 10**4, 10**5, 10**6)]
TAPES = [
    Case(steps, steps, recompute)
    for steps in (10**4, 10**5, 10**6)
    for recompute in (False, True)
]
QUICK_NUM_PEERS = 1  # the code is the same for all
QUICK_CASES = [Case(1000, 1000, False), Case(1000, 1000, True)]


def run(options: Options) -> Iterator[Table]:
    """A table of the steps, and one of the long sequences."""
    peers = choose_peers(options)
    if options.quick:
        peers = dict(list(peers.items())[:QUICK_NUM_PEERS])
    contenders = [OURS, *(name for name in peers if name != OURS)]
    rows: list[tables.Row] = []
    shapes = QUICK_SHAPES if options.quick else SHAPES
    for cell, shape in itertools.product(options.chosen_cells, shapes):
        problem = Problem(cell, shape, "training")
        found = {}
        for name, peer in peers.items():
            if cell in peer.cells:
                try:
                    found[name] = measure_step(problem, peer, here=options.quick)
                except PeerError as error:
                    tell(f"{describe(problem)}: left out {name}: {error}")
        rows.append(((cell, str(shape)), found))
        tell(f"{describe(problem)}: " + ", ".join(f"{n} {mib:.0f}" for n, mib in found.items()))
    yield tables.ratio_table(
        "memory_steps",
        "Peak memory of a training step: MiB, and the ratio to kerasrnn",
        ("cell", "batch,time,features,units"),
        rows,
        contenders,
        digits="{:,.0f}",
    )
    cases = QUICK_CASES if options.quick else [*STREAMS, *TAPES]
    yield measure_sequences(cases, here=options.quick)


def measure_step(problem: Problem, peer: Peer, here: bool) -> float:
    """The memory of a training step, in MiB; in this process it means nothing."""
    with start_workers({"peer": peer}, here) as workers:
        worker = workers["peer"]
        before, _ = worker.memory()
        worker.prepare("layer", problem)
        worker.repeat("layer", 0)
        _, peak = worker.memory()
    return max(0.0, peak - before)


def measure_sequences(cases: list[Case], here: bool) -> Table:
    """Trains each case in a process of its own; or all in this one, to see that it works."""
    table = Table(
        "memory_sequences",
        "Training on one long sequence",
        {"steps": "{:,}", "tape": "{}", "peak MiB": "{:,.0f}", "seconds a pass": "{:.1f}"}
        | {"relative difference": "{:.0e}"},
    )
    spawn = multiprocessing.get_context("spawn")
    pool = ThreadPool(1) if here else spawn.Pool(1, maxtasksperchild=1)
    reference = np.zeros(0)
    with tempfile.TemporaryDirectory() as folder, pool:
        gradient_file = Path(folder, "gradient.npy")
        for case in cases:
            mib, seconds = pool.apply(train_case, (case, gradient_file))
            tape = (
                f"windows of {case.window}" if case.window <= WINDOW else "the whole sequence"
            )
            gradient = np.load(gradient_file)
            error = None
            if case.recompute:
                tape = "whole, recomputed"
                error = float(np.linalg.norm(gradient - reference) / np.linalg.norm(reference))
            reference = gradient
            table.add(case.steps, tape, mib, seconds, error)
            tell(f"{case.steps:,} steps, {tape}: {mib:.0f} MiB, {seconds:.1f} s")
    return table


def train_case(case: Case, gradient_file: Path) -> tuple[float, float]:
    """Trains in this process: the peak of its memory in MiB, and the seconds of a pass."""
    from apps.quiet import quiet_tensorflow

    with quiet_tensorflow():
        import keras

        import kerasrnn

    keras.utils.set_random_seed(0)
    model = kerasrnn.SequenceModel(
        [
            keras.layers.Embedding(NUM_IDS, UNITS),
            kerasrnn.VanillaRNN(UNITS, return_sequences=True),
            keras.layers.Dense(NUM_IDS),
        ]
    )
    model.compile(
        keras.optimizers.SGD(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        window=case.window,
        recompute=case.recompute,
        time_reduction="sum",
    )
    ids = np.random.default_rng(0).integers(0, NUM_IDS, size=case.steps + 1).astype("uint8")
    stream = kerasrnn.Stream.from_tokens(ids, batch_size=1)
    model(ids[None, :1])
    before = model.get_weights()
    seconds = []

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seconds.append(-time.perf_counter())

        def on_epoch_end(self, epoch, logs=None):
            seconds[-1] += time.perf_counter()
            if epoch == 0:
                changes = zip(self.model.get_weights(), before, strict=True)
                np.save(gradient_file, np.concatenate([np.ravel(a - b) for a, b in changes]))

    kerasrnn.train(model, stream, epochs=2, callbacks=[Clock()], verbose=0)
    _, peak = read_memory()
    return peak, seconds[1]
