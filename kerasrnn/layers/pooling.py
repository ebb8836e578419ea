"""Pooling over time that leaves out masked steps."""

import keras
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable(package="kerasrnn")
class GlobalMeanMaxPooling1D(keras.layers.Layer):
    """The mean and the maximum over all unmasked steps, concatenated.

    Unlike `keras.layers.GlobalMaxPooling1D` it supports masks. A sequence whose steps
    are all masked gives zeros.

    Call arguments:
        sequences: `(batch, time, features)`.
        mask: optional booleans, `(batch, time)`.

    Returns:
        `(batch, 2 * features)`: means first, then maxima.

    Example:

    >>> sequences = keras.ops.array([[[1.0], [3.0], [100.0]]])
    >>> mask = keras.ops.array([[True, True, False]])
    >>> GlobalMeanMaxPooling1D()(sequences, mask=mask).numpy().tolist()
    [[2.0, 3.0]]
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, sequences, mask=None):
        if mask is None:
            mask = ops.ones(ops.shape(sequences)[:2], "bool")
        counts = ops.cast(mask, sequences.dtype)
        num_steps = ops.sum(ops.cast(mask, "int32"), axis=1, keepdims=True)
        # A product and a sum with the mask: half the time of choosing elements.
        total = ops.squeeze(ops.matmul(ops.expand_dims(counts, 1), sequences), 1)
        mean = total / ops.cast(ops.maximum(num_steps, 1), sequences.dtype)
        # Not -inf: some runtimes choose by a product with 0 or 1, and 0 * inf is no number.
        lowest = tf.as_dtype(sequences.dtype).min
        shut_out = ops.where(mask, ops.zeros_like(counts), lowest)
        maximum = tf.reduce_max(sequences + ops.expand_dims(shut_out, -1), axis=1)
        maximum = ops.where(num_steps > 0, maximum, ops.zeros_like(maximum))
        return ops.concatenate([mean, maximum], axis=-1)

    def compute_mask(self, _, mask=None):
        return None

    def compute_output_shape(self, sequences_shape):
        return (sequences_shape[0], 2 * sequences_shape[-1])
