"""What a model in training answers to batches of texts."""

import functools

import numpy as np

from apps.quiet import quiet_tensorflow

with quiet_tensorflow():
    import tensorflow as tf

    import kerasrnn


def predict_batches(
    model: kerasrnn.TextClassifier, batches: tf.data.Dataset
) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities that a model gives to labelled texts, and their labels.

    There is one graph for batches of all lengths. `model.predict` would trace several, and
    TensorFlow would warn of it.

    Args:
        model: built.
        batches: of ids, `(batch, time)`, and labels.

    Returns:
        `(texts, outputs)` and `(texts,)`.
    """
    answer = tf.function(
        functools.partial(model, training=False),
        [tf.TensorSpec([None, None], tf.int32)],
        autograph=False,
    )
    probabilities, labels = zip(
        *((answer(ids), of_texts) for ids, of_texts in batches), strict=True
    )
    return np.concatenate(probabilities), np.concatenate(labels).astype(int)
