"""Smoothed character n-grams of several classes, to compare a decoder with."""

import collections
import itertools
import math
from collections.abc import Iterable
from typing import NamedTuple

import kerasrnn
from kerasrnn.text.tokens import END_ID, START_ID

ORDERS = range(1, 7)
"""How many characters the n-grams have from which validation chooses."""
DISCOUNTS, STRENGTHS = (0.0, 0.2, 0.4, 0.6, 0.8), (1.0, 3.0, 10.0, 30.0, 100.0)
"""Their smoothing: d and k below, from which validation chooses, too."""


class Names(NamedTuple):
    """Names, and the number of the country of each."""

    texts: list[str]
    countries: list[int]

    def of(self, country: int) -> set[str]:
        pairs = zip(self.texts, self.countries, strict=True)
        return {text for text, number in pairs if number == country}


class NGrams:
    """Character n-grams of each class, smoothed with those that are one character shorter.

        p(c | h) = (max(n(hc) - d, 0) + (k + d m(h)) p(c | h')) / (n(h) + k)

    h is the history of a character c in a class, h' is h without its oldest character, and m(h)
    is how many different characters follow h. Below the empty history, p is uniform.

    Args:
        names: to count.
        vocabulary: of characters.
        order: how many characters an n-gram has.

    Reference: Y. W. Teh, "A hierarchical Bayesian language model based on Pitman-Yor
    processes", 2006, doi:10.3115/1220175.1220299, with all characters at one table.
    """

    def __init__(self, names: Names, vocabulary: kerasrnn.TokenVocabulary, order: int):
        self.vocabulary, self.order = vocabulary, order
        self.counts: dict = collections.defaultdict(collections.Counter)
        for history, character in self._characters(names):
            for shorter in _histories(history):
                self.counts[shorter][character] += 1
        self.totals = {history: count.total() for history, count in self.counts.items()}

    def nats(self, names: Names, discount: float, strength: float) -> float:
        """The mean cross-entropy of a character."""
        found = collections.Counter(self._characters(names))
        logs = (
            count * math.log(self.probability(history, character, discount, strength))
            for (history, character), count in found.items()
        )
        return -sum(logs) / found.total()

    def probability(
        self, history: tuple, character: int, discount: float, strength: float
    ) -> float:
        p = 1 / (len(self.vocabulary) - 2)  # no name contains padding or a start
        for shorter in reversed(list(_histories(history))):
            if shorter in self.counts:
                counts, total = self.counts[shorter], self.totals[shorter]
                kept = max(counts[character] - discount, 0)
                p = (kept + (strength + discount * len(counts)) * p) / (total + strength)
        return p

    def _characters(self, names):
        """Each character with its history: the class, and ids from the oldest one."""
        for ids, country in zip(
            self.vocabulary.encode(names.texts).to_list(), names.countries, strict=True
        ):
            ids = [START_ID, *ids, END_ID]
            for t in range(1, len(ids)):
                yield (country, *ids[max(0, t - self.order + 1) : t]), ids[t]


def _histories(history):
    """A history, and those without its oldest characters, the longest one first."""
    country, *ids = history
    return ((country, *ids[start:]) for start in range(len(ids) + 1))


def choose(
    train: Names, validation: Names, vocabulary: kerasrnn.TokenVocabulary, orders: Iterable[int]
) -> tuple[NGrams, float, float]:
    """The n-grams that predict validation names best, and their discount and strength."""
    choices = (
        (grams.nats(validation, *smoothing), grams, *smoothing)
        for grams in (NGrams(train, vocabulary, order) for order in orders)
        for smoothing in itertools.product(DISCOUNTS, STRENGTHS)
    )
    return min(choices, key=lambda choice: choice[0])[1:]
