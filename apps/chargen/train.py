"""Training: a text in, an exported model, its figures and a sample out."""

import dataclasses
import hashlib
import math
import shlex
from pathlib import Path

import rich

from apps import run_dir
from apps.chargen import data
from apps.chargen.config import PRESETS, Train
from apps.chargen.evaluate import perplexity
from apps.chargen.layers import LAYERS, read_layers
from apps.chargen.report import SAMPLE_TEMPERATURE, EpochReport, write_model_card
from apps.errors import UserError
from apps.exported import load_signature
from apps.quiet import quiet_tensorflow
from apps.tables import make_table
from apps.threads import count_parts

with quiet_tensorflow():
    import keras
    import tensorflow as tf

    import kerasrnn
    from apps.feeding import feeding_policy, truncation_policy
    from apps.training import fit, save_best, warmed_cosine

MOST_EPOCHS = 50
"""As long as `--epochs` does not ask for more."""
EVALUATION_WINDOW = 512
"""Characters read at a time in evaluation; what comes out does not depend on it."""


def run(options: Train, text: data.Text) -> dict:
    """Trains, evaluates, exports; returns what stands in `metrics.json`."""
    text = data.shorten(text, options.max_characters)
    sizes = dict(zip(data.SPLITS, text.sizes, strict=True))
    print(
        "characters: " + ", ".join(f"{size:,} {name}" for name, size in sizes.items()),
        flush=True,
    )
    _check_sizes(options, text)
    keras.utils.set_random_seed(options.seed)
    tf.config.experimental.enable_op_determinism()
    digest = hashlib.sha256()
    vocabulary = kerasrnn.CharacterVocabulary.from_text(data.read_training(text, digest))
    weights = None
    if options.init_from is not None:
        beginning = run_dir.begun_with(options)
        options, vocabulary, weights = load_initial(options, beginning, vocabulary)
    if len(vocabulary) < 3:
        raise UserError(
            f"{text.source}: the text has a single character, "
            f"{vocabulary.characters[-1]!r}: there is nothing to learn."
        )
    print(f"vocabulary: {len(vocabulary) - 1:,} characters", flush=True)
    options.output.expanduser().mkdir(parents=True, exist_ok=True)  # fail before training
    with run_dir.prepared(options.run_dir, "chargen", options, digest.hexdigest()) as folder:
        print(f"run: {folder}", flush=True)
        ids_file = folder / run_dir.IDS
        try:
            return _run(options, text, vocabulary, weights, folder, ids_file)
        finally:
            ids_file.unlink(missing_ok=True)


def _run(options, text, vocabulary, weights, folder, ids_file) -> dict:
    splits = data.encode(text, vocabulary, ids_file)
    stream = kerasrnn.Stream.from_tokens(splits.part("train"), options.batch_size)
    num_steps = int(stream.windows(options.window, options.stride).cardinality())
    epochs = options.epochs or min(max(round(options.steps / num_steps), 1), MOST_EPOCHS)
    model = make_model(vocabulary, options, num_steps * epochs)
    if weights is not None:
        model.set_weights(weights)
    report = EpochReport(folder / "samples.txt")
    history, train_seconds = fit(
        model,
        stream,
        evaluation_windows(splits.part("validation")),
        folder=folder,
        epochs=epochs,
        chosen_by="val_loss",
        mode="min",
        patience=options.patience,
        callbacks=(report,),
    )
    save_best(model, folder)
    report.write()  # it may have been damaged
    best = min(range(len(history["val_loss"])), key=history["val_loss"].__getitem__)
    loss = history["val_loss"][best]
    metrics = {
        "validation_loss": loss,
        "bits_per_character": loss / math.log(2),
        "perplexity": perplexity(loss),
        "test_loss": evaluate(model, splits.part("test")),
        "nanogpt_split_loss": evaluate(model, splits.part("validation", "test")),
        "best_epoch": best + 1,
        "epochs": len(history["val_loss"]),
        "train_seconds": round(train_seconds, 1),
        "num_parameters": model.count_params(),
        "vocabulary_size": len(vocabulary) - 1,
        "data_source": text.source,
        "split_sizes": dict(zip(data.SPLITS, text.sizes, strict=True)),
        "seed": options.seed,
        "versions": run_dir.versions(),
    }
    sample = model.generate([""], 500, SAMPLE_TEMPERATURE, seed=options.seed)[0]
    exported = kerasrnn.export(
        model,
        options.output.expanduser(),
        config={
            **run_dir.without_places(run_dir.as_config(options)),
            "data_source": text.source,
            "validation_loss": loss,
        },
        model_card=write_model_card(options, metrics, sample),
        keep=options.keep_versions,
        receipt=folder / run_dir.EXPORTED,
    )
    run_dir.plot_history(history, folder / "history.png", ["loss"])
    run_dir.write_json(folder / run_dir.METRICS, metrics)
    rich.print(
        make_table(
            "nats per character",
            {
                "validation": f"{loss:.4f}",
                "test": f"{metrics['test_loss']:.4f}",
                "last tenth": f"{metrics['nanogpt_split_loss']:.4f}",
                "validation, bits": f"{metrics['bits_per_character']:.4f}",
                "training": f"{train_seconds:.0f} s",
                "parameters": f"{metrics['num_parameters']:,}",
            },
        )
    )
    print(f"try it: python -m apps.chargen sample --model {shlex.quote(str(exported))}")
    return metrics


