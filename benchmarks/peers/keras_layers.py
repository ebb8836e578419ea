"""kerasrnn's layers, and those of Keras.

For inference a layer is exported, and the SavedModel answers: this is how models are served.
With XLA the layer is called in a compiled function.
"""

import tempfile
from pathlib import Path

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import keras
    import tensorflow as tf

    import kerasrnn

from benchmarks.peers.prepared import Prepared
from benchmarks.problems import Problem

OF_OURS = {"vanilla": "VanillaRNN", "lstm": "LSTM", "gru": "GRU"}
OF_KERAS = {**OF_OURS, "vanilla": "SimpleRNN"}


def prepare_ours(problem: Problem) -> Prepared:
    """A layer of kerasrnn."""
    make_layer = getattr(kerasrnn, OF_OURS[problem.cell])
    layer = make_layer(problem.shape.units, return_sequences=True)
    if problem.call == "training":
        set_weights(problem, layer)
        return prepare_training(problem, layer)
    with tempfile.TemporaryDirectory() as folder:
        return prepare_served(problem, kerasrnn.export(as_model(problem, layer), folder))


def prepare_keras(problem: Problem) -> Prepared:
    """Keras' layer, in a graph."""
    layer = make_keras_layer(problem)
    if problem.call == "training":
        set_weights(problem, layer)
        return prepare_training(problem, layer)
    with tempfile.TemporaryDirectory() as folder:
        as_model(problem, layer).export(folder, verbose=False)
        return prepare_served(problem, Path(folder))


def prepare_keras_with_xla(problem: Problem) -> Prepared:
    """Keras' layer, compiled."""
    layer = make_keras_layer(problem)
    set_weights(problem, layer)
    if problem.call == "training":
        return prepare_training(problem, layer, jit_compile=True)
    mask = tensor_mask(problem)

    @tf.function(autograph=False, jit_compile=True)
    def forward(x):
        return layer(x, mask=mask, training=False)

    x = tf.constant(problem.inputs())
    return Prepared(lambda: forward(x), lambda y: [problem.without_padding(y.numpy())])


def make_keras_layer(problem: Problem) -> keras.layers.Layer:
    layer = getattr(keras.layers, OF_KERAS[problem.cell])
    options = {} if problem.cell == "vanilla" else {"use_cudnn": False}
    return layer(problem.shape.units, return_sequences=True, **options)


def as_model(problem: Problem, layer: keras.layers.Layer) -> keras.Model:
    """A model of one layer, for sequences of any length."""
    inputs = [keras.Input([None, problem.shape.features], name="x")]
    if problem.masks == "none":
        outputs = layer(inputs[0])
    else:
        inputs.append(keras.Input([None], dtype="bool", name="mask"))
        outputs = layer(inputs[0], mask=inputs[1])
    layer.set_weights(problem.weights())
    return keras.Model(inputs, outputs)


def prepare_served(problem: Problem, path: Path) -> Prepared:
    """A SavedModel."""
    served = tf.saved_model.load(str(path))
    tensors = {"x": tf.constant(problem.inputs())}
    mask = tensor_mask(problem)
    if mask is not None:
        tensors["mask"] = mask

    def run():
        (outputs,) = served.signatures["serving_default"](**tensors).values()
        return outputs

    return Prepared(run, lambda y: [problem.without_padding(y.numpy())])


def prepare_training(
    problem: Problem, layer: keras.layers.Layer, jit_compile: bool = False
) -> Prepared:
    """Outputs and gradients of a built layer, in one graph."""
    mask = tensor_mask(problem)

    @tf.function(autograph=False, jit_compile=jit_compile)
    def train(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            squares = layer(x, mask=mask, training=True) ** 2
            if mask is not None:
                squares *= tf.cast(mask, tf.float32)[..., None]
            loss = tf.reduce_sum(squares)
        return tape.gradient(loss, [x, *(v.value for v in layer.trainable_variables)])

    x = tf.constant(problem.inputs())
    return Prepared(lambda: train(x), lambda found: [tensor.numpy() for tensor in found])


def set_weights(problem: Problem, layer: keras.layers.Layer) -> None:
    layer.build(problem.inputs().shape)
    layer.set_weights(problem.weights())


def tensor_mask(problem: Problem) -> tf.Tensor | None:
    mask = problem.mask()
    return None if mask is None else tf.constant(mask)
