"""The commands of the app and their options; nothing here imports TensorFlow."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from apps import conversion
from apps.cli import (
    COUNT,
    FLOATS,
    UserError,
    check_numbers,
    check_option,
    check_truncation,
)
from apps.sentiment.labels import split_labels

MODELS = Path("saved_models/sentiment")


def _check_columns(options) -> None:
    """Raises a `UserError` for columns that no file can have."""
    given = options.delimiter
    separates = given in (None, "tab", "\t") or (
        len(given) == 1 and given.isprintable() and given != '"'
    )
    check_option(options, "delimiter", separates, "must be one character, or tab")
    other = getattr(options, "label_column", None)
    rule = f"must not be the column of the labels, {other}"
    check_option(options, "text_column", options.text_column != other, rule)


def _check_splits(options) -> None:
    """Raises a `UserError` for texts that no training can have."""
    _check_columns(options)
    if options.labels is not None:
        names = split_labels(options.labels)
        differ = len(set(names)) == len(names) >= 2 and all(names)
        check_option(options, "labels", differ, "must be two names or more that differ")
    check_numbers(options, "max_examples", 20, COUNT)
    check_option(options, "seed", 0 <= options.seed < 2**32, "must lie in [0, 2**32)")
    is_part = 0 < options.validation_fraction < 1
    check_option(options, "validation_fraction", is_part, "must lie in (0, 1)")


@dataclasses.dataclass(frozen=True)
class Train:
    """Train a model on labelled texts, evaluate it on the test split and export it."""

    preset: Literal["default", "classic"] = "default"
    """Defaults of the options below: default, or classic, the textbook model (10,000 words, 200
    tokens, one vanilla RNN of 128 units read at its last state)."""
    data: str = "auto"
    """Where labelled texts come from: auto, tfds or packaged (movie reviews), or a path: a CSV,
    TSV or JSONL file, or a folder that holds a folder of .txt files for each label, as that of
    aclImdb."""
    data_dir: Path | None = None
    """Folder of tensorflow_datasets. Default: TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    text_column: str = "text"
    """Name of the column of the texts in a CSV, TSV or JSONL file."""
    label_column: str = "label"
    """Name of the column of the labels there."""
    delimiter: str | None = None
    """What separates the columns: one character, or tab. Default: comma, semicolon, tab or |,
    as the first line of the file shows."""
    labels: str | None = None
    """The labels in their order, with commas between them, such as ham,spam. Default: those of
    the texts, numbers by size, other names by the alphabet."""
    max_examples: int | None = None
    """Use at most this many texts of each split, for a quick trial."""
    run_dir: Path | None = None
    """Folder for config.json, history.csv, metrics.json and checkpoints.
    A finished run there is shown again, or replaced if the options differ.
    Default: runs/sentiment/<date and time>."""
    resume: bool = True
    """Continue an unfinished run with the same options in --run-dir, as if it had never been
    interrupted. --no-resume replaces any run there."""
    output: Path = MODELS
    """Export the model into the next version of this folder."""
    keep_versions: int | None = None
    """How many of the newest versions to keep in --output. Default: all."""
    cell: Literal["vanilla", "lstm", "gru"] = "vanilla"
    """The recurrent cell."""
    units: int = 64
    """Size of the recurrent state, in each direction."""
    bidirectional: bool = True
    """Whether a second recurrent layer reads backwards."""
    pooling: Literal["mean_max", "last"] = "mean_max"
    """How the outputs become one vector: their mean and maximum over time, or the last one."""
    filters: int | None = 128
    """Number of filters of a convolution over three words, before the recurrent layer. With
    mean_max, its outputs are pooled, too. None: no convolution."""
    vocabulary_size: int = 30_000
    """How many words the model knows: the most frequent ones in the training texts."""
    max_length: int = 400
    """Maximum number of words to read from a text. From a longer text, the last ones are
    read."""
    embedding_dim: int = 64
    """Size of the word vectors."""
    word_vectors: bool = True
    """Whether to compute the first word vectors from neighbouring words in the training texts.
    --no-word-vectors starts with random ones."""
    adversarial_noise: float | None = None
    """Adversarial training: add noise to the word vectors in the direction that increases the
    loss. The value, for example 0.3, is the norm of the noise on a whole text, divided by the
    norm of one word vector. A step then takes twice as long. Default: no noise."""
    dropout: float = 0.5
    """Dropout rate of the word vectors and of the features below the output."""
    epochs: int | None = None
    """Maximum number of epochs. Default: enough for about --steps steps, from 3 to 30."""
    steps: int = 900
    """Approximate number of training steps, unless --epochs is given."""
    patience: int | None = None
    """Stop after this many epochs without a lower validation loss, and keep the best weights.
    Default: a third of the epochs, at least 2."""
    batch_size: int | None = None
    """Number of texts in a training step. Default: 64. With few texts it is halved, at most to
    8, until an epoch has at least 20 steps."""
    learning_rate: float = 2e-3
    """Initial learning rate of Adam; it decays to 0 over the epochs along a cosine."""
    global_clipnorm: float = 1.0
    """Maximum global norm of the gradient; a larger gradient is scaled down to it."""
    truncation: str = "full"
    """How far gradients flow back through time: full, a number N (cut every N words), or
    randomized (cut at random, without bias; they pass each step with probability 0.9)."""
    validation_fraction: float = 0.1
    """Fraction of the training texts to hold out for choosing the best epoch."""
    seed: int = 0
    """The same seed gives the same model, bit for bit, on the same machine."""

    def __post_init__(self):
        check_numbers(self, "units embedding_dim filters", 1, 100_000)
        check_numbers(self, "vocabulary_size", 1, 10_000_000)
        check_numbers(self, "max_length epochs batch_size", 1, 1_000_000)
        check_numbers(self, "steps keep_versions", 1, COUNT)
        check_numbers(self, "patience", 0, COUNT)
        check_numbers(self, "learning_rate", *FLOATS)
        check_numbers(self, "global_clipnorm adversarial_noise", *FLOATS)
        check_truncation(self)
        _check_splits(self)
        check_option(self, "dropout", 0 <= self.dropout < 1, "must lie in [0, 1)")


