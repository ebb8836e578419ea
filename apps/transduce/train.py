"""Training: pairs of texts in, an exported model and its figures out."""

import hashlib
import shlex
from collections.abc import Sequence

import rich

from apps import run_dir
from apps.errors import UserError
from apps.quiet import quiet_tensorflow
from apps.tables import make_table
from apps.threads import count_parts
from apps.transduce import data
from apps.transduce.config import BEAM, Train
from apps.transduce.fitting import choose_batch_size, choose_epochs
from apps.transduce.report import EpochReport, describe_splits, write_model_card

with quiet_tensorflow():
    import keras
    import tensorflow as tf

    import kerasrnn
    from apps.feeding import feeding_policy, truncation_policy
    from apps.training import fit, save_best, warmed_cosine
    from apps.transduce.rates import Rates, as_percent, error_rates

EVALUATION_BATCH_SIZE = 256
CHOSEN_BY = "val_sequence_error_rate"  # what the best epoch is the best in


def run(options: Train, loaded: data.Data, splits: dict[str, data.Pairs]) -> dict:
    """Trains, evaluates, exports; returns what stands in `metrics.json`."""
    split_by = {
        side: asked or data.guess_split([pair[number] for pair in splits["train"]])
        for number, (side, asked) in enumerate(
            {"source": options.source_split, "target": options.target_split}.items()
        )
    }
    limits = {"source": options.max_source_length, "target": options.max_target_length}
    splits = _leave_out_long(loaded.source, splits, split_by, limits)
    sizes = {name: len(part) for name, part in splits.items()}
    print(f"pairs: {describe_splits(sizes, loaded.num_dropped)}", flush=True)
    keras.utils.set_random_seed(options.seed)
    tf.config.experimental.enable_op_determinism()
    vocabularies = [
        kerasrnn.TokenVocabulary.from_texts(
            [pair[number] for pair in splits["train"]], split_by[side], options.vocabulary_size
        )
        for number, side in enumerate(data.SIDES)
    ]
    known = ", ".join(
        f"{len(vocabulary.tokens):,} {data.TOKENS[vocabulary.split]} of {side}s"
        for side, vocabulary in zip(data.SIDES, vocabularies, strict=True)
    )
    print(f"vocabulary: {known}", flush=True)
    options.output.expanduser().mkdir(parents=True, exist_ok=True)  # fail before training
    digest = _digest(splits)
    with run_dir.prepared(options.run_dir, "transduce", options, digest) as folder:
        print(f"run: {folder}", flush=True)
        model = make_model(vocabularies, options)
        batch_size = choose_batch_size(options, sizes["train"])
        batches = make_batches(model, splits["train"], batch_size, options.seed)
        num_steps = int(batches.cardinality())
        epochs = choose_epochs(options, num_steps)
        print(
            f"epochs: at most {epochs} of {num_steps:,} steps, {batch_size:,} pairs each",
            flush=True,
        )
        _compile(model, options, num_steps * epochs, batch_size)
        report = EpochReport(folder / "samples.txt", splits["validation"], split_by["target"])
        history, train_seconds = fit(
            model,
            batches,
            make_batches(model, splits["validation"], EVALUATION_BATCH_SIZE),
            folder=folder,
            epochs=epochs,
            chosen_by=CHOSEN_BY,
            mode="min",
            patience=options.patience,
            callbacks=(report,),
        )
        save_best(model, folder)
        report.write()  # it may have been damaged
        best = min(range(len(history[CHOSEN_BY])), key=history[CHOSEN_BY].__getitem__)
        of_validation = score(model, splits["validation"], BEAM)
        of_test = score(model, splits["test"], BEAM)
        metrics = {
            "test_sequence_error_rate": of_test.sequence_error_rate,
            "test_token_error_rate": of_test.token_error_rate,
            "validation_sequence_error_rate": of_validation.sequence_error_rate,
            "validation_token_error_rate": of_validation.token_error_rate,
            "validation_loss": history["val_loss"][best],
            "beam": BEAM,
            "best_epoch": best + 1,
            "epochs": len(history["val_loss"]),
            "steps_in_an_epoch": num_steps,
            "batch_size": batch_size,
            "train_seconds": round(train_seconds, 1),
            "num_parameters": model.count_params(),
            "data_source": loaded.source,
            "split_sizes": sizes,
            "num_dropped": loaded.num_dropped,
            "source_split": split_by["source"],
            "target_split": split_by["target"],
            "seed": options.seed,
            "versions": run_dir.versions(),
        }
        exported = kerasrnn.export(
            model,
            options.output.expanduser(),
            config={
                **run_dir.without_places(run_dir.as_config(options)),
                "data_source": loaded.source,
                "source_split": split_by["source"],
                "target_split": split_by["target"],
                "validation_sequence_error_rate": of_validation.sequence_error_rate,
                "train_seconds": metrics["train_seconds"],
            },
            model_card=write_model_card(options, metrics),
            keep=options.keep_versions,
            receipt=folder / run_dir.EXPORTED,
        )
        run_dir.plot_history(history, folder / "history.png", ["loss"])
        run_dir.write_json(folder / run_dir.METRICS, metrics)
    rich.print(
        make_table(
            "test split",
            {
                **as_percent(of_test._asdict()),
                "sources": f"{len(splits['test'].targets):,}",
                "training": f"{train_seconds:.0f} s",
                "parameters": f"{metrics['num_parameters']:,}",
            },
        )
    )
    example = shlex.quote(next(iter(splits["test"].first(1).targets)))
    named = f"--model {shlex.quote(str(exported))}"
    print(f"try it: python -m apps.transduce predict {named} {example}")
    return metrics


