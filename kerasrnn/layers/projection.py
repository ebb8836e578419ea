"""What the inputs add to a step, p_k = x W_x^k + b^k for each gate k, and its adjoint.

The products do not depend on the states. Training computes them for all steps before its loop,
and needs every p again. Inference computes them inside its loop, for the few steps of one
iteration: while one core runs the steps, the others can compute the next p.
"""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import tensorflow as tf


class Projection(NamedTuple):
    """W_x and b of each gate."""

    kernels: tuple[tf.Tensor, ...]
    """Each `(features, units)`."""
    biases: tuple[tf.Tensor | None, ...]
    """Each `(units,)`, or `None`."""

    def __call__(self, inputs: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """p of each gate, `(..., units)`; each from a product of its own, so that none is
        copied."""
        return tuple(
            affine(inputs, kernel, bias)
            for kernel, bias in zip(self.kernels, self.biases, strict=True)
        )

    def back(
        self, inputs: tf.Tensor, deltas: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, "Projection"]:
        """The gradients of x and of the weights, from those of p.

        dx = sum_k dp_k W_x^k^T        dW_x^k = x^T dp_k        db^k = sum dp_k
        """
        rows = [_rows(delta) for delta in deltas]
        d_inputs = tf.add_n(
            [tf.matmul(r, w, transpose_b=True) for r, w in zip(rows, self.kernels, strict=True)]
        )
        read = _rows(inputs)
        kernels = tuple(tf.matmul(read, r, transpose_a=True) for r in rows)
        biases = tuple(
            None if bias is None else tf.reduce_sum(r, 0)
            for r, bias in zip(rows, self.biases, strict=True)
        )
        return tf.reshape(d_inputs, tf.shape(inputs)), Projection(kernels, biases)


def affine(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None) -> tf.Tensor:
    """x W + b, as one product for all steps."""
    rows = tf.matmul(_rows(inputs), kernel)
    if bias is not None:
        rows = tf.nn.bias_add(rows, bias)
    if len(inputs.shape) == 2:
        return rows
    shape = [*keras.ops.shape(inputs)[:-1], keras.ops.shape(kernel)[1]]
    return tf.ensure_shape(tf.reshape(rows, shape), [*inputs.shape[:-1], kernel.shape[1]])


def _rows(tensor):
    """`(rows, features)`."""
    return tf.reshape(tensor, [-1, keras.ops.shape(tensor)[-1]])
