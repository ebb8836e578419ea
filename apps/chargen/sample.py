"""Text from an exported model, shown as it is written."""

import io
import itertools
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from apps.chargen.config import Sample
from apps.chargen.data import show_characters
from apps.chargen.sizes import check_sample
from apps.errors import UserError, warn
from apps.exported import announce, load_signature
from apps.records import check_text

PIECE = 16
"""Characters that are written at a time; a multiple of 8, as the signature asks for."""
SEPARATOR = "-" * 15


def run(options: Sample) -> None:
    """Writes texts to the terminal, each character as it comes, or into a file."""
    check_text(options.prompt, "--prompt")
    check_sample(options)
    if options.interactive and sys.stdin is None:
        raise UserError(
            "standard input is closed. Give a --prompt, and leave out --interactive."
        )
    if options.output is not None:
        _check_output(options.output.expanduser())
    read, folder = load_signature(options.model, "chargen", "read", ["ids"])
    writer = Writer(read.loaded, options)
    known = read_characters(folder)
    announce(options.model, folder)
    if options.interactive:
        _answer(writer, known, options)
        return
    _warn_of_unknown(options.prompt, known)
    seed = random.randrange(2**31) if options.seed is None else options.seed
    if options.num == 1 and options.output is None:
        _show(itertools.chain([options.prompt], writer.write(options.prompt, seed)))
        return
    pieces = zip(*writer.write_all([options.prompt] * options.num, seed), strict=True)
    texts = [options.prompt + "".join(row) + "\n" for row in pieces]
    if not options.length:
        texts = [options.prompt + "\n"] * options.num
    joined = f"{SEPARATOR}\n".join(texts)
    if options.output is None:
        sys.stdout.write(joined)
    else:
        from kerasrnn.files import write_text  # imports TensorFlow, as loading a model does

        write_text(options.output.expanduser(), joined)


def _check_output(path: Path) -> None:
    """Says at once what would be said only when all texts are written."""
    if not path.parent.is_dir():
        raise UserError(f"{path.parent}: there is no such folder. Make it first.")
    if path.is_dir():
        raise UserError(f"{path}: this is a folder. Name a file with --output.")
    whole = path.is_file() or not path.exists()  # such a file is written beside, and renamed
    target = Path(os.path.realpath(path)).parent if whole else path
    if not os.access(target, os.W_OK):
        raise UserError(f"{path}: the file cannot be written. Use another --output.")


class Writer:
    """Writes with the signatures of an exported model.

    Args:
        loaded: the model.
        options: how to choose characters, and how many.

    Raises:
        UserError: if `top_k` is more than the model knows.
    """

    def __init__(self, loaded, options: Sample):
        self.signatures = loaded.signatures
        logits = self.signatures["step"].structured_outputs["logits"]
        num_known = logits.shape[-1] - 1  # one stands for the unknown
        if options.top_k is not None and options.top_k > num_known:
            raise UserError(
                f"--top-k must not be above {num_known}, the characters that the model knows, "
                f"got {options.top_k}."
            )
        self.options = options

    def write(self, prompt: str, seed: int) -> Iterator[str]:
        """What follows a prompt, piece by piece."""
        for (piece,) in self.write_all([prompt], seed):
            yield piece

    def write_all(self, prompts: list[str], seed: int) -> Iterator[list[str]]:
        """What follows each prompt, piece by piece."""
        import tensorflow as tf

        options = self.options
        choice = {
            "temperature": tf.constant(options.temperature),
            "top_k": tf.constant(options.top_k or 0),
            "top_p": tf.constant(1.0 if options.top_p is None else options.top_p),
            "seed": tf.constant(seed),
        }
        state = self.signatures["read"](text=tf.constant(prompts))
        for position in range(0, options.length, PIECE):
            state = self.signatures["write"](
                length=tf.constant(min(PIECE, options.length - position)),
                position=tf.constant(position),
                **choice,
                **state,
            )
            yield [text.decode("utf-8") for text in state.pop("text").numpy()]


def read_characters(folder: Path) -> set[str]:
    """The characters that an exported model knows.

    Raises:
        UserError: if its vocabulary does not tell them.
    """
    file = folder / "assets" / "vocabulary.txt"
    try:
        lines = file.read_text("utf-8").splitlines()
        return {chr(int(line.split("\t")[0])) for line in lines}
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(
            f"{file}: the model is damaged: its vocabulary cannot be read: {error}. Train one: "
            "python -m apps.chargen train, or name another with --model."
        ) from None


def _warn_of_unknown(prompt: str, known: set[str]) -> None:
    unknown = set(prompt) - known
    if unknown:
        warn(f"the model has never seen {show_characters(unknown)}: it reads them as U+FFFD.")


def _show(pieces) -> None:
    for character in itertools.chain.from_iterable(pieces):
        sys.stdout.write(character)
        sys.stdout.flush()
    sys.stdout.write("\n")
    sys.stdout.flush()


def _answer(writer: Writer, known: set[str], options: Sample) -> None:
    """Goes on from each line that is typed."""
    seed = random.randrange(2**31) if options.seed is None else options.seed
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # what is not UTF-8 is said below
    if sys.stdin.isatty():
        print("Type the beginning of a text; an empty line ends.", file=sys.stderr)
    for number in itertools.count():
        try:
            prompt = input("> " if sys.stdin.isatty() else "")
        except EOFError:
            return
        if not prompt:
            return
        _warn_of_unknown(check_text(prompt, "standard input"), known)
        _show(itertools.chain([prompt], writer.write(prompt, (seed + number) % 2**31)))
