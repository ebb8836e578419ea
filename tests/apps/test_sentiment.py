"""The sentiment app from end to end, on a small made-up language."""

import csv
import importlib.util
import io
import json
import re
import shlex
import shutil
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasrnn
from apps import cli
from apps.sentiment import config, train
from apps.sentiment.__main__ import COMMANDS
from apps.sentiment.data import Reviews
from apps.sentiment.predict import Answer
from kerasrnn.training import clipping
from tests.apps.killed_training import train_and_kill

GOOD, BAD = ["lovely", "great", "moving"], ["dull", "awful", "boring"]
FILLER = "the film was with a story of two people and their dog".split()
SMALL = (
    "--epochs 4 --batch-size 8 --units 8 --embedding-dim 8 --max-length 24 --dropout 0.1 "
    "--learning-rate 0.05 --patience 4 --word-pairs 500"
).split()


pytestmark = pytest.mark.usefixtures("loaded_once")


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
def test_a_killed_training_goes_on_with_the_same_command(
    trained, reviews, tmp_path, capsys, without_export
):
    run_dir = tmp_path / "run"
    places = ["--data", reviews, "--run-dir", run_dir, "--output", tmp_path / "m"]
    command = ["train", *places, *SMALL]
    # Nothing may depend on the hashes of strings.
    train_and_kill("sentiment", command, run_dir, PYTHONHASHSEED="random")
    assert run(*command, "--units", 9) == 2
    assert "differs in --units" in capsys.readouterr().err
    assert run(*command) == 0
    assert f"going on with the run in {run_dir}: " in capsys.readouterr().out
    whole, resumed = (
        json.loads((folder / "metrics.json").read_text())
        for folder in (trained / "run", run_dir)
    )
    assert resumed["train_seconds"] > 0
    for metrics in (whole, resumed):
        del metrics["train_seconds"]
    assert resumed == whole  # to the last digit
    histories = [folder / "history.csv" for folder in (trained / "run", run_dir)]
    assert histories[0].read_text() == histories[1].read_text()


def test_training_exports_a_version_with_its_card(trained):
    (version,) = (trained / "models").iterdir()
    assert version.name == "1"
    options = json.loads((version / "assets.extra" / "config.json").read_text())
    assert options["max_length"] == 24
    card = (version / "assets.extra" / "model_card.md").read_text()
    assert "python -m apps.sentiment train" in card
    assert card.startswith("# Sentiment of texts")  # of a file of one's own, not of movies
    assert "--units 8" in card
    assert "| splits | 216 train, 24 validation, 60 test |" in card
    assert "negative (10" in card


def test_the_exported_model_keeps_the_best_weights(trained):
    best = keras.saving.load_model(trained / "run" / "checkpoints" / "best.keras")
    signature = tf.saved_model.load(str(trained / "models" / "1")).signatures["ids"]
    ids = np.array([[2, 3, 4, 0]], "int32")
    exported = signature(ids=tf.constant(ids))["probability"]
    np.testing.assert_allclose(exported, best(ids)[:, 0], atol=1e-6)


def test_training_ends_with_the_command_that_asks_its_model(trained, reviews, tmp_path, capsys):
    run_dir = shutil.copytree(trained / "run", tmp_path / "run")
    places = ["--data", reviews, "--run-dir", run_dir, "--output", tmp_path / "my models"]
    assert run("train", *places, *SMALL) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    model = tmp_path / "my models" / "1"
    asked = ["python", "-m", "apps.sentiment", "predict", "--model", str(model), "I loved it."]
    assert shlex.split(last.removeprefix("try it: ")) == asked
    metrics = json.loads((run_dir / "metrics.json").read_text())
    assert run(*asked[3:]) == 0
    captured = capsys.readouterr()
    assert captured.out.endswith("\tI loved it.\n")
    figure = f"validation accuracy {metrics['validation_accuracy']:.4f}"
    assert captured.err == f"model: {model} ({figure})\n"


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
    captured = capsys.readouterr()
    assert captured.err.startswith("model: ")
    return [json.loads(line) for line in captured.out.splitlines()]


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
    [
        (b"", "the file has no texts"),
        (b"good\n\xff\n", "line 2: byte 1 of the line is not UTF-8"),
    ],
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
    (negatives, positives), total = scores["confusion"], scores["num_texts"]
    assert (sum(negatives) + sum(positives), total) == (300, 300)
    assert scores["accuracy"] == (negatives[0] + positives[1]) / 300 > 0.9
    assert 0 < scores["loss"] < 0.5
    assert 0 < scores["expected_calibration_error"] < 0.5
    for groups in (scores["calibration"], scores["accuracy_by_length"]):
        assert sum(group["num_texts"] for group in groups) == 300
        right = sum(group["num_texts"] * group["accuracy"] for group in groups)
        assert right / 300 == pytest.approx(scores["accuracy"])
    assert [group["name"] for group in scores["accuracy_by_length"]] == ["up to 20"]


