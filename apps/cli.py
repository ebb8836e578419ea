"""What the command lines of all apps share: parse, run, and report errors."""

import contextlib
import dataclasses
import io
import itertools
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tyro

from apps import paths, streams
from apps.errors import UserError

USAGE_ERROR = 2
INTERRUPTED = 130

NARROWEST, WIDEST = 40, 500
"""Columns of a terminal that lines are laid out for."""

LONGEST_MESSAGE = 1000  # characters

COUNT = 2**31 - 1
"""The most of what is counted without being kept: the largest int32, as TensorFlow counts."""
FLOATS = 1e-37, 1e38
"""The rates and norms that float32 holds, with room for a factor of two."""


def check_option(options: Any, name: str, holds: bool, rule: str) -> None:
    """Raises a `UserError` that says which rule an option breaks, unless it `holds`."""
    if not holds:
        flag = "--" + name.replace("_", "-")
        found = str(getattr(options, name))
        found = found if len(found) <= 40 else f"{found[:40]}..."
        raise UserError(f"{flag} {rule}, got {found}.")


def check_numbers(options: Any, names: str, least: float, most: float) -> None:
    """Raises a `UserError` for an option that is not from `least` to `most`; `None` may be."""
    for name in names.split():
        value = getattr(options, name)
        holds = value is None or least <= value <= most
        check_option(options, name, holds, f"must be from {_show(least)} to {_show(most)}")


def check_truncation(options: Any) -> None:
    """Raises a `UserError` for a `--truncation` that is out of range."""
    truncation = options.truncation
    is_count = truncation.isdecimal() and 1 <= int(truncation) <= COUNT
    holds = truncation in ("full", "randomized") or is_count
    rule = f"must be full, randomized or a number from 1 to {_show(COUNT)}"
    check_option(options, "truncation", holds, rule)


def check_feeding(options: Any) -> None:
    """Raises a `UserError` for a `--teacher-forcing` that its `--schedule` cannot reach."""
    ratio, schedule = options.teacher_forcing, options.schedule
    check_option(options, "teacher_forcing", 0 <= ratio <= 1, "must lie in [0, 1]")
    if schedule == "exponential":
        rule = "must be above 0 with --schedule exponential"
        check_option(options, "teacher_forcing", ratio > 0, rule)
    if schedule != "constant":
        rule = f"must be below 1 with --schedule {schedule}"
        check_option(options, "teacher_forcing", ratio < 1, rule)


