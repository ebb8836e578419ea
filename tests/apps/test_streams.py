"""Standard streams that are closed, full, or that nobody reads any more."""

import os
import subprocess
import sys

import pytest

from apps import cli, streams

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a shell's redirections")

PROGRAM = """
import dataclasses, os, sys
from apps import cli

@dataclasses.dataclass(frozen=True)
class Options:
    "Counts."
    lines: int = 1
    warn: bool = False

def run(options):
    with open("opened.txt", "w") as file:  # which takes the lowest descriptor
        assert file.fileno() > 2, file.fileno()
        file.write("content")
    for number in range(options.lines):
        print(f"line {number}", flush=number % 10 == 0)
        if options.warn:
            print("a warning", file=sys.stderr)
    os.write(1, b"")  # as C libraries write
    with open("done.txt", "w") as file:
        print("done", file=file)

commands = {
    "show": cli.Command(Options, run),
    "work": cli.Command(Options, run, prints=lambda _: False),
}
sys.exit(cli.main("program", "", commands))
"""
CLOSED = "error: standard output is closed. Leave it open, or write it into a file.\n"
FULL = "error: standard output: No space left on device. Check the path, the rights and "
FULL += "the disk.\n"
FAR = 100_000  # lines: more than any pipe holds


@pytest.fixture
def shell(tmp_path):
    """Runs a line of bash: its status, output and errors; `P` stands for the program."""
    (tmp_path / "program.py").write_text(PROGRAM)

    program = f"P() {{ '{sys.executable}' program.py \"$@\"; }}"

    def call(line):
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {program}; {line}"],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            timeout=60,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )
        return done.returncode, done.stdout, done.stderr

    return call


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "status", "out", "err"),
    [
        ("P show", 0, "line 0\n", ""),
        ("P show >&-", 2, "", CLOSED),
        ("P show --help >&-", 2, "", CLOSED),
        ("P --help >&-", 2, "", CLOSED),
        ("P show > /dev/full", 2, "", FULL),
        ("P show --help > /dev/full", 2, "", FULL),
        ("P --help > /dev/full", 2, "", FULL),
        (f"P show --lines {FAR} | head -1", 0, "line 0\n", ""),
        ("P show --help | true", 0, "", ""),
        ("P show --warn 2>&-", 0, "line 0\n", ""),
        ("P show --warn 2> /dev/full", 0, "line 0\n", ""),
        (f"P show --warn --lines {FAR} 2>&1 >/dev/null | head -1", 0, "a warning\n", ""),
        ("P show --lines x 2>&-", 2, "", ""),
        ("P show <&-", 0, "line 0\n", ""),
        ("P show <&- 2>&-", 0, "line 0\n", ""),
        ("P show <&- >&- 2>&-", 2, "", ""),
    ],
)
def test_what_prints_its_result_ends_with_its_output(shell, line, status, out, err):
    assert shell(line) == (status, out, err)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "out"),
    [
        ("P work >&-", ""),
        ("P work <&- >&- 2>&-", ""),
        (f"P work --lines {FAR} | head -1", "line 0\n"),
        (f"P work --lines {FAR} | true", ""),
        (f"P work --warn --lines {FAR} 2>&1 | true", ""),
    ],
)
def test_what_leaves_its_result_in_files_goes_on(shell, tmp_path, line, out):
    assert shell(line) == (0, out, "")
    assert (tmp_path / "done.txt").read_text() == "done\n"
    assert (tmp_path / "opened.txt").read_text() == "content"


def test_a_full_disk_ends_work_too(shell):
    assert shell("P work > /dev/full") == (2, "", FULL)


@pytest.mark.parametrize("flags", ["", "-u"])
def test_output_in_the_order_it_was_written(shell, flags):
    line = f"'{sys.executable}' {flags} program.py show --lines 3 --warn 2>/dev/null"
    assert shell(line) == (0, "line 0\nline 1\nline 2\n", "")


def test_streams_are_put_back(capsys):
    before = sys.stdout, sys.stderr
    with streams.guarded_streams() as output:
        print("shown")
        assert not output.is_closed
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr().out == "shown\n"


def test_a_missing_stream_leads_nowhere(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with streams.guarded_streams() as output:
        print("nowhere")
        print("nowhere", file=sys.stderr)
        assert output.is_closed
    assert sys.stdout is None


@pytest.mark.parametrize(
    ("app", "arguments"), [("sentiment", ["predict"]), ("chargen", ["sample", "--interactive"])]
)
def test_closed_standard_input_is_said(monkeypatch, capsys, app, arguments):
    commands = __import__(f"apps.{app}.__main__", fromlist=["COMMANDS"]).COMMANDS
    monkeypatch.setattr(sys, "stdin", None)
    assert cli.main(f"apps.{app}", "", commands, arguments) == 2
    assert capsys.readouterr().err.startswith("error: standard input is closed. Give ")


@pytest.mark.slow
def test_a_training_that_nobody_watches_exports_its_model(tmp_path, user_environment):
    rows = [f"{word} {i},{i % 2}" for i in range(60) for word in [("dull", "great")[i % 2]]]
    (tmp_path / "r.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    command = (
        f"'{sys.executable}' -m apps.sentiment train --data {tmp_path}/r.csv --epochs 1 "
        f"--batch-size 8 --units 4 --embedding-dim 4 --max-length 8 --run-dir {tmp_path}/run "
        f"--output {tmp_path}/models --preset classic | head -3"
    )
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        capture_output=True,
        check=False,
        env=user_environment,
    )
    assert done.returncode == 0
    (warning,) = done.stderr.splitlines()  # of so few texts
    assert warning.startswith(b"warning: preset classic")
    assert done.stdout.count(b"\n") == 3
    assert (tmp_path / "models" / "1" / "saved_model.pb").is_file()
    assert (tmp_path / "run" / "metrics.json").is_file()
