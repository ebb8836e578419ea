"""Every command that reads models says what is wrong with one, in one line."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import pytest
import tensorflow as tf

import kerasrnn
from apps import cli
from apps.chargen.__main__ import COMMANDS as CHARGEN
from apps.errors import UserError
from apps.exported import find_version
from apps.sentiment.__main__ import COMMANDS as SENTIMENT
from apps.transduce.__main__ import COMMANDS as TRANSDUCE
from tests.apps.exported_models import export_small_models
from tests.plain_ops import assert_plain

pytestmark = [pytest.mark.usefixtures("loaded_once"), pytest.mark.slow]

SAVED_MODELS = Path(__file__).parent.parent.parent / "saved_models"
TEXT = "the quick brown fox jumps over the lazy dog\n" * 40


def run(app, *arguments):
    commands = {"sentiment": SENTIMENT, "chargen": CHARGEN, "transduce": TRANSDUCE}[app]
    return cli.main(f"apps.{app}", "", commands, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A model of each app, and one of no app, in a folder of versions each."""
    folder = tmp_path_factory.mktemp("models")
    export_small_models(folder, TEXT)
    foreign = keras.Sequential([keras.Input([None, 3]), kerasrnn.VanillaRNN(2)])
    foreign.export(folder / "foreign" / "1", verbose=False)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "reviews.csv").write_text("text,label\ngood,1\nbad,0\n")
    (folder / "text.txt").write_text(TEXT)
    return folder


COMMANDS = {
    "predict": ("sentiment", "predict good --model {model}"),
    "evaluate reviews": ("sentiment", "evaluate --data {data}/reviews.csv --model {model}"),
    "export": ("sentiment", "export --output {out}/a.onnx --model {model}"),
    "sample": ("chargen", "sample --length 8 --seed 0 --model {model}"),
    "write": ("transduce", "predict a --model {model}"),
    "evaluate text": ("chargen", "evaluate --data {data}/text.txt --model {model}"),
    "export step": ("chargen", "export --output {out}/b.onnx --model {model}"),
    "fine-tune": (
        "chargen",
        "train --data {data}/text.txt --init-from {model} --batch-size 4 --window 16 "
        "--epochs 1 --run-dir {out}/run --output {out}/models",
    ),
}


@pytest.fixture(params=COMMANDS)
def command(request, data, tmp_path):
    """The app, and a function that runs its command with a model."""
    app, line = COMMANDS[request.param]
    out = tmp_path / "out"
    out.mkdir()

    def call(model):
        return run(app, *line.format(model=model, data=data, out=out).split())

    call.app, call.out = app, out
    return call


def error_of(command, model, capsys):
    """What the command says on standard error; it must leave nothing behind."""
    capsys.readouterr()
    assert command(model) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not list(command.out.rglob("*.*"))
    return err


FILES = ["saved_model.pb", "variables/variables.index", "assets/vocabulary.txt"]


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_was_not_copied_is_named(command, models, tmp_path, capsys, file):
    copy = shutil.copytree(models / command.app, tmp_path / "copy")
    (copy / "1" / file).unlink()
    err = error_of(command, copy, capsys)
    assert f"{copy / '1'}: the model is damaged: {file} is missing. Train one" in err


@pytest.mark.parametrize("file", [*FILES, "variables/variables.data-00000-of-00001"])
def test_a_file_cut_short_is_named(models, tmp_path, file):
    copy = shutil.copytree(models / "sentiment" / "1", tmp_path / "copy")
    whole = (copy / file).read_bytes()
    (copy / file).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=f"damaged: {file} is not what was exported"):
        find_version(copy, "")


def test_checksums_cut_short_are_named(models, tmp_path):
    copy = shutil.copytree(models / "sentiment" / "1", tmp_path / "copy")
    sums = copy / "assets.extra" / "SHA256SUMS"
    whole = sums.read_bytes()
    for size in (0, 60):
        sums.write_bytes(whole[:size])
        with pytest.raises(UserError, match="damaged: assets.extra/SHA256SUMS is not whole"):
            find_version(copy, "")


