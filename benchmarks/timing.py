"""How everything here is timed: in turns, over several rounds."""

import functools
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Turn = Callable[[float], list[float]]
"""Makes calls for so many seconds, and returns the seconds of each."""


def repeat(call: Callable[[], object], seconds: float) -> list[float]:
    """Makes calls for some seconds, but at least one; returns the seconds of each.

    The first call of several does not count: the caches still hold the data of others.
    """
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times[1:] or times


def take_turns(turns: Mapping[Key, Turn], rounds: int, seconds: float) -> dict[Key, float]:
    """The time of a call of each contender, in seconds.

    One contender runs at a time. A contender's time is the median over the rounds of the
    median over the calls of a turn, so a slow minute of the machine meets all of them alike.

    Args:
        turns: what each contender does when its turn comes.
        rounds: how often each has its turn.
        seconds: for all turns together, about.
    """
    medians: dict[Key, list[float]] = {name: [] for name in turns}
    for _ in range(rounds):
        for name, turn in turns.items():
            times = turn(seconds / rounds / len(turns))
            medians[name].append(statistics.median(times))
    return {name: statistics.median(values) for name, values in medians.items()}


def time_calls(
    calls: Mapping[Key, Callable[[], object]], rounds: int, seconds: float
) -> dict[Key, float]:
    """`take_turns` for functions in this process; the first call of each is not timed."""
    for call in calls.values():
        call()
    turns = {name: functools.partial(repeat, call) for name, call in calls.items()}
    return take_turns(turns, rounds, seconds)