def _check_sizes(options: Train, text: data.Text) -> None:
    needed = options.batch_size * options.window + 1
    if text.sizes[0] < needed:
        raise UserError(
            f"{text.source}: {text.sizes[0]:,} characters for training are too few for "
            f"{options.batch_size} places with a window of {options.window} characters, which "
            f"need {needed:,}. Use a longer text, or a smaller --batch-size or --window."
        )
    if min(text.sizes) < 2:
        raise UserError(
            f"{text.source}: the text is too short to hold out a part for validation and one "
            "for testing. Use a longer text."
        )


def load_initial(
    options: Train, model: Path, vocabulary: kerasrnn.CharacterVocabulary
) -> tuple:
    """Options, vocabulary and weights of the model to begin with.

    Args:
        options: those asked for; the layers of the model replace the defaults.
        model: an exported model, or a folder of versions.
        vocabulary: that of the text.

    Raises:
        UserError: if there is no such model, it has other layers than those that were asked
            for, or it does not know the text's characters.
    """
    signature, folder = load_signature(model, "chargen", "read", ["ids"], "--init-from")
    weights = [variable.numpy() for variable in signature.loaded.weights]
    try:
        known = kerasrnn.CharacterVocabulary.load(folder / "assets" / "vocabulary.txt")
        layers = read_layers(folder, len(known), sum(weight.size for weight in weights))
        with_layers = dataclasses.replace(options, **layers, init_from=folder)
    except (OSError, ValueError, OverflowError, UserError) as error:
        raise UserError(
            f"{folder}: the model is not one that apps.chargen has trained, since its "
            f"vocabulary and assets.extra/config.json do not tell its layers: {error}. Name "
            "another with --init-from."
        ) from error
    for name in LAYERS:
        asked, usual = getattr(options, name), getattr(PRESETS[options.preset], name)
        if asked not in (usual, layers[name]):
            flag = ("--no-" if asked is False else "--") + name.replace("_", "-")
            raise UserError(
                f"{folder}: the model has {name}={layers[name]}, got {flag} ({asked}). What "
                f"begins with it keeps its layers: leave out {flag}, or --init-from."
            )
    unknown = set(vocabulary.characters) - set(known.characters)
    if unknown:
        raise UserError(
            f"{folder}: the model has another vocabulary: it does not know {len(unknown)} of "
            f"the text's characters: {data.show_characters(unknown)}. Train without "
            "--init-from, or use a text with its characters only."
        )
    of_model = ", ".join(f"{name} {value}" for name, value in layers.items())
    print(f"beginning with {folder}, with its layers: {of_model}", flush=True)
    return with_layers, known, weights


def make_model(
    vocabulary: kerasrnn.CharacterVocabulary, options: Train, num_steps: int
) -> kerasrnn.CharLanguageModel:
    """A compiled and built model, for a training of `num_steps` steps."""
    model = kerasrnn.CharLanguageModel(
        vocabulary,
        dropout=options.dropout,
        recurrent_dropout=options.recurrent_dropout,
        **{name: getattr(options, name) for name in LAYERS},
    )
    model.compile(
        keras.optimizers.Adam(warmed_cosine(options, num_steps)),
        window=options.window,
        stride=options.stride,
        truncation=truncation_policy(options.truncation),
        teacher_forcing=feeding_policy(options, num_steps),
        global_clipnorm=options.global_clipnorm,
        parallel_parts=count_parts(options.batch_size),
    )
    model(tf.zeros([1, 1], tf.int32))
    return model


def evaluation_windows(ids) -> tf.data.Dataset:
    """All ids in one stream, in windows."""
    return kerasrnn.Stream.from_tokens(ids, 1).windows(EVALUATION_WINDOW)


def evaluate(model, ids) -> float:
    """Nats per character, the state carried over all of `ids`."""
    return model.evaluate(evaluation_windows(ids), verbose=0, return_dict=True)["loss"]
