"""Attention: at each step, a decoder looks at the outputs of an encoder.

With h_t the state of the decoder and m_1, m_2, ... the outputs of the encoder, the memory:

    e_ti = score(h_t, m_i)      a_t = softmax(e_t)      c_t = sum over i of a_ti m_i
    output_t = tanh([c_t, h_t] W + b)

The score is h_t m_i (dot, Luong et al. 2015) or v tanh(h_t W_q + m_i W_k) (additive, Bahdanau
et al. 2015). Both scores use h_t, the state after the step, as Luong et al. do, and the context
c_t is not fed back. So training computes the attention of all steps at once.

References: D. Bahdanau, K. Cho and Y. Bengio, "Neural machine translation by jointly learning
to align and translate", 2015, arXiv:1409.0473. M.-T. Luong, H. Pham and C. Manning, "Effective
approaches to attention-based neural machine translation", 2015, arXiv:1508.04025.
"""

import warnings
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from kerasrnn.checks import check_one_of

SCORES = ("dot", "additive")


class Memory(NamedTuple):
    """What a decoder looks at."""

    values: tf.Tensor
    """The outputs of the encoder, `(batch, source_time, units)`."""
    keys: tf.Tensor
    """What the score reads of them, of the same shape."""
    mask: tf.Tensor
    """Booleans, `(batch, source_time)`: false for padding."""


class ContextLayer(keras.layers.Layer):
    """Combines each output of a decoder with its attention context.

    Args:
        score: `"dot"` or `"additive"`.
        units: the size of the outputs of encoder and decoder.
        **kwargs: what every Keras layer takes.

    Call arguments:
        queries: h_t, `(batch, time, units)`.
        memory: a `Memory`.

    Returns:
        Outputs, `(batch, time, units)`, and the weights a_t, `(batch, time, source_time)`.
    """

    def __init__(self, score: str, units: int, **kwargs: Any):
        check_one_of("score", score, SCORES)
        super().__init__(**kwargs)
        self.supports_masking = True
        policy = self.dtype_policy
        self.of_queries = self.of_memory = None
        if score == "additive":
            self.of_queries = keras.layers.Dense(units, use_bias=False, dtype=policy)
            self.of_memory = keras.layers.Dense(units, dtype=policy)
            self.attention = keras.layers.AdditiveAttention(dtype=policy)
        else:
            self.attention = keras.layers.Attention(score_mode="dot", dtype=policy)
        self.combine = keras.layers.Dense(units, activation="tanh", dtype=policy)

    def remember(self, values: tf.Tensor, mask: tf.Tensor) -> Memory:
        """The memory of encoder outputs, `(batch, source_time, units)`, with their mask."""
        keys = values if self.of_memory is None else self.of_memory(values)
        return Memory(values, keys, mask)

    def call(self, queries: tf.Tensor, memory: Memory) -> tuple[tf.Tensor, tf.Tensor]:
        projected = queries if self.of_queries is None else self.of_queries(queries)
        with warnings.catch_warnings():  # Keras warns of a softmax over a single token
            warnings.filterwarnings("ignore", "You are using a softmax over axis -1")
            contexts, weights = self.attention(
                [projected, memory.values, memory.keys],
                mask=[None, memory.mask],
                return_attention_scores=True,
            )
        return self.combine(keras.ops.concatenate([contexts, queries], axis=-1)), weights
