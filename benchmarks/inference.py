"""From command to answer, and reviews a second, beside what TensorFlow takes to start."""

import csv
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from apps.sentiment import data
from benchmarks.options import Options
from benchmarks.tables import Table, tell

NUM_REVIEWS, QUICK_NUM_REVIEWS = (1_000, 10_000), (100,)
NUM_RUNS = 3
QUICK_COMMANDS = {"import numpy": ["-c", "import numpy"]}
PREDICT = ["-m", "apps.sentiment", "predict"]
COMMANDS = {
    "import tensorflow": ["-c", "import tensorflow"],
    "predict, one review": [*PREDICT, "I loved it."],
    "sample, 100 characters": ["-m", "apps.chargen", "sample", "--length", "100"],
}


def measure(num_runs: int, *arguments: str) -> tuple[float, float]:
    """Seconds that Python takes with these arguments, and its peak memory in MiB (on Linux).

    Both are the least of a few runs.
    """
    runs = []
    for _ in range(num_runs):
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise RuntimeError(f"{arguments} ended with status {status}")
        runs.append((time.perf_counter() - start, usage.ru_maxrss / 1024))
    return min(run[0] for run in runs), min(run[1] for run in runs)


def write_reviews(file: Path, num_reviews: int, quick: bool) -> None:
    """Writes reviews of the test split as CSV, from the first again after the last."""
    texts = ["I loved it.", "A dull film."]
    if not quick:
        loaded = data.load("auto", None)
        tell(f"reviews: {loaded.source}, test split")
        texts = loaded.test.texts
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["text"])
        writer.writerows([texts[i % len(texts)]] for i in range(num_reviews))


def run(options: Options) -> Iterator[Table]:
    """Seconds of a command, beside those of `import tensorflow`; then of files of reviews."""
    num_runs = 1 if options.quick else NUM_RUNS
    commands = Table(
        "inference_commands",
        "From command to answer: seconds, and the ratio to the first",
        {"command": "{}", "seconds": "{:.2f}", "seconds ratio": "{:.2f}x"},
    )
    started = None
    for name, arguments in (QUICK_COMMANDS if options.quick else COMMANDS).items():
        seconds, _ = measure(num_runs, *arguments)
        started = started or seconds  # by the first command
        commands.add(name, seconds, seconds / started)
    yield commands
    files = Table(
        "inference_files",
        "predict --file, with reviews of the test split",
        {"reviews": "{:,}", "seconds": "{:.2f}", "a second": "{:,.0f}", "peak MiB": "{:.0f}"},
    )
    with tempfile.TemporaryDirectory() as folder:
        for num_reviews in QUICK_NUM_REVIEWS if options.quick else NUM_REVIEWS:
            file = Path(folder) / "reviews.csv"
            # In a process of its own: memory of this one would count as that of its children.
            spawn = multiprocessing.get_context("spawn")
            writing = spawn.Process(
                target=write_reviews, args=(file, num_reviews, options.quick)
            )
            writing.start()
            writing.join()
            if writing.exitcode:
                raise RuntimeError("no reviews to read")
            seconds, peak = measure(num_runs, *PREDICT, "--file", os.fspath(file))
            files.add(num_reviews, seconds, num_reviews / seconds, peak)
    yield files
