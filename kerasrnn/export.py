"""SavedModels in versioned folders, written whole or not at all."""

import json
import os
import re
import shutil
import tempfile
from pathlib import Path

import tensorflow as tf

from kerasrnn.signatures import Exportable, make_signatures


def list_versions(directory: str | Path) -> list[int]:
    """The versions in a model folder, in integer order; empty if there is none."""
    directory = Path(directory)
    if not directory.is_dir():
        return []
    return sorted(int(p.name) for p in directory.iterdir() if p.is_dir() and p.name.isdecimal())


def export(
    model: Exportable,
    directory: str | Path,
    *,
    config: dict | None = None,
    model_card: str | None = None,
) -> Path:
    """Writes `model` as a SavedModel into the next version of `directory`.

    Text goes in, and probabilities or text come out; serving needs no Python
    code of this package. The graph holds plain TensorFlow ops, the vocabulary
    is a text asset. The folder appears under its number when it is complete.

    Signatures of a `TextClassifier`:
        serving_default: `text`, string `(batch,)`, gives `probability` of
            label 1, float32 `(batch,)`, and `label`, string `(batch,)`.
        ids: `ids`, int32 `(batch, time)`, padded with 0, gives `probability`.

    Signatures of a `CharLanguageModel`; `state_0` and so on are float32
    `(batch, units)`, and are zeros before the first character:
        serving_default: `text`, string `(batch,)`, and the scalars `length`,
            int32, `temperature`, float32, and `seed`, int32, give `text`,
            string `(batch,)`: what `generate` writes for them.
        step: `ids`, int32 `(batch,)`, and states give `logits`, float32
            `(batch, ids)`, and new states.
        read: `text` gives its last character, `ids`, and the states before it.
        write: these, `length`, `temperature`, `seed`, `top_k` (int32, 0: all),
            `top_p` (float32, 1: all) and `position` (how many characters were
            written before, a multiple of 8) give `text`, and `ids` and states
            to go on from.
        score: `text`, `ids` and states give `nats`, the sum of -ln p,
            `num_characters` and `num_unknown`, and `ids` and states.

    Args:
        model: a built `TextClassifier` or `CharLanguageModel`.
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
    module = tf.Module()  # holds just what serving needs: no optimizer, no Keras objects
    module.weights = [variable.value for variable in model.weights]
    module.table = model.vocabulary.make_table(vocabulary_file)
    tf.saved_model.save(module, str(path), make_signatures(model, module.table))
    extra = path / "assets.extra"
    extra.mkdir()
    if config is not None:
        (extra / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    if model_card is not None:
        (extra / "model_card.md").write_text(model_card, "utf-8")
