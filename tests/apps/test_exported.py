"""Every command that reads models says what is wrong with one, in one line."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import kerasrnn
from apps import cli
from apps.chargen.__main__ import COMMANDS as CHARGEN
from apps.exported import find_version
from apps.sentiment.__main__ import COMMANDS as SENTIMENT
from tests.plain_ops import assert_plain

SAVED_MODELS = Path(__file__).parent.parent.parent / "saved_models"
TEXT = "the quick brown fox jumps over the lazy dog\n" * 40


def run(app, *arguments):
    commands = {"sentiment": SENTIMENT, "chargen": CHARGEN}[app]
    return cli.main(f"apps.{app}", "", commands, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A model of each app, and one of no app, in a folder of versions each."""
    folder = tmp_path_factory.mktemp("models")
    keras.utils.set_random_seed(0)
    classifier = kerasrnn.TextClassifier(
        ["[PAD]", "[UNK]", "good", "bad"], max_length=8, embedding_dim=4, units=3
    )
    classifier(np.array([[2, 0]]))
    kerasrnn.export(classifier, folder / "sentiment")
    vocabulary = kerasrnn.CharacterVocabulary.from_text(TEXT)
    language_model = kerasrnn.CharLanguageModel(vocabulary, units=4)
    language_model(np.array([[1, 2]]))
    options = {"cell": "vanilla", "units": 4, "num_layers": 1, "embedding_dim": None}
    options |= {"residual": True, "tie_weights": False}
    kerasrnn.export(language_model, folder / "chargen", config=options)
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
    with pytest.raises(cli.UserError, match=f"damaged: {file} is not what was exported"):
        find_version(copy, "")


def test_checksums_cut_short_are_named(models, tmp_path):
    copy = shutil.copytree(models / "sentiment" / "1", tmp_path / "copy")
    sums = copy / "assets.extra" / "SHA256SUMS"
    whole = sums.read_bytes()
    for size in (0, 60):
        sums.write_bytes(whole[:size])
        with pytest.raises(
            cli.UserError, match="damaged: assets.extra/SHA256SUMS is not whole"
        ):
            find_version(copy, "")


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
    (other,) = {"sentiment", "chargen"} - {app}
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
def test_answers_go_into_a_file_while_a_terminal_shows_how_far_it_is(models, tmp_path):
    (tmp_path / "reviews.txt").write_text("good\nbad\n" * 5)
    master, terminal = os.openpty()
    command = [sys.executable, "-m", "apps.sentiment", "predict", "--model"]
    command += [models / "sentiment", "--file", tmp_path / "reviews.txt"]
    environment = {**os.environ, "TERM": "xterm", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=terminal, check=False, env=environment
    )
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while block := os.read(master, 4096):
            shown += block
    os.close(master)
    assert done.returncode == 0
    assert [line.split(b"\t")[2] for line in done.stdout.splitlines()] == [b"good", b"bad"] * 5
    assert b"reading reviews" in shown
    assert b"positive" not in shown
    assert b"negative" not in shown


def test_the_newest_version_is_read_in_integer_order(models, tmp_path, capsys):
    for version in ("2", "10"):
        shutil.copytree(models / "sentiment" / "1", tmp_path / version)
    shutil.rmtree(tmp_path / "2" / "variables")  # an older version, damaged
    assert find_version(tmp_path, "") == tmp_path / "10"
    assert run("sentiment", "predict", "--model", tmp_path, "good") == 0
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
    assert capsys.readouterr().out.startswith(f"{app}-1.onnx: the signature ")
    assert "ids" in [value.name for value in onnx.load(f"{app}-1.onnx").graph.input]
    for output, message in {
        "no/where.onnx": "no: there is no such folder",
        "x.tflite": "a file in the format onnx ends with .onnx",
        ".": "this is a folder",
    }.items():
        assert run(app, "export", "--model", models / app, "--output", output) == 2
        assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [f"{app}-1.onnx"]


@pytest.mark.parametrize("app", ["sentiment", "chargen"])
def test_the_model_of_the_clone_is_whole_and_says_how_it_was_made(app):
    folder = find_version(SAVED_MODELS / app / "1", "")
    assert_plain(folder)
    card = (folder / "assets.extra" / "model_card.md").read_text("utf-8")
    assert f"`python -m apps.{app} train " in card
    assert "| seed | 0 |" in card


def test_the_models_of_the_clone_are_small():
    files = [
        path
        for app in ("sentiment", "chargen")
        for path in (SAVED_MODELS / app / "1").rglob("*")
    ]
    assert sum(path.stat().st_size for path in files if path.is_file()) < 20e6
