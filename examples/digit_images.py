"""Images of two handwritten digits, with captions: a recipe, and its seed.

The 1,797 digits of scikit-learn, shuffled with `DATA_SEED`, are 60 % training, 20 % validation
and 20 % test digits. An image is made only of digits of its own split. For each, the relation,
the digits and where the pair stands, up to `MOST_MOVED` pixels from the middle in both
directions, are drawn uniformly.

The digits: E. Alpaydin and C. Kaynak, "Optical recognition of handwritten digits", UCI Machine
Learning Repository, 1998, doi:10.24432/C50P49, under CC BY 4.0.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from apps.errors import UserError

WORDS = "zero one two three four five six seven eight nine".split()
DIGIT, MOST_MOVED = 8, 1
"""Pixels: the sides of a digit, and how far a pair is moved."""
CANVAS = 2 * DIGIT + 2 * MOST_MOVED
SIZES = {"train": 6000, "validation": 1000, "test": 1000}
DATA_SEED = 0
RELATIONS = ("beside", "above")
"""How the first digit stands to the second one."""


class Examples(NamedTuple):
    """Images, and what is on them."""

    images: np.ndarray
    """float32 in [0, 1], `(count, CANVAS, CANVAS, 1)`."""
    relations: list[int]
    digits: list[tuple[int, ...]]

    @property
    def captions(self) -> list[str]:
        return [describe(*parts) for parts in zip(self.relations, self.digits, strict=True)]


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """Images in [0, 1], `(count, 8, 8)`, and what digits they are."""
    try:
        from sklearn import datasets
    except ImportError as error:
        raise UserError(
            "scikit-learn is not installed. Install it: python -m pip install scikit-learn"
        ) from error
    digits = datasets.load_digits()
    return digits.images.astype("float32") / 16, digits.target


def describe(relation: int, digits: Sequence[int]) -> str:
    """The caption of an image, such as "a seven above an eight"."""
    parts = [f"{'an' if digit == 8 else 'a'} {WORDS[digit]}" for digit in digits]
    return f" {RELATIONS[relation]} ".join(parts)


def paint(relation: int, pixels: np.ndarray, down: int, right: int) -> np.ndarray:
    """An image of two digits, `(2, 8, 8)`, beside or above each other near the middle."""
    canvas = np.zeros([CANVAS, CANVAS, 1], "float32")
    group = np.concatenate(pixels, axis=1 if RELATIONS[relation] == "beside" else 0)
    top, left = ((CANVAS - size) // 2 for size in group.shape)
    top, left = top + down, left + right
    canvas[top : top + group.shape[0], left : left + group.shape[1], 0] = group
    return canvas


def compose(pixels: np.ndarray, labels: np.ndarray, count: int, seed) -> Examples:
    """Images of some digits, by the recipe above."""
    rng = np.random.default_rng(seed)
    images, relations, digits = [], [], []
    for _ in range(count):
        relation = int(rng.integers(len(RELATIONS)))
        drawn = rng.integers(len(labels), size=2)
        moved = rng.integers(-MOST_MOVED, MOST_MOVED + 1, size=2)
        images.append(paint(relation, pixels[drawn], *moved))
        relations.append(relation)
        digits.append(tuple(labels[drawn].tolist()))
    return Examples(np.stack(images), relations, digits)


def make_examples() -> dict[str, Examples]:
    """Training, validation and test images, each of digits of their own."""
    pixels, labels = load_digits()
    order = np.random.default_rng(DATA_SEED).permutation(len(labels))
    edges = [len(labels) * 6 // 10, len(labels) * 8 // 10]
    return {
        name: compose(pixels[rows], labels[rows], count, [DATA_SEED, number])
        for number, ((name, count), rows) in enumerate(
            zip(SIZES.items(), np.split(order, edges), strict=True)
        )
    }
