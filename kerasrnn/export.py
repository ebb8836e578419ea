"""SavedModels in versioned folders, written whole or not at all."""

import json
import os
import re
import shutil
import tempfile
from pathlib import Path

import tensorflow as tf

from kerasrnn.models.classifier import TextClassifier
from kerasrnn.text import UNKNOWN_ID, pad

DECISION_THRESHOLD = 0.5


def list_versions(directory: str | Path) -> list[int]:
    """The versions in a model folder, in integer order; empty if there is none."""
    directory = Path(directory)
    if not directory.is_dir():
        return []
    return sorted(int(p.name) for p in directory.iterdir() if p.is_dir() and p.name.isdecimal())


def export(
    model: TextClassifier,
    directory: str | Path,
    *,
    config: dict | None = None,
    model_card: str | None = None,
) -> Path:
    """Writes `model` as a SavedModel into the next version of `directory`.

    Text goes in and probabilities come out; serving needs no Python code of
    this package. The graph holds plain TensorFlow ops, the vocabulary is a
    text asset. The folder appears under its number when it is complete.

    Signatures:
        serving_default: `text`, string `(batch,)`, gives `probability` of
            label 1, float32 `(batch,)`, and `label`, string `(batch,)`.
        ids: `ids`, int32 `(batch, time)`, padded with 0, gives `probability`.

    Args:
        model: a built `TextClassifier`.
        directory: the model folder, for example `"saved_models/sentiment"`;
            made if it is missing.
        config: written to `assets.extra/config.json`.
        model_card: Markdown, written to `assets.extra/model_card.md`.

    Returns:
        The folder written, `directory/<version>`.

    Raises:
        ValueError: if the model has not been built.
        OSError: if the folder cannot be written, for example on a full disk;
            nothing of it is left then.
    """
    if not model.built:
        raise ValueError("The model must be built before export: call it once on ids.")
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=directory))
    try:
        _write(model, temporary / "model", config, model_card)
        version = max(list_versions(directory), default=0) + 1
        while True:
            try:
                os.rename(temporary / "model", directory / str(version))
            except OSError:
                if not (directory / str(version)).exists():
                    raise
                version += 1  # something else took this number
            else:
                return directory / str(version)
    except tf.errors.OpError as error:  # TensorFlow's file system reports in its own way
        reason = re.sub(r"\{\{.*?\}\}\s*|\s*\[Op:\w+\]", "", error.message)
        raise OSError(f"{directory}: the model could not be written: {reason}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(model, path, config, model_card):
    vocabulary_file = path.parent / "vocabulary.txt"
    model.vocabulary.save(vocabulary_file)
    lines = tf.lookup.TextFileIndex
    module = tf.Module()  # holds just what serving needs: no optimizer, no Keras objects
    module.weights = [variable.value for variable in model.variables]
    module.table = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(
            str(vocabulary_file),
            tf.string,
            lines.WHOLE_LINE,
            tf.int64,
            lines.LINE_NUMBER,
            vocab_size=len(model.vocabulary),  # a file cut short is noticed
        ),
        UNKNOWN_ID,
    )

    def classify_ids(ids):
        return {"probability": model(pad(ids), training=False)[:, 0]}

    def classify_text(text):
        ids = model.vocabulary.encode(text, model.max_length, module.table)
        probability = classify_ids(ids)["probability"]
        negative, positive = model.labels
        label = tf.where(probability >= DECISION_THRESHOLD, positive, negative)
        return {"probability": probability, "label": label}

    inputs = {
        "serving_default": (classify_text, tf.TensorSpec([None], tf.string, "text")),
        "ids": (classify_ids, tf.TensorSpec([None, None], tf.int32, "ids")),
    }
    signatures = {
        name: tf.function(classify, [spec], autograph=False).get_concrete_function()
        for name, (classify, spec) in inputs.items()
    }
    tf.saved_model.save(module, str(path), signatures)
    extra = path / "assets.extra"
    extra.mkdir()
    if config is not None:
        (extra / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    if model_card is not None:
        (extra / "model_card.md").write_text(model_card, "utf-8")
