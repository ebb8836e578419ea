"""Runs the Python and the shell commands that the pages show, and compares what they print.

    python -m tests.docs              all pages
    python -m tests.docs README.md    these pages
    python -m tests.docs --list       the blocks that are not run, and why

Each page has a folder, an interpreter and a shell of its own, with the trained models and the
clients in the folder. Two pages run side by side. Needs gcc and all extras; a page takes up
to two minutes, most of it to start TensorFlow.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.docs.pages import (
    ROOT,
    RUN_BY_CI_ITSELF,
    Command,
    Page,
    commands_of,
    find_pages,
    make_working_folder,
    prints_as_expected,
)
from tests.docs.python import run_python

NUM_SIDE_BY_SIDE = 2
"""Pages that are run at a time."""
APPS = "python -m apps."
"""Commands of which a page shows what they print on standard error, too."""
QUICK = {"XLA_FLAGS": "--xla_backend_optimization_level=0"}
"""Commands train for seconds only: optimizing their graphs takes longer than it saves."""
END = "\x1e"
"""Written between the outputs of two commands, before the status of the first."""


def main(arguments: list[str]) -> int:
    """Returns 1 if a command fails or prints something else, or if a page is not known."""
    pages = find_pages()
    if arguments == ["--list"]:
        for page in pages:
            for block in page.blocks:
                if block.why_not_run:
                    print(f"{block.place}: {block.why_not_run}")
        return 0
    unknown = set(arguments) - {page.name for page in pages}
    if unknown:
        print(f"no such pages: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 1
    pages = [page for page in pages if not arguments or page.name in arguments]
    with ThreadPoolExecutor(NUM_SIDE_BY_SIDE) as pool:
        wrong = sum(pool.map(check, pages))
    print(f"{wrong} blocks are wrong" if wrong else "everything does what the pages say")
    return min(wrong, 1)


def check(page: Page) -> int:
    """Runs what a page shows; returns how many blocks and commands are wrong."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        make_working_folder(Path(folder))
        mistakes = [*mistakes_in_python(page, folder), *mistakes_in_commands(page, folder)]
    for mistake in mistakes:
        print(f"WRONG {mistake}", flush=True)
    print(f"{page.name}: {time.perf_counter() - start:.0f} s", flush=True)
    return len(mistakes)


def mistakes_in_python(page: Page, folder: str) -> Iterator[str]:
    """What the Python of a page does not do as it is shown."""
    try:
        for block, printed in run_python(page, folder):
            if block.output is not None and not prints_as_expected(block.output, printed):
                yield f"{block.place}\nexpected:\n{block.output}\nfound:\n{printed}"
    except RuntimeError as error:
        yield f"{page.name}: {error}"


def mistakes_in_commands(page: Page, folder: str) -> Iterator[str]:
    """What the commands of a page do not do as it is shown."""
    commands = [
        command
        for block in page.blocks_to_run("shell", "console")
        for command in commands_of(block)
        if not command.line.startswith(RUN_BY_CI_ITSELF)
    ]
    results = run(commands, folder) if commands else []
    for command, (status, printed, errors) in zip(commands, results, strict=True):
        if APPS in command.line:  # they print messages, and then what they were asked for
            printed = errors + printed
        as_shown = command.output is None or prints_as_expected(command.output, printed)
        if status or not as_shown:
            yield (
                f"{page.name}: {command.line}\nexpected:\n{command.output}\n"
                f"found, with status {status}:\n{printed}\n{errors[-2000:]}"
            )


def run(commands: list[Command], folder: str) -> list[tuple[int, str, str]]:
    """The status, output and errors of each command, all in one shell."""
    ends = f"status=$?; printf '{END}%d{END}' $status; printf '{END}' >&2"
    script = "\n".join(f"{command.line}\n{ends}" for command in commands)
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": programs, "PYTHONPATH": os.fspath(ROOT), **QUICK},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    parts = done.stdout.split(END)
    outputs, statuses = parts[:-1:2], map(int, parts[1::2])
    return list(zip(statuses, outputs, done.stderr.split(END)[:-1], strict=True))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
