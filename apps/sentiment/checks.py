"""What is wrong with labelled texts, said before a training or with its scores."""

import collections
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from apps.errors import UserError, warn
from apps.exported import read_config
from apps.sentiment.labels import LABELS, listed

if TYPE_CHECKING:  # it imports this module
    from apps.sentiment.data import Reviews

FEW = 5
"""Training texts of a label, below which nothing can be learned of it."""


def check_splits(
    source: str,
    splits: Mapping[str, "Reviews"],
    num_dropped: int = 0,
    labels: tuple[str, ...] = LABELS,
) -> None:
    """Refuses splits that teach nothing; warns, on standard error, of those that teach little.

    Args:
        source: where they come from.
        splits: `train`, `validation` and `test`.
        num_dropped: how many texts were left out as duplicates.
        labels: their names.

    Raises:
        UserError: if one is empty, if there is one label only to learn, or if a label never
            occurs in training.
    """
    total = sum(map(len, splits.values()))
    if not all(map(len, splits.values())):
        dropped = (
            f" {num_dropped:,} of {total + num_dropped:,} texts were left out as duplicates: "
            "an earlier one is the same."
            if num_dropped
            else ""
        )
        raise UserError(
            f"{source}: {total:,} texts are too few to split: training, validation and test "
            f"need one each.{dropped} Use more texts."
        )
    counts = collections.Counter(splits["train"].labels)
    num_training = len(splits["train"])
    if len(counts) == 1:
        (only,) = counts
        everywhere = all(set(part.labels) == {only} for part in splits.values())
        what = f"{total:,} texts" if everywhere else f"{num_training:,} training texts"
        raise UserError(
            f"{source}: all {what} are labelled {labels[only]}: there is nothing to learn. "
            "Add more texts with other labels."
        )
    missing = [name for number, name in enumerate(labels) if number not in counts]
    if missing:
        raise UserError(
            f"{source}: none of the {num_training:,} training texts is labelled "
            f"{listed(missing)}. Add more of them, or leave them out of the data."
        )
    few = [f"{labels[n]} ({count})" for n, count in sorted(counts.items()) if count < FEW]
    if few:
        warn(
            f"{source}: few of {num_training:,} training texts are labelled {listed(few)}: "
            "too few to learn from."
        )
    for name, part in splits.items():
        if name != "train":
            warn_of_one_label(f"{source}, {name} split", part, labels)


def warn_of_one_label(
    source: str, labelled: "Reviews", labels: tuple[str, ...] = LABELS
) -> None:
    """Says it on standard error if all texts have the same label."""
    found = set(labelled.labels)
    if len(found) == 1:
        warn(
            f"{source}: all {len(labelled):,} texts are labelled {labels[found.pop()]}: "
            "scores say nothing of other labels."
        )


def warn_of_contradictions(source: str, labelled: "Reviews", counted: str) -> None:
    distinct = set(zip(labelled.texts, labelled.labels, strict=True))
    num_labels = collections.Counter(text for text, _ in distinct)
    count = sum(number > 1 for number in num_labels.values())
    if count:
        warn(f"{source}: {count:,} texts appear with more than one label. {counted}")


def was_trained_on(model: Path, source: str) -> bool:
    """Whether an exported model has seen the packaged test split.

    It is a part of the official training reviews, all of which TFDS trains on.
    """
    trained_on = str(read_config(model).get("data_source", ""))
    return trained_on.startswith("tfds") and source.startswith("packaged")


def warn_of_training_texts(model: Path, source: str, held_out: bool = False) -> None:
    """Says it on standard error if a model is scored on the very texts it was trained on.

    Args:
        model: the folder of the model.
        source: where the texts come from.
        held_out: whether they are those that `train` holds out of this source.
    """
    if was_trained_on(model, source):
        warn(
            "this model was trained on the very texts of this test split: "
            "its scores are too good. Use --data tfds."
        )
    elif not held_out and read_config(model).get("data_source") == Path(source).name:
        warn(
            "this model was trained on most texts of a file or folder with this name: its "
            "scores on them are too good. Those after the training are of texts held out."
        )
