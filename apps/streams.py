"""Standard streams that are closed, full, or that nobody reads any more."""

import contextlib
import dataclasses
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO

OUTPUT = "standard output"


class _Descriptor(io.FileIO):
    """A file descriptor. After its first error in writing, all later output is discarded.

    So buffered text and the output of C libraries cause no second error. Errors of
    the type `forgiven` are ignored.
    """

    def __init__(self, descriptor: int, shown: str, forgiven: type[OSError] | None):
        super().__init__(descriptor, "w", closefd=False)
        self.shown, self.forgiven = shown, forgiven

    def write(self, data):
        try:
            return super().write(data)
        except BlockingIOError:
            raise
        except OSError as error:
            _lead_nowhere(self.fileno())
            if self.forgiven is not None and isinstance(error, self.forgiven):
                return len(data)
            raise OSError(error.errno, error.strerror, self.shown) from None


def _lead_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


@dataclasses.dataclass
class Output:
    """Standard output, while a command runs."""

    is_closed: bool
    descriptor: _Descriptor | None

    def outlive_reader(self) -> None:
        """From now on it is no error if the reader of the output ends early, as `head` does."""
        if self.descriptor is not None:
            self.descriptor.forgiven = BrokenPipeError


@contextlib.contextmanager
def guarded_streams() -> Iterator[Output]:
    """Standard streams that may be written to in this context, whatever became of them.

    A failure of standard error is forgiven. One of standard output is raised once, as an
    `OSError` whose `filename` is `OUTPUT`. What was closed leads nowhere, so that no file
    that is opened later takes its descriptor; a closed `sys.stdin` stays `None`.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free one, which is this
    before = sys.stdout, sys.stderr
    output = Output(sys.stdout is None, None)
    sys.stdout, output.descriptor = _guard(sys.stdout, 1, OUTPUT, None)
    sys.stderr, _ = _guard(sys.stderr, 2, "standard error", OSError)
    try:
        yield output
    finally:
        for stream, replaced in zip((sys.stdout, sys.stderr), before, strict=True):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
                if replaced is None:
                    stream.close()
        sys.stdout, sys.stderr = before


def _guard(
    stream: TextIO | None, number: int, shown: str, forgiven: type[OSError] | None
) -> tuple[TextIO, _Descriptor | None]:
    """A stream that stands for a standard one, and its descriptor, if it has that."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8"), None
    if not isinstance(stream, io.TextIOWrapper):
        return stream, None
    stream.reconfigure(errors="replace")  # a console may lack some characters
    raw = getattr(stream.buffer, "raw", stream.buffer)  # none below it with `python -u`
    if type(raw) is not io.FileIO or raw.fileno() != number:
        return stream, None
    stream.flush()
    descriptor = _Descriptor(number, shown, forgiven)
    unbuffered = raw is stream.buffer
    buffer = descriptor if unbuffered else io.BufferedWriter(descriptor)
    return (
        io.TextIOWrapper(
            buffer,
            encoding=stream.encoding,
            errors="replace",
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        ),
        descriptor,
    )
