"""What every app's command line does alike: parse, run, and report errors."""

import contextlib
import dataclasses
import io
import itertools
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tyro

from apps import paths
from apps.errors import UserError as UserError

USAGE_ERROR = 2
INTERRUPTED = 130

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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console may lack some characters
    try:
        if arguments[:1] in (["-h"], ["--help"]):
            _print_overview(prog, description, commands)
            return 0
        name = arguments.pop(0) if arguments[:1] and arguments[0] in commands else None
        if name is None and arguments and not arguments[0].startswith("-"):
            raise UserError(
                f"there is no command {arguments[0]!r}. Use one of {', '.join(commands)}."
            )
        name = name or next(iter(commands))
        paths.check_arguments(commands[name].options, arguments)
        options = _parse(f"{prog} {name}", commands[name], arguments)
        paths.check_paths(options)
        commands[name].run(options)
        sys.stdout.flush()
    except UserError as error:
        return _fail(str(error))
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(
            f"{where}{error.strerror or error}. Check the path, the rights and the disk."
        )
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


def _fail(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return USAGE_ERROR


def _parse(prog: str, command: Command, arguments: Sequence[str]):
    defaults: dict[str, Any] = {}
    if command.presets:
        preset = _find_preset(arguments) or next(iter(command.presets))
        if preset not in command.presets:
            raise UserError(
                f"--preset: there is no preset {preset!r}. "
                f"Use one of {', '.join(command.presets)}."
            )
        defaults["default"] = command.presets[preset]
    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages):
            return tyro.cli(
                command.options,
                prog=f"python -m {prog}",
                args=list(arguments),
                **defaults,
            )
    except SystemExit as end:
        if not end.code:
            raise
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
