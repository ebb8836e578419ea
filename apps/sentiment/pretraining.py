"""Initial weights of a classifier, learned from the training texts without their labels.

Reference: A. Dai and Q. Le, "Semi-supervised sequence learning", 2015, arXiv:1511.01432.
"""

import random
import time
from collections.abc import Sequence
from pathlib import Path

from apps import run_dir
from apps.quiet import quiet_tensorflow
from apps.sentiment.config import Train
from apps.sentiment.sizes import BATCH_SIZE, SAMPLED, WINDOW

with quiet_tensorflow():
    import keras
    import numpy as np
    import tensorflow as tf

    import kerasrnn
    from apps.training import fit

WHOLE_TEXT = 2**31 - 1  # words to read of a text
FEWEST_WINDOWS = 10
"""Of an epoch. If there are few texts, the batch is made smaller to reach it."""
LEARNING_RATE, DROPOUT = 3e-3, 0.2
BOUNDARY = 0
"""The id between two texts; the same as the padding id."""


def prepare(
    model: kerasrnn.TextClassifier,
    training: Sequence[str],
    validation: Sequence[str],
    options: Train,
    folder: Path,
) -> float:
    """Sets initial word vectors; may also teach the recurrent layer to predict the next word.

    Args:
        model: built, with initial weights.
        training, validation: texts.
        options: `word_vectors` and `pretraining_epochs` say what is done.
        folder: of the run; its sub-folder `run_dir.PRETRAINING` gets the checkpoints of the
            language model.

    Returns:
        The seconds it took.
    """
    seconds = 0.0
    if options.word_vectors:
        print("word vectors: counting neighbouring words", flush=True)
        start = time.perf_counter()
        ids = model.vocabulary.encode(tf.constant(training), WHOLE_TEXT)
        (embeddings,) = model.embedding.weights
        embeddings.assign(kerasrnn.word_vectors(ids, *embeddings.shape))
        seconds += time.perf_counter() - start
    if options.pretraining_epochs:
        print("pretraining: learning to predict the next word", flush=True)
        seconds += _learn_language(model, training, validation, options, folder)
    return seconds


def _learn_language(model, training, validation, options, folder) -> float:
    words, held_out = (
        join_texts(texts, model.vocabulary, options.seed) for texts in (training, validation)
    )
    batch_size = max(1, min(BATCH_SIZE, len(words) // (WINDOW * FEWEST_WINDOWS)))
    language_model = kerasrnn.WordLanguageModel(
        len(model.vocabulary),
        options.embedding_dim,
        options.cell,
        options.units,
        dropout=DROPOUT,
        num_sampled=SAMPLED,
    )
    num_steps = -(-len(words) // (batch_size * WINDOW)) * options.pretraining_epochs
    learning_rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, num_steps)
    language_model.compile(
        keras.optimizers.Adam(learning_rate, beta_2=0.99), window=WINDOW, global_clipnorm=1.0
    )
    language_model(tf.zeros([1, 1], tf.int32))
    language_model.embedding.set_weights(model.embedding.get_weights())
    pretraining = folder / run_dir.PRETRAINING
    pretraining.mkdir(exist_ok=True)
    _, seconds = fit(
        language_model,
        kerasrnn.Stream.from_tokens(words, batch_size),
        kerasrnn.Stream.from_tokens(held_out, min(batch_size, max(1, len(held_out) // WINDOW))),
        folder=pretraining,
        epochs=options.pretraining_epochs,
        chosen_by="val_loss",
        mode="min",
        patience=options.pretraining_epochs,
        advice="Leave out pretraining with --pretraining-epochs 0.",
    )
    model.start_from(language_model)
    return seconds


def join_texts(texts: Sequence[str], vocabulary: kerasrnn.Vocabulary, seed: int) -> np.ndarray:
    """Shuffles texts and joins their ids, with a `BOUNDARY` before, between and after them."""
    order = list(texts)
    random.Random(seed).shuffle(order)
    ids = vocabulary.encode(tf.constant(order), WHOLE_TEXT)
    boundaries = tf.fill([ids.shape[0], 1], BOUNDARY)
    ids = tf.concat([boundaries, ids], axis=1).flat_values
    return np.append(ids.numpy(), [BOUNDARY]).astype(np.int32)
