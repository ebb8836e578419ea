"""How well an exported model predicts a text."""

import math
from collections.abc import Iterable
from pathlib import Path

import rich
from rich.progress import Progress

from apps.chargen import data
from apps.chargen.config import Evaluate
from apps.errors import UserError, warn
from apps.exported import announce, find_model, load_signature, read_config
from apps.plain_json import to_line
from apps.sources import NAMES
from apps.tables import make_table

PIECE = 4096
"""Characters that are scored at a time."""


def run(options: Evaluate) -> dict:
    """Scores the model, prints the scores and returns them."""
    # First what fails at once: a model that is not there, and then the data.
    find_model(options.model, "chargen")
    source, length, pieces = data.load_for_evaluation(options.data, options.data_dir)
    if options.max_characters is not None:
        length = min(length, options.max_characters)
    if length < 2:
        raise UserError(f"{source}: a text of two characters or more is needed, got {length}.")
    signature, folder = load_signature(options.model, "chargen", "score", ["nats"])
    announce(options.model, folder)
    warn_of_training_text(folder, source, is_test_split=options.data in NAMES)
    scores = score(signature.loaded, pieces, length, show_progress=not options.json)
    if options.json:
        print(to_line({"model": str(folder), "data_source": source, **scores}))
        return scores
    print(f"data: {source}")
    figures = {
        "nats/character": f"{scores['nats_per_character']:.4f}",
        "bits/character": f"{scores['bits_per_character']:.4f}",
        "perplexity": f"{scores['perplexity']:.3f}",
        "characters": f"{scores['num_characters']:,}",
        "never seen": f"{scores['num_unknown']:,}",
    }
    rich.print(make_table("scores", figures))
    return scores


def score(loaded, pieces: Iterable[str], length: int, show_progress: bool = False) -> dict:
    """The mean of -ln p of each character after all those before it.

    Args:
        loaded: an exported model.
        pieces: the text.
        length: how many characters of it to read. The first is not scored.
        show_progress: whether to draw a bar.
    """
    import tensorflow as tf

    nats, num_unknown, state = 0.0, 0, None
    read, score = loaded.signatures["read"], loaded.signatures["score"]
    with Progress(transient=True, disable=not show_progress) as progress:
        task = progress.add_task("scoring", total=length)
        for text in _blocks(pieces, length):
            progress.advance(task, len(text))
            if state is None:
                state, text = read(text=tf.constant([text[0]])), text[1:]
                if not text:
                    continue
            state = score(text=tf.constant([text]), **state)
            nats += float(state.pop("nats")[0])
            num_unknown += int(state.pop("num_unknown")[0])
            del state["num_characters"]
    mean = nats / (length - 1)
    return {
        "nats_per_character": mean,
        "bits_per_character": mean / math.log(2),
        "perplexity": perplexity(mean),
        "num_characters": length - 1,
        "num_unknown": num_unknown,
    }


def warn_of_training_text(model: Path, source: str, is_test_split: bool) -> None:
    """Says it on standard error if a model is scored on text it was trained on."""
    trained_on = str(read_config(model).get("data_source", ""))
    if not is_test_split:
        if trained_on == source:
            warn(
                "this model was trained on most of a file or folder with this name: its scores "
                "are too good."
            )
        return
    trained, scored = (text.partition(" ")[0] for text in (trained_on, source))
    if {trained, scored} == {"tfds", "packaged"}:  # which have the same plays
        warn(
            "this model was trained on some of these plays: its scores are too good. "
            f"Use --data {trained}."
        )


def perplexity(nats: float) -> float:
    """Among how many characters a model wavers that needs so many nats for one."""
    return math.exp(nats) if nats < 700 else math.inf


def _blocks(pieces: Iterable[str], length: int) -> Iterable[str]:
    """The first `length` characters, `PIECE` at a time."""
    for piece in pieces:
        part = piece[:length]
        length -= len(part)
        for start in range(0, len(part), PIECE):
            yield part[start : start + PIECE]
        if not length:
            return
