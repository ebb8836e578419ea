"""The command line that the apps share."""

import dataclasses
import os
import subprocess
import sys
import typing

import pytest

from apps import cli
from apps.chargen.__main__ import COMMANDS as CHARGEN
from apps.errors import UserError
from apps.sentiment import config
from apps.sentiment.__main__ import COMMANDS


def run(*arguments, commands=COMMANDS):
    return cli.main("apps.sentiment", "What it does.", commands, arguments)


def recording(received, error=None):
    def record(options):
        received.append(options)
        if error is not None:
            raise error

    return {
        "train": cli.Command(config.Train, record, config.PRESETS),
        "predict": cli.Command(config.Predict, record),
    }


@pytest.mark.parametrize("arguments", [[], ["train"], ["--seed", "3"], ["train", "--seed=3"]])
def test_train_runs_when_no_command_is_given(arguments):
    received = []
    assert run(*arguments, commands=recording(received)) == 0
    assert received == [
        config.Train(seed=3 if len(arguments) and arguments[-1] != "train" else 0)
    ]


def test_the_last_preset_counts():
    received = []
    run("--preset", "classic", "--preset=default", commands=recording(received))
    assert received == [config.Train()]


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_mistake_is_one_line_in_any_encoding(encoding):
    done = subprocess.run(
        [sys.executable, "-m", "apps.sentiment", "--cell", "élan", "--epochs", "3"],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.startswith(b"error: invalid choice '")
    assert b"('vanilla', 'lstm', 'gru'). See python -m" in done.stderr


def test_a_preset_sets_defaults_that_flags_override():
    received = []
    run("--preset", "classic", "--units", "64", commands=recording(received))
    assert (received[0].vocabulary_size, received[0].max_length) == (10_000, 200)
    assert (received[0].embedding_dim, received[0].units) == (128, 64)
    assert (received[0].bidirectional, received[0].pooling) == (False, "last")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--frobnicate"], "--frobnicate"),
        (["--preset", "huge"], "no preset 'huge'. Use one of default, best, classic"),
        (["--cell", "elman"], "invalid choice 'elman'"),
        (["--epochs", "many"], "--epochs"),
        (["--epochs", "0"], "--epochs must be from 1 to 1,000,000, got 0"),
        (["--dropout", "1.5"], "--dropout must lie in [0, 1), got 1.5"),
        (
            ["--global-clipnorm", "nan"],
            "--global-clipnorm must be from 1e-37 to 1e+38, got nan",
        ),
        (["--max-examples", "3"], "--max-examples must be from 20 to 2,147,483,647, got 3"),
        (["evaluate", "--max-examples", "0"], "--max-examples must be from 1 to"),
        (
            ["--learning-rate", "1e300"],
            "--learning-rate must be from 1e-37 to 1e+38, got 1e+300",
        ),
        (["--max-length", "2147483648"], "--max-length must be from 1 to 1,000,000, got 21474"),
        (["--epochs", "9" * 20], "--epochs must be from 1 to 1,000,000"),
        (["--epochs", "9" * 4000], f"got {'9' * 40}...."),
        (["--epochs", "9" * 5000], "Exceeds the limit (4300 digits)"),
        (["fly"], "no command 'fly'. Use one of train, evaluate, baseline, predict"),
        (["predict", "--file", "a.txt", "text"], "as arguments and with --file"),
        (
            ["predict", "--model", "missing", "text"],
            "missing: there is no such folder",
        ),
        (
            ["evaluate", "--model", "missing"],
            "Train one: python -m apps.sentiment train",
        ),
    ],
)
def test_a_mistake_is_one_line_on_standard_error(capsys, arguments, expected):
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert expected in captured.err


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (UserError("what\nwhere"), 2, "error: what where\n"),
        (
            OSError(28, "No space left on device", "/full"),
            2,
            "error: /full: No space left on dev",
        ),
        (KeyboardInterrupt(), 130, "\ninterrupted\n"),
        (KeyboardInterrupt("To go on"), 130, "\ninterrupted. To go on\n"),
    ],
)
def test_errors_while_running_become_an_exit_status(capsys, error, status, message):
    assert run("train", commands=recording([], error)) == status
    assert capsys.readouterr().err.startswith(message)