def _leave_out_long(source, splits, split_by, limits):
    """The pairs that the options allow; prints how many are left out.

    Raises:
        UserError: if a split would be empty.
    """
    kept, num_long = dict(splits), dict.fromkeys(data.SIDES, 0)
    for name in ("train", "validation"):  # an answer that is too short is an error of the test
        kept[name], found = data.without_long(splits[name], split_by, limits)
        num_long = {side: num_long[side] + found[side] for side in num_long}
    for side, count in num_long.items():
        if count:
            print(
                f"left out: {count:,} pairs whose {side} has more than {limits[side]:,} "
                f"{data.TOKENS[split_by[side]]} (--max-{side}-length)",
                flush=True,
            )
    empty = [name for name, part in kept.items() if not len(part)]
    if empty:
        raise UserError(
            f"{source}: all pairs for {empty[0]} are too long. Use a larger "
            "--max-source-length or --max-target-length."
        )
    return kept


def _digest(splits: dict[str, data.Pairs]) -> str:
    """The SHA-256 of all pairs, split by split."""
    found = hashlib.sha256()
    for name, part in splits.items():
        found.update(f"{name} {len(part)}\n".encode())
        for source, target in part:
            found.update(f"{source}\t{target}\n".encode())
    return found.hexdigest()


def make_batches(
    model: kerasrnn.Seq2Seq, pairs: data.Pairs, batch_size: int, seed: int | None = None
) -> tf.data.Dataset:
    """Batches of pairs, shuffled with a seed."""
    sources, targets = zip(*pairs, strict=True)
    return model.make_batches(sources, targets, batch_size=batch_size, seed=seed)


def make_model(
    vocabularies: Sequence[kerasrnn.TokenVocabulary], options: Train
) -> kerasrnn.Seq2Seq:
    """A model that is not compiled yet, for the vocabularies of sources and targets."""
    source_vocabulary, target_vocabulary = vocabularies
    return kerasrnn.Seq2Seq(
        source_vocabulary,
        target_vocabulary,
        units=options.units,
        num_layers=options.num_layers,
        cell=options.cell,
        embedding_dim=options.embedding_dim,
        bidirectional=options.bidirectional,
        attention=None if options.attention == "none" else options.attention,
        dropout=options.dropout,
        recurrent_dropout=options.recurrent_dropout,
        max_source_length=options.max_source_length,
        max_target_length=options.max_target_length,
    )


def _compile(model: kerasrnn.Seq2Seq, options: Train, num_steps: int, batch_size: int) -> None:
    model.compile(
        keras.optimizers.Adam(warmed_cosine(options, num_steps)),
        label_smoothing=options.label_smoothing,
        truncation=truncation_policy(options.truncation),
        teacher_forcing=feeding_policy(options, num_steps),
        global_clipnorm=options.global_clipnorm,
        parallel_parts=count_parts(batch_size),
    )


def score(model: kerasrnn.Seq2Seq, pairs: data.Pairs, beam: int | None) -> Rates:
    """The error rates of what a model writes for sources."""
    sources = list(pairs.targets)
    if beam is not None:
        beam = min(beam, len(model.vocabulary.tokens) + 1)
    written: list[str] = []
    for start in range(0, len(sources), EVALUATION_BATCH_SIZE):
        written += model.generate(sources[start : start + EVALUATION_BATCH_SIZE], beam=beam)
    return error_rates(written, list(pairs.targets.values()), model.vocabulary.split)
