"""Training-step and inference time of `VanillaRNN` beside `SimpleRNN`.

    python -m benchmarks.recurrence

Both layers run the same shapes with the same weights, in turn, in one process;
each figure is a median, and what counts is the ratio.
"""

import statistics
import time

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import tensorflow as tf

    import kerasrnn

# (batch, time, features, units)
SHAPES = [
    (128, 200, 128, 128),
    (32, 200, 128, 128),
    (1, 200, 128, 128),
    (64, 400, 64, 64),
    (32, 100, 65, 512),
]


def make_calls(layer, inputs):
    """A training step and an inference call of `layer`, as graph functions."""
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

    return train, infer


def time_in_turn(calls, inputs, seconds=3.0):
    """Median milliseconds of each call, the calls taken in turn."""
    times = [[] for _ in calls]
    for call in calls * 2:
        call(inputs)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for call, record in zip(calls, times, strict=True):
            start = time.perf_counter()
            tf.nest.map_structure(lambda x: x.numpy(), call(inputs))
            record.append(time.perf_counter() - start)
    return [1000 * statistics.median(record) for record in times]


def main():
    print("batch,time,features,units  outputs   step                         inference")
    for shape in SHAPES:
        batch, length, features, units = shape
        inputs = keras.random.normal((batch, length, features), seed=0)
        for every_output in (False, True):
            simple = keras.layers.SimpleRNN(units, return_sequences=every_output)
            vanilla = kerasrnn.VanillaRNN(units, return_sequences=every_output)
            simple.build(inputs.shape)
            vanilla.build(inputs.shape)
            vanilla.set_weights(simple.get_weights())
            pairs = zip(
                make_calls(simple, inputs),
                make_calls(vanilla, inputs),
                strict=True,
            )
            columns = []
            for calls in pairs:
                keras_ms, ours_ms = time_in_turn(list(calls), inputs)
                columns.append(
                    f"{keras_ms:6.1f} / {ours_ms:5.1f} ms = {keras_ms / ours_ms:4.1f}x"
                )
            outputs = "all" if every_output else "last"
            print(
                f"{','.join(map(str, shape)):26} {outputs:8}", "   ".join(columns), flush=True
            )


if __name__ == "__main__":
    main()
