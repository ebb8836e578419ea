"""Fixed seeds, without what `keras.utils.set_random_seed` does more."""

import random

import numpy as np


def set_seed(seed: int) -> None:
    """Seeds Python and NumPy, from which Keras draws the seeds of initializers and dropout.

    TensorFlow keeps its own seed: setting it throws away every compiled kernel, and only
    operations without a seed use it.
    """
    random.seed(seed)
    np.random.seed(seed)
