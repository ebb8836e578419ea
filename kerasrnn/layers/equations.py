"""What a cell is: one step, and the adjoint of that step.

With inputs that are projected already, p_k = x W_x^k + b^k for each gate k, states s and
recurrent weights W_k, a step is

    s_t, kept_t = step(p_t, s_{t-1}, product)

where `product(u, k)` is (m_k * u) W_k, with the dropout mask m_k. Its adjoint takes the
gradients delta of the new states back to all that the step read:

    dp_t, ds_{t-1} = adjoint(kept_t, s_{t-1}, s_t, delta_t, product)

where `product.back(d, k, u)` is m_k * (d W_k^T): the gradient of u, if d is that of the
product. It also notes that dW_k = sum_t (m_k * u)^T d. An adjoint is linear in delta.

Both are functions of tensors `(batch, units)` without a state of their own. Masks, leaks and
zoneout stand around them, once for all cells, in `kerasrnn.layers.surroundings`; the loops over
time and the gates on gradients are in `kerasrnn.layers.scans`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf


class Equations(NamedTuple):
    """The two functions that make a cell; see above.

    Layers keep compiled code for each pair of functions: define them in a module, or make
    them in a function with `functools.cache`, but not anew for each call.
    """

    step: Callable
    """From (p, states, product) to the new states and what the adjoint needs, two lists."""
    adjoint: Callable | None = None
    """From (kept, states before, new states, gradients of the new states, product) to the
    gradients of p and of the states before. `None`: TensorFlow differentiates the steps."""


class Product:
    """The products with the recurrent weights in a step.

    Args:
        weights: matrices `(units, units)`; a vector `(units,)` is a bias.
        masks: one dropout mask a weight, `(batch, units)` or `None`. Default: none.
    """

    def __init__(
        self, weights: Sequence[tf.Tensor], masks: Sequence[tf.Tensor | None] | None = None
    ):
        self.weights = weights
        self.masks = masks or [None] * len(weights)

    def __call__(self, read: tf.Tensor | None, k: int) -> tf.Tensor:
        """(m_k * u) W_k; b_k for a bias, which reads nothing (`None`)."""
        if read is None:
            return self.weights[k]
        return tf.matmul(masked(read, self.masks[k]), self.weights[k])


class JoinedProduct:
    """The products of one step without dropout. Gates that read the same tensor share one.

    Args:
        kernel: all W_k, `(units, gates * units)`.
        num_gates: how many.
        biases: those that `Equations` count after the matrices.
    """

    def __init__(self, kernel: tf.Tensor, num_gates: int, biases: Sequence[tf.Tensor] = ()):
        self.kernel, self.num_gates, self.biases = kernel, num_gates, biases
        self._read: tf.Tensor | None = None
        self._products: list[tf.Tensor] = []

    def __call__(self, read: tf.Tensor | None, k: int) -> tf.Tensor:
        """u W_k, or a bias."""
        if read is None:
            return self.biases[k - self.num_gates]
        if self._read is None:
            self._read = read
            self._products = tf.split(tf.matmul(read, self.kernel), self.num_gates, axis=1)
        if read is self._read:
            return self._products[k]
        units = self.kernel.shape[0]
        return tf.matmul(read, self.kernel[:, k * units : (k + 1) * units])


class BackwardProduct:
    """The same products in an adjoint.

    Args:
        transposed: W_k^T, which a loop reads in the order it lies in memory: up to twice as
            fast as W_k.
        masks: as in `Product`.
    """

    def __init__(
        self, transposed: Sequence[tf.Tensor], masks: Sequence[tf.Tensor | None] | None = None
    ):
        self.transposed = transposed
        self.masks = masks or [None] * len(transposed)
        self.noted: list[tuple[int, tf.Tensor | None, tf.Tensor]] = []
        """k, u and delta of each product."""

    def back(self, delta: tf.Tensor, k: int, read: tf.Tensor | None) -> tf.Tensor | None:
        """m_k * (delta W_k^T), the gradient of u; `None` for a bias."""
        self.noted.append((k, read, delta))
        if read is None:
            return None
        return masked(tf.matmul(delta, self.transposed[k]), self.masks[k])


def masked(tensor: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
    """`tensor * mask`, where there is a mask."""
    return tensor if mask is None else tensor * mask
