"""Training: labelled texts in, an exported model and its figures out."""

import collections
import dataclasses
import hashlib
import math
import shlex
from typing import Any

import rich

from apps import run_dir, sources
from apps.errors import warn
from apps.quiet import quiet_tensorflow
from apps.sentiment import data as reviews
from apps.sentiment.checks import check_splits
from apps.sentiment.config import PRESETS, Train
from apps.sentiment.fitting import (
    choose_batch_size,
    choose_epochs,
    choose_patience,
    find_misfits,
)
from apps.sentiment.labels import listed
from apps.sentiment.predictions import predict_batches
from apps.sentiment.pretraining import prepare
from apps.sentiment.scores import score_probabilities
from apps.tables import make_table

with quiet_tensorflow():
    import keras
    import tensorflow as tf

    import kerasrnn
    from apps.feeding import truncation_policy
    from apps.training import fit, save_best
    from kerasrnn.text.batches import bucket_by_length
    from kerasrnn.training.checkpoints import list_checkpoints

EVALUATION_BATCH_SIZE = 256
CHOSEN_BY = "val_loss"  # what the best epoch is the best in


def run(options: Train, loaded: reviews.Data) -> dict:
    """Trains, evaluates, exports; returns what stands in `metrics.json`."""
    if options.word_pairs is not None:
        from apps.sentiment.linear import with_linear  # it needs an extra
    splits = loaded.splits(options.max_examples, options.validation_fraction, options.seed)
    training, validation, test = splits.values()
    sizes = {name: len(part) for name, part in splits.items()}
    print(f"splits: {reviews.describe_splits(sizes, loaded.num_dropped)}", flush=True)
    check_splits(loaded.source, splits, loaded.num_dropped, loaded.labels)
    counts = collections.Counter(training.labels)
    num_of_each = {name: counts[n] for n, name in enumerate(loaded.labels)}
    print(f"labels: {describe_labels(num_of_each)}", flush=True)

    keras.utils.set_random_seed(options.seed)
    tf.config.experimental.enable_op_determinism()
    vocabulary = kerasrnn.Vocabulary.from_texts(training.texts, options.vocabulary_size)
    batch_size = choose_batch_size(options, len(training))
    training_batches = make_batches(training, vocabulary, options, batch_size)
    validation_batches = make_batches(validation, vocabulary, options)
    num_steps = int(training_batches.cardinality())
    epochs = choose_epochs(options, num_steps)
    print(
        f"epochs: at most {epochs} of {num_steps:,} steps, {batch_size:,} texts each",
        flush=True,
    )
    options.output.expanduser().mkdir(parents=True, exist_ok=True)  # fail before training
    data = digest(training, validation, test, labels=loaded.labels)
    with run_dir.prepared(options.run_dir, "sentiment", options, data) as folder:
        print(f"run: {folder}", flush=True)
        if misfits := find_misfits(options, training.texts, len(vocabulary) - 2):
            whats = "; ".join(misfits)
            warn(f"preset {options.preset}: {whats}.")
        model = make_model(vocabulary, options, num_steps * epochs, loaded.labels)
        seconds = 0.0
        if not list_checkpoints(folder / "checkpoints"):
            seconds = prepare(model, training.texts, validation.texts, options, folder)
        history, train_seconds = fit(
            model,
            training_batches,
            validation_data=validation_batches,
            folder=folder,
            epochs=epochs,
            chosen_by=CHOSEN_BY,
            mode="min",
            patience=choose_patience(options, epochs),
            seconds_before=seconds,
        )
        best = min(range(len(history[CHOSEN_BY])), key=history[CHOSEN_BY].__getitem__)
        if options.word_pairs is not None:
            model, linear_seconds = with_linear(
                model,
                options.word_pairs,
                make_batches(training, vocabulary, options),
                validation_batches,
                options.seed,
            )
            train_seconds += linear_seconds
        before = run_dir.read_json(folder / run_dir.METRICS).get("train_seconds")
        if isinstance(before, float):  # the run is finished, and shown again
            train_seconds = before
        save_best(model, folder)
        of_validation = score(model, validation_batches)
        scores = score(model, make_batches(test, vocabulary, options))
        metrics = {
            "test_accuracy": scores["accuracy"],
            "test_loss": scores["loss"],
            "test_calibration_error": scores["expected_calibration_error"],
            "validation_accuracy": of_validation["accuracy"],
            "validation_loss": of_validation["loss"],
            "best_epoch": best + 1,
            "epochs": len(history["val_loss"]),
            "steps_in_an_epoch": num_steps,
            "batch_size": batch_size,
            "train_seconds": round(train_seconds, 1),
            "num_parameters": model.count_params(),
            "data_source": loaded.source,
            "split_sizes": sizes,
            "num_dropped": loaded.num_dropped,
            "labels": num_of_each,
            "seed": options.seed,
            "versions": run_dir.versions(),
        }
        exported = kerasrnn.export(
            model,
            options.output.expanduser(),
            config={
                **run_dir.without_places(run_dir.as_config(options)),
                "data_source": loaded.source,
                "validation_accuracy": metrics["validation_accuracy"],
                "validation_loss": metrics["validation_loss"],
                "train_seconds": metrics["train_seconds"],
            },
            model_card=write_model_card(options, metrics),
            keep=options.keep_versions,
            receipt=folder / run_dir.EXPORTED,
        )
        run_dir.plot_history(history, folder / "history.png")
        run_dir.write_json(folder / run_dir.METRICS, metrics)
    rich.print(
        make_table(
            "test split",
            {
                "accuracy": f"{metrics['test_accuracy']:.4f}",
                "loss": f"{metrics['test_loss']:.4f}",
                "calibration error": f"{metrics['test_calibration_error']:.4f}",
                "texts": f"{len(test):,}",
                "training": f"{train_seconds:.0f} s",
                "parameters": f"{metrics['num_parameters']:,}",
            },
        )
    )
    named = f"--model {shlex.quote(str(exported))}"
    print(f'try it: python -m apps.sentiment predict {named} "I loved it."')
    return metrics


