"""Eager calls of inference: one graph for all shapes, and no memory for each."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from kerasrnn.layers import compilation

SHAPES = [(batch, time) for batch in range(1, 9) for time in (1, 3, 8, 20, 33)]


@pytest.fixture
def compiled_scans(monkeypatch):
    """For each call of a traced scan, whether XLA compiles it."""
    calls, trace = [], compilation._trace

    def spy(*arguments):
        calls.append(arguments[-1])
        return trace(*arguments)

    monkeypatch.setattr(compilation, "_trace", spy)
    return calls


def test_forty_shapes_are_traced_once_and_compiled_never(scan_calls, compiled_scans):
    layer = kerasrnn.VanillaRNN(3)
    for batch, time in SHAPES:
        layer(tf.ones([batch, time, 2]))
    assert scan_calls == ["scan_to_last"]
    assert compiled_scans == [False] * len(SHAPES)


def test_forty_shapes_of_a_classifier_meet_one_graph(scan_calls, compiled_scans):
    model = kerasrnn.TextClassifier(["[PAD]", "[UNK]", "a"], embedding_dim=2, units=3)
    model(np.ones([2, 2], "int32"))
    scan_calls.clear()
    for batch, time in SHAPES:
        model(np.ones([batch, time], "int32"))
    assert scan_calls == []
    assert not any(compiled_scans)


GROWTH = """
import numpy as np
import kerasrnn

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20

model = kerasrnn.TextClassifier(["[PAD]", "[UNK]", "a"], embedding_dim=8, units=8)
for size in range(1, 9):
    model(np.ones([size, size], "int32"))
before = resident()
for batch in range(10, 30):
    for time in (5, 13, 21):
        model(np.ones([batch, time], "int32"))
print(resident() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux")
def test_sixty_shapes_do_not_fill_the_memory():
    # What oneDNN and the allocator keep for each shape is not ours.
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0", "MALLOC_ARENA_MAX": "1"}
    command = [sys.executable, "-c", GROWTH]
    run = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=300
    )
    assert float(run.stdout) < 10  # MiB; a compilation for each shape takes over 20
