"""Time of `VanillaRNN` beside `keras.layers.SimpleRNN` and, if installed, `torch.nn.RNN`.

    python -m benchmarks.recurrence

The layers run the same shapes in turn, in one process; each figure is a
median, and what counts is the ratio to ours. A training step takes the
gradients of the inputs and of every weight.
"""

import importlib
import importlib.util
import statistics
import time

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import tensorflow as tf

    import kerasrnn

# It comes with the extra bench.
torch = importlib.import_module("torch") if importlib.util.find_spec("torch") else None

# (batch, time, features, units)
SHAPES = [
    (128, 200, 128, 128),
    (32, 200, 128, 128),
    (1, 200, 128, 128),
    (64, 400, 64, 64),
    (32, 100, 65, 512),
]


def make_keras_calls(layer, inputs):
    """A training step and an inference call of a Keras layer, as graph functions."""
    layer(inputs)
    signature = [tf.TensorSpec(inputs.shape, inputs.dtype)]

    @tf.function(input_signature=signature, autograph=False)
    def train(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x, training=True) ** 2)
        return tape.gradient(loss, [x, *(v.value for v in layer.trainable_variables)])

    @tf.function(input_signature=signature, autograph=False)
    def infer(x):
        return layer(x, training=False)

    return lambda: train(inputs), lambda: infer(inputs)


def make_torch_calls(units, inputs, every_output):
    """The same for PyTorch."""
    layer = torch.nn.RNN(inputs.shape[-1], units, batch_first=True)
    x = torch.tensor(inputs.numpy(), requires_grad=True)

    def run():
        outputs, last = layer(x)
        return outputs if every_output else last

    def train():
        return torch.autograd.grad((run() ** 2).sum(), [x, *layer.parameters()])

    def infer():
        with torch.no_grad():
            return run()

    return train, infer


def time_in_turn(calls, seconds=3.0):
    """Median milliseconds of each call, the calls taken in turn."""
    times = [[] for _ in calls]
    for call in calls * 2:
        call()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for call, record in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            record.append(time.perf_counter() - start)
    return [1000 * statistics.median(record) for record in times]


def main():
    names = ["VanillaRNN", "SimpleRNN", *(["torch.nn.RNN"] if torch else [])]
    print("milliseconds, and how many times as long as VanillaRNN")
    print(
        f"{'batch,time,features,units':26}{'outputs':9}{'call':10}",
        *(f"{n:>14}" for n in names),
    )
    for shape in SHAPES:
        inputs = keras.random.normal(shape[:3], seed=0)
        units = shape[3]
        for every_output in (False, True):
            contenders = [
                make_keras_calls(layer(units, return_sequences=every_output), inputs)
                for layer in (kerasrnn.VanillaRNN, keras.layers.SimpleRNN)
            ]
            if torch:
                contenders.append(make_torch_calls(units, inputs, every_output))
            for kind, calls in zip(
                ("training", "inference"), zip(*contenders, strict=True), strict=True
            ):
                ours, *others = time_in_turn(calls)
                columns = [f"{ours:14.1f}", *(f"{ms:7.1f} {ms / ours:5.1f}x" for ms in others)]
                label = ",".join(map(str, shape))
                outputs = "all" if every_output else "last"
                print(f"{label:26}{outputs:9}{kind:10}", *columns, flush=True)


if __name__ == "__main__":
    main()
