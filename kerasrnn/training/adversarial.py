"""Adversarial training: noise on word vectors that makes the loss larger."""

from typing import TYPE_CHECKING

import tensorflow as tf

if TYPE_CHECKING:  # it imports this module
    from kerasrnn.training.step import Counts, TrainingStep
    from kerasrnn.training.window import Window


def with_noise(step: "TrainingStep", window: "Window", counts: "Counts") -> tf.Tensor:
    """The vectors of a batch, moved to where the loss is larger.

    With x the vectors of a sequence and g = dL/dx, they become

        x + size * norm * g / |g|

    where |g| is the norm over the whole sequence, and norm is the root mean square of the norms
    of its unmasked vectors. So the noise grows with the vectors.

    Args:
        step: whose model it is. The model has an `embedding`, and its call takes `vectors`
            in place of those of its inputs.
        window: a batch of whole sequences of ids.
        counts: how many steps count in the loss.

    Returns:
        `(batch, time, features)`, of the model's dtype. Masked steps have no noise.

    Reference: T. Miyato et al., "Adversarial training methods for semi-supervised text
    classification", 2017, arXiv:1605.07725.
    """
    model, size = step.model, step.options.adversarial_noise
    embedded = model.embedding(window.inputs)
    vectors = tf.stop_gradient(embedded)
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        outputs = model(window.inputs, vectors=vectors, training=True)
        # Only the direction counts, so in mixed precision the loss may stay scaled.
        loss = step.optimizer.scale_loss(step.loss_of(window, outputs, counts))
    gradient = tape.gradient(loss, vectors, unconnected_gradients="zero")
    gradient = tf.cast(gradient, tf.float32)
    gradient = tf.where(tf.math.is_finite(gradient), gradient, 0.0)
    # A sum of squares of tiny numbers would be 0: the largest of them is made 1 first.
    largest = tf.reduce_max(tf.abs(gradient), axis=(1, 2), keepdims=True)
    direction = tf.math.divide_no_nan(gradient, largest)
    length = tf.sqrt(tf.reduce_sum(direction**2, axis=(1, 2), keepdims=True))
    direction = tf.math.divide_no_nan(direction, length)
    counted = tf.cast(model.embedding.compute_mask(window.inputs), tf.float32)
    squares = tf.reduce_sum(tf.cast(vectors, tf.float32) ** 2, axis=-1) * counted
    mean = tf.math.divide_no_nan(tf.reduce_sum(squares, 1), tf.reduce_sum(counted, 1))
    noise = tf.stop_gradient(size * tf.sqrt(mean)[:, None, None] * direction)
    return embedded + tf.cast(noise, vectors.dtype)
