"""Real words with their parts of speech: the Greek New Testament, in the package `py-sblgnt`.

Each chapter is for training, for validation or for testing, as a whole. Matthew, Mark and Luke
tell many stories in similar words, so a test chapter can resemble one in training.

Reference: J. K. Tauber (ed.), "MorphGNT: SBLGNT Edition", 2017, doi:10.5281/zenodo.376200.
The tags are licensed under CC BY-SA 3.0, the text under the SBLGNT EULA.
"""

import random
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from apps.sources import find_packaged

PACKAGE = {
    "package": "py-sblgnt",
    "version": "0.10",
    "files": "pysblgnt/sblgnt/*-morphgnt.txt",
    "sha256": "f95833b147bb182786750700423625528dcb38f1508ea7585bce52e730a352f9",
}
TAGS = ("A-", "C-", "D-", "I-", "N-", "P-", "RA", "RD", "RI", "RP", "RR", "V-", "X-")
"""Adjective, conjunction, adverb, interjection, noun, preposition, article; demonstrative,
interrogative, personal and relative pronoun; verb, particle."""
HELD_OUT, SPLIT_SEED = 0.1, 0
"""A tenth of the chapters is for validation, a tenth for testing; drawn with this seed."""


class Sentence(NamedTuple):
    """Words in lower case, and the tag of each."""

    words: list[str]
    tags: list[str]


class Splits(NamedTuple):
    """What the model learns from, what choices are made on, and what is reported."""

    train: list[Sentence]
    validation: list[Sentence]
    test: list[Sentence]


def load() -> Splits:
    """The sentences of the package.

    Raises:
        UserError: if it is not installed.
    """
    return split(read_chapters(find_packaged(**PACKAGE)))


def read_chapters(paths: Iterable[Path]) -> list[list[Sentence]]:
    """The sentences of each chapter. A line is a word: its place, tag, text, and more."""
    chapters: dict[str, list[Sentence]] = {}
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            place, tag, _, _, text, word, *_ = line.split()
            chapter = place[:4]  # book and chapter, two digits each
            sentences = chapters.setdefault(chapter, [Sentence([], [])])
            sentences[-1].words.append(word.lower())
            sentences[-1].tags.append(tag)
            if "." in text or ";" in text:  # the Greek question mark
                sentences.append(Sentence([], []))
    return [[s for s in sentences if s.words] for sentences in chapters.values()]


def split(chapters: Iterable[list[Sentence]]) -> Splits:
    """Draws whole chapters for testing and validation; the rest is for training."""
    shuffled = list(chapters)
    random.Random(SPLIT_SEED).shuffle(shuffled)
    size = int(HELD_OUT * len(shuffled))
    parts = shuffled[2 * size :], shuffled[size : 2 * size], shuffled[:size]
    return Splits(*([s for chapter in part for s in chapter] for part in parts))


def words_of(sentences: Iterable[Sentence]) -> list[str]:
    return [word for sentence in sentences for word in sentence.words]


def tags_of(sentences: Iterable[Sentence]) -> list[str]:
    return [tag for sentence in sentences for tag in sentence.tags]
