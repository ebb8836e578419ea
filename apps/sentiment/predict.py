"""Labels and probabilities for reviews, from an exported model."""

import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Sequence

from apps.exported import load_signature
from apps.records import check_text, decode_lines
from apps.sentiment.config import Predict
from apps.sentiment.data import read_texts

BATCH_SIZE = 64
PREVIEW_LENGTH = 60


def run(options: Predict) -> None:
    """Prints one line a review, in the order of the reviews."""
    if options.file is not None:
        options.file.expanduser().open("rb").close()  # refuse it before TensorFlow is imported
    signature, _ = load_signature(options.model, "sentiment")
    interactive = not options.reviews and options.file is None and sys.stdin.isatty()
    for texts in _batches(_read(options), 1 if interactive else BATCH_SIZE):
        for text, (label, probability) in zip(texts, classify(signature, texts), strict=True):
            print(_format(text, label, probability, options.json))
        sys.stdout.flush()


def classify(signature, texts: Sequence[str]) -> list[tuple[str, float]]:
    """The label and the probability of positive, for each text."""
    import tensorflow as tf

    outputs = signature(text=tf.constant(texts, tf.string))
    labels = (label.decode("utf-8") for label in outputs["label"].numpy())
    return list(zip(labels, outputs["probability"].numpy().tolist(), strict=True))


def _read(options: Predict) -> Iterator[str]:
    if options.reviews:
        for number, text in enumerate(options.reviews, 1):
            yield check_text(text, f"review {number}")
    elif options.file is not None:
        yield from read_texts(options.file.expanduser())
    else:
        for line in decode_lines(sys.stdin.buffer, "standard input"):
            yield line.rstrip("\r\n")


def _batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    remaining = iter(texts)
    while batch := list(itertools.islice(remaining, size)):
        yield batch


def _format(text: str, label: str, probability: float, as_json: bool) -> str:
    if as_json:
        return json.dumps(
            {"text": text, "label": label, "probability": probability}, ensure_ascii=False
        )
    preview = " ".join(text[: 4 * PREVIEW_LENGTH].split())
    if len(preview) > PREVIEW_LENGTH:
        preview = preview[: PREVIEW_LENGTH - 1] + "…"
    return f"{label}\t{probability:.4f}\t{preview}"
