"""Peers in processes of their own, which sleep until they are asked for something."""

import contextlib
import multiprocessing
import re
from collections.abc import Hashable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import Peer
from benchmarks.problems import Problem
from benchmarks.timing import repeat

STATUS = Path("/proc/self/status")


class PeerError(Exception):
    """A peer cannot do what it was asked for; says why."""


class Worker:
    """A peer in a process of its own."""

    def __init__(self, peer: Peer):
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, peer), daemon=True)
        self._process.start()
        theirs.close()

    def send(self, request: str, *arguments: Any) -> None:
        """Asks for something, and does not wait: several workers can prepare at a time."""
        with contextlib.suppress(OSError):  # if the process has ended, `receive` says it
            self._connection.send((request, arguments))

    def receive(self) -> Any:
        """Waits for the answer.

        Raises:
            PeerError: if there was an error there, or if the process has ended.
        """
        try:
            succeeded, answer = self._connection.recv()
        except (EOFError, OSError):
            raise PeerError("its process has ended") from None
        if not succeeded:
            raise PeerError(answer)
        return answer

    def prepare(self, key: Hashable, problem: Problem, *part: str) -> None:
        """Makes a call ready, under a key; waits until it is."""
        self.send("prepare", key, problem, *part)
        self.receive()

    def results(self, key: Hashable) -> list[np.ndarray]:
        """What the call returns."""
        self.send("results", key)
        return self.receive()

    def repeat(self, key: Hashable, seconds: float) -> list[float]:
        """Repeats the call; the seconds of each."""
        self.send("repeat", key, seconds)
        return self.receive()

    def memory(self) -> tuple[float, float]:
        """The memory that the process holds, and the most that it has held, in MiB."""
        self.send("memory")
        return self.receive()

    def forget(self) -> None:
        """Frees what was prepared."""
        self.send("forget")
        self.receive()

    def close(self) -> None:
        self._connection.close()  # then the process ends
        self._process.join()


@contextlib.contextmanager
def start_workers(peers: dict[str, Peer]) -> Iterator[dict[str, Worker]]:
    """A worker for each peer, while the context lasts."""
    workers = {name: Worker(peer) for name, peer in peers.items()}
    try:
        yield workers
    finally:
        for worker in workers.values():
            worker.close()


def serve(connection: Connection, peer: Peer) -> None:
    """What a worker's process does: it answers requests until nobody is there."""
    prepare = None
    prepared: dict[Hashable, Any] = {}
    while True:
        try:
            request, arguments = connection.recv()
        except EOFError:
            return
        try:
            prepare = prepare or peer.load()
            answer: Any = None
            if request == "prepare":
                key, *problem_and_part = arguments
                prepared[key] = prepare(*problem_and_part)
                prepared[key].run()  # traces and compiles
            elif request == "results":
                call = prepared[arguments[0]]
                answer = call.read(call.run())
            elif request == "repeat":
                key, seconds = arguments
                answer = repeat(prepared[key].run, seconds)
            elif request == "memory":
                answer = read_memory()
            elif request == "forget":
                prepared.clear()
            connection.send((True, answer))
        except Exception as error:
            text = str(error).strip().splitlines() or [type(error).__name__]
            connection.send((False, text[0]))


def read_memory() -> tuple[float, float]:
    """The memory that this process holds, and the most that it has held, in MiB (on Linux)."""
    status = STATUS.read_text("utf-8")
    held, peak = (
        int(re.search(rf"^{name}:\s*(\d+) kB", status, re.MULTILINE)[1]) / 1024  # type: ignore[index]
        for name in ("VmRSS", "VmHWM")
    )
    return held, peak