def sums_of(line):
    def damage(folder):
        sums = folder / "assets.extra" / "SHA256SUMS"
        content = line if isinstance(line, bytes) else line.encode()
        sums.write_bytes(sums.read_bytes() + content)

    return damage


def replaced(name, content):
    def damage(folder):
        (folder / "assets.extra" / "SHA256SUMS").unlink()
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        if content is None:
            path.mkdir()
        elif isinstance(content, Path):
            path.symlink_to(content)
        else:
            path.write_bytes(content)

    return damage


HASH = "0" * 64
CONFIG, VOCABULARY = "assets.extra/config.json", "assets/vocabulary.txt"
DAMAGES = {
    "a sum without its file": (sums_of(f"{HASH}  no.txt\n"), "no.txt is missing"),
    "a sum of a device": (sums_of(f"{HASH}  /dev/zero\n"), "SUMS is not whole: line 6 is no "),
    "a sum of a neighbour": (sums_of(f"{HASH}  ../../x\n"), "line 6 is no checksum"),
    "a sum of what lies above": (sums_of(f"{HASH}  a/../../x\n"), "line 6 is no checksum"),
    "a sum of a folder": (sums_of(f"{HASH}  variables\n"), "variables is no file"),
    "a sum of nothing": (sums_of(f"{HASH}\n"), "line 6 is no checksum"),
    "a name without a sum": (sums_of("saved_model.pb\n"), "line 6 is no checksum"),
    "a short sum": (sums_of("00  saved_model.pb\n"), "line 6 is no checksum"),
    "a name twice": (
        lambda f: sums_of((f / "assets.extra" / "SHA256SUMS").read_text())(f),
        "assets.extra/SHA256SUMS names assets/vocabulary.txt twice",
    ),
    "binary sums": (sums_of(b"\xff\xfe\x00"), "assets.extra/SHA256SUMS is not UTF-8"),
    "large sums": (sums_of(b"\n" * 2**26), "assets.extra/SHA256SUMS is larger than 67,108,864"),
    "NUL in a name": (sums_of(f"{HASH}  a\0b\n"), "line 6 is no checksum"),
    "a long name": (sums_of(f"{HASH}  {'x' * 5000}\n"), "cannot be read: File name too long"),
    "sums elsewhere": (replaced("assets.extra/SHA256SUMS", Path("/dev/zero")), "leads out of"),
    "a graph elsewhere": (
        replaced("saved_model.pb", Path("/dev/zero")),
        "leads out of its fol",
    ),
    "variables elsewhere": (
        replaced("variables/variables.data-00000-of-00001", Path("/dev/zero")),
        "leads out of its folder",
    ),
    "a graph that is itself": (
        replaced("saved_model.pb", Path("saved_model.pb")),
        "cannot be ",
    ),
    "a link to nothing": (replaced("fingerprint.pb", Path("nothing")), "fingerprint.pb is mis"),
    "a folder of options": (replaced(CONFIG, None), "config.json is no file"),
    "no options": (replaced(CONFIG, b""), "config.json is not JSON"),
    "cut options": (replaced(CONFIG, b'{"units": '), "config.json is not JSON"),
    "listed options": (replaced(CONFIG, b"[1]"), "config.json is not a JSON object"),
    "one option": (replaced(CONFIG, b"null"), "config.json is not a JSON object"),
    "deep options": (replaced(CONFIG, b"[" * 10**6), "config.json is not JSON"),
    "large options": (replaced(CONFIG, b" " * (2**26 + 1)), "config.json is larger than"),
    "options in Latin-1": (replaced(CONFIG, b'{"data": "\xe9"}'), "config.json is not UTF-8"),
    "options with a long number": (replaced(CONFIG, b'{"a": %s}' % (b"9" * 5000)), "not JSON"),
    "options elsewhere": (replaced(CONFIG, Path("/etc/passwd")), "leads out of its folder"),
    "no words": (replaced(VOCABULARY, b""), "vocabulary.txt is empty"),
    "a folder of words": (replaced(VOCABULARY, None), "vocabulary.txt is no file"),
    "words in Latin-1": (replaced(VOCABULARY, b"\xe9"), "vocabulary.txt is not UTF-8"),
    "large words": (replaced(VOCABULARY, b" " * (2**26 + 1)), "vocabulary.txt is larger than"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_and_nothing_outside_is_opened(models, tmp_path, damage):
    copy = shutil.copytree(models / "chargen" / "1", tmp_path / "copy")
    (tmp_path / "x").write_text("outside")
    cause, message = DAMAGES[damage]
    # Whatever is listed beside the files that serve: these are what is tried here.
    sums = copy / "assets.extra" / "SHA256SUMS"
    lines = [line for line in sums.read_text().splitlines(True) if "assets.extra" not in line]
    sums.write_text("".join(lines))
    cause(copy)
    with pytest.raises(UserError, match="the model is damaged: .*" + re.escape(message)):
        find_version(copy, "")


@pytest.mark.parametrize("damage", ["deep options", "a graph elsewhere", "binary sums"])
def test_damage_is_one_line_of_every_command(command, models, tmp_path, capsys, damage):
    copy = shutil.copytree(models / command.app, tmp_path / "copy")
    DAMAGES[damage][0](copy / "1")
    assert DAMAGES[damage][1] in error_of(command, copy, capsys)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_in_a_model_is_not_waited_for(models, tmp_path):
    copy = shutil.copytree(models / "sentiment" / "1", tmp_path / "copy")
    (copy / "saved_model.pb").unlink()
    os.mkfifo(copy / "saved_model.pb")
    with pytest.raises(UserError, match="saved_model.pb is no file"):
        find_version(copy, "")


def test_a_model_may_be_found_through_a_link(models, tmp_path):
    (tmp_path / "link").symlink_to(models / "sentiment")
    assert find_version(tmp_path / "link", "") == tmp_path / "link" / "1"


@pytest.mark.parametrize("name", ["sample", "fine-tune"])
def test_a_vocabulary_of_no_characters_is_said(
    models, data, tmp_path, monkeypatch, capsys, name
):
    sound = tf.saved_model.load(str(models / "chargen" / "1"))
    copy = shutil.copytree(models / "chargen" / "1", tmp_path / "copy")
    app, line = COMMANDS[name]
    arguments = line.format(model=copy, data=data, out=tmp_path).split()
    (copy / "assets.extra" / "SHA256SUMS").unlink()
    for content in (b"-1\n", b"1114112\tx\n", b"9" * 30, b"x\n", b"9" * 5000, b"\n"):
        (copy / VOCABULARY).write_bytes(content)
        assert run(app, *arguments) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert "vocabulary" in err
        # Only once from the damaged files: it takes long, and the graph is the same.
        monkeypatch.setattr(tf.saved_model, "load", lambda _: sound)


def test_what_is_no_model_is_said(command, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert "empty: there is no exported model" in error_of(command, tmp_path / "empty", capsys)
    assert "nowhere: there is no such folder" in error_of(command, tmp_path / "nowhere", capsys)
    (tmp_path / "file").touch()
    assert "file: this is a file" in error_of(command, tmp_path / "file", capsys)
    (tmp_path / "begun" / "1").mkdir(parents=True)
    err = error_of(command, tmp_path / "begun", capsys)
    assert "saved_model.pb is missing" in err


def test_a_model_of_something_else_is_said(command, models, capsys):
    err = error_of(command, models / "foreign", capsys)
    assert "lacks" in err


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_model_of_the_other_app_is_said(name, models, data, tmp_path, capsys):
    app, line = COMMANDS[name]
    other = "chargen" if app == "sentiment" else "sentiment"
    arguments = line.format(model=models / other, data=data, out=tmp_path).split()
    assert run(app, *arguments) == 2
    assert f"this is no model of apps.{app}: it lacks" in capsys.readouterr().err


def test_damage_is_one_line_without_checksums_too(models, tmp_path, user_environment):
    copy = shutil.copytree(models / "sentiment" / "1", tmp_path / "1")
    shutil.rmtree(copy / "assets.extra")
    (copy / "saved_model.pb").write_bytes(b"\x00nonsense")
    command = [sys.executable, "-m", "apps.sentiment", "predict", "--model", copy, "good"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=user_environment
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "the model is damaged" in done.stderr


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal")
def test_answers_go_into_a_file_while_a_terminal_shows_how_far_it_is(
    models, tmp_path, monkeypatch, capsys
):
    (tmp_path / "reviews.txt").write_text("good\nbad\n" * 5)
    master, terminal = os.openpty()
    monkeypatch.setenv("TERM", "xterm")
    arguments = ["--model", models / "sentiment", "--file", tmp_path / "reviews.txt"]
    with monkeypatch.context() as patch, open(terminal, "w") as stderr:
        patch.setattr(sys, "stderr", stderr)
        assert run("sentiment", "predict", *arguments) == 0
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while block := os.read(master, 4096):
            shown += block
    os.close(master)
    answers = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[2] for line in answers] == ["good", "bad"] * 5
    assert b"reading texts" in shown
    assert b"positive" not in shown
    assert b"negative" not in shown


def test_the_newest_version_is_read_in_integer_order(models, tmp_path, capsys):
    for version in ("2", "10"):
        shutil.copytree(models / "sentiment" / "1", tmp_path / version)
    shutil.rmtree(tmp_path / "2" / "variables")  # an older version, damaged
    assert find_version(tmp_path, "") == tmp_path / "10"
    assert run("sentiment", "predict", "--model", tmp_path, "good") == 0
    named = f"model: {tmp_path / '10'} (newest of 2, choose with --model)\n"
    assert capsys.readouterr().err == named
    assert run("sentiment", "predict", "--model", tmp_path / "2", "good") == 2


def test_without_a_model_in_the_working_directory_that_of_the_clone_is_read(
    models, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("apps.exported._BESIDE_THE_APPS", models)
    assert run("sentiment", "predict", "--json", "good") == 0
    assert json.loads(capsys.readouterr().out)["text"] == "good"
    shutil.copytree(models / "chargen", tmp_path / "saved_models" / "sentiment")
    assert run("sentiment", "predict", "good") == 2


@pytest.mark.parametrize("app", ["sentiment", "chargen"])
def test_a_model_is_written_in_another_format(models, app, tmp_path, monkeypatch, capsys):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    assert run(app, "export", "--model", models / app) == 0
    name = {"sentiment": "ids", "chargen": "step"}[app]
    expected = f"its outputs match the signature {name} of {models / app / '1'}."
    assert capsys.readouterr().out == f"Wrote {app}.onnx; {expected}\n"
    assert "ids" in [value.name for value in onnx.load(f"{app}.onnx").graph.input]
    for output, message in {
        "no/where.onnx": "no: there is no such folder",
        "x.tflite": "a file in the format onnx must end with .onnx",
        ".": "this is a folder",
    }.items():
        assert run(app, "export", "--model", models / app, "--output", output) == 2
        assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [f"{app}.onnx"]


@pytest.mark.parametrize("app", ["sentiment", "chargen"])
def test_the_model_of_the_clone_is_whole_and_says_how_it_was_made(app):
    folder = find_version(SAVED_MODELS / app / "1", "")
    assert_plain(folder)
    card = (folder / "assets.extra" / "model_card.md").read_text("utf-8")
    assert f"`python -m apps.{app} train " in card
    assert "| seed | 0 |" in card


@pytest.mark.parametrize("app", ["sentiment", "chargen"])
def test_the_checksums_of_the_models_of_the_clone_name_every_file(app):
    folder = SAVED_MODELS / app / "1"
    sums = folder / "assets.extra" / "SHA256SUMS"
    digests = {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file() and file != sums
    }
    expected = [f"{digest}  {name}\n" for name, digest in sorted(digests.items())]
    assert sums.read_bytes().decode() == "".join(expected)


def test_the_models_of_the_clone_are_small():
    files = [
        path
        for app in ("sentiment", "chargen")
        for path in (SAVED_MODELS / app / "1").rglob("*")
    ]
    assert sum(path.stat().st_size for path in files if path.is_file()) < 20e6