def test_evaluate_draws_a_picture(trained, reviews, tmp_path, capsys, monkeypatch):
    arguments = ["--model", trained / "models", "--data", reviews, "--max-examples", 9]
    assert run("evaluate", *arguments, "--plot", tmp_path / "no" / "s.png") == 2
    assert "there is no such folder" in capsys.readouterr().err
    assert run("evaluate", *arguments, "--plot", tmp_path / "s.jpg") == 2
    assert "--plot must end with .png" in capsys.readouterr().err
    find_spec = importlib.util.find_spec
    with monkeypatch.context() as patch:
        without = {"matplotlib": None}
        patch.setattr(importlib.util, "find_spec", lambda n: without.get(n, find_spec))
        assert run("evaluate", *arguments, "--plot", tmp_path / "s.png") == 2
    assert "python -m pip install 'kerasrnn[viz]'" in capsys.readouterr().err
    pytest.importorskip("matplotlib")
    assert run("evaluate", *arguments, "--plot", tmp_path / "s.png") == 0
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")


def refuse(constant):
    raise AssertionError(constant)


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_figures_that_are_no_numbers_are_json_all_the_same(
    trained, reviews, capsys, monkeypatch, command
):
    def answers(signature, texts):
        return [Answer("positive", float("nan"))] * len(texts)

    monkeypatch.setattr(f"apps.sentiment.{command}.classify", answers)
    source = ["--data", reviews] if command == "evaluate" else ["fine"]
    assert run(command, "--model", trained / "models", "--json", *source) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert found["loss" if command == "evaluate" else "probability"] is None


def everything(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.slow
def test_a_training_that_diverges_says_so_in_one_line_and_publishes_nothing(
    reviews, tmp_path, capsys
):
    """The second time, it goes on from the checkpoint after its only epoch."""
    places = ["--data", reviews, "--run-dir", tmp_path / "run", "--output", tmp_path / "m"]
    said = []
    for _ in range(2):
        assert run("train", *places, *SMALL, "--epochs", 1, "--learning-rate", "1e30") == 2
        lines = capsys.readouterr().err.splitlines()
        said.append([line for line in lines if not line.startswith("warning: preset ")])
        left = everything(tmp_path)
        assert not [path for path in left if ".writing-" in path or path.startswith("m/")]
        assert not {"run/metrics.json", "run/checkpoints/best.keras"} & left
    (line,) = said[0]
    # Which of the two comes first depends on the processor.
    at = r"(epoch 1, the best one, has val_loss=|step \d+ is not finite: )"
    assert re.match("error: the training has diverged: " + at, line)
    assert line.endswith("Use a smaller --learning-rate or --global-clipnorm.")
    assert said[0] == said[1]


def test_a_norm_that_no_gradient_has_clips_nothing():
    """The reciprocal of the largest is 0; so was the clipped gradient once."""
    clip = tf.function(clipping.clip_by_global_norm)
    gradient = np.float32([0.6, -0.8])
    least, most = cli.FLOATS
    np.testing.assert_array_equal(clip([tf.constant(gradient)], most)[0], gradient)
    (clipped,) = clip([tf.constant(gradient)], least)
    np.testing.assert_allclose(clipped, gradient * np.float32(least), rtol=1e-5, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "extremes",
    [
        {"global_clipnorm": cli.FLOATS[0], "dropout": 1 - 2**-53},
        {"global_clipnorm": cli.FLOATS[1], "learning_rate": cli.FLOATS[0]},
    ],
)
def test_what_is_allowed_at_most_trains(extremes):
    """Such gradients are clipped to nothing, or such steps lead nowhere."""
    small = {"units": 4, "embedding_dim": 4, "bidirectional": False, "pooling": "last"}
    options = config.Train(max_length=8, **small, **extremes)
    reviews = Reviews(["a lovely film", "an awful film"] * 16, [1, 0] * 16)
    vocabulary = kerasrnn.Vocabulary.from_texts(reviews.texts, 99)
    batches = train.make_batches(reviews, vocabulary, options, batch_size=8)
    model = train.make_model(vocabulary, options, num_steps=4)
    model(np.zeros([1, 1], "int32"))
    before = model.get_weights()
    loss = model.fit(batches, validation_data=batches, verbose=0).history["val_loss"][0]
    assert 0 < loss < 1
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-20)


def test_scores_of_one_label_are_warned_of(trained, tmp_path, capsys):
    (tmp_path / "r.csv").write_text("text,label\nlovely,1\ngreat,1\n")
    arguments = ["--model", trained / "models", "--data", tmp_path / "r.csv", "--json"]
    assert run("evaluate", *arguments) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["num_texts"] == 2
    assert "all 2 texts are labelled positive" in captured.err


