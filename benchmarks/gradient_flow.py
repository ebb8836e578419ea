"""What the callback `GradientFlow` costs, beside the training steps it watches.

    python -m benchmarks.gradient_flow

A batch of 64 sequences of 200 steps, 16 features and 128 units; medians. Needs the
extra viz.
"""

import functools

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import tensorflow as tf

    import kerasrnn

from benchmarks.recurrence import time_in_turn
from kerasrnn.analysis.measurement import Measurement

EVERY = 500


def main():
    x, y = keras.random.normal([64, 200, 16], seed=0), tf.ones([64, 1])
    print(f"milliseconds, and of the time of training with every={EVERY}")
    for recurrent in (kerasrnn.VanillaRNN, keras.layers.SimpleRNN, keras.layers.LSTM):
        model = keras.Sequential([recurrent(128), keras.layers.Dense(1)])
        model.compile("adam", "mse")
        measure = Measurement(model, traced=True)
        report = measure(x, y)
        calls = [
            functools.partial(model.train_on_batch, x, y),
            functools.partial(measure, x, y),
            report.pixels,
        ]
        step, measurement, image = time_in_turn(calls, seconds=20)
        share, with_image = (
            cost / (EVERY * step) for cost in (measurement, measurement + image)
        )
        print(
            f"{recurrent.__name__:12} step {step:6.1f}   measurement {measurement:6.1f} "
            f"({share:.1%})   image {image:6.1f} ({with_image:.1%} with it)",
            flush=True,
        )


if __name__ == "__main__":
    main()
