"""The linear model beside a network: what a network has to be better than."""

import time
from pathlib import Path

import numpy as np
import rich

from apps.errors import warn
from apps.exported import announce, find_model, load_signature, read_config, read_labels
from apps.plain_json import to_line
from apps.quiet import quiet_tensorflow
from apps.sentiment import data as reviews
from apps.sentiment.checks import check_splits, warn_of_training_texts
from apps.sentiment.config import Baseline
from apps.sentiment.evaluate import score
from apps.sentiment.labels import listed
from apps.sentiment.linear import choose_model
from apps.sentiment.predict import SIGNATURE
from apps.sentiment.scores import score_probabilities
from apps.tables import make_table

NUM_BUCKETS = 2**21
"""How many numbers words and pairs are hashed to. Exact counts are no more accurate on
validation data (IMDB), take five times as long and need more memory."""


def run(options: Baseline) -> list[dict]:
    """Trains the linear model, scores it beside an exported one, and returns both rows.

    If the exported model has other labels than the texts, there is one row only.
    """
    # First what fails at once: a model that is not there, and then the data.
    folder = find_model(options.model, "sentiment")
    loaded = reviews.load_for_training(options)
    splits = loaded.splits(options.max_examples, options.validation_fraction, options.seed)
    check_splits(loaded.source, splits, loaded.num_dropped, loaded.labels)
    signature = _load_network(options, folder, loaded)
    show_progress = not options.json
    if show_progress:
        sizes = {name: len(part) for name, part in splits.items()}
        described = reviews.describe_splits(sizes, loaded.num_dropped)
        print(f"data: {loaded.source}\nsplits: {described}", flush=True)
    rows = [{"model": "linear", **fit_and_score(splits, options.seed, show_progress)}]
    if signature is not None:
        scores = score(signature, splits["test"], loaded.labels, show_progress)
        figures = {name: scores[name] for name in ("accuracy", "loss")}
        seconds = read_config(folder).get("train_seconds")
        rows.append({"model": str(folder), **figures, "train_seconds": seconds})
    if options.json:
        print(to_line({"data_source": loaded.source, "scores": rows}))
    else:
        rich.print(make_table("test split", *map(_show, rows)))
    return rows


def _load_network(options: Baseline, folder: Path, loaded: reviews.Data):
    """The signature of the exported model; `None`, with a warning, if it has other labels."""
    labels = read_labels(folder) or reviews.LABELS
    if labels != loaded.labels:
        warn(
            f"{folder} has the labels {listed(labels)}, but the texts have "
            f"{listed(loaded.labels)}: it is not scored. Choose another model with --model."
        )
        return None
    signature, _ = load_signature(options.model, "sentiment", *SIGNATURE)
    announce(options.model, folder)
    warn_of_training_texts(folder, loaded.source, held_out=True)
    return signature


def fit_and_score(
    splits: dict[str, reviews.Reviews], seed: int, show_progress: bool = False
) -> dict:
    """Trains on the training split; the validation split chooses C; scores the test split."""
    start = time.perf_counter()
    training, validation = (
        (count_words(splits[name].texts), splits[name].labels)
        for name in ("train", "validation")
    )
    model, strength, accuracy = choose_model(training, validation, seed, show_progress)
    seconds = time.perf_counter() - start
    words, labels = count_words(splits["test"].texts), splits["test"].labels
    probabilities = np.zeros([len(labels), max(*labels, *model.classes_) + 1])
    probabilities[:, model.classes_] = model.predict_proba(words)
    scores = score_probabilities(probabilities, labels)
    return {
        "accuracy": scores["accuracy"],
        "loss": scores["loss"],
        "train_seconds": round(seconds, 1),
        "validation_accuracy": accuracy,
        "C": strength,
    }


def count_words(texts: list[str]):
    """Which words and pairs each text has, 0 or 1 in `(texts, NUM_BUCKETS)`, sparse.

    The words are those of the network: the same function splits the texts.
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    with quiet_tensorflow():
        import tensorflow as tf

        from kerasrnn.text.words import split_words

    words = tf.strings.reduce_join(split_words(tf.constant(texts)), axis=-1, separator=" ")
    vectorizer = HashingVectorizer(
        n_features=NUM_BUCKETS,
        ngram_range=(1, 2),
        tokenizer=str.split,
        token_pattern=None,
        lowercase=False,
        binary=True,
        alternate_sign=False,
        norm=None,
    )
    return vectorizer.transform(text.decode("utf-8") for text in words.numpy())


def _show(row: dict) -> dict[str, str]:
    seconds = row["train_seconds"]
    return {
        "model": row["model"],
        "accuracy": f"{row['accuracy']:.4f}",
        "loss": f"{row['loss']:.4f}",
        "training": f"{seconds:.0f} s" if isinstance(seconds, float) else "",
    }