PRESETS = {
    "default": Train(),
    "classic": Train(
        preset="classic",
        bidirectional=False,
        pooling="last",
        filters=None,
        vocabulary_size=10_000,
        max_length=200,
        embedding_dim=128,
        word_vectors=False,
        units=128,
        dropout=0.0,
        steps=1750,
        learning_rate=1e-3,
    ),
}


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Score an exported model on labelled texts."""

    model: Path = MODELS
    """An exported model, or a folder of versions, whose newest version is used."""
    data: str = "auto"
    """Where labelled texts come from: auto, tfds or packaged (movie reviews), or a path: a CSV,
    TSV or JSONL file, or a folder that holds a folder of .txt files for each label, as that of
    aclImdb. Scores the test split if there is one, else all texts. Or rt: reviews of another
    site, Rotten Tomatoes."""
    data_dir: Path | None = None
    """Folder of tensorflow_datasets. Default: TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    text_column: str = "text"
    """Name of the column of the texts in a CSV, TSV or JSONL file."""
    label_column: str = "label"
    """Name of the column of the labels there."""
    delimiter: str | None = None
    """What separates the columns: one character, or tab. Default: comma, semicolon, tab or |,
    as the first line of the file shows."""
    max_examples: int | None = None
    """Score at most this many texts."""
    json: bool = False
    """Print one line of JSON instead of the tables."""
    plot: Path | None = None
    """Draw calibration and accuracy by length into this PNG file; needs the extra viz."""

    def __post_init__(self):
        _check_columns(self)
        check_numbers(self, "max_examples", 1, COUNT)


@dataclasses.dataclass(frozen=True)
class Baseline:
    """Train a linear model on the same data as train, and compare it with an exported model."""

    data: str = "auto"
    """Where labelled texts come from: auto, tfds or packaged (movie reviews), or a path: a CSV,
    TSV or JSONL file, or a folder that holds a folder of .txt files for each label, as that of
    aclImdb."""
    data_dir: Path | None = None
    """Folder of tensorflow_datasets. Default: TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    text_column: str = "text"
    """Name of the column of the texts in a CSV, TSV or JSONL file."""
    label_column: str = "label"
    """Name of the column of the labels there."""
    delimiter: str | None = None
    """What separates the columns: one character, or tab. Default: comma, semicolon, tab or |,
    as the first line of the file shows."""
    labels: str | None = None
    """The labels in their order, with commas between them, such as ham,spam. Default: those of
    the texts, numbers by size, other names by the alphabet."""
    max_examples: int | None = None
    """Use at most this many texts of each split, for a quick trial."""
    validation_fraction: float = 0.1
    """Fraction of the training texts to hold out for choosing the regularization."""
    seed: int = 0
    """The same seed gives the same splits, here and in train."""
    model: Path = MODELS
    """The exported model to score on the same test split, or a folder of versions, whose newest
    version is used."""
    json: bool = False
    """Print one line of JSON instead of the table."""

    def __post_init__(self):
        _check_splits(self)


@dataclasses.dataclass(frozen=True)
class Predict:
    """Predict the labels of texts, for example whether reviews are positive or negative."""

    texts: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """The texts. Without any, and without --file, they are read from standard input, one per
    line."""
    file: Path | None = None
    """Read texts from a file: CSV, TSV or JSONL with columns, or else one text per line."""
    text_column: str = "text"
    """Name of the column of the texts in --file."""
    delimiter: str | None = None
    """What separates the columns of --file: one character, or tab. Default: comma, semicolon,
    tab or |, as the first line shows."""
    model: Path = MODELS
    """An exported model, or a folder of versions, whose newest version is used."""
    json: bool = False
    """Print one line of JSON per text, with the keys text, label and probability, and for more
    than two labels probabilities."""

    def __post_init__(self):
        _check_columns(self)
        if self.texts and self.file is not None:
            raise UserError("texts were given both as arguments and with --file. Use one.")


@dataclasses.dataclass(frozen=True)
class Export(conversion.Export):
    __doc__ = conversion.Export.__doc__

    model: Path = MODELS
    """An exported model, or a folder of versions, whose newest version is used."""