def score(model: kerasrnn.TextClassifier, batches: tf.data.Dataset) -> dict[str, Any]:
    """Accuracy, loss and calibration of a model on labelled batches."""
    return score_probabilities(*predict_batches(model, batches))


def describe_labels(num_of_each: dict[str, int]) -> str:
    """The labels in their order, and how many training texts have each."""
    return listed([f"{name} ({count:,})" for name, count in num_of_each.items()])


def digest(*parts: reviews.Reviews, labels: tuple[str, ...] = reviews.LABELS) -> str:
    """The SHA-256 of texts and their labels."""
    found = hashlib.sha256("\n".join(labels).encode())
    for part in parts:
        for text, label in zip(part.texts, part.labels, strict=True):
            found.update(f"{label} {len(text)} {text}".encode())
    return found.hexdigest()


def make_batches(
    part: reviews.Reviews,
    vocabulary: kerasrnn.Vocabulary,
    options: Train,
    batch_size: int | None = None,
) -> tf.data.Dataset:
    """Batches of ids and labels, texts of similar length together.

    Args:
        part: the texts.
        vocabulary: their words.
        options: of the training.
        batch_size: texts in a training step; then they are shuffled. Default: `None`, for
            evaluation.
    """
    ids = vocabulary.encode(tf.constant(part.texts), options.max_length)
    longest = int(tf.reduce_max(ids.row_lengths()))
    return bucket_by_length(
        ids,
        part.labels,
        batch_size=batch_size or EVALUATION_BATCH_SIZE,
        max_length=min(8 * math.ceil(max(longest, 1) / 8), options.max_length),
        seed=None if batch_size is None else options.seed,
    )


def make_model(
    vocabulary: kerasrnn.Vocabulary,
    options: Train,
    num_steps: int,
    labels: tuple[str, ...] = reviews.LABELS,
) -> kerasrnn.TextClassifier:
    """A compiled classifier, for a training of `num_steps` steps."""
    model = kerasrnn.TextClassifier(
        vocabulary,
        labels=labels,
        max_length=options.max_length,
        embedding_dim=options.embedding_dim,
        cell=options.cell,
        units=options.units,
        bidirectional=options.bidirectional,
        pooling=options.pooling,
        filters=options.filters,
        stacked=options.stacked,
        dropout=options.dropout,
        embedding_dropout=options.embedding_dropout,
    )
    learning_rate = keras.optimizers.schedules.CosineDecay(options.learning_rate, num_steps)
    model.compile(
        keras.optimizers.Adam(learning_rate),
        metrics=["accuracy"],
        truncation=truncation_policy(options.truncation),
        global_clipnorm=options.global_clipnorm,
        adversarial_noise=options.adversarial_noise,
    )
    model(tf.zeros([1, 1], tf.int32))
    return model


OF_IMDB = (
    "Trained on English reviews from one site. Expect less on other kinds of text; it does\n"
    "not work in other languages."
)
OF_OTHER_TEXTS = (
    "Expect less on texts of another kind or language than those it was trained on."
)
"""The limits in a model card."""


def write_model_card(options: Train, metrics: dict) -> str:
    """What the model is, what it was trained on and how well it does, in Markdown."""
    sizes, versions = metrics["split_sizes"], metrics["versions"]
    kind = metrics["data_source"].split()[0]  # what `auto` came to
    pinned = dataclasses.replace(options, data=kind) if options.data == "auto" else options
    training = f"{metrics['epochs']} epochs of {metrics['steps_in_an_epoch']:,} steps"
    of_imdb = options.data in sources.NAMES
    limits = OF_IMDB if of_imdb else OF_OTHER_TEXTS
    texts = "movie reviews" if of_imdb else "texts"
    labels = describe_labels(metrics["labels"]).replace("|", "\\|")
    if tuple(metrics["labels"]) == reviews.LABELS:
        title = f"Sentiment of {texts}"
        task = f"Tells positive {'English ' if of_imdb else ''}{texts} from negative ones."
    else:
        title = "Labels of texts"
        task = f"Gives a text one of the labels {listed(metrics['labels'], 100)}."
    return f"""# {title}

{task}
Raw text goes in; the last {options.max_length} words of a text are read.

| | |
| --- | --- |
| data | {metrics["data_source"]} |
| splits | {reviews.describe_splits(sizes, metrics["num_dropped"])} |
| labels, with their training texts | {labels} |
| test accuracy | {metrics["test_accuracy"]:.4f} |
| test loss | {metrics["test_loss"]:.4f} |
| expected calibration error, test | {metrics["test_calibration_error"]:.4f} |
| validation accuracy | {metrics["validation_accuracy"]:.4f} |
| parameters | {metrics["num_parameters"]:,} |
| training | {metrics["train_seconds"]} s, {training} |
| seed | {options.seed} |
| versions | {", ".join(f"{name} {version}" for name, version in versions.items())} |

Reproduce it: `{run_dir.command_line("sentiment", pinned, PRESETS[options.preset])}`,
with all options in `config.json`.

{limits}
"""
