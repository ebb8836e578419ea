"""Chooses epochs and batch size from the number of pairs; nothing here imports TensorFlow."""

from apps.transduce.config import Train

BATCH_SIZE, SMALLEST_BATCH = 128, 8
STEPS_IN_AN_EPOCH = 50
"""For fewer steps, batches are halved."""
MOST_EPOCHS = 100


def choose_batch_size(options: Train, num_pairs: int) -> int:
    """The pairs in a step; never more than there are."""
    if options.batch_size is not None:
        return max(min(options.batch_size, num_pairs), 1)
    size = BATCH_SIZE
    while size > SMALLEST_BATCH and size * STEPS_IN_AN_EPOCH > num_pairs:
        size //= 2
    return max(min(size, num_pairs), 1)


def choose_epochs(options: Train, num_steps: int) -> int:
    """The most epochs, of `num_steps` steps each."""
    return options.epochs or min(max(round(options.steps / num_steps), 1), MOST_EPOCHS)
