"""What an exported model answers, for each text that is given."""

import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from apps.errors import UserError, warn
from apps.exported import announce, load_signature, read_config, read_source_tokens
from apps.pictures import check_picture
from apps.plain_json import to_line
from apps.records import check_text, decode_lines, open_binary, read_lines
from apps.transduce.config import LENGTH_PENALTY, Predict
from apps.transduce.data import TOKENS, tokens_of

SIGNATURE = "nbest", ("text", "score")
BATCH_SIZE = 256


class Found(NamedTuple):
    """An answer of a model."""

    text: str
    score: float


def run(options: Predict) -> None:
    """Prints one line for each text, in their order; with `--num`, so many lines."""
    if options.attention is not None:
        check_picture(options.attention.expanduser(), "--attention")
    if options.file is not None:
        options.file.expanduser().open("rb").close()  # refuse it before TensorFlow is imported
    from_input = not options.texts and options.file is None
    if from_input and sys.stdin is None:
        raise UserError("standard input is closed. Give texts as arguments or with --file.")
    signature, folder = load_signature(options.model, "transduce", *SIGNATURE)
    announce(options.model, folder)
    limits = Limits(folder)
    size = 1 if from_input and sys.stdin.isatty() else BATCH_SIZE
    texts = _read(options)
    number = 0
    while batch := list(itertools.islice(texts, size)):
        for text in batch:
            number += 1
            limits.check(text, f"text {number}")
        for text, found in zip(batch, transduce(signature, batch, options.beam), strict=True):
            print("\n".join(_format(text, found, options)))
        sys.stdout.flush()
    if options.attention is not None:
        _plot_attention(signature.loaded, options.texts[0], found[0].text, options.attention)


def transduce(signature, texts: Sequence[str], beam: int) -> list[list[Found]]:
    """The best texts that a beam search finds for each text, the best first.

    Raises:
        UserError: if the beam is larger than the number of tokens of the model.
    """
    import tensorflow as tf

    try:
        outputs = signature(
            text=tf.constant([text.encode("utf-8") for text in texts], tf.string),
            beam=tf.constant(beam),
            length_penalty=tf.constant(LENGTH_PENALTY),
        )
    except tf.errors.InvalidArgumentError as error:
        rule = next((line for line in str(error).splitlines() if "must lie" in line), None)
        if rule is None:
            raise
        most = rule.partition(", ")[2].partition("]")[0]
        raise UserError(
            f"--beam must be from 1 to {most}, the tokens that the model can write, got {beam}."
        ) from None
    rows = zip(outputs["text"].numpy().tolist(), outputs["score"].numpy().tolist(), strict=True)
    return [
        [
            Found(text.decode("utf-8"), score)
            for text, score in zip(*row, strict=True)
            if score > -np.inf
        ]
        for row in rows
    ]


class Limits:
    """What a model can read: tokens that it knows, and not too many of them.

    Args:
        folder: of the model.
    """

    def __init__(self, folder: Path):
        config = read_config(folder)
        self.split_by = str(config.get("source_split", "character"))
        self.tokens = TOKENS.get(self.split_by, "tokens")
        self.most = config.get("max_source_length")
        self.known = read_source_tokens(folder)

    def check(self, text: str, name: str) -> None:
        """Says it on standard error if a model does not read all of a text."""
        tokens = tokens_of(text, self.split_by)
        unknown = sorted(set(tokens) - self.known) if self.known else []
        if not tokens:
            warn(f"{name} is empty.")
        if unknown:
            shown = ", ".join(map(repr, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
            warn(f"{name} has {self.tokens} that the model does not know: {shown}.")
        if isinstance(self.most, int) and len(tokens) > self.most:
            warn(
                f"{name} has {len(tokens):,} {self.tokens}. The model reads "
                f"the first {self.most:,}."
            )


def _read(options: Predict) -> Iterator[str]:
    if options.texts:
        for number, text in enumerate(options.texts, 1):
            yield check_text(text, f"text {number}")
    elif options.file is not None:
        path = options.file.expanduser()
        with open_binary(path) as file:
            empty = True
            for text in _texts_of(decode_lines(read_lines(file, str(path)), str(path))):
                empty = False
                yield text
        if empty:
            raise UserError(f"{path}: the file has no texts. Give it one in each line.")
    else:
        name = "standard input"
        yield from _texts_of(decode_lines(read_lines(sys.stdin.buffer, name), name))


def _texts_of(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line.rstrip("\r\n").partition("\t")[0].strip()


def _format(text: str, found: list[Found], options: Predict) -> list[str]:
    best = found[: options.num]
    if options.json:
        line: dict[str, Any] = {"text": text, "target": best[0].text, "score": best[0].score}
        if options.num > 1:
            line["targets"] = [each.text for each in best]
            line["scores"] = [each.score for each in best]
        return [to_line(line)]
    if options.num == 1:
        return [f"{text}\t{best[0].text}"]
    return [f"{text}\t{each.text}\t{each.score:.4f}" for each in best]


def _plot_attention(loaded, text: str, target: str, path: Path) -> None:
    import tensorflow as tf

    from kerasrnn import AttentionWeights, files
    from kerasrnn.text.tokens import END

    signature = loaded.signatures.get("score")
    if signature is None or "attention" not in signature.structured_outputs:
        raise UserError("the model has no attention. Train one without --attention none.")
    outputs = signature(text=tf.constant([text]), target=tf.constant([target]))
    sides = (
        [token.decode("utf-8", "replace") for token in outputs[name].numpy()[0]]
        for name in ("source_tokens", "target_tokens")
    )
    source_tokens, target_tokens = map(tuple, sides)
    weights = outputs["attention"].numpy()[0]
    source_tokens = source_tokens[: weights.shape[1]]
    weights = weights[: len(target_tokens) + 1, : len(source_tokens)]
    path = path.expanduser()
    with files.writing(path) as hidden:
        AttentionWeights(weights, source_tokens, (*target_tokens, END)).plot(hidden)
    print(f"wrote {path}", file=sys.stderr)
