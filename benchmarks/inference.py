"""From command to answer, and reviews a second, beside what TensorFlow takes to start.

python -m benchmarks.inference
"""

import csv
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from apps.sentiment import data

NUM_REVIEWS = (1_000, 10_000)
NUM_RUNS = 3
PREDICT = ["-m", "apps.sentiment", "predict"]


def measure(*arguments: str) -> tuple[float, float]:
    """Seconds that Python takes with these arguments, and its peak memory in MiB (on Linux).

    Both are the least of a few runs.
    """
    runs = []
    for _ in range(NUM_RUNS):
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise RuntimeError(f"{arguments} ended with status {status}")
        runs.append((time.perf_counter() - start, usage.ru_maxrss / 1024))
    return min(run[0] for run in runs), min(run[1] for run in runs)


def write_reviews(file: Path, num_reviews: int) -> None:
    """Writes reviews of the test split as CSV, from the first again after the last."""
    loaded = data.load("auto", None)
    print(f"reviews: {loaded.source}, test split", flush=True)
    texts = loaded.test.texts
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["text"])
        writer.writerows([texts[i % len(texts)]] for i in range(num_reviews))


def main() -> None:
    started, _ = measure("-c", "import tensorflow")
    print(f"{'import tensorflow':30} {started:6.2f} s")
    for name, arguments in {
        "predict, one review": [*PREDICT, "I loved it."],
        "sample, 100 characters": ["-m", "apps.chargen", "sample", "--length", "100"],
    }.items():
        seconds, _ = measure(*arguments)
        print(f"{name:30} {seconds:6.2f} s {seconds / started:6.2f}x", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for num_reviews in NUM_REVIEWS:
            file = Path(folder) / "reviews.csv"
            # In a process of its own: memory of this one would count as that of its children.
            spawn = multiprocessing.get_context("spawn")
            writing = spawn.Process(target=write_reviews, args=(file, num_reviews))
            writing.start()
            writing.join()
            seconds, peak = measure(*PREDICT, "--file", os.fspath(file))
            rate = num_reviews / seconds
            print(
                f"{f'predict --file, {num_reviews:,}':30} {seconds:6.2f} s "
                f"{rate:6.0f} reviews a second, peak memory {peak:.0f} MiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
