"""What a training tells: figures and samples after each epoch, the model card at the end."""

import dataclasses
from pathlib import Path

from apps import run_dir
from apps.quiet import quiet_tensorflow
from apps.transduce.config import PRESETS, Train
from apps.transduce.data import NAMES, SIDES, TOKENS, Pairs

with quiet_tensorflow():
    import keras

    from apps.transduce.rates import error_rates
    from kerasrnn import files

MOST_WRITTEN, SHOWN = 10_000, 4
"""Sources of the validation split that are written after each epoch, and that are shown."""
PIECE = 1000
"""Sources that are written at a time."""


class EpochReport(keras.callbacks.Callback):
    """After each epoch: validation error rates with greedy decoding, and a few samples.

    Args:
        path: the file of all samples.
        pairs: of the validation split.
        split_by: what a token of a target is.

    `samples` are saved in the checkpoint, like every attribute of a callback. The file is
    rewritten in full after each epoch, and never read.
    """

    def __init__(self, path: Path, pairs: Pairs, split_by: str):
        super().__init__()
        self.path, self.split_by = path, split_by
        self.targets = pairs.first(MOST_WRITTEN).targets
        self.samples: list[str] = []

    def on_epoch_end(self, epoch, logs=None):
        written: list[str] = []
        sources, targets = list(self.targets), list(self.targets.values())
        for start in range(0, len(sources), PIECE):
            written += self.model.generate(sources[start : start + PIECE])
        rates = error_rates(written, targets, self.split_by)
        logs["val_sequence_error_rate"] = rates.sequence_error_rate
        logs["val_token_error_rate"] = rates.token_error_rate
        title = (
            f"epoch {epoch + 1}: validation loss {logs['val_loss']:.4f}, sequence errors "
            f"{rates.sequence_error_rate:.2%}, token errors {rates.token_error_rate:.2%}"
        )
        shown = "\n".join(
            f"  | {source} -> {text}{'' if text in right else f' (not {right[0]})'}"
            for source, text, right in zip(sources, written, targets, strict=True)
        ).split("\n")[:SHOWN]
        self.samples.append("\n".join([title, *shown, "", ""]))
        self.write()
        print("\n" + "\n".join([title, *shown]), flush=True)

    def write(self) -> None:
        """Writes the samples of all epochs."""
        files.write_text(self.path, "".join(self.samples))


def describe_splits(sizes: dict[str, int], num_dropped: int) -> str:
    """The sizes of the splits, and how many pairs were left out."""
    described = ", ".join(f"{size:,} {name}" for name, size in sizes.items())
    return described + (f"; {num_dropped:,} duplicates left out" if num_dropped else "")


def write_model_card(options: Train, metrics: dict) -> str:
    """What the model is, what it was trained on and how well it does, in Markdown."""
    versions = metrics["versions"]
    packaged = options.data in NAMES
    pinned = dataclasses.replace(options, data="packaged") if packaged else options
    title = "Pronunciations of English words" if packaged else "Sequence-to-sequence model"
    task = (
        "Writes the phonemes of an English word in ARPAbet, without stress."
        if packaged
        else "Turns a source text into a target text, as in the pairs that it was trained on."
    )
    tokens = ", ".join(f"{TOKENS[metrics[f'{side}_split']]} of {side}s" for side in SIDES)
    training = f"{metrics['epochs']} epochs of {metrics['steps_in_an_epoch']:,} steps"
    return f"""# {title}

{task}

| | |
| --- | --- |
| data | {metrics["data_source"]} |
| pairs | {describe_splits(metrics["split_sizes"], metrics["num_dropped"])} |
| tokens | {tokens} |
| sequence error rate, test | {metrics["test_sequence_error_rate"]:.4f} |
| token error rate, test | {metrics["test_token_error_rate"]:.4f} |
| sequence error rate, validation | {metrics["validation_sequence_error_rate"]:.4f} |
| decoding | beam search, beam {metrics["beam"]} |
| parameters | {metrics["num_parameters"]:,} |
| training | {metrics["train_seconds"]} s, {training} |
| seed | {metrics["seed"]} |
| versions | {", ".join(f"{name} {version}" for name, version in versions.items())} |

An answer is right if it is one of the targets of its source. The split depends only on a hash
(SHA-256) of the source.

Reproduce it: `{run_dir.command_line("transduce", pinned, PRESETS[options.preset])}`,
with all options in `config.json`.

The error rates hold only for data like the training data.
"""
