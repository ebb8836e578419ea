"""What a training would hold in memory, against what the machine has."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from apps.errors import UserError

FLOAT_BYTES = 4
COPIES = 4
"""Of each weight: itself, its gradient, and the two moments that Adam keeps."""
GATES = {"vanilla": 1, "lstm": 4, "gru": 3}
"""Of each cell: how many products with the state a step has."""
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


@dataclasses.dataclass(frozen=True)
class Part:
    """One part of what is held in memory."""

    what: str
    """`"the weights take"`, for the message."""
    num_bytes: int
    """Of it, at least."""
    options: Sequence[str]
    """The options that make it large."""


def training_parts(
    num_weights: int,
    weight_options: Sequence[str],
    num_kept: int,
    step_options: Sequence[str],
) -> list[Part]:
    """What a training holds in memory.

    Args:
        num_weights: of the model.
        weight_options: the options that make them many.
        num_kept: the numbers that a training step keeps for its gradients.
        step_options: the options that make these many.
    """
    weights = COPIES * FLOAT_BYTES * num_weights
    return [
        Part(
            "the weights, their gradients and what Adam keeps of them take",
            weights,
            weight_options,
        ),
        Part(
            "what a training step keeps for its gradients takes",
            FLOAT_BYTES * num_kept,
            step_options,
        ),
    ]


def check_memory(options: Any, usual: Any, parts: Sequence[Part]) -> None:
    """Refuses what the machine cannot hold, before it is tried.

    Args:
        options: those asked for.
        usual: options that are known to fit; the ones above them are named.
        parts: what is held at the same time.

    Raises:
        UserError: if all parts together are larger than the memory.
    """
    limit = find_limit()
    total = sum(part.num_bytes for part in parts)
    if limit is None or total <= limit:
        return
    largest = max(parts, key=lambda part: part.num_bytes)

    def is_raised(name):
        value, before = getattr(options, name), getattr(usual, name)
        return value is not None and (before is None or value > before)

    named = list(filter(is_raised, largest.options)) or largest.options
    flags = " and ".join("--" + name.replace("_", "-") for name in named)
    smaller = "a smaller one" if len(named) == 1 else "smaller ones"
    in_all = "" if largest.num_bytes > limit else f" of {_in_gib(total)} GiB in all"
    raise UserError(
        f"{flags}: {largest.what} {_in_gib(largest.num_bytes)} GiB{in_all}, and this machine "
        f"has {_in_gib(limit)} GiB of memory. Use {smaller}."
    )


def _in_gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:,.1f}"


def find_limit() -> int | None:
    """The bytes of memory that this process may use; `None` where nobody tells."""
    return min((*_physical(), *_of_cgroups()), default=None)


def _physical() -> Iterator[int]:
    with contextlib.suppress(AttributeError, ValueError, OSError):  # as on Windows
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        if pages > 0 and size > 0:
            yield pages * size


def _of_cgroups() -> Iterator[int]:
    """The limits of the control groups that this process is in, of both versions."""
    try:
        lines = _OWN_CGROUPS.read_text().splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            top, file = _CGROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            top, file = _CGROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            with contextlib.suppress(OSError, ValueError):  # not there, or "max"
                yield int((folder / file).read_text())
