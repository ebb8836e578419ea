"""Chooses epochs, batch size and patience from the number of texts.

Small data sets get more epochs and smaller batches, so that there are enough training steps.
"""

import statistics
from collections.abc import Sequence

from apps.sentiment.config import Train

BATCH_SIZE, SMALLEST_BATCH = 64, 8
STEPS_IN_AN_EPOCH = 20
"""For fewer steps, batches are halved."""
FEWEST_EPOCHS, MOST_EPOCHS = 2, 30
FEWEST_PATIENCE = 2
FEW_TEXTS = 1000
"""Below this number, scores vary by several points from seed to seed."""


def choose_batch_size(options: Train, num_texts: int) -> int:
    """The texts in a step; never more than there are."""
    if options.batch_size is not None:
        return min(options.batch_size, num_texts)
    size = BATCH_SIZE
    while size > SMALLEST_BATCH and size * STEPS_IN_AN_EPOCH > num_texts:
        size //= 2
    return min(size, num_texts)


def choose_epochs(options: Train, num_steps: int) -> int:
    """The most epochs, of `num_steps` steps each."""
    enough = min(max(round(options.steps / num_steps), FEWEST_EPOCHS), MOST_EPOCHS)
    return options.epochs or enough


def choose_patience(options: Train, epochs: int) -> int:
    """After how many epochs that are no better a training stops."""
    return max(FEWEST_PATIENCE, epochs // 3) if options.patience is None else options.patience


def find_misfits(options: Train, texts: Sequence[str], num_words: int) -> list[str]:
    """Why the options do not suit the training texts; empty if they do.

    Args:
        options: those asked for.
        texts: the training texts.
        num_words: how many words the vocabulary has.
    """
    misfits = []
    if len(texts) < FEW_TEXTS:
        misfits.append(f"{len(texts):,} training texts are few, so scores vary with --seed")
    if num_words < options.vocabulary_size / 2:
        misfits.append(
            f"the training texts have {num_words:,} different words, and --vocabulary-size is "
            f"{options.vocabulary_size:,}"
        )
    if statistics.median(len(text.split()) for text in texts) > options.max_length:
        misfits.append(
            f"most training texts have more words than --max-length {options.max_length:,}, "
            "and only the last are read"
        )
    return misfits
