"""Peak memory of training on one long sequence: over windows, and on one tape.

    python -m benchmarks.memory

Each row is a process of its own: two passes over one sequence of random ids,
through an embedding, a `VanillaRNN` of 128 units and a softmax over 64 ids.
Memory is the peak of the whole process, most of it TensorFlow's own (the first
row trains on ten steps); time is that of the second pass. On one tape (full
BPTT), `recompute=True` keeps about sqrt(T) states, and the gradient is compared
with that without.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

UNITS, NUM_IDS, WINDOW = 128, 64, 100
# (steps, window, recompute)
STREAMS = [(steps, min(steps, WINDOW), False) for steps in (10, 10**4, 10**5, 10**6)]
TAPES = [
    (steps, steps, recompute) for steps in (10**4, 10**5, 10**6) for recompute in (False, True)
]


def peak_mib() -> float:
    """The most memory that this process has held, in MiB (on Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(steps: int, window: int, recompute: bool, gradient_file: str) -> dict:
    """Trains once in this process."""
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
        window=window,
        recompute=recompute,
        time_reduction="sum",
    )
    ids = np.random.default_rng(0).integers(0, NUM_IDS, size=steps + 1).astype("uint8")
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
    return {"mib": peak_mib(), "seconds": seconds[1]}


def run(case: tuple[int, int, bool], gradient_file: Path) -> dict:
    """Measures one case in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", "--case", json.dumps(case)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [*command, "--gradient-file", str(gradient_file)],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--gradient-file", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        steps, window, recompute = arguments.case
        print(json.dumps(measure(steps, window, recompute, arguments.gradient_file)))
        return
    print(f"{'steps':>9}  {'tape':24}{'peak memory':>12}{'a pass':>10}  gradient")
    with tempfile.TemporaryDirectory() as folder:
        gradient_file = Path(folder, "gradient.npy")
        reference = np.zeros(0)
        for steps, window, recompute in [*STREAMS, *TAPES]:
            found = run((steps, window, recompute), gradient_file)
            tape = f"windows of {window}" if window <= WINDOW else "the whole sequence"
            gradient = np.load(gradient_file)
            note = ""
            if recompute:
                tape = "whole, recomputed"
                distance = np.linalg.norm(gradient - reference) / np.linalg.norm(reference)
                note = f"relative difference {distance:.0e}"
            reference = gradient
            figures = f"{found['mib']:8.0f} MiB{found['seconds']:8.1f} s"
            print(f"{steps:9,}  {tape:24}{figures}  {note}", flush=True)


if __name__ == "__main__":
    main()
