"""Scoring an exported model on labelled reviews."""

import math
import sys

import rich
from rich import box
from rich.progress import track
from rich.table import Table

from apps.cli import UserError
from apps.exported import find_model, load_signature
from apps.plain_json import to_line
from apps.sentiment import data as reviews
from apps.sentiment.config import Evaluate
from apps.sentiment.predict import CHUNK_SIZE, SIGNATURE, classify
from apps.tables import make_table


def run(options: Evaluate) -> dict:
    """Scores the model, prints the scores and returns them."""
    # First what fails at once: a model that is not there, and then the data.
    find_model(options.model, "sentiment")
    source, labelled = reviews.load_for_evaluation(options.data, options.data_dir)
    labelled = labelled.sample(options.max_examples)
    if not len(labelled):
        raise UserError(f"{source}: there are no labelled reviews.")
    reviews.warn_of_one_label(source, labelled)
    signature, folder = load_signature(options.model, "sentiment", *SIGNATURE)
    if reviews.was_trained_on(folder, source):
        print(
            "warning: this model was trained on the very reviews of this test split: "
            "the scores are too good. Use --data tfds.",
            file=sys.stderr,
        )
    scores = score(signature, labelled, show_progress=not options.json)
    if options.json:
        print(to_line({"model": str(folder), "data_source": source, **scores}))
        return scores
    print(f"model: {folder}\ndata: {source}")
    figures = {
        "accuracy": f"{scores['accuracy']:.4f}",
        "loss": f"{scores['loss']:.4f}",
        "reviews": f"{len(labelled):,}",
    }
    rich.print(make_table("scores", figures))
    confusion = Table(title="confusion", title_justify="left", box=box.SIMPLE_HEAD)
    confusion.add_column("label")
    for label in reviews.LABELS:
        confusion.add_column(f"predicted {label}", justify="right")
    for label, counts in zip(reviews.LABELS, scores["confusion"], strict=True):
        confusion.add_row(label, *(f"{count:,}" for count in counts))
    rich.print(confusion)
    return scores


def score(signature, labelled: reviews.Reviews, show_progress: bool = False) -> dict:
    """Accuracy, loss and confusion (rows: labels, columns: predictions).

    The loss is the mean binary cross-entropy in nats, as Keras computes it.
    """
    smallest = 1e-7  # keras.config.epsilon()
    loss, confusion = 0.0, [[0, 0], [0, 0]]
    starts = range(0, len(labelled), CHUNK_SIZE)
    for start in track(starts, "scoring", disable=not show_progress, transient=True):
        batch = labelled.take(range(start, min(start + CHUNK_SIZE, len(labelled))))
        for label, (predicted, probability) in zip(
            batch.labels, classify(signature, batch.texts), strict=True
        ):
            of_label = probability if label else 1 - probability
            loss -= math.log(min(max(of_label, smallest), 1 - smallest))
            confusion[label][reviews.LABELS.index(predicted)] += 1
    return {
        "accuracy": (confusion[0][0] + confusion[1][1]) / len(labelled),
        "loss": loss / len(labelled),
        "confusion": confusion,
        "num_reviews": len(labelled),
    }
