"""TensorFlow's LSTM of one operation, `BlockLSTMV2`, and that for its gradients.

The gates stand in the order that Keras has. The gradient that TensorFlow registers for the
operation expects another order and is wrong, so `BlockLSTMGradV2` is called here.

The operation knows one length for the whole batch. As padding is on the right and its outputs
do not count, masks change nothing else.
"""

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import numpy as np
    import tensorflow as tf

from benchmarks.peers.keras_layers import tensor_mask
from benchmarks.peers.prepared import Prepared
from benchmarks.problems import Problem


def prepare(problem: Problem) -> Prepared:
    """The operation, in a graph."""
    batch, time, features, units = problem.shape
    kernel, recurrent_kernel, bias = problem.weights()
    mask, lengths = tensor_mask(problem), problem.lengths()
    arguments = {
        "seq_len_max": tf.constant(time if lengths is None else lengths.max(), tf.int64),
        "cs_prev": tf.zeros([batch, units]),
        "h_prev": tf.zeros([batch, units]),
        "w": tf.constant(np.concatenate([kernel, recurrent_kernel])),
        **dict.fromkeys(("wci", "wcf", "wco"), tf.zeros([units])),
        "b": tf.constant(bias),
        "use_peephole": False,
    }

    @tf.function(autograph=False)
    def infer(x):
        x = tf.transpose(x, [1, 0, 2])
        found = tf.raw_ops.BlockLSTMV2(x=x, cell_clip=0, **arguments)
        return tf.transpose(found.h, [1, 0, 2])

    @tf.function(autograph=False)
    def train(x):
        x = tf.transpose(x, [1, 0, 2])
        found = tf.raw_ops.BlockLSTMV2(x=x, cell_clip=0, **arguments)
        h_grad = 2 * found.h  # of the sum of squares
        if mask is not None:
            h_grad *= tf.cast(tf.transpose(mask), tf.float32)[..., None]
        gradients = tf.raw_ops.BlockLSTMGradV2(
            x=x,
            **found._asdict(),
            cs_grad=tf.zeros_like(found.cs),
            h_grad=h_grad,
            **arguments,
        )
        x_grad = tf.transpose(gradients.x_grad, [1, 0, 2])
        return x_grad, gradients.w_grad, gradients.b_grad

    def read_gradients(found):
        dx, dw, db = (tensor.numpy() for tensor in found)
        return [dx, *np.split(dw, [features]), db]

    x = tf.constant(problem.inputs())
    if problem.call == "training":
        return Prepared(lambda: train(x), read_gradients)
    return Prepared(lambda: infer(x), lambda y: [problem.without_padding(y.numpy())])
