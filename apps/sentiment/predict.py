"""Labels and probabilities for texts, from an exported model."""

import functools
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.progress import Progress

from apps.errors import UserError
from apps.exported import announce, load_signature, read_labels
from apps.plain_json import to_line
from apps.records import check_text, decode_lines, read_lines
from apps.sentiment.config import Predict
from apps.sentiment.files import read_texts, table_of

SIGNATURE = "serving_default", ("label", "probability")
BATCH_SIZE = 128
CHUNK_SIZE = 8 * BATCH_SIZE  # texts of a file in memory at a time
PREVIEW_LENGTH = 60


class Answer(NamedTuple):
    """What a model says of a text."""

    label: str
    probability: float
    """Of two labels, that of the second one; of more, that of `label`."""
    probabilities: Sequence[float] = ()
    """Of each label, if there are more than two."""


def run(options: Predict) -> None:
    """Prints one line a text, in the order of the texts."""
    if options.file is not None:
        options.file.expanduser().open("rb").close()  # refuse it before TensorFlow is imported
    from_input = not options.texts and options.file is None
    if from_input and sys.stdin is None:
        raise UserError("standard input is closed. Give texts as arguments or with --file.")
    signature, folder = load_signature(options.model, "sentiment", *SIGNATURE)
    labels = read_labels(folder)
    announce(options.model, folder)
    size = CHUNK_SIZE if options.file is not None else BATCH_SIZE
    if from_input and sys.stdin.isatty():
        size = 1  # an answer to each line that is typed
    console = Console(stderr=True)
    # Where the answers go to the terminal they tell themselves how far it is.
    shown = options.file is not None and console.is_terminal and not sys.stdout.isatty()
    with Progress(
        console=console, transient=True, redirect_stdout=False, disable=not shown
    ) as progress:
        for texts in _batches(_read(options, progress), size):
            answers = zip(texts, classify(signature, texts), strict=True)
            print("\n".join(_format(*answer, labels, options.json) for answer in answers))
            sys.stdout.flush()


def classify(signature, texts: Sequence[str]) -> list[Answer]:
    """The answer to each text."""
    import tensorflow as tf

    answers: list = [None] * len(texts)
    # Texts of similar length together, so that little is padding.
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for start in range(0, len(texts), BATCH_SIZE):
        batch = order[start : start + BATCH_SIZE]
        outputs = signature(text=tf.constant([texts[i] for i in batch], tf.string))
        labels = (label.decode("utf-8") for label in outputs["label"].numpy())
        numbers = [outputs["probability"].numpy().tolist()]
        if "probabilities" in outputs:
            numbers.append(outputs["probabilities"].numpy().tolist())
        for i, *answer in zip(batch, labels, *numbers, strict=True):
            answers[i] = Answer(*answer)
    return answers


def _read(options: Predict, progress: Progress) -> Iterator[str]:
    if options.texts:
        for number, text in enumerate(options.texts, 1):
            yield check_text(text, f"text {number}")
    elif options.file is not None:
        opener = functools.partial(progress.open, mode="rb", description="reading texts")
        yield from read_texts(options.file.expanduser(), opener, table_of(options))
    else:
        name = "standard input"
        for line in decode_lines(read_lines(sys.stdin.buffer, name), name):
            yield line.rstrip("\r\n")


def _batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    remaining = iter(texts)
    while batch := list(itertools.islice(remaining, size)):
        yield batch


def _format(text: str, answer: Answer, labels: Sequence[str], as_json: bool) -> str:
    label, probability, probabilities = answer
    if as_json:
        line = {"text": text, "label": label, "probability": probability}
        if probabilities:
            line["probabilities"] = dict(zip(labels, probabilities, strict=False))
        return to_line(line)
    preview = " ".join(text[: 4 * PREVIEW_LENGTH].split())
    if len(preview) > PREVIEW_LENGTH:
        preview = preview[: PREVIEW_LENGTH - 1] + "…"
    return f"{label}\t{probability:.4f}\t{preview}"