@pytest.mark.parametrize("commands", [COMMANDS, CHARGEN])
def test_every_number_has_an_upper_bound(capsys, commands):
    def run(options):
        pytest.fail(f"{options} ran")

    tried = 0
    for name, command in commands.items():
        for field in dataclasses.fields(command.options):
            if not {int, float} & {field.type, *typing.get_args(field.type)}:
                continue
            flag = "--" + field.name.replace("_", "-")
            only = {name: dataclasses.replace(command, run=run)}
            for value in ("9" * 39, "-1", "nan", "inf", "1e39"):
                assert cli.main("apps.x", "", only, [name, f"{flag}={value}"]) == 2
                err = capsys.readouterr().err
                assert err.count("\n") == 1
                assert flag in err
                tried += 1
    assert tried > 50


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run("train", commands=recording([], ZeroDivisionError()))


def test_the_overview_names_every_command(capsys):
    assert run("--help") == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)
    assert "This is the default." in out


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["predict", "--help"]])
def test_help_comes_without_tensorflow(arguments):
    code = (
        "import sys; from apps import cli; from apps.sentiment.__main__ import COMMANDS\n"
        "try: cli.main('apps.sentiment', '', COMMANDS)\n"
        "finally: assert not {'tensorflow', 'keras', 'kerasrnn'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout


@pytest.mark.parametrize("app", ["sentiment", "chargen"])
@pytest.mark.parametrize("columns", ["0", "1", "2", "-5", "abc", "²", "10", "20", "9" * 5000])
def test_help_is_shown_at_any_width(monkeypatch, capsys, app, columns):
    monkeypatch.setenv("COLUMNS", columns)
    commands = {"sentiment": COMMANDS, "chargen": CHARGEN}[app]
    for name in commands:
        assert cli.main(f"apps.{app}", "", commands, [name, "--help"]) == 0
        out = capsys.readouterr().out
        assert "--model" in out or "--output" in out
        assert max(map(len, out.splitlines())) <= cli.WIDEST
        assert out.count("\n") < 1000


@pytest.mark.parametrize(
    ("columns", "terminal", "expected"),
    [
        ("1", 80, "40"),
        ("100", 80, "100"),
        ("100000", 80, "500"),
        (None, 80, None),
        (None, 5, "40"),
        ("0", 120, "120"),
        ("abc", 5, "40"),
    ],
)
def test_a_width_that_nothing_fits_is_widened(monkeypatch, columns, terminal, expected):
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((terminal, 24)))
    monkeypatch.setenv("COLUMNS", columns or "")
    if columns is None:
        monkeypatch.delenv("COLUMNS")
    assert run("--help") == 0
    assert os.environ.get("COLUMNS") == expected


@pytest.mark.parametrize(
    ("is_terminal", "environment", "colourful"),
    [
        (True, {}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {}, False),
    ],
)
def test_help_is_coloured_on_terminals_that_have_colours(
    monkeypatch, capsys, is_terminal, environment, colourful
):
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in {"TERM": "xterm", **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal, raising=False)
    assert run("train", "--help") == 0
    out = capsys.readouterr().out
    assert ("\x1b" in out) is colourful
    assert "--cell" in out


@pytest.mark.parametrize("level", [None, "3", "0"])
def test_an_import_is_quiet_unless_the_user_set_a_level_that_shows_more(
    user_environment, level
):
    """A training in `test_streams.py` shows that TensorFlow itself is quiet."""
    if level is not None:
        user_environment["TF_CPP_MIN_LOG_LEVEL"] = level
    code = (
        "import os, sys\nfrom apps.quiet import quiet_tensorflow\n"
        "with quiet_tensorflow(): os.write(2, b'what a library says\\n')\n"
        "print('after', file=sys.stderr)\nprint(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=user_environment,
    )
    assert done.stdout.strip() == (level or "3")
    assert done.stderr == ("what a library says\n" if level == "0" else "") + "after\n"


def test_what_a_failing_import_said_is_shown(user_environment):
    code = (
        "import os\nfrom apps.quiet import quiet_tensorflow\n"
        "with quiet_tensorflow():\n    os.write(2, b'no native library')\n    import no_such"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=user_environment,
    )
    assert done.returncode == 1
    assert "no native library" in done.stderr
    assert "no_such" in done.stderr
