"""How large a model is, before it is made; nothing here imports TensorFlow."""

import dataclasses
import re

from apps.memory import (
    COPIES,
    FLOAT_BYTES,
    GATES,
    Part,
    check_memory,
    find_limit,
    training_parts,
)
from apps.sentiment.config import PRESETS, Train
from apps.sentiment.data import Reviews
from apps.sentiment.fitting import SMALLEST_BATCH, choose_batch_size

WORDS_OF_CONVOLUTION = 3


LINEAR_BYTES = 32
"""Of each weight of the linear model while it is trained: copies in double precision."""
BATCH_SIZE, WINDOW = 128, 48
"""Of pretraining."""
SAMPLED = 1024
"""How many words are sampled for the loss of pretraining."""


def count_weights(options: Train, num_words: int, num_labels: int = 2) -> int:
    """The weights of a model with a vocabulary of `num_words`."""
    units, directions = options.units, 2 if options.bidirectional else 1
    size, filters = options.embedding_dim, options.filters or 0
    read = filters if filters and options.stacked else size
    biases = 2 if options.cell == "gru" else 1  # of a step's input and of its state
    convolution = filters * (WORDS_OF_CONVOLUTION * size + 1)
    recurrent = GATES[options.cell] * units * (read + units + biases)
    pooled = directions * units
    if options.pooling == "mean_max":
        pooled = 2 * (pooled + filters)
    outputs = num_labels if num_labels > 2 else 1
    linear = num_words + options.word_pairs if options.word_pairs else 0
    layers = num_words * size + convolution + directions * recurrent
    return layers + (pooled + 1 + linear) * outputs


def check_training(
    options: Train, training: Reviews | None = None, num_labels: int = 2
) -> None:
    """Refuses a training that the memory cannot hold.

    Args:
        options: of the training.
        training: its texts, once they are known.
        num_labels: how many labels there are.

    Raises:
        UserError: it names the options that ask for too much.
    """
    batch_size = options.batch_size or SMALLEST_BATCH
    if training is not None:
        batch_size = choose_batch_size(options, len(training))
    num_words = 2 if training is None else _count_words(options, training)
    directions = 2 if options.bidirectional else 1
    # Of each step: the word vector, the convolution, and for each direction the inputs of the
    # gates and the output, which the backward pass reads. The longest batches are padded to
    # max_length.
    of_step = options.embedding_dim + (options.filters or 0)
    of_step += directions * options.units * (GATES[options.cell] + 1)
    steps = batch_size * options.max_length
    network = dataclasses.replace(options, word_pairs=None)
    parts = training_parts(
        count_weights(network, num_words, num_labels),
        ("vocabulary_size", "embedding_dim", "units", "filters"),
        steps * of_step,
        ("batch_size", "max_length", "embedding_dim", "units", "filters"),
    )
    if options.word_pairs is not None:
        outputs = num_labels if num_labels > 2 else 1
        num_bytes = LINEAR_BYTES * (num_words + options.word_pairs) * outputs
        linear = ("word_pairs", "vocabulary_size")
        parts.append(Part("the linear model takes", num_bytes, linear))
    if options.pretraining_epochs:
        weights = count_weights(network, num_words) + options.units * options.embedding_dim
        of_word = (
            options.embedding_dim + options.units * (GATES[options.cell] + 1) + 2 * SAMPLED
        )
        num_bytes = FLOAT_BYTES * (COPIES * weights + BATCH_SIZE * WINDOW * of_word)
        of_language = ("vocabulary_size", "embedding_dim", "units", "pretraining_epochs")
        parts.append(Part("pretraining takes", num_bytes, of_language))
    check_memory(options, PRESETS[options.preset], parts)


def _count_words(options: Train, training: Reviews) -> int:
    """The size of the vocabulary; words, which takes long, are counted only if it matters."""
    most = options.vocabulary_size
    limit = find_limit()
    if limit is None or COPIES * FLOAT_BYTES * most * options.embedding_dim < limit / 2:
        return most
    words: set[str] = set()
    for text in training.texts:
        words.update(re.findall(r"[\w']+", text.lower()))
    return min(most, len(words) + 2)