def test_reviews_of_one_label_are_not_trained_on(tmp_path, capsys):
    rows = "".join(f"text {i},1\n" for i in range(200))
    (tmp_path / "r.csv").write_text("text,label\n" + rows)
    places = ["--run-dir", tmp_path / "run", "--output", tmp_path / "models"]
    assert run("train", "--data", tmp_path / "r.csv", *places, *SMALL) == 2
    assert "all 200 texts are labelled positive" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["r.csv"]


def test_a_review_that_is_not_utf8_is_refused(trained, capsys):
    assert run("predict", "--model", trained / "models", "fine", "caf\udce9") == 2
    assert "text 2: character 4 is no valid Unicode" in capsys.readouterr().err


TOPICS = {"sport": "goal match team", "food": "soup bread salt", "art & co": "paint opera ink"}


@pytest.fixture(scope="module")
def of_topics(tmp_path_factory):
    """Folders of a training on 200 texts with labels of their own, in columns of their own."""
    folder = tmp_path_factory.mktemp("topics")
    rng = np.random.default_rng(0)
    rows = [("what;about", "said", "n")]
    for i in range(200):
        about = list(TOPICS)[i % 3]
        words = [*rng.choice(FILLER, size=6), rng.choice(TOPICS[about].split())]
        rows.append((about, " ".join(rng.permutation(words)), str(i)))
    rows += rows[-7:]
    with (folder / "said.txt").open("w", newline="") as file:
        csv.writer(file, delimiter="|").writerows(rows)
    columns = ["--data", folder / "said.txt", "--label-column", "what;about"]
    columns += ["--text-column", "said"]
    places = ["--run-dir", folder / "run", "--output", folder / "models"]
    plain = ["--filters", None, "--no-word-vectors", "--adversarial-noise", None]
    assert run("train", *columns, *places, *SMALL, *plain) == 0
    return folder, columns


def test_labels_of_ones_own_are_learned(of_topics, capsys):
    folder, columns = of_topics
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    assert metrics["num_dropped"] == 7
    assert list(metrics["labels"]) == ["art & co", "food", "sport"]
    assert sum(metrics["labels"].values()) == metrics["split_sizes"]["train"]
    assert metrics["test_accuracy"] > 0.9
    assert run("evaluate", *columns, "--model", folder / "models", "--json") == 0
    scores = json.loads(capsys.readouterr().out)
    assert [len(row) for row in scores["confusion"]] == [3, 3, 3]
    assert scores["accuracy"] == sum(scores["confusion"][n][n] for n in range(3)) / 207 > 0.9
    assert 0 < scores["loss"] < 0.5


def test_the_card_of_a_model_tells_its_labels(of_topics):
    version = of_topics[0] / "models" / "1"
    card = (version / "assets.extra" / "model_card.md").read_text("utf-8")
    assert card.startswith("# Labels of texts\n")
    assert "one of the labels art & co, food, sport." in card
    assert "test (7 duplicates dropped) |" in card
    assert "| data | said.txt |" in card
    assert "review" not in card
    assert "--label-column 'what;about'" in card


def test_predict_gives_the_probability_of_each_label(of_topics, tmp_path, capsys):
    (tmp_path / "said.dat").write_text("n;said\n1;the soup\n2;a goal for the team\n")
    arguments = ["--model", of_topics[0] / "models", "--file", tmp_path / "said.dat"]
    found = predictions(capsys, *arguments, "--text-column", "said")
    assert [row["label"] for row in found] == ["food", "sport"]
    for row in found:
        assert list(row["probabilities"]) == ["art & co", "food", "sport"]
        assert row["probability"] == row["probabilities"][row["label"]] > 0.5
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert run("predict", *arguments, "--text-column", "said") == 0
    assert capsys.readouterr().out.startswith("food\t")


def test_evaluate_refuses_labels_that_the_model_does_not_know(
    of_topics, trained, reviews, capsys
):
    folder, columns = of_topics
    assert run("evaluate", "--model", folder / "models", "--data", reviews) == 2
    assert "the label is '0', but the model knows art & co, food" in capsys.readouterr().err
    assert run("evaluate", "--model", trained / "models", *columns) == 2
    assert "the model knows negative, positive" in capsys.readouterr().err


