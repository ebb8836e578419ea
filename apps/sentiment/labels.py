"""The names of labels: how data write them, and in which order they are numbered."""

import math
import re
from collections.abc import Iterable
from typing import Any

LABELS = ("negative", "positive")
"""Of sentiment."""

_SENTIMENT = {
    "0": 0, "neg": 0, "negative": 0,
    "1": 1, "pos": 1, "positive": 1,
}  # fmt: skip
LONGEST_SHOWN = 40  # characters


def read_name(value: Any) -> str:
    """The name that a field of a table or a folder's name gives a label; empty for none.

    It is one line, and 5.0 is 5.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    name = " ".join(str(value).split())
    whole = re.fullmatch(r"(-?\d+)\.0+", name)
    return whole[1] if whole else name


def find_labels(names: Iterable[str]) -> tuple[str, ...]:
    """The labels of data in their order: numbers by size, other names by the alphabet.

    If all are names of sentiment, such as 0 and 1 or neg and pos, they are `LABELS`.
    """
    distinct = set(names)
    if distinct and all(name.lower() in _SENTIMENT for name in distinct):
        return LABELS
    if all(map(_is_number, distinct)):
        return tuple(sorted(distinct, key=float))
    return tuple(sorted(distinct, key=lambda name: (name.lower(), name)))


def number_of(name: str, labels: tuple[str, ...]) -> int | None:
    """The number of a label; `None` if it is not among `labels`."""
    if name in labels:
        return labels.index(name)
    known = _SENTIMENT.get(name.lower()) if set(labels) == set(LABELS) else None
    return None if known is None else labels.index(LABELS[known])


def split_labels(given: str) -> tuple[str, ...]:
    """The labels that `--labels` lists."""
    return tuple(read_name(name) for name in given.split(","))


def listed(names: Iterable[str], most: int = 10) -> str:
    """Names for a message: not too many, and none too long."""
    names = list(names)
    cut = [n if len(n) <= LONGEST_SHOWN else n[: LONGEST_SHOWN - 1] + "…" for n in names[:most]]
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(cut) + more


def _is_number(name: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", name) is not None
