"""Error rates of texts, as in speech recognition: of whole texts, and of their tokens."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf

from apps.transduce.data import tokens_of


class Rates(NamedTuple):
    """How often a model is wrong."""

    sequence_error_rate: float
    """The fraction of texts that match none of their targets."""
    token_error_rate: float
    """The edit distance to the nearest target, divided by the number of its tokens; summed over
    all texts before the division."""


def as_percent(scores: Mapping[str, float]) -> dict[str, str]:
    """The rates among scores, as the tables of the app show them."""
    return {
        "sequence errors": f"{scores['sequence_error_rate']:.2%}",
        "token errors": f"{scores['token_error_rate']:.2%}",
    }


def error_rates(
    written: Sequence[str], targets: Sequence[Sequence[str]], split_by: str
) -> Rates:
    """Compares texts with their targets.

    Args:
        written: the texts of a model.
        targets: for each text those that are right, one or more.
        split_by: how texts are split into tokens: `"character"` or `"whitespace"`.
    """
    pairs = [
        (number, tokens_of(text, split_by), tokens_of(target, split_by))
        for number, (text, right) in enumerate(zip(written, targets, strict=True))
        for target in right
    ]
    distances = tf.edit_distance(
        _sparse([text for _, text, _ in pairs]),
        _sparse([target for *_, target in pairs]),
        normalize=False,
    )
    nearest: dict[int, tuple[float, int]] = {}
    for (number, _, target), distance in zip(pairs, distances.numpy().tolist(), strict=True):
        found = (distance, len(target))
        nearest[number] = min(nearest.get(number, found), found)
    num_wrong = sum(distance > 0 for distance, _ in nearest.values())
    num_edits = sum(distance for distance, _ in nearest.values())
    num_tokens = sum(length for _, length in nearest.values())
    return Rates(num_wrong / len(written), num_edits / num_tokens)


def _sparse(rows: list[list[str]]) -> tf.SparseTensor:
    """Tokens `(rows, time)`; all rows count, empty ones, too."""
    indices = [(row, place) for row, tokens in enumerate(rows) for place in range(len(tokens))]
    return tf.SparseTensor(
        tf.constant(indices, tf.int64, [len(indices), 2]),
        tf.constant([token for tokens in rows for token in tokens], tf.string),
        [len(rows), max(map(len, rows), default=0)],
    )
