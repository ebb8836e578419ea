"""SavedModels in versioned folders, written whole or not at all."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kerasrnn import files
from kerasrnn.checks import check_path, check_positive_integer, check_text, shown
from kerasrnn.serving.exportable import check_finite, names_of_layers_with_state, resources
from kerasrnn.serving.signatures import make_signatures
from kerasrnn.serving.tf_serving import write_warm_up

VOCABULARY = "vocabulary.txt"
EXTRA, CHECKSUMS = "assets.extra", "SHA256SUMS"


def list_versions(directory: str | Path) -> list[int]:
    """The versions in a model folder, in integer order; empty if there is none."""
    return [int(path.name) for path in _find_versions(Path(directory))]


def _find_versions(directory: Path) -> list[Path]:
    if not directory.is_dir():
        return []
    found = (path for path in directory.iterdir() if path.is_dir() and path.name.isdecimal())
    return sorted(found, key=lambda path: int(path.name))


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

    Serving needs no Python code of this package: the graph holds plain
    TensorFlow ops. The folder appears under its number when it is complete.

    Signatures of a `TextClassifier`:
        serving_default: `text`, string `(batch,)`, gives `probability` of
            label 1, float32 `(batch,)`, and `label`, string `(batch,)`.
        ids: `ids`, int32 `(batch, time)`, padded with 0, gives `probability`.

    Signatures of a `CharLanguageModel`; `state_0` and so on are `(batch, units)`,
    float32 unless the model's dtype policy says otherwise, and are zeros before the
    first character:
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

    Signatures of any other `SequenceModel`:
        serving_default: `inputs`, `(batch, time, ...)`, gives `outputs`.
        window: `inputs` and states give `outputs` and new states, so that a
            long sequence can be read window by window; not of models with
            layers that read backwards.

    Signature of a functional or sequential Keras model:
        serving_default: its inputs and outputs by the names they have there. The
            batch is free; time is where the model's `keras.Input` leaves it free.

    Beside the graph lie `assets/vocabulary.txt` (of models with a vocabulary)
    and, in `assets.extra`, `config.json`, `model_card.md`, a request for each
    signature that TensorFlow Serving warms up with
    (`tf_serving_warmup_requests`), and `SHA256SUMS` of all these files, which
    `sha256sum --check assets.extra/SHA256SUMS` compares.

    One process at a time writes into a folder; others wait. What a killed one has
    left unfinished there is removed.

    Args:
        model: a built model.
        directory: the model folder, for example `"saved_models/sentiment"`;
            made if it is missing.
        config: written to `assets.extra/config.json`.
        model_card: Markdown, written to `assets.extra/model_card.md`.
        keep: how many versions stay, the newest ones; the others are removed
            afterwards, as far as the system lets go of them. Default: `None`: all.
        receipt: the path of a file that notes the exported weights and version. It is
            written just before the version is published. If you export the same
            weights with the same file again, and that version still exists, its
            path is returned and no new version is made. So a program that was
            killed can simply be run again. Default: `None`, no file.

    Returns:
        The folder written, `directory/<version>`.

    Raises:
        ValueError: if the model has not been built, if it is not known what it
            takes, if it is stateful, if a weight is not finite, or if `keep` is not above 0.
        OSError: if the folder cannot be written, for example on a full disk;
            nothing of it is left then.
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
            f"config must be what JSON can hold, got config={shown(config)}."
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
        weights = "" if receipt is None else _digest_weights(model)
        published = None if receipt is None else _find_published(directory, receipt, weights)
        hidden = Path(tempfile.mkdtemp(prefix=files.HIDDEN, dir=directory))
        try:
            if published is None:
                with files.named(directory, None):
                    _write(model, hidden / "model", config, model_card)
                if receipt is not None:
                    checksums = _digest(hidden / "model" / EXTRA / CHECKSUMS)
                    noted = {"weights": weights, "checksums": checksums}
                    files.write_text(Path(receipt), json.dumps(noted, indent=2) + "\n")
                published = _publish(hidden / "model", directory)
            for path in _find_versions(directory)[: -keep if keep else 0]:
                if path == published:  # an old one, with a receipt
                    continue
                with contextlib.suppress(OSError):  # gone, or in use; the new version stands
                    os.rename(path, hidden / path.name)
        except tf.errors.OpError as error:  # TensorFlow's file system reports in its own way
            reason = re.sub(r"\{\{.*?\}\}\s*|\s*\[Op:\w+\]", "", error.message)
            message = f"{directory}: the model could not be written: {reason}"
            raise OSError(message) from error
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
    return published


def _find_published(directory: Path, receipt: str | Path, weights: str) -> Path | None:
    """The version that a receipt speaks of, if it is of these weights."""
    try:
        noted = json.loads(Path(receipt).read_text("utf-8"))
        if noted["weights"] != weights:
            return None
        for version in _find_versions(directory):
            checksums = version / EXTRA / CHECKSUMS
            if checksums.is_file() and _digest(checksums) == noted["checksums"]:
                return version
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None  # there is none, or it is damaged
    return None


def _publish(path: Path, directory: Path) -> Path:
    for file in (*path.rglob("*"), path):
        files.sync(file)
    version = max(list_versions(directory), default=0) + 1
    while True:
        try:
            os.rename(path, directory / str(version))
        except OSError:
            if not (directory / str(version)).exists():
                raise
            version += 1  # something else took this number
        else:
            files.sync(directory)
            return directory / str(version)


def _digest_weights(model: keras.Model) -> str:
    digest = hashlib.sha256()
    for variable in model.weights:
        value = np.asarray(variable)
        digest.update(f"{value.shape}{value.dtype}".encode() + value.tobytes())
    return digest.hexdigest()


def _write(model, path, config, model_card):
    check_finite(model)
    signatures = make_signatures(model)
    module = tf.Module()  # holds just what serving needs: no optimizer, no Keras objects
    module.weights = [variable.value for variable in model.weights]
    known = {id(variable) for variable in model.weights}
    # Keras' own recurrent layers draw dropout masks in inference, too, and use none of them.
    module.random_states = [v.value for v in model.variables if id(v) not in known]
    module.resources = resources(model)
    vocabulary = getattr(model, "vocabulary", None)
    if vocabulary is not None:
        vocabulary.save(path.parent / VOCABULARY)
        module.vocabulary = tf.saved_model.Asset(str(path.parent / VOCABULARY))
        module.table = vocabulary.table
    functions = {name: signature.function for name, signature in signatures.items()}
    try:
        tf.saved_model.save(module, str(path), functions)
    except AssertionError as error:
        if "untracked" not in str(error):
            raise
        raise ValueError(
            f"{names_of_layers_with_state(model)} holds state beside the weights of "
            f"{model.name}, which a SavedModel of kerasrnn cannot. Use stateful=False."
        ) from error
    # Where removing one of its temporary files fails, TensorFlow says nothing and goes on.
    shutil.rmtree(path / "variables" / "variables_temp", ignore_errors=True)
    extra = path / EXTRA
    extra.mkdir()
    if config is not None:
        (extra / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    if model_card is not None:
        (extra / "model_card.md").write_text(model_card, "utf-8")
    write_warm_up(extra / "tf_serving_warmup_requests", signatures)
    written = sorted(file for file in path.rglob("*") if file.is_file())
    lines = (f"{_digest(file)}  {file.relative_to(path).as_posix()}\n" for file in written)
    (extra / CHECKSUMS).write_text("".join(lines), "utf-8", newline="\n")


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
