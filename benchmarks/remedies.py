"""A training step of `VanillaRNN` with each remedy, beside its cell in Keras' own loop.

    python -m benchmarks.remedies

All in turn, in one process, for a batch of 32 sequences of 200 steps, 128 features and
128 units; each figure is a median.
"""

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras

    import kerasrnn

from benchmarks.recurrence import make_keras_calls, time_in_turn

BATCH_SIZE, TIME, UNITS = 32, 200, 128
REMEDIES = {
    "none": {},
    "leak rate": {"leak_rate": 0.1},
    "leak rate, learned": {"leak_rate": 0.1, "learn_leak_rate": True},
    "zoneout": {"zoneout": 0.1},
    "dropout, recurrent dropout": {"dropout": 0.1, "recurrent_dropout": 0.1},
    "residual": {"residual": True},
    "ReLU, identity": {"activation": "relu", "recurrent_initializer": "identity"},
}


def main():
    inputs = keras.random.normal([BATCH_SIZE, TIME, UNITS], seed=0)
    layers = [kerasrnn.VanillaRNN(UNITS, **options) for options in REMEDIES.values()]
    layers += [
        keras.layers.RNN(kerasrnn.VanillaRNNCell(UNITS, **options))
        for options in REMEDIES.values()
    ]
    milliseconds = time_in_turn([make_keras_calls(layer, inputs)[0] for layer in layers], 30)
    print("milliseconds, and how many times as long as VanillaRNN without a remedy")
    print(f"{'remedy':28}{'VanillaRNN':>16}{'cell in keras.layers.RNN':>28}")
    for number, name in enumerate(REMEDIES):
        ours, in_keras = milliseconds[number], milliseconds[number + len(REMEDIES)]
        print(
            f"{name:28}{ours:8.1f} {ours / milliseconds[0]:6.2f}x"
            f"{in_keras:20.1f} {in_keras / milliseconds[0]:6.2f}x"
        )


if __name__ == "__main__":
    main()
