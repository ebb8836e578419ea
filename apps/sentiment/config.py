"""The commands of the app and their options; nothing here imports TensorFlow."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from apps import conversion
from apps.cli import COUNT, FLOATS, check_numbers, check_option, check_truncation
from apps.errors import UserError
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


@dataclasses.dataclass(frozen=True)
class LabelledTexts:
    """Where labelled texts come from."""

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
    max_examples: int | None = None
    """Use at most this many texts of each split, for a quick trial."""

    def __post_init__(self):
        _check_columns(self)


@dataclasses.dataclass(frozen=True)
class SplitTexts(LabelledTexts):
    """Labelled texts to train on, and how they are split."""

    labels: str | None = None
    """The labels in their order, with commas between them, such as ham,spam. Default: those of
    the texts, numbers in ascending order, other names alphabetically."""
    validation_fraction: float = 0.1
    """Fraction of the training texts that is used for choices, and not for training."""
    seed: int = 0
    """The same seed gives the same splits and the same model, bit for bit, on the same
    machine."""

    def __post_init__(self):
        super().__post_init__()
        if self.labels is not None:
            names = split_labels(self.labels)
            differ = len(set(names)) == len(names) >= 2 and all(names)
            check_option(self, "labels", differ, "must be two names or more that differ")
        check_numbers(self, "max_examples", 20, COUNT)
        check_option(self, "seed", 0 <= self.seed < 2**32, "must lie in [0, 2**32)")
        is_part = 0 < self.validation_fraction < 1
        check_option(self, "validation_fraction", is_part, "must lie in (0, 1)")


@dataclasses.dataclass(frozen=True)
class Train(SplitTexts):
    """Train a model on labelled texts, evaluate it on the test split and export it."""

    preset: Literal["default", "best", "classic"] = "default"
    """Sets the defaults of the options below: default; best, more accurate and about 25 times
    slower (an LSTM that first learns to predict the next word of the training texts, a
    convolution and a linear model); or classic, the textbook model (a vocabulary of 10,000
    words, 200 words of a text, one vanilla RNN of 128 units read at its last state)."""
    run_dir: Path | None = None
    """Folder for config.json, history.csv, metrics.json and checkpoints.
    A finished run there is shown again, or replaced if the options or the data differ.
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
    filters: int | None = 64
    """Number of filters of a convolution over three words. With mean_max, its outputs are
    pooled, too. None: no convolution."""
    stacked: bool = True
    """The recurrent layer reads the outputs of the convolution. With --no-stacked both read the
    word vectors, side by side; this needs --pooling mean_max. Without filters it has no
    effect."""
    vocabulary_size: int = 30_000
    """How many words the model knows: the most frequent ones in the training texts."""
    max_length: int = 400
    """Maximum number of words to read from a text. From a longer text, the last ones are
    read."""
    embedding_dim: int = 64
    """Size of the word vectors."""
    word_vectors: bool = True
    """Whether to compute the initial word vectors from neighbouring words in the training
    texts. --no-word-vectors starts with random ones."""
    pretraining_epochs: int = 0
    """Epochs of language-model pretraining: before it sees labels, the recurrent layer learns
    to predict the next word of the training texts. More accurate, but several times slower.
    Needs --no-bidirectional, and --no-stacked or --filters None. 0: none."""
    word_pairs: int | None = 2**20
    """After the network is trained, a linear model of words and of bigrams (pairs of adjacent
    words) is trained and added to it. The value is the number of hash buckets for bigrams: more
    buckets need more memory and confuse fewer bigrams. Needs scikit-learn. None: no linear
    model."""
    adversarial_noise: float | None = None
    """Adversarial training: add noise to the word vectors in the direction that increases the
    loss. The value, for example 0.3, is the norm of the noise on a whole text, divided by the
    norm of one word vector. A step then takes twice as long. Default: no noise."""
    dropout: float = 0.5
    """Dropout rate of the word vectors and of the features below the output."""
    embedding_dropout: float | None = None
    """Dropout rate of the word vectors only. Default: the same as --dropout."""
    epochs: int | None = None
    """Maximum number of epochs. Default: enough for about --steps steps, from 2 to 30."""
    steps: int = 900
    """Approximate number of training steps, unless --epochs is given."""
    patience: int | None = None
    """Stop after this many epochs without a lower validation loss, and keep the best weights.
    Default: a third of the epochs, at least 2."""
    batch_size: int | None = None
    """Number of texts in a training step. Default: 64. With few texts it is halved until an
    epoch has at least 20 steps, but it is never below 8."""
    learning_rate: float = 2e-3
    """Initial learning rate of Adam; it decays to 0 over the epochs along a cosine."""
    global_clipnorm: float = 1.0
    """Maximum global norm of the gradient; a larger gradient is scaled down to it."""
    truncation: str = "full"
    """How far gradients flow back through time: full, a number N (cut every N words), or
    randomized (cut at random, without bias; they pass each step with probability 0.9)."""

    def __post_init__(self):
        super().__post_init__()
        check_numbers(self, "units embedding_dim filters", 1, 100_000)
        check_numbers(self, "vocabulary_size word_pairs", 1, 10_000_000)
        check_numbers(self, "pretraining_epochs", 0, 1000)
        check_numbers(self, "max_length epochs batch_size", 1, 1_000_000)
        check_numbers(self, "steps keep_versions", 1, COUNT)
        check_numbers(self, "patience", 0, COUNT)
        check_numbers(self, "learning_rate", *FLOATS)
        check_numbers(self, "global_clipnorm adversarial_noise", *FLOATS)
        check_truncation(self)
        for name in ("dropout", "embedding_dropout"):
            fits = getattr(self, name) is None or 0 <= getattr(self, name) < 1
            check_option(self, name, fits, "must lie in [0, 1)")
        fits = self.stacked or self.pooling == "mean_max"
        check_option(self, "stacked", fits, "must be on with --pooling last")
        if self.pretraining_epochs:
            fits = not self.bidirectional and (not self.stacked or self.filters is None)
            rule = "above 0 needs --no-bidirectional, and either --no-stacked or --filters None"
            check_option(self, "pretraining_epochs", fits, rule)


