"""A training step of `VanillaRNN` with each remedy, beside its cell in Keras' own loop.

A batch of 32 sequences of 200 steps, with 128 features and 128 units.
"""

from collections.abc import Iterator
from typing import Any

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras

    import kerasrnn

from benchmarks.options import Options
from benchmarks.peers.keras_layers import prepare_training
from benchmarks.problems import QUICK_SHAPES, Problem, Shape
from benchmarks.tables import Table
from benchmarks.timing import time_calls

SHAPE, QUICK_SHAPE = Shape(32, 200, 128, 128), QUICK_SHAPES[0]._replace(features=8)
REMEDIES: dict[str, dict[str, Any]] = {
    "none": {},
    "leak rate": {"leak_rate": 0.1},
    "leak rate, learned": {"leak_rate": 0.1, "learn_leak_rate": True},
    "zoneout": {"zoneout": 0.1},
    "dropout, recurrent dropout": {"dropout": 0.1, "recurrent_dropout": 0.1},
    "residual": {"residual": True},
    "ReLU, identity": {"activation": "relu", "recurrent_initializer": "identity"},
}
OURS, IN_KERAS = "VanillaRNN", "cell in keras.layers.RNN"
MILLISECONDS = 1000


def run(options: Options) -> Iterator[Table]:
    """Milliseconds of a step, for each remedy."""
    shape = QUICK_SHAPE if options.quick else SHAPE
    problem = Problem("vanilla", shape, "training")
    calls = {}
    for name, arguments in REMEDIES.items():
        cell = kerasrnn.VanillaRNNCell(shape.units, **arguments)
        layers = {
            OURS: kerasrnn.VanillaRNN(shape.units, return_sequences=True, **arguments),
            IN_KERAS: keras.layers.RNN(cell, return_sequences=True),
        }
        for contender, layer in layers.items():
            layer.build(problem.inputs().shape)
            calls[name, contender] = prepare_training(problem, layer).run
    seconds = time_calls(
        calls, options.rounds_of_a_row, options.seconds_of_a_row * len(REMEDIES)
    )
    first = seconds["none", OURS]
    columns = {"remedy": "{}"}
    for contender in (OURS, IN_KERAS):
        columns |= {contender: "{:.1f}", f"{contender} ratio": "{:.2f}x"}
    title = "Remedies: milliseconds, and the ratio to VanillaRNN without one"
    table = Table("remedies", title, columns, plotted=(OURS, IN_KERAS))
    for name in REMEDIES:
        row = []
        for contender in (OURS, IN_KERAS):
            found = seconds[name, contender]
            row += [MILLISECONDS * found, found / first]
        table.add(name, *row)
    yield table
