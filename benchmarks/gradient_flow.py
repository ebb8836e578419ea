"""What the callback `GradientFlow` costs, beside the training steps it watches.

A batch of 64 sequences of 200 steps, 16 features and 128 units. Needs the extra viz.
"""

import functools
import importlib.util
from collections.abc import Callable, Iterator

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import tensorflow as tf

    import kerasrnn

from benchmarks.options import Options
from benchmarks.tables import Table, tell
from benchmarks.timing import time_calls
from kerasrnn.analysis.measurement import Measurement

EVERY = 500
SHAPE, UNITS = (64, 200, 16), 128
QUICK_SHAPE, QUICK_UNITS = (4, 7, 3), 8
MILLISECONDS = 1000


def run(options: Options) -> Iterator[Table]:
    """Milliseconds of a step, of a measurement and of its picture, and the shares of them."""
    if importlib.util.find_spec("matplotlib") is None:
        tell("gradient_flow: left out, as matplotlib is not installed (extra viz)")
        return
    shape = QUICK_SHAPE if options.quick else SHAPE
    units = QUICK_UNITS if options.quick else UNITS
    x, y = keras.random.normal(shape, seed=0), tf.ones([shape[0], 1])
    table = Table(
        "gradient_flow",
        f"GradientFlow: milliseconds, and the share of training with every={EVERY}",
        {
            "layer": "{}",
            "step": "{:.1f}",
            "measurement": "{:.1f}",
            "share": "{:.1%}",
            "image": "{:.1f}",
            "share with it": "{:.1%}",
        },
    )
    layers = [kerasrnn.VanillaRNN, keras.layers.SimpleRNN, kerasrnn.LSTM]
    for recurrent in layers[:1] if options.quick else layers:
        model = keras.Sequential([recurrent(units), keras.layers.Dense(1)])
        model.compile("adam", "mse")
        measure = Measurement(model, traced=True)
        report = measure(x, y)
        calls: dict[str, Callable[[], object]] = {
            "step": functools.partial(model.train_on_batch, x, y),
            "measurement": functools.partial(measure, x, y),
            "image": report.pixels,
        }
        seconds = time_calls(calls, options.rounds_of_a_row, options.seconds_of_a_row)
        step, measurement, image = (MILLISECONDS * seconds[name] for name in calls)
        training = EVERY * step
        both = measurement + image
        table.add(
            recurrent.__name__,
            step,
            measurement,
            measurement / training,
            image,
            both / training,
        )
    yield table
