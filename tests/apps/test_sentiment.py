"""The sentiment app from end to end, on a small made-up language."""

import csv
import io
import json
import os
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from apps import cli
from apps.sentiment.__main__ import COMMANDS

GOOD, BAD = ["lovely", "great", "moving"], ["dull", "awful", "boring"]
FILLER = "the film was with a story of two people and their dog".split()
SMALL = (
    "--epochs 4 --batch-size 8 --units 8 --embedding-dim 8 --max-length 24 --dropout 0.1 "
    "--learning-rate 0.05 --patience 4"
).split()


pytestmark = [pytest.mark.usefixtures("loaded_once"), pytest.mark.slow]


def run(*arguments):
    return cli.main("apps.sentiment", "", COMMANDS, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    """A CSV of 300 reviews, labelled by the words in them."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for i in range(300):
            words = [
                *rng.choice(FILLER, size=rng.integers(4, 20)),
                rng.choice((BAD, GOOD)[i % 2]),
            ]
            writer.writerow(["<br />".join(rng.permutation(words)), i % 2])
    return path


@pytest.fixture(scope="module")
def trained(reviews, tmp_path_factory):
    """Folders of a training: the run, and the exported models."""
    folder = tmp_path_factory.mktemp("trained")
    arguments = ["--data", reviews, "--run-dir", folder / "run", "--output", folder / "models"]
    assert run("train", *arguments, *SMALL) == 0
    return folder


def test_training_learns_and_leaves_its_figures(trained):
    metrics = json.loads((trained / "run" / "metrics.json").read_text())
    assert metrics["test_accuracy"] > 0.9
    assert metrics["split_sizes"] == {"train": 216, "validation": 24, "test": 60}
    assert {"test_loss", "train_seconds", "num_parameters", "data_source", "versions"} <= set(
        metrics
    )
    assert json.loads((trained / "run" / "config.json").read_text())["units"] == 8
    history = list(csv.DictReader((trained / "run" / "history.csv").read_text().splitlines()))
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(history[0])
    assert (trained / "run" / "checkpoints" / "best.keras").is_file()


@pytest.mark.slow
def test_a_killed_training_goes_on_with_the_same_command(trained, reviews, tmp_path, capsys):
    arguments = ["--data", reviews, "--run-dir", tmp_path / "run", "--output", tmp_path / "m"]
    command = [sys.executable, "-m", "apps.sentiment", *map(str, arguments), *SMALL]
    environment = {**os.environ, "PYTHONHASHSEED": "random"}  # which nothing may depend on
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    while process.poll() is None and not list(tmp_path.glob("run/checkpoints/step-*")):
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert run("train", *arguments, *SMALL, "--units", 9) == 2
    assert "differs in --units" in capsys.readouterr().err
    assert run("train", *arguments, *SMALL) == 0
    assert f"going on with the run in {tmp_path / 'run'}: " in capsys.readouterr().out
    whole, resumed = (
        json.loads((folder / "run" / "metrics.json").read_text())
        for folder in (trained, tmp_path)
    )
    assert resumed["train_seconds"] > 0
    for metrics in (whole, resumed):
        del metrics["train_seconds"]
    assert resumed == whole  # to the last digit
    histories = [f / "run" / "history.csv" for f in (trained, tmp_path)]
    assert histories[0].read_text() == histories[1].read_text()


def test_training_exports_a_version_with_its_card(trained):
    (version,) = (trained / "models").iterdir()
    assert version.name == "1"
    config = json.loads((version / "assets.extra" / "config.json").read_text())
    assert config["max_length"] == 24
    card = (version / "assets.extra" / "model_card.md").read_text()
    assert "python -m apps.sentiment train" in card
    assert "--units 8" in card


def test_the_exported_model_keeps_the_best_weights(trained):
    best = keras.saving.load_model(trained / "run" / "checkpoints" / "best.keras")
    signature = tf.saved_model.load(str(trained / "models" / "1")).signatures["ids"]
    ids = np.array([[2, 3, 4, 0]], "int32")
    exported = signature(ids=tf.constant(ids))["probability"]
    np.testing.assert_allclose(exported, best(ids)[:, 0], atol=1e-6)


def test_predict_answers_arguments_in_order(trained, capsys):
    model = trained / "models"
    texts = ["A LOVELY film!", "awful<br />story", "", "été 😀 素晴らしい"]
    assert run("predict", "--model", model, *texts) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines[:2]] == ["positive", "negative"]
    assert [line[2] for line in lines] == texts
    assert all(0 <= float(line[1]) <= 1 for line in lines)


def predictions(capsys, *arguments):
    assert run("predict", "--json", *arguments) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("name", ["r.txt", "r.csv", "r.jsonl"])
def test_predict_answers_files(trained, tmp_path, capsys, name):
    texts = ["great film", "a dull, dull story", ""]
    content = {
        "r.txt": "\n".join(texts) + "\n",
        "r.csv": "text,stars\n" + "".join(f'"{text}",1\n' for text in texts),
        "r.jsonl": "".join(json.dumps({"text": text}) + "\n" for text in texts),
    }[name]
    (tmp_path / name).write_text(content)
    found = predictions(capsys, "--model", trained / "models", "--file", tmp_path / name)
    assert [row["text"] for row in found] == texts
    assert [row["label"] for row in found][:2] == ["positive", "negative"]
    assert set(found[0]) == {"text", "label", "probability"}


def test_predict_answers_standard_input(trained, capsys, monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO("moving été\n\nboring\n".encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    found = predictions(capsys, "--model", trained / "models")
    assert [row["text"] for row in found] == ["moving été", "", "boring"]


def test_predict_reads_a_review_of_a_million_words(trained, capsys, monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO(b"film " * 1_000_000 + b"lovely\n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    (found,) = predictions(capsys, "--model", trained / "models")
    assert found["label"] == "positive"


def test_predict_answers_many_batches_in_order(trained, tmp_path, capsys):
    (tmp_path / "many.txt").write_text("great film\nawful film\n" * 500)
    found = predictions(capsys, "--model", trained / "models", "--file", tmp_path / "many.txt")
    assert [row["label"] for row in found] == ["positive", "negative"] * 500


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "the file is empty"), (b"good\n\xff\n", "line 2: byte 1 of the line is not UTF-8")],
)
def test_predict_refuses_what_it_cannot_read(trained, tmp_path, capsys, content, message):
    (tmp_path / "r.txt").write_bytes(content)
    assert run("predict", "--model", trained / "models", "--file", tmp_path / "r.txt") == 2
    assert message in capsys.readouterr().err
    assert (
        run("predict", "--model", trained / "models", "--file", tmp_path / "missing.txt") == 2
    )
    assert "missing.txt: No such file" in capsys.readouterr().err


def test_evaluate_prints_scores_and_confusion(trained, reviews, capsys):
    assert run("evaluate", "--model", trained / "models", "--data", reviews) == 0
    out = capsys.readouterr().out
    assert "accuracy" in out
    assert "predicted negative" in out
    assert run("evaluate", "--model", trained / "models", "--data", reviews, "--json") == 0
    scores = json.loads(capsys.readouterr().out)
    (negatives, positives), total = scores["confusion"], scores["num_reviews"]
    assert (sum(negatives) + sum(positives), total) == (300, 300)
    assert scores["accuracy"] == (negatives[0] + positives[1]) / 300 > 0.9
    assert 0 < scores["loss"] < 0.5


def refuse(constant):
    raise AssertionError(constant)


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_figures_that_are_no_numbers_are_json_all_the_same(
    trained, reviews, capsys, monkeypatch, command
):
    def answers(signature, texts):
        return [("positive", float("nan"))] * len(texts)

    monkeypatch.setattr(f"apps.sentiment.{command}.classify", answers)
    source = ["--data", reviews] if command == "evaluate" else ["fine"]
    assert run(command, "--model", trained / "models", "--json", *source) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert found["loss" if command == "evaluate" else "probability"] is None


def everything(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--learning-rate", "1e38"], "diverged: step 2 is not finite: its loss is nan, the"),
        pytest.param(
            ["--learning-rate", "1e30"],
            "diverged: epoch 1, the best one, has val_loss=",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["--learning-rate", "1e38", "--global-clipnorm", "1e37"],
            "diverged: step 2 is not finite",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_training_that_diverges_says_so_in_one_line_and_publishes_nothing(
    reviews, tmp_path, capsys, options, message
):
    arguments = ["--data", reviews, "--run-dir", tmp_path / "run", "--output", tmp_path / "m"]
    said = []
    for _ in range(2):
        assert run("train", *arguments, *SMALL, "--epochs", 1, *options) == 2
        said.append(capsys.readouterr().err)
        left = everything(tmp_path)
        assert not [path for path in left if ".writing-" in path or path.startswith("m/")]
        assert not {"run/metrics.json", "run/checkpoints/best.keras"} & left
    assert message in said[0]
    assert said[0].startswith("error: the training has ")
    assert said[0].endswith("Use a smaller --learning-rate or --global-clipnorm.\n")
    assert said[0].count("\n") == 1
    assert said[0] == said[1]


@pytest.mark.slow
def test_a_norm_that_no_gradient_has_clips_nothing(reviews, tmp_path):
    """Its reciprocal is 0 for the processor beyond 8e37, and so was the clipped gradient."""
    losses = []
    for norm in ("1e30", "1e37", "1e-37"):  # the last one lets nothing through
        folder = tmp_path / norm
        places = ["--data", reviews, "--run-dir", folder / "run", "--output", folder / "m"]
        assert run("train", *places, *SMALL, "--epochs", 1, "--global-clipnorm", norm) == 0
        losses.append(json.loads((folder / "run" / "metrics.json").read_text())["test_loss"])
    assert losses[0] == losses[1] != losses[2]
    assert run("train", *places, *SMALL, "--global-clipnorm", "1e38") == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["--global-clipnorm", "1e-37"],
        ["--learning-rate", "1e-37"],
        ["--dropout", str(1 - 2**-53)],
    ],
)
def test_what_is_allowed_at_most_trains(reviews, tmp_path, options):
    arguments = ["--data", reviews, "--run-dir", tmp_path / "run", "--output", tmp_path / "m"]
    assert run("train", *arguments, *SMALL, "--epochs", 1, *options) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text(), parse_constant=refuse)
    assert 0 < metrics["test_loss"] < 1


def test_scores_of_one_label_are_warned_of(trained, tmp_path, capsys):
    (tmp_path / "r.csv").write_text("text,label\nlovely,1\ngreat,1\n")
    arguments = ["--model", trained / "models", "--data", tmp_path / "r.csv", "--json"]
    assert run("evaluate", *arguments) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["num_reviews"] == 2
    assert "all 2 reviews are labelled positive" in captured.err


def test_reviews_of_one_label_are_not_trained_on(tmp_path, capsys):
    rows = "".join(f"text {i},1\n" for i in range(200))
    (tmp_path / "r.csv").write_text("text,label\n" + rows)
    places = ["--run-dir", tmp_path / "run", "--output", tmp_path / "models"]
    assert run("train", "--data", tmp_path / "r.csv", *places, *SMALL) == 2
    assert "all 200 reviews are labelled positive" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["r.csv"]


def test_a_review_that_is_not_utf8_is_refused(trained, capsys):
    assert run("predict", "--model", trained / "models", "fine", "caf\udce9") == 2
    assert "review 2: character 4 is no valid Unicode" in capsys.readouterr().err


def test_a_failed_export_leaves_no_version(reviews, tmp_path, capsys, monkeypatch):
    def fail(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", fail)
    arguments = [
        "--data",
        reviews,
        "--run-dir",
        tmp_path / "run",
        "--output",
        tmp_path / "models",
    ]
    assert run("train", *arguments, *SMALL, "--epochs", "1") == 2
    assert "No space left on device" in capsys.readouterr().err.splitlines()[-1]
    assert not any((tmp_path / "models").iterdir())
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert (tmp_path / "run" / "checkpoints" / "best.keras").is_file()


def test_too_few_reviews_are_refused(tmp_path, capsys):
    (tmp_path / "r.csv").write_text("text,label\n" + "a,1\nb,0\nc,1\n")
    arguments = ["--data", tmp_path / "r.csv", "--run-dir", tmp_path / "run"]
    assert run(*arguments, "--output", tmp_path / "models") == 2
    assert "too few" in capsys.readouterr().err
    rows = "".join(f"text {i},{i % 2}\n" for i in range(14))
    (tmp_path / "r.csv").write_text("text,label\n" + rows)
    assert run(*arguments, "--output", tmp_path / "models", "--validation-fraction", "0.3") == 2
    assert "do not fill a batch" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["r.csv"]


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--preset", "classic"], ["--cell", "gru"]])
def test_other_set_ups_train_too(reviews, tmp_path, options):
    arguments = [
        "--data",
        reviews,
        "--run-dir",
        tmp_path / "run",
        "--output",
        tmp_path / "models",
    ]
    assert run("train", *options, *arguments, "--epochs", "1", "--batch-size", "8") == 0
    assert (tmp_path / "models" / "1" / "saved_model.pb").is_file()
