"""Paths that can be none are refused, whatever flag they stand behind."""

import dataclasses
import typing
from pathlib import Path

import pytest

from apps import cli
from apps.chargen.__main__ import COMMANDS as CHARGEN
from apps.paths import expand
from apps.sentiment.__main__ import COMMANDS as SENTIMENT

FLAGS = [
    (app, name, field.name)
    for app, commands in (("chargen", CHARGEN), ("sentiment", SENTIMENT))
    for name, command in commands.items()
    for field in dataclasses.fields(command.options)
    if field.name == "data" or "Path" in str(typing.get_type_hints(command.options)[field.name])
]


def test_every_flag_that_names_a_path_is_tried():
    assert ("chargen", "train", "init_from") in FLAGS
    assert ("sentiment", "predict", "file") in FLAGS
    assert len(FLAGS) > 20


@pytest.mark.parametrize(("app", "name", "option"), FLAGS)
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "is empty"),
        ("~nosuchuser/x", "there is no user whose folder is ~nosuchuser"),
        ("a\0b", "a path holds no NUL, got 'a\\x00b'"),
        ("caf\udce9", "the path 'caf\\udce9' is not UTF-8"),
        ("x" * 5000, "a name in the path is too long"),
        ("x/" * 5000, "or all of it, with"),
    ],
)
def test_a_path_that_can_be_none_is_refused(capsys, app, name, option, path, message):
    def run(options):
        pytest.fail("it ran")

    commands = {"chargen": CHARGEN, "sentiment": SENTIMENT}[app]
    commands = {name: dataclasses.replace(commands[name], run=run)}
    flag = "--" + option.replace("_", "-")
    for arguments in ([flag, path], [f"{flag}={path}"]):
        assert cli.main(f"apps.{app}", "", commands, [name, *arguments]) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"error: {flag}")
        assert message in err
        assert err.count("\n") == 1


def test_a_tilde_is_a_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand("~/x", "--data") == tmp_path / "x"
    assert expand(Path("a~"), "--data") == Path("a~")
