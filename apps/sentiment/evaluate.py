"""Scoring an exported model on labelled texts."""

import math
from collections.abc import Sequence

import rich
from rich import box
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from apps.cli import UserError
from apps.exported import announce, find_model, load_signature, read_labels
from apps.plain_json import to_line
from apps.sentiment import data as reviews
from apps.sentiment.config import Evaluate
from apps.sentiment.files import table_of
from apps.sentiment.labels import listed
from apps.sentiment.predict import CHUNK_SIZE, SIGNATURE, classify
from apps.tables import make_table


def run(options: Evaluate) -> dict:
    """Scores the model, prints the scores and returns them."""
    # First what fails at once: a model that is not there, and then the data.
    labels = read_labels(find_model(options.model, "sentiment")) or reviews.LABELS
    source, labelled = reviews.load_for_evaluation(
        options.data, options.data_dir, table_of(options), labels
    )
    labelled = labelled.sample(options.max_examples)
    if not len(labelled):
        raise UserError(f"{source}: there are no labelled texts.")
    reviews.warn_of_one_label(source, labelled, labels)
    signature, folder = load_signature(options.model, "sentiment", *SIGNATURE)
    announce(options.model, folder)
    reviews.warn_of_training_texts(folder, source)
    scores = score(signature, labelled, labels, show_progress=not options.json)
    if options.json:
        described = {"model": str(folder), "data_source": source, "labels": labels}
        print(to_line({**described, **scores}))
        return scores
    print(f"data: {source}")
    figures = {
        "accuracy": f"{scores['accuracy']:.4f}",
        "loss": f"{scores['loss']:.4f}",
        "texts": f"{len(labelled):,}",
    }
    rich.print(make_table("scores", figures))
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
    """Accuracy, loss and confusion (rows: labels, columns: predictions).

    The loss is the mean cross-entropy in nats, as Keras computes it.
    """
    smallest = 1e-7  # keras.config.epsilon()
    loss, confusion = 0.0, [[0] * len(labels) for _ in labels]
    starts = range(0, len(labelled), CHUNK_SIZE)
    for start in track(starts, "scoring", disable=not show_progress, transient=True):
        batch = labelled.take(range(start, min(start + CHUNK_SIZE, len(labelled))))
        for label, answer in zip(batch.labels, classify(signature, batch.texts), strict=True):
            of_each = answer.probabilities or (1 - answer.probability, answer.probability)
            if answer.label not in labels or len(of_each) != len(labels):
                raise UserError(
                    f"the model answers {answer.label!r}, which is not one of its labels, "
                    f"{listed(labels)}. Export it again with kerasrnn.export."
                )
            loss -= math.log(min(max(of_each[label], smallest), 1 - smallest))
            confusion[label][labels.index(answer.label)] += 1
    return {
        "accuracy": sum(row[n] for n, row in enumerate(confusion)) / len(labelled),
        "loss": loss / len(labelled),
        "confusion": confusion,
        "num_texts": len(labelled),
    }
