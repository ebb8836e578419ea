"""Runs the shell commands that the pages show, and compares what they print.

    python -m tests.docs              all pages
    python -m tests.docs README.md    these pages
    python -m tests.docs --list       the blocks that are not run, and why

Each page has a folder and a shell of its own, with the trained models and the clients in
it. Needs gcc and all extras; a page takes a minute or two, most of it to start TensorFlow.
"""

import os
import subprocess
import sys
import tempfile
import time
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
    wrong = 0
    for page in pages:
        if not arguments or page.name in arguments:
            wrong += check(page)
    print(f"{wrong} commands are wrong" if wrong else "all commands do what the pages say")
    return min(wrong, 1)


def check(page: Page) -> int:
    """Runs the commands of a page; returns how many of them are wrong."""
    commands = [
        command
        for block in page.blocks_to_run("shell", "console")
        for command in commands_of(block)
        if not command.line.startswith(RUN_BY_CI_ITSELF)
    ]
    if not commands:
        return 0
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        make_working_folder(Path(folder))
        results = run(commands, folder)
    wrong = 0
    for command, (status, printed, errors) in zip(commands, results, strict=True):
        as_shown = command.output is None or prints_as_expected(command.output, printed)
        right = status == 0 and as_shown
        wrong += not right
        print(f"{'ok   ' if right else 'WRONG'} {page.name}: {command.line}", flush=True)
        if not right:
            print(f"expected:\n{command.output}\nfound, with status {status}:\n{printed}")
            print(errors[-2000:])
    print(f"{page.name}: {time.perf_counter() - start:.0f} s", flush=True)
    return wrong


def run(commands: list[Command], folder: str) -> list[tuple[int, str, str]]:
    """The status, output and errors of each command, all in one shell."""
    ends = f"status=$?; printf '{END}%d{END}' $status; printf '{END}' >&2"
    script = "\n".join(f"{command.line}\n{ends}" for command in commands)
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": programs, "PYTHONPATH": os.fspath(ROOT)},
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