def _show(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


@dataclasses.dataclass(frozen=True)
class Command:
    """A sub-command: its options, and what runs with them."""

    options: type
    """A frozen dataclass: the single source of the flags, defaults and help."""
    run: Callable[..., None]
    """Receives an instance of `options`; imports TensorFlow itself."""
    presets: Mapping[str, object] = dataclasses.field(default_factory=dict)
    """Options by the name given with `--preset`."""
    prints: Callable[[Any], bool] = lambda _: True
    """Whether, with these options, the command is run for what it prints. Then it does not
    start if standard output is closed, and it stops when the reader of the output has gone.
    Otherwise it continues in both cases."""


def main(
    prog: str,
    description: str,
    commands: Mapping[str, Command],
    arguments: Sequence[str] | None = None,
) -> int:
    """Runs the command that `arguments` name; the first one if they name none.

    Returns:
        The exit status: 0, 2 after a user's mistake, 130 after Ctrl-C.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    _keep_width_sane()
    with streams.guarded_streams() as output:
        try:
            _run(prog, description, commands, arguments, output)
            sys.stdout.flush()
        except UserError as error:
            return _fail(str(error))
        except OSError as error:
            if isinstance(error, BrokenPipeError) and error.filename == streams.OUTPUT:
                return 0  # the reader of our output has gone, as `head` does
            where = f"{error.filename}: " if error.filename else ""
            return _fail(
                f"{where}{error.strerror or error}. Check the path, the rights and the disk."
            )
        except KeyboardInterrupt as interrupt:
            print("\ninterrupted", *interrupt.args, sep=". ", file=sys.stderr)
            return INTERRUPTED
    return 0


def _keep_width_sane() -> None:
    """Help and tables never end on a terminal of a few columns; so they get more."""
    width = shutil.get_terminal_size().columns
    if "COLUMNS" in os.environ or width < NARROWEST:
        os.environ["COLUMNS"] = str(min(max(width, NARROWEST), WIDEST))


def _run(prog, description, commands, arguments, output) -> None:
    if arguments[:1] in (["-h"], ["--help"]):
        _check_open(output)
        _print_overview(prog, description, commands)
        return
    name = arguments.pop(0) if arguments[:1] and arguments[0] in commands else None
    if name is None and arguments and not arguments[0].startswith("-"):
        raise UserError(
            f"there is no command {arguments[0]!r}. Use one of {', '.join(commands)}."
        )
    name = name or next(iter(commands))
    command = commands[name]
    paths.check_arguments(command.options, arguments)
    options = _parse(f"{prog} {name}", command, arguments)
    if options is None:  # help was asked for
        _check_open(output)
        return
    paths.check_paths(options)
    if command.prints(options):
        _check_open(output)
    else:
        output.outlive_reader()
    command.run(options)


def _check_open(output: streams.Output) -> None:
    if output.is_closed:
        raise UserError("standard output is closed. Leave it open, or write it into a file.")


def _fail(message: str) -> int:
    line = " ".join(message.split())
    if len(line) > LONGEST_MESSAGE:  # what was given stands in its middle, at any length
        half = LONGEST_MESSAGE // 2
        line = f"{line[:half]} ... {line[-half:]}"
    print(f"error: {line}", file=sys.stderr)
    return USAGE_ERROR


def _parse(prog: str, command: Command, arguments: Sequence[str]):
    """The options; `None` if help was asked for, and shown."""
    defaults: dict[str, Any] = {}
    if command.presets:
        preset = _find_preset(arguments) or next(iter(command.presets))
        if preset not in command.presets:
            raise UserError(
                f"--preset: there is no preset {preset!r}. "
                f"Use one of {', '.join(command.presets)}."
            )
        defaults["default"] = command.presets[preset]
    messages, plain = io.StringIO(), io.StringIO()
    shown = plain if os.environ.get("NO_COLOR") else sys.stdout
    try:
        with contextlib.redirect_stderr(messages), contextlib.redirect_stdout(shown):
            return tyro.cli(
                command.options,
                prog=f"python -m {prog}",
                args=list(arguments),
                **defaults,
            )
    except SystemExit as end:
        if not end.code:
            print(plain.getvalue(), end="")
            return None
        raise UserError(
            f"{_one_line(messages.getvalue())}. See python -m {prog} --help."
        ) from None


def _one_line(box: str) -> str:
    """What a message of tyro says, without its frame, title and advice."""
    box = re.sub(r"\x1b\[[0-9;]*m", "", box)
    lines = [line.strip(" │|+╭╮╰╯─") for line in box.splitlines()]
    text = " ".join(line for line in lines[1:] if line.strip("-"))  # without the title
    return text.partition("For full helptext")[0].partition("Argument helptext")[0].strip(" .")


def _find_preset(arguments: Sequence[str]) -> str | None:
    found = None  # the last one counts, as with every flag
    for argument, following in itertools.zip_longest(arguments, arguments[1:]):
        if argument.startswith("--preset="):
            found = argument.partition("=")[2]
        elif argument == "--preset":
            found = following
    return found


def _print_overview(prog: str, description: str, commands: Mapping[str, Command]) -> None:
    print(f"usage: python -m {prog} [COMMAND] [OPTIONS]\n\n{description}\n\ncommands:")
    for position, (name, command) in enumerate(commands.items()):
        summary = (command.options.__doc__ or "").strip().splitlines()[0]
        print(f"  {name:10} {summary}{' This is the default.' if position == 0 else ''}")
    print(f"\nOptions of a command: python -m {prog} COMMAND --help")
