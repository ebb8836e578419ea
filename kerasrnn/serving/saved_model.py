"""SavedModels in versioned folders, written completely or not at all."""

import json
import re
import shutil
import tempfile
from pathlib import Path

import keras
import tensorflow as tf

from kerasrnn import files
from kerasrnn.checks import check_path, check_positive_integer, check_text, shown
from kerasrnn.models.classifier import TextClassifier
from kerasrnn.serving.checksums import write_checksums
from kerasrnn.serving.exportable import (
    check_finite,
    make_module,
    names_of_layers_with_state,
    vocabularies_of,
)
from kerasrnn.serving.receipts import digest_weights, find_published, write_receipt
from kerasrnn.serving.signatures import make_signatures
from kerasrnn.serving.versions import publish, remove_old_versions
from kerasrnn.serving.warm_up import write_warm_up

LABELS, EXTRA = "labels.txt", "assets.extra"


def export(
    model: keras.Model,
    directory: str | Path,
    *,
    config: dict | None = None,
    model_card: str | None = None,
    keep: int | None = None,
    receipt: str | Path | None = None,
) -> Path:
    """Writes `model` as a SavedModel into the next version of `directory`.

    You can serve it without this package: the graph contains only plain TensorFlow ops. The
    folder gets its version number only when it is complete.

    Signatures of a `TextClassifier`:
        serving_default: `text`, string `(batch,)`, gives `probability` of
            label 1, float32 `(batch,)`, and `label`, string `(batch,)`.
        ids: `ids`, int32 `(batch, time)`, padded with 0, gives `probability`.
        With more than two labels, `probability` is that of the most probable label, and both
            signatures also give `probabilities`, float32 `(batch, labels)`.

    Signatures of a `CharLanguageModel`; `state_0` and so on are `(batch, units)`,
    float32 unless the model's dtype policy says otherwise, and are zeros before the
    first character:
        serving_default: `text`, string `(batch,)`, and the scalars `length`, int32,
            `temperature`, float32, and `seed`, int32, give `text`, string `(batch,)`, the
            same text as `generate`.
        step: `ids`, int32 `(batch,)`, and states give `logits`, float32
            `(batch, ids)`, and new states.
        read: `text` gives its last character, `ids`, and the states before it.
        write: `ids` and states of `read`, `length`, `temperature`, `seed`, `top_k` (int32, 0:
            all), `top_p` (float32, 1: all) and `position` (how many characters were written
            before, a multiple of 8) give `text`, and the `ids` and states to continue from.
        score: `text`, `ids` and states give `nats`, the sum of -ln p, `num_characters` and
            `num_unknown`, and the `ids` and states to continue from.

    Signature of a `Forecaster`:
        serving_default: `past`, float32 `(batch, time, variables)` with NaN for what is
            missing, and `known`, float32 `(batch, time + horizon, known)`, if the model has
            known inputs, give `forecast`, `(batch, horizon, variables)`, and for the outputs
            `"quantiles"` and `"gaussian"` also `quantiles`, with one axis more.

    Signatures of a `Seq2Seq`, and of a `SequenceDecoder`, which takes `source`, `(batch, ...)`,
    in place of `text`:
        serving_default: `text`, string `(batch,)`, gives `text`, string `(batch,)`: what
            greedy decoding writes.
        nbest: `text` and the scalars `beam`, int32, and `length_penalty`, float32, give the
            best texts, `text`, string `(batch, beam)`, and their `score`, float32
            `(batch, beam)`, minus infinity where there are fewer texts.
        score: `text` and `target`, string `(batch,)`, give `nats`, the sum of -ln p of the
            target's tokens and its end, and `num_tokens`, how many these are; with attention
            also its weights, `attention`, `(batch, target_time, source_time)`, and what they
            belong to, `source_tokens` and `target_tokens`.
        ids: `ids` of a source, int32 `(batch, time)`, padded with 0, give `ids` of the text.
            Only a `Seq2Seq` has it.

    Signatures of any other `SequenceModel`:
        serving_default: `inputs`, `(batch, time, ...)`, gives `outputs`.
        window: `inputs` and states give `outputs` and new states, so that a
            long sequence can be read window by window. Models with layers that
            read backwards do not have it.

    Signature of a functional or sequential Keras model:
        serving_default: its inputs and outputs by their names in the model. The batch size is
            free, and so is time if the model's `keras.Input` leaves it free.

    The folder also has `assets/vocabulary.txt`, if the model has a vocabulary, for a `Seq2Seq`
    also `assets/source_vocabulary.txt`, and for a `TextClassifier` `assets/labels.txt`, its
    labels in their order. `assets.extra`
    contains `config.json`, `model_card.md`, warm-up requests for TensorFlow Serving
    (`tf_serving_warmup_requests`), one for each signature, and the checksums of all these
    files (`SHA256SUMS`). To check them, run `sha256sum --check assets.extra/SHA256SUMS`.

    Only one process at a time writes into a folder; others wait. `export` removes the
    unfinished folders of killed processes.

    Args:
        model: a built model.
        directory: the model folder, for example `"saved_models/sentiment"`;
            created if it is missing.
        config: written to `assets.extra/config.json`.
        model_card: Markdown, written to `assets.extra/model_card.md`.
        keep: how many of the newest versions to keep; older ones are removed afterwards.
            Default: `None`, all.
        receipt: the path of a file that notes the exported weights and version. It is
            written just before the version is published. If you export the same
            weights with the same file again, and that version still exists, its
            path is returned and no new version is made. So a program that was
            killed can simply be run again. Default: `None`, no file.

    Returns:
        The folder written, `directory/<version>`.

    Raises:
        ValueError: if the model has not been built, if its inputs are not known,
            if it is stateful, if a weight is not finite, or if `keep` is not a positive
            integer.
        OSError: if the folder cannot be written, for example because the disk is full. In
            that case nothing is left behind.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"model must be a keras.Model, got model={shown(model)}.")
    check_path("directory", directory)
    if receipt is not None:
        check_path("receipt", receipt)
    if model_card is not None:
        check_text("model_card", model_card)
    try:
        json.dumps(config)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"config must be a dict that JSON can hold, got config={shown(config)}."
        ) from error
    if config is not None and not isinstance(config, dict):
        raise ValueError(f"config must be a dict, got config={shown(config)}.")
    if not model.built:
        raise ValueError("The model must be built before export: call it once on its inputs.")
    if keep is not None:
        check_positive_integer("keep", keep)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with files.locked(directory, wait=True) as alone:
        if alone:
            files.remove_unfinished(directory)
        weights = "" if receipt is None else digest_weights(model)
        published = None if receipt is None else find_published(directory, receipt, weights)
        hidden = Path(tempfile.mkdtemp(prefix=files.HIDDEN, dir=directory))
        try:
            if published is None:
                with files.named(directory, None):
                    _write(model, hidden / "model", config, model_card)
                if receipt is not None:
                    write_receipt(receipt, weights, hidden / "model")
                published = publish(hidden / "model", directory)
            if keep is not None:
                remove_old_versions(directory, keep, spared=published, hidden=hidden)
        except tf.errors.OpError as error:  # TensorFlow's file system reports in its own way
            reason = re.sub(r"\{\{.*?\}\}\s*|\s*\[Op:\w+\]", "", error.message)
            message = f"{directory}: the model could not be written: {reason}"
            raise OSError(message) from error
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
    return published


def _write(model, path, config, model_card):
    check_finite(model)
    signatures = make_signatures(model)
    module = make_module(model)
    module.vocabularies = []
    for name, vocabulary in vocabularies_of(model).items():
        vocabulary.save(path.parent / name)
        module.vocabularies.append(tf.saved_model.Asset(str(path.parent / name)))
    if isinstance(model, TextClassifier):
        lines = "".join(f"{label}\n" for label in model.labels)
        (path.parent / LABELS).write_text(lines, "utf-8")
        module.labels = tf.saved_model.Asset(str(path.parent / LABELS))
    functions = {name: signature.function for name, signature in signatures.items()}
    try:
        tf.saved_model.save(module, str(path), functions)
    except AssertionError as error:
        if "untracked" not in str(error):
            raise
        raise ValueError(
            f"{names_of_layers_with_state(model)} holds state beside the weights of "
            f"{model.name}, which cannot be exported. Use stateful=False."
        ) from error
    # Where it cannot remove one of its temporary files, TensorFlow goes on without a word.
    shutil.rmtree(path / "variables" / "variables_temp", ignore_errors=True)
    extra = path / EXTRA
    extra.mkdir()
    if config is not None:
        (extra / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    if model_card is not None:
        (extra / "model_card.md").write_text(model_card, "utf-8")
    write_warm_up(extra / "tf_serving_warmup_requests", signatures)
    write_checksums(path)
