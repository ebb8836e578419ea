"""Peers that are asked for something: in processes of their own, where they sleep until then,
or, to see that they work, in this one."""

import contextlib
import logging
import multiprocessing
import re
from collections.abc import Callable, Hashable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import Peer
from benchmarks.peers.prepared import Prepared
from benchmarks.problems import Problem
from benchmarks.timing import repeat

STATUS = Path("/proc/self/status")


class PeerError(Exception):
    """A peer cannot do what it was asked for; says why."""


Reply = tuple[bool, Any]
"""Whether a request succeeded, and the answer; or the message of the error."""


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
            succeeded, answer = self._reply()
        except (EOFError, OSError):
            raise PeerError("its process has ended") from None
        if not succeeded:
            raise PeerError(answer)
        return answer

    def _reply(self) -> Reply:
        return self._connection.recv()

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


class WorkerHere(Worker):
    """A peer in this process: nothing has to start."""

    def __init__(self, peer: Peer):
        self._desk = Desk(peer)

    def send(self, request: str, *arguments: Any) -> None:
        """Asks for something, and waits for the answer."""
        self._answered = self._desk.answer(request, *arguments)

    def _reply(self) -> Reply:
        return self._answered

    def close(self) -> None:
        """Nothing runs."""


@contextlib.contextmanager
def start_workers(peers: dict[str, Peer], here: bool = False) -> Iterator[dict[str, Worker]]:
    """A worker for each peer, while the context lasts; all in this process, if they may be."""
    kind = WorkerHere if here else Worker
    workers = {name: kind(peer) for name, peer in peers.items()}
    try:
        yield workers
    finally:
        for worker in workers.values():
            worker.close()


def serve(connection: Connection, peer: Peer) -> None:
    """What a worker's process does: it answers requests until nobody is there."""
    hide_retracing()
    desk = Desk(peer)
    while True:
        try:
            request, arguments = connection.recv()
        except EOFError:
            return
        connection.send(desk.answer(request, *arguments))


class Desk:
    """Answers the requests to a peer."""

    def __init__(self, peer: Peer):
        self._peer = peer
        self._prepare: Callable[..., Prepared] | None = None
        self._prepared: dict[Hashable, Prepared] = {}

    def answer(self, request: str, *arguments: Any) -> Reply:
        """Does what a method of `Worker` asks for."""
        try:
            self._prepare = self._prepare or self._peer.load()
            answer: Any = None
            if request == "prepare":
                key, *problem_and_part = arguments
                self._prepared[key] = self._prepare(*problem_and_part)
                self._prepared[key].run()  # traces and compiles
            elif request == "results":
                call = self._prepared[arguments[0]]
                answer = call.read(call.run())
            elif request == "repeat":
                key, seconds = arguments
                answer = repeat(self._prepared[key].run, seconds)
            elif request == "memory":
                answer = read_memory()
            elif request == "forget":
                self._prepared.clear()
        except Exception as error:
            text = str(error).strip().splitlines() or [type(error).__name__]
            return False, text[0]
        return True, answer


def hide_retracing() -> None:
    """TensorFlow does not warn in this process that functions are traced again.

    They are: each problem is traced once.
    """
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def read_memory() -> tuple[float, float]:
    """The memory that this process holds, and the most that it has held, in MiB (on Linux)."""
    status = STATUS.read_text("utf-8")
    held, peak = (
        int(re.search(rf"^{name}:\s*(\d+) kB", status, re.MULTILINE)[1]) / 1024  # type: ignore[index]
        for name in ("VmRSS", "VmHWM")
    )
    return held, peak
