"""Scoring an exported model on labelled texts."""

from collections.abc import Sequence

import numpy as np
import rich
from rich import box
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from apps.errors import UserError
from apps.exported import announce, find_model, load_signature, read_labels
from apps.pictures import check_picture
from apps.plain_json import to_line
from apps.sentiment import data as reviews
from apps.sentiment.checks import warn_of_one_label, warn_of_training_texts
from apps.sentiment.config import Evaluate
from apps.sentiment.files import table_of
from apps.sentiment.labels import listed
from apps.sentiment.predict import CHUNK_SIZE, SIGNATURE, classify
from apps.sentiment.scores import (
    Group,
    group_by_length,
    plot_scores,
    predict_labels,
    score_probabilities,
)
from apps.tables import make_table

MOST_SHOWN = 10
"""Labels in a table of confusions."""


def run(options: Evaluate) -> dict:
    """Scores the model, prints the scores and returns them."""
    # First what fails at once: a picture or a model that cannot be, and then the data.
    if options.plot is not None:
        check_picture(options.plot.expanduser(), "--plot")
    labels = read_labels(find_model(options.model, "sentiment")) or reviews.LABELS
    source, labelled = reviews.load_for_evaluation(
        options.data, options.data_dir, table_of(options), labels
    )
    labelled = labelled.sample(options.max_examples)
    if not len(labelled):
        raise UserError(f"{source}: there are no labelled texts.")
    warn_of_one_label(source, labelled, labels)
    signature, folder = load_signature(options.model, "sentiment", *SIGNATURE)
    announce(options.model, folder)
    warn_of_training_texts(folder, source)
    scores = score(signature, labelled, labels, show_progress=not options.json)
    if options.plot is not None:
        plot_scores(scores, options.plot.expanduser())
    if options.json:
        described = {"model": str(folder), "data_source": source, "labels": labels}
        print(to_line({**described, **scores}))
        return scores
    print(f"data: {source}")
    figures = {
        "accuracy": f"{scores['accuracy']:.4f}",
        "loss": f"{scores['loss']:.4f}",
        "calibration error": f"{scores['expected_calibration_error']:.4f}",
        "texts": f"{len(labelled):,}",
    }
    rich.print(make_table("scores", figures))
    rich.print(
        _make_rows("accuracy by length, in words", "words", scores["accuracy_by_length"])
    )
    if len(labels) > MOST_SHOWN:
        print(f"confusion of {len(labels)} labels: use --json")
        return scores
    confusion = Table(title="confusion", title_justify="left", box=box.SIMPLE_HEAD)
    confusion.add_column("label")
    for label in labels:
        confusion.add_column(escape(f"predicted {label}"), justify="right")
    for label, counts in zip(labels, scores["confusion"], strict=True):
        confusion.add_row(escape(label), *(f"{count:,}" for count in counts))
    rich.print(confusion)
    return scores


def score(
    signature,
    labelled: reviews.Reviews,
    labels: Sequence[str] = reviews.LABELS,
    show_progress: bool = False,
) -> dict:
    """Accuracy, loss, calibration, and confusion (rows: labels, columns: predictions).

    The loss is the mean cross-entropy in nats, as Keras computes it. The confidence of an
    answer is the probability of its label.
    """
    rows: list[Sequence[float]] = []
    starts = range(0, len(labelled), CHUNK_SIZE)
    for start in track(starts, "scoring", disable=not show_progress, transient=True):
        batch = labelled.take(range(start, min(start + CHUNK_SIZE, len(labelled))))
        for answer in classify(signature, batch.texts):
            of_each = answer.probabilities or (1 - answer.probability, answer.probability)
            if answer.label not in labels or len(of_each) != len(labels):
                raise UserError(
                    f"the model answers {answer.label!r}, which is not one of its labels, "
                    f"{listed(labels)}. Export it again with kerasrnn.export."
                )
            rows.append(of_each)
    probabilities, true = np.array(rows), np.array(labelled.labels)
    predicted = predict_labels(probabilities)
    confusion = np.zeros([len(labels)] * 2, int)
    np.add.at(confusion, (true, predicted), 1)
    by_length = group_by_length(
        labelled.texts, probabilities.max(axis=1).tolist(), (predicted == true).tolist()
    )
    return {
        **score_probabilities(probabilities, true),
        "accuracy_by_length": by_length,
        "confusion": confusion.tolist(),
        "num_texts": len(labelled),
    }


def _make_rows(title: str, name: str, groups: Sequence[Group]) -> Table:
    """A table with a row for each group of texts."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in (name, "texts", "accuracy", "confidence"):
        table.add_column(column, justify="right")
    for group in groups:
        figures = (group["accuracy"], group["confidence"])
        shown = (f"{figure:.4f}" for figure in figures)
        table.add_row(group["name"], f"{group['num_texts']:,}", *shown)
    return table
