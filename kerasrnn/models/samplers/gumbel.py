"""Random draws at a temperature: the Gumbel-max trick.

To draw from softmax(logits / T) is to take the largest of logits + T g, where
the g are independent Gumbel numbers: no softmax and no cumulative sum. At T = 0
the noise is 0, and the most probable character is taken: that is greedy.

Reference: E. J. Gumbel, "Statistical theory of extreme values and some practical
applications", 1954; C. J. Maddison, D. Tarlow and T. Minka, "A* sampling", 2014,
arXiv:1411.0030.
"""

from typing import Any

import numpy as np
import tensorflow as tf

_SMALLEST = float(np.finfo(np.float32).tiny)


def gumbel(shape: Any, seed: tf.Tensor) -> tf.Tensor:
    """Gumbel numbers for a seed, int32 `(2,)`; all of them finite."""
    return _to_gumbel(tf.random.stateless_uniform(shape, seed, minval=_SMALLEST))


def _to_gumbel(uniform):
    return -tf.math.log(-tf.math.log(uniform))