PRESETS = {
    "default": Train(),
    "best": Train(
        preset="best",
        cell="lstm",
        units=512,
        bidirectional=False,
        filters=512,
        stacked=False,
        max_length=1000,
        embedding_dim=128,
        embedding_dropout=0.2,
        pretraining_epochs=3,
        steps=700,
        learning_rate=1e-3,
    ),
    "classic": Train(
        preset="classic",
        bidirectional=False,
        pooling="last",
        filters=None,
        vocabulary_size=10_000,
        max_length=200,
        embedding_dim=128,
        word_vectors=False,
        word_pairs=None,
        units=128,
        dropout=0.0,
        steps=1750,
        learning_rate=1e-3,
    ),
}


@dataclasses.dataclass(frozen=True)
class Evaluate(LabelledTexts):
    """Score an exported model on labelled texts."""

    model: Path = MODELS
    """An exported model, or a folder of versions, whose newest version is used."""
    data: str = "auto"
    """Where labelled texts come from: auto, tfds or packaged (movie reviews), or a path: a CSV,
    TSV or JSONL file, or a folder that holds a folder of .txt files for each label, as that of
    aclImdb. Scores the test split if there is one, else all texts. Or rt: reviews of another
    site, Rotten Tomatoes."""
    max_examples: int | None = None
    """Score at most this many texts."""
    json: bool = False
    """Print one line of JSON instead of the tables."""
    plot: Path | None = None
    """Draw calibration and accuracy by length into this PNG file; needs the extra viz."""

    def __post_init__(self):
        super().__post_init__()
        check_numbers(self, "max_examples", 1, COUNT)


@dataclasses.dataclass(frozen=True)
class Baseline(SplitTexts):
    """Train a linear model on the same data as train, and compare it with an exported model."""

    model: Path = MODELS
    """The exported model to score on the same test split, or a folder of versions, whose newest
    version is used."""
    json: bool = False
    """Print one line of JSON instead of the table."""


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