@pytest.mark.slow
def test_a_failed_export_leaves_no_version(trained, reviews, tmp_path, capsys, monkeypatch):
    def fail(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    run_dir = shutil.copytree(trained / "run", tmp_path / "run")
    for name in ("metrics.json", "exported.json"):  # as before the export
        (run_dir / name).unlink()
    monkeypatch.setattr(tf.saved_model, "save", fail)
    places = ["--data", reviews, "--run-dir", run_dir, "--output", tmp_path / "models"]
    assert run("train", *places, *SMALL) == 2
    assert "No space left on device" in capsys.readouterr().err.splitlines()[-1]
    assert not any((tmp_path / "models").iterdir())
    assert not (run_dir / "metrics.json").exists()
    assert (run_dir / "checkpoints" / "best.keras").is_file()


def test_too_few_reviews_are_refused(tmp_path, capsys):
    (tmp_path / "r.csv").write_text("text,label\n" + "a,1\nb,0\nc,1\n")
    arguments = ["--data", tmp_path / "r.csv", "--run-dir", tmp_path / "run"]
    assert run(*arguments, "--output", tmp_path / "models") == 2
    assert "too few" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["r.csv"]


@pytest.fixture
def of_count(reviews, tmp_path):
    """Trains on the first texts of the file, without flags but those of places."""

    def train_on(count, *flags):
        rows = reviews.read_text("utf-8").splitlines()[: 1 + count]
        (tmp_path / "r.csv").write_text("\n".join(rows) + "\n", "utf-8")
        places = ["--run-dir", tmp_path / "run", "--output", tmp_path / "models"]
        assert run("train", "--data", tmp_path / "r.csv", *places, *flags) == 0
        return json.loads((tmp_path / "run" / "metrics.json").read_text())

    return train_on


def test_fifty_texts_are_trained_on_with_a_warning(of_count, capsys, without_export):
    metrics = of_count(50, *"--units 4 --embedding-dim 4 --epochs 1 --word-pairs 50".split())
    assert (metrics["batch_size"], metrics["steps_in_an_epoch"]) == (8, 3)
    captured = capsys.readouterr()
    assert "epochs: at most 1 of 3 steps, 8 texts each\n" in captured.out
    (warning,) = [line for line in captured.err.splitlines() if "preset" in line]
    assert warning.startswith("warning: preset default: 36 training texts are few, so scores")
    assert warning.endswith(
        f"different words, and --vocabulary-size is {config.Train().vocabulary_size:,}."
    )


@pytest.mark.slow
def test_a_batch_is_no_larger_than_the_texts(of_count, without_export):
    metrics = of_count(
        14, *"--batch-size 64 --validation-fraction 0.3 --epochs 1 --word-pairs 50".split()
    )
    assert (metrics["batch_size"], metrics["steps_in_an_epoch"]) == (8, 1)


@pytest.mark.slow
def test_three_hundred_texts_are_learned_without_flags(of_count, without_export):
    metrics = of_count(300)
    assert metrics["steps_in_an_epoch"] * metrics["epochs"] > 200
    assert metrics["test_accuracy"] > 0.95


@pytest.mark.slow
def test_another_set_up_trains_too(reviews, tmp_path):
    places = ["--data", reviews, "--run-dir", tmp_path / "run", "--output", tmp_path / "models"]
    options = ["--preset", "classic", "--cell", "gru", "--truncation", 5]
    options += ["--epochs", 1, "--batch-size", 8]
    assert run("train", *places, *options) == 0
    assert (tmp_path / "models" / "1" / "saved_model.pb").is_file()


BEST = (
    "--preset best --epochs 2 --batch-size 8 --units 6 --embedding-dim 8 --filters 4 "
    "--pretraining-epochs 2 --word-pairs 100 --learning-rate 0.01"
).split()


@pytest.mark.slow
@pytest.mark.skipif("not os.environ.get('THOROUGH')", reason="takes long, set THOROUGH")
def test_a_training_that_is_killed_in_pretraining_goes_on(reviews, tmp_path, capsys):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    found = []
    for name in ("whole", "pretraining"):
        folder = tmp_path / f"run {name}"
        places = ["--data", reviews, "--run-dir", folder, "--output", tmp_path / name / "m"]
        command = ["train", *places, *BEST]
        if name != "whole":
            train_and_kill("sentiment", command, folder / name)
            assert run(*command, "--units", 7) == 2
            assert "differs in --units" in capsys.readouterr().err
        assert run(*command) == 0
        out = capsys.readouterr().out
        assert "predict the next word" in out
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics.pop("train_seconds") > 0
        found.append(metrics)
    assert found[0] == found[1]
    assert found[0]["test_accuracy"] > 0.95
    assert run("predict", "--model", tmp_path / "whole" / "m", "a lovely film", "dull") == 0
    assert [line[:8] for line in capsys.readouterr().out.splitlines()] == [
        "positive", "negative",
    ]  # fmt: skip


def test_pretraining_needs_a_layer_that_reads_words_forwards(capsys):
    assert run("train", "--pretraining-epochs", 1) == 2
    assert "--pretraining-epochs above 0 needs --no-bidirectional" in capsys.readouterr().err
